//! What is: the deployments that Azure shows, and what quota is left, compiled to plain values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::{AsRefStr, IntoStaticStr};

use crate::core::fleet::key::{AccountKey, DeploymentKey, ModelRef, QuotaKey};
use crate::core::topology::Sku;

/// What Azure shows. An account that is not in it could not be read: nothing is known of it, and nothing is done in it.
#[derive(Debug, Clone, Default)]
pub struct Actual {
    /// What each account has.
    pub accounts: BTreeMap<AccountKey, AccountView>,
    /// What each quota line has left.
    pub quotas: BTreeMap<QuotaKey, Quota>,
}

/// One account's deployments, all of them.
#[derive(Debug, Clone, Default)]
pub struct AccountView {
    /// When the listing was asked for (not when it came), in milliseconds since the Unix epoch.
    pub seen_at_ms: i64,
    /// Every deployment.
    pub deployments: BTreeMap<DeploymentKey, ActualDeployment>,
}

/// A deployment as Azure shows it.
#[derive(Debug, Clone)]
pub struct ActualDeployment {
    /// What it runs.
    pub model: ModelRef,
    /// Its SKU as Azure spells it.
    pub sku_name: String,
    /// Its units, if it has any.
    pub capacity: Option<u32>,
    /// How far it is.
    pub state: Provisioning,
    /// Whether it is paused, so that it answers 423.
    pub is_paused: bool,
    /// `systemData.createdAt`, in milliseconds since the Unix epoch.
    pub created_at_ms: Option<i64>,
    /// When its model ends, as the catalogue has it.
    pub retires_at_ms: Option<i64>,
    /// What else it is set to.
    pub settings: DeploymentSettings,
}

/// What a deployment is set to beside model, SKU and capacity, as Azure spells it. A creation that does not say it gets Azure's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentSettings {
    /// The content filter.
    pub rai_policy_name: Option<String>,
    /// The deployment that takes what a provisioned one has no room for.
    pub spillover_deployment_name: Option<String>,
    /// What becomes of it when its model has a newer version.
    pub version_upgrade_option: Option<String>,
}

impl DeploymentSettings {
    /// These, and where they say nothing the others.
    pub fn or(&self, others: Option<&Self>) -> Self {
        let pick = |own: &Option<String>, other: fn(&Self) -> &Option<String>| {
            own.clone().or_else(|| others.and_then(|others| other(others).clone()))
        };
        Self {
            rai_policy_name: pick(&self.rai_policy_name, |others| &others.rai_policy_name),
            spillover_deployment_name: pick(&self.spillover_deployment_name, |others| {
                &others.spillover_deployment_name
            }),
            version_upgrade_option: pick(&self.version_upgrade_option, |others| &others.version_upgrade_option),
        }
    }
}

/// `provisioningState`, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Provisioning {
    /// A write was taken and has not begun.
    Accepted,
    /// It is being made or changed.
    Creating,
    /// It is there.
    Succeeded,
    /// The last write came to nothing.
    Failed,
    /// The last write was called off.
    Canceled,
    /// It is going.
    Deleting,
    /// It is being moved.
    Moving,
    /// Azure has turned it off.
    Disabled,
    /// A word that is not known; believed to be on its way to another one.
    Other,
}

impl Provisioning {
    /// What Azure's word means, in any case.
    pub fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "accepted" => Self::Accepted,
            "creating" | "updating" => Self::Creating,
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            "canceled" | "cancelled" => Self::Canceled,
            "deleting" => Self::Deleting,
            "moving" => Self::Moving,
            "disabled" => Self::Disabled,
            _ => Self::Other,
        }
    }

    /// The word for log, table and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether it will change by itself, and no other write to its account would be taken.
    pub fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Accepted | Self::Creating | Self::Deleting | Self::Moving | Self::Other
        )
    }
}

impl ActualDeployment {
    /// Its SKU, if that is known.
    pub fn sku(&self) -> Option<Sku> {
        Sku::of(&self.sku_name)
    }

    /// Whether requests are answered, once it has reached the data plane.
    pub fn is_serving(&self) -> bool {
        self.state == Provisioning::Succeeded && !self.is_paused
    }
}

/// A line of quota, in its own units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What is taken.
    pub used: u64,
    /// What may be.
    pub limit: u64,
}

impl Quota {
    /// What is left.
    pub fn free(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

impl Actual {
    /// A deployment by its key; none where it is missing or its account could not be read.
    pub fn find(&self, key: &DeploymentKey) -> Option<&ActualDeployment> {
        self.accounts.get(&key.account)?.deployments.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_leniently() {
        let cases = [
            ("Succeeded", Provisioning::Succeeded, false),
            ("succeeded", Provisioning::Succeeded, false),
            ("Creating", Provisioning::Creating, true),
            ("Canceled", Provisioning::Canceled, false),
            ("Disabled", Provisioning::Disabled, false),
            ("Deleting", Provisioning::Deleting, true),
            ("Dreaming", Provisioning::Other, true),
        ];
        for (word, state, is_passing) in cases {
            assert_eq!(
                (Provisioning::of(word), state.is_passing()),
                (state, is_passing),
                "{word}"
            );
        }
    }

    #[test]
    fn quota_below_nothing_is_nothing() {
        assert_eq!(Quota { used: 7, limit: 5 }.free(), 0);
        assert_eq!(Quota { used: 2, limit: 5 }.free(), 3);
    }
}
