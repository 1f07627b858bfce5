//! Writes that are taken, and what becomes of them.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_creation_is_followed_to_its_end_and_serves_after_its_propagation() {
    let bench = Bench::new();
    let path = deployment("north", "support");
    let made = bench.call("PUT", &path, &wanted("standard", 50, MINI)).await;
    assert_eq!((made.status, made.header("retry-after")), (201, "10"));
    assert_eq!(made.body["properties"]["provisioningState"], "Accepted");
    assert_eq!(
        (&made.body["sku"]["name"], &made.body["sku"]["capacity"]),
        (&json!("Standard"), &json!(50))
    );
    assert_eq!(made.body["systemData"]["createdAt"], "2026-01-15T00:00:00Z");
    let status = made.header("azure-asyncoperation").to_owned();
    assert!(status.starts_with(
        "http://arm/subscriptions/sub/providers/Microsoft.CognitiveServices/locations/swedencentral/operationsStatus/"
    ));
    bench.advance(55);
    let polled = bench.get(&status).await;
    assert_eq!(
        (&polled.body["status"], polled.header("retry-after")),
        (&json!("InProgress"), "5")
    );
    assert_eq!(bench.get(made.header("location")).await.status, 202);
    assert_eq!(bench.state("north", "support").await, "Creating");
    bench.advance(5);
    assert_eq!(bench.get(&status).await.body["status"], "Succeeded");
    assert_eq!(bench.get(made.header("location")).await.body["name"], "support");
    assert_eq!(bench.state("north", "SUPPORT").await, "Succeeded");
    assert_eq!(bench.ask("north", "support").await, 404, "not known there yet");
    bench.advance(30);
    assert_eq!(bench.ask("north", "support").await, 200);
    let limits = &bench.get(&path).await.body["properties"]["rateLimits"];
    assert_eq!(limits[0], json!({"key": "request", "renewalPeriod": 10, "count": 50}));
    assert_eq!(limits[1], json!({"key": "token", "renewalPeriod": 60, "count": 50_000}));
}

