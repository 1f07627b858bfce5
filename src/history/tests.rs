//! The history from finished requests to answers, over a store.

mod kept;
mod moment;
mod month;
mod store;

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::core::history::ask::{Asked, By, Filter, Latency};
use crate::core::history::shown::{Figures, Series};
use crate::core::ledger::bill::RequestCost;
use crate::core::ledger::finished::Finished;
use crate::core::ledger::finished::testing::finished;
use crate::core::ledger::usage::RequestOutcome;
use crate::history::counting::Counting;
use crate::history::writer::HistoryWriter;
use crate::storage::history::events::EventsWanted;
use crate::telemetry::finished::FinishedConsumer;
use crate::telemetry::journal::{EventKind, Note, Severity};

/// The beginning of an hour.
const HOUR: i64 = 500_000 * 3_600_000;
const MINUTE_MS: i64 = 60_000;

/// A history that is counted and written by hand.
struct World {
    history: Arc<History>,
    counting: Counting,
    writer: HistoryWriter,
    clock: &'static AtomicI64,
}

thread_local! {
    /// The writer asks a function for the time; each test has a thread of its own.
    static CLOCK: &'static AtomicI64 = Box::leak(Box::new(AtomicI64::new(0)));
}

impl World {
    async fn open(path: &Path, now_ms: i64) -> Self {
        let store = Arc::new(SqliteStore::open(path).await.expect("a store"));
        let clock = CLOCK.with(|clock| *clock);
        clock.store(now_ms, Ordering::Relaxed);
        let history = Arc::new(History::new(store, Arc::default(), now_ms));
        history.continue_journal().await.expect("read");
        Self {
            counting: Counting::new(Arc::clone(&history), Box::new(|| None)),
            writer: HistoryWriter::new(Arc::clone(&history), || {
                CLOCK.with(|clock| clock.load(Ordering::Relaxed))
            }),
            history,
            clock,
        }
    }

    /// It is this time.
    fn at(&mut self, now_ms: i64) -> &mut Self {
        self.clock.store(now_ms, Ordering::Relaxed);
        self.counting.second(now_ms);
        self
    }

    fn take(&mut self, requests: &[Finished]) -> &mut Self {
        self.counting.take(requests);
        self
    }

    /// Counts one request that took so long every ten seconds, and writes each time.
    async fn run(&mut self, from_ms: i64, to_ms: i64, total_us: impl Fn(i64) -> u64) {
        for at_ms in (from_ms..to_ms).step_by(10_000) {
            self.at(at_ms);
            self.take(&[took(total_us(at_ms))]);
            self.at(at_ms + 10_000);
            self.writer.write().await;
        }
    }

    /// The same once a minute.
    async fn run_minutes(&mut self, from_ms: i64, to_ms: i64) {
        for at_ms in (from_ms..to_ms).step_by(60_000) {
            self.run(at_ms, at_ms + 10_000, |_| 1_000).await;
        }
    }

    async fn series(&self, from_ms: i64, to_ms: i64, by: By, points: usize) -> Series {
        let asked = asked(from_ms, to_ms);
        let now_ms = self.clock.load(Ordering::Relaxed);
        self.history.series(&asked, by, points, now_ms).await.expect("read").0
    }

    async fn total(&self, from_ms: i64, to_ms: i64) -> Figures {
        let now_ms = self.clock.load(Ordering::Relaxed);
        let found = self.history.totals(&asked(from_ms, to_ms), By::None, now_ms).await;
        let (mut totals, _) = found.expect("read");
        totals.pop().map(|total| total.total).unwrap_or_default()
    }
}

fn asked(from_ms: i64, to_ms: i64) -> Asked {
    Asked {
        from_ms,
        to_ms,
        filter: Filter::default(),
    }
}

fn took(total_us: u64) -> Finished {
    let mut request = finished(0);
    request.record.total_us = total_us;
    request
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

#[tokio::test]
async fn a_request_is_found_before_and_after_it_is_written() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    world.take(&[took(1_000), took(3_000)]);
    let before = world.total(HOUR, HOUR + MINUTE_MS).await;
    assert_eq!((before.requests, before.cached_tokens), (2, 2_048));
    world.at(HOUR + 10_000).writer.write().await;
    assert!(world.history.recent.lock().closed.is_empty(), "written");
    assert_eq!(world.total(HOUR, HOUR + MINUTE_MS).await, before);
    assert_eq!(world.history.latest().figures.requests, 2);
    assert_eq!(world.total(HOUR + 10_000, HOUR + MINUTE_MS).await.requests, 0);
}

