//! What placement is told, and what it is taught: between the running picture and `core::placement`.

use std::time::{Duration, Instant};

use http::HeaderMap;

use crate::core::placement::chain::Chain;
use crate::core::placement::plan::{Candidate, Placement, Plan};
use crate::core::placement::room::{Sent, Throttle};
use crate::core::placement::rule::Rule;
use crate::core::placement::shard::CacheKey;
use crate::core::router::{self, Known};
use crate::core::topology::{Deployment, DeploymentIx, PoolIx};
use crate::openai::azure::{self, RateLimits};
use crate::openai::error::ThrottleKind;
use crate::openai::usage::Usage;
use crate::proxy::Gateway;
use crate::proxy::prompt::Prompt;
use crate::proxy::state::Live;
use crate::telemetry::events;

/// What is remembered of prompts, and the time it is counted in.
pub struct Memory {
    /// The memory.
    pub placement: Placement,
    started: Instant,
}

impl Default for Memory {
    /// Nothing remembered, as of now.
    fn default() -> Self {
        Self {
            placement: Placement::new(Rule::default()),
            started: Instant::now(),
        }
    }
}

impl Memory {
    /// The time since the gateway began.
    pub fn since_start(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }
}

/// A request's placement, as it is kept until the truth is known.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The prompt.
    pub prompt: Prompt,
    /// The key that its plan offers.
    pub cache_key: Option<CacheKey>,
    /// Who was planned, with what was expected there.
    pub candidates: smallvec::SmallVec<[Candidate; 8]>,
    /// Whether the last attempt was sent with the key.
    pub was_keyed: bool,
    /// Estimate that the last attempt was sent with, in tokens.
    pub estimate: f64,
}

/// Plans a request and counts it.
pub fn plan(gateway: &Gateway, live: &Live, pool: PoolIx, prompt: &Prompt, now: Instant) -> Plan {
    let since = gateway.memory.since_start(now);
    let replicas = f64::from(live.config.runtime.snapshot.replicas);
    let view = router::view(&live.outlines[pool.0], |deployment| {
        let state = &live.deployments[deployment.0].state;
        let room = state.room.lock();
        Known {
            availability: state.health.lock().availability(now),
            limit: room.limit(),
            used: room.used(since, replicas),
            in_flight: state.in_flight.load(std::sync::atomic::Ordering::Relaxed) as f64,
            cache_life: crate::core::placement::view::CACHE_LIFE,
        }
    });
    gateway.memory.placement.plan(&view, &prompt.chain, &prompt.ask, since)
}

impl Placed {
    /// Of a plan.
    pub fn of(plan: &Plan, prompt: Prompt) -> Self {
        Self {
            prompt,
            cache_key: plan.cache_key,
            candidates: plan.candidates.clone(),
            was_keyed: false,
            estimate: 0.0,
        }
    }

    /// Prompt tokens believed to be cached at the deployment, as estimated from bytes.
    pub fn expected_tokens(&self, deployment: DeploymentIx) -> u32 {
        let mut candidates = self.candidates.iter();
        let planned = candidates.find(|candidate| candidate.deployment == deployment);
        planned.map_or(0, |candidate| candidate.expected_tokens)
    }
}

/// Notes that a request of this estimate is sent to a deployment.
pub fn sending(gateway: &Gateway, live: &Live, deployment: DeploymentIx, estimate: f64, now: Instant) -> Sent {
    let mut room = live.deployments[deployment.0].state.room.lock();
    room.sent(estimate, gateway.memory.since_start(now))
}

/// What an attempt counts against the deployment's limit, in tokens.
pub fn estimate(deployment: &Deployment, prompt: &Prompt, expected_tokens: u32) -> f64 {
    let ask = &prompt.ask;
    if !deployment.sku.is_provisioned() {
        return f64::from(ask.total_tokens);
    }
    let output = f64::from(ask.total_tokens.saturating_sub(ask.prompt_tokens));
    f64::from(ask.prompt_tokens.saturating_sub(expected_tokens)) + deployment.output_weight() * output
}

