//! What looking after a fleet needs of the running gateway, and what it tells it: a seam, so that neither knows the other.

use async_trait::async_trait;

use crate::core::ids::DeploymentId;
use crate::core::recovery::absence::Absence;
use crate::fleet::declaration::Declaration;

/// The gateway, as whoever looks after its fleet sees it.
#[async_trait]
pub trait Traffic: Send + Sync {
    /// What should be, where that is another than when this was asked last.
    fn new_declaration(&self) -> Option<Declaration>;

    /// What is known of every configured deployment. Cheap: locks nothing for long.
    fn seen(&self) -> Vec<Seen>;

    /// Says whether a deployment is there and what part of its weight it has. Unknown names are ignored: a reload may have dropped them.
    fn mark(&self, deployment: &DeploymentId, standing: Standing);

    /// Has the next request that loses nothing by it sent to a deployment.
    fn steer(&self, deployment: &DeploymentId);

    /// Sends a deployment a tiny completion.
    ///
    /// # Errors
    /// What came instead of an answer, in words.
    async fn call(&self, deployment: &DeploymentId) -> Result<Called, String>;
}

/// What the gateway knows of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub deployment: DeploymentId,
    /// Attempts that run there.
    pub in_flight: u64,
    /// Whether an operator has taken it out.
    pub is_drained: bool,
    /// Whether a request has met a 404 `DeploymentNotFound` there since the last time that this was asked.
    pub was_missed: bool,
    /// Whether a request came since then that it might have answered, if it were there.
    pub was_needed: bool,
    /// When it last answered with success, in milliseconds since the Unix epoch.
    pub last_success_at_ms: Option<i64>,
    /// When it was first seen, in milliseconds since the Unix epoch.
    pub first_seen_ms: Option<i64>,
}

/// How a deployment is to stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Why it gets no requests; none where it does.
    pub absence: Option<Absence>,
    /// What part of its weight it has, from 0 to 1.
    pub share: f64,
    /// When Azure made it, in milliseconds since the Unix epoch.
    pub created_at_ms: Option<i64>,
}

impl Default for Standing {
    /// There, with all of its weight.
    fn default() -> Self {
        Self {
            absence: None,
            share: 1.0,
            created_at_ms: None,
        }
    }
}

/// What a call of our own used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Called {
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
}
