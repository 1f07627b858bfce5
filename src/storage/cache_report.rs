//! What of prompts was cached and why the rest was not, for some of the requests: the page's view of misses and drift.

use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};

use crate::storage::StoreError;
use crate::storage::miss_report::{self, MissFigures, whole_hours};
use crate::storage::misses::DriftFound;
use crate::storage::report::Range;
use crate::storage::usage_sums::{ONLY, Only, bind_only};

/// Most findings that are read, one a route.
const DRIFTS_MAX: i64 = 1_000;

/// What became of prompt tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheReport {
    /// Start of its first hour, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// End of its last hour, not included.
    pub until_ms: i64,
    /// Finished requests.
    pub requests: u64,
    /// Their prompt tokens.
    pub prompt_tokens: u64,
    /// Those that were found cached.
    pub cached_tokens: u64,
    /// Tokens that could have been and were not, the costliest cause first.
    pub misses: Vec<MissFigures>,
    /// Findings that were still seen in the range, the costliest first.
    pub drifts: Vec<DriftFound>,
}

/// Sums of misses, where they are of what [`ONLY`] lets count; they know no region but that of their deployment's requests.
const MISSES_ONLY: &str = "hour_ms >= ?1 AND hour_ms < ?2 AND (?3 IS NULL OR route = ?3) AND (?4 IS NULL OR deployment = ?4) \
     AND (?5 IS NULL OR deployment IN (SELECT deployment FROM usage WHERE started_at_ms >= ?1 AND started_at_ms < ?2 AND region = ?5)) \
     AND (?6 IS NULL OR client = ?6)";

