//! What the tables keep, for how long, and what is read back.

use super::*;
use crate::core::history::ask::{By, Filter};
use crate::core::history::step::Span;
use crate::core::ledger::bill::RequestCost;
use crate::core::ledger::finished::testing::finished;
use crate::storage::history::reading::{Reading, RowsAsked};
use crate::storage::sqlite::SqliteStore;

const HOUR: i64 = 500_000 * 3_600_000;
const MINUTE_MS: i64 = 60_000;

fn interval(start_ms: i64) -> Arc<Interval> {
    let mut interval = Interval::new(start_ms);
    interval.add(&finished(start_ms), &RequestCost::default());
    Arc::new(interval)
}

async fn open() -> (tempfile::TempDir, SqliteStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(&directory.path().join("usage.db"))
        .await
        .expect("a store");
    (directory, store)
}

/// Rows of a length, all kinds together.
async fn rows(store: &SqliteStore, step: Step) -> u64 {
    let mut reading = Reading::begin(store.path()).await.expect("read");
    for kind in Kind::ALL {
        let asked = RowsAsked {
            span: Span {
                step,
                from_ms: 0,
                to_ms: i64::MAX,
            },
            kind,
            filter: &Filter::default(),
            times: &[],
        };
        reading.each(asked, |_, _, _| ()).await.expect("read");
    }
    reading.rows
}

#[tokio::test]
async fn rows_that_were_made_of_what_changed_meanwhile_are_not_written() {
    let (_directory, store) = open().await;
    let batch = |now_ms, start_ms, rolled_up| Batch {
        now_ms,
        intervals: vec![interval(start_ms)],
        rolled_up,
        ..Batch::default()
    };
    store
        .write_history(&batch(HOUR, HOUR, None), |_| ())
        .await
        .expect("written");
    let later = HOUR + 2 * MINUTE_MS;
    let mut reading = Reading::begin(store.path()).await.expect("read");
    let rolled_up = reading.roll_up(later).await.expect("read").expect("a minute is over");
    assert_eq!(
        (rolled_up.rows.len(), rolled_up.marks.minute_ms),
        (Kind::ALL.len(), HOUR + MINUTE_MS)
    );
    // Another gateway adds to that minute before these rows are written.
    store
        .write_history(&batch(later, HOUR + 10_000, None), |_| ())
        .await
        .expect("written");
    store
        .write_history(&batch(later, later, Some(rolled_up)), |_| ())
        .await
        .expect("written");
    assert_eq!(rows(&store, Step::Minute).await, 0);
    let mut reading = Reading::begin(store.path()).await.expect("read");
    let rolled_up = reading.roll_up(later).await.expect("read").expect("still due");
    assert!(rolled_up.rows.iter().all(|(_, _, _, line)| line.sums.requests == 2));
    store
        .write_history(&batch(later, later, Some(rolled_up)), |_| ())
        .await
        .expect("written");
    // What comes late now is added to the minute too.
    store
        .write_history(&batch(later, HOUR + 20_000, None), |_| ())
        .await
        .expect("written");
    let mut reading = Reading::begin(store.path()).await.expect("read");
    let mut requests = std::collections::BTreeMap::new();
    let asked = RowsAsked {
        span: Span {
            step: Step::Minute,
            from_ms: HOUR,
            to_ms: HOUR + MINUTE_MS,
        },
        kind: Kind::Client,
        filter: &Filter::default(),
        times: &[],
    };
    reading
        .requests_by(asked, By::Client, &mut requests)
        .await
        .expect("read");
    assert_eq!(requests, [(Arc::from("shop"), 3)].into());
}

