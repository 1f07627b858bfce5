//! Who may ask for what, by which name; and what the others hear.

use http::Method;

use crate::harness::{Answer, CLASSIC, KEY, OTHER_KEY, Setup, V1, WHOLE, World, read};

/// Two clients, of which the second may use one route only.
fn two_clients() -> Setup {
    Setup {
        clients: "  - { name: other, keys: ['${env:OTHER_KEY}'], routes: [embed] }",
        ..Setup::default()
    }
}

async fn send(world: &World, method: Method, path: &str, key: Option<(&str, &str)>, body: &str) -> Answer {
    let url = format!("http://{}{path}", world.address());
    let mut request = world.client.request(method, url).body(body.to_owned());
    if let Some((name, value)) = key {
        request = request.header(name, value);
    }
    read(request.send().await.expect("an answer")).await
}

/// Asks, and expects a refusal in JSON that nothing upstream hears of.
async fn check(world: &World, key: Option<(&str, &str)>, asked: (Method, &str, &str), status: u16, code: &str) {
    let (method, path, body) = asked;
    let what = format!("{method} {path} {body} {key:?}");
    let answer = send(world, method, path, key, body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (status, code),
        "{what}: {answer:?}"
    );
    assert_eq!(answer.header("content-type"), "application/json", "{what}");
    assert_eq!(answer.header("x-should-retry"), "false", "{what}");
    assert!(!answer.header("x-request-id").is_empty(), "{what}");
    let error = &answer.json()["error"];
    assert!(
        error["message"].as_str().is_some_and(|text| text.len() > 10),
        "{what}: {error}"
    );
    assert!(
        error["type"].is_string() && error.get("param").is_some(),
        "{what}: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_known_key_nothing_is_served() {
    let world = World::start(two_clients()).await;
    for key in [
        None,
        Some(("api-key", "wrong")),
        Some(("api-key", "")),
        Some(("authorization", "Bearer wrong")),
        Some(("authorization", "Basic eDp5")),
    ] {
        for asked in [(Method::POST, V1, WHOLE), (Method::GET, "/v1/models", "")] {
            check(&world, key, asked, 401, "invalid_api_key").await;
        }
    }
    assert_eq!(world.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_json_with_a_code() {
    let world = World::start(two_clients()).await;
    let key = Some(("api-key", KEY));
    for body in [
        r#"{"model":"bot","#,
        "[1]",
        r#"{"model":1}"#,
        r#"{"model":"bot","model":"x"}"#,
        r#"{"model":"bot","stream":"yes"}"#,
    ] {
        check(&world, key, (Method::POST, V1, body), 400, "invalid_body").await;
    }
    for body in [
        r#"{"model":"bot","input":"x","background":true}"#,
        r#"{"model":"bot","input":"x","background":true,"stream":true}"#,
    ] {
        check(&world, key, (Method::POST, "/v1/responses", body), 400, "invalid_body").await;
    }
    for body in [r#"{"messages":[]}"#, r#"{"model":null,"messages":[]}"#] {
        check(&world, key, (Method::POST, V1, body), 400, "missing_model").await;
    }
    for (path, body) in [
        (V1, r#"{"model":"gpt-9","messages":[]}"#),
        ("/openai/deployments/gpt-9/chat/completions", WHOLE),
    ] {
        check(&world, key, (Method::POST, path, body), 404, "model_not_found").await;
    }
    let other = Some(("api-key", OTHER_KEY));
    for path in [V1, CLASSIC] {
        check(&world, other, (Method::POST, path, WHOLE), 404, "model_not_found").await;
    }
    for (of, key, code) in [("gpt-9", key, "model_not_found"), ("bot", other, "model_not_found")] {
        let path = format!("/v1/models/{of}");
        check(&world, key, (Method::GET, &path, ""), 404, code).await;
    }
    for (method, path) in [
        (Method::GET, V1),
        (Method::DELETE, "/v1/models"),
        (Method::DELETE, "/v1/models/bot"),
        (Method::PUT, CLASSIC),
    ] {
        check(&world, key, (method, path, ""), 405, "method_not_allowed").await;
    }
    for path in [
        "/",
        "/v1/images/generations",
        "/openai/v1/responses/resp_1",
        "/openai/v1/responses/resp_1/cancel",
        "/openai/deployments/bot/responses",
        "/v1/models/%ff",
        "/metrics",
    ] {
        check(&world, key, (Method::POST, path, WHOLE), 404, "not_served").await;
    }
    assert_eq!(world.requests().len(), 0, "nothing of this goes upstream");
    assert_eq!(world.records().await, [], "and nobody is charged");
    let refusals = r#"emberway_gateway_refusals_total{reason="model_not_found"}"#;
    assert_eq!(world.metric(refusals).await, Some(6.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_tell_what_would_work() {
    let world = World::start(two_clients()).await;
    let get = send(&world, Method::GET, V1, Some(("api-key", KEY)), "").await;
    assert_eq!(get.header("allow"), "POST");
    let message = |answer: &Answer| answer.json()["error"]["message"].as_str().unwrap().to_owned();
    let unknown = world.ask(r#"{"model":"gpt-9"}"#).await;
    assert_eq!(
        message(&unknown),
        "the model `gpt-9` does not exist or is not open to this key; its models are: `bot`, `embed`"
    );
    let other = send(&world, Method::POST, V1, Some(("api-key", OTHER_KEY)), WHOLE).await;
    assert_eq!(
        message(&other),
        "the model `bot` does not exist or is not open to this key; its models are: `embed`"
    );
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(10_000));
    assert!(message(&world.ask(long).await).len() < 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_model_is_told_to_those_who_may_use_it() {
    let world = World::start(two_clients()).await;
    for path in ["/v1/models/bot", "/openai/v1/models/bot", "/openai/models/bot"] {
        let answer = send(&world, Method::GET, path, Some(("api-key", KEY)), "").await;
        let told = answer.json();
        assert_eq!((answer.status.as_u16(), &told["id"]), (200, &"bot".into()), "{path}");
        let listed = send(&world, Method::GET, "/v1/models", Some(("api-key", KEY)), "").await;
        let listed = listed.json();
        let same = listed["data"].as_array().unwrap().contains(&told);
        assert!(same, "{told} of {listed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_url_family_and_key_form_is_served() {
    let world = World::start(two_clients()).await;
    let bearer = format!("Bearer {KEY}");
    let keys = [("api-key", KEY), ("authorization", &bearer)];
    let named_by_path = r#"{"model":null,"messages":[{"role":"user","content":"Hi"}]}"#;
    for key in keys {
        for (path, body) in [
            (V1, WHOLE),
            ("/v1/chat/completions", WHOLE),
            ("/openai/v1/chat/completions?api-version=preview", WHOLE),
            (CLASSIC, WHOLE),
            (CLASSIC, named_by_path),
            ("/openai/deployments/bot/chat/completions", WHOLE),
        ] {
            let answer = send(&world, Method::POST, path, Some(key), body).await;
            assert_eq!(answer.status, 200, "{path} {body}: {answer:?}");
            assert_eq!(answer.header("x-emberway-route"), "bot");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_and_completions_are_served_too() {
    let world = World::start(two_clients()).await;
    let body = r#"{"model":"embed","input":"Where is my parcel?"}"#;
    let answer = send(
        &world,
        Method::POST,
        "/v1/embeddings",
        Some(("api-key", OTHER_KEY)),
        body,
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["data"][0]["object"], "embedding");
    // This client has no diagnostic headers.
    assert_eq!(answer.header("x-emberway-deployment"), "");
    let record = world.record(&answer.headers).await;
    assert_eq!((record.client.as_str(), record.route.as_str()), ("other", "embed"));

    let body = r#"{"model":"bot","prompt":"Where is my parcel?"}"#;
    let answer = read(world.post("/v1/completions", body).send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["object"], "text_completion");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_models_is_the_clients_own() {
    let world = World::start(two_clients()).await;
    for path in [
        "/v1/models",
        "/openai/v1/models",
        "/openai/models?api-version=2024-10-21",
    ] {
        for (key, expect) in [(KEY, &["bot", "embed"][..]), (OTHER_KEY, &["embed"])] {
            let answer = send(&world, Method::GET, path, Some(("api-key", key)), "").await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            let list = answer.json();
            let names: Vec<_> = list["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|model| &model["id"])
                .collect();
            assert_eq!(names, expect, "{path}");
        }
    }
    assert_eq!(world.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_with_the_same_beginning_stay_together_and_others_spread() {
    let world = World::start(Setup {
        accounts: &["a", "b", "c", "d"],
        one_tier: true,
        ..Setup::default()
    })
    .await;
    let mut used = std::collections::BTreeSet::new();
    for head in 0..16 {
        let mut homes = std::collections::BTreeSet::new();
        for tail in 0..4 {
            let prompt = format!(
                "Instructions {head}. {} Question {tail}?",
                "Be kind and brief. ".repeat(300)
            );
            let body = serde_json::json!({"model": "bot", "messages": [{"role": "user", "content": prompt}]});
            let answer = world.ask(body.to_string()).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("x-emberway-reason")),
                (200, if tail == 0 { "home" } else { "warm" })
            );
            homes.insert(answer.header("x-emberway-deployment").to_owned());
        }
        assert_eq!(homes.len(), 1, "head {head}: {homes:?}");
        used.extend(homes);
    }
    assert_eq!(used.len(), 4, "{used:?}");
}
