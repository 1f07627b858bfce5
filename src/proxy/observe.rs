//! What deployments tell of their limits and caches, and who learns it.

use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::HeaderName;

use crate::core::placement::plan::Candidate;
use crate::core::placement::rendezvous;
use crate::core::placement::room::{Sent, Throttle};
use crate::core::placement::truth::Trial;
use crate::core::topology::{Deployment, DeploymentIx};
use crate::openai::azure::{self, RateLimits};
use crate::openai::error::ThrottleKind;
use crate::openai::usage::Usage;
use crate::proxy::Gateway;
use crate::proxy::placing::Placed;
use crate::proxy::state::Live;
use crate::telemetry::events;

/// Hits grow in steps of so many tokens.
const HIT_STEP: u32 = 128;
/// Fewer tokens are no trial of what a cache keeps: what is estimated of a prompt's parts is not exact enough.
const TRIAL_TOKENS_MIN: u32 = 512;
/// The provider caches no shorter prompt.
const CACHEABLE_TOKENS: u32 = 1_024;
/// Who asks for so much rest says that the request never fits: Azure names a day.
const NEVER_FITS_REST: Duration = Duration::from_hours(1);

const SESSION: HeaderName = HeaderName::from_static("azureml-model-session");

/// A deployment that is asked, or has told something.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    /// What all requests share.
    pub gateway: &'a Gateway,
    /// The configuration in use.
    pub live: &'a Live,
    /// Which deployment.
    pub deployment: DeploymentIx,
    /// When.
    pub now: Instant,
}

