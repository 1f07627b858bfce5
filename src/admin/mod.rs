//! HOW is the gateway? Health, readiness and metrics for operators and their tools, on a listener of its own.
//!
//! Served by axum, on hyper's HTTP/1.1, on the process's runtime, apart from the traffic: a flood of requests cannot take its port.
//! Reads published snapshots only. None of the health endpoints ever calls a model: a probe that costs tokens has ruined people.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use crate::admin::care::{CaredStatus, FleetStatus};
use crate::config::secrets::Secret;
use crate::core::recovery::outcome::Alarm;
use crate::openai::{bearer, error};
use crate::telemetry::events::process::AdminAcceptFailed;
use crate::telemetry::metrics;

pub mod care;
pub mod drains;
pub mod history;

/// Longest time for a request's head to arrive, the idle time before it included: otherwise whoever reaches the port could hold
/// connections for ever without a token.
const HEAD_TIME_MAX: Duration = Duration::from_secs(90);

/// Largest body that is explained: read in a few milliseconds, so that nobody else waits.
const EXPLAINED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Where the answers come from.
pub struct Sources {
    /// The metrics in Prometheus' text format.
    pub metrics: Box<dyn Fn() -> Result<String, String> + Send + Sync>,
    /// The state in words.
    pub status: Box<dyn Fn() -> Status + Send + Sync>,
    /// What would become of a chat body, by its bytes and headers: JSON, or a status with an error body.
    pub explain: Box<Explain>,
    /// Takes deployments out and puts them back.
    pub drains: Box<drains::ChangeDrains>,
    /// Asked of everything but the health endpoints.
    pub token: Option<Secret>,
}

/// Explains a chat body of a client, by its name.
pub type Explain = dyn Fn(&str, &[u8], &HeaderMap) -> Result<Vec<u8>, (u16, Bytes)> + Send + Sync;

/// What of the listener has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Nothing.
    No,
    /// It accepts no connections; answers on those that are open say that they end.
    Accepting,
    /// It answers what it has begun to answer, and no more.
    Serving,
}

/// The gateway's state, as `/readyz` and `/status` tell it.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// When this was told (RFC 3339), by the gateway's clock.
    pub at: String,
    /// The same in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// When the process started (RFC 3339).
    pub started_at: String,
    /// The same in milliseconds since the Unix epoch.
    pub started_at_ms: i64,
    /// Whether new requests are welcome.
    pub ready: bool,
    /// Whether the process is ending.
    pub draining: bool,
    /// The program's version.
    pub version: &'static str,
    /// Requests running.
    pub requests_running: usize,
    /// The configuration in use.
    pub config: ConfigStatus,
    /// How the fleet is looked after; none without a control plane.
    pub fleet: Option<FleetStatus>,
    /// Each pool.
    pub pools: Vec<PoolStatus>,
    /// Each deployment.
    pub deployments: Vec<DeploymentStatus>,
}

/// The configuration in use, and how the last attempt to replace it went.
#[derive(Debug, Clone, Serialize)]
pub struct ConfigStatus {
    /// Counts configurations put to use, the first one included.
    pub generation: u64,
    /// When it was loaded (RFC 3339).
    pub loaded_at: String,
    /// The same in milliseconds since the Unix epoch.
    pub loaded_at_ms: i64,
    /// Why the file as it is now is not in use.
    pub last_error: Option<String>,
}

/// A pool.
#[derive(Debug, Clone, Serialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// How many deployments it has.
    pub deployments: u64,
    /// How many of them may be used now.
    pub usable: u64,
    /// Its regions.
    pub regions: Vec<String>,
    /// Tokens that all gateways have sent its deployments since this one began, as limits count them and as far as this one knows.
    pub sent_tokens: f64,
    /// By each of its regions: tokens a minute that the others take. Empty where that is not known.
    pub limit_without: BTreeMap<String, f64>,
    /// The same by the pool's tokens of the last minute, or a minute's since the last look where that is longer ago.
    pub headroom: BTreeMap<String, f64>,
}

