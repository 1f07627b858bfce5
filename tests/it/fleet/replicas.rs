//! Several gateways on one usage file: one calls, rebuilds and deletes, and another takes over.

use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::fleet::setup::{DAY_MS, Fleet, Gateway, Terms};

const CALLED: &str = "emberway_keepalives_total{deployment=\"west/ft\",result=\"answered\"}";
const BEGUN: &str = "emberway_rebuilds_total{deployment=\"east/ft\",result=\"begun\"}";

async fn both(fleet: &mut Fleet, other: &mut Gateway, ms: i64) {
    fleet.after(ms).await;
    other.care.turn().await;
}

async fn counted(gateway: &Gateway, series: &str) -> u64 {
    gateway.metric(series).await.unwrap_or_default() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_calls_for_both_and_another_takes_over() {
    let mut fleet = Fleet::start(Terms::default()).await;
    let mut other = fleet.another("two").await;
    both(&mut fleet, &mut other, 60_000).await;
    assert_eq!((fleet.gateway.acts(), other.acts()), (true, false));
    // The other's own turn would come within the same hours, since it does not hear of the first one's success.
    both(&mut fleet, &mut other, 13 * DAY_MS + DAY_MS / 2).await;
    for _ in 0..12 * 7 {
        // Within its time, so that it stays whose it is.
        both(&mut fleet, &mut other, 300_000).await;
        if !fleet.gateway.acts() {
            both(&mut fleet, &mut other, 0).await;
        }
    }
    let calls = (counted(&fleet.gateway, CALLED).await, counted(&other, CALLED).await);
    assert_eq!(calls.0 + calls.1, 1, "{calls:?}");
    assert_eq!(fleet.absence("west/ft").await, Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_that_one_meets_is_mended_by_the_other_and_once() {
    let mut fleet = Fleet::start(Terms {
        policy: "policy: recreate",
        ..Terms::default()
    })
    .await;
    let mut other = fleet.another("two").await;
    both(&mut fleet, &mut other, 6 * 60_000).await;
    assert_eq!((fleet.gateway.acts(), other.acts()), (true, false));
    fleet.sim.control().vanish("east", "ft").expect("it was there");
    for _ in 0..3 {
        both(&mut fleet, &mut other, 20_000).await;
    }
    assert_eq!(
        fleet.gateway.cared("east/ft").state,
        "there",
        "nobody has met it, and no look was due"
    );
    // Only the one that does not act has requests.
    let answer = other.ask().await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-deployment")),
        (200, "west/ft")
    );
    other.care.turn().await;
    fleet.after(20_000).await;
    other.care.turn().await;
    assert_eq!(
        fleet.gateway.cared("east/ft").state,
        "lost",
        "by its policy it waits for need"
    );
    assert_eq!(other.ask().await.status, 200);
    for _ in 0..2 {
        other.care.turn().await;
        fleet.after(5_000).await;
    }
    assert_eq!(fleet.gateway.cared("east/ft").state, "creating");
    assert_eq!(other.absence("east/ft").await, "missing");
    let mut waited_ms = 0;
    while other.absence("east/ft").await != Value::Null || fleet.absence("east/ft").await != Value::Null {
        assert!(waited_ms < 20 * 60_000, "it never comes back");
        both(&mut fleet, &mut other, 20_000).await;
        waited_ms += 20_000;
        assert_eq!(other.ask().await.status, 200);
    }
    let made = (counted(&fleet.gateway, BEGUN).await, counted(&other, BEGUN).await);
    assert_eq!(made, (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_over_goes_on_where_the_other_was() {
    let mut fleet = Fleet::start(Terms::default()).await;
    let mut other = fleet.another("two").await;
    both(&mut fleet, &mut other, 6 * 60_000).await;
    fleet.sim.control().vanish("east", "ft").expect("it was there");
    assert_eq!(fleet.ask().await.status, 200);
    fleet.after(20_000).await;
    fleet.after(5_000).await;
    assert_eq!(fleet.gateway.cared("east/ft").state, "creating");
    // The first one is killed here: it gives nothing back.
    fleet.pass(30_000);
    other.care.turn().await;
    assert!(!other.acts(), "the lease may still be the first one's");
    fleet.pass(61_000);
    other.care.turn().await;
    assert!(other.acts());
    assert!(
        ["creating", "propagating"].contains(&other.cared("east/ft").state),
        "{:?}",
        other.cared("east/ft")
    );
    let mut waited_ms = 0;
    while other.absence("east/ft").await != Value::Null || other.cared("east/ft").state != "there" {
        assert!(waited_ms < 20 * 60_000, "it never comes back");
        fleet.pass(20_000);
        other.care.turn().await;
        waited_ms += 20_000;
        assert_eq!(other.ask().await.status, 200);
    }
    assert_eq!(counted(&other, BEGUN).await, 0, "it was being made already");
    let live = other.running.gateway().live.load_full();
    let succeeded = live.deployments[0].state.last_success_at_ms.load(Ordering::Relaxed);
    assert!(succeeded > 0, "it serves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_deleted_leaves_the_routing_of_all_first() {
    let mut fleet = Fleet::start(Terms {
        policy: "policy: delete_after, days: 3",
        ..Terms::default()
    })
    .await;
    let mut other = fleet.another("two").await;
    both(&mut fleet, &mut other, 6 * 60_000).await;
    both(&mut fleet, &mut other, 3 * DAY_MS).await;
    for gateway in [&fleet.gateway, &other] {
        assert_eq!(gateway.absence("west/ft").await, "deleting");
    }
    for _ in 0..6 {
        both(&mut fleet, &mut other, 30_000).await;
    }
    for gateway in [&fleet.gateway, &other] {
        assert_eq!(gateway.absence("west/ft").await, "missing");
    }
}
