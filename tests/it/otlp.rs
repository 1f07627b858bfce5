//! Traces and metrics as a collector gets them, and as the upstream sees the trace; and that without a collector nothing changes.

#![expect(clippy::float_cmp, reason = "sums of a few counts, which a float holds exactly")]

use std::net::SocketAddr;
use std::time::Instant;

use axum::http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::harness::{Answer, KEY, STREAM, Setup, V1, WHOLE, World, eventually, preset, read, within};

mod collector;

use collector::{Collector, Reserved, attributes};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT_SPAN: &str = "b7ad6b7169203331";

/// A collector's section of the file.
fn section(address: SocketAddr, more: &str) -> String {
    format!(
        "telemetry: {{ otlp: {{ endpoint: 'http://{address}', headers: {{ X-Api-Key: '${{env:KEY}}' }}, \
         resource: {{ deployment.environment.name: test }}, {more} }} }}"
    )
}

/// Every trace is kept and sent at once.
const ALL: &str = "traces: { share: 1, every: 10ms }";

async fn world(address: SocketAddr, more: &str) -> World {
    World::start(Setup {
        telemetry: section(address, more),
        ..Setup::default()
    })
    .await
}

/// Asks with a place in a trace of the client's.
async fn ask_in_trace(world: &World, question: &'static str, traceparent: &str) -> Answer {
    let request = world
        .post(V1, question)
        .header("traceparent", traceparent)
        .header("tracestate", "vendor=of-the-client")
        .header("baggage", "user=somebody");
    read(request.send().await.expect("an answer")).await
}

/// What the upstream saw of a header, one for each request.
fn seen(world: &World, account: &str, header: &str) -> Vec<Option<String>> {
    let of = |headers: &[(String, String)]| {
        let mut all = headers.iter().filter(|(name, _)| name == header);
        let first = all.next().map(|(_, value)| value.clone());
        assert_eq!(all.next(), None, "one `{header}` at most");
        first
    };
    let requests = world.requests_to(account);
    requests.iter().map(|request| of(&request.headers)).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).expect("a half");
    let digits = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect()
}

