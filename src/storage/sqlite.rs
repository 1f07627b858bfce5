//! The usage store in one SQLite file.
//!
//! WAL with `synchronous = NORMAL`: a commit is a write to the log file without waiting for the disk. What was
//! committed survives the end of the process in any form, `kill -9` included; a power failure may cost the last
//! moments but never damages the file. One connection writes; every reading opens its own read-only one, so that
//! a long report never holds up the writer.
//!
//! Two gateways on one file are safe for SQLite (they wait for each other, and rows of both are kept), so there is no
//! lock of our own; it is slower, and network file systems are not supported by WAL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqlSafeStr as _, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use crate::core::ledger::usage::UsageRecord;
use crate::storage::rows::{self, ROWS_MAX};
use crate::storage::{DeploymentSeen, DeploymentTotals, StoreError, UsageStore};

/// "EMBW", which `migrations/0001_usage.sql` writes into the file's header.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"EMBW");

/// How long a statement waits for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// SQLite's result codes for a damaged database and for a file that is none.
const DAMAGED_CODES: [&str; 2] = ["11", "26"];

/// A usage store in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// The writing connection; none after it failed, until the next write opens it again.
    writer: Mutex<Option<SqliteConnection>>,
}

impl SqliteStore {
    /// Opens the file for writing; makes it and its tables where they are missing.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, belongs to another program or to a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = connect_writer(path).await?;
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(Some(writer)),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the file: moves the log into it and removes the `-wal` and `-shm` files.
    ///
    /// # Errors
    /// When SQLite cannot; nothing that was written is lost then either.
    pub async fn close(&self) -> Result<(), StoreError> {
        match self.writer.lock().await.take() {
            Some(connection) => Ok(connection.close().await?),
            None => Ok(()),
        }
    }

    /// Runs statements in one transaction. A failing connection is dropped, so that the next write starts afresh.
    pub(super) async fn write(&self, statements: Vec<rows::Statement>) -> Result<u64, StoreError> {
        let mut slot = self.writer_slot().await;
        let mut connection = self.take_writer(&mut slot).await?;
        let affected = run_in_transaction(&mut connection, statements).await?;
        *slot = Some(connection);
        Ok(affected)
    }

    /// Where the writing connection is: whoever holds it writes alone.
    pub(super) async fn writer_slot(&self) -> MutexGuard<'_, Option<SqliteConnection>> {
        self.writer.lock().await
    }

    /// Takes the writing connection, to be put back after it worked; opens it again where it failed before.
    pub(super) async fn take_writer(
        &self,
        slot: &mut Option<SqliteConnection>,
    ) -> Result<SqliteConnection, StoreError> {
        match slot.take() {
            Some(connection) => Ok(connection),
            None => connect_writer(&self.path).await,
        }
    }
}

#[async_trait]
impl UsageStore for SqliteStore {
    async fn append(&self, records: &[UsageRecord]) -> Result<(), StoreError> {
        let changes = rows::changes(records);
        let usage = records.chunks(ROWS_MAX).map(rows::insert_usage);
        let totals = changes.chunks(ROWS_MAX).map(rows::add_to_deployments);
        let kept = rows::kept(records);
        let kept = kept.chunks(ROWS_MAX).map(rows::insert_kept);
        self.write(usage.chain(totals).chain(kept).collect()).await?;
        Ok(())
    }

    async fn note_deployments(&self, seen: &[DeploymentSeen]) -> Result<(), StoreError> {
        let changes: Vec<_> = seen.iter().map(rows::DeploymentChange::from).collect();
        self.write(changes.chunks(ROWS_MAX).map(rows::add_to_deployments).collect())
            .await?;
        Ok(())
    }

    async fn deployments(&self) -> Result<Vec<DeploymentTotals>, StoreError> {
        let mut connection = connect_reader(&self.path).await?;
        let totals = read_deployments(&mut connection).await?;
        connection.close().await?;
        Ok(totals)
    }

    async fn purge(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        let delete = sqlx::query(
            "DELETE FROM usage WHERE id IN \
             (SELECT id FROM usage WHERE started_at_ms < ? ORDER BY started_at_ms LIMIT ?)",
        )
        .bind(before_ms)
        .bind(i64::from(limit));
        // An hour's sums are few, so what has grown too old since the last time goes at once, and is not counted.
        let sums = sqlx::query("DELETE FROM miss WHERE hour_ms < ?").bind(before_ms);
        self.write(vec![sums]).await?;
        self.write(vec![delete]).await
    }

    async fn forget_responses(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        let delete = sqlx::query(
            "DELETE FROM kept_response WHERE key IN \
             (SELECT key FROM kept_response WHERE kept_at_ms < ? ORDER BY kept_at_ms LIMIT ?)",
        )
        .bind(before_ms)
        .bind(i64::from(limit));
        self.write(vec![delete]).await
    }
}

