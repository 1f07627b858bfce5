//! The file as it is written: fields, types, defaults and their meaning, declared once.
//!
//! The JSON Schema, the reference page `docs/config.md` and serde all come from these types; the doc comments
//! are what users read. There is no logic here: `config::compile` turns this into checked types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalars::{ClientKeyText, DeploymentRef, DurationText, ModelName, Name, SecretText, SizeText};

/// Configuration of the Emberway gateway.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Emberway configuration")]
pub(super) struct RawConfig {
    /// Addresses that clients connect to. Changing them needs a restart.
    #[schemars(length(min = 1, max = 16))]
    pub(super) listeners: Vec<RawListener>,
    /// The listener for operators: health, metrics, state. Changing it needs a restart.
    #[serde(default)]
    pub(super) admin: RawAdmin,
    /// Where usage records go. Changing it needs a restart.
    #[serde(default)]
    pub(super) usage: RawUsage,
    /// What is logged, and how. Changing it needs a restart.
    #[serde(default)]
    pub(super) log: RawLog,
    /// How the process ends on SIGTERM. Changing it needs a restart.
    #[serde(default)]
    pub(super) shutdown: RawShutdown,
    /// Bounds on what clients may send.
    #[serde(default)]
    pub(super) limits: RawLimits,
    /// How throttled and failing deployments are set aside.
    #[serde(default)]
    pub(super) health: RawHealth,
    /// Failover and timeouts of the routes that do not set their own, field by field.
    #[serde(default)]
    pub(super) defaults: RawDefaults,
    /// Who may call.
    #[schemars(length(min = 1, max = 10_000))]
    pub(super) clients: Vec<RawClient>,
    /// Azure OpenAI accounts and their deployments.
    #[schemars(length(min = 1, max = 256))]
    pub(super) resources: Vec<RawResource>,
    /// Deployments of the same fine-tuned model, in order of preference.
    #[schemars(length(min = 1, max = 1_024))]
    pub(super) pools: Vec<RawPool>,
    /// Model names that clients ask for.
    #[schemars(length(min = 1, max = 1_024))]
    pub(super) routes: Vec<RawRoute>,
}

/// An address that clients connect to.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Listener")]
pub(super) struct RawListener {
    /// IP address and port. References such as `${env:NAME}` are resolved.
    #[schemars(extend("examples" = ["127.0.0.1:8080", "0.0.0.0:8443", "[::]:8443"]))]
    pub(super) address: String,
    /// Certificate and key. Without them the listener speaks plain HTTP.
    pub(super) tls: Option<RawTls>,
    /// Whether HTTP/2 without TLS (prior knowledge) is understood too. TLS listeners always offer HTTP/2.
    #[serde(default)]
    pub(super) h2c: bool,
    /// Allows plain HTTP on an address that other machines can reach, for a listener behind something that ends TLS.
    #[serde(default)]
    pub(super) allow_plaintext: bool,
}

/// PEM files of a listener; relative paths start at the configuration file's directory.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tls")]
pub(super) struct RawTls {
    /// Certificate chain, the server's own first.
    #[schemars(extend("examples" = ["tls/server.pem"]))]
    pub(super) certificate: String,
    /// Private key of the first certificate.
    #[schemars(extend("examples" = ["tls/server.key"]))]
    pub(super) key: String,
}

/// The listener for operators.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Admin")]
pub(super) struct RawAdmin {
    /// IP address and port. References such as `${env:NAME}` are resolved.
    #[schemars(extend("examples" = ["127.0.0.1:9090"]))]
    pub(super) address: String,
    /// Token asked of everything but the health endpoints. Required when the address can be reached from other machines.
    pub(super) token: Option<SecretText>,
}

impl Default for RawAdmin {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:9090".to_owned(),
            token: None,
        }
    }
}

/// The usage store and its queue.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Usage")]
pub(super) struct RawUsage {
    /// SQLite file; a relative path starts at the working directory. References such as `${env:NAME}` are resolved.
    #[schemars(extend("examples" = ["/var/lib/emberway/usage.db"]))]
    pub(super) path: String,
    /// Most records waiting to be written.
    #[schemars(range(min = 1, max = 16_777_216))]
    pub(super) queue: usize,
    /// What happens to a record when the queue is full.
    pub(super) when_full: RawWhenFull,
    /// Days that records are kept. Without it they are kept for ever.
    #[schemars(range(min = 1, max = 36_500))]
    pub(super) keep_days: Option<u32>,
}

impl Default for RawUsage {
    fn default() -> Self {
        Self {
            path: "emberway-usage.db".to_owned(),
            queue: 65_536,
            when_full: RawWhenFull::Drop,
            keep_days: None,
        }
    }
}