/// Reads it. Sums of misses are kept by the hour, so whole hours count.
///
/// # Errors
/// When SQLite refuses.
pub async fn read_cache(
    connection: &mut SqliteConnection,
    only: &Only,
    range: Range,
) -> Result<CacheReport, StoreError> {
    let range = whole_hours(range);
    let mut transaction = connection.begin().await?;
    let prompts = format!(
        "SELECT count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(cached_tokens), 0) FROM usage WHERE {ONLY}"
    );
    // `figures` reads from the second column on.
    let sums = format!(
        "SELECT '', cause, sum(requests), sum(tokens), sum(micro_usd) FROM miss WHERE {MISSES_ONLY} \
         GROUP BY cause ORDER BY 5 DESC, 4 DESC, 2"
    );
    // Safe: both conditions are texts of this folder.
    let totals = bind_only(sqlx::query(AssertSqlSafe(prompts)), range, only)
        .fetch_one(&mut *transaction)
        .await?;
    let misses = bind_only(sqlx::query(AssertSqlSafe(sums)), range, only)
        .fetch_all(&mut *transaction)
        .await?;
    let drifts = sqlx::query(
        "SELECT route, seen_at_ms, position_bytes, position_tokens, segment, share, lost_tokens, requests_seen, \
             tokens_a_day, micro_usd_a_day \
         FROM drift WHERE seen_at_ms >= ?1 AND seen_at_ms < ?2 AND (?3 IS NULL OR route = ?3) \
         ORDER BY tokens_a_day DESC, route LIMIT ?4",
    )
    .bind(range.since_ms)
    .bind(range.until_ms)
    .bind(only.route.clone())
    .bind(DRIFTS_MAX)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    let count = |at: usize| totals.try_get::<i64, _>(at).map(|count| count.max(0).cast_unsigned());
    Ok(CacheReport {
        since_ms: range.since_ms,
        until_ms: range.until_ms,
        requests: count(0)?,
        prompt_tokens: count(1)?,
        cached_tokens: count(2)?,
        misses: misses
            .iter()
            .map(miss_report::figures)
            .collect::<Result<_, sqlx::Error>>()?,
        drifts: drifts
            .iter()
            .map(miss_report::drift)
            .collect::<Result<_, sqlx::Error>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::drift::Drift;
    use crate::core::ledger::drift::sample::Segment;
    use crate::core::ledger::misses::Cause;
    use crate::storage::UsageStore as _;
    use crate::storage::misses::{HOUR_MS, MissStore as _, MissSum};
    use crate::storage::sqlite::{SqliteStore, connect_reader};
    use crate::storage::testing::record;

    fn drift(route: &str, seen_at_ms: i64, tokens_a_day: u64) -> DriftFound {
        DriftFound {
            route: route.into(),
            seen_at_ms,
            drift: Drift {
                position_bytes: 1_650,
                position_tokens: 412,
                segment: Segment::System,
                share: 0.97,
                lost_tokens_per_request: 3_584,
                requests_seen: 64,
            },
            tokens_a_day,
            micro_usd_a_day: None,
        }
    }

    /// Who answered.
    const HERE: &str = "contoso-sweden/support-7";

    fn miss(hour_ms: i64, client: &str, deployment: &str, cause: Cause, micro_usd: Option<u64>) -> MissSum {
        MissSum {
            hour_ms,
            route: "support".into(),
            client: client.into(),
            deployment: deployment.into(),
            cause,
            requests: 1,
            tokens: 1_024,
            micro_usd,
        }
    }

    fn causes(report: &CacheReport) -> Vec<(Cause, i64, Option<i64>)> {
        let misses = report.misses.iter();
        misses.map(|miss| (miss.cause, miss.requests, miss.micro_usd)).collect()
    }

    fn routes(report: &CacheReport) -> Vec<String> {
        report.drifts.iter().map(|found| found.route.to_string()).collect()
    }

    #[tokio::test]
    async fn causes_and_findings_are_of_what_was_asked_for() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("usage.db");
        let store = SqliteStore::open(&path).await.expect("opens");
        let record = record(1);
        store.append(std::slice::from_ref(&record)).await.expect("written");
        let hour_ms = record.started_at_ms / HOUR_MS * HOUR_MS;
        let sums = [
            miss(hour_ms, "acme", HERE, Cause::Expired, Some(9)),
            miss(hour_ms, "acme", HERE, Cause::MovedBySpill, Some(300)),
            miss(hour_ms, "zeta", "b/ft", Cause::MovedBySpill, Some(5)),
        ];
        store.add_misses(&sums).await.expect("written");
        let found = [
            drift("support", hour_ms, 10),
            drift("other", hour_ms, 99),
            drift("old", hour_ms - 1, 99),
        ];
        store.put_drifts(&found, &[]).await.expect("written");
        let mut connection = connect_reader(&path).await.expect("opens");
        let range = Range {
            since_ms: record.started_at_ms,
            until_ms: record.started_at_ms + 1,
        };
        let mut read = async |only: Only| read_cache(&mut connection, &only, range).await.expect("read");
        let all = read(Only::default()).await;
        assert_eq!((all.requests, all.prompt_tokens, all.cached_tokens), (1, 1_000, 800));
        assert_eq!((all.since_ms, all.until_ms), (hour_ms, hour_ms + HOUR_MS));
        assert_eq!(
            causes(&all),
            [(Cause::MovedBySpill, 2, Some(305)), (Cause::Expired, 1, Some(9))]
        );
        assert_eq!(routes(&all), ["other", "support"]);
        for only in [
            Only {
                client: Some("acme".to_owned()),
                ..Only::default()
            },
            Only {
                deployment: Some(HERE.to_owned()),
                ..Only::default()
            },
            Only {
                region: Some("swedencentral".to_owned()),
                ..Only::default()
            },
        ] {
            let some = read(only).await;
            assert_eq!(
                causes(&some),
                [(Cause::MovedBySpill, 1, Some(300)), (Cause::Expired, 1, Some(9))]
            );
        }
        let none = read(Only {
            route: Some("nowhere".to_owned()),
            ..Only::default()
        })
        .await;
        assert!(none.misses.is_empty() && none.drifts.is_empty() && none.requests == 0);
    }
}