/// Reads every deployment's totals, by name.
///
/// # Errors
/// When SQLite refuses.
pub async fn read_deployments(connection: &mut SqliteConnection) -> Result<Vec<DeploymentTotals>, StoreError> {
    let rows = sqlx::query(
        "SELECT deployment, first_seen_ms, created_at_ms, last_success_at_ms, requests, successes, prompt_tokens, \
         cached_tokens, completion_tokens FROM deployment ORDER BY deployment",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| totals(row).map_err(StoreError::from)).collect()
}

fn totals(row: &SqliteRow) -> Result<DeploymentTotals, sqlx::Error> {
    Ok(DeploymentTotals {
        deployment: row.try_get::<String, _>(0)?.into(),
        first_seen_ms: row.try_get(1)?,
        created_at_ms: row.try_get(2)?,
        last_success_at_ms: row.try_get(3)?,
        requests: row.try_get(4)?,
        successes: row.try_get(5)?,
        prompt_tokens: row.try_get(6)?,
        cached_tokens: row.try_get(7)?,
        completion_tokens: row.try_get(8)?,
    })
}

async fn run_in_transaction(
    connection: &mut SqliteConnection,
    statements: Vec<rows::Statement>,
) -> Result<u64, StoreError> {
    // IMMEDIATE waits for other writers at the start; a lock taken later could not wait and would fail at once.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut affected = 0;
    for statement in statements {
        affected += statement.execute(&mut *transaction).await?.rows_affected();
    }
    transaction.commit().await?;
    Ok(affected)
}

/// Opens an existing store for reading, also while a gateway writes to it.
///
/// # Errors
/// When there is none, or it cannot be read.
pub async fn connect_reader(path: &Path) -> Result<SqliteConnection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing { path: path.to_owned() });
    }
    let mut connection = options(path)
        .read_only(true)
        .connect()
        .await
        .map_err(|error| classify(path, error))?;
    match owner(&mut connection).await.map_err(|error| classify(path, error))? {
        Owner::Emberway => Ok(connection),
        Owner::Nobody => Err(StoreError::Missing { path: path.to_owned() }),
        Owner::Other => Err(StoreError::Foreign { path: path.to_owned() }),
    }
}

async fn connect_writer(path: &Path) -> Result<SqliteConnection, StoreError> {
    refuse_foreign(path).await?;
    let mut connection = options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .connect()
        .await
        .map_err(|error| classify(path, error))?;
    migrator()
        .run_direct(None, &mut connection, false)
        .await
        .map_err(|source| StoreError::Migrate {
            path: path.to_owned(),
            source,
        })?;
    Ok(connection)
}

/// Looks at the file before anything is changed in it: switching another program's database to WAL is a change.
async fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    match connect_reader(path).await {
        Ok(connection) => Ok(connection.close().await?),
        Err(StoreError::Missing { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .thread_name(|_| "emberway-usage".to_owned())
        .disable_statement_logging()
}

/// Whose database it is.
enum Owner {
    Emberway,
    /// An empty one.
    Nobody,
    Other,
}

async fn owner(connection: &mut SqliteConnection) -> Result<Owner, sqlx::Error> {
    let id: i32 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(connection)
        .await?;
    Ok(match (id, tables) {
        (APPLICATION_ID, _) => Owner::Emberway,
        (0, 0) => Owner::Nobody,
        _ => Owner::Other,
    })
}

fn classify(path: &Path, source: sqlx::Error) -> StoreError {
    let path = path.to_owned();
    let code = source
        .as_database_error()
        .and_then(|error| error.code().map(std::borrow::Cow::into_owned));
    if code.is_some_and(|code| DAMAGED_CODES.contains(&code.as_str())) {
        StoreError::Damaged { path, source }
    } else {
        StoreError::Open { path, source }
    }
}

/// The migrations, embedded. Listed by hand: one line each is less than a procedural macro.
fn migrator() -> Migrator {
    let migration = |version, name: &'static str, text: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "usage", include_str!("../../migrations/0001_usage.sql")),
        migration(2, "misses", include_str!("../../migrations/0002_misses.sql")),
        migration(3, "served", include_str!("../../migrations/0003_served.sql")),
        migration(4, "responses", include_str!("../../migrations/0004_responses.sql")),
        migration(5, "fleet", include_str!("../../migrations/0005_fleet.sql")),
        migration(6, "lives", include_str!("../../migrations/0006_lives.sql")),
        migration(7, "leases", include_str!("../../migrations/0007_leases.sql")),
        migration(8, "audit", include_str!("../../migrations/0008_audit.sql")),
        migration(9, "history", include_str!("../../migrations/0009_history.sql")),
        migration(11, "versions", include_str!("../../migrations/0011_versions.sql")),
        migration(
            12,
            "history_kept",
            include_str!("../../migrations/0012_history_kept.sql"),
        ),
    ])
}

#[cfg(test)]
mod tests;
