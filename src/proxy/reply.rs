//! Answers that come from the gateway itself: errors, an upstream's last word, and the list of models.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use serde::Serialize;

use crate::core::ledger::usage::RequestOutcome;
use crate::core::recovery::outcome::AttemptOutcome;
use crate::proxy::Gateway;
use crate::proxy::attempt::UpstreamFailure;
use crate::proxy::body;
use crate::proxy::context::{self, RequestContext};
use crate::proxy::error::{ProxyError, RefusalReason};
use crate::proxy::headers;
use crate::telemetry::events::{GatewayRefused, RequestShed};

/// Longest time for a client to take such an answer: they are small, so only one that does not read at all needs longer.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// Answers with an error of the gateway's own.
///
/// # Errors
/// When the client's connection fails.
pub async fn refuse(
    gateway: &Gateway,
    session: &mut ServerSession,
    context: &mut RequestContext,
    error: ProxyError,
) -> pingora::Result<()> {
    let reason = error.reason();
    context.refusal = Some(reason);
    context.outcome = match reason {
        RefusalReason::RateLimitExceeded => RequestOutcome::Throttled,
        RefusalReason::DeploymentNotFound
        | RefusalReason::UpstreamTimeout
        | RefusalReason::UpstreamUnreachable
        | RefusalReason::UpstreamUnavailable
        | RefusalReason::UpstreamMisconfigured
        | RefusalReason::UpstreamCredentialRefused => RequestOutcome::UpstreamFailed,
        // Azure said so itself; else the control plane had, and nobody was asked.
        RefusalReason::DeploymentAbsent if !context.attempts.is_empty() => RequestOutcome::UpstreamFailed,
        _ => RequestOutcome::Refused,
    };
    GatewayRefused {
        request_id: &context.id,
        reason: reason.into(),
    }
    .emit(&gateway.metrics);
    if let Some(shed) = error.shed_reason() {
        RequestShed { reason: shed.into() }.emit(&gateway.metrics);
    }
    let mut head = ResponseHeader::build_no_case(error.status(), Some(8))?;
    head.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
    if let ProxyError::WrongMethod { allowed, .. } = &error {
        head.insert_header(header::ALLOW, HeaderValue::from_static(allowed))?;
    }
    headers::add_retry(&mut head, error.retry_after(), error.is_final())?;
    send(session, context, head, error.body()).await?;
    if !session.is_body_done() {
        // A client that waits for leave to send will not send now.
        if body::waits_for_leave(session) {
            session.set_keepalive(None);
        } else {
            body::discard(session).await;
        }
    }
    Ok(())
}

/// Answers what is no HTTP request, so that whoever sent it can find out. The connection cannot be used again.
pub async fn refuse_head(gateway: &Gateway, session: &mut ServerSession) {
    let error = ProxyError::BadHead;
    let id = context::new_id();
    GatewayRefused {
        request_id: &id,
        reason: error.reason().into(),
    }
    .emit(&gateway.metrics);
    let answer = async {
        let body = error.body();
        let mut head = ResponseHeader::build_no_case(error.status(), Some(4))?;
        head.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
        head.insert_header(headers::REQUEST_ID, &*id)?;
        head.set_content_length(body.len())?;
        session.set_write_timeout(Some(TAKEN_WITHIN));
        session.write_error_response(head, body).await
    };
    if let Err(error) = answer.await {
        tracing::debug!(%error, "a client did not take its refusal");
    }
}

/// Passes an upstream's error on.
///
/// # Errors
/// When the client's connection fails.
pub async fn pass_on(
    session: &mut ServerSession,
    context: &mut RequestContext,
    failure: UpstreamFailure,
) -> pingora::Result<()> {
    let mut head = failure.head;
    context.outcome = match failure.outcome {
        AttemptOutcome::Throttled => RequestOutcome::Throttled,
        AttemptOutcome::Rejected => RequestOutcome::Rejected,
        _ => RequestOutcome::UpstreamFailed,
    };
    // What is unavailable stays so until somebody acts.
    let is_final = failure.outcome == AttemptOutcome::Unavailable;
    headers::add_retry(&mut head, failure.retry_after, is_final)?;
    send(session, context, head, failure.body).await
}

/// Answers `GET …/models`: the names this client may ask for, in OpenAI's form. Of `GET …/models/{name}` the one, which the caller has
/// found to be one of them.
///
/// # Errors
/// When the client's connection fails.
pub async fn models(
    session: &mut ServerSession,
    context: &mut RequestContext,
    one: Option<String>,
) -> pingora::Result<()> {
    let list = || {
        let live = context.live.as_deref();
        let names = live.map_or_else(Vec::new, |live| headers::models_of(live, context));
        ModelList {
            object: "list",
            data: names.into_iter().map(Model::new).collect(),
        }
    };
    let body = match one {
        Some(name) => serde_json::to_vec(&Model::new(name)),
        None => serde_json::to_vec(&list()),
    };
    // Structs of strings always serialise.
    let body = Bytes::from(body.unwrap_or_default());
    let mut head = ResponseHeader::build_no_case(200, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
    context.outcome = RequestOutcome::Success;
    send(session, context, head, body).await
}

#[derive(Serialize)]
struct ModelList {
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Serialize)]
struct Model {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl Model {
    fn new(id: String) -> Self {
        Self {
            id,
            object: "model",
            created: 0,
            owned_by: "emberway",
        }
    }
}

/// Sends a whole answer.
async fn send(
    session: &mut ServerSession,
    context: &mut RequestContext,
    mut head: ResponseHeader,
    body: Bytes,
) -> pingora::Result<()> {
    let now = Instant::now();
    context.status = head.status.as_u16();
    headers::add_own(&mut head, context, now)?;
    head.set_content_length(body.len())?;
    context.first_byte = Some(now);
    session.set_write_timeout(Some(TAKEN_WITHIN));
    session.write_response_header(Box::new(head)).await?;
    session.write_response_body(body, true).await
}
