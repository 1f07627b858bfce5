//! A trace: requests with their times, lengths and block ids, as read from a file.
//!
//! Formats, told apart by what is in the file, each also compressed (`.gz`):
//!
//! - one JSON object a request: `timestamp` (ms), `input_length`, `output_length`, `hash_ids` or `hash_runs` (`[[7,3]]` is 7, 8,
//!   9), and perhaps `session`, `head_blocks`, `block_size`, `is_first_turn`; where it was written by a gateway also `route`, the
//!   `share` of all conversations that is in it, the `key_id` of its hashes' key, and what really happened: `policy`, `deployment`,
//!   `cached_tokens`, or `answered: false`;
//! - one JSON object a conversation: `id`, `block_size`, `requests`, each with `t` (s), `in`, `out`, `runs`; conversations are laid
//!   over one another in one hour, each beginning at a time of its own, and share no blocks;
//! - CSV of `TIMESTAMP,ContextTokens,GeneratedTokens`: no prompt shares anything with another.
//!
//! Where no block size is given it is the smallest power of two that holds the mean block. [`files`] reads files, `lines` their lines.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::money::Tokens;
use super::policy::PolicyName;
use crate::core::placement::chain::{BlockId, Chain};

pub mod files;
mod lines;

/// Tokens of a prompt that placement looks at.
const DEPTH_TOKENS: u32 = 16_384;

/// A request of a trace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// Arrival, in seconds from the trace's start.
    pub at: f64,
    /// Prompt tokens.
    pub prompt: u32,
    /// Completion tokens.
    pub output: u32,
    /// Its blocks, numbered in order of appearance.
    pub blocks: Box<[u32]>,
    /// Their ids as in the trace.
    pub raw: Box<[u64]>,
    /// The first of them.
    pub raw_first: u64,
    /// The same, as placement sees them.
    pub chain: Chain,
    /// Whether it begins a conversation.
    pub is_first_turn: bool,
    /// Prompt tokens that were really found cached, where the trace tells it; at most those of its blocks, since no more can be replayed.
    pub cached: Option<u32>,
    /// What it counts against a limit.
    pub limit_tokens: u64,
    /// Whether nobody really answered it. Its answer is taken to be as long as the mean one.
    pub was_refused: bool,
}

/// A trace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    /// The file's name without its endings.
    pub name: String,
    /// Tokens of a block.
    pub block_tokens: u32,
    /// In order of arrival.
    pub requests: Vec<Request>,
    /// Blocks that differ.
    pub distinct_blocks: usize,
    /// What really happened, where the trace tells it.
    pub actual: Actual,
    /// Share of all conversations that is in it, above 0 and at most 1; none where the trace does not tell it.
    pub share: Option<f64>,
    /// By which policy its requests were really placed.
    pub in_use: InUse,
    /// The gateway's routes that its requests are of, where the trace tells them.
    pub routes: Vec<String>,
    /// Routes whose requests are in its files and were not taken.
    pub left_out: Vec<String>,
    /// What was strange about its files, a sentence each.
    pub warnings: Vec<String>,
}

/// The policy by which a trace's requests were really placed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InUse {
    /// The trace does not tell it, or it is none that is known here.
    #[default]
    Unknown,
    /// Several, one after the other.
    Several,
    /// This one.
    One(PolicyName),
}

/// What really happened to a trace's requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Actual {
    /// Deployments that answered; 0 where the trace tells none.
    pub deployments: usize,
    /// Requests that tell how many of their prompt tokens were cached.
    pub requests: usize,
    /// Prompt tokens of those.
    pub prompt_tokens: u64,
    /// Of them, cached.
    pub cached_tokens: u64,
    /// Completion tokens of those requests.
    pub output_tokens: u64,
    /// Requests that nobody answered.
    pub refused: usize,
}

impl Actual {
    /// Its tokens.
    pub fn tokens(&self) -> Tokens {
        Tokens {
            prompt: self.prompt_tokens,
            cached: self.cached_tokens,
            output: self.output_tokens,
        }
    }

    /// Cached ÷ prompt tokens if so many more had been cached; none where no request tells it.
    pub fn hit_with(&self, more: i64) -> Option<f64> {
        let cached = self.cached_tokens as f64 + more as f64;
        (self.prompt_tokens > 0).then(|| cached / self.prompt_tokens as f64)
    }
}

impl Trace {
    /// All tokens, as limits count them.
    pub fn tokens(&self) -> u64 {
        self.requests.iter().map(|request| request.limit_tokens).sum()
    }

    /// From the trace's start to its last request.
    pub fn seconds(&self) -> f64 {
        self.requests.last().map_or(0.0, |request| request.at).max(1.0)
    }

