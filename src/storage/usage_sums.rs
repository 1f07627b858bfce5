//! Sums of usage by one property and by deployment, so that whoever knows prices can say what they cost; for tables and spreadsheets.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, Sqlite, SqliteConnection};

use crate::core::ids::DeploymentId;
use crate::storage::StoreError;
use crate::storage::report::{GroupBy, Range};

/// Most rows that are read: a year of days by some hundred deployments.
const ROWS_MAX: i64 = 50_000;

/// Which requests count, beside their time: those with all of these properties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    /// The route.
    pub route: Option<String>,
    /// The deployment that answered, or was tried last.
    pub deployment: Option<String>,
    /// The region of that deployment.
    pub region: Option<String>,
    /// The client.
    pub client: Option<String>,
}

/// Requests that agree in a property and in their deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSum {
    /// The property.
    pub key: String,
    /// Who answered or was tried last; none where nobody was asked.
    pub deployment: Option<DeploymentId>,
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
}

/// Sums and whether there were more than are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSums {
    /// In no particular order.
    pub sums: Vec<UsageSum>,
    /// Whether a shorter range must be chosen for all of them.
    pub truncated: bool,
}

/// The condition that [`bind_only`] gives the values for.
pub(super) const ONLY: &str = "started_at_ms >= ?1 AND started_at_ms < ?2 AND (?3 IS NULL OR route = ?3) \
     AND (?4 IS NULL OR deployment = ?4) AND (?5 IS NULL OR region = ?5) AND (?6 IS NULL OR client = ?6)";

/// Gives [`ONLY`] its values.
pub(super) fn bind_only<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    range: Range,
    only: &Only,
) -> Query<'q, Sqlite, SqliteArguments> {
    query
        .bind(range.since_ms)
        .bind(range.until_ms)
        .bind(only.route.clone())
        .bind(only.deployment.clone())
        .bind(only.region.clone())
        .bind(only.client.clone())
}

/// Reads sums.
///
/// # Errors
/// When SQLite refuses.
pub async fn read_usage_sums(
    connection: &mut SqliteConnection,
    by: GroupBy,
    only: &Only,
    range: Range,
) -> Result<UsageSums, StoreError> {
    let key = by.key();
    let sql = format!(
        "SELECT {key}, deployment, count(*), \
         sum(outcome IN ('throttled', 'upstream_failed', 'broken', 'refused')), \
         sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens) \
         FROM usage WHERE {ONLY} GROUP BY 1, 2 LIMIT ?7"
    );
    // Safe: key and condition are texts of this folder.
    let query = bind_only(sqlx::query(AssertSqlSafe(sql)), range, only);
    let rows = query.bind(ROWS_MAX + 1).fetch_all(connection).await?;
    let most = ROWS_MAX as usize;
    let sums: Result<_, sqlx::Error> = rows.iter().take(most).map(sum).collect();
    Ok(UsageSums {
        sums: sums?,
        truncated: rows.len() > most,
    })
}

fn sum(row: &SqliteRow) -> Result<UsageSum, sqlx::Error> {
    let count = |at: usize| row.try_get::<i64, _>(at).map(|count| count.max(0).cast_unsigned());
    Ok(UsageSum {
        key: row.try_get(0)?,
        deployment: row.try_get::<Option<String>, _>(1)?.map(Into::into),
        requests: count(2)?,
        errors: count(3)?,
        prompt_tokens: count(4)?,
        cached_tokens: count(5)?,
        completion_tokens: count(6)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::usage::{RequestOutcome, UsageRecord};
    use crate::storage::UsageStore as _;
    use crate::storage::sqlite::{SqliteStore, connect_reader};
    use crate::storage::testing::record;

    fn of(number: u32, client: &str, deployment: Option<&str>, outcome: RequestOutcome) -> UsageRecord {
        UsageRecord {
            client: client.into(),
            deployment: deployment.map(Into::into),
            region: deployment.map(|_| "swedencentral".into()),
            outcome,
            ..record(number)
        }
    }

    #[tokio::test]
    async fn sums_are_by_property_and_deployment_of_what_was_asked_for() {
        use RequestOutcome::{Broken, ClientGone, Refused, Rejected, Success, Throttled, UpstreamFailed};
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("usage.db");
        let store = SqliteStore::open(&path).await.expect("opens");
        let records = [
            of(1, "acme", Some("a/ft"), Success),
            of(2, "acme", Some("a/ft"), Throttled),
            of(3, "acme", Some("b/ft"), Broken),
            of(4, "acme", None, Refused),
            of(5, "acme", Some("a/ft"), Rejected),
            of(6, "acme", Some("a/ft"), ClientGone),
            of(7, "zeta", Some("b/ft"), UpstreamFailed),
        ];
        store.append(&records).await.expect("written");
        let mut connection = connect_reader(&path).await.expect("opens");
        let start = records[0].started_at_ms;
        let mut read = async |only: Only, until_ms: i64| {
            let range = Range {
                since_ms: start,
                until_ms,
            };
            let sums = read_usage_sums(&mut connection, GroupBy::Client, &only, range)
                .await
                .expect("read");
            assert!(!sums.truncated);
            let mut shown: Vec<_> = sums.sums.iter().map(shown).collect();
            shown.sort_unstable();
            shown
        };
        let all = [
            ("acme - ".to_owned(), 1, 1),
            ("acme a/ft".to_owned(), 4, 1),
            ("acme b/ft".to_owned(), 1, 1),
            ("zeta b/ft".to_owned(), 1, 1),
        ];
        assert_eq!(read(Only::default(), start + 100).await, all);
        let only = Only {
            client: Some("zeta".to_owned()),
            deployment: Some("b/ft".to_owned()),
            route: Some("support".to_owned()),
            region: Some("swedencentral".to_owned()),
        };
        assert_eq!(read(only.clone(), start + 100).await, all[3..]);
        let elsewhere = Only {
            region: Some("eastus2".to_owned()),
            ..only
        };
        assert_eq!(read(elsewhere, start + 100).await, []);
        assert_eq!(
            read(Only::default(), start + 1).await.len(),
            1,
            "the end is not included"
        );
    }

    fn shown(sum: &UsageSum) -> (String, u64, u64) {
        let deployment = sum.deployment.as_ref().map_or("- ", |deployment| deployment);
        (format!("{} {deployment}", sum.key), sum.requests, sum.errors)
    }
}
