//! The guard's words, day by day.

use super::*;
use crate::core::calendar::shown_date;

const START: i64 = 20_000 * DAY_MS;

fn watched(id: &DeploymentId, policy: Policy, clock: Clock) -> Watched<'_> {
    Watched {
        id,
        policy,
        sku: Sku::Standard,
        rule_days: Some(15),
        days: None,
        clock,
        is_there: true,
        price: Some(Price {
            input: Some(0.4),
            output: Some(1.6),
            ..Price::default()
        }),
    }
}

fn created() -> Clock {
    Clock {
        created_at_ms: Some(START),
        ..Clock::default()
    }
}

const MINE: Replica<'_> = Replica {
    name: "a",
    holds_lease: true,
};

/// Hours since the creation, and what is due, steered, warned of and why.
#[track_caller]
fn check(policy: Policy, hours: i64, expected: &str) {
    let id = DeploymentId::from("x/a");
    let verdict = judge(
        &watched(&id, policy, created()),
        Efforts::default(),
        MINE,
        START + hours * HOUR_MS,
    );
    assert_eq!(shown(&verdict), expected, "{policy:?} after {hours} h");
}

fn shown(verdict: &Verdict) -> String {
    let due = verdict.due.map_or("-", Action::as_str);
    let steers = if verdict.steers { "steers" } else { "-" };
    format!("{due} {steers} {} {}", verdict.alarm.as_str(), verdict.reason.as_str())
}

#[test]
fn each_policy_day_by_day() {
    check(Policy::Keep, 1, "- - none active");
    check(Policy::Keep, 9 * 24, "- - none idle");
    check(Policy::Keep, 10 * 24, "- - soon idle");
    check(Policy::Keep, 12 * 24, "- steers soon organic");
    check(Policy::Keep, 13 * 24 + 11, "- steers soon organic");
    check(Policy::Keep, 13 * 24 + 18, "call steers soon due");
    check(Policy::Keep, 14 * 24, "call steers urgent due");
    // A gateway that was off finds it overdue, and acts at once.
    check(Policy::Keep, 15 * 24 + 1, "call steers overdue due");
    check(Policy::Keep, 300 * 24, "call steers overdue due");
    check(Policy::Recreate { at_once: false }, 14 * 24, "- - urgent policy");
    check(Policy::Expire, 13 * 24, "- - soon policy");
    check(Policy::DeleteAfter { days: 3 }, 71, "- - none idle");
    check(Policy::DeleteAfter { days: 3 }, 72, "delete - none due");
    check(Policy::DeleteAfter { days: 30 }, 14 * 24, "- - urgent policy");
}

#[test]
fn a_success_starts_the_clock_anew() {
    let id = DeploymentId::from("x/a");
    let clock = Clock {
        last_success_at_ms: Some(START + 5 * DAY_MS),
        ..created()
    };
    let verdict = judge(
        &watched(&id, Policy::Keep, clock),
        Efforts::default(),
        MINE,
        START + 14 * DAY_MS,
    );
    assert_eq!(shown(&verdict), "- - none idle");
    assert_eq!(verdict.deletion_at_ms, Some(START + 20 * DAY_MS));
    assert!(verdict.is_exact);
}

#[test]
fn clocks_merge_by_the_later_and_first_sights_by_the_earlier() {
    let one = Clock {
        created_at_ms: Some(5),
        last_success_at_ms: None,
        first_seen_ms: Some(9),
    };
    let other = Clock {
        created_at_ms: Some(3),
        last_success_at_ms: Some(7),
        first_seen_ms: Some(2),
    };
    let both = Clock {
        created_at_ms: Some(5),
        last_success_at_ms: Some(7),
        first_seen_ms: Some(2),
    };
    assert_eq!(one.merge(other), both);
    assert_eq!(other.merge(one), both);
    assert_eq!(both.merge(Clock::default()), both);
}

