//! One pass over a prompt's blocks: counts them, walks every tier, and finds where the prompt is warm.
//!
//! Everything that needs the table happens here, so that its lock is held for one pass and no more.

use std::time::Duration;

use smallvec::SmallVec;

use super::candidates::Choice;
use super::chain::{BlockId, Chain};
use super::heat::{self, Heat};
use super::nested::{self, Walk};
use super::rule::Rule;
use super::view::{Ask, Member, Tier, View};

/// What the pass found.
#[derive(Debug)]
pub(super) struct Survey {
    /// Tier by tier, as in the view.
    pub(super) tiers: SmallVec<[TierSurvey; 2]>,
    /// Whether this replica saw the best tier's key block in the last minutes.
    pub(super) is_known: bool,
    /// Decayed requests of each block, before this one.
    pub(super) requests: SmallVec<[f32; 32]>,
}

/// One tier's order for the prompt.
#[derive(Debug)]
pub(super) struct TierSurvey {
    /// Position of the key block.
    pub(super) key: usize,
    /// Homes that the key block is chosen among.
    pub(super) homes: usize,
    /// Members in order of choice; matched only where the key block is among what this replica sent.
    pub(super) choice: Choice,
}

/// A tier on the way.
struct Progress<'a> {
    members: &'a [Member],
    walk: Walk<'a>,
    /// Homes that one decayed token needs.
    per_token: f64,
    key: Option<usize>,
    tags: SmallVec<[u32; 8]>,
    matched: SmallVec<[u16; 8]>,
    /// Whether some member matched up to here.
    is_alive: bool,
}

/// How many minutes' worth the counters hold: their mean life, or the time since they began.
pub(super) fn window_seconds(rule: &Rule, running: Duration) -> f64 {
    let mean_life = rule.half_life.as_secs_f64() / std::f64::consts::LN_2;
    (running + rule.window_min).as_secs_f64().min(mean_life)
}

/// Whether a pass leaves a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// The request is counted.
    Counts,
    /// Only what would be found.
    Looks,
}

/// Makes the pass. `now` is the time since the counters began.
pub(super) fn survey(
    rule: &Rule,
    heat: &mut Heat,
    pass: Pass,
    view: &View,
    chain: &Chain,
    ask: &Ask,
    now: Duration,
) -> Survey {
    let scale = view.replicas.max(1.0) * 60.0 / window_seconds(rule, now) / rule.home_share;
    let mut tiers: SmallVec<[Progress<'_>; 2]> = view.tiers.iter().map(|tier| Progress::new(tier, scale)).collect();
    let mut is_known = false;
    let mut requests = SmallVec::with_capacity(chain.len());
    let last = chain.len().saturating_sub(1);
    for (at, &id) in chain.ids().iter().enumerate() {
        let mut copy;
        let (entry, untouched) = if pass == Pass::Counts {
            heat.touch(id, now)
        } else {
            let (seen, untouched) = heat.peek(id, now);
            copy = seen;
            (&mut copy, untouched)
        };
        let counted = f64::from(entry.tokens);
        entry.tokens += ask.prompt_tokens as f32;
        requests.push(entry.requests);
        entry.requests += 1.0;
        for (level, tier) in tiers.iter_mut().enumerate() {
            if tier.key.is_none() {
                let had = if level == 0 { entry.homes } else { 1 };
                let one = f64::from(ask.prompt_tokens);
                let homes = nested::homes(rule, counted, tier.per_token, one, had, tier.members.len());
                if level == 0 {
                    entry.homes = homes;
                }
                tier.walk.narrow(id, homes);
                if homes <= 1 || at == last {
                    tier.key = Some(at);
                    if level == 0 {
                        let life = tier.members.iter().map(|member| member.cache_life).max();
                        is_known = untouched.zip(life).is_some_and(|(untouched, life)| untouched <= life);
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
            tags: members.iter().map(|member| heat::tag(member.seed)).collect(),
            matched: members.iter().map(|_| 0).collect(),
            is_alive: true,
        }
    }

    /// The key block or a deeper one: who was sent it? An id stands for all before it, so earlier blocks need no look.
    fn match_block(&mut self, at: usize, entry: &heat::Entry, now: Duration) {
        if !self.is_alive {
            return;
        }
        let is_key = self.key == Some(at);
        self.is_alive = false;
        for (index, member) in self.members.iter().enumerate() {
            let reached = is_key || usize::from(self.matched[index]) == at;
            if reached && entry.is_warm(self.tags[index], now, member.cache_life) {
                self.matched[index] = (at + 1) as u16;
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
            choice: Choice {
                order: self.walk.order(ids.get(key).copied().unwrap_or_default()),
                matched: self.matched,
            },
        }
    }
}
