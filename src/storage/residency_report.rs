//! Reads where requests were processed, for `emberway usage --residency`.

use serde::Serialize;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::storage::StoreError;
use crate::storage::report::Range;

/// Most rows of a report: routes by configured regions by regions told.
const ROWS_MAX: i64 = 10_000;

/// Where the requests of a time range were processed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResidencyReport {
    /// Start of the range, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// Its end, not included.
    pub until_ms: i64,
    /// By route, region asked and region told.
    pub rows: Vec<ResidencyRow>,
}

/// Answers of one route from one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResidencyRow {
    /// Which route.
    pub route: String,
    /// The region of the deployment that was asked, as configured.
    pub asked: String,
    /// The region that the answers told; none where they did not tell.
    pub served: Option<String>,
    /// Whether both are the same; none where nothing was told.
    pub agrees: Option<bool>,
    /// Answers.
    pub requests: i64,
    /// Their prompt and completion tokens.
    pub tokens: i64,
    /// Those of them that Azure spilled over to another deployment.
    pub spilled: i64,
    /// The first, in milliseconds since the Unix epoch.
    pub first_at_ms: i64,
    /// The last.
    pub last_at_ms: i64,
}

/// Reads a report. Only answers count: what was refused was not processed.
///
/// # Errors
/// When SQLite refuses, or the file is of a version that did not keep it.
pub async fn read_residency(connection: &mut SqliteConnection, range: Range) -> Result<ResidencyReport, StoreError> {
    let mut transaction = connection.begin().await?;
    let has_column: bool =
        sqlx::query_scalar("SELECT count(*) > 0 FROM pragma_table_info('usage') WHERE name = 'served_region'")
            .fetch_one(&mut *transaction)
            .await?;
    if !has_column {
        return Err(StoreError::Older);
    }
    let rows = sqlx::query(
        "SELECT route, region, served_region, count(*), sum(prompt_tokens + completion_tokens), count(spilled_to), \
             min(started_at_ms), max(started_at_ms) \
         FROM usage WHERE started_at_ms >= ? AND started_at_ms < ? AND status BETWEEN 200 AND 299 AND region IS NOT NULL \
         GROUP BY route, region, served_region ORDER BY route, region, 4 DESC, served_region DESC LIMIT ?",
    )
    .bind(range.since_ms)
    .bind(range.until_ms)
    .bind(ROWS_MAX)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    let row = |row: &sqlx::sqlite::SqliteRow| {
        let (asked, served): (String, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
        Ok(ResidencyRow {
            route: row.try_get(0)?,
            agrees: served.as_ref().map(|served| *served == asked),
            asked,
            served,
            requests: row.try_get(3)?,
            tokens: row.try_get(4)?,
            spilled: row.try_get(5)?,
            first_at_ms: row.try_get(6)?,
            last_at_ms: row.try_get(7)?,
        })
    };
    Ok(ResidencyReport {
        since_ms: range.since_ms,
        until_ms: range.until_ms,
        rows: rows.iter().map(row).collect::<Result<_, sqlx::Error>>()?,
    })
}
