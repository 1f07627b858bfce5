//! What a finished request leaves for those who keep history of it: its record, and its attempts with their times.
//!
//! Costs no allocation for a request of at most two attempts: all names are shared.

use std::time::{Duration, Instant};

use crate::core::ledger::finished::{Finished, FinishedAttempt};
use crate::core::ledger::usage::UsageRecord;
use crate::core::recovery::outcome::AttemptOutcome;
use crate::proxy::Gateway;
use crate::proxy::context::RequestContext;
use crate::proxy::misses::Judged;
use crate::proxy::state::Live;

/// Leaves a request that ended `now`.
pub fn leave(
    gateway: &Gateway,
    live: &Live,
    context: &RequestContext,
    record: &UsageRecord,
    (reason, judged): (&'static str, Option<Judged>),
    now: Instant,
) {
    let attempts = (0..context.attempts.len()).map(|index| attempt(live, context, index, now));
    // One that found no room is counted there.
    gateway.finished.leave(Finished {
        record: record.clone(),
        reason,
        overhead_us: micros(context.overhead(now)),
        body_us: micros(context.body_wait),
        queue_us: micros(context.queue_wait),
        expected_tokens: judged.map(|judged| judged.expected),
        miss: judged.and_then(|judged| judged.miss),
        trace: context.trace,
        attempts: attempts.collect(),
    });
}

fn attempt(live: &Live, context: &RequestContext, index: usize, now: Instant) -> FinishedAttempt {
    let snapshot = &live.config.runtime.snapshot;
    let facts = &context.attempts[index];
    let deployment = &snapshot.deployments[facts.deployment.0];
    let answers =
        context.is_deciding(index) && matches!(facts.outcome, AttemptOutcome::Success | AttemptOutcome::Broken);
    let total = if answers {
        now.saturating_duration_since(facts.began)
    } else {
        facts.took()
    };
    FinishedAttempt {
        deployment: deployment.id.clone(),
        region: snapshot.resources[deployment.resource.0].region.clone(),
        reason: facts.reason.into(),
        outcome: facts.outcome.into(),
        status: facts.status,
        began_us: micros(facts.began.saturating_duration_since(context.started)),
        headers_us: micros(facts.took()),
        total_us: micros(total),
        retry_after_ms: facts
            .retry_after
            .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        maybe_billed: facts.maybe_billed,
        answers,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
