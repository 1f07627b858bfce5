//! Why prompts were not cached, where they change too early, and the trace of what came: from requests to files.

use std::time::Duration;

use emberway::app;
use emberway::core::ledger::misses::Cause;
use emberway::replay::policy::PolicyName;
use emberway::replay::trace::{InUse, files};
use emberway::simulator;
use emberway::simulator::faults::Fault;
use emberway::storage::miss_report::{MissBy, MissReport, read_misses};
use emberway::storage::report::Range;
use emberway::storage::sqlite::connect_reader;

use crate::harness::{KEY, Setup, V1, World, client, compile, eventually, preset, read, upstreams};

/// A system prompt of some 4 × `words` bytes after a beginning, and a question.
fn chat(beginning: &str, words: usize, question: &str) -> String {
    let system = (0..words).fold(beginning.to_owned(), |text, word| {
        text + &format!("{} ", word * 7_919 % 997)
    });
    let messages = serde_json::json!([
        {"role": "system", "content": system},
        {"role": "user", "content": question},
    ]);
    serde_json::json!({"model": "bot", "messages": messages}).to_string()
}

/// Ends a world and reads what it kept.
async fn report(world: World) -> MissReport {
    let directory = world.directory();
    let World { gateway, sim, .. } = world;
    gateway.drain().await.expect("everything written");
    sim.shutdown().await;
    let mut reader = connect_reader(&directory.path().join("usage.db")).await.unwrap();
    let all = Range {
        since_ms: 0,
        until_ms: i64::MAX,
    };
    read_misses(&mut reader, MissBy::Route, all).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn misses_have_their_causes_tokens_and_price() {
    let world = World::start(Setup {
        one_tier: true,
        deployment: "price: { input: 0.4, cached_input: 0.1 }",
        ..Setup::default()
    })
    .await;
    let question = chat("Be kind. ", 3_000, "Where is my parcel?");
    let home = world
        .ask(question.clone())
        .await
        .header("x-emberway-deployment")
        .to_owned();
    assert_eq!(world.ask(question.clone()).await.header("x-emberway-deployment"), home);
    world.fault_times(&home[..1], 1, preset("server_error"));
    let elsewhere = world.ask(question).await;
    assert_eq!(elsewhere.status, 200);
    assert_ne!(elsewhere.header("x-emberway-deployment"), home);
    let deployment = elsewhere.header("x-emberway-deployment");
    let series = format!(
        r#"emberway_cache_missed_tokens_total{{cause="moved_by_failover",deployment="{deployment}",route="bot"}}"#
    );
    let counted = eventually("it is counted", || world.metric(&series)).await;
    let misses = report(world).await.groups.remove(0).misses;
    let causes: Vec<_> = misses.iter().map(|row| (row.cause, row.requests)).collect();
    assert_eq!(causes, [(Cause::MovedByFailover, 1), (Cause::Cold, 1)]);
    assert!(misses[0].tokens > 2_000, "{misses:?}");
    assert_eq!(counted.to_string(), misses[0].tokens.to_string());
    // 0.3 dollars a million.
    assert_eq!(misses[0].micro_usd, Some((misses[0].tokens * 3 + 5) / 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_429_that_sends_a_request_elsewhere_is_a_spill() {
    let world = World::start(Setup {
        one_tier: true,
        ..Setup::default()
    })
    .await;
    let question = chat("Be kind. ", 3_000, "Where is my parcel?");
    let home = world
        .ask(question.clone())
        .await
        .header("x-emberway-deployment")
        .to_owned();
    world.fault_times(&home[..1], 1, preset("token_limit"));
    let elsewhere = world.ask(question).await;
    assert_eq!(
        (elsewhere.status.as_u16(), elsewhere.header("x-emberway-attempts")),
        (200, "2")
    );
    let misses = report(world).await.groups.remove(0).misses;
    let causes: Vec<_> = misses.iter().map(|row| (row.cause, row.requests)).collect();
    assert_eq!(causes, [(Cause::MovedBySpill, 1), (Cause::Cold, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_at_the_front_of_a_prompt_is_found() {
    let world = World::start(Setup::default()).await;
    for second in 0..48 {
        let question = chat(&format!("It is 08:00:{second}. "), 3_000, "Where is my parcel?");
        assert_eq!(world.ask(question).await.status, 200);
        // Eight of a second are sampled.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let report = report(world).await;
    let found = report.drifts.first().expect("found");
    assert_eq!((&**found.route, found.drift.segment.as_ref()), ("bot", "system"));
    assert!(found.drift.position_bytes < 200 && found.drift.share > 0.9, "{found:?}");
    assert!(found.drift.lost_tokens_per_request > 2_000, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_can_be_replayed_and_holds_no_text() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace.jsonl");
    let setup = Setup::default();
    let sim = simulator::start(setup.scenario()).await.expect("a simulator");
    let config = setup.config(&upstreams(&setup, &sim), directory.path());
    let config = format!("{config}trace: {{ path: '{}', share: 1 }}\n", path.display());
    let checked = compile(&config, &directory.path().join("emberway.yaml"));
    let gateway = app::start(checked, None, None).await.expect("a gateway");
    let client = client(reqwest::ClientBuilder::http1_only);
    for question in ["Where is my parcel?", "Where is my other parcel?"] {
        let url = format!("http://{}{V1}", gateway.addresses()[0]);
        let request = client
            .post(url)
            .header("api-key", KEY)
            .body(chat("Be kind. ", 1_000, question));
        assert_eq!(read(request.send().await.unwrap()).await.status, 200);
    }
    // The third is rejected, as it would be by any fleet. Nobody answers the fourth: both deployments refuse it.
    for (name, times, status) in [("content_filter", 1, 400), ("request_limit", 2, 429)] {
        let fault = Fault::new(preset(name)).times(times);
        sim.control().add_fault(fault).expect("a fault");
        let url = format!("http://{}{V1}", gateway.addresses()[0]);
        let body = chat("Be kind. ", 1_000, "Where is no parcel?");
        let request = client.post(url).header("api-key", KEY).body(body);
        assert_eq!(read(request.send().await.unwrap()).await.status, status, "{name}");
    }
    gateway.drain().await.expect("everything written");
    sim.shutdown().await;
    let text = tokio::fs::read_to_string(&path).await.unwrap();
    assert!(!text.contains("parcel") && !text.contains("kind"), "{text}");
    let trace = files::read(&path, None, files::Pick::OneRoute).expect("a trace");
    assert_eq!((trace.requests.len(), trace.block_tokens), (3, 128));
    assert_eq!((trace.actual.requests, trace.actual.refused), (2, 1));
    assert_eq!((trace.share, trace.in_use), (Some(1.0), InUse::One(PolicyName::Nested)));
    let refused = &trace.requests[2];
    assert!(refused.was_refused && refused.prompt > 700, "{refused:?}");
    assert!(refused.limit_tokens > u64::from(refused.prompt), "{refused:?}");
    let (first, second) = (&trace.requests[0], &trace.requests[1]);
    let shared = first.raw.iter().zip(&second.raw).take_while(|(a, b)| a == b).count();
    assert_eq!(shared, first.raw.len() - 1, "all but the question");
    assert!(first.is_first_turn && first.prompt > 700, "{first:?}");
}
