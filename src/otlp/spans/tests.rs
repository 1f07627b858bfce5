//! Spans of requests: ids, parents, times, and what they say.

use std::num::{NonZeroU64, NonZeroU128};

use opentelemetry::Value;

use super::*;
use crate::core::ledger::finished::testing::finished;
use crate::core::ledger::usage::RequestOutcome;
use crate::core::trace_context::Sampling;
use crate::otlp::testing::{failed_over, places};

const STARTED_MS: i64 = 1_764_000_000_123;

fn in_trace(mut request: Finished, parent: Option<&str>, share: f64) -> Finished {
    let parent = parent.map(|text| TraceParent::parse(text.as_bytes()).expect("a parent"));
    let (id, span) = (
        NonZeroU128::new(0xabc).expect("an id"),
        NonZeroU64::new(0xdef).expect("an id"),
    );
    request.trace = Some(RequestTrace::begin(parent, id, span, Sampling::new(share, true)));
    request
}

fn spans(request: &Finished) -> Vec<SpanData> {
    let mut spans = Vec::new();
    add(request, &places(), &scope(), &mut spans);
    spans
}

/// What a span says, in the order of its names.
fn said(span: &SpanData) -> Vec<String> {
    let shown = |value: &Value| match value {
        Value::F64(number) => format!("{number:?}"),
        other => other.to_string(),
    };
    let attributes = span.attributes.iter();
    let mut said: Vec<String> = attributes
        .map(|attribute| format!("{}={}", attribute.key, shown(&attribute.value)))
        .collect();
    said.sort_unstable();
    said
}

#[test]
fn a_trace_that_is_not_kept_has_no_spans() {
    assert_eq!(spans(&finished(STARTED_MS)), [], "no trace at all");
    assert_eq!(spans(&in_trace(finished(STARTED_MS), None, 0.0)), []);
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    assert_eq!(spans(&in_trace(finished(STARTED_MS), Some(unsampled), 1.0)), []);
}

#[test]
fn attempts_are_children_of_their_request_with_the_ids_they_were_sent_with() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = in_trace(failed_over(STARTED_MS), Some(parent), 0.0);
    let spans = spans(&request);
    let [own, first, second] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    let trace = request.trace.expect("a trace");
    assert_eq!(own.parent_span_id, SpanId::from(0xb7ad_6b71_6920_3331_u64));
    assert!(own.parent_span_is_remote && !first.parent_span_is_remote);
    assert_eq!(own.span_context.span_id(), SpanId::from(0xdef_u64));
    for (number, attempt) in [first, second].into_iter().enumerate() {
        assert_eq!(attempt.parent_span_id, own.span_context.span_id());
        assert_eq!(attempt.span_context.span_id(), trace.attempt(number).span.get().into());
    }
    for span in &spans {
        let trace = span.span_context.trace_id();
        assert_eq!(trace, TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128));
        assert!(span.span_context.is_sampled());
    }
    assert_eq!(
        [own, first, second].map(|span| span.span_kind.clone()),
        [SpanKind::Server, SpanKind::Client, SpanKind::Client]
    );
    assert_eq!(
        [own, first, second].map(|span| &*span.name),
        ["chat support", "chat two", "chat one"]
    );
}

#[test]
fn a_trace_that_begins_here_has_no_parent() {
    let spans = spans(&in_trace(finished(STARTED_MS), None, 1.0));
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].parent_span_id, SpanId::INVALID);
    assert!(!spans[0].parent_span_is_remote);
}

#[test]
fn times_are_the_requests_own() {
    let spans = spans(&in_trace(failed_over(STARTED_MS), None, 1.0));
    let since = |moment: SystemTime| {
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(STARTED_MS.unsigned_abs());
        moment.duration_since(start).expect("not before").as_micros()
    };
    let times: Vec<_> = spans
        .iter()
        .map(|span| (since(span.start_time), since(span.end_time)))
        .collect();
    assert_eq!(times, [(0, 900_000), (1_000, 20_000), (21_000, 920_500)]);
    let events = &spans[0].events.events;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&*events[0].name, since(events[0].timestamp)),
        ("emberway.failover", 21_000)
    );
    let said: Vec<String> = events[0]
        .attributes
        .iter()
        .map(|said| format!("{}={}", said.key, said.value))
        .collect();
    assert_eq!(
        said,
        [
            "emberway.from=us/two",
            "emberway.to=eu/one",
            "emberway.outcome=throttled",
            "emberway.reason=failover"
        ]
    );
}

#[test]
fn only_a_move_to_another_deployment_is_a_failover() {
    let check = |deployment: &str, reason: &'static str, expected: usize| {
        let mut request = in_trace(failed_over(STARTED_MS), None, 1.0);
        request.attempts[1].deployment = deployment.into();
        request.attempts[1].reason = reason;
        let events = &spans(&request)[0].events.events;
        assert_eq!(events.len(), expected, "{deployment} {reason}: {events:?}");
    };
    check("eu/one", "failover", 1);
    check("us/two", "retry", 0);
    check("eu/one", "hedge", 0);
}

