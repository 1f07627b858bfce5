//! Figures over known rows, and sums that add up over random ones.

use proptest::prelude::*;

use super::*;
use crate::core::ledger::usage::{RequestOutcome, UsageRecord, UsageSource};
use crate::storage::UsageStore as _;
use crate::storage::sqlite::{SqliteStore, connect_reader};
use crate::storage::testing::record;

const ALL_TIME: Range = Range {
    since_ms: 0,
    until_ms: i64::MAX,
};

/// Reports of a new store with these records, while its writer is still open.
async fn reports(records: &[UsageRecord], range: Range, by: &[GroupBy]) -> Vec<Report> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(&directory.path().join("usage.db"))
        .await
        .expect("opened");
    store.append(records).await.expect("written");
    let mut connection = connect_reader(store.path()).await.expect("read");
    let mut reports = Vec::new();
    for by in by {
        reports.push(read_report(&mut connection, *by, range).await.expect("read"));
    }
    reports
}

async fn report(records: &[UsageRecord], range: Range, by: GroupBy) -> Report {
    reports(records, range, &[by]).await.remove(0)
}

#[tokio::test]
async fn figures_of_a_group() {
    let mut failed = record(2);
    failed.outcome = RequestOutcome::Throttled;
    failed.deployment = None;
    failed.attempts = 3;
    failed.source = UsageSource::Estimated;
    failed.first_token_us = None;
    let report = report(&[record(1), record(3), failed], ALL_TIME, GroupBy::Deployment).await;
    let keys: Vec<&str> = report.groups.iter().map(|group| group.key.as_str()).collect();
    assert_eq!(keys, ["contoso-sweden/support-7", "-"]);
    assert_eq!(report.groups[1].total_us, None, "only successes are timed");
    let total = Figures {
        key: "all".to_owned(),
        requests: 3,
        successes: 2,
        estimated: 1,
        asked: 3,
        attempts: 5,
        prompt_tokens: 3_000,
        cached_tokens: 2_400,
        completion_tokens: 150,
        total_us: Some(Percentiles {
            p50: 1_000_000,
            p95: 1_000_000,
        }),
        first_token_us: Some(Percentiles {
            p50: 250_000,
            p95: 250_000,
        }),
    };
    assert_eq!(report.total, total);
}

#[tokio::test]
async fn percentiles_are_exact_by_nearest_rank() {
    let timed = |us| UsageRecord {
        total_us: us,
        ..record(1)
    };
    for (size, p50, p95) in [(1, 1, 1), (2, 1, 2), (20, 10, 19), (21, 11, 20), (100, 50, 95)] {
        let records: Vec<_> = (1..=size).rev().map(timed).collect();
        let total = report(&records, ALL_TIME, GroupBy::Route).await.total;
        assert_eq!(total.total_us, Some(Percentiles { p50, p95 }), "of 1 to {size}");
    }
}

#[tokio::test]
async fn the_range_includes_its_start_and_not_its_end() {
    let records: Vec<_> = (0..10).map(record).collect();
    let range = Range {
        since_ms: record(2).started_at_ms,
        until_ms: record(5).started_at_ms,
    };
    assert_eq!(report(&records, range, GroupBy::Client).await.total.requests, 3);
    let nothing = Range {
        since_ms: 0,
        until_ms: 1,
    };
    let nothing = report(&records, nothing, GroupBy::Client).await;
    assert_eq!((nothing.groups.len(), nothing.total), (0, Figures::nothing()));
}

#[tokio::test]
async fn hours_and_days_are_in_utc_and_in_order() {
    let at = |started_at_ms| UsageRecord {
        started_at_ms,
        ..record(0)
    };
    let records = [at(1_764_028_799_999), at(1_764_028_800_000), at(1_764_028_800_001)];
    let reports = reports(&records, ALL_TIME, &[GroupBy::Hour, GroupBy::Day]).await;
    let keys = |report: &Report| {
        report
            .groups
            .iter()
            .map(|group| (group.key.clone(), group.requests))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&reports[0]),
        [("2025-11-24T23:00Z".to_owned(), 1), ("2025-11-25T00:00Z".to_owned(), 2)]
    );
    assert_eq!(
        keys(&reports[1]),
        [("2025-11-24".to_owned(), 1), ("2025-11-25".to_owned(), 2)]
    );
}

#[tokio::test]
async fn too_many_groups_are_cut_and_said_to_be() {
    let records: Vec<_> = (0..=GROUPS_MAX as u32)
        .map(|number| UsageRecord {
            client: format!("c{number}").into(),
            ..record(number)
        })
        .collect();
    let report = report(&records, ALL_TIME, GroupBy::Client).await;
    assert_eq!((report.groups.len(), report.truncated), (GROUPS_MAX, true));
    assert_eq!(report.total.requests, GROUPS_MAX as i64 + 1, "the total counts all");
}

fn any_record() -> impl Strategy<Value = UsageRecord> {
    let outcome = proptest::sample::select(RequestOutcome::VARIANTS);
    let source = proptest::sample::select(UsageSource::VARIANTS);
    let names = (0..3_u8, 0..3_u8, proptest::option::of(0..3_u8));
    let counts = (0..5_u32, 0..100_000_u64, 0..100_000_u64, 0..10_000_u64);
    (names, outcome, source, counts, 0..200_000_000_i64).prop_map(
        |((client, route, deployment), outcome, source, (attempts, prompt, cached, completion), at)| UsageRecord {
            started_at_ms: at,
            client: format!("client-{client}").into(),
            route: format!("route-{route}").into(),
            deployment: deployment.map(|name| format!("resource/{name}").into()),
            region: deployment.map(|name| format!("region-{}", name % 2).into()),
            outcome,
            source,
            attempts,
            prompt_tokens: prompt,
            cached_tokens: cached.min(prompt),
            completion_tokens: completion,
            ..record(0)
        },
    )
}

/// The figures that add up.
fn sums(figures: &Figures) -> [i64; 7] {
    [
        figures.requests,
        figures.successes,
        figures.estimated,
        figures.attempts,
        figures.prompt_tokens,
        figures.cached_tokens,
        figures.completion_tokens,
    ]
}

/// The same figures from the records, without SQL.
fn expected(records: &[UsageRecord]) -> [i64; 7] {
    let sum = |count: fn(&UsageRecord) -> u64| records.iter().map(count).sum::<u64>().cast_signed();
    [
        records.len() as i64,
        sum(|record| u64::from(record.outcome == RequestOutcome::Success)),
        sum(|record| u64::from(record.source == UsageSource::Estimated)),
        sum(|record| u64::from(record.attempts)),
        sum(|record| record.prompt_tokens),
        sum(|record| record.cached_tokens),
        sum(|record| record.completion_tokens),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn groups_add_up_to_the_total_whatever_they_are(records in proptest::collection::vec(any_record(), 1..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for report in runtime.block_on(reports(&records, ALL_TIME, GroupBy::VARIANTS)) {
            let mut added = [0; 7];
            for group in &report.groups {
                for (sum, figure) in added.iter_mut().zip(sums(group)) {
                    *sum += figure;
                }
            }
            prop_assert_eq!(added, expected(&records), "by {}", report.by.as_ref());
            prop_assert_eq!(sums(&report.total), expected(&records));
        }
    }
}
