//! Usage records: one for every request that was let in, and all of them outlive the process.

use emberway::simulator::faults::Action;
use emberway::storage::sqlite::{connect_reader, read_deployments};

use serde_json::Value;

use crate::harness::{STREAM, STREAM_WITH_USAGE, Setup, V1, WHOLE, World, preset, records_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_records_totals_and_the_last_success() {
    let world = World::start(Setup::default()).await;
    for question in [WHOLE, STREAM, STREAM_WITH_USAGE] {
        assert_eq!(world.ask(question).await.status, 200);
    }
    world.fault("a", preset("server_error"));
    assert_eq!(world.ask(WHOLE).await.status, 200);
    let before = last_success(&world).await;
    assert!(before.iter().all(Value::is_i64), "{before:?}");

    let directory = world.directory();
    let World { gateway, sim, .. } = world;
    gateway.drain().await.expect("everything written");
    sim.shutdown().await;
    let records = records_in(directory.path()).await;
    assert_eq!(records.len(), 4);
    let mut reader = connect_reader(&directory.path().join("usage.db")).await.unwrap();
    let totals = read_deployments(&mut reader).await.unwrap();
    drop(reader);

    let world = World::start_in(Setup::default(), directory.clone()).await;
    for (now, before) in last_success(&world).await.iter().zip(&before) {
        // The store has the request's end, the process had the answer's beginning: nearly the same.
        let (now, before) = (now.as_i64().expect("a time"), before.as_i64().expect("a time"));
        assert!((now - before).abs() < 1_000, "{now}, before the restart {before}");
    }
    assert_eq!(world.ask(WHOLE).await.status, 200);
    let all = world.records_once(5).await;
    assert_eq!(all[..4], records);
    let mut reader = connect_reader(&directory.path().join("usage.db")).await.unwrap();
    for after in read_deployments(&mut reader).await.unwrap() {
        let before = totals
            .iter()
            .find(|before| before.deployment == after.deployment)
            .unwrap();
        let (more, new): (_, Vec<_>) = match &*after.deployment.to_string() {
            "a/ft" => (1, vec![&all[4]]),
            _ => (0, vec![]),
        };
        let prompt: i64 = new.iter().map(|row| row.prompt_tokens).sum();
        assert_eq!(after.requests, before.requests + more, "{}", after.deployment);
        assert_eq!(
            after.prompt_tokens,
            before.prompt_tokens + prompt,
            "{}",
            after.deployment
        );
        assert_eq!(after.first_seen_ms, before.first_seen_ms, "{}", after.deployment);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_that_was_let_in_leaves_one_record() {
    let world = World::start(Setup::default()).await;
    world.ask(WHOLE).await;
    // Each record is waited for: those of requests on different connections may overtake one another.
    world.records_once(1).await;
    world.fault_times("a", 1, preset("content_filter"));
    world.ask(WHOLE).await;
    world.records_once(2).await;
    world.fault_times("a", 1, Action::Cut { after_chunks: 6 });
    world.ask(STREAM).await;
    world.records_once(3).await;
    world.fault_times("a", 1, preset("request_limit"));
    world.fault_times("b", 1, preset("request_limit"));
    world.ask(WHOLE).await;
    world.records_once(4).await;
    world.ask(WHOLE).await;
    world.records_once(5).await;
    // Not let in.
    world.ask("{}").await;
    let rows = world.records_once(5).await;
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.outcome.as_str(),
                row.status,
                row.attempts,
                row.source.as_str(),
                row.streamed,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("success", 200, 1, "reported", 0),
            ("rejected", 400, 1, "none", 0),
            ("broken", 200, 1, "estimated", 1),
            ("throttled", 429, 2, "none", 0),
            ("throttled", 429, 0, "none", 0),
        ]
    );
    assert!(rows.iter().all(|row| row.client == "desk" && row.route == "bot"));
    assert_eq!(rows[4].deployment, None);
    assert_eq!(world.metric("emberway_usage_records_accepted_total").await, Some(5.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_hold_what_the_answer_reports() {
    let world = World::start(Setup::default()).await;
    let long = WHOLE.replace("Where", &"Where ".repeat(2_000));
    for expect_cached in [false, true] {
        let answer = world.ask(long.clone()).await;
        let usage = &answer.json()["usage"];
        let record = world.record(&answer.headers).await;
        assert_eq!(usage["prompt_tokens"], record.prompt_tokens);
        assert_eq!(usage["completion_tokens"], record.completion_tokens);
        assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], record.cached_tokens);
        assert_eq!(record.cached_tokens > 1_000, expect_cached, "{record:?}");
    }
    let embedding = world.post(
        V1.replace("chat/completions", "embeddings").as_str(),
        r#"{"model":"embed","input":"Hi there"}"#,
    );
    let answer = crate::harness::read(embedding.send().await.unwrap()).await;
    let record = world.record(&answer.headers).await;
    assert_eq!(answer.json()["usage"]["prompt_tokens"], record.prompt_tokens);
    assert_eq!((record.source.as_str(), record.completion_tokens), ("reported", 0));
}

/// When each deployment last answered with success, as `/status` tells it.
async fn last_success(world: &World) -> [Value; 2] {
    let (a, b) = (world.deployment("a/ft").await, world.deployment("b/ft").await);
    [a, b].map(|deployment| deployment["last_success_at_ms"].clone())
}
