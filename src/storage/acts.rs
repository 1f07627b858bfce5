//! What operators did to the gateway, kept beside the writes to Azure's control plane ([`audit`](super::audit)).
//!
//! The newest [`ACTS_MAX`] are kept: years of what people do, and a bound on what a program may fill the disk with.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, Row as _};
use strum::{AsRefStr, EnumString, IntoStaticStr};

use crate::storage::StoreError;
use crate::storage::sqlite::{SqliteStore, connect_reader};

/// Most acts that are kept.
pub const ACTS_MAX: i64 = 100_000;
/// Longest text of each part of an act, in characters.
const TEXT_CHARS_MAX: usize = 500;

/// What came of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, AsRefStr, IntoStaticStr, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ActResult {
    /// It was done.
    Done,
    /// It was not allowed or made no sense.
    Refused,
    /// It was begun and came to nothing.
    Failed,
}

/// Something that an operator did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who, as they signed in.
    pub who: String,
    /// What, in a word: `drain`, `undo_drain`, `ping`, `recreate`, `config_apply`, …
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// What came of it.
    pub result: ActResult,
    /// In words.
    pub text: String,
}

/// A place that keeps what operators did.
#[async_trait]
pub trait ActStore: Send + Sync {
    /// Enters an act. Texts are cut at some hundred characters.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn add_act(&self, act: &Act) -> Result<(), StoreError>;

    /// The newest acts, newest first, at most so many.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn acts(&self, most: u32) -> Result<Vec<Act>, StoreError>;
}

#[async_trait]
impl ActStore for SqliteStore {
    async fn add_act(&self, act: &Act) -> Result<(), StoreError> {
        let cut = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
        let insert =
            sqlx::query("INSERT INTO act (at_ms, who, action, subject, result, text) VALUES (?, ?, ?, ?, ?, ?)")
                .bind(act.at_ms)
                .bind(cut(&act.who))
                .bind(cut(&act.action))
                .bind(cut(&act.subject))
                .bind(<&'static str>::from(act.result))
                .bind(cut(&act.text));
        let forget = sqlx::query("DELETE FROM act WHERE id <= (SELECT max(id) FROM act) - ?").bind(ACTS_MAX);
        self.write(vec![insert, forget]).await?;
        Ok(())
    }

    async fn acts(&self, most: u32) -> Result<Vec<Act>, StoreError> {
        let mut connection = connect_reader(self.path()).await?;
        let rows = sqlx::query("SELECT at_ms, who, action, subject, result, text FROM act ORDER BY id DESC LIMIT ?")
            .bind(i64::from(most))
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        Ok(rows.iter().map(act).collect::<Result<_, sqlx::Error>>()?)
    }
}

fn act(row: &sqlx::sqlite::SqliteRow) -> Result<Act, sqlx::Error> {
    Ok(Act {
        at_ms: row.try_get(0)?,
        who: row.try_get(1)?,
        action: row.try_get(2)?,
        subject: row.try_get(3)?,
        result: row
            .try_get::<String, _>(4)?
            .parse()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        text: row.try_get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_are_kept_and_read_first() {
        let directory = tempfile::tempdir().expect("directory");
        let store = SqliteStore::open(&directory.path().join("usage.db"))
            .await
            .expect("opens");
        let act = |at_ms: i64| Act {
            at_ms,
            who: "ada".to_owned(),
            action: "drain".to_owned(),
            subject: "region swedencentral".to_owned(),
            result: ActResult::Done,
            text: "x".repeat(9_000),
        };
        for at_ms in 1..=3 {
            store.add_act(&act(at_ms)).await.expect("written");
        }
        let read = store.acts(2).await.expect("read");
        assert_eq!(read.iter().map(|act| act.at_ms).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(read[0].text.len(), TEXT_CHARS_MAX);
        assert_eq!((&*read[0].who, read[0].result), ("ada", ActResult::Done));

        let later = sqlx::query("INSERT INTO act VALUES (?, 4, 'ada', 'ping', 'a/ft', 'failed', '')").bind(ACTS_MAX + 2);
        store.write(vec![later]).await.expect("written");
        store.add_act(&act(5)).await.expect("written");
        let kept: Vec<i64> = store.acts(10).await.expect("read").iter().map(|act| act.at_ms).collect();
        assert_eq!(kept, [5, 4], "those before are too old");
    }
}
