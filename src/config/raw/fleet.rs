//! The part of the file about clients, the fleet and the routes to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::raw::RawPolicy;
use crate::config::raw::azure::RawInactivity;
use crate::config::raw::rules::{RawFailover, RawResidency, RawTimeouts, RawUseLimits, RawWaiting};
use crate::config::scalars::{ClientKeyText, DeploymentRef, ModelName, Name, SecretText};

/// A caller and what it may use.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Client")]
pub(in crate::config) struct RawClient {
    /// Name in logs, metrics and usage records.
    pub(in crate::config) name: Name,
    /// Keys that identify the client; several, so that a new one can be introduced before the old one goes.
    #[schemars(length(min = 1, max = 16))]
    pub(in crate::config) keys: Vec<ClientKeyText>,
    /// Routes that the client may use, by name. Without it every route is allowed, also those added later.
    #[schemars(length(min = 1, max = 1_024))]
    pub(in crate::config) routes: Option<Vec<ModelName>>,
    /// Whether answers carry the `x-emberway-*` debug headers.
    #[serde(default)]
    pub(in crate::config) debug_headers: bool,
    /// How urgent its requests are. A request may lower it by the header `x-emberway-priority`, not raise it.
    #[serde(default)]
    pub(in crate::config) priority: RawPriority,
    /// What it may use, on all routes together. A minute's worth may come at once. A limit is of all `replicas` together: each gateway
    /// grants its part.
    #[serde(default)]
    pub(in crate::config) limits: RawUseLimits,
}

/// How urgent requests are: who goes first where requests wait for a deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Priority")]
pub(in crate::config) enum RawPriority {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// Nobody does; these go last, and leave a full queue first.
    Batch,
}

/// An Azure OpenAI account.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Resource")]
pub(in crate::config) struct RawResource {
    /// Name in logs, metrics and deployment references.
    pub(in crate::config) name: Name,
    /// Azure region: the failure domain. References such as `${env:NAME}` are resolved.
    #[schemars(extend("examples" = ["swedencentral", "eastus2"]))]
    pub(in crate::config) region: String,
    /// Base URL. References such as `${env:NAME}` are resolved.
    #[schemars(extend("examples" = ["https://contoso-swedencentral.openai.azure.com"]))]
    pub(in crate::config) endpoint: String,
    /// Which of Azure's two URL families requests use.
    #[serde(default)]
    pub(in crate::config) api: RawApi,
    /// Data-plane version for `api: classic`; not used by `v1`.
    #[schemars(extend("default" = DEFAULT_API_VERSION, "examples" = ["2024-10-21", "2025-04-01-preview"]))]
    pub(in crate::config) api_version: Option<String>,
    /// Whether HTTP/2 is offered to the endpoint (TLS only). Off by default: over HTTP/1.1 a connection that breaks takes one
    /// answer with it, over HTTP/2 all that share it.
    #[serde(default)]
    pub(in crate::config) http2: bool,
    /// Allows an `http://` endpoint on another machine, where prompts and credentials travel readably.
    #[serde(default)]
    pub(in crate::config) allow_plaintext: bool,
    /// How the gateway logs in: exactly one of the three.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1, "examples" = [{"api_key": "${env:AZURE_OPENAI_KEY}"}]))]
    pub(in crate::config) credential: RawCredential,
    /// The account in Azure Resource Manager: its id, or its name alone in the subscription and resource group of `azure`. With it the
    /// resource is managed: its deployments can be made, watched and kept. Needs `azure`. References are resolved.
    #[schemars(extend("examples" = ["contoso-swedencentral"]))]
    pub(in crate::config) account: Option<String>,
    /// The account's deployments.
    #[schemars(length(min = 1, max = 256))]
    pub(in crate::config) deployments: Vec<RawDeployment>,
}

/// Data-plane version used by `api: classic` when none is given: the newest that is generally available.
pub(in crate::config) const DEFAULT_API_VERSION: &str = "2024-10-21";

/// Days without a successful call after which Azure deletes a fine-tuned deployment, when none are given.
pub(in crate::config) const DEFAULT_INACTIVITY_DAYS: u32 = 15;

fn yes() -> bool {
    true
}

fn default_inactivity_days() -> u32 {
    DEFAULT_INACTIVITY_DAYS
}

/// Azure's URL families.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Api")]
pub(in crate::config) enum RawApi {
    /// `/openai/deployments/{name}/…?api-version=…`
    #[default]
    Classic,
    /// `/openai/v1/…`
    V1,
}

