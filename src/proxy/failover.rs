//! The attempts of one request, one after another, until one answer is good enough to pass on.
//!
//! Never two at a time. Nothing is sent to the client here, so every attempt but the last leaves no trace for it. When all
//! fail, the most useful thing known is passed on: throttling before failure (it says when to come back), an upstream's own
//! words before ours.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::http::ResponseHeader;

use crate::core::recovery::health::{Availability, BreakerState};
use crate::core::recovery::outcome::{AttemptEnd, AttemptOutcome, Effect, Next, Verdict, classify};
use crate::core::router::{self, Candidate, Plan, Reason};
use crate::core::topology::{ApiForm, DeploymentIx, Pool, Route};
use crate::openai::body::{self, Edits};
use crate::openai::error::{self as wire_error};
use crate::openai::request::{Request, RequestError};
use crate::openai::target::WireOperation;
use crate::proxy::Gateway;
use crate::proxy::commit::{self, Begun, Failed, Patience};
use crate::proxy::context::{AttemptFacts, RequestContext};
use crate::proxy::downstream::Downstream;
use crate::proxy::error::{Exhausted, ProxyError};
use crate::proxy::headers::{self, Forwarded, UpstreamHead};
use crate::proxy::state::{InFlight, Live};
use crate::proxy::upstream::Exchange;
use crate::telemetry::{clock, events};

/// One request, understood and routed.
pub struct Call<'a> {
    /// The configuration it lives in.
    pub live: &'a Live,
    /// Its route.
    pub route: &'a Route,
    /// The route's pool.
    pub pool: &'a Pool,
    /// What is asked for.
    pub operation: WireOperation,
    /// The body as it came.
    pub body: &'a Bytes,
    /// The body as it was understood.
    pub request: &'a Request<'a>,
    /// The headers that are passed on.
    pub forwarded: &'a Forwarded,
}

/// An answer that has begun and will be passed on.
pub struct Chosen {
    /// What has been read of it.
    pub begun: Begun,
    /// Whose it is.
    pub deployment: DeploymentIx,
    /// Counts it as running.
    pub in_flight: InFlight,
}

/// Why a request gets no answer of a deployment's own.
pub enum Stop {
    /// The gateway answers.
    Refused(ProxyError),
    /// An upstream's error is passed on.
    PassOn(Box<UpstreamFailure>),
    /// The client left, or its connection failed.
    ClientGone(Box<pingora::Error>),
}

impl From<ProxyError> for Stop {
    fn from(error: ProxyError) -> Self {
        Self::Refused(error)
    }
}

impl From<RequestError> for Stop {
    fn from(error: RequestError) -> Self {
        Self::Refused(error.into())
    }
}

/// An upstream's error answer.
pub struct UpstreamFailure {
    /// Its head, with only what may be passed on.
    pub head: ResponseHeader,
    /// Its body.
    pub body: Bytes,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// Whether trying again cannot help.
    pub is_final: bool,
}

/// The best that is known while attempts fail.
#[derive(Default)]
struct Fallback {
    throttled: bool,
    answer: Option<Box<UpstreamFailure>>,
    missing: Option<DeploymentIx>,
    last: Option<Exhausted>,
}

/// What one attempt came to.
enum Attempted {
    Chosen(Box<Chosen>),
    Final(Box<UpstreamFailure>),
    Failed(AttemptOutcome, Option<Box<UpstreamFailure>>),
    ClientGone(Box<pingora::Error>),
}

/// Tries the plan's candidates until one answers.
///
/// # Errors
/// [`Stop`] says what the client gets instead.
pub async fn first_answer(
    gateway: &Gateway,
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
    call: &Call<'_>,
    plan: &Plan,
) -> Result<Chosen, Stop> {
    let deadline = context.started + call.route.failover.deadline;
    let mut fallback = Fallback::default();
    for candidate in &plan.candidates {
        let now = Instant::now();
        if context.attempts.len() >= call.route.failover.max_attempts as usize || now >= deadline {
            break;
        }
        if !may_still_be_tried(call.live, candidate, now) {
            continue;
        }
        let reason = if context.attempts.is_empty() {
            candidate.reason
        } else {
            Reason::Failover
        };
        match attempt(
            gateway,
            downstream,
            context,
            call,
            candidate.deployment,
            reason,
            deadline,
        )
        .await
        {
            Attempted::Chosen(chosen) => return Ok(*chosen),
            Attempted::Final(failure) => return Err(Stop::PassOn(failure)),
            Attempted::ClientGone(error) => return Err(Stop::ClientGone(error)),
            Attempted::Failed(outcome, answer) => fallback.note(outcome, answer, candidate.deployment),
        }
    }
    Err(fallback.stop(call, Instant::now()))
}

