//! What happens to the store of the history.

use std::error::Error;

use tracing::{info, warn};

use crate::telemetry::events::lines::Causes;
use crate::telemetry::journal::{EventKind, Journal, Note, Severity};

/// Writing the history has begun to fail.
#[derive(Debug)]
pub struct HistoryStoreFailing<'a> {
    /// Why.
    pub error: &'a (dyn Error + 'static),
}

impl HistoryStoreFailing<'_> {
    /// Logs and notes it. No money is charged by it.
    pub fn emit(&self, journal: &Journal) {
        warn!(error = %Causes(self.error), "cannot write the history; tried again every ten seconds");
        let text = "the history cannot be written: what is recent waits in memory and is tried again";
        journal.note(
            Note::new(Severity::Warn, EventKind::Store, text).advise(
                "look at the disk of `usage.path`: is it full, read-only or slow? The log tells what SQLite says",
            ),
        );
    }
}

/// The history is written, but cannot be read to make minutes and hours of it.
#[derive(Debug)]
pub struct HistoryReadFailing<'a> {
    /// Why.
    pub error: &'a (dyn Error + 'static),
}

impl HistoryReadFailing<'_> {
    /// Logs and notes it.
    pub fn emit(&self, journal: &Journal) {
        warn!(error = %Causes(self.error), "cannot read the history to make minutes and hours of it; tried again every ten seconds");
        let text = "the history cannot be read: it goes on being written, but minutes and hours are not made of it";
        journal.note(
            Note::new(Severity::Warn, EventKind::Store, text)
                .advise("look at the disk of `usage.path`: can the file be read? The log tells what SQLite says"),
        );
    }
}

/// Rows of the history cannot be read.
#[derive(Debug)]
pub struct HistoryRowsDamaged {
    /// How many were met at once.
    pub rows: u64,
}

impl HistoryRowsDamaged {
    /// Logs and notes it.
    pub fn emit(&self, journal: &Journal) {
        warn!(rows = self.rows, "rows of the history cannot be read and are left out");
        let text = match self.rows {
            1 => "a row of the history cannot be read; it is left out of all figures".to_owned(),
            rows => format!("{rows} rows of the history cannot be read; they are left out of all figures"),
        };
        journal.note(Note::new(Severity::Warn, EventKind::Store, text).advise(
            "look whether the disk of `usage.path` is sound, or a newer version wrote to the file; further such rows are not told",
        ));
    }
}

/// The clock is far ahead of when the history was last looked through for what is too old.
#[derive(Debug)]
pub struct HistoryClockAhead {
    /// By how much, in milliseconds; a day or more.
    pub ahead_ms: i64,
}

impl HistoryClockAhead {
    /// Logs and notes it.
    pub fn emit(&self, journal: &Journal) {
        let days = (self.ahead_ms as f64 / (24.0 * 60.0 * 60.0 * 1_000.0)).round();
        warn!(
            days,
            "the clock is far ahead of the history; what is too old by it goes bit by bit, not at once"
        );
        let days = if days < 1.5 {
            "a day".to_owned()
        } else {
            format!("{days} days")
        };
        let text =
            format!("the clock is {days} ahead of the history: what is too old by it goes bit by bit, not at once");
        journal.note(
            Note::new(Severity::Warn, EventKind::Store, text).advise(
                "look whether the host's clock is right; if it is, as after a long pause, there is nothing to do",
            ),
        );
    }
}

/// The history can be written again.
#[derive(Debug)]
pub struct HistoryStoreRecovered {
    /// Intervals of ten seconds that found no room in memory while it could not be written.
    pub lost: u64,
}

impl HistoryStoreRecovered {
    /// Logs and notes it.
    pub fn emit(&self, journal: &Journal) {
        info!(lost = self.lost, "the history is written again");
        let text = match self.lost {
            0 => "the history is written again, and nothing is missing".to_owned(),
            lost => format!("the history is written again; {lost} intervals of ten seconds are missing"),
        };
        journal.note(Note::new(Severity::Info, EventKind::Store, text));
    }
}
