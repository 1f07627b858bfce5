//! Where a request would go, and why: the admin listener's answer, and the command line's.

use tokio::io::AsyncReadExt as _;

use crate::harness::{Answer, Setup, World, eventually, preset, read};
use crate::placement::turn;

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_explained_without_being_carried_out() {
    let world = World::start(Setup {
        accounts: &["a", "b", "c"],
        one_tier: true,
        ..Setup::default()
    })
    .await;
    let explained = || async { world.explain(&turn(7)).await.json() };
    let before = explained().await;
    assert_eq!(before, explained().await, "explaining counts nothing");
    assert_eq!(world.requests().len(), 0, "nothing was sent");
    let asked = world.ask(turn(7)).await;
    let first = &before["candidates"][0];
    assert_eq!(first["deployment"], asked.header("x-emberway-deployment"));
    assert_eq!(
        (&first["reason"], &first["expected_tokens"]),
        (&"home".into(), &0.into())
    );
    assert_eq!(before["candidates"].as_array().unwrap().len(), 3);
    let after = explained().await;
    assert_eq!(
        (&after["candidates"][0]["reason"], &after["warm_tokens"]),
        (&"warm".into(), &after["prompt_tokens"])
    );
    let unknown = world.explain(r#"{"model":"nobody","messages":[]}"#).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.code().as_str()),
        (404, "model_not_found")
    );
    assert!(
        unknown
            .text()
            .contains("no route has the model `nobody`; the models are: `bot`"),
        "an operator has no key: {unknown:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_explains_too() {
    let world = World::start(Setup::default()).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("body.json");
    tokio::fs::write(&file, turn(1)).await.unwrap();
    let url = format!("http://{}", world.gateway.admin_address());
    let run = |more: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_emberway"));
        command.arg("explain").arg(&file).args(["--url", &url]).args(more);
        command.output()
    };
    let shown = run(&[]).await.unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success(), "{text}");
    for part in ["route      bot, pool", "first turn", "a/ft", "b/ft", "home"] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let json: serde_json::Value = serde_json::from_slice(&run(&["--json"]).await.unwrap().stdout).unwrap();
    assert_eq!(json["route"], "bot");
    let by_load = String::from_utf8(run(&["--no-affinity"]).await.unwrap().stdout).unwrap();
    assert!(by_load.contains("by_load") && !by_load.contains("home "), "{by_load}");
    let stranger = run(&["--client", "nobody"]).await.unwrap();
    assert_eq!(stranger.status.code(), Some(1));
    let message = String::from_utf8(stranger.stderr).unwrap();
    assert!(
        message.contains("there is no client `nobody`; leave `client` out, or name one of: `desk`"),
        "{message}"
    );
    tokio::fs::write(&file, "{").await.unwrap();
    let refused = run(&[]).await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(
        message.contains("/admin/explain` answered 400 Bad Request: the request body is not valid JSON"),
        "{message}"
    );
}

