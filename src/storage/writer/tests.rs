//! When records are written, and what happens when they cannot be; on a paused clock.

use std::sync::atomic::AtomicU32;
use std::task::Poll;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::*;
use crate::storage::queue::FlushError;
use crate::storage::sqlite::SqliteStore;
use crate::storage::testing::record;
use crate::storage::{DeploymentSeen, DeploymentTotals};

/// A store in memory that notes when what was written, and fails as often as told.
#[derive(Default)]
struct Memory {
    batches: Mutex<Vec<(Instant, usize)>>,
    failures_left: AtomicU32,
    purges: Mutex<Vec<i64>>,
    forgotten: Mutex<Vec<(i64, u32)>>,
    old_records: AtomicU32,
    purged_all: Notify,
}

#[async_trait]
impl UsageStore for Memory {
    async fn append(&self, records: &[UsageRecord]) -> Result<(), StoreError> {
        let left = self.failures_left.load(Ordering::Relaxed);
        if left > 0 {
            self.failures_left.store(left - 1, Ordering::Relaxed);
            return Err(StoreError::Statement(sqlx::Error::PoolTimedOut));
        }
        self.batches.lock().push((Instant::now(), records.len()));
        Ok(())
    }

    async fn note_deployments(&self, _seen: &[DeploymentSeen]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn deployments(&self) -> Result<Vec<DeploymentTotals>, StoreError> {
        Ok(Vec::new())
    }

    async fn forget_responses(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        self.forgotten.lock().push((before_ms, limit));
        Ok(0)
    }

    async fn purge(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        self.purges.lock().push(before_ms);
        let old = self.old_records.load(Ordering::Relaxed);
        let purged = old.min(limit);
        self.old_records.store(old - purged, Ordering::Relaxed);
        if old == purged {
            self.purged_all.notify_one();
        }
        Ok(u64::from(purged))
    }
}

/// Changes as they were told.
type Told = Arc<Mutex<Vec<String>>>;

fn start(capacity: usize, keep_days: Option<u32>) -> (UsageQueue, Arc<Memory>, Told) {
    let store = Arc::new(Memory::default());
    let told = Told::default();
    let hears = Arc::clone(&told);
    let observer: StoreObserver = Box::new(move |change| {
        hears.lock().push(match change {
            StoreChange::Failing { .. } => "failing".to_owned(),
            StoreChange::Recovered { failures, dropped } => format!("recovered after {failures}, {dropped} dropped"),
        });
    });
    let settings = QueueSettings { capacity, keep_days };
    let (queue, writer) = usage_queue(
        settings,
        Arc::clone(&store) as Arc<dyn UsageStore>,
        || 10 * DAY_MS,
        observer,
    );
    tokio::spawn(writer.run());
    (queue, store, told)
}

/// Waits, without asking for it to hurry, until so many records are on disk.
async fn settled(queue: &UsageQueue, records: u64) {
    let mut settled = queue.shared.settled.subscribe();
    settled
        .wait_for(|settled| *settled >= records)
        .await
        .expect("the queue lives");
}

#[tokio::test(start_paused = true)]
async fn a_record_is_written_within_a_quarter_of_a_second() {
    let (queue, store, _) = start(100, None);
    let begun = Instant::now();
    assert!(queue.record(record(1)), "there is room");
    settled(&queue, 1).await;
    let (at, records) = store.batches.lock()[0];
    assert_eq!(records, 1);
    assert!(at - begun <= Duration::from_millis(250), "took {:?}", at - begun);
}

#[tokio::test(start_paused = true)]
async fn records_that_come_together_are_one_batch() {
    let (queue, store, _) = start(100, None);
    for number in 0..40 {
        queue.record(record(number));
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    settled(&queue, 40).await;
    let sizes: Vec<usize> = store.batches.lock().iter().map(|(_, records)| *records).collect();
    assert_eq!(sizes, [40]);
    assert_eq!(queue.stats().batches.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_is_written_at_once() {
    let (queue, store, _) = start(2_000, None);
    let begun = Instant::now();
    for number in 0..BATCH_FULL as u32 {
        queue.record(record(number));
    }
    settled(&queue, BATCH_FULL as u64).await;
    assert_eq!(store.batches.lock().as_slice(), [(begun, BATCH_FULL)]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_written_at_once_however_small() {
    let (queue, store, _) = start(3, None);
    let begun = Instant::now();
    for number in 0..30 {
        queue.record_or_wait(record(number)).await;
    }
    settled(&queue, 30).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(store.batches.lock().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_and_counts() {
    let (queue, store, _) = start(3, None);
    let taken: Vec<bool> = (0..5).map(|number| queue.record(record(number))).collect();
    assert_eq!(taken, [true, true, true, false, false]);
    settled(&queue, 3).await;
    assert_eq!(queue.stats().dropped.load(Ordering::Relaxed), 2);
    assert!(queue.record(record(9)), "written records gave their places back");
    settled(&queue, 4).await;
    assert_eq!(
        store.batches.lock().iter().map(|(_, records)| records).sum::<usize>(),
        4
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_the_patient_wait_and_loses_nothing() {
    let (queue, store, _) = start(1, None);
    store.failures_left.store(3, Ordering::Relaxed);
    queue.record_or_wait(record(1)).await;
    let mut second = std::pin::pin!(queue.record_or_wait(record(2)));
    assert_eq!(futures_util::poll!(second.as_mut()), Poll::Pending);
    second.await;
    assert_eq!(
        store.batches.lock().len(),
        1,
        "room came only when the first record was on disk"
    );
    settled(&queue, 2).await;
    assert_eq!(queue.stats().dropped.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_records_that_wait_for_room() {
    let (queue, store, _) = start(1, None);
    store.failures_left.store(2, Ordering::Relaxed);
    queue.record_or_wait(record(1)).await;
    for number in 2..5 {
        let queue = queue.clone();
        tokio::spawn(async move { queue.record_or_wait(record(number)).await });
    }
    tokio::task::yield_now().await;
    let left = queue.flush(Duration::from_millis(1)).await;
    assert_eq!(left, Err(FlushError { left: 4 }), "none is on disk yet");
    queue
        .flush(Duration::from_mins(1))
        .await
        .expect("the store works again");
    let stats = queue.stats();
    assert_eq!(stats.written.load(Ordering::Relaxed), 4);
    assert_eq!(stats.dropped.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_caller_stops_waiting_is_counted_and_not_waited_for() {
    let (queue, store, _) = start(1, None);
    store.failures_left.store(1, Ordering::Relaxed);
    queue.record_or_wait(record(1)).await;
    {
        let mut gives_up = std::pin::pin!(queue.record_or_wait(record(2)));
        assert_eq!(futures_util::poll!(gives_up.as_mut()), Poll::Pending);
    }
    assert_eq!(queue.stats().dropped.load(Ordering::Relaxed), 1);
    queue.flush(Duration::from_mins(1)).await.expect("the first is written");
    assert_eq!(queue.stats().written.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_counted_and_told_once() {
    let (queue, store, told) = start(2, None);
    store.failures_left.store(4, Ordering::Relaxed);
    for number in 0..3 {
        queue.record(record(number));
    }
    settled(&queue, 2).await;
    tokio::task::yield_now().await;
    assert_eq!(queue.stats().write_errors.load(Ordering::Relaxed), 4);
    assert_eq!(
        *told.lock(),
        ["failing", "recovered after 4, 0 dropped"],
        "the third was dropped before any failure"
    );
}

#[tokio::test(start_paused = true)]
async fn flush_neither_gathers_nor_backs_off() {
    let (queue, store, _) = start(10, None);
    store.failures_left.store(1, Ordering::Relaxed);
    let begun = Instant::now();
    queue.record(record(1));
    let first = queue.flush(Duration::from_millis(1)).await;
    assert_eq!(
        first,
        Err(FlushError { left: 1 }),
        "the first try fails and the limit passes"
    );
    queue.flush(Duration::from_secs(1)).await.expect("the second try works");
    assert_eq!(
        begun.elapsed(),
        Duration::from_millis(1),
        "no pause of {BACKOFF_FIRST:?} was kept"
    );
    queue.flush(Duration::ZERO).await.expect("nothing is left to write");
}

#[tokio::test(start_paused = true)]
async fn responses_are_forgotten_after_thirty_days_whatever_is_kept_of_records() {
    for keep_days in [None, Some(7)] {
        let (_queue, store, _) = start(10, keep_days);
        tokio::time::sleep(2 * PURGE_EVERY + PURGE_EVERY / 2).await;
        assert_eq!(*store.forgotten.lock(), [(-20 * DAY_MS, PURGE_CHUNK); 3]);
        assert_eq!(store.purges.lock().is_empty(), keep_days.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn old_records_go_in_chunks_every_hour() {
    let (queue, store, _) = start(10, Some(7));
    store.old_records.store(2 * PURGE_CHUNK + 1, Ordering::Relaxed);
    store.purged_all.notified().await;
    assert_eq!(*store.purges.lock(), [3 * DAY_MS; 3]);
    let begun = Instant::now();
    store.purged_all.notified().await;
    assert_eq!(begun.elapsed(), PURGE_EVERY);
    assert_eq!(
        queue.stats().purged.load(Ordering::Relaxed),
        u64::from(2 * PURGE_CHUNK + 1)
    );
}

#[test]
fn pauses_double_up_to_a_bound() {
    let pauses: Vec<u128> = [1, 2, 3, 6, 7, 1_000]
        .map(|failures| backoff(failures).as_millis())
        .to_vec();
    assert_eq!(pauses, [100, 200, 400, 3_200, 5_000, 5_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_at_once_all_reach_the_file() {
    const TASKS: u32 = 8;
    const EACH: u32 = 300;
    let directory = tempfile::tempdir().expect("a directory");
    let store = Arc::new(
        SqliteStore::open(&directory.path().join("usage.db"))
            .await
            .expect("opened"),
    );
    let settings = QueueSettings {
        capacity: 64,
        keep_days: Some(7),
    };
    let (queue, writer) = usage_queue(
        settings,
        Arc::clone(&store) as Arc<dyn UsageStore>,
        || 0,
        Box::new(|_| {}),
    );
    let writing = tokio::spawn(writer.run());
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    queue.record_or_wait(record(task * EACH + number)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    queue.flush(Duration::from_secs(10)).await.expect("written in time");
    writing.abort();
    let totals = store.deployments().await.expect("read");
    assert_eq!(totals[0].requests, i64::from(TASKS * EACH));
    assert_eq!(queue.stats().dropped.load(Ordering::Relaxed), 0);
}
