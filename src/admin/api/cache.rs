//! What of prompts was cached, and why the rest was not.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::Sources;
use crate::admin::api::answer::{Answer, Asked, ErrorBody};
use crate::admin::api::range::{OnlyQuery, TimeQuery};
use crate::admin::api::routing::Head;
use crate::telemetry::clock;

/// What became of prompt tokens in a stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CacheAnswer {
    /// Start of the first hour, in milliseconds since the Unix epoch: sums are kept by the hour.
    pub from_ms: i64,
    /// End of the last hour.
    pub to_ms: i64,
    /// Finished requests.
    pub requests: u64,
    /// Their prompt tokens.
    pub prompt_tokens: u64,
    /// Those that the provider found cached.
    pub cached_tokens: u64,
    /// Those that could have been: found cached, or missed for a cause below.
    pub expected_tokens: u64,
    /// What was missed by its cause, the costliest first.
    pub misses: Vec<Miss>,
    /// Routes whose prompts part too early, the costliest first.
    pub drift: Vec<Drifting>,
    /// The beginnings of prompts that come most, which have several homes.
    pub heads: Vec<Head>,
}

/// Tokens that were not found cached, for one cause.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Miss {
    /// The cause, as in logs and metrics.
    pub cause: String,
    /// The cause in words.
    pub text: String,
    /// Answers.
    pub requests: u64,
    /// Tokens that could have been cached and were not.
    pub tokens: u64,
    /// What they cost more, in US dollars; none where no price is known.
    pub usd: Option<f64>,
}

/// A route whose prompts part early, although what follows is the same again.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Drifting {
    /// Which route.
    pub route: String,
    /// When it was last found, in milliseconds since the Unix epoch.
    pub seen_at_ms: i64,
    /// Where prompts part, in tokens from their start.
    pub at_tokens: u32,
    /// What of a prompt is there: `tools`, `format`, `system` or `message`.
    pub segment: String,
    /// Share of the requests that part there, 0 to 1.
    pub share: f64,
    /// Requests that were looked at.
    pub requests: u64,
    /// Tokens a day that could be cached without it.
    pub tokens_a_day: u64,
    /// What those cost more, in US dollars; none where no price is known.
    pub usd_a_day: Option<f64>,
    /// All that in words, with a guess at the cause.
    pub text: String,
}

/// How well prompts are cached: misses by cause, prompts that part too early, and what is hot.
#[utoipa::path(
    get, path = "/cache", tag = "figures", params(TimeQuery, OnlyQuery),
    responses(
        (status = 200, body = CacheAnswer),
        (status = 400, body = ErrorBody, description = "A parameter is not understood or out of bounds."),
        (status = 503, body = ErrorBody, description = "The store cannot be read now, or not in time."),
    )
)]
pub(super) async fn cache(
    State(sources): State<Arc<Sources>>,
    Asked(time): Asked<TimeQuery>,
    Asked(only): Asked<OnlyQuery>,
) -> Answer<CacheAnswer> {
    let (range, only) = (time.range(clock::now_ms())?, only.only()?);
    Ok(Json(sources.api.books.cache(&only, range).await?))
}
