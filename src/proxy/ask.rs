//! Asks one deployment, up to the point where its answer may be passed on; again where only what the gateway added was at fault.
//!
//! Two things are worth asking anew for at the same place: an option of the gateway's own that the deployment does not know, and a
//! credential that was renewed since it was read. Both are tried once; whatever comes then is the attempt's end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::HeaderValue;
use smallvec::SmallVec;

use crate::config::checked::Credential;
use crate::core::topology::{ApiForm, Resource};
use crate::core::trace_context::TraceParent;
use crate::openai::body::{self, Edits};
use crate::openai::target::WireOperation;
use crate::proxy::attempt::Attempt;
use crate::proxy::commit::{self, Begun, Failed, Patience};
use crate::proxy::headers::UpstreamHead;
use crate::proxy::options::{Options, Refusable};
use crate::proxy::refresh::{place_of, place_of_another_credential};
use crate::proxy::state::{Live, LiveResource};
use crate::proxy::tap::StreamTap;
use crate::proxy::tracing;
use crate::proxy::upstream::Exchange;
use crate::telemetry::{clock, events};

/// What is peculiar to one attempt's request.
#[derive(Debug, Clone, Copy)]
pub struct Adds {
    /// What the gateway adds to it.
    pub options: Options,
    /// Prompt tokens that are not believed to be cached there.
    pub uncached: u32,
    /// When its answer must have begun.
    pub until: Instant,
    /// Its place in a trace, if the request has one.
    pub trace: Option<TraceParent>,
}

/// What came of asking a deployment.
pub struct Asked {
    /// An answer to pass on, or none.
    pub result: Result<Begun, Failed>,
    /// Whether the gateway's `prompt_cache_key` went along.
    pub keyed: bool,
}

/// A credential that is newer than the one that was sent; perhaps of a newer configuration than the request's.
struct Fresh {
    live: Arc<Live>,
    resource: usize,
}

impl Attempt<'_> {
    /// Asks the deployment; again where it refuses an option that the gateway had added, without that. Only an answer to the
    /// later request tells that the option was at fault: a client can word its own options so that any deployment refuses them.
    pub async fn ask(&self, mut adds: Adds) -> Asked {
        let sent = Arc::clone(&self.live_resource().login.value());
        let mut result = self.exchange(adds, self.live_resource()).await;
        let mut fresh = None;
        if is_credential_refused(&result) {
            // Boxed, since it is large and seldom needed.
            fresh = Box::pin(self.fresh_credential(&sent, adds.until)).await;
            if let Some(fresh) = &fresh {
                result = Box::pin(self.exchange(adds, &fresh.live.resources[fresh.resource])).await;
            }
        }
        let mut refused: SmallVec<[Refusable; 2]> = SmallVec::new();
        while let Some(option) = adds.options.refused_by(&result) {
            adds.options.remove(option);
            refused.push(option);
            let login = fresh
                .as_ref()
                .map_or_else(|| self.live_resource(), |fresh| &fresh.live.resources[fresh.resource]);
            result = Box::pin(self.exchange(adds, login)).await;
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
            keyed: adds.options.cache_key.is_some(),
        }
    }

    /// Another credential than the one that was refused, if there is one by now.
    async fn fresh_credential(&self, sent: &HeaderValue, until: Instant) -> Option<Fresh> {
        let now = Instant::now();
        let (resource, left) = (self.resource(), until.saturating_duration_since(now));
        if self.is_by_token() {
            // That of the running picture, since only there tokens are renewed.
            let live = self.gateway.live.load_full();
            let at = place_of(&live, resource)?;
            let login = &live.resources[at].login;
            if login.refuse(sent) {
                self.gateway.tokens.refresh(&resource.id, now, left).await;
            }
            let is_another = **login.value() != *sent;
            return is_another.then_some(Fresh { live, resource: at });
        }
        self.gateway.refresh.refresh(&resource.id, now, left).await;
        let live = self.gateway.live.load_full();
        let resource = place_of_another_credential(&live, resource, self.live_resource())?;
        Some(Fresh { live, resource })
    }

    /// Whether the gateway gets the credential itself, as a token.
    fn is_by_token(&self) -> bool {
        let runtime = &self.call.live.config.runtime;
        let resource = runtime.snapshot.deployments[self.deployment.0].resource;
        matches!(runtime.credentials[resource.0], Credential::Entra(_))
    }

    fn resource(&self) -> &Resource {
        let snapshot = &self.call.live.config.runtime.snapshot;
        &snapshot.resources[snapshot.deployments[self.deployment.0].resource.0]
    }

    /// Where the client allows Azure to spill the request over to: only to another member of its pool, in the same account. What a
    /// client names there is otherwise a way past its routes, and past where a route's requests may be processed.
    fn spills_to(&self) -> Option<&HeaderValue> {
        let named = self.call.forwarded.spills_to()?;
        let deployments = &self.call.live.config.runtime.snapshot.deployments;
        let resource = deployments[self.deployment.0].resource;
        let mut members = self.call.pool.members().map(|member| &deployments[member.deployment.0]);
        let is_member = members
            .any(|member| member.resource == resource && named.as_bytes().eq_ignore_ascii_case(member.name.as_bytes()));
        is_member.then_some(named)
    }

    fn live_resource(&self) -> &LiveResource {
        let resource = self.call.live.config.runtime.snapshot.deployments[self.deployment.0].resource;
        &self.call.live.resources[resource.0]
    }

    /// How long to wait for its answer's head, and whether that is known from the deployment's own answers.
    fn first_byte(&self, uncached: u32, now: Instant) -> (Duration, bool) {
        let timeouts = &self.call.route.timeouts;
        if !self.call.request.stream {
            (timeouts.whole_answer, false)
        } else if self.is_last || !self.knows_prompt() {
            // With nobody else to ask, silence is worth waiting out.
            (timeouts.first_byte, false)
        } else {
            let rule = &self.call.route.failover.first_token;
            self.observed(now).patience(uncached, rule, timeouts.first_byte)
        }
    }

    /// One exchange, with a resource's credential.
    async fn exchange(&self, adds: Adds, login: &LiveResource) -> Result<Begun, Failed> {
        let Adds {
            options,
            uncached,
            until,
            trace,
        } = adds;
        let snapshot = &self.call.live.config.runtime.snapshot;
        let configured = &snapshot.deployments[self.deployment.0];
        let (resource, live_resource) = (self.resource(), self.live_resource());
        let is_named_in_body = matches!(resource.api, ApiForm::V1) || self.call.operation == WireOperation::Responses;
        let cache_key = options.cache_key.map(|key| key.text());
        let pieces = body::edited(
            self.call.body,
            self.call.request,
            Edits {
                model: is_named_in_body.then_some(configured.name.as_str()),
                ask_usage: options.usage,
                cache_key: cache_key.as_deref(),
            },
        );
        let head = UpstreamHead {
            path: self.call.live.deployments[self.deployment.0].path(self.call.operation),
            resource: login,
            forwarded: self.call.forwarded,
            spills_to: self.spills_to(),
            traceparent: trace.and_then(tracing::header),
            body_length: body::length(&pieces),
        };
        let timeouts = &self.call.route.timeouts;
        let began = Instant::now();
        let (first_byte, is_learned) = self.first_byte(uncached, began);
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
            deadline: until,
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
                until: until.into(),
                first_output: is_learned.then(|| (began + first_byte).into()),
            },
        )
        .await
    }
}

fn is_credential_refused(result: &Result<Begun, Failed>) -> bool {
    matches!(result, Err(Failed::Answer { head, .. }) if head.status == 401)
}
