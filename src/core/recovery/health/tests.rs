//! Each rule by itself, in time that is only counted.

use super::*;

const RULES: Rules = Rules {
    failure_ratio: 1.0,
    ratio_requests: u32::MAX,
    slow_start: Duration::ZERO,
    max_ejected: 1.0,
    consecutive_failures: 3,
    open_for: Duration::from_secs(10),
    throttle_default: Duration::from_secs(2),
    throttle_max: Duration::from_mins(1),
};

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

fn opened(start: Instant) -> Health {
    let mut health = Health::default();
    assert_eq!(health.end(Effect::Failure, &RULES, start), None);
    assert_eq!(health.end(Effect::Failure, &RULES, start), None);
    assert_eq!(health.end(Effect::Failure, &RULES, start), Some(BreakerState::Open));
    health
}

#[test]
fn failures_in_a_row_open_and_a_success_between_does_not() {
    let start = Instant::now();
    assert_eq!(opened(start).availability(start), Availability::Ejected(at(start, 10)));
    let mut health = Health::default();
    for effect in [
        Effect::Failure,
        Effect::Failure,
        Effect::Works,
        Effect::Failure,
        Effect::Failure,
    ] {
        health.end(effect, &RULES, start);
    }
    assert_eq!(health.availability(start), Availability::Ready);
}

#[test]
fn streams_that_begin_and_break_open_it_too() {
    let start = Instant::now();
    let mut health = Health::default();
    let streams = |health: &mut Health, count: usize| {
        let each = || [Effect::Begins, Effect::Failure];
        let ends = (0..count)
            .flat_map(|_| each())
            .map(|effect| health.end(effect, &RULES, start));
        ends.flatten().collect::<Vec<_>>()
    };
    assert_eq!(streams(&mut health, 2), []);
    assert_eq!(streams(&mut health, 1), [BreakerState::Open]);
    // The probe's stream begins, and so others follow; if it breaks, the first failure is one too many.
    let later = at(start, 10);
    health.begin(later);
    assert_eq!(health.end(Effect::Begins, &RULES, later), Some(BreakerState::Closed));
    assert_eq!(health.end(Effect::Failure, &RULES, later), Some(BreakerState::Open));
    assert_eq!(health.availability(later), Availability::Ejected(at(later, 10)));
    // A stream that comes to its end clears the slate.
    health.end(Effect::Works, &RULES, later);
    assert_eq!(streams(&mut health, 2), []);
}

#[test]
fn one_probe_at_a_time_then_closed() {
    let start = Instant::now();
    let mut health = opened(start);
    let later = at(start, 10);
    assert_eq!(health.availability(later), Availability::Probe);
    health.begin(later);
    assert!(
        matches!(health.availability(later), Availability::Ejected(_)),
        "a second probe at once"
    );
    assert_eq!(health.end(Effect::Works, &RULES, later), Some(BreakerState::Closed));
    assert_eq!(health.availability(later), Availability::Ready);
}

#[test]
fn a_failed_probe_opens_for_twice_as_long() {
    let start = Instant::now();
    let mut health = opened(start);
    let mut now = at(start, 10);
    for lasting in [20, 40, 60, 60] {
        health.begin(now);
        assert_eq!(health.end(Effect::Failure, &RULES, now), Some(BreakerState::Open));
        assert_eq!(health.availability(now), Availability::Ejected(at(now, lasting)));
        now = at(now, lasting);
    }
}

#[test]
fn failures_of_a_last_resort_do_not_prolong_an_open_breaker() {
    let start = Instant::now();
    let mut health = opened(start);
    for tenth in 0..10 {
        let now = start + Duration::from_millis(100 * tenth);
        health.begin(now);
        assert_eq!(health.end(Effect::Failure, &RULES, now), None);
        assert_eq!(health.availability(now), Availability::Ejected(at(start, 10)));
    }
    assert_eq!(health.availability(at(start, 10)), Availability::Probe);
}

#[test]
fn a_last_resort_does_not_take_the_place_of_a_running_probe() {
    let start = Instant::now();
    let mut health = opened(start);
    health.begin(at(start, 10));
    health.begin(at(start, 39));
    assert_eq!(health.availability(at(start, 40)), Availability::Probe);
}