#[test]
fn what_a_request_says() {
    let spans = spans(&in_trace(failed_over(STARTED_MS), None, 1.0));
    assert_eq!(
        said(&spans[0]),
        [
            "emberway.attempts=2",
            "emberway.cache.expected_tokens=1152",
            "emberway.client=shop",
            "emberway.deployment=eu/one",
            "emberway.outcome=success",
            "emberway.overhead_seconds=0.0004",
            "emberway.reason=home",
            "emberway.region=swedencentral",
            "emberway.request_id=r1",
            "emberway.route=support",
            "gen_ai.operation.name=chat",
            "gen_ai.provider.name=azure.ai.openai",
            "gen_ai.request.model=support",
            "gen_ai.request.stream=true",
            "gen_ai.response.model=gpt-4.1-mini",
            "gen_ai.response.time_to_first_chunk=0.3",
            "gen_ai.usage.cache_read.input_tokens=1024",
            "gen_ai.usage.input_tokens=2000",
            "gen_ai.usage.output_tokens=50",
            "http.request.method=POST",
            "http.response.status_code=200",
            "http.route=/chat/completions",
            "openai.api.type=chat_completions",
        ]
    );
    assert_eq!(spans[0].status, Status::Unset);
}

#[test]
fn what_attempts_say() {
    let spans = spans(&in_trace(failed_over(STARTED_MS), None, 1.0));
    assert_eq!(
        said(&spans[1]),
        [
            "emberway.answers=false",
            "emberway.deployment=us/two",
            "emberway.maybe_billed=false",
            "emberway.outcome=throttled",
            "emberway.reason=home",
            "emberway.region=eastus2",
            "emberway.retry_after_seconds=7.5",
            "emberway.time_to_answer_seconds=0.019",
            "error.type=429",
            "gen_ai.operation.name=chat",
            "gen_ai.provider.name=azure.ai.openai",
            "gen_ai.request.model=two",
            "gen_ai.request.stream=true",
            "http.request.method=POST",
            "http.response.status_code=429",
            "server.address=us.example.com",
            "server.port=8443",
        ]
    );
    assert_eq!(spans[1].status, Status::error(""));
    let second = said(&spans[2]);
    for expected in [
        "http.request.resend_count=1",
        "emberway.answers=true",
        "server.port=443",
    ] {
        assert!(second.iter().any(|said| said == expected), "{expected}: {second:?}");
    }
    assert_eq!(spans[2].status, Status::Unset);
}

/// The status of the request's span and of its one attempt's, with what they give as the error's type.
#[track_caller]
fn check(outcome: RequestOutcome, attempt: (&'static str, u16), expected: [Option<&str>; 2]) {
    let mut request = in_trace(finished(STARTED_MS), None, 1.0);
    request.record.outcome = outcome;
    (request.attempts[0].outcome, request.attempts[0].status) = attempt;
    let shown = spans(&request).into_iter().map(|span| {
        let error = said(&span)
            .iter()
            .find_map(|said| said.strip_prefix("error.type=").map(str::to_owned));
        assert_eq!(span.status == Status::error(""), error.is_some(), "{span:?}");
        error
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        expected.map(|error| error.map(str::to_owned)),
        "{outcome:?} {attempt:?}"
    );
}

#[test]
fn errors_are_those_of_whoever_is_told_of() {
    check(RequestOutcome::Success, ("success", 200), [None, None]);
    check(RequestOutcome::Rejected, ("rejected", 400), [None, Some("400")]);
    check(RequestOutcome::ClientGone, ("client_gone", 0), [None, None]);
    check(
        RequestOutcome::Throttled,
        ("throttled", 429),
        [Some("throttled"), Some("429")],
    );
    check(
        RequestOutcome::UpstreamFailed,
        ("timeout", 0),
        [Some("upstream_failed"), Some("timeout")],
    );
    check(
        RequestOutcome::Broken,
        ("broken", 200),
        [Some("broken"), Some("broken")],
    );
    check(RequestOutcome::Refused, ("cut_off", 0), [Some("refused"), None]);
    check(RequestOutcome::Success, ("overtaken", 0), [None, None]);
}

#[test]
fn a_deployment_that_left_the_configuration_is_told_by_its_name() {
    let mut request = in_trace(finished(STARTED_MS), None, 1.0);
    request.attempts[0].deployment = "gone/three".into();
    let attempt = said(&spans(&request)[1]);
    assert!(
        attempt.contains(&"gen_ai.request.model=gone/three".to_owned()),
        "{attempt:?}"
    );
    assert!(!attempt.iter().any(|said| said.starts_with("server.")), "{attempt:?}");
}
