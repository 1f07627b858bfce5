//! The end of every request: one usage record, one event for it and one for each attempt, whatever happened.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::checked::WhenFull;
use crate::core::ledger::usage::{Operation, RequestOutcome, UsageRecord, UsageSource};
use crate::core::placement::plan::Reason;
use crate::core::recovery::outcome::AttemptOutcome;
use crate::core::topology::{ClientIx, RouteIx};
use crate::openai::target::WireOperation;
use crate::openai::usage::{self, Usage};
use crate::proxy::context::{AttemptFacts, RequestContext};
use crate::proxy::misses::{Before, CachedAnswer, Judged};
use crate::proxy::observe::Observed;
use crate::proxy::state::Live;
use crate::proxy::{Gateway, client_limits, finished, trace};
use crate::telemetry::events::{AnswerTimes, AttemptFinished, BilledTwice, RequestFinished};

/// Hands the facts over; where the usage queue is full and the configuration says so, waits for room.
pub async fn finish_waiting(gateway: &Gateway, context: &mut RequestContext) {
    let Some(record) = take(gateway, context) else { return };
    match gateway.when_full {
        WhenFull::Wait => gateway.usage.record_or_wait(record).await,
        WhenFull::Drop => drop(gateway.usage.record(record)),
    }
}

/// Hands the facts over without waiting; does nothing the second time.
pub fn finish(gateway: &Gateway, context: &mut RequestContext) {
    if let Some(record) = take(gateway, context) {
        gateway.usage.record(record);
    }
}

/// Tokens that count against limits. Of a request whose client left before an answer, at least its prompt where the provider may
/// have worked on it: else one who always leaves early would have no limit.
fn used(context: &RequestContext, record: &UsageRecord) -> u64 {
    let reported = record.prompt_tokens + record.completion_tokens;
    let is_left = context.outcome == RequestOutcome::ClientGone && record.source == UsageSource::None;
    let is_worked_on = is_left && context.attempts.iter().any(|attempt| attempt.maybe_billed);
    let prompt = context.placed.as_ref().filter(|_| is_worked_on);
    reported.max(prompt.map_or(0, |placed| u64::from(placed.prompt.ask.prompt_tokens)))
}

/// Emits the events and makes the record, once. A request that never got as far as a route has no record: nobody can be
/// charged for it, and its refusal has been counted.
fn take(gateway: &Gateway, context: &mut RequestContext) -> Option<UsageRecord> {
    if !context.finish() {
        return None;
    }
    let live = context.live.clone()?;
    let (client, route) = (context.client?, context.route?);
    let now = Instant::now();
    let record = record(&live, context, client, route, now);
    client_limits::settle(&live, context, used(context, &record), now);
    for (index, attempt) in context.attempts.iter().enumerate() {
        emit_attempt(&live, context, route, attempt, index, now);
    }
    let deciding = context.deciding_attempt();
    let judged = context
        .reported
        .and_then(|reported| judge(gateway, &live, context, reported, now));
    trace::note(gateway, context, &record);
    let reason = deciding.map_or_else(
        || context.refusal.map_or("none", Into::into),
        |attempt| attempt.reason.into(),
    );
    finished::leave(gateway, &live, context, &record, (reason, judged), now);
    RequestFinished {
        record: &record,
        client,
        route,
        deployment: deciding.map(|attempt| attempt.deployment),
        reason,
        gateway: context.overhead(now),
        trace: context.trace,
    }
    .emit(&live.series);
    Some(record)
}

/// Sets what the answer reports as cached against what was expected.
fn judge(gateway: &Gateway, live: &Live, context: &RequestContext, usage: Usage, now: Instant) -> Option<Judged> {
    let (client, route) = (context.client?, context.route?);
    let (attempt, placed) = (context.deciding_attempt()?, context.placed.as_ref()?);
    if attempt.is_spilled {
        return None;
    }
    let observed = Observed {
        gateway,
        live,
        deployment: attempt.deployment,
        now,
    };
    observed.note_used(placed, attempt, usage);
    let answer = CachedAnswer {
        at_ms: context.started_at_ms,
        client,
        route,
        deployment: attempt.deployment,
        reason: attempt.reason,
        before: Before::of(context.before_deciding().iter().map(|before| before.outcome)),
        placed,
        usage,
    };
    gateway.misses.note(live, &answer)
}

