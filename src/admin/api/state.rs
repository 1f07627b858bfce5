//! The gateway's state in words, as `/status` tells it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::admin::Sources;
use crate::admin::status::Status;

/// The gateway's state: readiness, configuration, pools, deployments.
#[utoipa::path(get, path = "/status", tag = "state", responses((status = 200, body = Status)))]
pub(super) async fn status(State(sources): State<Arc<Sources>>) -> Json<Status> {
    Json((sources.status)())
}
