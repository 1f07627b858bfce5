//! One attempt at one deployment, up to the point where its answer may be passed on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::http::ResponseHeader;

use crate::core::placement::plan::Reason;
use crate::core::placement::room::Sent;
use crate::core::recovery::outcome::{AttemptEnd, AttemptOutcome, Effect, Next, Verdict, classify};
use crate::core::topology::DeploymentIx;
use crate::proxy::Gateway;
use crate::proxy::ask::{Adds, Asked};
use crate::proxy::commit::{Begun, Failed};
use crate::proxy::context::{AttemptIx, RequestContext};
use crate::proxy::downstream::Downstream;
use crate::proxy::evidence;
use crate::proxy::failover::Call;
use crate::proxy::learn::{answered, learn};
use crate::proxy::observe::{Observed, Throttling};
use crate::proxy::options::Options;
use crate::proxy::placing::Placed;
use crate::proxy::standing::InFlight;
use crate::proxy::upstream::OpenError;

/// The part of its time after which silence is a deployment's own fault, whatever ended the attempt.
const HAD_ITS_TIME: f64 = 0.9;

/// What is tried, where and why.
pub struct Attempt<'a> {
    /// What all requests share.
    pub gateway: &'a Gateway,
    /// The request.
    pub call: &'a Call<'a>,
    /// Whom to ask.
    pub deployment: DeploymentIx,
    /// Why there.
    pub reason: Reason,
    /// When its answer must have begun.
    pub deadline: Instant,
    /// Whether nobody else would be asked after it.
    pub is_last: bool,
}

/// An answer that has begun and will be passed on.
pub struct Chosen {
    /// What has been read of it.
    pub begun: Begun,
    /// Whose it is.
    pub deployment: DeploymentIx,
    /// Counts it as running.
    pub in_flight: InFlight,
    /// Of a stream that has shown nothing yet: prompt tokens that were not believed to be cached, if that is known. When it shows
    /// something, that teaches how long its deployment takes.
    pub thinks_over: Option<u32>,
}

/// An upstream's error answer.
pub struct UpstreamFailure {
    /// What it means.
    pub outcome: AttemptOutcome,
    /// Its head, with only what may be passed on.
    pub head: ResponseHeader,
    /// Its body.
    pub body: Bytes,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

/// What an attempt came to.
pub enum Attempted {
    /// An answer.
    Chosen(Box<Chosen>),
    /// A refusal that any other deployment would repeat.
    Final(Box<UpstreamFailure>),
    /// Nothing: another deployment may do better. An error answer that can be passed on comes along.
    Failed {
        /// What its end means.
        verdict: Verdict,
        /// What the client may get.
        answer: Option<Box<UpstreamFailure>>,
    },
    /// The client left meanwhile.
    ClientGone(Box<pingora::Error>),
}

/// An attempt that runs.
pub struct Running {
    /// Its place among the request's attempts.
    index: AttemptIx,
    /// When it began.
    began: Instant,
    /// What its deployment's limits count it as.
    sent: Sent,
    /// What it is asked with.
    adds: Adds,
    /// Counts it as running, and gives a probe back if it is dropped.
    in_flight: InFlight,
}

impl Running {
    /// Whether its deployment's breaker waits for it.
    pub fn is_probe(&self) -> bool {
        self.in_flight.is_probe()
    }

    /// What its deployment is to be asked with.
    pub fn adds(&self) -> Adds {
        self.adds
    }
}

impl Attempt<'_> {
    /// Makes it. What came of it is noted for the request, and taught to the deployment.
    pub async fn make(&self, downstream: &mut Downstream<'_>, context: &mut RequestContext) -> Attempted {
        let running = self.begin(context);
        let asked = tokio::select! {
            biased;
            asked = self.ask(running.adds) => Ok(asked),
            error = downstream.gone() => Err(error),
        };
        self.end(context, running, asked)
    }

