//! The way of a deployment from its loss until it serves again, step by step.

use proptest::prelude::*;

use super::*;

const KEEP: Rule = Rule {
    policy: Policy::Keep,
    may_write: true,
    seed: 7,
};

/// Plays events, `minutes` apart, and shows each state with what is to be done.
#[track_caller]
fn check(rule: Rule, events: &[(i64, Event)], expected: &str) {
    let (mut state, mut now_ms) = (State::There, 1_000_000);
    let mut shown = Vec::new();
    for (minutes, event) in events {
        now_ms += minutes * MINUTE_MS;
        let (next, command) = step(state, *event, rule, now_ms);
        state = next;
        let command = command.map_or_else(String::new, |command| format!("!{}", command.as_str()));
        shown.push(format!("{}{command}", state.as_str()));
    }
    assert_eq!(shown.join(" "), expected);
}

const SUCCEEDED: Event = Event::Shown(Provisioning::Succeeded);
const CREATING: Event = Event::Shown(Provisioning::Creating);
const FAILED: Event = Event::Failed { is_final: false };

#[test]
fn a_loss_is_confirmed_rebuilt_and_back() {
    check(
        KEEP,
        &[
            (0, Event::NotFound),
            (0, Event::NotFound),
            (0, Event::Missing),
            (0, Event::NotFound),
            (1, CREATING),
            (1, Event::Missing),
            (2, SUCCEEDED),
            (1, Event::NotFound),
            (1, Event::Answered),
        ],
        "doubted!look doubted creating!create creating creating creating propagating propagating there!rejoin",
    );
}

#[test]
fn a_404_of_what_is_there_makes_nothing() {
    check(
        KEEP,
        &[
            (0, Event::NotFound),
            (1, Event::Tick),
            (0, SUCCEEDED),
            (1, Event::NotFound),
            (15, Event::Tick),
        ],
        "doubted!look doubted!look propagating propagating there!rejoin",
    );
    check(
        KEEP,
        &[(0, Event::NotFound), (0, Event::Answered)],
        "doubted!look there",
    );
}

#[test]
fn by_policy_it_waits_for_need_or_stays_away() {
    let rule = |policy| Rule { policy, ..KEEP };
    let events = [(0, Event::Missing), (1, Event::Tick), (1, Event::Needed)];
    check(
        rule(Policy::Recreate { at_once: false }),
        &events,
        "lost lost creating!create",
    );
    let at_once = rule(Policy::Recreate { at_once: true });
    check(at_once, &[(0, Event::Missing)], "creating!create");
    check(rule(Policy::Expire), &events, "lost lost lost");
    check(rule(Policy::DeleteAfter { days: 3 }), &events, "lost lost lost");
    let read_only = Rule {
        may_write: false,
        ..KEEP
    };
    check(read_only, &events, "lost!alarm lost lost");
    // Once writing is allowed, the next look has it made.
    let (lost, _) = step(State::There, Event::Missing, read_only, 0);
    assert_eq!(step(lost, Event::Missing, KEEP, 5).1, Some(Command::Create));
}

#[test]
fn failures_wait_longer_and_end_with_an_alarm() {
    check(
        KEEP,
        &[
            (0, Event::Missing),
            (0, FAILED),
            (0, Event::Needed),
            (2, Event::Tick),
            (0, FAILED),
            (4, Event::Tick),
            (0, Event::Shown(Provisioning::Failed)),
            (8, Event::Tick),
            (30, Event::Tick),
            (16, Event::Tick),
            (0, FAILED),
            (60, Event::Tick),
            (0, Event::Reset),
        ],
        "creating!create waiting waiting creating!create waiting creating!create waiting creating!create waiting creating!create \
         given_up!alarm given_up doubted!look",
    );
    check(
        KEEP,
        &[(0, Event::Missing), (0, Event::Failed { is_final: true })],
        "creating!create given_up!alarm",
    );
    check(
        KEEP,
        &[(0, Event::Missing), (1, Event::Missing), (15, Event::Missing)],
        "creating!create creating waiting",
    );
}

