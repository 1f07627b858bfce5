//! How often the hot path asks the allocator, step by step. Unlike timings these counts do not depend on the machine, so
//! they are held exactly: a count that rises is a regression, one that falls is to be written down here.
//!
//! `allocation-counter` replaces the allocator of the whole program, and counts one thread at a time; hence a test program of
//! its own. Counting events and metrics is held to zero beside `telemetry::events`.

#[path = "../benches/inputs.rs"]
mod inputs;

use std::hint::black_box;
use std::time::Duration;

use allocation_counter::measure;
use bytes::Bytes;
use emberway::config::checked::ClientKey;
use emberway::core::ledger::finished::{Finished, FinishedAttempt};
use emberway::core::ledger::usage::{Operation, RequestOutcome, UsageRecord, UsageSource};
use emberway::core::placement::chain::{ChainBuilder, ChainKey};
use emberway::core::placement::plan::Placement;
use emberway::core::placement::rule::Rule;
use emberway::core::placement::view::{Ask, CACHE_LIFE, Member, Tier, View};
use emberway::core::recovery::health::Availability;
use emberway::core::router::{self, Known};
use emberway::core::topology::{ClientIx, DeploymentIx};
use emberway::core::trace_context::Sampling;
use emberway::openai::body::{self, Edits};
use emberway::openai::canonical::{self, Sink, response};
use emberway::openai::request;
use emberway::openai::sse::Scanner;
use emberway::openai::stream::{self, Stripped};
use emberway::openai::target::WireOperation;
use emberway::proxy::auth::KeyTable;
use emberway::proxy::headers::Forwarded;
use emberway::proxy::tap::StreamTap;
use emberway::proxy::tracing::{self, Tracing};
use emberway::telemetry::finished::FinishedQueue;
use http::HeaderMap;
use sha2::{Digest, Sha256};

/// A prompt's canonical form, cut into blocks.
struct Blocks(ChainBuilder);

impl Sink for Blocks {
    fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    fn end_segment(&mut self) {
        self.0.cut();
    }

    fn is_full(&self) -> bool {
        self.0.is_full()
    }
}

/// How often `run` allocates; its result is dropped inside.
fn allocations<T>(run: impl FnOnce() -> T) -> u64 {
    measure(|| drop(black_box(run()))).count_total
}

/// A body that its first clone has made shareable, as those read from a socket are.
fn shared(body: Vec<u8>) -> Bytes {
    let body = Bytes::from(body);
    drop(body.clone());
    body
}

fn events(stream: Vec<u8>) -> Vec<Bytes> {
    let mut list = Vec::new();
    Scanner::default().feed(&shared(stream), |event| list.push(event));
    list
}

#[test]
fn reading_a_body_takes_one_stack_of_brackets() {
    let body = inputs::chat_body(64 << 10);
    assert_eq!(
        allocations(|| request::parse(body.as_bytes()).expect("valid").closing_at),
        1
    );
}

/// The ids and their ends for a long prompt's chain: none a block, none for a short one, and none for the plan.
#[test]
fn placing_a_prompt_allocates_nothing_for_a_block() {
    let member = |at: usize| Member::named(DeploymentIx(at), &format!("a/{at}"), 1e6);
    let tier = Tier {
        members: (0..8).map(member).collect(),
    };
    let view = View {
        tiers: std::iter::once(tier).collect(),
        replicas: 2.0,
    };
    let ask = Ask {
        prompt_tokens: 16_384,
        total_tokens: 16_500,
        is_first_turn: false,
        is_cacheable: true,
        session: None,
        draw: 0,
    };
    let placement = Placement::new(Rule::default());
    let now = Duration::from_mins(1);
    for (bytes, for_chain) in [(2 << 10, 0), (32 << 10, 2), (64 << 10, 2), (1 << 20, 2)] {
        let body = inputs::documents_body(bytes, 1);
        let request = request::parse(body.as_bytes()).expect("valid");
        let chain = || {
            let mut blocks = Blocks(ChainBuilder::new(ChainKey::new("support")));
            canonical::write(&request, &mut blocks);
            blocks.0.finish()
        };
        assert_eq!(allocations(chain), for_chain, "{bytes} bytes");
        let chain = chain();
        assert_eq!(
            allocations(|| placement.plan(&view, &chain, &ask, now)),
            0,
            "{bytes} bytes"
        );
        assert_eq!(
            allocations(|| placement.sent(&chain, 16_384, view.tiers[0].members[0].seed, now)),
            0
        );
    }
}

