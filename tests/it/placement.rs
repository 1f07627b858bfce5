//! Where requests go, and what of their deployments' limits is noticed.

use crate::harness::{Setup, WHOLE, World, eventually};

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
        enforced: true,
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