/// A deployment.
#[derive(Debug, Clone, Serialize)]
pub struct DeploymentStatus {
    /// `resource/name`.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// Attempts running at it.
    pub in_flight: u64,
    /// Its circuit breaker.
    pub breaker: &'static str,
    /// What somebody must mend before it can work, if anything.
    pub alarm: Option<AlarmStatus>,
    /// Tokens a minute that it takes; none where that is not known.
    pub limit_tokens_per_minute: Option<u64>,
    /// Part of that which is used, as far as this gateway knows; more than 1 where it is overdrawn.
    pub limit_used: Option<f64>,
    /// How long its cache is believed to keep what nobody asks for, in seconds, as its answers have taught; 0 if it is believed not
    /// to cache.
    pub cache_life_s: f64,
    /// Until when it rests after a 429 (RFC 3339).
    pub cooling_until: Option<String>,
    /// The same in milliseconds since the Unix epoch.
    pub cooling_until_ms: Option<i64>,
    /// Whether an operator has taken it out.
    pub drained: bool,
    /// Until when, in milliseconds since the Unix epoch; none where it is not, and until it is put back.
    pub drained_until_ms: Option<i64>,
    /// Why it is not there, by what the control plane says, such as `missing` or `paused`; none where it is, or that is not known.
    pub absent: Option<&'static str>,
    /// When it last answered with success (RFC 3339).
    pub last_success_at: Option<String>,
    /// The same in milliseconds since the Unix epoch.
    pub last_success_at_ms: Option<i64>,
    /// When Azure may delete it for inactivity (RFC 3339).
    pub deletion_at: Option<String>,
    /// The same in milliseconds since the Unix epoch.
    pub deletion_at_ms: Option<i64>,
    /// What looking after the fleet knows of it, where it is looked after.
    pub care: Option<CaredStatus>,
    /// The last attempt that was held against it, by this process.
    pub last_failure: Option<FailureStatus>,
}

/// An attempt that was held against its deployment. Nothing that the upstream wrote is told: it may quote a prompt.
#[derive(Debug, Clone, Serialize)]
pub struct FailureStatus {
    /// When it ended (RFC 3339).
    pub at: String,
    /// How, in the words of the log and of `emberway_attempts_total`.
    pub outcome: &'static str,
    /// The HTTP status of the answer, if there was one.
    pub status: Option<u16>,
}

/// What somebody must mend.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct AlarmStatus {
    /// What it is.
    pub kind: Alarm,
    /// What to do.
    pub advice: &'static str,
    /// Whether what Azure has differs from what is configured.
    pub wants_reconciliation: bool,
}

impl From<Alarm> for AlarmStatus {
    fn from(kind: Alarm) -> Self {
        Self {
            kind,
            advice: kind.advice(),
            wants_reconciliation: kind.wants_reconciliation(),
        }
    }
}

/// Accepts connections until `stop` says otherwise, serves them until it says so of that, and then until running requests have their
/// answers.
pub async fn serve(listener: tokio::net::TcpListener, sources: Arc<Sources>, mut stop: watch::Receiver<Stop>) {
    let service = TowerToHyperService::new(router(sources, stop.clone()));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX);
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            // An error means that the sender is gone, which is the end as well.
            _ = stop.wait_for(|stop| *stop != Stop::No) => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                AdminAcceptFailed { error: &error }.emit();
                // Others may close files meanwhile; without the pause this would spin.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an admin connection failed");
            }
        });
    }
    drop(listener);
    let _ = stop.wait_for(|stop| *stop == Stop::Serving).await;
    connections.shutdown().await;
}

/// The endpoints. The second spellings are those that probes for `LiteLLM` use.
fn router(sources: Arc<Sources>, stop: watch::Receiver<Stop>) -> axum::Router {
    let guarded = axum::Router::new()
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route(
            "/admin/explain",
            post(explain).layer(DefaultBodyLimit::max(EXPLAINED_BYTES_MAX)),
        )
        .route("/admin/drains", drains::route())
        .route_layer(middleware::from_fn_with_state(Arc::clone(&sources), ask_token));
    axum::Router::new()
        .route("/livez", get(alive))
        .route("/health/liveliness", get(alive))
        .route("/health/liveness", get(alive))
        .route("/readyz", get(ready))
        .route("/health/readiness", get(ready))
        .route("/healthz", get(ready))
        .route("/health", get(ready))
        .merge(guarded)
        .fallback(not_served)
        .layer(middleware::from_fn_with_state(stop, tell_the_end))
        .with_state(sources)
}

