//! Each policy's first choice, what all of them skip, and that turns are fair.

use proptest::prelude::*;

use super::*;
use crate::core::placement::chain::BlockId;
use crate::core::placement::rendezvous;
use crate::core::placement::view::Tier;
use crate::core::topology::DeploymentIx;

const LIMIT: f64 = 1e6;
const ALL: [Plain; 4] = [Plain::RoundRobin, Plain::LeastBusy, Plain::Latency, Plain::HeadHash];

/// Tiers of so many members, numbered throughout.
fn view(tiers: &[usize]) -> View {
    let mut at = 0;
    let mut tier = |members: usize| Tier {
        members: (0..members)
            .map(|_| {
                at += 1;
                Member::named(DeploymentIx(at - 1), &format!("a/{at}"), LIMIT)
            })
            .collect(),
    };
    View {
        tiers: tiers.iter().map(|&members| tier(members)).collect(),
        replicas: 1.0,
    }
}

/// Ten blocks of 128 tokens; the first eight are the head's.
fn chain(head: u64, tail: u64) -> Chain {
    let id = |of: u64, at: u64| BlockId(u128::from(rendezvous::spread(of << 8 | at)));
    let ids = (0..8)
        .map(|at| id(head, at))
        .chain((8..10).map(|at| id(head ^ tail << 32, at)));
    Chain::of(ids.zip((1..).map(|block: u32| block * 128)))
}

const ASK: Ask = Ask {
    prompt_tokens: 1_280,
    total_tokens: 1_300,
    is_first_turn: true,
    is_cacheable: true,
    session: None,
    draw: 0,
};

fn first(policy: Plain, view: &View, turn: u64) -> usize {
    plan(policy, view, &chain(1, 1), &ASK, turn).candidates[0].deployment.0
}

/// How often each deployment comes first.
fn shares(policy: Plain, view: &View, turns: u64) -> Vec<u64> {
    let mut shares = vec![0; view.tiers[0].members.len()];
    for turn in 0..turns {
        shares[first(policy, view, turn)] += 1;
    }
    shares
}

#[test]
fn turns_are_exact_for_equal_weights_and_in_proportion_for_others() {
    let mut view = view(&[4]);
    let round: Vec<_> = (8..12).map(|turn| first(Plain::RoundRobin, &view, turn)).collect();
    assert_eq!(round, [0, 1, 2, 3]);
    view.tiers[0].members[2].state = State::Resting;
    assert_eq!(shares(Plain::RoundRobin, &view, 300), [100, 100, 0, 100]);
    view.tiers[0].members[2].state = State::Ready;
    for (member, weight) in view.tiers[0].members.iter_mut().zip([1.0, 2.0, 3.0, 10.0]) {
        member.weight = weight;
    }
    for (share, weight) in shares(Plain::RoundRobin, &view, 1_600)
        .into_iter()
        .zip([1_u64, 2, 3, 10])
    {
        assert!(share.abs_diff(100 * weight) <= 4, "{share} for a weight of {weight}");
    }
}

#[test]
fn the_least_busy_for_its_weight_comes_first() {
    let mut view = view(&[3]);
    for (member, load) in view.tiers[0].members.iter_mut().zip([5.0, 3.0, 4.0]) {
        member.load = load;
    }
    assert_eq!(first(Plain::LeastBusy, &view, 7), 1);
    view.tiers[0].members[2].weight = 2.0 * LIMIT;
    assert_eq!(first(Plain::LeastBusy, &view, 7), 2);
    for member in &mut view.tiers[0].members {
        (member.load, member.weight) = (2.0, LIMIT);
    }
    let ties = shares(Plain::LeastBusy, &view, 300);
    assert!(ties.iter().all(|&share| share > 60), "ties go by turn: {ties:?}");
}

#[test]
fn what_is_not_busy_is_used_by_weight_and_not_the_largest_alone() {
    let mut view = view(&[3]);
    for (member, weight) in view.tiers[0].members.iter_mut().zip([1.0, 2.0, 1.0]) {
        member.weight = weight * LIMIT;
    }
    let by_weight = |shares: &[u64]| {
        shares
            .iter()
            .zip([100, 200, 100])
            .all(|(share, due)| share.abs_diff(due) < 40)
    };
    let quiet = shares(Plain::LeastBusy, &view, 400);
    assert!(by_weight(&quiet), "{quiet:?}");
    // Of two that have requests in flight and one that has none, the one: for its weight it has the fewest.
    (view.tiers[0].members[0].load, view.tiers[0].members[1].load) = (1.0, 2.0);
    assert_eq!(shares(Plain::LeastBusy, &view, 100), [0, 0, 100]);
    // One that is busy stays behind those that are not, or before them by its load, whatever chance says of them.
    (view.tiers[0].members[0].load, view.tiers[0].members[1].load) = (9.0, 0.0);
    let two = shares(Plain::LeastBusy, &view, 300);
    assert!(two[0] == 0 && two[1].abs_diff(200) < 40, "{two:?}");
}

