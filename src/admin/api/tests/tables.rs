//! Usage, costs and cache over books that say what they were asked.

use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use parking_lot::Mutex;

use crate::admin::api::books::Books;
use crate::admin::api::cache::CacheAnswer;
use crate::admin::api::usage::{CostAnswer, CostRow, UsageAnswer, UsageBy, UsageRow};
use crate::admin::testing::{Asked, ask, sources};
use crate::storage::limited::ReadRefused;
use crate::storage::report::Range;
use crate::storage::usage_sums::Only;

/// Books of one client with a name that is a formula.
#[derive(Default)]
struct Open {
    asked: Mutex<Vec<(Only, Range)>>,
    is_busy: bool,
}

impl Open {
    fn note(&self, only: &Only, range: Range) -> Result<(), ReadRefused> {
        self.asked.lock().push((only.clone(), range));
        if self.is_busy { Err(ReadRefused::Busy) } else { Ok(()) }
    }
}

#[async_trait]
impl Books for Open {
    async fn usage(&self, by: UsageBy, only: &Only, range: Range) -> Result<UsageAnswer, ReadRefused> {
        self.note(only, range)?;
        let row = UsageRow {
            key: "=cmd()".to_owned(),
            requests: 3,
            token_usd: 0.000_001_4,
            ..UsageRow::default()
        };
        Ok(UsageAnswer {
            from_ms: range.since_ms,
            to_ms: range.until_ms,
            by,
            total: row.clone(),
            rows: vec![row],
            truncated: false,
        })
    }

    async fn costs(&self, only: &Only, range: Range) -> Result<CostAnswer, ReadRefused> {
        self.note(only, range)?;
        let row = CostRow {
            deployment: "a/ft".to_owned(),
            hours: 1.5,
            advice: Some("-50 %".to_owned()),
            ..CostRow::default()
        };
        Ok(CostAnswer {
            from_ms: range.since_ms,
            to_ms: range.until_ms,
            rows: vec![row],
            total: CostRow::default(),
            forecast: None,
            findings: Vec::new(),
        })
    }

    async fn cache(&self, only: &Only, range: Range) -> Result<CacheAnswer, ReadRefused> {
        self.note(only, range)?;
        Ok(CacheAnswer {
            from_ms: range.since_ms,
            to_ms: range.until_ms,
            requests: 1,
            prompt_tokens: 10,
            cached_tokens: 4,
            expected_tokens: 6,
            misses: Vec::new(),
            drift: Vec::new(),
            heads: Vec::new(),
        })
    }
}

async fn asked(path: &str, is_busy: bool) -> (Asked, Vec<(Only, Range)>) {
    let books = Arc::new(Open {
        is_busy,
        ..Open::default()
    });
    let mut sources = sources();
    sources.api.books = Arc::clone(&books) as Arc<dyn Books>;
    let answer = ask(&Arc::new(sources), "GET", path, "").await;
    let asked = books.asked.lock().clone();
    (answer, asked)
}

#[tokio::test]
async fn usage_is_of_the_time_and_the_requests_that_are_asked_for() {
    let path = "/api/v1/usage?by=route&from_ms=1000&to_ms=2000&client=acme&region=";
    let (answer, asked) = asked(path, false).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let json = answer.json();
    assert_eq!(json["by"], "route");
    assert_eq!(json["rows"][0]["requests"], 3);
    let expected = Only {
        client: Some("acme".to_owned()),
        ..Only::default()
    };
    let range = Range {
        since_ms: 1_000,
        until_ms: 2_000,
    };
    assert_eq!(asked, [(expected, range)]);
}

#[tokio::test]
async fn tables_are_files_for_spreadsheets_in_which_nothing_computes() {
    let (answer, _) = asked("/api/v1/usage?format=csv&from_ms=0&to_ms=86400000", false).await;
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
    let file = "attachment; filename=\"emberway-usage-1970-01-01-1970-01-01.csv\"";
    assert_eq!(answer.header("content-disposition"), file);
    let lines: Vec<&str> = answer.body.lines().collect();
    assert!(lines[0].starts_with("client,requests,errors,"), "{}", lines[0]);
    assert_eq!(lines[1], "'=cmd(),3,0,0,0,0,0.000001,0.000000,0");
    let (answer, _) = asked("/api/v1/costs?format=csv&from_ms=0&to_ms=86400000", false).await;
    let line = answer.body.lines().nth(1).expect("a row").to_owned();
    assert!(line.starts_with("a/ft,1.5000,") && line.ends_with(",'-50 %"), "{line}");
}

#[tokio::test]
async fn bad_parameters_are_named_and_nothing_is_read() {
    for (path, param, code) in [
        ("usage?from_ms=2000&to_ms=1000", Some("from_ms"), "bad_parameter"),
        ("costs?from_ms=0&to_ms=34560000001", Some("from_ms"), "bad_parameter"),
        ("cache?to_ms=-1", Some("to_ms"), "bad_parameter"),
        ("usage?from_ms=soon", None, "bad_query"),
        ("usage?by=moon", None, "bad_query"),
        ("costs?format=xlsx", None, "bad_query"),
        ("usage?from_ms=1&from_ms=2", None, "bad_query"),
    ] {
        let (answer, asked) = asked(&format!("/api/v1/{path}"), false).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.body);
        let error = answer.json()["error"].clone();
        assert_eq!(
            (error["param"].as_str(), error["code"].as_str()),
            (param, Some(code)),
            "{path}"
        );
        assert!(asked.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_store_that_is_busy_is_no_failure_of_whoever_asks() {
    for path in ["usage", "costs", "cache"] {
        let (answer, _) = asked(&format!("/api/v1/{path}"), true).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.json()["error"]["code"], "busy");
    }
    let (answer, _) = asked("/api/v1/cache", false).await;
    assert_eq!(answer.json()["expected_tokens"], 6);
}
