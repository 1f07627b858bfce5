//! Passes a begun answer on to the client, and notes what it says about usage on the way.
//!
//! Nothing here may fail over: the client has bytes of this answer. A stream that breaks ends with an error event and without
//! `[DONE]`; anything else that breaks ends the connection, so that nobody takes a part for the whole.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::core::ledger::usage::RequestOutcome;
use crate::core::recovery::outcome::{AttemptOutcome, Next, classify};
use crate::core::topology::{DeploymentIx, Route};
use crate::openai::error::{self as wire_error, UpstreamError};
use crate::openai::target::WireOperation;
use crate::openai::{responses, usage};
use crate::proxy::Gateway;
use crate::proxy::attempt::Chosen;
use crate::proxy::commit::{self, Begun};
use crate::proxy::context::{AttemptFacts, RequestContext};
use crate::proxy::downstream::Downstream;
use crate::proxy::headers;
use crate::proxy::learn::{self, learn};
use crate::proxy::observe::Observed;
use crate::proxy::pins::Keeper;
use crate::proxy::state::Live;
use crate::proxy::tap::StreamTap;
use crate::proxy::upstream::Answer;
use crate::telemetry::events::process::{CutEnd, RequestCutOff};

/// Ready chunks are gathered into one write up to this size: one system call instead of many.
const BATCH_BYTES_MAX: usize = 64 * 1024;

/// How long the end of a stream is waited for after its `[DONE]`, so that its connection can be used again.
const AFTER_DONE_MAX: Duration = Duration::from_millis(100);

/// How the reading of a relayed answer ended.
enum End {
    /// Properly.
    Complete,
    /// With an error that the upstream told of itself; the client has its words.
    Told(Box<UpstreamError>),
    /// Before its time.
    Broken(Break),
    /// The client left, or its connection failed.
    ClientGone(Box<pingora::Error>),
}

/// What breaks an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    /// The upstream broke or fell silent.
    Upstream(&'static str),
    /// The route gives answers no more time.
    TookTooLong,
    /// The gateway is being stopped, and the time for running requests is over.
    CutOff,
}

impl Break {
    fn reason(self) -> &'static str {
        match self {
            Self::Upstream(reason) => reason,
            Self::TookTooLong => "the answer took longer than `timeouts.total`",
            Self::CutOff => "the gateway is being stopped",
        }
    }
}

/// What bounds a relay: silence, its whole time, and the end of a drain's time.
struct Limits<'a> {
    idle: Duration,
    until: tokio::time::Instant,
    cut_off: Pin<&'a mut (dyn Future<Output = ()> + Send)>,
}

/// Passes the answer on to its end, and notes for the request and for its deployment what that was.
///
/// # Errors
/// When the client left, its connection failed, or a body that is no stream broke.
pub async fn relay(
    gateway: &Gateway,
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
    live: &Live,
    route: &Route,
    chosen: Chosen,
) -> pingora::Result<()> {
    let Chosen {
        begun,
        deployment,
        in_flight,
        thinks_over,
    } = chosen;
    let timeouts = &route.timeouts;
    let spent = context.deciding_attempt().map_or(Duration::ZERO, AttemptFacts::took);
    let cut_off = std::pin::pin!(gateway.activity.is_cut_off());
    let mut limits = Limits {
        idle: timeouts.idle,
        until: tokio::time::Instant::now() + timeouts.total.saturating_sub(spent),
        cut_off,
    };
    let is_whole = matches!(begun, Begun::Whole { .. });
    context.keeper = keeper(gateway, context, live, deployment);
    // Whatever fails on the client's side, the client cannot have the answer.
    let end = pass_on(downstream, context, begun, &mut limits)
        .await
        .unwrap_or_else(End::ClientGone);
    let began = in_flight.began();
    drop(in_flight);
    // Of a whole answer this has been learned already.
    if !is_whole && matches!(end, End::Complete) {
        learn(live, deployment, learn::RELAYED, began, None);
    }
    if let Some((uncached, first_token)) = thinks_over.zip(context.first_token) {
        let observed = Observed {
            gateway,
            live,
            deployment,
            now: first_token,
        };
        let took = first_token.saturating_duration_since(began);
        observed.note_latency(took, uncached, &route.failover.first_token);
    }
    if matches!(end, End::Broken(Break::CutOff)) {
        let request_id = &context.id;
        let end = if context.streamed {
            CutEnd::ErrorEvent
        } else {
            CutEnd::ConnectionClosed
        };
        RequestCutOff { request_id, end }.emit(&gateway.metrics);
    }
    conclude(downstream, context, live, (deployment, began), end).await
}

