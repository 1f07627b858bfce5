//! A deployment fails in every way it can; the client sees one clean answer, or one honest error.

use std::time::Instant;

use emberway::simulator::faults::{Action, Canned};
use serde_json::{Value, json};

use crate::harness::{Answer, STREAM, Setup, WHOLE, World, preset, respond};

/// Short patience, and a breaker that opens at the first failure, so that what was learned can be seen.
pub(crate) fn setup() -> Setup {
    Setup {
        timeouts: "connect: 2s, first_byte: 300ms, whole_answer: 300ms, idle: 300ms",
        health: "consecutive_failures: 1, open_for: 60s",
        failover: "max_attempts: 2",
        ..Setup::default()
    }
}

/// What a deployment's failure should have taught.
#[derive(Debug, Clone, Copy)]
enum Learned {
    /// It is set aside.
    Ejected,
    /// It rests for about so many seconds.
    Rests(f64),
}

/// A fault at `a`: the client sees `b`'s answer and nothing else, and `a` is not asked again.
async fn check(question: &str, what: &str, action: Action, learned: Learned) {
    let world = World::start(setup()).await;
    world.fault("a", action);
    let answer = world.ask(question.to_owned()).await;
    assert_clean(&answer, question, what);
    assert_eq!(answer.header("x-emberway-attempts"), "2", "{what}");
    assert_eq!(answer.header("x-emberway-deployment"), "b/ft", "{what}");
    assert_eq!(answer.header("x-emberway-reason"), "failover", "{what}");
    assert_eq!(world.requests_to("a").len(), 1, "{what}");
    assert_eq!(world.requests_to("b").len(), 1, "{what}");
    assert_learned(&world, what, learned).await;

    let again = world.ask(question.to_owned()).await;
    assert_clean(&again, question, what);
    assert_eq!(again.header("x-emberway-attempts"), "1", "{what}");
    assert_eq!(world.requests_to("a").len(), 1, "{what}: it was asked again");
    let record = world.record(&answer.headers).await;
    assert_eq!((record.attempts, record.outcome.as_str()), (2, "success"), "{what}");
}

fn assert_clean(answer: &Answer, question: &str, what: &str) {
    assert_eq!(answer.status, 200, "{what}: {answer:?}");
    let text = answer.text();
    if question == STREAM {
        assert!(text.ends_with("data: [DONE]\n\n"), "{what}: {text}");
        assert!(!text.contains("\"error\""), "{what}: {text}");
        assert_eq!(text.matches("prompt_filter_results").count(), 1, "{what}: {text}");
    } else {
        assert_eq!(answer.json()["choices"].as_array().map(Vec::len), Some(1), "{what}");
    }
}

