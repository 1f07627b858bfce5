//! The driver against a fake endpoint: every way for a request to end, and every way for a run to.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::fake;
use super::outcome::{FailureKind, Tokens};
use super::plan::{Auth, Extent, Plan, PromptShape, Style, Target};
use super::report::Report;
use super::{LoadError, Observer, run, start, start_observed};

/// A small plan; tests change what they are about.
pub(super) fn plan(base: &str) -> Plan {
    Plan {
        target: Target {
            base: base.parse().unwrap(),
            style: Style::V1,
            api_version: None,
            model: "support".to_owned(),
            credential: Some(Auth::ApiKey.header("k1").unwrap()),
        },
        prompts: PromptShape {
            heads: NonZeroU32::new(2).unwrap(),
            head_tokens: 50,
            tail_tokens: 10,
            turns: NonZeroU32::MIN,
            max_tokens: 16,
            stamp_after: None,
            seed: 1,
            first_conversation: 0,
        },
        concurrency: NonZeroU32::new(4).unwrap(),
        rate: None,
        extent: Extent::Requests(10),
        stream_share: 0.5,
        timeout: Duration::from_secs(20),
        fail_fast: false,
        record: None,
    }
}

async fn against_fake(change: impl FnOnce(&mut Plan)) -> Report {
    let (address, _seen) = fake::serve().await;
    let mut plan = plan(&format!("http://{address}"));
    change(&mut plan);
    run(plan, |_snapshot| {}).await.unwrap()
}

#[tokio::test]
async fn an_observer_sees_every_request() {
    let (address, _seen) = fake::serve().await;
    let (sender, receiver) = std::sync::mpsc::channel();
    let observer = Observer::new(move |finished| sender.send(finished.clone()).unwrap());
    let run = start_observed(plan(&format!("http://{address}")), observer).unwrap();
    let report = run.finish().await.unwrap();
    let seen: Vec<_> = receiver.try_iter().collect();
    assert_eq!((seen.len() as u64, report.counts.requests), (10, 10));
    assert!(
        seen.iter()
            .all(|finished| finished.deployment.as_deref() == Some("east/ft"))
    );
}

#[tokio::test]
async fn whole_answers_are_counted_with_their_tokens_and_times() {
    let (address, seen) = fake::serve().await;
    let mut last = None;
    let report = run(plan(&format!("http://{address}")), |snapshot| {
        last = Some(snapshot.clone());
    })
    .await
    .unwrap();
    assert!(report.all_ok(), "{report}");
    let counts = &report.counts;
    assert_eq!((counts.requests, counts.streams), (10, 5));
    assert_eq!(
        counts.tokens,
        Tokens {
            prompt: 1000,
            cached: 600,
            completion: 70
        }
    );
    assert_eq!(report.hit_ratio, Some(0.6));
    assert_eq!(report.latency_ms.unwrap().count, 10);
    assert_eq!(report.first_token_ms.unwrap().count, 5);
    assert!((report.gateway_ms.unwrap().p50 - 0.5).abs() < 0.001);
    assert_eq!(counts.deployments["east/ft"].ok, 10);
    assert_eq!(last.unwrap().counts, report.counts);
    assert_eq!(seen.bodies.lock().len(), 10);
    assert_eq!(seen.keys.lock().iter().collect::<Vec<_>>(), ["k1"]);
}

#[tokio::test]
async fn every_way_to_fail_has_its_name() {
    let cases = [
        ("throttled", 0.0, FailureKind::HttpError, false, Some(429), Some("429")),
        ("throttled", 1.0, FailureKind::HttpError, false, Some(429), Some("429")),
        ("html", 0.0, FailureKind::Malformed, true, Some(200), None),
        ("html", 1.0, FailureKind::Malformed, true, Some(200), None),
        ("cut", 0.0, FailureKind::CutBody, true, Some(200), None),
        ("cut", 1.0, FailureKind::CutStream, true, Some(200), None),
        ("silent", 1.0, FailureKind::CutStream, true, Some(200), None),
        (
            "error-event",
            1.0,
            FailureKind::ErrorEvent,
            true,
            Some(200),
            Some("upstream_cut"),
        ),
    ];
    for (model, stream_share, kind, begun, status, code) in cases {
        let report = against_fake(|plan| {
            model.clone_into(&mut plan.target.model);
            plan.stream_share = stream_share;
            plan.extent = Extent::Requests(1);
        })
        .await;
        let (failure, count) = report.counts.failures.first_key_value().unwrap();
        assert_eq!(
            (failure.kind, failure.begun, failure.status, *count),
            (kind, begun, status, 1),
            "{model}"
        );
        assert_eq!(failure.code.as_deref(), code, "{model}");
        assert!(!report.all_ok() && report.latency_ms.is_none(), "{model}");
    }
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout_before_and_after_the_head() {
    for (stream_share, begun) in [(0.0, false), (1.0, true)] {
        let report = against_fake(|plan| {
            "hang".clone_into(&mut plan.target.model);
            plan.stream_share = stream_share;
            plan.extent = Extent::Requests(1);
            plan.timeout = Duration::from_millis(200);
        })
        .await;
        let (failure, _count) = report.counts.failures.first_key_value().unwrap();
        assert_eq!((failure.kind, failure.begun), (FailureKind::Timeout, begun));
    }
}

#[tokio::test]
async fn nobody_listening_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let report = run(plan(&format!("http://{address}")), |_snapshot| {}).await.unwrap();
    let (failure, count) = report.counts.failures.first_key_value().unwrap();
    assert_eq!((failure.kind, failure.status, *count), (FailureKind::Refused, None, 10));
}

