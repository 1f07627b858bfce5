//! The file as it is written: fields, types, defaults and their meaning, declared once.
//!
//! The JSON Schema, the reference page `docs/config.md` and serde all come from these types; the doc comments
//! are what users read. There is no logic here: `config::compile` turns this into checked types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::DEFAULT_USAGE_FILE;
use crate::config::raw::admin::RawAdmin;
use crate::config::raw::alerts::RawAlerts;
use crate::config::raw::azure::RawAzure;
use crate::config::raw::fleet::{RawClient, RawPool, RawResource, RawRoute};
use crate::config::raw::rules::{RawFailover, RawTimeouts, RawWaiting};
use crate::config::raw::telemetry::RawTelemetry;
use crate::config::scalars::{DurationText, SecretText, SizeText};

pub(in crate::config) mod admin;
pub(in crate::config) mod alerts;
pub(in crate::config) mod azure;
pub(in crate::config) mod fleet;
pub(in crate::config) mod rules;
pub(in crate::config) mod telemetry;

/// Configuration of the Emberway gateway.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Emberway configuration")]
pub(in crate::config) struct RawConfig {
    /// Addresses that clients connect to. Changing them needs a restart.
    #[schemars(length(min = 1, max = 16))]
    pub(in crate::config) listeners: Vec<RawListener>,
    /// The listener for operators: health, metrics, state. Changing it needs a restart.
    #[serde(default)]
    pub(in crate::config) admin: RawAdmin,
    /// Where usage records go. Changing it needs a restart.
    #[serde(default)]
    pub(in crate::config) usage: RawUsage,
    /// A trace of what comes, as lengths and hashes, for `emberway replay`. Without it there is none. Changing it needs a restart.
    pub(in crate::config) trace: Option<RawTrace>,
    /// What is logged, and how. Changing it needs a restart.
    #[serde(default)]
    pub(in crate::config) log: RawLog,
    /// How the process ends on SIGTERM. Changing it needs a restart.
    #[serde(default)]
    pub(in crate::config) shutdown: RawShutdown,
    /// Azure's control plane, through which deployments are made and looked after. Without it the gateway never calls it. Changing it
    /// needs a restart.
    pub(in crate::config) azure: Option<RawAzure>,
    /// Who is told what people should look at: deployments that end soon, are lost, or are not made again. Changing it needs a restart.
    pub(in crate::config) alerts: Option<RawAlerts>,
    /// Traces and metrics for a collector of OpenTelemetry. Without it nothing is sent. Changing it needs a restart.
    pub(in crate::config) telemetry: Option<RawTelemetry>,
    /// Bounds on what clients may send.
    #[serde(default)]
    pub(in crate::config) limits: RawLimits,
    /// How throttled and failing deployments are set aside.
    #[serde(default)]
    pub(in crate::config) health: RawHealth,
    /// Failover and timeouts of the routes that do not set their own, field by field.
    #[serde(default)]
    pub(in crate::config) defaults: RawDefaults,
    /// Gateways that run with this configuration and share the traffic, this one included. They do not talk to each other; each
    /// multiplies the load that it sees. A number that is wrong by less than two does little harm.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1_000))]
    pub(in crate::config) replicas: u32,
    /// Who may call.
    #[schemars(length(min = 1, max = 10_000))]
    pub(in crate::config) clients: Vec<RawClient>,
    /// Azure OpenAI accounts and their deployments.
    #[schemars(length(min = 1, max = 256))]
    pub(in crate::config) resources: Vec<RawResource>,
    /// Deployments of the same fine-tuned model, in order of preference.
    #[schemars(length(min = 1, max = 1_024))]
    pub(in crate::config) pools: Vec<RawPool>,
    /// Model names that clients ask for.
    #[schemars(length(min = 1, max = 1_024))]
    pub(in crate::config) routes: Vec<RawRoute>,
}

fn one() -> u32 {
    1
}

