//! A trace: requests with their times, lengths and block ids, as read from a file.
//!
//! Formats, told apart by what is in the file, each also compressed (`.gz`):
//!
//! - one JSON object a request: `timestamp` (ms), `input_length`, `output_length`, `hash_ids` or `hash_runs` (`[[7,3]]` is 7, 8, 9), and
//!   perhaps `session`, `head_blocks`, `block_size`, `is_first_turn`; where it was written by a gateway also `route`, and what really
//!   happened: `deployment`, `cached_tokens`;
//! - one JSON object a conversation: `id`, `block_size`, `requests`, each with `t` (s), `in`, `out`, `runs`; conversations are laid over one
//!   another in one hour, each beginning at a time of its own, and share no blocks;
//! - CSV of `TIMESTAMP,ContextTokens,GeneratedTokens`: no prompt shares anything with another.
//!
//! Where no block size is given it is the smallest power of two that holds the mean block.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::money::Tokens;
use crate::core::placement::chain::{BlockId, Chain};

mod lines;

use lines::Reading;

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
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file is not there or not readable.
    #[error("cannot read the trace `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not of a known format.
    #[error("`{path}`, line {line}: not a request of a known format: {what}; docs/placement.md tells the formats")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The file holds no request.
    #[error("`{path}` holds no request")]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// The file holds no request of the route that was asked for.
    #[error("`{path}` holds no request of the route `{route}`; {known}")]
    Route {
        /// Which file.
        path: PathBuf,
        /// The route.
        route: String,
        /// Which routes it has.
        known: String,
    },
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
}

/// Reads a trace: all of it, or one route's requests. `block_tokens` where the file does not say it and it should not be guessed.
///
/// # Errors
/// When the file cannot be read, holds no request (of the route), or a line is of no known format.
pub fn read(path: &Path, block_tokens: Option<u32>, route: Option<&str>) -> Result<Trace, TraceError> {
    let failed = |source| TraceError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let text: Box<dyn BufRead> = if path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
    {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(BufReader::new(file))
    };
    let mut reading = Reading {
        route,
        ..Reading::default()
    };
    for (number, line) in text.lines().enumerate() {
        let line = line.map_err(failed)?;
        reading.line(&line, number == 0).map_err(|what| TraceError::Line {
            path: path.to_owned(),
            line: number + 1,
            what,
        })?;
    }
    let Reading {
        requests: raw,
        other_routes,
        ..
    } = reading;
    if raw.is_empty() {
        return Err(nothing(path, route, &other_routes));
    }
    let name = name.split('.').next().unwrap_or_default().to_owned();
    let block_tokens = block_tokens.or(reading.block_tokens).unwrap_or_else(|| guessed(&raw));
    Ok(of(name, block_tokens, raw))
}

fn nothing(path: &Path, route: Option<&str>, other_routes: &BTreeSet<String>) -> TraceError {
    let path = path.to_owned();
    let Some(route) = route else {
        return TraceError::Empty { path };
    };
    let names: Vec<_> = other_routes.iter().map(|name| format!("`{name}`")).collect();
    TraceError::Route {
        path,
        route: route.to_owned(),
        known: if names.is_empty() {
            "its requests tell no route".to_owned()
        } else {
            format!("it has {}", names.join(", "))
        },
    }
}

/// The smallest power of two that holds a block's share of the prompts, since all blocks but a prompt's last are full.
fn guessed(raw: &[Raw]) -> u32 {
    let (tokens, blocks) = raw.iter().fold((0_u64, 0_u64), |(tokens, blocks), request| {
        (tokens + u64::from(request.prompt), blocks + request.ids.len() as u64)
    });
    (tokens.div_ceil(blocks.max(1)).max(1) as u32).next_power_of_two()
}

/// A trace of what was read: sorted, blocks numbered, first turns found.
pub(super) fn of(name: String, block_tokens: u32, mut raw: Vec<Raw>) -> Trace {
    raw.sort_by(|a, b| a.at.total_cmp(&b.at));
    let start = raw.first().map_or(0.0, |request| request.at);
    let start = if start > 1e6 { start } else { 0.0 };
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
            output: request.output,
            blocks,
            raw_first: request.ids.first().copied().unwrap_or_default(),
            chain: Chain::of(ids.zip(ends)),
            raw: request.ids.into_boxed_slice(),
            is_first_turn: request.is_first_turn.unwrap_or(begins),
            cached,
            limit_tokens: request
                .limit_tokens
                .map_or_else(|| u64::from(request.prompt) + u64::from(request.output), u64::from),
        });
    }
    actual.deployments = deployments.len();
    Trace {
        name,
        block_tokens,
        requests,
        distinct_blocks: numbers.len(),
        actual,
    }
}

#[cfg(test)]
mod tests;
