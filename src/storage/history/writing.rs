//! The one transaction with all that ten seconds brought.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use crate::core::history::ask::Latency;
use crate::core::history::kept::{followed, old_before_ms};
use crate::core::history::lines::{Interval, Key, Kind, Line};
use crate::core::history::shown::SlowRequest;
use crate::core::history::slow::{SLOWEST_KEPT_MS, SLOWEST_MAX};
use crate::core::history::step::{KEPT_MS, Marks, Step};
use crate::storage::StoreError;
use crate::storage::history::reading::newest_event;
use crate::storage::history::{
    Batch, EVENTS_OF_A_KIND_MAX, State, StoredEvent, Written, columns, damaged, row, state, step_s,
};
use crate::storage::sqlite::SqliteStore;

/// Rows of a kind that are deleted at once: what grew too old in a minute is fewer.
const PURGED_MAX: i64 = 5_000;
/// How often that is done in one write: of what is left the next minute's takes its part, so that others who write do not wait for long.
const PURGES_MAX: usize = 4;

const ALL_TIMES: [Latency; 3] = [Latency::Ttft, Latency::Total, Latency::Overhead];

const UPSERT: &str = "INSERT INTO history (step_s, kind, start_ms, route, client, deployment, region, requests, sums, ttft, total, \
     overhead) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (step_s, kind, start_ms, route, client, deployment, region) DO UPDATE SET \
     requests = excluded.requests, sums = excluded.sums, ttft = excluded.ttft, total = excluded.total, \
     overhead = excluded.overhead";

impl SqliteStore {
    /// Writes all of a batch or nothing. Before it is committed, `committing` is told the write's number: whoever reads and finds
    /// that number or a greater one ([`State::writes`]) finds the batch in the store, anybody else does not.
    ///
    /// # Errors
    /// When the store cannot be written; the batch may be handed in again.
    pub async fn write_history(
        &self,
        batch: &Batch,
        committing: impl FnOnce(i64) + Send,
    ) -> Result<Written, StoreError> {
        let mut slot = self.writer_slot().await;
        let mut connection = self.take_writer(&mut slot).await?;
        let written = write(&mut connection, batch, committing).await?;
        *slot = Some(connection);
        Ok(written)
    }
}

async fn write(
    connection: &mut SqliteConnection,
    batch: &Batch,
    committing: impl FnOnce(i64) + Send,
) -> Result<Written, StoreError> {
    let mut written = Written::default();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let known = state(&mut transaction).await?;
    let mut now = known.unwrap_or_else(|| {
        // The first to write: from here on minutes and hours are made.
        let hour_ms = Step::Hour.floor(batch.now_ms);
        let marks = Marks {
            minute_ms: hour_ms,
            hour_ms,
        };
        State {
            marks,
            ..State::default()
        }
    });
    if let Some(rolled_up) = batch.rolled_up.as_ref().filter(|rolled_up| Some(rolled_up.of) == known) {
        for (step, start_ms, key, line) in &rolled_up.rows {
            put(&mut transaction, *step, *start_ms, key, line).await?;
        }
        now.marks = rolled_up.marks;
    }
    for interval in &batch.intervals {
        written.damaged += add_interval(&mut transaction, interval, &now.marks).await?;
    }
    for (minute_ms, request) in &batch.slow {
        put_slow(&mut transaction, *minute_ms, request).await?;
    }
    put_events(&mut transaction, &batch.events).await?;
    written.newest_event = newest_event(&mut transaction).await?;
    forget_slow(&mut transaction, batch.minute_over).await?;
    if batch.purges {
        let clock_ms = followed(now.clock_ms, batch.now_ms);
        let old_at_ms = clock_ms.min(batch.now_ms);
        let deleted_ms = forget_old(&mut transaction, batch, &now.marks, old_at_ms).await?;
        now.kept = now.kept.without(deleted_ms);
        now.clock_ms = Some(clock_ms);
        written.ahead_ms = batch.now_ms.saturating_sub(clock_ms).max(0);
    }
    now.kept = now.kept.at(batch.now_ms);
    now.writes += 1;
    put_state(&mut transaction, &now).await?;
    // The database is locked for other writers by now, so no other write has this number.
    committing(now.writes);
    transaction.commit().await?;
    Ok(written)
}

