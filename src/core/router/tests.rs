//! Plans for small fleets, and what every plan must keep to.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::core::ids::PoolId;
use crate::core::placement::chain::{Chain, ChainBuilder, ChainKey};
use crate::core::placement::plan::Placement;
use crate::core::placement::rule::Rule;
use crate::core::placement::view::{Ask, CACHE_LIFE};
use crate::core::recovery::drain::DrainEnd;
use crate::core::topology::{Member, testing};

fn fleet(tiers: &[usize]) -> (Snapshot, Pool) {
    let names: Vec<String> = (0..tiers.iter().sum())
        .map(|number: usize| number.to_string())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let snapshot = testing::fleet(&[("r", "eastus2", &names)]);
    let mut pool = Pool {
        id: PoolId::from("p"),
        tiers: Vec::new(),
    };
    let mut numbers = (0..snapshot.deployments.len()).map(DeploymentIx);
    for &size in tiers {
        let tier = numbers.by_ref().take(size).map(|deployment| Member {
            deployment,
            weight: 1.0,
        });
        pool.tiers.push(tier.collect());
    }
    (snapshot, pool)
}

/// A prompt that begins with these words, again and again.
fn prompt(words: &str, tokens: usize) -> (Chain, Ask) {
    let mut chain = ChainBuilder::new(ChainKey::new("p"));
    chain.push(words.repeat(4 * tokens / words.len()).as_bytes());
    let ask = Ask {
        prompt_tokens: tokens as u32,
        total_tokens: tokens as u32,
        is_first_turn: true,
        is_cacheable: true,
        session: None,
        draw: 0,
    };
    (chain.finish(), ask)
}

fn plan_of(
    (snapshot, pool): &(Snapshot, Pool),
    (chain, ask): &(Chain, Ask),
    availability: impl Fn(DeploymentIx) -> Availability,
) -> Plan {
    let view = view(&outline(snapshot, pool), |deployment| Known {
        availability: availability(deployment),
        is_admitted: true,
        share: 1.0,
        limit: f64::INFINITY,
        used: 0.0,
        in_flight: 0.0,
        latency: 0.0,
        cache_life: CACHE_LIFE,
        lost_before: Duration::ZERO,
        caches: true,
    });
    Placement::new(Rule::default()).plan(&view, chain, ask, Duration::ZERO)
}

fn reasons(plan: &Plan) -> Vec<Reason> {
    plan.candidates.iter().map(|candidate| candidate.reason).collect()
}

#[test]
fn a_healthy_pool_starts_at_home_and_knows_its_tiers() {
    let plan = plan_of(&fleet(&[2, 1]), &prompt("long ", 2_000), |_| Availability::Ready);
    assert_eq!(reasons(&plan), [Reason::Home, Reason::Home, Reason::Tier]);
    assert_eq!(plan.candidates[2].deployment, DeploymentIx(2), "the lower tier is last");
}

#[test]
fn short_prompts_and_single_members_say_so() {
    let short = plan_of(&fleet(&[2]), &prompt("short ", 1_000), |_| Availability::Ready);
    assert_eq!(short.candidates[0].reason, Reason::ShortPrompt);
    let only = plan_of(&fleet(&[1]), &prompt("long ", 2_000), |_| Availability::Ready);
    assert_eq!(reasons(&only), [Reason::OnlyChoice]);
}

#[test]
fn a_throttled_home_spills_to_the_next_in_its_order() {
    let (fleet, prompt) = (fleet(&[3]), prompt("long ", 2_000));
    let now = Instant::now();
    let healthy = plan_of(&fleet, &prompt, |_| Availability::Ready);
    let home = healthy.candidates[0].deployment;
    let spilled = plan_of(&fleet, &prompt, |deployment| {
        if deployment == home {
            Availability::Resting(now)
        } else {
            Availability::Ready
        }
    });
    assert_eq!(spilled.candidates[0].deployment, healthy.candidates[1].deployment);
    assert_eq!(reasons(&spilled), [Reason::SpillThrottled, Reason::SpillThrottled]);
}

