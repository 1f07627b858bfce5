//! What answers of Azure mean for a gateway that would be sent them: pure, so that every case has a test.

use std::time::{Duration, UNIX_EPOCH};

use url::Url;

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

/// How names of models begin that serve no chat; a fine-tuned model's id begins with its base model's name.
const OTHERS_BEGIN_WITH: [&str; 8] = [
    "text-embedding",
    "babbage",
    "davinci",
    "whisper",
    "tts",
    "dall-e",
    "gpt-image",
    "sora",
];
/// What else their names may hold: completions only, other media, and those that serve the Responses API alone.
const OTHERS_HOLD: [&str; 8] = [
    "embed",
    "-instruct",
    "-transcribe",
    "-tts",
    "realtime",
    "codex",
    "deep-research",
    "computer-use",
];

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

/// Why a deployment is not sent a chat, if its model is one that serves none.
pub(super) fn without_chat(deployment: &Deployment, declared: &DeclaredDeployment) -> Option<Finding> {
    let named = deployment.model.as_deref().into_iter();
    let mut named = named.chain(declared.model.as_ref().map(|model| model.name.as_str()));
    let model = named.find(|name| !serves_chat(name))?;
    let what = format!("not called: its model `{model}` serves no chat");
    Some(Finding::skipped(Group::Requests, &**deployment.id, what))
}

/// Whether a model of this name serves chats, as far as names tell; one that is not known does.
fn serves_chat(model: &str) -> bool {
    let name = model.to_ascii_lowercase();
    let begins = |part: &&str| name.starts_with(*part);
    let holds = |part: &&str| name.contains(*part);
    !(OTHERS_BEGIN_WITH.iter().any(begins) || OTHERS_HOLD.iter().any(holds))
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

/// Whether the endpoint that is configured is this account's; none where the account does not tell its endpoints.
///
/// An account has several: its own and, of AI Foundry, one for each service.
pub(super) fn of_endpoint(resource: &Resource, account: &Account) -> Option<Finding> {
    let properties = &account.properties;
    let others = properties["endpoints"]
        .as_object()
        .into_iter()
        .flat_map(|map| map.values());
    let told = [&properties["endpoint"]].into_iter().chain(others);
    let hosts = told.filter_map(|url| Some(Url::parse(url.as_str()?).ok()?.host_str()?.to_owned()));
    let hosts: Vec<String> = hosts.collect();
    let (name, host) = (&**resource.id, &resource.endpoint.host);
    let first = hosts.first()?;
    if hosts
        .iter()
        .any(|told| told.trim_matches(['[', ']']).eq_ignore_ascii_case(host))
    {
        return Some(Finding::ok(
            Group::ControlPlane,
            name,
            format!("`{host}` is an endpoint of account `{}`", account.name),
        ));
    }
    let what = format!(
        "`{host}` is no endpoint of account `{}`, which tells `{first}`",
        account.name
    );
    Some(if is_azures(host) {
        let mend = "mend `endpoint` or `account`: requests go to one account, and another is cared for";
        Finding::fail(Group::ControlPlane, name, what, mend)
    } else {
        let mend = "see that whoever answers there passes requests on to this account";
        Finding::warn(Group::ControlPlane, name, what, mend)
    })
}

/// Whether a host is Azure's own name for an account, and not what somebody has put before it.
fn is_azures(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let parts = ["openai", "cognitiveservices", "services.ai"];
    let clouds = ["azure.com", "azure.us", "azure.cn"];
    parts
        .iter()
        .any(|part| clouds.iter().any(|cloud| host.ends_with(&format!(".{part}.{cloud}"))))
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
