//! Whether the process lives and is ready, for probes: no names, no addresses, no credential asked.
//! None of this ever calls a model: a probe that costs tokens has ruined people.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Json, Response};
use serde::Serialize;

use super::Sources;
use super::access::login::Peer;

pub(super) async fn alive() -> &'static str {
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

pub(super) async fn ready(
    State(sources): State<Arc<Sources>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Response {
    let status = (sources.status)();
    let code = if status.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let config = status.config;
    // Whoever may not know more is told the rest all the same: it may be a probe.
    let peer = peer.map(|Extension(peer)| peer);
    let is_operator = matches!(sources.access.recognise(&headers, peer).await, Ok(Some(_)));
    let readiness = Readiness {
        ready: status.ready,
        draining: status.draining,
        requests_running: status.requests_running,
        config: ConfigReadiness {
            generation: config.generation,
            loaded_at_ms: config.loaded_at_ms,
            reload_failed: config.last_error.is_some(),
            last_error: config.last_error.filter(|_| is_operator),
        },
        pools_without_usable_deployment: status.pools.iter().filter(|pool| pool.usable == 0).count(),
    };
    (code, Json(readiness)).into_response()
}