    /// How many requests each of its requests stands for: 1 ÷ share, and 1 where that is not known.
    pub fn scale(&self) -> f64 {
        1.0 / self.share.unwrap_or(1.0)
    }

    /// Whether a gateway wrote it, so that it tells what really happened.
    pub fn is_own(&self) -> bool {
        self.actual.deployments > 0 || self.actual.requests > 0 || self.actual.refused > 0
    }
}

/// A request as read, before blocks are numbered.
#[derive(Debug, Default)]
pub(super) struct Raw {
    at: f64,
    prompt: u32,
    output: u32,
    ids: Vec<u64>,
    session: Option<u64>,
    head: usize,
    is_first_turn: Option<bool>,
    deployment: Option<String>,
    cached: Option<u32>,
    limit_tokens: Option<u32>,
    policy: Option<String>,
    share: Option<f64>,
    key_id: Option<String>,
    was_refused: bool,
}

/// A trace of what was read: sorted, blocks numbered, first turns found.
pub(super) fn of(name: String, block_tokens: u32, mut raw: Vec<Raw>) -> Trace {
    raw.sort_by(|a, b| a.at.total_cmp(&b.at));
    let start = raw.first().map_or(0.0, |request| request.at);
    let start = if start > 1e6 { start } else { 0.0 };
    let (in_use, mean_output) = (in_use(&raw), mean_output(&raw));
    let mut numbers: HashMap<u64, u32> = HashMap::new();
    let (mut sessions, mut openers) = (HashSet::new(), HashSet::new());
    let mut requests = Vec::with_capacity(raw.len());
    let (mut actual, mut deployments) = (Actual::default(), HashSet::new());
    for request in raw {
        deployments.extend(request.deployment);
        let known_tokens = block_tokens.saturating_mul(request.ids.len() as u32);
        let cached = request.cached.map(|cached| cached.min(known_tokens));
        if let Some(cached) = cached {
            actual.requests += 1;
            actual.prompt_tokens += u64::from(request.prompt);
            actual.cached_tokens += u64::from(cached);
            actual.output_tokens += u64::from(request.output);
        }
        actual.refused += usize::from(request.was_refused);
        let output = if request.was_refused {
            mean_output
        } else {
            request.output
        };
        let blocks = request.ids.iter().map(|&id| {
            let next = numbers.len() as u32;
            *numbers.entry(id).or_insert(next)
        });
        let blocks = blocks.collect();
        // Without a session, a conversation is known by its opener: the first block after the shared head.
        let opener = request
            .ids
            .get(request.head.min(request.ids.len().saturating_sub(1)))
            .copied();
        let begins = match request.session {
            Some(session) => sessions.insert(session),
            None => opener.is_none_or(|opener| openers.insert(opener)),
        };
        let ends = (1..).map(|block: u32| (block * block_tokens).min(request.prompt));
        let deep = (DEPTH_TOKENS / block_tokens).max(1) as usize;
        let ids = request.ids.iter().map(|&id| BlockId(u128::from(id))).take(deep);
        requests.push(Request {
            at: request.at - start,
            prompt: request.prompt,
            output,
            blocks,
            raw_first: request.ids.first().copied().unwrap_or_default(),
            chain: Chain::of(ids.zip(ends)),
            raw: request.ids.into_boxed_slice(),
            is_first_turn: request.is_first_turn.unwrap_or(begins),
            cached,
            limit_tokens: request
                .limit_tokens
                .map_or_else(|| u64::from(request.prompt) + u64::from(output), u64::from),
            was_refused: request.was_refused,
        });
    }
    actual.deployments = deployments.len();
    Trace {
        name,
        block_tokens,
        requests,
        distinct_blocks: numbers.len(),
        actual,
        in_use,
        ..Trace::default()
    }
}

/// Completion tokens of a mean answer.
fn mean_output(raw: &[Raw]) -> u32 {
    let answered = || raw.iter().filter(|request| !request.was_refused);
    let tokens: u64 = answered().map(|request| u64::from(request.output)).sum();
    (tokens / (answered().count() as u64).max(1)) as u32
}

/// By which policy the requests were placed that were answered.
fn in_use(raw: &[Raw]) -> InUse {
    let answered = raw.iter().filter(|request| !request.was_refused);
    let names: BTreeSet<_> = answered.map(|request| request.policy.as_deref()).collect();
    let mut names = names.into_iter();
    match (names.next().flatten(), names.next()) {
        (_, Some(_)) => InUse::Several,
        (Some(name), None) => name.parse().map_or(InUse::Unknown, InUse::One),
        (None, None) => InUse::Unknown,
    }
}

#[cfg(test)]
mod tests;
