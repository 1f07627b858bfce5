//! What a finished request leaves for the trace, if its conversation is in it.

use crate::core::ledger::usage::{UsageRecord, UsageSource};
use crate::proxy::Gateway;
use crate::proxy::context::RequestContext;
use crate::storage::trace::TraceRecord;

/// Leaves a request for the trace. One without an answer used nothing, and one without a prompt has no blocks: neither is traffic that
/// a replay could play.
pub fn note(gateway: &Gateway, context: &RequestContext, record: &UsageRecord) {
    let (Some(trace), Some(placed)) = (&gateway.trace, &context.placed) else {
        return;
    };
    let prompt = &placed.prompt;
    if record.source == UsageSource::None || !prompt.opener.is_some_and(|opener| trace.has(opener)) {
        return;
    }
    trace.record(TraceRecord {
        at_ms: record.started_at_ms,
        chain: prompt.chain.clone(),
        prompt_tokens: record.prompt_tokens,
        completion_tokens: record.completion_tokens,
        cached_tokens: record.cached_tokens,
        limit_tokens: u64::from(prompt.ask.total_tokens),
        is_first_turn: prompt.ask.is_first_turn,
        route: record.route.clone(),
        deployment: record.deployment.clone(),
    });
}
