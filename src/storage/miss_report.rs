//! Reads misses and drift back, for `emberway usage --misses`.
//!
//! Sums are kept by the hour, so a range begins and ends with whole hours. Beside them stands what the usage rows of the same
//! hours tell: the prompt tokens that misses are a part of, and those that were found cached.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};
use strum::{AsRefStr, EnumString, VariantArray};

use crate::core::ledger::drift::Drift;
use crate::core::ledger::drift::sample::Segment;
use crate::core::ledger::misses::Cause;
use crate::storage::StoreError;
use crate::storage::misses::{DriftFound, HOUR_MS};
use crate::storage::report::Range;

/// Most rows of a report: 1,024 routes by nine causes fit.
const ROWS_MAX: i64 = 10_000;

/// What misses are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, AsRefStr, EnumString, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MissBy {
    /// What was asked for.
    Route,
    /// Who answered.
    Deployment,
    /// Who asked.
    Client,
    /// The day, in UTC.
    Day,
    /// The hour, in UTC.
    Hour,
}

impl MissBy {
    /// The SQL expressions of a group: of a usage row, and of a sum of misses.
    fn keys(self) -> [&'static str; 2] {
        match self {
            Self::Route => ["route"; 2],
            Self::Deployment => ["coalesce(deployment, '-')", "deployment"],
            Self::Client => ["client"; 2],
            Self::Day => [
                "strftime('%Y-%m-%d', started_at_ms / 1000, 'unixepoch')",
                "strftime('%Y-%m-%d', hour_ms / 1000, 'unixepoch')",
            ],
            Self::Hour => [
                "strftime('%Y-%m-%dT%H:00Z', started_at_ms / 1000, 'unixepoch')",
                "strftime('%Y-%m-%dT%H:00Z', hour_ms / 1000, 'unixepoch')",
            ],
        }
    }
}

/// Misses of a time range, among all prompts of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MissReport {
    /// What it groups by.
    pub by: MissBy,
    /// Start of its first hour, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// End of its last hour, not included.
    pub until_ms: i64,
    /// In order of their keys; at most [`ROWS_MAX`].
    pub groups: Vec<MissGroup>,
    /// Findings that were still seen in the range, by route.
    pub drifts: Vec<DriftFound>,
}

/// What became of the prompt tokens of a group: cached, missed for some cause, or neither.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MissGroup {
    /// The group's name.
    pub key: String,
    /// Finished requests.
    pub requests: i64,
    /// Their prompt tokens.
    pub prompt_tokens: i64,
    /// Requests of which some tokens were found cached.
    pub hits: i64,
    /// Tokens that were.
    pub cached_tokens: i64,
    /// Tokens that could have been and were not, the costliest cause first.
    pub misses: Vec<MissFigures>,
    /// All other tokens: of text that was new, too short to be cached, or not judged. 0 where usage records are missing.
    pub rest_tokens: i64,
}

/// Misses for one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissFigures {
    /// Why.
    pub cause: Cause,
    /// Answers.
    pub requests: i64,
    /// Tokens that could have been cached and were not.
    pub tokens: i64,
    /// What they cost more, in millionths of a US dollar, as far as prices were configured.
    pub micro_usd: Option<i64>,
}

/// Reads a report.
///
/// # Errors
/// When SQLite refuses, or the file is of a version that kept no misses.
pub async fn read_misses(
    connection: &mut SqliteConnection,
    by: MissBy,
    range: Range,
) -> Result<MissReport, StoreError> {
    let range = whole_hours(range);
    let mut transaction = connection.begin().await?;
    let has_table: bool = sqlx::query_scalar("SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'miss'")
        .fetch_one(&mut *transaction)
        .await?;
    if !has_table {
        return Err(StoreError::Older);
    }
    let groups = read_groups(&mut transaction, by, range).await?;
    let drifts = sqlx::query(
        "SELECT route, seen_at_ms, position_bytes, position_tokens, segment, share, lost_tokens, requests_seen, \
             tokens_a_day, micro_usd_a_day \
         FROM drift WHERE seen_at_ms >= ? AND seen_at_ms < ? ORDER BY route LIMIT ?",
    )
    .bind(range.since_ms)
    .bind(range.until_ms)
    .bind(ROWS_MAX)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    Ok(MissReport {
        by,
        since_ms: range.since_ms,
        until_ms: range.until_ms,
        groups,
        drifts: drifts.iter().map(drift).collect::<Result<_, _>>()?,
    })
}

/// The hours that a range touches: sums of misses cannot be cut, and what they are a part of must not be.
pub(super) fn whole_hours(range: Range) -> Range {
    let Range { since_ms, until_ms } = range;
    let end = until_ms.div_euclid(HOUR_MS) + i64::from(until_ms.rem_euclid(HOUR_MS) > 0);
    Range {
        since_ms: since_ms.div_euclid(HOUR_MS) * HOUR_MS,
        until_ms: end.saturating_mul(HOUR_MS),
    }
}

async fn read_groups(
    connection: &mut SqliteConnection,
    by: MissBy,
    range: Range,
) -> Result<Vec<MissGroup>, StoreError> {
    let [of_usage, of_miss] = by.keys();
    // Safe: keys are texts of this file.
    let prompts = format!(
        "SELECT {of_usage}, count(*), sum(prompt_tokens), sum(cached_tokens > 0), sum(cached_tokens) \
         FROM usage WHERE started_at_ms >= ? AND started_at_ms < ? GROUP BY 1 ORDER BY 1 LIMIT ?"
    );
    let sums = format!(
        "SELECT {of_miss}, cause, sum(requests), sum(tokens), sum(micro_usd) \
         FROM miss WHERE hour_ms >= ? AND hour_ms < ? GROUP BY 1, 2 ORDER BY 1, 4 DESC, 3 DESC LIMIT ?"
    );
    let mut rows = Vec::new();
    for sql in [prompts, sums] {
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(range.since_ms)
            .bind(range.until_ms);
        rows.push(query.bind(ROWS_MAX).fetch_all(&mut *connection).await?);
    }
    let mut groups: BTreeMap<String, MissGroup> = BTreeMap::new();
    for row in &rows[0] {
        let group = group(row)?;
        groups.insert(group.key.clone(), group);
    }
    for row in &rows[1] {
        let key: String = row.try_get(0)?;
        let group = groups.entry(key).or_insert_with_key(|key| MissGroup {
            key: key.clone(),
            ..MissGroup::default()
        });
        group.misses.push(figures(row)?);
    }
    let with_rest = groups.into_values().map(|group| {
        let missed: i64 = group.misses.iter().map(|miss| miss.tokens).sum();
        MissGroup {
            rest_tokens: (group.prompt_tokens - group.cached_tokens - missed).max(0),
            ..group
        }
    });
    Ok(with_rest.collect())
}

fn group(row: &SqliteRow) -> Result<MissGroup, sqlx::Error> {
    Ok(MissGroup {
        key: row.try_get(0)?,
        requests: row.try_get(1)?,
        prompt_tokens: row.try_get(2)?,
        hits: row.try_get(3)?,
        cached_tokens: row.try_get(4)?,
        ..MissGroup::default()
    })
}

pub(super) fn figures(row: &SqliteRow) -> Result<MissFigures, sqlx::Error> {
    Ok(MissFigures {
        cause: word(row, 1)?,
        requests: row.try_get(2)?,
        tokens: row.try_get(3)?,
        micro_usd: row.try_get(4)?,
    })
}

pub(super) fn drift(row: &SqliteRow) -> Result<DriftFound, sqlx::Error> {
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
