//! Too much to do: what is over a budget, or comes while tasks run late, is turned away at once; what runs goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use emberway::simulator::faults::Action;

use crate::harness::{Answer, STREAM, Setup, V1, WHOLE, World, eventually, read};

async fn ask_as_batch(world: &World) -> Answer {
    let request = world.post(V1, WHOLE).header("x-emberway-priority", "batch");
    read(request.send().await.expect("an answer")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_number_that_may_run_are_turned_away() {
    let world = World::start(Setup {
        limits: "running_requests: 1",
        ..Setup::default()
    })
    .await;
    world.fault_times("a", 1, Action::Stall { after_chunks: 6 });
    let running = world.post(V1, STREAM).send().await.expect("a head");
    assert_eq!(running.status(), 200);
    for _ in 0..2 {
        let refused = world.ask(WHOLE).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (503, "gateway_busy")
        );
        assert_eq!(
            (refused.header("retry-after"), refused.header("connection")),
            ("1", "keep-alive")
        );
    }
    assert_eq!(world.requests().len(), 1);
    let counted = "emberway_shed_total{reason=\"running_requests\"}";
    assert_eq!(world.metric(counted).await, Some(2.0));
    drop(running);
    eventually("room", || async {
        (world.ask(WHOLE).await.status == 200).then_some(())
    })
    .await;
}

/// Keeps every thread of this runtime, on which the gateway runs too, at other work nearly all the time.
#[expect(
    clippy::disallowed_methods,
    reason = "a worker thread that is blocked is what this makes"
)]
fn occupy_all_threads(stop: &Arc<AtomicBool>) {
    for _ in 0..tokio::runtime::Handle::current().metrics().num_workers() {
        let stop = Arc::clone(stop);
        tokio::spawn(async move {
            while !stop.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(40));
                tokio::task::yield_now().await;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_runs_late_turns_away_batch_first_and_goes_on_with_what_runs() {
    let world = World::start(Setup {
        engine: "decode_tokens_per_s: 40",
        max_delay: "10ms",
        ..Setup::default()
    })
    .await;
    let running = world.post(V1, STREAM).send().await.expect("a head");
    let stop = Arc::new(AtomicBool::new(false));
    occupy_all_threads(&stop);
    let refused = eventually("a refusal", || async {
        let answer = ask_as_batch(&world).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(refused.code(), "gateway_overloaded");
    assert_eq!(
        (refused.header("retry-after"), refused.header("connection")),
        ("1", "keep-alive")
    );
    let answer = read(running).await;
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{answer:?}");
    stop.store(true, Ordering::Release);
    eventually("the end of it", || async {
        (ask_as_batch(&world).await.status == 200).then_some(())
    })
    .await;
    assert!(world.metric("emberway_shed_total{reason=\"delay\"}").await >= Some(1.0));
    assert!(world.metric("emberway_scheduling_delay_seconds_count").await > Some(0.0));
}
