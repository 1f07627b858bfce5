//! How requests are routed: routes with their rules in words, pools with their members, and what placement remembers.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::Sources;
use crate::admin::api::answer::{Asked, ErrorBody, Refusal};

/// Largest body that is explained: read in a few milliseconds, so that nobody else waits.
pub(super) const EXPLAINED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Tells how requests are routed. Linear in the configuration; waits for nothing.
pub trait RoutingView: Send + Sync {
    /// As things are now.
    fn routing(&self) -> RoutingAnswer;
}

/// How requests are routed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RoutingAnswer {
    /// In the configuration's order.
    pub routes: Vec<RouteShown>,
    /// In the configuration's order.
    pub pools: Vec<PoolShown>,
    /// The beginnings of prompts that come most and have several homes, hottest first.
    pub heads: Vec<Head>,
    /// The table of what was sent where.
    pub table: Table,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RouteShown {
    /// The model name that clients send.
    pub name: String,
    /// Other model names that lead here.
    pub aliases: Vec<String>,
    /// The pool that serves it.
    pub pool: String,
    /// How a deployment is chosen: `nested`, `round_robin`, `least_busy`, `head_hash` or `latency`.
    pub policy: String,
    /// The same in words.
    pub policy_text: String,
    /// Its other rules in words.
    pub settings: Vec<Setting>,
    /// Requests let in and not finished.
    pub in_flight: u64,
    /// Those of them that wait for a deployment to recover.
    pub waiting: u64,
}

/// A rule of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Setting {
    /// What it is about, in a word or two.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PoolShown {
    /// Its name.
    pub name: String,
    /// Priority tiers, best first.
    pub tiers: Vec<Vec<MemberShown>>,
    /// Its regions, in the order in which its tiers name them.
    pub regions: Vec<String>,
    /// How many deployments may be used now.
    pub usable: usize,
}

/// A deployment in a pool.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MemberShown {
    /// `resource/name`.
    pub deployment: String,
    /// Share of the tier's traffic relative to the others.
    pub weight: f64,
    /// Whether it may be used now.
    pub usable: bool,
    /// Why not: `resting`, `ejected`, `unusable`, `drained`, or what the control plane says, such as `missing`.
    pub why: Option<String>,
}

/// The beginning of many prompts. Its text is not kept.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Head {
    /// The first digits of its id.
    pub digest: String,
    /// Homes that it has.
    pub homes: usize,
    /// Deployments that were sent it within the hour, as far as that is remembered.
    pub deployments: Vec<String>,
    /// Requests a minute that begin with it, of late, at all gateways together as this one reckons.
    pub requests: f64,
    /// Prompt tokens a minute that come with it, of late: the mean of some ten minutes, which falls when they cease.
    pub tokens_per_minute: f64,
}

/// What placement remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Table {
    /// Blocks in the table.
    pub blocks: usize,
    /// Blocks that can be.
    pub blocks_max: usize,
    /// Memory taken, in bytes.
    pub bytes: usize,
}

/// Routes with their rules in words, pools with their members, the hottest beginnings of prompts.
#[utoipa::path(get, path = "/routing", tag = "state", responses((status = 200, body = RoutingAnswer)))]
pub(super) async fn routing(State(sources): State<Arc<Sources>>) -> Json<RoutingAnswer> {
    Json(sources.api.routing.routing())
}

/// For whom a body is explained.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExplainQuery {
    /// The client's name, which matters for its hints only; nobody's when left out.
    #[serde(default)]
    #[param(required = false, max_length = 256)]
    client: String,
}

/// Where a chat or response body would be sent, and why, without sending or counting anything.
///
/// The answer is that of `emberway explain --json`: the prompt's blocks, candidates in their order with reasons, and who is left out.
/// It holds no text of the prompt, and nothing of the body is kept.
#[utoipa::path(
    post, path = "/explain", tag = "state", params(ExplainQuery),
    request_body(content = Object, content_type = "application/json", description = "The body that a client would send: a chat or a response."),
    responses(
        (status = 200, body = Object, description = "The plan."),
        (status = 400, body = ErrorBody, description = "The body cannot be routed, or there is no such client."),
        (status = 404, body = ErrorBody, description = "No route has its model."),
        (status = 413, body = ErrorBody, description = "The body is larger than 4 MiB."),
        (status = 422, body = ErrorBody, description = "The body is no request of a known form."),
    )
)]
pub(super) async fn explain(
    State(sources): State<Arc<Sources>>,
    Asked(ExplainQuery { client }): Asked<ExplainQuery>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text(), "bad_body"))?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    match (sources.explain)(&client, &body, &headers) {
        Ok(explanation) => Ok((json, explanation).into_response()),
        Err((status, body)) => {
            let status = StatusCode::from_u16(status);
            let status = status.map_err(|_| Refusal::failed("the refusal has no status", "no_status"))?;
            Ok((status, json, body).into_response())
        }
    }
}
