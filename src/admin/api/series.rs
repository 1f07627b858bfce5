//! Figures over time: series, sums, a heat map, and where requests went. Endpoints over [`HistoryQueries`].
//!
//! [`HistoryQueries`]: crate::admin::history::HistoryQueries

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::admin::Sources;
use crate::admin::api::answer::{Answer, Asked, ErrorBody, Refusal};
use crate::admin::api::range::{OnlyQuery, TimeQuery};
use crate::admin::history::HistoryError;
use crate::core::history::ask::{self, By, Filter, Latency, POINTS_MAX};
use crate::core::history::shown::{Flows, Heatmap, Series, Summary};
use crate::telemetry::clock;

/// Points of a series for which nobody said how many.
const POINTS: usize = 120;

/// How a series is asked for.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SeriesQuery {
    /// What lines are by.
    #[serde(default)]
    #[param(inline, required = false)]
    by: By,
    /// Most points; 120 when left out.
    #[param(minimum = 1, maximum = 600)]
    points: Option<usize>,
}

/// How a heat map is asked for.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HeatmapQuery {
    /// Which time of requests.
    #[serde(default)]
    #[param(inline, required = false)]
    of: Latency,
    /// Most points; 120 when left out.
    #[param(minimum = 1, maximum = 600)]
    points: Option<usize>,
}

/// Figures step by step: requests, errors, tokens, money and times, all together or by route, deployment, region or client.
///
/// The step is ten seconds, a minute, an hour or a multiple, as short as `points` allows and as is kept of that time.
#[utoipa::path(
    get, path = "/series", tag = "figures", params(TimeQuery, OnlyQuery, SeriesQuery),
    responses(
        (status = 200, body = Series),
        (status = 400, body = ErrorBody, description = "A parameter is not understood or out of bounds."),
        (status = 503, body = ErrorBody, description = "The history cannot be read now."),
    )
)]
pub(super) async fn series(
    State(sources): State<Arc<Sources>>,
    Asked(time): Asked<TimeQuery>,
    Asked(only): Asked<OnlyQuery>,
    Asked(SeriesQuery { by, points }): Asked<SeriesQuery>,
) -> Answer<Series> {
    let asked = asked(time, only)?;
    let points = in_bounds("points", points, POINTS, POINTS_MAX)?;
    Ok(Json(sources.api.history.series(&asked, by, points).await?))
}

/// The figures of a stretch of time, those of the same length before it, and what it cost.
#[utoipa::path(
    get, path = "/summary", tag = "figures", params(TimeQuery, OnlyQuery),
    responses(
        (status = 200, body = Summary),
        (status = 400, body = ErrorBody, description = "A parameter is not understood or out of bounds."),
        (status = 503, body = ErrorBody, description = "The history cannot be read now."),
    )
)]
pub(super) async fn summary(
    State(sources): State<Arc<Sources>>,
    Asked(time): Asked<TimeQuery>,
    Asked(only): Asked<OnlyQuery>,
) -> Answer<Summary> {
    let asked = asked(time, only)?;
    Ok(Json(sources.api.history.summary(&asked).await?))
}

/// How long requests took: counts by step and duration.
#[utoipa::path(
    get, path = "/heatmap", tag = "figures", params(TimeQuery, OnlyQuery, HeatmapQuery),
    responses(
        (status = 200, body = Heatmap),
        (status = 400, body = ErrorBody, description = "A parameter is not understood or out of bounds."),
        (status = 503, body = ErrorBody, description = "The history cannot be read now."),
    )
)]
pub(super) async fn heatmap(
    State(sources): State<Arc<Sources>>,
    Asked(time): Asked<TimeQuery>,
    Asked(only): Asked<OnlyQuery>,
    Asked(HeatmapQuery { of, points }): Asked<HeatmapQuery>,
) -> Answer<Heatmap> {
    let asked = asked(time, only)?;
    let points = in_bounds("points", points, POINTS, POINTS_MAX)?;
    Ok(Json(sources.api.history.heatmap(&asked, of, points).await?))
}

/// Where requests went: from routes to deployments and why, and from which deployment to which they went on.
#[utoipa::path(
    get, path = "/flows", tag = "figures", params(TimeQuery, OnlyQuery),
    responses(
        (status = 200, body = Flows),
        (status = 400, body = ErrorBody, description = "A parameter is not understood or out of bounds."),
        (status = 503, body = ErrorBody, description = "The history cannot be read now."),
    )
)]
pub(super) async fn flows(
    State(sources): State<Arc<Sources>>,
    Asked(time): Asked<TimeQuery>,
    Asked(only): Asked<OnlyQuery>,
) -> Answer<Flows> {
    let asked = asked(time, only)?;
    Ok(Json(sources.api.history.flows(&asked).await?))
}

/// What is asked of the history.
///
/// # Errors
/// When the time or a name is out of bounds.
pub(super) fn asked(time: TimeQuery, only: OnlyQuery) -> Result<ask::Asked, Refusal> {
    let (range, only) = (time.range(clock::now_ms())?, only.only()?);
    Ok(ask::Asked {
        from_ms: range.since_ms,
        to_ms: range.until_ms,
        filter: Filter {
            route: only.route,
            deployment: only.deployment,
            region: only.region,
            client: only.client,
        },
    })
}

/// A number of something, at least one.
///
/// # Errors
/// When it is none, or more than may be.
pub(super) fn in_bounds(
    param: &'static str,
    given: Option<usize>,
    usual: usize,
    most: usize,
) -> Result<usize, Refusal> {
    let number = given.unwrap_or(usual);
    if (1..=most).contains(&number) {
        return Ok(number);
    }
    Err(Refusal::bad_param(param, format!("`{param}` must be 1 to {most}")))
}

impl From<HistoryError> for Refusal {
    fn from(error: HistoryError) -> Self {
        match &error {
            HistoryError::Range { .. } => Self::bad_param("from_ms", error.to_string()),
            HistoryError::Busy => Self::unavailable(error.to_string(), "busy"),
            HistoryError::Store(_) => Self::unavailable(error.to_string(), "store_unavailable"),
        }
    }
}
