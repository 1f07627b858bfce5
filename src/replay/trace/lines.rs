//! The lines of the trace formats.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use serde::Deserialize;

use super::Raw;
use crate::core::placement::rendezvous;

/// The hour over which conversations are laid.
const HOUR_SECONDS: f64 = 3_600.0;
/// Tokens of a block where prompts share nothing anyhow.
const PLAIN_BLOCK_TOKENS: u32 = 512;

#[derive(Deserialize)]
struct RequestLine {
    timestamp: f64,
    input_length: u32,
    output_length: u32,
    hash_ids: Option<Vec<u64>>,
    hash_runs: Option<Vec<(u64, u64)>>,
    session: Option<u64>,
    head_blocks: Option<usize>,
    block_size: Option<u32>,
    is_first_turn: Option<bool>,
    route: Option<String>,
    deployment: Option<String>,
    cached_tokens: Option<u32>,
    limit_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct ConversationLine {
    id: String,
    block_size: u32,
    requests: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    t: f64,
    #[serde(rename = "in")]
    input: u32,
    out: u32,
    runs: Vec<(u64, u64)>,
}

/// Requests on the way from a file.
#[derive(Debug, Default)]
pub(super) struct Reading<'a> {
    pub(super) requests: Vec<Raw>,
    /// Only requests of this route are taken.
    pub(super) route: Option<&'a str>,
    /// Other routes that were seen, the first [`ROUTES_MAX`].
    pub(super) other_routes: BTreeSet<String>,
    pub(super) block_tokens: Option<u32>,
}

/// Routes that are remembered for a message.
const ROUTES_MAX: usize = 8;

impl Reading<'_> {
    /// Takes a line.
    pub(super) fn line(&mut self, line: &str, is_first: bool) -> Result<(), String> {
        let line = line.trim();
        if line.is_empty() || is_first && line.starts_with("TIMESTAMP,") {
            return Ok(());
        }
        let size = if line.starts_with('{') {
            self.object(line)?
        } else {
            let request = plain(line, self.requests.len())?;
            if self.route.is_none() {
                self.requests.push(request);
            }
            PLAIN_BLOCK_TOKENS
        };
        self.block_tokens = self.block_tokens.or(Some(size).filter(|&size| size > 0));
        Ok(())
    }

    /// A request or a conversation; its block size, 0 where it does not tell it.
    fn object(&mut self, line: &str) -> Result<u32, String> {
        match serde_json::from_str::<RequestLine>(line) {
            Ok(request) => {
                let size = request.block_size.unwrap_or(0);
                if self.takes(request.route.as_deref()) {
                    self.requests.push(one(request)?);
                }
                Ok(size)
            }
            Err(error) => {
                let conversation = serde_json::from_str::<ConversationLine>(line).map_err(|_| error.to_string())?;
                if self.takes(None) {
                    lay_over(&conversation, &mut self.requests)?;
                }
                Ok(conversation.block_size)
            }
        }
    }

    fn takes(&mut self, route: Option<&str>) -> bool {
        let takes = self.route.is_none_or(|wanted| route == Some(wanted));
        if let Some(other) = route.filter(|_| !takes && self.other_routes.len() < ROUTES_MAX) {
            self.other_routes.insert(other.to_owned());
        }
        takes
    }
}

/// Most blocks of a prompt: a line cannot make us allocate without end.
const PROMPT_BLOCKS_MAX: u64 = 1 << 20;

fn spread_out(runs: &[(u64, u64)]) -> Result<Vec<u64>, String> {
    let blocks = runs.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    if blocks > PROMPT_BLOCKS_MAX {
        return Err(format!("a prompt of {blocks} blocks"));
    }
    Ok(runs
        .iter()
        .flat_map(|&(first, count)| (0..count).map(move |at| first.wrapping_add(at)))
        .collect())
}

fn one(line: RequestLine) -> Result<Raw, String> {
    let ids = match (line.hash_ids, line.hash_runs) {
        (Some(ids), _) => ids,
        (None, Some(runs)) => spread_out(&runs)?,
        (None, None) => return Err("neither `hash_ids` nor `hash_runs`".to_owned()),
    };
    Ok(Raw {
        at: line.timestamp / 1e3,
        prompt: line.input_length,
        output: line.output_length,
        ids,
        session: line.session,
        head: line.head_blocks.unwrap_or(1),
        is_first_turn: line.is_first_turn,
        deployment: line.deployment,
        cached: line.cached_tokens,
        limit_tokens: line.limit_tokens,
    })
}

/// A conversation's requests, from a time of its own on; what comes after the hour comes at its beginning, so that the hour is a
/// stationary one.
fn lay_over(conversation: &ConversationLine, into: &mut Vec<Raw>) -> Result<(), String> {
    let name = rendezvous::spread(rendezvous::seed(&conversation.id));
    let begin = (name >> 11) as f64 / (1_u64 << 53) as f64 * HOUR_SECONDS;
    for (number, turn) in conversation.requests.iter().enumerate() {
        let ids = spread_out(&turn.runs)?;
        into.push(Raw {
            at: (begin + turn.t).rem_euclid(HOUR_SECONDS),
            prompt: turn.input,
            output: turn.out,
            ids: ids.into_iter().map(|id| rendezvous::spread(name ^ id)).collect(),
            session: Some(name),
            head: 1,
            is_first_turn: Some(number == 0),
            ..Raw::default()
        });
    }
    Ok(())
}

/// A request that shares nothing: every block is its own.
fn plain(line: &str, number: usize) -> Result<Raw, String> {
    let mut fields = line.split(',');
    let mut field = |what: &str| fields.next().ok_or_else(|| format!("no {what}"));
    let at: DateTime = field("time")?.parse().map_err(|error: jiff::Error| error.to_string())?;
    let count = |text: &str| text.trim().parse::<u32>().map_err(|error| format!("`{text}`: {error}"));
    let prompt = count(field("prompt tokens")?)?;
    let output = count(field("output tokens")?)?;
    let since = at.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let first = (number as u64) << 32;
    Ok(Raw {
        at: since.as_secs_f64(),
        prompt,
        output,
        ids: (0..u64::from(prompt.div_ceil(PLAIN_BLOCK_TOKENS).max(1)))
            .map(|at| first + at)
            .collect(),
        session: None,
        head: 1,
        is_first_turn: Some(true),
        ..Raw::default()
    })
}
