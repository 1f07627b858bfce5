//! Plans: who comes first and why, and what holds for every plan.

use proptest::prelude::*;

use super::*;
use crate::core::placement::rendezvous;
use crate::core::placement::rule::Fill;
use crate::core::placement::view::{Member, State, Tier};

mod held;

const LIMIT: f64 = 1e6;

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

/// A prompt of a head and a conversation, of eight blocks.
fn chain(head: u64, conversation: u64) -> Chain {
    let id = |of: u64, at: u64| BlockId(u128::from(rendezvous::spread(of << 8 | at)));
    let head_blocks = (0..4).map(move |at| id(head, at));
    let own = (4..8).map(move |at| id(head.wrapping_mul(1_000_003) ^ (conversation + 1) << 20, at));
    Chain::of(head_blocks.chain(own).zip((1..).map(|block: u32| block * 512)))
}

fn ask() -> Ask {
    Ask {
        prompt_tokens: 4_096,
        total_tokens: 4_200,
        is_first_turn: false,
        is_cacheable: true,
        session: None,
        draw: 0,
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

fn first(plan: &Plan) -> (usize, Reason) {
    (plan.candidates[0].deployment.0, plan.candidates[0].reason)
}

/// The members of a plan's view, to change.
fn member(view: &mut View, deployment: usize) -> &mut Member {
    let mut members = view.tiers.iter_mut().flat_map(|tier| &mut tier.members);
    members.find(|member| member.deployment.0 == deployment).unwrap()
}

/// Plans and sends a prompt to the first of its plan.
fn send(placement: &Placement, view: &View, prompt: &Chain, now: Duration) -> Plan {
    let plan = placement.plan(view, prompt, &ask(), now);
    let mut members = view.tiers.iter().flat_map(|tier| &tier.members);
    let sent_to = members.find(|member| member.deployment == plan.candidates[0].deployment);
    placement.sent(prompt, ask().prompt_tokens, sent_to.unwrap().seed, now);
    plan
}

/// 1,200 conversations of one head in five minutes, up to the fifteenth.
fn heat_up(placement: &Placement, view: &View, head: u64) {
    for number in 0..1_200 {
        send(
            placement,
            view,
            &chain(head, number),
            minutes(10) + Duration::from_millis(250 * number),
        );
    }
}

#[test]
fn a_cold_head_has_one_home_whatever_follows() {
    let placement = Placement::new(Rule::default());
    let view = view(&[8]);
    let homes: Vec<_> = (0..20)
        .map(|conversation| first(&placement.plan(&view, &chain(1, conversation), &ask(), minutes(60 * conversation))))
        .collect();
    assert!(homes.iter().all(|home| *home == homes[0]), "{homes:?}");
    assert_eq!(homes[0].1, Reason::Home);
}

#[test]
fn a_hot_head_has_several_and_its_conversations_stay_each_at_one() {
    let placement = Placement::new(Rule::default());
    let view = view(&[8]);
    heat_up(&placement, &view, 1);
    let now = minutes(15);
    let home = |conversation| first(&placement.plan(&view, &chain(1, conversation), &ask(), now)).0;
    let homes: std::collections::BTreeSet<_> = (1_000..1_100).map(home).collect();
    assert!(homes.len() >= 4, "{homes:?}");
    assert_eq!(home(5_000), home(5_000));
}

#[test]
fn a_head_that_is_asked_for_often_has_keys_and_one_that_is_not_has_none() {
    let (placement, view) = (Placement::new(Rule::default()), view(&[8]));
    heat_up(&placement, &view, 1);
    let key = |head| placement.plan(&view, &chain(head, 3), &ask(), minutes(15)).cache_key;
    assert!(key(1).is_some_and(|key| key.keys > 1));
    assert_eq!(key(2), None);
}

#[test]
fn a_hot_head_is_explained_as_it_is_planned_also_when_it_has_cooled() {
    let (placement, view) = (Placement::new(Rule::default()), view(&[8]));
    heat_up(&placement, &view, 1);
    let mut homes = Vec::new();
    for minute in [15, 25, 35, 45, 55] {
        let explained = placement.explain(&view, &chain(1, 7), &ask(), minutes(minute));
        assert_eq!(explained, placement.plan(&view, &chain(1, 7), &ask(), minutes(minute)));
        homes.push(explained.homes);
    }
    assert!(homes[0] >= 4 && homes[4] == 1, "{homes:?}");
}

#[test]
fn what_no_deployment_takes_heats_nothing() {
    let placement = Placement::new(Rule::default());
    let view = view(&[8]);
    let huge = Ask {
        prompt_tokens: 8_000_000,
        ..ask()
    };
    for number in 0..100 {
        placement.plan(&view, &chain(1, number), &huge, minutes(10));
    }
    let plan = placement.plan(&view, &chain(1, 1_000), &ask(), minutes(10));
    assert_eq!((plan.homes, plan.key.map(|key| key.0)), (1, Some(0)));
}

#[test]
fn one_limit_that_is_not_known_changes_no_homes() {
    let placement = Placement::new(Rule::default());
    let mut view = view(&[8]);
    heat_up(&placement, &view, 1);
    let homes = |view: &View| placement.explain(view, &chain(1, 5_000), &ask(), minutes(15)).homes;
    let before = homes(&view);
    assert!(before > 1);
    for unknown in [1, 8] {
        (0..unknown).for_each(|at| member(&mut view, at).limit = f64::INFINITY);
        assert_eq!(homes(&view), before, "{unknown} of 8 unknown");
    }
}

#[test]
fn a_session_divides_a_hot_head_in_any_pool_and_no_cold_one() {
    for size in [2, 8] {
        let placement = Placement::new(Rule::default());
        let view = view(&[size]);
        heat_up(&placement, &view, 1);
        let places = |head, of_session: bool| -> std::collections::BTreeSet<usize> {
            let place = |number: u64| {
                let session = of_session.then_some(77);
                let ask = Ask { session, ..ask() };
                first(&placement.explain(&view, &chain(head, 10_000 + number), &ask, minutes(15))).0
            };
            (0..100).map(place).collect()
        };
        assert!(places(1, false).len() > 1, "{size}");
        assert_eq!(places(1, true).len(), 1, "{size}: one session, one place");
        assert_eq!(
            places(2, true),
            places(2, false),
            "{size}: a cold head stays where it is"
        );
    }
}

#[test]
fn where_nothing_caches_the_less_busy_is_taken_and_what_was_sent_is_still_known() {
    let placement = Placement::new(Rule::default());
    let mut view = view(&[2]);
    (0..2).for_each(|at| member(&mut view, at).caches = false);
    let prompt = chain(1, 1);
    let home = send(&placement, &view, &prompt, minutes(1)).candidates[0].deployment.0;
    member(&mut view, home).load = 9.0;
    let plan = placement.plan(&view, &prompt, &ask(), minutes(2));
    assert_eq!(first(&plan), (1 - home, Reason::ByLoad));
    let sent = plan
        .candidates
        .iter()
        .find(|candidate| candidate.deployment.0 == home)
        .unwrap();
    assert_eq!(
        (sent.sent_tokens, sent.expected_tokens, sent.idle),
        (4_096, 0, minutes(1))
    );
}

#[test]
fn where_it_was_sent_comes_first_until_the_cache_forgets() {
    let placement = Placement::new(Rule::default());
    let view = view(&[8]);
    let prompt = chain(1, 1);
    let plan = placement.plan(&view, &prompt, &ask(), minutes(1));
    let second = plan.candidates[1].deployment;
    placement.sent(
        &prompt,
        ask().prompt_tokens,
        view.tiers[0].members[second.0].seed,
        minutes(1),
    );
    let again = placement.plan(&view, &prompt, &ask(), minutes(9));
    assert_eq!(first(&again), (second.0, Reason::Warm));
    assert_eq!(again.candidates[0].expected_tokens, 4_096);
    let later = placement.plan(&view, &prompt, &ask(), minutes(20));
    assert_eq!(first(&later), (plan.candidates[0].deployment.0, Reason::Home));
}

#[test]
fn a_full_home_is_passed_over_for_the_next_in_order() {
    let placement = Placement::new(Rule::default());
    let mut view = view(&[8]);
    let plan = placement.plan(&view, &chain(1, 1), &ask(), minutes(1));
    let (home, second) = (plan.candidates[0].deployment.0, plan.candidates[1].deployment.0);
    member(&mut view, home).used = LIMIT;
    let spilled = placement.plan(&view, &chain(1, 1), &ask(), minutes(1));
    assert_eq!(first(&spilled), (second, Reason::SpillNoRoom));
    let last = spilled.candidates.last().unwrap();
    assert_eq!((last.deployment.0, last.reason), (home, Reason::NoRoom));
    assert!(last.room < 0.0);
}

#[test]
fn what_is_new_leaves_before_what_may_be_warm() {
    let placement = Placement::new(Rule::default());
    let mut view = view(&[8]);
    let prompt = chain(1, 1);
    let home = first(&placement.plan(&view, &prompt, &ask(), minutes(1))).0;
    let seed = view.tiers[0].members[home].seed;
    placement.sent(&prompt, ask().prompt_tokens, seed, minutes(1));
    member(&mut view, home).used = 0.97 * LIMIT;
    assert_eq!(
        first(&placement.plan(&view, &prompt, &ask(), minutes(2))),
        (home, Reason::Warm)
    );
    member(&mut view, home).used = 0.8 * LIMIT;
    // Another head that belongs to the same deployment, and that nobody sent before.
    let other = |head: &u64| {
        first(&Placement::new(Rule::default()).plan(&self::view(&[8]), &chain(*head, 1), &ask(), minutes(1))).0 == home
    };
    let other = (2..100).find(other).unwrap();
    let (elsewhere, reason) = first(&placement.plan(&view, &chain(other, 1), &ask(), minutes(2)));
    assert!(
        elsewhere != home && reason == Reason::SpillNoRoom,
        "{elsewhere} {reason:?}"
    );
    view.replicas = 4.0;
    let among_others = first(&placement.plan(&view, &chain(other, 2), &ask(), minutes(60)));
    assert_eq!(
        among_others,
        (home, Reason::Home),
        "several gateways let nothing leave early"
    );
}

#[test]
fn resting_ones_are_left_out_and_ejected_ones_come_last() {
    let placement = Placement::new(Rule::default());
    let mut view = view(&[3]);
    let plan = placement.plan(&view, &chain(1, 1), &ask(), minutes(1));
    let order: Vec<_> = plan.candidates.iter().map(|candidate| candidate.deployment.0).collect();
    let planned = |view: &View| {
        let plan = placement.plan(view, &chain(1, 1), &ask(), minutes(1));
        plan.candidates
            .iter()
            .map(|candidate| (candidate.deployment.0, candidate.reason))
            .collect::<Vec<_>>()
    };
    member(&mut view, order[0]).state = State::Resting;
    assert_eq!(planned(&view)[0], (order[1], Reason::SpillThrottled));
    member(&mut view, order[0]).state = State::Drained;
    assert_eq!(planned(&view)[0], (order[1], Reason::SpillDrained));
    assert_eq!(planned(&view).len(), 2, "it is not even a last resort");
    member(&mut view, order[0]).state = State::Ejected;
    let with_ejected = planned(&view);
    assert_eq!(with_ejected[0], (order[1], Reason::SpillEjected));
    assert_eq!(with_ejected[2], (order[0], Reason::LastResort));
    for &at in &order {
        member(&mut view, at).state = State::Resting;
    }
    assert!(planned(&view).is_empty());
}

#[test]
fn the_best_tier_with_room_comes_first() {
    let placement = Placement::new(Rule::default());
    let mut view = view(&[1, 2]);
    let tiers = |view: &View| {
        let plan = placement.plan(view, &chain(1, 1), &ask(), minutes(1));
        plan.candidates
            .iter()
            .map(|candidate| candidate.deployment.0 == 0)
            .collect::<Vec<_>>()
    };
    assert_eq!(tiers(&view), [true, false, false]);
    member(&mut view, 0).used = LIMIT;
    assert_eq!(tiers(&view), [false, false, true]);
    let plan = placement.plan(&view, &chain(1, 1), &ask(), minutes(1));
    assert_eq!(first(&plan).1, Reason::Tier);
}

#[test]
fn short_prompts_go_to_the_less_busy_of_two_and_leave_no_trace() {
    let placement = Placement::new(Rule::default());
    let mut view = view(&[8]);
    let short = Ask {
        prompt_tokens: 900,
        ..ask()
    };
    let plan = placement.plan(&view, &chain(1, 1), &short, minutes(1));
    let (busy, second) = (plan.candidates[0].deployment.0, plan.candidates[1].deployment.0);
    assert_eq!(plan.candidates[0].reason, Reason::ShortPrompt);
    member(&mut view, busy).load = 3.0;
    assert_eq!(
        first(&placement.plan(&view, &chain(1, 1), &short, minutes(1))).0,
        second
    );
    assert_eq!(placement.size().blocks, 0);
}

#[test]
fn short_prompts_reach_the_smaller_deployment_too_when_nobody_is_busy() {
    let placement = Placement::new(Rule::default());
    let mut view = view(&[2]);
    member(&mut view, 0).weight = 2.0 * LIMIT;
    let to_smaller = |view: &View, is_cacheable: bool, prompt: fn(u64) -> Chain| {
        let first_of = |draw: u64| {
            let ask = Ask {
                prompt_tokens: if is_cacheable { 900 } else { 4_096 },
                is_cacheable,
                draw,
                ..ask()
            };
            first(&placement.plan(view, &prompt(draw), &ask, minutes(1))).0
        };
        (0..300).filter(|&draw| first_of(draw) == 1).count()
    };
    // A third, by weight: of one prompt as of many, and where a client wants no affinity.
    for (is_cacheable, prompt) in [
        (true, (|_| chain(1, 1)) as fn(u64) -> Chain),
        (true, |number| chain(number, 1)),
        (false, |_| chain(1, 1)),
    ] {
        let smaller = to_smaller(&view, is_cacheable, prompt);
        assert!((70..130).contains(&smaller), "{smaller} of 300");
    }
    // By load as soon as there is some: the larger one has room for another.
    (member(&mut view, 0).load, member(&mut view, 1).load) = (1.0, 1.0);
    assert_eq!(to_smaller(&view, true, |_| chain(1, 1)), 0);
    // What can be cached is placed by its beginning alone.
    let homes: std::collections::BTreeSet<_> = (0..50)
        .map(|draw| first(&placement.plan(&view, &chain(1, 1), &Ask { draw, ..ask() }, minutes(1))).0)
        .collect();
    assert_eq!(homes.len(), 1, "{homes:?}");
}

#[test]
fn one_deployment_is_the_only_choice() {
    let placement = Placement::new(Rule::default());
    let plan = placement.plan(&view(&[1]), &chain(1, 1), &ask(), minutes(1));
    assert_eq!(first(&plan), (0, Reason::OnlyChoice));
}

#[test]
fn memory_is_bounded() {
    let rule = Rule {
        blocks: 1_024,
        ..Rule::default()
    };
    let placement = Placement::new(rule);
    let view = view(&[8]);
    for number in 0..1_000 {
        placement.plan(&view, &chain(number, number), &ask(), minutes(1));
    }
    let size = placement.size();
    assert!(
        size.blocks <= 1_024 && size.blocks_max == 1_024 && size.bytes < 100_000,
        "{size:?}"
    );
}

fn any_member() -> impl Strategy<Value = (f64, f64, u8)> {
    (0.0..2.0_f64, 0.1..4.0_f64, 0_u8..3)
}

proptest! {
    /// Nobody twice, nobody that rests, the ejected last; equal calls on equal memories give equal plans, and one that was
    /// explained before gives what was explained.
    #[test]
    fn every_plan_is_sound(
        members in proptest::collection::vec(any_member(), 1..12),
        tier in 1_usize..12,
        heads in proptest::collection::vec((0_u64..3, 0_u64..5, 0_u64..900, any::<bool>()), 1..40),
    ) {
        let mut view = view(&[tier.min(members.len()), members.len() - tier.min(members.len())]);
        view.tiers.retain(|tier| !tier.members.is_empty());
        for (at, (used, weight, state)) in members.iter().enumerate() {
            let member = member(&mut view, at);
            member.used = used * LIMIT;
            member.weight = *weight;
            member.state = [State::Ready, State::Resting, State::Ejected][usize::from(*state)];
        }
        let (one, other) = (Placement::new(Rule::default()), Placement::new(Rule::default()));
        let mut now = Duration::ZERO;
        for (head, conversation, later, is_first_turn) in heads {
            now += Duration::from_secs(later);
            let ask = Ask { is_first_turn, ..ask() };
            let prompt = chain(head, conversation);
            let (size, explained) = (one.size(), one.explain(&view, &prompt, &ask, now));
            prop_assert_eq!(one.size(), size);
            let plan = one.plan(&view, &prompt, &ask, now);
            prop_assert_eq!(&plan, &explained);
            prop_assert_eq!(&plan, &other.plan(&view, &prompt, &ask, now));
            let mut seen: Vec<_> = plan.candidates.iter().map(|candidate| candidate.deployment).collect();
            let usable = members.iter().filter(|(.., state)| *state != 1).count();
            prop_assert_eq!(seen.len(), usable);
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), usable);
            let ejected = |candidate: &Candidate| members[candidate.deployment.0].2 == 2;
            let from = plan.candidates.iter().position(ejected).unwrap_or(usable);
            prop_assert!(plan.candidates[from..].iter().all(ejected));
            if let Some(candidate) = plan.candidates.first() {
                let seed = rendezvous::seed(&format!("a/{}", candidate.deployment.0 + 1));
                one.sent(&prompt, ask.prompt_tokens, seed, now);
                other.sent(&prompt, ask.prompt_tokens, seed, now);
            }
        }
    }
}

