//! Every error of ARM that this world knows, provoked.

use super::*;

/// Status and code of a PUT.
async fn put(bench: &Bench, path: &str, body: &Value) -> (u16, String) {
    let reply = bench.call("PUT", path, body).await;
    (reply.status, reply.code().to_owned())
}

/// Status and code in one.
async fn check(bench: &Bench, path: &str, body: Value, expect: &str) {
    let (status, code) = put(bench, path, &body).await;
    assert_eq!(format!("{status} {code}"), expect, "{path} {body}");
}

#[tokio::test(start_paused = true)]
async fn models_that_are_not_there_are_refused() {
    const UNSUPPORTED: &str = "400 DeploymentModelNotSupported";
    const LINKED: &str = "403 LinkedAuthorizationFailed";
    let bench = Bench::new();
    let (north, east) = (deployment("north", "a"), deployment("east", "a"));
    let unknown = "gpt-4.1-mini-2025-04-14.ft-unknown";
    check(&bench, &north, wanted("Standard", 1, unknown), UNSUPPORTED).await;
    check(&bench, &north, wanted("Standard", 1, "llama"), UNSUPPORTED).await;
    let mut other_version = wanted("Standard", 1, MINI);
    other_version["properties"]["model"]["version"] = json!("2");
    check(&bench, &north, other_version, UNSUPPORTED).await;
    // Trained in another account, which has to be named.
    check(&bench, &east, wanted("GlobalStandard", 1, MINI), UNSUPPORTED).await;
    let from = |source: &str| wanted_from("GlobalStandard", 1, MINI, "source", source);
    check(&bench, &east, from("north"), "400 LinkedInvalidPropertyId").await;
    check(&bench, &east, from(&account("nowhere")), LINKED).await;
}

#[tokio::test(start_paused = true)]
async fn kinds_and_capacities_that_are_not_offered_are_refused() {
    const INVALID: &str = "400 InvalidResourceProperties";
    let bench = Bench::new();
    let (north, east) = (deployment("north", "a"), deployment("east", "a"));
    let elsewhere = wanted_from("Standard", 1, MINI, "source", &account("north"));
    check(&bench, &east, elsewhere, INVALID).await;
    check(&bench, &north, wanted("ProvisionedManaged", 50, MINI), INVALID).await;
    check(&bench, &north, wanted("ProvisionedManaged", 25, FULL), INVALID).await;
    let mut spilling = wanted("ProvisionedManaged", 50, FULL);
    spilling["properties"]["spilloverDeploymentName"] = json!("nowhere");
    check(&bench, &north, spilling, INVALID).await;
    check(&bench, &deployment("north", "-x"), wanted("Standard", 1, MINI), INVALID).await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_lead_nowhere_are_refused() {
    let bench = Bench::new();
    let north = deployment("north", "a");
    let body = || wanted("Standard", 1, MINI);
    check(
        &bench,
        &north,
        json!({"sku": {"name": "Standard"}}),
        "400 InvalidRequestContent",
    )
    .await;
    check(&bench, &deployment("nowhere", "a"), body(), "404 ResourceNotFound").await;
    let other_group = north.replace("Groups/group", "Groups/other");
    check(&bench, &other_group, body(), "404 ResourceGroupNotFound").await;
    check(
        &bench,
        &north.replace("/sub/", "/other/"),
        body(),
        "404 SubscriptionNotFound",
    )
    .await;
    let bare = north.replace("api-version", "x");
    check(&bench, &bare, body(), "400 MissingApiVersionParameter").await;
    let old = north.replace("2024-10-01", "2020-01-01");
    check(&bench, &old, body(), "400 InvalidApiVersionParameter").await;
    check(
        &bench,
        &deployment("far", "a"),
        body(),
        "401 InvalidAuthenticationTokenTenant",
    )
    .await;
    assert_eq!(bench.get(&north).await.code(), "ResourceNotFound");
    let patched = bench.call("PATCH", &north, &json!({"sku": {"capacity": 1}})).await;
    assert_eq!((patched.status, patched.code()), (404, "ResourceNotFound"));
    assert_eq!(
        bench
            .get("/subscriptions/sub/providers/Microsoft.Compute/disks")
            .await
            .status,
        404
    );
}

#[tokio::test(start_paused = true)]
async fn quota_is_shared_in_a_region_and_given_back() {
    let bench =
        Bench::with("  quota: [{location: swedencentral, usage: OpenAI.Standard.gpt-4.1-mini-finetune, limit: 200}]\n");
    bench.make("north", "one", &wanted("Standard", 150, MINI)).await;
    let second = deployment("north", "two");
    let refused = bench.call("PUT", &second, &wanted("Standard", 51, MINI)).await;
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("51 new capacity") && message.contains("available capacity 50"),
        "{message}"
    );
    assert_eq!(
        put(&bench, &second, &wanted("Standard", 51, MINI)).await.1,
        "InsufficientQuota"
    );
    let grown = bench
        .call("PATCH", &deployment("north", "one"), &json!({"sku": {"capacity": 201}}))
        .await;
    assert_eq!(grown.code(), "InsufficientQuota");
    bench.call("DELETE", &deployment("north", "one"), &Value::Null).await;
    bench.advance(20);
    assert_eq!(put(&bench, &second, &wanted("Standard", 200, MINI)).await.0, 201);
}

#[tokio::test(start_paused = true)]
async fn an_account_has_so_many_fine_tuned_deployments() {
    let bench = Bench::with("  limits: {fine_tuned_deployments: 2}\n");
    for name in ["a", "b"] {
        bench.make("north", name, &wanted("GlobalStandard", 1, MINI)).await;
    }
    let third = put(&bench, &deployment("north", "c"), &wanted("GlobalStandard", 1, MINI)).await;
    assert_eq!(third.1, "InsufficientQuota");
}