#[test]
fn without_the_lease_only_the_last_day_counts() {
    let id = DeploymentId::from("x/a");
    let watched = watched(&id, Policy::Keep, created());
    let other = Replica {
        name: "b",
        holds_lease: false,
    };
    let at = |hours: i64| judge(&watched, Efforts::default(), other, START + hours * HOUR_MS);
    assert_eq!(shown(&at(13 * 24 + 19)), "- steers soon not_mine");
    let next = at(13 * 24 + 19).next.expect("planned");
    assert!((START + 14 * DAY_MS..START + 14 * DAY_MS + JITTER_MS).contains(&next.at_ms));
    assert_eq!(shown(&at(14 * 24 + 6)), "call steers urgent due");
    // Nor does it delete.
    let deleting = Watched {
        policy: Policy::DeleteAfter { days: 3 },
        ..watched
    };
    let verdict = judge(&deleting, Efforts::default(), other, START + 4 * DAY_MS);
    assert_eq!(shown(&verdict), "- - none not_mine");
}

#[test]
fn calls_are_spread_and_tried_again_with_patience() {
    let id = DeploymentId::from("x/a");
    let watched = watched(&id, Policy::Keep, created());
    let first_due = |name| {
        let replica = Replica {
            name,
            holds_lease: true,
        };
        let due = |minute: &i64| {
            let at = START + 13 * DAY_MS + PATIENCE_MS + minute * MINUTE_MS;
            judge(&watched, Efforts::default(), replica, at).due.is_some()
        };
        (0..7 * 60).find(due).expect("due within the spread")
    };
    let dues = ["a", "b", "c", "d"].map(first_due);
    assert!(dues.iter().any(|due| *due != dues[0]), "{dues:?}");
    let now = START + 13 * DAY_MS + 19 * HOUR_MS;
    let failed = |failures, ago_ms| Efforts {
        failures,
        called_at_ms: Some(now - ago_ms),
        steered_at_ms: None,
    };
    let reason = |efforts| judge(&watched, efforts, MINE, now).reason.as_str();
    assert_eq!(reason(failed(0, 5_000)), "backoff", "one that may still run");
    assert_eq!(reason(failed(1, MINUTE_MS)), "due");
    assert_eq!(reason(failed(9, 29 * MINUTE_MS)), "backoff");
    assert_eq!(reason(failed(9, HOUR_MS)), "due");
}

#[test]
fn one_request_is_steered_at_a_time() {
    let id = DeploymentId::from("x/a");
    let now = START + 12 * DAY_MS;
    let steers = |ago_ms| {
        let efforts = Efforts {
            steered_at_ms: Some(now - ago_ms),
            ..Efforts::default()
        };
        judge(&watched(&id, Policy::Keep, created()), efforts, MINE, now).steers
    };
    assert_eq!((steers(1_000), steers(STEER_PAUSE_MS)), (false, true));
}

#[test]
fn what_nothing_is_known_of_is_seen_to_at_once() {
    let id = DeploymentId::from("x/a");
    let clock = Clock {
        first_seen_ms: Some(START),
        ..Clock::default()
    };
    let at = |minutes: i64| {
        judge(
            &watched(&id, Policy::Keep, clock),
            Efforts::default(),
            MINE,
            START + minutes * MINUTE_MS,
        )
    };
    assert_eq!(shown(&at(0)), "- steers none nothing_known");
    assert_eq!(shown(&at(60)), "call steers none nothing_known");
    assert!(!at(0).is_exact);
    assert!(at(0).sentence(15).contains("by "), "{}", at(0).sentence(15));
}

#[test]
fn a_rule_of_another_length_is_kept_in_proportion() {
    let id = DeploymentId::from("x/a");
    let at = |hours: i64| {
        let watched = Watched {
            rule_days: Some(3),
            days: None,
            ..watched(&id, Policy::Keep, created())
        };
        shown(&judge(&watched, Efforts::default(), MINE, START + hours * HOUR_MS))
    };
    assert_eq!(at(47), "- - none idle");
    assert_eq!(at(48), "- - soon idle");
    assert_eq!(at(58), "- steers soon organic");
    assert_eq!(at(66), "call steers soon due");
}

