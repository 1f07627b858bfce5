//! The attempts of one request, one after another, until one answer is good enough to pass on.
//!
//! Never two at a time, unless the route has second attempts beside late ones ([`hedge`]). What follows a failure is paid for by the
//! route's retry budget, so that an outage is not multiplied. Nothing is sent to the client here, so every attempt but the last leaves no
//! trace for it. When all fail, the most useful thing known is passed on ([`fallback`](crate::proxy::fallback)).

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::core::admission::queue::Priority;
use crate::core::placement::rendezvous;
use crate::core::recovery::outcome::{AttemptOutcome, Effect};
use crate::core::router::tries::{Refusals, Tries};
use crate::core::router::{Plan, Reason};
use crate::core::topology::{DeploymentIx, Pool, Route, RouteIx};
use crate::openai::request::{Request, RequestError};
use crate::openai::target::WireOperation;
use crate::proxy::Gateway;
use crate::proxy::attempt::{Attempt, Attempted, Chosen, UpstreamFailure};
use crate::proxy::context::RequestContext;
use crate::proxy::downstream::Downstream;
use crate::proxy::error::ProxyError;
use crate::proxy::fallback::Fallback;
use crate::proxy::headers::Forwarded;
use crate::proxy::hedge;
use crate::proxy::placing;
use crate::proxy::state::Live;
use crate::proxy::waiting::{self, WaitEnd, Waited};
use crate::telemetry::events;

/// One request, understood and routed.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The configuration it lives in.
    pub live: &'a Live,
    /// Its route.
    pub route: &'a Route,
    /// The same, by its place in the snapshot.
    pub route_ix: RouteIx,
    /// How urgent it is.
    pub priority: Priority,
    /// What it counts against a limit, in tokens, as the provider estimates.
    pub tokens: u32,
    /// When its answer must have begun: the route's deadline, or the client's if that is sooner.
    pub deadline: Instant,
    /// The route's pool; the one deployment that can answer, where there is only one.
    pub pool: &'a Pool,
    /// That one, which keeps the response that is continued.
    pub pinned: Option<DeploymentIx>,
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

/// Most times that a request waits for a deployment to recover: each time begins another round of attempts.
const WAITS_MAX: usize = 8;

/// Tries the plan's candidates until one answers; where all that could are throttled, waits for one to recover and plans anew.
///
/// # Errors
/// [`Stop`] says what the client gets instead.
pub async fn first_answer(
    gateway: &Gateway,
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
    call: &Call<'_>,
    plan: &mut Plan,
) -> Result<Chosen, Stop> {
    let state = &call.live.routes[call.route_ix.0];
    state.retries.lock().deposit(context.started);
    if call.route.failover.hedging.is_on() {
        state.hedging.lock().arrived(context.started);
    }
    let mut may_wait = !call.route.waiting.max_wait.is_zero();
    // Who comes when there is no room goes behind those that wait for some.
    let is_behind = may_wait && is_without_room(plan) && !waiting::queue_of(call).is_empty();
    let mut refusals = Refusals::default();
    let mut fallback = Fallback::default();
    let mut end = RoundEnd::Throttled;
    for waits in 0..=WAITS_MAX {
        if waits > 0 || !is_behind {
            let known = (&mut fallback, &mut refusals);
            end = match one_round(gateway, downstream, context, call, known, plan).await? {
                Round::Chosen(chosen) => return Ok(*chosen),
                Round::InVain(end) => end,
            };
        }
        let waits_on = may_wait && end == RoundEnd::Throttled && waits < WAITS_MAX;
        if !waits_on {
            break;
        }
        // Boxed, since it is large and seldom needed.
        match Box::pin(wait(gateway, downstream, context, call, &refusals)).await? {
            None => {}
            // That there is no room is only believed: who has not been tried yet is not refused for it.
            Some(WaitEnd::TimedOut) if context.attempts.is_empty() => may_wait = false,
            Some(_) => break,
        }
        *plan = plan_anew(gateway, context, call);
    }
    Err(fallback.stop(call, end == RoundEnd::Late, Instant::now()))
}

fn is_without_room(plan: &Plan) -> bool {
    let first = plan.candidates.first();
    first.is_some_and(|candidate| {
        candidate.reason == Reason::NoRoom || (candidate.reason == Reason::Pinned && candidate.room < 0.0)
    })
}

/// What came of trying a plan's candidates.
enum Round {
    /// One answered.
    Chosen(Box<Chosen>),
    /// None did.
    InVain(RoundEnd),
}

/// Why nobody else was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoundEnd {
    /// The deadline.
    Late,
    /// All that were tried, if any, asked for rest: nothing else stood in the way.
    Throttled,
    /// Failures, refusals, or a retry budget that was spent.
    Failed,
}