/// An address that clients connect to.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Listener")]
pub(in crate::config) struct RawListener {
    /// IP address and port. References such as `${env:NAME}` are resolved.
    #[schemars(extend("examples" = ["127.0.0.1:8080", "0.0.0.0:8443", "[::]:8443"]))]
    pub(in crate::config) address: String,
    /// Certificate and key. Without them the listener speaks plain HTTP.
    pub(in crate::config) tls: Option<RawTls>,
    /// Whether HTTP/2 without TLS (prior knowledge) is understood too. TLS listeners always offer HTTP/2.
    #[serde(default)]
    pub(in crate::config) h2c: bool,
    /// Allows plain HTTP on an address that other machines can reach, for a listener behind something that ends TLS.
    #[serde(default)]
    pub(in crate::config) allow_plaintext: bool,
}

/// PEM files of a listener; relative paths start at the configuration file's directory.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tls")]
pub(in crate::config) struct RawTls {
    /// Certificate chain, the server's own first.
    #[schemars(extend("examples" = ["tls/server.pem"]))]
    pub(in crate::config) certificate: String,
    /// Private key of the first certificate.
    #[schemars(extend("examples" = ["tls/server.key"]))]
    pub(in crate::config) key: String,
}

/// The usage store and its queue.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Usage")]
pub(in crate::config) struct RawUsage {
    /// SQLite file; a relative path starts at the working directory. References such as `${env:NAME}` are resolved.
    #[schemars(extend("examples" = ["/var/lib/emberway/usage.db"]))]
    pub(in crate::config) path: String,
    /// Most records waiting to be written.
    #[schemars(range(min = 1, max = 16_777_216))]
    pub(in crate::config) queue: usize,
    /// What happens to a record when the queue is full.
    pub(in crate::config) when_full: RawWhenFull,
    /// Days that records are kept. Without it they are kept for ever.
    #[schemars(range(min = 1, max = 36_500))]
    pub(in crate::config) keep_days: Option<u32>,
}

impl Default for RawUsage {
    fn default() -> Self {
        Self {
            path: DEFAULT_USAGE_FILE.to_owned(),
            queue: 65_536,
            when_full: RawWhenFull::Drop,
            keep_days: None,
        }
    }
}

/// A trace of what comes, as lengths and hashes, for `emberway replay`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Trace")]
pub(in crate::config) struct RawTrace {
    /// File of JSON lines; a relative path starts at the working directory. References such as `${env:NAME}` are resolved.
    #[schemars(extend("examples" = ["/var/lib/emberway/trace.jsonl"]))]
    pub(in crate::config) path: String,
    /// Share of conversations that is written, each whole.
    #[serde(default = "default_trace_share")]
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    pub(in crate::config) share: f64,
    /// Key of all hashes in it. Gateways whose traces are to be joined need the same one. Without it a random one is made at each
    /// start, and the file of the start before is put aside.
    pub(in crate::config) key: Option<SecretText>,
    /// Size beyond which a file is put aside, as `path.1` and so on, and the next one begun.
    #[serde(default = "default_trace_rotate")]
    pub(in crate::config) rotate: SizeText,
    /// Files that are kept aside.
    #[serde(default = "default_trace_keep")]
    #[schemars(range(max = 1_000))]
    pub(in crate::config) keep: u32,
}

fn default_trace_share() -> f64 {
    0.1
}

fn default_trace_rotate() -> SizeText {
    SizeText::mib(100)
}

fn default_trace_keep() -> u32 {
    10
}

/// What happens to a usage record when the queue is full.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "WhenFull")]
pub(in crate::config) enum RawWhenFull {
    /// The record is dropped and counted; answers are never delayed.
    Drop,
    /// The finished request waits for room; no record is lost, connections may be held.
    Wait,
}

