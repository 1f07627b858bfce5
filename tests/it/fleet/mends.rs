//! What must not happen under care: deletion of what others use, an empty pool, a lost filter, a storm or a lack of alerts.

use emberway::simulator::faults::{AppliesTo, Fault};
use serde_json::{Value, json};

use crate::fleet::setup::{DAY_MS, Fleet, MODEL, Terms};
use crate::harness::{client, eventually, respond};

const EAST: &str = "emberway_rebuilds_total{deployment=\"east/ft\",result=\"begun\"}";
const WEST: &str = "emberway_rebuilds_total{deployment=\"west/ft\",result=\"begun\"}";

/// Writes a deployment as anyone with the right may: its status.
async fn put(fleet: &Fleet, account: &str, name: &str, body: Value) -> u16 {
    let arm = fleet.sim.arm().expect("a control plane").url();
    let url = format!(
        "{arm}/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/emberway-sim/providers/\
         Microsoft.CognitiveServices/accounts/{account}/deployments/{name}?api-version=2024-10-01"
    );
    let http = client(reqwest::ClientBuilder::http1_only);
    let sent = http.put(url).bearer_auth("sim-arm-token").json(&body).send().await;
    sent.expect("an answer").status().as_u16()
}

async fn shown(fleet: &Fleet, account: &str, name: &str) -> Value {
    let arm = fleet.sim.arm().expect("a control plane").url();
    let url = format!(
        "{arm}/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/emberway-sim/providers/\
         Microsoft.CognitiveServices/accounts/{account}/deployments/{name}?api-version=2024-10-01"
    );
    let http = client(reqwest::ClientBuilder::http1_only);
    let got = http
        .get(url)
        .bearer_auth("sim-arm-token")
        .send()
        .await
        .expect("an answer");
    got.json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_new_deletes_nothing_for_what_was_before() {
    let mut fleet = Fleet::start(Terms {
        policy: "policy: delete_after, days: 3",
        of_west_simulated: ", age_days: 9",
        ..Terms::default()
    })
    .await;
    for _ in 0..5 {
        fleet.after(60_000).await;
        assert_eq!(fleet.absence("west/ft").await, Value::Null, "others may use it");
    }
    fleet.after(3 * DAY_MS).await;
    assert_eq!(fleet.absence("west/ft").await, "deleting");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_by_its_policy_never_comes_back_meanwhile() {
    let mut fleet = Fleet::start(Terms {
        policy: "policy: delete_after, days: 3",
        ..Terms::default()
    })
    .await;
    fleet.after(6 * 60_000).await;
    fleet.after(3 * DAY_MS).await;
    let mut seen = Vec::new();
    for _ in 0..40 {
        let absence = fleet.absence("west/ft").await;
        if seen.last() != Some(&absence) {
            seen.push(absence);
        }
        fleet.after(5_000).await;
    }
    assert_eq!(seen, ["deleting", "missing"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_filter_outlives_a_loss_and_a_restart() {
    let mut fleet = Fleet::start(Terms::default()).await;
    let model = json!({ "format": "OpenAI", "name": MODEL, "version": "1" });
    let body = json!({ "sku": { "name": "Standard", "capacity": 50 }, "properties": { "model": model, "raiPolicyName": "strict" } });
    assert_eq!(put(&fleet, "west", "ft", body).await, 200);
    fleet.after(10 * 60_000).await;
    // Another process, which has never seen it.
    let mut other = fleet.another("two").await;
    fleet.sim.control().vanish("west", "ft").expect("it was there");
    fleet.pass(130_000);
    other.care.turn().await;
    assert!(other.acts());
    assert_eq!(other.metric(WEST).await, Some(1.0));
    assert_eq!(
        shown(&fleet, "west", "ft").await["properties"]["raiPolicyName"],
        "strict"
    );
}

/// A fleet whose deployment in the east is gone, and is made again when it is needed.
async fn with_one_lost() -> Fleet {
    let mut fleet = Fleet::start(Terms {
        policy: "policy: recreate",
        ..Terms::default()
    })
    .await;
    fleet.after(6 * 60_000).await;
    fleet.sim.control().vanish("east", "ft").expect("it was there");
    for _ in 0..5 {
        fleet.after(130_000).await;
    }
    assert_eq!(fleet.gateway.cared("east/ft").state, "lost");
    assert_eq!(fleet.gateway.metric(EAST).await, None, "nobody needs it");
    fleet
}

async fn comes_back(fleet: &mut Fleet) {
    assert_eq!(fleet.gateway.metric(EAST).await, Some(1.0));
    for _ in 0..10 {
        fleet.after(130_000).await;
    }
    assert_eq!(fleet.absence("east/ft").await, Value::Null);
    assert_eq!(fleet.gateway.metric(EAST).await, Some(1.0), "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_when_it_is_needed_waits_for_a_request() {
    let mut fleet = with_one_lost().await;
    assert_eq!(fleet.ask().await.status, 200);
    fleet.after(5_000).await;
    comes_back(&mut fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_wants_back_is_made_without_waiting_for_a_request() {
    let mut fleet = with_one_lost().await;
    fleet.gateway.orders.place("east/ft".into());
    fleet.after(5_000).await;
    comes_back(&mut fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_never_there_is_not_made() {
    let mut fleet = Fleet::start(Terms {
        of_west_name: "misspelt",
        ..Terms::default()
    })
    .await;
    for _ in 0..5 {
        fleet.after(130_000).await;
    }
    assert_eq!(fleet.absence("west/misspelt").await, "missing");
    assert_eq!(
        shown(&fleet, "west", "misspelt").await["error"]["code"],
        "ResourceNotFound"
    );
    assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_that_think_are_kept_alive_too() {
    let mut fleet = Fleet::start(Terms::default()).await;
    fleet.after(6 * 60_000).await;
    let message = "Could not finish the message because max_tokens or model output limit was reached. Please try again with higher max_tokens.";
    let body = json!({ "error": { "message": message, "type": "invalid_request_error", "param": null, "code": null } });
    let refusal = Fault {
        account: Some("west".to_owned()),
        deployment: None,
        applies_to: AppliesTo::Any,
        count: Some(1),
        probability: None,
        action: respond(400, body, &[]),
    };
    fleet.sim.control().add_fault(refusal).expect("a fault");
    fleet.after(14 * DAY_MS).await;
    let answered = "emberway_keepalives_total{deployment=\"west/ft\",result=\"answered\"}";
    let gateway = &fleet.gateway;
    let called = || async { gateway.metric(answered).await.filter(|calls| *calls > 0.0) };
    assert!(eventually("a call", called).await > 0.0);
    assert!(fleet.sim.control().faults().is_empty(), "it was refused first");
}
