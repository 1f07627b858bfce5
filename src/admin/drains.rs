//! Takes deployments out and puts them back, for operators: `GET`, `POST` and `DELETE /admin/drains`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use serde::{Deserialize, Serialize};

use super::{Sources, refusal};

/// Largest body of a request for a drain: a name and three words.
const ASKED_BYTES_MAX: usize = 16 * 1024;

/// What an operator wants. Kinds are `deployment`, `resource` and `region`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrainAsked {
    /// To know.
    List,
    /// To take something out.
    Begin {
        /// What the name is of.
        kind: String,
        /// The name.
        name: String,
        /// For how long, in seconds; none until it is undone.
        for_s: Option<u64>,
        /// Also where that leaves a pool without a deployment that can be used.
        force: bool,
    },
    /// To put something back.
    Undo {
        /// What the name is of.
        kind: String,
        /// The name.
        name: String,
    },
}

/// A drain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrainShown {
    /// What the name is of.
    pub kind: String,
    /// The name.
    pub name: String,
    /// For how long it still lasts, in seconds; none until it is undone.
    pub left_s: Option<f64>,
}

/// All drains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrainList {
    /// In the order in which they began.
    pub drains: Vec<DrainShown>,
}

/// The body of `POST`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginBody {
    /// What the name is of.
    pub kind: String,
    /// The name.
    pub name: String,
    /// For how long, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
    /// Whether to take out a pool's last usable deployment.
    #[serde(default)]
    pub force: bool,
}

/// The query of `DELETE`.
#[derive(Deserialize)]
struct Undone {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

/// Does what is wanted, and tells which drains there are then; a status and an error body where it is refused.
pub type ChangeDrains = dyn Fn(DrainAsked) -> Result<Vec<DrainShown>, (u16, Bytes)> + Send + Sync;

/// The endpoint.
pub(super) fn route() -> MethodRouter<Arc<Sources>> {
    get(list)
        .post(begin)
        .delete(undo)
        .layer(DefaultBodyLimit::max(ASKED_BYTES_MAX))
}

async fn list(State(sources): State<Arc<Sources>>) -> Response {
    answer(&sources, DrainAsked::List)
}

async fn begin(State(sources): State<Arc<Sources>>, body: Bytes) -> Response {
    match serde_json::from_slice::<BeginBody>(&body) {
        Ok(BeginBody {
            kind,
            name,
            for_s,
            force,
        }) => answer(
            &sources,
            DrainAsked::Begin {
                kind,
                name,
                for_s,
                force,
            },
        ),
        Err(error) => {
            let message = format!(
                "the body is not understood ({error}); send such as {{\"kind\": \"region\", \"name\": \"swedencentral\", \"for_s\": 60}}"
            );
            refusal(StatusCode::BAD_REQUEST, &message, "bad_body")
        }
    }
}

async fn undo(State(sources): State<Arc<Sources>>, Query(undone): Query<Undone>) -> Response {
    let Undone { kind, name } = undone;
    answer(&sources, DrainAsked::Undo { kind, name })
}

fn answer(sources: &Sources, asked: DrainAsked) -> Response {
    match (sources.drains)(asked) {
        Ok(drains) => Json(DrainList { drains }).into_response(),
        Err((status, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
    }
}
