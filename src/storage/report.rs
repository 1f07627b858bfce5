//! Reads usage back: sums and exact percentiles of a time range, by one property of the requests.
//!
//! All figures come from the rows by SQL in one read transaction, so that they agree with each other while a gateway goes
//! on writing. Percentiles are exact (nearest rank): SQLite sorts, on disk where memory does not suffice, which
//! makes a report over many millions of rows slow but never large. Reports are for people; nothing hot calls this.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};
use strum::{AsRefStr, EnumString, VariantArray};

use crate::storage::StoreError;

/// Most groups of a report: more than a year of hours, and more than anybody reads.
const GROUPS_MAX: usize = 10_000;

/// What a report groups by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, AsRefStr, EnumString, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum GroupBy {
    /// Who asked.
    Client,
    /// Which model was asked for.
    Route,
    /// Who answered, or was tried last.
    Deployment,
    /// The region of that deployment.
    Region,
    /// How it ended.
    Outcome,
    /// The day it started, in UTC.
    Day,
    /// The hour it started, in UTC.
    Hour,
}

impl GroupBy {
    /// The SQL expression of a row's group; `-` where there is none.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Route => "route",
            Self::Deployment => "coalesce(deployment, '-')",
            Self::Region => "coalesce(region, '-')",
            Self::Outcome => "outcome",
            Self::Day => "strftime('%Y-%m-%d', started_at_ms / 1000, 'unixepoch')",
            Self::Hour => "strftime('%Y-%m-%dT%H:00Z', started_at_ms / 1000, 'unixepoch')",
        }
    }

    /// Times in order, everything else by what is most.
    fn order(self) -> &'static str {
        match self {
            Self::Day | Self::Hour => "1",
            _ => "2 DESC, 1",
        }
    }
}

/// Which requests: those that started at or after `since_ms` and before `until_ms`, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First moment that counts.
    pub since_ms: i64,
    /// First moment that no longer counts.
    pub until_ms: i64,
}

/// Usage in a time range.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What it groups by.
    pub by: GroupBy,
    /// Start of the range, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// End of the range, exclusive.
    pub until_ms: i64,
    /// One for each group: times ascending, everything else by requests descending.
    pub groups: Vec<Figures>,
    /// Whether there are more groups than are shown.
    pub truncated: bool,
    /// All requests of the range.
    pub total: Figures,
}

/// Figures of one group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Figures {
    /// The group's name; `all` for the total.
    pub key: String,
    /// Finished requests.
    pub requests: i64,
    /// Those that got a whole 2xx answer.
    pub successes: i64,
    /// Those whose tokens the gateway counted itself.
    pub estimated: i64,
    /// Requests that at least one deployment was asked for.
    pub asked: i64,
    /// Attempts, the first ones included.
    pub attempts: i64,
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: i64,
    /// Prompt tokens that the provider found cached.
    pub cached_tokens: i64,
    /// Completion tokens.
    pub completion_tokens: i64,
    /// Whole duration of successful requests, in microseconds; none without any.
    pub total_us: Option<Percentiles>,
    /// Time to the first output token of streams, in microseconds; none without any.
    pub first_token_us: Option<Percentiles>,
}

/// Exact percentiles by nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// Half of the requests took no longer.
    pub p50: i64,
    /// 95 % of the requests took no longer.
    pub p95: i64,
}

/// Reads a report.
///
/// # Errors
/// When SQLite refuses.
pub async fn read_report(connection: &mut SqliteConnection, by: GroupBy, range: Range) -> Result<Report, StoreError> {
    let mut transaction = connection.begin().await?;
    let mut groups = figures(&mut transaction, by.key(), by.order(), range).await?;
    let total = figures(&mut transaction, "'all'", "1", range).await?;
    transaction.rollback().await?;
    let truncated = groups.len() > GROUPS_MAX;
    groups.truncate(GROUPS_MAX);
    Ok(Report {
        by,
        since_ms: range.since_ms,
        until_ms: range.until_ms,
        groups,
        truncated,
        total: total.into_iter().next().unwrap_or_else(Figures::nothing),
    })
}

impl Figures {
    /// The total of no request.
    fn nothing() -> Self {
        Self {
            key: "all".to_owned(),
            ..Self::default()
        }
    }

    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            key: row.try_get(0)?,
            requests: row.try_get(1)?,
            successes: row.try_get(2)?,
            estimated: row.try_get(3)?,
            attempts: row.try_get(4)?,
            prompt_tokens: row.try_get(5)?,
            cached_tokens: row.try_get(6)?,
            completion_tokens: row.try_get(7)?,
            asked: row.try_get(8)?,
            total_us: None,
            first_token_us: None,
        })
    }
}

/// Figures by a key, at most one more than a report may have.
async fn figures(
    connection: &mut SqliteConnection,
    key: &str,
    order: &str,
    range: Range,
) -> Result<Vec<Figures>, StoreError> {
    let sums = format!(
        "SELECT {key}, count(*), sum(outcome = 'success'), sum(source = 'estimated'), sum(attempts), \
         sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), sum(attempts > 0) \
         FROM usage WHERE started_at_ms >= ? AND started_at_ms < ? GROUP BY 1 ORDER BY {order} LIMIT ?"
    );
    // Safe: key and order are texts of this file.
    let rows = sqlx::query(AssertSqlSafe(sums))
        .bind(range.since_ms)
        .bind(range.until_ms)
        .bind(GROUPS_MAX as i64 + 1)
        .fetch_all(&mut *connection)
        .await?;
    let mut total = percentiles(connection, key, "total_us", "outcome = 'success'", range).await?;
    let mut first_token = percentiles(connection, key, "first_token_us", "first_token_us IS NOT NULL", range).await?;
    rows.iter()
        .map(|row| {
            let mut figures = Figures::from_row(row)?;
            figures.total_us = total.remove(&figures.key);
            figures.first_token_us = first_token.remove(&figures.key);
            Ok(figures)
        })
        .collect()
}

/// Percentiles of a column by a key, over the rows of the range that meet a condition.
async fn percentiles(
    connection: &mut SqliteConnection,
    key: &str,
    column: &str,
    condition: &str,
    range: Range,
) -> Result<HashMap<String, Percentiles>, StoreError> {
    let sql = format!(
        "WITH ranked AS (SELECT {key} AS key, {column} AS value, \
             row_number() OVER (PARTITION BY {key} ORDER BY {column}) AS rank, \
             count(*) OVER (PARTITION BY {key}) AS size \
             FROM usage WHERE started_at_ms >= ? AND started_at_ms < ? AND {condition}) \
         SELECT key, min(CASE WHEN rank * 100 >= size * 50 THEN value END), \
             min(CASE WHEN rank * 100 >= size * 95 THEN value END) \
         FROM ranked GROUP BY key"
    );
    // Safe: key, column and condition are texts of this file.
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(range.since_ms)
        .bind(range.until_ms)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let percentiles = Percentiles {
                p50: row.try_get(1)?,
                p95: row.try_get(2)?,
            };
            Ok((row.try_get(0)?, percentiles))
        })
        .collect()
}

#[cfg(test)]
mod tests;