#[test]
fn of_two_the_quicker_comes_first_and_the_slowest_of_all_only_for_want_of_room() {
    let mut view = view(&[4]);
    for (member, latency) in view.tiers[0].members.iter_mut().zip([1.0, 1.0, 9.0, 1.0]) {
        member.latency = latency;
    }
    let quick = shares(Plain::Latency, &view, 400);
    assert!(
        quick[2] == 0 && quick.iter().filter(|&&share| share > 80).count() == 3,
        "{quick:?}"
    );
    view.tiers[0].members[2].latency = 0.0;
    let unknown = shares(Plain::Latency, &view, 400);
    assert!((60..140).contains(&unknown[2]), "as good as the quickest: {unknown:?}");
    view.tiers[0].members[2].load = 50.0;
    assert_eq!(
        shares(Plain::Latency, &view, 400)[2],
        0,
        "but its requests in flight count"
    );
    for at in [0, 1, 3] {
        view.tiers[0].members[at].used = LIMIT;
    }
    assert_eq!(shares(Plain::Latency, &view, 100)[2], 100);
    // With two that have room, the choice is always between these two.
    view.tiers[0].members[1].used = 0.0;
    assert_eq!(shares(Plain::Latency, &view, 100)[1], 100);
}

#[test]
fn a_head_has_one_home_whatever_follows_and_says_what_was_passed_over() {
    let mut view = view(&[8]);
    let planned = |view: &View, tail| plan(Plain::HeadHash, view, &chain(1, tail), &ASK, tail);
    let home = planned(&view, 1).candidates[0];
    assert_eq!(home.reason, Reason::Home);
    assert_eq!(planned(&view, 1).key.map(|(at, _)| at), Some(7));
    assert!((2..50).all(|tail| planned(&view, tail).candidates[0] == home));
    let homes: std::collections::BTreeSet<_> = (0..50)
        .map(|head| plan(Plain::HeadHash, &view, &chain(head, 1), &ASK, 0).candidates[0].deployment)
        .collect();
    assert!(homes.len() >= 7, "{homes:?}");
    let second = planned(&view, 1).candidates[1].deployment;
    for (state, used, reason) in [
        (State::Resting, 0.0, Reason::SpillThrottled),
        (State::Ejected, 0.0, Reason::SpillEjected),
        (State::Drained, 0.0, Reason::SpillDrained),
        (State::Ready, LIMIT, Reason::SpillNoRoom),
    ] {
        let member = &mut view.tiers[0].members[home.deployment.0];
        (member.state, member.used) = (state, used);
        let candidate = planned(&view, 1).candidates[0];
        assert_eq!((candidate.deployment, candidate.reason), (second, reason));
    }
}

#[test]
fn every_policy_says_why_and_goes_down_the_tiers() {
    let reasons = [Reason::Turn, Reason::LeastBusy, Reason::Latency, Reason::Home];
    for (policy, reason) in ALL.into_iter().zip(reasons) {
        let mut view = view(&[2, 2]);
        let planned = |view: &View| plan(policy, view, &chain(1, 1), &ASK, 0).candidates;
        let candidates = planned(&view);
        assert_eq!(candidates[0].reason, reason);
        assert!(
            candidates[0].deployment.0 < 2 && candidates[2].deployment.0 >= 2,
            "{candidates:?}"
        );
        let only = plan(policy, &self::view(&[1]), &chain(1, 1), &ASK, 3);
        assert_eq!(only.candidates[0].reason, Reason::OnlyChoice);
        for member in &mut view.tiers[0].members {
            member.used = LIMIT;
        }
        let lower = planned(&view);
        assert_eq!(
            (lower[0].reason, lower[2].reason),
            (Reason::Tier, Reason::NoRoom),
            "{policy:?}"
        );
        assert!(lower[0].deployment.0 >= 2);
        for member in view.tiers.iter_mut().flat_map(|tier| &mut tier.members) {
            member.state = State::Resting;
        }
        assert!(planned(&view).is_empty());
        view.tiers[1].members[0].state = State::Ejected;
        assert_eq!(planned(&view)[0].reason, Reason::LastResort);
    }
}

proptest! {
    /// Nobody twice, nobody that rests, those with room first, the ejected last; the same call gives the same plan.
    #[test]
    fn every_plan_is_sound(
        members in proptest::collection::vec((0.0..2.0_f64, 0.1..4.0_f64, 0_u8..3, 0.0..9.0_f64, 0.0..9.0_f64), 1..12),
        tier in 1_usize..12,
        turn in any::<u64>(),
        head in 0_u64..100,
    ) {
        let tier = tier.min(members.len());
        let mut view = view(&[tier, members.len() - tier]);
        view.tiers.retain(|tier| !tier.members.is_empty());
        let all = view.tiers.iter_mut().flat_map(|tier| &mut tier.members);
        for (member, (used, weight, state, load, latency)) in all.zip(&members) {
            (member.used, member.weight, member.load, member.latency) = (used * LIMIT, *weight, *load, *latency);
            member.state = [State::Ready, State::Resting, State::Ejected][usize::from(*state)];
        }
        let group = |at: usize| match members[at] {
            (.., 2, _, _) => 2,
            (used, ..) if FILL * LIMIT - used * LIMIT < f64::from(ASK.total_tokens) => 1,
            _ => 0,
        };
        for policy in ALL {
            let planned = plan(policy, &view, &chain(head, 1), &ASK, turn);
            prop_assert_eq!(&planned, &plan(policy, &view, &chain(head, 1), &ASK, turn));
            let places: Vec<_> = planned.candidates.iter().map(|candidate| candidate.deployment.0).collect();
            let groups: Vec<_> = places.iter().map(|&at| (group(at), at >= tier)).collect();
            prop_assert!(groups.is_sorted(), "{:?} {:?}", policy, groups);
            let mut usable: Vec<_> = (0..members.len()).filter(|&at| members[at].2 != 1).collect();
            let mut seen = places;
            seen.sort_unstable();
            usable.sort_unstable();
            prop_assert_eq!(seen, usable);
        }
    }
}
