//! Limits in virtual time.

use proptest::prelude::*;

use super::*;

const REQUESTS: LimitRule = LimitRule {
    requests_per_minute: Some(60),
    tokens_per_minute: None,
    concurrency: None,
};
const TOKENS: LimitRule = LimitRule {
    requests_per_minute: None,
    tokens_per_minute: Some(6_000),
    concurrency: None,
};

/// A tally, its rule and a clock.
struct Played {
    tally: Tally,
    rule: LimitRule,
    replicas: f64,
    now: Instant,
}

impl Played {
    fn new(rule: LimitRule) -> Self {
        Self {
            tally: Tally::default(),
            rule,
            replicas: 1.0,
            now: Instant::now(),
        }
    }

    fn pass(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }

    /// Takes the request if it is let in; else says why not.
    fn ask(&mut self, tokens: u32) -> Option<Excess> {
        let excess = self.tally.excess(&self.rule, self.replicas, tokens, self.now);
        if excess.is_none() {
            self.tally.take(&self.rule, self.replicas, tokens, self.now);
        }
        excess
    }

    fn end(&mut self, taken: u32, used: u64) {
        self.tally.settle(&self.rule, self.replicas, taken, used, self.now);
    }

    /// How many of so many requests are let in now.
    fn let_in(&mut self, tokens: u32) -> usize {
        (0..1_000_000).take_while(|_| self.ask(tokens).is_none()).count()
    }

    fn after(&mut self, tokens: u32) -> f64 {
        let excess = self.ask(tokens).expect("not let in");
        excess.after.expect("some day").as_secs_f64()
    }

    fn remaining(&self, kind: LimitKind) -> u64 {
        let standing = self.tally.standing(&self.rule, self.replicas, kind, self.now);
        standing.expect("a limit").remaining
    }
}

#[test]
fn a_minutes_worth_may_come_at_once_and_drains_within_a_minute() {
    let mut played = Played::new(REQUESTS);
    assert_eq!(played.let_in(1), 60);
    assert!((played.after(1) - 1.0).abs() < 1e-6);
    played.pass(0.5);
    assert!((played.after(1) - 0.5).abs() < 1e-6);
    played.pass(0.5);
    assert_eq!(played.let_in(1), 1);
    played.pass(30.0);
    assert_eq!(played.let_in(1), 30);
    played.pass(3_600.0);
    assert_eq!(played.let_in(1), 60, "no more than a minute's worth is saved up");
}

#[test]
fn who_comes_back_when_told_is_let_in() {
    for tokens in [1, 7, 333, 5_999, 6_000] {
        let mut played = Played::new(TOKENS);
        assert_eq!(played.let_in(tokens), 6_000 / tokens as usize);
        let after = played.after(tokens);
        played.pass(after);
        assert_eq!(played.ask(tokens), None, "{tokens}");
    }
}

#[test]
fn what_was_estimated_is_set_right() {
    let mut played = Played::new(TOKENS);
    assert_eq!(played.ask(5_000), None);
    assert_eq!(played.remaining(LimitKind::Tokens), 1_000);
    played.end(5_000, 100);
    assert_eq!(played.remaining(LimitKind::Tokens), 5_900);
    assert_eq!(played.ask(100), None);
    // Much more than was thought is owed in full.
    played.end(100, 12_000);
    assert_eq!(played.remaining(LimitKind::Tokens), 0);
    assert!((played.after(1) - 61.01).abs() < 1e-6);
    played.pass(121.0);
    assert_eq!(played.remaining(LimitKind::Tokens), 6_000);
    // One that was refused in the end, long after it came, gives back no more than is still counted.
    assert_eq!(played.ask(6_000), None);
    played.pass(50.0);
    played.end(6_000, 0);
    assert_eq!(played.remaining(LimitKind::Tokens), 6_000);
}

#[test]
fn what_never_fits_is_told_so() {
    let mut played = Played::new(TOKENS);
    let excess = Excess {
        kind: LimitKind::Tokens,
        limit: 6_000,
        after: None,
    };
    assert_eq!(played.ask(6_001), Some(excess));
    assert_eq!(played.ask(6_000), None);
}

