//! Answers and refusals over sockets, as the service gives them.

use strum::VariantArray as _;

use super::*;

#[tokio::test]
async fn a_chat_answers_like_the_service() {
    let bench = Bench::new().await;
    let request = bench
        .post(&classic("chat"), &hello())
        .header("x-ms-client-request-id", "mine");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    for (name, expect) in [
        ("x-emberway-simulator", "1"),
        ("x-ms-region", "Sweden Central"),
        ("x-ms-deployment-name", "chat"),
        ("x-ms-client-request-id", "mine"),
        ("x-ratelimit-limit-requests", "6000"),
        ("x-ratelimit-limit-tokens", "1000000"),
        ("x-ratelimit-remaining-requests", "5999"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(header(&response, name), Some(expect), "{name}");
    }
    for name in ["x-request-id", "apim-request-id", "azureml-model-session"] {
        assert!(header(&response, name).is_some(), "{name}");
    }
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["model"], "gpt-4.1-mini-2025-04-14.ft-1");
    assert_eq!(body["usage"]["completion_tokens"], 20);
}

#[tokio::test]
async fn provisioned_deployments_tell_no_limits() {
    let bench = Bench::new().await;
    let response = bench.ask("ptu", &hello()).await;
    assert_eq!(response.status(), 200);
    assert!(
        response
            .headers()
            .keys()
            .all(|name| !name.as_str().starts_with("x-ratelimit"))
    );
}

