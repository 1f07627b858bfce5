//! The plan of a request: whom to try, in which order, and why.
//!
//! Inside a tier a request goes, first, to where this replica itself sent its key block lately (the deepest match first),
//! then along the nested order ([`super::nested`]). A deployment without room is passed over for the *next in the same order*,
//! never for a random one, so that spilled prefixes warm one second place. What has least to lose leaves first: a request
//! that begins something new passes over a deployment earlier ([`Fill::new`]) than one whose prefix may be cached.
//! Prompts that are too short for the provider's cache go by load. Lower tiers follow in the same way.
//!
//! [`Placement`] is what one replica remembers, behind one lock that is held for a pass over a prompt's blocks (a few
//! microseconds); everything else is arithmetic on the arguments. The same view, memory, prompt and time give the same
//! plan. Deployments are remembered by a hash of their names, so a reload loses nothing of those that stay.

use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use smallvec::SmallVec;
use strum::{AsRefStr, IntoStaticStr, VariantArray};

use super::chain::{BlockId, Chain};
use super::heat::{self, Heat, Ticks};
use super::hot::{HotHead, HotHeads};
use super::rendezvous;
use super::rule::{Fill, Rule};
use super::shard::{self, CacheKey, Trials};
use super::survey::{self, Survey};
use super::view::{Ask, Member, State, View};
use crate::core::topology::DeploymentIx;

/// Why a deployment is where it is in a plan. The same text in log, metric and header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, IntoStaticStr, AsRefStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// This replica sent the key block here lately.
    Warm,
    /// The key block belongs here.
    Home,
    /// What comes before it in order has no room.
    SpillNoRoom,
    /// What comes before it in order rests after a 429.
    SpillThrottled,
    /// What comes before it in order is behind an open breaker.
    SpillEjected,
    /// No deployment of a better tier can be used.
    Tier,
    /// The prompt is too short to be cached; it was placed by load.
    ShortPrompt,
    /// The pool has no other deployment.
    OnlyChoice,
    /// Nothing has room; it is tried all the same.
    NoRoom,
    /// An earlier attempt of the request failed.
    Failover,
    /// Nothing else is left, although its breaker is open.
    LastResort,
}

/// A deployment and why it may be tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Which deployment.
    pub deployment: DeploymentIx,
    /// Why it stands here, if it is tried first.
    pub reason: Reason,
    /// Tokens left of its limit once this request is in; negative if it does not fit.
    pub room: f64,
    /// Prompt tokens that this replica believes to be cached there.
    pub expected_tokens: u32,
}

/// The ordered candidates of a request, and what led to them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Whom to try, in order; no deployment occurs twice. Empty when every member rests.
    pub candidates: SmallVec<[Candidate; 8]>,
    /// The block that decided the order, and its position; none for short prompts.
    pub key: Option<(usize, BlockId)>,
    /// Homes that the key block was chosen among.
    pub homes: usize,
    /// The `prompt_cache_key` that divides a hot head's requests among the machines of a deployment, if it needs dividing.
    pub cache_key: Option<CacheKey>,
}

/// What one replica remembers of all pools' prompts.
#[derive(Debug)]
pub struct Placement {
    rule: Rule,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    heat: Heat,
    trials: Trials,
    hot: HotHeads,
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Blocks in the table.
    pub blocks: usize,
    /// Blocks that can be.
    pub blocks_max: usize,
    /// Memory taken, in bytes.
    pub bytes: usize,
}

impl Placement {
    /// Nothing remembered. `now` in all calls is the time since this was made.
    pub fn new(rule: Rule) -> Self {
        let memory = Memory {
            heat: Heat::new(rule.blocks, rule.half_life),
            trials: Trials::default(),
            hot: HotHeads::default(),
        };
        Self {
            rule,
            memory: Mutex::new(memory),
        }
    }