/// Whether a candidate is still usable: an attempt of this request, or another request, may have taught otherwise.
fn may_still_be_tried(live: &Live, candidate: &Candidate, now: Instant) -> bool {
    match live.availability(candidate.deployment, now) {
        Availability::Ready | Availability::Probe => true,
        Availability::Ejected(_) => candidate.reason == Reason::LastResort,
        Availability::Resting(_) => false,
    }
}

/// Tries one deployment; twice where it refuses an option that the gateway had added. Only an answer to the second request tells that
/// the option was at fault: a client can word its own `stream_options` so that any deployment refuses them.
async fn attempt(
    gateway: &Gateway,
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
    call: &Call<'_>,
    deployment: DeploymentIx,
    reason: Reason,
    deadline: Instant,
) -> Attempted {
    let live = &call.live.deployments[deployment.0];
    let in_flight = live.state.enter();
    let configured = &call.live.config.runtime.snapshot.deployments[deployment.0];
    let mut asks_usage =
        configured.stream_usage && body::adds_usage(call.request) && live.state.takes_stream_usage(clock::now_ms());
    let mut was_refused = false;
    live.state.health.lock().begin(Instant::now());
    loop {
        let start = Instant::now();
        let result = tokio::select! {
            biased;
            result = exchange(gateway, call, deployment, asks_usage, deadline) => Ok(result),
            error = downstream.gone() => Err(error),
        };
        let took = start.elapsed();
        context.upstream_wait += took;
        if let (Ok(Err(failed)), true) = (&result, asks_usage)
            && refuses_usage(failed)
        {
            was_refused = true;
            asks_usage = false;
            continue;
        }
        if was_refused && matches!(result, Ok(Ok(_))) {
            live.state.refused_stream_usage(clock::now_ms());
            events::StreamUsageRefused {
                deployment: &configured.id,
            }
            .emit();
        }
        let end = match &result {
            Ok(Ok(begun)) => begun.end(),
            Ok(Err(failed)) => failed.end(),
            Err(_) => AttemptEnd::ClientGone,
        };
        let verdict = note(call.live, context, (deployment, reason), took, end);
        return match result {
            Ok(Ok(begun)) => Attempted::Chosen(Box::new(Chosen {
                begun,
                deployment,
                in_flight,
            })),
            Ok(Err(failed)) => failure(failed, verdict),
            Err(error) => Attempted::ClientGone(error),
        };
    }
}

/// Notes an attempt's end: what the request remembers of it, and what its deployment learns.
fn note(
    live: &Live,
    context: &mut RequestContext,
    (deployment, reason): (DeploymentIx, Reason),
    took: Duration,
    end: AttemptEnd<'_>,
) -> Verdict {
    let verdict = classify(end);
    let (status, retry_after) = match end {
        AttemptEnd::Status {
            status, retry_after, ..
        } => (status, retry_after),
        AttemptEnd::Begun { status } => (status, None),
        _ => (0, None),
    };
    context.attempts.push(AttemptFacts {
        deployment,
        reason,
        outcome: verdict.outcome,
        status,
        took,
        retry_after,
        maybe_billed: verdict.maybe_billed,
    });
    learn(live, deployment, verdict.outcome, verdict.effect);
    verdict
}

/// One exchange, up to the point where its answer may be passed on.
async fn exchange(
    gateway: &Gateway,
    call: &Call<'_>,
    deployment: DeploymentIx,
    asks_usage: bool,
    deadline: Instant,
) -> Result<Begun, Failed> {
    let snapshot = &call.live.config.runtime.snapshot;
    let configured = &snapshot.deployments[deployment.0];
    let resource_ix = configured.resource.0;
    let (resource, live_resource) = (&snapshot.resources[resource_ix], &call.live.resources[resource_ix]);
    let model = matches!(resource.api, ApiForm::V1).then_some(configured.name.as_str());
    let pieces = body::edited(
        call.body,
        call.request,
        Edits {
            model,
            ask_usage: asks_usage,
        },
    );
    let path = call.live.deployments[deployment.0].path(call.operation);
    let head = UpstreamHead {
        path,
        resource: live_resource,
        forwarded: call.forwarded,
        body_length: body::length(&pieces),
    };
    let timeouts = &call.route.timeouts;
    let left = deadline.saturating_duration_since(Instant::now());
    let first_byte = if call.request.stream {
        timeouts.first_byte
    } else {
        timeouts.whole_answer
    };
    let exchange = Exchange {
        connections: &gateway.connections,
        resource: live_resource,
        counted: (configured.resource, &call.live.series),
        endpoint: &resource.endpoint,
        head: &head,
        body: &pieces,
        timeouts,
        connect: timeouts.connect.min(left),
        first_byte: first_byte.min(left),
    };
    let answer = exchange.open().await.map_err(Failed::Open)?;
    commit::begin(
        answer,
        asks_usage,
        Patience {
            idle: timeouts.idle,
            until: deadline.into(),
        },
    )
    .await
}