#[test]
fn fills_differ_for_one_gateway_and_several() {
    let rule = Rule::default();
    let new = |replicas| -> Fill { rule.fill(replicas) };
    assert!(new(1.0).new < new(2.0).new);
}

#[test]
fn who_is_to_be_kept_alive_comes_first_unless_it_has_no_room() {
    let candidate = |at: usize, room: f64| Candidate {
        room,
        ..Candidate::new(DeploymentIx(at), Reason::Home)
    };
    let order = |wanted: usize| {
        let mut plan = Plan::default();
        plan.candidates
            .extend([candidate(0, 9.0), candidate(1, -1.0), candidate(2, 9.0)]);
        plan.keep_alive(|deployment| deployment.0 == wanted);
        let first = &plan.candidates[0];
        (first.deployment.0, first.reason, plan.candidates.len())
    };
    assert_eq!(order(2), (2, Reason::Keepalive, 3));
    assert_eq!(order(1), (0, Reason::Home, 3), "it has no room");
    assert_eq!(order(7), (0, Reason::Home, 3));
}

#[test]
fn a_plan_tells_how_full_it_fills_deployments() {
    let placement = Placement::new(Rule::default());
    let (view, prompt) = (view(&[2]), chain(1, 1));
    let full = |ask: Ask| placement.explain(&view, &prompt, &ask, minutes(1)).full.to_bits();
    assert_eq!(full(ask()), 0.7_f64.to_bits(), "not known yet");
    send(&placement, &view, &prompt, minutes(1));
    assert_eq!(full(ask()), 0.95_f64.to_bits(), "it goes on");
    let short = Ask {
        prompt_tokens: 10,
        is_first_turn: true,
        ..ask()
    };
    assert_eq!(full(short), 0.95_f64.to_bits(), "placed by load");
}

#[test]
fn every_reason_is_told_in_the_manual() {
    let manual = include_str!("../../../../docs/placement.md");
    let (_, reasons) = manual.split_once("### Reasons\n").expect("a heading");
    let (reasons, _) = reasons.split_once("\n## ").expect("a next one");
    for reason in Reason::VARIANTS {
        let word = format!("`{}`", reason.as_ref());
        let is_told = reasons
            .lines()
            .any(|line| line.starts_with("| `") && line.contains(&word));
        assert!(is_told, "docs/placement.md does not tell {word}");
    }
}
