//! Reading the history as of one moment: whoever reads sees no write that was not there when reading began.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use crate::core::history::ask::{By, Filter, Latency};
use crate::core::history::kept::Kept;
use crate::core::history::lines::{Key, Kind, Line};
use crate::core::history::shown::{SlowAttempt, SlowRequest};
use crate::core::history::step::{Marks, Span, Step};
use crate::core::ledger::life::Life;
use crate::storage::StoreError;
use crate::storage::history::{RolledUp, State, columns, row, state, step_s};
use crate::storage::lives::read_lives;
use crate::storage::sqlite::connect_reader;

/// How much longer rows may be behind now before they are made: what this gateway counted is written by then.
const SETTLED_MS: i64 = 20_000;
/// Minutes that are made at once, and hours: more only where that was not done for long.
const MINUTES_AT_ONCE: i64 = 30;

/// Longest that a request is looked for after it came, in milliseconds.
const SLOW_MS_MAX: i64 = 60 * 60 * 1_000;

/// The store as of one moment.
#[derive(Debug)]
pub struct Reading {
    connection: SqliteConnection,
    state: Option<State>,
    /// Rows read so far.
    pub rows: u64,
    /// Histograms read so far.
    pub histograms: u64,
    /// Rows that cannot be read, damaged or of a newer version: they are left out.
    pub damaged: u64,
}

/// Which rows.
#[derive(Debug, Clone, Copy)]
pub struct RowsAsked<'a> {
    /// Of which time and length.
    pub span: Span,
    /// By what.
    pub kind: Kind,
    /// Which of them.
    pub filter: &'a Filter,
    /// Which of their times; those that are not asked for are not read.
    pub times: &'a [Latency],
}

impl Reading {
    /// Begins to read.
    ///
    /// # Errors
    /// When there is no store, or it cannot be read.
    pub async fn begin(path: &Path) -> Result<Self, StoreError> {
        let mut connection = connect_reader(path).await?;
        // What is read first says as of when everything else is.
        sqlx::query("BEGIN").execute(&mut connection).await?;
        let state = state(&mut connection).await?;
        Ok(Self {
            connection,
            state,
            rows: 0,
            histograms: 0,
            damaged: 0,
        })
    }

    /// How far longer rows have been made.
    pub fn marks(&self) -> Marks {
        self.state.unwrap_or_default().marks
    }

    /// From when on rows are whole.
    pub fn kept(&self) -> Kept {
        self.state.unwrap_or_default().kept
    }

    /// How many writes of history it sees.
    pub fn writes(&self) -> i64 {
        self.state.unwrap_or_default().writes
    }

