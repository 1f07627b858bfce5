//! What was used and what it costs, as tables: JSON, or CSV for spreadsheets.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use strum::AsRefStr;
use utoipa::ToSchema;

use crate::admin::Sources;
use crate::admin::api::answer::{Asked, ErrorBody, Refusal};
use crate::admin::api::range::{OnlyQuery, TimeQuery};
use crate::admin::api::sheet;
use crate::storage::report::Range;
use crate::telemetry::clock;

/// What usage is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ToSchema, AsRefStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum UsageBy {
    /// Who asked.
    #[default]
    Client,
    /// What was asked for.
    Route,
    /// Who answered, or was tried last; `-` where nobody was asked.
    Deployment,
    /// The region of that deployment; `-` where nobody was asked.
    Region,
    /// The day, in UTC.
    Day,
}

/// The form of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// An object.
    #[default]
    Json,
    /// A file for spreadsheets, with a header.
    Csv,
}

/// How usage is asked for.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageQuery {
    /// What rows are by.
    #[serde(default)]
    #[param(inline, required = false)]
    by: UsageBy,
    /// The form of the answer.
    #[serde(default)]
    #[param(inline, required = false)]
    format: Form,
}

/// How costs are asked for.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CostQuery {
    /// The form of the answer.
    #[serde(default)]
    #[param(inline, required = false)]
    format: Form,
}

/// Usage of a stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct UsageAnswer {
    /// Start of the stretch, in milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// Its end, not included.
    pub to_ms: i64,
    /// What rows are by.
    pub by: UsageBy,
    /// Days in order, everything else by requests, most first.
    pub rows: Vec<UsageRow>,
    /// All rows together.
    pub total: UsageRow,
    /// Whether there is more than one answer holds, so that a shorter stretch must be asked for.
    pub truncated: bool,
}

/// Usage of one group. The gateway's own calls are of the client `emberway` and the route `keepalive`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct UsageRow {
    /// The group's name; `all` for the total.
    pub key: String,
    /// Finished requests.
    pub requests: u64,
    /// Those that clients saw fail: throttled, failed upstream, broken, refused by the gateway.
    pub errors: u64,
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: u64,
    /// Prompt tokens that the provider found cached.
    pub cached_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
    /// What tokens cost, in US dollars, at the prices of now; without those whose price is not known.
    pub token_usd: f64,
    /// What cached tokens cost less than others would have.
    pub saved_usd: f64,
    /// Requests to deployments whose price is not known: with any, the amounts are too low.
    pub unpriced_requests: u64,
}

/// What deployments cost.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CostAnswer {
    /// The first day's start, in milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// The end of the last day; what is not over yet counts to now.
    pub to_ms: i64,
    /// The dearest first.
    pub rows: Vec<CostRow>,
    /// All rows together.
    pub total: CostRow,
    /// Of the month that now is in, whatever the range; none beyond the year 9999.
    pub forecast: Option<Forecast>,
    /// What could be had cheaper, and what is not known; the dearest first.
    pub findings: Vec<Finding>,
}

/// What one deployment costs, in US dollars.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct CostRow {
    /// `resource/name`; `all` for the total.
    pub deployment: String,
    /// Hours that it was there.
    pub hours: f64,
    /// Being there: hosting by the hour, and provisioned units.
    pub hosting_usd: f64,
    /// Tokens of clients' requests.
    pub token_usd: f64,
    /// Tokens of the gateway's own calls.
    pub keepalive_usd: f64,
    /// What cached tokens cost less than others would have.
    pub saved_usd: f64,
    /// Hosting, tokens and calls.
    pub total_usd: f64,
    /// Requests.
    pub requests: u64,
    /// What a thousand requests cost, hosting included; none without requests.
    pub usd_per_1k_requests: Option<f64>,
    /// Whether a price is not known, so that it costs at least so much.
    pub is_partial: bool,
    /// What to do about it, if anything.
    pub advice: Option<String>,
}

/// What the month will cost, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Forecast {
    /// The month's end, in milliseconds since the Unix epoch.
    pub ends_ms: i64,
    /// What is spent of it.
    pub spent_usd: f64,
    /// What hosting and units will cost until its end.
    pub hosting_usd: f64,
    /// What tokens will cost until its end, at the last days' rate.
    pub token_usd: f64,
    /// All of it.
    pub total_usd: f64,
    /// Whether some price was not known, so that all of it is too low.
    pub is_partial: bool,
}