fn emit_attempt(
    live: &Live,
    context: &RequestContext,
    route: RouteIx,
    attempt: &AttemptFacts,
    index: usize,
    now: Instant,
) {
    let since_start = |at: Instant| at.saturating_duration_since(attempt.began);
    let is_deciding = context.is_deciding(index);
    let is_answer = is_deciding && matches!(attempt.outcome, AttemptOutcome::Success | AttemptOutcome::Broken);
    AttemptFinished {
        request_id: &context.id,
        route,
        deployment: attempt.deployment,
        number: u32::try_from(index + 1).unwrap_or(u32::MAX),
        outcome: attempt.outcome.into(),
        reason: attempt.reason.into(),
        status: (attempt.status > 0).then_some(attempt.status),
        duration: attempt.took(),
        answer: is_answer.then(|| AnswerTimes {
            first_chunk: context.first_token.map(since_start),
            total: since_start(now),
        }),
        retry_after: attempt.retry_after,
        maybe_billed_twice: (attempt.maybe_billed && !is_deciding).then(|| billed_twice(attempt)),
        keyed: attempt.keyed,
    }
    .emit(&live.series);
}

/// Why an attempt that may be billed was not the only one.
fn billed_twice(attempt: &AttemptFacts) -> BilledTwice {
    if attempt.outcome == AttemptOutcome::Overtaken || attempt.reason == Reason::Hedge {
        BilledTwice::Hedged
    } else {
        BilledTwice::GivenUp
    }
}

fn record(live: &Live, context: &RequestContext, client: ClientIx, route: RouteIx, now: Instant) -> UsageRecord {
    let snapshot = &live.config.runtime.snapshot;
    let deployment = context
        .deciding_attempt()
        .map(|attempt| &snapshot.deployments[attempt.deployment.0]);
    let region = deployment.map(|deployment| snapshot.resources[deployment.resource.0].region.clone());
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let since_start = |at: Instant| micros(at.duration_since(context.started));
    let (source, usage) = usage_of(context);
    UsageRecord {
        request_id: Arc::clone(&context.id),
        started_at_ms: context.started_at_ms,
        client: snapshot.clients[client.0].id.clone(),
        route: snapshot.routes[route.0].id.clone(),
        operation: match context.operation {
            Some(WireOperation::Completions) => Operation::Completions,
            Some(WireOperation::Embeddings) => Operation::Embeddings,
            Some(WireOperation::Responses) => Operation::Responses,
            Some(WireOperation::Chat) | None => Operation::Chat,
        },
        deployment: deployment.map(|deployment| deployment.id.clone()),
        region,
        served_region: context.served_region.clone(),
        spilled_to: context.spilled_to.clone(),
        attempts: u32::try_from(context.attempts.len()).unwrap_or(u32::MAX),
        outcome: context.outcome,
        status: context.status,
        streamed: context.streamed,
        source,
        prompt_tokens: usage.prompt,
        cached_tokens: usage.cached,
        completion_tokens: usage.completion,
        first_byte_us: context.first_byte.map(since_start),
        first_token_us: context.first_token.map(since_start),
        total_us: since_start(now),
        upstream_us: micros(context.upstream_wait),
        kept: context.kept,
    }
}

/// The tokens a request used, and how sure that is. An answer that began and brought no report is estimated: the prompt by its
/// length, the output by its events, of which Azure sends about one a token.
fn usage_of(context: &RequestContext) -> (UsageSource, Usage) {
    if let Some(reported) = context.reported {
        return (UsageSource::Reported, reported);
    }
    let has_answer = (200..300).contains(&context.status);
    if !has_answer {
        return (UsageSource::None, Usage::default());
    }
    let prompt = usage::estimate_tokens(context.prompt_bytes);
    (
        UsageSource::Estimated,
        Usage {
            prompt,
            cached: 0,
            completion: context.output_events,
        },
    )
}
