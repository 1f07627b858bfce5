//! How a gateway ends: in order on SIGTERM, with every answer whole, and abruptly on SIGKILL, with its records kept.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use emberway::app::ending::{BEYOND_DRAIN_MAX, CARE_MAX};
use emberway::simulator::{self, Simulator};
use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use super::program::{Gateway, Place, line_of};
use crate::harness::{KEY, STREAM, Setup, eventually, records_in, upstreams, within};
use crate::wire::{Wire, request};

/// How old a finished request's record is at most when it is written; docs/usage.md promises it.
const LOST_MS: i64 = 250;

/// A simulator in this process and a configuration for a gateway in another.
pub(super) async fn prepared(setup: &Setup) -> (Simulator, Place, PathBuf) {
    let sim = simulator::start(setup.scenario()).await.expect("a simulator");
    let place = Place::new();
    let config = setup.config(&upstreams(setup, &sim), place.path("").as_path());
    place.write("emberway.yaml", &format!("{config}log: {{ format: json }}\n"));
    let path = place.path("emberway.yaml");
    (sim, place, path)
}

/// So that nobody has to look into the file whether a trace is kept, and whether others can be joined with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_tells_of_the_trace_and_its_key() {
    let setup = Setup::default();
    let sim = simulator::start(setup.scenario()).await.expect("a simulator");
    let place = Place::new();
    let config = setup.config(&upstreams(&setup, &sim), place.path("").as_path());
    let trace = place.path("trace.jsonl");
    for (key, expected) in [
        (
            "",
            "random: cannot be joined with traces of other gateways, or of another start",
        ),
        (", key: '${env:TRACE_KEY}'", "configured"),
    ] {
        let trace = format!("trace: {{ path: '{}', share: 0.5{key} }}\n", trace.display());
        place.write("emberway.yaml", &format!("{config}log: {{ format: json }}\n{trace}"));
        let file = place.path("emberway.yaml");
        let arguments = ["run", "--config", file.to_str().expect("UTF-8")];
        let mut process = place
            .command(&arguments)
            .env("TRACE_KEY", "a-trace-key-that-is-long-enough")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut log = BufReader::new(process.stderr.take().expect("piped")).lines();
        let told = line_of(&mut log, "a trace is written").await;
        assert_eq!(
            (&told["share"], &told["key"]),
            (&0.5.into(), &expected.into()),
            "{told}"
        );
        assert!(
            told["path"].as_str().expect("a path").ends_with("trace.jsonl"),
            "{told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_gateway_finishes_its_answers_and_exits_with_success() {
    let setup = Setup {
        // An answer of some 600 ms.
        engine: "base_latency_ms: 0, prefill_us_per_token: 0, decode_tokens_per_s: 40, min_output_tokens: 24, max_output_tokens: 24",
        ..Setup::default()
    };
    let (_sim, place, config) = prepared(&setup).await;
    let mut gateway = Gateway::start(&place, &config).await;
    let mut wires = Vec::new();
    for _ in 0..8 {
        let mut wire = Wire::connect(gateway.address).await;
        wire.send(request(KEY, STREAM)).await;
        wires.push(wire);
    }
    for wire in &mut wires {
        wire.read_until("\"content\"").await;
    }

    gateway.terminate().await;
    let draining = gateway.logs("draining").await;
    assert_eq!(draining["running"], 8, "{draining}");
    for wire in &mut wires {
        wire.read_until("data: [DONE]").await;
    }
    // The log's last line.
    gateway.logs("drained").await;
    let status = gateway.ended().await;
    assert_eq!(status.code(), Some(0));
    let records = records_in(place.path("").as_path()).await;
    assert_eq!(
        records.iter().filter(|record| record.outcome == "success").count(),
        8,
        "{records:?}"
    );
}

/// Opens so many streams, and reads each until its answer has begun.
async fn streams(gateway: &Gateway, count: usize) -> Vec<Wire> {
    let mut wires = Vec::new();
    for _ in 0..count {
        let mut wire = Wire::connect(gateway.address).await;
        wire.send(request(KEY, STREAM)).await;
        wires.push(wire);
    }
    for wire in &mut wires {
        wire.read_until("\"content\"").await;
    }
    wires
}

/// Streams of some two seconds.
const LONG: &str = "base_latency_ms: 0, prefill_us_per_token: 0, decode_tokens_per_s: 60, min_output_tokens: 120, max_output_tokens: 120";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_complete_in_a_gateway_that_is_terminated() {
    let setup = Setup {
        engine: LONG,
        ..Setup::default()
    };
    let (_sim, place, config) = prepared(&setup).await;
    let mut gateway = Gateway::start(&place, &config).await;
    let wires = streams(&gateway, 100).await;
    gateway.terminate().await;
    assert_eq!(gateway.logs("draining").await["running"], 100);
    for mut wire in wires {
        let rest = wire.read_until("data: [DONE]").await;
        assert!(!rest.contains("\"error\""), "{rest}");
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
    let records = records_in(place.path("").as_path()).await;
    assert_eq!(records.len(), 100);
    assert!(records.iter().all(|record| record.outcome == "success"), "{records:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_outlast_the_drain_end_with_an_error_event_and_are_counted() {
    let setup = Setup {
        engine: LONG,
        shutdown: "delay: 0s, drain: 200ms",
        ..Setup::default()
    };
    let (_sim, place, config) = prepared(&setup).await;
    let mut gateway = Gateway::start(&place, &config).await;
    let wires = streams(&gateway, 100).await;
    gateway.terminate().await;
    for mut wire in wires {
        let (rest, in_order) = wire.read_to_end().await;
        assert!(in_order, "a reset: {rest}");
        assert!(!rest.contains("[DONE]"), "{rest}");
        // The event is whole, and the body ends as a body should.
        let event = rest.rsplit("data: ").next().unwrap_or_default();
        let (event, end) = event.split_once("\n\n").expect("an event's end");
        let event: Value = serde_json::from_str(event).expect("JSON");
        assert_eq!(event["error"]["code"], "stream_broken", "{rest}");
        assert_eq!(end, "\r\n0\r\n\r\n");
    }
    assert_eq!(gateway.logs("requests still running are cut off").await["running"], 100);
    let cut = gateway.logs("requests were cut off").await;
    assert_eq!((&cut["error_events"], &cut["left"]), (&100.into(), &0.into()), "{cut}");
    assert_eq!(gateway.ended().await.code(), Some(0));
    let records = records_in(place.path("").as_path()).await;
    assert_eq!(records.len(), 100);
    assert!(records.iter().all(|record| record.outcome == "broken"), "{records:?}");
}

/// A collector that takes connections and says nothing, and a store that somebody else holds: each part of the end waits in vain, and all
/// of them together no longer than the manual says. With a time of its own for each it took more than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_or_sent_does_not_keep_a_process_beyond_its_grace() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let collector = silent.local_addr().expect("an address");
    let setup = Setup {
        shutdown: "delay: 0s, drain: 1s",
        telemetry: format!(
            "telemetry: {{ otlp: {{ endpoint: 'http://{collector}', timeout: 60s, traces: {{ share: 1, every: 1h }}, metrics: {{ every: 1h }} }} }}"
        ),
        ..Setup::default()
    };
    let (_sim, place, config) = prepared(&setup).await;
    let mut gateway = Gateway::start(&place, &config).await;
    let mut wire = Wire::connect(gateway.address).await;
    let mut answers = async || {
        wire.send(request(KEY, STREAM)).await;
        wire.read_until("data: [DONE]").await;
    };
    answers().await;
    eventually("the record", || async {
        let records = records_in(place.path("").as_path()).await;
        (!records.is_empty()).then_some(())
    })
    .await;
    let store = SqliteConnectOptions::new().filename(place.path("usage.db"));
    let mut holder = store.connect().await.expect("the store");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.expect("held");
    answers().await;

    let began = Instant::now();
    gateway.terminate().await;
    // Each of them, in whichever order: the log ends without one that is not told.
    let mut given_up = HashSet::new();
    while !["sending to the collector", "closing the usage store"]
        .iter()
        .all(|what| given_up.contains(*what))
    {
        let told = gateway.logs("not done in time at the end, and given up").await;
        given_up.insert(told["what"].as_str().expect("a name").to_owned());
    }
    let status = gateway.ended().await;
    let took = began.elapsed();
    // Nothing is looked after here.
    assert!(took + CARE_MAX <= BEYOND_DRAIN_MAX, "{took:?}");
    assert_eq!(status.code(), Some(1), "a record was lost: {given_up:?}");
}

/// One line of `emberway load --record`.
struct Line {
    request_id: Option<String>,
    finished_at_ms: i64,
}

fn lines(text: &str) -> Vec<Line> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).expect("a line");
        Line {
            request_id: value["request_id"].as_str().map(str::to_owned),
            finished_at_ms: value["finished_at_ms"].as_i64().expect("a time"),
        }
    };
    whole.lines().map(line).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "compared with times that another process wrote"
)]
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("fits")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_gateway_loses_no_record_older_than_a_quarter_of_a_second() {
    let setup = Setup {
        engine: "base_latency_ms: 5, prefill_us_per_token: 0, decode_tokens_per_s: 10000",
        ..Setup::default()
    };
    let (_sim, place, config) = prepared(&setup).await;
    let mut gateway = Gateway::start(&place, &config).await;
    let url = format!("http://{}", gateway.address);
    let arguments = [
        "load",
        "--url",
        &url,
        "--model",
        "bot",
        "--duration",
        "60s",
        "--rate",
        "100",
        "--head-tokens",
        "50",
    ];
    let more = ["--record", "record.jsonl", "--fail-fast", "--no-progress"];
    let mut load = place.command(&[&arguments[..], &more[..]].concat());
    load.env("EMBERWAY_KEY", KEY)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut load = load.spawn().expect("it starts");

    let record = place.path("record.jsonl");
    let recorded = || lines(&std::fs::read_to_string(&record).unwrap_or_default());
    eventually("a hundred answers", || async {
        (recorded().len() >= 100).then_some(())
    })
    .await;
    let killed_ms = now_ms();
    gateway.process.start_kill().expect("killed");
    let status = gateway.ended().await;
    assert_eq!(status.code(), None, "it was ended by a signal: {status}");
    let status = within("the load's end", load.wait()).await.expect("a status");
    assert_eq!(status.code(), Some(1), "the load noticed");

    let kept: HashSet<String> = records_in(place.path("").as_path())
        .await
        .into_iter()
        .map(|record| record.request_id)
        .collect();
    let old = recorded()
        .into_iter()
        .filter(|line| line.finished_at_ms < killed_ms - LOST_MS);
    let old: Vec<String> = old.filter_map(|line| line.request_id).collect();
    assert!(old.len() >= 50, "enough requests were finished in time: {}", old.len());
    let lost: Vec<_> = old.iter().filter(|id| !kept.contains(*id)).collect();
    assert!(
        lost.is_empty(),
        "{} of {} records are lost: {lost:?}",
        lost.len(),
        old.len()
    );
}
