//! A second attempt beside one whose answer is late: who answers, what both leave behind, and how many there may be.

use std::time::{Duration, Instant};

use emberway::simulator::faults::Action;

use crate::harness::{Answer, STREAM, Setup, V1, WHOLE, World, eventually, preset, read};

/// Requests after which it is known what is late: they took a millisecond or so.
const KNOWN_AFTER: usize = 60;
/// Far later than that, and far longer than a test has patience for.
const LATE: Action = Action::Delay { ms: 60_000 };

async fn world(max_share: &'static str) -> World {
    let failover = match max_share {
        "" => "",
        "0.05" => "hedging: { max_share: 0.05 }",
        _ => "hedging: { max_share: 1 }",
    };
    World::start(Setup {
        failover,
        ..Setup::default()
    })
    .await
}

/// A world in which it is known what is late, for one kind of request.
async fn that_knows(max_share: &'static str, body: &'static str) -> World {
    let world = world(max_share).await;
    for _ in 0..KNOWN_AFTER {
        assert_eq!(world.ask(body).await.status, 200);
    }
    world
}

fn attempts(answer: &Answer) -> (u16, &str, &str, &str) {
    (
        answer.status.as_u16(),
        answer.header("x-emberway-deployment"),
        answer.header("x-emberway-attempts"),
        answer.header("x-emberway-reason"),
    )
}

async fn hedges(world: &World, deployment: &str, outcome: &str, reason: &str) -> f64 {
    let labels = format!(r#"deployment="{deployment}",outcome="{outcome}",reason="{reason}",route="bot""#);
    world
        .metric(&format!("emberway_attempts_total{{{labels}}}"))
        .await
        .unwrap_or(0.0)
}

async fn billed_twice(world: &World, cause: &str) -> f64 {
    let labels = format!(r#"cause="{cause}",deployment="a/ft",route="bot""#);
    let series = format!("emberway_attempts_maybe_billed_twice_total{{{labels}}}");
    world.metric(&series).await.unwrap_or(0.0)
}

/// Attempts at the first deployment that were overtaken, those at the second that overtook them, and what may so be billed twice.
async fn counted(world: &World) -> [u64; 3] {
    let overtaken = hedges(world, "a/ft", "overtaken", "only_choice").await
        + hedges(world, "a/ft", "overtaken", "short_prompt").await;
    let won = hedges(world, "b/ft", "success", "hedge").await;
    [overtaken, won, billed_twice(world, "hedged").await].map(|count| count as u64)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_is_overtaken_by_another_deployments() {
    for body in [WHOLE, STREAM] {
        let world = that_knows("1", body).await;
        // On a busy machine one of the first may have been late, too.
        let before = counted(&world).await;
        world.fault_times("a", 1, LATE);
        let began = Instant::now();
        let answer = world.ask(body).await;
        assert_eq!(attempts(&answer), (200, "b/ft", "2", "hedge"));
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "it did not wait for the late one"
        );
        let record = world.record(&answer.headers).await;
        assert_eq!((record.deployment.as_deref(), record.attempts), (Some("b/ft"), 2));
        eventually("the attempts are counted, once each", async || {
            (counted(&world).await == before.map(|count| count + 1)).then_some(())
        })
        .await;
        // It was asked for, and is not what the alert on bills is about.
        assert!(billed_twice(&world, "given_up").await < 1.0);
        // The cancelled one is nobody's fault and runs no longer.
        let loser = world.deployment("a/ft").await;
        assert_eq!(
            (&loser["breaker"], &loser["in_flight"]),
            (&"closed".into(), &0.into()),
            "{loser}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_answers_is_taken_though_the_other_fails() {
    let world = that_knows("1", WHOLE).await;
    world.fault_times("a", 1, Action::Delay { ms: 700 });
    world.fault_times("b", 1, preset("server_error"));
    let answer = world.ask(WHOLE).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-deployment")),
        (200, "a/ft")
    );
    assert_eq!(answer.header("x-emberway-attempts"), "2");
    assert_eq!(world.requests_to("b").len(), 1, "it was asked, and failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_off_unless_the_route_says_otherwise_and_begins_once_late_is_known() {
    let slow = Action::Delay { ms: 300 };
    let off = that_knows("", WHOLE).await;
    off.fault_times("a", 1, slow.clone());
    assert_eq!(off.ask(WHOLE).await.header("x-emberway-attempts"), "1");
    assert!(off.requests_to("b").is_empty());
    let young = world("1").await;
    young.fault_times("a", 1, slow);
    assert_eq!(young.ask(WHOLE).await.header("x-emberway-attempts"), "1");
    assert!(young.requests_to("b").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_both() {
    let world = that_knows("1", WHOLE).await;
    for account in ["a", "b"] {
        world.fault_times(account, 1, LATE);
    }
    let asked = world.post(V1, WHOLE).timeout(Duration::from_millis(700)).send().await;
    assert!(asked.is_err(), "it left: {asked:?}");
    let left = world
        .records_once(KNOWN_AFTER + 1)
        .await
        .into_iter()
        .find(|record| record.outcome == "client_gone");
    assert_eq!(left.map(|record| record.attempts), Some(2));
    for name in ["a/ft", "b/ft"] {
        let deployment = world.deployment(name).await;
        assert_eq!(
            (&deployment["breaker"], &deployment["in_flight"]),
            (&"closed".into(), &0.into()),
            "{deployment}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_batch() {
    let world = that_knows("1", WHOLE).await;
    world.fault_times("a", 1, Action::Delay { ms: 500 });
    let request = world.post(V1, WHOLE).header("x-emberway-priority", "batch");
    let answer = read(request.send().await.expect("an answer")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-attempts")),
        (200, "1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_than_their_share() {
    let world = that_knows("0.05", WHOLE).await;
    for _ in 0..8 {
        world.fault_times("a", 1, Action::Delay { ms: 400 });
        assert_eq!(world.ask(WHOLE).await.status, 200);
    }
    // One in twenty of 60 to 68 requests; late ones soon make lateness later, too.
    let hedged = world.requests_to("b").len();
    assert!((1..=3).contains(&hedged), "{hedged}");
}
