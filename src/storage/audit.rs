//! Every write to Azure's control plane, before it is sent and when it has an answer: who, what, when, and what came of it.
//!
//! The table only grows; SQLite itself refuses to change or delete a row. It holds methods, paths and ids, never a token or a body; of
//! a body only model, SKU and capacity.

use std::path::Path;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, Row as _};
use strum::{AsRefStr, EnumString, IntoStaticStr};

use crate::storage::StoreError;
use crate::storage::sqlite::{SqliteStore, connect_reader};

/// A place that keeps what was done to the control plane.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Adds an entry.
    ///
    /// # Errors
    /// When the store cannot be written. What the entry is of must not be sent then.
    async fn add_audit(&self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// The newest entries, newest first, at most so many, none older than this time.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn audit(&self, since_ms: i64, most: u32) -> Result<Vec<AuditEntry>, StoreError>;
}

/// How far a write was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, AsRefStr, IntoStaticStr, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AuditPhase {
    /// It is about to be sent.
    Sent,
    /// It has an answer, or none will come.
    Answered,
    /// Somebody has followed its operation to the end.
    Ended,
}

/// A write, at one of its moments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who: a command with its user, or a part of the gateway.
    pub actor: String,
    /// Which moment.
    pub phase: AuditPhase,
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Our id of it, the same at all moments.
    pub client_request_id: String,
    /// Azure's id of it.
    pub request_id: Option<String>,
    /// The answer's status, or Azure's word for what went wrong; at the end `succeeded`, or that word.
    pub outcome: Option<String>,
    /// What was asked for: model, SKU and capacity, where the write says any.
    pub asked: Option<String>,
}

const COLUMNS: &str = "at_ms, actor, phase, method, target, client_request_id, request_id, outcome, ";

#[async_trait]
impl AuditStore for SqliteStore {
    async fn add_audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let insert = sqlx::query(
            "INSERT INTO audit (at_ms, actor, phase, method, target, client_request_id, request_id, outcome, asked) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(entry.at_ms)
        .bind(entry.actor.clone())
        .bind(<&'static str>::from(entry.phase))
        .bind(entry.method.clone())
        .bind(entry.target.clone())
        .bind(entry.client_request_id.clone())
        .bind(entry.request_id.clone())
        .bind(entry.outcome.clone())
        .bind(entry.asked.clone());
        self.write(vec![insert]).await?;
        Ok(())
    }

    async fn audit(&self, since_ms: i64, most: u32) -> Result<Vec<AuditEntry>, StoreError> {
        read_audit(self.path(), since_ms, most).await
    }
}

/// Reads a store's audit without opening it for writing: the newest entries, newest first, at most so many, none older than this time.
///
/// # Errors
/// When there is no store, it cannot be read, or it is of a version that kept no audit.
pub async fn read_audit(path: &Path, since_ms: i64, most: u32) -> Result<Vec<AuditEntry>, StoreError> {
    let mut connection = connect_reader(path).await?;
    let has_table: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'audit')")
            .fetch_one(&mut connection)
            .await?;
    if !has_table {
        return Err(StoreError::Older);
    }
    // Only a writer brings a store up to date.
    let has_column: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pragma_table_info('audit') WHERE name = 'asked')")
            .fetch_one(&mut connection)
            .await?;
    let asked = if has_column { "asked" } else { "NULL" };
    let select = format!("SELECT {COLUMNS}{asked} FROM audit WHERE at_ms >= ? ORDER BY id DESC LIMIT ?");
    let rows = sqlx::query(sqlx::AssertSqlSafe(select))
        .bind(since_ms)
        .bind(i64::from(most))
        .fetch_all(&mut connection)
        .await?;
    connection.close().await?;
    Ok(rows.iter().map(entry).collect::<Result<_, sqlx::Error>>()?)
}

fn entry(row: &sqlx::sqlite::SqliteRow) -> Result<AuditEntry, sqlx::Error> {
    Ok(AuditEntry {
        at_ms: row.try_get(0)?,
        actor: row.try_get(1)?,
        phase: row
            .try_get::<String, _>(2)?
            .parse()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        method: row.try_get(3)?,
        target: row.try_get(4)?,
        client_request_id: row.try_get(5)?,
        request_id: row.try_get(6)?,
        outcome: row.try_get(7)?,
        asked: row.try_get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at_ms: i64, phase: AuditPhase, outcome: Option<&str>) -> AuditEntry {
        AuditEntry {
            at_ms,
            actor: "emberway deployment create by ada".to_owned(),
            phase,
            method: "PUT".to_owned(),
            target: "/subscriptions/s/…/deployments/d?api-version=2024-10-01".to_owned(),
            client_request_id: "one".to_owned(),
            request_id: outcome.map(|_| "azures".to_owned()),
            outcome: outcome.map(str::to_owned),
            asked: Some("model m (1), Standard, capacity 10".to_owned()),
        }
    }

    #[tokio::test]
    async fn it_only_grows_and_is_read_newest_first() {
        let directory = tempfile::tempdir().expect("directory");
        let store = SqliteStore::open(&directory.path().join("usage.db"))
            .await
            .expect("opens");
        let entries = [
            entry(1, AuditPhase::Sent, None),
            entry(2, AuditPhase::Answered, Some("201")),
            entry(3, AuditPhase::Ended, Some("InsufficientQuota")),
        ];
        for entry in &entries {
            store.add_audit(entry).await.expect("written");
        }
        let read = store.audit(2, 10).await.expect("read");
        assert_eq!(read, [entries[2].clone(), entries[1].clone()]);
        assert_eq!(store.audit(0, 1).await.expect("read").len(), 1);
        for change in ["DELETE FROM audit", "UPDATE audit SET actor = 'nobody'"] {
            let refused = store.write(vec![sqlx::query(change)]).await.expect_err(change);
            let cause = std::error::Error::source(&refused).expect("a cause").to_string();
            assert!(cause.contains("only grows"), "{cause}");
        }
        assert_eq!(store.audit(0, 10).await.expect("read").len(), 3);
    }
}
