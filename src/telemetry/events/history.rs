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

/// The history can be written again.
#[derive(Debug)]
pub struct HistoryStoreRecovered {
    /// Intervals of ten seconds that found no room in memory since the process started.
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
