//! Texts of the configuration that were put to use, so that any of them can be looked at and restored.

use async_trait::async_trait;
use sqlx::{Connection as _, Row as _};

use crate::storage::StoreError;
use crate::storage::sqlite::{SqliteStore, connect_reader};

/// Versions that are kept.
pub const VERSIONS_MAX: u32 = 500;
/// Bytes of text that they have at most, all together; the newest is kept in any case.
const BYTES_MAX: i64 = 64 * 1024 * 1024;

/// A place that keeps versions.
#[async_trait]
pub trait VersionStore: Send + Sync {
    /// Adds a version, and forgets the oldest where there are too many. Its number.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn add_version(&self, version: &NewVersion) -> Result<i64, StoreError>;

    /// All of them without their texts, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn versions(&self) -> Result<Vec<Version>, StoreError>;

    /// One of them with its text, if it is there.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn version(&self, id: i64) -> Result<Option<(Version, String)>, StoreError>;
}

/// A version to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVersion {
    /// When it was put to use, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// By whom: a name, or `file` where the file was changed by hand.
    pub who: String,
    /// What they said of it.
    pub note: String,
    /// What it changed, in a line.
    pub summary: String,
    /// SHA-256 of the text, as hexadecimal digits.
    pub sha256: String,
    /// The text.
    pub text: String,
}

/// A version that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number; later ones are larger.
    pub id: i64,
    /// When it was put to use, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// By whom.
    pub who: String,
    /// What they said of it.
    pub note: String,
    /// What it changed, in a line.
    pub summary: String,
    /// SHA-256 of the text, as hexadecimal digits.
    pub sha256: String,
}

const COLUMNS: &str = "id, at_ms, who, note, summary, sha256";

#[async_trait]
impl VersionStore for SqliteStore {
    async fn add_version(&self, version: &NewVersion) -> Result<i64, StoreError> {
        let insert = sqlx::query(
            "INSERT INTO config_version (at_ms, who, note, summary, sha256, text) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(version.at_ms)
        .bind(version.who.clone())
        .bind(version.note.clone())
        .bind(version.summary.clone())
        .bind(version.sha256.clone())
        .bind(version.text.clone());
        let too_many = sqlx::query(
            "DELETE FROM config_version WHERE id NOT IN (SELECT id FROM config_version ORDER BY id DESC LIMIT ?)",
        )
        .bind(i64::from(VERSIONS_MAX));
        let too_large = sqlx::query(
            "DELETE FROM config_version WHERE id < (SELECT max(id) FROM config_version) AND id IN (SELECT id FROM (SELECT id, \
             sum(octet_length(text)) OVER (ORDER BY id DESC) AS bytes FROM config_version) WHERE bytes > ?)",
        )
        .bind(BYTES_MAX);
        self.write(vec![insert, too_many, too_large]).await?;
        let mut connection = connect_reader(self.path()).await?;
        let id = sqlx::query_scalar("SELECT max(id) FROM config_version WHERE sha256 = ?")
            .bind(version.sha256.clone())
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(id)
    }

    async fn versions(&self) -> Result<Vec<Version>, StoreError> {
        let mut connection = connect_reader(self.path()).await?;
        let select = format!("SELECT {COLUMNS} FROM config_version ORDER BY id DESC LIMIT ?");
        let rows = sqlx::query(sqlx::AssertSqlSafe(select))
            .bind(i64::from(VERSIONS_MAX))
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        Ok(rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?)
    }

    async fn version(&self, id: i64) -> Result<Option<(Version, String)>, StoreError> {
        let mut connection = connect_reader(self.path()).await?;
        let select = format!("SELECT {COLUMNS}, text FROM config_version WHERE id = ?");
        let row = sqlx::query(sqlx::AssertSqlSafe(select))
            .bind(id)
            .fetch_optional(&mut connection)
            .await?;
        connection.close().await?;
        let read = row.map(|row| Ok((read(&row)?, row.try_get(6)?)));
        Ok(read.transpose().map_err(|error: sqlx::Error| error)?)
    }
}

fn read(row: &sqlx::sqlite::SqliteRow) -> Result<Version, sqlx::Error> {
    Ok(Version {
        id: row.try_get(0)?,
        at_ms: row.try_get(1)?,
        who: row.try_get(2)?,
        note: row.try_get(3)?,
        summary: row.try_get(4)?,
        sha256: row.try_get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> NewVersion {
        NewVersion {
            at_ms: 5,
            who: "admin".to_owned(),
            note: "a note".to_owned(),
            summary: String::new(),
            sha256: format!("sha of {}", text.len()),
            text: text.to_owned(),
        }
    }

    #[tokio::test]
    async fn versions_are_kept_newest_first_with_their_texts() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = SqliteStore::open(&directory.path().join("usage.db"))
            .await
            .expect("opens");
        assert_eq!(store.versions().await.expect("read"), []);
        let first = store.add_version(&of("a")).await.expect("written");
        let second = store.add_version(&of("bb")).await.expect("written");
        assert!(second > first);
        let ids: Vec<i64> = store
            .versions()
            .await
            .expect("read")
            .iter()
            .map(|version| version.id)
            .collect();
        assert_eq!(ids, [second, first]);
        let (version, text) = store.version(first).await.expect("read").expect("there");
        assert_eq!((version.who.as_str(), text.as_str()), ("admin", "a"));
        assert_eq!(store.version(99).await.expect("read"), None);
    }

    #[tokio::test]
    async fn the_oldest_go_where_there_are_too_many_or_they_are_too_large() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = SqliteStore::open(&directory.path().join("usage.db"))
            .await
            .expect("opens");
        for number in 0..VERSIONS_MAX + 2 {
            store.add_version(&of(&format!("{number}"))).await.expect("written");
        }
        let kept = store.versions().await.expect("read");
        assert_eq!(kept.len(), VERSIONS_MAX as usize);
        let large = "#".repeat(usize::try_from(BYTES_MAX).expect("fits") - 100);
        let last = store.add_version(&of(&large)).await.expect("written");
        let kept = store.versions().await.expect("read").len();
        assert!(
            (10..=110).contains(&kept),
            "{kept}: as many as fit into 100 bytes beside it"
        );
        let huge = store
            .add_version(&of(&(large + &"#".repeat(200))))
            .await
            .expect("written");
        let kept: Vec<i64> = store
            .versions()
            .await
            .expect("read")
            .iter()
            .map(|version| version.id)
            .collect();
        assert_eq!(kept, [huge], "the newest stays, not {last}");
    }
}