impl Observed<'_> {
    fn configured(&self) -> &Deployment {
        &self.live.config.runtime.snapshot.deployments[self.deployment.0]
    }

    fn since_start(&self) -> Duration {
        self.gateway.memory.since_start(self.now)
    }

    /// A request is sent there.
    pub fn sending(&self, placed: Option<&mut Placed>) -> Sent {
        let estimate = placed.map_or(0.0, |placed| {
            placed.estimate = self.estimate(placed);
            placed.estimate
        });
        let mut learned = self.live.deployments[self.deployment.0].state.learned.lock();
        learned.room.sent(estimate, self.since_start())
    }

    /// What a request counts against the limit, in tokens: for provisioned deployments what is cached counts nothing.
    fn estimate(&self, placed: &Placed) -> f64 {
        let (configured, ask) = (self.configured(), &placed.prompt.ask);
        if !configured.sku.is_provisioned() {
            return f64::from(ask.total_tokens);
        }
        let expected = placed
            .candidate(self.deployment)
            .map_or(0, |candidate| candidate.expected_tokens);
        let output = f64::from(ask.total_tokens.saturating_sub(ask.prompt_tokens));
        f64::from(ask.prompt_tokens.saturating_sub(expected)) + configured.output_weight() * output
    }

    /// An answer's head has come: what it says of limits and of who serves.
    pub fn head(&self, headers: &HeaderMap, sent: Sent) {
        let limits = azure::rate_limits(|name| headers.get(name)?.to_str().ok());
        let mut changed = None;
        {
            let mut learned = self.live.deployments[self.deployment.0].state.learned.lock();
            if let RateLimits {
                tokens: Some((limit, remaining)),
                ..
            } = limits
            {
                let before = learned.room.limit();
                if learned.room.reported(limit, remaining, sent, self.since_start()) && before.is_finite() {
                    changed = Some((before, limit, learned.room.configured()));
                }
            }
            if let Some((limit, remaining)) = limits.requests {
                learned.room.reported_requests(limit, remaining, self.since_start());
            }
            if let Some(session) = headers.get(SESSION).and_then(|value| value.to_str().ok()) {
                learned.truth.served_by(rendezvous::seed(session));
            }
        }
        if let Some((before, after, configured)) = changed {
            events::LimitChanged {
                deployment: &self.configured().id,
                before,
                after,
                configured: Some(configured).filter(|configured| configured.is_finite()),
            }
            .emit();
        }
    }

    /// A request was throttled. True if it alone is more than the deployment takes in a minute, so that the refusal says nothing about
    /// others.
    pub fn throttled(&self, kind: ThrottleKind, rest: Option<Duration>, estimate: f64) -> bool {
        let what = match kind {
            _ if self.configured().sku.is_provisioned() => Throttle::Tokens,
            ThrottleKind::Tokens => Throttle::Tokens,
            ThrottleKind::Requests => Throttle::Requests,
            ThrottleKind::Other => Throttle::Other,
        };
        let mut learned = self.live.deployments[self.deployment.0].state.learned.lock();
        // The provider reckons in its own way: within a half it may be either.
        if rest.is_some_and(|rest| rest >= NEVER_FITS_REST) && estimate > learned.room.limit() / 2.0 {
            return true;
        }
        learned
            .room
            .refused(what, self.live.rules.rest(rest), self.since_start());
        false
    }

    /// It has begun to answer after this time: from now on the prompt is in its cache.
    pub fn has_begun(&self, placed: Option<&Placed>, took: Duration) {
        let live = &self.live.deployments[self.deployment.0];
        let since = self.since_start();
        live.state.learned.lock().latency.observed(took.as_secs_f64(), since);
        if let Some(placed) = placed {
            self.gateway
                .memory
                .placement
                .sent(&placed.prompt.chain, live.seed, since);
        }
    }

    /// The answer has told what it used: compares it with what was expected. Tokens that were expected to be cached, as the provider
    /// counts tokens.
    pub fn has_used(&self, placed: &Placed, usage: Usage) -> u32 {
        let since = self.since_start();
        let configured = self.configured();
        let candidate = placed.candidate(self.deployment);
        let scale = Scale::of(placed, usage);
        let expected = candidate.map_or(0, |candidate| scale.tokens(candidate.expected_tokens));
        let cached = u32::try_from(usage.cached).unwrap_or(u32::MAX);
        let trial = candidate.and_then(|candidate| trial(candidate, scale, cached));
        let was_lost = {
            let mut learned = self.live.deployments[self.deployment.0].state.learned.lock();
            if configured.sku.is_provisioned() {
                let output = configured.output_weight() * usage.completion as f64;
                let used = usage.prompt.saturating_sub(usage.cached) as f64 + output;
                learned.room.settled(placed.estimate, used, since);
            }
            trial.is_some_and(|trial| learned.truth.observed(trial, since))
        };
        if was_lost {
            events::CacheLost {
                deployment: &configured.id,
            }
            .emit();
        }
        if let Some(key) = &placed.cache_key {
            let placement = &self.gateway.memory.placement;
            placement.observed(key, placed.was_keyed, expected, cached, since);
        }
        expected
    }
}

/// From tokens that were estimated by bytes to the provider's own.
#[derive(Debug, Clone, Copy)]
struct Scale(f64);

impl Scale {
    fn of(placed: &Placed, usage: Usage) -> Self {
        Self(usage.prompt as f64 / f64::from(placed.prompt.ask.prompt_tokens.max(1)))
    }

    /// Rounded down to the step in which hits grow.
    fn tokens(self, estimated: u32) -> u32 {
        (f64::from(estimated) * self.0) as u32 / HIT_STEP * HIT_STEP
    }
}

/// What an answer says of the part of the prompt that was sent longest ago.
fn trial(candidate: &Candidate, scale: Scale, cached: u32) -> Option<Trial> {
    let (sent, newer) = (
        scale.tokens(candidate.sent_tokens),
        scale.tokens(candidate.newer_tokens),
    );
    if sent < CACHEABLE_TOKENS || sent - newer.min(sent) < TRIAL_TOKENS_MIN {
        return None;
    }
    Some(Trial {
        sent: sent - newer,
        cached: cached.saturating_sub(newer),
        idle: candidate.idle,
    })
}
