//! The lines of the trace formats.

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

/// Adds a line's requests and tells the block size, if the line does.
pub(super) fn parse(line: &str, is_first: bool, into: &mut Vec<Raw>) -> Result<Option<u32>, String> {
    let line = line.trim();
    if line.is_empty() || is_first && line.starts_with("TIMESTAMP,") {
        return Ok(None);
    }
    if !line.starts_with('{') {
        into.push(plain(line, into.len())?);
        return Ok(Some(PLAIN_BLOCK_TOKENS));
    }
    if let Ok(request) = serde_json::from_str::<RequestLine>(line) {
        let size = request.block_size;
        into.push(one(request)?);
        return Ok(size);
    }
    match serde_json::from_str::<ConversationLine>(line) {
        Ok(conversation) => {
            let size = conversation.block_size;
            lay_over(&conversation, into)?;
            Ok(Some(size))
        }
        Err(_) => serde_json::from_str::<RequestLine>(line)
            .map(|_| None)
            .map_err(|error| error.to_string()),
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
    })
}
