//! Times as people write them, and tables as people read them.

use super::*;

/// 2026-11-24T12:00:00Z.
const NOW_MS: i64 = 1_795_521_600_000;

#[test]
fn moments_are_times_dates_or_how_long_ago() {
    let cases = [
        ("24h", NOW_MS - DAY_MS),
        ("7days", NOW_MS - 7 * DAY_MS),
        ("2026-11-24T12:00:00Z", NOW_MS),
        ("2026-11-24T13:00:00+01:00", NOW_MS),
        ("2026-11-24", NOW_MS - DAY_MS / 2),
    ];
    for (text, expected) in cases {
        assert_eq!(moment(text, NOW_MS).expect(text), expected, "{text}");
    }
    let error = format!("{:#}", range("yesterday", None, NOW_MS).expect_err("refused"));
    assert_eq!(
        error,
        "cannot read --since: `yesterday` is no time; write `24h`, `7days`, `2026-11-24` or `2026-11-24T08:00:00Z`"
    );
    assert!(
        range("1h", Some("2h"), NOW_MS).is_err(),
        "a range that ends before it starts"
    );
}

#[test]
fn figures_read_well() {
    assert_eq!(
        [0, 999, 1_000, 1_234_567].map(thousands),
        ["0", "999", "1,000", "1,234,567"]
    );
    assert_eq!(
        [(0, 0), (1, 3), (5, 5)].map(|(part, whole)| percent(part, whole)),
        ["-", "33.3%", "100.0%"]
    );
    assert_eq!(
        [5, 90, 1_500, 30_000].map(|minutes| span(minutes * 60_000)),
        ["5m", "1h 30m", "1d 1h", "20d 20h"]
    );
    assert_eq!(shown(Some(NOW_MS)), "2026-11-24 12:00Z");
}

fn totals(created_at_ms: Option<i64>, last_success_at_ms: Option<i64>) -> DeploymentTotals {
    DeploymentTotals {
        deployment: "contoso/support".into(),
        first_seen_ms: NOW_MS - 10 * DAY_MS,
        created_at_ms,
        last_success_at_ms,
        requests: 1_200,
        successes: 1_194,
        prompt_tokens: 1_000,
        cached_tokens: 900,
        completion_tokens: 100,
    }
}

#[test]
fn deletion_counts_from_the_later_of_creation_and_last_success() {
    let day = |days: i64| NOW_MS + days * DAY_MS;
    let cases = [
        (Some(day(-20)), Some(day(-2)), day(13), false),
        (Some(day(-3)), None, day(12), false),
        (None, Some(day(-1)), day(14), false),
        (None, None, day(5), true),
    ];
    for (created, success, deletion, earlier) in cases {
        let line = deployment(totals(created, success), 15, NOW_MS);
        assert_eq!(
            (line.deletion_at_ms, line.deletion_may_be_earlier),
            (deletion, earlier),
            "{created:?} {success:?}"
        );
    }
}

/// The text, if no line of it ends with a blank: snapshots do not show them.
fn whole(text: &str) -> &str {
    assert!(text.lines().all(|line| line == line.trim_end()), "{text:?}");
    text
}

#[test]
fn a_missing_store_is_told_by_who_named_it() {
    let missing = || StoreError::Missing {
        path: "usage.db".into(),
    };
    let said = unreadable(missing(), Some(Path::new("demo.yaml"))).to_string();
    assert!(said.contains("where `demo.yaml` has it"), "{said}");
    assert!(!said.contains("--config"), "it was given: {said}");
    assert!(unreadable(missing(), None).to_string().contains("--config"));
}

#[tokio::test]
async fn a_file_that_is_no_store_is_left_where_it_is() {
    let directory = tempfile::tempdir().expect("directory");
    for (name, is_trace) in [("trace.jsonl", true), ("notes.db", false)] {
        let path = directory.path().join(name);
        let line = "{\"at_ms\": 1, \"ids\": [1, 2, 3]}\n".repeat(200);
        std::fs::write(&path, line).expect("writes");
        let error = connect_reader(&path).await.expect_err("no store");
        let said = unreadable(error, None).to_string();
        let begins = format!(
            "`{}` is no usage store, or a damaged one; name the gateway's file with --store",
            path.display()
        );
        assert!(said.starts_with(&begins), "{said}");
        assert_eq!(
            said.ends_with("a trace is read by `emberway replay`"),
            is_trace,
            "{said}"
        );
    }
}

