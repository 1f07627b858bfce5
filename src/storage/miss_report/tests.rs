//! What is written comes back added up, hour by hour.

use super::*;
use crate::core::ids::DeploymentId;
use crate::core::ledger::usage::UsageRecord;
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
    read_misses(&mut connection, MissBy::Route, range).await.expect("read")
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
    let figures = |group: &MissGroup| {
        let row = |row: &MissFigures| (row.cause, row.requests, row.tokens, row.micro_usd);
        group.misses.iter().map(row).collect::<Vec<_>>()
    };
    let all = read(&store, ALL_TIME).await;
    assert_eq!(all.groups.len(), 1);
    assert_eq!(
        figures(&all.groups[0]),
        [
            (Cause::Expired, 2, 8_000, Some(2_400)),
            (Cause::Overflow, 4, 3_000, Some(600)),
            (Cause::Cold, 2, 0, None),
        ]
    );
    assert_eq!(all.groups[0].prompt_tokens, 2_000, "of the usage rows");
    let range = Range {
        since_ms: HOUR + HOUR_MS + 1,
        until_ms: HOUR + 2 * HOUR_MS - 1,
    };
    let second_hour = read(&store, range).await;
    assert_eq!(figures(&second_hour.groups[0]), [(Cause::Overflow, 2, 1_000, None)]);
    assert_eq!(
        (
            second_hour.since_ms,
            second_hour.until_ms,
            second_hour.groups[0].prompt_tokens
        ),
        (HOUR + HOUR_MS, HOUR + 2 * HOUR_MS, 0)
    );
}

#[tokio::test]
async fn cached_missed_and_the_rest_are_all_prompt_tokens() {
    let (_directory, store) = new_store().await;
    let at = |id, started_at_ms, cached_tokens| UsageRecord {
        started_at_ms,
        prompt_tokens: 5_000,
        cached_tokens,
        ..record(id)
    };
    let records = [
        at(1, HOUR + 1, 0),
        at(2, HOUR + 2, 1_920),
        at(3, HOUR + 24 * HOUR_MS, 3_000),
    ];
    store.append(&records).await.expect("written");
    let sums = [
        sum(0, Cause::Overflow, 2_048, Some(600)),
        sum(24, Cause::Expired, 1_024, None),
    ];
    store.add_misses(&sums).await.expect("written");
    let mut connection = connect_reader(store.path()).await.expect("read");
    let mut by = async |by| read_misses(&mut connection, by, ALL_TIME).await.expect("read").groups;
    let parts = |group: &MissGroup| {
        let missed: i64 = group.misses.iter().map(|miss| miss.tokens).sum();
        (
            group.prompt_tokens,
            group.hits,
            group.cached_tokens,
            missed,
            group.rest_tokens,
        )
    };
    let days = by(MissBy::Day).await;
    assert_eq!(
        days.iter().map(parts).collect::<Vec<_>>(),
        [(10_000, 1, 1_920, 2_048, 6_032), (5_000, 1, 3_000, 1_024, 976)]
    );
    assert_eq!(
        days.iter().map(|day| &*day.key).collect::<Vec<_>>(),
        ["2025-11-24", "2025-11-25"]
    );
    for one in [MissBy::Route, MissBy::Deployment, MissBy::Client] {
        let groups = by(one).await;
        let record = record(1);
        let name = match one {
            MissBy::Route => record.route.to_string(),
            MissBy::Client => record.client.to_string(),
            _ => record.deployment.expect("one").to_string(),
        };
        let group = groups.iter().find(|group| group.key == name).expect("a group");
        assert_eq!((group.prompt_tokens, group.cached_tokens), (15_000, 4_920), "{one:?}");
    }
    assert_eq!(by(MissBy::Hour).await.len(), 2);
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
    assert_eq!(read(&store, ALL_TIME).await.groups[0].misses[0].micro_usd, Some(12));
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
    let left = read(&store, ALL_TIME).await.groups.remove(0).misses;
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
    let older = read_misses(&mut raw, MissBy::Route, ALL_TIME).await.expect_err("older");
    assert!(matches!(older, StoreError::Older), "{older}");
    let store = SqliteStore::open(&path).await.expect("brought up");
    assert_eq!(read(&store, ALL_TIME).await.groups, []);
}
