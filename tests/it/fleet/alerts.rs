//! Alerts by a webhook: what people are told, once each, and what becomes of those that are not taken.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::fleet::setup::{DAY_MS, Fleet, Terms};
use crate::harness::eventually;

/// A receiver, which refuses what it is told to.
struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    /// What it answers next, before it takes anything.
    refusals: Arc<Mutex<Vec<StatusCode>>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (got, refusals) = (
            Arc::<Mutex<Vec<_>>>::default(),
            Arc::<Mutex<Vec<StatusCode>>>::default(),
        );
        let (kept, to_refuse) = (Arc::clone(&got), Arc::clone(&refusals));
        let take = move |headers: HeaderMap, body: Bytes| {
            let refused = to_refuse.lock().pop();
            if refused.is_none() {
                let body = serde_json::from_slice(&body).expect("JSON");
                kept.lock().push((headers, body));
            }
            async move { Ok::<_, Infallible>(refused.unwrap_or(StatusCode::OK)) }
        };
        let router = Router::new().route("/hook/{secret}", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, got, refusals }
    }

    fn terms(&self, policy: &'static str) -> Terms {
        // Leaked once a test, since terms are plain values.
        let of_file = format!(
            "alerts: {{ webhook: {{ url: 'http://{}/hook/${{env:KEY}}', authorization: 'Bearer ${{env:ADMIN_TOKEN}}' }} }}\n",
            self.address
        );
        Terms {
            policy,
            of_file: of_file.leak(),
            ..Terms::default()
        }
    }

    /// Topic, severity and deployment of each, once there are so many.
    async fn told(&self, count: usize) -> Vec<String> {
        eventually("alerts", || async {
            let got = self.got.lock();
            (got.len() >= count).then(|| {
                let shown = got.iter().map(|(_, alert)| {
                    let part = |name: &str| alert[name].as_str().expect("text").to_owned();
                    format!("{} {} {}", part("topic"), part("severity"), part("deployment"))
                });
                shown.collect()
            })
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_told_of_an_idle_deployment_day_by_day() {
    let receiver = Receiver::start().await;
    let mut fleet = Fleet::start(receiver.terms("policy: expire")).await;
    // The same hook, told by whoever acts only.
    let mut other = fleet.another("two").await;
    for _ in 0..17 * 2 {
        fleet.after(DAY_MS / 2).await;
        other.care.turn().await;
        assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    }
    fleet.after(180_000).await;
    let told = receiver.told(3).await;
    let of_west: Vec<&String> = told.iter().filter(|told| told.ends_with("west/ft")).collect();
    assert_eq!(
        of_west[..2],
        ["inactivity warning west/ft", "inactivity critical west/ft"]
    );
    assert!(
        of_west.iter().any(|told| *told == "absence critical west/ft"),
        "{told:?}"
    );
    let got = receiver.got.lock();
    let (headers, first) = got
        .iter()
        .find(|(_, alert)| alert["topic"] == "inactivity")
        .expect("a warning");
    assert_eq!(headers["authorization"], "Bearer an-admin-token-that-is-long-enough");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(first["source"], "emberway");
    let text = first["text"].as_str().expect("text");
    for part in [
        "[warning] west/ft: idle for 10 d",
        "Azure deletes deployments of fine-tuned models after 15 days without a successful call",
        "next: `let_go`",
    ] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    assert!(
        first["at"]
            .as_str()
            .is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok()),
        "{first}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_not_taken_is_tried_again_and_then_counted() {
    let receiver = Receiver::start().await;
    // The first is taken at the second try, the next is refused for good.
    *receiver.refusals.lock() = vec![StatusCode::SERVICE_UNAVAILABLE];
    let mut fleet = Fleet::start(receiver.terms("policy: keep")).await;
    fleet.after(6 * 60_000).await;
    fleet.sim.control().vanish("east", "ft").expect("it was there");
    assert_eq!(fleet.ask().await.status, 200);
    fleet.after(20_000).await;
    let told = receiver.told(3).await;
    assert_eq!(
        told,
        [
            "absence critical east/ft",
            "rebuilding info east/ft",
            "absence info east/ft"
        ]
    );
    *receiver.refusals.lock() = vec![StatusCode::FORBIDDEN];
    let mut waited_ms = 0;
    while fleet.absence("east/ft").await != Value::Null {
        assert!(waited_ms < 20 * 60_000, "it never comes back");
        fleet.after(20_000).await;
        waited_ms += 20_000;
    }
    let gateway = &fleet.gateway;
    let failed = eventually("a failure", || async {
        let failed = gateway.metric("emberway_alerts_total{result=\"failed\"}").await;
        failed.filter(|count| *count > 0.0)
    })
    .await;
    assert_eq!(
        (failed, gateway.metric("emberway_alerts_total{result=\"sent\"}").await),
        (1.0, Some(3.0))
    );
    assert_eq!(receiver.refusals.lock().len(), 0, "it was asked once");
    let got = receiver.got.lock();
    assert!(got.iter().all(|(_, alert)| alert["gateway"] == json!("one")), "{got:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_tells_nothing_again_and_what_happened_meanwhile() {
    let receiver = Receiver::start().await;
    let mut fleet = Fleet::start(receiver.terms("policy: expire")).await;
    fleet.after(6 * 60_000).await;
    fleet.after(11 * DAY_MS).await;
    let both = ["inactivity warning east/ft", "inactivity warning west/ft"];
    let told = receiver.told(2).await;
    assert_eq!(told, both);
    // Killed: it gives no lease back. What happens before another acts is nobody's to tell yet.
    let mut next = fleet.another("two").await;
    fleet.pass(20_000);
    next.care.turn().await;
    fleet.sim.control().vanish("west", "ft").expect("it was there");
    fleet.pass(20_000);
    next.care.turn().await;
    assert!(!next.acts());
    fleet.pass(61_000);
    for _ in 0..4 {
        next.care.turn().await;
        fleet.pass(20_000);
    }
    assert!(next.acts());
    let told = receiver.told(3).await;
    assert_eq!(told[2..], ["absence critical west/ft"]);
    let gateway = &next;
    let sent = eventually("all", || async {
        let sent = gateway.metric("emberway_alerts_total{result=\"sent\"}").await;
        sent.filter(|count| *count > 0.0)
    })
    .await;
    assert!(
        (0.9..1.1).contains(&sent),
        "nothing is told again: {:?}",
        receiver.told(3).await
    );
}
