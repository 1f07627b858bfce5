//! What answers of Azure mean for a gateway that would be sent them: pure, so that every case has a test.

use std::time::{Duration, UNIX_EPOCH};

use crate::azure::resources::{Account, Deployment as Listed, Usage};
use crate::cli::doctor::report::{Finding, Group};
use crate::columns::usd;
use crate::config::checked::azure::DeclaredDeployment;
use crate::core::topology::{ApiForm, Deployment, Resource};
use crate::openai::azure::is_region;
use crate::openai::error as wire_error;

/// Clocks that differ by more are worth a warning.
const SKEW_WARN_S: i64 = 30;
/// Tokens are refused by clocks that differ by five minutes.
const SKEW_FAIL_S: i64 = 300;
/// Used part of a quota that is worth a warning.
const QUOTA_WARN_RATIO: f64 = 0.9;

/// An answer of a data plane.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) status: u16,
    /// The header of that name.
    pub(super) date: Option<String>,
    /// Tokens a minute, where its headers tell.
    pub(super) limit_tokens: Option<u64>,
    pub(super) body: Vec<u8>,
}

/// A chat that was sent.
#[derive(Debug, Clone)]
pub(super) struct Called {
    pub(super) outcome: Result<Answered, String>,
    /// Prompt and completion tokens.
    pub(super) usage: Option<(u64, u64)>,
    pub(super) took_ms: u64,
}

/// What the answer to a list of models says: credential, API version, clock.
pub(super) fn of_resource(resource: &Resource, answered: &Answered, now_ms: i64) -> Vec<Finding> {
    let name = &**resource.id;
    let fail = |what: String, mend: &str| Finding::fail(Group::Requests, name, what, mend);
    let error = wire_error::read(&answered.body);
    let said = error.message.unwrap_or_default();
    let status = answered.status;
    let first = match status {
        200..=299 => {
            let version = match &resource.api {
                ApiForm::Classic { api_version } => format!("API version `{api_version}`"),
                ApiForm::V1 => "`/openai/v1`".to_owned(),
            };
            Finding::ok(
                Group::Requests,
                name,
                format!("takes the credential, and knows {version}"),
            )
        }
        401 => fail(
            format!("refuses the credential: {said}"),
            "compare the key with the account's, and that the endpoint is this account's; a token needs the role `Cognitive Services OpenAI User`",
        ),
        403 => fail(
            format!("denies access: {said}"),
            "allow this machine's network in the account's firewall, or keys where they are disabled",
        ),
        400 | 404 => fail(
            format!("does not know what was asked ({status}): {said}"),
            "compare `endpoint` with the account's page, and `api_version` with what Azure serves; without a version use `api: v1`",
        ),
        429 => Finding::warn(
            Group::Requests,
            name,
            "is throttled even for a list of models",
            "ask again in a minute",
        ),
        _ => fail(
            format!("answers {status}: {said}"),
            "look at Azure's status page; ask again in a minute",
        ),
    };
    let mut findings = vec![first];
    findings.extend(answered.date.as_deref().map(|date| clock(name, date, now_ms)));
    findings
}

/// The clock here beside another's.
fn clock(name: &str, date: &str, now_ms: i64) -> Finding {
    let Ok(theirs) = httpdate::parse_http_date(date) else {
        return Finding::skipped(Group::Requests, name, format!("its `Date` cannot be read: `{date}`"));
    };
    let theirs = theirs.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let ahead = now_ms / 1_000 - i64::try_from(theirs).unwrap_or(i64::MAX);
    let (size, way) = (ahead.abs(), if ahead > 0 { "ahead of" } else { "behind" });
    let what = format!("the clock of this machine is {size} s {way} its own");
    let mend = "let the machine keep its time by NTP (`timedatectl`)";
    match size {
        0..=SKEW_WARN_S => Finding::ok(Group::Requests, name, "the clocks agree"),
        _ if size < SKEW_FAIL_S => Finding::warn(Group::Requests, name, what, mend),
        _ => Finding::fail(Group::Requests, name, format!("{what}: tokens are refused"), mend),
    }
}

/// What a tiny chat came to.
pub(super) fn of_call(deployment: &Deployment, called: &Called) -> Finding {
    let name = &**deployment.id;
    let answered = match &called.outcome {
        Ok(answered) => answered,
        Err(why) => {
            let mend = "look what stands between, or at Azure's status page";
            return Finding::fail(Group::Requests, name, format!("does not answer a chat: {why}"), mend);
        }
    };
    if !(200..300).contains(&answered.status) {
        return refused(name, answered);
    }
    let mut what = format!("answers a chat in {} ms", called.took_ms);
    if let Some((prompt, completion)) = called.usage {
        what = format!("{what}; {prompt} and {completion} tokens");
        let price = deployment.price.as_ref();
        let known = price.and_then(|price| Some((price.input?, price.output?)));
        if let Some((input, output)) = known {
            let cost = (prompt as f64 * input + completion as f64 * output) / 1e6;
            what = format!("{what}, {} US dollars", usd(cost));
        }
    }
    let configured = deployment.tokens_per_minute();
    match (answered.limit_tokens, configured) {
        (Some(limit), Some(configured)) if (limit as f64 - configured).abs() > 0.5 => Finding::warn(
            Group::Requests,
            name,
            format!("{what}; its headers tell {limit} tokens a minute, `capacity` is {configured}"),
            "write the capacity that it has, in thousands; or another client's requests have lowered it",
        ),
        _ => Finding::ok(Group::Requests, name, what),
    }
}

