//! One pass over a prompt's blocks: looks their counters up, walks every tier, and finds where the prompt is warm.
//!
//! Everything that needs the table happens here, so that its lock is held for one pass and no more.

use std::time::Duration;

use smallvec::SmallVec;

use super::candidates::{Choice, Past};
use super::chain::{BlockId, Chain};
use super::heat::{self, BATCH, Heat, MARKS};
use super::nested::{self, Walk};
use super::rule::Rule;
use super::shard;
use super::truth::LIFE_MAX;
use super::view::{Ask, Member, Tier, View};

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
    /// The last block that needs several homes, and its decayed tokens.
    pub(super) head: Option<(usize, f64)>,
    /// Members in order of choice; matched only where the key block is among what this replica sent.
    pub(super) choice: Choice,
}

/// The mean of the limits that are known: one that is not counts as the others.
fn mean_limit(members: &[Member]) -> Option<f64> {
    let known = || {
        members
            .iter()
            .map(|member| member.limit)
            .filter(|limit| limit.is_finite())
    };
    let count = known().count();
    (count > 0).then(|| known().sum::<f64>() / count as f64)
}

/// A tier on the way.
struct Progress<'a> {
    members: &'a [Member],
    walk: Walk<'a>,
    /// Homes that one decayed token needs; none where no limit is known.
    per_token: Option<f64>,
    key: Option<usize>,
    head: Option<(usize, f64)>,
    watched: SmallVec<[Watched; 8]>,
    /// Which member each mark was of in the last block: mostly it is of the same in the next.
    seen: [usize; MARKS],
}

/// What is found about one member on the way.
struct Watched {
    tag: u32,
    /// Since when what was sent there may still be there, in ticks; and since when it is believed to be.
    known_from: u32,
    warm_from: u32,
    /// When the deepest of the blocks was sent, in ticks.
    at: u32,
    past: Past,
}

/// How many minutes' worth the counters hold: their mean life, or the time since they began.
pub(super) fn window_seconds(rule: &Rule, running: Duration) -> f64 {
    let mean_life = rule.half_life.as_secs_f64() / std::f64::consts::LN_2;
    (running + rule.window_min).as_secs_f64().min(mean_life)
}