/// Something worth knowing of costs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Finding {
    /// `idle`, `spill`, `cache_saved`, `unpriced`, `unseen` or `stale`.
    pub kind: String,
    /// The deployment or route; empty for all of them together.
    pub of: String,
    /// US dollars that it is about.
    pub usd: f64,
    /// For people.
    pub text: String,
}

/// What was used, by client, route, deployment, region or day.
///
/// From the usage records, by the prices of now.
#[utoipa::path(
    get, path = "/usage", tag = "figures", params(TimeQuery, OnlyQuery, UsageQuery),
    responses(
        (status = 200, content((UsageAnswer = "application/json"), (String = "text/csv")), description = "Usage; with `format=csv` as a file."),
        (status = 400, body = ErrorBody, description = "A parameter is not understood or out of bounds."),
        (status = 503, body = ErrorBody, description = "The store cannot be read now, or not in time."),
    )
)]
pub(super) async fn usage(
    State(sources): State<Arc<Sources>>,
    Asked(time): Asked<TimeQuery>,
    Asked(only): Asked<OnlyQuery>,
    Asked(UsageQuery { by, format }): Asked<UsageQuery>,
) -> Result<Response, Refusal> {
    let (range, only) = (time.range(clock::now_ms())?, only.only()?);
    let answer = sources.api.books.usage(by, &only, range).await?;
    match format {
        Form::Json => Ok(Json(answer).into_response()),
        Form::Csv => usage_sheet(&answer),
    }
}

fn usage_sheet(answer: &UsageAnswer) -> Result<Response, Refusal> {
    let header = [
        answer.by.as_ref(),
        "requests",
        "errors",
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "token_usd",
        "saved_usd",
        "unpriced_requests",
    ];
    let row = |row: &UsageRow| {
        vec![
            sheet::text(&row.key),
            row.requests.to_string(),
            row.errors.to_string(),
            row.prompt_tokens.to_string(),
            row.cached_tokens.to_string(),
            row.completion_tokens.to_string(),
            exact(row.token_usd),
            exact(row.saved_usd),
            row.unpriced_requests.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = answer.rows.iter().map(row).collect();
    sheet::download("usage", span(answer.from_ms, answer.to_ms), &header, &rows)
}

/// What each deployment costs: hosting, tokens and calls, with a forecast and advice.
///
/// As `emberway cost` prints it. Whole days in UTC count; of the filters `deployment` and `region` do, since hosting is of no route or
/// client.
#[utoipa::path(
    get, path = "/costs", tag = "figures", params(TimeQuery, OnlyQuery, CostQuery),
    responses(
        (status = 200, content((CostAnswer = "application/json"), (String = "text/csv")), description = "Costs; with `format=csv` as a file."),
        (status = 400, body = ErrorBody, description = "A parameter is not understood or out of bounds."),
        (status = 503, body = ErrorBody, description = "The store cannot be read now, or not in time."),
    )
)]
pub(super) async fn costs(
    State(sources): State<Arc<Sources>>,
    Asked(time): Asked<TimeQuery>,
    Asked(only): Asked<OnlyQuery>,
    Asked(CostQuery { format }): Asked<CostQuery>,
) -> Result<Response, Refusal> {
    let (range, only) = (time.range(clock::now_ms())?, only.only()?);
    let answer = sources.api.books.costs(&only, range).await?;
    match format {
        Form::Json => Ok(Json(answer).into_response()),
        Form::Csv => cost_sheet(&answer),
    }
}

fn cost_sheet(answer: &CostAnswer) -> Result<Response, Refusal> {
    let header = [
        "deployment",
        "hours",
        "hosting_usd",
        "token_usd",
        "keepalive_usd",
        "saved_usd",
        "total_usd",
        "requests",
        "usd_per_1k_requests",
        "is_partial",
        "advice",
    ];
    let row = |row: &CostRow| {
        vec![
            sheet::text(&row.deployment),
            format!("{:.4}", row.hours),
            exact(row.hosting_usd),
            exact(row.token_usd),
            exact(row.keepalive_usd),
            exact(row.saved_usd),
            exact(row.total_usd),
            row.requests.to_string(),
            row.usd_per_1k_requests.map(exact).unwrap_or_default(),
            row.is_partial.to_string(),
            sheet::text(row.advice.as_deref().unwrap_or_default()),
        ]
    };
    let rows: Vec<Vec<String>> = answer.rows.iter().map(row).collect();
    sheet::download("costs", span(answer.from_ms, answer.to_ms), &header, &rows)
}

/// An amount to the millionth of a dollar.
fn exact(usd: f64) -> String {
    format!("{usd:.6}")
}

fn span(since_ms: i64, until_ms: i64) -> Range {
    Range { since_ms, until_ms }
}