    /// Plans a request and counts it.
    pub fn plan(&self, view: &View, chain: &Chain, ask: &Ask, now: Duration) -> Plan {
        if chain.is_empty() || !ask.is_cacheable || ask.prompt_tokens < self.rule.cacheable_tokens {
            return short(view, chain, ask, self.rule.fill(view.replicas).other);
        }
        let mut memory = self.memory.lock();
        let Memory { heat, trials, hot } = &mut *memory;
        let survey = survey::survey(&self.rule, heat, view, chain, ask, now);
        let homes = survey.tiers.first().map_or(1, |tier| tier.homes);
        let per_request = view.replicas.max(1.0) * 60.0 / survey::window_seconds(&self.rule, now) / homes as f64;
        let cache_key = shard::cache_key(heat, trials, chain, &survey.requests, per_request);
        if let Some((at, counted)) = survey.tiers.first().and_then(|tier| tier.head) {
            let per_minute = view.replicas.max(1.0) * 60.0 / survey::window_seconds(&self.rule, now);
            let head = HotHead {
                id: chain.ids()[at],
                homes,
                tokens_per_minute: counted * per_minute,
            };
            hot.note(head, now);
        }
        drop(memory);
        Plan {
            candidates: candidates(&self.rule.fill(view.replicas), view, chain, &survey, ask),
            key: survey.tiers.first().map(|tier| (tier.key, chain.ids()[tier.key])),
            homes,
            cache_key,
        }
    }

    /// A deployment, by its [`rendezvous::seed`], has been sent the prompt and has begun to answer. Also for what another replica
    /// sent, where replicas share what they know.
    pub fn sent(&self, chain: &Chain, seed: u64, now: Duration) {
        let (tag, now) = (heat::tag(seed), Ticks::of(now));
        let mut memory = self.memory.lock();
        for ids in chain.ids().chunks(heat::BATCH) {
            for (&id, slot) in ids.iter().zip(memory.heat.find_all(ids)) {
                if let Some(entry) = slot.and_then(|slot| memory.heat.at(slot, id)) {
                    entry.mark(tag, now);
                }
            }
        }
    }

    /// An answer told how many prompt tokens were cached, where `expected` were believed to be. `key` is the plan's, and
    /// `was_keyed` whether it was sent.
    pub fn observed(&self, key: &CacheKey, was_keyed: bool, expected: u32, cached: u32, now: Duration) {
        if expected >= self.rule.cacheable_tokens {
            let mut memory = self.memory.lock();
            memory.trials.observed(key, was_keyed, expected, cached, now);
        }
    }

    /// The heads that have several homes, hottest first, at most `most`.
    pub fn hot_heads(&self, most: usize, now: Duration) -> Vec<HotHead> {
        self.memory.lock().hot.top(most, now)
    }

    /// How much is remembered.
    pub fn size(&self) -> Size {
        let memory = self.memory.lock();
        Size {
            blocks: memory.heat.len(),
            blocks_max: memory.heat.capacity(),
            bytes: memory.heat.bytes(),
        }
    }
}

/// A candidate with its place: lower comes first.
type Ranked = (Place, Candidate);

/// Where a candidate comes: by whether it has room, its tier, its kind, the blocks it lacks, and its rank in order.
type Place = (u8, usize, u8, u16, usize);

const HAS_ROOM: u8 = 0;
const IS_FULL: u8 = 1;
const IS_LAST_RESORT: u8 = 2;

fn candidates(fill: &Fill, view: &View, chain: &Chain, survey: &Survey, ask: &Ask) -> SmallVec<[Candidate; 8]> {
    let is_only = view.tiers.iter().map(|tier| tier.members.len()).sum::<usize>() == 1;
    let is_new = ask.is_first_turn || !survey.is_known;
    let mut ranked: SmallVec<[Ranked; 8]> = SmallVec::new();
    for (level, (tier, found)) in view.tiers.iter().zip(&survey.tiers).enumerate() {
        let mut passed_over = None;
        for (rank, &at) in found.order.iter().enumerate() {
            let member = &tier.members[usize::from(at)];
            let blocks = found.matched[usize::from(at)];
            let (place, reason) = rank_of(fill, member, ask, level, rank, blocks, is_new);
            match member.state {
                State::Resting => _ = passed_over.get_or_insert(Reason::SpillThrottled),
                State::Ejected => _ = passed_over.get_or_insert(Reason::SpillEjected),
                State::Ready => {}
            }
            let Some(place) = place else { continue };
            let reason = match reason {
                Reason::Home if is_only => Reason::OnlyChoice,
                Reason::Home => passed_over.unwrap_or(Reason::Home),
                other => other,
            };
            if member.state == State::Ready && (place.0 == IS_FULL || place.2 == FULL_FOR_NEW) {
                passed_over.get_or_insert(Reason::SpillNoRoom);
            }
            let candidate = Candidate {
                deployment: member.deployment,
                reason,
                room: member.room(f64::from(ask.total_tokens), 1.0),
                expected_tokens: chain.tokens(usize::from(blocks)),
            };
            ranked.push((place, candidate));
        }
    }
    in_order(ranked)
}

