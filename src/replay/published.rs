//! Policies that others published, and plain ones, as their authors describe them with the defaults they give. For comparison only.

use std::collections::{HashMap, VecDeque};

use super::policy::{Asked, Policy, PolicyName};
use super::provider::ring;
use super::world::Setting;
use crate::core::placement::rendezvous;

/// The policy of a run; none for the one that is ours.
pub(super) fn published(
    name: PolicyName,
    setting: &Setting,
    seeds: &[u64],
    block_tokens: u32,
) -> Option<Box<dyn Policy>> {
    let seeds = seeds.to_vec();
    let hashed = |tokens| HashedHead {
        tokens,
        block_tokens,
        seeds: seeds.clone(),
    };
    Some(match name {
        PolicyName::Nested => return None,
        PolicyName::RoundRobin => Box::new(RoundRobin {
            last: vec![None; setting.replicas],
        }),
        PolicyName::LeastBusy => Box::new(LeastBusy),
        PolicyName::Latency => Box::new(Latency),
        PolicyName::HeadHash => Box::new(HeadHash(hashed(1_024))),
        PolicyName::LitellmPrefix => Box::new(LitellmPrefix(hashed(2_048))),
        PolicyName::SglangCacheAware => Box::new(SglangCacheAware { block_tokens }),
        PolicyName::PrebleE2 => Box::new(PrebleE2 { block_tokens, seeds }),
        PolicyName::Dualmap => Box::new(DualMap::new(block_tokens, seeds)),
    })
}

struct RoundRobin {
    last: Vec<Option<usize>>,
}

impl Policy for RoundRobin {
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize> {
        let deployments = asked.knowledge.in_flight.len();
        let last = self.last[asked.replica].unwrap_or_else(|| asked.chance.below(deployments));
        let next = (last + 1) % deployments;
        self.last[asked.replica] = Some(next);
        Some(next)
    }
}

struct LeastBusy;

impl Policy for LeastBusy {
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize> {
        asked.knowledge.least_busy(asked.chance, |_| true)
    }
}

struct Latency;

impl Policy for Latency {
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize> {
        let known = asked.knowledge;
        let first = asked.chance.below(known.in_flight.len());
        let second = asked.chance.below(known.in_flight.len());
        let cost = |at: usize| known.latency[at] * f64::from(known.in_flight[at] + 1);
        Some(if cost(second) < cost(first) { second } else { first })
    }
}

/// Rendezvous hash of a prompt's first tokens.
struct HashedHead {
    tokens: u32,
    block_tokens: u32,
    seeds: Vec<u64>,
}

impl HashedHead {
    fn order(&self, asked: &Asked<'_>) -> Vec<usize> {
        let blocks = self.tokens.div_ceil(self.block_tokens).max(1) as usize;
        let raw = &asked.request.raw[..blocks.min(asked.request.raw.len())];
        ring(tuple_hash(raw), &self.seeds)
    }
}

/// The hash of a tuple of numbers as `CPython` has it, so that placements can be compared with the reference one by one.
fn tuple_hash(items: &[u64]) -> u64 {
    const PRIME_1: u64 = 11_400_714_785_074_694_791;
    const PRIME_2: u64 = 14_029_467_366_897_019_727;
    const PRIME_5: u64 = 2_870_177_450_012_600_261;
    let lanes = items.iter().fold(PRIME_5, |hash, &item| {
        hash.wrapping_add(item.wrapping_mul(PRIME_2))
            .rotate_left(31)
            .wrapping_mul(PRIME_1)
    });
    lanes.wrapping_add(items.len() as u64 ^ (PRIME_5 ^ 0x0035_d373))
}

struct HeadHash(HashedHead);

impl Policy for HeadHash {
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize> {
        self.0.order(asked).first().copied()
    }

    fn next(&mut self, asked: &mut Asked<'_>, tried: &[bool]) -> Option<usize> {
        self.0.order(asked).into_iter().find(|&at| !tried[at])
    }
}

struct LitellmPrefix(HashedHead);

impl Policy for LitellmPrefix {
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize> {
        if asked.request.prompt < 1_024 {
            return Some(asked.chance.below(asked.knowledge.in_flight.len()));
        }
        self.0.order(asked).first().copied()
    }
}

/// Threshold 0.3; imbalance of 64 requests and a ratio of 1.5; a miss goes to the least busy.
struct SglangCacheAware {
    block_tokens: u32,
}

