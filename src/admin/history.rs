//! What the history can be asked: the seam between the admin listener and whoever keeps it.
//!
//! All questions are bounded: a series by [`POINTS_MAX`](crate::core::history::ask::POINTS_MAX) steps, lists by a limit, and few
//! are worked on at a time, so that asking cannot take a gateway's processors from its requests.

use async_trait::async_trait;
use tokio::sync::watch;

use crate::core::history::ask::{Asked, By, Latency};
use crate::core::history::shown::{Flows, Heatmap, Latest, Series, Slowest, Summary, Total};
use crate::telemetry::journal::{Event, EventKind, Severity};

/// The history of requests.
#[async_trait]
pub trait HistoryQueries: Send + Sync {
    /// Figures step by step, at most `points` of them (1 to 600). The step is 10 s, a minute, an hour or a multiple, and the time is
    /// widened to whole steps. It begins with the records at the earliest, and has no steps before them.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn series(&self, asked: &Asked, by: By, points: usize) -> Result<Series, HistoryError>;

    /// Figures of the whole time, by what was asked for.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn totals(&self, asked: &Asked, by: By) -> Result<Vec<Total>, HistoryError>;

    /// A time, the one before it, and what it costs; with the times that they are of.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn summary(&self, asked: &Asked) -> Result<Summary, HistoryError>;

    /// How long requests took, in at most `points` steps.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn heatmap(&self, asked: &Asked, of: Latency, points: usize) -> Result<Heatmap, HistoryError>;

    /// The slowest requests, at most `limit` (1 to 500), as far as each minute's slowest are kept: two days.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn slowest(&self, asked: &Asked, of: Latency, limit: usize) -> Result<Slowest, HistoryError>;

    /// Where requests went, and from where they went on.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn flows(&self, asked: &Asked) -> Result<Flows, HistoryError>;

    /// The last whole ten seconds, from memory.
    fn latest(&self) -> Latest;
}

/// What happened, in words.
#[async_trait]
pub trait EventQueries: Send + Sync {
    /// Events, newest first.
    ///
    /// # Errors
    /// [`HistoryError::Store`].
    async fn events(&self, asked: &EventsAsked) -> Result<Vec<Event>, HistoryError>;

    /// Events after this id, oldest first, at most so many: first from memory, and from the store where memory does not reach back.
    ///
    /// # Errors
    /// [`HistoryError::Store`].
    async fn events_after(&self, id: u64, most: usize) -> Result<Vec<Event>, HistoryError>;

    /// The newest event's id, and a way to wait for the next.
    fn newest(&self) -> watch::Receiver<u64>;
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsAsked {
    /// Of this kind.
    pub kind: Option<EventKind>,
    /// At least so severe.
    pub severity: Option<Severity>,
    /// Older than this one.
    pub before_id: Option<u64>,
    /// Not before this time, in milliseconds since the Unix epoch.
    pub from_ms: Option<i64>,
    /// Before this time.
    pub to_ms: Option<i64>,
    /// At most so many, 1 to 1,000.
    pub limit: usize,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The end is not after the beginning, or they are further apart than anything is kept.
    #[error("`from_ms` ({from_ms}) must be before `to_ms` ({to_ms}), and at most 400 days before it")]
    Range {
        /// The beginning asked for.
        from_ms: i64,
        /// The end asked for.
        to_ms: i64,
    },
    /// Too many are asking.
    #[error("other questions are being answered; ask again in a moment, or for a shorter time")]
    Busy,
    /// The store cannot be read.
    #[error("cannot read the history: {0}; the log says more")]
    Store(String),
}