    /// Notes that it begins.
    pub fn begin(&self, context: &mut RequestContext) -> Running {
        let began = Instant::now();
        let in_flight = self.call.live.enter(self.deployment, began);
        let placed = context.placed.as_deref();
        let sent = self.observed(began).note_sending(placed);
        let adds = Adds {
            options: Options::of(self.call, self.deployment, placed),
            uncached: self.uncached(placed),
            until: self.until(began),
            trace: context.next_attempt_trace(),
        };
        let keyed = adds.options.cache_key.is_some();
        let index = context.begin_attempt(self.deployment, self.reason, (sent, keyed), began);
        Running {
            index,
            began,
            sent,
            adds,
            in_flight,
        }
    }

    /// Notes what came of it, or that the client left meanwhile; teaches the deployment.
    pub fn end(
        &self,
        context: &mut RequestContext,
        mut running: Running,
        asked: Result<Asked, Box<pingora::Error>>,
    ) -> Attempted {
        let end = match &asked {
            Ok(Asked { result: Ok(answer), .. }) => answer.end(),
            Ok(Asked {
                result: Err(failed), ..
            }) => failed.end(),
            Err(_) => AttemptEnd::ClientGone,
        };
        let now = Instant::now();
        let began = running.began;
        let end = if self.was_cut_short(end, began, now) {
            AttemptEnd::OutOfTime
        } else {
            end
        };
        let verdict = self.learn_limits(context, &running, &asked, classify(end, self.is_provisioned()), now);
        context.end_attempt(running.index, end, verdict, now);
        let (waited, rule) = (
            now.saturating_duration_since(began),
            &self.call.route.failover.first_token,
        );
        if end == AttemptEnd::Timeout && self.call.request.stream && self.knows_prompt() {
            self.observed(now).note_silence(waited, running.adds.uncached, rule);
        }
        if verdict.effect != Effect::Nothing {
            learn(self.call.live, self.deployment, verdict, began, answered(end));
            running.in_flight.has_taught(verdict.scope);
        }
        match asked {
            Ok(Asked { result, keyed }) => {
                context.attempt_mut(running.index).keyed = keyed;
                let answer = match result {
                    Ok(answer) => answer,
                    Err(failed) => return failure(failed, verdict),
                };
                let observed = self.observed(now);
                // A stream that is passed on although it has shown nothing yet may be thinking: its time is known later.
                let is_silent = matches!(answer, Begun::Events { first_output: None, .. });
                if !is_silent {
                    self.note_beginning(waited, now);
                }
                let uncached = self.knows_prompt().then_some(running.adds.uncached);
                if let Some(uncached) = uncached.filter(|_| !is_silent && matches!(answer, Begun::Events { .. })) {
                    observed.note_latency(waited, uncached, rule);
                }
                let is_spilled = context.attempt_mut(running.index).is_spilled;
                if let Some(placed) = context.placed.as_deref().filter(|_| !is_spilled) {
                    observed.note_begun(placed);
                }
                Attempted::Chosen(Box::new(Chosen {
                    begun: answer,
                    deployment: self.deployment,
                    in_flight: running.in_flight,
                    thinks_over: uncached.filter(|_| is_silent),
                }))
            }
            Err(error) => Attempted::ClientGone(error),
        }
    }

    /// Notes that it is given up for another's sake, not for its own: that teaches its deployment nothing.
    pub fn give_up(&self, context: &mut RequestContext, running: Running, end: AttemptEnd<'_>) {
        let now = Instant::now();
        context.end_attempt(running.index, end, classify(end, self.is_provisioned()), now);
        // The one that was begun later may have been about to answer in time.
        if end == AttemptEnd::Overtaken && self.reason != Reason::Hedge {
            self.note_beginning(now.saturating_duration_since(running.began), now);
        }
        // Counts as running until here.
        drop(running.in_flight);
    }

    /// Where the route has second attempts: after how long its answer began, or would not yet have begun.
    fn note_beginning(&self, after: Duration, now: Instant) {
        if self.call.route.failover.hedging.is_on() {
            let state = &self.call.live.routes[self.call.route_ix.0];
            state.hedging.lock().began(self.call.request.stream, after, now);
        }
    }