/// How the gateway logs in to a resource.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Credential")]
pub(in crate::config) struct RawCredential {
    /// Sent as `api-key`.
    pub(in crate::config) api_key: Option<SecretText>,
    /// Sent as `Authorization: Bearer`, such as a Microsoft Entra ID token that something else keeps fresh in a file.
    pub(in crate::config) token: Option<SecretText>,
    /// A token of Microsoft Entra ID that the gateway gets and renews itself, by `azure.credential`; `{}` for the usual one.
    pub(in crate::config) entra: Option<RawEntra>,
}

/// A token of Microsoft Entra ID for requests.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Entra")]
pub(in crate::config) struct RawEntra {
    /// What the token is for: its scope.
    #[serde(default = "default_data_audience")]
    #[schemars(length(min = 1, max = 256), extend("examples" = ["https://ai.azure.com/.default"]))]
    pub(in crate::config) audience: String,
    /// Which of `azure.tenants` the resource is in; without it that of `azure.credential`.
    pub(in crate::config) tenant: Option<String>,
}

/// Scope of tokens for requests, as the service's own answers to refused ones name it.
pub(in crate::config) const DEFAULT_DATA_AUDIENCE: &str = "https://cognitiveservices.azure.com/.default";

fn default_data_audience() -> String {
    DEFAULT_DATA_AUDIENCE.to_owned()
}

/// A deployment of the account.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Deployment")]
pub(in crate::config) struct RawDeployment {
    /// Its name at Azure.
    pub(in crate::config) name: Name,
    /// Deployment type, as Azure spells it.
    pub(in crate::config) sku: RawSku,
    /// Units of the SKU: thousands of tokens per minute, or PTUs for provisioned ones.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(in crate::config) capacity: Option<u32>,
    /// Base model. For provisioned deployments it tells how many tokens a minute a PTU is worth; without it nothing is known of their
    /// room, and only their own refusals keep requests away.
    #[schemars(length(min = 1, max = 128), extend("examples" = ["gpt-4.1-mini", "gpt-4o"]))]
    pub(in crate::config) model: Option<String>,
    /// The fine-tuned model that it is of, as the fine-tuning job tells it, or a checkpoint (`ftchkpt-…`). Deployments can be made of it
    /// where the resource has an `account`.
    #[schemars(length(min = 1, max = 256), extend("examples" = ["gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef"]))]
    pub(in crate::config) fine_tuned_model: Option<String>,
    /// Version of the model; `1` for fine-tuned ones.
    #[schemars(length(min = 1, max = 64), extend("examples" = ["1", "2025-04-14"]))]
    pub(in crate::config) model_version: Option<String>,
    /// The account that holds the fine-tuned model, if it is another one: its ARM id, or its name alone as for `account`. References are
    /// resolved.
    #[schemars(extend("examples" = ["contoso-northcentralus"]))]
    pub(in crate::config) source: Option<String>,
    /// The tenant of that account, if it is another one; one of `azure.tenants`. References are resolved.
    pub(in crate::config) source_tenant: Option<String>,
    /// The content filter that the deployment is made with (`raiPolicyName`), as it is named in the account. Without it a
    /// deployment that is made again gets the one that it was seen with last, and a new one Azure's default.
    #[schemars(length(min = 1, max = 256), extend("examples" = ["Microsoft.DefaultV2"]))]
    pub(in crate::config) rai_policy_name: Option<String>,
    /// Share of traffic relative to the other members of a tier. Without it the share is `capacity` (in tokens per minute, so
    /// 1,000 a unit; in PTUs for provisioned ones), and without that 1.
    #[schemars(range(max = 1_000_000_000), extend("exclusiveMinimum" = 0))]
    pub(in crate::config) weight: Option<f64>,
    /// Whether the gateway sends `prompt_cache_key`, which spreads a hot prompt over the machines of the deployment. A client's own is
    /// never replaced.
    #[serde(default)]
    pub(in crate::config) prompt_cache_key: RawCacheKeys,
    /// Whether usage is asked of streams whose client did not ask, so that their tokens can be recorded.
    #[serde(default = "yes")]
    pub(in crate::config) stream_usage: bool,
    /// When Azure created the deployment (RFC 3339).
    #[schemars(extend("format" = "date-time", "examples" = ["2026-10-01T08:00:00Z"]))]
    pub(in crate::config) created_at: Option<String>,
    /// Days without a successful call after which Azure deletes the deployment; 0 means that it never does.
    #[serde(default = "default_inactivity_days")]
    #[schemars(range(max = 3_650))]
    pub(in crate::config) inactivity_days: u32,
    /// What is done before that happens. Without it there is a warning and nothing else.
    pub(in crate::config) inactivity: Option<RawInactivity>,
    /// What it costs, in US dollars, so that `emberway cost` and `emberway usage --misses` can tell what was spent and lost;
    /// nothing is chosen by it. What is not known is left out.
    #[schemars(extend("minProperties" = 1, "examples" = [{"input": 0.40, "cached_input": 0.10, "output": 1.60, "hour": 1.70}]))]
    pub(in crate::config) price: Option<RawPrice>,
}

