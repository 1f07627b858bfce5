//! The slowest requests, each with what its attempts took.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::admin::Sources;
use crate::admin::api::answer::{Answer, Asked, ErrorBody};
use crate::admin::api::range::{OnlyQuery, TimeQuery};
use crate::admin::api::series::{asked, in_bounds};
use crate::core::history::ask::Latency;
use crate::core::history::shown::Slowest;

/// Requests that are told when nobody said how many.
const REQUESTS: usize = 50;
/// Most requests of an answer.
const REQUESTS_MAX: usize = 500;

/// How the slowest are asked for.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SlowestQuery {
    /// By which time.
    #[serde(default)]
    #[param(inline, required = false)]
    of: Latency,
    /// Most requests; 50 when left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// The slowest requests, with what each of their attempts took. Nothing of a prompt or an answer is known.
///
/// The slowest of each minute are kept for two days.
#[utoipa::path(
    get, path = "/requests/slowest", tag = "figures", params(TimeQuery, OnlyQuery, SlowestQuery),
    responses(
        (status = 200, body = Slowest),
        (status = 400, body = ErrorBody, description = "A parameter is not understood or out of bounds."),
        (status = 503, body = ErrorBody, description = "The history cannot be read now."),
    )
)]
pub(super) async fn slowest(
    State(sources): State<Arc<Sources>>,
    Asked(time): Asked<TimeQuery>,
    Asked(only): Asked<OnlyQuery>,
    Asked(SlowestQuery { of, limit }): Asked<SlowestQuery>,
) -> Answer<Slowest> {
    let asked = asked(time, only)?;
    let limit = in_bounds("limit", limit, REQUESTS, REQUESTS_MAX)?;
    Ok(Json(sources.api.history.slowest(&asked, of, limit).await?))
}