/// What is left at `now` of a rate that was reckoned `at` an earlier time, if nothing came since: the counters fall by their half-life, and
/// stand for a longer time while they are young.
pub(super) fn rate_left(rule: &Rule, at: Duration, now: Duration) -> f64 {
    let half_lives = now.saturating_sub(at).as_secs_f64() / rule.half_life.as_secs_f64();
    (-half_lives).exp2() * window_seconds(rule, at) / window_seconds(rule, now)
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
    let mut tiers: SmallVec<[Progress<'_>; 2]> =
        view.tiers.iter().map(|tier| Progress::new(tier, scale, now)).collect();
    let mut is_known = false;
    let mut requests = SmallVec::new();
    let mut is_hot = true;
    let per_request = view.replicas.max(1.0) * 60.0 / window_seconds(rule, now);
    let now = heat::ticks(now);
    let mut slots = [None; BATCH];
    let last = chain.len().saturating_sub(1);
    for (at, &id) in chain.ids().iter().enumerate() {
        if at % BATCH == 0 {
            slots = heat.find_batch(&chain.ids()[at..]);
        }
        let slot = slots[at % BATCH];
        let mut copy = heat::Entry::default();
        let (entry, untouched) = match pass {
            Pass::Counts => heat.touch(id, slot, now),
            Pass::Looks => heat.look(id, slot, now, &mut copy),
        };
        is_hot = is_hot && shard::may_need_keys(entry, per_request);
        if is_hot {
            if requests.len() == requests.inline_size() {
                // Once for a long hot head, not at every doubling.
                requests.reserve_exact(chain.len());
            }
            requests.push(entry.requests);
        }
        for (level, tier) in tiers.iter_mut().enumerate() {
            if tier.key.is_none() {
                let had = if level == 0 { entry.homes } else { 1 };
                let homes = tier.walk_on(rule, at, id, entry, ask, had);
                if level == 0 {
                    entry.homes = homes;
                }
                if homes <= 1 || at == last {
                    tier.key = Some(at);
                    if level == 0 {
                        let life = tier.members.iter().map(|member| member.cache_life).max();
                        is_known = untouched
                            .zip(life)
                            .is_some_and(|(untouched, life)| untouched <= heat::ticks(life));
                    }
                }
            }
            tier.look_back(at, entry);
        }
    }
    Survey {
        tiers: tiers
            .into_iter()
            .map(|tier| tier.finish(chain.ids(), ask.session, now))
            .collect(),
        is_known,
        requests,
    }
}

impl<'a> Progress<'a> {
    fn new(tier: &'a Tier, scale: f64, now: Duration) -> Self {
        let members = tier.members.as_slice();
        Self {
            members,
            walk: Walk::new(members),
            per_token: mean_limit(members).map(|limit| scale / limit.max(1.0)),
            key: None,
            head: None,
            watched: members.iter().map(|member| Watched::new(member, now)).collect(),
            seen: [0; MARKS],
        }
    }

    /// Takes a block into the walk: the homes that it needs, of which it `had` some.
    fn walk_on(&mut self, rule: &Rule, at: usize, id: BlockId, entry: &heat::Entry, ask: &Ask, had: u8) -> u8 {
        let (counted, one) = (f64::from(entry.tokens), f64::from(ask.prompt_tokens));
        // Without any limit nobody can say what is much: homes stay as they are.
        let homes = self.per_token.map_or(had.max(1), |per_token| {
            nested::homes(rule, counted, per_token, one, had, self.members.len())
        });
        self.walk.narrow(id, homes);
        if homes > 1 {
            self.head = Some((at, counted));
        }
        homes
    }

    /// To whom was this block sent, and with it all before it?
    fn look_back(&mut self, at: usize, entry: &heat::Entry) {
        for ((tag, sent_at), seen) in entry.sent().into_iter().zip(&mut self.seen) {
            if tag == 0 {
                continue;
            }
            if self.watched.get(*seen).is_none_or(|member| member.tag != tag) {
                let Some(found) = self.watched.iter().position(|member| member.tag == tag) else {
                    continue;
                };
                *seen = found;
            }
            let member = &mut self.watched[*seen];
            if sent_at >= member.known_from {
                member.note(at, sent_at);
            }
        }
    }

    fn finish(self, ids: &[BlockId], session: Option<u64>, now: u32) -> TierSurvey {
        let key = self.key.unwrap_or(0);
        let homes = self.walk.homes();
        let key_id = ids.get(key).copied().unwrap_or_default();
        // A session's name may divide a head that is divided anyhow. A cold head stays together, whoever asks.
        let seed = session.filter(|_| self.head.is_some()).unwrap_or(key_id.low());
        let past = |watched: &Watched| Past {
            idle: heat::between(watched.at, now),
            ..watched.past
        };
        TierSurvey {
            key,
            homes: if key == 0 { 1 } else { homes },
            head: self.head,
            choice: Choice {
                order: self.walk.order(seed),
                matched: self.watched.iter().map(|watched| watched.matched(key)).collect(),
                past: self.watched.iter().map(past).collect(),
            },
        }
    }
}

impl Watched {
    fn new(member: &Member, now: Duration) -> Self {
        let lost_before = heat::ticks(member.lost_before);
        let from = |life: Duration| heat::ticks(now.saturating_sub(life)).max(lost_before);
        Self {
            tag: heat::tag(member.seed),
            known_from: from(LIFE_MAX),
            warm_from: if member.caches {
                from(member.cache_life)
            } else {
                u32::MAX
            },
            at: 0,
            past: Past::default(),
        }
    }

    /// Block `at` was sent there at this time.
    fn note(&mut self, at: usize, sent_at: u32) {
        let blocks = (at + 1) as u16;
        if self.past.blocks > 0 && sent_at < self.at {
            self.past.newer_blocks = self.past.blocks;
        }
        self.past.blocks = blocks;
        self.at = sent_at;
        if sent_at >= self.warm_from {
            self.past.warm_blocks = blocks;
        }
    }

    /// Leading blocks that make it warm: none unless the key block is among them.
    fn matched(&self, key: usize) -> u16 {
        if usize::from(self.past.warm_blocks) > key {
            self.past.warm_blocks
        } else {
            0
        }
    }
}