/// What happens to a usage record when the queue is full.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "WhenFull")]
pub(super) enum RawWhenFull {
    /// The record is dropped and counted; answers are never delayed.
    Drop,
    /// The finished request waits for room; no record is lost, connections may be held.
    Wait,
}

/// Log output.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Log")]
pub(super) struct RawLog {
    /// Levels by module, as `RUST_LOG` has them.
    #[schemars(extend("examples" = ["info", "info,emberway=debug"]))]
    pub(super) filter: String,
    /// Lines for people or for machines.
    pub(super) format: RawLogFormat,
}

impl Default for RawLog {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: RawLogFormat::Pretty,
        }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "LogFormat")]
pub(super) enum RawLogFormat {
    /// Text, coloured on a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// How the process ends on SIGTERM.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Shutdown")]
pub(super) struct RawShutdown {
    /// How long `/readyz` says no while connections are still accepted, so that load balancers look elsewhere first.
    pub(super) delay: DurationText,
    /// How long running requests may take after that.
    pub(super) drain: DurationText,
}

impl Default for RawShutdown {
    fn default() -> Self {
        Self {
            delay: DurationText::secs(5),
            drain: DurationText::secs(60),
        }
    }
}

/// Bounds on what clients may send.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Limits")]
pub(super) struct RawLimits {
    /// Largest request body.
    pub(super) body_size: SizeText,
    /// Request bodies held by the whole process at one time; a request that finds no room is refused with 503.
    pub(super) held_bodies: SizeText,
    /// Longest time for a request body to arrive.
    pub(super) body_time: DurationText,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            body_size: SizeText::mib(32),
            held_bodies: SizeText::mib(1024),
            body_time: DurationText::secs(60),
        }
    }
}

/// How throttled and failing deployments are set aside.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Health")]
pub(super) struct RawHealth {
    /// Failures in a row that open a deployment's circuit breaker.
    #[schemars(range(min = 1, max = 1_000))]
    pub(super) consecutive_failures: u32,
    /// How long an opened breaker stays open before one request may probe.
    pub(super) open_for: DurationText,
    /// How long a deployment rests after a 429 that names no time.
    pub(super) throttle_default: DurationText,
    /// Longest rest that an upstream's `retry-after` can ask for.
    pub(super) throttle_max: DurationText,
}

impl Default for RawHealth {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            open_for: DurationText::secs(10),
            throttle_default: DurationText::secs(2),
            throttle_max: DurationText::secs(60),
        }
    }
}

/// Failover and timeouts of the routes that do not set their own.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Defaults")]
pub(super) struct RawDefaults {
    /// How often and how long to try.
    pub(super) failover: RawFailover,
    /// How long to wait for each step of an attempt.
    pub(super) timeouts: RawTimeouts,
}

/// Bounds on the attempts made for one request. What is not set comes from `defaults`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Failover")]
pub(super) struct RawFailover {
    /// Most attempts, the first included.
    #[schemars(range(min = 1, max = 16), extend("default" = 3))]
    pub(super) max_attempts: Option<u32>,
    /// Longest time from the request's arrival to the start of its answer.
    #[schemars(extend("default" = "60s"))]
    pub(super) deadline: Option<DurationText>,
}

/// Time limits of one attempt. What is not set comes from `defaults`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Timeouts")]
pub(super) struct RawTimeouts {
    /// TCP and TLS together.
    #[schemars(extend("default" = "3s"))]
    pub(super) connect: Option<DurationText>,
    /// From the last request byte sent to the answer's status line, for streamed requests.
    #[schemars(extend("default" = "60s"))]
    pub(super) first_byte: Option<DurationText>,
    /// The same for requests that are not streamed: Azure answers those when everything is generated.
    #[schemars(extend("default" = "300s"))]
    pub(super) whole_answer: Option<DurationText>,
    /// Longest silence between two pieces of a body.
    #[schemars(extend("default" = "60s"))]
    pub(super) idle: Option<DurationText>,
    /// Whole attempt, its body included.
    #[schemars(extend("default" = "600s"))]
    pub(super) total: Option<DurationText>,
}

/// A caller and what it may use.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Client")]
pub(super) struct RawClient {
    /// Name in logs, metrics and usage records.
    pub(super) name: Name,
    /// Keys that identify the client; several, so that a new one can be introduced before the old one goes.
    #[schemars(length(min = 1, max = 16))]
    pub(super) keys: Vec<ClientKeyText>,
    /// Routes that the client may use, by name. Without it every route is allowed, also those added later.
    #[schemars(length(min = 1, max = 1_024))]
    pub(super) routes: Option<Vec<ModelName>>,
    /// Whether answers carry the `x-emberway-*` debug headers.
    #[serde(default)]
    pub(super) debug_headers: bool,
}

