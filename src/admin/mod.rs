//! HOW is the gateway? Health, readiness and metrics for operators and their tools, on a listener of its own.
//!
//! Served by axum, on hyper's HTTP/1.1, on the process's runtime, apart from the traffic: a flood of requests cannot take its port.
//! Reads published snapshots only. None of the health endpoints ever calls a model: a probe that costs tokens has ruined people.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use tokio::sync::watch;

use crate::admin::access::login::Peer;
use crate::admin::access::{Access, Ask, login};
use crate::admin::api::ApiSources;
use crate::admin::stalled::Unstalled;
use crate::admin::status::Status;
use crate::config::checked::admin::Role;
use crate::openai::error;
use crate::telemetry::events::process::AdminAcceptFailed;
use crate::telemetry::metrics;

pub mod access;
pub mod api;
mod browser;
pub mod care;
pub mod drains;
mod health;
pub mod history;
pub mod needs;
mod page;
mod slow;
mod stalled;
pub mod status;
#[cfg(test)]
mod testing;

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
    /// Who may; asked of everything but the health endpoints.
    pub access: Access,
    /// What only the API of the operators' page needs.
    pub api: ApiSources,
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

/// Accepts connections until `stop` says otherwise, serves them until it says so of that, and then until running requests have their
/// answers.
pub async fn serve(listener: tokio::net::TcpListener, sources: Arc<Sources>, mut stop: watch::Receiver<Stop>) {
    let service = TowerToHyperService::new(router(&sources, stop.clone()));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX);
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            // An error means that the sender is gone, which is the end as well.
            _ = stop.wait_for(|stop| *stop != Stop::No) => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                AdminAcceptFailed { error: &error }.emit();
                // Others may close files meanwhile; without the pause this would spin.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (served, peer) = (service.clone(), Peer(peer.ip()));
        let from_peer = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            served.call(request)
        });
        let connection = connections.watch(http.serve_connection(TokioIo::new(Unstalled::new(stream)), from_peer));
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
fn router(sources: &Arc<Sources>, stop: watch::Receiver<Stop>) -> axum::Router {
    let asking = |role| {
        let asked = Ask {
            sources: Arc::clone(sources),
            role,
            // Commands and scripts of before do not send it.
            wants_header: false,
        };
        middleware::from_fn_with_state(Arc::new(asked), access::ask)
    };
    let guarded = axum::Router::new()
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route(
            "/admin/explain",
            post(explain).layer(DefaultBodyLimit::max(EXPLAINED_BYTES_MAX)),
        )
        .route("/admin/drains", drains::listed())
        .route_layer(asking(Role::Viewer));
    let changing = axum::Router::new()
        .route("/admin/drains", drains::changed())
        .route_layer(asking(Role::Operator));
    let looking = middleware::from_fn_with_state(Arc::clone(sources), access::look);
    let for_browsers = axum::Router::new()
        .route("/auth/login", get(login::login))
        .route("/auth/callback", get(login::callback))
        .fallback(page::serve)
        .layer(looking);

    axum::Router::new()
        .route("/livez", get(health::alive))
        .route("/health/liveliness", get(health::alive))
        .route("/health/liveness", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/health/readiness", get(health::ready))
        .route("/healthz", get(health::ready))
        .route("/health", get(health::ready))
        .merge(guarded)
        .merge(changing)
        .merge(api::router(sources, &stop))
        .merge(for_browsers)
        .layer(middleware::from_fn(browser::protect))
        .layer(middleware::from_fn_with_state(slow::BODY_TIME_MAX, slow::bound))
        .layer(middleware::from_fn_with_state(stop, tell_the_end))
        .with_state(Arc::clone(sources))
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
    use crate::admin::testing;

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_end_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (_stop, stopped) = watch::channel(Stop::No);
        tokio::spawn(serve(listener, Arc::new(testing::sources()), stopped));
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