async fn assert_learned(world: &World, what: &str, learned: Learned) {
    let state = world.deployment("a/ft").await;
    match learned {
        Learned::Ejected => {
            assert_eq!(state["breaker"], "open", "{what}");
            assert_eq!(state["cooling_until_ms"], Value::Null, "{what}");
        }
        Learned::Rests(seconds) => {
            assert_eq!(state["breaker"], "closed", "{what}");
            let until = state["cooling_until_ms"].as_i64().expect("a rest") as f64;
            let left = until / 1000.0 - jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
            assert!((left - seconds).abs() < 1.5, "{what}: rests {left} s, not {seconds}");
        }
    }
    assert_eq!(world.deployment("b/ft").await["breaker"], "closed", "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_from_the_first_deployment() {
    let world = World::start(Setup::default()).await;
    for question in [WHOLE, STREAM] {
        let answer = world.ask(question).await;
        assert_clean(&answer, question, "no fault");
        assert_eq!(answer.header("x-emberway-attempts"), "1");
        assert_eq!(answer.header("x-emberway-deployment"), "a/ft");
        let record = world.record(&answer.headers).await;
        assert_eq!(
            (record.outcome.as_str(), record.source.as_str()),
            ("success", "reported")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_statuses_go_elsewhere() {
    for question in [WHOLE, STREAM] {
        for name in [
            "request_timeout",
            "failed_dependency",
            "server_error",
            "internal_server_error",
            "bad_gateway_html",
            "unavailable",
            "unavailable_html",
            "gateway_timeout",
            "deployment_not_found",
            "wrong_key",
            "expired_credential",
            "missing_role",
            "network_denied",
            "temporarily_blocked",
            "model_retired",
            "paused",
        ] {
            check(question, name, preset(name), Learned::Ejected).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_deployments_rest_as_long_as_they_ask() {
    for question in [WHOLE, STREAM] {
        for (name, seconds) in [
            ("request_limit", 3.0),
            ("token_limit", 20.0),
            ("retry_after_day", 60.0),
            ("high_demand", 2.0),
        ] {
            check(question, name, preset(name), Learned::Rests(seconds)).await;
        }
    }
    let overloaded = respond(503, json!({"error": {"code": "503"}}), &[("retry-after", "7")]);
    check(WHOLE, "503 with a time", overloaded, Learned::Rests(7.0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_and_silence_go_elsewhere() {
    for question in [WHOLE, STREAM] {
        check(question, "reset", Action::Reset, Learned::Ejected).await;
        check(question, "hang", Action::Hang, Learned::Ejected).await;
    }
    check(WHOLE, "cut", Action::Cut { after_chunks: 0 }, Learned::Ejected).await;
    let short = Action::ShortBody { missing_bytes: 10 };
    check(WHOLE, "short body", short, Learned::Ejected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_break_before_any_output_go_elsewhere() {
    for after_chunks in [0, 1, 2] {
        let what = |kind: &str| format!("{kind} after {after_chunks}");
        let error = Action::StreamError { after_chunks };
        check(STREAM, &what("error"), error, Learned::Ejected).await;
        check(STREAM, &what("cut"), Action::Cut { after_chunks }, Learned::Ejected).await;
        check(STREAM, &what("stall"), Action::Stall { after_chunks }, Learned::Ejected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_connections_go_elsewhere() {
    let world = World::start(setup()).await;
    world.sim.control().stop_account("a").await.unwrap();
    let answer = world.ask(WHOLE).await;
    assert_clean(&answer, WHOLE, "refused");
    assert_eq!(answer.header("x-emberway-attempts"), "2");
    assert_learned(&world, "refused", Learned::Ejected).await;
}

/// An answer that another deployment would repeat: it goes to the client as it is, and nobody else is asked.
async fn check_final(what: &str, action: Action, question: &str) {
    let world = World::start(setup()).await;
    world.fault("a", action);
    let direct = world.ask_simulator("a", question).await;
    let answer = world.ask(question.to_owned()).await;
    assert_eq!(answer.status, direct.status, "{what}: {answer:?}");
    assert_eq!(answer.body, direct.body, "{what}");
    assert_eq!(answer.header("content-type"), direct.header("content-type"), "{what}");
    assert_eq!(answer.header("x-emberway-attempts"), "1", "{what}");
    assert_eq!(world.requests_to("b").len(), 0, "{what}");
    assert_eq!(world.deployment("a/ft").await["breaker"], "closed", "{what}");
    assert_eq!(world.record(&answer.headers).await.outcome, "rejected", "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_that_others_would_repeat_are_final() {
    for question in [WHOLE, STREAM] {
        check_final("content filter", preset("content_filter"), question).await;
        for (status, code) in [(400, "context_length_exceeded"), (413, "413"), (422, "422")] {
            let body = json!({"error": {"message": "no", "type": "invalid_request_error", "code": code}});
            check_final(code, respond(status, body, &[]), question).await;
        }
        let plain = Action::Respond(Canned {
            status: 400,
            body: Some(Value::from("not even JSON \u{e9}")),
            headers: [("content-type".to_owned(), "text/plain".to_owned())].into(),
            delay_ms: 0,
            before_body: false,
        });
        check_final("plain text", plain, question).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_is_too_long_is_refused_once() {
    let world = World::start(Setup {
        simulated: "capacity: 1000, context_tokens: 3",
        ..setup()
    })
    .await;
    let direct = world.ask_simulator("a", WHOLE).await;
    let answer = world.ask(WHOLE).await;
    assert_eq!((answer.status.as_u16(), &answer.body), (400, &direct.body));
    assert_eq!(answer.code(), "context_length_exceeded");
    assert_eq!(world.requests_to("b").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_are_throttled_the_client_learns_the_soonest_recovery() {
    for (at_a, at_b, most_seconds) in [
        ("token_limit", "request_limit", 3),
        ("request_limit", "token_limit", 3),
        ("retry_after_day", "retry_after_day", 60),
    ] {
        let world = World::start(setup()).await;
        world.fault("a", preset(at_a));
        world.fault("b", preset(at_b));
        let passed_on = world.ask(WHOLE).await;
        assert_throttled(&passed_on, most_seconds);
        assert_eq!(passed_on.header("x-emberway-attempts"), "2");
        assert_eq!(world.record(&passed_on.headers).await.outcome, "throttled");
        // Now that this is known, nobody is asked any more.
        let own = world.ask(WHOLE).await;
        assert_throttled(&own, most_seconds);
        assert_eq!(own.code(), "rate_limit_exceeded");
        assert_eq!(world.requests().len(), 2);
        assert_eq!(world.record(&own.headers).await.attempts, 0);
    }
}

#[track_caller]
fn assert_throttled(answer: &Answer, most_seconds: u64) {
    assert_eq!(answer.status, 429, "{answer:?}");
    let number = |name: &str| answer.header(name).parse::<u64>().expect("a number");
    let (seconds, ms) = (number("retry-after"), number("retry-after-ms"));
    assert!(
        seconds <= most_seconds && seconds + 2 > most_seconds,
        "{seconds} s of {most_seconds}"
    );
    assert_eq!(seconds, ms.div_ceil(1000));
    assert_eq!(answer.header("x-should-retry"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_comes_before_failure() {
    for (at_a, at_b) in [("request_limit", "server_error"), ("server_error", "request_limit")] {
        let world = World::start(setup()).await;
        world.fault("a", preset(at_a));
        world.fault("b", preset(at_b));
        let answer = world.ask(WHOLE).await;
        assert_throttled(&answer, 3);
        assert!(answer.text().contains("call rate limit"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_rests_beside_one_that_fails_is_not_called_all() {
    let world = World::start(setup()).await;
    world.fault_times("a", 1, preset("token_limit"));
    assert_eq!(world.ask(WHOLE).await.status, 200);
    world.fault("b", preset("server_error"));
    let answer = world.ask(WHOLE).await;
    assert_throttled(&answer, 20);
    let message = answer.json()["error"]["message"].to_string();
    assert!(
        message.contains("no deployment behind this model can answer now"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_503_that_names_a_time_stays_a_503() {
    let world = World::start(setup()).await;
    for account in ["a", "b"] {
        let body = json!({"error": {"code": "ServiceUnavailable", "message": format!("from {account}")}});
        world.fault(account, respond(503, body, &[("retry-after", "7")]));
    }
    let passed_on = world.ask(WHOLE).await;
    assert_eq!(
        (passed_on.status.as_u16(), passed_on.header("retry-after")),
        (503, "7"),
        "{passed_on:?}"
    );
    assert_eq!(passed_on.json()["error"]["message"], "from b");
    // Nobody is asked before that time, and nobody was throttled.
    let own = world.ask(WHOLE).await;
    assert_eq!(
        (own.status.as_u16(), own.code().as_str(), own.header("retry-after")),
        (503, "upstream_unavailable", "7"),
        "{own:?}"
    );
    assert_eq!(own.header("x-should-retry"), "");
    assert_eq!(world.requests().len(), 2);
    assert_eq!(world.record(&own.headers).await.outcome, "upstream_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_no_answer() {
    let redirect = || respond(307, json!({}), &[("location", "https://elsewhere.example/")]);
    check(WHOLE, "redirect", redirect(), Learned::Ejected).await;
    let answer = check_all(Some(redirect()), 502, "upstream_unreachable", "").await;
    assert_eq!(answer.header("location"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_azure_does_not_know_is_not_called_a_missing_deployment() {
    let unknown = || {
        respond(
            404,
            json!({"error": {"code": "404", "message": "Resource not found"}}),
            &[],
        )
    };
    check(WHOLE, "unknown path", unknown(), Learned::Ejected).await;
    let answer = check_all(Some(unknown()), 502, "upstream_misconfigured", "false").await;
    let message = answer.json()["error"]["message"].to_string();
    for part in ["/openai/", "`a/ft`", "region-a", "`api_version`"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_fail_an_upstreams_words_are_passed_on() {
    let world = World::start(setup()).await;
    world.fault("a", respond(500, json!({"error": {"message": "from a"}}), &[]));
    world.fault("b", respond(500, json!({"error": {"message": "from b"}}), &[]));
    let answer = world.ask(WHOLE).await;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_eq!(answer.json()["error"]["message"], "from b");
    assert_eq!(answer.header("x-emberway-attempts"), "2");
    assert_eq!(world.record(&answer.headers).await.outcome, "upstream_failed");
}

/// Both deployments have the same fault; the gateway answers in its own words.
async fn check_all(action: Option<Action>, status: u16, code: &str, should_retry: &str) -> Answer {
    let world = World::start(setup()).await;
    for account in ["a", "b"] {
        match &action {
            Some(action) => world.fault(account, action.clone()),
            None => world.sim.control().stop_account(account).await.unwrap(),
        }
    }
    let answer = world.ask(WHOLE).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (status, code),
        "{answer:?}"
    );
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-should-retry"), should_retry);
    assert_eq!(answer.header("x-emberway-attempts"), "2");
    let record = world.record(&answer.headers).await;
    assert_eq!(
        (record.outcome.as_str(), record.source.as_str()),
        ("upstream_failed", "none")
    );
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_fail_without_a_word_the_gateway_says_so() {
    check_all(None, 502, "upstream_unreachable", "").await;
    check_all(Some(Action::Reset), 502, "upstream_unreachable", "").await;
    check_all(Some(Action::Hang), 504, "upstream_timeout", "").await;
    for name in ["wrong_key", "expired_credential", "network_denied"] {
        check_all(Some(preset(name)), 502, "upstream_credential_refused", "false").await;
    }
    let missing = check_all(Some(preset("deployment_not_found")), 404, "DeploymentNotFound", "false").await;
    let message = missing.json()["error"]["message"].to_string();
    assert!(message.contains("`a/ft`") && message.contains("region-a"), "{message}");
    assert!(message.contains("15 days"), "{message}");
    for (name, says) in [
        ("paused", "is paused"),
        ("model_retired", "has a model that is retired"),
    ] {
        let absent = check_all(Some(preset(name)), 503, "deployment_absent", "false").await;
        let message = absent.json()["error"]["message"].to_string();
        assert!(message.contains(&format!("`a/ft` in region-a {says}")), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_and_time_are_bounded() {
    let world = World::start(Setup {
        accounts: &["a", "b", "c"],
        failover: "max_attempts: 2",
        ..setup()
    })
    .await;
    world.fault("a", preset("server_error"));
    world.fault("b", preset("server_error"));
    assert_eq!(world.ask(WHOLE).await.status, 500);
    assert_eq!(world.requests_to("c").len(), 0);

    let world = World::start(Setup {
        failover: "deadline: 400ms",
        timeouts: "first_byte: 10s, whole_answer: 10s",
        ..Setup::default()
    })
    .await;
    world.fault("a", Action::Hang);
    let started = Instant::now();
    let answer = world.ask(WHOLE).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (504, "upstream_timeout")
    );
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    assert_eq!(world.requests_to("b").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_in_one_region_and_failing_in_another_passes_the_failure_on() {
    let world = World::start(Setup::default()).await;
    world.fault("a", preset("server_error"));
    world.fault("b", preset("paused"));
    let answer = world.ask(WHOLE).await;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(!answer.headers.contains_key("x-should-retry"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_in_one_region_and_failing_in_another_is_not_final() {
    let world = World::start(Setup::default()).await;
    world.fault("a", preset("deployment_not_found"));
    world.fault("b", Action::Reset);
    let answer = world.ask(WHOLE).await;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], "upstream_unreachable");
    assert!(!answer.headers.contains_key("x-should-retry"), "{answer:?}");
}
