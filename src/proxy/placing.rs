//! Asks placement where a request belongs, and keeps its plan until the truth is known.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::core::placement::plain::{self, Plain};
use crate::core::placement::plan::{Candidate, Placement, Plan};
use crate::core::placement::policy::Policy;
use crate::core::placement::rule::Rule;
use crate::core::placement::shard::CacheKey;
use crate::core::placement::view::{Ask, View};
use crate::core::recovery::health::Availability;
use crate::core::router::{self, Known};
use crate::core::topology::{CacheKeys, DeploymentIx, PoolIx, Route};
use crate::proxy::Gateway;
use crate::proxy::prompt::Prompt;
use crate::proxy::state::Live;
use crate::telemetry::clock;

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

/// A request's placement.
#[derive(Debug)]
pub struct Placed {
    /// The prompt.
    pub prompt: Prompt,
    /// The key that its plan offers.
    pub cache_key: Option<CacheKey>,
    /// Who was planned, with what was expected there.
    pub candidates: SmallVec<[Candidate; 8]>,
    /// Prompt tokens that were believed to be cached at one deployment at least.
    pub warm_tokens: u32,
    /// Prompt tokens that had been sent to one of them in the last hour.
    pub sent_tokens: u32,
    /// Whether its blocks are counted: not where placement does not look at them.
    pub is_counted: bool,
    /// When it was planned, since the gateway's start.
    pub planned_at: Duration,
}

impl Placed {
    /// Of a plan.
    pub fn of(plan: &Plan, policy: Policy, prompt: Prompt, planned_at: Duration) -> Self {
        Self {
            prompt,
            cache_key: plan.cache_key,
            candidates: plan.candidates.clone(),
            warm_tokens: plan.warm_tokens,
            sent_tokens: plan.sent_tokens,
            is_counted: policy == Policy::Nested && plan.key.is_some(),
            planned_at,
        }
    }

    /// Takes another plan, made later.
    pub fn replan(&mut self, plan: &Plan, planned_at: Duration) {
        self.cache_key = plan.cache_key;
        self.candidates.clone_from(&plan.candidates);
        self.warm_tokens = plan.warm_tokens;
        self.sent_tokens = plan.sent_tokens;
        self.planned_at = planned_at;
    }

    /// What was expected of a deployment.
    pub fn candidate(&self, deployment: DeploymentIx) -> Option<&Candidate> {
        self.candidates
            .iter()
            .find(|candidate| candidate.deployment == deployment)
    }

    /// The `prompt_cache_key` to send to a deployment, if any. A client's own is never replaced; the caller sees to that.
    pub fn key_for(&self, live: &Live, deployment: DeploymentIx) -> Option<CacheKey> {
        let key = self.cache_key?;
        let is_wanted = match live.config.runtime.snapshot.deployments[deployment.0].cache_keys {
            CacheKeys::Off => false,
            CacheKeys::Auto => key.pays,
            CacheKeys::Always => true,
        };
        let state = &live.deployments[deployment.0].state;
        (is_wanted && state.takes_cache_key(clock::now_ms())).then_some(key)
    }
}

/// Plans a request by its route's policy, and counts it. Where it can be answered by one deployment only, the plan has no other.
pub fn plan(
    gateway: &Gateway,
    live: &Live,
    route: &Route,
    prompt: &Prompt,
    pinned: Option<DeploymentIx>,
    now: Instant,
) -> Plan {
    let view = view(gateway, live, route.pool, now);
    let Prompt { chain, ask, .. } = prompt;
    let mut plan = match route.policy.plain() {
        None => {
            let since = gateway.memory.since_start(now);
            let draw = live.draws[route.pool.0].fetch_add(1, Ordering::Relaxed);
            let ask = Ask { draw, ..*ask };
            gateway.memory.placement.plan(&view, chain, &ask, since)
        }
        Some(policy) => by_policy(policy, &view, prompt, || {
            live.turns[route.pool.0].fetch_add(1, Ordering::Relaxed)
        }),
    };
    match pinned {
        Some(deployment) => plan.pin(deployment),
        None if plan.is_free() => {
            plan.keep_alive(|deployment| live.deployments[deployment.0].state.wants_request.take());
        }
        None => {}
    }
    plan
}

/// By one of the simpler policies.
fn by_policy(policy: Plain, view: &View, Prompt { chain, ask, .. }: &Prompt, turn: impl FnOnce() -> u64) -> Plan {
    match policy {
        // A head's hash is affinity too.
        Plain::HeadHash if !ask.is_cacheable => plain::plan(Plain::LeastBusy, view, chain, ask, turn()),
        policy => plain::plan(policy, view, chain, ask, turn()),
    }
}

/// The plan that a request would have now, if it is the next, without counting it.
pub fn explain(gateway: &Gateway, live: &Live, route: &Route, view: &View, prompt: &Prompt, now: Instant) -> Plan {
    let Prompt { chain, ask, .. } = prompt;
    match route.policy.plain() {
        None => {
            let since = gateway.memory.since_start(now);
            let draw = live.draws[route.pool.0].load(Ordering::Relaxed);
            let ask = Ask { draw, ..*ask };
            gateway.memory.placement.explain(view, chain, &ask, since)
        }
        Some(policy) => by_policy(policy, view, prompt, || {
            live.turns[route.pool.0].load(Ordering::Relaxed)
        }),
    }
}

/// A pool as it is now, for a plan that is carried out: members that recover count it. Takes each member's locks for a moment.
pub fn view(gateway: &Gateway, live: &Live, pool: PoolIx, now: Instant) -> View {
    view_of(gateway, live, pool, now, Live::standing)
}

/// The same for somebody who only looks.
pub fn view_as_seen(gateway: &Gateway, live: &Live, pool: PoolIx, now: Instant) -> View {
    view_of(gateway, live, pool, now, Live::standing_as_seen)
}

fn view_of(
    gateway: &Gateway,
    live: &Live,
    pool: PoolIx,
    now: Instant,
    standing: fn(&Live, DeploymentIx, Instant) -> (Availability, bool),
) -> View {
    let since = gateway.memory.since_start(now);
    let replicas = f64::from(live.config.runtime.snapshot.replicas);
    router::view(&live.outlines[pool.0], |deployment| {
        let state = &live.deployments[deployment.0].state;
        let (availability, is_admitted) = standing(live, deployment, now);
        let learned = state.learned.lock();
        Known {
            availability,
            is_admitted,
            share: state.absent.share(),
            limit: learned.room.limit(),
            used: learned.room.used(since, replicas),
            in_flight: state.in_flight.load(Ordering::Relaxed) as f64,
            latency: learned.latency.seconds(since),
            cache_life: learned.truth.cache_life(),
            lost_before: learned.truth.lost_before(),
            caches: learned.truth.caches(since),
        }
    })
}
