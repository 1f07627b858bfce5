//! From a step of a plan to a request to ARM, and from what came of it to what the journal remembers.

use crate::azure::address::{ArmAddress, ArmRequest};
use crate::azure::error::AzureError;
use crate::azure::resources::{DeploymentPatch, Sku};
use crate::core::arm_id::DeploymentArmId;
use crate::core::calendar::MINUTE_MS;
use crate::core::fleet::actual::ActualDeployment;
use crate::core::fleet::declared::DeclaredDeployment;
use crate::core::fleet::journal::Answer;
use crate::core::fleet::step::{Step, StepKind};
use crate::fleet::declaration::{self, Declaration, key_of};

/// How long to leave Azure alone after it asked for fewer requests.
const THROTTLED_MS: i64 = MINUTE_MS;

/// The deployment that a step is of, as ARM names it; none where it is in no managed account or cannot have that name.
pub fn arm_id(declaration: &Declaration, step: &Step) -> Option<DeploymentArmId> {
    if let Some(declared) = declaration.declared.find(&step.key) {
        return declaration.terms.get(&declared.id).map(|terms| terms.arm_id.clone());
    }
    let mut accounts = declaration.accounts.iter();
    let account = accounts.find(|account| key_of(account) == step.key.account)?;
    account.deployment(&step.key.name).ok()
}

/// The request that carries a step out; `shown` is the deployment as it is. None for what is no write, and where the configuration does
/// not say enough.
pub fn request(
    address: &ArmAddress,
    declaration: &Declaration,
    step: &Step,
    shown: Option<&ActualDeployment>,
) -> Option<ArmRequest> {
    let id = arm_id(declaration, step)?;
    let declared = || declaration.declared.find(&step.key);
    match step.kind {
        StepKind::Create | StepKind::Replace => {
            let declared = declared()?;
            let tenant = declared.source.as_ref().and_then(|source| source.tenant.as_deref());
            Some(address.create(
                &id,
                &declaration::order(declared, shown.map(|shown| &shown.settings))?,
                tenant,
            ))
        }
        StepKind::Raise | StepKind::Lower => Some(address.update(&id, &patch(declared()?, shown))),
        StepKind::Delete => Some(address.delete(&id)),
        StepKind::Drain | StepKind::Rejoin => None,
    }
}

fn patch(declared: &DeclaredDeployment, shown: Option<&ActualDeployment>) -> DeploymentPatch {
    DeploymentPatch {
        sku: Some(Sku {
            name: declared.sku.as_str().to_owned(),
            capacity: declared.capacity.or_else(|| shown?.capacity),
        }),
        tags: None,
    }
}

/// What the journal remembers of what came of a write.
pub fn answer(step: &Step, outcome: &Result<u16, AzureError>, now_ms: i64) -> Answer {
    let Err(error) = outcome else { return Answer::Taken };
    let refused = |code: &str| Answer::Refused { code: code.to_owned() };
    match error {
        // What was to go is gone.
        error if step.kind == StepKind::Delete && error.is_missing() => Answer::Taken,
        error if error.is_conflict() => Answer::Conflict,
        AzureError::Refused(refusal) => match refusal.status {
            Some(429) => Answer::Throttled {
                retry_at_ms: now_ms + THROTTLED_MS,
            },
            Some(408 | 409 | 500..) => Answer::Failed,
            _ => refused(&refusal.code),
        },
        // Nothing was sent; whoever starts the next run has mended it.
        AzureError::Credential(_) => refused("credential"),
        AzureError::UnknownTenant(_) => refused("unknown_tenant"),
        AzureError::WritesOff => refused("writes_off"),
        AzureError::Unwitnessed(_) => refused("no_audit"),
        AzureError::Id(_) => refused("name"),
        AzureError::Transport(_)
        | AzureError::Unreadable { .. }
        | AzureError::Elsewhere(_)
        | AzureError::OutOfTime { .. }
        | AzureError::Endless(_) => Answer::Failed,
    }
}

#[cfg(test)]
mod tests;
