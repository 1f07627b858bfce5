//! Reports, refusals, buckets and reloads, step by step.

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[track_caller]
fn is(got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-6, "{got} is not {expected}");
}

#[test]
fn a_report_ages_and_own_sends_are_added() {
    let mut room = Room::new(100.0);
    let sent = room.sent(5.0, seconds(9));
    assert!(room.reported(80.0, 20.0, sent, seconds(10)), "a limit that was lowered");
    assert_eq!((room.limit(), room.used(seconds(10), 1.0)), (80.0, 60.0));
    is(room.used(seconds(40), 1.0), 30.0);
    let sent = room.sent(10.0, seconds(40));
    is(room.used(seconds(40), 1.0), 40.0);
    assert!(!room.reported(80.0, 80.0, sent, seconds(41)));
    is(room.used(seconds(41), 1.0), 0.0);
}

#[test]
fn a_report_counts_what_was_sent_before_its_request_and_no_later_one() {
    let mut room = Room::new(100.0);
    let first = room.sent(10.0, seconds(0));
    let second = room.sent(20.0, seconds(0));
    room.reported(100.0, 90.0, first, seconds(1));
    is(room.used(seconds(1), 1.0), 30.0);
    room.reported(100.0, 70.0, second, seconds(1));
    is(room.used(seconds(1), 1.0), 30.0);
    // The first one's connection was slow: its report is older than what is known.
    room.reported(100.0, 90.0, first, seconds(2));
    is(room.used(seconds(1), 1.0), 30.0);
}

#[test]
fn among_others_a_report_ages_towards_part_of_what_is_usual() {
    let mut room = Room::new(100.0);
    let mut report = |remaining, at| {
        let sent = room.sent(0.0, at);
        room.reported(100.0, remaining, sent, at);
        room.clone()
    };
    let room = report(40.0, seconds(0));
    is(room.used(seconds(0), 4.0), 60.0);
    is(room.used(seconds(30), 4.0), 30.0 + 0.5 * USUAL_PART * 60.0);
    let room = report(80.0, seconds(120));
    // Half of 60 and half of 20 is usual now.
    is(room.used(seconds(150), 4.0), 10.0 + 0.5 * USUAL_PART * 40.0);
    is(room.used(seconds(150), 1.0), 10.0);
}

#[test]
fn without_a_report_own_sends_stand_for_those_of_all() {
    let mut room = Room::new(100.0);
    room.sent(10.0, seconds(0));
    is(room.used(seconds(0), 4.0), 40.0);
    is(room.used(seconds(30), 4.0), 20.0);
    is(room.used(seconds(90), 4.0), 0.0);
}

#[test]
fn more_remaining_than_the_limit_is_nothing_used() {
    let mut room = Room::new(100.0);
    let sent = room.sent(0.0, seconds(0));
    room.reported(100.0, 120.0, sent, seconds(0));
    is(room.used(seconds(0), 1.0), 0.0);
}

#[test]
fn requests_a_minute_fill_it_too() {
    let mut room = Room::new(1_000.0);
    let first = room.sent(0.0, seconds(0));
    let second = room.sent(0.0, seconds(0));
    room.reported_requests(10.0, 4.0, second, seconds(0));
    room.reported_requests(10.0, 9.0, first, seconds(0));
    is(room.used(seconds(0), 1.0), 600.0);
    room.sent(50.0, seconds(30));
    is(room.used(seconds(30), 1.0), 400.0);
    room.refused(Throttle::Requests, seconds(5), seconds(30));
    is(room.used(seconds(30), 1.0), 1_000.0);
    is(room.used(seconds(91), 1.0), 0.0);
}

#[test]
fn a_refusal_for_tokens_is_a_report_of_a_full_minute() {
    let mut room = Room::new(100.0);
    room.refused(Throttle::Tokens, seconds(20), seconds(0));
    is(room.used(seconds(0), 1.0), 100.0);
    is(room.used(seconds(30), 1.0), 50.0);
    let mut unknown = Room::new(f64::INFINITY);
    unknown.refused(Throttle::Tokens, seconds(20), seconds(0));
    is(unknown.used(seconds(0), 1.0), 0.0);
}

