//! Policies that remember nothing: by turn, by load, by latency, by a hash of the prompt's head.
//!
//! A route may choose one in place of nested placement, and replay compares with them. Each only orders a tier's members;
//! rests, room, tiers and last resorts are `candidates`' matter, alike for all. Where a policy needs chance it takes it from `turn`, a
//! number that the caller counts up: the same turn gives the same plan. For prompts that no cache holds nested placement does so too,
//! from `draw`.
//!
//! Cost: linear in the pool's members but for the sort of a tier; no allocation for up to 16 members a tier.

use smallvec::SmallVec;

use super::candidates::{Choice, Terms, candidates};
use super::chain::Chain;
use super::nested::{self, Order};
use super::plan::{Plan, Reason};
use super::rule::{FILL, Fill};
use super::view::{Ask, Member, State, View};
use crate::core::provider::CACHEABLE_TOKENS;

/// A policy that remembers nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// Each in turn, by weight.
    RoundRobin,
    /// The fewest requests in flight for its weight; by weight among those that have none.
    LeastBusy,
    /// Of two that the turn draws, the one with the lower latency times requests in flight.
    Latency,
    /// Where the hash of the prompt's first [`HEAD_TOKENS`] points.
    HeadHash,
}

/// The tokens that [`Plain::HeadHash`] looks at: two prompts that differ earlier share nothing in the provider's cache.
pub const HEAD_TOKENS: u32 = CACHEABLE_TOKENS;

/// Plans a request. `turn` differs from call to call; [`Plain::RoundRobin`] needs it to count up by one.
pub fn plan(policy: Plain, view: &View, chain: &Chain, ask: &Ask, turn: u64) -> Plan {
    let ids = chain.ids();
    let head = chain.blocks_within(HEAD_TOKENS).checked_sub(1);
    let order = |members: &[Member]| match policy {
        Plain::RoundRobin => by_turn(members, turn),
        Plain::LeastBusy => by_load(members, turn),
        Plain::Latency => {
            let wait = expected_wait(members);
            better_of_two(members, turn, ask, FILL, |one, other| wait(one) < wait(other))
        }
        Plain::HeadHash => hashed(members, head.map_or(0, |head| ids[head].low())),
    };
    let reason = match policy {
        Plain::RoundRobin => Reason::Turn,
        Plain::LeastBusy => Reason::LeastBusy,
        Plain::Latency => Reason::Latency,
        Plain::HeadHash => Reason::Home,
    };
    Plan {
        key: head.filter(|_| policy == Plain::HeadHash).map(|head| (head, ids[head])),
        ..ordered(reason, view, chain, ask, FILL, order)
    }
}

/// Prompts that no cache will hold: of the first two that have room, in an order that the prompt and chance draw by weight, the less busy
/// one, then the rest.
pub(super) fn short(view: &View, chain: &Chain, ask: &Ask, reason: Reason, fill: f64) -> Plan {
    let key = chain.ids().last().map_or(0, |id| id.low()) ^ ask.draw;
    ordered(reason, view, chain, ask, fill, |members| {
        less_busy(members, key, ask, fill)
    })
}

/// A key's weighted rendezvous order, but for the less busy of its first two with room, for their weights. Where neither is busy the order
/// stays: it has each first as often as its weight says, so that the smaller one is used in quiet hours too.
pub(super) fn less_busy(members: &[Member], key: u64, ask: &Ask, fill: f64) -> Order {
    better_of_two(members, key, ask, fill, |one, other| {
        (is_busy(one) || is_busy(other)) && share(one) < share(other)
    })
}

/// Whether any request is in flight there.
fn is_busy(member: &Member) -> bool {
    member.load > 0.0
}

/// Requests in flight, with one more, for the weight.
fn share(member: &Member) -> f64 {
    (member.load + 1.0) / member.weight
}

