//! Looking after the fleet: what Azure's control plane shows reaches routing, what is lost is rebuilt, what is idle is kept alive.

use std::sync::atomic::Ordering;

use emberway::app;
use emberway::simulator;
use emberway::simulator::scenario::Scenario;
use serde_json::Value;

use crate::harness::{KEY, WHOLE, client, compile, read};

mod alerts;
mod mends;
mod phoenix;
mod replicas;
pub(crate) mod setup;

use setup::{DAY_MS, Fleet, Terms};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_behind_the_gateways_back_is_rebuilt_and_no_request_fails() {
    let mut fleet = Fleet::start(Terms::default()).await;
    fleet.after(6 * 60_000).await;
    assert_eq!(fleet.absence("east/ft").await, Value::Null);
    assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    fleet.sim.control().vanish("east", "ft").expect("it was there");
    // The first request finds out, and is answered elsewhere.
    let answer = fleet.ask().await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-deployment")),
        (200, "west/ft")
    );
    fleet.after(20_000).await;
    assert_eq!(fleet.absence("east/ft").await, "provisioning", "it is being made again");
    assert_eq!(
        fleet.ask().await.header("x-emberway-attempts"),
        "1",
        "nobody asks it meanwhile"
    );
    let mut waited_ms = 0;
    while fleet.absence("east/ft").await != Value::Null {
        assert!(waited_ms < 20 * 60_000, "it never comes back");
        fleet.after(20_000).await;
        waited_ms += 20_000;
        assert_eq!(fleet.ask().await.status, 200);
    }
    let answer = fleet.ask().await;
    assert_eq!(
        answer.header("x-emberway-deployment"),
        "east/ft",
        "what its predecessor had done is forgotten: {} after {waited_ms} ms",
        fleet.status("east/ft").await
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_deployment_is_sent_a_request_that_loses_nothing_or_a_call_of_our_own() {
    let mut fleet = Fleet::start(Terms::default()).await;
    fleet.after(60_000).await;
    // Only the first of the two tiers is used, until the second is in danger.
    for _ in 0..11 {
        fleet.after(DAY_MS).await;
        assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    }
    fleet.after(DAY_MS + 3_600_000).await;
    let steered = fleet.ask().await;
    assert_eq!(
        (
            steered.header("x-emberway-deployment"),
            steered.header("x-emberway-reason")
        ),
        ("west/ft", "keepalive")
    );
    assert_eq!(
        fleet.ask().await.header("x-emberway-deployment"),
        "east/ft",
        "one is enough"
    );
    // Nobody calls any more: by themselves both would be deleted.
    for _ in 0..30 {
        fleet.after(DAY_MS / 2).await;
    }
    for _ in 0..30 {
        fleet.after(DAY_MS / 2).await;
    }
    for deployment in ["east/ft", "west/ft"] {
        assert_eq!(fleet.absence(deployment).await, Value::Null, "{deployment}");
    }
    assert_eq!(fleet.ask().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_expire_goes_and_requests_go_elsewhere() {
    let mut fleet = Fleet::start(Terms {
        policy: "policy: expire",
        ..Terms::default()
    })
    .await;
    for _ in 0..40 {
        fleet.after(DAY_MS / 2).await;
        assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    }
    fleet.after(180_000).await;
    assert_eq!(fleet.absence("west/ft").await, "missing");
    assert_eq!(fleet.ask().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_carry_a_token_of_entra_id_where_a_resource_has_no_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = "engine: { time_scale: 0 }\nlimits: { enabled: false }\narm: {}\naccounts:\n\
                \x20 - { name: a, region: swedencentral, key_auth: false,\n\
                \x20     deployments: [{ name: ft, model: gpt-4.1-mini-2025-04-14.ft-1, sku: Standard, capacity: 50 }] }\n";
    let sim = simulator::start(Scenario::parse(text).expect("a scenario"))
        .await
        .expect("a simulator");
    let arm = sim.arm().expect("a control plane").url();
    let config = format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\nadmin: {{ address: '127.0.0.1:0' }}\nusage: {{ path: '{}' }}\n\
         azure: {{ management: '{arm}', authority: '{arm}', credential: {{ client_secret: {{ \
         tenant: 22222222-2222-4222-8222-222222222222, client_id: 33333333-3333-4333-8333-333333333333, \
         secret: '${{env:CLIENT_SECRET}}' }} }} }}\n\
         clients: [{{ name: desk, keys: ['${{env:KEY}}'], debug_headers: true }}]\n\
         resources: [{{ name: a, region: swedencentral, endpoint: '{}', credential: {{ entra: {{}} }}, \
         deployments: [{{ name: ft, sku: Standard, capacity: 50 }}] }}]\n\
         pools: [{{ name: ft, tiers: [[a/ft]] }}]\nroutes: [{{ name: bot, pool: ft }}]\n",
        directory.path().join("usage.db").display(),
        sim.account("a").expect("an account").url,
    );
    let checked = compile(&config, &directory.path().join("emberway.yaml"));
    let gateway = app::start(checked, None, None).await.expect("a gateway");
    let http = client(reqwest::ClientBuilder::http1_only);
    let url = format!("http://{}/openai/v1/chat/completions", gateway.addresses()[0]);
    let request = http.post(url).header("api-key", KEY).body(WHOLE);
    let answer = read(request.send().await.expect("an answer")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_deleted_gets_no_requests_first_and_stays_if_one_that_ran_there_succeeds() {
    let mut fleet = Fleet::start(Terms {
        policy: "policy: delete_after, days: 3",
        ..Terms::default()
    })
    .await;
    fleet.after(6 * 60_000).await;
    for day in 1..=3 {
        assert_eq!(fleet.absence("west/ft").await, Value::Null, "day {day}");
        fleet.after(DAY_MS).await;
        assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    }
    assert_eq!(fleet.absence("west/ft").await, "deleting");
    let live = fleet.gateway.running.gateway().live.load_full();
    let west = live
        .config
        .runtime
        .snapshot
        .deployments
        .iter()
        .position(|one| &**one.id == "west/ft");
    let state = &live.deployments[west.expect("the deployment")].state;
    state
        .last_success_at_ms
        .store(emberway::telemetry::clock::now_ms(), Ordering::Relaxed);
    fleet.after(60_000).await;
    assert_eq!(fleet.absence("west/ft").await, Value::Null, "it was used");
    for _ in 0..3 {
        fleet.after(DAY_MS).await;
        assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    }
    assert_eq!(fleet.absence("west/ft").await, "deleting");
    for _ in 0..3 {
        fleet.after(60_000).await;
    }
    assert_eq!(fleet.absence("west/ft").await, "missing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_runs_another_model_than_its_pool_gets_no_requests_unless_it_is_declared_equivalent() {
    const DECLARED: &str =
        ", equivalent_models: [[gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef, ftchkpt-1]]";
    for (of_pool, absence) in [("", Value::from("unlike")), (DECLARED, Value::Null)] {
        let mut fleet = Fleet::start(Terms {
            policy: "policy: expire",
            of_west: "ftchkpt-1",
            of_pool,
            ..Terms::default()
        })
        .await;
        fleet.after(6 * 60_000).await;
        let odd = [fleet.absence("east/ft").await, fleet.absence("west/ft").await];
        assert_eq!(odd, [Value::Null, absence], "{of_pool}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_new_is_tried_where_there_is_nobody_else_and_left_alone_where_there_is() {
    let mut fleet = Fleet::start(Terms::default()).await;
    // Both are a minute old, and nobody has called them since they were made.
    fleet.after(60_000).await;
    let absent = [fleet.absence("east/ft").await, fleet.absence("west/ft").await];
    assert_eq!(absent, [Value::Null, Value::Null]);
    assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    fleet.after(5_000).await;
    // One has answered since, so the other is waited for.
    let absent = [fleet.absence("east/ft").await, fleet.absence("west/ft").await];
    assert_eq!(absent, [Value::Null, Value::from("provisioning")]);
    fleet.after(300_000).await;
    assert_eq!(fleet.absence("west/ft").await, Value::Null);
}
