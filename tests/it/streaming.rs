//! Streams: nothing added, nothing lost, nothing late; and usage known without the client's noticing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use emberway::simulator::faults::Action;
use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::harness::{Answer, KEY, STREAM, STREAM_WITH_USAGE, Setup, V1, World, client, read, respond};
use crate::wire::{STREAM_HEAD, Scripted, Step, Wire, chunk, request};

/// A stream with oddities that must survive: comments, an `event` field, unknown members, CRLF, number forms.
const ODD: &str = concat!(
    ": keep-alive\n\n",
    "data: {\"choices\":[],\"prompt_filter_results\":[ ]}\n\n",
    "event: message\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"x\":1.50e+3}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"Gr\\u00fc\u{df}e \u{1F44B}\"}}]}\r\n\r\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"data: [DONE]\\n\\n\"}}],  \"usage\" : null}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"later\":{}}}\n\n",
    "data: [DONE]\n\n",
);

/// A world whose deployment `a` is this upstream.
async fn in_front_of(upstream: &Scripted) -> World {
    World::start(Setup {
        scripted: vec![("a", upstream.address)],
        ..Setup::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_for_usage_gets_the_upstreams_bytes() {
    let upstream = Scripted::start(|_| whole_stream([ODD])).await;
    let world = in_front_of(&upstream).await;
    let answer = world.ask(STREAM_WITH_USAGE).await;
    assert_eq!(answer.text(), ODD);
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    let record = world.record(&answer.headers).await;
    assert_eq!(
        (record.prompt_tokens, record.completion_tokens, record.source.as_str()),
        (9, 2, "reported")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_ask_sees_no_trace_of_usage() {
    let world = World::start(Setup::default()).await;
    let direct = world.ask_simulator("a", STREAM).await;
    let asked = world.ask_simulator("a", STREAM_WITH_USAGE).await;
    let answer = world.ask(STREAM).await;
    assert_eq!(neutral(&answer), neutral(&direct));
    assert!(!answer.text().contains("usage"), "{answer:?}");

    let sent = world.requests().pop().unwrap();
    assert!(
        sent.body.unwrap().contains("\"include_usage\":true"),
        "it was asked for"
    );
    let record = world.record(&answer.headers).await;
    let reported = usage_in(&asked).expect("a report");
    assert_eq!(record.source, "reported");
    assert_eq!(Value::from(record.prompt_tokens), reported["prompt_tokens"]);
    assert_eq!(Value::from(record.completion_tokens), reported["completion_tokens"]);

    // And one that asks sees all of it.
    assert_eq!(neutral(&world.ask(STREAM_WITH_USAGE).await), neutral(&asked));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_stream_options_of_the_client_stay() {
    let world = World::start(Setup::default()).await;
    for options in [
        r"null",
        r"{}",
        r#"{"include_usage":false}"#,
        r#"{ "include_usage" : null }"#,
    ] {
        let body = STREAM.replace(
            r#""stream":true"#,
            &format!(r#""stream":true,"stream_options":{options}"#),
        );
        let answer = world.ask(body).await;
        assert_eq!(answer.status, 200, "{options}: {answer:?}");
        assert!(!answer.text().contains("usage"), "{options}: {answer:?}");
        assert_eq!(world.record(&answer.headers).await.source, "reported", "{options}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_switch_usage_off_for_others() {
    let refusals = [
        (
            r#""stream_options":{"bogus":1}"#,
            json!({"message": "bad", "param": "stream_options.bogus"}),
        ),
        (
            r#""stream_options_x":1"#,
            json!({"message": "Unrecognized request argument supplied: stream_options_x"}),
        ),
    ];
    for (member, error) in refusals {
        let world = World::start(Setup::default()).await;
        let refused = respond(400, json!({ "error": error }), &[]);
        world.fault_times("a", 2, refused);
        let question = STREAM.replace(r#""stream":true"#, &format!(r#""stream":true,{member}"#));
        assert_eq!(world.ask(question).await.status, 400, "{member}");
        assert_eq!(
            world.requests_to("a").len(),
            2,
            "{member}: asked again without our option"
        );
        let answer = world.ask(STREAM).await;
        assert_eq!(answer.header("x-emberway-deployment"), "a/ft");
        assert_eq!(world.record(&answer.headers).await.source, "reported", "{member}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_refuses_stream_options_is_asked_once() {
    let world = World::start(Setup {
        simulated: "capacity: 1000, accepts_stream_options: false",
        ..Setup::default()
    })
    .await;
    let asks = |world: &World| -> Vec<bool> {
        let bodies = world.requests_to("a").into_iter().map(|request| request.body.unwrap());
        bodies.map(|body| body.contains("stream_options")).collect()
    };
    for expect in [&[true, false][..], &[true, false, false][..]] {
        let answer = world.ask(STREAM).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text().ends_with("data: [DONE]\n\n"));
        assert_eq!(answer.header("x-emberway-attempts"), "1");
        assert_eq!(asks(&world), expect);
        let record = world.record(&answer.headers).await;
        assert_eq!(record.source, "estimated");
        assert!(record.completion_tokens > 0 && record.prompt_tokens > 0, "{record:?}");
    }
    // A client that asks itself hears the refusal itself.
    let direct = world.ask_simulator("a", STREAM_WITH_USAGE).await;
    let answer = world.ask(STREAM_WITH_USAGE).await;
    assert_eq!((answer.status.as_u16(), answer.body), (400, direct.body));
    assert_eq!(world.requests_to("b").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_configured_without_stream_usage_is_never_asked() {
    let world = World::start(Setup {
        deployment: "stream_usage: false",
        ..Setup::default()
    })
    .await;
    let answer = world.ask(STREAM).await;
    assert_eq!(answer.status, 200);
    assert_eq!(world.requests()[0].body.as_deref(), Some(STREAM));
    assert_eq!(world.record(&answer.headers).await.source, "estimated");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_come_is_passed_on_while_the_upstream_is_silent() {
    for question in [STREAM, STREAM_WITH_USAGE] {
        let world = World::start(Setup::default()).await;
        world.fault("a", Action::Stall { after_chunks: 5 });
        let mut wire = Wire::connect(world.address()).await;
        wire.send(request(KEY, question)).await;
        wire.read_until("\r\n\r\n").await;
        for _ in 0..5 {
            wire.read_until("data: {").await;
            wire.read_until("}\n\n").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_without_output_is_held_for_two_seconds_at_most() {
    let world = World::start(Setup::default()).await;
    world.fault("a", Action::Stall { after_chunks: 2 });
    let mut wire = Wire::connect(world.address()).await;
    let started = Instant::now();
    wire.send(request(KEY, STREAM)).await;
    wire.read_until("\r\n\r\n").await;
    let held = started.elapsed();
    wire.read_until("prompt_filter_results").await;
    wire.read_until("\"role\":\"assistant\"").await;
    assert!(held > Duration::from_millis(1900), "passed on after {held:?}");
    assert!(held < Duration::from_secs(10), "passed on after {held:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_over_http2_are_the_same() {
    let world = World::start(Setup::default()).await;
    let h2 = client(reqwest::ClientBuilder::http2_prior_knowledge);
    let url = format!("http://{}{V1}", world.address());
    let sent = h2.post(url).header("api-key", KEY).body(STREAM).send().await.unwrap();
    assert_eq!(sent.version(), http::Version::HTTP_2);
    let answer = read(sent).await;
    assert_eq!(neutral(&answer), neutral(&world.ask_simulator("a", STREAM).await));
    assert!(answer.headers.get("transfer-encoding").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_gets_the_stream_without_chunks() {
    let upstream = Scripted::start(|_| whole_stream([ODD])).await;
    let world = in_front_of(&upstream).await;
    let mut wire = Wire::connect(world.address()).await;
    wire.send(request(KEY, STREAM_WITH_USAGE).replace("HTTP/1.1", "HTTP/1.0"))
        .await;
    let (answer, in_order) = wire.read_to_end().await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(in_order);
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(body, ODD);
}

#[test]
fn cuts_of_the_upstreams_bytes_change_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let cuts: Arc<Mutex<Vec<usize>>> = Arc::default();
    let (world, _upstream, plain) = runtime.block_on(async {
        let of_script = Arc::clone(&cuts);
        // Odd requests are answered in one piece, to compare with.
        let upstream = Scripted::start(move |number| {
            if number == 0 {
                return whole_stream([ODD]);
            }
            cut_stream(&of_script.lock())
        })
        .await;
        let world = in_front_of(&upstream).await;
        let plain = world.ask(STREAM).await.text();
        (world, upstream, plain)
    });
    assert!(!plain.contains("\"usage\":{"), "{plain}");

    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let places = prop::collection::vec(0..ODD.len(), 0..12);
    runner
        .run(&places, |mut places| {
            places.sort_unstable();
            *cuts.lock() = places;
            let (asked, spliced) =
                runtime.block_on(async { (world.ask(STREAM_WITH_USAGE).await, world.ask(STREAM).await) });
            prop_assert_eq!(asked.text(), ODD);
            prop_assert_eq!(spliced.text(), plain.clone());
            Ok(())
        })
        .unwrap();
}

/// A script that sends these pieces as a stream, each in a chunk and a write of its own.
fn whole_stream<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Vec<Step> {
    let mut steps = vec![Step::Send(STREAM_HEAD.into())];
    let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
    steps.extend(pieces.map(|piece| Step::Send(chunk(piece))));
    steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
    steps
}

/// The stream cut at these places into writes; a cut may fall into a character, a chunk's frame or the head.
fn cut_stream(places: &[usize]) -> Vec<Step> {
    let mut frames = STREAM_HEAD.as_bytes().to_vec();
    let mut from = 0;
    // Every other cut also ends a chunk.
    for &place in places.iter().step_by(2).chain([&ODD.len()]) {
        if place > from {
            frames.extend(chunk(&ODD.as_bytes()[from..place]));
            from = place;
        }
    }
    frames.extend_from_slice(b"0\r\n\r\n");
    let mut steps = Vec::new();
    let mut from = 0;
    for &place in places.iter().chain([&frames.len()]) {
        if place > from {
            steps.push(Step::Send(frames[from..place].to_vec()));
            // A moment in which the gateway can read this piece alone.
            steps.push(Step::Yield);
            from = place;
        }
    }
    steps
}

/// A simulated stream without what differs from request to request: its id and time.
fn neutral(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = answer.text();
    let between = |start: &str, end: char| {
        let at = text.rfind(start).expect("a chunk with it") + start.len();
        text[at..].split(end).next().unwrap().to_owned()
    };
    let (id, created) = (between("\"id\":\"chatcmpl-", '"'), between("\"created\":1", ','));
    text.replace(&id, "ID")
        .replace(&format!("\"created\":1{created},"), "\"created\":NOW,")
}

/// The usage that a stream reports.
fn usage_in(answer: &Answer) -> Option<Value> {
    let events = answer.text();
    let events = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]");
    let mut found = events.map(|data| serde_json::from_str::<Value>(data).expect("JSON")["usage"].clone());
    found.find(|usage| !usage.is_null())
}
