//! The plan of a request: whom to try, in which order, and why.
//!
//! Inside a tier a request goes, first, to where this replica itself sent its key block lately (the deepest match first),
//! then along the nested order ([`super::nested`]). A deployment without room is passed over for the *next in the same order*,
//! never for a random one, so that spilled prefixes warm one second place. What has least to lose leaves first: a request
//! that begins something new passes over a deployment earlier ([`super::rule::Fill::new`]) than one whose prefix may be cached.
//! Prompts that are too short for the provider's cache go by load, and by chance where there is none. Lower tiers follow in the same way.
//!
//! [`Placement`] is what one replica remembers, behind one lock that is held for a pass over a prompt's blocks (a few
//! microseconds); everything else is arithmetic on the arguments. The same view, memory, prompt, draw and time give the same
//! plan. Deployments are remembered by a hash of their names, so a reload loses nothing of those that stay.

use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use smallvec::SmallVec;
use strum::{AsRefStr, IntoStaticStr, VariantArray};

use super::candidates::{Past, Terms, candidates};
use super::chain::{BlockId, Chain};
use super::heat::{self, Heat};
use super::hot::{HotHead, HotHeads};
use super::plain;
use super::rule::Rule;
use super::shard::{self, CacheKey, Trials};
use super::survey::{self, Pass};
use super::truth::LIFE_MAX;
use super::view::{Ask, View};
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
    /// What comes before it in order, in its own tier or the best one, is drained by an operator.
    SpillDrained,
    /// What comes before it in order is not there, by what the control plane says.
    SpillAbsent,
    /// No deployment of a better tier can be used.
    Tier,
    /// The prompt is too short to be cached; it was placed by load.
    ShortPrompt,
    /// No cache is at stake, since nothing here is cached or the client wants no affinity; it was placed by load.
    ByLoad,
    /// Its turn in the round.
    Turn,
    /// It has the fewest requests in flight.
    LeastBusy,
    /// The quicker of two.
    Latency,
    /// The pool has no other deployment.
    OnlyChoice,
    /// Nothing has room; it is tried all the same.
    NoRoom,
    /// An earlier attempt of the request failed.
    Failover,
    /// An earlier attempt of the request is late.
    Hedge,
    /// All others failed too, and it may have recovered.
    Retry,
    /// Nothing else is left, although its breaker is open.
    LastResort,
    /// It keeps the response that the request continues; no other knows that.
    Pinned,
    /// It would be deleted for inactivity, and the request loses nothing by going there.
    Keepalive,
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
    /// What the request counts against its limit, in tokens.
    pub cost: f64,
    /// Prompt tokens that this replica believes to be cached there.
    pub expected_tokens: u32,
    /// Prompt tokens that this replica sent there in the last hour, believed to be cached or not.
    pub sent_tokens: u32,
    /// Those of them that were sent again later than the last of them.
    pub newer_tokens: u32,
    /// For how long the last of them was not asked for.
    pub idle: Duration,
}

impl Candidate {
    /// One of which nothing is known.
    pub fn new(deployment: DeploymentIx, reason: Reason) -> Self {
        Self {
            deployment,
            reason,
            room: f64::INFINITY,
            cost: 0.0,
            expected_tokens: 0,
            sent_tokens: 0,
            newer_tokens: 0,
            idle: Duration::ZERO,
        }
    }
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
    /// Prompt tokens that this replica believes to be cached at one deployment at least, whether it may be tried now or not.
    pub warm_tokens: u32,
    /// Prompt tokens that it sent to one of them in the last hour.
    pub sent_tokens: u32,
    /// Part of its limit up to which the request fills a deployment that is not warm for it, as long as another has room.
    pub full: f64,
    /// The `prompt_cache_key` that divides a hot head's requests among the machines of a deployment, if it needs dividing.
    pub cache_key: Option<CacheKey>,
}

impl Plan {
    /// Whether a request loses nothing where it goes to another member: none of its prompt is believed to be cached anywhere.
    pub fn is_free(&self) -> bool {
        self.warm_tokens == 0
    }

    /// Puts a candidate of which this is true first, to keep its deployment alive. Only one that could be tried first anyway: it has
    /// room, and is no last resort.
    pub fn keep_alive(&mut self, is_wanted: impl Fn(DeploymentIx) -> bool) {
        let fits = |candidate: &Candidate| candidate.room >= 0.0 && candidate.reason != Reason::LastResort;
        let found = self
            .candidates
            .iter()
            .position(|candidate| fits(candidate) && is_wanted(candidate.deployment));
        if let Some(at) = found {
            let mut candidate = self.candidates.remove(at);
            candidate.reason = Reason::Keepalive;
            self.candidates.insert(0, candidate);
        }
    }

    /// Leaves one deployment only, since no other can answer; nobody, if it rests or is drained.
    pub fn pin(&mut self, deployment: DeploymentIx) {
        self.candidates.retain(|candidate| candidate.deployment == deployment);
        for candidate in &mut self.candidates {
            candidate.reason = Reason::Pinned;
        }
    }
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

/// What is remembered of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Which of the deployments that were asked about were sent it within the hour, by their places among those; at most the four that
    /// were sent it last.
    pub places: Vec<usize>,
    /// Requests a minute that hold it, at all gateways together, as this one reckons.
    pub requests_per_minute: f64,
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

