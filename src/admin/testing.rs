//! Sources for tests of the admin listener: each test sets what it asks.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use super::access::Access;
use super::access::origin::CSRF_HEADER;
use super::api::ApiSources;
use super::api::answer::Refusal;
use super::api::books::Books;
use super::api::cache::CacheAnswer;
use super::api::config::Configuration;
use super::api::config::shapes::{
    Applied, ApplyBody, ConfigText, Judgement, RestoreBody, Version, VersionText, WhatIf,
};
use super::api::fleet::{FleetActions, FleetAnswer, Pinged};
use super::api::live::Listeners;
use super::api::routing::{RoutingAnswer, RoutingView};
use super::api::usage::{CostAnswer, UsageAnswer, UsageBy};
use super::history::{EventQueries, EventsAsked, HistoryError, HistoryQueries};
use super::status::{ConfigStatus, Status};
use super::{Sources, Stop, router};
use crate::config::checked::admin::{AdminListener, Configure};
use crate::core::history::ask::{self, By, Latency};
use crate::core::history::shown::{Flows, Heatmap, Latest, Series, Slowest, Summary, Total};
use crate::storage::StoreError;
use crate::storage::audit::{AuditEntry, AuditStore};
use crate::storage::limited::ReadRefused;
use crate::storage::report::Range;
use crate::storage::usage_sums::Only;
use crate::telemetry::journal::Event;
use crate::telemetry::metrics::Metrics;

/// Sources of which nothing is asked, open to everybody.
pub(super) fn sources() -> Sources {
    Sources {
        metrics: Box::new(|| Ok(String::new())),
        status: Box::new(|| panic!("nobody asks for it")),
        explain: Box::new(|_, _, _| panic!("nobody asks for it")),
        drains: Box::new(|_| panic!("nobody asks for it")),
        access: access(&nobody_asked()),
        api: ApiSources {
            is_demo: false,
            audit: Arc::new(Remembered::default()),
            configuration: Arc::new(Unasked),
            books: Arc::new(Nobody),
            fleet: Arc::new(Nobody),
            routing: Arc::new(Nobody),
            history: Arc::new(Nobody),
            events: Arc::new(Nobody),
            live: Listeners::default(),
        },
    }
}

/// Who may use a listener with this configuration, on port 9090.
pub(super) fn access(admin: &AdminListener) -> Access {
    let metrics = Arc::new(Metrics::new().expect("sound definitions"));
    Access::new(admin, 9_090, &metrics).expect("no provider")
}

/// A gateway without a fleet that is ready, after so many configurations.
pub(super) fn status(generation: u64) -> Status {
    Status {
        at: String::new(),
        at_ms: 5,
        started_at: String::new(),
        started_at_ms: 1,
        ready: true,
        draining: false,
        version: "0",
        requests_running: 3,
        config: ConfigStatus {
            generation,
            loaded_at: String::new(),
            loaded_at_ms: 1,
            last_error: None,
        },
        fleet: None,
        pools: Vec::new(),
        deployments: Vec::new(),
        needs: Vec::new(),
    }
}

/// A configuration that may be changed, and of which nothing else is asked.
struct Unasked;

#[async_trait]
impl Configuration for Unasked {
    fn writable(&self) -> Result<(), String> {
        Ok(())
    }
    async fn shown(&self) -> Result<ConfigText, Refusal> {
        panic!("nobody asks for it")
    }
    async fn check(&self, _: String, _: bool) -> Result<Judgement, Refusal> {
        panic!("nobody asks for it")
    }
    async fn what_if(&self, _: String, _: u64, _: bool) -> Result<WhatIf, Refusal> {
        panic!("nobody asks for it")
    }
    async fn apply(&self, _: String, _: ApplyBody) -> Result<Applied, Refusal> {
        panic!("nobody asks for it")
    }
    async fn versions(&self) -> Result<Vec<Version>, Refusal> {
        panic!("nobody asks for it")
    }
    async fn version(&self, _: i64) -> Result<VersionText, Refusal> {
        panic!("nobody asks for it")
    }
    async fn restore(&self, _: String, _: i64, _: RestoreBody) -> Result<Applied, Refusal> {
        panic!("nobody asks for it")
    }
}

