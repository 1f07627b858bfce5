//! A request as it is recorded for replay: its size, its time, and the blocks of its prompt, never a word of it.

use crate::core::ids::{DeploymentId, PoolId, RouteId};
use crate::core::placement::chain::Chain;
use crate::core::placement::policy::Policy;
use crate::core::placement::view::Ask;

/// A request that was recorded.
#[derive(Debug, Clone)]
pub struct TraceRecord {
    /// When it arrived, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Its prompt's blocks.
    pub chain: Chain,
    /// Prompt tokens, as reported or estimated.
    pub prompt_tokens: u64,
    /// What the answer used; none where nobody answered.
    pub used: Option<Used>,
    /// What placement was told of it, with what it was reckoned to count against a limit.
    pub ask: Ask,
    /// What was asked for.
    pub route: RouteId,
    /// The pool that the blocks are named within; none where that is not known.
    pub pool: Option<PoolId>,
    /// By which policy the route placed it.
    pub policy: Policy,
    /// How long the answer took in all, in milliseconds; 0 where that is not known.
    pub took_ms: u32,
}

/// What the answer to a recorded request used.
#[derive(Debug, Clone)]
pub struct Used {
    /// Completion tokens.
    pub completion_tokens: u64,
    /// Prompt tokens that were found cached.
    pub cached_tokens: u64,
    /// Who answered.
    pub deployment: Option<DeploymentId>,
}