#[tokio::test]
async fn what_is_too_old_goes_once_longer_rows_are_made_of_it() {
    let (_directory, store) = open().await;
    let first = Batch {
        now_ms: HOUR,
        intervals: vec![interval(HOUR)],
        ..Batch::default()
    };
    store.write_history(&first, |_| ()).await.expect("written");
    let later = HOUR + 5 * 60 * MINUTE_MS;
    let purge = |rolled_up| Batch {
        now_ms: later,
        rolled_up,
        purges: true,
        ..Batch::default()
    };
    store.write_history(&purge(None), |_| ()).await.expect("written");
    let kinds = Kind::ALL.len() as u64;
    assert_eq!(rows(&store, Step::Seconds).await, kinds, "no minute is made of it yet");
    let rolled_up = Reading::begin(store.path())
        .await
        .expect("read")
        .roll_up(later)
        .await
        .expect("read");
    store.write_history(&purge(rolled_up), |_| ()).await.expect("written");
    assert_eq!(
        [rows(&store, Step::Seconds).await, rows(&store, Step::Minute).await],
        [0, kinds]
    );
    let much_later = later + 3 * 24 * 60 * MINUTE_MS;
    // As if all minutes had been written that lie between.
    let passed = "UPDATE history_mark SET clock_ms = NULL";
    by_hand(&store, passed).await;
    for _ in 0..2 {
        let rolled_up = Reading::begin(store.path())
            .await
            .expect("read")
            .roll_up(much_later)
            .await
            .expect("read");
        let batch = Batch {
            now_ms: much_later,
            ..purge(rolled_up)
        };
        store.write_history(&batch, |_| ()).await.expect("written");
    }
    assert_eq!(
        [rows(&store, Step::Minute).await, rows(&store, Step::Hour).await],
        [0, kinds]
    );
    by_hand(&store, passed).await;
    let batch = Batch {
        now_ms: much_later + Step::Hour.kept_ms(),
        ..purge(None)
    };
    store.write_history(&batch, |_| ()).await.expect("written");
    assert_eq!(rows(&store, Step::Hour).await, 0);
}

#[tokio::test]
async fn beyond_the_cap_the_oldest_rows_go() {
    let (_directory, store) = open().await;
    let now_ms = HOUR + 60 * MINUTE_MS;
    let first = Batch {
        now_ms: HOUR,
        ..Batch::default()
    };
    store.write_history(&first, |_| ()).await.expect("written");
    let intervals = (0..120).map(|ten| interval(HOUR + ten * 10_000)).collect();
    let all = Batch {
        now_ms,
        intervals,
        ..Batch::default()
    };
    store.write_history(&all, |_| ()).await.expect("written");
    let mut reading = Reading::begin(store.path()).await.expect("read");
    let rolled_up = reading.roll_up(now_ms).await.expect("read");
    let most = 300;
    let kept_from_ms = reading.too_many(|_| most).await.expect("read");
    assert!(kept_from_ms[0].is_some() && kept_from_ms[1].is_none());
    let purge = Batch {
        now_ms,
        rolled_up,
        purges: true,
        kept_from_ms,
        ..Batch::default()
    };
    store.write_history(&purge, |_| ()).await.expect("written");
    let left = rows(&store, Step::Seconds).await;
    assert!(left <= most && left > most - 30, "{left}");
    assert_eq!(
        Reading::begin(store.path())
            .await
            .expect("read")
            .too_many(|_| most)
            .await
            .expect("read"),
        [None; 3]
    );
}

/// Runs SQL by hand.
async fn by_hand(store: &SqliteStore, sql: &'static str) {
    let mut slot = store.writer_slot().await;
    let mut connection = store.take_writer(&mut slot).await.expect("a connection");
    sqlx::query(sql).execute(&mut connection).await.expect("done");
    *slot = Some(connection);
}

#[tokio::test]
async fn damaged_rows_are_left_out_and_counted() {
    let (_directory, store) = open().await;
    let batch = Batch {
        now_ms: HOUR,
        intervals: vec![interval(HOUR)],
        ..Batch::default()
    };
    store.write_history(&batch, |_| ()).await.expect("written");
    by_hand(&store, "UPDATE history SET total = x'00' WHERE kind = 0").await;
    by_hand(&store, "UPDATE history SET sums = '[' WHERE kind = 1").await;
    let mut reading = Reading::begin(store.path()).await.expect("read");
    let rolled_up = reading.roll_up(HOUR + 2 * MINUTE_MS).await.expect("read").expect("due");
    assert_eq!((rolled_up.rows.len(), reading.damaged), (Kind::ALL.len() - 2, 2));
    // The same ten seconds again: what cannot be added to begins anew.
    let written = store.write_history(&batch, |_| ()).await.expect("written");
    assert_eq!(written.damaged, 2);
    let written = store.write_history(&batch, |_| ()).await.expect("written");
    assert_eq!(written.damaged, 0);
}