/// Tools, images, escaped keys, content in parts, brackets without end: every way through the canonical form.
#[test]
fn the_canonical_form_allocates_nothing() {
    struct Measured(usize);

    impl Sink for Measured {
        fn push(&mut self, bytes: &[u8]) {
            self.0 += bytes.len();
        }

        fn end_segment(&mut self) {}

        fn is_full(&self) -> bool {
            self.0 > 4_096
        }
    }

    let image = format!(r"data:image\/png;base64,{}", "iVBORw0KGgo\\/".repeat(1_000));
    for body in [
        inputs::chat_body(64 << 10),
        r#"{"prompt":["\ud83d\ude00","\ud83d",[1,2],{"a":null}]}"#.to_owned(),
        format!(
            r#"{{"tools":[{{"type":"function","function":{{"parameters":{{"a":[1,null]}}}}}}],"messages":[{{"cont\u0065nt":[
                {{"type":"image_url","image_url":{{"url":"{image}"}}}},{{"type":"text","text":"\n"}}],"r\u006fle":"user"}},{}1{}]}}"#,
            "[".repeat(10_000),
            "]".repeat(10_000)
        ),
    ] {
        let request = request::parse(body.as_bytes()).expect("valid");
        assert_eq!(allocations(|| canonical::write(&request, &mut Measured(0))), 0);
        // A chat's messages would do as a response's items.
        let items = body.replacen("\"messages\"", "\"input\"", 1);
        let request = request::parse(items.as_bytes()).expect("valid");
        assert_eq!(allocations(|| response::write(&request, &mut Measured(0))), 0);
    }
}

#[test]
fn editing_a_body_does_not_depend_on_its_size() {
    for (edits, expect) in [
        (
            Edits {
                model: None,
                ask_usage: false,
                cache_key: None,
            },
            0,
        ),
        (
            Edits {
                model: Some("support"),
                ask_usage: false,
                cache_key: None,
            },
            1,
        ),
        (
            Edits {
                model: None,
                ask_usage: true,
                cache_key: None,
            },
            1,
        ),
        (
            Edits {
                model: Some("support"),
                ask_usage: true,
                cache_key: None,
            },
            2,
        ),
    ] {
        for size in [64 << 10, 1 << 20] {
            let body = shared(inputs::chat_body(size).into_bytes());
            let request = request::parse(&body).expect("valid");
            let info = measure(|| drop(black_box(body::edited(&body, &request, edits))));
            assert_eq!(info.count_total, expect, "{edits:?} at {size}");
            assert!(
                info.bytes_total < 512,
                "{edits:?} at {size}: {} bytes",
                info.bytes_total
            );
        }
    }
}

#[test]
fn describing_a_pool_of_eight_allocates_nothing() {
    let member = |at: usize| Member::named(DeploymentIx(at), &format!("a/{at}"), 1e6);
    let outline = View {
        tiers: std::iter::once(Tier {
            members: (0..8).map(member).collect(),
        })
        .collect(),
        replicas: 1.0,
    };
    let known = |_: DeploymentIx| Known {
        availability: Availability::Ready,
        is_admitted: true,
        share: 1.0,
        limit: 1e6,
        used: 5e5,
        in_flight: 3.0,
        latency: 0.0,
        cache_life: CACHE_LIFE,
        lost_before: Duration::ZERO,
        caches: true,
    };
    assert_eq!(allocations(|| router::view(&outline, known)), 0);
}

#[test]
fn finding_a_client_by_its_key_allocates_nothing() {
    let keys: Vec<_> = (0..100)
        .map(|client| ClientKey {
            digest: Sha256::digest(format!("key-{client}")).into(),
            client: ClientIx(client),
        })
        .collect();
    let table = KeyTable::new(&keys);
    for (name, value, is_known) in [
        ("api-key", "key-42", true),
        ("authorization", "Bearer key-42", true),
        ("api-key", "key-none", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("header"));
        assert_eq!(table.authenticate(&headers).is_ok(), is_known);
        assert_eq!(allocations(|| table.authenticate(&headers)), 0, "{name}: {value}");
    }
}

#[test]
fn whole_events_are_cut_without_a_copy() {
    let chunk = shared(inputs::stream(200));
    let mut scanner = Scanner::default();
    assert_eq!(allocations(|| scanner.feed(&chunk, drop)), 0);
}

#[test]
fn output_passes_the_tap_without_a_copy() {
    let list = events(inputs::stream(200));
    let mut tap = StreamTap::new(false);
    let (first, output) = list.split_at(2);
    for event in first {
        tap.feed(event);
    }
    assert!(tap.seen.is_decided(), "the first token has come");
    for event in &output[..100] {
        let mut out = Bytes::new();
        assert_eq!(measure(|| out = tap.feed(event)).count_total, 0);
        assert_eq!(out.as_ptr(), event.as_ptr(), "the same bytes");
    }
}

