//! Deployments that an operator takes out and puts back, while clients ask.

use std::time::Duration;

use emberway::simulator::faults::Action;
use http::Method;
use serde_json::{Value, json};

use crate::harness::{ADMIN_TOKEN, Answer, Setup, V1, WHOLE, World, eventually, preset, read, respond};

impl World {
    /// Asks for a change of the drains.
    async fn drains(&self, method: Method, query: &str, body: Value) -> Answer {
        let url = format!("http://{}/admin/drains{query}", self.gateway.admin_address());
        let request = self.client.request(method, url).bearer_auth(ADMIN_TOKEN);
        read(request.body(body.to_string()).send().await.expect("an answer")).await
    }

    /// Takes something out.
    async fn drain(&self, kind: &str, name: &str) -> Answer {
        self.drains(Method::POST, "", json!({ "kind": kind, "name": name }))
            .await
    }

    /// Puts something back.
    async fn undrain(&self, kind: &str, name: &str) -> Answer {
        let query = format!("?kind={kind}&name={name}");
        self.drains(Method::DELETE, &query, Value::Null).await
    }

    /// Who answers now.
    async fn answers(&self) -> String {
        let answer = self.ask(WHOLE).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("x-emberway-deployment").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_drained_gets_nothing_new_and_finishes_what_it_has() {
    let world = World::start(Setup::default()).await;
    assert_eq!(world.answers().await, "a/ft");
    world.fault_times("a", 1, Action::Delay { ms: 500 });
    let running = tokio::spawn(world.post(V1, WHOLE).send());
    eventually("a running request", || async {
        (world.deployment("a/ft").await["in_flight"] == 1).then_some(())
    })
    .await;
    for (kind, name) in [("deployment", "a/ft"), ("resource", "a"), ("region", "region-a")] {
        let began = world.drain(kind, name).await;
        assert_eq!(began.status, 200, "{began:?}");
        assert_eq!(
            began.json(),
            json!({ "drains": [{ "kind": kind, "name": name, "left_s": null }] })
        );
        assert_eq!(world.answers().await, "b/ft", "{kind}");
        let deployment = world.deployment("a/ft").await;
        assert_eq!(
            (&deployment["drained"], &deployment["drained_until_ms"]),
            (&true.into(), &Value::Null)
        );
        let series = r#"emberway_deployment_drained{deployment="a/ft"}"#;
        assert_eq!(world.metric(series).await, Some(1.0));
        let series = r#"emberway_pool_usable_deployments{pool="ft"}"#;
        assert_eq!(world.metric(series).await, Some(1.0));
        assert_eq!(world.undrain(kind, name).await.json(), json!({ "drains": [] }));
        let series = r#"emberway_deployment_drained{deployment="a/ft"}"#;
        assert_eq!(world.metric(series).await, Some(0.0));
        assert_eq!(world.answers().await, "a/ft", "{kind}");
    }
    let answer = read(running.await.unwrap().expect("an answer")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-deployment")),
        (200, "a/ft")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_planned_before_does_not_fail_over_to_what_is_drained() {
    let world = World::start(Setup::default()).await;
    let mut refusal = respond(503, json!({ "error": { "message": "no" } }), &[]);
    if let Action::Respond(canned) = &mut refusal {
        canned.delay_ms = 500;
    }
    world.fault_times("a", 1, refusal);
    let asking = tokio::spawn(world.post(V1, WHOLE).send());
    eventually("the first attempt", || async {
        (!world.requests_to("a").is_empty()).then_some(())
    })
    .await;
    world.drain("deployment", "b/ft").await;
    let answer = read(asking.await.unwrap().expect("an answer")).await;
    // It asks the one that failed again rather than the one that is out.
    let header = |name| answer.header(name);
    assert_eq!(
        (
            answer.status.as_u16(),
            header("x-emberway-deployment"),
            header("x-emberway-attempts")
        ),
        (200, "a/ft", "2")
    );
    assert!(world.requests_to("b").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_by_itself_and_explain_tells_of_it() {
    let world = World::start(Setup::default()).await;
    let body = json!({ "kind": "region", "name": "region-a", "for_s": 1 });
    let began = world.drains(Method::POST, "", body).await.json();
    let left = began["drains"][0]["left_s"].as_f64().expect("a time");
    assert!((0.5..=1.0).contains(&left), "{began}");
    let explain = async || {
        let url = format!("http://{}/admin/explain", world.gateway.admin_address());
        read(world.client.post(url).body(WHOLE).send().await.unwrap())
            .await
            .json()
    };
    let explained = explain().await;
    let left_out = &explained["left_out"][0];
    assert_eq!(
        (&left_out["deployment"], &left_out["why"]),
        (&"a/ft".into(), &"drained".into())
    );
    assert!(
        left_out["for_s"].as_f64().is_some_and(|left| left < 1.01),
        "{explained}"
    );
    assert_eq!(explained["candidates"][0]["deployment"], "b/ft");
    assert!(world.deployment("a/ft").await["drained_until_ms"].is_i64());
    let list = async || world.drains(Method::GET, "", Value::Null).await.json();
    eventually("its end", || async {
        (list().await == json!({ "drains": [] })).then_some(())
    })
    .await;
    assert_eq!(world.answers().await, "a/ft");
    assert_eq!(explain().await["left_out"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_usable_deployment_stays_unless_it_must_go() {
    let world = World::start(Setup {
        health: "consecutive_failures: 1, open_for: 60s",
        ..Setup::default()
    })
    .await;
    world.drain("deployment", "a/ft").await;
    let refused = world.drain("region", "region-b").await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (409, "last_usable_deployment")
    );
    assert!(refused.text().contains("nothing to use in `ft`"), "{refused:?}");
    assert_eq!(world.answers().await, "b/ft");
    // One more name for what is out already changes nothing for the others.
    let again = world.drain("deployment", "a/ft").await;
    assert_eq!(again.status, 200, "{again:?}");

    let body = json!({ "kind": "deployment", "name": "b/ft", "for_s": 30, "force": true });
    assert_eq!(world.drains(Method::POST, "", body).await.status, 200);
    let answer = world.ask(WHOLE).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "pool_drained"));
    let after: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=30).contains(&after), "{answer:?}");

    // One behind an open breaker is not left over as usable.
    world.undrain("deployment", "b/ft").await;
    world.undrain("deployment", "a/ft").await;
    world.fault_times("a", 1, preset("server_error"));
    assert_eq!(world.answers().await, "b/ft");
    assert_eq!(world.drain("deployment", "b/ft").await.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_say_how_to_mend_them() {
    let world = World::start(Setup {
        admin: "token: '${env:ADMIN_TOKEN}'",
        ..Setup::default()
    })
    .await;
    let unknown = world.drain("deployment", "a/fd").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.code().as_str()),
        (404, "unknown_name")
    );
    let message = unknown.json()["error"]["message"].clone();
    assert_eq!(
        message,
        "there is no deployment `a/fd`; there are: `a/embed`, `a/ft`, `b/embed`, `b/ft`"
    );
    for (body, status, code) in [
        (json!({ "kind": "planet", "name": "a" }), 400, "unknown_kind"),
        (json!({ "kind": "region" }), 400, "bad_body"),
        (
            json!({ "kind": "region", "name": "region-a", "for": 3 }),
            400,
            "bad_body",
        ),
        (
            json!({ "kind": "region", "name": "region-a", "for_s": 0 }),
            400,
            "bad_duration",
        ),
        (
            json!({ "kind": "region", "name": "region-a", "for_s": u64::MAX }),
            400,
            "bad_duration",
        ),
    ] {
        let answer = world.drains(Method::POST, "", body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{body}"
        );
    }
    let not_drained = world.undrain("region", "region-a").await;
    assert_eq!(
        (not_drained.status.as_u16(), not_drained.code().as_str()),
        (404, "not_drained")
    );
    let url = format!("http://{}/admin/drains", world.gateway.admin_address());
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let answer = read(world.client.request(method, &url).send().await.unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (401, "invalid_admin_token")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_survives_a_reload_for_names_that_stay() {
    let world = World::start(Setup::default()).await;
    world.drain("region", "region-a").await;
    world.drain("resource", "a").await;
    let text = tokio::fs::read_to_string(world.config_path()).await.unwrap();
    // The deployment is a new one as far as anybody knows; the region is the same.
    let renamed = text.replace("name: a, region", "name: z, region").replace("[a/", "[z/");
    let renamed = renamed.replace("${env:KEY_z}", "${env:KEY_a}");
    world.replace_config(&renamed).await;
    world.generation(2).await;
    assert_eq!(world.deployment("z/ft").await["drained"], true);
    assert_eq!(world.answers().await, "b/ft");
    let list = world.drains(Method::GET, "", Value::Null).await.json();
    assert_eq!(list["drains"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(world.undrain("region", "region-a").await.status, 200);
    assert_eq!(world.answers().await, "z/ft");
}

#[tokio::test(flavor = "multi_thread")]
async fn headroom_is_measured_from_scrape_to_scrape() {
    let world = World::start(Setup::default()).await;
    let ratio = async |region: &str| {
        let series = format!("emberway_headroom_ratio{{lost_region=\"{region}\",pool=\"ft\"}}");
        world.metric(&series).await
    };
    assert_eq!(ratio("region-a").await, None, "nothing is measured yet");
    for _ in 0..20 {
        world.answers().await;
    }
    // Five seconds between two looks, which nothing but time brings.
    tokio::time::sleep(Duration::from_millis(5_100)).await;
    let status = world.admin("/status").await.json();
    let of_status = status["pools"][0]["headroom"]["region-a"].as_f64().expect("measured");
    let measured = ratio("region-a").await.expect("measured");
    // Twenty requests in five seconds against a limit of a million.
    assert!((10.0..1e6).contains(&measured), "{measured}");
    assert!((measured / of_status - 1.0).abs() < 0.2, "{measured} {of_status}");
    // Who is out would carry nothing.
    world.drain("deployment", "b/ft").await;
    assert_eq!(ratio("region-a").await, Some(0.0));
    assert!(ratio("region-b").await > Some(10.0));
}
