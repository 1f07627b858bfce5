//! What the fleet costs: the metrics and the command say the same of a running gateway.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Setup, WHOLE, World, eventually};

/// What the command prints as JSON, once it knows so many requests and the deployments that are configured.
pub(crate) async fn report(world: &World, requests: u64) -> Value {
    let config = world.directory().path().join("emberway.yaml");
    eventually("the report", || async {
        let mut command = Command::new(env!("CARGO_BIN_EXE_emberway"));
        let asked = command
            .args(["cost", "--json", "--config"])
            .arg(&config)
            .output()
            .expect("the program");
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        let report: Value = serde_json::from_slice(&asked.stdout).expect("JSON");
        let is_whole = report["unseen"].as_array().is_some_and(Vec::is_empty);
        (is_whole && report["total"]["requests"].as_u64() == Some(requests)).then_some(report)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_the_command_agree_on_what_requests_cost() {
    let world = World::start(Setup {
        // Dear, so that a handful of tokens is many millionths.
        deployment: "created_at: '2026-01-01T00:00:00Z', price: { input: 400, cached_input: 100, output: 1600, hour: 1.7 }",
        ..Setup::default()
    })
    .await;
    for _ in 0..3 {
        assert_eq!(world.ask(WHOLE).await.status, 200);
    }
    let records = world.records_once(3).await;
    let expected: f64 = records
        .iter()
        .map(|row| (row.prompt_tokens as f64 * 400.0 + row.completion_tokens as f64 * 1_600.0) / 1e6)
        .sum();
    let series = r#"emberway_token_cost_usd_total{deployment="a/ft",kind="tokens"}"#;
    let counted = eventually("the metric", || async {
        world.metric(series).await.filter(|cost| (cost - expected).abs() < 1e-9)
    });
    assert!(counted.await > 0.0);
    let hosting = world
        .metric(r#"emberway_deployment_hosting_usd_per_hour{deployment="a/ft"}"#)
        .await;
    assert_eq!(hosting, Some(1.7));

    let report = report(&world, 3).await;
    let groups = report["groups"].as_array().expect("groups");
    let row = |name: &str| groups.iter().find(|row| row["key"] == name).expect("a group").clone();
    assert_eq!(
        row("a/ft")["tokens_micro_usd"].as_u64(),
        Some((expected * 1e6).round() as u64)
    );
    let (hosted, there) = (&row("b/ft")["hosting_micro_usd"], &row("b/ft")["there_ms"]);
    let (hosted, there) = (hosted.as_f64().expect("an amount"), there.as_f64().expect("a time"));
    assert!(
        (hosted - there / 3.6 * 1.7).abs() < 2.0 * 31.0,
        "{hosted} for {there} ms"
    );
    assert!(there > 0.0);
}