/// Tries each candidate, and some again, within attempts, deadline and retry budget.
async fn one_round(
    gateway: &Gateway,
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
    call: &Call<'_>,
    (fallback, refusals): (&mut Fallback, &mut Refusals),
    plan: &mut Plan,
) -> Result<Round, Stop> {
    let snapshot = &call.live.config.runtime.snapshot;
    let rule = &call.route.failover;
    let before = context.attempts.len();
    let mut tries = Tries::after(
        std::mem::take(refusals),
        std::mem::take(&mut plan.candidates),
        rule.backoff,
    );
    let mut end = RoundEnd::Throttled;
    while context.attempts.len() - before < rule.max_attempts as usize {
        let now = Instant::now();
        if now >= call.deadline {
            return Ok(Round::InVain(RoundEnd::Late));
        }
        // An attempt of this request, or another request, may have taught otherwise since the plan was made.
        let stands = |deployment| call.live.availability(deployment, now);
        let is_provisioned = |deployment: DeploymentIx| snapshot.deployments[deployment.0].sku.is_provisioned();
        let Some(next) = tries.next(stands, is_provisioned) else {
            break;
        };
        if next.is_retry && !pay_for_retry(call, context, now) {
            return Ok(Round::InVain(RoundEnd::Failed));
        }
        if !next.wait_at_most.is_zero() {
            Box::pin(back_off(downstream, context, call, next.wait_at_most)).await?;
        }
        let candidate = next.candidate;
        let is_first = context.attempts.len() == before || candidate.reason == Reason::Retry;
        let may_be_two = context.attempts.len() - before + 1 < rule.max_attempts as usize;
        let attempt = Attempt {
            gateway,
            call,
            deployment: candidate.deployment,
            reason: if is_first { candidate.reason } else { Reason::Failover },
            deadline: call.deadline,
            is_last: !may_be_two || !tries.has_another(stands, is_provisioned),
        };
        let made = hedge::make((candidate, &attempt), may_be_two, &mut tries, downstream, context).await;
        for (candidate, attempted) in made {
            match attempted {
                Attempted::Chosen(chosen) => return Ok(Round::Chosen(chosen)),
                Attempted::Final(failure) => return Err(Stop::PassOn(failure)),
                Attempted::ClientGone(error) => return Err(Stop::ClientGone(error)),
                Attempted::Failed { verdict, answer } => {
                    // One that never fits here is throttled without being asked to rest: waiting would not help. Where the request
                    // itself was refused, it may for others.
                    if !matches!(verdict.effect, Effect::Rest(_)) && verdict.outcome != AttemptOutcome::Rejected {
                        end = RoundEnd::Failed;
                    }
                    tries.failed(candidate, verdict.outcome, verdict.next);
                    fallback.note(verdict, answer, candidate.deployment);
                }
            }
        }
    }
    *refusals = tries.into_refusals();
    Ok(Round::InVain(end))
}

/// Takes an attempt that follows a failure out of the route's budget. False if nothing is left of it.
fn pay_for_retry(call: &Call<'_>, context: &RequestContext, now: Instant) -> bool {
    let state = &call.live.routes[call.route_ix.0];
    let is_paid = state.retries.lock().withdraw(call.route.failover.retry_budget, now);
    if !is_paid {
        events::RetryBudgetSpent {
            request_id: &context.id,
            route: call.route_ix,
        }
        .emit(&call.live.series);
    }
    is_paid
}

/// Waits a random time before the same deployment is asked again.
async fn back_off(
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
    call: &Call<'_>,
    at_most: Duration,
) -> Result<(), Stop> {
    let began = Instant::now();
    let until = (began + at_most.mul_f64(rand::random::<f64>())).min(call.deadline);
    tokio::select! {
        biased;
        error = downstream.gone() => return Err(Stop::ClientGone(error)),
        () = tokio::time::sleep_until(until.into()) => {}
    }
    context.queue_wait += began.elapsed();
    Ok(())
}

/// Waits for a deployment to recover. How the wait ended, where it was in vain: none will in time, or the queue has no place.
async fn wait(
    gateway: &Gateway,
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
    call: &Call<'_>,
    refusals: &Refusals,
) -> Result<Option<WaitEnd>, Stop> {
    let began = Instant::now();
    let deployments = &call.live.config.runtime.snapshot.deployments;
    let others = (!refusals.is_empty()).then(|| {
        call.pool
            .without(|deployment| refusals.bars(deployment, deployments[deployment.0].sku.is_provisioned()))
    });
    let call = &Call {
        pool: others.as_ref().unwrap_or(call.pool),
        ..*call
    };
    let left = call.route.waiting.max_wait.saturating_sub(context.queue_wait);
    let clients = &call.live.config.runtime.snapshot.clients;
    let client = context
        .client
        .map_or(0, |client| rendezvous::seed(&clients[client.0].id));
    let waited = waiting::wait(gateway, downstream, call, client, (began + left).min(call.deadline)).await;
    let took = began.elapsed();
    context.queue_wait += took;
    let end = match &waited {
        Waited::Turn => WaitEnd::Served,
        Waited::InVain(end) => *end,
        Waited::ClientGone(_) => WaitEnd::ClientGone,
    };
    events::WaitFinished {
        request_id: &context.id,
        route: call.route_ix,
        end: end.into(),
        took,
    }
    .emit(&call.live.series);
    match waited {
        Waited::Turn => Ok(None),
        Waited::InVain(end) => Ok(Some(end)),
        Waited::ClientGone(error) => Err(Stop::ClientGone(error)),
    }
}

/// Plans the request as things stand now.
fn plan_anew(gateway: &Gateway, context: &mut RequestContext, call: &Call<'_>) -> Plan {
    let now = Instant::now();
    let Some(placed) = context.placed.as_deref_mut() else {
        return Plan::default();
    };
    let plan = placing::plan(gateway, call.live, call.route, &placed.prompt, call.pinned, now);
    placed.replan(&plan, gateway.memory.since_start(now));
    plan
}
