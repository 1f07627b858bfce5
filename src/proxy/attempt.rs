//! One attempt at one deployment, up to the point where its answer may be passed on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::http::ResponseHeader;
use smallvec::SmallVec;

use crate::core::placement::plan::Reason;
use crate::core::placement::room::Sent;
use crate::core::recovery::outcome::{AttemptEnd, AttemptOutcome, Effect, Next, Verdict, classify};
use crate::core::topology::{ApiForm, DeploymentIx};
use crate::openai::body::{self, Edits};
use crate::openai::target::WireOperation;
use crate::proxy::Gateway;
use crate::proxy::commit::{self, Begun, Failed, Patience};
use crate::proxy::context::{AttemptIx, RequestContext};
use crate::proxy::downstream::Downstream;
use crate::proxy::evidence;
use crate::proxy::failover::Call;
use crate::proxy::headers::UpstreamHead;
use crate::proxy::learn::{answered, learn};
use crate::proxy::observe::{Observed, Throttling};
use crate::proxy::options::{Options, Refusable};
use crate::proxy::placing::Placed;
use crate::proxy::refresh::with_another_credential;
use crate::proxy::standing::InFlight;
use crate::proxy::state::LiveResource;
use crate::proxy::tap::StreamTap;
use crate::proxy::upstream::{Exchange, OpenError};
use crate::telemetry::{clock, events};

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

/// What is peculiar to one attempt's request.
#[derive(Debug, Clone, Copy)]
pub struct Adds {
    /// What the gateway adds to it.
    options: Options,
    /// Prompt tokens that are not believed to be cached there.
    uncached: u32,
}

