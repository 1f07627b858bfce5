//! What a deployment learns from the end of an attempt, and who is told of it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::core::recovery::outcome::{AttemptOutcome, Effect};
use crate::core::topology::DeploymentIx;
use crate::proxy::state::Live;
use crate::telemetry::{clock, events};

/// Tells a deployment's health what an attempt taught, and everybody else when it rests or its breaker changed.
pub fn learn(live: &Live, deployment: DeploymentIx, cause: AttemptOutcome, effect: Effect) {
    let state = &live.deployments[deployment.0].state;
    let id = &live.config.runtime.snapshot.deployments[deployment.0].id;
    if cause == AttemptOutcome::Success {
        state.last_success_at_ms.fetch_max(clock::now_ms(), Ordering::Relaxed);
    }
    let asked = match effect {
        Effect::Rest(asked) => Some(asked),
        Effect::Pause(asked) => Some(Some(asked)),
        Effect::Works | Effect::Begins | Effect::Nothing | Effect::Failure | Effect::Unusable(_) => None,
    };
    if let Some(asked) = asked {
        events::DeploymentCooling {
            deployment: id,
            rest: live.rules.rest(asked),
            cause: cause.into(),
        }
        .emit();
    }
    let changed = state.health.lock().end(effect, &live.rules, Instant::now());
    if let Some(state) = changed {
        events::BreakerChanged {
            deployment: id,
            state,
            cause: cause.into(),
        }
        .emit();
    }
}