#[test]
fn a_probe_that_taught_nothing_is_given_back() {
    let start = Instant::now();
    let mut health = opened(start);
    let later = at(start, 10);
    health.begin(later);
    health.end(Effect::Nothing, &RULES, later);
    assert!(matches!(health.availability(later), Availability::Ejected(_)));
    health.give_back_probe(later, later);
    assert_eq!(health.availability(later), Availability::Probe);
}

#[test]
fn a_probe_that_never_ends_does_not_block_for_ever() {
    let start = Instant::now();
    let mut health = opened(start);
    health.begin(at(start, 10));
    assert_eq!(health.availability(at(start, 10) + PROBE_MAX), Availability::Probe);
}

#[test]
fn rest_is_capped_defaulted_and_never_shortened() {
    let start = Instant::now();
    let rest = |asked: &[Option<u64>]| {
        let mut health = Health::default();
        for seconds in asked {
            health.end(Effect::Rest(seconds.map(Duration::from_secs)), &RULES, start);
        }
        health.rests_until(start).map(|until| (until - start).as_secs())
    };
    assert_eq!(rest(&[Some(86_400)]), Some(60));
    assert_eq!(rest(&[None]), Some(2));
    assert_eq!(rest(&[Some(30), Some(1)]), Some(30));
}

#[test]
fn a_rest_of_no_time_at_all_is_a_short_one() {
    let start = Instant::now();
    for effect in [Effect::Rest(Some(Duration::ZERO)), Effect::Pause(Duration::ZERO)] {
        let mut health = Health::default();
        health.end(effect, &RULES, start);
        assert_eq!(health.availability(start), Availability::Resting(start + REST_MIN));
        assert_eq!(health.availability(start + REST_MIN), Availability::Ready);
    }
}

#[test]
fn a_pause_is_rest_but_no_sign_of_health() {
    let start = Instant::now();
    let pause = Effect::Pause(Duration::from_secs(5));
    // Failures before it are not forgotten.
    let mut health = Health::default();
    for effect in [Effect::Failure, Effect::Failure, pause] {
        assert_eq!(health.end(effect, &RULES, start), None);
    }
    assert_eq!(health.availability(start), Availability::Resting(at(start, 5)));
    assert!(!health.is_throttled(start));
    assert_eq!(health.end(Effect::Failure, &RULES, start), Some(BreakerState::Open));
    // A probe that meets it proves nothing; the next one may follow after the rest.
    let mut health = opened(start);
    health.begin(at(start, 10));
    health.end(pause, &RULES, at(start, 10));
    assert_eq!(health.state(at(start, 10)), BreakerState::HalfOpen);
    assert_eq!(health.availability(at(start, 10)), Availability::Resting(at(start, 15)));
    assert_eq!(health.availability(at(start, 15)), Availability::Probe);
}

#[test]
fn throttling_never_opens_the_breaker() {
    let start = Instant::now();
    let mut health = Health::default();
    for _ in 0..100 {
        assert_eq!(health.end(Effect::Rest(None), &RULES, start), None);
    }
    assert!(health.is_throttled(start) && !health.is_throttled(at(start, 2)));
    assert_eq!(health.state(start), BreakerState::Closed);
    assert_eq!(health.availability(start), Availability::Resting(at(start, 2)));
    assert_eq!(health.availability(at(start, 2)), Availability::Ready);
}

#[test]
fn an_unusable_deployment_is_set_aside_at_once() {
    let start = Instant::now();
    let mut health = Health::default();
    let effect = Effect::Unusable(Duration::from_secs(30));
    assert_eq!(health.end(effect, &RULES, start), Some(BreakerState::Open));
    assert_eq!(health.availability(start), Availability::Unusable(at(start, 30)));
    assert_eq!(health.availability(at(start, 30)), Availability::Probe);
}

#[test]
fn half_of_many_failing_opens_it_although_none_follow_each_other_for_long() {
    let rules = Rules {
        failure_ratio: 0.5,
        ratio_requests: 20,
        ..RULES
    };
    let start = Instant::now();
    let mut health = Health::default();
    let mut opened = Vec::new();
    for number in 0..20 {
        let effect = if number % 2 == 0 {
            Effect::Works
        } else {
            Effect::Failure
        };
        opened.extend(health.end(effect, &rules, start));
    }
    assert_eq!(opened, [BreakerState::Open]);
    assert_eq!(health.failures_in_a_row, 1);
    // Closed again, it begins with a clean window.
    let later = at(start, 10);
    health.begin(later);
    health.end(Effect::Works, &rules, later);
    assert_eq!(health.end(Effect::Failure, &rules, later), None);
}

