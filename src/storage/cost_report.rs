//! Reads what costs money, for `emberway cost`: lives of deployments, tokens that were used, and what spilling cost.

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::core::ledger::advice::{Noted, Spilled};
use crate::core::ledger::bill::Used;
use crate::core::ledger::life::Life;
use crate::core::ledger::misses::Cause;
use crate::core::ledger::usage::{KEEPALIVE_CLIENT, KEEPALIVE_ROUTE};
use crate::storage::StoreError;
use crate::storage::lives::read_lives;
use crate::storage::report::Range;
use crate::storage::sqlite::read_deployments;

/// Most sums of days, deployments, routes and clients that are read: some hundred megabytes would not be.
const SUMS_MAX: i64 = 500_000;

/// What is paid for in a time range.
#[derive(Debug, Clone, PartialEq)]
pub struct Paid {
    /// Every life there ever was.
    pub lives: Vec<Life>,
    /// Tokens by day, deployment, route and client.
    pub used: Vec<Used>,
    /// Since when a gateway knows each deployment.
    pub noted: Noted,
    /// What spilling cost, by route.
    pub spilled: Vec<Spilled>,
    /// Whether there was more than is read, so that a shorter range must be chosen.
    pub truncated: bool,
}

/// Reads it, in one transaction.
///
/// # Errors
/// When SQLite refuses, or the file is of a version that kept no lives.
pub async fn read_paid(connection: &mut SqliteConnection, range: Range) -> Result<Paid, StoreError> {
    let mut transaction = connection.begin().await?;
    let lives = read_lives(&mut transaction).await?;
    let totals = read_deployments(&mut transaction).await?;
    let rows = sqlx::query(
        "SELECT min(started_at_ms), deployment, route, client, count(*), sum(prompt_tokens), sum(cached_tokens), \
             sum(completion_tokens) \
         FROM usage WHERE started_at_ms >= ? AND started_at_ms < ? AND deployment IS NOT NULL \
         GROUP BY started_at_ms / 86400000, deployment, route, client LIMIT ?",
    )
    .bind(range.since_ms)
    .bind(range.until_ms)
    .bind(SUMS_MAX + 1)
    .fetch_all(&mut *transaction)
    .await?;
    let spilled = sqlx::query(
        "SELECT route, sum(micro_usd) FROM miss WHERE hour_ms >= ? AND hour_ms < ? AND cause = ? AND micro_usd IS NOT NULL \
         GROUP BY route ORDER BY route",
    )
    .bind(range.since_ms)
    .bind(range.until_ms)
    .bind(<&'static str>::from(Cause::MovedBySpill))
    .fetch_all(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    let spill = |row: &SqliteRow| {
        Ok(Spilled {
            route: row.try_get::<String, _>(0)?.into(),
            micro_usd: row.try_get::<i64, _>(1)?.max(0).cast_unsigned(),
        })
    };
    let most = SUMS_MAX as usize;
    Ok(Paid {
        lives,
        noted: totals
            .into_iter()
            .map(|totals| (totals.deployment, totals.first_seen_ms))
            .collect(),
        used: rows.iter().take(most).map(used).collect::<Result<_, sqlx::Error>>()?,
        spilled: spilled.iter().map(spill).collect::<Result<_, sqlx::Error>>()?,
        truncated: rows.len() > most,
    })
}

fn used(row: &SqliteRow) -> Result<Used, sqlx::Error> {
    let (route, client): (String, String) = (row.try_get(2)?, row.try_get(3)?);
    let is_keepalive = route == KEEPALIVE_ROUTE && client == KEEPALIVE_CLIENT;
    let count = |at: usize| row.try_get::<i64, _>(at).map(|count| count.max(0).cast_unsigned());
    Ok(Used {
        at_ms: row.try_get(0)?,
        deployment: row.try_get::<String, _>(1)?.into(),
        route: (!is_keepalive).then(|| route.into()),
        client: (!is_keepalive).then(|| client.into()),
        is_keepalive,
        requests: count(4)?,
        prompt_tokens: count(5)?,
        cached_tokens: count(6)?,
        completion_tokens: count(7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::usage::UsageRecord;
    use crate::storage::UsageStore as _;
    use crate::storage::misses::{MissStore as _, MissSum};
    use crate::storage::sqlite::{SqliteStore, connect_reader};
    use crate::storage::testing::record;

    const DAY_MS: i64 = 86_400_000;
    /// A day's start.
    const START: i64 = 20_417 * DAY_MS;

    fn at(number: u32, day: i64, client: &str, route: &str) -> UsageRecord {
        UsageRecord {
            started_at_ms: START + day * DAY_MS + 7,
            client: client.into(),
            route: route.into(),
            ..record(number)
        }
    }

    #[tokio::test]
    async fn tokens_are_summed_by_day_and_the_gateways_own_are_told_apart() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("usage.db");
        let store = SqliteStore::open(&path).await.expect("opens");
        let nowhere = UsageRecord {
            deployment: None,
            ..at(9, 0, "acme", "support")
        };
        let records = [
            at(1, -1, "acme", "support"),
            at(2, 0, "acme", "support"),
            at(3, 0, "acme", "support"),
            at(4, 1, "acme", "support"),
            at(5, 1, "zeta", "support"),
            at(6, 1, KEEPALIVE_CLIENT, KEEPALIVE_ROUTE),
            // A client of that name with a route of its own is a client.
            at(7, 1, KEEPALIVE_CLIENT, "support"),
            nowhere,
        ];
        store.append(&records).await.expect("written");
        let miss = |cause, micro_usd| MissSum {
            hour_ms: START,
            route: "support".into(),
            client: "acme".into(),
            deployment: "contoso-sweden/support-7".into(),
            cause,
            requests: 1,
            tokens: 1_024,
            micro_usd,
        };
        store
            .add_misses(&[miss(Cause::MovedBySpill, Some(300)), miss(Cause::Expired, Some(9))])
            .await
            .expect("written");
        let mut connection = connect_reader(&path).await.expect("opens");
        let range = Range {
            since_ms: START,
            until_ms: START + 9 * DAY_MS,
        };
        let paid = read_paid(&mut connection, range).await.expect("read");
        let mut shown: Vec<_> = paid
            .used
            .iter()
            .map(|used| {
                let client = used.client.as_ref().map_or("-", |client| &***client);
                (
                    (used.at_ms - START) / DAY_MS,
                    client,
                    used.is_keepalive,
                    used.requests,
                    used.prompt_tokens,
                )
            })
            .collect();
        shown.sort_unstable();
        assert_eq!(
            shown,
            [
                (0, "acme", false, 2, 2_000),
                (1, "-", true, 1, 1_000),
                (1, "acme", false, 1, 1_000),
                (1, "emberway", false, 1, 1_000),
                (1, "zeta", false, 1, 1_000),
            ]
        );
        assert_eq!(paid.spilled.len(), 1);
        assert_eq!((&**paid.spilled[0].route, paid.spilled[0].micro_usd), ("support", 300));
        assert!(paid.lives.is_empty() && !paid.truncated);
        assert_eq!(paid.noted.values().collect::<Vec<_>>(), [&(START - DAY_MS + 7)]);
    }
}
