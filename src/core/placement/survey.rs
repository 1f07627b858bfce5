//! One pass over a prompt's blocks: counts them, walks every tier, and finds where the prompt is warm.
//!
//! Everything that needs the table happens here, so that its lock is held for one pass and no more.

use std::time::Duration;

use smallvec::SmallVec;

use super::chain::{BlockId, Chain};
use super::heat::{self, BATCH, Heat, Ticks};
use super::nested::{self, Order, Walk};
use super::rule::Rule;
use super::shard;
use super::view::{Ask, Member, Tier, View};

/// Shortest time that counters are taken to stand for, so that the first requests do not look like a flood.
const WINDOW_SECONDS_MIN: f64 = 15.0;

/// What the pass found.
#[derive(Debug)]
pub(super) struct Survey {
    /// Tier by tier, as in the view.
    pub(super) tiers: SmallVec<[TierSurvey; 2]>,
    /// Whether this replica saw the best tier's key block in the last minutes.
    pub(super) is_known: bool,
    /// Decayed requests of the leading blocks that may need several keys, before this one.
    pub(super) requests: SmallVec<[f32; 32]>,
}

/// One tier's order for the prompt.
#[derive(Debug)]
pub(super) struct TierSurvey {
    /// Position of the key block.
    pub(super) key: usize,
    /// Homes that the key block is chosen among.
    pub(super) homes: usize,
    /// The last block that narrowed the choice, and its decayed tokens.
    pub(super) head: Option<(usize, f64)>,
    /// Members in order of choice.
    pub(super) order: Order,
    /// Leading blocks that this replica sent to each member lately; 0 unless the key block is among them.
    pub(super) matched: SmallVec<[u16; 8]>,
}

/// A tier on the way.
struct Progress<'a> {
    members: &'a [Member],
    walk: Walk<'a>,
    /// Homes that one decayed token needs.
    per_token: f64,
    key: Option<usize>,
    head: Option<(usize, f64)>,
    tags: SmallVec<[u32; 8]>,
    lives: SmallVec<[Ticks; 8]>,
    matched: SmallVec<[u16; 8]>,
    /// Whether some member matched up to here.
    is_alive: bool,
}

/// How many minutes' worth the counters hold: their mean life, or the time since they began.
pub(super) fn window_seconds(rule: &Rule, running: Duration) -> f64 {
    let mean_life = rule.half_life.as_secs_f64() / std::f64::consts::LN_2;
    (running.as_secs_f64() + WINDOW_SECONDS_MIN).min(mean_life)
}

/// Makes the pass. `running` is the time since the counters began.
pub(super) fn survey(rule: &Rule, heat: &mut Heat, view: &View, chain: &Chain, ask: &Ask, now: Duration) -> Survey {
    let scale = view.replicas.max(1.0) * 60.0 / window_seconds(rule, now) / rule.home_share;
    let mut tiers: SmallVec<[Progress<'_>; 2]> = view.tiers.iter().map(|tier| Progress::new(tier, scale)).collect();
    let mut is_known = false;
    let mut requests = SmallVec::new();
    let mut is_hot = true;
    let per_request = view.replicas.max(1.0) * 60.0 / window_seconds(rule, now);
    let now = Ticks::of(now);
    let last = chain.len().saturating_sub(1);
    let mut slots = [None; BATCH];
    for (at, &id) in chain.ids().iter().enumerate() {
        if at % BATCH == 0 {
            slots = heat.find_all(&chain.ids()[at..]);
        }
        let (entry, untouched) = heat.touch(id, slots[at % BATCH], now);
        let counted = f64::from(entry.tokens);
        entry.tokens += ask.prompt_tokens as f32;
        is_hot = is_hot && shard::may_need_keys(entry, per_request);
        if is_hot {
            if requests.len() == requests.inline_size() {
                // Once for a long hot head, not at every doubling.
                requests.reserve_exact(chain.len());
            }
            requests.push(entry.requests);
        }
        entry.requests += 1.0;
        for (level, tier) in tiers.iter_mut().enumerate() {
            if tier.key.is_none() {
                let had = if level == 0 { entry.homes } else { 1 };
                let one = f64::from(ask.prompt_tokens);
                let homes = nested::homes(rule, counted, tier.per_token, one, had, tier.members.len());
                if level == 0 {
                    entry.homes = homes;
                }
                if tier.walk.narrow(id, homes) {
                    tier.head = Some((at, counted));
                }
                if homes <= 1 || at == last {
                    tier.key = Some(at);
                    if level == 0 {
                        let life = tier.lives.iter().max();
                        is_known = untouched.zip(life).is_some_and(|(untouched, &life)| untouched <= life);
                    }
                }
            }
            if tier.key.is_some() {
                tier.match_block(at, entry, now);
            }
        }
    }
    Survey {
        tiers: tiers.into_iter().map(|tier| tier.finish(chain.ids())).collect(),
        is_known,
        requests,
    }
}

impl<'a> Progress<'a> {
    fn new(tier: &'a Tier, scale: f64) -> Self {
        let members = tier.members.as_slice();
        let limits: f64 = members.iter().map(|member| member.limit).sum();
        Self {
            members,
            walk: Walk::new(members),
            per_token: scale * members.len() as f64 / limits.max(1.0),
            key: None,
            head: None,
            tags: members.iter().map(|member| heat::tag(member.seed)).collect(),
            lives: members.iter().map(|member| Ticks::of(member.cache_life)).collect(),
            matched: members.iter().map(|_| 0).collect(),
            is_alive: true,
        }
    }

    /// The key block or a deeper one: who was sent it? An id stands for all before it, so earlier blocks need no look.
    fn match_block(&mut self, at: usize, entry: &heat::Entry, now: Ticks) {
        if !self.is_alive {
            return;
        }
        let is_key = self.key == Some(at);
        self.is_alive = false;
        for (index, matched) in self.matched.iter_mut().enumerate() {
            let reached = is_key || usize::from(*matched) == at;
            if reached && entry.is_warm(self.tags[index], now, self.lives[index]) {
                *matched = (at + 1) as u16;
                self.is_alive = true;
            }
        }
    }

    fn finish(self, ids: &[BlockId]) -> TierSurvey {
        let key = self.key.unwrap_or(0);
        let homes = self.walk.homes();
        TierSurvey {
            key,
            homes: if key == 0 { 1 } else { homes },
            head: self.head,
            order: self.walk.order(ids.get(key).copied().unwrap_or_default()),
            matched: self.matched,
        }
    }
}