#[tokio::test(start_paused = true)]
async fn updates_are_in_force_when_they_have_ended() {
    let bench = Bench::new();
    bench.make("north", "support", &wanted("Standard", 50, MINI)).await;
    let path = deployment("north", "support");
    let patched = bench
        .call("PATCH", &path, &json!({"sku": {"capacity": "70"}, "tags": {"a": "b"}}))
        .await;
    assert_eq!(patched.status, 202);
    assert_eq!(
        (
            &patched.body["sku"]["capacity"],
            &patched.body["properties"]["currentCapacity"]
        ),
        (&json!(70), &json!(50))
    );
    let limit = |reply: Reply| reply.header("x-ratelimit-limit-tokens").to_owned();
    assert_eq!(limit(bench.chat("north", "support", ("api-key", "key")).await), "50000");
    bench.advance(30);
    assert_eq!(limit(bench.chat("north", "support", ("api-key", "key")).await), "70000");
    let replaced = bench.call("PUT", &path, &wanted("GlobalStandard", 80, MINI)).await;
    assert_eq!(replaced.status, 200, "it was there");
    bench.advance(30);
    let shown = bench.get(&path).await.body;
    assert_eq!(
        (&shown["sku"]["name"], &shown["properties"]["currentCapacity"]),
        (&json!("GlobalStandard"), &json!(80))
    );
    assert_eq!(
        shown["systemData"]["createdAt"], "2026-01-15T00:00:00Z",
        "replacing is not making"
    );
    assert_eq!(limit(bench.chat("north", "support", ("api-key", "key")).await), "80000");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_ends_in_nothing_and_again_in_nothing() {
    let bench = Bench::new();
    bench.make("north", "support", &wanted("Standard", 50, MINI)).await;
    let path = deployment("north", "support");
    let deleted = bench.call("DELETE", &path, &Value::Null).await;
    assert_eq!((deleted.status, &deleted.body), (202, &Value::Null));
    assert_eq!(bench.state("north", "support").await, "Deleting");
    assert_eq!(bench.get(deleted.header("location")).await.status, 202);
    assert_eq!(
        bench.call("DELETE", &path, &Value::Null).await.code(),
        "RequestConflict"
    );
    bench.advance(20);
    assert_eq!(bench.get(deleted.header("location")).await.status, 204);
    assert_eq!(
        bench.get(deleted.header("azure-asyncoperation")).await.body["status"],
        "Succeeded"
    );
    assert_eq!(bench.get(&path).await.code(), "ResourceNotFound");
    let asked = bench.chat("north", "support", ("api-key", "key")).await;
    assert_eq!((asked.status, asked.code()), (404, "DeploymentNotFound"));
    assert_eq!(bench.call("DELETE", &path, &Value::Null).await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn one_operation_at_a_time_in_an_account() {
    let bench = Bench::new();
    let put = |account, name| {
        let (bench, path) = (&bench, deployment(account, name));
        async move { bench.call("PUT", &path, &wanted("GlobalStandard", 1, MINI)).await }
    };
    assert_eq!(put("north", "one").await.status, 201);
    let second = put("north", "two").await;
    assert_eq!((second.status, second.code()), (409, "RequestConflict"));
    let elsewhere = wanted_from("GlobalStandard", 1, MINI, "source", &account("north"));
    assert_eq!(
        bench.call("PUT", &deployment("east", "two"), &elsewhere).await.status,
        201
    );
    bench.advance(60);
    assert_eq!(put("north", "two").await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_may_show_only_later() {
    let bench = Bench::with("  compatibility: {conflicts: fail_later}\n");
    let put = |name| {
        let (bench, path) = (&bench, deployment("north", name));
        async move { bench.call("PUT", &path, &wanted("GlobalStandard", 1, MINI)).await }
    };
    assert_eq!(put("one").await.status, 201);
    let second = put("two").await;
    assert_eq!(second.status, 201);
    bench.advance(60);
    let polled = bench.get(second.header("azure-asyncoperation")).await.body;
    assert_eq!(
        (&polled["status"], &polled["error"]["code"]),
        (&json!("Failed"), &json!("RequestConflict"))
    );
    assert_eq!(bench.get(second.header("location")).await.status, 409);
    assert_eq!(bench.state("north", "two").await, "Failed");
    assert_eq!(bench.state("north", "one").await, "Succeeded");
    assert_eq!(put("two").await.status, 201, "what failed is made anew");
    bench.advance(60);
    assert_eq!(bench.state("north", "two").await, "Succeeded");
}

#[tokio::test(start_paused = true)]
async fn an_operation_can_be_made_to_fail() {
    let bench = Bench::new();
    let fault = r#"{"count": 1, "action": {"fail_operation": {"code": "InternalServerError", "message": "sorry"}}}"#;
    bench.plane().faults.add(serde_json::from_str(fault).unwrap()).unwrap();
    let made = bench
        .call("PUT", &deployment("north", "support"), &wanted("Standard", 1, MINI))
        .await;
    bench.advance(60);
    assert_eq!(
        bench.get(made.header("azure-asyncoperation")).await.body["error"]["message"],
        "sorry"
    );
    assert_eq!(bench.state("north", "support").await, "Failed");
    assert_eq!(bench.ask("north", "support").await, 404);
}

#[tokio::test(start_paused = true)]
async fn models_come_from_other_regions_and_other_tenants() {
    let bench = Bench::new();
    let source = account("north");
    let checkpoint = wanted_from(
        "GlobalStandard",
        1,
        "ftchkpt-1",
        "source",
        &source.to_uppercase().replace("SUBSCRIPTIONS", "subscriptions"),
    );
    bench.make("east", "checkpoint", &checkpoint).await;
    assert_eq!(bench.ask("east", "checkpoint").await, 200);

    // Across tenants: the token of the destination, and one of the source beside it.
    let token = |tenant: &str| identity::token(&bench, tenant, "https://management.azure.com");
    let (own, other) = (token("tenant2"), token(TENANT));
    let path = deployment("far", "support");
    let put = |field, auxiliary: Option<String>| {
        let mut request = request(
            "PUT",
            &path,
            &own,
            &wanted_from("GlobalStandard", 1, MINI, field, &source),
        );
        if let Some(auxiliary) = auxiliary {
            let value = format!("Bearer {auxiliary}").parse().unwrap();
            request.headers_mut().insert("x-ms-authorization-auxiliary", value);
        }
        bench.send(request)
    };
    for (field, auxiliary, code) in [
        ("sourceAccount", None, "LinkedAuthorizationFailed"),
        ("source", Some(other.clone()), "LinkedAuthorizationFailed"),
        ("sourceAccount", Some(own.clone()), "LinkedAuthorizationFailed"),
    ] {
        assert_eq!(put(field, auxiliary).await.code(), code, "{field}");
    }
    assert_eq!(put("sourceAccount", Some(other)).await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn paused_deployments_answer_423_until_they_are_resumed() {
    let bench = Bench::new();
    bench.make("north", "support", &wanted("Standard", 50, MINI)).await;
    let path = |verb: &str| {
        format!(
            "{}/deployments/support/{verb}?api-version=2025-10-01-preview",
            account("north")
        )
    };
    for _ in 0..2 {
        let paused = bench.call("POST", &path("pause"), &Value::Null).await;
        assert_eq!(
            (paused.status, &paused.body["properties"]["deploymentState"]),
            (200, &json!("Paused"))
        );
        assert_eq!(bench.ask("north", "support").await, 423);
    }
    let resumed = bench.call("POST", &path("resume"), &Value::Null).await;
    assert_eq!(resumed.body["properties"]["deploymentState"], "Running");
    assert_eq!(bench.ask("north", "support").await, 200);
    bench
        .make("north", "ptu", &wanted("ProvisionedManaged", 50, FULL))
        .await;
    let path = path("pause").replace("support", "ptu");
    assert_eq!(
        bench.call("POST", &path, &Value::Null).await.code(),
        "InvalidResourceProperties"
    );
}

#[tokio::test(start_paused = true)]
async fn lists_come_page_by_page() {
    let bench = Bench::with("  limits: {page_size: 2}\n");
    for name in ["a", "b", "c"] {
        bench.make("north", name, &wanted("GlobalStandard", 1, MINI)).await;
    }
    let first = bench
        .get(&format!("{}/deployments?api-version=2024-10-01", account("north")))
        .await
        .body;
    let next = first["nextLink"].as_str().unwrap();
    assert!(next.starts_with("http://arm/subscriptions/sub/") && next.contains("api-version=2024-10-01"));
    let second = bench.get(next).await.body;
    assert_eq!(second["nextLink"], Value::Null);
    let names: Vec<&Value> = [&first, &second]
        .into_iter()
        .flat_map(|page| page["value"].as_array().unwrap())
        .map(|item| &item["name"])
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn accounts_models_quota_and_capacity_are_listed() {
    let bench =
        Bench::with("  quota: [{location: swedencentral, usage: OpenAI.Standard.gpt-4.1-mini-finetune, limit: 200}]\n");
    bench.make("north", "support", &wanted("Standard", 50, MINI)).await;
    let get = |path: String| {
        let bench = &bench;
        async move { bench.get(&format!("{path}?api-version=2025-09-01")).await.body }
    };
    assert_eq!(get(account("north")).await["location"], "swedencentral");
    let keys = bench
        .call(
            "POST",
            &format!("{}/listKeys?api-version=2025-09-01", account("north")),
            &Value::Null,
        )
        .await;
    assert_eq!(keys.body, json!({"key1": "key", "key2": "other"}));
    let all = get("/subscriptions/sub/providers/Microsoft.CognitiveServices/accounts".to_owned()).await;
    assert_eq!(all["value"].as_array().unwrap().len(), 2);
    let models = get(format!("{}/models", account("north"))).await;
    let tuned = models["value"]
        .as_array()
        .unwrap()
        .iter()
        .find(|model| model["name"] == MINI)
        .unwrap();
    assert_eq!(
        (&tuned["baseModel"]["name"], &tuned["version"]),
        (&json!("gpt-4.1-mini"), &json!("1"))
    );
    assert_eq!(tuned["skus"][0]["usageName"], "OpenAI.Standard.gpt-4.1-mini-finetune");
    assert_eq!(tuned["deprecation"]["inference"], "2027-10-14T00:00:00Z");
    let location = "/subscriptions/sub/providers/Microsoft.CognitiveServices/locations/swedencentral";
    assert_eq!(
        get(format!("{location}/models")).await["value"][0]["model"]["name"],
        "o4-mini"
    );
    let usages = get(format!("{location}/usages")).await;
    let line = usages["value"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["name"]["value"] == "OpenAI.Standard.gpt-4.1-mini-finetune");
    assert_eq!(
        (&line.unwrap()["currentValue"], &line.unwrap()["limit"]),
        (&json!(50), &json!(200))
    );
    let query = "api-version=2025-09-01&modelFormat=OpenAI&modelName=gpt-4.1-mini&modelVersion=2025-04-14";
    let free = bench.get(&format!("{location}/modelCapacities?{query}")).await.body;
    let standard = free["value"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["name"] == "Standard")
        .unwrap();
    assert_eq!(standard["properties"]["availableFinetuneCapacity"], 150);
    let skus = get(format!("{}/deployments/support/skus", account("north"))).await;
    assert_eq!(skus["value"][0]["sku"]["name"], "Standard");
    assert_eq!(
        bench.get("/subscriptions?api-version=2022-12-01").await.body["value"][0]["subscriptionId"],
        "sub"
    );
}
