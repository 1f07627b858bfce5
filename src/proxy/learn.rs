//! What a deployment learns from the end of an attempt, and who is told of it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::core::recovery::outcome::{AttemptEnd, AttemptOutcome, Effect, Verdict};
use crate::core::topology::DeploymentIx;
use crate::proxy::state::Live;
use crate::telemetry::view::FailureView;
use crate::telemetry::{clock, events};

/// How an attempt ended, and what its deployment learns from it.
#[derive(Debug, Clone, Copy)]
pub struct Lesson {
    /// How it ended.
    pub cause: AttemptOutcome,
    /// The answer's HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What that says of the deployment.
    pub effect: Effect,
}

impl Lesson {
    /// Of an attempt that was classified.
    pub fn of(end: AttemptEnd<'_>, verdict: Verdict) -> Self {
        let status = match end {
            AttemptEnd::Status { status, .. } | AttemptEnd::Begun { status } => Some(status),
            // A stream with an error in it began with 200, which would only confuse.
            AttemptEnd::ErrorInStream { .. }
            | AttemptEnd::Unreachable
            | AttemptEnd::Reset
            | AttemptEnd::Timeout
            | AttemptEnd::ClientGone => None,
        };
        Self {
            cause: verdict.outcome,
            status,
            effect: verdict.effect,
        }
    }

    /// Of an answer that had begun, by its end: its status, which was good, says nothing of that.
    pub fn begun(cause: AttemptOutcome, effect: Effect) -> Self {
        Self {
            cause,
            status: None,
            effect,
        }
    }
}

/// Tells a deployment's health what an attempt taught, and everybody else when it rests or its breaker changed.
pub fn learn(live: &Live, deployment: DeploymentIx, lesson: Lesson) {
    let Lesson { cause, status, effect } = lesson;
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
    if asked.is_some() || matches!(effect, Effect::Failure | Effect::Unusable(_)) {
        *state.last_failure.lock() = Some(FailureView {
            at_ms: clock::now_ms(),
            outcome: cause,
            status,
        });
    }
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
