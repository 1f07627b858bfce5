//! What is written comes back added up, hour by hour.

use super::*;
use crate::core::ids::DeploymentId;
use crate::storage::UsageStore as _;
use crate::storage::misses::{MissStore as _, MissSum};
use crate::storage::sqlite::{SqliteStore, connect_reader};
use crate::storage::testing::record;

const ALL_TIME: Range = Range {
    since_ms: 0,
    until_ms: i64::MAX,
};
/// An hour after the epoch's millionth.
const HOUR: i64 = 490_000 * HOUR_MS;

async fn new_store() -> (tempfile::TempDir, SqliteStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(&directory.path().join("usage.db"))
        .await
        .expect("opened");
    (directory, store)
}

async fn read(store: &SqliteStore, range: Range) -> MissReport {
    let mut connection = connect_reader(store.path()).await.expect("read");
    read_misses(&mut connection, range).await.expect("read")
}

fn sum(hour: i64, cause: Cause, tokens: u64, micro_usd: Option<u64>) -> MissSum {
    MissSum {
        hour_ms: HOUR + hour * HOUR_MS,
        route: "support".into(),
        client: "acme".into(),
        deployment: DeploymentId::from("contoso/support"),
        cause,
        requests: 1,
        tokens,
        micro_usd,
    }
}

fn found(route: &str, seen_at_ms: i64) -> DriftFound {
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
        tokens_a_day: 3_100_000,
        micro_usd_a_day: Some(930_000),
    }
}

#[tokio::test]
async fn sums_of_an_hour_are_one_row_and_the_range_begins_with_a_whole_hour() {
    let (_directory, store) = new_store().await;
    store.append(&[record(1), record(2)]).await.expect("written");
    for _ in 0..2 {
        let sums = [
            sum(0, Cause::Overflow, 1_000, Some(300)),
            sum(0, Cause::Cold, 0, None),
            sum(1, Cause::Overflow, 500, None),
            sum(2, Cause::Expired, 4_000, Some(1_200)),
        ];
        store.add_misses(&sums).await.expect("written");
    }
    let figures = |report: &MissReport| {
        let row = |row: &MissFigures| (row.cause, row.requests, row.tokens, row.micro_usd);
        report.misses.iter().map(row).collect::<Vec<_>>()
    };
    let all = read(&store, ALL_TIME).await;
    assert_eq!(
        figures(&all),
        [
            (Cause::Expired, 2, 8_000, Some(2_400)),
            (Cause::Overflow, 4, 3_000, Some(600)),
            (Cause::Cold, 2, 0, None),
        ]
    );
    assert_eq!(all.misses[0].prompt_tokens, 2_000, "of the usage rows");
    let range = Range {
        since_ms: HOUR + HOUR_MS + 1,
        until_ms: HOUR + 2 * HOUR_MS,
    };
    let second_hour = read(&store, range).await;
    assert_eq!(figures(&second_hour), [(Cause::Overflow, 2, 1_000, None)]);
    assert_eq!(
        (second_hour.since_ms, second_hour.misses[0].prompt_tokens),
        (HOUR + HOUR_MS, 0)
    );
}

#[tokio::test]
async fn an_amount_that_is_known_is_kept_beside_one_that_is_not() {
    let (_directory, store) = new_store().await;
    for micro_usd in [None, Some(5), None, Some(7)] {
        store
            .add_misses(&[sum(0, Cause::Drift, 10, micro_usd)])
            .await
            .expect("written");
    }
    assert_eq!(read(&store, ALL_TIME).await.misses[0].micro_usd, Some(12));
}

#[tokio::test]
async fn the_latest_finding_counts_until_it_ends() {
    let (_directory, store) = new_store().await;
    let (first, later, other) = (found("a", HOUR), found("a", HOUR + 5), found("b", HOUR));
    store.put_drifts(&[first, other.clone()], &[]).await.expect("written");
    store
        .put_drifts(std::slice::from_ref(&later), &[])
        .await
        .expect("written");
    assert_eq!(read(&store, ALL_TIME).await.drifts, [later, other.clone()]);
    store.put_drifts(&[], &["a".into()]).await.expect("written");
    assert_eq!(read(&store, ALL_TIME).await.drifts, [other]);
    let later = Range {
        since_ms: HOUR + HOUR_MS,
        until_ms: i64::MAX,
    };
    assert_eq!(read(&store, later).await.drifts, []);
}

#[tokio::test]
async fn old_misses_are_purged_with_the_records() {
    let (_directory, store) = new_store().await;
    let sums = [sum(0, Cause::Cold, 0, None), sum(5, Cause::Overflow, 9, None)];
    store.add_misses(&sums).await.expect("written");
    assert_eq!(
        store.purge(HOUR + 5 * HOUR_MS, 10).await.expect("purged"),
        0,
        "no records"
    );
    let left = read(&store, ALL_TIME).await.misses;
    assert_eq!(left.iter().map(|row| row.cause).collect::<Vec<_>>(), [Cause::Overflow]);
}

#[tokio::test]
async fn a_file_of_the_first_version_says_so_and_is_brought_up_by_a_gateway() {
    let (_directory, store) = new_store().await;
    let path = store.path().to_owned();
    store.close().await.expect("closed");
    let mut raw = SqliteConnection::connect(&format!("sqlite:{}", path.display()))
        .await
        .expect("opened");
    for statement in [
        "DROP TABLE miss",
        "DROP TABLE drift",
        "DELETE FROM _sqlx_migrations WHERE version = 2",
    ] {
        let raw: &mut SqliteConnection = &mut raw;
        sqlx::query(statement).execute(raw).await.expect(statement);
    }
    let older = read_misses(&mut raw, ALL_TIME).await.expect_err("older");
    assert!(matches!(older, StoreError::Older), "{older}");
    let store = SqliteStore::open(&path).await.expect("brought up");
    assert_eq!(read(&store, ALL_TIME).await.misses, []);
}
