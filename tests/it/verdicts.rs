//! Whose fault is it? What a refusal, an error inside an answer or a bound of the route's own means for the request and for others.

use std::time::{Duration, Instant};

use emberway::simulator::faults::Action;
use http::HeaderMap;
use serde_json::json;

use crate::broken::BEGUN;
use crate::harness::{STREAM, Setup, WHOLE, World, eventually, respond, within};

/// A world whose first deployment is a provisioned one, as the gateway is told.
async fn provisioned_first(setup: Setup) -> World {
    let world = World::start(setup).await;
    let text = tokio::fs::read_to_string(world.config_path()).await.unwrap();
    let kind = "sku: ProvisionedManaged, capacity: 1000, model: gpt-4.1-mini";
    world
        .replace_config(&text.replacen("sku: Standard, capacity: 10000", kind, 1))
        .await;
    world.generation(2).await;
    world
}

/// Azure's refusal of a prompt that is too long.
fn too_long() -> Action {
    let error = json!({ "error": { "code": "context_length_exceeded", "message": "This model's maximum context length is 128000 tokens.",
        "type": "invalid_request_error", "param": "messages" } });
    respond(400, error, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_for_a_provisioned_deployment_waits_for_another_and_does_not_ask_the_first_again() {
    let world = provisioned_first(Setup {
        waiting: "max_wait: 5s",
        ..Setup::default()
    })
    .await;
    world.fault("a", too_long());
    world.fault_times(
        "b",
        1,
        respond(429, json!({ "error": { "code": "429" } }), &[("retry-after-ms", "300")]),
    );
    let answer = within("an answer", world.ask(WHOLE)).await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.header("x-emberway-deployment"),
            answer.header("x-emberway-attempts")
        ),
        (200, "b/ft", "3"),
        "{answer:?}"
    );
    assert_eq!(world.requests_to("a").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_all_that_could_take_it_refuse_is_not_waited_for() {
    let world = World::start(Setup {
        waiting: "max_wait: 5s",
        ..Setup::default()
    })
    .await;
    let unsupported = json!({ "error": { "code": "OperationNotSupported", "message": "not by this model" } });
    for account in ["a", "b"] {
        world.fault(account, respond(400, unsupported.clone(), &[]));
    }
    let began = Instant::now();
    let answer = world.ask(WHOLE).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (400, "OperationNotSupported".into())
    );
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(world.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_the_last_word_where_another_only_failed() {
    let world = provisioned_first(Setup {
        failover: "max_attempts: 2",
        ..Setup::default()
    })
    .await;
    world.fault("a", too_long());
    world.fault("b", Action::Reset);
    let answer = world.ask(WHOLE).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (502, "upstream_unreachable".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_on_a_whole_attempt_holds_before_the_answer_begins_and_teaches_nothing() {
    for question in [WHOLE, STREAM] {
        let world = World::start(Setup {
            timeouts: "total: 300ms",
            health: "consecutive_failures: 1",
            ..Setup::default()
        })
        .await;
        world.fault("a", Action::Delay { ms: 60_000 });
        let began = Instant::now();
        let answer = within("an answer", world.ask(question)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-emberway-deployment")),
            (200, "b/ft"),
            "{answer:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(world.deployment("a/ft").await["breaker"], "closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_a_stream_tells_of_itself_is_held_against_its_deployment_and_not_the_resource() {
    let world = World::start(Setup {
        accounts: &["a"],
        health: "consecutive_failures: 3, open_for: 60s",
        ..Setup::default()
    })
    .await;
    world.fault("a", Action::StreamError { after_chunks: BEGUN });
    for _ in 0..3 {
        assert!(!world.ask(STREAM).await.text().contains("[DONE]"));
    }
    eventually("an open breaker", || async {
        (world.deployment("a/ft").await["breaker"] == "open").then_some(())
    })
    .await;
    let resource = r#"emberway_resource_breaker_state{resource="a"}"#;
    assert_eq!(world.metric(resource).await, Some(0.0), "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_credential_is_used_for_what_is_asked_again_after_it() {
    let world = World::start(Setup::default()).await;
    let token = world.key_in_a_file("an-older-key-of-this-resource").await;
    tokio::fs::write(&token, "key-a").await.unwrap();
    let error = json!({ "error": { "message": "Unrecognized request argument supplied: stream_options",
        "type": "invalid_request_error", "param": null, "code": null } });
    world.fault_times("a", 1, respond(400, error, &[]));
    let answer = world.ask(STREAM).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-deployment")),
        (200, "a/ft"),
        "{answer:?}"
    );
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    let statuses: Vec<u16> = world
        .requests_to("a")
        .iter()
        .map(|request| request.outcome.status)
        .collect();
    assert_eq!(statuses, [401, 400, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_have_its_request_spilled_over_to_its_own_pool_only() {
    let world = World::start(Setup::default()).await;
    for (named, is_passed_on) in [("FT", true), ("embed", false), ("another", false)] {
        let mut headers = HeaderMap::new();
        headers.insert("x-ms-spillover-deployment", named.parse().unwrap());
        let path = "/openai/v1/chat/completions";
        let answer = world.post(path, WHOLE).headers(headers).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let last = world.requests().pop().expect("a request");
        let passed_on = last.headers.iter().any(|(name, _)| name == "x-ms-spillover-deployment");
        assert_eq!(passed_on, is_passed_on, "{named}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nobody_else_to_ask_a_stream_that_shows_nothing_is_waited_for() {
    let world = World::start(Setup {
        accounts: &["a"],
        failover: "first_token: { least: 300ms }",
        ..Setup::default()
    })
    .await;
    // Its times are known: it answers at once.
    for _ in 0..30 {
        assert_eq!(world.ask(STREAM).await.status, 200);
    }
    world.fault_times("a", 1, Action::Delay { ms: 2_000 });
    let answer = within("an answer", world.ask(STREAM)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-attempts")),
        (200, "1"),
        "{answer:?}"
    );
}