/// A listener that asks no credential.
pub(super) fn nobody_asked() -> AdminListener {
    AdminListener {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        token: None,
        tokens: Vec::new(),
        oidc: None,
        is_demo: false,
        configure: Configure::Never,
        recent_requests: 0,
    }
}

/// Whom nobody asks.
struct Nobody;

#[async_trait]
impl Books for Nobody {
    async fn usage(&self, _: UsageBy, _: &Only, _: Range) -> Result<UsageAnswer, ReadRefused> {
        panic!("nobody asks for it")
    }

    async fn costs(&self, _: &Only, _: Range) -> Result<CostAnswer, ReadRefused> {
        panic!("nobody asks for it")
    }

    async fn cache(&self, _: &Only, _: Range) -> Result<CacheAnswer, ReadRefused> {
        panic!("nobody asks for it")
    }
}

#[async_trait]
impl FleetActions for Nobody {
    fn fleet(&self) -> FleetAnswer {
        panic!("nobody asks for it")
    }

    async fn ping(&self, _: &str) -> Result<Pinged, Refusal> {
        panic!("nobody asks for it")
    }

    fn recreate(&self, _: &str) -> Result<(), Refusal> {
        panic!("nobody asks for it")
    }
}

#[async_trait]
impl HistoryQueries for Nobody {
    async fn series(&self, _: &ask::Asked, _: By, _: usize) -> Result<Series, HistoryError> {
        panic!("nobody asks for it")
    }

    async fn totals(&self, _: &ask::Asked, _: By) -> Result<Vec<Total>, HistoryError> {
        panic!("nobody asks for it")
    }

    async fn summary(&self, _: &ask::Asked) -> Result<Summary, HistoryError> {
        panic!("nobody asks for it")
    }

    async fn heatmap(&self, _: &ask::Asked, _: Latency, _: usize) -> Result<Heatmap, HistoryError> {
        panic!("nobody asks for it")
    }

    async fn slowest(&self, _: &ask::Asked, _: Latency, _: usize) -> Result<Slowest, HistoryError> {
        panic!("nobody asks for it")
    }

    async fn flows(&self, _: &ask::Asked) -> Result<Flows, HistoryError> {
        panic!("nobody asks for it")
    }

    fn latest(&self) -> Latest {
        Latest::default()
    }
}

#[async_trait]
impl EventQueries for Nobody {
    async fn events(&self, _: &EventsAsked) -> Result<Vec<Event>, HistoryError> {
        panic!("nobody asks for it")
    }

    async fn events_after(&self, _: u64, _: usize) -> Result<Vec<Event>, HistoryError> {
        panic!("nobody asks for it")
    }

    fn newest(&self) -> watch::Receiver<u64> {
        panic!("nobody asks for it")
    }
}

impl RoutingView for Nobody {
    fn routing(&self) -> RoutingAnswer {
        panic!("nobody asks for it")
    }
}

/// An audit in memory.
#[derive(Default)]
struct Remembered(Mutex<Vec<AuditEntry>>);

#[async_trait]
impl AuditStore for Remembered {
    async fn add_audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.0.lock().push(entry.clone());
        Ok(())
    }

    async fn audit(&self, since_ms: i64, most: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let entries = self.0.lock();
        let wanted = entries.iter().rev().filter(|entry| entry.at_ms >= since_ms);
        Ok(wanted.take(most as usize).cloned().collect())
    }
}

/// An answer, read to its end.
pub(super) struct Asked {
    /// The status.
    pub(super) status: StatusCode,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// The body as text.
    pub(super) body: String,
}

impl Asked {
    /// The body as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// A header; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str().expect("text"));
        value.unwrap_or_default()
    }
}

/// Sends a request and gives what is answered, as it begins; a body is sent as JSON.
pub(super) async fn send(
    sources: &Arc<Sources>,
    stop: watch::Receiver<Stop>,
    (method, path): (&str, &str),
    body: &str,
) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .header(CSRF_HEADER, "1")
        .body(Body::from(body.to_owned()))
        .expect("a request");
    let service = TowerToHyperService::new(router(sources, stop));
    service.call(request).await.expect("infallible")
}

/// The same, read to its end.
pub(super) async fn ask(sources: &Arc<Sources>, method: &str, path: &str, body: &str) -> Asked {
    let (_going_on, stop) = watch::channel(Stop::No);
    let response = send(sources, stop, (method, path), body).await;
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    Asked {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).expect("text"),
    }
}
