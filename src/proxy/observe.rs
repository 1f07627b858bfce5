//! What deployments tell of their limits and caches, and who learns it.

use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::HeaderName;
use parking_lot::MutexGuard;

use crate::core::placement::plan::Candidate;
use crate::core::placement::rendezvous;
use crate::core::placement::room::{Sent, Throttle};
use crate::core::placement::truth::Trial;
use crate::core::provider::{CACHEABLE_TOKENS, ROUTING_TOKENS, STEP_TOKENS};
use crate::core::recovery::patience::FirstTokenRule;
use crate::core::topology::{Deployment, DeploymentIx};
use crate::openai::azure::{self, RateLimits};
use crate::openai::error::ThrottleKind;
use crate::openai::usage::Usage;
use crate::proxy::Gateway;
use crate::proxy::context::AttemptFacts;
use crate::proxy::placing::Placed;
use crate::proxy::prompt::Prompt;
use crate::proxy::state::{Learned, Live};
use crate::telemetry::events;

/// Fewer tokens are no trial of what a cache keeps: what is estimated of a prompt's parts is not exact enough.
const TRIAL_TOKENS_MIN: u32 = 512;
/// Who asks for so much rest says that the request never fits: Azure names a day.
const NEVER_FITS_REST: Duration = Duration::from_hours(1);

/// Set where a provisioned deployment's request was answered by another one.
const SPILLED_FROM: HeaderName = HeaderName::from_static("x-ms-spillover-from-deployment");
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

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.live.deployments[self.deployment.0].state.learned.lock()
    }

    /// A request is sent there.
    pub fn note_sending(&self, placed: Option<&Placed>) -> Sent {
        let cost = |placed: &Placed| {
            let planned = placed.candidate(self.deployment);
            planned.map_or(f64::from(placed.prompt.ask.total_tokens), |candidate| candidate.cost)
        };
        let cost = placed.map_or(0.0, cost);
        self.learned().room.sent(cost, self.since_start())
    }

    /// It was not taken: it counts nothing.
    pub fn note_refused(&self, sent: Sent) {
        self.learned().room.returned(sent, self.since_start());
    }

    /// An answer's head has come: what it says of limits and of who serves. False if it is of another deployment, which Azure
    /// spilled the request over to: it then says nothing of this one.
    pub fn note_head(&self, headers: &HeaderMap, sent: Sent) -> bool {
        if headers.contains_key(SPILLED_FROM) {
            self.note_refused(sent);
            return false;
        }
        let limits = azure::rate_limits(|name| headers.get(name)?.to_str().ok());
        let mut changed = None;
        {
            let mut learned = self.learned();
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
                learned
                    .room
                    .reported_requests(limit, remaining, sent, self.since_start());
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
            .emit(self.gateway.metrics.journal());
        }
        true
    }

    /// A request was throttled.
    pub fn note_throttled(&self, kind: ThrottleKind, rest: Option<Duration>, sent: Sent) -> Throttling {
        let what = match kind {
            _ if self.configured().sku.is_provisioned() => Throttle::Tokens,
            ThrottleKind::Tokens => Throttle::Tokens,
            ThrottleKind::Requests => Throttle::Requests,
            ThrottleKind::Other => Throttle::Other,
        };
        let mut learned = self.learned();
        // The provider reckons in its own way: within a half it may be either.
        if rest.is_some_and(|rest| rest >= NEVER_FITS_REST) && sent.tokens() > learned.room.limit() / 2.0 {
            return Throttling::NeverFits;
        }
        let rest = self.live.rules.rest(rest);
        learned.room.refused(what, rest, self.since_start());
        Throttling::Rests
    }

    /// A stream's first output has come after this time.
    pub fn note_latency(&self, took: Duration, uncached_tokens: u32, rule: &FirstTokenRule) {
        let mut learned = self.learned();
        learned.latency.observed(took.as_secs_f64(), self.since_start());
        learned.first_token.observed(took, uncached_tokens, rule);
    }

    /// A stream's beginning did not come in this time.
    pub fn note_silence(&self, waited: Duration, uncached_tokens: u32, rule: &FirstTokenRule) {
        self.learned().first_token.missed(waited, uncached_tokens, rule);
    }

    /// How long to wait for a stream's beginning, at most `most`, and whether that is known from the deployment's own answers.
    pub fn patience(&self, uncached_tokens: u32, rule: &FirstTokenRule, most: Duration) -> (Duration, bool) {
        let first_token = self.learned().first_token;
        (
            first_token.deadline(uncached_tokens, rule, most),
            first_token.is_learned(),
        )
    }

    /// It has begun to answer: from now on the prompt is in its cache.
    pub fn note_begun(&self, placed: &Placed) {
        let seed = self.live.deployments[self.deployment.0].seed;
        let placement = &self.gateway.memory.placement;
        if placed.is_counted {
            let Prompt { chain, ask, .. } = &placed.prompt;
            placement.sent(chain, ask.prompt_tokens, seed, self.since_start());
        }
    }

    /// The answer to an attempt has told what it used: compares it with what was expected.
    pub fn note_used(&self, placed: &Placed, attempt: &AttemptFacts, usage: Usage) {
        let since = self.since_start();
        let configured = self.configured();
        let candidate = placed.candidate(self.deployment);
        let scale = Scale::of(placed, usage);
        let cached = u32::try_from(usage.cached).unwrap_or(u32::MAX);
        // A hot head overflows its machine, and is moved among machines by its keys: what it misses is no sign of a loss.
        let judged = candidate.filter(|_| placed.cache_key.is_none());
        let trial = judged.and_then(|candidate| trial(candidate, placed, scale, cached));
        let was_lost = {
            let mut learned = self.learned();
            let output = configured.output_weight() * usage.completion as f64;
            let used = usage.prompt.saturating_sub(usage.cached) as f64 + output;
            learned.room.settled(attempt.sent, used, since);
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
            let expected = candidate.map_or(0, |candidate| scale.tokens(candidate.expected_tokens));
            placement.observed(key, attempt.keyed, expected, cached, since);
        }
    }
}

/// What a 429 means for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttling {
    /// The deployment asks for rest.
    Rests,
    /// The request alone is more than the deployment takes in a minute: others may fit.
    NeverFits,
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
        (f64::from(estimated) * self.0) as u32 / STEP_TOKENS * STEP_TOKENS
    }
}

/// What an answer says of the part of the prompt that was sent longest ago.
fn trial(candidate: &Candidate, placed: &Placed, scale: Scale, cached: u32) -> Option<Trial> {
    let sent = scale.tokens(candidate.sent_tokens);
    let newer = scale.tokens(candidate.newer_tokens).min(sent);
    if sent < CACHEABLE_TOKENS || sent - newer < TRIAL_TOKENS_MIN {
        return None;
    }
    let chain = &placed.prompt.chain;
    let routing = chain.blocks_within(ROUTING_TOKENS).saturating_sub(1);
    Some(Trial {
        sent: sent - newer,
        cached: cached.saturating_sub(newer),
        idle: candidate.idle,
        planned_at: placed.planned_at,
        head: chain.ids().get(routing).map_or(0, |id| id.low()),
    })
}