/// What a deployment costs, in US dollars.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Price")]
pub(in crate::config) struct RawPrice {
    /// A million prompt tokens that were not cached.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(in crate::config) input: Option<f64>,
    /// A million prompt tokens that were cached; not more than `input`.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(in crate::config) cached_input: Option<f64>,
    /// A million completion tokens.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(in crate::config) output: Option<f64>,
    /// An hour of the deployment's existence (hosting of a fine-tuned model, or all its PTUs).
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(in crate::config) hour: Option<f64>,
}

/// When `prompt_cache_key` is sent.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "CacheKeys")]
pub(in crate::config) enum RawCacheKeys {
    /// Never.
    Off,
    /// Where the cached tokens that answers report say that it pays.
    #[default]
    Auto,
    /// Wherever a prompt is hot enough to need it.
    Always,
}

/// Azure's deployment types.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "Sku")]
pub(in crate::config) enum RawSku {
    /// Pay per token, processed in the account's region.
    Standard,
    /// Pay per token, processed anywhere.
    GlobalStandard,
    /// Pay per token, processed in a data zone.
    DataZoneStandard,
    /// For trials: no hosting fee, removed after 24 hours.
    DeveloperTier,
    /// Reserved throughput in the account's region.
    ProvisionedManaged,
    /// Reserved throughput, processed anywhere.
    GlobalProvisionedManaged,
    /// Reserved throughput in a data zone.
    DataZoneProvisionedManaged,
}

/// Deployments of the same fine-tuned model.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Pool")]
pub(in crate::config) struct RawPool {
    /// Name in logs and metrics.
    pub(in crate::config) name: Name,
    /// Priority tiers, best first: a tier is used when no earlier one has a usable member.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 255)))]
    pub(in crate::config) tiers: Vec<Vec<RawMember>>,
    /// Models that may stand in for each other in it although their ids differ, such as a checkpoint and the model that was made of it:
    /// sets of ids as Azure reports them. Members that run something else than most, and are in no such set with it, get no requests
    /// while the gateway looks after their accounts (`azure`).
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 2, max = 64)))]
    pub(in crate::config) equivalent_models: Vec<Vec<String>>,
}

/// A deployment's place in a tier.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Member")]
pub(in crate::config) enum RawMember {
    /// The deployment, with its own weight.
    Plain(DeploymentRef),
    /// The deployment, with a weight for this tier only.
    Weighted(RawWeighted),
}

/// A deployment with a weight of its own in this tier.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Weighted")]
pub(in crate::config) struct RawWeighted {
    /// The deployment.
    pub(in crate::config) deployment: DeploymentRef,
    /// Share of traffic relative to the other members of the tier.
    #[schemars(range(max = 1_000_000_000), extend("exclusiveMinimum" = 0))]
    pub(in crate::config) weight: f64,
}

/// A public model name, the pool behind it and the rules for using it.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Route")]
pub(in crate::config) struct RawRoute {
    /// The model name that clients send; also the route's name in logs, metrics and usage records.
    pub(in crate::config) name: ModelName,
    /// Other model names that lead here.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub(in crate::config) aliases: Vec<ModelName>,
    /// The pool that serves it, by name.
    pub(in crate::config) pool: Name,
    /// Where its requests may be processed; without it anywhere in its pool.
    pub(in crate::config) residency: Option<RawResidency>,
    /// How a deployment is chosen. Without it as `defaults` says.
    pub(in crate::config) policy: Option<RawPolicy>,
    /// How often and how long to try.
    #[serde(default)]
    pub(in crate::config) failover: RawFailover,
    /// How long to wait for each step of an attempt.
    #[serde(default)]
    pub(in crate::config) timeouts: RawTimeouts,
    /// Waiting for a deployment to recover instead of answering 429.
    #[serde(default)]
    pub(in crate::config) waiting: RawWaiting,
    /// What may be used of it by all clients together; as `clients[].limits`.
    #[serde(default)]
    pub(in crate::config) limits: RawUseLimits,
    /// What each client may use of it; as `clients[].limits`.
    #[serde(default)]
    pub(in crate::config) client_limits: RawUseLimits,
}
