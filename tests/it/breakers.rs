//! Breakers: what opens one, what closes it, and who is asked while they are open.

use std::sync::Arc;
use std::time::Instant;

use emberway::core::recovery::health::Availability;
use emberway::core::recovery::outcome::{AttemptEnd, classify};
use emberway::core::topology::DeploymentIx;
use emberway::proxy::learn::learn;
use emberway::proxy::state::Live;
use emberway::telemetry::metrics::Metrics;
use tokio::sync::Notify;

use crate::failover::setup;
use crate::harness::{Setup, V1, WHOLE, World, compile, eventually, preset, read};
use crate::wire::{Scripted, Step};

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_no_deployment_knows_costs_nobody_a_deployment() {
    let world = World::start(Setup {
        health: "consecutive_failures: 1",
        ..Setup::default()
    })
    .await;
    let before = world.ask(WHOLE).await;
    let url = V1.replace("chat/completions", "embeddings");
    let question = r#"{"model":"bot","input":"Where is my parcel?"}"#;
    let refused = read(world.post(&url, question).send().await.unwrap()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (400, "OperationNotSupported")
    );
    // An ejected deployment would still answer, but as the last resort.
    let after = world.ask(WHOLE).await;
    let how = ["x-emberway-deployment", "x-emberway-reason"].map(|name| after.header(name));
    assert_eq!((after.status.as_u16(), how[0]), (200, "a/ft"));
    assert_eq!(how[1], before.header("x-emberway-reason"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_opens_after_failures_in_a_row_and_closes_after_a_probe() {
    let world = World::start(Setup {
        health: "consecutive_failures: 3, open_for: 300ms",
        ..Setup::default()
    })
    .await;
    world.fault_times("a", 3, preset("server_error"));
    for _ in 0..3 {
        assert_eq!(world.ask(WHOLE).await.header("x-emberway-attempts"), "2");
    }
    assert_eq!(world.deployment("a/ft").await["breaker"], "open");
    let first = eventually("a probe", || async {
        let answer = world.ask(WHOLE).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-emberway-attempts")),
            (200, "1")
        );
        (answer.header("x-emberway-deployment") == "a/ft").then_some(answer)
    })
    .await;
    assert_eq!(first.header("x-emberway-reason"), "short_prompt");
    assert_eq!(world.deployment("a/ft").await["breaker"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_breaker_open_one_is_tried_all_the_same() {
    let world = World::start(setup()).await;
    world.fault_times("a", 1, preset("server_error"));
    world.fault_times("b", 1, preset("server_error"));
    assert_eq!(world.ask(WHOLE).await.status, 500);
    let answer = world.ask(WHOLE).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-emberway-reason"), "last_resort");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_breaker_opens_meanwhile_is_tried_last() {
    let told = Arc::new(Notify::new());
    let wait = Arc::clone(&told);
    let first_waits = Scripted::start(move |number| {
        let wait = (number == 0).then(|| Step::Wait(Arc::clone(&wait)));
        wait.into_iter().chain([Step::Reset]).collect()
    })
    .await;
    let world = World::start(Setup {
        scripted: vec![("a", first_waits.address)],
        health: "consecutive_failures: 1, open_for: 60s",
        failover: "max_attempts: 2",
        ..Setup::default()
    })
    .await;
    let asking = tokio::spawn(world.post(V1, WHOLE).send());
    eventually("the first at a", || async { (first_waits.seen() == 1).then_some(()) }).await;
    // A second request opens both breakers while the first one waits.
    world.fault_times("b", 1, preset("server_error"));
    assert_eq!(world.ask(WHOLE).await.status, 500);
    assert_eq!(world.deployment("b/ft").await["breaker"], "open");
    told.notify_one();
    let answer = read(asking.await.unwrap().expect("an answer")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-deployment")),
        (200, "b/ft"),
        "{answer:?}"
    );
    assert_eq!(answer.header("x-emberway-attempts"), "2");
}

/// What two dead hosts' deployments come to in a pool: whether each is set aside after its host failed often enough.
#[test]
fn a_dead_host_trips_also_where_it_has_the_whole_pool() {
    let config = "\
listeners: [ { address: '127.0.0.1:0' } ]
usage: { path: 'usage.db' }
health: { consecutive_failures: 2 }
clients: [ { name: desk, keys: ['${env:KEY}'] } ]
resources:
  - { name: a, region: r, endpoint: 'http://127.0.0.1:9', credential: { api_key: '${env:KEY_a}' },
      deployments: [ { name: one, sku: Standard, capacity: 1 }, { name: two, sku: Standard, capacity: 1 } ] }
pools: [ { name: p, tiers: [[a/one, a/two]] } ]
routes: [ { name: bot, pool: p } ]
";
    let checked = compile(config, std::path::Path::new("emberway.yaml"));
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let live = Live::build(checked, &metrics, None).expect("a picture");
    let now = Instant::now();
    for _ in 0..2 {
        let verdict = classify(AttemptEnd::Unreachable, false);
        learn(&live, DeploymentIx(0), verdict, now, None);
    }
    for deployment in [0, 1] {
        let availability = live.availability(DeploymentIx(deployment), now);
        assert!(
            matches!(availability, Availability::Ejected(_)),
            "{deployment}: {availability:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_but_one_of_a_pool_is_not_set_aside_for_failing_alone() {
    let world = World::start(Setup {
        health: "consecutive_failures: 1, open_for: 60s",
        max_ejected: "0.5",
        failover: "max_attempts: 2",
        ..Setup::default()
    })
    .await;
    for account in ["a", "b"] {
        world.fault_times(account, 1, preset("server_error"));
    }
    assert_eq!(world.ask(WHOLE).await.status, 500);
    let breakers =
        [world.deployment("a/ft").await, world.deployment("b/ft").await].map(|state| state["breaker"].clone());
    assert_eq!(breakers, ["open", "closed"]);
}
