//! What the conventions call things.

use std::sync::Arc;

use opentelemetry::{KeyValue, StringValue};

use crate::core::ledger::finished::{Finished, FinishedAttempt};
use crate::core::ledger::usage::{Operation, RequestOutcome};

/// `gen_ai.provider.name`: whose telemetry this looks like.
pub const PROVIDER: &str = "azure.ai.openai";

/// `gen_ai.operation.name`.
pub fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat | Operation::Responses => "chat",
        Operation::Completions => "text_completion",
        Operation::Embeddings => "embeddings",
    }
}

/// `http.route`: what all URL families that clients may use have in common.
pub fn http_route(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "/chat/completions",
        Operation::Completions => "/completions",
        Operation::Embeddings => "/embeddings",
        Operation::Responses => "/responses",
    }
}

/// `error.type` of a request: how it failed its client; none for one that did not. That a request was rejected for what it asks, or that
/// its client left, is no failure of the gateway's.
pub fn request_error(outcome: RequestOutcome) -> Option<&'static str> {
    match outcome {
        RequestOutcome::Success | RequestOutcome::Rejected | RequestOutcome::ClientGone => None,
        RequestOutcome::Throttled
        | RequestOutcome::UpstreamFailed
        | RequestOutcome::Broken
        | RequestOutcome::Refused => Some(outcome.into()),
    }
}

/// `error.type` of an attempt: the status of an error answer, else how it ended; none for one that succeeded, or was given up for reasons
/// that were not its own.
pub fn attempt_error(attempt: &FinishedAttempt) -> Option<StringValue> {
    if attempt.status >= 400 {
        return Some(attempt.status.to_string().into());
    }
    match attempt.outcome {
        "success" | "overtaken" | "client_gone" | "cut_off" => None,
        outcome => Some(outcome.into()),
    }
}

/// What every span and figure of a request says: the operation and the provider.
pub fn common(finished: &Finished) -> [KeyValue; 2] {
    [
        KeyValue::new("gen_ai.operation.name", operation(finished.record.operation)),
        KeyValue::new("gen_ai.provider.name", PROVIDER),
    ]
}

/// An attribute whose value is a configured name.
pub fn named(key: &'static str, name: &Arc<str>) -> KeyValue {
    KeyValue::new(key, StringValue::from(Arc::clone(name)))
}

/// An attribute that counts.
pub fn count(key: &'static str, value: u64) -> KeyValue {
    KeyValue::new(key, i64::try_from(value).unwrap_or(i64::MAX))
}

/// Microseconds as seconds.
pub fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