#[test]
fn tables_are_aligned() {
    let never = deployment(totals(None, None), 15, NOW_MS);
    let used = deployment(
        totals(Some(NOW_MS - 30 * DAY_MS), Some(NOW_MS - DAY_MS / 4)),
        15,
        NOW_MS,
    );
    insta::assert_snapshot!(whole(&deployment_table(&[used, never])), @r"
    deployment              first seen            created       last success   idle        may be deleted  requests  success    hit
    contoso/support  2026-11-14 12:00Z  2026-10-25 12:00Z  2026-11-24 06:00Z  6h 0m     2026-12-09 06:00Z     1,200    99.5%  90.0%
    contoso/support  2026-11-14 12:00Z                  -                  -      -  by 2026-11-29 12:00Z     1,200    99.5%  90.0%
    ");

    let figures = |key: &str, requests| Figures {
        key: key.to_owned(),
        requests,
        successes: requests / 2,
        estimated: 0,
        asked: requests,
        attempts: requests + 1,
        prompt_tokens: requests * 1_000,
        cached_tokens: requests * 875,
        completion_tokens: requests * 10,
        total_us: Some(Percentiles {
            p50: 1_234_567,
            p95: 9_000_000,
        }),
        first_token_us: None,
    };
    let report = Report {
        by: GroupBy::Client,
        since_ms: NOW_MS - DAY_MS,
        until_ms: NOW_MS,
        groups: vec![figures("acme", 1_200), figures("zeta", 2)],
        truncated: false,
        total: figures("all", 1_202),
    };
    insta::assert_snapshot!(whole(&report_table(&report)), @r"
    usage from 2026-11-23 12:00Z to 2026-11-24 12:00Z

    client  requests  success     prompt     cached    hit  completion  p50 s  p95 s  first p50 s  first p95 s  attempts  estimated
    acme       1,200    50.0%  1,200,000  1,050,000  87.5%      12,000  1.235  9.000            -            -      1.00       0.0%
    zeta           2    50.0%      2,000      1,750  87.5%          20  1.235  9.000            -            -      1.50       0.0%
    all        1,202    50.0%  1,202,000  1,051,750  87.5%      12,020  1.235  9.000            -            -      1.00       0.0%
    ");
}

#[test]
fn requests_for_which_nobody_was_asked_are_no_attempts() {
    let refused = Figures {
        key: "-".to_owned(),
        requests: 3,
        ..Figures::default()
    };
    let total = Figures {
        key: "all".to_owned(),
        requests: 7,
        asked: 4,
        attempts: 5,
        ..Figures::default()
    };
    let cells = |by| {
        let table = report_table(&Report {
            by,
            since_ms: 0,
            until_ms: NOW_MS,
            groups: vec![refused.clone()],
            truncated: false,
            total: total.clone(),
        });
        let lines: Vec<String> = table.lines().skip(3).map(str::to_owned).collect();
        lines
    };
    let [nobody, all] = &cells(GroupBy::Deployment)[..] else {
        panic!("two lines")
    };
    assert!(nobody.starts_with("- (none asked)  "), "{nobody}");
    let attempts = |line: &str| line.split_whitespace().rev().nth(1).map(str::to_owned);
    assert_eq!(
        [attempts(nobody), attempts(all)],
        [Some("-".to_owned()), Some("1.25".to_owned())]
    );
    assert!(cells(GroupBy::Client)[0].starts_with("-  "), "a client's name");
}

#[test]
fn misses_are_grouped_by_what_their_sums_know() {
    assert_eq!(miss_by(None).expect("a default"), MissBy::Route);
    assert_eq!(miss_by(Some(GroupBy::Day)).expect("known"), MissBy::Day);
    let error = miss_by(Some(GroupBy::Region))
        .expect_err("sums know no region")
        .to_string();
    assert_eq!(
        error,
        "misses are not kept by `region`; with `--misses` group by one of: route, deployment, client, day, hour"
    );
}
