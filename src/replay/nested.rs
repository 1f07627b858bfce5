//! The shipped placement in a run: one memory for each replica, and a view made of what that replica knows.

use std::time::Duration;

use super::policy::{Asked, Policy};
use super::world::{CacheKeys, Setting};
use crate::core::placement::plan::{Placement, Plan};
use crate::core::placement::rule::Rule;
use crate::core::placement::view::{Ask, Member, State, Tier, View};
use crate::core::topology::DeploymentIx;

pub(super) struct Nested {
    replicas: Vec<Placement>,
    view: View,
    cache_keys: CacheKeys,
    plan: Plan,
    sends_key: bool,
}

impl Nested {
    pub(super) fn new(rule: &Rule, setting: &Setting, seeds: &[u64], limit: f64) -> Self {
        let member = |(at, &seed): (usize, &u64)| Member {
            seed,
            region: (at % setting.regions.max(1)) as u32,
            cache_life: Duration::from_secs_f64(setting.idle_seconds),
            ..Member::named(DeploymentIx(at), "", limit)
        };
        let tier = Tier {
            members: seeds.iter().enumerate().map(member).collect(),
        };
        Self {
            replicas: (0..setting.replicas).map(|_| Placement::new(rule.clone())).collect(),
            view: View {
                tiers: [tier].into_iter().collect(),
                replicas: setting.replicas as f64,
            },
            cache_keys: setting.cache_keys,
            plan: Plan::default(),
            sends_key: false,
        }
    }
}

impl Policy for Nested {
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize> {
        let (known, request) = (asked.knowledge, asked.request);
        let now = Duration::from_secs_f64(request.at);
        for (at, member) in self.view.tiers[0].members.iter_mut().enumerate() {
            member.used = known.rooms[at].used(now, self.view.replicas);
            member.load = f64::from(known.in_flight[at]);
            member.state = if known.rests_until[at] > request.at {
                State::Resting
            } else {
                State::Ready
            };
        }
        let ask = Ask {
            prompt_tokens: request.prompt,
            total_tokens: request.tokens() as u32,
            is_first_turn: request.is_first_turn,
            is_cacheable: true,
        };
        self.plan = self.replicas[asked.replica].plan(&self.view, &request.chain, &ask, now);
        self.sends_key = match self.cache_keys {
            CacheKeys::Off => false,
            CacheKeys::Always => true,
            CacheKeys::Auto => self.plan.cache_key.is_some_and(|key| key.pays),
        };
        self.plan.candidates.first().map(|candidate| candidate.deployment.0)
    }

    fn next(&mut self, _asked: &mut Asked<'_>, tried: &[bool]) -> Option<usize> {
        let mut candidates = self.plan.candidates.iter().map(|candidate| candidate.deployment.0);
        candidates.find(|&at| !tried[at])
    }

    fn admitted(&mut self, asked: &mut Asked<'_>, deployment: usize, cached: u32) {
        let now = Duration::from_secs_f64(asked.request.at);
        let placement = &self.replicas[asked.replica];
        let seed = self.view.tiers[0].members[deployment].seed;
        placement.sent(&asked.request.chain, seed, now);
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