#[test]
fn so_many_at_one_time() {
    let mut played = Played::new(LimitRule {
        concurrency: Some(2),
        ..LimitRule::default()
    });
    assert_eq!(played.let_in(1_000_000), 2);
    assert_eq!(played.ask(1).map(|excess| excess.kind), Some(LimitKind::Concurrency));
    played.end(1, 1);
    assert_eq!(played.let_in(1), 1);
    for _ in 0..3 {
        played.end(1, 1);
    }
    assert_eq!(played.let_in(1), 2, "an end too many is no room");
}

#[test]
fn of_several_the_longest_wait_is_told() {
    let mut played = Played::new(LimitRule {
        concurrency: Some(1),
        ..REQUESTS
    });
    assert_eq!(played.ask(1), None);
    assert_eq!(played.ask(1).map(|excess| excess.kind), Some(LimitKind::Concurrency));
    played.rule.requests_per_minute = Some(1);
    assert_eq!(played.ask(1).map(|excess| excess.kind), Some(LimitKind::Requests));
    played.rule.tokens_per_minute = Some(1);
    assert_eq!(played.ask(2).map(|excess| excess.kind), Some(LimitKind::Tokens));
}

#[test]
fn another_limit_holds_at_once() {
    let mut played = Played::new(TOKENS);
    assert_eq!(played.ask(1_000), None);
    played.rule.tokens_per_minute = Some(1_500);
    assert_eq!(played.remaining(LimitKind::Tokens), 500);
    assert!((played.after(1_000) - 20.0).abs() < 1e-6);
    played.rule.tokens_per_minute = Some(10_000);
    assert_eq!(played.remaining(LimitKind::Tokens), 9_000);
}

#[test]
fn gateways_that_share_a_limit_grant_their_parts() {
    let mut played = Played::new(TOKENS);
    played.replicas = 4.0;
    assert_eq!(played.let_in(100), 15);
    // One that is larger than the part goes when nothing is counted, and is paid for in time.
    assert_eq!(played.ask(6_000).map(|excess| excess.after.is_some()), Some(true));
    played.pass(60.0);
    assert_eq!(played.ask(6_000), None);
    assert!((played.after(100) - 184.0).abs() < 1e-6);
    let mut few = Played::new(LimitRule {
        requests_per_minute: Some(1),
        concurrency: Some(1),
        tokens_per_minute: None,
    });
    few.replicas = 2.0;
    assert_eq!(few.let_in(1), 1);
    few.end(1, 1);
    assert!((few.after(1) - 120.0).abs() < 1e-6);
}

#[test]
fn the_tightest_is_shown() {
    let standing = |limit, remaining| Standing {
        limit,
        remaining,
        reset: Duration::ZERO,
    };
    assert_eq!(standing(10, 3).tighter(standing(5, 4)), standing(10, 3));
    assert_eq!(standing(10, 3).tighter(standing(5, 3)), standing(5, 3));
    assert_eq!(standing(10, 3).tighter(standing(99, 2)), standing(99, 2));
}

proptest! {
    /// Within any span of time there come no more tokens than the limit's rate and one minute's worth beside.
    #[test]
    fn the_rate_holds(asks in prop::collection::vec((0.0_f64..20.0, 1_u32..6_000, 0.0_f64..1.5), 1..200)) {
        let mut played = Played::new(TOKENS);
        let start = played.now;
        let mut used = 0.0;
        let mut debt_max: f64 = 0.0;
        for (pause, tokens, share) in asks {
            played.pass(pause);
            if played.ask(tokens).is_none() {
                let really = (f64::from(tokens) * share) as u64;
                played.end(tokens, really);
                used += really as f64;
                debt_max = debt_max.max(really as f64 - f64::from(tokens));
            }
            let minutes = (played.now - start).as_secs_f64() / MINUTE_S;
            prop_assert!(used <= 6_000.0 * (1.0 + minutes) + debt_max.max(0.0) + 1.0);
        }
    }
}
