//! WHERE do usage records go? A bounded queue in memory, and behind it a store on disk.
//!
//! The hot path only touches [`queue::UsageQueue`]; one task ([`writer::UsageWriter`]) carries records from there to a
//! [`UsageStore`] in batches. [`misses`] keeps, beside the records, why prompts were not cached, [`kept`] who keeps which response,
//! [`lives`] when deployments were there, [`leases`] which of several gateways acts, [`versions`] keeps the configuration's texts,
//! [`trace`] writes lines for `emberway replay`.
//! The trait is the seam for other databases; SQLite ([`sqlite::SqliteStore`]) is the one there is, because a gateway that needs a
//! database server before it can start is a gateway that does not start.
//!
//! This module deliberately knows neither metrics nor configuration: counters are plain atomics and changes of
//! state go to a callback, so that whoever wires the program decides what they mean.

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Serialize;

use crate::core::ids::DeploymentId;
use crate::core::ledger::usage::UsageRecord;

pub mod audit;
pub mod cache_report;
pub mod cost_report;
pub mod cost_sheet;
pub mod history;
pub mod kept;
pub mod leases;
pub mod limited;
pub mod lives;
pub mod miss_report;
pub mod misses;
pub mod notes;
pub mod queue;
pub mod report;
pub mod residency_report;
mod rows;
pub mod sqlite;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod usage_sums;
pub mod versions;
pub mod writer;

/// A place that keeps usage records for good.
#[async_trait]
pub trait UsageStore: Send + Sync {
    /// Writes all records, their deployments' totals and the responses that are kept, or nothing of them.
    ///
    /// # Errors
    /// When the store cannot be written; the records may be handed in again.
    async fn append(&self, records: &[UsageRecord]) -> Result<(), StoreError>;

    /// Notes that deployments exist, so that one nobody has called yet is known too. Times merge by maximum, the first
    /// sight by minimum.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn note_deployments(&self, seen: &[DeploymentSeen]) -> Result<(), StoreError>;

    /// Every deployment ever noted or used, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn deployments(&self) -> Result<Vec<DeploymentTotals>, StoreError>;

    /// Deletes up to `limit` records that started before `before_ms` and says how many it deleted. Totals stay.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn purge(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError>;

    /// Deletes up to `limit` kept responses ([`kept`]) from before `before_ms` and says how many it deleted.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn forget_responses(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError>;
}

/// What is known of a deployment besides its requests. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentSeen {
    /// Which one.
    pub deployment: DeploymentId,
    /// When it was seen.
    pub seen_at_ms: i64,
    /// When Azure created it, if known.
    pub created_at_ms: Option<i64>,
    /// When it last answered with success, if known from elsewhere than a usage record.
    pub last_success_at_ms: Option<i64>,
}

/// A deployment's totals since it was first seen; they outlive the records. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeploymentTotals {
    /// Which one.
    pub deployment: DeploymentId,
    /// When the store first heard of it.
    pub first_seen_ms: i64,
    /// When Azure created it, if the configuration ever said so.
    pub created_at_ms: Option<i64>,
    /// When the newest request that it answered with success had started.
    pub last_success_at_ms: Option<i64>,
    /// Requests that ended with it.
    pub requests: i64,
    /// Those of them that succeeded.
    pub successes: i64,
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: i64,
    /// Prompt tokens that the provider found cached.
    pub cached_tokens: i64,
    /// Completion tokens.
    pub completion_tokens: i64,
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such file, and reading does not make one.
    #[error("there is no usage store at `{}`; name the gateway's file with --store, or its configuration with --config", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened.
    #[error("cannot open the usage store `{}`; its directory must exist and be writable", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// The file is not a database, or a damaged one.
    #[error(
        "the usage store `{}` is damaged or not a SQLite file; move it away (a new one is made at the next start) or \
         restore a copy, `-wal` and `-shm` files included",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// The file belongs to another program.
    #[error("`{}` is a SQLite file of another program; name another file for usage", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The tables could not be brought to this version.
    #[error(
        "cannot bring the tables of `{}` to this version; a file written by a newer emberway needs that version",
        .path.display()
    )]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: sqlx::migrate::MigrateError,
    },
    /// The file was written by a version without the table that is asked for, and reading does not change it.
    #[error(
        "the usage store is of an older emberway, which did not keep what is asked for; a gateway of this version adds the table when it starts"
    )]
    Older,
    /// A statement failed.
    #[error("the usage store refused a statement; check free disk space and other users of the file")]
    Statement(#[from] sqlx::Error),
}
