//! Store and memory as of one moment: each request in one of both, and nobody waits for a store that others have locked.

use sqlx::Connection as _;

use super::*;
use crate::storage::history::Batch;
use crate::storage::history::reading::Reading;

#[tokio::test]
async fn a_store_that_others_have_locked_holds_up_neither_readers_nor_counting() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    world.run(HOUR, HOUR + 10_000, |_| 1).await;
    let url = format!("sqlite://{}", world.history.store.path().display());
    let mut other = sqlx::SqliteConnection::connect(&url).await.expect("a connection");
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .expect("locked");
    world.take(&[took(1)]).at(HOUR + 20_000);
    let World {
        mut writer,
        mut counting,
        history,
        ..
    } = world;
    let mut writing = Box::pin(writer.write());
    // It waits for the lock for five seconds, and cannot be done before.
    let waits = tokio::time::timeout(std::time::Duration::from_secs(1), &mut writing).await;
    assert!(waits.is_err(), "the store is locked");
    let asking = async {
        counting.take(&[took(1)]);
        counting.second(HOUR + 30_000);
        let asked = asked(HOUR, HOUR + MINUTE_MS);
        let (totals, _) = history.totals(&asked, By::None, HOUR + 30_000).await.expect("read");
        let slow = history.slowest(&asked, Latency::Total, 9).await.expect("read");
        let wanted = EventsWanted {
            limit: 9,
            ..EventsWanted::default()
        };
        let events = history.events(&wanted).await.expect("read");
        (totals[0].total.requests, slow.len(), events.len())
    };
    tokio::select! {
        biased;
        () = &mut writing => panic!("the answer waited for the writer"),
        told = asking => assert_eq!(told, (3, 0, 0)),
    }
    sqlx::query("COMMIT").execute(&mut other).await.expect("unlocked");
    writing.await;
    let asked = asked(HOUR, HOUR + MINUTE_MS);
    let (totals, _) = history.totals(&asked, By::None, HOUR + 30_000).await.expect("read");
    assert_eq!(totals[0].total.requests, 3);
}

#[tokio::test]
async fn whoever_asks_while_it_is_written_finds_each_request_once() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    let asked = asked(HOUR, HOUR + 60 * MINUTE_MS);
    for ten in 1..=100_u64 {
        let now_ms = HOUR + 10_000 * ten.cast_signed();
        world.take(&[took(1)]).at(now_ms);
        let history = Arc::clone(&world.history);
        let ask = async || {
            let (totals, _) = history.totals(&asked, By::None, now_ms).await.expect("read");
            totals[0].total.requests
        };
        // Some of them begin before the write, some while it runs, and some end after it.
        let told = tokio::join!(ask(), ask(), world.writer.write(), ask(), async {
            (ask().await, ask().await)
        });
        assert_eq!(told, (ten, ten, (), ten, (ten, ten)));
    }
}

#[tokio::test]
async fn what_is_being_written_is_in_memory_for_who_does_not_see_the_write() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    let mut request = finished(HOUR);
    request.record.total_us = 7;
    world.take(std::slice::from_ref(&request)).at(HOUR + 10_000);
    let note = |text: &str| Note::new(Severity::Info, EventKind::Process, text);
    world.history.journal.note_at(HOUR, note("one"));
    let history = &world.history;
    let earlier = Reading::begin(history.store.path()).await.expect("read");
    let (batch, write) = {
        let mut recent = history.recent.lock();
        let batch = Batch {
            intervals: recent.closed.iter().cloned().collect(),
            slow: recent.slow_news.clone(),
            events: Vec::new(),
            ..Batch::default()
        };
        recent.leave(1, &batch);
        (batch, 1)
    };
    assert_eq!((batch.intervals.len(), batch.slow.len()), (1, 1));
    world.counting.take(&[request]);
    let seen = |writes| {
        let recent = history.recent.lock();
        let memory = recent.in_memory(writes)?;
        Some((memory.closed().len(), memory.slow().count(), memory.is_stored(1)))
    };
    // Another request came meanwhile, to the interval that runs.
    assert_eq!(seen(write - 1), Some((1, 2, false)));
    assert_eq!(seen(write), Some((0, 1, false)));
    world.writer.write().await;
    assert_eq!(earlier.writes(), 0);
    assert_eq!(
        seen(earlier.writes()),
        None,
        "it left by a write that this reader does not see"
    );
    assert_eq!(seen(write), Some((0, 0, false)));
}

#[tokio::test]
async fn events_are_told_once_while_they_are_written() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    let history = Arc::clone(&world.history);
    for number in 1..=50 {
        let note = Note::new(Severity::Info, EventKind::Process, number.to_string());
        history.journal.note_at(HOUR, note);
        let ask = async || {
            let wanted = EventsWanted {
                limit: 99,
                ..EventsWanted::default()
            };
            history.events(&wanted).await.expect("read").len()
        };
        let told = tokio::join!(ask(), world.writer.write(), ask());
        assert_eq!(told, (number, (), number));
    }
}
