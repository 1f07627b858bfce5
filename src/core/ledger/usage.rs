//! The usage record: what one finished request asked for, got and cost in time and tokens.
//!
//! Exactly one is made per request that was let in, whatever its end. It never holds prompt text, keys or
//! anything else a client typed except through configured ids.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{AsRefStr, EnumString, IntoStaticStr, VariantArray};

use crate::core::ids::{ClientId, DeploymentId, Region, RouteId};
use crate::core::ledger::kept::ResponseKey;

/// Client of the gateway's own calls against the inactivity rule.
pub const KEEPALIVE_CLIENT: &str = "emberway";
/// Route of the same.
pub const KEEPALIVE_ROUTE: &str = "keepalive";

/// One finished request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// The gateway's `x-request-id`; shared, since several keep a request's facts when it has finished.
    pub request_id: Arc<str>,
    /// When the request's head had been read, in milliseconds since the Unix epoch.
    pub started_at_ms: i64,
    /// Who asked.
    pub client: ClientId,
    /// For which model.
    pub route: RouteId,
    /// Which operation.
    pub operation: Operation,
    /// Who answered, or was tried last; none when no attempt was made.
    pub deployment: Option<DeploymentId>,
    /// The region of that deployment.
    pub region: Option<Region>,
    /// The region that the answer told it was processed in; none where it did not tell.
    pub served_region: Option<Region>,
    /// The deployment that Azure spilled the request over to, by its name there.
    pub spilled_to: Option<Box<str>>,
    /// Attempts made, 0 when none could be.
    pub attempts: u32,
    /// How it ended for the client.
    pub outcome: RequestOutcome,
    /// The HTTP status the client got, 0 when it left before one was sent.
    pub status: u16,
    /// Whether the answer was a stream.
    pub streamed: bool,
    /// Where the token figures come from.
    pub source: UsageSource,
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: u64,
    /// Prompt tokens the provider found cached.
    pub cached_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
    /// From the request's head to the first byte towards the client, in microseconds; none when nothing was sent.
    pub first_byte_us: Option<u64>,
    /// From the request's head to the first output token, in microseconds; streams only.
    pub first_token_us: Option<u64>,
    /// From the request's head to the end, in microseconds.
    pub total_us: u64,
    /// Time spent waiting for upstreams, in microseconds; `total_us` less this is the gateway's own and the client's.
    pub upstream_us: u64,
    /// The response that the deployment keeps to be continued, if it made one.
    pub kept: Option<ResponseKey>,
}

impl UsageRecord {
    /// Whether the gateway itself asked, so that Azure does not delete an idle deployment.
    pub fn is_keepalive(&self) -> bool {
        &**self.client == KEEPALIVE_CLIENT && &**self.route == KEEPALIVE_ROUTE
    }
}

/// What was asked for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, AsRefStr, EnumString, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    /// `chat/completions`.
    Chat,
    /// Legacy `completions`.
    Completions,
    /// `embeddings`.
    Embeddings,
    /// `responses`.
    Responses,
}

/// How a request ended for the client.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, AsRefStr, EnumString, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RequestOutcome {
    /// A whole 2xx answer.
    Success,
    /// A final answer of the upstream that blames the request (4xx other than 429).
    Rejected,
    /// Every usable deployment was throttled.
    Throttled,
    /// No deployment gave a usable answer.
    UpstreamFailed,
    /// The answer broke after its first byte had been sent.
    Broken,
    /// The client left before the end.
    ClientGone,
    /// The gateway itself refused (limits, shutting down) after letting the client in.
    Refused,
}

/// Where a record's token figures come from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, AsRefStr, EnumString, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum UsageSource {
    /// The provider's own `usage`.
    Reported,
    /// Counted by the gateway, since the provider's figures did not come.
    Estimated,
    /// Nothing was generated.
    None,
}
