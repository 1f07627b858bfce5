//! The numbers of a scenario: how fast the model is, how the prompt cache forgets, how limits are counted.
//!
//! Each default is the documented or observed behaviour of the service where there is one; the field says when
//! there is none and the number is our choice. Times carry their unit in the name, because the scenario file shows
//! names only.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::simulator::scenario::{ScenarioError, rule};

/// Speeds of the simulated model. All times are multiplied by `time_scale`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineSettings {
    /// Time before any work: network, filters, queue.
    pub base_latency_ms: f64,
    /// Time to read one prompt token that is not cached.
    pub prefill_us_per_token: f64,
    /// Output tokens a second when the deployment serves nothing else.
    pub decode_tokens_per_s: f64,
    /// How much slower decoding gets for each other request in flight: 0.01 is 1 % each.
    pub slowdown_per_request: f64,
    /// The most that concurrency slows decoding; 1 is not at all.
    pub max_slowdown: f64,
    /// Spread of the time to the first token, as a part of it: 0.1 is ±10 %.
    pub jitter_ratio: f64,
    /// Multiplies every latency; 0 answers at once.
    pub time_scale: f64,
    /// Shortest answer, in tokens, unless the request's limit is lower.
    pub min_output_tokens: u32,
    /// Longest answer, in tokens.
    pub max_output_tokens: u32,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            base_latency_ms: 40.0,
            prefill_us_per_token: 60.0,
            decode_tokens_per_s: 90.0,
            slowdown_per_request: 0.01,
            max_slowdown: 4.0,
            jitter_ratio: 0.1,
            time_scale: 1.0,
            min_output_tokens: 24,
            max_output_tokens: 96,
        }
    }
}

impl EngineSettings {
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        let ratio = 0.0..=1.0;
        rule(
            (0.0..=60_000.0).contains(&self.base_latency_ms),
            "engine.base_latency_ms",
            "0 to 60000",
        )?;
        rule(
            (0.0..=100_000.0).contains(&self.prefill_us_per_token),
            "engine.prefill_us_per_token",
            "0 to 100000",
        )?;
        rule(
            (0.1..=1e6).contains(&self.decode_tokens_per_s),
            "engine.decode_tokens_per_s",
            "0.1 to 1000000",
        )?;
        rule(
            ratio.contains(&self.slowdown_per_request),
            "engine.slowdown_per_request",
            "0 to 1",
        )?;
        rule(
            (1.0..=1_000.0).contains(&self.max_slowdown),
            "engine.max_slowdown",
            "1 to 1000",
        )?;
        rule(ratio.contains(&self.jitter_ratio), "engine.jitter_ratio", "0 to 1")?;
        rule(
            (0.0..=1_000.0).contains(&self.time_scale),
            "engine.time_scale",
            "0 to 1000",
        )?;
        let (min, max) = (self.min_output_tokens, self.max_output_tokens);
        rule(
            1 <= min && min <= max && max <= 100_000,
            "engine.min_output_tokens",
            "1 to max_output_tokens, at most 100000",
        )
    }
}

/// The provider's prompt cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// Machines a deployment runs on, each with its own cache.
    pub machines: u32,
    /// Requests a minute for one prefix and `prompt_cache_key` that one machine takes before the next gets some.
    pub requests_per_minute_per_prefix: u32,
    /// An entry not used for this long is gone; Azure says 5 to 10 minutes.
    pub idle_expiry_s: f64,
    /// An entry this old is gone however often it was used; Azure says one hour.
    pub absolute_expiry_s: f64,
    /// Most entries (128-token steps) a deployment keeps; the least recently used go first.
    pub max_entries: usize,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            machines: 4,
            requests_per_minute_per_prefix: 15,
            idle_expiry_s: 450.0,
            absolute_expiry_s: 3_600.0,
            max_entries: 100_000,
        }
    }
}

impl CacheSettings {
    /// `idle_expiry_s` as a duration.
    pub fn idle_expiry(&self) -> Duration {
        Duration::from_secs_f64(self.idle_expiry_s)
    }

    /// `absolute_expiry_s` as a duration.
    pub fn absolute_expiry(&self) -> Duration {
        Duration::from_secs_f64(self.absolute_expiry_s)
    }

    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        let day = 0.001..=86_400.0;
        rule(
            (1..=1_024).contains(&self.machines),
            "prompt_cache.machines",
            "1 to 1024",
        )?;
        let per_minute = self.requests_per_minute_per_prefix;
        rule(
            per_minute > 0,
            "prompt_cache.requests_per_minute_per_prefix",
            "must be 1 or more",
        )?;
        rule(
            day.contains(&self.idle_expiry_s),
            "prompt_cache.idle_expiry_s",
            "0.001 to 86400",
        )?;
        rule(
            day.contains(&self.absolute_expiry_s),
            "prompt_cache.absolute_expiry_s",
            "0.001 to 86400",
        )?;
        rule(
            (1..=10_000_000).contains(&self.max_entries),
            "prompt_cache.max_entries",
            "1 to 10000000",
        )
    }
}

/// How limits are counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Whether anything is throttled; off for load tests that measure something else.
    pub enabled: bool,
    /// Output tokens assumed at arrival when the request names no limit. Unpublished; 16 is our choice.
    pub assumed_output_tokens: u32,
    /// What a provisioned deployment's bucket holds, in seconds of its rate. Unpublished; our choice.
    pub provisioned_burst_s: f64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            assumed_output_tokens: 16,
            provisioned_burst_s: 10.0,
        }
    }
}

impl LimitSettings {
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        rule(
            (0.001..=3_600.0).contains(&self.provisioned_burst_s),
            "limits.provisioned_burst_s",
            "0.001 to 3600",
        )
    }
}
