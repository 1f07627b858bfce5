//! Small documents of parts of the gateway that must outlive it, by name: what was begun at Azure, and the like.

use std::path::Path;

use async_trait::async_trait;
use sqlx::{Connection as _, Row as _};

use crate::storage::StoreError;
use crate::storage::sqlite::{SqliteStore, connect_reader};

/// A place that keeps documents.
#[async_trait]
pub trait NoteStore: Send + Sync {
    /// Puts a document in the place of the one of this name. It is JSON text of at most 4 MiB.
    ///
    /// # Errors
    /// When the store cannot be written, or the document is longer.
    async fn put_note(&self, name: &'static str, document: String, now_ms: i64) -> Result<(), StoreError>;

    /// The document of this name, if there is one.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn note(&self, name: &'static str) -> Result<Option<String>, StoreError>;
}

#[async_trait]
impl NoteStore for SqliteStore {
    async fn put_note(&self, name: &'static str, document: String, now_ms: i64) -> Result<(), StoreError> {
        let put = sqlx::query("INSERT OR REPLACE INTO note (name, at_ms, document) VALUES (?, ?, ?)")
            .bind(name)
            .bind(now_ms)
            .bind(document);
        self.write(vec![put]).await?;
        Ok(())
    }

    async fn note(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        let mut connection = connect_reader(self.path()).await?;
        let row = sqlx::query("SELECT document FROM note WHERE name = ?")
            .bind(name)
            .fetch_optional(&mut connection)
            .await?;
        connection.close().await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}

/// The document of this name in a store that is neither opened for writing nor made; none where there is no store, or one of a version
/// without notes.
///
/// # Errors
/// When the store cannot be read.
pub async fn read_note(path: &Path, name: &str) -> Result<Option<String>, StoreError> {
    let mut connection = match connect_reader(path).await {
        Ok(connection) => connection,
        Err(StoreError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let has_table: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'note')")
            .fetch_one(&mut connection)
            .await?;
    let text = if has_table {
        sqlx::query_scalar("SELECT document FROM note WHERE name = ?")
            .bind(name)
            .fetch_optional(&mut connection)
            .await?
    } else {
        None
    };
    connection.close().await?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_document_of_a_name_counts() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("usage.db");
        let store = SqliteStore::open(&path).await.expect("opens");
        assert_eq!(store.note("journal").await.expect("read"), None);
        for document in ["[]", "[1]"] {
            store
                .put_note("journal", document.to_owned(), 5)
                .await
                .expect("written");
        }
        drop(store);
        let read = |path| async move { read_note(path, "journal").await.expect("read") };
        assert_eq!(read(&path).await.as_deref(), Some("[1]"));
        let missing = directory.path().join("none.db");
        assert_eq!(read(&missing).await, None);
        assert!(!missing.exists(), "reading makes nothing");
        let again = SqliteStore::open(&path).await.expect("opens");
        assert_eq!(again.note("journal").await.expect("read").as_deref(), Some("[1]"));
        assert_eq!(again.note("another").await.expect("read"), None);
    }
}
