//! What becomes of deployments by themselves, over days and years; and what they cost.

use super::*;

const DAY: u64 = 86_400;

#[tokio::test(start_paused = true)]
async fn idle_fine_tuned_deployments_are_deleted_after_more_than_fifteen_days() {
    let bench = Bench::new();
    let mut base = wanted("GlobalStandard", 1, "gpt-4.1-mini");
    base["properties"]["model"]["version"] = json!("2025-04-14");
    bench.make("north", "used", &wanted("GlobalStandard", 5, MINI)).await;
    bench.make("north", "base", &base).await;
    bench.make("north", "idle", &wanted("GlobalStandard", 5, MINI)).await;
    bench.advance(10 * DAY);
    assert_eq!(bench.ask("north", "used").await, 200);
    // Made 151 s ago then, so on the dot after this.
    bench.advance(5 * DAY - 151);
    assert_eq!(
        bench.state("north", "idle").await,
        "Succeeded",
        "fifteen days are still safe"
    );
    bench.advance(1);
    assert_eq!(bench.get(&deployment("north", "idle")).await.code(), "ResourceNotFound");
    let asked = bench.chat("north", "idle", ("api-key", "key")).await;
    assert_eq!((asked.status, asked.code()), (404, "DeploymentNotFound"));
    bench.advance(40 * DAY);
    assert_eq!(bench.ask("north", "used").await, 404);
    assert_eq!(bench.ask("north", "base").await, 200, "base models are let be");
    let bill = bench.plane().bill(bench.world.clock.unix_ms());
    let used = bill.deployments.iter().find(|bill| bill.deployment == "used").unwrap();
    let ended = used.end.as_ref().unwrap();
    assert_eq!(
        ended.deleted_at, "2026-02-09T00:07:33Z",
        "counted from its last use, though nobody looked then"
    );
}

#[tokio::test(start_paused = true)]
async fn requests_that_fail_keep_nothing_alive_unless_the_scenario_says_so() {
    for (rules, expect) in [("", 404), ("  rules: {failed_calls_are_use: true}\n", 200)] {
        let bench = Bench::with(rules);
        bench.make("north", "idle", &wanted("GlobalStandard", 5, MINI)).await;
        bench.advance(14 * DAY);
        let fault = r#"{"count": 1, "action": {"preset": "server_error"}}"#;
        bench.world.faults.add(serde_json::from_str(fault).unwrap()).unwrap();
        assert_eq!(bench.ask("north", "idle").await, 500);
        bench.advance(2 * DAY);
        assert_eq!(bench.ask("north", "idle").await, expect, "{rules}");
    }
}

