//! Policies that others published, as their authors describe them with the defaults they give. For comparison only.

use std::collections::{HashMap, VecDeque};

use super::policy::{Asked, Policy, Published};
use super::provider::ring;
use crate::core::placement::rendezvous;

/// A published policy in a run.
pub(super) fn published(policy: Published, seeds: &[u64], block_tokens: u32) -> Box<dyn Policy> {
    let seeds = seeds.to_vec();
    match policy {
        Published::LitellmPrefix => Box::new(LitellmPrefix { block_tokens, seeds }),
        Published::SglangCacheAware => Box::new(SglangCacheAware { block_tokens }),
        Published::PrebleE2 => Box::new(PrebleE2 { block_tokens, seeds }),
        Published::DualMap => Box::new(DualMap::new(block_tokens, seeds)),
    }
}

/// Rendezvous hash of a prompt's first 2,048 tokens.
struct LitellmPrefix {
    block_tokens: u32,
    seeds: Vec<u64>,
}

impl Policy for LitellmPrefix {
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize> {
        if asked.request.prompt < 1_024 {
            return Some(asked.chance.below(asked.knowledge.in_flight.len()));
        }
        let blocks = 2_048_u32.div_ceil(self.block_tokens).max(1) as usize;
        let raw = &asked.request.raw[..blocks.min(asked.request.raw.len())];
        ring(tuple_hash(raw), &self.seeds).first().copied()
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