#[test]
fn after_recovery_it_gets_a_tenth_and_then_more() {
    let rules = Rules {
        slow_start: Duration::from_secs(20),
        ..RULES
    };
    let start = Instant::now();
    let mut health = opened(start);
    let closed = at(start, 10);
    health.begin(closed);
    health.end(Effect::Works, &rules, closed);
    let mut admitted = |at: Instant| (0..1_000).filter(|_| health.admits(&rules, at)).count();
    let shares = [0, 1, 5, 10, 19, 20].map(|seconds| admitted(at(closed, seconds)));
    assert_eq!(shares, [100, 100, 250, 500, 950, 1_000]);
    assert_eq!(health.availability(at(closed, 5)), Availability::Ready);
    // What was never open is not held back.
    assert!(Health::default().admits(&rules, start));
}

#[test]
fn what_cannot_work_is_told_from_what_failed_and_an_alarm_ends_when_it_works() {
    let start = Instant::now();
    let mut health = Health::default();
    let lasting = Duration::from_mins(1);
    health.end(Effect::Unusable(lasting), &RULES, start);
    assert!(health.raise(Alarm::Paused) && !health.raise(Alarm::Paused));
    assert!(health.raise(Alarm::CredentialRefused));
    assert_eq!(health.availability(start), Availability::Unusable(at(start, 60)));
    health.begin(at(start, 60));
    assert_eq!(
        health.availability(at(start, 60)),
        Availability::Unusable(at(start, 90))
    );
    // A probe that fails otherwise is a failure like any.
    health.end(Effect::Failure, &RULES, at(start, 60));
    assert_eq!(
        health.availability(at(start, 60)),
        Availability::Ejected(at(start, 120))
    );
    assert_eq!(health.alarm(), Some(Alarm::CredentialRefused));
    health.end(Effect::Works, &RULES, at(start, 120));
    assert_eq!(health.alarm(), None);
}

#[test]
fn a_deployment_stands_no_better_than_its_resource() {
    let start = Instant::now();
    let (soon, late) = (at(start, 1), at(start, 2));
    let all = [
        Availability::Ready,
        Availability::Probe,
        Availability::Resting(soon),
        Availability::Ejected(soon),
        Availability::Unusable(soon),
    ];
    for (gravity, one) in all.iter().enumerate() {
        for other in &all[gravity..] {
            assert_eq!((one.and(*other), other.and(*one)), (*other, *other));
        }
    }
    assert_eq!(
        Availability::Ejected(soon).and(Availability::Ejected(late)),
        Availability::Ejected(late)
    );
}

#[test]
fn a_probe_that_took_too_long_gives_back_nobody_elses() {
    let start = Instant::now();
    let mut health = opened(start);
    let (first, second) = (at(start, 10), at(start, 10) + PROBE_MAX);
    assert!(health.begin(first) && health.begin(second));
    health.give_back_probe(first, second);
    assert!(
        matches!(health.availability(second), Availability::Ejected(_)),
        "the second one probes"
    );
    health.give_back_probe(second, second);
    assert_eq!(health.availability(second), Availability::Probe);
}

#[test]
fn what_began_before_the_breaker_opened_is_known_as_older() {
    let start = Instant::now();
    let mut health = opened(at(start, 5));
    assert!(health.has_opened_since(start) && !health.has_opened_since(at(start, 5)));
    health.end(Effect::Works, &RULES, at(start, 6));
    assert!(!health.has_opened_since(start), "it is closed");
}

#[test]
fn one_that_was_made_anew_is_not_judged_by_the_one_before() {
    let start = Instant::now();
    let mut health = opened(start);
    health.raise(Alarm::DeploymentMissing);
    let rules = Rules {
        slow_start: Duration::from_secs(20),
        ..RULES
    };
    health.begin_anew(&rules, at(start, 1));
    assert_eq!(
        (health.availability(at(start, 1)), health.alarm()),
        (Availability::Ready, None)
    );
    let admitted = (0..10).filter(|_| health.admits(&rules, at(start, 1))).count();
    assert!(admitted < 5, "it starts slowly: {admitted}");
}