/// Reads what a deployment's answer says of its limits.
pub fn learn_limits(
    gateway: &Gateway,
    live: &Live,
    deployment: DeploymentIx,
    headers: &HeaderMap,
    sent: Sent,
    now: Instant,
) {
    let limits = azure::rate_limits(|name| headers.get(name)?.to_str().ok());
    let state = &live.deployments[deployment.0].state;
    let since = gateway.memory.since_start(now);
    let mut changed = None;
    {
        let mut room = state.room.lock();
        if let RateLimits {
            tokens: Some((limit, remaining)),
            ..
        } = limits
        {
            let before = room.limit();
            if room.reported(limit, remaining, sent, since) && before.is_finite() {
                changed = Some((before, limit, room.configured()));
            }
        }
        if let Some((limit, remaining)) = limits.requests {
            room.reported_requests(limit, remaining, since);
        }
    }
    if let Some((before, after, configured)) = changed {
        events::LimitChanged {
            deployment: &live.config.runtime.snapshot.deployments[deployment.0].id,
            before,
            after,
            configured: Some(configured).filter(|configured| configured.is_finite()),
        }
        .emit();
    }
}

/// Notes a 429 to a request of this estimate. True if the request alone is more than the deployment takes in a minute, so that the refusal says
/// nothing about others.
pub fn learn_throttle(
    gateway: &Gateway,
    live: &Live,
    deployment: DeploymentIx,
    kind: ThrottleKind,
    rest: Option<Duration>,
    estimate: f64,
    now: Instant,
) -> bool {
    let is_provisioned = live.config.runtime.snapshot.deployments[deployment.0]
        .sku
        .is_provisioned();
    let what = match kind {
        _ if is_provisioned => Throttle::Tokens,
        ThrottleKind::Tokens => Throttle::Tokens,
        ThrottleKind::Requests => Throttle::Requests,
        ThrottleKind::Other => Throttle::Other,
    };
    let mut room = live.deployments[deployment.0].state.room.lock();
    // The provider counts characters, we bytes: within a half it may be either.
    if rest.is_some_and(|rest| rest >= NEVER_FITS_REST) && estimate > room.limit() / 2.0 {
        return true;
    }
    room.refused(what, live.rules.rest(rest), gateway.memory.since_start(now));
    false
}

/// Who asks for so much rest says that the request never fits: Azure names a day.
const NEVER_FITS_REST: Duration = Duration::from_hours(1);

/// A deployment has begun to answer the prompt: from now on it has it in its cache.
pub fn has_begun(gateway: &Gateway, live: &Live, deployment: DeploymentIx, chain: &Chain, now: Instant) {
    let seed = live.deployments[deployment.0].seed;
    gateway
        .memory
        .placement
        .sent(chain, seed, gateway.memory.since_start(now));
}

/// The answer has told what it used: compares it with what was expected.
pub fn has_reported(
    gateway: &Gateway,
    live: &Live,
    deployment: DeploymentIx,
    placed: &Placed,
    usage: Usage,
    now: Instant,
) {
    let since = gateway.memory.since_start(now);
    let configured = &live.config.runtime.snapshot.deployments[deployment.0];
    if configured.sku.is_provisioned() {
        let output = configured.output_weight() * usage.completion as f64;
        let used = usage.prompt.saturating_sub(usage.cached) as f64 + output;
        let mut room = live.deployments[deployment.0].state.room.lock();
        room.settled(placed.estimate, used, since);
    }
    let expected = scaled(
        placed.expected_tokens(deployment),
        placed.prompt.ask.prompt_tokens,
        usage.prompt,
    );
    let cached = u32::try_from(usage.cached).unwrap_or(u32::MAX);
    if let Some(key) = &placed.cache_key {
        gateway
            .memory
            .placement
            .observed(key, placed.was_keyed, expected, cached, since);
    }
}

/// Tokens of a part of a prompt that was estimated from bytes, once the whole prompt's tokens are known: rounded down to the step
/// in which hits grow.
fn scaled(part: u32, estimated: u32, reported: u64) -> u32 {
    let exact = f64::from(part) * reported as f64 / f64::from(estimated.max(1));
    (exact as u32) / HIT_STEP * HIT_STEP
}

/// Hits grow in steps of so many tokens.
const HIT_STEP: u32 = 128;