/// An Azure OpenAI account.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Resource")]
pub(super) struct RawResource {
    /// Name in logs, metrics and deployment references.
    pub(super) name: Name,
    /// Azure region: the failure domain. References such as `${env:NAME}` are resolved.
    #[schemars(extend("examples" = ["swedencentral", "eastus2"]))]
    pub(super) region: String,
    /// Base URL. References such as `${env:NAME}` are resolved.
    #[schemars(extend("examples" = ["https://contoso-swedencentral.openai.azure.com"]))]
    pub(super) endpoint: String,
    /// Which of Azure's two URL families requests use.
    #[serde(default)]
    pub(super) api: RawApi,
    /// Data-plane version for `api: classic`; not used by `v1`.
    #[schemars(extend("default" = DEFAULT_API_VERSION, "examples" = ["2024-10-21", "2025-04-01-preview"]))]
    pub(super) api_version: Option<String>,
    /// Whether HTTP/2 is offered to the endpoint (TLS only).
    #[serde(default = "yes")]
    pub(super) http2: bool,
    /// Allows an `http://` endpoint on another machine, where prompts and credentials travel readably.
    #[serde(default)]
    pub(super) allow_plaintext: bool,
    /// How the gateway logs in: exactly one of the two.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1, "examples" = [{"api_key": "${env:AZURE_OPENAI_KEY}"}]))]
    pub(super) credential: RawCredential,
    /// The account's deployments.
    #[schemars(length(min = 1, max = 256))]
    pub(super) deployments: Vec<RawDeployment>,
}

/// Data-plane version used by `api: classic` when none is given: the newest that is generally available.
pub(super) const DEFAULT_API_VERSION: &str = "2024-10-21";

/// Days without a successful call after which Azure deletes a fine-tuned deployment, when none are given.
pub(super) const DEFAULT_INACTIVITY_DAYS: u32 = 15;

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
pub(super) enum RawApi {
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
pub(super) struct RawCredential {
    /// Sent as `api-key`.
    pub(super) api_key: Option<SecretText>,
    /// Sent as `Authorization: Bearer`, such as a Microsoft Entra ID token that something else keeps fresh in a file.
    pub(super) token: Option<SecretText>,
}

/// A deployment of the account.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Deployment")]
pub(super) struct RawDeployment {
    /// Its name at Azure.
    pub(super) name: Name,
    /// Deployment type, as Azure spells it.
    pub(super) sku: RawSku,
    /// Units of the SKU: thousands of tokens per minute, or PTUs for provisioned ones.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) capacity: Option<u32>,
    /// Share of traffic relative to the other members of a tier. Without it the share is `capacity` (in tokens per minute, so
    /// 1,000 a unit; in PTUs for provisioned ones), and without that 1.
    #[schemars(range(max = 1_000_000), extend("exclusiveMinimum" = 0))]
    pub(super) weight: Option<f64>,
    /// Whether usage is asked of streams whose client did not ask, so that their tokens can be recorded.
    #[serde(default = "yes")]
    pub(super) stream_usage: bool,
    /// When Azure created the deployment (RFC 3339).
    #[schemars(extend("format" = "date-time", "examples" = ["2026-10-01T08:00:00Z"]))]
    pub(super) created_at: Option<String>,
    /// Days without a successful call after which Azure deletes the deployment; 0 means that it never does.
    #[serde(default = "default_inactivity_days")]
    #[schemars(range(max = 3_650))]
    pub(super) inactivity_days: u32,
}

/// Azure's deployment types.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "Sku")]
pub(super) enum RawSku {
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
pub(super) struct RawPool {
    /// Name in logs and metrics.
    pub(super) name: Name,
    /// Priority tiers, best first: a tier is used when no earlier one has a usable member.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 256)))]
    pub(super) tiers: Vec<Vec<RawMember>>,
}

/// A deployment's place in a tier.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Member")]
pub(super) enum RawMember {
    /// The deployment, with its own weight.
    Plain(DeploymentRef),
    /// The deployment, with a weight for this tier only.
    Weighted(RawWeighted),
}

/// A deployment with a weight of its own in this tier.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Weighted")]
pub(super) struct RawWeighted {
    /// The deployment.
    pub(super) deployment: DeploymentRef,
    /// Share of traffic relative to the other members of the tier.
    #[schemars(range(max = 1_000_000), extend("exclusiveMinimum" = 0))]
    pub(super) weight: f64,
}

/// A public model name, the pool behind it and the rules for using it.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Route")]
pub(super) struct RawRoute {
    /// The model name that clients send; also the route's name in logs, metrics and usage records.
    pub(super) name: ModelName,
    /// Other model names that lead here.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub(super) aliases: Vec<ModelName>,
    /// The pool that serves it, by name.
    pub(super) pool: Name,
    /// How often and how long to try.
    #[serde(default)]
    pub(super) failover: RawFailover,
    /// How long to wait for each step of an attempt.
    #[serde(default)]
    pub(super) timeouts: RawTimeouts,
}
