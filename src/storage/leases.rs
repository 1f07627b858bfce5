//! Which of the gateways on one usage file acts, and what the others ask of it.
//!
//! A lease is a row with an end: whoever finds it ended, or its own, takes it until later. Writers of a SQLite file wait for each other,
//! so two cannot both find it ended. The file is on one machine, so their clocks are one; an end that is later than anyone could have
//! set, by more than a lease's own length, is of a clock that was set back since, and counts for nothing.

use async_trait::async_trait;
use sqlx::{Connection as _, Row as _};

use crate::core::ids::DeploymentId;
use crate::storage::StoreError;
use crate::storage::rows::Statement;
use crate::storage::sqlite::{SqliteStore, connect_reader};

/// A place that knows who acts.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Takes a lease, or keeps it: whether it is this holder's from `now_ms` to `until_ms`, both in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// When the store cannot be written; then the lease counts as another's.
    async fn hold(&self, lease: &'static str, holder: &str, now_ms: i64, until_ms: i64) -> Result<bool, StoreError>;

    /// Gives a lease back, so that another need not wait for its end. Nothing is done where it is another's.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn give_back(&self, lease: &'static str, holder: &str) -> Result<(), StoreError>;

    /// Tells whoever rebuilds that requests need these deployments.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn ask_for(&self, needed: &[DeploymentId], now_ms: i64) -> Result<(), StoreError>;

    /// Which deployments requests needed at other gateways, each once: what is told is forgotten.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    async fn take_needed(&self) -> Result<Vec<DeploymentId>, StoreError>;
}

#[async_trait]
impl LeaseStore for SqliteStore {
    async fn hold(&self, lease: &'static str, holder: &str, now_ms: i64, until_ms: i64) -> Result<bool, StoreError> {
        let take: Statement = sqlx::query(
            "INSERT INTO lease (name, holder, until_ms) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE \
             SET holder = ?2, until_ms = ?3 WHERE holder = ?2 OR until_ms <= ?4 OR until_ms > ?3 + (?3 - ?4)",
        )
        .bind(lease)
        .bind(holder.to_owned())
        .bind(until_ms)
        .bind(now_ms);
        Ok(self.write(vec![take]).await? > 0)
    }

    async fn give_back(&self, lease: &'static str, holder: &str) -> Result<(), StoreError> {
        let give = sqlx::query("DELETE FROM lease WHERE name = ? AND holder = ?")
            .bind(lease)
            .bind(holder.to_owned());
        self.write(vec![give]).await?;
        Ok(())
    }

    async fn ask_for(&self, needed: &[DeploymentId], now_ms: i64) -> Result<(), StoreError> {
        let asks = needed.iter().map(|deployment| {
            sqlx::query("INSERT OR REPLACE INTO needed (deployment, at_ms) VALUES (?, ?)")
                .bind(deployment.to_string())
                .bind(now_ms)
        });
        self.write(asks.collect()).await?;
        Ok(())
    }

    async fn take_needed(&self) -> Result<Vec<DeploymentId>, StoreError> {
        let mut connection = connect_reader(self.path()).await?;
        let rows = sqlx::query("SELECT deployment, at_ms FROM needed ORDER BY deployment")
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        let needed: Vec<(String, i64)> = rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, sqlx::Error>>()?;
        if !needed.is_empty() {
            // One that is asked for again meanwhile stays.
            let taken = needed.iter().map(|(deployment, at_ms)| {
                sqlx::query("DELETE FROM needed WHERE deployment = ? AND at_ms = ?")
                    .bind(deployment.clone())
                    .bind(*at_ms)
            });
            self.write(taken.collect()).await?;
        }
        Ok(needed.into_iter().map(|(deployment, _)| deployment.into()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_holds_a_lease_until_it_ends_or_is_given_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("usage.db");
        let (a, b) = (SqliteStore::open(&path).await, SqliteStore::open(&path).await);
        let (a, b) = (a.expect("opens"), b.expect("opens"));
        assert!(a.hold("care", "a", 0, 60).await.expect("written"));
        assert!(!b.hold("care", "b", 59, 119).await.expect("written"), "it is a's");
        assert!(b.hold("other", "b", 59, 119).await.expect("written"));
        assert!(a.hold("care", "a", 59, 119).await.expect("written"), "a keeps it");
        assert!(!b.hold("care", "b", 60, 120).await.expect("written"), "it was kept");
        assert!(b.hold("care", "b", 119, 179).await.expect("written"), "it has ended");
        assert!(!a.hold("care", "a", 120, 180).await.expect("written"), "now it is b's");
        a.give_back("care", "a").await.expect("written");
        assert!(
            !a.hold("care", "a", 120, 180).await.expect("written"),
            "it was not a's to give"
        );
        b.give_back("care", "b").await.expect("written");
        assert!(a.hold("care", "a", 120, 180).await.expect("written"));
        let held_up = b.hold("care", "b", 100, 160).await.expect("written");
        assert!(!held_up, "who was held up steals nothing");
        let set_back = b.hold("care", "b", 0, 60).await.expect("written");
        assert!(set_back, "the clock was set back");
    }

    #[tokio::test]
    async fn what_is_needed_is_told_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = SqliteStore::open(&directory.path().join("usage.db"))
            .await
            .expect("opens");
        let asked: Vec<DeploymentId> = vec!["east/ft".into(), "west/ft".into()];
        store.ask_for(&asked, 5).await.expect("written");
        store.ask_for(&asked[..1], 6).await.expect("written");
        assert_eq!(store.take_needed().await.expect("read"), asked);
        assert_eq!(store.take_needed().await.expect("read"), []);
    }
}
