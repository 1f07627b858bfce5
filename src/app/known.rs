//! What the store and this process tell each other of deployments: when they were first seen, and when they last answered.

use std::sync::atomic::Ordering;

use crate::proxy::state::Live;
use crate::storage::{DeploymentSeen, DeploymentTotals};

/// Gives deployments that are new to this process what the store remembers of them; the others know better already.
pub(super) fn seed(live: &Live, known: &[DeploymentTotals], now_ms: i64) {
    for (deployment, live) in live.config.runtime.snapshot.deployments.iter().zip(&live.deployments) {
        let known = known.iter().find(|known| known.deployment == deployment.id);
        let last_success = known.and_then(|known| known.last_success_at_ms);
        // One that is yet to come is of a clock that ran ahead.
        let last_success = last_success.filter(|at| *at <= now_ms).unwrap_or(0);
        live.state.last_success_at_ms.fetch_max(last_success, Ordering::Relaxed);
        live.state
            .note_first_seen(known.map_or(now_ms, |known| known.first_seen_ms));
    }
}

/// What the store should remember of the deployments, whether or not they are ever called.
pub(super) fn seen(live: &Live) -> Vec<DeploymentSeen> {
    let deployments = live.config.runtime.snapshot.deployments.iter().zip(&live.deployments);
    deployments
        .map(|(deployment, live)| DeploymentSeen {
            deployment: deployment.id.clone(),
            seen_at_ms: live.state.first_seen_ms.load(Ordering::Relaxed),
            created_at_ms: deployment.created_at_ms,
            last_success_at_ms: None,
        })
        .collect()
}
