//! The part of the file about Azure's control plane: where it is, how to log in, and what may be done to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::checked::azure::{
    DEFAULT_API_VERSION, DEFAULT_WRITES_PER_MINUTE, PUBLIC_AUDIENCE, PUBLIC_AUTHORITY, PUBLIC_MANAGEMENT,
    PUBLIC_METADATA,
};
use crate::config::scalars::SecretText;

/// Azure's control plane.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Azure")]
pub(in crate::config) struct RawAzure {
    /// Id of the subscription of accounts that are given by their name alone. References such as `${env:NAME}` are resolved.
    #[schemars(extend("examples" = ["00000000-0000-0000-0000-000000000000"]))]
    pub(in crate::config) subscription: Option<String>,
    /// Resource group of accounts that are given by their name alone. References are resolved.
    #[schemars(extend("examples" = ["models"]))]
    pub(in crate::config) resource_group: Option<String>,
    /// How the gateway logs in to Azure Resource Manager: exactly one of these.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    pub(in crate::config) credential: RawAzureCredential,
    /// Other tenants, whose accounts hold models that are deployed from there.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub(in crate::config) tenants: Vec<RawTenant>,
    /// Whether anything may be changed: the kill switch. With `false` every write is refused before it is sent; reading goes on. A reload
    /// puts it to use; the rest of this section needs a restart.
    #[serde(default = "yes")]
    pub(in crate::config) writes: bool,
    /// Most writes in a minute; further ones wait.
    #[serde(default = "default_writes_per_minute")]
    #[schemars(range(min = 1, max = 1_000))]
    pub(in crate::config) writes_per_minute: u32,
    /// Base URL of Azure Resource Manager; another one for sovereign clouds and the simulator. References are resolved.
    #[serde(default = "default_management")]
    pub(in crate::config) management: String,
    /// Scope of the tokens that are sent there.
    #[serde(default = "default_management_audience")]
    pub(in crate::config) audience: String,
    /// Base URL of Microsoft Entra ID. References are resolved.
    #[serde(default = "default_authority")]
    pub(in crate::config) authority: String,
    /// Base URL of the instance metadata service, which managed identities of virtual machines use. References are resolved.
    #[serde(default = "default_metadata")]
    pub(in crate::config) metadata: String,
    /// Version of the management API.
    #[serde(default = "default_version")]
    #[schemars(extend("examples" = ["2024-10-01", "2025-09-01"]))]
    pub(in crate::config) api_version: String,
    /// PEM file of certificates that are trusted beside the usual ones, as for a proxy that inspects TLS; a relative path starts at the
    /// configuration file's directory. References are resolved.
    pub(in crate::config) ca: Option<String>,
    /// Allows `http://` URLs to other machines, where tokens travel readably.
    #[serde(default)]
    pub(in crate::config) allow_plaintext: bool,
}

fn yes() -> bool {
    true
}

fn default_writes_per_minute() -> u32 {
    DEFAULT_WRITES_PER_MINUTE
}

fn default_management() -> String {
    PUBLIC_MANAGEMENT.to_owned()
}

fn default_management_audience() -> String {
    PUBLIC_AUDIENCE.to_owned()
}

fn default_authority() -> String {
    PUBLIC_AUTHORITY.to_owned()
}

fn default_metadata() -> String {
    PUBLIC_METADATA.to_owned()
}

fn default_version() -> String {
    DEFAULT_API_VERSION.to_owned()
}

/// A tenant beside that of the subscription.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tenant")]
pub(in crate::config) struct RawTenant {
    /// Its id or domain. References are resolved.
    #[schemars(extend("examples" = ["fabrikam.onmicrosoft.com"]))]
    pub(in crate::config) tenant: String,
    /// How the gateway logs in there: exactly one of these.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    pub(in crate::config) credential: RawAzureCredential,
}

/// How the gateway gets tokens of Microsoft Entra ID. References in all texts are resolved.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AzureCredential")]
pub(in crate::config) struct RawAzureCredential {
    /// The identity of the virtual machine, container app or app service: `{}` for its own, or one of these for one that was assigned to
    /// it.
    #[schemars(extend("maxProperties" = 1))]
    pub(in crate::config) managed_identity: Option<RawManagedIdentity>,
    /// The identity of a Kubernetes service account; `{}` takes all from the variables that Azure's webhook sets.
    pub(in crate::config) workload_identity: Option<RawWorkloadIdentity>,
    /// An application and its secret.
    pub(in crate::config) client_secret: Option<RawClientSecret>,
    /// An application and its certificate.
    pub(in crate::config) client_certificate: Option<RawClientCertificate>,
    /// Whoever is logged in to the Azure CLI (`az login`).
    pub(in crate::config) azure_cli: Option<RawLoggedIn>,
    /// Whoever is logged in to the Azure Developer CLI (`azd auth login`).
    pub(in crate::config) developer_cli: Option<RawLoggedIn>,
    /// A token that something else made; it is read once, at start, so it is for trials and commands.
    pub(in crate::config) token: Option<SecretText>,
}