/// What the command line sends on behalf of a client.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_names_client_and_session() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("body.json");
    tokio::fs::write(&file, turn(1)).await.unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_emberway"));
    let url = format!("http://{}", listener.local_addr().unwrap());
    command.arg("explain").arg(&file).args(["--url", &url]);
    command
        .args(["--client", "desk", "--session", "case 7"])
        .kill_on_drop(true);
    let child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut sent = Vec::new();
    while !sent.windows(4).any(|four| four == b"\r\n\r\n") {
        assert_ne!(connection.read_buf(&mut sent).await.unwrap(), 0, "the head is whole");
    }
    drop(child);
    let head = String::from_utf8_lossy(&sent);
    for part in [
        "POST /admin/explain?client=desk HTTP/1.1\r\n",
        "x-session-id: case 7\r\n",
    ] {
        assert!(head.contains(part), "no `{part}` in\n{head}");
    }
    assert!(!head.contains("x-emberway-affinity"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_tells_tiers_ejections_and_rests() {
    let world = World::start(Setup {
        health: "consecutive_failures: 1, open_for: 60s",
        ..Setup::default()
    })
    .await;
    let explained = async || world.explain(&turn(1)).await.json();
    let places = |explained: &serde_json::Value| -> Vec<_> {
        let candidates = explained["candidates"].as_array().unwrap().iter();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let place = candidates.map(|one| {
            let tier = one["tier"].as_u64().unwrap();
            (
                text(&one["deployment"]),
                tier,
                text(&one["reason"]),
                text(&one["breaker"]),
            )
        });
        place.collect()
    };
    let place =
        |name: &str, tier, reason: &str, breaker: &str| (name.to_owned(), tier, reason.to_owned(), breaker.to_owned());
    let healthy = explained().await;
    let expected = [place("a/ft", 1, "home", "closed"), place("b/ft", 2, "tier", "closed")];
    assert_eq!(places(&healthy), expected);
    assert!(healthy["candidates"][0]["probed_in_s"].is_null(), "{healthy}");

    world.fault("a", preset("server_error"));
    assert_eq!(world.ask(turn(1)).await.header("x-emberway-deployment"), "b/ft");
    let ejected = explained().await;
    let expected = [
        place("b/ft", 2, "tier", "closed"),
        place("a/ft", 1, "last_resort", "open"),
    ];
    assert_eq!(places(&ejected), expected);
    let probed_in = ejected["candidates"][1]["probed_in_s"].as_f64().unwrap();
    assert!((40.0..=60.0).contains(&probed_in), "{probed_in}");

    world.fault("b", preset("token_limit"));
    world.ask(turn(1)).await;
    let resting = explained().await;
    let left_out = &resting["left_out"][0];
    assert_eq!(
        (&left_out["deployment"], &left_out["why"], &left_out["tier"]),
        (&"b/ft".into(), &"resting".into(), &2.into())
    );
    let left = left_out["for_s"].as_f64().unwrap();
    assert!((1.0..=20.0).contains(&left), "{left_out}");
    let until: jiff::Timestamp = left_out["until"].as_str().unwrap().parse().unwrap();
    let from_now = until.duration_since(jiff::Timestamp::now()).as_secs_f64();
    assert!((left - 5.0..=left).contains(&from_now), "{left_out}");
    let text = world.explained_by_command_line(&turn(1)).await;
    for part in [
        "a/ft is ejected, so it is tried last: its breaker is open, and a request may probe it in ",
        "b/ft (tier 2) is left out: resting for ",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_one_that_recovers_takes_nothing_from_its_share() {
    let world = World::start(Setup {
        health: "consecutive_failures: 1, open_for: 10ms",
        slow_start: "10m",
        ..Setup::default()
    })
    .await;
    world.fault_times("a", 1, preset("server_error"));
    assert_eq!(world.ask(turn(1)).await.header("x-emberway-deployment"), "b/ft");
    eventually("a probe that closes the breaker", || async {
        let answer = world.ask(turn(1)).await;
        (answer.header("x-emberway-deployment") == "a/ft").then_some(())
    })
    .await;
    for look in 0..25 {
        let explained = world.explain(&turn(1)).await.json();
        let [first, last] = [&explained["candidates"][0], &explained["candidates"][1]];
        assert_eq!(
            (&first["deployment"], &last["deployment"]),
            (&"b/ft".into(), &"a/ft".into()),
            "{look}"
        );
        assert_eq!(
            (&last["reason"], &last["breaker"]),
            (&"last_resort".into(), &"closed".into())
        );
        let share = last["share_of_plans"].as_f64().unwrap();
        assert!((0.1..0.2).contains(&share), "{explained}");
    }
    let text = world.explained_by_command_line(&turn(1)).await;
    assert!(
        text.contains("a/ft recovers: 10 % of plans count on it by now"),
        "{text}"
    );
}

/// What a request gets for which nobody can be asked is told as it then comes.
#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_be_asked_the_answer_is_told() {
    let world = World::start(Setup::default()).await;
    let told = world.explain(&turn(1)).await.json();
    assert!(told["unasked"].is_null(), "{told}");

    world.fault("a", preset("token_limit"));
    world.fault("b", preset("token_limit"));
    world.ask(turn(1)).await;
    let told = world.explain(&turn(1)).await.json();
    let answer = world.ask(turn(1)).await;
    assert_eq!(told["candidates"].as_array().unwrap().len(), 0, "{told}");
    let unasked = &told["unasked"];
    assert_eq!(
        (&unasked["status"], &unasked["code"]),
        (&429.into(), &"rate_limit_exceeded".into())
    );
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (429, "rate_limit_exceeded")
    );
    let after = unasked["retry_after_s"].as_f64().unwrap();
    let came_after: f64 = answer.header("retry-after").parse().unwrap();
    assert!(
        came_after <= after.ceil() && after <= came_after + 10.0,
        "{unasked} {answer:?}"
    );
    let waits = unasked["waits_up_to_s"].as_f64();
    let text = world.explained_by_command_line(&turn(1)).await;
    let expected = match waits {
        Some(_) => {
            "nobody can be asked now: the request would wait for one of them, up to 5 s, and else get 429 (`rate_limit_exceeded`, retry after "
        }
        None => "nobody can be asked now: the request would get 429 (`rate_limit_exceeded`, retry after ",
    };
    assert!(text.contains(expected), "{text}");

    let url = format!("http://{}/admin/drains", world.gateway.admin_address());
    for region in ["region-a", "region-b"] {
        let body = format!(r#"{{"kind":"region","name":"{region}","force":true}}"#);
        let drained = world.client.post(&url).body(body).send().await.unwrap();
        assert!(drained.status().is_success(), "{drained:?}");
    }
    let told = world.explain(&turn(1)).await.json();
    let answer = world.ask(turn(1)).await;
    let expected = serde_json::json!({
        "waits_up_to_s": null, "status": 503, "code": "pool_drained", "retry_after_s": null,
    });
    assert_eq!(told["unasked"], expected);
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "pool_drained"));
    let text = world.explained_by_command_line(&turn(1)).await;
    assert!(text.contains("the request would get 503 (`pool_drained`)"), "{text}");
}

impl World {
    async fn explain(&self, body: &str) -> Answer {
        let url = format!("http://{}/admin/explain", self.gateway.admin_address());
        read(self.client.post(url).body(body.to_owned()).send().await.unwrap()).await
    }

    async fn explained_by_command_line(&self, body: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("body.json");
        tokio::fs::write(&file, body).await.unwrap();
        let url = format!("http://{}", self.gateway.admin_address());
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_emberway"));
        let shown = command.arg("explain").arg(&file).args(["--url", &url]).output();
        String::from_utf8(shown.await.unwrap().stdout).unwrap()
    }
}
