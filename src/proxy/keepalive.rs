//! A tiny completion of the gateway's own, so that Azure does not delete a deployment that nobody calls.
//!
//! It goes the same way as clients' requests, and leaves a usage record of its own: its client is `emberway`, its route `keepalive`. A
//! failure teaches the deployment's breaker nothing, since no client's request is at stake; a success counts for its inactivity clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use crate::config::checked::Credential;
use crate::core::ids::{ClientId, RouteId};
use crate::core::ledger::usage::{
    KEEPALIVE_CLIENT, KEEPALIVE_ROUTE, Operation, RequestOutcome, UsageRecord, UsageSource,
};
use crate::core::topology::{DeploymentIx, ResourceIx, Timeouts};
use crate::openai::error as wire_error;
use crate::openai::target::WireOperation;
use crate::openai::usage::{self, Usage};
use crate::proxy::Gateway;
use crate::proxy::commit::{self, Begun, Failed, Patience};
use crate::proxy::headers::{Forwarded, UpstreamHead};
use crate::proxy::state::Live;
use crate::proxy::tap::StreamTap;
use crate::proxy::upstream::Exchange;
use crate::telemetry::clock;

/// Longest time that the call may take.
const CALL_MAX: Duration = Duration::from_mins(2);

/// How what is written is bounded: a word. Older API versions know only the second name.
const A_WORD: (&str, u32) = ("max_completion_tokens", 16);
/// See [`A_WORD`].
const A_WORD_OF_OLD: (&str, u32) = ("max_tokens", 16);
/// The same for models that think first, and cannot finish within so little. They are paid for what they write only.
const A_THOUGHT: (&str, u32) = ("max_completion_tokens", 2_048);

/// What Azure says where a model could not finish within its bound (observed).
const TOO_SHORT: &str = "output limit was reached";

/// How long the usage queue is waited for. The call has been made in any case.
const RECORD_MAX: Duration = Duration::from_secs(5);

/// How long another credential is waited for where one was refused.
const CREDENTIAL_MAX: Duration = Duration::from_secs(5);

/// What came instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CallFailed {
    /// The status that it answered with, if it did.
    pub status: Option<u16>,
    /// In words; of an answer its status and message.
    pub text: String,
}

impl CallFailed {
    fn unanswered(text: impl Into<String>) -> Self {
        Self {
            status: None,
            text: text.into(),
        }
    }
}

/// Calls a deployment, and returns what that used.
///
/// # Errors
/// What came instead of an answer.
pub async fn call(gateway: &Gateway, live: &Live, deployment: DeploymentIx) -> Result<Usage, CallFailed> {
    let (began, started_at_ms) = (Instant::now(), clock::now_ms());
    let says =
        |made: &Result<Usage, CallFailed>, word: &str| made.as_ref().is_err_and(|failed| failed.text.contains(word));
    let mut made = exchange(gateway, live, deployment, A_WORD).await;
    if says(&made, A_WORD.0) {
        made = exchange(gateway, live, deployment, A_WORD_OF_OLD).await;
    }
    if says(&made, TOO_SHORT) {
        made = exchange(gateway, live, deployment, A_THOUGHT).await;
    }
    let used = made.as_ref().copied().unwrap_or_default();
    if made.is_ok() {
        let state = &live.deployments[deployment.0].state;
        state.note_success(clock::now_ms());
    }
    let record = record(live, deployment, made.is_ok(), used, (began, started_at_ms));
    if tokio::time::timeout(RECORD_MAX, gateway.usage.record_or_wait(record))
        .await
        .is_err()
    {
        let text = "it was made, and could not be written down: the usage queue is full";
        return Err(CallFailed::unanswered(text));
    }
    made
}

