//! One attempt at one deployment, up to the point where its answer may be passed on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::http::ResponseHeader;

use crate::core::placement::plan::Reason;
use crate::core::placement::room::Sent;
use crate::core::recovery::outcome::{AttemptEnd, AttemptOutcome, Effect, Next, Verdict, classify};
use crate::core::topology::{ApiForm, DeploymentIx};
use crate::openai::body::{self, Edits};
use crate::openai::error as wire_error;
use crate::proxy::Gateway;
use crate::proxy::commit::{self, Begun, Failed, Patience};
use crate::proxy::context::RequestContext;
use crate::proxy::downstream::Downstream;
use crate::proxy::failover::Call;
use crate::proxy::headers::UpstreamHead;
use crate::proxy::learn::learn;
use crate::proxy::placing;
use crate::proxy::state::InFlight;
use crate::proxy::upstream::Exchange;
use crate::telemetry::{clock, events};

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
    Failed(AttemptOutcome, Option<Box<UpstreamFailure>>),
    /// The client left meanwhile.
    ClientGone(Box<pingora::Error>),
}

impl Attempt<'_> {
    /// Makes it. What came of it is noted for the request, and taught to the deployment.
    pub async fn make(&self, downstream: &mut Downstream<'_>, context: &mut RequestContext) -> Attempted {
        let start = Instant::now();
        // Both hold their own if this is dropped on the way: the guard, and the facts of an attempt without an end.
        let mut in_flight = self.call.live.deployments[self.deployment.0].state.enter(start);
        context.begin_attempt(self.deployment, self.reason, start);
        let sent = self.count(context, start);
        let result = tokio::select! {
            biased;
            result = self.ask() => Ok(result),
            error = downstream.gone() => Err(error),
        };
        let end = match &result {
            Ok(Ok(begun)) => begun.end(),
            Ok(Err(failed)) => failed.end(),
            Err(_) => AttemptEnd::ClientGone,
        };
        let now = Instant::now();
        let verdict = self.learn_limits(context, &result, classify(end), sent, now);
        context.end_attempt(end, verdict, now);
        if verdict.effect != Effect::Nothing {
            learn(self.call.live, self.deployment, verdict.outcome, verdict.effect);
            in_flight.has_taught();
        }
        match result {
            Ok(Ok(begun)) => {
                if let Some(placed) = &context.placed {
                    placing::has_begun(self.gateway, self.call.live, self.deployment, &placed.prompt.chain, now);
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

    /// Counts the attempt against the deployment's limits.
    fn count(&self, context: &mut RequestContext, now: Instant) -> Sent {
        let configured = &self.call.live.config.runtime.snapshot.deployments[self.deployment.0];
        let estimate = context.placed.as_mut().map_or(0.0, |placed| {
            placed.estimate = placing::estimate(configured, &placed.prompt, placed.expected_tokens(self.deployment));
            placed.estimate
        });
        placing::sending(self.gateway, self.call.live, self.deployment, estimate, now)
    }

    /// Takes from an answer's head what it says of the deployment's limits. A request that is too large for the deployment says nothing
    /// about others: it must not put the deployment to rest.
    fn learn_limits(
        &self,
        context: &RequestContext,
        result: &Result<Result<Begun, Failed>, Box<pingora::Error>>,
        verdict: Verdict,
        sent: Sent,
        now: Instant,
    ) -> Verdict {
        let (gateway, live, deployment) = (self.gateway, self.call.live, self.deployment);
        match result {
            Ok(Ok(begun)) => placing::learn_limits(gateway, live, deployment, &begun.head().headers, sent, now),
            Ok(Err(Failed::Answer {
                head,
                body,
                retry_after,
                ..
            })) => {
                placing::learn_limits(gateway, live, deployment, &head.headers, sent, now);
                if verdict.outcome == AttemptOutcome::Throttled {
                    let estimate = context.placed.as_ref().map_or(0.0, |placed| placed.estimate);
                    let kind = wire_error::read(body).throttle_kind();
                    if placing::learn_throttle(gateway, live, deployment, kind, *retry_after, estimate, now) {
                        return Verdict {
                            effect: Effect::Works,
                            ..verdict
                        };
                    }
                }
            }
            Ok(Err(Failed::Open(_) | Failed::Broken(_) | Failed::InStream { .. })) | Err(_) => {}
        }
        verdict
    }

    /// Asks the deployment; a second time where it refuses an option that the gateway had added. Only an answer to the second request
    /// tells that the option was at fault: a client can word its own `stream_options` so that any deployment refuses them.
    async fn ask(&self) -> Result<Begun, Failed> {
        let configured = &self.call.live.config.runtime.snapshot.deployments[self.deployment.0];
        let state = &self.call.live.deployments[self.deployment.0].state;
        let asks_usage =
            configured.stream_usage && body::adds_usage(self.call.request) && state.takes_stream_usage(clock::now_ms());
        let result = self.exchange(asks_usage).await;
        if !(asks_usage && result.as_ref().is_err_and(refuses_usage)) {
            return result;
        }
        // Boxed, since it is large and seldom needed.
        let again = Box::pin(self.exchange(false)).await;
        if again.is_ok() {
            state.refused_stream_usage(clock::now_ms());
            events::StreamUsageRefused {
                deployment: &configured.id,
            }
            .emit();
        }
        again
    }

    /// One exchange.
    async fn exchange(&self, asks_usage: bool) -> Result<Begun, Failed> {
        let snapshot = &self.call.live.config.runtime.snapshot;
        let configured = &snapshot.deployments[self.deployment.0];
        let resource_ix = configured.resource.0;
        let (resource, live_resource) = (&snapshot.resources[resource_ix], &self.call.live.resources[resource_ix]);
        let model = matches!(resource.api, ApiForm::V1).then_some(configured.name.as_str());
        let pieces = body::edited(
            self.call.body,
            self.call.request,
            Edits {
                model,
                ask_usage: asks_usage,
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
        let first_byte = if self.call.request.stream {
            timeouts.first_byte
        } else {
            timeouts.whole_answer
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
                    .is_news(clock::now_ms()),
            }
            .emit();
            Failed::Open(error)
        })?;
        commit::begin(
            answer,
            asks_usage,
            Patience {
                idle: timeouts.idle,
                until: self.deadline.into(),
            },
        )
        .await
    }
}

/// Whether an upstream refused the option that the gateway had added.
fn refuses_usage(failed: &Failed) -> bool {
    matches!(failed, Failed::Answer { head, body, .. }
        if head.status == 400 && wire_error::read(body).refuses_member("stream_options"))
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
        (_, answer) => Attempted::Failed(verdict.outcome, answer),
    }
}
