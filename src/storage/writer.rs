//! The one task that carries usage records from the queue to the store, and deletes old ones.
//!
//! A record is on disk at most 100 ms plus one write after its request finished, which is what an abrupt end of the
//! process can lose. A store that fails is tried again, for ever, with growing pauses: its records stay in the queue,
//! whose bound decides what happens to further ones. Changes of state are told once, not every failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::core::calendar::DAY_MS;
use crate::core::ledger::kept::KEPT_FOR_MS;
use crate::core::ledger::usage::UsageRecord;
use crate::storage::queue::{BATCH_FULL, Shared, UsageQueue};
use crate::storage::{StoreError, UsageStore};

/// How long the first record of a batch waits for others.
const GATHER: Duration = Duration::from_millis(100);

/// First pause after a failed write; it doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// Longest pause between failed writes.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How often old records are looked for.
const PURGE_EVERY: Duration = Duration::from_hours(1);

/// Old records deleted at once: some milliseconds of work, after which waiting records get their turn.
const PURGE_CHUNK: u32 = 1_000;

/// How much is queued and how long records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// Most records waiting to be written, at least 1.
    pub capacity: usize,
    /// Days that records are kept; none keeps them for ever.
    pub keep_days: Option<u32>,
}

/// A change that operators should hear of.
#[derive(Debug)]
pub enum StoreChange<'a> {
    /// Writing or purging has begun to fail; told once, not again until it has recovered.
    Failing {
        /// Why.
        error: &'a StoreError,
    },
    /// The store works again.
    Recovered {
        /// How many tries had failed.
        failures: u32,
        /// Records dropped meanwhile because the queue was full.
        dropped: u64,
    },
}

/// Hears of changes; called on the writing task, so it must not block.
pub type StoreObserver = Box<dyn Fn(StoreChange<'_>) + Send + Sync>;

/// The writing side of a [`UsageQueue`].
pub struct UsageWriter {
    shared: Arc<Shared>,
    store: Arc<dyn UsageStore>,
    keep_days: Option<u32>,
    now_ms: fn() -> i64,
    health: Health,
}

/// Whether the store works, and what was told about it.
struct Health {
    observer: StoreObserver,
    failures: u32,
    dropped_before: u64,
}

/// Makes a queue and its writer. `now_ms` reads the wall clock, for the retention only.
pub fn usage_queue(
    settings: QueueSettings,
    store: Arc<dyn UsageStore>,
    now_ms: fn() -> i64,
    observer: StoreObserver,
) -> (UsageQueue, UsageWriter) {
    let queue = UsageQueue::new(settings.capacity);
    let writer = UsageWriter {
        shared: Arc::clone(&queue.shared),
        store,
        keep_days: settings.keep_days,
        now_ms,
        health: Health {
            observer,
            failures: 0,
            dropped_before: 0,
        },
    };
    (queue, writer)
}

impl UsageWriter {
    /// Writes what comes into the queue, for ever. To end it, [`UsageQueue::flush`] and then drop this future.
    pub async fn run(mut self) {
        let mut purge_at = Instant::now();
        let mut purging = false;
        let mut batch = Vec::new();
        loop {
            if self.shared.len() == 0 && !purging {
                tokio::select! {
                    () = self.shared.wake.notified() => {}
                    () = tokio::time::sleep_until(purge_at) => {}
                }
            }
            // Looked at in every round, since under load the queue is never found empty.
            if Instant::now() >= purge_at {
                purge_at = Instant::now() + PURGE_EVERY;
                purging = true;
            }
            if purging {
                purging = self.purge_chunk().await;
            }
            if self.shared.len() > 0 {
                self.gather().await;
                self.shared.take(&mut batch);
                for part in batch.chunks(BATCH_FULL) {
                    self.write(part).await;
                }
            }
        }
    }

    /// Waits for more records: until the batch is full, its time is up, or somebody flushes.
    async fn gather(&self) {
        let end = Instant::now() + GATHER;
        while self.shared.len() < self.shared.batch_full && !self.shared.urgent.load(Ordering::Acquire) {
            if tokio::time::timeout_at(end, self.shared.wake.notified()).await.is_err() {
                break;
            }
        }
        self.shared.urgent.store(false, Ordering::Release);
    }

    /// Writes one batch, however often it takes.
    async fn write(&mut self, records: &[UsageRecord]) {
        while let Err(error) = self.store.append(records).await {
            let pause = backoff(self.health.failed(&self.shared, &error));
            self.pause(pause).await;
        }
        self.shared.settle(records.len());
        self.health.worked(&self.shared);
    }

    /// Waits, but no longer once somebody flushes.
    async fn pause(&self, pause: Duration) {
        let end = Instant::now() + pause;
        while !self.shared.urgent.swap(false, Ordering::AcqRel) {
            if tokio::time::timeout_at(end, self.shared.wake.notified()).await.is_err() {
                break;
            }
        }
    }

    /// Deletes one chunk of old records, and one of responses that Azure has deleted, and says whether there may be more. A failure
    /// ends this hour's purge.
    async fn purge_chunk(&mut self) -> bool {
        match self.try_purge_chunk().await {
            Ok((purged, forgotten)) => {
                self.shared.stats().purged.fetch_add(purged, Ordering::Relaxed);
                self.health.worked(&self.shared);
                purged.max(forgotten) >= u64::from(PURGE_CHUNK)
            }
            Err(error) => {
                self.health.failed(&self.shared, &error);
                false
            }
        }
    }

    /// Records and responses deleted.
    async fn try_purge_chunk(&self) -> Result<(u64, u64), StoreError> {
        let now_ms = (self.now_ms)();
        let forgotten = self
            .store
            .forget_responses(now_ms.saturating_sub(KEPT_FOR_MS), PURGE_CHUNK)
            .await?;
        let Some(days) = self.keep_days else {
            return Ok((0, forgotten));
        };
        let before_ms = now_ms.saturating_sub(i64::from(days) * DAY_MS);
        Ok((self.store.purge(before_ms, PURGE_CHUNK).await?, forgotten))
    }
}

impl Health {
    /// Counts a failure, tells of the first one, and returns how many there were in a row.
    fn failed(&mut self, shared: &Shared, error: &StoreError) -> u32 {
        shared.stats().write_errors.fetch_add(1, Ordering::Relaxed);
        if self.failures == 0 {
            self.dropped_before = shared.stats().dropped.load(Ordering::Relaxed);
            (self.observer)(StoreChange::Failing { error });
        }
        self.failures = self.failures.saturating_add(1);
        self.failures
    }

    /// Tells of a recovery, if there was something to recover from.
    fn worked(&mut self, shared: &Shared) {
        if self.failures > 0 {
            let dropped = shared.stats().dropped.load(Ordering::Relaxed);
            (self.observer)(StoreChange::Recovered {
                failures: self.failures,
                dropped: dropped.saturating_sub(self.dropped_before),
            });
            self.failures = 0;
        }
    }
}

/// The pause after the given number of failures in a row.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests;
