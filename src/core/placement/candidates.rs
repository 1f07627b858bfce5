//! From an order of choice to candidates: who rests, who is full, which tier, and why each stands where it stands.
//!
//! Every policy's order goes through this, so none of them can forget a tier, a rest or a full deployment. Those with room come
//! first, tier by tier; then full ones, which are tried all the same; then, as a last resort, those whose breaker is open. Who
//! rests is left out: its answer is known. So is who is drained: somebody wants it so.

use std::time::Duration;

use smallvec::SmallVec;

use super::chain::Chain;
use super::nested::Order;
use super::plan::{Candidate, Reason};
use super::rule::Fill;
use super::view::{Ask, Member, State, View};

/// A tier's members as a policy would have them if all had room.
#[derive(Debug)]
pub(super) struct Choice {
    /// Members in order of choice.
    pub(super) order: Order,
    /// Leading blocks that this replica sent to each member lately, by the member's position; none where the policy does not ask.
    pub(super) matched: SmallVec<[u16; 8]>,
    /// What this replica sent to each member before; none where the policy does not look.
    pub(super) past: SmallVec<[Past; 8]>,
}

/// What of a prompt a member was sent before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Past {
    /// Leading blocks that were ever sent, as far as it may matter.
    pub(super) blocks: u16,
    /// Those of them that were sent later than the last of them: they tell nothing about its age.
    pub(super) newer_blocks: u16,
    /// Those believed to be cached.
    pub(super) warm_blocks: u16,
    /// For how long the last block was not asked for.
    pub(super) idle: Duration,
}

/// What a policy asks for.
#[derive(Debug)]
pub(super) struct Terms {
    /// How full deployments are filled.
    pub(super) fill: Fill,
    /// Whether the request has nothing to lose.
    pub(super) is_new: bool,
    /// Why a member stands in its place if nothing was passed over for it. Only for a home it matters what was.
    pub(super) reason: Reason,
}

impl Terms {
    /// The part of its limit up to which a deployment is filled that is not warm for the request.
    pub(super) fn full(&self) -> f64 {
        if self.is_new { self.fill.new } else { self.fill.other }
    }
}

/// A candidate with its place: lower comes first.
type Ranked = (Place, Candidate);

/// Where a candidate comes: by whether it has room, its tier, its kind, the blocks it lacks, and its rank in order.
type Place = (u8, usize, u8, u16, usize);

const HAS_ROOM: u8 = 0;
const IS_FULL: u8 = 1;
const IS_LAST_RESORT: u8 = 2;

/// The candidates of all tiers, given one choice for each of the view's tiers.
pub(super) fn candidates<'a>(
    terms: &Terms,
    view: &View,
    choices: impl IntoIterator<Item = &'a Choice>,
    chain: &Chain,
    ask: &Ask,
) -> SmallVec<[Candidate; 8]> {
    let is_only = view.tiers.iter().map(|tier| tier.members.len()).sum::<usize>() == 1;
    let mut ranked: SmallVec<[Ranked; 8]> = SmallVec::new();
    let mut best_tier_spills = None;
    for (level, (tier, choice)) in view.tiers.iter().zip(choices).enumerate() {
        let mut passed_over = None;
        for (rank, &at) in choice.order.iter().enumerate() {
            let member = &tier.members[usize::from(at)];
            let blocks = choice.matched.get(usize::from(at)).copied().unwrap_or(0);
            let past = choice.past.get(usize::from(at)).copied().unwrap_or_default();
            let expected_tokens = chain.tokens(usize::from(past.warm_blocks));
            let cost = member.cost(ask, expected_tokens);
            let (place, reason) = rank_of(terms, member, cost, level, rank, blocks);
            match member.state {
                State::Resting => _ = passed_over.get_or_insert(Reason::SpillThrottled),
                State::Drained => _ = passed_over.get_or_insert(Reason::SpillDrained),
                State::Absent => _ = passed_over.get_or_insert(Reason::SpillAbsent),
                State::Ejected => _ = passed_over.get_or_insert(Reason::SpillEjected),
                State::Ready => {}
            }
            let Some(place) = place else { continue };
            let reason = match reason {
                of_policy if of_policy == terms.reason && is_only => Reason::OnlyChoice,
                Reason::Home => passed_over.unwrap_or(Reason::Home),
                other => other,
            };
            if member.state == State::Ready && (place.0 == IS_FULL || place.2 == FULL_FOR_NEW) {
                passed_over.get_or_insert(Reason::SpillNoRoom);
            }
            let candidate = Candidate {
                deployment: member.deployment,
                reason,
                room: member.room(cost, 1.0),
                cost,
                expected_tokens,
                sent_tokens: chain.tokens(usize::from(past.blocks)),
                newer_tokens: chain.tokens(usize::from(past.newer_blocks)),
                idle: past.idle,
            };
            ranked.push((place, candidate));
        }
        if level == 0 {
            best_tier_spills = passed_over;
        }
    }
    let of_lower_tiers = match best_tier_spills {
        Some(Reason::SpillDrained) => Reason::SpillDrained,
        _ => Reason::Tier,
    };
    in_order(ranked, of_lower_tiers)
}

/// Kinds of candidates with room, in this order.
const WARM: u8 = 0;
const ROOM_FOR_NEW: u8 = 1;
const FULL_FOR_NEW: u8 = 2;

/// A member's place, none if it may not be tried, and its reason if nothing was passed over for it.
fn rank_of(
    terms: &Terms,
    member: &Member,
    cost: f64,
    level: usize,
    rank: usize,
    blocks: u16,
) -> (Option<Place>, Reason) {
    let (fill, usual) = (&terms.fill, terms.reason);
    let fits = |part: f64| member.room(cost, part) >= 0.0;
    match member.state {
        State::Resting | State::Drained | State::Absent => (None, usual),
        State::Ejected => (Some((IS_LAST_RESORT, level, 0, 0, rank)), Reason::LastResort),
        State::Ready if blocks > 0 && fits(fill.warm) => {
            (Some((HAS_ROOM, level, WARM, u16::MAX - blocks, rank)), Reason::Warm)
        }
        State::Ready if fits(terms.full()) => (Some((HAS_ROOM, level, ROOM_FOR_NEW, 0, rank)), usual),
        State::Ready if fits(fill.other) => (Some((HAS_ROOM, level, FULL_FOR_NEW, 0, rank)), usual),
        State::Ready => (Some((IS_FULL, level, 0, 0, rank)), Reason::NoRoom),
    }
}

/// The candidates by their places. Those of lower tiers that have room say that they are of one, or that an operator took out whom the
/// request belonged to: none of them is tried first while a better tier can be used.
fn in_order(mut ranked: SmallVec<[Ranked; 8]>, of_lower_tiers: Reason) -> SmallVec<[Candidate; 8]> {
    ranked.sort_unstable_by_key(|(place, _)| *place);
    let candidates = ranked.into_iter().map(|((room, level, ..), candidate)| Candidate {
        reason: if level > 0 && room == HAS_ROOM {
            of_lower_tiers
        } else {
            candidate.reason
        },
        ..candidate
    });
    candidates.collect()
}
