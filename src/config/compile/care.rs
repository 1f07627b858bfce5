//! What is declared of resources and deployments for the control plane: accounts, models, and what happens to what lies idle.

use std::collections::HashMap;

use crate::config::checked::azure::{
    AzureSettings, Care, DeclaredDeployment, DeclaredModel, Inactivity, InactivityPolicy, ModelSource,
};
use crate::config::compile::azure;
use crate::config::compile::context::Context;
use crate::config::compile::fleet::Fleet;
use crate::config::errors::Pointer;
use crate::config::raw::azure::{RawAzure, RawInactivity, RawInactivityPolicy};
use crate::config::raw::fleet::{RawDeployment, RawResource, RawSku};
use crate::config::suggest;
use crate::core::arm_id::{ACCOUNT_FORM, AccountId};
use crate::core::fleet::actual::DeploymentSettings;
use crate::core::fleet::key::ModelRef;
use crate::core::fleet::weights::{self, Likeness, MemberWeights};
use crate::core::ids::DeploymentId;

/// Version of every fine-tuned model, as ARM has it.
const FINE_TUNED_VERSION: &str = "1";

/// What the control plane's section says to the fleet's.
#[derive(Clone, Copy)]
struct ControlPlane<'a> {
    /// Whether the file has the section, whatever its mistakes.
    is_there: bool,
    settings: Option<&'a AzureSettings>,
}

/// Compiles what every resource and deployment declares.
pub(super) fn compile(
    context: &mut Context<'_>,
    resources: &[RawResource],
    raw: Option<&RawAzure>,
    settings: Option<&AzureSettings>,
) -> Care {
    let control = ControlPlane {
        // A section whose shape was wrong may have been taken out; then it is not missing.
        is_there: raw.is_some() || context.is_repaired(&Pointer::root().key("azure")),
        settings,
    };
    let mut care = Care::default();
    let mut taken: HashMap<AccountId, String> = HashMap::new();
    for (position, raw) in resources.iter().enumerate() {
        let at = Pointer::root().key("resources").index(position);
        let account = raw.account.as_deref().and_then(|written| {
            let at = at.key("account");
            need_azure(context, &at, control, "`account`");
            account(context, &at, written, control)
        });
        if let Some(account) = &account
            && let Some(other) = taken.insert(account.clone(), raw.name.0.clone())
        {
            let message = format!("resource `{other}` has this account too");
            context.error(
                &at.key("account"),
                message,
                "an account is one resource; give it all its deployments".to_owned(),
            );
        }
        for (position, deployment) in raw.deployments.iter().enumerate() {
            let at = at.key("deployments").index(position);
            care.deployments.push(DeclaredDeployment {
                model: model(context, deployment, &at, account.as_ref(), control),
                settings: DeploymentSettings {
                    rai_policy_name: deployment.rai_policy_name.clone(),
                    ..DeploymentSettings::default()
                },
                inactivity: deployment
                    .inactivity
                    .map(|inactivity| compile_inactivity(context, inactivity, deployment, &at, raw.account.is_some())),
            });
        }
        care.accounts.push(account);
    }
    care
}

fn need_azure(context: &mut Context<'_>, at: &Pointer, control: ControlPlane<'_>, what: &str) {
    if !control.is_there {
        let hint = "add the section `azure` with a `credential`".to_owned();
        context.error(
            at,
            format!("{what} needs Azure's control plane, and there is no `azure`"),
            hint,
        );
    }
}

/// An account by its ARM id or by its name alone. None after a mistake.
fn account(context: &mut Context<'_>, at: &Pointer, written: &str, control: ControlPlane<'_>) -> Option<AccountId> {
    let text = context.text(at, written);
    let parsed = if text.contains('/') {
        text.parse()
    } else {
        let defaults = control
            .settings
            .map(|settings| (&settings.subscription, &settings.resource_group));
        let (Some(subscription), Some(group)) = defaults? else {
            let message = format!(
                "`{written}` is a name alone, and `azure` does not say in which subscription and resource group"
            );
            let hint = format!(
                "set `azure.subscription` and `azure.resource_group`, or give the account's id: {ACCOUNT_FORM}"
            );
            context.error(at, message, hint);
            return None;
        };
        AccountId::try_new(subscription, group, &text)
    };
    parsed
        .map_err(|error| context.error(at, error.to_string(), format!("the account's name, or {ACCOUNT_FORM}")))
        .ok()
}

