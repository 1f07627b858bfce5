//! The fleet as operators look after it: every deployment with its place and its price, and what may be done to it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::Sources;
use crate::admin::access::Caller;
use crate::admin::api::answer::{Answer, ErrorBody, Refusal, Sent};
use crate::admin::api::audited::{Write, audited};
use crate::admin::care::FleetStatus;
use crate::admin::status::DeploymentStatus;
use crate::core::calendar::MINUTE_MS;
use crate::core::history::ask::{self, By};
use crate::core::history::shown::Figures;
use crate::telemetry::clock;

/// Largest body of a request about one deployment.
pub(super) const ACTION_BYTES_MAX: usize = 16 * 1024;

/// How far back the figures beside a deployment go.
const RECENT_MS: i64 = 15 * MINUTE_MS;

/// The fleet, and what can be done to it.
#[async_trait]
pub trait FleetActions: Send + Sync {
    /// How it stands. Linear in the fleet; waits for nothing.
    fn fleet(&self) -> FleetAnswer;

    /// Sends a deployment one tiny completion, as its guard would, recorded as such.
    ///
    /// # Errors
    /// When it is unknown, one is running there, or the last was a moment ago. An answer that is no success is no error.
    async fn ping(&self, deployment: &str) -> Result<Pinged, Refusal>;

    /// Has a lost deployment made again by whoever looks after the fleet.
    ///
    /// # Errors
    /// When it is unknown, or it cannot or need not be made.
    fn recreate(&self, deployment: &str) -> Result<(), Refusal>;
}

/// The fleet.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FleetAnswer {
    /// How it is looked after; none without a control plane.
    pub fleet: Option<FleetStatus>,
    /// Each deployment, in the configuration's order.
    pub deployments: Vec<DeploymentShown>,
    /// Each region, in the order in which they come.
    pub regions: Vec<RegionShown>,
}

/// A deployment with its place, its price and what may be done to it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeploymentShown {
    /// How it stands.
    #[serde(flatten)]
    pub status: DeploymentStatus,
    /// The account that it belongs to.
    pub resource: String,
    /// Pools that it is in.
    pub pools: Vec<String>,
    /// Its priority tier in each, from 0.
    pub tiers: BTreeMap<String, usize>,
    /// Its weight in its first pool; none where it is in none.
    pub weight: Option<f64>,
    /// Its weight in each pool.
    pub weights: BTreeMap<String, f64>,
    /// How Azure bills and limits it.
    pub sku: String,
    /// Units of the SKU, if the configuration says so.
    pub capacity: Option<u32>,
    /// Its base model, if the configuration says so.
    pub model: Option<String>,
    /// What an hour of its existence costs; none where that is not known.
    pub hosting_usd_per_hour: Option<f64>,
    /// Its requests of the last quarter of an hour; none where the history cannot be read.
    pub recent: Option<Figures>,
    /// What may be done to it.
    pub actions: Actions,
}

/// What may be done to a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Actions {
    /// Take it out, and put it back.
    pub drain: bool,
    /// Call it.
    pub ping: bool,
    /// Make it again.
    pub recreate: bool,
    /// Why it cannot be made again.
    pub recreate_reason: Option<String>,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RegionShown {
    /// Its name.
    pub name: String,
    /// Its deployments.
    pub deployments: usize,
    /// Those that may be used now.
    pub usable: usize,
    /// Requests of the last quarter of an hour; none where the history cannot be read, as what follows.
    pub requests: Option<u64>,
    /// Those of them that their client saw fail.
    pub errors: Option<u64>,
    /// In how many milliseconds 95 of 100 streams had their first token; none also without streams.
    pub ttft_p95_ms: Option<f64>,
    /// By pool: tokens a minute that the other regions would still take if this one were lost, by the load of the last minute.
    pub headroom: BTreeMap<String, f64>,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pinged {
    /// `success`, `refused` where it answered with an error, `failed` where it gave no answer.
    pub outcome: &'static str,
    /// The HTTP status; none without an answer.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// In words: tokens that it used, or what came instead.
    pub text: String,
}

/// Which deployment to call.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PingBody {
    /// `resource/name`.
    deployment: String,
}

/// Which deployment to make again.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecreateBody {
    /// `resource/name`.
    deployment: String,
    /// The same once more, as a person typed it.
    confirm: String,
}

/// That a deployment will be made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Recreating {
    /// Always true.
    pub accepted: bool,
    /// What happens next.
    pub text: String,
}