/// Says where an answer is its connection's last: whoever asks again is to ask the process that accepts.
async fn tell_the_end(State(stop): State<watch::Receiver<Stop>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if *stop.borrow() != Stop::No {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

async fn alive() -> &'static str {
    "ok\n"
}

/// What readiness tells: no names, no addresses, unless the admin token was sent.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    draining: bool,
    requests_running: usize,
    config: ConfigReadiness,
    pools_without_usable_deployment: usize,
}

#[derive(Serialize)]
struct ConfigReadiness {
    generation: u64,
    loaded_at_ms: i64,
    /// Whether the file as it is now is not in use.
    reload_failed: bool,
    /// Why; it quotes the file, so it is for operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

async fn ready(State(sources): State<Arc<Sources>>, headers: HeaderMap) -> Response {
    let status = (sources.status)();
    let code = if status.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let config = status.config;
    let readiness = Readiness {
        ready: status.ready,
        draining: status.draining,
        requests_running: status.requests_running,
        config: ConfigReadiness {
            generation: config.generation,
            loaded_at_ms: config.loaded_at_ms,
            reload_failed: config.last_error.is_some(),
            last_error: config.last_error.filter(|_| is_operator(&sources, &headers)),
        },
        pools_without_usable_deployment: status.pools.iter().filter(|pool| pool.usable == 0).count(),
    };
    (code, Json(readiness)).into_response()
}

async fn status(State(sources): State<Arc<Sources>>) -> Json<Status> {
    Json((sources.status)())
}

/// Whose body is explained.
#[derive(Deserialize)]
struct ExplainQuery {
    #[serde(default)]
    client: String,
}

async fn explain(
    State(sources): State<Arc<Sources>>,
    Query(query): Query<ExplainQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match (sources.explain)(&query.client, &body, &headers) {
        Ok(explanation) => ([json], explanation).into_response(),
        Err((status, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            (status, [json], body).into_response()
        }
    }
}

async fn metrics(State(sources): State<Arc<Sources>>) -> Response {
    match (sources.metrics)() {
        Ok(text) => (
            [(header::CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE))],
            text,
        )
            .into_response(),
        Err(message) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &message, "metrics_failed"),
    }
}

async fn not_served() -> Response {
    let message = "not served here; served are: GET /livez, /readyz, /healthz, /metrics, /status, POST /admin/explain, GET, POST and DELETE /admin/drains";
    refusal(StatusCode::NOT_FOUND, message, "not_served")
}

async fn ask_token(State(sources): State<Arc<Sources>>, request: Request, next: Next) -> Response {
    if is_operator(&sources, request.headers()) {
        return next.run(request).await;
    }
    let message = "send the admin token as `Authorization: Bearer TOKEN`; it is `admin.token` in the configuration";
    refusal(StatusCode::UNAUTHORIZED, message, "invalid_admin_token")
}

/// Whether the sender may see everything: it sent the admin token, or none is configured.
fn is_operator(sources: &Sources, headers: &HeaderMap) -> bool {
    let Some(token) = &sources.token else { return true };
    let sent = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let sent = sent.and_then(bearer::token).unwrap_or_default();
    bool::from(sent.ct_eq(token.expose().as_bytes()))
}

fn refusal(status: StatusCode, message: &str, code: &str) -> Response {
    let kind = if status.is_server_error() {
        "server_error"
    } else {
        "invalid_request_error"
    };
    let json = HeaderValue::from_static("application/json");
    (
        status,
        [(header::CONTENT_TYPE, json)],
        error::body(message, kind, None, code),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn sources() -> Arc<Sources> {
        Arc::new(Sources {
            metrics: Box::new(|| Ok(String::new())),
            status: Box::new(|| panic!("nobody asks for it")),
            explain: Box::new(|_, _, _| panic!("nobody asks for it")),
            drains: Box::new(|_| panic!("nobody asks for it")),
            token: None,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_end_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (_stop, stopped) = watch::channel(Stop::No);
        tokio::spawn(serve(listener, sources(), stopped));
        for begun in ["", "GET /livez HTTP/1.1\r\nx: "] {
            let mut client = tokio::net::TcpStream::connect(address).await.expect("a connection");
            client.write_all(begun.as_bytes()).await.expect("sent");
            let mut answer = Vec::new();
            let read = tokio::time::timeout(HEAD_TIME_MAX * 2, client.read_to_end(&mut answer)).await;
            read.expect("an end").expect("in order");
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{begun}");
        }
    }
}
