//! The lines of the trace formats.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use serde::Deserialize;

use super::Raw;
use super::files::Pick;
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
    policy: Option<String>,
    answered: Option<bool>,
    share: Option<f64>,
    key_id: Option<String>,
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
    /// Which requests are taken.
    pub(super) pick: Pick<'a>,
    /// Routes that were seen, the first [`ROUTES_MAX`], whether or not they are taken.
    pub(super) routes: BTreeSet<String>,
    pub(super) block_tokens: Option<u32>,
    /// Lines that were understood, also of other routes.
    pub(super) understood: usize,
}

/// Why a line cannot be taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is of no format at all.
    Foreign,
    /// It ends before its JSON does: its writer was killed, or its disk was full.
    Torn,
    /// Something in it is wrong.
    Wrong(String),
}

/// Routes that are remembered: as many as a gateway has.
const ROUTES_MAX: usize = 1_024;

impl Reading<'_> {
    /// Takes a line.
    pub(super) fn line(&mut self, line: &str, is_first: bool) -> Result<(), Refused> {
        let line = line.trim();
        if line.is_empty() || is_first && line.starts_with("TIMESTAMP,") {
            return Ok(());
        }
        let size = if line.starts_with('{') {
            self.object(line)?
        } else {
            let request = plain(line, self.requests.len()).map_err(|_| Refused::Foreign)?;
            if self.pick.takes(None) {
                self.requests.push(request);
            }
            PLAIN_BLOCK_TOKENS
        };
        self.block_tokens = self.block_tokens.or(Some(size).filter(|&size| size > 0));
        self.understood += 1;
        Ok(())
    }

    /// A request or a conversation; its block size, 0 where it does not tell it.
    fn object(&mut self, line: &str) -> Result<u32, Refused> {
        match serde_json::from_str::<RequestLine>(line) {
            Ok(request) => {
                let size = request.block_size.unwrap_or(0);
                if self.takes(request.route.as_deref()) {
                    self.requests.push(one(request).map_err(Refused::Wrong)?);
                }
                Ok(size)
            }
            Err(error) if error.is_eof() => Err(Refused::Torn),
            Err(error) => {
                let conversation = serde_json::from_str::<ConversationLine>(line)
                    .map_err(|_| Refused::Wrong(without_place(&error)))?;
                if self.takes(None) {
                    lay_over(&conversation, &mut self.requests).map_err(Refused::Wrong)?;
                }
                Ok(conversation.block_size)
            }
        }
    }

    fn takes(&mut self, route: Option<&str>) -> bool {
        if let Some(route) = route
            && self.routes.len() < ROUTES_MAX
            && !self.routes.contains(route)
        {
            self.routes.insert(route.to_owned());
        }
        self.pick.takes(route)
    }
}

/// What is wrong, without the place in the line: its number there is always 1, which reads like the file's.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.as_str(), |(what, _)| what)
        .to_owned()
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
    if let Some(share) = line.share.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
        return Err(format!("a `share` of {share}; it is above 0 and at most 1"));
    }
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
        policy: line.policy,
        share: line.share,
        key_id: line.key_id,
        was_refused: line.answered == Some(false),
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
