//! A finished request as spans: one for the request, as whoever answered its client, and one for each attempt, as a client of Azure.
//!
//! Ids and the decision to keep a trace were made when the request began; an attempt's id is the one that it was sent with. Times are the
//! wall clock's at the request's start (to the millisecond) and microseconds from there, so that all spans of a request agree.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::core::history::sums::is_move;
use crate::core::ledger::finished::{Finished, FinishedAttempt};
use crate::core::ledger::usage::{Operation, UsageSource};
use crate::core::trace_context::{RequestTrace, TraceParent};
use crate::otlp::place::Places;
use crate::otlp::words::{self, count, named, seconds};

/// What made the spans.
pub fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("emberway")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

/// Adds a request's spans, if its trace is kept.
pub fn add(finished: &Finished, places: &Places, scope: &InstrumentationScope, spans: &mut Vec<SpanData>) {
    let Some(trace) = finished.trace.filter(|trace| trace.own.is_sampled()) else {
        return;
    };
    spans.push(request_span(finished, trace, places, scope));
    for (number, attempt) in finished.attempts.iter().enumerate() {
        spans.push(attempt_span(finished, attempt, (trace, number), places, scope));
    }
}

fn request_span(finished: &Finished, trace: RequestTrace, places: &Places, scope: &InstrumentationScope) -> SpanData {
    let record = &finished.record;
    let operation = words::operation(record.operation);
    SpanData {
        span_context: context(trace.own),
        parent_span_id: trace.parent.map_or(SpanId::INVALID, |parent| parent.get().into()),
        parent_span_is_remote: trace.parent.is_some(),
        span_kind: SpanKind::Server,
        name: format!("{operation} {}", record.route).into(),
        start_time: at(finished, 0),
        end_time: at(finished, record.total_us),
        attributes: request_attributes(finished, places),
        dropped_attributes_count: 0,
        events: failovers(finished),
        links: SpanLinks::default(),
        status: status(words::request_error(record.outcome).is_some()),
        instrumentation_scope: scope.clone(),
    }
}

fn request_attributes(finished: &Finished, places: &Places) -> Vec<KeyValue> {
    let record = &finished.record;
    let outcome: &'static str = record.outcome.into();
    let mut attributes = Vec::with_capacity(28);
    attributes.extend(words::common(finished));
    attributes.extend([
        KeyValue::new("http.request.method", "POST"),
        KeyValue::new("http.route", words::http_route(record.operation)),
        named("gen_ai.request.model", &record.route),
        KeyValue::new("gen_ai.request.stream", record.streamed),
        KeyValue::new(
            "emberway.request_id",
            opentelemetry::StringValue::from(record.request_id.clone()),
        ),
        named("emberway.route", &record.route),
        named("emberway.client", &record.client),
        KeyValue::new("emberway.outcome", outcome),
        KeyValue::new("emberway.reason", finished.reason),
        count("emberway.attempts", u64::from(record.attempts)),
        KeyValue::new("emberway.overhead_seconds", seconds(finished.overhead_us)),
    ]);
    match record.operation {
        Operation::Chat => attributes.push(KeyValue::new("openai.api.type", "chat_completions")),
        Operation::Responses => attributes.push(KeyValue::new("openai.api.type", "responses")),
        Operation::Completions | Operation::Embeddings => {}
    }
    if record.status > 0 {
        attributes.push(count("http.response.status_code", u64::from(record.status)));
    }
    if let Some(error) = words::request_error(record.outcome) {
        attributes.push(KeyValue::new("error.type", error));
    }
    if let Some(deployment) = &record.deployment {
        attributes.push(named("emberway.deployment", deployment));
        let answered = finished.attempts.iter().any(|attempt| attempt.answers);
        let model = places.of(deployment).and_then(|place| place.model.as_ref());
        attributes.extend(
            model
                .filter(|_| answered)
                .map(|model| named("gen_ai.response.model", model)),
        );
    }
    attributes.extend(record.region.as_ref().map(|region| named("emberway.region", region)));
    if record.source != UsageSource::None {
        attributes.extend([
            count("gen_ai.usage.input_tokens", record.prompt_tokens),
            count("gen_ai.usage.output_tokens", record.completion_tokens),
            count("gen_ai.usage.cache_read.input_tokens", record.cached_tokens),
        ]);
    }
    if let Some(us) = record.first_token_us {
        attributes.push(KeyValue::new("gen_ai.response.time_to_first_chunk", seconds(us)));
    }
    if finished.queue_us > 0 {
        attributes.push(KeyValue::new("emberway.wait_seconds", seconds(finished.queue_us)));
    }
    if let Some(expected) = finished.expected_tokens {
        attributes.push(count("emberway.cache.expected_tokens", expected));
    }
    if let Some(miss) = finished.miss {
        let cause: &'static str = miss.cause.into();
        attributes.push(KeyValue::new("emberway.cache.miss", cause));
    }
    attributes
}