/// The model that a deployment is declared to be of.
fn model(
    context: &mut Context<'_>,
    raw: &RawDeployment,
    at: &Pointer,
    account: Option<&AccountId>,
    control: ControlPlane<'_>,
) -> Option<DeclaredModel> {
    let source = source(context, raw, at, account, control);
    let version = raw.model_version.as_deref();
    match (&raw.fine_tuned_model, &raw.model, version) {
        (Some(name), _, _) => Some(DeclaredModel {
            name: name.clone(),
            version: version.unwrap_or(FINE_TUNED_VERSION).to_owned(),
            source,
        }),
        // Of a base model only what names its version can be made.
        (None, Some(name), Some(version)) => Some(DeclaredModel {
            name: name.clone(),
            version: version.to_owned(),
            source,
        }),
        (None, None, Some(version)) => {
            let message = format!("`{version}` is the version of no model");
            context.error(
                &at.key("model_version"),
                message,
                "add `fine_tuned_model` or `model`".to_owned(),
            );
            None
        }
        (None, _, None) => None,
    }
}

fn source(
    context: &mut Context<'_>,
    raw: &RawDeployment,
    at: &Pointer,
    own: Option<&AccountId>,
    control: ControlPlane<'_>,
) -> Option<ModelSource> {
    let tenant = raw.source_tenant.as_deref().map(|written| {
        let at = at.key("source_tenant");
        let tenant = azure::tenant(context, &at, written);
        check_tenant(context, &at, &tenant, control);
        tenant
    });
    let Some(written) = raw.source.as_deref() else {
        if tenant.is_some() {
            let hint = "add `source`: the account that holds the model".to_owned();
            context.error(
                &at.key("source_tenant"),
                "there is no `source` that could be of this tenant",
                hint,
            );
        }
        return None;
    };
    let at = at.key("source");
    if raw.fine_tuned_model.is_none() {
        let hint = "add `fine_tuned_model`, or leave `source` out: base models come from no account".to_owned();
        context.error(&at, "there is no `fine_tuned_model` that could come from there", hint);
    }
    need_azure(context, &at, control, "`source`");
    let account = account(context, &at, written, control)?;
    if own == Some(&account) {
        let hint = "leave it out".to_owned();
        context.warn(
            &at,
            "the model comes from the account that it is deployed in, which needs no `source`",
            hint,
        );
        return None;
    }
    Some(ModelSource { account, tenant })
}

fn check_tenant(context: &mut Context<'_>, at: &Pointer, tenant: &str, control: ControlPlane<'_>) {
    let Some(settings) = control.settings else { return };
    let known: Vec<&str> = settings.tenants.iter().map(|known| known.tenant.as_str()).collect();
    if !known.iter().any(|known| known.eq_ignore_ascii_case(tenant)) {
        let hint = suggest::hint(tenant, known.iter().copied())
            .unwrap_or_else(|| "add it to `azure.tenants`, with how to log in there".to_owned());
        context.error(at, format!("`azure.tenants` has no tenant `{tenant}`"), hint);
    }
}

/// What is done about a deployment that nobody uses; defaults follow from the days after which Azure deletes it.
fn compile_inactivity(
    context: &mut Context<'_>,
    raw: RawInactivity,
    deployment: &RawDeployment,
    deployment_at: &Pointer,
    is_managed: bool,
) -> Inactivity {
    let at = deployment_at.key("inactivity");
    let days = deployment.inactivity_days;
    let rebuilds = matches!(raw.policy, RawInactivityPolicy::Keep | RawInactivityPolicy::Recreate);
    if days == 0 && raw.policy != RawInactivityPolicy::DeleteAfter {
        let hint = "leave one of the two out".to_owned();
        context.error(&at, "with `inactivity_days: 0` Azure never deletes it", hint);
    }
    if !is_managed
        && matches!(
            raw.policy,
            RawInactivityPolicy::Recreate | RawInactivityPolicy::DeleteAfter
        )
    {
        let hint = "add `account` to its resource".to_owned();
        context.error(
            &at.key("policy"),
            "only a deployment of a managed resource can be made or deleted",
            hint,
        );
    }
    if is_managed && rebuilds && (deployment.capacity.is_none() || !names_model(deployment)) {
        let hint = "add `capacity` and `fine_tuned_model` (or `model` and `model_version`)".to_owned();
        context.error(
            &at.key("policy"),
            "a deployment cannot be made again without its model and capacity",
            hint,
        );
    }
    if raw.policy == RawInactivityPolicy::Keep && matches!(deployment.sku, RawSku::DeveloperTier) {
        let hint = "`recreate` makes it again when it is needed, with `at_once: true` each day".to_owned();
        context.warn(
            &at.key("policy"),
            "no request keeps a `DeveloperTier` deployment beyond 24 hours",
            hint,
        );
    }
    unused(context, raw, &at);
    let policy = match raw.policy {
        RawInactivityPolicy::Keep => keep(context, raw, days, &at),
        RawInactivityPolicy::Recreate => InactivityPolicy::Recreate {
            at_once: raw.at_once.unwrap_or(false),
        },
        RawInactivityPolicy::Expire => InactivityPolicy::Expire,
        RawInactivityPolicy::DeleteAfter => InactivityPolicy::DeleteAfter {
            days: delete_days(context, raw, days, &at),
        },
    };
    Inactivity {
        policy,
        warn_after_days: raw.warn_after_days.unwrap_or(days.saturating_sub(5)),
    }
}

