//! What looking after the fleet knows, as `/status` tells it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::ids::DeploymentId;
use crate::telemetry::clock;
use crate::telemetry::view::CareView;

/// The fleet as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetStatus {
    /// Whether this gateway calls, rebuilds and deletes, of those on its usage file.
    pub acts: bool,
    /// Whether anything may be written to Azure: the kill switch is not on.
    pub writes: bool,
    /// When the account was read that was read longest ago (RFC 3339); none while one has not been.
    pub read_at: Option<String>,
}

impl From<&CareView> for FleetStatus {
    fn from(view: &CareView) -> Self {
        Self {
            acts: view.acts,
            writes: view.writes,
            read_at: view.read_at_ms.map(clock::rfc3339),
        }
    }
}

/// A deployment that is looked after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CaredStatus {
    /// What becomes of it when nobody calls it.
    pub policy: String,
    /// `there`, or how far its rebuilding is.
    pub state: String,
    /// For how long it has been idle, in seconds; at least so long where `deletion_is_exact` is not.
    pub idle_s: Option<f64>,
    /// When it is or may be deleted, by Azure or by its policy (RFC 3339).
    pub deletion_at: Option<String>,
    /// Whether that is the date; else it may be earlier.
    pub deletion_is_exact: bool,
    /// How urgent that is: `none`, `soon`, `urgent`, `overdue`.
    pub urgency: String,
    /// What will be done if nobody calls it meanwhile.
    pub next: Option<NextStatus>,
    /// What ends it by date, if anything does.
    pub end: Option<EndStatus>,
    /// All that in words, with the rule.
    pub sentence: Option<String>,
}

/// What will be done about an idle deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NextStatus {
    /// `steer`, `call`, `delete`, `rebuild` or `let_go`.
    pub action: String,
    /// When (RFC 3339).
    pub at: String,
    /// What it costs beyond hosting, in US dollars; none where prices are not known.
    pub usd: Option<f64>,
}

/// An end by date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndStatus {
    /// `retirement` or `developer_tier`.
    pub cause: String,
    /// When (RFC 3339).
    pub at: String,
}

impl CaredStatus {
    /// What is known of one, if it is looked after.
    pub fn of(view: &CareView, deployment: &DeploymentId) -> Option<Self> {
        let cared = view.deployments.iter().find(|cared| cared.deployment == *deployment)?;
        Some(Self {
            policy: cared.policy.to_owned(),
            state: cared.state.to_owned(),
            idle_s: cared.idle_ms.map(|ms| ms as f64 / 1_000.0),
            deletion_at: cared.deletion_at_ms.map(clock::rfc3339),
            deletion_is_exact: cared.deletion_is_exact,
            urgency: cared.urgency.to_owned(),
            next: cared.next.map(|next| NextStatus {
                action: next.action.to_owned(),
                at: clock::rfc3339(next.at_ms),
                usd: next.usd,
            }),
            end: cared.end.map(|end| EndStatus {
                cause: end.cause.to_owned(),
                at: clock::rfc3339(end.at_ms),
            }),
            sentence: cared.sentence.clone(),
        })
    }
}
