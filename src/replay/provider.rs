//! What a deployment does with a prompt: how much of it is cached, and does its minute take it?
//!
//! `Engine` is one cache that forgets blocks after some idle time. `Hosted` is many machines behind one name: a hash of the first
//! block and the `prompt_cache_key` picks one, above some requests a minute the rest goes to the next machine, and fewer than
//! 1,024 tokens are no hit. Both count a block as cached from the moment in which a request with it was let in.

use std::collections::{HashMap, VecDeque};

use super::trace::Request;
use crate::core::placement::rendezvous;

/// Fewer cached tokens are none, at a hosted provider.
const HIT_TOKENS_MIN: u32 = 1_024;
/// What limits and rates are counted over.
pub(super) const MINUTE: f64 = 60.0;

/// Which model of a deployment, with its parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Provider {
    /// One cache.
    Engine,
    /// Many machines.
    Hosted {
        /// Machines of a deployment.
        machines: u32,
        /// Requests a minute for one head and key that a machine takes before the next one is asked.
        requests_per_minute: u32,
    },
}

/// Blocks and when each was last asked for.
#[derive(Debug)]
struct Cache(HashMap<u32, f64, Spread>);

impl Cache {
    /// Tokens of the prompt that are cached; all of it is from now on.
    fn serve(&mut self, request: &Request, block_tokens: u32, idle: f64) -> u32 {
        let is_cached = |block: &&u32| self.0.get(block).is_some_and(|&at| request.at - at <= idle);
        let blocks = request.blocks.iter().take_while(is_cached).count() as u32;
        for &block in &request.blocks {
            self.0.insert(block, request.at);
        }
        (blocks * block_tokens).min(request.prompt)
    }
}

/// Spreads the trace's small numbers; they need no protection.
type Spread = std::hash::BuildHasherDefault<SpreadHasher>;

#[derive(Debug, Default)]
struct SpreadHasher(u64);

impl std::hash::Hasher for SpreadHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = rendezvous::spread(self.0 ^ u64::from(byte));
        }
    }
    fn write_u32(&mut self, value: u32) {
        self.0 = rendezvous::spread(u64::from(value));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = rendezvous::spread(self.0 ^ value);
    }
}

/// One deployment of a run.
#[derive(Debug)]
pub(super) struct Deployment {
    machines: Vec<Cache>,
    seeds: Vec<u64>,
    hosted_rate: Option<u32>,
    /// How many requests each request stands for.
    scale: f64,
    /// For each head and key: the machines in order, and the times of its last requests at each.
    pairs: HashMap<u64, Pair, Spread>,
    window: VecDeque<(f64, u64)>,
    used: u64,
}

#[derive(Debug)]
struct Pair {
    order: Vec<usize>,
    times: HashMap<usize, VecDeque<f64>>,
}

impl Deployment {
    /// One whose requests each stand for `scale`, at least 1: its machines overflow as if all of them came.
    pub(super) fn new(provider: Provider, number: usize, scale: f64) -> Self {
        let (machines, hosted_rate) = match provider {
            Provider::Engine => (1, None),
            Provider::Hosted {
                machines,
                requests_per_minute,
            } => (machines, Some(requests_per_minute)),
        };
        Self {
            machines: (0..machines).map(|_| Cache(HashMap::default())).collect(),
            seeds: (0..u64::from(machines))
                .map(|machine| rendezvous::spread(number as u64 * 1000 + machine))
                .collect(),
            hosted_rate,
            scale,
            pairs: HashMap::default(),
            window: VecDeque::new(),
            used: 0,
        }
    }

    /// Tokens of the last minute.
    pub(super) fn used(&mut self, now: f64) -> u64 {
        while let Some(&(_, tokens)) = self.window.front().filter(|(at, _)| *at <= now - MINUTE) {
            self.used -= tokens;
            self.window.pop_front();
        }
        self.used
    }

    /// When so many tokens will fit below the limit, if nothing else comes.
    pub(super) fn fits_at(&self, tokens: u64, limit: f64, now: f64) -> f64 {
        let mut left = self.used;
        for (at, gone) in &self.window {
            left -= gone;
            if (left + tokens) as f64 <= limit {
                return at + MINUTE;
            }
        }
        now + MINUTE
    }

    /// Lets a request in: tokens of its prompt that were cached.
    pub(super) fn serve(&mut self, request: &Request, block_tokens: u32, idle: f64, key: Option<u64>) -> u32 {
        self.window.push_back((request.at, request.limit_tokens));
        self.used += request.limit_tokens;
        let machine = self.machine(request, key);
        let cached = self.machines[machine].serve(request, block_tokens, idle);
        if self.hosted_rate.is_some() && cached < HIT_TOKENS_MIN {
            0
        } else {
            cached
        }
    }

    /// Loses all that is cached: an outage.
    pub(super) fn clear(&mut self) {
        for machine in &mut self.machines {
            machine.0.clear();
        }
    }

    fn machine(&mut self, request: &Request, key: Option<u64>) -> usize {
        let Some(rate) = self.hosted_rate else { return 0 };
        let first = request.raw_first.wrapping_mul(2_654_435_761);
        let bucket = rendezvous::spread(first ^ key.unwrap_or(0));
        let seeds = &self.seeds;
        let pair = self.pairs.entry(bucket).or_insert_with(|| Pair {
            order: ring(bucket, seeds),
            times: HashMap::new(),
        });
        let mut chosen = 0;
        for &machine in &pair.order {
            chosen = machine;
            let times = pair.times.entry(machine).or_default();
            while times.front().is_some_and(|&at| at <= request.at - MINUTE) {
                times.pop_front();
            }
            if (times.len() as f64) * self.scale < f64::from(rate) {
                break;
            }
        }
        pair.times.entry(chosen).or_default().push_back(request.at);
        chosen
    }
}

/// Positions in the rendezvous order of a key.
pub(super) fn ring(key: u64, seeds: &[u64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..seeds.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(rendezvous::draw(key, seeds[at])));
    order
}