async fn put_state(connection: &mut SqliteConnection, state: &State) -> Result<(), StoreError> {
    let [seconds_from_ms, minutes_from_ms, hours_from_ms] = state.kept.given_ms();
    sqlx::query(
        "INSERT OR REPLACE INTO history_mark (id, minute_ms, hour_ms, writes, seconds_from_ms, minutes_from_ms, \
         hours_from_ms, clock_ms) VALUES (0, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(state.marks.minute_ms)
    .bind(state.marks.hour_ms)
    .bind(state.writes)
    .bind(seconds_from_ms)
    .bind(minutes_from_ms)
    .bind(hours_from_ms)
    .bind(state.clock_ms)
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds an interval's lines to its row of ten seconds, and to the longer ones that are made already. Says how many rows were damaged:
/// such a one begins anew.
async fn add_interval(
    connection: &mut SqliteConnection,
    interval: &Arc<Interval>,
    marks: &Marks,
) -> Result<u64, StoreError> {
    let mut damaged = 0;
    for (step, start_ms) in marks.rows_of(interval.start_ms) {
        let mut known = there(connection, step, start_ms, &mut damaged).await?;
        for (key, line) in interval.lines() {
            match known.remove(key) {
                None => put(connection, step, start_ms, key, line).await?,
                Some(mut both) => {
                    both.merge(line);
                    put(connection, step, start_ms, key, &both).await?;
                }
            }
        }
    }
    Ok(damaged)
}

/// The lines that a row has already: none as a rule. Those that cannot be read are counted.
async fn there(
    connection: &mut SqliteConnection,
    step: Step,
    start_ms: i64,
    damaged: &mut u64,
) -> Result<HashMap<Key, Line>, StoreError> {
    let columns = columns(&ALL_TIMES);
    let select = format!("SELECT {columns} FROM history WHERE step_s = ? AND kind BETWEEN 0 AND 5 AND start_ms = ?");
    let rows = sqlx::query(AssertSqlSafe(select))
        .bind(step_s(step))
        .bind(start_ms)
        .fetch_all(connection)
        .await?;
    let mut lines = HashMap::new();
    for found in &rows {
        match row(found, &mut 0) {
            Ok((_, key, line)) => {
                lines.insert(key, line);
            }
            Err(_) => *damaged += 1,
        }
    }
    Ok(lines)
}

async fn put(
    connection: &mut SqliteConnection,
    step: Step,
    start_ms: i64,
    key: &Key,
    line: &Line,
) -> Result<(), StoreError> {
    let sums = serde_json::to_string(&line.sums).map_err(damaged)?;
    sqlx::query(UPSERT)
        .bind(step_s(step))
        .bind(key.kind as i64)
        .bind(start_ms)
        .bind(Arc::clone(&key.route))
        .bind(Arc::clone(&key.client))
        .bind(Arc::clone(&key.deployment))
        .bind(Arc::clone(&key.region))
        .bind(line.sums.requests.cast_signed())
        .bind(sums)
        .bind(line.ttft.encoded())
        .bind(line.total.encoded())
        .bind(line.overhead.encoded())
        .execute(connection)
        .await?;
    Ok(())
}

async fn put_slow(connection: &mut SqliteConnection, minute_ms: i64, request: &SlowRequest) -> Result<(), StoreError> {
    let detail = serde_json::to_string(request).map_err(damaged)?;
    sqlx::query(
        "INSERT INTO slow_request (minute_ms, at_ms, route, client, deployment, region, ttft_ms, total_ms, overhead_ms, \
         detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(minute_ms)
    .bind(request.at_ms)
    .bind(request.route.clone())
    .bind(request.client.clone())
    .bind(request.deployment.clone())
    .bind(request.region.clone())
    .bind(request.first_token_ms)
    .bind(request.total_ms)
    .bind(request.overhead_ms)
    .bind(detail)
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores events; of each of their kinds only the newest stay.
async fn put_events(connection: &mut SqliteConnection, events: &[StoredEvent]) -> Result<(), StoreError> {
    for event in events {
        put_event(connection, event).await?;
    }
    let kinds: BTreeSet<&String> = events.iter().map(|event| &event.kind).collect();
    for kind in kinds {
        sqlx::query(
            "DELETE FROM event WHERE kind = ?1 AND id <= \
             (SELECT id FROM event WHERE kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(kind.clone())
        .bind(EVENTS_OF_A_KIND_MAX.cast_signed())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn put_event(connection: &mut SqliteConnection, event: &StoredEvent) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO event (id, at_ms, severity, kind, subject, text, advice) VALUES \
         (CASE WHEN EXISTS (SELECT 1 FROM event WHERE id = ?1) THEN (SELECT max(id) + 1 FROM event) ELSE ?1 END, \
         ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(event.id.cast_signed())
    .bind(event.at_ms)
    .bind(event.severity.clone())
    .bind(event.kind.clone())
    .bind(event.subject.clone())
    .bind(event.text.clone())
    .bind(event.advice.clone())
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes all but the slowest requests of a minute that is over.
async fn forget_slow(connection: &mut SqliteConnection, minute_over: Option<i64>) -> Result<(), StoreError> {
    let Some(minute_ms) = minute_over else {
        return Ok(());
    };
    sqlx::query(
        "DELETE FROM slow_request WHERE minute_ms = ?1 AND id NOT IN \
         (SELECT id FROM slow_request WHERE minute_ms = ?1 AND ttft_ms IS NOT NULL ORDER BY ttft_ms DESC LIMIT ?2) \
         AND id NOT IN (SELECT id FROM slow_request WHERE minute_ms = ?1 ORDER BY total_ms DESC LIMIT ?2) \
         AND id NOT IN (SELECT id FROM slow_request WHERE minute_ms = ?1 ORDER BY overhead_ms DESC LIMIT ?2)",
    )
    .bind(minute_ms)
    .bind(SLOWEST_MAX as i64)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes what is too old at this time, or too much. Rows of which no longer ones are made yet stay. Says up to when rows of each
/// length may be gone.
async fn forget_old(
    connection: &mut SqliteConnection,
    batch: &Batch,
    marks: &Marks,
    old_at_ms: i64,
) -> Result<[i64; Step::ALL.len()], StoreError> {
    let mut deleted_ms = [0; Step::ALL.len()];
    for ((step, most_ms), deleted_ms) in Step::ALL.into_iter().zip(batch.kept_from_ms).zip(&mut deleted_ms) {
        let kept_from_ms = old_before_ms(step, old_at_ms).max(most_ms.unwrap_or(i64::MIN));
        let rolled_up_ms = match step {
            Step::Seconds => marks.minute_ms,
            Step::Minute => marks.hour_ms,
            Step::Hour => i64::MAX,
        };
        *deleted_ms = kept_from_ms.min(rolled_up_ms);
        for kind in Kind::ALL {
            forget_rows(connection, step, kind, *deleted_ms).await?;
        }
    }
    sqlx::query("DELETE FROM slow_request WHERE minute_ms < ?")
        .bind(old_at_ms - SLOWEST_KEPT_MS)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM event WHERE at_ms < ?")
        .bind(old_at_ms - KEPT_MS)
        .execute(connection)
        .await?;
    Ok(deleted_ms)
}

/// Deletes rows before a time, in pieces, and not without end.
async fn forget_rows(
    connection: &mut SqliteConnection,
    step: Step,
    kind: Kind,
    before_ms: i64,
) -> Result<(), StoreError> {
    for _ in 0..PURGES_MAX {
        let done = sqlx::query(
            "DELETE FROM history WHERE id IN \
             (SELECT id FROM history WHERE step_s = ? AND kind = ? AND start_ms < ? ORDER BY start_ms LIMIT ?)",
        )
        .bind(step_s(step))
        .bind(kind as i64)
        .bind(before_ms)
        .bind(PURGED_MAX)
        .execute(&mut *connection)
        .await?;
        if done.rows_affected() < PURGED_MAX.cast_unsigned() {
            break;
        }
    }
    Ok(())
}