/// A managed identity.
#[expect(clippy::struct_field_names, reason = "the names that Azure's own tools give them")]
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ManagedIdentity")]
pub(in crate::config) struct RawManagedIdentity {
    /// Its client (application) id.
    pub(in crate::config) client_id: Option<String>,
    /// Its object (principal) id.
    pub(in crate::config) object_id: Option<String>,
    /// Its ARM id; not understood by app services.
    pub(in crate::config) resource_id: Option<String>,
}

/// A workload identity.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WorkloadIdentity")]
pub(in crate::config) struct RawWorkloadIdentity {
    /// Tenant; without it `AZURE_TENANT_ID` of the environment.
    pub(in crate::config) tenant: Option<String>,
    /// Client (application) id; without it `AZURE_CLIENT_ID`.
    pub(in crate::config) client_id: Option<String>,
    /// File with the service account's token, which is read again as it changes; without it `AZURE_FEDERATED_TOKEN_FILE`.
    pub(in crate::config) token_file: Option<String>,
}

/// An application and its secret.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ClientSecret")]
pub(in crate::config) struct RawClientSecret {
    /// Tenant id or domain.
    pub(in crate::config) tenant: String,
    /// Client (application) id.
    pub(in crate::config) client_id: String,
    /// The secret's value, not its id.
    pub(in crate::config) secret: SecretText,
}

/// An application and its certificate.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ClientCertificate")]
pub(in crate::config) struct RawClientCertificate {
    /// Tenant id or domain.
    pub(in crate::config) tenant: String,
    /// Client (application) id.
    pub(in crate::config) client_id: String,
    /// PEM file with the certificate and its RSA private key, without a password; a relative path starts at the configuration file's
    /// directory. Of a `.pfx` file it is made by `openssl pkcs12 -in FILE.pfx -nodes -out FILE.pem`.
    pub(in crate::config) path: String,
}

/// Whoever is logged in to a command line.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LoggedIn")]
pub(in crate::config) struct RawLoggedIn {
    /// Tenant to ask for; without it the one that is logged in to.
    pub(in crate::config) tenant: Option<String>,
}

/// What becomes of a deployment that nobody uses.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Inactivity")]
pub(in crate::config) struct RawInactivity {
    /// What is done.
    pub(in crate::config) policy: RawInactivityPolicy,
    /// Idle days after which the log and the metrics warn; without it five less than `inactivity_days`.
    #[schemars(range(max = 3_650))]
    pub(in crate::config) warn_after_days: Option<u32>,
    /// For `keep`: idle days after which a real request that loses nothing by it is sent there; without it three less than
    /// `inactivity_days`.
    #[schemars(range(min = 1, max = 3_650))]
    pub(in crate::config) organic_after_days: Option<u32>,
    /// For `keep`: idle days after which a tiny request of the gateway's own is sent, half a day later at the earliest; without it
    /// two less than `inactivity_days`.
    #[schemars(range(min = 1, max = 3_650))]
    pub(in crate::config) keepalive_after_days: Option<u32>,
    /// For `recreate`: `true` makes it again as soon as it is gone, and so one of the Developer tier each day; without it the first request
    /// that needs it has it made.
    pub(in crate::config) at_once: Option<bool>,
    /// For `delete_after`, which needs it: idle days after which the gateway deletes it.
    #[schemars(range(min = 1, max = 3_650))]
    pub(in crate::config) days: Option<u32>,
}

/// What is done about a deployment that nobody uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "InactivityPolicy")]
pub(in crate::config) enum RawInactivityPolicy {
    /// It is used often enough that Azure does not delete it, and made again if it is lost.
    Keep,
    /// Azure may delete it; it is made again when it is needed, or at once.
    Recreate,
    /// Azure may delete it; its pool's others take over.
    Expire,
    /// The gateway deletes it itself, which ends the hourly fee.
    DeleteAfter,
}
