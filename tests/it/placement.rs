//! Where requests go, and what of their deployments' limits is noticed.

use emberway::simulator::faults::{Action, Fault};

use crate::harness::{Setup, V1, WHOLE, World, eventually, read, respond};

/// A question of some 4 × `words` bytes that begins with these.
fn question(beginning: &str, words: usize) -> String {
    let prompt = format!("{beginning} {}", "and ".repeat(words));
    serde_json::json!({"model": "bot", "messages": [{"role": "user", "content": prompt}]}).to_string()
}

/// Two deployments that take 10,000 tokens a minute each, and say so.
fn tight() -> Setup {
    Setup {
        accounts: &["a", "b"],
        one_tier: true,
        settings: "limits: { enabled: true }",
        simulated: "capacity: 10",
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_nearly_full_is_passed_over_before_it_refuses() {
    let world = World::start(tight()).await;
    let first = world.ask(question("One beginning.", 3_000)).await;
    let (home, reason) = (
        first.header("x-emberway-deployment").to_owned(),
        first.header("x-emberway-reason"),
    );
    assert_eq!((first.status.as_u16(), reason), (200, "home"));
    let mut answers = Vec::new();
    for tail in 0..4 {
        let answer = world
            .ask(question("One beginning.", 3_000).replace("and \"", &format!("{tail}\"")))
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-emberway-attempts"), "1", "nobody was asked in vain");
        answers.push((
            answer.header("x-emberway-deployment").to_owned(),
            answer.header("x-emberway-reason").to_owned(),
        ));
    }
    assert_eq!(answers[0], (home.clone(), "warm".to_owned()));
    assert!(answers.iter().any(|(deployment, _)| *deployment != home), "{answers:?}");
    // The configured 10,000,000 were believed until the first answer told otherwise.
    let limit = world.deployment(&home).await["limit_tokens_per_minute"].clone();
    assert_eq!(limit, 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_no_limit_takes_puts_no_deployment_to_rest() {
    let world = World::start(tight()).await;
    assert_eq!(world.ask(WHOLE).await.status, 200);
    let large = world.ask(question("Too much.", 12_000)).await;
    assert_eq!(large.status, 429);
    for name in ["a/ft", "b/ft"] {
        let deployment = world.deployment(name).await;
        assert!(deployment["cooling_until_ms"].is_null(), "{deployment}");
    }
    assert_eq!(world.ask(WHOLE).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_the_service_lowers_for_a_while_is_noticed() {
    let world = World::start(tight()).await;
    // Long enough to have a home, which is asked again.
    let limit = || async {
        let answer = world.ask(question("Lowered.", 1_500)).await;
        let deployment = answer.header("x-emberway-deployment").to_owned();
        (
            deployment.clone(),
            world.deployment(&deployment).await["limit_tokens_per_minute"].clone(),
        )
    };
    let (home, before) = limit().await;
    assert_eq!(before, 10_000);
    for account in ["a", "b"] {
        let fault = Fault::new(Action::ReduceLimit { ratio: 0.5 }).on_account(account);
        world.sim.control().add_fault(fault).expect("a fault");
    }
    assert_eq!(limit().await, (home, 5_000.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learned_of_prompts_survives_a_reload() {
    let world = World::start(Setup {
        accounts: &["a", "b", "c", "d"],
        one_tier: true,
        ..Setup::default()
    })
    .await;
    let before = world.ask(question("Kept.", 2_000)).await;
    let text = tokio::fs::read_to_string(world.config_path()).await.unwrap();
    world.replace_config(&format!("replicas: 4\n{text}")).await;
    world.generation(2).await;
    let after = eventually("an answer", || async {
        Some(world.ask(question("Kept.", 2_000)).await)
    })
    .await;
    assert_eq!(after.header("x-emberway-reason"), "warm");
    assert_eq!(
        after.header("x-emberway-deployment"),
        before.header("x-emberway-deployment")
    );
}

/// A body whose head is hot: many turns begin with it.
pub(crate) fn turn(number: usize) -> String {
    let opener = format!("Question {number}: {}", "where is it? ".repeat(200));
    let head = "You answer for a parcel service. ".repeat(200);
    let messages = serde_json::json!([{"role": "system", "content": head}, {"role": "user", "content": opener}]);
    serde_json::json!({"model": "bot", "messages": messages}).to_string()
}

/// The keys that reached the simulator, in order; none where a request had none.
fn keys(world: &World) -> Vec<Option<String>> {
    let bodies = world.requests().into_iter().map(|request| {
        let body: serde_json::Value = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
        body["prompt_cache_key"].as_str().map(str::to_owned)
    });
    bodies.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_head_is_given_keys_where_the_deployment_may_have_them() {
    for (setting, expected) in [("prompt_cache_key: always", true), ("prompt_cache_key: off", false)] {
        let world = World::start(Setup {
            accounts: &["a"],
            deployment: setting,
            ..Setup::default()
        })
        .await;
        for number in 0..40 {
            assert_eq!(world.ask(turn(number)).await.status, 200);
        }
        let sent = keys(&world);
        let different: std::collections::HashSet<_> = sent.iter().flatten().collect();
        assert_eq!(different.len() > 1, expected, "{setting}: {sent:?}");
        // Counted when a request has ended, which is after its answer.
        let keyed = sent.iter().flatten().count() as f64;
        eventually("every key is counted", async || {
            let counted = world
                .metric(r#"emberway_cache_keys_sent_total{deployment="a/ft",route="bot"}"#)
                .await;
            (counted == Some(keyed)).then_some(())
        })
        .await;
        assert!(sent[0].is_none(), "the first of a head is not hot");
        if expected {
            // A conversation keeps its key.
            let again = world.ask(turn(39)).await;
            assert_eq!(
                (again.status.as_u16(), keys(&world)[40].clone()),
                (200, sent[39].clone())
            );
            // A client's own key stays what it is.
            let own = turn(39).replacen('{', r#"{"prompt_cache_key":"mine","#, 1);
            assert_eq!(world.ask(own).await.status, 200);
            assert_eq!(keys(&world)[41].as_deref(), Some("mine"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_does_not_know_the_key_gets_none() {
    let world = World::start(Setup {
        accounts: &["a"],
        deployment: "prompt_cache_key: always",
        ..Setup::default()
    })
    .await;
    let mut number = 0;
    while keys(&world).iter().flatten().count() == 0 {
        assert!(number < 40, "no key was sent");
        assert_eq!(world.ask(turn(number)).await.status, 200);
        number += 1;
    }
    let unknown = serde_json::json!({"respond": {"status": 400, "body": {"error": {
        "message": "Unrecognized request argument supplied: prompt_cache_key",
        "type": "invalid_request_error", "param": null, "code": null,
    }}}});
    world.fault_times("a", 1, serde_json::from_value(unknown).unwrap());
    let before = keys(&world).len();
    let answer = world.ask(turn(number)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-attempts")),
        (200, "1")
    );
    assert_eq!(world.ask(turn(number + 1)).await.status, 200);
    let sent: Vec<bool> = keys(&world)[before..].iter().map(Option::is_some).collect();
    assert_eq!(
        sent,
        [true, false, false],
        "refused, sent again without, and not tried for a while"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_decline_affinity() {
    let world = World::start(Setup {
        one_tier: true,
        ..Setup::default()
    })
    .await;
    assert_eq!(world.ask(turn(0)).await.header("x-emberway-reason"), "home");
    let declined = world
        .post(V1, turn(0))
        .header("x-emberway-affinity", "off")
        .send()
        .await
        .unwrap();
    assert_eq!(read(declined).await.header("x-emberway-reason"), "by_load");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_choose_a_plainer_policy() {
    for (policy, reason) in [
        ("round_robin", "turn"),
        ("least_busy", "least_busy"),
        ("latency", "latency"),
        ("head_hash", "home"),
    ] {
        let world = World::start(Setup {
            one_tier: true,
            policy,
            ..Setup::default()
        })
        .await;
        let mut used = std::collections::BTreeSet::new();
        for _ in 0..4 {
            let answer = world.ask(turn(0)).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("x-emberway-reason")),
                (200, reason)
            );
            used.insert(answer.header("x-emberway-deployment").to_owned());
        }
        match policy {
            "round_robin" => assert_eq!(used.len(), 2),
            "head_hash" => assert_eq!(used.len(), 1),
            _ => {}
        }
    }
}

/// A head of its own for each number, which is asked for too seldom to be hot.
fn cold(number: usize) -> String {
    turn(0).replace("You answer", &format!("As assistant {number} you answer"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_stops_caching_is_found_out() {
    let world = World::start(Setup {
        accounts: &["a"],
        settings: "limits: { enabled: false }\nprompt_cache: { enabled: false }",
        ..Setup::default()
    })
    .await;
    let life = || async { world.deployment("a/ft").await["cache_life_s"].clone() };
    assert_eq!(world.ask(turn(0)).await.status, 200);
    assert_eq!(life().await, 600.0);
    // Twenty in a row that were not there are enough; a few say nothing, since they were sent in the tick in which a loss was noticed.
    let mut number = 0;
    while life().await != 0.0 {
        assert!(number < 40, "not found out");
        for _ in 0..2 {
            assert_eq!(world.ask(cold(number)).await.status, 200);
        }
        number += 1;
    }
    assert!(number >= 20, "found out after {number}");
    assert_eq!(world.ask(turn(0)).await.header("x-emberway-reason"), "only_choice");
}

/// What a provisioned deployment costs: nothing of what is cached, and nothing of what it refused.
#[tokio::test(flavor = "multi_thread")]
async fn no_client_fills_a_deployment_with_what_it_only_asks_for() {
    let world = World::start(Setup {
        deployment: "model: gpt-4.1-mini",
        ..Setup::default()
    })
    .await;
    let used = || async { world.deployment("a/ft").await["limit_used"].as_f64().unwrap() };
    assert_eq!(world.ask(turn(0)).await.status, 200);
    let before = used().await;
    let greedy = turn(1).replacen('{', r#"{"max_tokens":4294967295,"temperature":9,"#, 1);
    for _ in 0..3 {
        world.fault_times(
            "a",
            1,
            respond(400, serde_json::json!({"error": {"code": "invalid"}}), &[]),
        );
        assert_eq!(world.ask(greedy.clone()).await.status, 400);
    }
    // Refused requests count as requests, so three of the minute's 6,000 are gone.
    assert!(used().await <= before + 0.001, "{} after {before}", used().await);
    assert_eq!(world.ask(turn(0)).await.header("x-emberway-deployment"), "a/ft");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_spilled_over_says_nothing_of_the_deployment_that_was_asked() {
    let world = World::start(Setup {
        accounts: &["a"],
        ..Setup::default()
    })
    .await;
    assert_eq!(world.ask(turn(0)).await.status, 200);
    let limit = || async { world.deployment("a/ft").await["limit_tokens_per_minute"].clone() };
    let before = limit().await;
    let spilled = [
        ("x-ms-spillover-from-deployment", "ft"),
        ("x-ratelimit-limit-tokens", "10"),
        ("x-ratelimit-remaining-tokens", "0"),
    ];
    let body = serde_json::json!({"choices": [], "usage": {"prompt_tokens": 2_000, "completion_tokens": 1}});
    world.fault_times("a", 1, respond(200, body.clone(), &spilled));
    assert_eq!(world.ask(turn(0)).await.status, 200);
    assert_eq!(limit().await, before);
    world.fault_times("a", 1, respond(200, body, &spilled[1..]));
    assert_eq!(world.ask(turn(0)).await.status, 200);
    assert_eq!(limit().await, 10, "the same without that header is its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_short_prompt_asked_again_and_again_reaches_every_deployment() {
    let world = World::start(Setup {
        one_tier: true,
        ..Setup::default()
    })
    .await;
    let mut used = std::collections::BTreeSet::new();
    // All of 48 at one of two: once in 10¹⁴ runs.
    for _ in 0..48 {
        let answer = world.ask(WHOLE).await;
        assert_eq!(answer.header("x-emberway-reason"), "short_prompt");
        used.insert(answer.header("x-emberway-deployment").to_owned());
    }
    assert_eq!(used.len(), 2, "{used:?}");
}
