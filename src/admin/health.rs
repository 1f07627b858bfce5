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
use super::access::origin;

pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// What readiness tells: no names, no addresses, unless an operator asks: somebody with a credential, or where none is configured somebody
/// on this machine.
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
    let is_known = matches!(sources.access.recognise(&headers, peer).await, Ok(Some(_)));
    // Without a credential everybody is known; who comes by another name or through a proxy may still be anybody.
    let is_operator = is_known && origin::check_host(sources.access.asks(), &headers).is_ok();
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

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::Value;

    use super::*;
    use crate::admin::testing;

    /// A page whose name leads to this machine, and everybody behind a proxy on it, would read what the file says.
    #[tokio::test]
    async fn without_a_credential_only_this_machine_is_told_what_is_wrong_with_the_file() {
        let sources = Sources {
            status: Box::new(|| {
                let mut status = testing::status(1);
                status.config.last_error = Some("line 3: `secret`".to_owned());
                status
            }),
            ..testing::sources()
        };
        let sources = Arc::new(sources);
        for (name, value, is_told) in [
            ("host", "localhost:9090", true),
            ("host", "rebound.example:9090", false),
            ("x-forwarded-for", "10.0.0.1", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a value"));
            let answer = ready(State(Arc::clone(&sources)), None, headers).await;
            // A probe may come by any name.
            assert_eq!(answer.status(), StatusCode::OK, "{value}");
            let body = to_bytes(answer.into_body(), 1 << 16).await.expect("a body");
            let told: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(told["config"]["reload_failed"], true);
            assert_eq!(told["config"].get("last_error").is_some(), is_told, "{value}: {told}");
        }
    }
}
