//! Row 6: what lies idle is told, warned of, kept alive, and made again when it is lost; weeks pass by the simulator's moved clock.

use emberway::simulator;
use serde_json::Value;

use super::Row;
use crate::cli::program::{Gateway, Place};
use crate::fleet::setup::{DAY_MS, Fleet, MODEL, Terms, config_text, scenario};

const EXPIRE: Terms = Terms {
    of_west_name: "ft",
    of_west_simulated: "",
    policy: "policy: expire",
    of_west: MODEL,
    west_sku: "Standard",
    of_pool: "",
    of_file: "",
};

pub(super) async fn inactivity(row: Row) {
    let mut fleet = Fleet::start(Terms::default()).await;
    fleet.after(6 * 60_000).await;
    let first = fleet.status("west/ft").await;
    assert!(first["last_success_at"].is_null(), "{first}");
    assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    let used = fleet.status("east/ft").await;
    assert!(used["last_success_at"].is_string(), "{used}");
    row.held(
        "GET /status",
        &format!("last_success_at: east/ft {}, west/ft none", used["last_success_at"]),
    );
    for _ in 0..11 {
        fleet.after(DAY_MS).await;
        assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    }
    fleet.after(DAY_MS + 3_600_000).await;
    let steered = fleet.ask().await;
    let to = (
        steered.header("x-emberway-deployment"),
        steered.header("x-emberway-reason"),
    );
    assert_eq!(to, ("west/ft", "keepalive"));
    row.held(
        "day 12: POST /openai/v1/chat/completions",
        "answered by west/ft, reason keepalive",
    );
    for _ in 0..60 {
        fleet.after(DAY_MS / 2).await;
    }
    assert_eq!(fleet.absence("west/ft").await, Value::Null);
    let series = "emberway_keepalives_total{deployment=\"west/ft\",result=\"answered\"}";
    let counted = fleet.gateway.metric(series).await.unwrap_or_default();
    assert!(counted > 0.0);
    row.held(
        "30 days without requests: GET /metrics",
        &format!("west/ft is there; it was called {counted} times by the gateway"),
    );
    rebuilt(&row, &mut fleet).await;
    warned(&row).await;
    expired(&row).await;
}

/// What is lost is made again, and requests go elsewhere meanwhile.
async fn rebuilt(row: &Row, fleet: &mut Fleet) {
    fleet.sim.control().vanish("east", "ft").expect("it was there");
    assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "west/ft");
    fleet.after(20_000).await;
    assert_eq!(fleet.absence("east/ft").await, "provisioning");
    let mut turns = 0;
    loop {
        fleet.after(20_000).await;
        let answer = fleet.ask().await;
        assert_eq!(answer.status, 200);
        if answer.header("x-emberway-deployment") == "east/ft" {
            break;
        }
        turns += 1;
        assert!(turns < 90, "it never comes back");
    }
    row.held(
        "DELETE /control/accounts/east/deployments/ft",
        "requests go to west/ft, east/ft is made again and answers",
    );
}

/// What is not to be kept goes, and its pool serves on.
async fn expired(row: &Row) {
    let mut left = Fleet::start(EXPIRE).await;
    for _ in 0..40 {
        left.after(DAY_MS / 2).await;
        assert_eq!(left.ask().await.header("x-emberway-deployment"), "east/ft");
    }
    assert_eq!(left.absence("west/ft").await, "missing");
    row.held(
        "policy expire, 20 days",
        "Azure deleted west/ft; every request was answered by east/ft",
    );
}

/// The built program warns of what has been idle for eleven days.
async fn warned(row: &Row) {
    let mut scenario = scenario(EXPIRE);
    scenario.accounts[1].deployments[0].age_days = 11.0;
    let sim = simulator::start(scenario).await.expect("a simulator");
    let place = Place::new();
    let config = place.path("emberway.yaml");
    let text = config_text(&sim, &place.path(""), EXPIRE);
    place.write(
        "emberway.yaml",
        &format!(
            "{text}log: {{ format: json }}
"
        ),
    );
    let keys = [
        ("KEY_east", "key-east"),
        ("KEY_west", "key-west"),
        ("CONTROL", "sim-arm-token"),
    ];
    let mut gateway = Gateway::start_with(&place, &config, &[], &keys).await;
    let line = gateway.logs_where("a warning", |line| line["alarm"].is_string()).await;
    assert_eq!(
        (
            line["deployment"].as_str(),
            line["alarm"].as_str(),
            line["level"].as_str()
        ),
        (Some("west/ft"), Some("soon"), Some("WARN")),
        "{line}"
    );
    let said = line["message"].as_str().expect("a sentence").to_owned();
    row.held("emberway run, west/ft idle for 11 days: its log", &said);
    gateway.terminate().await;
    assert_eq!(gateway.ended().await.code(), Some(0));
}
