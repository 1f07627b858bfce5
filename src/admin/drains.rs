//! Takes deployments out and puts them back, for operators: `GET`, `POST` and `DELETE /admin/drains`.

use std::sync::Arc;

use crate::admin::api::whole;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Sources;
use super::access::Caller;
use super::api::answer::{Answer, Refusal};
use super::api::audited::{Write, audited};

/// Largest body of a request for a drain: a name and three words.
const ASKED_BYTES_MAX: usize = 16 * 1024;

/// Where it is served for the command line.
const TARGET: &str = "/admin/drains";

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrainShown {
    /// What the name is of.
    pub kind: String,
    /// The name.
    pub name: String,
    /// For how long it still lasts, in seconds; none until it is undone.
    pub left_s: Option<f64>,
}

/// All drains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrainList {
    /// In the order in which they began.
    pub drains: Vec<DrainShown>,
}

/// The body of `POST`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginBody {
    /// What the name is of.
    #[schema(pattern = "^(deployment|resource|region)$")]
    pub kind: String,
    /// The name.
    pub name: String,
    /// For how long, in seconds; from 1 s to 30 days.
    #[schema(minimum = 1, maximum = 2_592_000)]
    #[serde(
        default,
        deserialize_with = "whole::optional",
        skip_serializing_if = "Option::is_none"
    )]
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

/// Does what is wanted, and tells which drains there are then; why not where it is refused.
pub type ChangeDrains = dyn Fn(DrainAsked) -> Result<Vec<DrainShown>, Refusal> + Send + Sync;

/// The endpoint, as far as it only tells.
pub(super) fn listed() -> MethodRouter<Arc<Sources>> {
    get(list)
}

/// The endpoint, as far as it changes something.
pub(super) fn changed() -> MethodRouter<Arc<Sources>> {
    post(begin).delete(undo).layer(DefaultBodyLimit::max(ASKED_BYTES_MAX))
}

async fn list(State(sources): State<Arc<Sources>>) -> Answer<DrainList> {
    (sources.drains)(DrainAsked::List).map(shown)
}

async fn begin(
    State(sources): State<Arc<Sources>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Answer<DrainList> {
    let body = serde_json::from_slice::<BeginBody>(&body).map_err(|error| {
        let message = format!(
            "the body is not understood ({error}); send such as {{\"kind\": \"region\", \"name\": \"swedencentral\", \"for_s\": 60}}"
        );
        Refusal::bad(message, "bad_body")
    })?;
    change(&sources, &caller, TARGET, body.into()).await
}

async fn undo(
    State(sources): State<Arc<Sources>>,
    Extension(caller): Extension<Caller>,
    Query(Undone { kind, name }): Query<Undone>,
) -> Answer<DrainList> {
    change(&sources, &caller, TARGET, DrainAsked::Undo { kind, name }).await
}

/// Changes drains for somebody, with an entry in the audit of what was done at this path.
pub(super) async fn change(
    sources: &Arc<Sources>,
    caller: &Caller,
    target: &'static str,
    asked: DrainAsked,
) -> Answer<DrainList> {
    let (method, words) = match &asked {
        DrainAsked::List => ("GET", String::new()),
        DrainAsked::Begin {
            kind,
            name,
            for_s,
            force,
        } => {
            let lasting = for_s.map_or_else(String::new, |for_s| format!(" for {for_s} s"));
            let forced = if *force { ", by force" } else { "" };
            ("POST", format!("drain {kind} {name}{lasting}{forced}"))
        }
        DrainAsked::Undo { kind, name } => ("DELETE", format!("undo the drain of {kind} {name}")),
    };
    let write = Write {
        method,
        target,
        asked: words,
    };
    let doing = Arc::clone(sources);
    audited(sources, caller, write, async move { (doing.drains)(asked) })
        .await
        .map(shown)
}

fn shown(drains: Vec<DrainShown>) -> Json<DrainList> {
    Json(DrainList { drains })
}

impl From<BeginBody> for DrainAsked {
    fn from(body: BeginBody) -> Self {
        Self::Begin {
            kind: body.kind,
            name: body.name,
            for_s: body.for_s,
            force: body.force,
        }
    }
}