#[tokio::test]
async fn a_connection_closed_before_the_head_is_broken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _peer)) = listener.accept().await {
            let mut first = [0; 1];
            connection.read_exact(&mut first).await.unwrap();
        }
    });
    let mut plan = plan(&format!("http://{address}"));
    plan.extent = Extent::Requests(1);
    let report = run(plan, |_snapshot| {}).await.unwrap();
    let (failure, _count) = report.counts.failures.first_key_value().unwrap();
    assert_eq!((failure.kind, failure.begun), (FailureKind::Broken, false));
}

#[tokio::test]
async fn the_first_failure_stops_a_fail_fast_run() {
    let report = against_fake(|plan| {
        "throttled".clone_into(&mut plan.target.model);
        plan.fail_fast = true;
        plan.extent = Extent::Requests(1_000_000);
    })
    .await;
    assert!((1..=8).contains(&report.counts.requests), "{report}");
}

#[tokio::test]
async fn a_run_can_be_watched_and_stopped() {
    let (address, seen) = fake::serve().await;
    let mut endless = plan(&format!("http://{address}"));
    endless.extent = Extent::UntilStopped;
    let run = start(endless).unwrap();
    let mut before = run.snapshot();
    while before.counts.requests < 5 {
        tokio::task::yield_now().await;
        before = run.snapshot();
    }
    while run.snapshot().since(&before).counts.requests < 5 {
        tokio::task::yield_now().await;
    }
    let report = run.stop().await.unwrap();
    assert!(report.all_ok(), "what was begun is finished: {report}");
    assert_eq!(report.counts.requests, seen.bodies.lock().len() as u64);
}

#[tokio::test]
async fn an_open_loop_counts_what_it_could_not_send() {
    let report = against_fake(|plan| {
        "hang".clone_into(&mut plan.target.model);
        plan.stream_share = 0.0;
        plan.concurrency = NonZeroU32::MIN;
        plan.rate = Some(100.0);
        plan.extent = Extent::Duration(Duration::from_millis(200));
        plan.timeout = Duration::from_millis(300);
    })
    .await;
    assert_eq!((report.counts.requests, report.unsent), (1, 19));
}

#[tokio::test]
async fn open_loop_latency_counts_from_when_a_request_was_due() {
    let report = against_fake(|plan| {
        "slow".clone_into(&mut plan.target.model);
        plan.stream_share = 0.0;
        plan.concurrency = NonZeroU32::MIN;
        plan.rate = Some(100.0);
        plan.extent = Extent::Requests(5);
    })
    .await;
    // The fifth was due at 40 ms and could not end before five times the slow answer.
    let least = (fake::SLOW * 5).as_secs_f64() * 1e3 - 40.0;
    let longest = report.latency_ms.unwrap().max;
    assert!(longest >= least * 0.999, "{report}");
    assert_eq!(report.unsent, 0);
}

#[tokio::test]
async fn conversations_grow_by_the_answers() {
    let (address, seen) = fake::serve().await;
    let mut plan = plan(&format!("http://{address}"));
    plan.prompts.turns = NonZeroU32::new(3).unwrap();
    plan.concurrency = NonZeroU32::MIN;
    plan.extent = Extent::Requests(6);
    assert!(run(plan, |_snapshot| {}).await.unwrap().all_ok());
    let bodies = seen.bodies.lock();
    let lengths: Vec<_> = bodies
        .iter()
        .map(|body| body["messages"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [2, 4, 6, 2, 4, 6]);
    assert_eq!(bodies[1]["messages"][2]["content"], "Hi");
}

#[tokio::test]
async fn the_record_has_one_line_a_request() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("record.jsonl");
    against_fake(|plan| plan.record = Some(path.clone())).await;
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 10);
    for line in lines {
        assert_eq!(
            (&line["request_id"], &line["status"], &line["ok"]),
            (&"request-1".into(), &200.into(), &true.into())
        );
        assert_eq!(
            line["tokens"],
            serde_json::json!({"prompt": 100, "cached": 60, "completion": 7})
        );
        assert!(line["finished_at_ms"].as_i64().unwrap() > 1_700_000_000_000);
        let (latency, first_token) = (line["latency_ms"].as_f64().unwrap(), line["first_token_ms"].as_f64());
        assert!(latency > 0.0, "{line}");
        assert_eq!(first_token.is_some(), line["streamed"].as_bool().unwrap(), "{line}");
        assert!(first_token.is_none_or(|first_token| first_token <= latency), "{line}");
    }
}

#[tokio::test]
async fn runs_that_count_from_different_numbers_share_heads_only() {
    let (address, seen) = fake::serve().await;
    for first_conversation in [0, 1_000] {
        let mut plan = plan(&format!("http://{address}"));
        plan.prompts.first_conversation = first_conversation;
        assert!(run(plan, |_snapshot| {}).await.unwrap().all_ok());
    }
    let bodies = seen.bodies.lock();
    let texts = |message: usize| -> HashSet<String> {
        let text = |body: &serde_json::Value| body["messages"][message]["content"].as_str().unwrap().to_owned();
        bodies.iter().map(text).collect()
    };
    assert_eq!((bodies.len(), texts(0).len(), texts(1).len()), (20, 2, 20));
}

#[tokio::test]
async fn a_record_that_cannot_be_made_is_said_before_anything_is_sent() {
    let mut plan = plan("http://127.0.0.1:1");
    plan.record = Some("/nonexistent/record.jsonl".into());
    let error = start(plan).unwrap_err();
    assert!(matches!(error, LoadError::Record { .. }), "{error}");
}