#[tokio::test]
async fn rolled_up_figures_are_those_of_all_requests() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    let mut all = crate::core::history::lines::Line::default();
    let total_us = |at_ms: i64| (at_ms / 10_000 % 977) as u64 * 1_300 + 5;
    world.run(HOUR, HOUR + 130 * MINUTE_MS, total_us).await;
    for at_ms in (HOUR..HOUR + 120 * MINUTE_MS).step_by(10_000) {
        all.total.record(total_us(at_ms));
    }
    // Seen from three days later only hours are left.
    let later = HOUR + 3 * 24 * 60 * MINUTE_MS;
    world.clock.store(later, Ordering::Relaxed);
    let figures = world.total(HOUR, HOUR + 120 * MINUTE_MS).await;
    let [p50, p95, p99] = all.total.quantiles_ms([0.5, 0.95, 0.99]);
    assert_eq!(figures.requests, 720);
    let told = figures.latency;
    assert_eq!(
        [told.total_p50_ms, told.total_p95_ms, told.total_p99_ms],
        [p50, p95, p99]
    );
    let series = world.series(HOUR, HOUR + 120 * MINUTE_MS, By::Route, 600).await;
    assert_eq!(
        (series.step_ms, &series.groups[0].points.requests),
        (3_600_000, &vec![360, 360])
    );
}

#[tokio::test]
async fn the_step_decides_which_rows_and_each_counts_once() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    world.run(HOUR, HOUR + 70 * MINUTE_MS, |_| 1_000).await;
    for (points, step_ms) in [(600, 10_000), (100, MINUTE_MS), (2, 3_600_000)] {
        let series = world.series(HOUR, HOUR + 70 * MINUTE_MS, By::Deployment, points).await;
        let requests: u64 = series.groups[0].points.requests.iter().sum();
        assert_eq!((series.step_ms, requests), (step_ms, 420));
        assert_eq!(series.groups[0].total.requests, 420);
        assert_eq!(series.groups[0].key, "eu/one");
    }
    let (series, effort) = world
        .history
        .series(&asked(HOUR, HOUR + 60 * MINUTE_MS), By::None, 1, HOUR + 70 * MINUTE_MS)
        .await
        .expect("read");
    assert_eq!(
        (series.groups[0].total.requests, effort.rows),
        (360, 1),
        "one hour is one row"
    );
}

#[tokio::test]
async fn a_restart_goes_on_where_the_store_ends_and_a_kill_loses_what_was_not_written() {
    let directory = directory();
    let path = directory.path().join("usage.db");
    let mut world = World::open(&path, HOUR).await;
    world.run(HOUR, HOUR + 30_000, |_| 1_000).await;
    world.take(&[took(1)]);
    drop(world);
    // The same ten seconds again, and on: what the killed one had counted in them is lost, nothing else.
    let mut world = World::open(&path, HOUR + 21_000).await;
    world.run(HOUR + 20_000, HOUR + 5 * MINUTE_MS, |_| 1_000).await;
    assert_eq!(world.total(HOUR, HOUR + 5 * MINUTE_MS).await.requests, 31);
    let minutes = world.series(HOUR, HOUR + 3 * MINUTE_MS, By::None, 3).await;
    assert_eq!(minutes.groups[0].points.requests, [7, 6, 6]);
}

#[tokio::test]
async fn an_orderly_end_writes_the_interval_that_runs() {
    let directory = directory();
    let path = directory.path().join("usage.db");
    let mut world = World::open(&path, HOUR).await;
    world.take(&[took(1)]);
    world.writer.write_last().await;
    let world = World::open(&path, HOUR + 5_000).await;
    assert_eq!(world.total(HOUR, HOUR + 10_000).await.requests, 1);
}

#[tokio::test]
async fn a_clock_that_jumps_corrupts_nothing() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    world.run(HOUR, HOUR + 5 * MINUTE_MS, |_| 1_000).await;
    // A day ahead, long enough that minutes and hours of then are made; then back.
    let ahead = HOUR + 24 * 60 * MINUTE_MS;
    world.run(ahead, ahead + 65 * MINUTE_MS, |_| 1_000).await;
    world.run(HOUR + 3 * MINUTE_MS, HOUR + 6 * MINUTE_MS, |_| 9_000).await;
    let total = world.total(HOUR, HOUR + 6 * MINUTE_MS).await;
    assert_eq!(total.requests, 30 + 18);
    // In rows of minutes and hours; those of seconds were too old when the clock was ahead.
    for points in [60, 6, 1] {
        let series = world.series(HOUR, HOUR + 60 * MINUTE_MS, By::None, points).await;
        assert_eq!(series.groups[0].total.requests, 30 + 18, "{points}");
    }
    assert_eq!(world.total(ahead, ahead + 65 * MINUTE_MS).await.requests, 390);
}

