//! The part of the file about sending traces and metrics to a collector.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalars::{DurationText, SecretText};

/// What is sent to others about requests.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Telemetry")]
pub(in crate::config) struct RawTelemetry {
    /// A collector that speaks OpenTelemetry's protocol over HTTP (OTLP/HTTP, protobuf).
    pub(in crate::config) otlp: RawOtlp,
}

/// A collector.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Otlp")]
pub(in crate::config) struct RawOtlp {
    /// Base URL of the collector; `/v1/traces` and `/v1/metrics` are added. References are resolved.
    #[schemars(extend("examples" = ["http://127.0.0.1:4318", "https://otel.example.com:4318"]))]
    pub(in crate::config) endpoint: String,
    /// Headers that are sent along, by name, their values by reference; 16 at most.
    #[serde(default)]
    pub(in crate::config) headers: BTreeMap<String, SecretText>,
    /// PEM file of certificates that are trusted beside the usual ones; a relative path starts at the configuration file's directory.
    /// References are resolved.
    pub(in crate::config) ca: Option<String>,
    /// Allows an `http://` URL to another machine, where headers, names and figures travel readably.
    #[serde(default)]
    pub(in crate::config) allow_plaintext: bool,
    /// Longest time for the collector's word.
    #[serde(default = "default_timeout")]
    pub(in crate::config) timeout: DurationText,
    /// `service.name` of everything that is sent. References are resolved.
    #[serde(default = "default_service_name")]
    pub(in crate::config) service_name: String,
    /// More attributes of the resource, such as `deployment.environment.name: production`, 64 at most. References are resolved. Without
    /// `service.instance.id` each process has a random one.
    #[serde(default)]
    pub(in crate::config) resource: BTreeMap<String, String>,
    /// Traces: a span for each request and one for each of its attempts. Without it none are sent, and no header of a trace is written.
    pub(in crate::config) traces: Option<RawOtlpTraces>,
    /// Metrics. Without it none are sent; `/metrics` of `admin` has them, and more, in any case.
    pub(in crate::config) metrics: Option<RawOtlpMetrics>,
}

fn default_timeout() -> DurationText {
    DurationText::secs(10)
}

fn default_service_name() -> String {
    "emberway".to_owned()
}

/// Which requests become traces.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "OtlpTraces")]
pub(in crate::config) struct RawOtlpTraces {
    /// Share of traces that is sent, by their ids.
    #[schemars(range(min = 0, max = 1))]
    pub(in crate::config) share: f64,
    /// Whether a client that sends a `traceparent` decides for its trace, by the flag in it. With `false` the share decides alone.
    pub(in crate::config) follow_clients: bool,
    /// Most spans that wait to be sent; further ones are dropped and counted. One takes about 2 KiB.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub(in crate::config) queue: usize,
    /// How long spans are gathered before they are sent, unless there are 512 of them.
    pub(in crate::config) every: DurationText,
}

impl Default for RawOtlpTraces {
    fn default() -> Self {
        Self {
            share: 0.05,
            follow_clients: true,
            queue: 8_192,
            every: DurationText::secs(5),
        }
    }
}

/// How metrics are sent.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "OtlpMetrics")]
pub(in crate::config) struct RawOtlpMetrics {
    /// How often.
    pub(in crate::config) every: DurationText,
    /// What their figures count from.
    pub(in crate::config) temporality: RawTemporality,
}

impl Default for RawOtlpMetrics {
    fn default() -> Self {
        Self {
            every: DurationText::secs(60),
            temporality: RawTemporality::Cumulative,
        }
    }
}

/// What figures count from.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Temporality")]
pub(in crate::config) enum RawTemporality {
    /// From the start of the process, as Prometheus has it: what was not delivered is in the next figures.
    Cumulative,
    /// From the time before: what was not delivered is lost.
    Delta,
}
