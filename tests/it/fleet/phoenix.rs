//! A deployment that is deleted behind the gateway's back while clients ask all the time: what they notice, which is nothing, and when
//! it serves again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde_json::Value;

use crate::fleet::setup::{Fleet, Terms};
use crate::harness::{KEY, WHOLE, client, eventually, read};

/// Clients that ask at once.
const CLIENTS: usize = 8;
/// How far time goes at a step, which is how often the fleet is looked after.
const STEP_MS: i64 = 5_000;

/// What clients have seen since this was looked at last: answers by deployment, and everything that is none.
#[derive(Default)]
struct Tally {
    answered: BTreeMap<String, u32>,
    failed: Vec<String>,
    all: u32,
}

/// Asks until told to stop.
async fn asks(url: String, tally: Arc<Mutex<Tally>>, stop: Arc<AtomicBool>) {
    let http = client(reqwest::ClientBuilder::http1_only);
    while !stop.load(Ordering::Relaxed) {
        let answer = http.post(&url).header("api-key", KEY).body(WHOLE).send().await;
        let mut tally = tally.lock();
        tally.all += 1;
        match answer {
            Ok(answer) if answer.status() == 200 => {
                let by = answer.headers().get("x-emberway-deployment");
                let by = by.and_then(|by| by.to_str().ok()).unwrap_or_default().to_owned();
                *tally.answered.entry(by).or_default() += 1;
            }
            Ok(answer) => tally.failed.push(answer.status().to_string()),
            Err(error) => tally.failed.push(error.to_string()),
        }
    }
}

/// Once so many more requests have ended: who answered, and how many in all.
async fn answers(tally: &Mutex<Tally>) -> BTreeMap<String, u32> {
    tally.lock().answered.clear();
    eventually("answers", || async {
        let mut tally = tally.lock();
        let count: u32 = tally.answered.values().sum();
        (count >= 20).then(|| std::mem::take(&mut tally.answered))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_nothing_fails_and_it_serves_again() {
    let mut fleet = Fleet::start(Terms::default()).await;
    fleet.after(6 * 60_000).await;
    let url = format!(
        "http://{}/openai/v1/chat/completions",
        fleet.gateway.running.addresses()[0]
    );
    let (tally, stop) = (Arc::<Mutex<Tally>>::default(), Arc::<AtomicBool>::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(asks(url.clone(), Arc::clone(&tally), Arc::clone(&stop))))
        .collect();
    let before = answers(&tally).await;
    assert_eq!(before.keys().collect::<Vec<_>>(), ["east/ft"], "{before:?}");
    fleet.sim.control().vanish("east", "ft").expect("it was there");
    println!("{:>6}  east/ft is deleted behind the gateway's back", "0 s");
    let (mut at_ms, mut told) = (0, (Value::Null, String::new(), Vec::new()));
    let mut states = Vec::new();
    // It is back when it answers again, and nothing is left of its loss.
    let back_ms = loop {
        assert!(at_ms < 20 * 60_000, "it never comes back");
        let by: Vec<String> = answers(&tally).await.into_keys().collect();
        let (absent, cared) = (fleet.absence("east/ft").await, fleet.gateway.cared("east/ft"));
        let now = (absent, cared.state.to_owned(), by);
        if now != told {
            let (absent, state, by) = &now;
            println!(
                "{:>4} s  absent: {absent}, rebuilding: {state}, answered by {by:?}",
                at_ms / 1_000
            );
            states.push(state.clone());
            told = now;
        }
        let is_back = told.0.is_null() && told.1 == "there" && told.2.iter().any(|by| by == "east/ft");
        if at_ms > 0 && is_back {
            break at_ms;
        }
        fleet.after(STEP_MS).await;
        at_ms += STEP_MS;
    };
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a client");
    }
    let tally = std::mem::take(&mut *tally.lock());
    println!(
        "back after {} s; {} requests by {CLIENTS} clients at once, failed {}",
        back_ms / 1_000,
        tally.all,
        tally.failed.len()
    );
    assert!(tally.failed.is_empty(), "{:?}", tally.failed);
    for state in ["creating", "propagating"] {
        assert!(states.iter().any(|seen| seen == state), "never {state}: {states:?}");
    }
    assert_eq!(
        fleet
            .gateway
            .metric("emberway_rebuilds_total{deployment=\"east/ft\",result=\"begun\"}")
            .await,
        Some(1.0),
        "it is made once"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_the_developer_tier_is_made_again_each_day_if_that_is_wanted() {
    let mut fleet = Fleet::start(Terms {
        policy: "policy: recreate, at_once: true",
        west_sku: "DeveloperTier",
        ..Terms::default()
    })
    .await;
    let made = "emberway_rebuilds_total{deployment=\"west/ft\",result=\"begun\"}";
    for day in 1..=3 {
        // Its weight falls before its end, so nothing is asked of it when that comes.
        for _ in 0..24 * 6 {
            fleet.after(10 * 60_000).await;
            assert_eq!(
                fleet.ask().await.header("x-emberway-deployment"),
                "east/ft",
                "day {day}"
            );
        }
        for _ in 0..6 {
            fleet.after(5 * 60_000).await;
        }
        assert_eq!(
            fleet.gateway.metric(made).await,
            Some(f64::from(day)),
            "{:?}",
            fleet.gateway.cared("west/ft")
        );
        assert_eq!(
            fleet.absence("west/ft").await,
            Value::Null,
            "it is there again on day {day}"
        );
        let cared = fleet.gateway.cared("west/ft");
        assert_eq!(
            (cared.end.map(|end| end.cause), cared.next.map(|next| next.action)),
            (Some("developer_tier"), Some("rebuild"))
        );
    }
    fleet.sim.control().vanish("east", "ft").expect("it was there");
    let answer = fleet.ask().await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-deployment")),
        (200, "west/ft")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_the_developer_tier_stays_away_unless_that_is_wanted() {
    let mut fleet = Fleet::start(Terms {
        policy: "policy: expire",
        west_sku: "DeveloperTier",
        ..Terms::default()
    })
    .await;
    fleet.after(6 * 60_000).await;
    assert_eq!(fleet.absence("west/ft").await, Value::Null);
    for _ in 0..25 {
        fleet.after(60 * 60_000).await;
    }
    assert_eq!(fleet.absence("west/ft").await, "missing");
    let http = client(reqwest::ClientBuilder::http1_only);
    let url = format!("http://{}/metrics", fleet.gateway.running.admin_address());
    let text = read(http.get(url).send().await.expect("an answer")).await.text();
    assert!(!text.contains("emberway_rebuilds_total{"), "nothing was made");
}