/// Every deployment with its state, place, price and what may be done to it; every region with what is left without it.
#[utoipa::path(get, path = "/fleet", tag = "state", responses((status = 200, body = FleetAnswer)))]
pub(super) async fn fleet(State(sources): State<Arc<Sources>>) -> Json<FleetAnswer> {
    let mut answer = sources.api.fleet.fleet();
    if let Some(recent) = recent(&sources, By::Deployment).await {
        for shown in &mut answer.deployments {
            shown.recent = Some(recent.get(&shown.status.name).cloned().unwrap_or_default());
        }
    }
    if let Some(recent) = recent(&sources, By::Region).await {
        for region in &mut answer.regions {
            let figures = recent.get(&region.name).cloned().unwrap_or_default();
            region.requests = Some(figures.requests);
            region.errors = Some(figures.errors);
            region.ttft_p95_ms = figures.latency.ttft_p95_ms;
        }
    }
    Json(answer)
}

/// Figures of the last quarter of an hour; none where the history cannot be read, which must not hide how the fleet stands.
async fn recent(sources: &Sources, by: By) -> Option<HashMap<String, Figures>> {
    let to_ms = clock::now_ms();
    let asked = ask::Asked {
        from_ms: to_ms - RECENT_MS,
        to_ms,
        filter: ask::Filter::default(),
    };
    let totals = sources.api.history.totals(&asked, by).await.ok()?;
    Some(totals.into_iter().map(|total| (total.key, total.total)).collect())
}

/// Calls a deployment once, with a few tokens, as the fleet's guard does for idle ones.
///
/// It goes the way of clients' requests and leaves a usage record of its own (client `emberway`, route `keepalive`); it teaches routing
/// nothing. One at a time and one in ten seconds for each deployment.
#[utoipa::path(
    post, path = "/deployments/ping", tag = "fleet", request_body = PingBody,
    responses(
        (status = 200, body = Pinged, description = "It was called; `outcome` says what came of it."),
        (status = 400, body = ErrorBody, description = "The body is not understood."),
        (status = 404, body = ErrorBody, description = "There is no such deployment."),
        (status = 409, body = ErrorBody, description = "A call is running there."),
        (status = 413, body = ErrorBody, description = "The body is too large."),
        (status = 415, body = ErrorBody, description = "The body is not sent as JSON."),
        (status = 429, body = ErrorBody, description = "The last call was a moment ago."),
    )
)]
pub(super) async fn ping(
    State(sources): State<Arc<Sources>>,
    Extension(caller): Extension<Caller>,
    Sent(PingBody { deployment }): Sent<PingBody>,
) -> Answer<Pinged> {
    let write = Write {
        method: "POST",
        target: "/api/v1/deployments/ping",
        asked: format!("call {deployment}"),
    };
    let fleet = Arc::clone(&sources.api.fleet);
    let pinged = audited(&sources, &caller, write, async move { fleet.ping(&deployment).await });
    pinged.await.map(Json)
}

/// Has a lost deployment made again, by the fleet's own rebuilding and its rules.
///
/// Only where the control plane is configured, writes are allowed, and the configuration declares what to make.
#[utoipa::path(
    post, path = "/deployments/recreate", tag = "fleet", request_body = RecreateBody,
    responses(
        (status = 202, body = Recreating, description = "It will be made again within some seconds; `GET /fleet` shows how far it is."),
        (status = 400, body = ErrorBody, description = "The body is not understood, or `confirm` is another name."),
        (status = 404, body = ErrorBody, description = "There is no such deployment."),
        (status = 409, body = ErrorBody, description = "It cannot or need not be made; the message says why."),
        (status = 413, body = ErrorBody, description = "The body is too large."),
        (status = 415, body = ErrorBody, description = "The body is not sent as JSON."),
    )
)]
pub(super) async fn recreate(
    State(sources): State<Arc<Sources>>,
    Extension(caller): Extension<Caller>,
    Sent(RecreateBody { deployment, confirm }): Sent<RecreateBody>,
) -> Result<(StatusCode, Json<Recreating>), Refusal> {
    if confirm != deployment {
        let message = "`confirm` must be the deployment's name once more, as `resource/name`";
        return Err(Refusal::bad_param("confirm", message));
    }
    let text =
        "it will be made again within some seconds, as it is declared; its state tells how far that is".to_owned();
    let write = Write {
        method: "POST",
        target: "/api/v1/deployments/recreate",
        asked: format!("make {deployment} again"),
    };
    let fleet = Arc::clone(&sources.api.fleet);
    audited(&sources, &caller, write, async move { fleet.recreate(&deployment) }).await?;
    Ok((StatusCode::ACCEPTED, Json(Recreating { accepted: true, text })))
}
