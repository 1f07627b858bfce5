//! Writes what is in memory: every ten seconds, once, and at the end.
//!
//! A store that fails is tried again with the next ten seconds; what waits is bounded. Before writing it reads which longer rows are to be
//! made, apart from the transaction, so that others who write wait for the writing only. Where reading fails, what is recent is written
//! all the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::core::history::kept::AHEAD_MS_MAX;
use crate::core::history::step::Step;
use crate::history::History;
use crate::storage::StoreError;
use crate::storage::history::reading::Reading;
use crate::storage::history::{Batch, RolledUp, StoredEvent};
use crate::telemetry::events::history::{
    HistoryClockAhead, HistoryReadFailing, HistoryRowsDamaged, HistoryStoreFailing, HistoryStoreRecovered,
};
use crate::telemetry::journal::Event;

/// How long events wait for an interval's end where no request comes.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// How often rows are counted.
const COUNT_EVERY_MS: i64 = 10 * 60 * 1_000;

/// Writes a history.
#[derive(Debug)]
pub struct HistoryWriter {
    history: Arc<History>,
    now_ms: fn() -> i64,
    /// Minutes of which slow requests were written that may be too many.
    unsettled: BTreeSet<i64>,
    minute_ms: i64,
    counted_ms: i64,
    /// Where there were too many rows of a length when they were counted: from when on they are kept.
    kept_from_ms: [Option<i64>; Step::ALL.len()],
    /// Rows of a length that are kept at most.
    pub(super) rows_max: fn(Step) -> u64,
    is_failing: bool,
    /// Intervals that were lost before writing began to fail.
    lost_before: u64,
    /// Whether it was told that longer rows cannot be made.
    is_reading_failing: bool,
    /// Whether it was told that rows are damaged.
    is_damage_told: bool,
    /// How far the clock was ahead of what was written before, in milliseconds.
    ahead_ms: i64,
}

impl HistoryWriter {
    /// A writer; there is one for a history. `now_ms` reads the wall clock, in milliseconds since the Unix epoch.
    pub fn new(history: Arc<History>, now_ms: fn() -> i64) -> Self {
        Self {
            history,
            now_ms,
            unsettled: BTreeSet::new(),
            minute_ms: 0,
            counted_ms: 0,
            kept_from_ms: [None; Step::ALL.len()],
            rows_max: Step::rows_max,
            is_failing: false,
            lost_before: 0,
            is_reading_failing: false,
            is_damage_told: false,
            ahead_ms: 0,
        }
    }