#[test]
fn one_failure_that_is_seen_again_and_again_counts_once_and_who_is_given_up_is_quiet() {
    let failed = Event::Shown(Provisioning::Failed);
    check(
        KEEP,
        &[(0, Event::Missing), (0, failed), (0, failed), (0, failed), (4, failed)],
        "creating!create waiting waiting waiting creating!create",
    );
    check(
        KEEP,
        &[
            (0, Event::Missing),
            (0, Event::Failed { is_final: true }),
            (2, failed),
            (2, CREATING),
            (2, SUCCEEDED),
        ],
        "creating!create given_up!alarm given_up given_up propagating",
    );
    let disabled = Event::Shown(Provisioning::Disabled);
    check(
        KEEP,
        &[(0, Event::NotFound), (0, disabled), (2, disabled), (2, disabled)],
        "doubted!look given_up!alarm given_up given_up",
    );
    check(
        KEEP,
        &[
            (0, Event::Missing),
            (0, Event::Busy),
            (0, Event::Tick),
            (1, Event::Tick),
        ],
        "creating!create waiting waiting creating!create",
    );
}

#[test]
fn what_we_delete_is_not_lost() {
    let by_policy = Rule {
        policy: Policy::DeleteAfter { days: 3 },
        ..KEEP
    };
    check(
        by_policy,
        &[(0, Event::Deleting), (0, Event::Missing), (9, Event::Tick)],
        "lost lost lost",
    );
    check(
        KEEP,
        &[
            (0, Event::NotFound),
            (0, Event::Shown(Provisioning::Deleting)),
            (1, Event::Tick),
            (0, Event::Missing),
        ],
        "doubted!look doubted doubted!look creating!create",
    );
    check(
        KEEP,
        &[(0, Event::NotFound), (0, Event::Shown(Provisioning::Disabled))],
        "doubted!look given_up!alarm",
    );
}

fn event() -> impl Strategy<Value = Event> {
    prop::sample::select(vec![
        Event::NotFound,
        Event::Answered,
        Event::Needed,
        Event::Missing,
        SUCCEEDED,
        CREATING,
        Event::Shown(Provisioning::Failed),
        FAILED,
        Event::Failed { is_final: true },
        Event::Busy,
        Event::Shown(Provisioning::Disabled),
        Event::Deleting,
        Event::Tick,
    ])
}

proptest! {
    #[test]
    fn after_a_failed_creation_the_next_waits(
        events in prop::collection::vec((0..5 * MINUTE_MS, event()), 0..200),
        policy in prop::sample::select(vec![Policy::Keep, Policy::Recreate { at_once: false }, Policy::Recreate { at_once: true }, Policy::Expire, Policy::DeleteAfter { days: 1 }]),
    ) {
        let rule = Rule { policy, ..KEEP };
        let (mut state, mut now_ms, mut failed_at) = (State::There, 0, None);
        for (ms, event) in events {
            now_ms += ms;
            let before = state;
            let (next, command) = step(state, event, rule, now_ms);
            state = next;
            if event != Event::Busy && matches!(state, State::Waiting { .. }) && !matches!(before, State::Waiting { .. }) {
                failed_at = Some(now_ms);
            }
            // Somebody made it, or took it away on purpose: the failure is of the past.
            if matches!(event, Event::Answered | Event::Deleting) || matches!(state, State::There | State::Propagating { .. }) {
                failed_at = None;
            }
            if command == Some(Command::Alarm) {
                prop_assert!(before != state, "told again of {before:?}");
            }
            if command == Some(Command::Create) {
                prop_assert!(policy.rebuilds());
                prop_assert!(!matches!(before, State::Creating { .. } | State::GivenUp), "made while {before:?}");
                let waited = failed_at.is_none_or(|at| now_ms - at >= BACKOFF.first_ms / 2);
                prop_assert!(waited, "{:?} at {now_ms}", failed_at);
            }
        }
    }
}