/// An event for each time that the request went on to another deployment after a failure, when it did.
fn failovers(finished: &Finished) -> SpanEvents {
    let mut events = SpanEvents::default();
    for pair in finished.attempts.windows(2) {
        let [from, to] = pair else { continue };
        if !is_move(from, to) {
            continue;
        }
        let attributes = vec![
            named("emberway.from", &from.deployment),
            named("emberway.to", &to.deployment),
            KeyValue::new("emberway.outcome", from.outcome),
            KeyValue::new("emberway.reason", to.reason),
        ];
        let event = Event::new("emberway.failover", at(finished, to.began_us), attributes, 0);
        events.events.push(event);
    }
    events
}

fn attempt_span(
    finished: &Finished,
    attempt: &FinishedAttempt,
    (trace, number): (RequestTrace, usize),
    places: &Places,
    scope: &InstrumentationScope,
) -> SpanData {
    let place = places.of(&attempt.deployment);
    let own_name = place.map_or(&*attempt.deployment, |place| &place.name);
    let operation = words::operation(finished.record.operation);
    let error = words::attempt_error(attempt);
    let mut attributes = Vec::with_capacity(18);
    attributes.extend(words::common(finished));
    attributes.extend([
        KeyValue::new("http.request.method", "POST"),
        named("gen_ai.request.model", own_name),
        KeyValue::new("gen_ai.request.stream", finished.record.streamed),
        named("emberway.deployment", &attempt.deployment),
        named("emberway.region", &attempt.region),
        KeyValue::new("emberway.reason", attempt.reason),
        KeyValue::new("emberway.outcome", attempt.outcome),
        KeyValue::new("emberway.answers", attempt.answers),
        KeyValue::new("emberway.maybe_billed", attempt.maybe_billed),
        KeyValue::new("emberway.time_to_answer_seconds", seconds(attempt.headers_us)),
    ]);
    if let Some(place) = place {
        attributes.push(named("server.address", &place.host));
        attributes.push(count("server.port", u64::from(place.port)));
    }
    if attempt.status > 0 {
        attributes.push(count("http.response.status_code", u64::from(attempt.status)));
    }
    if number > 0 {
        attributes.push(count("http.request.resend_count", number as u64));
    }
    if let Some(ms) = attempt.retry_after_ms {
        attributes.push(KeyValue::new("emberway.retry_after_seconds", ms as f64 / 1e3));
    }
    let is_failed = error.is_some();
    attributes.extend(error.map(|error| KeyValue::new("error.type", error)));
    SpanData {
        span_context: context(trace.attempt(number)),
        parent_span_id: trace.own.span.get().into(),
        parent_span_is_remote: false,
        span_kind: SpanKind::Client,
        name: format!("{operation} {own_name}").into(),
        start_time: at(finished, attempt.began_us),
        end_time: at(finished, attempt.began_us.saturating_add(attempt.total_us)),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: status(is_failed),
        instrumentation_scope: scope.clone(),
    }
}

fn context(place: TraceParent) -> SpanContext {
    SpanContext::new(
        TraceId::from(place.trace.get()),
        SpanId::from(place.span.get()),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    )
}

/// Why is in `error.type`.
fn status(is_failed: bool) -> Status {
    if is_failed { Status::error("") } else { Status::Unset }
}

/// A moment of a request, so many microseconds after its start.
fn at(finished: &Finished, us: u64) -> SystemTime {
    let started = Duration::from_millis(finished.record.started_at_ms.max(0).unsigned_abs());
    let moment = started.checked_add(Duration::from_micros(us));
    let moment = moment.and_then(|moment| SystemTime::UNIX_EPOCH.checked_add(moment));
    moment.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