#[test]
fn a_bucket_drains_is_put_right_and_learns_from_a_refusal() {
    let mut room = Room::provisioned(600.0, 2.0);
    let sent = room.sent(100.0, seconds(0));
    is(room.used(seconds(0), 2.0), 200.0);
    is(room.used(seconds(10), 2.0), 100.0);
    room.settled(sent, 60.0, seconds(10));
    is(room.used(seconds(10), 2.0), 20.0);
    room.refused(Throttle::Tokens, seconds(6), seconds(10));
    is(room.used(seconds(10), 2.0), 660.0);
    is(room.used(seconds(16), 2.0), 600.0);
    is(room.used(seconds(200), 2.0), 0.0);
}

#[test]
fn what_was_not_taken_counts_nothing_and_no_request_counts_for_ever() {
    for mut room in [Room::new(600.0), Room::provisioned(600.0, 1.0)] {
        let taken = room.sent(50.0, seconds(0));
        let refused = room.sent(4e9, seconds(0));
        room.returned(refused, seconds(0));
        is(room.used(seconds(0), 1.0), 50.0);
        room.settled(taken, 4e9, seconds(0));
        room.sent(4e9, seconds(0));
        assert!(room.used(seconds(0), 1.0) <= 1_200.0, "{room:?}");
        is(room.used(seconds(121), 1.0), 0.0);
    }
}

#[test]
fn a_report_after_refusals_counts_what_was_taken_later_and_nothing_else() {
    let mut room = Room::new(1_000.0);
    let mut send = |tokens| room.sent(tokens, seconds(0));
    let (first, refused, taken, later) = (send(100.0), send(200.0), send(30.0), send(50.0));
    assert_eq!(first.number, 1);
    for sent in [refused, later] {
        room.returned(sent, seconds(0));
    }
    // The refused request's own answer reports: all up to it is counted, of what came later only one was taken.
    room.reported(1_000.0, 900.0, refused, seconds(0));
    is(room.used(seconds(0), 1.0), 100.0 + 30.0);
    room.reported(1_000.0, 870.0, taken, seconds(0));
    is(room.used(seconds(0), 1.0), 130.0);
    is(room.sent_in_all(), 130.0);
}

#[test]
fn refusals_are_remembered_within_a_bound() {
    let mut room = Room::new(1e9);
    for _ in 0..10 * RETURNED_MAX {
        let sent = room.sent(1.0, seconds(0));
        room.returned(sent, seconds(0));
    }
    assert_eq!(room.returned_later.len(), RETURNED_MAX);
}

#[test]
fn a_bucket_without_a_known_rate_learns_nothing_that_a_later_one_would_suffer_from() {
    let mut room = Room::provisioned(f64::INFINITY, 1.0);
    room.sent(100.0, seconds(0));
    room.refused(Throttle::Tokens, seconds(6), seconds(0));
    room.configure(&Room::provisioned(600.0, 1.0));
    assert!(room.used(seconds(1), 1.0) <= 600.0, "{room:?}");
    // A report with its answer is about the deployment that it spilled over to.
    let sent = room.sent(0.0, seconds(1));
    assert!(!room.reported(10.0, 0.0, sent, seconds(1)));
    is(room.limit(), 600.0);
}

#[test]
fn a_changed_capacity_counts_at_once_and_a_reported_limit_outlives_a_reload() {
    let mut room = Room::new(100.0);
    let sent = room.sent(10.0, seconds(0));
    room.reported(50.0, 40.0, sent, seconds(0));
    room.configure(&Room::new(100.0));
    assert_eq!((room.limit(), room.configured()), (50.0, 100.0));
    room.configure(&Room::new(200.0));
    is(room.limit(), 200.0);
    is(room.used(seconds(0), 1.0), 10.0);
}
