//! The admin listener: what operators and their tools see, and who may see it.

use http::StatusCode;

use crate::harness::{ADMIN_TOKEN, STREAM, Setup, WHOLE, World, eventually, preset, read};

#[tokio::test(flavor = "multi_thread")]
async fn health_is_open_and_everything_else_asks_for_the_token() {
    let world = World::start(Setup {
        admin: "token: '${env:ADMIN_TOKEN}'",
        ..Setup::default()
    })
    .await;
    let get = async |path: &str, token: Option<&str>| {
        let mut request = world
            .client
            .get(format!("http://{}{path}", world.gateway.admin_address()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        read(request.send().await.unwrap()).await
    };
    for path in [
        "/livez",
        "/health/liveliness",
        "/readyz",
        "/health/readiness",
        "/healthz",
    ] {
        assert_eq!(get(path, None).await.status, 200, "{path}");
    }
    let ready = get("/readyz", None).await;
    assert_eq!(ready.json()["ready"], true);
    assert!(!ready.text().contains("a/ft"), "no names without a token: {ready:?}");
    for path in ["/metrics", "/status"] {
        for token in [None, Some("wrong"), Some("")] {
            let answer = get(path, token).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (StatusCode::UNAUTHORIZED, "invalid_admin_token")
            );
        }
        assert_eq!(get(path, Some(ADMIN_TOKEN)).await.status, 200, "{path}");
    }
    assert_eq!(get("/nothing", None).await.code(), "not_served");
    assert_eq!(
        get("/metrics", Some(ADMIN_TOKEN)).await.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    // Clients' questions are not answered here.
    let asked = world
        .client
        .post(format!("http://{}/v1/chat/completions", world.gateway.admin_address()));
    assert_eq!(asked.body(WHOLE).send().await.unwrap().status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_tells_why_a_file_was_refused_to_operators_only() {
    let world = World::start(Setup {
        admin: "token: '${env:ADMIN_TOKEN}'",
        ..Setup::default()
    })
    .await;
    let text = tokio::fs::read_to_string(world.config_path()).await.unwrap();
    let bad = text.replace("pool: ft", "pool: a-private-name");
    tokio::fs::write(world.config_path(), bad).await.unwrap();
    let url = format!("http://{}/readyz", world.gateway.admin_address());
    let ready = async |authorization: Option<String>| {
        let mut request = world.client.get(&url);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        read(request.send().await.unwrap()).await
    };
    eventually("the refusal", || async {
        (ready(None).await.json()["config"]["reload_failed"] == true).then_some(())
    })
    .await;
    for who in [None, Some("Bearer wrong".to_owned()), Some("Bearer ".to_owned())] {
        let answer = ready(who).await;
        assert_eq!(
            (answer.status, &answer.json()["config"]["generation"]),
            (StatusCode::OK, &1.into())
        );
        let text = answer.text();
        assert!(
            !text.contains("last_error") && !text.contains("a-private-name"),
            "{text}"
        );
        assert!(!text.contains("emberway.yaml"), "{text}");
    }
    // The scheme's case does not matter, as on the listeners for clients.
    for scheme in ["Bearer", "bearer"] {
        let answer = ready(Some(format!("{scheme} {ADMIN_TOKEN}"))).await.json();
        let error = answer["config"]["last_error"].as_str().unwrap_or_default();
        assert!(error.contains("unknown pool `a-private-name`"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened() {
    let world = World::start(Setup {
        health: "consecutive_failures: 1, open_for: 60s",
        ..Setup::default()
    })
    .await;
    let first = world.ask(WHOLE).await;
    let stream = world.ask(STREAM).await;
    world.fault("a", preset("server_error"));
    world.ask(WHOLE).await;
    world.fault("b", preset("token_limit"));
    world.ask(WHOLE).await;
    world
        .client
        .get(format!("http://{}/v1/models", world.address()))
        .send()
        .await
        .unwrap();
    world.records_once(4).await;
    let written =
        world.record(&first.headers).await.completion_tokens + world.record(&stream.headers).await.completion_tokens;
    for (series, expect) in [
        (
            r#"emberway_requests_total{client="desk",outcome="success",route="bot",status_class="2xx"}"#,
            3.0,
        ),
        (
            r#"emberway_requests_total{client="desk",outcome="throttled",route="bot",status_class="4xx"}"#,
            1.0,
        ),
        (
            r#"emberway_attempts_total{deployment="a/ft",outcome="success",reason="short_prompt",route="bot"}"#,
            2.0,
        ),
        (
            r#"emberway_attempts_total{deployment="a/ft",outcome="failed",reason="short_prompt",route="bot"}"#,
            1.0,
        ),
        (
            r#"emberway_attempts_total{deployment="b/ft",outcome="success",reason="failover",route="bot"}"#,
            1.0,
        ),
        (
            r#"emberway_tokens_total{deployment="a/ft",kind="completion",route="bot"}"#,
            written as f64,
        ),
        (r#"emberway_client_auth_failures_total{reason="missing"}"#, 1.0),
        (r#"emberway_deployment_breaker_state{deployment="a/ft"}"#, 2.0),
        (r#"emberway_deployment_breaker_state{deployment="b/ft"}"#, 0.0),
        (r#"emberway_pool_usable_deployments{pool="ft"}"#, 0.0),
        (r#"emberway_pool_deployments{pool="ft"}"#, 2.0),
        (r#"emberway_requests_in_flight{route="bot"}"#, 0.0),
        ("emberway_usage_records_accepted_total", 4.0),
        ("emberway_config_generation", 1.0),
    ] {
        assert_eq!(
            world.metric(series).await,
            Some(expect),
            "{series}\n{}",
            world.admin("/metrics").await.text()
        );
    }
    let cooling = world
        .metric(r#"emberway_deployment_cooling_seconds{deployment="b/ft"}"#)
        .await
        .unwrap();
    assert!((15.0..=20.0).contains(&cooling), "{cooling}");
    // What a client typed is nowhere to be found.
    assert!(!world.admin("/metrics").await.text().contains("parcel"));
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_what_runs() {
    let world = World::start(Setup::default()).await;
    world.fault("a", emberway::simulator::faults::Action::Delay { ms: 60_000 });
    let asking = tokio::spawn(world.post(crate::harness::V1, WHOLE).send());
    eventually("a running request", || async {
        let status = world.admin("/status").await.json();
        (status["requests_running"] == 1 && status["deployments"][0]["in_flight"] == 1).then_some(())
    })
    .await;
    let status = world.admin("/status").await.json();
    assert_eq!(status["pools"][0]["name"], "ft");
    assert_eq!((&status["ready"], &status["draining"]), (&true.into(), &false.into()));
    assert_eq!(
        world.metric(r#"emberway_requests_in_flight{route="bot"}"#).await,
        Some(1.0)
    );
    assert!(world.metric("emberway_held_body_bytes").await.unwrap() > 0.0);
    asking.abort();
    eventually("nothing running", || async {
        (world.admin("/status").await.json()["requests_running"] == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_times_and_the_last_failure() {
    let world = World::start(Setup::default()).await;
    assert_eq!(world.ask(WHOLE).await.status, 200);
    let healthy = world.deployment("a/ft").await;
    assert!(healthy["last_failure"].is_null(), "{healthy}");
    let ms_of = |text: &serde_json::Value| {
        let at: jiff::Timestamp = text.as_str().unwrap().parse().unwrap();
        at.as_millisecond()
    };
    assert_eq!(healthy["last_success_at_ms"], ms_of(&healthy["last_success_at"]));
    let config = world.admin("/status").await.json()["config"].clone();
    assert_eq!(config["loaded_at_ms"], ms_of(&config["loaded_at"]));

    let secret = serde_json::json!({"error": {"code": "500", "message": "parcel"}});
    world.fault_times("a", 1, crate::harness::respond(500, secret, &[]));
    assert_eq!(world.ask(WHOLE).await.status, 200);
    let failed = world.deployment("a/ft").await;
    let failure = &failed["last_failure"];
    assert_eq!(
        (&failure["outcome"], &failure["status"]),
        (&"failed".into(), &500.into())
    );
    assert!(ms_of(&failure["at"]) >= ms_of(&healthy["last_success_at"]), "{failed}");
    assert!(!failed.to_string().contains("parcel"), "{failed}");

    world.fault("a", preset("token_limit"));
    assert_eq!(world.ask(WHOLE).await.status, 200);
    let throttled = world.deployment("a/ft").await;
    assert_eq!(
        (
            &throttled["last_failure"]["outcome"],
            &throttled["last_failure"]["status"]
        ),
        (&"throttled".into(), &429.into())
    );
    assert_eq!(throttled["cooling_until_ms"], ms_of(&throttled["cooling_until"]));
}