    /// Hands over rows, in the order of their times. Those that are damaged are left out and counted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn each(
        &mut self,
        asked: RowsAsked<'_>,
        mut take: impl FnMut(i64, Key, Line) + Send,
    ) -> Result<(), StoreError> {
        let (columns, taken) = (columns(asked.times), condition(asked.filter));
        let select = format!(
            "SELECT {columns} FROM history WHERE step_s = ?1 AND kind = ?2 AND start_ms >= ?3 AND start_ms < ?4{taken} \
             ORDER BY start_ms"
        );
        let mut rows = sqlx::query(AssertSqlSafe(select))
            .bind(step_s(asked.span.step))
            .bind(asked.kind as i64)
            .bind(asked.span.from_ms)
            .bind(asked.span.to_ms)
            .bind(asked.filter.route.clone())
            .bind(asked.filter.client.clone())
            .bind(asked.filter.deployment.clone())
            .bind(asked.filter.region.clone())
            .fetch(&mut self.connection);
        while let Some(found) = rows.try_next().await? {
            self.rows += 1;
            match row(&found, &mut self.histograms) {
                Ok((start_ms, key, line)) => take(start_ms, key, line),
                Err(_) => self.damaged += 1,
            }
            // Rows may come without a wait; other tasks are to run all the same.
            tokio::task::consume_budget().await;
        }
        Ok(())
    }

    /// Requests by name, without reading more of the rows.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn requests_by(
        &mut self,
        asked: RowsAsked<'_>,
        by: By,
        into: &mut BTreeMap<Arc<str>, u64>,
    ) -> Result<(), StoreError> {
        let name = match by {
            By::None => "''",
            by => by.into(),
        };
        let taken = condition(asked.filter);
        let select = format!(
            "SELECT {name}, sum(requests) FROM history WHERE step_s = ?1 AND kind = ?2 AND start_ms >= ?3 \
             AND start_ms < ?4{taken} GROUP BY 1"
        );
        let rows = sqlx::query(AssertSqlSafe(select))
            .bind(step_s(asked.span.step))
            .bind(asked.kind as i64)
            .bind(asked.span.from_ms)
            .bind(asked.span.to_ms)
            .bind(asked.filter.route.clone())
            .bind(asked.filter.client.clone())
            .bind(asked.filter.deployment.clone())
            .bind(asked.filter.region.clone())
            .fetch_all(&mut self.connection)
            .await?;
        for found in rows {
            let requests: i64 = found.try_get(1)?;
            *into.entry(found.try_get::<&str, _>(0)?.into()).or_default() += requests.max(0).cast_unsigned();
        }
        Ok(())
    }

    /// The slowest requests of a time, at most so many, the slowest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn slowest(
        &mut self,
        (from_ms, to_ms): (i64, i64),
        filter: &Filter,
        of: Latency,
        limit: usize,
    ) -> Result<Vec<SlowRequest>, StoreError> {
        let taken = condition(filter);
        let column = match of {
            Latency::Ttft => "ttft_ms",
            Latency::Total => "total_ms",
            Latency::Overhead => "overhead_ms",
        };
        // They are stored by when they ended, and asked for by when they came.
        let select = format!(
            "SELECT detail FROM slow_request WHERE minute_ms >= ?1 - 60000 AND minute_ms < ?2 + ?4 AND at_ms >= ?1 \
             AND at_ms < ?2{taken} AND {column} IS NOT NULL ORDER BY {column} DESC LIMIT ?3"
        );
        let rows = sqlx::query(AssertSqlSafe(select))
            .bind(from_ms)
            .bind(to_ms)
            .bind(limit as i64)
            .bind(SLOW_MS_MAX)
            .bind(filter.route.clone())
            .bind(filter.client.clone())
            .bind(filter.deployment.clone())
            .bind(filter.region.clone())
            .fetch_all(&mut self.connection)
            .await?;
        let mut requests = Vec::new();
        for found in &rows {
            match slow_request(found.try_get(0)?) {
                Ok(request) => requests.push(request),
                Err(_) => self.damaged += 1,
            }
        }
        Ok(requests)
    }

    /// Makes longer rows of shorter ones, as far as is due; none where nothing is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn roll_up(&mut self, now_ms: i64) -> Result<Option<RolledUp>, StoreError> {
        let Some(of) = self.state else { return Ok(None) };
        let settled_ms = now_ms.saturating_sub(SETTLED_MS);
        let mut rolled_up = RolledUp {
            of,
            marks: of.marks,
            rows: Vec::new(),
        };
        rolled_up.marks.minute_ms = self
            .roll_up_to(Step::Minute, Step::Minute.floor(settled_ms), &mut rolled_up.rows)
            .await?;
        // Minutes that are only now made are not in the store yet.
        let hours_ms = Step::Hour.floor(of.marks.minute_ms.min(settled_ms));
        rolled_up.marks.hour_ms = self.roll_up_to(Step::Hour, hours_ms, &mut rolled_up.rows).await?;
        Ok((rolled_up.marks != of.marks).then_some(rolled_up))
    }

    /// Makes rows from the mark on, and says how far that went.
    async fn roll_up_to(
        &mut self,
        step: Step,
        to_ms: i64,
        into: &mut Vec<(Step, i64, Key, Line)>,
    ) -> Result<i64, StoreError> {
        let from_ms = self.marks().of(step);
        let (Some(shorter), true) = (step.shorter(), from_ms < to_ms) else {
            return Ok(from_ms);
        };
        // Times without any request are passed over.
        let first: Option<i64> = sqlx::query_scalar(
            "SELECT min(start_ms) FROM history WHERE step_s = ? AND kind = 0 AND start_ms >= ? AND start_ms < ?",
        )
        .bind(step_s(shorter))
        .bind(from_ms)
        .bind(to_ms)
        .fetch_one(&mut self.connection)
        .await?;
        let Some(first) = first else { return Ok(to_ms) };
        let at_once = if step == Step::Hour { 1 } else { MINUTES_AT_ONCE };
        let from_ms = step.floor(first);
        let to_ms = to_ms.min(from_ms + at_once * step.ms());
        for kind in Kind::ALL {
            let mut made: BTreeMap<(i64, Key), Line> = BTreeMap::new();
            let asked = RowsAsked {
                span: Span {
                    step: shorter,
                    from_ms,
                    to_ms,
                },
                kind,
                filter: &Filter::default(),
                times: &[Latency::Ttft, Latency::Total, Latency::Overhead],
            };
            self.each(asked, |start_ms, key, line| {
                made.entry((step.floor(start_ms), key)).or_default().merge(&line);
            })
            .await?;
            into.extend(
                made.into_iter()
                    .map(|((start_ms, key), line)| (step, start_ms, key, line)),
            );
        }
        Ok(to_ms)
    }

    /// From when on rows are to be kept so that there are at most so many of each length; none where there are not more.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn too_many(
        &mut self,
        rows_max: impl Fn(Step) -> u64,
    ) -> Result<[Option<i64>; Step::ALL.len()], StoreError> {
        let mut kept_from_ms = [None; Step::ALL.len()];
        for (step, kept) in Step::ALL.into_iter().zip(&mut kept_from_ms) {
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM history WHERE step_s = ?")
                .bind(step_s(step))
                .fetch_one(&mut self.connection)
                .await?;
            let beyond = count.saturating_sub_unsigned(rows_max(step));
            if beyond > 0 {
                let last: i64 = sqlx::query_scalar(
                    "SELECT start_ms FROM history WHERE step_s = ? ORDER BY start_ms LIMIT 1 OFFSET ?",
                )
                .bind(step_s(step))
                .bind(beyond - 1)
                .fetch_one(&mut self.connection)
                .await?;
                *kept = Some(last + step.ms());
            }
        }
        Ok(kept_from_ms)
    }

    /// When deployments were there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn lives(&mut self) -> Result<Vec<Life>, StoreError> {
        read_lives(&mut self.connection).await
    }

    /// The newest event's number, 0 without any.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn newest_event(&mut self) -> Result<u64, StoreError> {
        newest_event(&mut self.connection).await
    }

    /// The connection, for other tables as of the same moment.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

