//! Store and memory as of one moment, without a lock that is held while the store is read or written: a store that another process has
//! locked for seconds holds up neither readers nor those who count.
//!
//! Every write of the history has a number that readers of the store see. The writer learns that of its own before it is committed,
//! while the database is locked for other writers, and notes it beside what is in memory ([`Leaving`]); once written, that leaves memory.
//! Who reads begins with the store, which says how many writes it sees, and looks at memory after that. What leaves by a write that it
//! sees is in the store, all else is in memory only. Where something has left meanwhile by a write that it does not see, it begins again.

use std::sync::Arc;

use crate::core::history::ask::Filter;
use crate::core::history::lines::{Interval, Key, Kind, Line};
use crate::core::history::shown::SlowRequest;
use crate::history::{History, Recent};
use crate::storage::StoreError;
use crate::storage::history::Batch;
use crate::storage::history::reading::Reading;

/// How often is begun: something leaves memory once in ten seconds, and reading begins within milliseconds. Where that does not help,
/// somebody has put an older file in the place of the store.
const BEGUN_MAX: usize = 3;

/// What is being written.
#[derive(Debug)]
pub(super) struct Leaving {
    /// The number of the write.
    write: i64,
    intervals: Vec<Arc<Interval>>,
    /// How many of the slow requests, the oldest.
    slow: usize,
    newest_event: Option<u64>,
}

/// What is in memory only.
pub(super) struct InMemory<'a> {
    recent: &'a Recent,
    /// What is in the store already.
    stored: Option<&'a Leaving>,
}

impl History {
    /// Begins to read the store, and looks at what is not in it yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn moment<T>(&self, look: impl Fn(InMemory<'_>) -> T) -> Result<(Reading, T), StoreError> {
        let mut begun = 0;
        loop {
            let reading = Reading::begin(self.store.path()).await?;
            begun += 1;
            let recent = self.recent.lock();
            let writes = match begun {
                BEGUN_MAX => reading.writes().max(recent.left),
                _ => reading.writes(),
            };
            if let Some(memory) = recent.in_memory(writes) {
                return Ok((reading, look(memory)));
            }
        }
    }
}

impl Recent {
    /// What is in memory only for who sees so many writes of the store; none where something has left by a later one.
    pub(super) fn in_memory(&self, writes: i64) -> Option<InMemory<'_>> {
        (writes >= self.left).then(|| InMemory {
            recent: self,
            stored: self.leaving.as_ref().filter(|leaving| leaving.write <= writes),
        })
    }

    /// This batch is about to be committed with a write of this number.
    pub(super) fn leave(&mut self, write: i64, batch: &Batch) {
        self.leaving = Some(Leaving {
            write,
            intervals: batch.intervals.clone(),
            slow: batch.slow.len(),
            newest_event: batch.events.last().map(|event| event.id),
        });
    }

    /// It was: what was written is forgotten. Says which event was the newest.
    pub(super) fn forget_left(&mut self) -> Option<u64> {
        let left = self.leaving.take()?;
        self.left = left.write;
        self.closed.retain(|interval| !left.has(interval));
        self.slow_news.drain(..left.slow.min(self.slow_news.len()));
        left.newest_event
    }
}

impl Leaving {
    fn has(&self, interval: &Arc<Interval>) -> bool {
        self.intervals.iter().any(|one| Arc::ptr_eq(one, interval))
    }
}

impl InMemory<'_> {
    /// Intervals that are over.
    pub(super) fn closed(&self) -> Vec<Arc<Interval>> {
        let is_here = |interval: &&Arc<Interval>| self.stored.is_none_or(|stored| !stored.has(interval));
        self.recent.closed.iter().filter(is_here).cloned().collect()
    }

    /// Lines of the interval that runs.
    pub(super) fn open(&self, kind: Kind, filter: &Filter) -> Vec<(i64, Key, Line)> {
        lines(&self.recent.open, kind, filter).collect()
    }

    /// Slow requests.
    pub(super) fn slow(&self) -> impl Iterator<Item = &SlowRequest> {
        let stored = self.stored.map_or(0, |stored| stored.slow);
        self.recent.slow_news.iter().skip(stored).map(|(_, request)| request)
    }

    /// Whether an event that memory takes for new is in the store already.
    pub(super) fn is_stored(&self, event: u64) -> bool {
        let newest = self.stored.and_then(|stored| stored.newest_event);
        newest.is_some_and(|newest| event <= newest)
    }
}

/// Lines of an interval that are asked for.
pub(super) fn lines(interval: &Interval, kind: Kind, filter: &Filter) -> impl Iterator<Item = (i64, Key, Line)> {
    let asked = move |(key, _): &(&Key, &Line)| key.kind == kind && key.is_in(filter);
    let lines = interval.lines().filter(asked);
    lines.map(|(key, line)| (interval.start_ms, key.clone(), line.clone()))
}
