//! From the checked configuration to what the decisions about fleets work on: which deployments should be, and on which terms.

use std::collections::{BTreeMap, BTreeSet};

use crate::azure::resources::{Model, NewDeployment, NewProperties, Sku as WireSku};
use crate::config::checked::Runtime;
use crate::config::checked::azure::{DeclaredModel, Inactivity, InactivityPolicy};
use crate::core::arm_id::{AccountId, ArmIdError, DeploymentArmId};
use crate::core::fleet::actual::DeploymentSettings;
use crate::core::fleet::declared::{Declared, DeclaredDeployment, DeclaredPool, ModelSource, PoolMember};
use crate::core::fleet::guard::moments::GuardDays;
use crate::core::fleet::key::{AccountKey, DeploymentKey, ModelRef};
use crate::core::fleet::policy::Policy;
use crate::core::ids::DeploymentId;
use crate::core::topology::Price;

/// The fleet as it is declared, in the forms that are needed.
#[derive(Debug, Clone, Default)]
pub struct Declaration {
    /// For decisions.
    pub declared: Declared,
    /// The managed accounts, as ARM is asked for them; each once.
    pub accounts: Vec<AccountId>,
    /// By its name in the configuration.
    pub terms: BTreeMap<DeploymentId, Terms>,
    /// Whether anything may be written to Azure.
    pub writes: bool,
}

/// A deployment's terms, which are not Azure's business.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Its id at ARM.
    pub arm_id: DeploymentArmId,
    /// What it costs.
    pub price: Option<Price>,
    /// Days after which Azure deletes it; none if it never does.
    pub rule_days: Option<u32>,
    /// When something is done about its idleness, where the configuration says so.
    pub days: Option<GuardDays>,
    /// When it was made, as configured, in milliseconds since the Unix epoch.
    pub created_at_ms: Option<i64>,
}

/// The key of an account.
pub fn key_of(account: &AccountId) -> AccountKey {
    AccountKey::new(&account.to_string())
}

/// Takes from a configuration what is managed of it. Linear in the fleet.
///
/// # Errors
/// When ARM would not take a deployment's name.
pub fn of(runtime: &Runtime) -> Result<Declaration, ArmIdError> {
    let (snapshot, care) = (&runtime.snapshot, &runtime.care);
    let mut declaration = Declaration {
        writes: care.writes,
        ..Declaration::default()
    };
    let mut known = BTreeSet::new();
    let mut keys: Vec<Option<DeploymentKey>> = Vec::with_capacity(snapshot.deployments.len());
    for (at, deployment) in snapshot.deployments.iter().enumerate() {
        let Some(account) = care.accounts.get(deployment.resource.0).and_then(Option::as_ref) else {
            keys.push(None);
            continue;
        };
        if known.insert(key_of(account)) {
            declaration.accounts.push(account.clone());
            declaration.declared.accounts.push(key_of(account));
        }
        let key = DeploymentKey::new(key_of(account), &deployment.name);
        keys.push(Some(key.clone()));
        let of_care = care.deployments.get(at).cloned().unwrap_or_default();
        declaration.declared.deployments.push(DeclaredDeployment {
            key,
            id: deployment.id.clone(),
            azure_name: deployment.name.clone(),
            region: snapshot.resources[deployment.resource.0].region.clone(),
            model: of_care.model.as_ref().map(model_ref),
            source: of_care.model.as_ref().and_then(source),
            sku: deployment.sku,
            capacity: deployment.capacity,
            settings: of_care.settings.clone(),
            policy: of_care
                .inactivity
                .map_or(Policy::default(), |inactivity| policy(inactivity.policy)),
            quota: None,
        });
        let terms = Terms {
            arm_id: account.deployment(&deployment.name)?,
            price: deployment.price,
            rule_days: deployment.inactivity_days,
            days: of_care.inactivity.map(guard_days),
            created_at_ms: deployment.created_at_ms,
        };
        declaration.terms.insert(deployment.id.clone(), terms);
    }
    declaration.declared.pools = snapshot
        .pools
        .iter()
        .zip(&care.equivalents)
        .map(|(pool, equivalents)| DeclaredPool {
            id: pool.id.clone(),
            members: pool
                .members()
                .map(|member| PoolMember {
                    id: snapshot.deployments[member.deployment.0].id.clone(),
                    key: keys[member.deployment.0].clone(),
                })
                .collect(),
            equivalents: equivalents.clone(),
        })
        .collect();
    Ok(declaration)
}

fn model_ref(model: &DeclaredModel) -> ModelRef {
    ModelRef {
        name: model.name.clone(),
        version: model.version.clone(),
    }
}

fn source(model: &DeclaredModel) -> Option<ModelSource> {
    model.source.as_ref().map(|source| ModelSource {
        account: source.account.to_string(),
        tenant: source.tenant.clone(),
    })
}

fn policy(configured: InactivityPolicy) -> Policy {
    match configured {
        InactivityPolicy::Keep { .. } => Policy::Keep,
        InactivityPolicy::Recreate { at_once } => Policy::Recreate { at_once },
        InactivityPolicy::Expire => Policy::Expire,
        InactivityPolicy::DeleteAfter { days } => Policy::DeleteAfter { days },
    }
}

/// Of policies that neither steer nor call, the rule's own days stand: nothing is done by them.
fn guard_days(configured: Inactivity) -> GuardDays {
    let (steer, call) = match configured.policy {
        InactivityPolicy::Keep {
            organic_after_days,
            keepalive_after_days,
        } => (organic_after_days, keepalive_after_days),
        InactivityPolicy::Recreate { .. } | InactivityPolicy::Expire | InactivityPolicy::DeleteAfter { .. } => {
            (u32::MAX, u32::MAX)
        }
    };
    GuardDays {
        warn: configured.warn_after_days,
        steer,
        call,
    }
}

/// What ARM is sent to make a deployment; none where the configuration does not say of which model or how large. What it does not
/// say of filters and the like stays as it was seen last.
pub fn order(declared: &DeclaredDeployment, seen: Option<&DeploymentSettings>) -> Option<NewDeployment> {
    let (model, capacity) = (declared.model.as_ref()?, declared.capacity?);
    let settings = declared.settings.or(seen);
    let source = declared.source.as_ref();
    let (same_tenant, other_tenant) = match source {
        Some(source) if source.tenant.is_some() => (None, Some(source.account.clone())),
        Some(source) => (Some(source.account.clone()), None),
        None => (None, None),
    };
    Some(NewDeployment {
        sku: WireSku {
            name: declared.sku.as_str().to_owned(),
            capacity: Some(capacity),
        },
        properties: NewProperties {
            model: Model {
                format: "OpenAI".to_owned(),
                name: model.name.clone(),
                version: model.version.clone(),
                source: same_tenant,
                source_account: other_tenant,
            },
            spillover_deployment_name: settings.spillover_deployment_name,
            rai_policy_name: settings.rai_policy_name,
            version_upgrade_option: settings.version_upgrade_option,
        },
    })
}
