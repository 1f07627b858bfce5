//! What a finished request leaves for the trace, if its conversation is in it.

use crate::core::ledger::usage::{RequestOutcome, UsageRecord, UsageSource};
use crate::proxy::Gateway;
use crate::proxy::context::RequestContext;
use crate::storage::trace::{TraceRecord, Used};

/// Leaves a request for the trace. One that nobody answered is demand too, and is left with what it would have asked for. What is left
/// out could not be served by any fleet: requests that a deployment rejected, those whose client left before an answer, and
/// those without a prompt.
pub fn note(gateway: &Gateway, context: &RequestContext, record: &UsageRecord) {
    let (Some(trace), Some(placed)) = (&gateway.trace, &context.placed) else {
        return;
    };
    let prompt = &placed.prompt;
    let is_answered = record.source != UsageSource::None;
    let is_in = prompt.opener.is_some_and(|opener| trace.has(opener));
    if !is_in || !is_answered && !is_unmet(record.outcome) {
        return;
    }
    let (Some(live), Some(route)) = (&context.live, context.route) else {
        return;
    };
    trace.record(TraceRecord {
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
        limit_tokens: u64::from(prompt.ask.total_tokens),
        is_first_turn: prompt.ask.is_first_turn,
        route: record.route.clone(),
        policy: live.config.runtime.snapshot.routes[route.0].policy,
    });
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