impl Policy for SglangCacheAware {
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize> {
        let known = asked.knowledge;
        let most = known.in_flight.iter().max()?;
        let least = known.in_flight.iter().min()?;
        if most - least > 64 && f64::from(*most) > 1.5 * f64::from(*least) {
            return known.least_busy(asked.chance, |_| true);
        }
        let matched = known.index.matched(&asked.request.blocks);
        let best = matched.iter().copied().max()?;
        if best as f64 * f64::from(self.block_tokens) / f64::from(asked.request.prompt) > 0.3 {
            return matched.iter().position(|&blocks| blocks == best);
        }
        known.least_busy(asked.chance, |_| true)
    }

    fn remembers(&self) -> bool {
        true
    }
}

/// Exploits where the match is longer than the rest, else the lowest load of three minutes plus what must be computed anew.
struct PrebleE2 {
    block_tokens: u32,
    seeds: Vec<u64>,
}

impl Policy for PrebleE2 {
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize> {
        let (known, request) = (asked.knowledge, asked.request);
        let prompt = f64::from(request.prompt);
        let matched = known.index.matched(&request.blocks);
        let best = matched.iter().copied().max()?;
        let tokens = |blocks: usize| blocks as f64 * f64::from(self.block_tokens);
        if tokens(best) > prompt - tokens(best) {
            let lowest = known.sent.iter().copied().fold(f64::INFINITY, f64::min);
            let matching = (0..matched.len()).filter(|&at| matched[at] == best);
            let chosen = matching.min_by(|&a, &b| known.sent[a].total_cmp(&known.sent[b]))?;
            if known.sent[chosen] <= 2.0 * (lowest + prompt) {
                return Some(chosen);
            }
        }
        let last = request.raw.last().copied().unwrap_or_default();
        let cost = |at: usize| known.sent[at] + (prompt - tokens(matched[at]));
        let tie = |at: usize| rendezvous::spread(last ^ self.seeds[at]);
        (0..matched.len()).min_by(|&a, &b| cost(a).total_cmp(&cost(b)).then(tie(a).cmp(&tie(b))))
    }

    fn mean_life(&self) -> f64 {
        180.0
    }

    fn remembers(&self) -> bool {
        true
    }
}

/// Two rings over a prefix that deepens where it is hot (6.12 % of a window of 200): the better match, then the lower load.
struct DualMap {
    block_tokens: u32,
    seeds: Vec<u64>,
    seconds: Vec<u64>,
    window: VecDeque<u64>,
    counts: HashMap<u64, u32>,
    deep: HashMap<u64, bool>,
}

impl DualMap {
    fn new(block_tokens: u32, seeds: Vec<u64>) -> Self {
        Self {
            block_tokens,
            seconds: seeds
                .iter()
                .map(|seed| rendezvous::spread(seed ^ 0x00ab_cdef))
                .collect(),
            seeds,
            window: VecDeque::new(),
            counts: HashMap::new(),
            deep: HashMap::new(),
        }
    }

    /// The block that decides.
    fn key(&mut self, raw: &[u64]) -> u64 {
        let unit = (512 / self.block_tokens as usize).max(1);
        let mut depth = 1;
        while depth * unit < raw.len() && self.deep.contains_key(&raw[depth * unit - 1]) {
            depth += 1;
        }
        let key = raw[raw.len().min(depth * unit) - 1];
        self.window.push_back(key);
        *self.counts.entry(key).or_default() += 1;
        if self.window.len() > 200
            && let Some(oldest) = self.window.pop_front()
            && let Some(count) = self.counts.get_mut(&oldest)
        {
            *count -= 1;
        }
        let share = f64::from(self.counts[&key]) / self.window.len() as f64;
        if self.window.len() >= 20 && share >= 0.0612 && depth * unit < raw.len() {
            self.deep.insert(key, true);
        }
        key
    }
}

impl Policy for DualMap {
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize> {
        let (known, request) = (asked.knowledge, asked.request);
        let key = self.key(&request.raw);
        let (a, b) = (ring(key, &self.seeds)[0], ring(key, &self.seconds)[0]);
        let load = |at: usize| known.in_flight_tokens[at];
        let lighter = if load(a) <= load(b) { a } else { b };
        if a == b || load(a).abs_diff(load(b)) > 4 * u64::from(request.prompt) {
            return Some(lighter);
        }
        let matched = known.index.matched(&request.blocks);
        Some(match matched[a].cmp(&matched[b]) {
            std::cmp::Ordering::Greater => a,
            std::cmp::Ordering::Less => b,
            std::cmp::Ordering::Equal => lighter,
        })
    }

    fn remembers(&self) -> bool {
        true
    }
}