#[test]
fn an_output_event_is_understood_without_allocating() {
    let list = events(inputs::stream(200));
    for event in &list[2..100] {
        assert_eq!(allocations(|| stream::classify_after_output(event)), 0);
        assert_eq!(allocations(|| stream::usage_beside(event)), 0);
    }
}

#[test]
fn an_output_event_of_a_response_passes_without_a_copy() {
    const DELTA: &str =
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n";
    let event = shared(DELTA.into());
    let mut tap = StreamTap::of(WireOperation::Responses, false);
    tap.feed(&event);
    let mut out = Bytes::new();
    assert_eq!(measure(|| out = tap.feed(&event)).count_total, 0);
    assert_eq!((out.as_ptr(), tap.seen.output_events), (event.as_ptr(), 2));
}

#[test]
fn taking_usage_out_allocates_the_new_event_and_nothing_else() {
    let list = events(inputs::stream(200));
    for event in &list[..100] {
        let info = measure(|| drop(black_box(stream::strip_usage(event))));
        assert_eq!(info.count_total, 1);
        assert!(info.bytes_total < event.len() as u64, "{} bytes", info.bytes_total);
    }
    let Stripped::Edited(plain) = stream::strip_usage(&list[2]) else {
        panic!("it had usage");
    };
    assert_eq!(allocations(|| stream::strip_usage(&plain)), 0, "without usage");
    let report = &list[list.len() - 2];
    assert_eq!(stream::strip_usage(report), Stripped::Dropped);
    assert_eq!(
        allocations(|| stream::strip_usage(report)),
        1,
        "the report is parsed: a stack of brackets"
    );
}

/// Where no traces are sent, a client's own headers pass as they are; where they are, a place in a trace is drawn and read in place, and
/// only the header of an attempt is made.
#[test]
fn a_trace_costs_one_allocation_an_attempt_and_none_without() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut headers = HeaderMap::new();
    for (name, value) in [("traceparent", PARENT), ("tracestate", "a=1"), ("user-agent", "test")] {
        headers.insert(name, value.parse().expect("header"));
    }
    // As values read from a socket, which share its buffer: others become shareable by their first copy.
    drop(headers.clone());
    assert_eq!(allocations(|| Forwarded::of(&headers, None)), 0);
    let on = Tracing {
        sampling: Sampling::new(0.05, true),
    };
    // The thread's generator of random numbers is made once.
    let trace = on.begin(&headers);
    assert_eq!(allocations(|| on.begin(&headers)), 0);
    assert_eq!(allocations(|| Forwarded::of(&headers, Some(trace))), 0);
    assert_eq!(allocations(|| tracing::header(trace.attempt(0))), 1);
}

/// Its names are shared with the usage record, and the queue keeps its memory: the copy for history costs no allocation.
#[test]
fn a_finished_request_is_left_for_history_without_allocating() {
    let record = UsageRecord {
        request_id: "3f".repeat(16).into(),
        started_at_ms: 0,
        client: "shop".into(),
        route: "support".into(),
        operation: Operation::Chat,
        deployment: Some("eu/ft".into()),
        region: Some("swedencentral".into()),
        served_region: Some("swedencentral".into()),
        spilled_to: None,
        attempts: 2,
        outcome: RequestOutcome::Success,
        status: 200,
        streamed: true,
        source: UsageSource::Reported,
        prompt_tokens: 2_000,
        cached_tokens: 1_024,
        completion_tokens: 50,
        first_byte_us: Some(1),
        first_token_us: Some(2),
        total_us: 3,
        upstream_us: 1,
        kept: None,
    };
    let attempt = FinishedAttempt {
        deployment: "eu/ft".into(),
        region: "swedencentral".into(),
        reason: "home",
        outcome: "success",
        status: 200,
        began_us: 0,
        headers_us: 1,
        total_us: 3,
        retry_after_ms: None,
        maybe_billed: false,
        answers: true,
    };
    let (queue, mut taken) = (FinishedQueue::default(), Vec::new());
    let leave = || {
        queue.leave(Finished {
            record: record.clone(),
            reason: "home",
            overhead_us: 0,
            body_us: 0,
            queue_us: 0,
            expected_tokens: None,
            miss: None,
            trace: None,
            attempts: [attempt.clone(), attempt.clone()].into_iter().collect(),
        })
    };
    assert!(leave(), "the queue has memory now");
    assert_eq!(allocations(leave), 0);
    queue.take(&mut taken);
    assert_eq!(taken.len(), 2);
}