#[tokio::test(start_paused = true)]
async fn developer_deployments_last_a_day_whatever_they_do() {
    let bench = Bench::new();
    bench.make("north", "trial", &wanted("Developer", 50, MINI)).await;
    bench.advance(DAY - 152);
    assert_eq!(bench.ask("north", "trial").await, 200);
    bench.advance(1);
    assert_eq!(bench.ask("north", "trial").await, 404);
    bench.make("north", "trial", &wanted("Developer", 50, MINI)).await;
    assert_eq!(bench.ask("north", "trial").await, 200);
    let bill = bench.plane().bill(bench.world.clock.unix_ms());
    assert_eq!(bill.deployments.len(), 2, "one that is gone and one anew");
    let hosting: f64 = bill
        .deployments
        .iter()
        .flat_map(|bill| &bill.lines)
        .map(|line| line.hosting)
        .sum();
    assert!(hosting.abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn a_model_retires_on_its_day_and_the_clock_gets_there() {
    let bench = Bench::with("  rules: {inactivity_days: 3650}\n");
    bench.make("north", "old", &wanted("GlobalStandard", 5, MINI)).await;
    bench.advance(636 * DAY);
    assert_eq!(bench.ask("north", "old").await, 200, "2027-10-13");
    bench.advance(DAY);
    let asked = bench.chat("north", "old", ("api-key", "key")).await;
    assert_eq!((asked.status, asked.code()), (410, "ModelDeprecated"));
    let refused = bench
        .call("PUT", &deployment("north", "new"), &wanted("GlobalStandard", 5, MINI))
        .await;
    assert_eq!(refused.code(), "ServiceModelDeprecated");
    bench.advance(8 * 365 * DAY);
    assert_eq!(bench.get("/subscriptions?api-version=2022-12-01").await.status, 200);
    assert!(bench.plane().bill(bench.world.clock.unix_ms()).at.starts_with("2035-"));
}

#[tokio::test(start_paused = true)]
async fn what_a_scenario_begins_with_has_its_age_and_its_state() {
    let yaml = SCENARIO.replace("MINI", MINI).replace("FULL", FULL).replace(
        "  - {name: east, region: eastus2, api_keys: [key]}",
        &format!(
            "  - name: east\n    region: eastus2\n    api_keys: [key]\n    deployments:\n      - {{name: aged, model: {MINI}, capacity: 5, age_days: 14}}\n      - {{name: stopped, model: {MINI}, capacity: 5, state: paused}}"
        ),
    );
    let bench = Bench::of(&yaml);
    let aged = bench.get(&deployment("east", "aged")).await.body;
    assert_eq!(aged["systemData"]["createdAt"], "2026-01-01T00:00:00Z");
    assert_eq!(aged["properties"]["model"]["source"], account("north"));
    assert_eq!(bench.ask("east", "stopped").await, 423);
    bench.advance(DAY + 1);
    assert_eq!(bench.ask("east", "aged").await, 404);
    assert_eq!(bench.ask("east", "stopped").await, 423);
}

#[tokio::test(start_paused = true)]
async fn the_bill_runs_from_making_to_deleting() {
    let bench = Bench::new();
    bench.make("north", "support", &wanted("Standard", 50, MINI)).await;
    assert_eq!(bench.ask("north", "support").await, 200);
    bench.advance(10 * DAY - 151);
    bench
        .call("DELETE", &deployment("north", "support"), &Value::Null)
        .await;
    bench.advance(100 * DAY);
    let bill = bench.plane().bill(bench.world.clock.unix_ms());
    let [only] = bill.deployments.as_slice() else {
        panic!("{bill:?}")
    };
    let line = &only.lines[0];
    let hours = 240.0 + 20.0 / 3_600.0;
    assert!(
        (line.hours - hours).abs() < 1e-9 && (line.hosting - hours * 1.70).abs() < 1e-9,
        "{line:?}"
    );
    assert_eq!((line.answers, line.output_tokens), (1, 20));
    let tokens = line.prompt_tokens as f64 * 0.40 / 1e6 + 20.0 * 1.60 / 1e6;
    assert!(
        line.prompt_tokens > 0 && (line.tokens - tokens).abs() < 1e-12,
        "{line:?}"
    );
    assert!((bill.total - line.total).abs() < 1e-12);
}

#[tokio::test(start_paused = true)]
async fn provisioned_units_are_charged_by_the_hour_and_a_change_of_capacity_from_when_it_is_in_force() {
    let bench = Bench::new();
    bench
        .make("north", "ptu", &wanted("ProvisionedManaged", 50, FULL))
        .await;
    bench.advance(3_600 - 151 - 30);
    bench
        .call("PATCH", &deployment("north", "ptu"), &json!({"sku": {"capacity": 100}}))
        .await;
    bench.advance(30 + 3_600);
    let bill = bench.plane().bill(bench.world.clock.unix_ms());
    let lines: Vec<(u32, f64)> = bill.deployments[0]
        .lines
        .iter()
        .map(|line| (line.capacity, line.total))
        .collect();
    assert_eq!(lines, [(50, 100.0), (100, 200.0)]);
}