#[test]
fn a_lower_tier_says_why_it_is_used() {
    let now = Instant::now();
    let plan = plan_of(&fleet(&[1, 1]), &prompt("long ", 2_000), |deployment| {
        if deployment.0 == 0 {
            Availability::Resting(now)
        } else {
            Availability::Ready
        }
    });
    assert_eq!(reasons(&plan), [Reason::Tier]);
}

#[test]
fn a_lower_tier_that_is_used_because_of_a_drain_says_so() {
    let until = || Availability::Drained(DrainEnd::WhenUndone);
    let check = |tiers: &[usize], drained: &[usize], expected: &[Reason]| {
        let plan = plan_of(&fleet(tiers), &prompt("long ", 2_000), |deployment| {
            if drained.contains(&deployment.0) {
                until()
            } else {
                Availability::Ready
            }
        });
        assert_eq!(reasons(&plan), expected, "{tiers:?} {drained:?}");
    };
    check(&[1, 1], &[0], &[Reason::SpillDrained]);
    check(&[2, 2], &[0, 1], &[Reason::SpillDrained, Reason::SpillDrained]);
    check(&[1, 1], &[1], &[Reason::Home]);
    check(&[1, 1, 1], &[1], &[Reason::Home, Reason::Tier]);
}

#[test]
fn all_throttled_is_an_empty_plan_with_a_time() {
    let fleet = fleet(&[1, 1]);
    let now = Instant::now();
    let until = |deployment: DeploymentIx| Availability::Resting(now + Duration::from_secs(9 - deployment.0 as u64));
    assert!(plan_of(&fleet, &prompt("long ", 2_000), until).candidates.is_empty());
    assert_eq!(soonest_recovery(&fleet.1, until), Some(now + Duration::from_secs(8)));
}

#[test]
fn all_ejected_are_tried_all_the_same() {
    let now = Instant::now();
    let plan = plan_of(&fleet(&[2]), &prompt("long ", 2_000), |_| Availability::Ejected(now));
    assert_eq!(reasons(&plan), [Reason::LastResort, Reason::LastResort]);
}

proptest! {
    #[test]
    fn plans_never_repeat_nor_hold_who_is_throttled_or_drained(
        sizes in proptest::collection::vec(1..6_usize, 1..4),
        words in "[a-z]{1,8}",
        tokens in 1..3_000_usize,
        states in proptest::collection::vec(0..5_u8, 18),
    ) {
        let fleet = fleet(&sizes);
        let now = Instant::now();
        let state = |deployment: DeploymentIx| match states[deployment.0] {
            0 => Availability::Ready,
            1 => Availability::Probe,
            2 => Availability::Resting(now),
            3 => Availability::Ejected(now),
            _ => Availability::Drained(DrainEnd::WhenUndone),
        };
        let got = plan_of(&fleet, &prompt(&words, tokens), state);
        let mut seen: Vec<_> = got.candidates.iter().map(|candidate| candidate.deployment).collect();
        let is_left_out = |state| matches!(state, Availability::Resting(_) | Availability::Drained(_));
        prop_assert!(seen.iter().all(|&deployment| !is_left_out(state(deployment))));
        seen.sort_unstable();
        let before = seen.len();
        seen.dedup();
        prop_assert_eq!(before, seen.len());
        let usable = (0..fleet.0.deployments.len()).filter(|&n| ![2, 4].contains(&states[n])).count();
        prop_assert_eq!(before, usable);
        let first_ejected = got.candidates.iter().position(|c| c.reason == Reason::LastResort).unwrap_or(before);
        prop_assert!(got.candidates[..first_ejected].iter().all(|c| matches!(state(c.deployment), Availability::Ready | Availability::Probe)));
    }
}
