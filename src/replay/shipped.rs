//! The shipped policies in a run: what each replica remembers, and a view made of what it knows.

use std::time::Duration;

use super::policy::{Asked, Policy};
use super::world::{CacheKeys, Setting};
use crate::core::placement::plain::{self, Plain};
use crate::core::placement::plan::{Placement, Plan};
use crate::core::placement::policy;
use crate::core::placement::rendezvous;
use crate::core::placement::rule::Rule;
use crate::core::placement::view::{Ask, Member, State, Tier, View};
use crate::core::topology::DeploymentIx;

/// A shipped policy.
pub(super) fn shipped(
    policy: policy::Policy,
    rule: &Rule,
    setting: &Setting,
    seeds: &[u64],
    limit: f64,
) -> Box<dyn Policy> {
    let view = view(setting, seeds, limit);
    match policy.plain() {
        None => Box::new(Nested::new(rule, setting, view)),
        Some(policy) => Box::new(Simple {
            policy,
            view,
            turns: (0..setting.replicas as u64)
                .map(|replica| rendezvous::spread(replica) >> 32)
                .collect(),
            plan: Plan::default(),
        }),
    }
}

fn view(setting: &Setting, seeds: &[u64], limit: f64) -> View {
    let member = |(at, &seed): (usize, &u64)| Member {
        seed,
        region: if setting.spans_regions {
            (at % setting.regions.max(1)) as u32
        } else {
            0
        },
        cache_life: Duration::from_secs_f64(setting.idle_seconds),
        ..Member::named(DeploymentIx(at), "", limit)
    };
    let tier = Tier {
        members: seeds.iter().enumerate().map(member).collect(),
    };
    View {
        tiers: [tier].into_iter().collect(),
        replicas: setting.replicas as f64,
    }
}

/// Brings the view up to what the asked replica knows.
fn look(view: &mut View, asked: &Asked<'_>) {
    let known = asked.knowledge;
    let now = Duration::from_secs_f64(asked.request.at);
    for (at, member) in view.tiers[0].members.iter_mut().enumerate() {
        member.used = known.rooms[at].used(now, view.replicas);
        member.load = f64::from(known.in_flight[at]);
        member.latency = known.latency[at].seconds(now);
        member.state = if known.rests_until[at] > asked.request.at {
            State::Resting
        } else {
            State::Ready
        };
    }
}

fn ask(asked: &Asked<'_>) -> Ask {
    Ask {
        prompt_tokens: asked.request.prompt,
        total_tokens: asked.request.limit_tokens as u32,
        is_first_turn: asked.request.is_first_turn,
        is_cacheable: true,
        session: None,
        // By the prompt alone: the same trace gives the same run.
        draw: 0,
    }
}

fn first_untried(plan: &Plan, tried: &[bool]) -> Option<usize> {
    let mut candidates = plan.candidates.iter().map(|candidate| candidate.deployment.0);
    candidates.find(|&at| !tried[at])
}

struct Nested {
    replicas: Vec<Placement>,
    view: View,
    cache_keys: CacheKeys,
    plan: Plan,
    sends_key: bool,
}

impl Nested {
    fn new(rule: &Rule, setting: &Setting, view: View) -> Self {
        Self {
            replicas: (0..setting.replicas).map(|_| Placement::new(rule.clone())).collect(),
            view,
            cache_keys: setting.cache_keys,
            plan: Plan::default(),
            sends_key: false,
        }
    }
}

impl Policy for Nested {
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize> {
        let now = Duration::from_secs_f64(asked.request.at);
        look(&mut self.view, asked);
        self.plan = self.replicas[asked.replica].plan(&self.view, &asked.request.chain, &ask(asked), now);
        self.sends_key = match self.cache_keys {
            CacheKeys::Off => false,
            CacheKeys::Always => true,
            CacheKeys::Auto => self.plan.cache_key.is_some_and(|key| key.pays),
        };
        self.plan.candidates.first().map(|candidate| candidate.deployment.0)
    }

    fn next(&mut self, _asked: &mut Asked<'_>, tried: &[bool]) -> Option<usize> {
        first_untried(&self.plan, tried)
    }

    fn admitted(&mut self, asked: &mut Asked<'_>, deployment: usize, cached: u32) {
        let now = Duration::from_secs_f64(asked.request.at);
        let placement = &self.replicas[asked.replica];
        let seed = self.view.tiers[0].members[deployment].seed;
        placement.sent(&asked.request.chain, asked.request.prompt, seed, now);
        let mut candidates = self.plan.candidates.iter();
        if let Some(key) = &self.plan.cache_key
            && let Some(candidate) = candidates.find(|candidate| candidate.deployment.0 == deployment)
        {
            placement.observed(key, self.sends_key, candidate.expected_tokens, cached, now);
        }
    }

    fn cache_key(&self) -> Option<u64> {
        self.plan.cache_key.filter(|_| self.sends_key).map(|key| key.value)
    }
}

struct Simple {
    policy: Plain,
    view: View,
    /// Each replica's own count.
    turns: Vec<u64>,
    plan: Plan,
}

impl Policy for Simple {
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize> {
        look(&mut self.view, asked);
        let turn = &mut self.turns[asked.replica];
        *turn += 1;
        self.plan = plain::plan(self.policy, &self.view, &asked.request.chain, &ask(asked), *turn);
        self.plan.candidates.first().map(|candidate| candidate.deployment.0)
    }

    fn next(&mut self, _asked: &mut Asked<'_>, tried: &[bool]) -> Option<usize> {
        first_untried(&self.plan, tried)
    }
}
