//! What requests came to over time, and what happened, as the operator's page asks for it.

use emberway::admin::history::EventsAsked;
use emberway::core::history::ask::{Asked, By, Latency};
use emberway::telemetry::clock;
use emberway::telemetry::journal::EventKind;

use crate::failover;
use crate::harness::{STREAM, WHOLE, World, eventually, preset, within};

/// The last minute and the next.
fn now() -> Asked {
    let now_ms = clock::now_ms();
    Asked {
        from_ms: now_ms - 60_000,
        to_ms: now_ms + 60_000,
        ..Asked::default()
    }
}

/// Requests that have been counted are waited for: they are handed on once a second.
async fn counted(world: &World, requests: u64) {
    let totals = async || {
        let totals = world
            .gateway
            .history()
            .totals(&now(), By::None)
            .await
            .expect("answered");
        (totals.first()?.total.requests == requests).then_some(())
    };
    eventually("all requests are counted", totals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_seen_in_figures_flows_and_sentences_also_after_a_restart() {
    let world = World::start(failover::setup()).await;
    assert_eq!(world.ask(WHOLE).await.status, 200);
    world.fault("a", preset("internal_server_error"));
    for _ in 0..2 {
        assert_eq!(world.ask(STREAM).await.status, 200);
    }
    counted(&world, 3).await;
    let history = world.gateway.history();

    let series = history.series(&now(), By::Deployment, 600).await.expect("answered");
    let of = |key: &str| {
        let group = series.groups.iter().find(|group| group.key == key).expect("a group");
        assert_eq!(group.points.requests.iter().sum::<u64>(), group.total.requests);
        (group.total.requests, group.total.attempts, group.total.failovers)
    };
    assert_eq!(
        (of("a/ft"), of("b/ft")),
        ((1, 2, 1), (2, 2, 0)),
        "the breaker opens at once"
    );
    let total = &history.totals(&now(), By::None).await.expect("answered")[0].total;
    assert_eq!(
        (total.errors, total.outcomes["success"], total.reasons["failover"]),
        (0, 3, 1)
    );
    assert!(total.latency.total_p99_ms.is_some() && total.latency.ttft_p50_ms.is_some());
    assert!(total.prompt_tokens > 0 && total.completion_tokens > 0);

    let flows = history.flows(&now()).await.expect("answered");
    let tiers: Vec<_> = flows.flows.iter().map(|flow| (&*flow.deployment, flow.tier)).collect();
    assert_eq!(tiers, [("a/ft", Some(0)), ("b/ft", Some(1))]);
    assert_eq!((&*flows.failovers[0].from, &*flows.failovers[0].to), ("a/ft", "b/ft"));

    let slowest = history
        .slowest(&now(), Latency::Total, 10)
        .await
        .expect("answered")
        .requests;
    let failed = slowest
        .iter()
        .find(|request| request.attempts.len() == 2)
        .expect("two attempts");
    assert!(!failed.attempts[0].answers && failed.attempts[1].answers);
    assert_eq!(failed.region.as_deref(), Some(&*failed.attempts[1].region));

    let breaker = EventsAsked {
        kind: Some(EventKind::Breaker),
        limit: 10,
        ..EventsAsked::default()
    };
    let told = world.gateway.events().events(&breaker).await.expect("answered");
    assert_eq!(told[0].subject.as_deref(), Some("a/ft"), "{told:?}");
    assert!(told[0].advice.is_some());

    after_a_restart(world).await;
}

/// The same gateway anew: its figures and sentences are still there.
async fn after_a_restart(world: World) {
    let directory = world.directory();
    let World { gateway, .. } = world;
    within("the drain", gateway.drain()).await.expect("all written");
    let world = World::start_in(failover::setup(), directory).await;
    counted(&world, 3).await;
    let events = async |kind| {
        let asked = EventsAsked {
            kind,
            limit: 100,
            ..EventsAsked::default()
        };
        world.gateway.events().events(&asked).await.expect("answered")
    };
    let all = events(None).await;
    assert!(all.is_sorted_by(|one, other| one.id > other.id), "{all:?}");
    let failovers = events(Some(EventKind::Failover)).await;
    assert!(failovers[0].text.contains("went on from a/ft"), "{failovers:?}");
    let starts = events(Some(EventKind::Process)).await;
    assert_eq!(
        starts.iter().filter(|event| event.text.contains("has started")).count(),
        2
    );
}
