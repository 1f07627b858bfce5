//! What happens to the configuration by way of the operator's page.

use std::error::Error;
use std::path::Path;

use tracing::{error, info, warn};

use crate::telemetry::events::lines::OneLine;
use crate::telemetry::journal::{EventKind, Note, Severity};
use crate::telemetry::metrics::Metrics;

/// Somebody changed the configuration on the page, and it is in use.
#[derive(Debug)]
pub struct ConfigApplied<'a> {
    /// The file.
    pub path: &'a Path,
    /// Who.
    pub who: &'a str,
    /// How many configurations have been in use, this one included.
    pub generation: u64,
    /// What changed, in a line.
    pub summary: &'a str,
}

impl ConfigApplied<'_> {
    /// Logs it and notes it.
    pub fn emit(&self, metrics: &Metrics) {
        let text = format!("{} changed the configuration on the page: {}", self.who, self.summary);
        metrics
            .journal()
            .note(Note::new(Severity::Info, EventKind::Config, text));
        info!(path = %self.path.display(), who = self.who, generation = self.generation, "configuration changed on the page");
    }
}

/// A text was written, and its folder could not be synced.
#[derive(Debug)]
pub struct ConfigUnsynced<'a> {
    /// The file.
    pub path: &'a Path,
    /// Why.
    pub error: &'a dyn Error,
}

impl ConfigUnsynced<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(
            path = %self.path.display(), error = %self.error,
            "the configuration's file is written, but its folder could not be synced: a power cut now may bring the older text back"
        );
    }
}

/// A text that was written could not be put to use, and the older one is in the file again.
#[derive(Debug)]
pub struct ConfigPutBack<'a> {
    /// The file.
    pub path: &'a Path,
    /// Who had changed it.
    pub who: &'a str,
    /// Why.
    pub error: &'a str,
}

impl ConfigPutBack<'_> {
    /// Logs it and notes it.
    pub fn emit(&self, metrics: &Metrics) {
        let text = format!(
            "the configuration that {} wrote on the page could not be put to use, the older text is in the file again: {}",
            self.who,
            OneLine(&self.error)
        );
        metrics
            .journal()
            .note(Note::new(Severity::Warn, EventKind::Config, text));
        warn!(
            path = %self.path.display(), who = self.who, error = %OneLine(&self.error),
            "configuration could not be put to use, the older text is in the file again"
        );
    }
}

/// The file holds a text that could not be put to use, and the older one could not be written back.
#[derive(Debug)]
pub struct ConfigLeftBroken<'a> {
    /// The file.
    pub path: &'a Path,
    /// Why the older text is not there.
    pub error: &'a dyn Error,
}

impl ConfigLeftBroken<'_> {
    /// Logs it and notes it.
    pub fn emit(&self, metrics: &Metrics) {
        let text = format!(
            "`{}` holds a configuration that cannot be used, and the older text could not be written back: {}",
            self.path.display(),
            self.error
        );
        let note = Note::new(Severity::Error, EventKind::Config, text);
        metrics
            .journal()
            .note(note.advise("put an earlier version into the file by hand before the next restart"));
        error!(
            path = %self.path.display(), error = %self.error,
            "the file holds a configuration that cannot be used, and the older text could not be written back; the older one stays in use until a restart"
        );
    }
}

/// A version of the configuration could not be kept.
#[derive(Debug)]
pub struct ConfigVersionLost<'a> {
    /// Why.
    pub error: &'a dyn Error,
}

impl ConfigVersionLost<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(error = %self.error, "cannot keep this version of the configuration; it is in use all the same");
    }
}