#[tokio::test(start_paused = true)]
async fn base_models_retire_before_what_was_made_of_them() {
    let mut base = wanted("GlobalStandard", 1, "gpt-4.1-mini");
    base["properties"]["model"]["version"] = json!("2025-04-14");
    let bench = Bench::new();
    let path = deployment("north", "base");
    assert_eq!(put(&bench, &path, &base).await.0, 201);
    bench.advance(300 * 86_400);
    let refused = bench.call("PUT", &deployment("north", "again"), &base).await;
    assert_eq!(refused.code(), "ServiceModelDeprecated");
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("Name:gpt-4.1-mini,Version:2025-04-14,Source:,SourceAccount:")
            && message.contains("2026-10-14")
    );
    let asked = bench.chat("north", "base", ("api-key", "key")).await;
    assert_eq!((asked.status, asked.code()), (410, "ModelDeprecated"));
    assert_eq!(
        put(
            &bench,
            &deployment("north", "tuned"),
            &wanted("GlobalStandard", 1, MINI)
        )
        .await
        .0,
        201
    );
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_being_made_takes_nothing() {
    let yaml = SCENARIO.replace("MINI", MINI).replace("FULL", FULL);
    let bench = Bench::of(&yaml.replace(
        "region: swedencentral",
        "region: swedencentral\n    provisioning_state: Creating",
    ));
    let refused = put(&bench, &deployment("north", "a"), &wanted("Standard", 1, MINI)).await;
    assert_eq!(refused, (409, "InvalidResourceState".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn too_much_is_throttled_until_the_hour_is_over() {
    let bench = Bench::with("  limits: {reads_per_hour: 2}\n");
    let path = deployment("north", "a");
    assert_eq!(
        bench
            .get(&path)
            .await
            .header("x-ms-ratelimit-remaining-subscription-reads"),
        "1"
    );
    bench.get(&path).await;
    let throttled = bench.get(&path).await;
    assert_eq!(
        (throttled.status, throttled.code(), throttled.header("retry-after")),
        (429, "TooManyRequests", "3600")
    );
    bench.advance(3_600);
    assert_eq!(bench.get(&path).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn scripted_answers_come_first_and_so_often() {
    let bench = Bench::new();
    for fault in [
        r#"{"count": 1, "path": "DEPLOYMENTS/a", "method": "get", "action": {"respond": {"status": 429, "code": "TooManyRequests", "retry_after_s": 17}}}"#,
        r#"{"count": 1, "path": "oauth2", "action": {"respond": {"status": 503, "code": "temporarily_unavailable"}}}"#,
    ] {
        bench.plane().faults.add(serde_json::from_str(fault).unwrap()).unwrap();
    }
    assert_eq!(bench.get(&deployment("north", "b")).await.status, 404);
    let met = bench.get(&deployment("north", "a")).await;
    assert_eq!((met.status, met.header("retry-after")), (429, "17"));
    assert_eq!(bench.get(&deployment("north", "a")).await.status, 404);
    let token = format!("/{TENANT}/oauth2/v2.0/token");
    let refused = bench.call("POST", &token, &Value::Null).await;
    assert_eq!(
        (refused.status, &refused.body["error"]),
        (503, &json!("temporarily_unavailable"))
    );
    assert_eq!(bench.call("POST", &token, &Value::Null).await.status, 400);
    let wrong = r#"{"action": {"respond": {"status": 200, "code": "x"}}}"#;
    assert!(bench.plane().faults.add(serde_json::from_str(wrong).unwrap()).is_err());
}

#[tokio::test(start_paused = true)]
async fn post_is_put_by_a_switch_only() {
    let path = deployment("north", "a");
    let refused = Bench::new().call("POST", &path, &wanted("Standard", 1, MINI)).await;
    assert_eq!((refused.status, refused.code()), (405, "HttpMethodNotSupported"));
    let bench = Bench::with("  compatibility: {post_as_put: true}\n");
    assert_eq!(
        bench.call("POST", &path, &wanted("Standard", 1, MINI)).await.status,
        201
    );
}

#[tokio::test(start_paused = true)]
async fn callers_need_tokens_that_count_and_rights() {
    let bench = Bench::with(
        "  principals: [{name: reader, client_id: c, object_id: o, rights: [{scope: /subscriptions/sub, role: reader}]}]\n  tokens: [{token: reading, principal: reader}]\n",
    );
    let path = deployment("north", "a");
    let mut bare = request("GET", &path, "x", &Value::Null);
    bare.headers_mut().remove("authorization");
    let refused = bench.send(bare).await;
    assert_eq!((refused.status, refused.code()), (401, "AuthenticationFailed"));
    assert!(refused.header("www-authenticate").starts_with("Bearer "));
    for (method, token, code) in [
        ("GET", "nonsense", "InvalidAuthenticationToken"),
        ("GET", "reading", "ResourceNotFound"),
        ("PUT", "reading", "AuthorizationFailed"),
        ("DELETE", "reading", "AuthorizationFailed"),
    ] {
        let reply = bench
            .send(request(method, &path, token, &wanted("Standard", 1, MINI)))
            .await;
        assert_eq!(reply.code(), code, "{method} {token}");
    }
    let usages =
        "/subscriptions/sub/providers/Microsoft.CognitiveServices/locations/eastus2/usages?api-version=2024-10-01";
    assert_eq!(
        bench.send(request("GET", usages, "reading", &Value::Null)).await.code(),
        "AuthorizationFailed"
    );
}
