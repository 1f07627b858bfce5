//! Lives of deployments in the usage store: what hosting is reckoned by. They outlive the records, and are never deleted.
//!
//! A sighting is compared with what is stored and changes a row or two. Two gateways may do so on one file: each change holds only for
//! rows that are as it found them, so nothing is begun or ended twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::core::ids::DeploymentId;
use crate::core::ledger::life::{self, Life, LifeChange, Sighting};
use crate::core::topology::Sku;
use crate::storage::StoreError;
use crate::storage::rows::Statement;
use crate::storage::sqlite::{SqliteStore, connect_reader};

/// A place that keeps lives.
#[async_trait]
pub trait LifeStore: Send + Sync {
    /// Takes up what was seen, each deployment once.
    ///
    /// # Errors
    /// When the store cannot be read or written; the next sighting makes up for it.
    async fn note_lives(&self, seen: &[Sighting]) -> Result<(), StoreError>;
}

const BEGINS: &str = "INSERT INTO life (deployment, from_ms, created_at_ms, sku, capacity, seen_at_ms, ended_at_ms) \
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, NULL WHERE NOT EXISTS \
     (SELECT 1 FROM life WHERE deployment = ?1 AND ended_at_ms IS NULL) ON CONFLICT DO NOTHING";
const GOES_ON: &str =
    "UPDATE life SET seen_at_ms = max(seen_at_ms, ?) WHERE deployment = ? AND from_ms = ? AND ended_at_ms IS NULL";
const DATED: &str = "UPDATE OR IGNORE life SET from_ms = ?1, created_at_ms = ?1 WHERE deployment = ?2 AND from_ms = ?3 AND ended_at_ms IS NULL";
const ENDS: &str = "UPDATE life SET ended_at_ms = ? WHERE deployment = ? AND from_ms = ? AND ended_at_ms IS NULL";

#[async_trait]
impl LifeStore for SqliteStore {
    async fn note_lives(&self, seen: &[Sighting]) -> Result<(), StoreError> {
        let mut connection = connect_reader(self.path()).await?;
        let mut known: BTreeMap<DeploymentId, Vec<Life>> = BTreeMap::new();
        for life in read_lives(&mut connection).await? {
            known.entry(life.deployment.clone()).or_default().push(life);
        }
        connection.close().await?;
        let mut statements = Vec::new();
        for sighting in seen {
            let lives = known.get(&sighting.deployment).map_or(&[][..], Vec::as_slice);
            let changes = life::changes(lives, sighting);
            statements.extend(
                changes
                    .into_iter()
                    .map(|change| statement(&sighting.deployment, change)),
            );
        }
        if !statements.is_empty() {
            self.write(statements).await?;
        }
        Ok(())
    }
}

fn statement(deployment: &DeploymentId, change: LifeChange) -> Statement {
    let id = Arc::clone(deployment);
    match change {
        LifeChange::Begins(life) => sqlx::query(BEGINS)
            .bind(id)
            .bind(life.from_ms)
            .bind(life.created_at_ms)
            .bind(life.sku.as_str())
            .bind(life.capacity.map(i64::from))
            .bind(life.seen_at_ms),
        LifeChange::GoesOn { from_ms, seen_at_ms } => sqlx::query(GOES_ON).bind(seen_at_ms).bind(id).bind(from_ms),
        LifeChange::Dated { from_ms, created_at_ms } => sqlx::query(DATED).bind(created_at_ms).bind(id).bind(from_ms),
        LifeChange::Ends { from_ms, ended_at_ms } => sqlx::query(ENDS).bind(ended_at_ms).bind(id).bind(from_ms),
    }
}

/// Reads every life, those of a deployment in their order.
///
/// # Errors
/// When SQLite refuses, or the file is of a version that kept none.
pub async fn read_lives(connection: &mut SqliteConnection) -> Result<Vec<Life>, StoreError> {
    let has_table: bool = sqlx::query_scalar("SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'life'")
        .fetch_one(&mut *connection)
        .await?;
    if !has_table {
        return Err(StoreError::Older);
    }
    let rows = sqlx::query(
        "SELECT deployment, from_ms, created_at_ms, sku, capacity, seen_at_ms, ended_at_ms FROM life \
         ORDER BY deployment, from_ms",
    )
    .fetch_all(connection)
    .await?;
    // What a newer version knows as a SKU cannot be priced by this one.
    Ok(rows.iter().map(of_row).collect::<Result<Vec<_>, _>>()?)
}

fn of_row(row: &SqliteRow) -> Result<Life, sqlx::Error> {
    let sku: String = row.try_get(3)?;
    Ok(Life {
        deployment: row.try_get::<String, _>(0)?.into(),
        from_ms: row.try_get(1)?,
        created_at_ms: row.try_get(2)?,
        sku: Sku::of(&sku).ok_or_else(|| sqlx::Error::Decode(format!("unknown SKU `{sku}` of a life").into()))?,
        capacity: row.try_get(4)?,
        seen_at_ms: row.try_get(5)?,
        ended_at_ms: row.try_get(6)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::life::There;

    fn sighting(at_ms: i64, there: Option<(i64, u32)>) -> Sighting {
        Sighting {
            deployment: DeploymentId::from("x/a"),
            at_ms,
            there: there.map(|(created_at_ms, capacity)| There {
                created_at_ms: Some(created_at_ms),
                sku: Sku::GlobalStandard,
                capacity: Some(capacity),
            }),
        }
    }

    async fn lives(store: &SqliteStore) -> Vec<(i64, i64, Option<i64>)> {
        let mut connection = connect_reader(store.path()).await.expect("opens");
        let lives = read_lives(&mut connection).await.expect("read");
        let shown = |life: &Life| (life.from_ms, life.seen_at_ms, life.ended_at_ms);
        lives.iter().map(shown).collect()
    }

    #[tokio::test]
    async fn lives_are_kept_and_two_gateways_do_not_begin_one_twice() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("usage.db");
        let one = SqliteStore::open(&path).await.expect("opens");
        let two = SqliteStore::open(&path).await.expect("opens");
        one.note_lives(&[sighting(100, Some((40, 50)))]).await.expect("noted");
        two.note_lives(&[sighting(110, Some((40, 50)))]).await.expect("noted");
        assert_eq!(lives(&one).await, [(40, 110, None)]);
        one.note_lives(&[sighting(130, Some((40, 90)))]).await.expect("noted");
        assert_eq!(lives(&one).await, [(40, 110, Some(120)), (120, 130, None)]);
        // What the other had decided by an older picture changes nothing.
        let late = LifeChange::Begins(Life {
            deployment: DeploymentId::from("x/a"),
            from_ms: 121,
            created_at_ms: None,
            sku: Sku::GlobalStandard,
            capacity: Some(90),
            seen_at_ms: 131,
            ended_at_ms: None,
        });
        two.write(vec![statement(&DeploymentId::from("x/a"), late)])
            .await
            .expect("written");
        assert_eq!(lives(&two).await.len(), 2);
        one.note_lives(&[sighting(150, None)]).await.expect("noted");
        assert_eq!(lives(&two).await, [(40, 110, Some(120)), (120, 130, Some(140))]);
    }
}
