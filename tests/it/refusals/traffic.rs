//! What clients send: made prompts, turn by turn, and when they come.

use std::time::Duration;

use emberway::core::placement::chain::{BlockId, Chain};
use emberway::core::placement::rendezvous;
use emberway::core::placement::view::Ask;
use emberway::simulator::engine::Demand;
use emberway::simulator::prompt_cache::{FIRST_STEP_TOKENS, PrefixDigest, STEP_TOKENS};

/// Tokens of a block, the provider's step.
const BLOCK: u32 = STEP_TOKENS as u32;
/// Most answers are shorter than what their requests allow.
const OUTPUT_MAX: u32 = 300;

/// A request that comes.
#[derive(Debug, Clone)]
pub(super) struct Coming {
    /// When.
    pub(super) at: Duration,
    /// What placement is told.
    pub(super) ask: Ask,
    /// Its prompt, as placement sees it.
    pub(super) chain: Chain,
    /// What the deployment is asked for.
    pub(super) demand: Demand,
    /// Tokens that come out.
    pub(super) output: u32,
}

/// What clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Traffic {
    /// Prompts of 1,000 to 2,000 tokens that share nothing.
    Single,
    /// The same, without saying how much may come out.
    Unbounded,
    /// Conversations of up to eight turns on top of one of 30 heads of 512 to 8,192 tokens, the hottest with a fifth of them.
    Conversations,
}

impl Traffic {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Single => "single prompts",
            Self::Unbounded => "single, unbounded",
            Self::Conversations => "conversations",
        }
    }
}

/// Requests in the order in which they come, at no time yet.
struct Source {
    traffic: Traffic,
    chance: Chance,
    next_block: u64,
    /// Conversations: turns that are left, and the blocks so far.
    open: Vec<(usize, Vec<u64>)>,
    number: u64,
}

impl Source {
    fn new(traffic: Traffic, seed: u64) -> Self {
        Self {
            traffic,
            chance: Chance::new(seed),
            next_block: 1_000_000,
            open: Vec::new(),
            number: 0,
        }
    }

    fn next(&mut self) -> Coming {
        self.number += 1;
        let output = 50 + self.chance.below(200) as u32;
        let (blocks, is_first_turn) = match self.traffic {
            Traffic::Single | Traffic::Unbounded => {
                let count = 8 + self.chance.below(9) as u64;
                (self.fresh(count), true)
            }
            Traffic::Conversations => self.turn(),
        };
        coming(
            &blocks,
            is_first_turn,
            output,
            self.traffic != Traffic::Unbounded,
            self.number,
        )
    }

    fn fresh(&mut self, count: u64) -> Vec<u64> {
        let blocks = self.next_block..self.next_block + count;
        self.next_block = blocks.end;
        blocks.collect()
    }

    fn turn(&mut self) -> (Vec<u64>, bool) {
        let chance = &mut self.chance;
        let begins = self.open.len() < 60 || chance.below(4) == 0;
        if begins {
            // The lowest of four draws: a few applications have most conversations.
            let head = (0..4).map(|_| chance.below(30)).min().unwrap();
            let blocks = (0..4_u64 << (head % 5)).map(|at| head as u64 * 1_000 + at);
            self.open.push((1 + chance.below(8), blocks.collect()));
        }
        let talking = if begins {
            self.open.len() - 1
        } else {
            chance.below(self.open.len())
        };
        let said = 1 + chance.below(6) as u64;
        let said = self.fresh(said);
        let (turns, blocks) = &mut self.open[talking];
        blocks.extend(said);
        *turns -= 1;
        let (turns, blocks) = (*turns, blocks.clone());
        if turns == 0 {
            self.open.swap_remove(talking);
        }
        (blocks, begins)
    }
}

/// A request of these blocks, each a whole step of the provider's cache.
fn coming(blocks: &[u64], is_first_turn: bool, output: u32, names_limit: bool, number: u64) -> Coming {
    let mut link = 0_u128;
    let mut links = Vec::new();
    for block in blocks {
        let low = rendezvous::spread(link as u64 ^ block.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        link = (u128::from(rendezvous::spread(low ^ 1)) << 64) | u128::from(low);
        links.push(link);
    }
    let prompt = links.len() as u32 * BLOCK;
    let first = FIRST_STEP_TOKENS / STEP_TOKENS;
    let prefix = if links.len() < first {
        PrefixDigest::default()
    } else {
        PrefixDigest {
            routing: links[1] as u64,
            steps: links[first - 1..].iter().map(|link| *link as u64).collect(),
        }
    };
    Coming {
        at: Duration::ZERO,
        ask: Ask {
            prompt_tokens: prompt,
            // Where nothing is said, the gateway assumes 16 as the simulator does.
            total_tokens: prompt + if names_limit { OUTPUT_MAX } else { 16 },
            is_first_turn,
            is_cacheable: true,
            session: None,
            draw: 0,
        },
        chain: Chain::of(links.iter().zip(1..).map(|(link, at)| (BlockId(*link), at * BLOCK))),
        demand: Demand {
            prefix,
            prompt_tokens: prompt,
            output_limit: names_limit.then_some(OUTPUT_MAX),
            choices: 1,
            number,
        },
        output,
    }
}

/// When requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// So that each moment brings its share of what they cost.
    Even,
    /// As chance has it.
    Chance,
}

/// Requests that together cost so much.
pub(super) fn spread(
    traffic: Traffic,
    pace: Pace,
    total: f64,
    over: Duration,
    mut cost: impl FnMut(&Coming, Duration) -> f64,
) -> Vec<Coming> {
    let seed = 11;
    let mut source = Source::new(traffic, seed);
    let mut requests = Vec::new();
    let mut sum = 0.0;
    while sum < total {
        let at = over.mul_f64(sum / total);
        let request = Coming { at, ..source.next() };
        sum += cost(&request, at);
        requests.push(request);
    }
    if pace == Pace::Even {
        return requests;
    }
    let mut chance = Chance::new(seed + 1);
    let micros = over.as_micros() as usize;
    let mut times: Vec<_> = requests.iter().map(|_| chance.below(micros) as u64).collect();
    times.sort_unstable();
    for (request, at) in requests.iter_mut().zip(times) {
        request.at = Duration::from_micros(at);
    }
    requests
}

/// Chance from a seed: the same seed plays the same run.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(rendezvous::spread(seed))
    }

    /// A number below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        ((u128::from(rendezvous::spread(self.0)) * n as u128) >> 64) as usize
    }
}