/// Sends head and body.
///
/// # Errors
/// When the client left, or its connection failed.
async fn pass_on(
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
    begun: Begun,
    limits: &mut Limits<'_>,
) -> pingora::Result<End> {
    context.status = begun.status();
    let now = Instant::now();
    match begun {
        Begun::Whole { mut head, body } => {
            note_whole(context, &body);
            headers::add_own(&mut head, context, now)?;
            context.first_byte = Some(now);
            downstream.send_head(head, Some(body.len())).await?;
            downstream.finish(body).await?;
            Ok(End::Complete)
        }
        Begun::Long {
            mut head,
            first,
            content_length,
            rest,
        } => {
            headers::add_own(&mut head, context, now)?;
            context.first_byte = Some(now);
            downstream.send_head(head, content_length).await?;
            downstream.send(first).await?;
            relay_long(downstream, rest, limits).await
        }
        Begun::Events {
            mut head,
            opening,
            mut tap,
            first_output,
            rest,
        } => {
            context.streamed = true;
            context.first_token = first_output;
            headers::add_own(&mut head, context, now)?;
            context.first_byte = Some(now);
            note(context, &tap);
            downstream.send_head(head, None).await?;
            downstream.send(opening).await?;
            let end = relay_events(downstream, context, &mut tap, rest, limits).await;
            note(context, &tap);
            end
        }
    }
}

/// Who remembers the response that is passed on, if the deployment keeps it.
fn keeper(gateway: &Gateway, context: &RequestContext, live: &Live, deployment: DeploymentIx) -> Option<Keeper> {
    let snapshot = &live.config.runtime.snapshot;
    let client = context.client.filter(|_| context.keeps_response)?;
    Some(Keeper {
        pins: Arc::clone(&gateway.pins),
        client: snapshot.clients[client.0].id.clone(),
        deployment: snapshot.deployments[deployment.0].id.clone(),
        asked_at_ms: context.started_at_ms,
    })
}

/// Notes what a stream has shown so far: as it goes, since a request that is cut off gets no chance to do so later, and before the client
/// sees it, which may continue at once what it knows by name.
fn note(context: &mut RequestContext, tap: &StreamTap) {
    context.output_events = tap.seen.output_events;
    context.reported = tap.seen.usage;
    let name = tap.seen.response.as_ref().and_then(|response| response.name.as_deref());
    context.keep(name);
}

/// The same of a whole answer.
fn note_whole(context: &mut RequestContext, body: &[u8]) {
    if context.operation == Some(WireOperation::Responses) {
        let facts = responses::Facts::of(body);
        context.reported = facts.usage;
        context.keep(facts.id.as_deref());
    } else {
        context.reported = usage::of_answer(body);
    }
}

/// Notes how the relay ended, for the request and for its deployment.
async fn conclude(
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
    live: &Live,
    (deployment, began): (DeploymentIx, Instant),
    end: End,
) -> pingora::Result<()> {
    match end {
        End::Complete => {
            context.outcome = RequestOutcome::Success;
            Ok(())
        }
        End::Told(error) => {
            let snapshot = &live.config.runtime.snapshot;
            let is_provisioned = snapshot.deployments[deployment.0].sku.is_provisioned();
            let verdict = classify(commit::told(&error), is_provisioned);
            // Words of its own: the host is well, whatever is the matter with the deployment or the request.
            learn(live, deployment, verdict, began, None);
            if verdict.next == Next::Final {
                context.answer_ended(RequestOutcome::Rejected, AttemptOutcome::Rejected);
            } else {
                context.answer_ended(RequestOutcome::Broken, AttemptOutcome::Broken);
            }
            Ok(())
        }
        End::Broken(how) => {
            match how {
                Break::Upstream(_) => {
                    context.answer_ended(RequestOutcome::Broken, AttemptOutcome::Broken);
                    learn(live, deployment, learn::BROKEN, began, None);
                }
                // The others are none of the deployment's doing.
                Break::TookTooLong => context.answer_ended(RequestOutcome::Broken, AttemptOutcome::Broken),
                Break::CutOff => context.cut_off(),
            }
            if context.streamed {
                return Ok(());
            }
            abort(downstream, how.reason()).await
        }
        End::ClientGone(error) => {
            context.answer_ended(RequestOutcome::ClientGone, AttemptOutcome::ClientGone);
            Err(error)
        }
    }
}

/// Ends the connection of a body that is no stream and cannot be completed.
async fn abort(downstream: &mut Downstream<'_>, how: &'static str) -> pingora::Result<()> {
    downstream.abort().await;
    Err(pingora::Error::explain(pingora::ErrorType::ReadError, how).into_up())
}