async fn exchange(
    gateway: &Gateway,
    live: &Live,
    deployment: DeploymentIx,
    (bound, tokens): (&str, u32),
) -> Result<Usage, CallFailed> {
    let snapshot = &live.config.runtime.snapshot;
    let configured = &snapshot.deployments[deployment.0];
    let resource = &snapshot.resources[configured.resource.0];
    let live_resource = &live.resources[configured.resource.0];
    let body = json!({
        "model": configured.name,
        "messages": [{ "role": "user", "content": "ping" }],
        bound: tokens,
    });
    let body = [Bytes::from(body.to_string())];
    let forwarded = Forwarded::default();
    let head = UpstreamHead {
        path: live.deployments[deployment.0].path(WireOperation::Chat),
        resource: live_resource,
        forwarded: &forwarded,
        spills_to: None,
        traceparent: None,
        body_length: body[0].len(),
    };
    let timeouts = Timeouts {
        connect: Duration::from_secs(10),
        first_byte: CALL_MAX,
        whole_answer: CALL_MAX,
        idle: CALL_MAX,
        total: CALL_MAX,
    };
    let deadline = Instant::now() + CALL_MAX;
    let exchange = Exchange {
        connections: &gateway.connections,
        resource: live_resource,
        counted: (configured.resource, &live.series),
        endpoint: &resource.endpoint,
        head: &head,
        body: &body,
        timeouts: &timeouts,
        connect: timeouts.connect,
        first_byte: CALL_MAX,
        deadline,
    };
    let opened = exchange.open().await;
    let answer = opened.map_err(|error| CallFailed::unanswered(error.to_string()))?;
    let patience = Patience {
        idle: CALL_MAX,
        until: deadline.into(),
        first_output: None,
    };
    match commit::begin(answer, StreamTap::new(false), patience).await {
        Ok(Begun::Whole { body, .. }) => Ok(usage::of_answer(&body).unwrap_or_default()),
        Ok(_) => Err(CallFailed::unanswered("an answer that is no completion")),
        Err(Failed::Answer { head, body, .. }) => {
            if head.status == http::StatusCode::UNAUTHORIZED {
                renew_credential(gateway, live, configured.resource).await;
            }
            let error = wire_error::read(&body);
            let status = head.status.as_u16();
            let told = error.message.or(error.code).unwrap_or_default();
            Err(CallFailed {
                status: Some(status),
                text: format!("status {status}: {told}"),
            })
        }
        Err(failed) => Err(CallFailed::unanswered(format!("{:?}", failed.end()))),
    }
}

/// Asks for another credential, for the next call: where nobody else calls, nobody else notices that this one is refused.
async fn renew_credential(gateway: &Gateway, live: &Live, resource: ResourceIx) {
    let login = &live.resources[resource.0].login;
    let refused = Arc::clone(&login.value());
    let tokens = matches!(live.config.runtime.credentials[resource.0], Credential::Entra(_));
    let refresh = if tokens { &gateway.tokens } else { &gateway.refresh };
    if login.refuse(&refused) {
        let id = &live.config.runtime.snapshot.resources[resource.0].id;
        refresh.refresh(id, Instant::now(), CREDENTIAL_MAX).await;
    }
}

fn record(
    live: &Live,
    deployment: DeploymentIx,
    is_success: bool,
    used: Usage,
    (began, started_at_ms): (Instant, i64),
) -> UsageRecord {
    let snapshot = &live.config.runtime.snapshot;
    let configured = &snapshot.deployments[deployment.0];
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    UsageRecord {
        request_id: format!("keepalive-{started_at_ms}").into(),
        started_at_ms,
        client: ClientId::from(KEEPALIVE_CLIENT),
        route: RouteId::from(KEEPALIVE_ROUTE),
        operation: Operation::Chat,
        deployment: Some(configured.id.clone()),
        region: Some(snapshot.resources[configured.resource.0].region.clone()),
        served_region: None,
        spilled_to: None,
        attempts: 1,
        outcome: if is_success {
            RequestOutcome::Success
        } else {
            RequestOutcome::UpstreamFailed
        },
        status: if is_success { 200 } else { 0 },
        streamed: false,
        source: if is_success {
            UsageSource::Reported
        } else {
            UsageSource::None
        },
        prompt_tokens: used.prompt,
        cached_tokens: used.cached,
        completion_tokens: used.completion,
        first_byte_us: None,
        first_token_us: None,
        total_us: took,
        upstream_us: took,
        kept: None,
    }
}