/// Whether an upstream refused the option that the gateway had added.
fn refuses_usage(failed: &Failed) -> bool {
    matches!(failed, Failed::Answer { head, body, .. }
        if head.status == 400 && wire_error::read(body).refuses_member("stream_options"))
}

/// Turns a failed exchange into what the request makes of it.
fn failure(failed: Failed, verdict: Verdict) -> Attempted {
    let answer = match failed {
        Failed::Answer {
            head,
            body,
            retry_after,
            ..
        } => Some(Box::new(UpstreamFailure {
            is_final: verdict.outcome == AttemptOutcome::Unavailable,
            head: *head,
            body,
            retry_after,
        })),
        Failed::Open(_) | Failed::Broken(_) | Failed::InStream { .. } => None,
    };
    match (verdict.next, answer) {
        (Next::Final, Some(answer)) => Attempted::Final(answer),
        (_, answer) => Attempted::Failed(verdict.outcome, answer),
    }
}

/// Tells a deployment's health what an attempt taught, and everybody else when its breaker changed.
pub fn learn(live: &Live, deployment: DeploymentIx, cause: AttemptOutcome, effect: Effect) {
    let state = &live.deployments[deployment.0].state;
    if cause == AttemptOutcome::Success {
        state
            .last_success_at_ms
            .fetch_max(clock::now_ms(), std::sync::atomic::Ordering::Relaxed);
    }
    if let Effect::Rest(asked) = effect {
        let rest = asked
            .unwrap_or(live.rules.throttle_default)
            .min(live.rules.throttle_max);
        let id = &live.config.runtime.snapshot.deployments[deployment.0].id;
        events::DeploymentCooling { deployment: id, rest }.emit();
    }
    let changed: Option<BreakerState> = state.health.lock().end(effect, &live.rules, Instant::now());
    if let Some(state) = changed {
        let id = &live.config.runtime.snapshot.deployments[deployment.0].id;
        events::BreakerChanged {
            deployment: id,
            state,
            cause: cause.into(),
        }
        .emit();
    }
}

impl Fallback {
    fn note(&mut self, outcome: AttemptOutcome, answer: Option<Box<UpstreamFailure>>, deployment: DeploymentIx) {
        if outcome == AttemptOutcome::Unavailable && answer.as_ref().is_some_and(|answer| answer.head.status == 404) {
            self.missing.get_or_insert(deployment);
            return;
        }
        self.last = Some(match outcome {
            AttemptOutcome::Timeout => Exhausted::Timeout,
            AttemptOutcome::CredentialRefused => Exhausted::CredentialRefused,
            _ => Exhausted::Unreachable,
        });
        match outcome {
            AttemptOutcome::Throttled => {
                self.answer = if self.throttled {
                    self.answer.take().or(answer)
                } else {
                    answer
                };
                self.throttled = true;
            }
            // The gateway's credential is none of the client's business; its own would seem to be refused.
            AttemptOutcome::CredentialRefused => {}
            _ if self.throttled => {}
            _ => self.answer = answer.or(self.answer.take()),
        }
    }

    /// What the client gets when no attempt succeeded.
    fn stop(self, call: &Call<'_>, now: Instant) -> Stop {
        let soonest = router::soonest_recovery(call.pool, |deployment| call.live.availability(deployment, now));
        if let Some(soonest) = soonest {
            let after = soonest.saturating_duration_since(now).min(headers::RETRY_AFTER_MAX);
            return match self.answer.filter(|_| self.throttled) {
                Some(mut answer) => {
                    answer.retry_after = Some(after);
                    Stop::PassOn(answer)
                }
                None => Stop::Refused(ProxyError::Throttled(after)),
            };
        }
        if let Some(answer) = self.answer {
            return Stop::PassOn(answer);
        }
        // Missing everywhere is final; missing here and failing there may be over in a moment.
        if let Some(deployment) = self.missing.filter(|_| self.last.is_none()) {
            let snapshot = &call.live.config.runtime.snapshot;
            let deployment = &snapshot.deployments[deployment.0];
            return Stop::Refused(ProxyError::DeploymentMissing {
                deployment: deployment.id.clone(),
                region: snapshot.resources[deployment.resource.0].region.clone(),
                inactivity_days: deployment.inactivity_days,
            });
        }
        Stop::Refused(ProxyError::Exhausted(self.last.unwrap_or(Exhausted::Timeout)))
    }
}
