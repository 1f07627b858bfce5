//! What the gateway does beyond going elsewhere: it asks again, waits for a throttled deployment, gives up in time, and knows when a whole
//! resource is out.

use std::time::{Duration, Instant};

use emberway::simulator::faults::Action;
use serde_json::json;

use crate::harness::{Answer, STREAM, Setup, V1, WHOLE, World, eventually, preset, read, respond, within};

/// A 429 that asks for so many milliseconds.
fn throttled(ms: &str) -> Action {
    let body = json!({"error": {"code": "429", "message": "Rate limit is exceeded."}});
    respond(429, body, &[("retry-after-ms", ms)])
}

async fn ask_with(world: &World, name: &str, value: &str) -> Answer {
    let request = world.post(V1, WHOLE).header(name, value);
    read(request.send().await.expect("an answer")).await
}

fn timing(answer: &Answer, entry: &str) -> Option<f64> {
    let text = answer.header("server-timing").to_owned();
    let entry = text
        .split(", ")
        .find_map(|part| part.strip_prefix(&format!("{entry};dur=")))?;
    entry.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_deployment_is_asked_again_after_a_failure_that_may_be_over() {
    let only = || Setup {
        accounts: &["a"],
        ..Setup::default()
    };
    let world = World::start(only()).await;
    world.fault_times("a", 2, preset("server_error"));
    let answer = world.ask(WHOLE).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-attempts")),
        (200, "3")
    );
    assert_eq!(answer.header("x-emberway-reason"), "retry");
    assert!(timing(&answer, "wait").is_some_and(|ms| ms > 0.0), "{answer:?}");
    // A refusal stays one, and a third failure is the last.
    world.fault_times("a", 1, preset("content_filter"));
    assert_eq!(world.ask(WHOLE).await.header("x-emberway-attempts"), "1");
    world.fault_times("a", 3, preset("server_error"));
    assert_eq!(world.ask(WHOLE).await.status, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_not_multiplied_and_throttling_costs_no_budget() {
    let world = World::start(Setup {
        failover: "retry_budget: { ratio: 0, min_per_second: 0 }",
        ..Setup::default()
    })
    .await;
    world.fault_times("a", 1, preset("server_error"));
    let answer = world.ask(WHOLE).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-attempts")),
        (500, "1")
    );
    let spent = r#"emberway_retry_budget_spent_total{route="bot"}"#;
    assert_eq!(world.metric(spent).await, Some(1.0));
    world.fault_times("a", 1, throttled("50"));
    let answer = world.ask(WHOLE).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-attempts")),
        (200, "2")
    );
    assert_eq!(world.metric(spent).await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_a_throttled_deployment_instead_of_failing() {
    let world = World::start(Setup {
        waiting: "max_wait: 5s",
        ..Setup::default()
    })
    .await;
    world.fault_times("a", 1, throttled("400"));
    world.fault_times("b", 1, throttled("700"));
    let (first, second) = within("both", async { tokio::join!(world.ask(WHOLE), world.ask(WHOLE)) }).await;
    for answer in [&first, &second] {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let waits = [&first, &second].map(|answer| timing(answer, "wait").unwrap_or(0.0));
    assert!(waits.iter().any(|&ms| (200.0..2_000.0).contains(&ms)), "{waits:?}");
    let served = world
        .metric(r#"emberway_request_waits_total{end="served",route="bot"}"#)
        .await;
    assert!(served.is_some_and(|served| served >= 1.0), "{served:?}");
    assert_eq!(
        world.metric(r#"emberway_requests_waiting{route="bot"}"#).await,
        Some(0.0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_would_wait_too_long_is_told_at_once() {
    let world = World::start(Setup {
        waiting: "max_wait: 1s",
        ..Setup::default()
    })
    .await;
    world.fault("a", throttled("20000"));
    world.fault("b", throttled("30000"));
    let began = Instant::now();
    let answer = world.ask(WHOLE).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "20"));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_place_is_one_place_and_batch_gives_it_up() {
    let world = World::start(Setup {
        waiting: "max_wait: 10s, queue: 1",
        ..Setup::default()
    })
    .await;
    world.fault_times("a", 1, throttled("2000"));
    world.fault_times("b", 1, throttled("2000"));
    let batch = tokio::spawn(world.post(V1, WHOLE).header("x-emberway-priority", "batch").send());
    eventually("one waits", || async {
        let waiting = world.metric(r#"emberway_requests_waiting{route="bot"}"#).await;
        (waiting == Some(1.0)).then_some(())
    })
    .await;
    let second_batch = ask_with(&world, "x-emberway-priority", "batch").await;
    assert_eq!(second_batch.status, 429, "no place: {second_batch:?}");
    let interactive = world.ask(WHOLE).await;
    assert_eq!(interactive.status, 200, "{interactive:?}");
    let evicted = read(batch.await.expect("joined").expect("an answer")).await;
    assert_eq!(evicted.status, 429, "{evicted:?}");
    for (end, count) in [("full", 1.0), ("evicted", 1.0), ("served", 1.0)] {
        let series = format!(r#"emberway_request_waits_total{{end="{end}",route="bot"}}"#);
        assert_eq!(world.metric(&series).await, Some(count), "{end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_say_nothing_are_refused_by_name() {
    let world = World::start(Setup::default()).await;
    for (name, value) in [("x-emberway-priority", "urgent"), ("x-emberway-timeout", "soon")] {
        let answer = ask_with(&world, name, value).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "invalid_header")
        );
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains(name) && message.contains(value), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_says_how_long_it_waits() {
    let world = World::start(Setup::default()).await;
    for account in ["a", "b"] {
        world.fault(account, Action::Hang);
    }
    for (name, seconds) in [("x-emberway-timeout", "0.3"), ("x-stainless-read-timeout", "0.3")] {
        let began = Instant::now();
        let answer = within("an answer", ask_with(&world, name, seconds)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (504, "upstream_timeout"),
            "{name}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{name}: {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_whose_times_are_known_is_given_up_sooner() {
    let world = World::start(Setup {
        failover: "first_token: { least: 300ms }",
        timeouts: "first_byte: 60s",
        ..Setup::default()
    })
    .await;
    for _ in 0..30 {
        assert_eq!(world.ask(STREAM).await.header("x-emberway-deployment"), "a/ft");
    }
    world.fault_times("a", 1, Action::Hang);
    let began = Instant::now();
    let answer = within("an answer", world.ask(STREAM)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-deployment")),
        (200, "b/ft")
    );
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let given_up = r#"emberway_attempts_total{deployment="a/ft",outcome="timeout",reason="short_prompt",route="bot"}"#;
    // Attempts are counted when their request is over, a moment after the client has its answer.
    eventually("a counted attempt", || async {
        (world.metric(given_up).await == Some(1.0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_is_the_whole_resources_and_somebodys_business() {
    let world = World::start(Setup::default()).await;
    world.fault_times("a", 1, preset("wrong_key"));
    assert_eq!(world.ask(WHOLE).await.header("x-emberway-deployment"), "b/ft");
    // Another deployment of the same resource is not even tried.
    let embedding = json!({"model": "embed", "input": "x"}).to_string();
    let answer = read(
        world
            .post("/openai/v1/embeddings", embedding)
            .send()
            .await
            .expect("an answer"),
    )
    .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-attempts")),
        (200, "1"),
        "{answer:?}"
    );
    assert_eq!(world.requests_to("a").len(), 1);
    let state = world.deployment("a/ft").await;
    assert_eq!(state["alarm"]["kind"], "credential_refused");
    assert!(
        state["alarm"]["advice"]
            .as_str()
            .is_some_and(|advice| advice.contains("key"))
    );
    assert_eq!(
        world.metric(r#"emberway_resource_breaker_state{resource="a"}"#).await,
        Some(2.0)
    );
    let alarm = r#"emberway_deployment_alarm{alarm="credential_refused",deployment="a/ft"}"#;
    assert_eq!(world.metric(alarm).await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn failover_never_leaves_the_regions_of_a_bound_route_and_says_so() {
    let world = World::start(Setup {
        route: "residency: { regions: [region-a] }",
        ..Setup::default()
    })
    .await;
    assert_eq!(world.ask(WHOLE).await.header("x-emberway-deployment"), "a/ft");
    world.sim.control().stop_account("a").await.unwrap();
    let answer = world.ask(WHOLE).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (502, "upstream_unreachable")
    );
    let message = answer.json()["error"]["message"].to_string();
    assert!(
        message.contains("bound to region-a, and the other deployment of its pool is not used"),
        "{message}"
    );
    assert_eq!(world.requests_to("b").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_from_elsewhere_is_evidence_and_an_alarm() {
    let world = World::start(Setup {
        route: "residency: { regions: [region-a] }",
        ..Setup::default()
    })
    .await;
    world.ask(WHOLE).await;
    let answer = json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    let spilled = [
        ("x-ms-region", "East US 2"),
        ("x-ms-spillover-from-deployment", "ft"),
        ("x-ms-deployment-name", "ft-standard"),
    ];
    world.fault_times("a", 1, respond(200, answer, &spilled));
    assert_eq!(world.ask(WHOLE).await.status, 200);
    let contradictions = r#"emberway_residency_contradictions_total{deployment="a/ft",route="bot"}"#;
    assert_eq!(world.metric(contradictions).await, Some(1.0));
    world.records_once(2).await;
    let report = world.residency().await;
    let seen: Vec<_> = report
        .rows
        .iter()
        .map(|row| {
            (
                row.asked.as_str(),
                row.served.as_deref(),
                row.agrees,
                row.requests,
                row.spilled,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("region-a", Some("region-a"), Some(true), 1, 0),
            ("region-a", Some("eastus2"), Some(false), 1, 1),
        ]
    );
}

/// All deployments are throttled for so many milliseconds, and 40 clients ask at once.
async fn storm(waiting: &'static str, ms: &'static str) -> (World, Vec<Answer>) {
    let world = World::start(Setup {
        waiting,
        ..Setup::default()
    })
    .await;
    for account in ["a", "b"] {
        world.fault_times(account, 1, throttled(ms));
    }
    assert_eq!(
        world.ask(WHOLE).await.status,
        if waiting == "max_wait: 0s" { 429 } else { 200 }
    );
    for account in ["a", "b"] {
        world.fault_times(account, 1, throttled(ms));
    }
    let asked: Vec<_> = (0..40).map(|_| tokio::spawn(world.post(V1, WHOLE).send())).collect();
    let mut answers = Vec::new();
    for one in asked {
        let response = within("an answer", one).await.expect("joined").expect("an answer");
        answers.push(read(response).await);
    }
    (world, answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_fleet_refuses_nobody_who_may_wait_and_tells_the_others_when() {
    let (_world, answers) = storm("max_wait: 10s", "1500").await;
    let refused = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(refused, 0);
    let longest = answers
        .iter()
        .filter_map(|answer| timing(answer, "wait"))
        .fold(0.0, f64::max);
    assert!((500.0..6_000.0).contains(&longest), "{longest} ms");
    let (_world, answers) = storm("max_wait: 0s", "5000").await;
    for answer in &answers {
        let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
        assert_eq!(answer.status, 429);
        assert!((4..=5).contains(&seconds), "{seconds} s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_in_a_hurry_cost_nobody_a_deployment() {
    let world = World::start(Setup {
        health: "consecutive_failures: 1, open_for: 60s",
        ..Setup::default()
    })
    .await;
    for account in ["a", "b"] {
        world.fault(account, Action::Hang);
    }
    for _ in 0..3 {
        let answer = within("an answer", ask_with(&world, "x-emberway-timeout", "0.15")).await;
        assert_eq!(answer.status, 504);
    }
    for name in ["a/ft", "b/ft"] {
        assert_eq!(world.deployment(name).await["breaker"], "closed", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_where_more_than_throttling_is_in_the_way() {
    let world = World::start(Setup {
        waiting: "max_wait: 10s",
        failover: "retry_budget: { ratio: 0, min_per_second: 0 }",
        ..Setup::default()
    })
    .await;
    world.fault("a", throttled("300"));
    world.fault("b", preset("server_error"));
    let began = Instant::now();
    let answer = within("an answer", world.ask(WHOLE)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-attempts")),
        (429, "2")
    );
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(
        world
            .metric(r#"emberway_request_waits_total{end="served",route="bot"}"#)
            .await,
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_fits_is_asked_of_each_once_and_not_waited_for() {
    let world = World::start(Setup {
        waiting: "max_wait: 10s",
        ..Setup::default()
    })
    .await;
    for account in ["a", "b"] {
        world.fault(account, preset("retry_after_day"));
    }
    let huge = WHOLE.replace("\"messages\"", "\"max_tokens\":4000000000,\"messages\"");
    let answer = within("an answer", world.ask(huge)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-attempts")),
        (429, "2"),
        "{answer:?}"
    );
    assert_eq!(world.requests().len(), 2);
    assert_eq!(
        world.deployment("a/ft").await["cooling_until_ms"],
        serde_json::Value::Null
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_one_that_recovers_slowly_gets_it() {
    let world = World::start(Setup {
        accounts: &["a"],
        waiting: "max_wait: 5s",
        health: "consecutive_failures: 1, open_for: 200ms",
        slow_start: "60s",
        failover: "max_attempts: 1",
        ..Setup::default()
    })
    .await;
    world.fault_times("a", 1, preset("server_error"));
    assert_eq!(world.ask(WHOLE).await.status, 500);
    eventually("a probe is due", || async {
        (world.deployment("a/ft").await["breaker"] == "half_open").then_some(())
    })
    .await;
    // The probe is throttled: its breaker closes and it starts slowly, while it rests.
    world.fault_times("a", 1, throttled("300"));
    let answer = within("an answer", world.ask(WHOLE)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-attempts")),
        (200, "2"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_shows_nothing_is_not_waited_for_beyond_the_clients_time() {
    let world = World::start(Setup {
        accounts: &["a"],
        ..Setup::default()
    })
    .await;
    world.fault("a", Action::Stall { after_chunks: 1 });
    let began = Instant::now();
    let request = world.post(V1, STREAM).header("x-emberway-timeout", "0.5");
    let answer = read(request.send().await.expect("an answer")).await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(began.elapsed() < Duration::from_millis(1_900), "{:?}", began.elapsed());
    // A client in a hurry costs others nothing.
    let health = world.deployment("a/ft").await;
    assert_eq!(health["breaker"], "closed", "{health}");
}
