//! Figures over time and events, over a history that says what it was asked.

use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::admin::history::{EventQueries, EventsAsked, HistoryError, HistoryQueries};
use crate::admin::testing::{Asked as Answered, ask, sources};
use crate::core::history::ask::{Asked, By, Filter, Latency};
use crate::core::history::shown::{Figures, Flows, Heatmap, Latest, Series, Slowest, Summary, Total};
use crate::telemetry::journal::{Event, EventKind, Severity};

/// A history that remembers what it was asked.
#[derive(Default)]
struct Told {
    asked: Mutex<Vec<String>>,
    fails: bool,
}

impl Told {
    fn note(&self, asked: &Asked, more: &str) -> Result<(), HistoryError> {
        let Filter { route, client, .. } = &asked.filter;
        let (route, client) = (route.as_deref().unwrap_or("-"), client.as_deref().unwrap_or("-"));
        let text = format!("{}..{} {route} {client} {more}", asked.from_ms, asked.to_ms);
        self.asked.lock().push(text);
        if self.fails {
            return Err(HistoryError::Store("the disk is full".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl HistoryQueries for Told {
    async fn series(&self, asked: &Asked, by: By, points: usize) -> Result<Series, HistoryError> {
        self.note(asked, &format!("series by {} {points}", by.as_ref()))?;
        Ok(Series::default())
    }

    async fn totals(&self, asked: &Asked, by: By) -> Result<Vec<Total>, HistoryError> {
        self.note(asked, &format!("totals by {}", by.as_ref()))?;
        Ok(vec![Total {
            key: "a/ft".to_owned(),
            label: "a/ft".to_owned(),
            total: Figures {
                requests: 7,
                ..Figures::default()
            },
        }])
    }

    async fn summary(&self, asked: &Asked) -> Result<Summary, HistoryError> {
        self.note(asked, "summary")?;
        Ok(Summary::default())
    }

    async fn heatmap(&self, asked: &Asked, of: Latency, points: usize) -> Result<Heatmap, HistoryError> {
        self.note(asked, &format!("heatmap of {} {points}", of.as_ref()))?;
        Ok(Heatmap::default())
    }

    async fn slowest(&self, asked: &Asked, of: Latency, limit: usize) -> Result<Slowest, HistoryError> {
        self.note(asked, &format!("slowest of {} {limit}", of.as_ref()))?;
        Ok(Slowest::default())
    }

    async fn flows(&self, asked: &Asked) -> Result<Flows, HistoryError> {
        self.note(asked, "flows")?;
        Ok(Flows::default())
    }

    fn latest(&self) -> Latest {
        Latest::default()
    }
}

#[async_trait]
impl EventQueries for Told {
    async fn events(&self, asked: &EventsAsked) -> Result<Vec<Event>, HistoryError> {
        self.asked.lock().push(format!("{asked:?}"));
        Ok(vec![Event {
            id: 9,
            at_ms: 5,
            severity: Severity::Warn,
            kind: EventKind::Breaker,
            subject: None,
            text: "opened".to_owned(),
            advice: None,
        }])
    }

    async fn events_after(&self, _: u64, _: usize) -> Result<Vec<Event>, HistoryError> {
        Ok(Vec::new())
    }

    fn newest(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

async fn asked(path: &str, fails: bool) -> (Answered, Vec<String>) {
    let history = Arc::new(Told {
        fails,
        ..Told::default()
    });
    let mut sources = sources();
    sources.api.history = Arc::clone(&history) as Arc<dyn HistoryQueries>;
    sources.api.events = Arc::clone(&history) as Arc<dyn EventQueries>;
    let answer = ask(&Arc::new(sources), "GET", &format!("/api/v1/{path}"), "").await;
    let asked = history.asked.lock().clone();
    (answer, asked)
}

#[tokio::test]
async fn questions_arrive_as_they_are_meant() {
    for (path, expected) in [
        (
            "series?from_ms=0&to_ms=9&by=region&points=7",
            "0..9 - - series by region 7",
        ),
        (
            "series?from_ms=0&to_ms=9&route=bot&client=acme",
            "0..9 bot acme series by none 120",
        ),
        ("summary?from_ms=0&to_ms=9", "0..9 - - summary"),
        ("heatmap?from_ms=0&to_ms=9&of=ttft", "0..9 - - heatmap of ttft 120"),
        ("flows?from_ms=0&to_ms=9", "0..9 - - flows"),
        (
            "requests/slowest?from_ms=0&to_ms=9&of=overhead&limit=3",
            "0..9 - - slowest of overhead 3",
        ),
    ] {
        let (answer, asked) = asked(path, false).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        assert_eq!(asked, [expected], "{path}");
    }
    let (answer, asked) = asked("events?kind=breaker&severity=warn&before_id=12&limit=1", false).await;
    assert_eq!(answer.json()["events"][0]["id"], 9);
    let expected = EventsAsked {
        kind: Some(EventKind::Breaker),
        severity: Some(Severity::Warn),
        before_id: Some(12),
        limit: 1,
        ..EventsAsked::default()
    };
    assert_eq!(asked, [format!("{expected:?}")]);
}

#[tokio::test]
async fn what_is_out_of_bounds_is_not_asked() {
    for (path, param) in [
        ("series?points=0", "points"),
        ("series?points=601", "points"),
        ("heatmap?points=601", "points"),
        ("requests/slowest?limit=501", "limit"),
        ("events?limit=1001", "limit"),
        ("events?from_ms=-1", "from_ms"),
        ("events?before_id=9007199254740992", "before_id"),
        ("flows?from_ms=9&to_ms=9", "from_ms"),
    ] {
        let (answer, asked) = asked(path, false).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(answer.json()["error"]["param"], param, "{path}: {}", answer.body);
        assert!(asked.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_history_that_cannot_be_read_is_503_and_hides_no_fleet() {
    let (answer, _) = asked("summary", true).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["error"]["code"], "store_unavailable");
}