#[tokio::test]
async fn slow_requests_of_other_versions_are_told_as_far_as_they_can_be() {
    let (_directory, store) = open().await;
    let slow = crate::core::history::slow::shown(&finished(HOUR));
    let batch = Batch {
        now_ms: HOUR,
        slow: vec![(HOUR, slow.clone()), (HOUR, slow)],
        ..Batch::default()
    };
    store.write_history(&batch, |_| ()).await.expect("written");
    by_hand(&store, "UPDATE slow_request SET detail = '[' WHERE id = 1").await;
    by_hand(
        &store,
        "UPDATE slow_request SET detail = json_set(json_remove(detail, '$.body_ms', '$.attempts[0].status'), '$.new', 1) WHERE id = 2",
    )
    .await;
    let mut reading = Reading::begin(store.path()).await.expect("read");
    let time = (HOUR, HOUR + MINUTE_MS);
    let found = reading.slowest(time, &Filter::default(), Latency::Overhead, 9).await;
    let found = found.expect("read");
    assert_eq!((found.len(), reading.damaged), (1, 1));
    assert_eq!((found[0].body_ms, found[0].attempts[0].status), (0.0, 0));
    assert_eq!((found[0].overhead_ms, &*found[0].client), (0.4, "shop"));
}

#[tokio::test]
async fn of_each_kind_only_the_newest_events_stay() {
    let (_directory, store) = open().await;
    let event = |id, kind: &str| StoredEvent {
        id,
        at_ms: HOUR,
        severity: "info".to_owned(),
        kind: kind.to_owned(),
        subject: None,
        text: String::new(),
        advice: None,
    };
    let mut events = vec![event(1, "reload")];
    events.extend((2..EVENTS_OF_A_KIND_MAX + 5).map(|id| event(id, "throttle")));
    let batch = Batch {
        now_ms: HOUR,
        events,
        ..Batch::default()
    };
    let written = store.write_history(&batch, |_| ()).await.expect("written");
    assert_eq!(written.newest_event, EVENTS_OF_A_KIND_MAX + 4);
    let mut reading = Reading::begin(store.path()).await.expect("read");
    let mut oldest = async |kind| {
        let wanted = events::EventsWanted {
            kind: Some(kind),
            after_id: Some(0),
            limit: usize::MAX >> 1,
            ..events::EventsWanted::default()
        };
        let found = reading.events(&wanted).await.expect("read");
        (found.len() as u64, found[0].id)
    };
    assert_eq!(oldest("throttle").await, (EVENTS_OF_A_KIND_MAX, 5));
    assert_eq!(oldest("reload").await, (1, 1), "it is older, and another kind");
}

#[tokio::test]
async fn an_events_number_that_another_gateway_took_is_the_next_that_is_free() {
    let (_directory, store) = open().await;
    let event = |id, text: &str| StoredEvent {
        id,
        at_ms: HOUR,
        severity: "info".to_owned(),
        kind: "process".to_owned(),
        subject: None,
        text: text.to_owned(),
        advice: None,
    };
    for events in [
        vec![event(1, "ours"), event(2, "ours too")],
        vec![event(1, "theirs"), event(2, "theirs too")],
    ] {
        let batch = Batch {
            now_ms: HOUR,
            events,
            ..Batch::default()
        };
        store.write_history(&batch, |_| ()).await.expect("written");
    }
    let wanted = events::EventsWanted {
        limit: 9,
        ..events::EventsWanted::default()
    };
    let found = Reading::begin(store.path())
        .await
        .expect("read")
        .events(&wanted)
        .await
        .expect("read");
    let told: Vec<_> = found.iter().map(|event| (event.id, &*event.text)).collect();
    assert_eq!(told, [(4, "theirs too"), (3, "theirs"), (2, "ours too"), (1, "ours")]);
}