/// Kinds of candidates with room, in this order.
const WARM: u8 = 0;
const ROOM_FOR_NEW: u8 = 1;
const FULL_FOR_NEW: u8 = 2;

/// A member's place, none if it may not be tried, and its reason if nothing was passed over for it.
fn rank_of(
    fill: &Fill,
    member: &Member,
    ask: &Ask,
    level: usize,
    rank: usize,
    blocks: u16,
    is_new: bool,
) -> (Option<Place>, Reason) {
    let fits = |part: f64| member.room(f64::from(ask.total_tokens), part) >= 0.0;
    match member.state {
        State::Resting => (None, Reason::Home),
        State::Ejected => (Some((IS_LAST_RESORT, level, 0, 0, rank)), Reason::LastResort),
        State::Ready if blocks > 0 && fits(fill.warm) => {
            (Some((HAS_ROOM, level, WARM, u16::MAX - blocks, rank)), Reason::Warm)
        }
        State::Ready if fits(if is_new { fill.new } else { fill.other }) => {
            (Some((HAS_ROOM, level, ROOM_FOR_NEW, 0, rank)), Reason::Home)
        }
        State::Ready if fits(fill.other) => (Some((HAS_ROOM, level, FULL_FOR_NEW, 0, rank)), Reason::Home),
        State::Ready => (Some((IS_FULL, level, 0, 0, rank)), Reason::NoRoom),
    }
}

/// The candidates by their places. Where the best tier offers none, those of lower ones say so.
fn in_order(mut ranked: SmallVec<[Ranked; 8]>) -> SmallVec<[Candidate; 8]> {
    ranked.sort_unstable_by_key(|(place, _)| *place);
    let is_lower = ranked.first().is_some_and(|(place, _)| place.1 > 0);
    let candidates = ranked.into_iter().map(|((room, level, ..), candidate)| Candidate {
        reason: if is_lower && level > 0 && room == HAS_ROOM {
            Reason::Tier
        } else {
            candidate.reason
        },
        ..candidate
    });
    candidates.collect()
}

/// Prompts that no cache will hold: of the first two in the whole prompt's order that have room the less busy one, then the rest.
fn short(view: &View, chain: &Chain, ask: &Ask, fill: f64) -> Plan {
    let prompt = chain.ids().last().copied().unwrap_or_default();
    let is_only = view.tiers.iter().map(|tier| tier.members.len()).sum::<usize>() == 1;
    let mut ranked: SmallVec<[(u8, usize, f64, Candidate); 8]> = SmallVec::new();
    for (level, member) in view
        .tiers
        .iter()
        .enumerate()
        .flat_map(|(level, tier)| tier.members.iter().map(move |member| (level, member)))
    {
        let room = member.room(f64::from(ask.total_tokens), 1.0);
        let (group, reason) = match member.state {
            State::Resting => continue,
            State::Ejected => (IS_LAST_RESORT, Reason::LastResort),
            State::Ready if is_only => (HAS_ROOM, Reason::OnlyChoice),
            State::Ready if member.room(f64::from(ask.total_tokens), fill) < 0.0 => (IS_FULL, Reason::NoRoom),
            State::Ready => (HAS_ROOM, Reason::ShortPrompt),
        };
        let score = rendezvous::weighted(rendezvous::draw(prompt.low(), member.seed), member.weight);
        let candidate = Candidate {
            deployment: member.deployment,
            reason,
            room,
            expected_tokens: 0,
        };
        ranked.push((group, level, -score, candidate));
    }
    ranked.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
    let load = |deployment: DeploymentIx| {
        let mut members = view.tiers.iter().flat_map(|tier| &tier.members);
        members
            .find(|member| member.deployment == deployment)
            .map_or(0.0, |member| member.load)
    };
    if let [first, second, ..] = ranked.as_mut_slice()
        && (first.0, first.1) == (second.0, second.1)
        && load(second.3.deployment) < load(first.3.deployment)
    {
        std::mem::swap(first, second);
    }
    Plan {
        candidates: ranked.into_iter().map(|(.., candidate)| candidate).collect(),
        key: None,
        homes: 1,
        cache_key: None,
    }
}

#[cfg(test)]
mod tests;