/// The plan of an order for each tier.
fn ordered(
    reason: Reason,
    view: &View,
    chain: &Chain,
    ask: &Ask,
    fill: f64,
    order: impl Fn(&[Member]) -> Order,
) -> Plan {
    let terms = Terms {
        fill: Fill {
            new: fill,
            warm: fill,
            other: fill,
        },
        is_new: false,
        reason,
    };
    let choices = view.tiers.iter().map(|tier| Choice {
        order: order(&tier.members),
        matched: SmallVec::new(),
        past: SmallVec::new(),
    });
    let choices: SmallVec<[Choice; 2]> = choices.collect();
    Plan {
        candidates: candidates(&terms, view, &choices, chain, ask),
        key: None,
        homes: 1,
        warm_tokens: 0,
        sent_tokens: 0,
        full: terms.full(),
        cache_key: None,
    }
}

/// A round has as many slots as there are ready members, and begins each time a golden-section step further on: equal weights
/// take exact turns, others their share, and nobody waits longer than its weight says. Members that rest take no turn.
fn by_turn(members: &[Member], turn: u64) -> Order {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let mut order = nested::all(members);
    let is_ready = |at: &u8| members[usize::from(*at)].state == State::Ready;
    order.sort_by_key(|at| !is_ready(at));
    let ready = order.iter().take_while(|at| is_ready(at)).count();
    if ready == 0 {
        return order;
    }
    let weights = || order[..ready].iter().map(|&at| members[usize::from(at)].weight);
    let (round, slot) = (turn / ready as u64, turn % ready as u64);
    let offset = (round as f64 * GOLDEN).fract();
    let mut point = (slot as f64 + offset) / ready as f64 * weights().sum::<f64>();
    let first = weights().position(|weight| {
        point -= weight;
        point < 0.0
    });
    order[..ready].rotate_left(first.unwrap_or(ready - 1));
    order
}

/// By the requests that each would have in flight for its weight. Ties go by the turn, and so do those that are not busy among
/// themselves: each comes first of them as often as its weight says.
fn by_load(members: &[Member], turn: u64) -> Order {
    let drawn = hashed(members, turn);
    let member = |at: &u8| &members[usize::from(*at)];
    let mut order = drawn.clone();
    order.sort_by(|a, b| share(member(a)).total_cmp(&share(member(b))));
    let places = order.iter_mut().filter(|at| !is_busy(member(at)));
    for (place, &at) in places.zip(drawn.iter().filter(|at| !is_busy(member(at)))) {
        *place = at;
    }
    order
}

/// Latency times the requests that it would share with. A deployment of unknown latency counts as the quickest known one, so
/// that it is tried, and no more than by its load while it does not answer.
fn expected_wait(members: &[Member]) -> impl Fn(&Member) -> f64 {
    let known = members
        .iter()
        .map(|member| member.latency)
        .filter(|&latency| latency > 0.0);
    let quickest = known.min_by(f64::total_cmp).unwrap_or(1.0);
    move |member| member.latency.max(quickest) * (member.load + 1.0) / member.weight
}

/// A key's weighted rendezvous order, but for its first two with room: the second comes first if it is better.
fn better_of_two(
    members: &[Member],
    key: u64,
    ask: &Ask,
    fill: f64,
    is_better: impl Fn(&Member, &Member) -> bool,
) -> Order {
    let mut order = hashed(members, key);
    let has_room = |at: u8| {
        let member = &members[usize::from(at)];
        member.state == State::Ready && member.room(f64::from(ask.total_tokens), fill) >= 0.0
    };
    let mut with_room = (0..order.len()).filter(|&rank| has_room(order[rank]));
    if let (Some(first), Some(second)) = (with_room.next(), with_room.next()) {
        let member = |rank: usize| &members[usize::from(order[rank])];
        if is_better(member(second), member(first)) {
            order.swap(first, second);
        }
    }
    order
}

/// A key's weighted rendezvous order.
fn hashed(members: &[Member], key: u64) -> Order {
    let mut order = nested::all(members);
    nested::sort(key, members, &mut order);
    order
}

#[cfg(test)]
mod tests;
