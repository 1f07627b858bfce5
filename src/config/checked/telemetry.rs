//! What is sent to a collector, checked.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::config::secrets::Secret;

/// A collector and what it is sent; traces, metrics or both.
#[derive(Clone, PartialEq)]
pub struct OtlpSettings {
    /// Base URL, with a slash at its end.
    pub endpoint: Url,
    /// Headers that are sent along: sound names, none of those that the protocol itself sets.
    pub headers: Vec<(http::HeaderName, Secret)>,
    /// Certificates that are trusted beside the usual ones.
    pub ca: Option<PathBuf>,
    /// Longest time for the collector's word.
    pub timeout: Duration,
    /// `service.name`.
    pub service_name: String,
    /// More attributes of the resource.
    pub resource: Vec<(String, String)>,
    /// Traces, if they are sent.
    pub traces: Option<TracesSettings>,
    /// Metrics, if they are sent.
    pub metrics: Option<MetricsSettings>,
}

impl std::fmt::Debug for OtlpSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtlpSettings")
            .field("endpoint", &self.endpoint.as_str())
            .finish_non_exhaustive()
    }
}

/// Which requests become traces.
#[derive(Debug, Clone, PartialEq)]
pub struct TracesSettings {
    /// Share of traces, from 0 to 1.
    pub share: f64,
    /// Whether a client's flag decides where there is one.
    pub follow_clients: bool,
    /// Most spans that wait; at least 16.
    pub queue: usize,
    /// How long spans are gathered; above 0.
    pub every: Duration,
}

/// How metrics are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsSettings {
    /// How often; at least a second.
    pub every: Duration,
    /// Whether figures count from the time before, not from the start.
    pub is_delta: bool,
}
