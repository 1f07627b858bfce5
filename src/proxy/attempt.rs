//! One attempt at one deployment, up to the point where its answer may be passed on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::http::ResponseHeader;
use smallvec::SmallVec;

use crate::core::placement::plan::Reason;
use crate::core::placement::room::Sent;
use crate::core::placement::shard::CacheKey;
use crate::core::recovery::outcome::{AttemptEnd, AttemptOutcome, Effect, Next, Verdict, classify};
use crate::core::topology::{ApiForm, DeploymentIx};
use crate::openai::body::{self, Edits};
use crate::openai::target::WireOperation;
use crate::proxy::Gateway;
use crate::proxy::commit::{self, Begun, Failed, Patience};
use crate::proxy::context::RequestContext;
use crate::proxy::downstream::Downstream;
use crate::proxy::evidence;
use crate::proxy::failover::Call;
use crate::proxy::headers::UpstreamHead;
use crate::proxy::learn::{answered, learn};
use crate::proxy::observe::{Observed, Throttling};
use crate::proxy::placing::Placed;
use crate::proxy::standing::InFlight;
use crate::proxy::state::DeploymentState;
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

impl Attempt<'_> {
    /// Makes it. What came of it is noted for the request, and taught to the deployment.
    pub async fn make(&self, downstream: &mut Downstream<'_>, context: &mut RequestContext) -> Attempted {
        let start = Instant::now();
        // Both hold their own if this is dropped on the way: the guard, and the facts of an attempt without an end.
        let mut in_flight = self.call.live.enter(self.deployment, start);
        context.begin_attempt(self.deployment, self.reason, start);
        let sent = self.observed(start).note_sending(context.placed.as_deref_mut());
        let result = tokio::select! {
            biased;
            result = self.ask(context.placed.as_deref_mut()) => Ok(result),
            error = downstream.gone() => Err(error),
        };
        let end = match &result {
            Ok(Ok(begun)) => begun.end(),
            Ok(Err(failed)) => failed.end(),
            Err(_) => AttemptEnd::ClientGone,
        };
        let now = Instant::now();
        let end = if self.was_cut_short(end, start, now) {
            AttemptEnd::OutOfTime
        } else {
            end
        };
        let verdict = self.learn_limits(context, &result, classify(end, self.is_provisioned()), sent, now);
        context.end_attempt(end, verdict, now);
        if end == AttemptEnd::Timeout && self.call.request.stream {
            let waited = now.saturating_duration_since(start);
            let rule = &self.call.route.failover.first_token;
            self.observed(now)
                .note_silence(waited, self.uncached(context.placed.as_deref()), rule);
        }
        if verdict.effect != Effect::Nothing {
            learn(self.call.live, self.deployment, verdict, start, answered(end));
            in_flight.has_taught(verdict.scope);
        }
        match result {
            Ok(Ok(begun)) => {
                let observed = self.observed(now);
                if matches!(begun, Begun::Events { .. }) {
                    let took = now.saturating_duration_since(start);
                    let uncached = self.uncached(context.placed.as_deref());
                    observed.note_latency(took, uncached, &self.call.route.failover.first_token);
                }
                if let Some(placed) = context.placed.as_deref().filter(|placed| !placed.is_spilled) {
                    observed.note_begun(placed);
                }
                Attempted::Chosen(Box::new(Chosen {
                    begun,
                    deployment: self.deployment,
                    in_flight,
                }))
            }
            Ok(Err(failed)) => failure(failed, verdict),
            Err(error) => Attempted::ClientGone(error),
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
        result: &Result<Result<Begun, Failed>, Box<pingora::Error>>,
        verdict: Verdict,
        sent: Sent,
        now: Instant,
    ) -> Verdict {
        let observed = self.observed(now);
        match result {
            Ok(Ok(begun)) => {
                let is_own = observed.note_head(&begun.head().headers, sent);
                if let Some(placed) = context.placed.as_deref_mut() {
                    placed.is_spilled = !is_own;
                }
                evidence::note(self, context, &begun.head().headers, is_own);
            }
            Ok(Err(Failed::Answer {
                head,
                error,
                retry_after,
                ..
            })) => {
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
            Ok(Err(Failed::Open(OpenError::Unreachable(_)))) => observed.note_refused(sent),
            Ok(Err(Failed::Open(_) | Failed::Broken(_) | Failed::InStream { .. })) | Err(_) => {}
        }
        verdict
    }

    /// Asks the deployment; again where it refuses an option that the gateway had added, without that. Only an answer to the
    /// later request tells that the option was at fault: a client can word its own options so that any deployment refuses them.
    async fn ask(&self, mut placed: Option<&mut Placed>) -> Result<Begun, Failed> {
        let configured = &self.call.live.config.runtime.snapshot.deployments[self.deployment.0];
        let state = &self.call.live.deployments[self.deployment.0].state;
        let key = placed.as_ref().filter(|_| !self.call.request.has_own_cache_key());
        let key = key.and_then(|placed| placed.key_for(self.call.live, self.deployment));
        let mut options = Options {
            // A response has its usage unasked.
            usage: self.call.operation != WireOperation::Responses
                && configured.stream_usage
                && body::adds_usage(self.call.request)
                && state.takes_stream_usage(clock::now_ms()),
            cache_key: key,
        };
        note_keyed(&mut placed, options);
        let uncached = self.uncached(placed.as_deref());
        let mut result = self.exchange(options, uncached).await;
        let mut refused: SmallVec<[Refusable; 2]> = SmallVec::new();
        while let Some(option) = options.refused_by(&result) {
            options.remove(option);
            refused.push(option);
            note_keyed(&mut placed, options);
            // Boxed, since it is large and seldom needed.
            result = Box::pin(self.exchange(options, uncached)).await;
        }
        if result.is_ok() {
            for option in refused {
                option.learn(state);
                events::OptionRefused {
                    deployment: &configured.id,
                    option: option.member(),
                }
                .emit();
            }
        }
        result
    }

    /// One exchange.
    async fn exchange(&self, options: Options, uncached: u32) -> Result<Begun, Failed> {
        let snapshot = &self.call.live.config.runtime.snapshot;
        let configured = &snapshot.deployments[self.deployment.0];
        let resource_ix = configured.resource.0;
        let (resource, live_resource) = (&snapshot.resources[resource_ix], &self.call.live.resources[resource_ix]);
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
            resource: live_resource,
            forwarded: self.call.forwarded,
            body_length: body::length(&pieces),
        };
        let timeouts = &self.call.route.timeouts;
        let began = Instant::now();
        let (first_byte, is_learned) = if self.call.request.stream {
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

/// Notes before it is sent whether a key goes along: the client may leave meanwhile.
fn note_keyed(placed: &mut Option<&mut Placed>, options: Options) {
    if let Some(placed) = placed {
        placed.was_keyed = options.cache_key.is_some();
    }
}

/// What the gateway adds to a request of its own accord.
#[derive(Debug, Clone, Copy)]
struct Options {
    usage: bool,
    cache_key: Option<CacheKey>,
}

/// An option that a deployment may not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusable {
    Usage,
    CacheKey,
}

impl Options {
    /// The option that was added and refused.
    fn refused_by(&self, result: &Result<Begun, Failed>) -> Option<Refusable> {
        let Err(Failed::Answer { head, error, .. }) = result else {
            return None;
        };
        let added = [
            self.usage.then_some(Refusable::Usage),
            self.cache_key.map(|_| Refusable::CacheKey),
        ];
        if head.status != 400 || added == [None; 2] {
            return None;
        }
        let mut added = added.into_iter().flatten();
        added.find(|option| error.refuses_member(option.member()))
    }

    fn remove(&mut self, option: Refusable) {
        match option {
            Refusable::Usage => self.usage = false,
            Refusable::CacheKey => self.cache_key = None,
        }
    }
}

impl Refusable {
    /// The body's member.
    fn member(self) -> &'static str {
        match self {
            Self::Usage => "stream_options",
            Self::CacheKey => "prompt_cache_key",
        }
    }

    /// Does without it for a while.
    fn learn(self, state: &DeploymentState) {
        match self {
            Self::Usage => state.refused_stream_usage(clock::now_ms()),
            Self::CacheKey => state.refused_cache_key(clock::now_ms()),
        }
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
        Failed::Answer { .. } | Failed::Open(_) | Failed::Broken(_) | Failed::InStream { .. } => None,
    };
    match (verdict.next, answer) {
        (Next::Final, Some(answer)) => Attempted::Final(answer),
        (_, answer) => Attempted::Failed { verdict, answer },
    }
}
