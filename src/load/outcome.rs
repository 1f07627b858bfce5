//! How one request ended, and what is known of it then.

use std::time::Duration;

use serde::Serialize;
use strum::{AsRefStr, IntoStaticStr};

/// One finished request.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// When its last byte came, or it failed, in milliseconds since the Unix epoch.
    pub finished_at_ms: i64,
    /// `x-request-id` of the answer.
    pub request_id: Option<String>,
    /// HTTP status, none when no answer's head came.
    pub status: Option<u16>,
    /// Whether a stream was asked for.
    pub streamed: bool,
    /// None when all went well.
    pub failure: Option<Failure>,
    /// From the intended start to the end.
    pub latency: Duration,
    /// From the intended start to the first output token; streams only.
    pub first_token: Option<Duration>,
    /// What the gateway says it spent itself (`server-timing: gw;dur=`).
    pub gateway: Option<Duration>,
    /// What the gateway says it tried (`x-emberway-attempts`).
    pub attempts: Option<u32>,
    /// Which deployment answered, as the answer's headers name it.
    pub deployment: Option<String>,
    /// The answer's `usage`.
    pub tokens: Option<Tokens>,
}

/// Token counts as the endpoint reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Prompt tokens, cached ones included.
    pub prompt: u64,
    /// Prompt tokens found cached.
    pub cached: u64,
    /// Completion tokens.
    pub completion: u64,
}

/// Why a request failed. Two failures are counted together when they are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// Whether a 2xx head had come, so that the caller already held a part of an answer. What failed before could be
    /// tried again by anybody; what failed after is lost.
    pub begun: bool,
    /// HTTP status, none when no head came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error's `code`, else its `type`, of an error body or error event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The ways to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, AsRefStr, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FailureKind {
    /// Nobody listens at the address.
    Refused,
    /// No connection for another reason: name, TLS, network.
    Unreachable,
    /// The connection broke before an answer's head.
    Broken,
    /// An answer with an error status.
    HttpError,
    /// A 2xx answer that is not a chat completion, or too long.
    Malformed,
    /// A body that ended early and was no stream.
    CutBody,
    /// A stream that ended with an error event: the failure was said.
    ErrorEvent,
    /// A stream that ended with neither `[DONE]` nor an error event: the failure was not said.
    CutStream,
    /// No whole answer in time.
    Timeout,
}

impl Tokens {
    /// Adds another request's.
    pub fn add(&mut self, other: Tokens) {
        self.prompt += other.prompt;
        self.cached += other.cached;
        self.completion += other.completion;
    }

    /// What has come since `earlier`.
    pub fn less(self, earlier: Tokens) -> Tokens {
        Tokens {
            prompt: self.prompt.saturating_sub(earlier.prompt),
            cached: self.cached.saturating_sub(earlier.cached),
            completion: self.completion.saturating_sub(earlier.completion),
        }
    }

    /// Cached ÷ prompt tokens, none without prompt tokens.
    pub fn hit_ratio(&self) -> Option<f64> {
        (self.prompt > 0).then(|| self.cached as f64 / self.prompt as f64)
    }
}

impl Failure {
    /// A failure before any answer's head.
    pub(super) fn before(kind: FailureKind) -> Self {
        Self {
            kind,
            begun: false,
            status: None,
            code: None,
        }
    }

    /// A failure after a 2xx head.
    pub(super) fn after(kind: FailureKind, status: u16) -> Self {
        Self {
            kind,
            begun: true,
            status: Some(status),
            code: None,
        }
    }
}
