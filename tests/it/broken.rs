//! Streams that end before their time: the client leaves, or the upstream breaks after its first output.

use std::sync::Arc;
use std::time::{Duration, Instant};

use emberway::simulator::faults::Action;
use emberway::simulator::record::Ending;
use serde_json::Value;

use tokio::sync::Notify;

use crate::harness::{KEY, STREAM, STREAM_WITH_USAGE, Setup, V1, WHOLE, World, client, eventually, preset};
use crate::wire::{STREAM_HEAD, Scripted, Step, Wire, chunk, request};

/// Output that has begun: annotations, role, and so many tokens.
pub(crate) const BEGUN: u32 = 6;

/// A model that writes slowly enough to be left in the middle.
fn slow() -> Setup {
    Setup {
        engine: "base_latency_ms: 1, prefill_us_per_token: 0, decode_tokens_per_s: 20, min_output_tokens: 90",
        ..Setup::default()
    }
}

/// Waits for the simulator to see its client leave, which it calls so only in the middle of an answer.
async fn until_cancelled(world: &World) {
    eventually("a cancelled request", || async {
        let requests = world.requests();
        requests
            .iter()
            .any(|request| request.outcome.ending == Ending::Cancelled)
            .then_some(())
    })
    .await;
}

/// The client leaves; upstream is told before its answer ends, and the record says what happened.
async fn check_leaving(setup: Setup, question: &str, slow_head: bool, until: &str) {
    let world = World::start(setup).await;
    if slow_head {
        world.fault("a", Action::Delay { ms: 60_000 });
    }
    let mut wire = Wire::connect(world.address()).await;
    wire.send(request(KEY, question)).await;
    if until.is_empty() {
        eventually("the request upstream", || async {
            (world.requests().len() == 1).then_some(())
        })
        .await;
    } else {
        wire.read_until(until).await;
    }
    drop(wire);
    until_cancelled(&world).await;
    let record = world.records_once(1).await.remove(0);
    assert_eq!(record.outcome, "client_gone");
    assert_eq!(record.attempts, 1, "{record:?}");
    assert_eq!(world.requests().len(), 1, "nobody else is asked");
    let state = world.deployment("a/ft").await;
    assert_eq!((&state["breaker"], &state["in_flight"]), (&"closed".into(), &0.into()));
    if !until.is_empty() {
        assert_eq!((record.status, record.source.as_str()), (200, "estimated"));
        assert!(record.completion_tokens >= 1, "{record:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_answer_cancels_it() {
    check_leaving(Setup::default(), WHOLE, true, "").await;
    check_leaving(Setup::default(), STREAM, true, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_cancels_the_rest() {
    check_leaving(slow(), STREAM, false, "\"delta\":{\"content\":").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http2_that_leaves_cancels_its_stream_only() {
    let world = World::start(slow()).await;
    let h2 = client(reqwest::ClientBuilder::http2_prior_knowledge);
    let url = format!("http://{}{V1}", world.address());
    let ask = || h2.post(&url).header("api-key", KEY).body(STREAM).send();
    let (mut stays, mut leaves) = (ask().await.unwrap(), ask().await.unwrap());
    leaves.chunk().await.unwrap().expect("a beginning");
    drop(leaves);
    until_cancelled(&world).await;
    let mut rest = String::new();
    while let Some(chunk) = stays.chunk().await.unwrap() {
        rest += std::str::from_utf8(&chunk).unwrap();
    }
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
    let mut outcomes: Vec<_> = world.records_once(2).await.into_iter().map(|row| row.outcome).collect();
    outcomes.sort();
    assert_eq!(outcomes, ["client_gone", "success"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_is_let_go() {
    // Far more than both sockets' buffers hold.
    let text = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "x".repeat(64_000)
    );
    let steps = move |_| {
        let mut steps = vec![Step::Send(STREAM_HEAD.into())];
        steps.extend((0..1_000).map(|_| Step::Send(chunk(&text))));
        steps
    };
    let upstream = Scripted::start(steps).await;
    let world = World::start(Setup {
        scripted: vec![("a", upstream.address)],
        timeouts: "idle: 300ms",
        ..Setup::default()
    })
    .await;
    let mut wire = Wire::connect(world.address()).await;
    wire.send(request(KEY, STREAM)).await;
    wire.read_until("\"delta\"").await;
    let record = world.records_once(1).await.remove(0);
    assert_eq!(record.outcome, "client_gone");
    assert_eq!(world.deployment("a/ft").await["in_flight"], 0);
    let attempts = |outcome: &str| {
        format!(r#"emberway_attempts_total{{deployment="a/ft",outcome="{outcome}",reason="short_prompt",route="bot"}}"#)
    };
    assert_eq!(world.metric(&attempts("client_gone")).await, Some(1.0));
    assert_eq!(world.metric(&attempts("success")).await, None);
}

/// A stream breaks after output: what came stays, an error event follows, nothing pretends to be complete.
async fn check_broken(action: Action, question: &str, code: &str) {
    let world = World::start(Setup {
        timeouts: "idle: 300ms",
        health: "consecutive_failures: 1",
        ..Setup::default()
    })
    .await;
    world.fault("a", action.clone());
    let mut wire = Wire::connect(world.address()).await;
    wire.send(request(KEY, question)).await;
    let head = wire.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    // The chunked body ends in order, so that what was sent last is surely read.
    let body = wire.read_until("\r\n0\r\n\r\n").await;
    assert!(body.contains("\"delta\":{\"content\":"), "{action:?}: {body}");
    assert!(!body.contains("[DONE]"), "{action:?}: {body}");
    assert_eq!(body.matches("\"error\"").count(), 1, "{action:?}: {body}");
    let event = body.lines().find_map(|line| line.strip_prefix("data: {\"error\""));
    let event: Value = serde_json::from_str(&format!("{{\"error\"{}", event.expect("an error event"))).unwrap();
    assert_eq!(event["error"]["code"].as_str().unwrap_or_default(), code, "{action:?}");

    let record = world.records_once(1).await.remove(0);
    assert_eq!((record.outcome.as_str(), record.attempts), ("broken", 1), "{action:?}");
    assert_eq!(world.deployment("a/ft").await["breaker"], "open", "{action:?}");
    assert_eq!(
        world.requests_to("b").len(),
        0,
        "{action:?}: a begun stream never fails over"
    );
    // The connection is still good.
    world.sim.control().clear_faults();
    wire.send(request(KEY, WHOLE)).await;
    assert!(wire.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_after_output_ends_with_an_error_event() {
    for question in [STREAM, STREAM_WITH_USAGE] {
        let after_chunks = BEGUN;
        check_broken(Action::Cut { after_chunks }, question, "stream_broken").await;
        check_broken(Action::Stall { after_chunks }, question, "stream_broken").await;
        check_broken(Action::OmitDone, question, "stream_broken").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_break_one_after_another_open_the_breaker() {
    let world = World::start(Setup {
        health: "consecutive_failures: 3, open_for: 60s",
        ..Setup::default()
    })
    .await;
    world.fault_times("a", 2, Action::Cut { after_chunks: BEGUN });
    for _ in 0..2 {
        assert!(world.ask(STREAM).await.text().contains("stream_broken"));
    }
    assert_eq!(world.deployment("a/ft").await["breaker"], "closed");
    // One that comes to its end clears the slate.
    assert!(world.ask(STREAM).await.text().ends_with("data: [DONE]\n\n"));
    world.fault_times("a", 3, Action::Cut { after_chunks: BEGUN });
    for broken in 0..3 {
        assert_eq!(world.deployment("a/ft").await["breaker"], "closed", "after {broken}");
        assert!(world.ask(STREAM).await.text().contains("stream_broken"));
    }
    // The client has the error event a moment before the deployment has learned of it.
    eventually("an open breaker", || async {
        (world.deployment("a/ft").await["breaker"] == "open").then_some(())
    })
    .await;
    let answer = world.ask(STREAM).await;
    assert_eq!(answer.header("x-emberway-deployment"), "b/ft");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstreams_own_error_event_is_the_only_one() {
    let world = World::start(Setup::default()).await;
    let action = Action::StreamError { after_chunks: BEGUN };
    world.fault("a", action.clone());
    let direct = world.ask_simulator("a", STREAM).await.text();
    let error = direct
        .lines()
        .find(|line| line.contains("\"error\""))
        .expect("an error");
    let answer = world.ask(STREAM).await;
    let shown: Vec<_> = answer
        .text()
        .lines()
        .filter(|line| line.contains("\"error\""))
        .map(str::to_owned)
        .collect();
    assert_eq!(shown, [error]);
    assert!(!answer.text().contains("[DONE]"));
    assert_eq!(world.record(&answer.headers).await.outcome, "broken");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_after_done_is_nothing_to_the_client() {
    let output = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    let done = "data: [DONE]\n\n";
    let never = Arc::new(Notify::new());
    for (what, last) in [
        ("silence", Step::Wait(never)),
        ("a close", Step::Close),
        ("a reset", Step::Reset),
    ] {
        for (text, pieces) in [
            (format!("{output}{done}"), vec![chunk(output), chunk(done)]),
            (format!("{output}{done}"), vec![chunk(format!("{output}{done}"))]),
            (done.to_owned(), vec![chunk(done)]),
        ] {
            let last = last.clone();
            let upstream = Scripted::start(move |_| {
                let pieces = [STREAM_HEAD.into()].into_iter().chain(pieces.clone());
                let steps = pieces.flat_map(|piece| [Step::Send(piece), Step::Yield]);
                steps.chain([last.clone()]).collect()
            })
            .await;
            let world = World::start(Setup {
                scripted: vec![("a", upstream.address)],
                // Longer than the client waits.
                timeouts: "idle: 60s",
                health: "consecutive_failures: 1",
                ..Setup::default()
            })
            .await;
            let answer = world.ask(STREAM).await;
            assert_eq!(answer.text(), text, "{what}");
            assert_eq!(world.record(&answer.headers).await.outcome, "success", "{what}");
            let state = world.deployment("a/ft").await;
            assert_eq!(
                (&state["breaker"], &state["in_flight"]),
                (&"closed".into(), &0.into()),
                "{what}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_inside_an_event_still_leaves_the_error_readable() {
    for (question, passes_half) in [(STREAM, false), (STREAM_WITH_USAGE, true)] {
        let output = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
        let half = "data: {\"choices\":[{\"delta\":{\"half";
        let steps = move |_| {
            let pieces = [STREAM_HEAD.into(), chunk(output), chunk(half)].map(Step::Send);
            pieces.into_iter().chain([Step::Close]).collect()
        };
        let upstream = Scripted::start(steps).await;
        let world = World::start(Setup {
            scripted: vec![("a", upstream.address)],
            ..Setup::default()
        })
        .await;
        let text = world.ask(question).await.text();
        let events: Vec<&str> = text.split_terminator("\n\n").collect();
        let last = events.last().expect("events");
        assert!(last.starts_with("data: {\"error\""), "{text}");
        assert_eq!(text.contains(half), passes_half, "{text}");
        assert!(text.ends_with("\n\n"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_that_breaks_is_not_ended_properly() {
    let body = vec![b'x'; 2 * 1024 * 1024];
    let of_length = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3145728\r\n\r\n".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for (head, body) in [(of_length, body.clone()), (chunked, chunk(&body))] {
        let length = body.len();
        let upstream = Scripted::start(move |_| {
            let steps = [Step::Send(head.clone()), Step::Send(body.clone()), Step::Close];
            steps.into()
        })
        .await;
        let world = World::start(Setup {
            scripted: vec![("a", upstream.address)],
            ..Setup::default()
        })
        .await;
        let mut wire = Wire::connect(world.address()).await;
        wire.send(request(KEY, WHOLE)).await;
        wire.read_until("\r\n\r\n").await;
        let (rest, _) = wire.read_to_end().await;
        assert!(
            rest.len() > 1024 * 1024 && rest.len() <= length + 4096,
            "{}",
            rest.len()
        );
        assert!(!rest.ends_with("\r\n0\r\n\r\n"), "ended as if complete");
        // A library notices too.
        let failed = world.post(V1, WHOLE).send().await.unwrap().bytes().await;
        assert!(failed.is_err());
        let record = world.records_once(2).await.remove(0);
        assert_eq!((record.outcome.as_str(), record.attempts), ("broken", 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_that_is_whole_is_passed_on() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| b'a' + (at % 26) as u8).collect();
    let expect = body.clone();
    let upstream = Scripted::start(move |_| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3000000\r\n\r\n".to_vec();
        vec![Step::Send(head), Step::Send(body.clone())]
    })
    .await;
    let world = World::start(Setup {
        scripted: vec![("a", upstream.address)],
        ..Setup::default()
    })
    .await;
    let answer = world.ask(WHOLE).await;
    assert!(answer.body == expect, "{} bytes", answer.body.len());
    assert_eq!(answer.header("content-length"), "3000000");
    assert_eq!(world.record(&answer.headers).await.outcome, "success");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_page_without_an_end_is_cut() {
    let endless = Scripted::start(|_| {
        let head = "HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/html\r\ncontent-length: 100000000\r\n\r\n";
        vec![Step::Send(head.into()), Step::Send(vec![b'<'; 300_000])]
    })
    .await;
    let world = World::start(Setup {
        scripted: vec![("a", endless.address)],
        ..Setup::default()
    })
    .await;
    world.fault_times("b", 1, preset("server_error"));
    let started = Instant::now();
    let answer = world.ask(WHOLE).await;
    assert_eq!(answer.status, 500);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(world.ask(WHOLE).await.header("x-emberway-deployment"), "b/ft");
}
