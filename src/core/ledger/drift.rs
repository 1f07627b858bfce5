//! Prompt drift: heads that part early although what follows is the same again.
//!
//! A time, a request id or a shuffled tool list near the front of a prompt makes everything after it uncacheable, and nobody sees it. It
//! must be told from prompts that part for good reason: other questions after one system prompt, or other tenants' system prompts.
//!
//! So of sampled requests ([`gate`]) the *head* ([`sample`]) is compared with those of the route that came before. One has drifted when
//!
//! 1. it is new as a whole: a tenant's head comes again, one with a time in it does not;
//! 2. behind the place where it parts from all others, at least half of it is known text, found by content and not by what
//!    comes before;
//! 3. that would have been worth something: the provider caches from 1,024 tokens on.
//!
//! A route drifts when half of its last samples did, and half of the newer ones among them: of many tenants each is new once, and
//! while they come for the first time their heads would look like drift. It goes on drifting while a quarter does: one that is near
//! a half by nature (a clock with seconds before two requests a second) is not found and lost again by chance. (Where hundreds of
//! tenants share all but their name, and each comes rarely, it *is* drift: the name belongs at the end.)
//!
//! Nothing of a prompt's text is kept, only keyed hashes, of at most 32,768 chunks of a route (some 2 MiB) and [`ROUTES_MAX`] routes.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use lru::LruCache;
use serde::{Deserialize, Serialize};

use crate::core::ids::RouteId;
use crate::core::ledger::drift::recent::Recent;
use crate::core::ledger::drift::sample::{Chunk, Sample, Segment};
use crate::core::ledger::misses::cacheable;

pub mod gate;
mod recent;
pub mod sample;

/// Routes that are watched; beyond, the least recently sampled begins anew.
pub const ROUTES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);
/// Fewest samples that prove something.
pub const SAMPLES_MIN: usize = 24;
/// Samples by which a route is judged.
pub const SAMPLES_MAX: usize = 64;
/// Part of the samples that must drift.
const SHARE_MIN: f64 = 0.5;
/// Part of them that must drift for a route that did.
const SHARE_KEPT: f64 = 0.25;
/// Part of what follows the difference that must be known text.
const KNOWN_MIN: f64 = 0.5;
/// Bytes of a token, for estimates: what the provider itself counts by.
const BYTES_PER_TOKEN: u32 = 4;

/// Where the prompts of a route part early, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Bytes of canonical prompt up to the place, to some 100 bytes below: the usual (median) one, where it varies.
    pub position_bytes: u32,
    /// The same in tokens, as estimated.
    pub position_tokens: u32,
    /// What kind of segment the place is in.
    pub segment: Segment,
    /// Part of the sampled requests that drifted, 0 to 1.
    pub share: f64,
    /// Tokens of one such request that could be cached if it did not: known text of the head after the place.
    pub lost_tokens_per_request: u32,
    /// Samples that say so.
    pub requests_seen: usize,
}

/// Finds drift, route by route.
#[derive(Debug)]
pub struct DriftFinder(LruCache<RouteId, RouteMemory>);

/// What is remembered of a route's heads.
#[derive(Debug, Default)]
struct RouteMemory {
    /// Whole heads.
    heads: Recent,
    /// Beginnings of heads.
    prefixes: Recent,
    /// Chunks of heads, wherever they stood.
    contents: Recent,
    verdicts: VecDeque<Option<Parting>>,
    /// Whether it drifted when somebody last asked.
    is_drifting: bool,
}

/// Where one head drifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parting {
    position_bytes: u32,
    segment: Segment,
    lost_tokens: u32,
}

impl Default for DriftFinder {
    fn default() -> Self {
        Self(LruCache::new(ROUTES_MAX))
    }
}

impl DriftFinder {
    /// Takes a sample of a route. One without a head says nothing.
    pub fn add(&mut self, route: &RouteId, sample: &Sample) {
        if !sample.chunks.is_empty() {
            self.0
                .get_or_insert_mut(route.clone(), RouteMemory::default)
                .add(sample);
        }
    }

    /// Whether the route drifts, and where. The answer is remembered: a route that drifts does so until it surely no longer does.
    pub fn finding(&mut self, route: &RouteId) -> Option<Drift> {
        let memory = self.0.peek_mut(route)?;
        let found = memory.finding();
        memory.is_drifting = found.is_some();
        found
    }
}

impl RouteMemory {
    fn add(&mut self, sample: &Sample) {
        if self.verdicts.len() == SAMPLES_MAX {
            self.verdicts.pop_front();
        }
        let verdict = self.judge(sample);
        self.verdicts.push_back(verdict);
        for chunk in &sample.chunks {
            self.prefixes.insert(chunk.prefix);
            self.contents.insert(chunk.content);
        }
        if let Some(last) = sample.chunks.last() {
            self.heads.insert(last.prefix);
        }
    }

    /// Compares a head with what came before it.
    fn judge(&self, sample: &Sample) -> Option<Parting> {
        if self.heads.contains(sample.chunks.last()?.prefix) {
            return None;
        }
        let agrees = |chunk: &&Chunk| self.prefixes.contains(chunk.prefix);
        let shared = sample.chunks.iter().take_while(agrees).count();
        let differs = sample.chunks.get(shared)?;
        let position_bytes = sample.bytes(shared);
        let known_bytes: u32 = (shared..sample.chunks.len())
            .filter(|&at| self.contents.contains(sample.chunks[at].content))
            .map(|at| sample.chunks[at].end - sample.bytes(at))
            .sum();
        let rest = sample.bytes(sample.chunks.len()) - position_bytes;
        let tokens = |bytes: u32| u64::from(bytes / BYTES_PER_TOKEN);
        let lost = cacheable(tokens(position_bytes + known_bytes)) - cacheable(tokens(position_bytes));
        let is_drift = f64::from(known_bytes) >= KNOWN_MIN * f64::from(rest) && lost > 0;
        is_drift.then_some(Parting {
            position_bytes,
            segment: differs.segment,
            lost_tokens: lost as u32,
        })
    }

    fn finding(&self) -> Option<Drift> {
        let seen = self.verdicts.len();
        if seen < SAMPLES_MIN {
            return None;
        }
        let share = |from: usize, to: usize| {
            let drifted = self.verdicts.range(from..to).flatten().count();
            drifted as f64 / (to - from) as f64
        };
        let least = if self.is_drifting { SHARE_KEPT } else { SHARE_MIN };
        if share(0, seen) < least || share(seen / 2, seen) < least {
            return None;
        }
        let mut partings: Vec<Parting> = self.verdicts.iter().flatten().copied().collect();
        partings.sort_by_key(|parting| parting.position_bytes);
        let usual = partings.get(partings.len() / 2)?;
        let lost: u64 = partings.iter().map(|parting| u64::from(parting.lost_tokens)).sum();
        Some(Drift {
            position_bytes: usual.position_bytes,
            position_tokens: usual.position_bytes / BYTES_PER_TOKEN,
            segment: usual.segment,
            share: share(0, seen),
            lost_tokens_per_request: (lost / partings.len() as u64) as u32,
            requests_seen: seen,
        })
    }
}

#[cfg(test)]
mod tests;
