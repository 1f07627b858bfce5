//! The end of a gateway, and an outage of its upstreams: what has begun is finished, the rest is told in time.

use std::sync::Arc;

use emberway::simulator::faults::Action;
use tokio::net::TcpStream;

use crate::harness::{KEY, STREAM, Setup, V1, WHOLE, World, eventually, read, records_in, within};
use crate::wire::{Wire, request};

fn slow() -> &'static str {
    "base_latency_ms: 1, prefill_us_per_token: 0, decode_tokens_per_s: 60, min_output_tokens: 40, max_output_tokens: 40"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_stream_completes_and_its_usage_is_written() {
    let world = World::start(Setup {
        engine: slow(),
        ..Setup::default()
    })
    .await;
    let (address, directory) = (world.address(), world.directory());
    let mut idle = Wire::connect(address).await;
    idle.send(request(KEY, WHOLE)).await;
    idle.read_until("\r\n\r\n").await;
    let mut wire = Wire::connect(address).await;
    wire.send(request(KEY, STREAM)).await;
    wire.read_until("\"delta\":{\"content\":").await;

    let World { gateway, sim: _sim, .. } = world;
    let draining = tokio::spawn(gateway.drain());
    eventually("connections refused", || async {
        TcpStream::connect(address).await.err()
    })
    .await;
    let rest = wire.read_until("data: [DONE]\n\n").await;
    assert!(!rest.contains("\"error\""), "{rest}");
    within("the drain", draining).await.unwrap().expect("all written");
    idle.read_to_end().await;
    let records = records_in(directory.path()).await;
    assert_eq!(records.len(), 2);
    let record = records
        .iter()
        .find(|row| row.streamed == 1)
        .expect("the stream's record");
    assert_eq!(
        (record.outcome.as_str(), record.source.as_str()),
        ("success", "reported")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_no_before_connections_are_refused() {
    let world = World::start(Setup {
        shutdown: "delay: 1s, drain: 5s",
        ..Setup::default()
    })
    .await;
    let (address, admin, client) = (world.address(), world.gateway.admin_address(), world.client.clone());
    let World { gateway, sim: _sim, .. } = world;
    let draining = tokio::spawn(gateway.drain());
    let url = format!("http://{admin}/readyz");
    let said_no = eventually("readiness to say no", || async {
        let answer = read(client.get(&url).send().await.unwrap()).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(said_no.json()["draining"], true);
    let mut wire = Wire::connect(address).await;
    wire.send(request(KEY, WHOLE)).await;
    assert!(
        wire.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 200 OK\r\n"),
        "still served"
    );
    within("the drain", draining).await.unwrap().expect("all written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_cut_off_and_recorded() {
    let world = World::start(Setup {
        shutdown: "delay: 0s, drain: 300ms",
        ..Setup::default()
    })
    .await;
    let directory = world.directory();
    world.fault("a", Action::Stall { after_chunks: 6 });
    let mut wire = Wire::connect(world.address()).await;
    wire.send(request(KEY, STREAM)).await;
    wire.read_until("\"delta\":{\"content\":").await;
    let World { gateway, sim: _sim, .. } = world;
    within("the drain", gateway.drain()).await.expect("all written");
    let (rest, _) = wire.read_to_end().await;
    assert!(!rest.contains("[DONE]") && rest.contains("\"stream_broken\""), "{rest}");
    assert!(rest.contains("the gateway is being stopped"), "{rest}");
    let records = records_in(directory.path()).await;
    assert_eq!(records.len(), 1, "a record for what was cut off");
    assert_eq!(
        (records[0].outcome.as_str(), records[0].source.as_str()),
        ("broken", "estimated")
    );
    assert!(records[0].completion_tokens > 0, "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_answer_in_time_is_told_so() {
    let world = World::start(Setup {
        shutdown: "delay: 0s, drain: 300ms",
        ..Setup::default()
    })
    .await;
    let directory = world.directory();
    world.fault("a", Action::Hang);
    let mut wire = Wire::connect(world.address()).await;
    wire.send(request(KEY, WHOLE)).await;
    eventually("the request under way", || async {
        (!world.requests_to("a").is_empty()).then_some(())
    })
    .await;
    let World { gateway, sim: _sim, .. } = world;
    within("the drain", gateway.drain()).await.expect("all written");
    let (answer, _) = wire.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.contains("\"gateway_stopping\"") && answer.contains("retry-after: 1\r\n"),
        "{answer}"
    );
    assert!(answer.contains("x-emberway-attempts: 1\r\n"), "{answer}");
    // Azure may bill it, so the record tells who was asked.
    let records = records_in(directory.path()).await;
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!((record.outcome.as_str(), record.attempts), ("refused", 1));
    assert_eq!(record.deployment.as_deref(), Some("a/ft"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_an_account_costs_only_what_had_begun_there() {
    let world = Arc::new(
        World::start(Setup {
            one_tier: true,
            engine: "base_latency_ms: 20, prefill_us_per_token: 0, decode_tokens_per_s: 400, max_output_tokens: 40",
            health: "open_for: 100ms",
            ..Setup::default()
        })
        .await,
    );
    let asking: Vec<_> = (0..200)
        .map(|client| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let mut broken = 0;
                for turn in 0..3 {
                    let question = STREAM.replace("parcel", &format!("parcel {client} {turn}"));
                    let answer = world.ask(question).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let text = answer.text();
                    let (done, error) = (text.ends_with("data: [DONE]\n\n"), text.contains("\"stream_broken\""));
                    assert!(done != error, "neither whole nor broken: {text}");
                    broken += usize::from(error);
                }
                broken
            })
        })
        .collect();
    eventually("streams under way", || async {
        (world.requests_to("a").len() > 40).then_some(())
    })
    .await;
    world.sim.control().stop_account("a").await.unwrap();
    let at_b = world.requests_to("b").len();
    eventually("the other to take over", || async {
        (world.requests_to("b").len() > at_b + 40).then_some(())
    })
    .await;
    world.sim.control().start_account("a").await.unwrap();
    let mut broken = 0;
    for client in asking {
        broken += client.await.expect("no error before a stream began");
    }
    let rows = world.records_once(600).await;
    let with = |outcome: &str| rows.iter().filter(|row| row.outcome == outcome).count();
    assert_eq!(
        (rows.len(), with("success"), with("broken")),
        (600, 600 - broken, broken)
    );
    // And the account is used again.
    let mut number = 0;
    eventually("the account to be used again", || {
        number += 1;
        let (world, question) = (Arc::clone(&world), WHOLE.replace("parcel", &format!("parcel {number}")));
        async move {
            let answer = world.ask(question).await;
            assert_eq!(answer.status, 200);
            (answer.header("x-emberway-deployment") == "a/ft").then_some(())
        }
    })
    .await;
    assert_eq!(world.metric("emberway_held_body_bytes").await, Some(0.0));
    assert!(world.post(V1, WHOLE).send().await.unwrap().status().is_success());
}
