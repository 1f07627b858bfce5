//! Plans for small fleets, and what every plan must keep to.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::core::ids::{DeploymentId, PoolId};
use crate::core::topology::{Deployment, Member, ResourceIx, Sku};

const LONG: HeadKey = HeadKey {
    hash: 7,
    is_short: false,
};

fn fleet(tiers: &[usize]) -> (Snapshot, Pool) {
    let mut snapshot = Snapshot::default();
    let mut pool = Pool {
        id: PoolId::from("p"),
        tiers: Vec::new(),
    };
    for &size in tiers {
        let mut tier = Vec::new();
        for _ in 0..size {
            let number = snapshot.deployments.len();
            tier.push(Member {
                deployment: DeploymentIx(number),
                weight: 1.0,
            });
            snapshot.deployments.push(Deployment {
                id: DeploymentId::from(format!("r/{number}")),
                name: "d".to_owned(),
                resource: ResourceIx(0),
                sku: Sku::Standard,
                capacity: None,
                stream_usage: true,
                created_at_ms: None,
                inactivity_days: None,
            });
        }
        pool.tiers.push(tier);
    }
    (snapshot, pool)
}

fn reasons(plan: &Plan) -> Vec<Reason> {
    plan.candidates.iter().map(|candidate| candidate.reason).collect()
}

#[test]
fn a_healthy_pool_starts_at_home_and_knows_its_tiers() {
    let (snapshot, pool) = fleet(&[2, 1]);
    let plan = plan(&snapshot, &pool, LONG, |_| Availability::Ready);
    assert_eq!(reasons(&plan), [Reason::Home, Reason::Home, Reason::Home]);
    assert_eq!(plan.candidates[2].deployment, DeploymentIx(2), "the lower tier is last");
}

#[test]
fn short_prompts_and_single_members_say_so() {
    let (snapshot, pool) = fleet(&[2]);
    let short = HeadKey {
        hash: 1,
        is_short: true,
    };
    assert_eq!(
        plan(&snapshot, &pool, short, |_| Availability::Ready).candidates[0].reason,
        Reason::ShortPrompt
    );
    let (snapshot, pool) = fleet(&[1]);
    assert_eq!(
        reasons(&plan(&snapshot, &pool, LONG, |_| Availability::Ready)),
        [Reason::OnlyChoice]
    );
}

#[test]
fn a_throttled_home_spills_to_the_next_in_its_order() {
    let (snapshot, pool) = fleet(&[3]);
    let now = Instant::now();
    let healthy = plan(&snapshot, &pool, LONG, |_| Availability::Ready);
    let home = healthy.candidates[0].deployment;
    let spilled = plan(&snapshot, &pool, LONG, |deployment| {
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
    let (snapshot, pool) = fleet(&[1, 1]);
    let now = Instant::now();
    let plan = plan(&snapshot, &pool, LONG, |deployment| {
        if deployment.0 == 0 {
            Availability::Resting(now)
        } else {
            Availability::Ready
        }
    });
    assert_eq!(reasons(&plan), [Reason::Tier]);
}

#[test]
fn all_throttled_is_an_empty_plan_with_a_time() {
    let (snapshot, pool) = fleet(&[1, 1]);
    let now = Instant::now();
    let until = |deployment: DeploymentIx| Availability::Resting(now + Duration::from_secs(9 - deployment.0 as u64));
    assert!(plan(&snapshot, &pool, LONG, until).candidates.is_empty());
    assert_eq!(soonest_recovery(&pool, until), Some(now + Duration::from_secs(8)));
}

#[test]
fn all_ejected_are_tried_all_the_same() {
    let (snapshot, pool) = fleet(&[2]);
    let now = Instant::now();
    let plan = plan(&snapshot, &pool, LONG, |_| Availability::Ejected(now));
    assert_eq!(reasons(&plan), [Reason::LastResort, Reason::LastResort]);
}

proptest! {
    #[test]
    fn plans_never_repeat_nor_hold_the_throttled(
        sizes in proptest::collection::vec(1..6_usize, 1..4),
        hash in any::<u64>(),
        states in proptest::collection::vec(0..4_u8, 18),
    ) {
        let (snapshot, pool) = fleet(&sizes);
        let now = Instant::now();
        let state = |deployment: DeploymentIx| match states[deployment.0] {
            0 => Availability::Ready,
            1 => Availability::Probe,
            2 => Availability::Resting(now),
            _ => Availability::Ejected(now),
        };
        let got = plan(&snapshot, &pool, HeadKey { hash, is_short: false }, state);
        let mut seen: Vec<_> = got.candidates.iter().map(|candidate| candidate.deployment).collect();
        prop_assert!(seen.iter().all(|&deployment| !matches!(state(deployment), Availability::Resting(_))));
        seen.sort_unstable();
        let before = seen.len();
        seen.dedup();
        prop_assert_eq!(before, seen.len());
        let usable = (0..snapshot.deployments.len()).filter(|&n| states[n] != 2).count();
        prop_assert_eq!(before, usable);
        let first_ejected = got.candidates.iter().position(|c| c.reason == Reason::LastResort).unwrap_or(before);
        prop_assert!(got.candidates[..first_ejected].iter().all(|c| matches!(state(c.deployment), Availability::Ready | Availability::Probe)));
    }
}
