//! The state that metrics show as of the scrape, handed in as plain data by whoever owns it.
//!
//! Breakers, cooling times and numbers in flight already live where they decide something. Mirroring each change
//! into a gauge would cost every request and could disagree with the truth; reading them at the scrape does neither.

use crate::core::ids::{DeploymentId, PoolId, Region, ResourceId, RouteId};
use crate::core::recovery::absence::Absence;
use crate::core::recovery::health::BreakerState;
use crate::core::recovery::outcome::{Alarm, AttemptOutcome};

/// Everything that is read at the scrape.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FleetView {
    /// Each route of the configuration in use.
    pub routes: Vec<RouteView>,
    /// Each pool of the configuration in use.
    pub pools: Vec<PoolView>,
    /// Each deployment of the configuration in use.
    pub deployments: Vec<DeploymentView>,
    /// US dollars that an hour of each deployment costs that is there and has a price.
    pub hosting: Vec<(DeploymentId, f64)>,
    /// What looking after the fleet knows; none where there is no control plane, or nothing is known yet.
    pub care: Option<std::sync::Arc<CareView>>,
    /// Each resource of the configuration in use.
    pub resources: Vec<ResourceView>,
    /// What is remembered of prompts.
    pub placement: PlacementView,
    /// Bytes of request bodies held in memory.
    pub held_body_bytes: u64,
    /// Client connections open.
    pub client_connections: u64,
    /// Client connections closed at once so far.
    pub client_connections_refused: u64,
    /// The usage queue's counters.
    pub usage: UsageView,
    /// Misses and samples lost before they were written.
    pub misses_dropped: u64,
    /// Finished requests lost before they were in the history.
    pub finished_dropped: u64,
    /// The trace's counters.
    pub trace: TraceView,
    /// How many configurations have been taken into use.
    pub config_generation: u64,
    /// Whether the file on disk was refused and an older configuration is in use.
    pub config_reload_failed: bool,
    /// Log lines lost so far; see [`LogGuard::dropped_lines`](super::logging::LogGuard::dropped_lines).
    pub log_lines_dropped: u64,
}

/// A route.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteView {
    /// Which.
    pub route: RouteId,
    /// Requests let in and not finished.
    pub in_flight: u64,
    /// Those of them that wait for a deployment to recover.
    pub waiting: u64,
}

/// A pool.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolView {
    /// Which.
    pub pool: PoolId,
    /// Its deployments.
    pub deployments: u64,
    /// Those neither cooling, drained, absent, nor behind an open breaker.
    pub usable: u64,
    /// Its regions, in the order in which its tiers name them.
    pub regions: Vec<Region>,
    /// Tokens that all gateways have sent its deployments since this one began, as limits count them and as far as this one knows.
    pub sent_tokens: f64,
    /// By each of its regions: tokens a minute that the others take. Empty where that is not known.
    pub limit_without: Vec<(Region, f64)>,
    /// The same by the load of the last minute, or since the last look where that is longer ago.
    pub headroom: Vec<(Region, f64)>,
}

/// A deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentView {
    /// Which.
    pub deployment: DeploymentId,
    /// Where it is.
    pub region: Region,
    /// Attempts running at it.
    pub in_flight: u64,
    /// Its circuit breaker or its resource's, whichever is open further.
    pub breaker: BreakerState,
    /// What an operator must look at, of it or of its resource.
    pub alarm: Option<Alarm>,
    /// Tokens a minute that it takes; none where that is not known.
    pub limit_tokens_per_minute: Option<u64>,
    /// Part of that which is used, 1 for all of it, as far as this gateway knows.
    pub limit_used: Option<f64>,
    /// How long its cache is believed to keep what nobody asks for, in seconds; 0 if it is believed not to cache.
    pub cache_life_s: f64,
    /// Until when it rests after being throttled, in milliseconds since the Unix epoch.
    pub cooling_until_ms: Option<i64>,
    /// Whether an operator has taken it out.
    pub drained: Option<DrainedView>,
    /// Why it is not there, by what the control plane says.
    pub absent: Option<Absence>,
    /// When it last answered with success, in milliseconds since the Unix epoch.
    pub last_success_at_ms: Option<i64>,
    /// When Azure may delete it for inactivity, in milliseconds since the Unix epoch.
    pub deletion_at_ms: Option<i64>,
    /// The last attempt that was held against it.
    pub last_failure: Option<FailureView>,
}

/// An attempt that was held against its deployment: as a failure, or as the reason for a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureView {
    /// When it ended, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// How.
    pub outcome: AttemptOutcome,
    /// The HTTP status of the answer, if there was one.
    pub status: Option<u16>,
}

/// A deployment that an operator has taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainedView {
    /// Until when, in milliseconds since the Unix epoch; none until it is put back.
    pub until_ms: Option<i64>,
}

/// What looking after the fleet knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CareView {
    /// Whether this gateway calls, rebuilds and deletes, of those on its usage file.
    pub acts: bool,
    /// Whether anything may be written to Azure.
    pub writes: bool,
    /// When the account was read that was read longest ago, in milliseconds since the Unix epoch; none while one has not been.
    pub read_at_ms: Option<i64>,
    /// Each deployment that is looked after.
    pub deployments: Vec<CaredView>,
}

/// A deployment that is looked after. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct CaredView {
    /// Which.
    pub deployment: DeploymentId,
    /// What becomes of it when nobody calls it.
    pub policy: &'static str,
    /// Whether it is there, or how far its rebuilding is.
    pub state: &'static str,
    /// When it last answered with success.
    pub last_success_at_ms: Option<i64>,
    /// For how long it has been idle, in milliseconds; at least so long where `deletion_is_exact` is not.
    pub idle_ms: Option<i64>,
    /// When it is or may be deleted, by Azure or by its policy.
    pub deletion_at_ms: Option<i64>,
    /// Whether that is the date; else it may be earlier.
    pub deletion_is_exact: bool,
    /// How urgent that is: `none`, `soon`, `urgent`, `overdue`.
    pub urgency: &'static str,
    /// What will be done if nobody calls it meanwhile.
    pub next: Option<NextView>,
    /// What ends it by date, if anything does.
    pub end: Option<EndView>,
    /// All that in words, with the rule.
    pub sentence: Option<String>,
}

/// What will be done about an idle deployment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NextView {
    /// What: `steer`, `call`, `delete`, `rebuild`, `let_go`.
    pub action: &'static str,
    /// When.
    pub at_ms: i64,
    /// What it costs beyond hosting, in US dollars; none where prices are not known.
    pub usd: Option<f64>,
}

/// An end by date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndView {
    /// `retirement` or `developer_tier`.
    pub cause: &'static str,
    /// When.
    pub at_ms: i64,
}

/// A resource.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceView {
    /// Which.
    pub resource: ResourceId,
    /// Its circuit breaker.
    pub breaker: BreakerState,
}

/// What is remembered of prompts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlacementView {
    /// Blocks in the table.
    pub blocks: u64,
    /// Blocks that can be.
    pub blocks_max: u64,
    /// Memory taken, in bytes.
    pub bytes: u64,
    /// The hottest heads by the first digits of their digest, with their homes.
    pub heads: Vec<(String, u64)>,
}

/// The trace's counters since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceView {
    /// Records written.
    pub written: u64,
    /// Records lost.
    pub dropped: u64,
}

/// The usage queue's counters since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageView {
    /// Records taken into the queue.
    pub accepted: u64,
    /// Records written.
    pub written: u64,
    /// Records lost because the queue was full.
    pub dropped: u64,
    /// Transactions that wrote records.
    pub batches: u64,
    /// Failed writes.
    pub write_errors: u64,
}
