//! What should be: the deployments that the configuration asks Azure for, compiled to plain values.

use crate::core::fleet::actual::DeploymentSettings;
use crate::core::fleet::key::{AccountKey, DeploymentKey, ModelRef, QuotaKey};
use crate::core::fleet::policy::Policy;
use crate::core::ids::{DeploymentId, PoolId, Region};
use crate::core::topology::Sku;

/// The configured fleet, as far as it is managed.
#[derive(Debug, Clone, Default)]
pub struct Declared {
    /// Every managed account, those without deployments too: what is in them and not declared is unknown.
    pub accounts: Vec<AccountKey>,
    /// Every deployment of those; no key twice.
    pub deployments: Vec<DeclaredDeployment>,
    /// Every pool that has one of them.
    pub pools: Vec<DeclaredPool>,
}

/// A deployment that should be.
#[derive(Debug, Clone)]
pub struct DeclaredDeployment {
    /// Which.
    pub key: DeploymentKey,
    /// Its name in the configuration.
    pub id: DeploymentId,
    /// Its name at Azure, as it is to be spelled.
    pub azure_name: String,
    /// Where its account is.
    pub region: Region,
    /// What it should run; none where the configuration does not say, so that it can be neither made nor judged.
    pub model: Option<ModelRef>,
    /// Where the model is, if not in the account.
    pub source: Option<ModelSource>,
    /// By which SKU.
    pub sku: Sku,
    /// How much of it; none where the configuration does not say, so that any will do and it cannot be made.
    pub capacity: Option<u32>,
    /// What else it should be set to; where that says nothing, as it was seen last, or as Azure does by default.
    pub settings: DeploymentSettings,
    /// What becomes of it when nobody calls it.
    pub policy: Policy,
    /// Which quota it draws on, if that is known (`skus[].usageName` of the account's model listing).
    pub quota: Option<QuotaKey>,
}

/// Where a model is that is deployed elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSource {
    /// ARM id of the account that holds it.
    pub account: String,
    /// That account's tenant, where it is another one.
    pub tenant: Option<String>,
}

/// Members that stand in for each other.
#[derive(Debug, Clone)]
pub struct DeclaredPool {
    /// Its name.
    pub id: PoolId,
    /// Who is in it, managed or not.
    pub members: Vec<PoolMember>,
    /// Models that may stand in for each other in it although they are not the same: sets of model ids.
    pub equivalents: Vec<Vec<String>>,
}

/// A member of a pool.
#[derive(Debug, Clone)]
pub struct PoolMember {
    /// Its name in the configuration.
    pub id: DeploymentId,
    /// Which deployment it is, where it is managed.
    pub key: Option<DeploymentKey>,
}

impl Declared {
    /// A deployment by its key. Linear in the fleet.
    pub fn find(&self, key: &DeploymentKey) -> Option<&DeclaredDeployment> {
        self.deployments.iter().find(|deployment| deployment.key == *key)
    }
}