/// Log output.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Log")]
pub(in crate::config) struct RawLog {
    /// Levels by module, as `RUST_LOG` has them.
    #[schemars(extend("examples" = ["info", "info,emberway=debug"]))]
    pub(in crate::config) filter: String,
    /// Lines for people or for machines.
    pub(in crate::config) format: RawLogFormat,
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
pub(in crate::config) enum RawLogFormat {
    /// Text, coloured on a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// How the process ends on SIGTERM.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Shutdown")]
pub(in crate::config) struct RawShutdown {
    /// How long `/readyz` says no while connections are still accepted, so that load balancers look elsewhere first.
    pub(in crate::config) delay: DurationText,
    /// How long running requests may take after that.
    pub(in crate::config) drain: DurationText,
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
pub(in crate::config) struct RawLimits {
    /// Largest request body.
    pub(in crate::config) body_size: SizeText,
    /// Request bodies held by the whole process at one time; a request that finds no room is refused with 503.
    pub(in crate::config) held_bodies: SizeText,
    /// Longest time for a request body to arrive.
    pub(in crate::config) body_time: DurationText,
    /// Longest time for a request's head to arrive: from the connection's beginning, for a later request from the end of the 60 s that a
    /// connection may be idle. Then the connection is closed.
    pub(in crate::config) head_time: DurationText,
    /// Client connections that may be open at one time, idle ones included; one more is closed at once.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub(in crate::config) connections: usize,
    /// Requests that may run at one time, from their head to the end of their answer; one more is refused with 503.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub(in crate::config) running_requests: usize,
    /// How late the gateway's tasks may run before it turns requests away with 503: those of `priority: batch` first, then a
    /// growing share of the others; `0s` for never. Such an answer takes about so long itself.
    pub(in crate::config) max_delay: DurationText,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            body_size: SizeText::mib(32),
            held_bodies: SizeText::gib(1),
            body_time: DurationText::secs(60),
            head_time: DurationText::secs(10),
            connections: 10_000,
            running_requests: 10_000,
            max_delay: DurationText::millis(500),
        }
    }
}

/// How throttled and failing deployments are set aside.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Health")]
pub(in crate::config) struct RawHealth {
    /// Failures in a row that open a deployment's circuit breaker.
    #[schemars(range(min = 1, max = 1_000))]
    pub(in crate::config) consecutive_failures: u32,
    /// Share of failures among the attempts of the last ten seconds that opens it too.
    #[schemars(range(min = 0.01, max = 1))]
    pub(in crate::config) failure_ratio: f64,
    /// Fewer attempts than this in ten seconds tell nothing of a share.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(in crate::config) ratio_requests: u32,
    /// How long an opened breaker stays open before one request may probe.
    pub(in crate::config) open_for: DurationText,
    /// How long a deployment gets less than its share after its breaker has closed, from a tenth at first; `0s` for not at all.
    pub(in crate::config) slow_start: DurationText,
    /// Most of a pool's deployments whose breakers may be open since they failed; at least one may.
    #[schemars(range(min = 0.01, max = 1))]
    pub(in crate::config) max_ejected: f64,
    /// How long a deployment rests after a 429 that names no time.
    pub(in crate::config) throttle_default: DurationText,
    /// Longest rest that an upstream's `retry-after` can ask for.
    pub(in crate::config) throttle_max: DurationText,
}

impl Default for RawHealth {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_ratio: 0.5,
            ratio_requests: 20,
            open_for: DurationText::secs(10),
            slow_start: DurationText::secs(20),
            max_ejected: 0.8,
            throttle_default: DurationText::secs(2),
            throttle_max: DurationText::secs(60),
        }
    }
}

/// Failover and timeouts of the routes that do not set their own.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Defaults")]
pub(in crate::config) struct RawDefaults {
    /// How a deployment is chosen.
    pub(in crate::config) policy: RawPolicy,
    /// How often and how long to try.
    pub(in crate::config) failover: RawFailover,
    /// How long to wait for each step of an attempt.
    pub(in crate::config) timeouts: RawTimeouts,
    /// Waiting for a deployment to recover instead of answering 429.
    pub(in crate::config) waiting: RawWaiting,
}

/// How a deployment is chosen. Rests, breakers, room and tiers hold for all of them.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Policy")]
pub(in crate::config) enum RawPolicy {
    /// Prompts that share a beginning stay together; hot beginnings are divided among as many deployments as they need.
    #[default]
    Nested,
    /// Each deployment in turn, by weight.
    RoundRobin,
    /// The deployment with the fewest requests in flight for its weight.
    LeastBusy,
    /// By a hash of the prompt's first 1,024 tokens.
    HeadHash,
    /// Of two deployments the one with the lower latency times requests in flight.
    Latency,
}
