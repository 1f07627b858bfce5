//! How much of which quota is used? One line for each subscription, region and usage name.
//!
//! Fine-tuned models draw on lines of their own; provisioned units are one line for all models. Deployments that failed use nothing, and
//! what an update asks for counts from its acceptance.

use crate::simulator::arm::catalogue::Catalogue;
use crate::simulator::arm::entry::{Entry, Phase, Properties};
use crate::simulator::arm::error::ArmError;
use crate::simulator::arm::plane::{Plane, State};
use crate::simulator::scenario::Sku;

/// A line's name.
pub fn usage_name(family: &str, fine_tuned: bool, sku: Sku) -> String {
    if sku.is_provisioned() {
        return format!("OpenAI.{sku}");
    }
    let suffix = if fine_tuned { "-finetune" } else { "" };
    format!("OpenAI.{sku}.{family}{suffix}")
}

/// The line that a deployment draws on.
pub fn usage_of(catalogue: &Catalogue, properties: &Properties) -> String {
    let family = catalogue
        .family(&properties.base)
        .map_or(properties.base.as_str(), |family| &family.name);
    usage_name(family, properties.fine_tuned, properties.sku)
}

impl Plane {
    /// What is used of a line.
    pub(super) fn used(&self, state: &State, subscription: &str, location: &str, usage: &str) -> u32 {
        let mut sum = 0_u32;
        for (managed, entries) in self.accounts.iter().zip(&state.entries) {
            if managed.subscription.eq_ignore_ascii_case(subscription)
                && managed.location().eq_ignore_ascii_case(location)
            {
                let drawn = entries.values().map(|entry| self.drawn(entry, usage));
                sum = drawn.fold(sum, u32::saturating_add);
            }
        }
        sum
    }

    fn drawn(&self, entry: &Entry, usage: &str) -> u32 {
        if entry.phase == Phase::Failed {
            return 0;
        }
        let of = |properties: &Properties| {
            let fits = usage_of(&self.catalogue, properties) == usage;
            if fits { properties.capacity } else { 0 }
        };
        of(&entry.desired).max(of(&entry.in_force))
    }

    /// A line's limit.
    pub(super) fn limit(&self, subscription: &str, location: &str, usage: &str) -> u32 {
        let fits = |line: &&crate::simulator::arm::settings::QuotaLine| {
            let of = line.subscription.as_deref().unwrap_or(&self.settings.subscription);
            of.eq_ignore_ascii_case(subscription) && line.location.eq_ignore_ascii_case(location) && line.usage == usage
        };
        let line = self.settings.quota.iter().find(fits);
        line.map_or(self.settings.limits.quota, |line| line.limit)
    }

    /// Refuses a deployment for which there is no room: in its line, or in its account.
    pub(super) fn check_room(
        &self,
        state: &State,
        account: usize,
        key: &str,
        wanted: &Properties,
    ) -> Result<(), ArmError> {
        let managed = &self.accounts[account];
        let (subscription, location) = (&managed.subscription, managed.location());
        let usage = usage_of(&self.catalogue, wanted);
        let own = state.entries[account].get(key);
        let own_drawn = own.map_or(0, |entry| self.drawn(entry, &usage));
        let used = self
            .used(state, subscription, location, &usage)
            .saturating_sub(own_drawn);
        let limit = self.limit(subscription, location, &usage);
        // What shrinks always fits, also where the scenario began with more than there is.
        if wanted.capacity > own_drawn && used.saturating_add(wanted.capacity) > limit {
            return Err(ArmError::insufficient_quota(&usage, wanted.capacity, used, limit));
        }
        if own.is_some() {
            return Ok(());
        }
        let limits = &self.settings.limits;
        let there = state.entries[account]
            .values()
            .filter(|entry| entry.phase != Phase::Failed);
        let (mut fine_tuned, mut standard) = (0, 0);
        for entry in there {
            fine_tuned += usize::from(entry.desired.fine_tuned);
            standard += usize::from(!entry.desired.sku.is_provisioned());
        }
        let full = |name: &str, has: usize, most: usize| ArmError::insufficient_quota(name, 1, has as u32, most as u32);
        if wanted.fine_tuned && fine_tuned >= limits.fine_tuned_deployments {
            return Err(full(
                "OpenAI.FineTunedDeployments",
                fine_tuned,
                limits.fine_tuned_deployments,
            ));
        }
        if !wanted.sku.is_provisioned() && standard >= limits.standard_deployments {
            return Err(full(
                "OpenAI.StandardDeployments",
                standard,
                limits.standard_deployments,
            ));
        }
        Ok(())
    }
}
