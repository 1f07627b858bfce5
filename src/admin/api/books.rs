//! What the store tells to whoever asks the API: the seam to the gateway's usage file and prices, and how a read that fails is told.

use async_trait::async_trait;

use crate::admin::api::answer::Refusal;
use crate::admin::api::cache::CacheAnswer;
use crate::admin::api::usage::{CostAnswer, UsageAnswer, UsageBy};
use crate::storage::limited::ReadRefused;
use crate::storage::report::Range;
use crate::storage::usage_sums::Only;

/// Usage, costs and misses, as the store has them. Each call is bounded in time and number: see
/// [`LimitedReader`](crate::storage::limited::LimitedReader).
#[async_trait]
pub trait Books: Send + Sync {
    /// Usage by a property, most requests first; days in order.
    ///
    /// # Errors
    /// When the store cannot be read in time.
    async fn usage(&self, by: UsageBy, only: &Only, range: Range) -> Result<UsageAnswer, ReadRefused>;

    /// What deployments cost on the days of a range, the dearest first. Of `only` the deployment and the region count.
    ///
    /// # Errors
    /// When the store cannot be read in time.
    async fn costs(&self, only: &Only, range: Range) -> Result<CostAnswer, ReadRefused>;

    /// What of prompts was cached, and why the rest was not, in the hours of a range.
    ///
    /// # Errors
    /// When the store cannot be read in time.
    async fn cache(&self, only: &Only, range: Range) -> Result<CacheAnswer, ReadRefused>;
}

impl From<ReadRefused> for Refusal {
    fn from(refused: ReadRefused) -> Self {
        let code = match &refused {
            ReadRefused::Busy => "busy",
            ReadRefused::TooLong => "too_long",
            ReadRefused::Store(_) => "store_unavailable",
        };
        Self::unavailable(refused.to_string(), code)
    }
}
