//! What `/status` and `/api/v1/status` tell: the gateway's state in words.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::care::{CaredStatus, FleetStatus};
use crate::admin::needs::Need;
use crate::core::recovery::outcome::Alarm;

/// The gateway's state, as `/readyz` and `/status` tell it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Status {
    /// When this was told (RFC 3339), by the gateway's clock.
    pub at: String,
    /// The same in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// When the process started (RFC 3339).
    pub started_at: String,
    /// The same in milliseconds since the Unix epoch.
    pub started_at_ms: i64,
    /// Whether new requests are welcome.
    pub ready: bool,
    /// Whether the process is ending.
    pub draining: bool,
    /// The program's version.
    pub version: &'static str,
    /// Requests running.
    pub requests_running: usize,
    /// The configuration in use.
    pub config: ConfigStatus,
    /// How the fleet is looked after; none without a control plane.
    pub fleet: Option<FleetStatus>,
    /// Each pool.
    pub pools: Vec<PoolStatus>,
    /// Each deployment.
    pub deployments: Vec<DeploymentStatus>,
    /// What needs somebody, gravest first.
    pub needs: Vec<Need>,
}

/// The configuration in use, and how the last attempt to replace it went.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConfigStatus {
    /// Counts configurations put to use, the first one included.
    pub generation: u64,
    /// When it was loaded (RFC 3339).
    pub loaded_at: String,
    /// The same in milliseconds since the Unix epoch.
    pub loaded_at_ms: i64,
    /// Why the file as it is now is not in use.
    pub last_error: Option<String>,
}

/// A pool.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// How many deployments it has.
    pub deployments: u64,
    /// How many of them may be used now.
    pub usable: u64,
    /// Its regions.
    pub regions: Vec<String>,
    /// Tokens that all gateways have sent its deployments since this one began, as limits count them and as far as this one knows.
    pub sent_tokens: f64,
    /// By each of its regions: tokens a minute that the others take. Empty where that is not known.
    pub limit_without: BTreeMap<String, f64>,
    /// The same by the pool's tokens of the last minute, or a minute's since the last look where that is longer ago.
    pub headroom: BTreeMap<String, f64>,
}

/// A deployment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeploymentStatus {
    /// `resource/name`.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// Attempts running at it.
    pub in_flight: u64,
    /// Its circuit breaker.
    pub breaker: &'static str,
    /// What somebody must mend before it can work, if anything.
    pub alarm: Option<AlarmStatus>,
    /// Tokens a minute that it takes; none where that is not known.
    pub limit_tokens_per_minute: Option<u64>,
    /// Part of that which is used, as far as this gateway knows; more than 1 where it is overdrawn.
    pub limit_used: Option<f64>,
    /// How long its cache is believed to keep what nobody asks for, in seconds, as its answers have taught; 0 if it is believed not
    /// to cache.
    pub cache_life_s: f64,
    /// Until when it rests after a 429 (RFC 3339).
    pub cooling_until: Option<String>,
    /// The same in milliseconds since the Unix epoch.
    pub cooling_until_ms: Option<i64>,
    /// Whether an operator has taken it out.
    pub drained: bool,
    /// Until when, in milliseconds since the Unix epoch; none where it is not, and until it is put back.
    pub drained_until_ms: Option<i64>,
    /// Why it is not there, by what the control plane says, such as `missing` or `paused`; none where it is, or that is not known.
    pub absent: Option<&'static str>,
    /// When it last answered with success (RFC 3339).
    pub last_success_at: Option<String>,
    /// The same in milliseconds since the Unix epoch.
    pub last_success_at_ms: Option<i64>,
    /// When Azure may delete it for inactivity (RFC 3339).
    pub deletion_at: Option<String>,
    /// The same in milliseconds since the Unix epoch.
    pub deletion_at_ms: Option<i64>,
    /// What looking after the fleet knows of it, where it is looked after.
    pub care: Option<CaredStatus>,
    /// The last attempt that was held against it, by this process.
    pub last_failure: Option<FailureStatus>,
}

/// An attempt that was held against its deployment. Nothing that the upstream wrote is told: it may quote a prompt.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FailureStatus {
    /// When it ended (RFC 3339).
    pub at: String,
    /// How, in the words of the log and of `emberway_attempts_total`.
    pub outcome: &'static str,
    /// The HTTP status of the answer, if there was one.
    pub status: Option<u16>,
}

/// What somebody must mend.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct AlarmStatus {
    /// What it is.
    #[schema(value_type = String)]
    pub kind: Alarm,
    /// What to do.
    pub advice: &'static str,
    /// Whether what Azure has differs from what is configured.
    pub wants_reconciliation: bool,
}

impl From<Alarm> for AlarmStatus {
    fn from(kind: Alarm) -> Self {
        Self {
            kind,
            advice: kind.advice(),
            wants_reconciliation: kind.wants_reconciliation(),
        }
    }
}
