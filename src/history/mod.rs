//! WHAT did requests come to over time? Counts finished requests into the store, in the background, and answers from store and memory.
//!
//! [`counting`] adds requests up as they come, [`writer`] writes what ten seconds brought in one transaction, [`answers`] reads, by
//! `moment` each thing once. Why this needs no other database: `docs/adr/0019-history.md`. Nothing here is on a request's way.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::core::history::gather;
use crate::core::history::lines::{Interval, Kind};
use crate::core::history::shown::Latest;
use crate::core::history::shown::SlowRequest;
use crate::core::history::slow::SlowMinute;
use crate::core::history::step::Step;
use crate::core::ledger::life::Life;
use crate::history::moment::Leaving;
use crate::history::telling::Telling;
use crate::storage::StoreError;
use crate::storage::history::reading::Reading;
use crate::storage::sqlite::SqliteStore;
use crate::telemetry::journal::Journal;

pub mod answers;
pub mod counting;
mod moment;
pub mod telling;
pub mod writer;

/// Lines that wait for a store that fails: some 12 KB each, so 60 MB. A usual gateway's are those of an hour.
const WAITING_LINES_MAX: usize = 5_000;

/// The history of a gateway.
#[derive(Debug)]
pub struct History {
    store: Arc<SqliteStore>,
    journal: Arc<Journal>,
    recent: Mutex<Recent>,
    /// An interval is over.
    over: Notify,
}

/// What is not in the store yet.
#[derive(Debug)]
struct Recent {
    open: Interval,
    /// Intervals that are over and wait to be written, the oldest first.
    closed: VecDeque<Arc<Interval>>,
    /// The last that is over.
    latest: Arc<Interval>,
    slow: SlowMinute,
    /// Slow requests with the beginning of the minute in which they ended.
    slow_news: Vec<(i64, SlowRequest)>,
    telling: Telling,
    /// What is being written: still here, and perhaps in the store by now.
    leaving: Option<Leaving>,
    /// The number of the last write whose intervals are not here any more.
    left: i64,
    /// Intervals that were lost since the store failed for long.
    lost: u64,
}

impl History {
    /// The history in this store, from now on (milliseconds since the Unix epoch).
    pub fn new(store: Arc<SqliteStore>, journal: Arc<Journal>, now_ms: i64) -> Self {
        let start_ms = Step::Seconds.floor(now_ms);
        Self {
            store,
            journal,
            recent: Mutex::new(Recent {
                open: Interval::new(start_ms),
                closed: VecDeque::new(),
                latest: Arc::new(Interval::new(start_ms - Step::Seconds.ms())),
                slow: SlowMinute::default(),
                slow_news: Vec::new(),
                telling: Telling::default(),
                leaving: None,
                left: 0,
                lost: 0,
            }),
            over: Notify::new(),
        }
    }

    /// Continues the journal where the store ends.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn continue_journal(&self) -> Result<(), StoreError> {
        let mut reading = Reading::begin(self.store.path()).await?;
        self.journal.continue_after(reading.newest_event().await?);
        Ok(())
    }

    /// The last ten seconds that are over.
    pub fn latest(&self) -> Latest {
        let latest = Arc::clone(&self.recent.lock().latest);
        let all = latest.lines().find(|(key, _)| key.kind == Kind::All);
        Latest {
            at_ms: latest.start_ms,
            step_ms: Step::Seconds.ms(),
            figures: all.map(|(_, line)| gather::figures(line)).unwrap_or_default(),
        }
    }

    /// Where events are noted.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// When deployments were there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn lives(&self) -> Result<Vec<Life>, StoreError> {
        Reading::begin(self.store.path()).await?.lives().await
    }

    /// Intervals that were lost since the store failed for long.
    pub fn lost(&self) -> u64 {
        self.recent.lock().lost
    }
}

#[cfg(test)]
mod tests;