    /// Writes until it is told to stop. What is left then is for [`HistoryWriter::write_last`].
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) -> Self {
        loop {
            tokio::select! {
                biased;
                // Whoever could say so is gone: the gateway has ended.
                _ = stopped.wait_for(|stopped| *stopped) => return self,
                () = self.history.over.notified() => {}
                () = tokio::time::sleep(WRITE_EVERY) => {}
            }
            self.write().await;
        }
    }

    /// Writes all that there is, the interval that runs included.
    pub async fn write_last(mut self) {
        {
            let mut recent = self.history.recent.lock();
            let next_ms = recent.open.start_ms + Step::Seconds.ms();
            recent.close(next_ms);
            recent.telling.tell_rest(&self.history.journal, (self.now_ms)());
        }
        self.write().await;
    }

    /// Writes what is over. A failure is told, and what could not be written stays.
    pub async fn write(&mut self) {
        match self.try_write().await {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                let lost = self.history.lost().saturating_sub(self.lost_before);
                HistoryStoreRecovered { lost }.emit(&self.history.journal);
            }
            Ok(()) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    self.lost_before = self.history.lost();
                    HistoryStoreFailing { error: &error }.emit(&self.history.journal);
                }
            }
        }
    }

    async fn try_write(&mut self) -> Result<(), StoreError> {
        let now_ms = (self.now_ms)();
        let minute_ms = Step::Minute.floor(now_ms);
        let is_counted = (now_ms - self.counted_ms).abs() < COUNT_EVERY_MS;
        let (rolled_up, failed) = match self.read(now_ms, is_counted).await {
            Ok(rolled_up) => (rolled_up, None),
            Err(error) => (None, Some(error)),
        };
        let mut batch = Batch {
            now_ms,
            rolled_up,
            kept_from_ms: self.kept_from_ms,
            ..Batch::default()
        };
        {
            let recent = self.history.recent.lock();
            batch.intervals = recent.closed.iter().cloned().collect();
            batch.slow.clone_from(&recent.slow_news);
        }
        batch.events = self.history.journal.unstored().into_iter().map(stored).collect();
        batch.minute_over = self.unsettled.first().copied().filter(|over| *over < minute_ms);
        batch.purges = self.minute_ms != minute_ms;
        let has_rows = batch.rolled_up.as_ref().is_some_and(|rolled| !rolled.rows.is_empty());
        let is_news = !(batch.intervals.is_empty() && batch.slow.is_empty() && batch.events.is_empty());
        if is_news || has_rows || batch.minute_over.is_some() || !is_counted {
            // A gateway without requests writes nothing.
            self.hand_over(&batch).await?;
            self.unsettled
                .extend(batch.slow.iter().map(|(minute_ms, _)| *minute_ms));
            if let Some(over) = batch.minute_over {
                self.unsettled.remove(&over);
            }
            self.minute_ms = minute_ms;
        }
        self.tell_reading(failed.as_ref());
        Ok(())
    }

    /// Reads which longer rows are to be made, and now and then how many there are.
    async fn read(&mut self, now_ms: i64, is_counted: bool) -> Result<Option<RolledUp>, StoreError> {
        let mut reading = Reading::begin(self.history.store.path()).await?;
        if !is_counted {
            self.kept_from_ms = reading.too_many(self.rows_max).await?;
            self.counted_ms = now_ms;
        }
        let rolled_up = reading.roll_up(now_ms).await?;
        self.tell_damaged(reading.damaged);
        Ok(rolled_up)
    }

    /// Writes a batch, and forgets what was written. Memory is locked for moments only, never while the store is written.
    async fn hand_over(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let history = &self.history;
        let committing = |write| history.recent.lock().leave(write, batch);
        let written = history.store.write_history(batch, committing).await;
        let written = {
            let mut recent = history.recent.lock();
            let Ok(written) = written else {
                recent.leaving = None;
                return written.map(|_| ());
            };
            if let Some(newest) = recent.forget_left() {
                history.journal.note_stored(newest, written.newest_event);
            }
            written
        };
        self.tell_damaged(written.damaged);
        if batch.purges {
            self.tell_ahead(written.ahead_ms);
        }
        Ok(())
    }

    /// Tells once where reading has begun to fail.
    fn tell_reading(&mut self, failed: Option<&StoreError>) {
        let was_failing = std::mem::replace(&mut self.is_reading_failing, failed.is_some());
        if let Some(error) = failed.filter(|_| !was_failing) {
            HistoryReadFailing { error }.emit(&self.history.journal);
        }
    }

    /// Tells once where the clock is far ahead of what was written before.
    fn tell_ahead(&mut self, ahead_ms: i64) {
        let was_ahead_ms = std::mem::replace(&mut self.ahead_ms, ahead_ms);
        if ahead_ms > AHEAD_MS_MAX && was_ahead_ms <= AHEAD_MS_MAX {
            HistoryClockAhead { ahead_ms }.emit(&self.history.journal);
        }
    }

    /// Tells once in the life of the process that rows are damaged.
    fn tell_damaged(&mut self, rows: u64) {
        if rows > 0 && !std::mem::replace(&mut self.is_damage_told, true) {
            HistoryRowsDamaged { rows }.emit(&self.history.journal);
        }
    }
}

fn stored(event: Event) -> StoredEvent {
    StoredEvent {
        id: event.id,
        at_ms: event.at_ms,
        severity: event.severity.as_ref().to_owned(),
        kind: event.kind.as_ref().to_owned(),
        subject: event.subject,
        text: event.text,
        advice: event.advice,
    }
}