    /// Whether the request's own deadline, or the bound on the whole attempt, ended it, and the deployment had much less time than
    /// the route gives it. A client that is in a hurry must not cost others a deployment.
    fn was_cut_short(&self, end: AttemptEnd<'_>, start: Instant, now: Instant) -> bool {
        let timeouts = &self.call.route.timeouts;
        let given = match end {
            AttemptEnd::Unreachable => timeouts.connect,
            AttemptEnd::Timeout if self.call.request.stream => timeouts.first_byte,
            AttemptEnd::Timeout => timeouts.whole_answer,
            _ => return false,
        };
        now >= self.until(start) && now.saturating_duration_since(start) < given.mul_f64(HAD_ITS_TIME)
    }

    /// When its answer must have begun: by the request's deadline and within the attempt's own whole time.
    fn until(&self, began: Instant) -> Instant {
        self.deadline.min(began + self.call.route.timeouts.total)
    }

    /// Prompt tokens that are not believed to be cached here.
    fn uncached(&self, placed: Option<&Placed>) -> u32 {
        placed.map_or(0, |placed| {
            let expected = placed
                .candidate(self.deployment)
                .map_or(0, |candidate| candidate.expected_tokens);
            placed.prompt.ask.prompt_tokens.saturating_sub(expected)
        })
    }

    /// Whether the prompt is all in the request: one that continues a response is read anew by the provider, and how long it is is not
    /// known here.
    pub(super) fn knows_prompt(&self) -> bool {
        self.call.request.response.previous_id.is_none()
    }

    fn is_provisioned(&self) -> bool {
        let configured = &self.call.live.config.runtime.snapshot.deployments[self.deployment.0];
        configured.sku.is_provisioned()
    }

    /// The deployment, as one that is asked or has told something.
    pub(super) fn observed(&self, now: Instant) -> Observed<'_> {
        Observed {
            gateway: self.gateway,
            live: self.call.live,
            deployment: self.deployment,
            now,
        }
    }

    /// Learns from an attempt's end what it says of the deployment's limits. A request that is too large for the deployment says nothing
    /// about others: its verdict is that the deployment works.
    fn learn_limits(
        &self,
        context: &mut RequestContext,
        running: &Running,
        asked: &Result<Asked, Box<pingora::Error>>,
        verdict: Verdict,
        now: Instant,
    ) -> Verdict {
        let (observed, sent) = (self.observed(now), running.sent);
        let Ok(Asked { result, .. }) = asked else {
            return verdict;
        };
        match result {
            Ok(begun) => {
                let is_own = observed.note_head(&begun.head().headers, sent);
                context.attempt_mut(running.index).is_spilled = !is_own;
                evidence::note(self, context, &begun.head().headers, is_own);
            }
            Err(Failed::Answer {
                head,
                error,
                retry_after,
                ..
            }) => {
                observed.note_refused(sent);
                observed.note_head(&head.headers, sent);
                if verdict.outcome == AttemptOutcome::Throttled
                    && observed.note_throttled(error.throttle_kind(), *retry_after, sent) == Throttling::NeverFits
                {
                    return Verdict {
                        effect: Effect::Works,
                        ..verdict
                    };
                }
            }
            Err(Failed::Open(OpenError::Unreachable(_))) => observed.note_refused(sent),
            Err(Failed::Open(_) | Failed::Broken(_) | Failed::InStream(_)) => {}
        }
        verdict
    }
}

/// Turns a failed exchange into what the request makes of it. What is no error answer (a redirect) is nothing to pass on.
fn failure(failed: Failed, verdict: Verdict) -> Attempted {
    let answer = match failed {
        Failed::Answer {
            head,
            body,
            retry_after,
            ..
        } if head.status.is_client_error() || head.status.is_server_error() => Some(Box::new(UpstreamFailure {
            outcome: verdict.outcome,
            head: *head,
            body,
            retry_after,
        })),
        Failed::Answer { .. } | Failed::Open(_) | Failed::Broken(_) | Failed::InStream(_) => None,
    };
    match (verdict.next, answer) {
        (Next::Final, Some(answer)) => Attempted::Final(answer),
        (_, answer) => Attempted::Failed { verdict, answer },
    }
}
