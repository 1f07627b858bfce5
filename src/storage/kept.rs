//! Responses that deployments keep to be continued, in the usage store: written with the usage records of the requests that made them.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Row as _};

use crate::core::ledger::kept::{KeptResponse, ResponseKey};
use crate::storage::StoreError;
use crate::storage::sqlite::{SqliteStore, connect_reader};

/// A place that remembers who keeps which response.
#[async_trait]
pub trait ResponseStore: Send + Sync {
    /// The newest, newest first, at most so many.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn newest_responses(&self, most: u32) -> Result<Vec<KeptResponse>, StoreError>;

    /// One of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn kept_response(&self, key: ResponseKey) -> Result<Option<KeptResponse>, StoreError>;
}

#[async_trait]
impl ResponseStore for SqliteStore {
    async fn newest_responses(&self, most: u32) -> Result<Vec<KeptResponse>, StoreError> {
        let mut connection = connect_reader(self.path()).await?;
        let rows = sqlx::query(
            "SELECT key, client, deployment, kept_at_ms FROM kept_response ORDER BY kept_at_ms DESC LIMIT ?",
        )
        .bind(i64::from(most))
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        let kept = rows.iter().map(kept).collect::<Result<Vec<_>, _>>()?;
        Ok(kept.into_iter().flatten().collect())
    }

    async fn kept_response(&self, key: ResponseKey) -> Result<Option<KeptResponse>, StoreError> {
        let mut connection = connect_reader(self.path()).await?;
        let row = sqlx::query("SELECT key, client, deployment, kept_at_ms FROM kept_response WHERE key = ?")
            .bind(key.0.to_vec())
            .fetch_optional(&mut connection)
            .await?;
        connection.close().await?;
        Ok(row.as_ref().map(kept).transpose()?.flatten())
    }
}

/// A row; none if its key is none of ours.
fn kept(row: &SqliteRow) -> Result<Option<KeptResponse>, sqlx::Error> {
    let Ok(key) = row.try_get::<Vec<u8>, _>(0)?.try_into() else {
        return Ok(None);
    };
    Ok(Some(KeptResponse {
        key: ResponseKey(key),
        client: row.try_get::<String, _>(1)?.into(),
        deployment: row.try_get::<String, _>(2)?.into(),
        kept_at_ms: row.try_get(3)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::UsageStore;
    use crate::storage::testing::record;

    #[tokio::test]
    async fn responses_come_with_their_records_and_go_after_their_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = SqliteStore::open(&directory.path().join("usage.db"))
            .await
            .expect("a store");
        let key = |number| ResponseKey([number; 16]);
        let made = |number: u8| crate::core::ledger::usage::UsageRecord {
            kept: (number != 2).then(|| key(number)),
            ..record(number.into())
        };
        store.append(&[made(1), made(2), made(3)]).await.expect("written");
        let first = KeptResponse {
            key: key(1),
            client: "acme".into(),
            deployment: "contoso-sweden/support-7".into(),
            kept_at_ms: record(1).started_at_ms,
        };
        assert_eq!(store.kept_response(key(1)).await.expect("read"), Some(first));
        assert_eq!(store.kept_response(key(2)).await.expect("read"), None);
        let newest = |most| async move {
            let found = store.newest_responses(most).await.expect("read");
            (store, found.into_iter().map(|kept| kept.key).collect::<Vec<_>>())
        };
        let (store, keys) = newest(1).await;
        assert_eq!(keys, [key(3)]);
        let before_ms = record(3).started_at_ms;
        assert_eq!(store.forget_responses(before_ms, 10).await.expect("written"), 1);
        let left = store.newest_responses(10).await.expect("read");
        assert_eq!(left.into_iter().map(|kept| kept.key).collect::<Vec<_>>(), [key(3)]);
    }
}
