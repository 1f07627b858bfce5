//! Events in words, as the store has them.

use sqlx::{AssertSqlSafe, Row as _};

use crate::storage::StoreError;
use crate::storage::history::StoredEvent;
use crate::storage::history::reading::Reading;

/// Which events. Words are those of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsWanted {
    /// Of this kind.
    pub kind: Option<&'static str>,
    /// Of one of these severities; any where there is none.
    pub severities: Vec<&'static str>,
    /// Older than this one.
    pub before_id: Option<u64>,
    /// Younger than this one; the oldest of them come first then.
    pub after_id: Option<u64>,
    /// Not before this time, in milliseconds since the Unix epoch.
    pub from_ms: Option<i64>,
    /// Before this time.
    pub to_ms: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

impl Reading {
    /// Events, newest first; those after another one oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn events(&mut self, wanted: &EventsWanted) -> Result<Vec<StoredEvent>, StoreError> {
        let order = if wanted.after_id.is_some() { "ASC" } else { "DESC" };
        let severities = vec!["?"; wanted.severities.len()].join(", ");
        let severities = if severities.is_empty() {
            String::new()
        } else {
            format!(" AND severity IN ({severities})")
        };
        let select = format!(
            "SELECT id, at_ms, severity, kind, subject, text, advice FROM event WHERE id < ? AND id > ? AND at_ms >= ? \
             AND at_ms < ? AND kind = coalesce(?, kind){severities} ORDER BY id {order} LIMIT ?"
        );
        let number = |id: u64| i64::try_from(id).unwrap_or(i64::MAX);
        let mut query = sqlx::query(AssertSqlSafe(select))
            .bind(wanted.before_id.map_or(i64::MAX, number))
            .bind(wanted.after_id.map_or(-1, number))
            .bind(wanted.from_ms.unwrap_or(i64::MIN))
            .bind(wanted.to_ms.unwrap_or(i64::MAX))
            .bind(wanted.kind);
        for severity in &wanted.severities {
            query = query.bind(*severity);
        }
        let rows = query.bind(wanted.limit as i64).fetch_all(self.connection()).await?;
        let event = |row: &sqlx::sqlite::SqliteRow| {
            Ok(StoredEvent {
                id: row.try_get::<i64, _>(0)?.cast_unsigned(),
                at_ms: row.try_get(1)?,
                severity: row.try_get(2)?,
                kind: row.try_get(3)?,
                subject: row.try_get(4)?,
                text: row.try_get(5)?,
                advice: row.try_get(6)?,
            })
        };
        Ok(rows.iter().map(event).collect::<Result<_, sqlx::Error>>()?)
    }
}
