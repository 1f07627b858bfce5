//! Reads misses and drift back, for `emberway usage --misses`.
//!
//! Sums are kept by the hour, so a range begins with the whole hour that its start is in. Beside them stand the prompt tokens of the same
//! range from the usage rows, which is what they are a part of.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::core::ids::RouteId;
use crate::core::ledger::drift::Drift;
use crate::core::ledger::drift::sample::Segment;
use crate::core::ledger::misses::Cause;
use crate::storage::StoreError;
use crate::storage::misses::{DriftFound, HOUR_MS};
use crate::storage::report::Range;

/// Most rows of a report: 1,024 routes by nine causes fit.
const ROWS_MAX: i64 = 10_000;

/// Misses of a time range.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MissReport {
    /// Start of its first hour, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// Its end, not included.
    pub until_ms: i64,
    /// By route and cause; a route's costliest first.
    pub misses: Vec<MissFigures>,
    /// Findings that were still seen in the range, by route.
    pub drifts: Vec<DriftFound>,
}

/// Misses of one route for one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissFigures {
    /// Which route.
    pub route: RouteId,
    /// Why.
    pub cause: Cause,
    /// Answers.
    pub requests: i64,
    /// Tokens that could have been cached and were not.
    pub tokens: i64,
    /// What they cost more, in millionths of a US dollar, as far as prices were configured.
    pub micro_usd: Option<i64>,
    /// All prompt tokens of the route in the range.
    pub prompt_tokens: i64,
}

/// Reads a report.
///
/// # Errors
/// When SQLite refuses, or the file is of a version that kept no misses.
pub async fn read_misses(connection: &mut SqliteConnection, range: Range) -> Result<MissReport, StoreError> {
    let since_ms = range.since_ms.div_euclid(HOUR_MS) * HOUR_MS;
    let mut transaction = connection.begin().await?;
    let has_table: bool = sqlx::query_scalar("SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'miss'")
        .fetch_one(&mut *transaction)
        .await?;
    if !has_table {
        return Err(StoreError::Older);
    }
    let misses = sqlx::query(
        "SELECT route, cause, sum(requests), sum(tokens), sum(micro_usd), \
             (SELECT ifnull(sum(prompt_tokens), 0) FROM usage \
              WHERE usage.route = miss.route AND started_at_ms >= ?1 AND started_at_ms < ?2) \
         FROM miss WHERE hour_ms >= ?1 AND hour_ms < ?2 GROUP BY route, cause ORDER BY route, 4 DESC, 3 DESC LIMIT ?3",
    )
    .bind(since_ms)
    .bind(range.until_ms)
    .bind(ROWS_MAX)
    .fetch_all(&mut *transaction)
    .await?;
    let drifts = sqlx::query(
        "SELECT route, seen_at_ms, position_bytes, position_tokens, segment, share, lost_tokens, requests_seen, \
             tokens_a_day, micro_usd_a_day \
         FROM drift WHERE seen_at_ms >= ? AND seen_at_ms < ? ORDER BY route LIMIT ?",
    )
    .bind(since_ms)
    .bind(range.until_ms)
    .bind(ROWS_MAX)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    Ok(MissReport {
        since_ms,
        until_ms: range.until_ms,
        misses: misses.iter().map(figures).collect::<Result<_, _>>()?,
        drifts: drifts.iter().map(drift).collect::<Result<_, _>>()?,
    })
}

fn figures(row: &SqliteRow) -> Result<MissFigures, sqlx::Error> {
    Ok(MissFigures {
        route: row.try_get::<String, _>(0)?.into(),
        cause: word(row, 1)?,
        requests: row.try_get(2)?,
        tokens: row.try_get(3)?,
        micro_usd: row.try_get(4)?,
        prompt_tokens: row.try_get(5)?,
    })
}

fn drift(row: &SqliteRow) -> Result<DriftFound, sqlx::Error> {
    Ok(DriftFound {
        route: row.try_get::<String, _>(0)?.into(),
        seen_at_ms: row.try_get(1)?,
        drift: Drift {
            position_bytes: row.try_get(2)?,
            position_tokens: row.try_get(3)?,
            segment: word::<Segment>(row, 4)?,
            share: row.try_get(5)?,
            lost_tokens_per_request: row.try_get(6)?,
            requests_seen: row.try_get::<u32, _>(7)? as usize,
        },
        tokens_a_day: row.try_get::<i64, _>(8)?.unsigned_abs(),
        micro_usd_a_day: row.try_get::<Option<i64>, _>(9)?.map(i64::unsigned_abs),
    })
}

/// A word of a closed enum. One that this version does not know is of a newer one, whose tables it would not have opened.
fn word<T: std::str::FromStr<Err = strum::ParseError>>(row: &SqliteRow, column: usize) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|source| sqlx::Error::ColumnDecode {
        index: column.to_string(),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests;
