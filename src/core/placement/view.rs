//! What placement is told of the deployments and of the request: plain values, gathered by the caller at the request's start.

use std::time::Duration;

use smallvec::SmallVec;

use super::rendezvous;
use crate::core::topology::DeploymentIx;

/// Most deployments of a tier that placement can tell apart; what is beyond is left out of the plan.
pub const MEMBERS_MAX: usize = 255;

/// The deployments that may serve a request, best tier first. Everything that may not is left out before: affinity only ever
/// reorders what policy allows.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Priority tiers, best first.
    pub tiers: SmallVec<[Tier; 2]>,
    /// Gateways that share the traffic, this one included; at least 1. A guess that is wrong by less than two is good enough.
    pub replicas: f64,
}

impl View {
    /// Whether any deployment of the best tier caches.
    pub fn caches(&self) -> bool {
        let best = self.tiers.first();
        best.is_none_or(|tier| tier.members.iter().any(|member| member.caches))
    }
}

/// Deployments of one priority.
#[derive(Debug, Clone, Default)]
pub struct Tier {
    /// All of them, also those that cannot be used now: homes are chosen among all, so that an outage moves only what it must.
    pub members: SmallVec<[Member; 8]>,
}

/// A deployment as placement sees it.
#[derive(Debug, Clone)]
pub struct Member {
    /// Which one, for the caller; placement itself remembers deployments by `seed`.
    pub deployment: DeploymentIx,
    /// [`rendezvous::seed`] of its name.
    pub seed: u64,
    /// Where it is, as a number; equal for equal regions.
    pub region: u32,
    /// Share of the tier's prompts, relative to the others; finite and above zero. Usually the limit.
    pub weight: f64,
    /// Tokens a minute that it takes; infinite where nothing is known.
    pub limit: f64,
    /// Tokens of its current minute that are used, as far as this replica knows (see [`super::room`]).
    pub used: f64,
    /// Requests in flight there, as far as this replica knows.
    pub load: f64,
    /// Smoothed seconds to the beginning of an answer ([`super::latency`]); 0 where unknown.
    pub latency: f64,
    /// Whether it may be tried.
    pub state: State,
    /// Input tokens that one output token counts as against the limit.
    pub output_weight: f64,
    /// Whether prompt tokens that are cached count against the limit.
    pub counts_cached: bool,
    /// How long its cache keeps what nobody asks for.
    pub cache_life: Duration,
    /// What was sent before this time is not there any more.
    pub lost_before: Duration,
    /// Whether it caches at all.
    pub caches: bool,
}

impl Member {
    /// An idle deployment of which only name and limit are known.
    pub fn named(deployment: DeploymentIx, name: &str, limit: f64) -> Self {
        Self {
            deployment,
            seed: rendezvous::seed(name),
            region: 0,
            weight: if limit.is_finite() { limit } else { 1.0 },
            limit,
            used: 0.0,
            load: 0.0,
            latency: 0.0,
            state: State::Ready,
            output_weight: 1.0,
            counts_cached: true,
            cache_life: CACHE_LIFE,
            lost_before: Duration::ZERO,
            caches: true,
        }
    }

    /// What a request counts against the limit, in tokens, if so many of its prompt's are cached.
    pub fn cost(&self, ask: &Ask, cached: u32) -> f64 {
        let output = f64::from(ask.total_tokens.saturating_sub(ask.prompt_tokens));
        let counted = if self.counts_cached { 0 } else { cached };
        f64::from(ask.prompt_tokens.saturating_sub(counted)) + self.output_weight * output
    }

    /// Tokens that are left below `fill` of its limit once a request of this estimate is in; negative if it does not fit.
    pub fn room(&self, tokens: f64, fill: f64) -> f64 {
        fill * self.limit - self.used - tokens
    }
}

/// What the provider says of its cache: cleared after 5 to 10 idle minutes.
pub const CACHE_LIFE: Duration = Duration::from_mins(10);

/// Whether a deployment may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Ready,
    /// It answered 429 and asked for rest: not now, whatever else happens.
    Resting,
    /// An operator has taken it out: the same.
    Drained,
    /// It is not there, by what the control plane says: the same.
    Absent,
    /// Its breaker is open: only if nothing else is left.
    Ejected,
}

/// What placement must know of a request.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Tokens of the prompt: exact, or characters ÷ 4.
    pub prompt_tokens: u32,
    /// The provider's own estimate for its limit: prompt + most output × choices.
    pub total_tokens: u32,
    /// Whether it begins a conversation, since the prompt holds no answer yet. Every replica sees this alike.
    pub is_first_turn: bool,
    /// Whether its place matters: not for what no cache holds, nor for clients who want none.
    pub is_cacheable: bool,
    /// The client's own name for what belongs together, as a hash within its scope.
    pub session: Option<u64>,
    /// What chance says, where no cache is at stake: another number for each request, or the same for all, whose prompts alone decide then.
    pub draw: u64,
}
