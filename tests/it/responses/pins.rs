//! A response is continued where it is kept, and nowhere else; and only by its client.

use std::path::Path;

use emberway::app;

use super::*;
use crate::harness::{ADMIN_TOKEN, compile, eventually, upstreams};

/// Two deployments of which neither is preferred, and a second client.
fn two() -> Setup {
    Setup {
        one_tier: true,
        clients: "  - { name: other, keys: ['${env:OTHER_KEY}'], debug_headers: true }",
        ..Setup::default()
    }
}

/// What continues a response.
fn continuing(id: &str, more: &str) -> String {
    format!(r#"{{"model":"bot","input":"And then?","previous_response_id":"{id}"{more}}}"#)
}

/// A response of a deployment, by asking until it answers.
async fn response_of(world: &World, deployment: &str, body: &Value) -> String {
    for number in 0..64 {
        let mut body = body.clone();
        body["input"] = format!("Question {number}").into();
        let answer = world.respond(body.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        if answer.header("x-emberway-deployment") == deployment {
            return id_of(&answer);
        }
    }
    panic!("`{deployment}` never answers");
}

fn id_of(answer: &Answer) -> String {
    let id = if answer.header("content-type").starts_with("text/event-stream") {
        events(answer)[0]["response"]["id"].clone()
    } else {
        answer.json()["id"].clone()
    };
    id.as_str().expect("an id").to_owned()
}

async fn respond_as(world: &World, key: &str, body: String) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("api-key", key.parse().expect("a value"));
    let url = format!("http://{}{PATH}", world.address());
    let request = world.client.post(url).headers(headers).body(body);
    read(request.send().await.expect("an answer")).await
}

/// Ends the gateway and starts another in front of the same simulator, with these accounts and the same store.
async fn restart(world: World, accounts: &[&str]) -> World {
    let directory = world.directory();
    let World { sim, gateway, .. } = world;
    gateway.drain().await.expect("everything written");
    let mut next = World::start_in(two(), directory.clone()).await;
    // The simulator that knows the responses, in place of the new one.
    let all = upstreams(&two(), &sim);
    let some: Vec<_> = all
        .into_iter()
        .filter(|(name, _)| accounts.contains(&name.as_str()))
        .collect();
    let (gateway, new_sim) = (next.gateway, next.sim);
    gateway.drain().await.expect("everything written");
    new_sim.shutdown().await;
    next.gateway = start_gateway(&two().config(&some, directory.path()), directory.path()).await;
    next.sim = sim;
    next
}

async fn start_gateway(config: &str, directory: &Path) -> app::Running {
    let checked = compile(config, &directory.join("emberway.yaml"));
    app::start(checked, None, None).await.expect("a gateway")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_continues_a_response_goes_where_it_is_kept() {
    let world = World::start(two()).await;
    for body in [json!({"model": "bot"}), json!({"model": "bot", "stream": true})] {
        for deployment in ["a/ft", "b/ft"] {
            let mut id = response_of(&world, deployment, &body).await;
            let mut tokens = 0;
            for turn in 0..4 {
                let more = if turn % 2 == 0 { "" } else { r#","stream":true"# };
                let answer = world.respond(continuing(&id, more)).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                assert_eq!(answer.header("x-emberway-deployment"), deployment);
                assert_eq!(answer.header("x-emberway-reason"), "pinned");
                assert_eq!(answer.header("x-emberway-attempts"), "1");
                let row = world.record(&answer.headers).await;
                assert!(
                    row.prompt_tokens > tokens,
                    "what was said before counts: {row:?} after {tokens}"
                );
                tokens = row.prompt_tokens;
                id = id_of(&answer);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_gateway_remembers_who_keeps_what() {
    let world = World::start(two()).await;
    let ids = [
        ("a/ft", response_of(&world, "a/ft", &json!({"model": "bot"})).await),
        (
            "b/ft",
            response_of(&world, "b/ft", &json!({"model": "bot", "stream": true})).await,
        ),
    ];
    let world = restart(world, &["a", "b"]).await;
    for (deployment, id) in &ids {
        let answer = world.respond(continuing(id, "")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("x-emberway-deployment"), *deployment);
        assert_eq!(answer.header("x-emberway-reason"), "pinned");
    }
    // One that was taken out of the configuration.
    let world = restart(world, &["b"]).await;
    let before = world.requests().len();
    let answer = world.respond(continuing(&ids[0].1, "")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (400, "previous_response_not_found")
    );
    let message = answer.json()["error"]["message"]
        .as_str()
        .expect("a message")
        .to_owned();
    assert!(
        message.contains("`a/ft`") && message.contains("begin anew"),
        "{message}"
    );
    assert_eq!(answer.header("x-should-retry"), "false");
    assert_eq!(world.requests().len(), before, "nobody is asked");
    assert_eq!(world.respond(continuing(&ids[1].1, "")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_its_deployment_is_down_nobody_else_is_asked() {
    for (preset_name, status, code) in [
        ("server_error", 503, "upstream_unavailable"),
        ("unavailable", 503, "upstream_unavailable"),
        ("", 429, "rate_limit_exceeded"),
    ] {
        let world = World::start(two()).await;
        let id = response_of(&world, "b/ft", &json!({"model": "bot"})).await;
        let before = world.requests_to("a").len();
        let throttled = || {
            respond(
                429,
                json!({"error": {"code": "429", "message": "m"}}),
                &[("retry-after-ms", "700")],
            )
        };
        world.fault(
            "b",
            if preset_name.is_empty() {
                throttled()
            } else {
                preset(preset_name)
            },
        );
        for _ in 0..2 {
            let answer = world.respond(continuing(&id, "")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (status, code),
                "{preset_name}: {answer:?}"
            );
            let message = answer.json()["error"]["message"]
                .as_str()
                .expect("a message")
                .to_owned();
            assert!(message.contains("kept by deployment `b/ft`"), "{message}");
            assert!(message.contains("try again in"), "{message}");
            let after: u64 = answer.header("retry-after-ms").parse().expect("a time");
            assert!((1..=60_000).contains(&after), "{after}");
        }
        assert_eq!(
            world.requests_to("a").len(),
            before,
            "{preset_name}: nobody else knows it"
        );
        // And it is answered as soon as its deployment is back.
        world.sim.control().clear_faults();
        eventually("an answer", || async {
            (world.respond(continuing(&id, "")).await.status == 200).then_some(())
        })
        .await;
        assert_eq!(world.requests_to("a").len(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_deployment_waits_for_no_other() {
    let world = World::start(Setup {
        waiting: "max_wait: 5s",
        ..two()
    })
    .await;
    let id = response_of(&world, "b/ft", &json!({"model": "bot"})).await;
    let before = world.requests_to("a").len();
    let throttled = respond(
        429,
        json!({"error": {"code": "429", "message": "m"}}),
        &[("retry-after-ms", "300")],
    );
    world.fault_times("b", 1, throttled);
    let answer = world.respond(continuing(&id, "")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        (
            answer.header("x-emberway-deployment"),
            answer.header("x-emberway-reason")
        ),
        ("b/ft", "pinned")
    );
    assert!(answer.header("server-timing").contains("wait;dur="), "{answer:?}");
    assert_eq!(world.requests_to("a").len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_deployment_keeps_what_it_keeps() {
    let world = World::start(two()).await;
    let id = response_of(&world, "b/ft", &json!({"model": "bot"})).await;
    let before = world.requests().len();
    let url = format!("http://{}/admin/drains", world.gateway.admin_address());
    let drain = json!({"kind": "deployment", "name": "b/ft"});
    let request = world.client.post(url).bearer_auth(ADMIN_TOKEN).body(drain.to_string());
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    let answer = world.respond(continuing(&id, "")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (503, "pool_drained"),
        "{answer:?}"
    );
    assert!(answer.text().contains("kept by deployment `b/ft`"), "{answer:?}");
    assert_eq!(world.requests().len(), before);
    assert_eq!(world.respond(ASKED).await.header("x-emberway-deployment"), "a/ft");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_response_cannot_be_found_out_by_another() {
    let world = World::start(two()).await;
    let ids = [
        response_of(&world, "a/ft", &json!({"model": "bot"})).await,
        response_of(&world, "b/ft", &json!({"model": "bot"})).await,
    ];
    let nobodys = "resp_nobodys";
    let unknown = respond_as(&world, OTHER_KEY, continuing(nobodys, "")).await;
    for id in &ids {
        let before = world.requests().len();
        let answer = respond_as(&world, OTHER_KEY, continuing(id, "")).await;
        assert_eq!(answer.status, unknown.status);
        assert_eq!(answer.text(), unknown.text().replace(nobodys, id), "in the same words");
        assert_eq!(
            world.requests().len(),
            before,
            "nobody is asked, so nobody answers from it"
        );
        assert_eq!(respond_as(&world, KEY, continuing(id, "")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_stored_is_not_remembered() {
    let world = World::start(two()).await;
    for stream in [false, true] {
        let id = response_of(
            &world,
            "b/ft",
            &json!({"model": "bot", "store": false, "stream": stream}),
        )
        .await;
        let answer = world.respond(continuing(&id, "")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "previous_response_not_found")
        );
        assert_eq!(answer.header("x-emberway-attempts"), "1", "somebody is asked");
        assert_ne!(answer.header("x-emberway-reason"), "pinned");
        // That a client named what is not there costs no deployment anything.
        for deployment in ["a/ft", "b/ft"] {
            assert_eq!(
                response_of(&world, deployment, &json!({"model": "bot"}))
                    .await
                    .find("resp_"),
                Some(0)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_gateway_on_the_same_store_finds_what_was_kept_meanwhile() {
    let world = World::start(two()).await;
    let directory = world.directory();
    let config = two().config(&upstreams(&two(), &world.sim), directory.path());
    let successor = start_gateway(&config, directory.path()).await;
    let id = response_of(&world, "b/ft", &json!({"model": "bot"})).await;
    let count = world.requests().len();
    world.records_once(count).await;
    let url = format!("http://{}{PATH}", successor.addresses()[0]);
    let request = world.client.post(url).header("api-key", KEY).body(continuing(&id, ""));
    let answer = read(request.send().await.expect("an answer")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-reason")),
        (200, "pinned"),
        "{answer:?}"
    );
    successor.drain().await.expect("everything written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_continuation_itself_is_told_in_the_deployments_words() {
    let world = World::start(two()).await;
    let id = response_of(&world, "a/ft", &json!({ "model": "bot" })).await;
    let unsupported = json!({ "error": { "code": "OperationNotSupported", "message": "not by this model" } });
    world.fault("a", respond(400, unsupported, &[]));
    let answer = world.respond(continuing(&id, "")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (400, "OperationNotSupported".into()),
        "{answer:?}"
    );
}
