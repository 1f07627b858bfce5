//! The bounded queue between finished requests and the task that writes them.
//!
//! Putting a record in is a compare-and-swap and a short lock; the writing task is woken only by the first record of
//! a batch and by the one that fills it, never by each, because a wake-up costs more than everything else here.
//! A record's place is given back only when the record is on disk, so the bound covers records in the writer's hands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};

use crate::core::ledger::usage::UsageRecord;

/// Records that are written at once without waiting for more; fewer where the queue holds fewer.
pub(super) const BATCH_FULL: usize = 512;

/// Where finished requests leave their records. Cloning gives another handle to the same queue.
#[derive(Debug, Clone)]
pub struct UsageQueue {
    pub(super) shared: Arc<Shared>,
}

/// What the handles and the writer share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Records in order of arrival.
    waiting: Mutex<Vec<UsageRecord>>,
    /// How many there ever were, those included that still wait for room.
    expected: AtomicU64,
    /// Records that are written at once: [`BATCH_FULL`], or the capacity, since a full queue cannot wait for more.
    pub(super) batch_full: usize,
    /// One permit a place; a queued record has taken one.
    room: Semaphore,
    /// Wakes the writer: a first record, a full batch, a flush.
    pub(super) wake: Notify,
    /// Whether the writer should neither gather nor back off.
    pub(super) urgent: AtomicBool,
    /// How many of the expected records are on disk, or were given up.
    pub(super) settled: watch::Sender<u64>,
    stats: UsageStats,
}

/// A record that waits for room: a flush waits for it too. Where the caller stops waiting it is counted as dropped.
struct Promise<'a> {
    shared: &'a Shared,
    is_kept: bool,
}

/// Counters of the queue and its writer since the process started. What waits is `accepted - written`; a gauge of it
/// would show whatever the moment of the scrape happened to be.
#[derive(Debug, Default)]
pub struct UsageStats {
    /// Records taken into the queue.
    pub accepted: AtomicU64,
    /// Records on disk.
    pub written: AtomicU64,
    /// Records lost because the queue was full.
    pub dropped: AtomicU64,
    /// Transactions that wrote records.
    pub batches: AtomicU64,
    /// Writes that failed; each is tried again.
    pub write_errors: AtomicU64,
    /// Old records deleted.
    pub purged: AtomicU64,
}

/// The queue did not get everything to disk in time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{left}` usage records were not written in time; check the usage store")]
pub struct FlushError {
    /// How many were left.
    pub left: u64,
}

impl UsageQueue {
    /// A queue with room for `capacity` records, at least 1. Nothing empties it until
    /// [`UsageWriter::run`](super::writer::UsageWriter::run) does.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS);
        let shared = Shared {
            batch_full: capacity.min(BATCH_FULL),
            waiting: Mutex::default(),
            expected: AtomicU64::new(0),
            room: Semaphore::new(capacity),
            wake: Notify::new(),
            urgent: AtomicBool::new(false),
            settled: watch::Sender::new(0),
            stats: UsageStats::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Leaves a record without ever waiting; when the queue is full the record is dropped and counted. Says whether it
    /// was taken. The only choice where nothing can be awaited, as in a `Drop`.
    pub fn record(&self, record: UsageRecord) -> bool {
        let Ok(place) = self.shared.room.try_acquire() else {
            self.shared.stats.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        place.forget();
        self.shared.expected.fetch_add(1, Ordering::AcqRel);
        self.shared.push(record);
        true
    }

    /// Leaves a record; when the queue is full, waits until there is room. If the caller stops waiting, the record is dropped
    /// and counted.
    pub async fn record_or_wait(&self, record: UsageRecord) {
        let mut promise = Promise::new(&self.shared);
        // The semaphore is never closed; the promise keeps the books right should that change.
        if let Ok(place) = self.shared.room.acquire().await {
            place.forget();
            promise.is_kept = true;
            self.shared.push(record);
        }
    }

    /// Waits until every record is on disk that was left so far or waits for room, at most for `limit`.
    ///
    /// # Errors
    /// When the limit passes first; the writer goes on trying.
    pub async fn flush(&self, limit: Duration) -> Result<(), FlushError> {
        let target = self.shared.expected.load(Ordering::Acquire);
        let mut settled = self.shared.settled.subscribe();
        self.shared.urgent.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        let done = tokio::time::timeout(limit, settled.wait_for(|settled| *settled >= target)).await;
        match done {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(FlushError {
                left: target.saturating_sub(*self.shared.settled.borrow()),
            }),
        }
    }

    /// The counters.
    pub fn stats(&self) -> &UsageStats {
        &self.shared.stats
    }
}

impl<'a> Promise<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.expected.fetch_add(1, Ordering::AcqRel);
        Self { shared, is_kept: false }
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.shared.stats.dropped.fetch_add(1, Ordering::Relaxed);
            self.shared.settled.send_modify(|settled| *settled += 1);
        }
    }
}

impl Shared {
    /// Puts in a record whose place has been taken.
    fn push(&self, record: UsageRecord) {
        self.stats.accepted.fetch_add(1, Ordering::Relaxed);
        let length = {
            let mut waiting = self.waiting.lock();
            waiting.push(record);
            waiting.len()
        };
        if length == 1 || length == self.batch_full {
            self.wake.notify_one();
        }
    }

    /// How many records wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Exchanges the waiting records for an empty vector, so that both keep their memory.
    pub(super) fn take(&self, empty: &mut Vec<UsageRecord>) {
        empty.clear();
        std::mem::swap(&mut *self.waiting.lock(), empty);
    }

    /// Notes that records are on disk and gives back their places.
    pub(super) fn settle(&self, records: usize) {
        self.stats.written.fetch_add(records as u64, Ordering::Relaxed);
        self.stats.batches.fetch_add(1, Ordering::Relaxed);
        self.room.add_permits(records);
        self.settled.send_modify(|settled| *settled += records as u64);
    }

    pub(super) fn stats(&self) -> &UsageStats {
        &self.stats
    }
}
