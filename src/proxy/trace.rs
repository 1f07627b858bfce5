//! What a finished request leaves for the trace, if its conversation is in it, and for what-if questions.

use crate::core::ledger::usage::{RequestOutcome, UsageRecord, UsageSource};
use crate::core::recorded::{TraceRecord, Used};
use crate::proxy::Gateway;
use crate::proxy::context::RequestContext;

/// Leaves a request for the trace and for the newest requests in memory. One that nobody answered is demand too, and is left with what it
/// would have asked for. What is left out could not be served by any fleet: requests that a deployment rejected, those whose client left
/// before an answer, and those without a prompt.
pub fn note(gateway: &Gateway, context: &RequestContext, record: &UsageRecord) {
    let Some((placed, opener)) = context
        .placed
        .as_ref()
        .and_then(|placed| Some((placed, placed.prompt.opener?)))
    else {
        return;
    };
    let is_answered = record.source != UsageSource::None;
    if !is_answered && !is_unmet(record.outcome) {
        return;
    }
    let trace = gateway.trace.as_ref().filter(|trace| trace.has(opener));
    let recent = gateway.recent.as_ref();
    let (Some(live), Some(route)) = (&context.live, context.route) else {
        return;
    };
    if trace.is_none() && recent.is_none() {
        return;
    }
    let snapshot = &live.config.runtime.snapshot;
    let prompt = &placed.prompt;
    let left = TraceRecord {
        at_ms: record.started_at_ms,
        chain: prompt.chain.clone(),
        prompt_tokens: if is_answered {
            record.prompt_tokens
        } else {
            u64::from(prompt.ask.prompt_tokens)
        },
        used: is_answered.then(|| Used {
            completion_tokens: record.completion_tokens,
            cached_tokens: record.cached_tokens,
            deployment: record.deployment.clone(),
        }),
        ask: prompt.ask,
        route: record.route.clone(),
        pool: Some(snapshot.pools[snapshot.routes[route.0].pool.0].id.clone()),
        policy: snapshot.routes[route.0].policy,
        // How long a refusal took says nothing of an answer.
        took_ms: if is_answered {
            u32::try_from(record.total_us / 1_000).unwrap_or(u32::MAX)
        } else {
            0
        },
    };
    match (trace, recent) {
        (Some(trace), Some(recent)) => {
            trace.record(left.clone());
            recent.note(left);
        }
        (Some(trace), None) => trace.record(left),
        (None, Some(recent)) => recent.note(left),
        (None, None) => {}
    }
}

/// Whether a request without an answer would have had one of a larger or sounder fleet.
fn is_unmet(outcome: RequestOutcome) -> bool {
    match outcome {
        RequestOutcome::Throttled | RequestOutcome::UpstreamFailed | RequestOutcome::Refused => true,
        RequestOutcome::Success | RequestOutcome::Broken | RequestOutcome::Rejected | RequestOutcome::ClientGone => {
            false
        }
    }
}