/// What came of asking a deployment.
pub struct Asked {
    result: Result<Begun, Failed>,
    /// Whether the gateway's `prompt_cache_key` went along.
    keyed: bool,
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
                // A stream that is passed on although it has shown nothing yet may be thinking: its time is not known.
                if !matches!(answer, Begun::Events { first_output: None, .. }) {
                    self.note_beginning(waited, now);
                }
                if matches!(
                    answer,
                    Begun::Events {
                        first_output: Some(_),
                        ..
                    }
                ) && self.knows_prompt()
                {
                    observed.note_latency(waited, running.adds.uncached, rule);
                }
                let is_spilled = context.attempt_mut(running.index).is_spilled;
                if let Some(placed) = context.placed.as_deref().filter(|_| !is_spilled) {
                    observed.note_begun(placed);
                }
                Attempted::Chosen(Box::new(Chosen {
                    begun: answer,
                    deployment: self.deployment,
                    in_flight: running.in_flight,
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

    /// Whether the request's own deadline ended the attempt, and the deployment had much less time than the route gives it. A client that is in a
    /// hurry must not cost others a deployment.
    fn was_cut_short(&self, end: AttemptEnd<'_>, start: Instant, now: Instant) -> bool {
        let timeouts = &self.call.route.timeouts;
        let given = match end {
            AttemptEnd::Unreachable => timeouts.connect,
            AttemptEnd::Timeout if self.call.request.stream => timeouts.first_byte,
            AttemptEnd::Timeout => timeouts.whole_answer,
            _ => return false,
        };
        now >= self.deadline && now.saturating_duration_since(start) < given.mul_f64(HAD_ITS_TIME)
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

    /// Whether the prompt is all in the request: one that continues a response is read anew by the provider, and how long it is is not known here.
    fn knows_prompt(&self) -> bool {
        self.call.request.response.previous_id.is_none()
    }

    fn is_provisioned(&self) -> bool {
        let configured = &self.call.live.config.runtime.snapshot.deployments[self.deployment.0];
        configured.sku.is_provisioned()
    }

    /// The deployment, as one that is asked or has told something.
    fn observed(&self, now: Instant) -> Observed<'_> {
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
            Err(Failed::Open(_) | Failed::Broken(_) | Failed::InStream { .. }) => {}
        }
        verdict
    }

    /// Asks the deployment; again where it refuses an option that the gateway had added, without that. Only an answer to the
    /// later request tells that the option was at fault: a client can word its own options so that any deployment refuses them.
    pub async fn ask(&self, Adds { mut options, uncached }: Adds) -> Asked {
        let mut result = self.exchange(options, uncached, self.live_resource()).await;
        if is_credential_refused(&result) {
            // Boxed, since it is large and seldom needed.
            result = Box::pin(self.with_fresh_credential(options, uncached, result)).await;
        }
        let mut refused: SmallVec<[Refusable; 2]> = SmallVec::new();
        while let Some(option) = options.refused_by(&result) {
            options.remove(option);
            refused.push(option);
            // Boxed, since it is large and seldom needed.
            result = Box::pin(self.exchange(options, uncached, self.live_resource())).await;
        }
        if result.is_ok() {
            for option in refused {
                option.learn(&self.call.live.deployments[self.deployment.0].state);
                events::OptionRefused {
                    deployment: &self.call.live.config.runtime.snapshot.deployments[self.deployment.0].id,
                    option: option.member(),
                }
                .emit();
            }
        }
        Asked {
            result,
            keyed: options.cache_key.is_some(),
        }
    }

    /// Where the credential was refused: the same with another one, if there is one by now; else what came of it.
    async fn with_fresh_credential(
        &self,
        options: Options,
        uncached: u32,
        refused: Result<Begun, Failed>,
    ) -> Result<Begun, Failed> {
        let now = Instant::now();
        let left = self.deadline.saturating_duration_since(now);
        self.gateway.refresh.refresh(now, left).await;
        let live = self.gateway.live.load_full();
        let snapshot = &self.call.live.config.runtime.snapshot;
        let resource = &snapshot.resources[snapshot.deployments[self.deployment.0].resource.0];
        match with_another_credential(&live, resource, self.live_resource()) {
            Some(fresh) => self.exchange(options, uncached, fresh).await,
            None => refused,
        }
    }

    fn live_resource(&self) -> &LiveResource {
        let resource = self.call.live.config.runtime.snapshot.deployments[self.deployment.0].resource;
        &self.call.live.resources[resource.0]
    }

    /// One exchange, with a resource's credential.
    async fn exchange(&self, options: Options, uncached: u32, login: &LiveResource) -> Result<Begun, Failed> {
        let snapshot = &self.call.live.config.runtime.snapshot;
        let configured = &snapshot.deployments[self.deployment.0];
        let resource_ix = configured.resource.0;
        let (resource, live_resource) = (&snapshot.resources[resource_ix], self.live_resource());
        let is_named_in_body = matches!(resource.api, ApiForm::V1) || self.call.operation == WireOperation::Responses;
        let model = is_named_in_body.then_some(configured.name.as_str());
        let cache_key = options.cache_key.map(|key| key.text());
        let pieces = body::edited(
            self.call.body,
            self.call.request,
            Edits {
                model,
                ask_usage: options.usage,
                cache_key: cache_key.as_deref(),
            },
        );
        let path = self.call.live.deployments[self.deployment.0].path(self.call.operation);
        let head = UpstreamHead {
            path,
            resource: login,
            forwarded: self.call.forwarded,
            body_length: body::length(&pieces),
        };
        let timeouts = &self.call.route.timeouts;
        let began = Instant::now();
        let (first_byte, is_learned) = if self.call.request.stream && !self.knows_prompt() {
            (timeouts.first_byte, false)
        } else if self.call.request.stream {
            let rule = &self.call.route.failover.first_token;
            self.observed(began).patience(uncached, rule, timeouts.first_byte)
        } else {
            (timeouts.whole_answer, false)
        };
        let exchange = Exchange {
            connections: &self.gateway.connections,
            resource: live_resource,
            counted: (configured.resource, &self.call.live.series),
            endpoint: &resource.endpoint,
            head: &head,
            body: &pieces,
            timeouts,
            connect: timeouts.connect,
            first_byte,
            deadline: self.deadline,
        };
        let answer = exchange.open().await.map_err(|error| {
            events::ExchangeFailed {
                deployment: &configured.id,
                host: &resource.endpoint.authority,
                error: &error,
                is_news: self.call.live.deployments[self.deployment.0]
                    .state
                    .silence_told
                    .is_news(clock::now_ms()),
            }
            .emit();
            Failed::Open(error)
        })?;
        commit::begin(
            answer,
            StreamTap::of(self.call.operation, options.usage),
            Patience {
                idle: timeouts.idle,
                until: self.deadline.into(),
                first_output: is_learned.then(|| (began + first_byte).into()),
            },
        )
        .await
    }
}

fn is_credential_refused(result: &Result<Begun, Failed>) -> bool {
    matches!(result, Err(Failed::Answer { head, .. }) if head.status == 401)
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
        Failed::Answer { .. } | Failed::Open(_) | Failed::Broken(_) | Failed::InStream { .. } => None,
    };
    match (verdict.next, answer) {
        (Next::Final, Some(answer)) => Attempted::Final(answer),
        (_, answer) => Attempted::Failed { verdict, answer },
    }
}
