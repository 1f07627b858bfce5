//! The attempts of one request, one after another, until one answer is good enough to pass on.
//!
//! Never two at a time. Nothing is sent to the client here, so every attempt but the last leaves no trace for it. When all
//! fail, the most useful thing known is passed on ([`fallback`](crate::proxy::fallback)).

use std::time::Instant;

use bytes::Bytes;

use crate::core::recovery::health::Availability;
use crate::core::router::{Candidate, Plan, Reason};
use crate::core::topology::{Pool, Route};
use crate::openai::request::{Request, RequestError};
use crate::openai::target::WireOperation;
use crate::proxy::Gateway;
use crate::proxy::attempt::{Attempt, Attempted, Chosen, UpstreamFailure};
use crate::proxy::context::RequestContext;
use crate::proxy::downstream::Downstream;
use crate::proxy::error::ProxyError;
use crate::proxy::fallback::Fallback;
use crate::proxy::headers::Forwarded;
use crate::proxy::state::Live;

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

/// Tries the plan's candidates until one answers. One whose breaker opens meanwhile comes last, like those whose breaker was open.
///
/// # Errors
/// [`Stop`] says what the client gets instead.
pub async fn first_answer(
    gateway: &Gateway,
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
    call: &Call<'_>,
    plan: Plan,
) -> Result<Chosen, Stop> {
    let deadline = context.started + call.route.failover.deadline;
    let mut fallback = Fallback::default();
    let mut is_late = false;
    let mut candidates = plan.candidates;
    let mut next = 0;
    while let Some(&candidate) = candidates.get(next) {
        next += 1;
        let now = Instant::now();
        is_late = now >= deadline;
        if is_late || context.attempts.len() >= call.route.failover.max_attempts as usize {
            break;
        }
        // An attempt of this request, or another request, may have taught otherwise since the plan was made.
        match call.live.availability(candidate.deployment, now) {
            Availability::Ready | Availability::Probe => {}
            Availability::Ejected(_) if candidate.reason == Reason::LastResort => {}
            Availability::Ejected(_) => {
                candidates.push(Candidate {
                    reason: Reason::LastResort,
                    ..candidate
                });
                continue;
            }
            Availability::Resting(_) | Availability::Drained(_) => continue,
        }
        let reason = if context.attempts.is_empty() {
            candidate.reason
        } else {
            Reason::Failover
        };
        let attempt = Attempt {
            gateway,
            call,
            deployment: candidate.deployment,
            reason,
            deadline,
        };
        match attempt.make(downstream, context).await {
            Attempted::Chosen(chosen) => return Ok(*chosen),
            Attempted::Final(failure) => return Err(Stop::PassOn(failure)),
            Attempted::ClientGone(error) => return Err(Stop::ClientGone(error)),
            Attempted::Failed(outcome, answer) => fallback.note(outcome, answer, candidate.deployment),
        }
    }
    Err(fallback.stop(call, is_late, Instant::now()))
}
