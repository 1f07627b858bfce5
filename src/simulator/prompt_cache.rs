//! The provider's prompt cache of one deployment: how many tokens of this prompt are already there?
//!
//! As documented: nothing below 1,024 identical leading tokens, then hits grow in steps of 128. A deployment runs
//! on several machines that share nothing; the hash of the first 256 tokens with `prompt_cache_key` picks one, and
//! above some 15 requests a minute for the same pair the surplus goes to the next ones, where it misses at first.
//!
//! A prompt arrives as a [`PrefixDigest`]: a chain of hashes, each covering everything before it, so one hash names
//! a whole prefix. A prefix counts as cached once its first reader has finished reading it. Lookups walk the chain from the
//! front and stop at the first gap, O(prompt / 128). This is written independently of the gateway's own prefix
//! code on purpose: shared code would agree with itself when wrong. Not modelled: extended (24 h) retention.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;
use smallvec::SmallVec;

use crate::simulator::settings::CacheSettings;
use crate::simulator::tokens::BYTES_PER_TOKEN;

/// Tokens a prompt must share before anything is cached.
pub const FIRST_STEP_TOKENS: usize = 1_024;
/// Tokens by which hits grow after that.
pub const STEP_TOKENS: usize = 128;
/// Leading tokens that choose the machine.
const ROUTING_TOKENS: usize = 256;
/// Window over which requests for one prefix are counted.
const MINUTE: Duration = Duration::from_mins(1);
/// Prefixes whose request rate is remembered; beyond, the least recently seen start again from zero.
const MAX_RATES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);

/// A prompt as the cache sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrefixDigest {
    /// Names the first 256 tokens together with `prompt_cache_key`.
    pub routing: u64,
    /// One hash a step: 1,024 tokens, then every 128 more that the prompt fills.
    pub steps: SmallVec<[u64; 8]>,
}

impl PrefixDigest {
    /// Digests a canonical prompt (tools, schema, then messages).
    pub fn of(prompt: &[u8], prompt_cache_key: Option<&str>) -> Self {
        if prompt.len() < FIRST_STEP_TOKENS * BYTES_PER_TOKEN {
            return Self::default();
        }
        let mut hasher = DefaultHasher::new();
        prompt[..ROUTING_TOKENS * BYTES_PER_TOKEN].hash(&mut hasher);
        prompt_cache_key.hash(&mut hasher);
        let routing = hasher.finish();

        let (first, rest) = prompt.split_at(FIRST_STEP_TOKENS * BYTES_PER_TOKEN);
        let mut link = linked(0, first);
        let mut steps = SmallVec::from_slice(&[link]);
        for piece in rest.chunks_exact(STEP_TOKENS * BYTES_PER_TOKEN) {
            link = linked(link, piece);
            steps.push(link);
        }
        Self { routing, steps }
    }
}

fn linked(before: u64, piece: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    before.hash(&mut hasher);
    piece.hash(&mut hasher);
    hasher.finish()
}

/// One cached step on one machine.
#[derive(Debug)]
struct Entry {
    /// When its first reader has read it; until then it is no hit.
    ready_at: Duration,
    used_at: Duration,
}

/// Requests for one prefix in the current minute.
#[derive(Debug, Default)]
struct Rate {
    minute: u64,
    requests: u32,
}

/// Where a prompt went and what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup {
    /// The machine, from 0.
    pub machine: u32,
    /// Prompt tokens found, 0 or 1,024 and up in steps of 128.
    pub cached_tokens: u32,
}

/// The cache of one deployment.
#[derive(Debug)]
pub struct PromptCache {
    settings: CacheSettings,
    entries: LruCache<(u32, u64), Entry>,
    rates: LruCache<u64, Rate>,
}

impl PromptCache {
    /// An empty cache.
    pub fn new(settings: CacheSettings) -> Self {
        let most = NonZeroUsize::new(settings.max_entries).unwrap_or(NonZeroUsize::MIN);
        // Unbounded tables trimmed by hand: `LruCache::new` would allocate its whole capacity now.
        let mut entries = LruCache::unbounded();
        entries.resize(most);
        let mut rates = LruCache::unbounded();
        rates.resize(MAX_RATES);
        Self {
            settings,
            entries,
            rates,
        }
    }

    /// Chooses the machine, counting this request against the prefix's rate, and finds the longest cached prefix.
    /// Entries found count as used now.
    pub fn look_up(&mut self, now: Duration, prompt: &PrefixDigest) -> Lookup {
        if !self.settings.enabled || prompt.steps.is_empty() {
            return Lookup {
                machine: 0,
                cached_tokens: 0,
            };
        }
        let machine = self.choose_machine(now, prompt.routing);
        let mut found = 0;
        for step in &prompt.steps {
            let Some(entry) = self.entries.get_mut(&(machine, *step)) else {
                break;
            };
            if entry.ready_at > now {
                break;
            }
            if is_expired(&self.settings, entry, now) {
                self.entries.pop(&(machine, *step));
                break;
            }
            entry.used_at = now;
            found += 1;
        }
        let tokens = if found == 0 {
            0
        } else {
            FIRST_STEP_TOKENS + (found - 1) * STEP_TOKENS
        };
        Lookup {
            machine,
            cached_tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
        }
    }

    /// Remembers the whole prompt on this machine, as a hit from `ready_at` on.
    pub fn store(&mut self, now: Duration, ready_at: Duration, machine: u32, prompt: &PrefixDigest) {
        if !self.settings.enabled {
            return;
        }
        // From the back, so that the front of the prompt is the most recently used: a prefix must outlive its ends.
        for step in prompt.steps.iter().rev() {
            let key = (machine, *step);
            match self.entries.get_mut(&key) {
                Some(entry) if !is_expired(&self.settings, entry, now) => entry.used_at = now,
                _ => {
                    self.entries.put(key, Entry { ready_at, used_at: now });
                }
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.rates.clear();
    }

    fn choose_machine(&mut self, now: Duration, routing: u64) -> u32 {
        let minute = now.as_secs() / MINUTE.as_secs();
        let rate = self.rates.get_or_insert_mut(routing, Rate::default);
        if rate.minute != minute {
            *rate = Rate { minute, requests: 0 };
        }
        let overflow = rate.requests / self.settings.requests_per_minute_per_prefix;
        rate.requests = rate.requests.saturating_add(1);
        let machines = u64::from(self.settings.machines);
        let home = routing % machines;
        ((home + u64::from(overflow)) % machines) as u32
    }
}

fn is_expired(settings: &CacheSettings, entry: &Entry, now: Duration) -> bool {
    now.saturating_sub(entry.used_at) > settings.idle_expiry()
        || now.saturating_sub(entry.ready_at) > settings.absolute_expiry()
}

#[cfg(test)]
mod tests;
