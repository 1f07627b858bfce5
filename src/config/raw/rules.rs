//! The rules of a route, as written: each field may be set by the route, by `defaults`, or by neither.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalars::DurationText;

/// Bounds on the attempts made for one request. What is not set comes from `defaults`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Failover")]
pub(in crate::config) struct RawFailover {
    /// Most attempts, the first included. A request that has waited for a deployment to recover (`waiting`) has as many again.
    #[schemars(range(min = 1, max = 16), extend("default" = 3))]
    pub(in crate::config) max_attempts: Option<u32>,
    /// Longest time from the request's arrival to the start of its answer.
    #[schemars(extend("default" = "5m"))]
    pub(in crate::config) deadline: Option<DurationText>,
    /// How many attempts may follow failed ones.
    #[serde(default)]
    pub(in crate::config) retry_budget: RawRetryBudget,
    /// First bound of the random wait before the same deployment is asked again; it doubles with each attempt.
    #[schemars(extend("default" = "100ms"))]
    pub(in crate::config) backoff: Option<DurationText>,
    /// How long to wait for a stream's beginning before another deployment is asked; `timeouts.first_byte` at most.
    #[serde(default)]
    pub(in crate::config) first_token: RawFirstToken,
    /// A second attempt elsewhere beside one whose answer is late.
    #[serde(default)]
    pub(in crate::config) hedging: RawHedging,
}

/// A second attempt elsewhere where an answer begins later than 19 of 20 of the route's lately; the first to answer is taken. The other is
/// cancelled, and probably billed.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Hedging")]
pub(in crate::config) struct RawHedging {
    /// Most second attempts, as a share of the route's requests of the last ten minutes; 0 for none.
    #[schemars(range(min = 0, max = 1), extend("default" = 0.0), extend("examples" = [0.05]))]
    pub(in crate::config) max_share: Option<f64>,
}

/// How many attempts may follow failed ones, so that an outage is not multiplied by trying again.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "RetryBudget")]
pub(in crate::config) struct RawRetryBudget {
    /// Attempts after failed ones, as a share of the requests of the last ten seconds.
    #[schemars(range(min = 0, max = 10), extend("default" = 0.5))]
    pub(in crate::config) ratio: Option<f64>,
    /// Attempts a second that are allowed in any case.
    #[schemars(range(min = 0, max = 100_000), extend("default" = 10))]
    pub(in crate::config) min_per_second: Option<u32>,
}

/// How long to wait for a stream's beginning: `base`, and more for a long prompt that is not believed to be cached. Once a
/// deployment's own times are known, they take the place of `base`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "FirstToken")]
pub(in crate::config) struct RawFirstToken {
    /// For a prompt of no length.
    #[schemars(extend("default" = "15s"))]
    pub(in crate::config) base: Option<DurationText>,
    /// More for each 1,000 prompt tokens that are not believed to be cached.
    #[schemars(extend("default" = "500ms"))]
    pub(in crate::config) per_1k_tokens: Option<DurationText>,
    /// Never less than this, however quick a deployment is known to be.
    #[schemars(extend("default" = "5s"))]
    pub(in crate::config) least: Option<DurationText>,
}

/// Time limits of one attempt. What is not set comes from `defaults`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Timeouts")]
pub(in crate::config) struct RawTimeouts {
    /// TCP and TLS together.
    #[schemars(extend("default" = "3s"))]
    pub(in crate::config) connect: Option<DurationText>,
    /// From the last request byte sent to the answer's status line, for streamed requests.
    #[schemars(extend("default" = "30s"))]
    pub(in crate::config) first_byte: Option<DurationText>,
    /// The same for requests that are not streamed: Azure answers those when everything is generated.
    #[schemars(extend("default" = "300s"))]
    pub(in crate::config) whole_answer: Option<DurationText>,
    /// Longest silence between two pieces of a body, and longest time that a client may take none of what is sent to it.
    #[schemars(extend("default" = "60s"))]
    pub(in crate::config) idle: Option<DurationText>,
    /// Whole attempt, its body included.
    #[schemars(extend("default" = "600s"))]
    pub(in crate::config) total: Option<DurationText>,
}

/// Waiting for a deployment to recover instead of answering 429 at once.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Waiting")]
pub(in crate::config) struct RawWaiting {
    /// Longest wait; `0s` for none. A request waits only where a deployment is known to recover in time.
    #[schemars(extend("default" = "5s"))]
    pub(in crate::config) max_wait: Option<DurationText>,
    /// Most requests of the route that wait at one time.
    #[schemars(range(min = 1, max = 100_000), extend("default" = 1000))]
    pub(in crate::config) queue: Option<u32>,
}

/// What may be used; what is not set has no bound.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "UseLimits")]
pub(in crate::config) struct RawUseLimits {
    /// Requests a minute.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("examples" = [600]))]
    pub(in crate::config) requests_per_minute: Option<u32>,
    /// Tokens a minute, of prompts and answers. A request counts its prompt and the longest answer it asks for when it comes, and what it
    /// really used once it has ended.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("examples" = [200_000]))]
    pub(in crate::config) tokens_per_minute: Option<u32>,
    /// Requests at one time.
    #[schemars(range(min = 1, max = 1_000_000), extend("examples" = [50]))]
    pub(in crate::config) concurrency: Option<u32>,
}

/// Where a route's requests may be processed. Its pool's other deployments are not used for it, whatever fails.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Residency")]
pub(in crate::config) struct RawResidency {
    /// Regions, as resources name them.
    #[schemars(length(min = 1, max = 256), extend("examples" = [["swedencentral", "francecentral"]]))]
    pub(in crate::config) regions: Vec<String>,
    /// Deployment types that are used although Azure may process their requests in other regions.
    #[serde(default)]
    #[schemars(length(max = 3))]
    pub(in crate::config) allow: Vec<RawElsewhere>,
}

/// Deployment types whose requests Azure may process outside the resource's region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Elsewhere")]
pub(in crate::config) enum RawElsewhere {
    /// Anywhere in the resource's data zone: the European Union, or the United States.
    DataZone,
    /// Anywhere.
    Global,
    /// Anywhere, as developer tier deployments are.
    Developer,
}