fn names_model(deployment: &RawDeployment) -> bool {
    deployment.fine_tuned_model.is_some() || (deployment.model.is_some() && deployment.model_version.is_some())
}

/// Remarks on what the policy does not use.
fn unused(context: &mut Context<'_>, raw: RawInactivity, at: &Pointer) {
    let is_keep = raw.policy == RawInactivityPolicy::Keep;
    let is_recreate = raw.policy == RawInactivityPolicy::Recreate;
    let members = [
        ("organic_after_days", raw.organic_after_days.is_some(), is_keep, "keep"),
        (
            "keepalive_after_days",
            raw.keepalive_after_days.is_some(),
            is_keep,
            "keep",
        ),
        ("at_once", raw.at_once.is_some(), is_recreate, "recreate"),
        (
            "days",
            raw.days.is_some(),
            raw.policy == RawInactivityPolicy::DeleteAfter,
            "delete_after",
        ),
    ];
    for (name, is_written, is_used, policy) in members {
        if is_written && !is_used {
            let message = format!("`{name}` has no effect without `policy: {policy}`");
            context.warn(&at.key(name), message, "leave it out".to_owned());
        }
    }
}

fn keep(context: &mut Context<'_>, raw: RawInactivity, days: u32, at: &Pointer) -> InactivityPolicy {
    let keepalive = raw.keepalive_after_days.unwrap_or(days.saturating_sub(2)).max(1);
    let organic = raw.organic_after_days.unwrap_or(keepalive.saturating_sub(1)).max(1);
    if days > 0 && keepalive >= days {
        let message = format!("after {keepalive} days Azure may have deleted it already: `inactivity_days` is {days}");
        let place = if raw.keepalive_after_days.is_some() {
            "keepalive_after_days"
        } else {
            "policy"
        };
        context.error(&at.key(place), message, "at least a day earlier".to_owned());
    }
    if organic > keepalive {
        let message =
            format!("`{organic}` is later than `keepalive_after_days`, so no real request is ever sent there");
        context.error(&at.key("organic_after_days"), message, format!("{keepalive} at most"));
    }
    InactivityPolicy::Keep {
        organic_after_days: organic,
        keepalive_after_days: keepalive,
    }
}

fn delete_days(context: &mut Context<'_>, raw: RawInactivity, days: u32, at: &Pointer) -> u32 {
    let Some(after) = raw.days else {
        let hint = "the idle days after which the gateway deletes it".to_owned();
        context.error(&at.key("days"), "`delete_after` needs `days`", hint);
        return days;
    };
    if days > 0 && after > days {
        let message = format!("`{after}` is never reached: Azure deletes it after `inactivity_days` ({days})");
        context.warn(
            &at.key("days"),
            message,
            "`policy: expire` leaves it to Azure".to_owned(),
        );
    }
    after
}

/// Remarks on pools whose members are declared to run different models: failover between them would change answers without a word.
pub(super) fn warn_of_unlike(context: &mut Context<'_>, fleet: &Fleet, care: &Care) {
    for (position, (pool, equivalents)) in fleet.pools.iter().zip(&care.equivalents).enumerate() {
        let declared: Vec<(&DeploymentId, Option<ModelRef>)> = pool
            .members()
            .map(|member| {
                let declared = care.deployments.get(member.deployment.0);
                let model = declared.and_then(|declared| declared.model.as_ref());
                let model = model.map(|model| ModelRef {
                    name: model.name.clone(),
                    version: model.version.clone(),
                });
                (&fleet.deployments[member.deployment.0].id, model)
            })
            .collect();
        let members: Vec<MemberWeights<'_>> = declared.iter().map(|(id, model)| (*id, model.as_ref())).collect();
        let verdict = weights::compare(&members, equivalents);
        if verdict.likeness == Likeness::Unlike {
            let at = Pointer::root().key("pools").index(position).key("tiers");
            let hint = "put it into another pool, or add `equivalent_models`".to_owned();
            context.warn(&at, verdict.sentence, hint);
        }
    }
}