#[test]
fn the_developer_tier_and_what_has_no_rule_are_left_alone() {
    let id = DeploymentId::from("x/a");
    let developer = |policy, hours: i64| {
        let watched = Watched {
            sku: Sku::DeveloperTier,
            ..watched(&id, policy, created())
        };
        judge(&watched, Efforts::default(), MINE, START + hours * HOUR_MS)
    };
    assert_eq!(shown(&developer(Policy::Keep, 1)), "- - none developer_tier");
    assert_eq!(shown(&developer(Policy::Keep, 17)), "- - soon developer_tier");
    assert_eq!(shown(&developer(Policy::Keep, 24)), "- - overdue developer_tier");
    let rebuild = developer(Policy::Recreate { at_once: true }, 1).next.expect("planned");
    assert_eq!((rebuild.action, rebuild.at_ms), (Action::Rebuild, START + DAY_MS));
    let without = |change: fn(&mut Watched<'_>)| {
        let mut watched = watched(&id, Policy::Keep, created());
        change(&mut watched);
        shown(&judge(&watched, Efforts::default(), MINE, START + 30 * DAY_MS))
    };
    assert_eq!(without(|watched| watched.rule_days = None), "- - none no_rule");
    assert_eq!(without(|watched| watched.is_there = false), "- - none gone");
}

#[test]
fn the_sentence_has_the_rule_the_dates_and_the_cost() {
    let id = DeploymentId::from("x/a");
    let verdict = judge(
        &watched(&id, Policy::Keep, created()),
        Efforts::default(),
        MINE,
        START + 12 * DAY_MS,
    );
    let cost = verdict.next.and_then(|next| next.micro_usd).expect("a cost");
    assert!((cost - (8.0 * 0.4 + 16.0 * 1.6)).abs() < 1e-9, "{cost}");
    let sentence = verdict.sentence(15);
    let expected = format!(
        "idle for 12 d; Azure deletes deployments of fine-tuned models after 15 days without a successful call: on {}; next: `call` on {}, 0.000029 USD",
        shown_date(START + 15 * DAY_MS),
        shown_date(START + 13 * DAY_MS),
    );
    assert_eq!(sentence, expected);
}

#[test]
fn policies_that_never_call_have_a_last_day_too() {
    let id = DeploymentId::from("x/a");
    let watched = Watched {
        days: Some(GuardDays {
            warn: 10,
            steer: u32::MAX,
            call: u32::MAX,
        }),
        ..watched(&id, Policy::Expire, created())
    };
    let at = |days: i64| shown(&judge(&watched, Efforts::default(), MINE, START + days * DAY_MS));
    assert_eq!(at(13), "- - soon policy");
    assert_eq!(at(14), "- - urgent policy");
}

#[test]
fn what_was_just_seen_for_the_first_time_is_not_deleted_for_what_was_before() {
    let id = DeploymentId::from("x/a");
    let seen_at = START + 8 * DAY_MS;
    let clock = Clock {
        first_seen_ms: Some(seen_at),
        ..created()
    };
    let policy = Policy::DeleteAfter { days: 3 };
    let at = |days: i64| {
        judge(
            &watched(&id, policy, clock),
            Efforts::default(),
            MINE,
            seen_at + days * DAY_MS,
        )
    };
    assert_eq!(shown(&at(0)), "- - none idle");
    assert!(!at(0).deletes_now(seen_at));
    assert_eq!(shown(&at(3)), "delete - none due");
    // Azure deletes after 15 days. One that is there after 20 is called by somebody.
    assert_eq!(shown(&at(12)), "- - none used_elsewhere");
    assert!(
        at(12).sentence(15).contains("nobody else called it"),
        "{}",
        at(12).sentence(15)
    );
}

#[test]
fn a_clock_that_ran_ahead_does_not_hide_idleness() {
    let id = DeploymentId::from("x/a");
    let clock = Clock {
        last_success_at_ms: Some(START + 19 * DAY_MS),
        ..created()
    };
    let now = START + 14 * DAY_MS;
    let efforts = Efforts {
        called_at_ms: Some(now + DAY_MS),
        failures: 1,
        ..Efforts::default()
    };
    let verdict = judge(&watched(&id, Policy::Keep, clock), efforts, MINE, now);
    assert_eq!(shown(&verdict), "call steers urgent due");
    assert_eq!(verdict.deletion_at_ms, Some(START + 15 * DAY_MS));
}
