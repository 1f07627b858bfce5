//! The checked configuration of Azure's control plane, and what is declared of deployments for it.

use std::path::PathBuf;

use url::Url;

use crate::config::secrets::Secret;
use crate::core::arm_id::AccountId;
use crate::core::fleet::actual::DeploymentSettings;

/// Where Azure Resource Manager is in the public cloud.
pub const PUBLIC_MANAGEMENT: &str = "https://management.azure.com";
/// Scope of its tokens.
pub const PUBLIC_AUDIENCE: &str = "https://management.azure.com/.default";
/// Where Microsoft Entra ID is.
pub const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";
/// Where a virtual machine finds what it is told of itself.
pub const PUBLIC_METADATA: &str = "http://169.254.169.254";
/// The management version that is used without another: the first that can copy between tenants.
pub const DEFAULT_API_VERSION: &str = "2024-10-01";
/// Writes a minute without another bound: far more than a fleet needs, far less than ARM allows.
pub const DEFAULT_WRITES_PER_MINUTE: u32 = 30;

/// How Azure's control plane is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct AzureSettings {
    /// Subscription of what names none.
    pub subscription: Option<String>,
    /// Resource group of what names none.
    pub resource_group: Option<String>,
    /// Azure Resource Manager: `https`, or `http` where that was allowed; its path ends in `/`, without query or fragment.
    pub management: Url,
    /// Scope of the tokens that are sent there.
    pub audience: String,
    /// Microsoft Entra ID, in the same form.
    pub authority: Url,
    /// The instance metadata service, in the same form.
    pub metadata: Url,
    /// Version of the management API, a date.
    pub api_version: String,
    /// PEM file of certificates that are trusted beside the usual ones.
    pub ca: Option<PathBuf>,
    /// How to log in.
    pub credential: AzureCredential,
    /// The same for other tenants.
    pub tenants: Vec<Tenant>,
    /// Whether anything may be changed.
    pub writes: bool,
    /// Most writes in a minute; at least 1.
    pub writes_per_minute: u32,
}

impl AzureSettings {
    /// The public cloud, with this way of logging in and nothing else said.
    ///
    /// # Errors
    /// Never in practice: the URLs are constants.
    pub fn public_cloud(credential: AzureCredential) -> Result<Self, url::ParseError> {
        Ok(Self {
            subscription: None,
            resource_group: None,
            management: Url::parse(PUBLIC_MANAGEMENT)?,
            audience: PUBLIC_AUDIENCE.to_owned(),
            authority: Url::parse(PUBLIC_AUTHORITY)?,
            metadata: Url::parse(PUBLIC_METADATA)?,
            api_version: DEFAULT_API_VERSION.to_owned(),
            ca: None,
            credential,
            tenants: Vec::new(),
            writes: true,
            writes_per_minute: DEFAULT_WRITES_PER_MINUTE,
        })
    }
}

/// A tenant beside that of the subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Its id or domain.
    pub tenant: String,
    /// How to log in there.
    pub credential: AzureCredential,
}

/// How to get tokens of Microsoft Entra ID.
#[derive(Debug, Clone, PartialEq)]
pub enum AzureCredential {
    /// The identity of the machine or app.
    ManagedIdentity(ManagedIdentity),
    /// The identity of a Kubernetes service account.
    WorkloadIdentity {
        /// Tenant id or domain.
        tenant: String,
        /// Client id.
        client_id: String,
        /// File with the service account's token.
        token_file: PathBuf,
    },
    /// An application and its secret.
    ClientSecret {
        /// Tenant id or domain.
        tenant: String,
        /// Client id.
        client_id: String,
        /// Its secret.
        secret: Secret,
    },
    /// An application and its certificate.
    ClientCertificate {
        /// Tenant id or domain.
        tenant: String,
        /// Client id.
        client_id: String,
        /// PEM file with certificate and private key.
        path: PathBuf,
    },
    /// Whoever is logged in to the Azure CLI.
    AzureCli {
        /// Tenant to ask for, if not the one that is logged in to.
        tenant: Option<String>,
    },
    /// Whoever is logged in to the Azure Developer CLI.
    DeveloperCli {
        /// As for the Azure CLI.
        tenant: Option<String>,
    },
    /// A token that something else keeps fresh.
    Token(Secret),
}

/// Which identity of the machine or app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManagedIdentity {
    /// Its own.
    SystemAssigned,
    /// One that was assigned to it, by client id.
    ClientId(String),
    /// The same by object id.
    ObjectId(String),
    /// The same by ARM id.
    ResourceId(String),
}

/// What commands need of a configuration: the control plane, and which resource is which account.
#[derive(Debug)]
pub struct ControlPlane {
    /// How it is reached, if the file says so.
    pub azure: Option<AzureSettings>,
    /// Managed resources by their names.
    pub accounts: Vec<(String, AccountId)>,
}

/// What is declared of the fleet for the control plane; every index of the snapshot has its place here.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Care {
    /// The account of each managed resource, by `ResourceIx`; none where only its data plane is used.
    pub accounts: Vec<Option<AccountId>>,
    /// By `DeploymentIx`.
    pub deployments: Vec<DeclaredDeployment>,
    /// By `PoolIx`: models that may stand in for each other, as sets of ids.
    pub equivalents: Vec<Vec<Vec<String>>>,
    /// Whether anything may be written to Azure: the kill switch, which needs no restart.
    pub writes: bool,
}

/// What is declared of a deployment beside its SKU and capacity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeclaredDeployment {
    /// What it is of; none where the configuration does not say which model it is.
    pub model: Option<DeclaredModel>,
    /// What else it is to be set to.
    pub settings: DeploymentSettings,
    /// What becomes of it when nobody uses it; none for a warning and nothing else.
    pub inactivity: Option<Inactivity>,
}

/// A model as ARM names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredModel {
    /// A fine-tuned model's id, a checkpoint's, or a base model's name.
    pub name: String,
    /// Its version; `1` for fine-tuned ones.
    pub version: String,
    /// The account that holds it, where that is not the one it is deployed in.
    pub source: Option<ModelSource>,
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSource {
    /// The account that holds it.
    pub account: AccountId,
    /// That account's tenant, where it is another; one of [`AzureSettings::tenants`].
    pub tenant: Option<String>,
}

/// What becomes of a deployment that nobody uses. Days are idle ones, since the last successful call or since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inactivity {
    /// What is done.
    pub policy: InactivityPolicy,
    /// Days after which to warn.
    pub warn_after_days: u32,
}

/// What is done about a deployment that nobody uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InactivityPolicy {
    /// It is kept in use, and made again if it is lost.
    Keep {
        /// Days after which a real request is sent there; not more than `keepalive_after_days`.
        organic_after_days: u32,
        /// Days after which a request of the gateway's own is; less than the deployment's `inactivity_days`.
        keepalive_after_days: u32,
    },
    /// Azure may delete it; it is made again.
    Recreate {
        /// As soon as it is gone; else when it is needed.
        at_once: bool,
    },
    /// Azure may delete it.
    Expire,
    /// The gateway deletes it.
    DeleteAfter {
        /// Days after which it does.
        days: u32,
    },
}

impl InactivityPolicy {
    /// Whether a deployment that was lost is made again.
    pub fn rebuilds(self) -> bool {
        matches!(self, Self::Keep { .. } | Self::Recreate { .. })
    }
}
