//! May this deployment be? Source and rights on it, model, version, region, kind, capacity, retirement.
//!
//! The order is that of the errors a caller can mend: who may, what is there, what is offered. Quota comes last, since it depends
//! on everything else.

use crate::simulator::arm::catalogue::{CHECKPOINT, Model, is_fine_tuned};
use crate::simulator::arm::entry::Properties;
use crate::simulator::arm::error::ArmError;
use crate::simulator::arm::path::account_id;
use crate::simulator::arm::plane::{Managed, Plane};
use crate::simulator::arm::principals::{Action, PrincipalSpec};
use crate::simulator::arm::wanted::{ModelRef, Wanted};
use crate::simulator::scenario::{FineTunedSpec, Sku};

/// Who calls: the tokens of one request, checked.
#[derive(Debug, Clone)]
pub struct Callers {
    /// Of `Authorization`.
    pub primary: Caller,
    /// Of `x-ms-authorization-auxiliary`.
    pub auxiliary: Vec<Caller>,
}

/// One token's principal and tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Index of the principal.
    pub principal: usize,
    /// Tenant that issued the token.
    pub tenant: String,
}

/// A model that can be deployed, and where it comes from.
struct Resolved<'a> {
    /// Id of the model that it is or was trained from.
    base: String,
    fine_tuned: bool,
    family: &'a Model,
}

impl Plane {
    /// The principal of a caller.
    pub(super) fn principal(&self, caller: &Caller) -> &PrincipalSpec {
        &self.settings.principals[caller.principal]
    }

    /// What a wanted deployment would be made of, or why it may not be.
    pub(super) fn allowed(
        &self,
        account: usize,
        wanted: &Wanted,
        callers: &Callers,
        now_ms: u64,
    ) -> Result<Properties, ArmError> {
        let managed = &self.accounts[account];
        let model = &wanted.model;
        let resolved = self.resolve(managed, model, callers)?;
        let Resolved {
            base,
            fine_tuned,
            family,
        } = resolved;
        let retired = family.retires_ms(fine_tuned).filter(|&at| at <= now_ms);
        if let Some(at) = retired {
            return Err(ArmError::model_deprecated(model, at));
        }
        let capacity = offered(managed, model, family, fine_tuned, wanted.sku, wanted.capacity)?;
        Ok(Properties {
            model: model.clone(),
            base,
            fine_tuned,
            sku: wanted.sku,
            requests_per_minute: capacity.saturating_mul(family.requests_per_unit()),
            capacity,
            shown: wanted.shown.clone(),
            tags: wanted.tags.clone(),
            spillover: wanted.spillover.clone(),
        })
    }

    /// A changed kind and capacity of a deployment that is there.
    pub(super) fn allowed_change(
        &self,
        account: usize,
        is: &Properties,
        sku: Sku,
        capacity: u32,
    ) -> Result<Properties, ArmError> {
        let managed = &self.accounts[account];
        let mut changed = Properties {
            sku,
            capacity,
            ..is.clone()
        };
        if let Some(family) = self.catalogue.family(&is.base) {
            // What a scenario began with may be nowhere offered; only what changes is looked at.
            if sku != is.sku {
                offered(managed, &is.model, family, is.fine_tuned, sku, Some(capacity))?;
            } else if !family.capacities(sku).has(capacity) {
                return Err(wrong_capacity(&is.model, family, sku, capacity));
            }
            changed.requests_per_minute = capacity.saturating_mul(family.requests_per_unit());
        }
        Ok(changed)
    }