    /// Plans a request and makes room for its blocks in the table; [`Placement::sent`] counts it.
    pub fn plan(&self, view: &View, chain: &Chain, ask: &Ask, now: Duration) -> Plan {
        self.pass(Pass::Counts, view, chain, ask, now)
    }

    /// What [`Placement::plan`] would answer, without counting the request: nothing that is remembered changes.
    pub fn explain(&self, view: &View, chain: &Chain, ask: &Ask, now: Duration) -> Plan {
        self.pass(Pass::Looks, view, chain, ask, now)
    }

    fn pass(&self, pass: Pass, view: &View, chain: &Chain, ask: &Ask, now: Duration) -> Plan {
        let fill = self.rule.fill(view.replicas);
        if !ask.is_cacheable {
            return plain::short(view, chain, ask, Reason::ByLoad, fill.other);
        }
        if chain.is_empty() || ask.prompt_tokens < self.rule.cacheable_tokens {
            return plain::short(view, chain, ask, Reason::ShortPrompt, fill.other);
        }
        let mut memory = self.memory.lock();
        let Memory { heat, trials, hot } = &mut *memory;
        let survey = survey::survey(&self.rule, heat, pass, view, chain, ask, now);
        let homes = survey.tiers.first().map_or(1, |tier| tier.homes);
        let per_request = view.replicas.max(1.0) * 60.0 / survey::window_seconds(&self.rule, now) / homes as f64;
        let cache_key = shard::cache_key(heat, trials, pass, chain, &survey.requests, per_request);
        if let Some((at, counted)) = survey.tiers.first().and_then(|tier| tier.head)
            && pass == Pass::Counts
        {
            let per_minute = view.replicas.max(1.0) * 60.0 / survey::window_seconds(&self.rule, now);
            let head = HotHead {
                id: chain.ids()[at],
                homes,
                tokens_per_minute: counted * per_minute,
            };
            hot.note(head, now);
        }
        drop(memory);
        let mut survey = survey;
        let caches = view.caches();
        if !caches {
            // No hit is to be had, so nothing is paid for one. What was sent is looked up all the same: the first hit ends this.
            for (tier, found) in view.tiers.iter().zip(&mut survey.tiers) {
                found.choice.order = plain::less_busy(&tier.members, chain.ids()[found.key].low(), ask, fill.other);
                found.choice.matched.clear();
            }
        }
        let terms = Terms {
            fill,
            is_new: ask.is_first_turn || !survey.is_known,
            reason: if caches { Reason::Home } else { Reason::ByLoad },
        };
        let earlier = || survey.tiers.iter().flat_map(|tier| &tier.choice.past);
        let most = |blocks: fn(&Past) -> u16| chain.tokens(earlier().map(blocks).max().unwrap_or(0).into());
        let choices = survey.tiers.iter().map(|tier| &tier.choice);
        Plan {
            candidates: candidates(&terms, view, choices, chain, ask),
            key: survey.tiers.first().map(|tier| (tier.key, chain.ids()[tier.key])),
            homes,
            warm_tokens: most(|past| past.warm_blocks),
            sent_tokens: most(|past| past.blocks),
            full: terms.full(),
            cache_key,
        }
    }

    /// A deployment, by its [`super::rendezvous::seed`], has been sent the prompt and has begun to answer. Also for what another replica
    /// sent, where replicas share what they know. Counts the prompt's tokens: not before, since what no deployment takes is no load.
    pub fn sent(&self, chain: &Chain, prompt_tokens: u32, seed: u64, now: Duration) {
        let (tag, now) = (heat::tag(seed), heat::ticks(now));
        let mut memory = self.memory.lock();
        for ids in chain.ids().chunks(heat::BATCH) {
            for (&id, slot) in ids.iter().zip(memory.heat.find_batch(ids)) {
                if let Some(entry) = slot.and_then(|slot| memory.heat.at(slot, id)) {
                    entry.tokens += prompt_tokens as f32;
                    entry.requests += 1.0;
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

    /// The heads that have several homes, hottest first, at most `most`, with their rates as of `now`: what nobody asks for cools.
    pub fn hot_heads(&self, most: usize, now: Duration) -> Vec<HotHead> {
        self.memory
            .lock()
            .hot
            .top(most, now, |at| survey::rate_left(&self.rule, at, now))
    }

    /// What is remembered of a block: to which of these deployments, by their rendezvous seeds, it was sent within the hour, and how
    /// many requests hold it. Looks only. Linear in the deployments.
    pub fn held(&self, id: BlockId, seeds: &[u64], replicas: f64, now: Duration) -> Held {
        let per_minute = replicas.max(1.0) * 60.0 / survey::window_seconds(&self.rule, now);
        let tick = heat::ticks(now);
        let memory = self.memory.lock();
        let [slot, ..] = memory.heat.find_batch(&[id]);
        let (entry, _) = memory.heat.peek(id, slot, tick);
        drop(memory);
        let sent = entry.sent();
        let was_sent = |seed: u64| {
            let tag = heat::tag(seed);
            let mut of_it = sent.iter().filter(|(to, _)| *to == tag);
            of_it.any(|(_, at)| heat::between(*at, tick) <= LIFE_MAX)
        };
        Held {
            places: (0..seeds.len()).filter(|&place| was_sent(seeds[place])).collect(),
            requests_per_minute: f64::from(entry.requests) * per_minute,
        }
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

#[cfg(test)]
mod tests;