fn refused(name: &str, answered: &Answered) -> Finding {
    let error = wire_error::read(&answered.body);
    let said = error.message.unwrap_or_default();
    let status = answered.status;
    match status {
        404 => Finding::fail(
            Group::Requests,
            name,
            format!("is not there: {said}"),
            "compare its name with the account's deployments; Azure deletes idle ones of fine-tuned models after 15 days; `emberway deployment create` makes one",
        ),
        429 => Finding::warn(
            Group::Requests,
            name,
            "is throttled now",
            "raise its capacity if that is so for long",
        ),
        423 => Finding::fail(Group::Requests, name, "is paused", "`emberway deployment resume`"),
        410 => Finding::fail(Group::Requests, name, "its model is retired", "deploy its successor"),
        _ => Finding::fail(
            Group::Requests,
            name,
            format!("answers a chat with {status}: {said}"),
            "docs/outcomes.md says what each answer means",
        ),
    }
}

/// An account beside the resource that is configured for it.
pub(super) fn of_account(resource: &Resource, account: &Account) -> Finding {
    let name = &**resource.id;
    if is_region(&account.location, &resource.region) {
        return Finding::ok(
            Group::ControlPlane,
            name,
            format!("account `{}` is in `{}`", account.name, resource.region),
        );
    }
    Finding::fail(
        Group::ControlPlane,
        name,
        format!(
            "account `{}` is in `{}`, not in `{}`",
            account.name, account.location, resource.region
        ),
        "mend `region`: residency and failover go by it",
    )
}

/// A declared deployment beside what Azure lists.
pub(super) fn of_deployment(deployment: &Deployment, declared: &DeclaredDeployment, listed: &[Listed]) -> Finding {
    let name = &**deployment.id;
    let fail = |what: String, mend: &str| Finding::fail(Group::ControlPlane, name, what, mend);
    let Some(found) = listed
        .iter()
        .find(|listed| listed.name.eq_ignore_ascii_case(&deployment.name))
    else {
        let mend =
            "`emberway fleet apply` or `emberway deployment create` makes it; or take it out of the configuration";
        return fail("is not there".to_owned(), mend);
    };
    let properties = &found.properties;
    let state = properties.provisioning_state.as_deref().unwrap_or("Succeeded");
    if !state.eq_ignore_ascii_case("Succeeded") {
        return fail(
            format!("is in the state `{state}`"),
            "wait until Azure is done; a failed one is made again by `emberway fleet apply`",
        );
    }
    if properties
        .deployment_state
        .as_deref()
        .is_some_and(|state| state.eq_ignore_ascii_case("paused"))
    {
        return fail("is paused".to_owned(), "`emberway deployment resume`");
    }
    if let (Some(wanted), Some(model)) = (&declared.model, &properties.model)
        && !(wanted.name.eq_ignore_ascii_case(&model.name) && wanted.version == model.version)
    {
        return fail(
            format!(
                "runs `{}` version `{}`, not `{}` version `{}`",
                model.name, model.version, wanted.name, wanted.version
            ),
            "deploy the model that is meant (`emberway fleet plan`), or mend the configuration",
        );
    }
    let sku = found.sku.as_ref();
    let wanted = deployment.sku.as_str();
    if let Some(sku) = sku.filter(|sku| !sku.name.eq_ignore_ascii_case(wanted)) {
        return fail(
            format!("is of the type `{}`, not `{wanted}`", sku.name),
            "mend `sku`: limits, prices and residency go by it",
        );
    }
    let capacity = sku.and_then(|sku| sku.capacity);
    if let (Some(wanted), Some(capacity)) = (deployment.capacity, capacity)
        && wanted != capacity
    {
        return Finding::warn(
            Group::ControlPlane,
            name,
            format!("has a capacity of {capacity}, not {wanted}"),
            "mend `capacity`, or `emberway deployment update --capacity`: shares of traffic go by it",
        );
    }
    let units = capacity.map_or_else(String::new, |units| format!(", {units} units"));
    Finding::ok(
        Group::ControlPlane,
        name,
        format!("is there as declared: {wanted}{units}"),
    )
}

/// What is left of a region's quota, as far as anything of it is used.
pub(super) fn of_quota(region: &str, usages: &[Usage]) -> Finding {
    let used: Vec<&Usage> = usages
        .iter()
        .filter(|usage| usage.current_value > 0.0 && usage.limit > 0.0)
        .collect();
    let short: Vec<String> = used
        .iter()
        .filter(|usage| usage.current_value >= QUOTA_WARN_RATIO * usage.limit)
        .map(|usage| format!("`{}` {} of {}", usage.name.value, usage.current_value, usage.limit))
        .collect();
    if short.is_empty() {
        return Finding::ok(
            Group::ControlPlane,
            region,
            format!("quota is left of all {} lines that are used", used.len()),
        );
    }
    Finding::warn(
        Group::ControlPlane,
        region,
        format!("little quota is left: {}", short.join(", ")),
        "ask Azure for more before a deployment must grow, or be made again elsewhere",
    )
}

#[cfg(test)]
mod tests;
