//! The history in SQLite: lines of intervals, how far they have been rolled up, the slowest requests, events in words.
//!
//! One transaction writes all that ten seconds brought ([`Batch`]): their lines are merged with what is there already (another
//! gateway's, or this one's from before a restart or a clock that went back), rows that were rolled up meanwhile are entered if nobody
//! wrote since they were read, and what is too old goes. So a kill loses what was not handed in, and nothing is ever counted twice.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::core::history::ask::Latency;
use crate::core::history::kept::Kept;
use crate::core::history::lines::{Interval, Key, Kind, Line};
use crate::core::history::shown::SlowRequest;
use crate::core::history::step::{Marks, Step};
use crate::storage::StoreError;

pub mod events;
pub mod reading;
mod writing;

/// How far rolling up has come, and how often history was written: who read rows and finds another number writes nothing of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// How far longer rows have been made.
    pub marks: Marks,
    /// What was deleted.
    pub kept: Kept,
    /// The clock by which rows grow old, in milliseconds since the Unix epoch; none before the first deletion.
    pub clock_ms: Option<i64>,
    /// How often history was written. No two writes have the same number, whoever writes.
    pub writes: i64,
}

/// What is written at once.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Intervals of ten seconds that are over.
    pub intervals: Vec<Arc<Interval>>,
    /// Longer rows that were made.
    pub rolled_up: Option<RolledUp>,
    /// Slow requests, with the beginning of the minute in which they ended.
    pub slow: Vec<(i64, SlowRequest)>,
    /// The beginning of a minute that is over: of its slow requests only the slowest stay.
    pub minute_over: Option<i64>,
    /// What happened.
    pub events: Vec<StoredEvent>,
    /// Whether what is too old is to go.
    pub purges: bool,
    /// Where there are too many rows of a length: from when on they are kept.
    pub kept_from_ms: [Option<i64>; Step::ALL.len()],
}

/// Longer rows that were made of shorter ones.
#[derive(Debug, Clone, Default)]
pub struct RolledUp {
    /// As of which state of the store.
    pub of: State,
    /// How far they go now.
    pub marks: Marks,
    /// The rows: how long, from when on, whose, and what they came to.
    pub rows: Vec<(Step, i64, Key, Line)>,
}

/// An event, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Its number. Where another gateway has taken it, it gets the next one that is free.
    pub id: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// A word for how severe it is.
    pub severity: String,
    /// A word for what it is about.
    pub kind: String,
    /// Of whom.
    pub subject: Option<String>,
    /// A sentence.
    pub text: String,
    /// What to do.
    pub advice: Option<String>,
}

/// What came of a write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// The number of the newest event in the store, whoever wrote it; 0 without any.
    pub newest_event: u64,
    /// Rows that could not be read to be added to, and begin anew.
    pub damaged: u64,
    /// How far the wall clock is ahead of that by which rows grow old, in milliseconds; 0 where nothing was deleted.
    pub ahead_ms: i64,
}

/// Events of a kind that are kept at most: 3 MB. Each kind is bounded for itself, so that what happens often does not push out what
/// matters long.
pub const EVENTS_OF_A_KIND_MAX: u64 = 10_000;

/// A length as the store has it.
fn step_s(step: Step) -> i64 {
    step.ms() / 1_000
}

/// Reads the state; none while nothing was written.
async fn state(connection: &mut SqliteConnection) -> Result<Option<State>, StoreError> {
    let row = sqlx::query(
        "SELECT minute_ms, hour_ms, writes, seconds_from_ms, minutes_from_ms, hours_from_ms, clock_ms FROM history_mark \
         WHERE id = 0",
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(State {
        marks: Marks {
            minute_ms: row.try_get(0)?,
            hour_ms: row.try_get(1)?,
        },
        writes: row.try_get(2)?,
        kept: Kept::new([row.try_get(3)?, row.try_get(4)?, row.try_get(5)?]),
        clock_ms: row.try_get(6)?,
    }))
}

/// Columns of a line's row, in the order of [`row`]; times that are not asked for are not read.
fn columns(times: &[Latency]) -> String {
    let column = |of: Latency| if times.contains(&of) { of.into() } else { "NULL" };
    let [ttft, total, overhead] = [Latency::Ttft, Latency::Total, Latency::Overhead].map(column);
    format!("kind, start_ms, route, client, deployment, region, sums, {ttft}, {total}, {overhead}")
}

/// A row's beginning, whose it is, and what it came to; how many histograms that took is counted.
fn row(row: &SqliteRow, histograms: &mut u64) -> Result<(i64, Key, Line), StoreError> {
    let kind = Kind::of_number(row.try_get(0)?).ok_or(sqlx::Error::RowNotFound)?;
    let name = |at: usize| Ok::<Arc<str>, sqlx::Error>(row.try_get::<&str, _>(at)?.into());
    let key = Key {
        kind,
        route: name(2)?,
        client: name(3)?,
        deployment: name(4)?,
        region: name(5)?,
    };
    let mut line = Line {
        sums: serde_json::from_str(row.try_get(6)?).map_err(damaged)?,
        ..Line::default()
    };
    for (at, times) in [(7, &mut line.ttft), (8, &mut line.total), (9, &mut line.overhead)] {
        if let Some(bytes) = row.try_get::<Option<&[u8]>, _>(at)? {
            times.add_encoded(bytes).map_err(damaged)?;
            *histograms += 1;
        }
    }
    Ok((row.try_get(1)?, key, line))
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::from(sqlx::Error::Decode(Box::new(error)))
}

#[cfg(test)]
mod tests;