    fn resolve(&self, managed: &Managed, model: &ModelRef, callers: &Callers) -> Result<Resolved<'_>, ArmError> {
        let unsupported = || ArmError::model_not_supported(&model.name, &model.version);
        if !is_fine_tuned(&model.name) {
            let family = self.catalogue.models().iter().find(|known| known.name == model.name);
            let family = family
                .filter(|family| family.versions.contains(&model.version))
                .ok_or_else(unsupported)?;
            return Ok(Resolved {
                base: model.name.clone(),
                fine_tuned: false,
                family,
            });
        }
        let owner = self.source(managed, model, callers)?;
        let base = match owner.trained(&model.name) {
            Some(trained) => trained.base_model(),
            // What the account began with it can deploy again, unless the scenario says where it was trained.
            None if self.began_with(owner, &model.name) => model.name.clone(),
            None => return Err(unsupported()),
        };
        if model.version != "1" {
            return Err(unsupported());
        }
        Ok(Resolved {
            family: self.catalogue.family(&base).ok_or_else(unsupported)?,
            fine_tuned: true,
            base,
        })
    }

    fn began_with(&self, owner: &Managed, id: &str) -> bool {
        let nowhere_trained = self.accounts.iter().all(|managed| managed.trained(id).is_none());
        nowhere_trained
            && !id.starts_with(CHECKPOINT)
            && owner.account.spec.deployments.iter().any(|spec| spec.model == id)
    }

    /// The account that has the model, with the rights on it checked.
    fn source<'a>(
        &'a self,
        managed: &'a Managed,
        model: &ModelRef,
        callers: &Callers,
    ) -> Result<&'a Managed, ArmError> {
        let (id, path) = match (&model.source, &model.source_account) {
            (None, None) => return Ok(managed),
            (Some(id), _) => (id, "properties.model.source"),
            (None, Some(id)) => (id, "properties.model.sourceAccount"),
        };
        let parsed = account_id(id).ok_or_else(|| ArmError::invalid_source_id(id, path))?;
        let principal = self.principal(&callers.primary);
        let refused = || {
            let client = (principal.client_id.as_str(), principal.object_id.as_str());
            ArmError::linked_not_authorized(client, &managed.id(), id)
        };
        let source = &self.accounts[self.find(&parsed).ok_or_else(refused)?];
        let caller = if source.tenant.eq_ignore_ascii_case(&managed.tenant) {
            Some(&callers.primary)
        } else {
            // The recipe across tenants: named by `sourceAccount`, with a token of its tenant beside the usual one.
            let mut auxiliary = callers.auxiliary.iter().filter(|_| model.source_account.is_some());
            auxiliary.find(|caller| caller.tenant.eq_ignore_ascii_case(&source.tenant))
        };
        match caller {
            Some(caller) if self.principal(caller).may(Action::Write, &source.id()) => Ok(source),
            _ => Err(refused()),
        }
    }
}

/// Whether a kind of deployment of a model is offered in an account's region, and its capacity.
fn offered(
    managed: &Managed,
    model: &ModelRef,
    family: &Model,
    fine_tuned: bool,
    sku: Sku,
    capacity: Option<u32>,
) -> Result<u32, ArmError> {
    let location = managed.location();
    // The tables are of fine-tuned models. Base models come in every kind but the Developer tier.
    let is_offered = if fine_tuned {
        family.offers(sku, location)
    } else {
        sku != Sku::DeveloperTier
    };
    if !is_offered {
        return Err(ArmError::invalid_properties(format!(
            "The specified SKU '{sku}' for model '{} {}' is not supported in this region '{location}'.",
            model.name, model.version
        )));
    }
    let range = family.capacities(sku);
    let capacity = capacity.unwrap_or(range.minimum);
    if !range.has(capacity) {
        return Err(wrong_capacity(model, family, sku, capacity));
    }
    Ok(capacity)
}

fn wrong_capacity(model: &ModelRef, family: &Model, sku: Sku, capacity: u32) -> ArmError {
    let range = family.capacities(sku);
    ArmError::invalid_properties(format!(
        "The capacity '{capacity}' of SKU '{sku}' for model '{}' is invalid: minimum '{}', maximum '{}', step '{}'.",
        model.name, range.minimum, range.maximum, range.step
    ))
}

impl FineTunedSpec {
    /// Id of the model that it was trained from.
    pub fn base_model(&self) -> String {
        let before = self.model.split(".ft-").next().unwrap_or_default();
        self.base.clone().unwrap_or_else(|| before.to_owned())
    }
}
