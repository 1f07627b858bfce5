//! What a deployment and its resource learn from the end of an attempt, and who is told of it.

use std::time::Instant;

use parking_lot::Mutex;

use crate::core::recovery::health::{BreakerState, Health};
use crate::core::recovery::outcome::{Alarm, AttemptEnd, AttemptOutcome, Effect, Next, Scope, Verdict};
use crate::core::topology::{DeploymentIx, ResourceIx};
use crate::proxy::state::Live;
use crate::telemetry::view::FailureView;
use crate::telemetry::{clock, events};

/// An answer that was relayed to its end.
pub const RELAYED: Verdict = of_relay(AttemptOutcome::Success, Effect::Works, Scope::Deployment);
/// An answer that broke while it was relayed.
pub const BROKEN: Verdict = of_relay(AttemptOutcome::Broken, Effect::Failure, Scope::Both);

const fn of_relay(outcome: AttemptOutcome, effect: Effect, scope: Scope) -> Verdict {
    Verdict {
        outcome,
        next: Next::Final,
        effect,
        scope,
        maybe_billed: true,
        alarm: None,
    }
}

/// The HTTP status of an attempt's answer, if it was one. A stream with an error in it began with 200, which would only confuse.
pub fn answered(end: AttemptEnd<'_>) -> Option<u16> {
    match end {
        AttemptEnd::Status { status, .. } | AttemptEnd::Begun { status } => Some(status),
        _ => None,
    }
}

/// Tells a deployment's health and its resource's what an attempt taught, and everybody else when it rests, a breaker changed or an
/// operator is needed. `began` is the attempt's beginning, `status` the answer's, where it says why.
pub fn learn(live: &Live, deployment: DeploymentIx, verdict: Verdict, began: Instant, status: Option<u16>) {
    let Verdict {
        outcome,
        effect,
        scope,
        alarm,
        ..
    } = verdict;
    let state = &live.deployments[deployment.0].state;
    let configured = &live.config.runtime.snapshot.deployments[deployment.0];
    if outcome == AttemptOutcome::Success {
        state.note_success(clock::now_ms());
    }
    let is_held_against_it = !matches!(effect, Effect::Works | Effect::Begins | Effect::Nothing);
    if is_held_against_it {
        *state.last_failure.lock() = Some(FailureView {
            at_ms: clock::now_ms(),
            outcome,
            status,
        });
    }
    if let Effect::Rest(asked) = effect {
        tell_rest(live, deployment, asked, outcome);
    } else if let Effect::Pause(asked) = effect {
        tell_rest(live, deployment, Some(asked), outcome);
    }
    let subject = Subject {
        live,
        deployment,
        resource: configured.resource,
        cause: outcome,
        began,
    };
    match scope {
        Scope::Deployment => {
            subject.teach_deployment(effect);
            // Whatever it said: the host is there and takes the credential.
            if effect != Effect::Nothing {
                subject.teach_resource(Effect::Works);
            }
        }
        Scope::Resource => subject.teach_resource(effect),
        Scope::Both => {
            subject.teach_deployment(effect);
            subject.teach_resource(effect);
        }
    }
    if let Some(alarm) = alarm {
        if alarm == Alarm::DeploymentMissing {
            state.was_missed.make();
        }
        subject.raise(alarm, scope);
    }
}

fn tell_rest(live: &Live, deployment: DeploymentIx, asked: Option<std::time::Duration>, cause: AttemptOutcome) {
    events::DeploymentCooling {
        deployment: &live.config.runtime.snapshot.deployments[deployment.0].id,
        rest: live.rules.rest(asked),
        cause: cause.into(),
    }
    .emit();
}

/// Whom an attempt tells about.
struct Subject<'a> {
    live: &'a Live,
    deployment: DeploymentIx,
    resource: ResourceIx,
    cause: AttemptOutcome,
    began: Instant,
}

impl Subject<'_> {
    fn teach_deployment(&self, effect: Effect) {
        let health = &self.live.deployments[self.deployment.0].state.health;
        if let Some(state) = self.teach(health, effect, None) {
            events::BreakerChanged {
                of: events::BreakerOf::Deployment(&self.live.config.runtime.snapshot.deployments[self.deployment.0].id),
                state,
                cause: self.cause.into(),
            }
            .emit(self.live.series.metrics().journal());
        }
    }

    fn teach_resource(&self, effect: Effect) {
        let health = &self.live.resources[self.resource.0].state.health;
        if let Some(state) = self.teach(health, effect, Some(self.resource)) {
            events::BreakerChanged {
                of: events::BreakerOf::Resource(&self.live.config.runtime.snapshot.resources[self.resource.0].id),
                state,
                cause: self.cause.into(),
            }
            .emit(self.live.series.metrics().journal());
        }
    }

    /// The breaker's new state, if it changed. One that too many others of a pool preceded stays closed.
    fn teach(&self, health: &Mutex<Health>, effect: Effect, resource: Option<ResourceIx>) -> Option<BreakerState> {
        let now = Instant::now();
        let after = {
            let mut health = health.lock();
            // A stream that ends well, and began before its host was lost, does not bring the host back.
            if matches!(effect, Effect::Works | Effect::Begins) && health.has_opened_since(self.began) {
                return None;
            }
            let before = health.state(now);
            let after = health.end(effect, &self.live.rules, now)?;
            if after != BreakerState::Open || before != BreakerState::Closed || effect != Effect::Failure {
                return Some(after);
            }
            after
        };
        if self.live.has_too_many_ejected(self.deployment, resource, now) {
            health.lock().stay();
            return None;
        }
        Some(after)
    }

    fn raise(&self, alarm: Alarm, scope: Scope) {
        let state = &self.live.deployments[self.deployment.0].state;
        let is_new = match scope {
            Scope::Resource => self.live.resources[self.resource.0].state.health.lock().raise(alarm),
            Scope::Deployment | Scope::Both => state.health.lock().raise(alarm),
        };
        events::AlarmRaised {
            deployment: &self.live.config.runtime.snapshot.deployments[self.deployment.0].id,
            alarm,
            is_news: is_new,
        }
        .emit(self.live.series.metrics().journal());
    }
}