#[tokio::test]
async fn two_gateways_on_one_file_add_up() {
    let directory = directory();
    let path = directory.path().join("usage.db");
    let mut one = World::open(&path, HOUR).await;
    let mut other = World::open(&path, HOUR).await;
    for minute in 0..4 {
        one.run(HOUR + minute * MINUTE_MS, HOUR + (minute + 1) * MINUTE_MS, |_| 1_000)
            .await;
        // It is late: the minute before may be made by now.
        other
            .run(HOUR + minute * MINUTE_MS, HOUR + (minute + 1) * MINUTE_MS, |_| 2_000)
            .await;
    }
    let minutes = one.series(HOUR, HOUR + 4 * MINUTE_MS, By::None, 4).await;
    assert_eq!(
        (minutes.step_ms, &*minutes.groups[0].points.requests),
        (MINUTE_MS, [12, 12, 12, 12].as_slice())
    );
}

#[tokio::test]
async fn errors_filters_and_groups_are_told_apart() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    let mut failed = took(1);
    failed.record.outcome = RequestOutcome::UpstreamFailed;
    (failed.record.client, failed.record.route) = ("desk".into(), "legal".into());
    (failed.record.deployment, failed.record.region) = (Some("us/two".into()), Some("eastus2".into()));
    world.take(&[took(1), took(1), failed]).at(HOUR + 10_000);
    let regions = world.series(HOUR, HOUR + 10_000, By::Region, 1).await;
    let told: Vec<_> = regions
        .groups
        .iter()
        .map(|group| (&*group.key, group.total.requests, group.total.errors))
        .collect();
    assert_eq!(told, [("swedencentral", 2, 0), ("eastus2", 1, 1)]);
    let mut asked = asked(HOUR, HOUR + 10_000);
    asked.filter.client = Some("desk".to_owned());
    asked.filter.region = Some("eastus2".to_owned());
    let (totals, _) = world.history.totals(&asked, By::Route, HOUR).await.expect("read");
    assert_eq!(
        (totals.len(), &*totals[0].key, totals[0].total.requests),
        (1, "legal", 1)
    );
    asked.filter.client = Some("nobody".to_owned());
    let (totals, _) = world.history.totals(&asked, By::Route, HOUR).await.expect("read");
    assert!(totals.is_empty());
}

#[tokio::test]
async fn flows_and_failovers_say_where_requests_went() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    let mut moved = took(1);
    moved.reason = "failover";
    let mut first = moved.attempts[0].clone();
    (first.deployment, first.outcome, first.status) = ("us/two".into(), "throttled", 429);
    moved.attempts.insert(0, first);
    world
        .take(&[moved.clone(), moved, took(1)])
        .at(HOUR + 10_000)
        .writer
        .write()
        .await;
    let flows = world
        .history
        .flows(&asked(HOUR, HOUR + 10_000), HOUR, |_, _| Some(1))
        .await;
    let flows = flows.expect("read");
    assert_eq!(
        (flows.flows.len(), flows.flows[0].requests, flows.flows[0].tier),
        (1, 3, Some(1))
    );
    assert_eq!(flows.flows[0].reasons["failover"], 2);
    let failovers = &flows.failovers;
    assert_eq!(
        (
            &*failovers[0].from,
            &*failovers[0].to,
            &*failovers[0].outcome,
            failovers[0].requests
        ),
        ("us/two", "eu/one", "throttled", 2)
    );
    let events = world
        .history
        .events(&EventsWanted {
            limit: 9,
            ..EventsWanted::default()
        })
        .await
        .expect("read");
    assert_eq!(
        events[0].text,
        "support: 2 requests went on from us/two (429) to eu/one"
    );
    assert_eq!(
        (events[0].kind, events[0].subject.as_deref()),
        (EventKind::Failover, Some("us/two"))
    );
}