/// The spans of a request: its own, and its attempts' in their order.
fn in_order(mut spans: Vec<Span>) -> (Span, Vec<Span>) {
    spans.sort_by_key(|span| (span.kind == SpanKind::Client as i32, span.start_time_unix_nano));
    let own = spans.remove(0);
    assert_eq!(own.kind, SpanKind::Server as i32);
    (own, spans)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_went_on_is_one_trace_with_what_the_upstreams_saw() {
    let collector = Collector::start();
    let world = world(collector.address, ALL).await;
    world.fault_times("a", 1, preset("token_limit"));
    let answer = ask_in_trace(&world, STREAM, &format!("00-{TRACE}-{PARENT_SPAN}-01")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-emberway-attempts"), "2");

    let (own, attempts) = in_order(collector.spans_once(3).await);
    assert_eq!(hex(&own.parent_span_id), PARENT_SPAN);
    let [first, second] = attempts.as_slice() else {
        panic!("{attempts:?}")
    };
    for span in [&own, first, second] {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
    }
    for (attempt, account) in [(first, "a"), (second, "b")] {
        assert_eq!(attempt.parent_span_id, own.span_id);
        assert!(attempt.start_time_unix_nano >= own.start_time_unix_nano);
        assert!(attempt.end_time_unix_nano <= own.end_time_unix_nano);
        let sent = format!("00-{TRACE}-{}-01", hex(&attempt.span_id));
        assert_eq!(seen(&world, account, "traceparent"), [Some(sent)], "{account}");
        assert_eq!(
            seen(&world, account, "tracestate"),
            [Some("vendor=of-the-client".to_owned())]
        );
        assert_eq!(seen(&world, account, "baggage"), [None]);
    }
    assert!(first.end_time_unix_nano <= second.start_time_unix_nano);

    let said = attributes(&own.attributes);
    assert_eq!(said["emberway.request_id"], answer.header("x-request-id"));
    assert_eq!(said["gen_ai.request.model"], "bot");
    assert_eq!(said["emberway.deployment"], "b/ft");
    let record = world.record(&answer.headers).await;
    assert_eq!(said["gen_ai.usage.input_tokens"], record.prompt_tokens.to_string());
    assert_eq!(said["gen_ai.usage.output_tokens"], record.completion_tokens.to_string());
    let throttled = attributes(&first.attributes);
    assert_eq!(
        (&*throttled["error.type"], &*throttled["emberway.outcome"]),
        ("429", "throttled")
    );
    assert_eq!(throttled["server.address"], "127.0.0.1");
    assert_eq!(own.events.len(), 1, "{:?}", own.events);
    assert_eq!(own.events[0].name, "emberway.failover");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_says_who_sends_it_and_nothing_of_prompts() {
    let collector = Collector::start();
    let world = world(collector.address, ALL).await;
    assert_eq!(world.ask(WHOLE).await.status, 200);
    collector.spans_once(2).await;
    let headers = &collector.headers()[0];
    assert_eq!(headers["x-api-key"], KEY);
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let resource = collector.resource();
    assert_eq!(resource["service.name"], "emberway");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["deployment.environment.name"], "test");
    assert_eq!(resource["service.instance.id"].len(), 32);
    for secret in ["parcel", KEY, "key-a"] {
        assert!(!collector.has_text(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_its_client_does_not_keep_is_passed_on_and_not_sent() {
    let collector = Collector::start();
    let world = world(collector.address, ALL).await;
    ask_in_trace(&world, WHOLE, &format!("00-{TRACE}-{PARENT_SPAN}-00")).await;
    let kept = "1af7651916cd43dd8448eb211c80319c";
    ask_in_trace(&world, WHOLE, &format!("00-{kept}-{PARENT_SPAN}-01")).await;
    let spans = collector.spans_once(2).await;
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| hex(&span.trace_id) == kept));
    let sent = seen(&world, "a", "traceparent")[0].clone().expect("a header");
    assert!(
        sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-00"),
        "{sent}"
    );
    assert!(!sent.contains(PARENT_SPAN), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_sound_trace_gets_one_by_the_share() {
    let collector = Collector::start();
    let world = world(collector.address, "traces: { share: 0, every: 10ms }").await;
    ask_in_trace(&world, WHOLE, "nonsense").await;
    let sent = seen(&world, "a", "traceparent")[0].clone().expect("a header");
    assert!(
        sent.starts_with("00-") && sent.ends_with("-00") && sent.len() == 55,
        "{sent}"
    );
    assert_eq!(seen(&world, "a", "tracestate"), [None], "it belongs to no trace");
    ask_in_trace(&world, WHOLE, &format!("00-{TRACE}-{PARENT_SPAN}-01")).await;
    let spans = collector.spans_once(2).await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "{spans:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_traces_nothing_is_added_and_the_clients_own_passes() {
    let collector = Collector::start();
    for telemetry in [String::new(), section(collector.address, "metrics: { every: 1s }")] {
        let world = World::start(Setup {
            telemetry,
            ..Setup::default()
        })
        .await;
        assert_eq!(world.ask(WHOLE).await.status, 200);
        ask_in_trace(&world, WHOLE, "as it came").await;
        assert_eq!(seen(&world, "a", "traceparent"), [None, Some("as it came".to_owned())]);
        assert_eq!(
            seen(&world, "a", "tracestate"),
            [None, Some("vendor=of-the-client".to_owned())]
        );
        assert_eq!(seen(&world, "a", "baggage"), [None, None]);
    }
    assert_eq!(collector.spans(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_loses_nothing_that_fits_and_costs_requests_nothing() {
    let reserved = Reserved::new();
    let world = world(reserved.address(), "traces: { share: 1, every: 10ms, queue: 16 }").await;
    let counted = async |result: &str| {
        let series = format!("emberway_otlp_spans_total{{result=\"{result}\"}}");
        world.metric(&series).await.unwrap_or(0.0)
    };
    assert_eq!(world.ask(WHOLE).await.status, 200);
    // Its two spans are with whoever sends from here on, and the queue behind it is empty.
    eventually("a failure", || async {
        let failed = "emberway_otlp_exports_total{result=\"failed\",signal=\"traces\"}";
        world.metric(failed).await
    })
    .await;
    for _ in 0..20 {
        assert_eq!(world.ask(WHOLE).await.status, 200);
    }
    eventually("what does not fit", || async {
        (counted("dropped").await == 24.0).then_some(())
    })
    .await;
    assert_eq!(counted("sent").await, 0.0);
    let collector = reserved.start();
    let spans = collector.spans_once(18).await;
    assert_eq!(spans.len(), 18);
    eventually("the count", || async { (counted("sent").await == 18.0).then_some(()) }).await;
    assert_eq!(counted("dropped").await, 24.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_collector_refuses_is_not_sent_again() {
    let collector = Collector::start();
    collector.refuse(Some(StatusCode::UNAUTHORIZED));
    let world = world(collector.address, ALL).await;
    assert_eq!(world.ask(WHOLE).await.status, 200);
    eventually("a refusal", || async {
        let refused = world.metric("emberway_otlp_spans_total{result=\"refused\"}").await?;
        (refused == 2.0).then_some(())
    })
    .await;
    collector.refuse(None);
    assert_eq!(world.ask(WHOLE).await.status, 200);
    assert_eq!(collector.spans_once(2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_agree_with_those_of_the_admin_listener() {
    let collector = Collector::start();
    let world = world(collector.address, "metrics: { every: 1h }").await;
    world.fault_times("a", 1, preset("token_limit"));
    for question in [WHOLE, STREAM, STREAM] {
        assert_eq!(world.ask(question).await.status, 200);
    }
    world.records_once(3).await;
    let text = world.admin("/metrics").await.text();
    let total = |series: &str, label: &str| -> f64 {
        let lines = text
            .lines()
            .filter(|line| line.starts_with(series) && line.contains(label));
        let values = lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
        values.sum()
    };
    let World { gateway, sim: _sim, .. } = world;
    gateway.drain().await.expect("all written");
    assert_eq!(collector.metrics_taken(), 1, "once, at the end");
    for (ours, series, label) in [
        ("emberway.requests", "emberway_requests_total{", ""),
        ("emberway.attempts", "emberway_attempts_total{", ""),
        ("emberway.cached_tokens", "emberway_tokens_total{", "kind=\"cached\""),
        (
            "gen_ai.client.operation.duration",
            "gen_ai_client_operation_duration_seconds_count{",
            "",
        ),
        ("gen_ai.server.request.duration", "emberway_requests_total{", ""),
    ] {
        assert_eq!(collector.sum(ours), total(series, label), "{ours}");
    }
    assert_eq!(collector.sum("emberway.requests"), 3.0);
    assert_eq!(collector.sum("emberway.attempts"), 4.0);
    assert_eq!(
        collector.sum("gen_ai.client.token.usage"),
        6.0,
        "input and output of each"
    );
    assert_eq!(collector.sum("gen_ai.server.time_to_first_token"), 2.0, "streams only");
    let throttled = collector.figures("emberway.attempts");
    let throttled = throttled
        .iter()
        .find(|(said, _)| said["emberway.outcome"] == "throttled");
    assert_eq!(
        throttled.map(|(said, times)| (&*said["emberway.deployment"], *times)),
        Some(("a/ft", 1.0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_sent_at_the_end() {
    let collector = Collector::start();
    let world = world(collector.address, "traces: { share: 1, every: 1h }").await;
    assert_eq!(world.ask(WHOLE).await.status, 200);
    let World { gateway, sim: _sim, .. } = world;
    within("the drain", gateway.drain()).await.expect("all written");
    assert_eq!(collector.spans().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_does_not_keep_a_process() {
    let reserved = Reserved::new();
    let world = world(
        reserved.address(),
        "traces: { share: 1, every: 1h }, metrics: { every: 1h }",
    )
    .await;
    assert_eq!(world.ask(WHOLE).await.status, 200);
    let World { gateway, sim: _sim, .. } = world;
    let began = Instant::now();
    within("the drain", gateway.drain()).await.expect("all written");
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}