#[tokio::test]
async fn a_stream_ends_with_usage_and_done() {
    let bench = Bench::new().await;
    let mut body = streamed();
    body["stream_options"] = json!({"include_usage": true});
    let response = bench.ask("chat", &body).await;
    assert_eq!(
        header(&response, "content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(header(&response, "content-length"), None);
    let text = response.text().await.unwrap();
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(*events.last().unwrap(), "data: [DONE]");
    let usage: Value = serde_json::from_str(&events[events.len() - 2][6..]).unwrap();
    assert_eq!(
        (&usage["choices"], &usage["usage"]["completion_tokens"]),
        (&json!([]), &json!(20))
    );
    assert!(events[0].starts_with(r#"data: {"id":"","object":"","created":0,"model":"","prompt_filter_results":"#));
    let outcome = bench.ended().await.outcome;
    assert_eq!((outcome.ending, outcome.output_tokens), (Ending::Complete, 20));
}

#[tokio::test]
async fn the_undated_api_takes_the_deployment_from_the_body_and_the_key_as_a_bearer() {
    let bench = Bench::new().await;
    for (path, body, expect) in [
        (
            "/openai/v1/chat/completions",
            json!({"model": "chat", "messages": hello()["messages"]}),
            200,
        ),
        (
            "/openai/v1/chat/completions",
            json!({"model": "chat", "messages": hello()["messages"], "top_k": 1}),
            200,
        ),
        ("/openai/v1/completions", json!({"model": "chat", "prompt": "a"}), 200),
        ("/openai/v1/embeddings", json!({"model": "vectors", "input": "a"}), 200),
        (
            "/openai/v1/chat/completions",
            json!({"model": "none", "messages": hello()["messages"]}),
            404,
        ),
        ("/openai/v1/chat/completions", hello(), 400),
    ] {
        let request = bench
            .client
            .post(format!("{}{path}", bench.url))
            .bearer_auth("key")
            .json(&body);
        assert_eq!(request.send().await.unwrap().status(), expect, "{path} {body}");
    }
    let models = bench
        .client
        .get(format!("{}/openai/v1/models", bench.url))
        .bearer_auth("token");
    let models: Value = models.send().await.unwrap().json().await.unwrap();
    assert_eq!(models["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn refusals_have_the_services_status_and_code() {
    let bench = Bench::new().await;
    let mut unknown = hello();
    unknown["top_k"] = json!(1);
    let mut options = streamed();
    options["stream_options"] = json!({"include_usage": true});
    let filtered = json!({"messages": [{"role": "user", "content": "simulator:filter-hate"}]});
    let long = json!({"messages": [{"role": "user", "content": "x".repeat(600_000)}]});
    for (deployment, body, status, code) in [
        ("none", &hello(), 404, json!("DeploymentNotFound")),
        ("paused", &hello(), 423, json!("DeploymentPaused")),
        ("retired", &hello(), 410, json!("ModelDeprecated")),
        ("vectors", &hello(), 400, json!("OperationNotSupported")),
        ("chat", &json!({}), 400, json!("missing_required_parameter")),
        ("chat", &unknown, 400, Value::Null),
        ("old", &options, 400, Value::Null),
        ("chat", &filtered, 400, json!("content_filter")),
        ("chat", &long, 400, json!("context_length_exceeded")),
    ] {
        let response = bench.ask(deployment, body).await;
        assert_eq!(response.status(), status, "{deployment}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["code"], code, "{body}");
    }
    let not_json = bench
        .client
        .post(format!("{}{}", bench.url, classic("chat")))
        .header("api-key", "key")
        .body("{");
    assert_eq!(not_json.send().await.unwrap().status(), 400);
    let no_key = bench
        .client
        .post(format!("{}{}", bench.url, classic("chat")))
        .json(&hello());
    assert_eq!(no_key.send().await.unwrap().status(), 401);
    let no_version = bench.post("/openai/deployments/chat/chat/completions", &hello());
    let body: Value = no_version.send().await.unwrap().json().await.unwrap();
    assert_eq!(body, json!({"error": {"code": "404", "message": "Resource not found"}}));
}

#[tokio::test]
async fn throttling_names_the_wait_and_the_limit() {
    let bench = Bench::new().await;
    let mut too_much = hello();
    too_much["max_tokens"] = json!(5_000);
    let response = bench.ask("small", &too_much).await;
    assert_eq!(response.status(), 429);
    assert_eq!(header(&response, "retry-after"), Some("86400"));

    bench.control().advance_clock(Duration::from_mins(1));
    assert_eq!(bench.ask("small", &hello()).await.status(), 200);
    let response = bench.ask("small", &hello()).await;
    assert_eq!(response.status(), 429, "6 requests a minute are 1 in 10 s");
    let wait: u64 = header(&response, "retry-after-ms").unwrap().parse().unwrap();
    assert!((1..=10_000).contains(&wait), "{wait}");
    assert!(header(&response, "x-ratelimit-reset-tokens").is_some());
    let message = response.json::<Value>().await.unwrap()["error"]["message"].to_string();
    assert!(
        message.contains("call rate limit") && message.contains("Sweden Central"),
        "{message}"
    );

    bench.control().advance_clock(Duration::from_millis(wait));
    assert_eq!(
        bench.ask("small", &hello()).await.status(),
        200,
        "after exactly the wait"
    );
}

#[tokio::test]
async fn a_full_provisioned_deployment_refuses_or_spills_over() {
    let bench = Bench::new().await;
    let cold = |letter: &str| json!({"messages": [{"role": "user", "content": letter.repeat(16_000)}]});
    for deployment in ["ptu", "spilling"] {
        assert_eq!(
            bench.ask(deployment, &cold("a")).await.status(),
            200,
            "a burst over the mark passes"
        );
    }
    let refused = bench.ask("ptu", &cold("b")).await;
    assert_eq!(refused.status(), 429);
    assert!(header(&refused, "retry-after-ms").is_some() && header(&refused, "x-ratelimit-limit-tokens").is_none());
    let spilled = bench.ask("spilling", &cold("b")).await;
    assert_eq!(spilled.status(), 200);
    assert_eq!(header(&spilled, "x-ms-deployment-name"), Some("chat"));
    assert_eq!(header(&spilled, "x-ms-spillover-from-deployment"), Some("spilling"));
}

#[tokio::test]
async fn a_repeated_prompt_reports_cached_tokens() {
    let bench = Bench::new().await;
    let long =
        json!({"messages": [{"role": "system", "content": "s".repeat(8_192)}, {"role": "user", "content": "q"}]});
    let mut cached = Vec::new();
    for _ in 0..2 {
        let body: Value = bench.ask("chat", &long).await.json().await.unwrap();
        cached.push(
            body["usage"]["prompt_tokens_details"]["cached_tokens"]
                .as_u64()
                .unwrap(),
        );
    }
    assert_eq!(cached, [0, 2_048]);
    let elsewhere: Value = bench.ask("old", &long).await.json().await.unwrap();
    assert_eq!(
        elsewhere["usage"]["prompt_tokens_details"]["cached_tokens"], 0,
        "deployments share nothing"
    );
    let counts = bench
        .control()
        .state()
        .deployment("north", "chat")
        .unwrap()
        .counts
        .clone();
    assert_eq!((counts.requests, counts.cached_tokens), (2, 2_048));
}

#[tokio::test]
async fn requests_are_recorded_without_credentials() {
    let bench = Bench::new().await;
    bench.ask("chat", &hello()).await;
    let record = bench.ended().await;
    assert_eq!(
        (record.deployment.as_deref(), record.outcome.status),
        (Some("chat"), 200)
    );
    assert_eq!(record.body.as_deref(), Some(hello().to_string().as_str()));
    let key = record.headers.iter().find(|(name, _)| name == "api-key").unwrap();
    assert!(key.1.starts_with("sha256:"), "{key:?}");

    let refused = bench.client.get(format!("{}/openai/v1/models", bench.url));
    assert_eq!(refused.send().await.unwrap().status(), 401);
    let record = bench.ended().await;
    assert_eq!(
        (record.path.as_str(), record.outcome.status),
        ("/openai/v1/models", 401)
    );
}

#[test]
fn the_built_in_scenario_is_right() {
    let demo = Scenario::demo().unwrap();
    let names: Vec<&str> = demo.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "sim-swedencentral",
            "sim-eastus2",
            "sim-northcentralus",
            "sim-training",
            "sim-partner"
        ]
    );
    assert!(
        demo.accounts
            .iter()
            .all(|account| account.address.ip().is_loopback() && account.address.port() > 9_100)
    );
}

#[test]
fn wrong_scenarios_are_refused_with_the_place() {
    let account = "name: a, region: r, deployments: [{name: d, model: m, capacity: 1}]";
    for (yaml, expect) in [
        ("accounts: []".to_owned(), "accounts"),
        (format!("accounts: [{{{account}}}, {{{account}}}]"), "accounts.a"),
        (
            format!("control_address: 10.0.0.1:1\naccounts: [{{{account}}}]"),
            "loopback",
        ),
        (
            format!("engine: {{time_scale: -1}}\naccounts: [{{{account}}}]"),
            "engine.time_scale",
        ),
        (
            format!("engine: {{time_scal: 1}}\naccounts: [{{{account}}}]"),
            "time_scal",
        ),
        (
            format!("faults: [{{probability: 2, action: reset}}]\naccounts: [{{{account}}}]"),
            "faults.0",
        ),
    ] {
        let error = Scenario::parse(&yaml).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
}

#[test]
fn the_manual_names_every_preset_and_every_setting() {
    const MANUAL: &str = include_str!("../../../docs/simulator.md");
    for preset in crate::simulator::presets::Preset::VARIANTS {
        let name = serde_json::to_value(preset).unwrap();
        let name = format!("`{}`", name.as_str().unwrap());
        assert!(MANUAL.contains(&name), "{name}");
    }
    let scenario = serde_json::to_value(Scenario::parse(SCENARIO).unwrap()).unwrap();
    let mut groups = vec![
        &scenario,
        &scenario["accounts"][0],
        &scenario["accounts"][0]["deployments"][0],
    ];
    groups.extend(["engine", "prompt_cache", "limits"].map(|group| &scenario[group]));
    let arm = serde_json::to_value(crate::simulator::arm::settings::ArmSettings::default()).unwrap();
    groups.extend([
        &arm,
        &arm["principals"][0],
        &arm["tokens"][0],
        &arm["prices"]["tokens"][0],
    ]);
    groups.extend(["durations", "rules", "limits", "prices", "compatibility"].map(|group| &arm[group]));
    for name in groups.iter().flat_map(|group| group.as_object().unwrap().keys()) {
        let bounds = |text: &str| text.starts_with(|c: char| !c.is_alphanumeric() && c != '_');
        let found = MANUAL
            .match_indices(name.as_str())
            .any(|(at, _)| bounds(&MANUAL[at + name.len()..]));
        assert!(found, "`{name}` is not in docs/simulator.md");
    }
}
