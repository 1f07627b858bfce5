//! What a store keeps, merges, purges, and refuses to open.

use super::*;
use crate::core::ledger::usage::RequestOutcome;
use crate::storage::testing::record;

async fn count(store: &SqliteStore) -> i64 {
    let mut connection = connect_reader(store.path()).await.expect("the store can be read");
    sqlx::query_scalar("SELECT count(*) FROM usage")
        .fetch_one(&mut connection)
        .await
        .expect("the table is there")
}

async fn new_store() -> (tempfile::TempDir, SqliteStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(&directory.path().join("usage.db"))
        .await
        .expect("a new store");
    (directory, store)
}

#[tokio::test]
async fn what_was_appended_survives_without_closing() {
    let (directory, store) = new_store().await;
    let records: Vec<_> = (0..1_100).map(record).collect();
    store.append(&records).await.expect("written");
    // What an abrupt end leaves: the file and its log, no orderly close. Copied while the connection is still open.
    let copy = tempfile::tempdir().expect("a directory");
    for name in ["usage.db", "usage.db-wal"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).expect("copied");
    }
    let again = SqliteStore::open(&copy.path().join("usage.db"))
        .await
        .expect("opens again");
    assert_eq!(count(&again).await, 1_100);
    assert_eq!(again.deployments().await.expect("read")[0].requests, 1_100);
}

#[tokio::test]
async fn every_column_comes_back() {
    let (_directory, store) = new_store().await;
    let mut broken = record(2);
    broken.deployment = None;
    broken.region = None;
    broken.first_token_us = None;
    broken.first_byte_us = None;
    broken.outcome = RequestOutcome::UpstreamFailed;
    store.append(&[record(1), broken]).await.expect("written");
    let mut connection = connect_reader(store.path()).await.expect("read");
    let lines: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws('|', request_id, started_at_ms, client, route, operation, ifnull(deployment, '-'), \
         ifnull(region, '-'), attempts, outcome, status, streamed, source, prompt_tokens, cached_tokens, \
         completion_tokens, ifnull(first_byte_us, '-'), ifnull(first_token_us, '-'), total_us, upstream_us) \
         FROM usage ORDER BY id",
    )
    .fetch_all(&mut connection)
    .await
    .expect("rows");
    assert_eq!(
        lines,
        [
            "request-1|1764000000001|acme|support|chat|contoso-sweden/support-7|swedencentral|1|success|200|1|reported\
             |1000|800|50|200000|250000|1000000|990000",
            "request-2|1764000000002|acme|support|chat|-|-|1|upstream_failed|200|1|reported\
             |1000|800|50|-|-|1000000|990000",
        ]
    );
}

#[tokio::test]
async fn deployments_merge_times_and_add_up() {
    let (_directory, store) = new_store().await;
    let mut failed = record(5);
    failed.outcome = RequestOutcome::UpstreamFailed;
    store.append(&[record(3), record(1), failed]).await.expect("written");
    let seen = |seen_at_ms, created_at_ms| DeploymentSeen {
        deployment: "contoso-sweden/support-7".into(),
        seen_at_ms,
        created_at_ms,
        last_success_at_ms: None,
    };
    store
        .note_deployments(&[seen(9_000_000_000_000, Some(77))])
        .await
        .expect("noted");
    store
        .note_deployments(&[seen(9_000_000_000_000, Some(66))])
        .await
        .expect("noted");
    store
        .note_deployments(&[seen(9_000_000_000_000, None)])
        .await
        .expect("noted");
    let expected = DeploymentTotals {
        deployment: "contoso-sweden/support-7".into(),
        first_seen_ms: record(1).started_at_ms,
        created_at_ms: Some(77),
        last_success_at_ms: Some(record(3).started_at_ms),
        requests: 3,
        successes: 2,
        prompt_tokens: 3_000,
        cached_tokens: 2_400,
        completion_tokens: 150,
    };
    assert_eq!(store.deployments().await.expect("read"), [expected]);
}

#[tokio::test]
async fn absurd_figures_are_bounded() {
    let (_directory, store) = new_store().await;
    let mut absurd = record(1);
    absurd.prompt_tokens = u64::MAX;
    let absurd = vec![absurd; 1_024];
    store.append(&absurd).await.expect("written");
    assert_eq!(store.deployments().await.expect("read")[0].prompt_tokens, 1_024 << 40);
}

#[tokio::test]
async fn purging_takes_the_oldest_up_to_the_limit() {
    let (_directory, store) = new_store().await;
    store
        .append(&(0..10).map(record).collect::<Vec<_>>())
        .await
        .expect("written");
    let before = record(5).started_at_ms;
    assert_eq!(store.purge(before, 3).await.expect("purged"), 3);
    assert_eq!(store.purge(before, 3).await.expect("purged"), 2);
    assert_eq!(store.purge(before, 3).await.expect("purged"), 0);
    assert_eq!(count(&store).await, 5);
    assert_eq!(store.deployments().await.expect("read")[0].requests, 10, "totals stay");
}

#[tokio::test]
async fn a_failed_connection_is_opened_again() {
    let (_directory, store) = new_store().await;
    let broken = sqlx::query("INSERT INTO nowhere VALUES (1)");
    assert!(
        store
            .write(vec![rows::insert_usage(&[record(1)]), broken])
            .await
            .is_err()
    );
    assert_eq!(count(&store).await, 0, "all or nothing");
    store.append(&[record(2)]).await.expect("written");
    assert_eq!(count(&store).await, 1);
}

#[tokio::test]
async fn files_that_are_not_ours_are_refused_with_a_remedy() {
    let directory = tempfile::tempdir().expect("a directory");
    let foreign = directory.path().join("foreign.db");
    let mut connection = options(&foreign)
        .create_if_missing(true)
        .connect()
        .await
        .expect("opened");
    sqlx::query("CREATE TABLE theirs (x)")
        .execute(&mut connection)
        .await
        .expect("made");
    connection.close().await.expect("closed");
    let text = directory.path().join("text.db");
    std::fs::write(&text, "not a database, but long enough to look at. ".repeat(100)).expect("written");

    let cases = [
        (foreign, "is a SQLite file of another program"),
        (text, "is damaged or not a SQLite file; move it away"),
        (
            directory.path().join("no/such/usage.db"),
            "its directory must exist and be writable",
        ),
    ];
    for (path, expected) in cases {
        let message = SqliteStore::open(&path).await.expect_err("refused").to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(&*path.to_string_lossy()), "{message}");
    }
    let missing = connect_reader(&directory.path().join("none.db"))
        .await
        .expect_err("refused");
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing}");
}

#[tokio::test]
async fn closing_folds_the_log_into_the_file() {
    let (directory, store) = new_store().await;
    store.append(&[record(1)]).await.expect("written");
    store.close().await.expect("closed");
    let left: Vec<_> = std::fs::read_dir(directory.path())
        .expect("listed")
        .flatten()
        .map(|f| f.file_name())
        .collect();
    assert_eq!(left, ["usage.db"]);
}
