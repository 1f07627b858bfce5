//! A deployment's health: its circuit breaker and its rest after a 429, as one small state machine.
//!
//! - *closed*: in use. `consecutive_failures` failures in a row open it.
//! - *open*: set aside for `open_for`, twice as long after every failed probe, at most [`OPEN_MAX`]. A request may still be sent there as
//!   its last resort; that is no probe, so its failure changes nothing.
//! - *half-open*: after that, one request at a time may probe. An answer closes the breaker, a failure opens it again.
//!
//! Failures in a row are forgotten when an answer is whole. A stream that has begun is not yet: else one that always breaks half way
//! would count one failure again and again.
//!
//! Rest is apart from the breaker: a throttled deployment works, so it is passed over until the time it named (within bounds) and
//! nothing is counted against it. One that answers 503 and names a time is passed over too, but has not shown that it works. There is no probing by calls of our own: they would cost tokens and prove little.
//!
//! Transitions take `now`; whoever acts on a change reports it.

use std::time::{Duration, Instant};

use strum::{AsRefStr, IntoStaticStr, VariantArray};

use crate::core::recovery::drain::DrainEnd;
use crate::core::recovery::outcome::Effect;

/// Longest time between two probes of a deployment that keeps failing.
pub const OPEN_MAX: Duration = Duration::from_mins(10);

/// A probe that has not answered after this long no longer keeps others from probing: its request may run for minutes.
const PROBE_MAX: Duration = Duration::from_secs(30);

/// Shortest rest: an upstream may ask for none at all, and would be asked again by every request at once, to no use.
pub const REST_MIN: Duration = Duration::from_millis(100);

/// The configured rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Failures in a row that open the breaker; at least 1.
    pub consecutive_failures: u32,
    /// First time that an opened breaker stays open.
    pub open_for: Duration,
    /// Rest after a 429 that names no time.
    pub throttle_default: Duration,
    /// Longest rest that an upstream can ask for.
    pub throttle_max: Duration,
}

impl Rules {
    /// How long a deployment rests that asked for this.
    pub fn rest(&self, asked: Option<Duration>) -> Duration {
        asked
            .unwrap_or(self.throttle_default)
            .min(self.throttle_max)
            .max(REST_MIN)
    }
}

/// The breaker's state, as the log and the metric name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum BreakerState {
    /// In use.
    Closed,
    /// One probe at a time.
    HalfOpen,
    /// Set aside.
    Open,
}

impl BreakerState {
    /// The state as a number, rising with its gravity: what the metric shows.
    pub fn value(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// Whether a deployment may be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Yes.
    Ready,
    /// Yes, by one request, which is its probe.
    Probe,
    /// It asked to be left alone until then.
    Resting(Instant),
    /// Its breaker is open until then.
    Ejected(Instant),
    /// An operator has taken it out.
    Drained(DrainEnd),
}

/// A deployment's health.
#[derive(Debug, Clone, Default)]
pub struct Health {
    failures_in_a_row: u32,
    breaker: Breaker,
    throttled_until: Option<Instant>,
    paused_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Breaker {
    #[default]
    Closed,
    Open {
        until: Instant,
        lasting: Duration,
    },
    HalfOpen {
        since: Instant,
        lasting: Duration,
    },
}

impl Health {
    /// Whether the deployment may be used.
    pub fn availability(&self, now: Instant) -> Availability {
        match self.breaker {
            Breaker::Open { until, .. } if now < until => return Availability::Ejected(until),
            Breaker::HalfOpen { since, .. } if now < since + PROBE_MAX => {
                return Availability::Ejected(since + PROBE_MAX);
            }
            _ => {}
        }
        match (self.rests_until(now), self.breaker) {
            (Some(until), _) => Availability::Resting(until),
            (_, Breaker::Closed) => Availability::Ready,
            (_, Breaker::Open { .. } | Breaker::HalfOpen { .. }) => Availability::Probe,
        }
    }

    /// The breaker's state.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.breaker {
            Breaker::Closed => BreakerState::Closed,
            Breaker::Open { until, .. } if now < until => BreakerState::Open,
            Breaker::Open { .. } | Breaker::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// When the rest that it asked for ends; none when there is none.
    pub fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.throttled_until.max(self.paused_until).filter(|&until| now < until)
    }

    /// Whether it rests because it was throttled.
    pub fn is_throttled(&self, now: Instant) -> bool {
        self.throttled_until.is_some_and(|until| now < until)
    }

    /// Notes that an attempt begins: where the breaker is due a probe, this is it, and the answer is true. Others, sent as a last
    /// resort, are no probes.
    pub fn begin(&mut self, now: Instant) -> bool {
        let lasting = match self.breaker {
            Breaker::Open { until, lasting } if now >= until => lasting,
            Breaker::HalfOpen { since, lasting } if now >= since + PROBE_MAX => lasting,
            Breaker::Closed | Breaker::Open { .. } | Breaker::HalfOpen { .. } => return false,
        };
        self.breaker = Breaker::HalfOpen { since: now, lasting };
        true
    }

    /// Notes what an attempt taught. Returns the breaker's new state where it changed.
    pub fn end(&mut self, effect: Effect, rules: &Rules, now: Instant) -> Option<BreakerState> {
        let before = self.state(now);
        match effect {
            Effect::Works => {
                self.failures_in_a_row = 0;
                self.breaker = Breaker::Closed;
            }
            Effect::Begins => self.breaker = Breaker::Closed,
            Effect::Nothing => {}
            Effect::Rest(asked) => {
                // A shorter time than one already known does not shorten it: the other limit still holds.
                self.throttled_until = self.throttled_until.max(Some(now + rules.rest(asked)));
                self.failures_in_a_row = 0;
                self.breaker = Breaker::Closed;
            }
            Effect::Pause(asked) => {
                self.paused_until = self.paused_until.max(Some(now + rules.rest(Some(asked))));
                self.give_back_probe(now);
            }
            Effect::Failure => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                self.fail(rules, now);
            }
            Effect::Unusable(lasting) => {
                self.breaker = Breaker::Open {
                    until: now + lasting,
                    lasting,
                }
            }
        }
        let after = self.state(now);
        (before != after).then_some(after)
    }

    /// Opens the breaker where the rules say so: after a failed probe, or after too many failures in a row.
    fn fail(&mut self, rules: &Rules, now: Instant) {
        let lasting = match self.breaker {
            Breaker::HalfOpen { lasting, .. } => (lasting * 2).min(OPEN_MAX.max(rules.open_for)),
            Breaker::Closed if self.failures_in_a_row >= rules.consecutive_failures => rules.open_for,
            // A request that began before the breaker opened says nothing new.
            Breaker::Closed | Breaker::Open { .. } => return,
        };
        self.breaker = Breaker::Open {
            until: now + lasting,
            lasting,
        };
    }

    /// A probe that ended without teaching anything lets the next request probe.
    pub fn give_back_probe(&mut self, now: Instant) {
        if let Breaker::HalfOpen { lasting, .. } = self.breaker {
            self.breaker = Breaker::Open { until: now, lasting };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
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
        for lasting in [20, 40, 80, 160, 320, 600, 600] {
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
        health.give_back_probe(later);
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
        assert_eq!(health.availability(start), Availability::Ejected(at(start, 30)));
        assert_eq!(health.availability(at(start, 30)), Availability::Probe);
    }
}