/// A slow request as it was stored; what an older version did not write is empty.
fn slow_request(detail: &str) -> Result<SlowRequest, serde_json::Error> {
    let mut read: Value = serde_json::from_str(detail)?;
    fill(&mut read, serde_json::to_value(SlowRequest::default())?);
    if let Some(Value::Array(attempts)) = read.get_mut("attempts") {
        for attempt in attempts {
            fill(attempt, serde_json::to_value(SlowAttempt::default())?);
        }
    }
    serde_json::from_value(read)
}

fn fill(value: &mut Value, missing: Value) {
    if let (Value::Object(members), Value::Object(missing)) = (value, missing) {
        for (name, empty) in missing {
            members.entry(name).or_insert(empty);
        }
    }
}

/// The newest event's number, 0 without any.
pub(super) async fn newest_event(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let newest: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM event")
        .fetch_one(connection)
        .await?;
    Ok(newest.unwrap_or(0).max(0).cast_unsigned())
}

/// What a filter asks of columns; its names are the parameters from the fifth on.
fn condition(filter: &Filter) -> String {
    let columns = [
        ("route", filter.route.is_some()),
        ("client", filter.client.is_some()),
        ("deployment", filter.deployment.is_some()),
        ("region", filter.region.is_some()),
    ];
    let mut sql = String::new();
    for (at, (column, _)) in columns.iter().enumerate().filter(|(_, (_, is_asked))| *is_asked) {
        // Writing to a string cannot fail.
        let _ = write!(sql, " AND {column} = ?{}", at + 5);
    }
    sql
}
