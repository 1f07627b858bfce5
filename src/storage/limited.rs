//! Reads of the store for whoever looks while the gateway runs: few at a time, and each with an end.
//!
//! A report over millions of rows takes as long as it takes on a command line. Here it would keep a disk and a core from requests, so
//! SQLite itself is told to stop when its time is over; a reader that went away would not end it. Each read has a connection and
//! thread of its own, so no task of the gateway waits for a disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::storage::StoreError;
use crate::storage::sqlite::connect_reader;

/// How often SQLite asks whether it may go on, in its own instructions: a fraction of a millisecond apart.
const ASK_EVERY: i32 = 10_000;
/// SQLite's result code for a statement that was stopped.
const INTERRUPTED_CODE: &str = "9";

/// How reads are bounded.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// How many run at one time.
    pub running: usize,
    /// How long one waits for its turn.
    pub wait: Duration,
    /// How long one may take.
    pub time: Duration,
}

impl Default for ReadLimits {
    /// For a page: two at a time, each of half a minute.
    fn default() -> Self {
        Self {
            running: 2,
            wait: Duration::from_secs(10),
            time: Duration::from_secs(30),
        }
    }
}

/// Opens bounded reads of one store.
#[derive(Debug)]
pub struct LimitedReader {
    path: PathBuf,
    limits: ReadLimits,
    turns: Arc<Semaphore>,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadRefused {
    /// Others are reading.
    #[error("other reports are being read; ask again in some seconds")]
    Busy,
    /// It took too long.
    #[error("reading so much takes longer than this may; choose a shorter range, or use `emberway usage`")]
    TooLong,
    /// The store.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for ReadRefused {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Statement(cause) => cause.as_database_error().and_then(sqlx::error::DatabaseError::code),
            _ => None,
        };
        if code.is_some_and(|code| code == INTERRUPTED_CODE) {
            Self::TooLong
        } else {
            Self::Store(error)
        }
    }
}

/// A read that has its turn.
pub struct LimitedRead {
    /// To read by; statements fail once the time is over.
    pub connection: SqliteConnection,
}

/// A turn with its end. SQLite has it for as long as it works, so that it is taken also when whoever asked has left.
struct Turn {
    until: Instant,
    _held: OwnedSemaphorePermit,
}

impl Turn {
    fn lasts(&self) -> bool {
        Instant::now() < self.until
    }
}

impl LimitedReader {
    /// Of the store at this path.
    pub fn new(path: PathBuf, limits: ReadLimits) -> Self {
        Self {
            path,
            limits,
            turns: Arc::new(Semaphore::new(limits.running)),
        }
    }

    /// Waits for a turn and opens the store. The time begins when this returns.
    ///
    /// # Errors
    /// When others take too long, or the store cannot be read.
    pub async fn begin(&self) -> Result<LimitedRead, ReadRefused> {
        let turn = tokio::time::timeout(self.limits.wait, Arc::clone(&self.turns).acquire_owned()).await;
        // The semaphore is never closed.
        let Ok(Ok(turn)) = turn else {
            return Err(ReadRefused::Busy);
        };
        let mut connection = connect_reader(&self.path).await?;
        let turn = Turn {
            until: Instant::now() + self.limits.time,
            _held: turn,
        };
        connection
            .lock_handle()
            .await
            .map_err(StoreError::from)?
            .set_progress_handler(ASK_EVERY, move || turn.lasts());
        Ok(LimitedRead { connection })
    }
}

impl LimitedRead {
    /// Ends it in order.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub async fn end(self) -> Result<(), ReadRefused> {
        Ok(self.connection.close().await.map_err(StoreError::from)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::SqliteStore;

    fn limits(running: usize, time: Duration) -> ReadLimits {
        ReadLimits {
            running,
            wait: Duration::from_millis(50),
            time,
        }
    }

    #[tokio::test]
    async fn what_takes_too_long_is_stopped_by_sqlite_itself() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("usage.db");
        let _store = SqliteStore::open(&path).await.expect("opens");
        let reader = LimitedReader::new(path, limits(1, Duration::from_millis(50)));
        let mut read = reader.begin().await.expect("a turn");
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let counted: Result<i64, sqlx::Error> = sqlx::query_scalar(endless).fetch_one(&mut read.connection).await;
        let refused = ReadRefused::from(StoreError::from(counted.expect_err("it never ends")));
        assert!(matches!(refused, ReadRefused::TooLong), "{refused:?}");
    }

    #[tokio::test]
    async fn beyond_so_many_at_a_time_reads_wait_for_their_turn() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("usage.db");
        let _store = SqliteStore::open(&path).await.expect("opens");
        let reader = LimitedReader::new(path, limits(1, Duration::from_secs(20)));
        let first = reader.begin().await.expect("a turn");
        assert!(matches!(reader.begin().await, Err(ReadRefused::Busy)));
        first.end().await.expect("ends");
        assert!(reader.begin().await.is_ok());
    }

    #[tokio::test]
    async fn a_read_whose_asker_left_keeps_its_turn_until_it_is_stopped() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("usage.db");
        let _store = SqliteStore::open(&path).await.expect("opens");
        let reader = LimitedReader::new(path, limits(1, Duration::from_secs(1)));
        let mut read = reader.begin().await.expect("a turn");
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let asked = sqlx::query_scalar::<_, i64>(endless).fetch_one(&mut read.connection);
        tokio::time::timeout(Duration::from_millis(50), asked)
            .await
            .expect_err("it never ends");
        drop(read);
        assert!(matches!(reader.begin().await, Err(ReadRefused::Busy)));
        let patient = LimitedReader {
            path: reader.path.clone(),
            limits: ReadLimits {
                wait: Duration::from_secs(30),
                ..reader.limits
            },
            turns: Arc::clone(&reader.turns),
        };
        assert!(patient.begin().await.is_ok());
    }

    #[tokio::test]
    async fn a_store_that_is_missing_says_so() {
        let reader = LimitedReader::new(PathBuf::from("/nowhere/usage.db"), ReadLimits::default());
        assert!(matches!(
            reader.begin().await.err(),
            Some(ReadRefused::Store(StoreError::Missing { .. }))
        ));
    }
}