#[tokio::test]
async fn a_heat_map_counts_each_request_in_its_step() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    world
        .run(HOUR, HOUR + 30_000, |at_ms| 1_000 + (at_ms - HOUR) as u64 * 100)
        .await;
    let heatmap = world
        .history
        .heatmap(&asked(HOUR, HOUR + 30_000), Latency::Total, 600, HOUR + 40_000)
        .await;
    let heatmap = heatmap.expect("read");
    let sums: Vec<u64> = heatmap.counts.iter().map(|counts| counts.iter().sum()).collect();
    assert_eq!((sums, heatmap.starts_ms.len()), (vec![1, 1, 1], 3));
    assert!(heatmap.bounds_ms.is_sorted() && heatmap.bounds_ms.len() <= 40);
    assert_eq!(heatmap.counts[0].first(), Some(&1), "the quickest");
    assert_eq!(heatmap.counts[2].last(), Some(&1), "the slowest");
}

#[tokio::test]
async fn the_slowest_are_kept_by_minute_and_found_before_they_are_written() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    let at = |total_us: u64| {
        let mut request = finished(HOUR);
        (request.record.total_us, request.record.first_token_us) = (total_us, None);
        request.overhead_us = total_us;
        request
    };
    let rising: Vec<Finished> = (1..=60).map(|us| at(us * 1_000)).collect();
    world.take(&rising);
    let totals = async |world: &World, limit| -> Vec<f64> {
        let found = world
            .history
            .slowest(&asked(HOUR, HOUR + MINUTE_MS), Latency::Total, limit)
            .await;
        found.expect("read").iter().map(|request| request.total_ms).collect()
    };
    assert_eq!(totals(&world, 3).await, [60.0, 59.0, 58.0]);
    world.at(HOUR + 10_000).writer.write().await;
    assert_eq!(
        totals(&world, 100).await.len(),
        60,
        "each was among the slowest when it came"
    );
    world.at(HOUR + 70_000).writer.write().await;
    assert_eq!(
        totals(&world, 100).await,
        (41..=60).rev().map(f64::from).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn events_survive_a_restart_and_keep_their_order() {
    let directory = directory();
    let path = directory.path().join("usage.db");
    let mut world = World::open(&path, HOUR).await;
    for text in ["one", "two"] {
        let note = Note::new(Severity::Warn, EventKind::Drain, text).of("eu/one");
        world.history.journal.note_at(HOUR, note);
    }
    world.writer.write().await;
    let mut world = World::open(&path, HOUR).await;
    world
        .history
        .journal
        .note_at(HOUR - 5, Note::new(Severity::Error, EventKind::Alarm, "three"));
    let texts = async |world: &World, wanted: EventsWanted| -> Vec<(u64, String)> {
        let events = world
            .history
            .events(&EventsWanted { limit: 9, ..wanted })
            .await
            .expect("read");
        events.into_iter().map(|event| (event.id, event.text)).collect()
    };
    let event = |id, text: &str| (id, text.to_owned());
    let all = [event(1_003, "three"), event(2, "two"), event(1, "one")];
    assert_eq!(
        texts(&world, EventsWanted::default()).await,
        all,
        "the newest is in memory"
    );
    world.writer.write().await;
    assert_eq!(texts(&world, EventsWanted::default()).await, all);
    let drains = EventsWanted {
        kind: Some("drain"),
        before_id: Some(2),
        ..EventsWanted::default()
    };
    assert_eq!(texts(&world, drains).await, [event(1, "one")]);
    let after = EventsWanted {
        after_id: Some(1),
        severities: vec!["error", "warn"],
        ..EventsWanted::default()
    };
    assert_eq!(texts(&world, after).await, [event(2, "two"), event(1_003, "three")]);
}

#[test]
fn what_waits_for_a_store_is_bounded() {
    let mut recent = Recent {
        open: Interval::new(0),
        closed: VecDeque::new(),
        latest: Arc::new(Interval::new(0)),
        slow: SlowMinute::default(),
        slow_news: Vec::new(),
        telling: Telling::default(),
        leaving: None,
        left: 0,
        lost: 0,
    };
    for start in 0..60 {
        for client in 0..200 {
            let mut request = took(1);
            request.record.client = format!("client-{client}").into();
            recent.open.add(&request, &RequestCost::default());
        }
        recent.close(start * 10_000);
    }
    let lines: usize = recent.closed.iter().map(|interval| interval.len()).sum();
    assert!(lines <= WAITING_LINES_MAX && lines > WAITING_LINES_MAX / 2, "{lines}");
    assert_eq!(recent.lost as usize + recent.closed.len(), 60);
}