/// Relays a long body that is no event stream.
async fn relay_long(
    downstream: &mut Downstream<'_>,
    mut rest: Answer,
    limits: &mut Limits<'_>,
) -> pingora::Result<End> {
    loop {
        match next(downstream, &mut rest, limits).await {
            Ok(Some(piece)) => downstream.send(piece).await?,
            Ok(None) => break,
            Err(Interrupted::Broken(how)) => return Ok(End::Broken(how)),
            Err(Interrupted::ClientGone(error)) => return Err(error),
        }
    }
    rest.release().await;
    downstream.finish(Bytes::new()).await?;
    Ok(End::Complete)
}

/// Relays an event stream, chunk by chunk, chunks that are ready together in one write. Its end is `[DONE]`: how the upstream's
/// connection fares after that is nothing to the client.
async fn relay_events(
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
    tap: &mut StreamTap,
    mut rest: Answer,
    limits: &mut Limits<'_>,
) -> pingora::Result<End> {
    while !tap.seen.is_done {
        let chunk = match next(downstream, &mut rest, limits).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(Interrupted::Broken(how)) => return break_stream(downstream, tap, how).await,
            Err(Interrupted::ClientGone(error)) => return Err(error),
        };
        let mut out = tap.feed(&chunk);
        let mut ready = rest.next_if_ready();
        while let Some(Ok(Some(chunk))) = ready {
            out = joined(out, &tap.feed(&chunk));
            ready = if out.len() < BATCH_BYTES_MAX {
                rest.next_if_ready()
            } else {
                None
            };
        }
        note(context, tap);
        if context.first_token.is_none() && tap.seen.output_events > 0 {
            context.first_token = Some(Instant::now());
        }
        downstream.send(out).await?;
        match ready {
            Some(Ok(None)) => break,
            Some(Err(_)) if !tap.seen.is_done => return break_stream(downstream, tap, CONNECTION_BROKE).await,
            _ => {}
        }
    }
    let tail = tap.finish();
    if tap.seen.is_done {
        downstream.finish(tail).await?;
        read_to_end(rest).await;
        return Ok(End::Complete);
    }
    downstream.send(tail).await?;
    if let Some(error) = &tap.seen.error {
        // The upstream has told the client itself.
        downstream.finish(Bytes::new()).await?;
        return Ok(End::Told(Box::new(wire_error::read(error))));
    }
    let how = Break::Upstream("the answer ended before it was complete");
    break_stream(downstream, tap, how).await
}

/// Reads what a stream still sends after its `[DONE]`, commonly no more than the end of the last chunk, and gives the connection back.
/// One that does not end in time is closed instead.
async fn read_to_end(mut rest: Answer) {
    let reading = async { while let Ok(Some(_)) = rest.next().await {} };
    // In time or not: what was read decides whether the connection can be used again.
    let _ = tokio::time::timeout(AFTER_DONE_MAX, reading).await;
    rest.release().await;
}

/// Ends a broken stream so that every client library notices: with an error event, and without `[DONE]`.
async fn break_stream(downstream: &mut Downstream<'_>, tap: &StreamTap, how: Break) -> pingora::Result<End> {
    let reason = how.reason();
    let mut last = BytesMut::new();
    if tap.is_inside_event() {
        last.extend_from_slice(b"\n\n");
    }
    let message =
        format!("the stream broke after it had begun: {reason}; what has come so far is not the whole answer");
    last.extend_from_slice(&tap.seen.closing_error(&message, "stream_broken"));
    downstream.finish(last.freeze()).await?;
    Ok(End::Broken(how))
}

const CONNECTION_BROKE: Break = Break::Upstream("the connection to Azure broke");

/// Why there is no next piece although the answer has not ended.
enum Interrupted {
    Broken(Break),
    ClientGone(Box<pingora::Error>),
}

/// The next piece, or why there is none.
async fn next(
    downstream: &mut Downstream<'_>,
    rest: &mut Answer,
    limits: &mut Limits<'_>,
) -> Result<Option<Bytes>, Interrupted> {
    let silence = tokio::time::Instant::now() + limits.idle;
    tokio::select! {
        biased;
        piece = rest.next() => piece.map_err(|_| Interrupted::Broken(CONNECTION_BROKE)),
        error = downstream.gone() => Err(Interrupted::ClientGone(error)),
        () = &mut limits.cut_off => Err(Interrupted::Broken(Break::CutOff)),
        () = tokio::time::sleep_until(silence.min(limits.until)) => {
            let is_silent = silence < limits.until;
            Err(Interrupted::Broken(if is_silent { Break::Upstream("Azure fell silent") } else { Break::TookTooLong }))
        }
    }
}

/// Two pieces as one; copies only where both hold something.
fn joined(first: Bytes, second: &Bytes) -> Bytes {
    if second.is_empty() {
        return first;
    }
    if first.is_empty() {
        return second.clone();
    }
    let mut both = BytesMut::from(first);
    both.extend_from_slice(second);
    both.freeze()
}
