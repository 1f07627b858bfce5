//! The nested walk: from a prompt's blocks and their heat to its key block and the order of deployments.
//!
//! It begins with all deployments of a tier. A block whose load needs several homes, but not all of those left, keeps
//! the first of its own rendezvous order; the first block that needs a single home is the *key block*, and its order inside
//! what is left, then outside, is the order of choice. So a cold head keeps one home whatever follows it; a hot head has
//! as many homes as its load needs, and its continuations are divided among them; and doubling or halving the homes
//! moves only half of them. Loads are shares of what all replicas see, so replicas agree without talking.
//!
//! Homes follow a block's load with hysteresis: raised when the load surely ([`Rule::certainty`] standard errors below what was counted)
//! needs more, lowered when it surely needs less than [`Rule::lower`] of them.

use smallvec::SmallVec;

use super::chain::BlockId;
use super::rendezvous;
use super::rule::Rule;
use super::view::{MEMBERS_MAX, Member};

/// Positions of members in their tier, in some order.
pub(super) type Order = SmallVec<[u8; 16]>;

/// Homes that a block needs: a power of two, at most `most`.
///
/// `counted` are its decayed tokens, `per_token` the homes that one of them needs, `one` the tokens of this request, and
/// `had` the homes it has.
pub(super) fn homes(rule: &Rule, counted: f64, per_token: f64, one: f64, had: u8, most: usize) -> u8 {
    let had = f64::from(had.max(1));
    let error = rule.certainty * (counted * one).sqrt();
    let (surely, at_most) = ((counted - error) * per_token, (counted + error) * per_token);
    let needed = if surely > had {
        surely
    } else if had > 1.0 && at_most < rule.lower * had {
        at_most
    } else {
        return (had as usize).min(most) as u8;
    };
    let needed = (needed.ceil().max(1.0) as usize).min(most);
    needed.next_power_of_two().min(most) as u8
}

/// The members that are left of a tier as the walk goes on.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    members: &'a [Member],
    left: Order,
}

impl<'a> Walk<'a> {
    pub(super) fn new(members: &'a [Member]) -> Self {
        Self {
            members,
            left: all(members),
        }
    }

    /// Members that are left.
    pub(super) fn homes(&self) -> usize {
        self.left.len()
    }

    /// A block that needs `homes`: keeps that many of what is left.
    pub(super) fn narrow(&mut self, id: BlockId, homes: u8) {
        let homes = usize::from(homes);
        if homes > 1 && homes < self.left.len() {
            sort(id.low(), self.members, &mut self.left);
            span_regions(self.members, &mut self.left, homes);
            self.left.truncate(homes);
        }
    }

    /// The order of choice for a key, commonly the key block's: inside what is left, then outside.
    pub(super) fn order(mut self, key: u64) -> Order {
        sort(key, self.members, &mut self.left);
        let mut outside = all(self.members);
        outside.retain(|at| !self.left.contains(at));
        sort(key, self.members, &mut outside);
        self.left.extend(outside);
        self.left
    }
}

/// All members, at most [`MEMBERS_MAX`].
pub(super) fn all(members: &[Member]) -> Order {
    (0..members.len().min(MEMBERS_MAX)).map(|at| at as u8).collect()
}

/// Sorts members into a key's weighted rendezvous order.
pub(super) fn sort(key: u64, members: &[Member], order: &mut Order) {
    let score = |at: u8| {
        let member = &members[usize::from(at)];
        rendezvous::weighted(rendezvous::draw(key, member.seed), member.weight)
    };
    let mut scored: SmallVec<[(f64, u8); 16]> = order.iter().map(|&at| (score(at), at)).collect();
    scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    order.clear();
    order.extend(scored.into_iter().map(|(_, at)| at));
}

/// Where the first `homes` are all in one region and there are others, the last of them gives its place to the first of
/// another region: the loss of a region leaves a warm home.
fn span_regions(members: &[Member], order: &mut Order, homes: usize) {
    let region = |at: u8| members[usize::from(at)].region;
    let first = region(order[0]);
    if order[..homes].iter().any(|&at| region(at) != first) {
        return;
    }
    if let Some(elsewhere) = order.iter().position(|&at| region(at) != first) {
        let other = order.remove(elsewhere);
        order.insert(homes - 1, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::topology::DeploymentIx;

    fn members(regions: &[u32]) -> Vec<Member> {
        let named = |(at, &region): (usize, &u32)| Member {
            region,
            ..Member::named(DeploymentIx(at), &format!("a/{at}"), 1e5)
        };
        regions.iter().enumerate().map(named).collect()
    }

    #[test]
    fn homes_rise_when_surely_needed_and_fall_late() {
        let rule = Rule::default();
        let check = |counted: f64, had, expected| {
            let got = homes(&rule, counted, 1e-5, 1_000.0, had, 8);
            assert_eq!(got, expected, "{counted} tokens with {had}");
        };
        let most = homes(&rule, 5e9, 1e-5, 1.0, 1, MEMBERS_MAX);
        assert_eq!(usize::from(most), MEMBERS_MAX);
        check(0.0, 0, 1);
        check(1.05e5, 1, 1); // 1.05 homes, give or take 0.1
        check(1.5e5, 1, 2);
        check(3.5e5, 2, 4);
        check(5e7, 2, 8);
        check(1.8e5, 4, 4); // 0.45 of what it has
        check(1.2e5, 4, 2);
        check(0.0, 8, 1);
    }

    #[test]
    fn homes_are_never_more_than_the_members() {
        for most in 1..=9 {
            assert!(usize::from(homes(&Rule::default(), 1e12, 1.0, 1.0, 1, most)) <= most);
        }
        assert_eq!(homes(&Rule::default(), 0.0, f64::INFINITY, 1.0, 1, 3), 1);
    }

    #[test]
    fn doubling_the_homes_keeps_those_it_had() {
        let members = members(&[0; 16]);
        for id in (0..200).map(BlockId) {
            let set = |homes| {
                let mut walk = Walk::new(&members);
                walk.narrow(id, homes);
                walk.left
            };
            let (two, four) = (set(2), set(4));
            assert!(two.iter().all(|at| four.contains(at)));
        }
    }

    #[test]
    fn two_homes_span_regions_where_the_pool_does() {
        let members = members(&[1, 1, 1, 1, 1, 1, 1, 2]);
        for id in (0..200).map(BlockId) {
            let mut walk = Walk::new(&members);
            walk.narrow(id, 2);
            assert!(walk.left.contains(&7));
            assert_eq!(walk.order(id.low() + 1_000).len(), 8);
        }
    }
}
