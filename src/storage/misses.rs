//! Misses and drift in the usage store: sums by the hour, and the latest finding of each route.
//!
//! Rows are added up before they come here, and again in the table: writing the same hour twice is one row with both. So a
//! busy gateway writes a handful of rows every few seconds, whatever its traffic.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use serde::Serialize;
use sqlx::AssertSqlSafe;

use crate::columns::thousands;
use crate::core::ids::{ClientId, DeploymentId, RouteId};
use crate::core::ledger::drift::Drift;
use crate::core::ledger::drift::sample::Segment;
use crate::core::ledger::misses::Cause;
use crate::storage::StoreError;
use crate::storage::rows::{ROWS_MAX, Statement, sized, statements};
use crate::storage::sqlite::SqliteStore;

/// Millionths in one.
const MILLION: f64 = 1_000_000.0;

/// Milliseconds of an hour, the step of the sums.
pub const HOUR_MS: i64 = 60 * 60 * 1000;

/// A place that keeps misses and drift.
#[async_trait]
pub trait MissStore: Send + Sync {
    /// Adds sums, all or none.
    ///
    /// # Errors
    /// When the store cannot be written; the sums may be handed in again.
    async fn add_misses(&self, sums: &[MissSum]) -> Result<(), StoreError>;

    /// Replaces the findings of these routes and forgets those of routes that no longer drift.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn put_drifts(&self, found: &[DriftFound], ended: &[RouteId]) -> Result<(), StoreError>;
}

/// Misses of one hour that have everything in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissSum {
    /// Start of the hour, in milliseconds since the Unix epoch.
    pub hour_ms: i64,
    /// What was asked for.
    pub route: RouteId,
    /// Who asked.
    pub client: ClientId,
    /// Who answered.
    pub deployment: DeploymentId,
    /// Why.
    pub cause: Cause,
    /// Answers.
    pub requests: u64,
    /// Tokens that could have been cached and were not.
    pub tokens: u64,
    /// What they cost more, in millionths of a US dollar, as far as prices are known.
    pub micro_usd: Option<u64>,
}

/// A route's drift, and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DriftFound {
    /// Whose prompts.
    pub route: RouteId,
    /// When it was last found, in milliseconds since the Unix epoch.
    pub seen_at_ms: i64,
    /// Where, and how often.
    #[serde(flatten)]
    pub drift: Drift,
    /// Tokens a day that could be cached without it.
    pub tokens_a_day: u64,
    /// What those cost more, in millionths of a US dollar, if prices are known.
    pub micro_usd_a_day: Option<u64>,
}

impl DriftFound {
    /// The finding in words, with a guess at its cause and what it costs.
    pub fn sentence(&self) -> String {
        let drift = &self.drift;
        let (segment, guess) = match drift.segment {
            Segment::Tools => ("tools", "a shuffled list, a time or an id?"),
            Segment::Format => ("response format", "an id, or members in another order?"),
            Segment::System => ("system prompt", "a time, an id or a shuffled list?"),
            Segment::Message => ("first message", "a time, an id or a shuffled list?"),
        };
        let cost = self.micro_usd_a_day.map_or_else(
            || ", no price per token is configured".to_owned(),
            |micro| format!(", {} USD", usd(micro as f64 / MILLION)),
        );
        format!(
            "{}: {} tokens in ({segment}), {:.0} % of requests differ, and then go on alike: {guess} about {} tokens a day{cost}",
            self.route,
            thousands(i64::from(drift.position_tokens)),
            drift.share * 100.0,
            rounded(self.tokens_a_day),
        )
    }
}

/// An amount that is worth no cents from ten on.
fn usd(amount: f64) -> String {
    if amount < 10.0 {
        format!("{amount:.2}")
    } else {
        format!("{amount:.0}")
    }
}

/// An extrapolated count, to two digits or so.
fn rounded(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{:.0} k", count as f64 / 1_000.0),
        _ => format!("{:.1} M", count as f64 / MILLION),
    }
}

const MISS_COLUMNS: &str = "hour_ms, route, client, deployment, cause, requests, tokens, micro_usd";

/// How a row takes up more. An amount that is known is kept beside one that is not.
const MISS_MERGE: &str = " ON CONFLICT (hour_ms, route, client, deployment, cause) DO UPDATE SET \
     requests = requests + excluded.requests, \
     tokens = tokens + excluded.tokens, \
     micro_usd = coalesce(micro_usd + excluded.micro_usd, micro_usd, excluded.micro_usd)";

static MISS_SQL: LazyLock<Vec<Arc<str>>> = LazyLock::new(|| statements("miss", MISS_COLUMNS, MISS_MERGE));

const DRIFT_SQL: &str = "INSERT OR REPLACE INTO drift (route, seen_at_ms, position_bytes, position_tokens, segment, share, \
     lost_tokens, requests_seen, tokens_a_day, micro_usd_a_day) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

#[async_trait]
impl MissStore for SqliteStore {
    async fn add_misses(&self, sums: &[MissSum]) -> Result<(), StoreError> {
        self.write(sums.chunks(ROWS_MAX).map(add_sums).collect()).await?;
        Ok(())
    }

    async fn put_drifts(&self, found: &[DriftFound], ended: &[RouteId]) -> Result<(), StoreError> {
        let forget = ended
            .iter()
            .map(|route| sqlx::query("DELETE FROM drift WHERE route = ?").bind(Arc::clone(route)));
        self.write(forget.chain(found.iter().map(put_drift)).collect()).await?;
        Ok(())
    }
}

fn add_sums(sums: &[MissSum]) -> Statement {
    let mut query = sqlx::query(AssertSqlSafe(sized(&MISS_SQL, sums.len())));
    for sum in sums {
        let cause: &'static str = sum.cause.into();
        query = query
            .bind(sum.hour_ms)
            .bind(Arc::clone(&sum.route))
            .bind(Arc::clone(&sum.client))
            .bind(Arc::clone(&sum.deployment))
            .bind(cause)
            .bind(count(sum.requests))
            .bind(count(sum.tokens))
            .bind(sum.micro_usd.map(count));
    }
    query
}

fn put_drift(found: &DriftFound) -> Statement {
    let segment: &'static str = found.drift.segment.into();
    sqlx::query(DRIFT_SQL)
        .bind(Arc::clone(&found.route))
        .bind(found.seen_at_ms)
        .bind(i64::from(found.drift.position_bytes))
        .bind(i64::from(found.drift.position_tokens))
        .bind(segment)
        .bind(found.drift.share)
        .bind(i64::from(found.drift.lost_tokens_per_request))
        .bind(count(found.drift.requests_seen as u64))
        .bind(count(found.tokens_a_day))
        .bind(found.micro_usd_a_day.map(count))
}

/// A count as it is stored: sums of a year stay far from what a column holds.
fn count(value: u64) -> i64 {
    value.min(1 << 48).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_as_exact_as_they_deserve() {
        assert_eq!([0.004, 9.994, 38.4].map(usd), ["0.00", "9.99", "38"]);
        assert_eq!([999, 12_345, 3_149_999].map(rounded), ["999", "12 k", "3.1 M"]);
    }
}
