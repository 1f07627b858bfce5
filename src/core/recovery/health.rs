//! A deployment's health, or a whole resource's: its circuit breaker and its rest after a 429, as one small state machine.
//!
//! - *closed*: in use. `consecutive_failures` failures in a row open it, or a share of failures of
//!   [`failure_ratio`](Rules::failure_ratio) among enough ends in [`WINDOW`](super::window::WINDOW).
//! - *open*: set aside for `open_for`, twice as long after every failed probe, at most [`OPEN_MAX`]. A request may still be sent there as
//!   its last resort; that is no probe, so its failure changes nothing.
//! - *half-open*: after that, one request at a time may probe. An answer closes the breaker, a failure opens it again.
//! - *slow start*: after it has closed, a growing share of plans may count on it, from a tenth to all in `slow_start`; to the others
//!   it is a last resort. A host that has just come back is not met by all of its load at once.
//!
//! Failures in a row are forgotten when an answer is whole. A stream that has begun is not yet: else one that always breaks half way
//! would count one failure again and again.
//!
//! Rest is apart from the breaker: a throttled deployment works, so it is passed over until the time it named (within bounds) and
//! nothing is counted against it. One that answers 503 and names a time is passed over too, but has not shown that it works. There
//! is no probing by calls of our own: they would cost tokens and prove little.
//!
//! Transitions take `now`; whoever acts on a change reports it.

use std::time::{Duration, Instant};

use strum::{AsRefStr, IntoStaticStr, VariantArray};

use crate::core::recovery::absence::Absence;
use crate::core::recovery::drain::DrainEnd;
use crate::core::recovery::outcome::{Alarm, Effect};
use crate::core::recovery::window::Window;

/// Longest time between two probes of a deployment that keeps failing.
pub const OPEN_MAX: Duration = Duration::from_mins(1);

/// A probe that has not answered after this long no longer keeps others from probing: its request may run for minutes.
const PROBE_MAX: Duration = Duration::from_secs(30);

/// Shortest rest: an upstream may ask for none at all, and would be asked again by every request at once, to no use.
pub const REST_MIN: Duration = Duration::from_millis(100);

/// The share of plans that a deployment gets at least during slow start.
pub const SLOW_START_MIN: f64 = 0.1;

/// The configured rules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Failures in a row that open the breaker; at least 1.
    pub consecutive_failures: u32,
    /// Share of failures among the ends of attempts that opens the breaker; above 0 and at most 1.
    pub failure_ratio: f64,
    /// Fewer ends than this in the window tell nothing of a share; at least 1.
    pub ratio_requests: u32,
    /// First time that an opened breaker stays open.
    pub open_for: Duration,
    /// How long after it has closed it gets less than its share; zero for not at all.
    pub slow_start: Duration,
    /// Most of a pool's members whose breakers may be open since they failed, as a share; one may in any case. Above 0 and at most 1.
    pub max_ejected: f64,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, AsRefStr, IntoStaticStr, VariantArray)]
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
    /// Its breaker is open until then, since it failed.
    Ejected(Instant),
    /// Its breaker is open until then, since it cannot work before somebody mends it.
    Unusable(Instant),
    /// An operator has taken it out.
    Drained(DrainEnd),
    /// The control plane says that it cannot answer, or is not to.
    Absent(Absence),
}

impl Availability {
    /// Of a deployment that stands so, on a resource that stands so: whatever keeps it out for longer.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let gravity = |availability: Self| match availability {
            Self::Ready => (0, None),
            Self::Probe => (1, None),
            Self::Resting(until) => (2, Some(until)),
            Self::Ejected(until) => (3, Some(until)),
            Self::Unusable(until) => (4, Some(until)),
            Self::Drained(end) => (5, end.time()),
            Self::Absent(_) => (6, None),
        };
        if gravity(other) > gravity(self) { other } else { self }
    }
}

/// A deployment's health.
#[derive(Debug, Clone, Default)]
pub struct Health {
    failures_in_a_row: u32,
    window: Window,
    breaker: Breaker,
    /// Whether the breaker opened because it cannot work, not because it failed.
    is_unusable: bool,
    /// When the breaker opened last.
    opened_at: Option<Instant>,
    /// When the breaker closed, while that is not long ago.
    recovering_since: Option<Instant>,
    /// Shares of plans that were not given to it during slow start.
    owed: f64,
    alarm: Option<Alarm>,
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
            Breaker::Open { until, .. } if now < until => return self.out_until(until),
            Breaker::HalfOpen { since, .. } if now < since + PROBE_MAX => return self.out_until(since + PROBE_MAX),
            _ => {}
        }
        match (self.rests_until(now), self.breaker) {
            (Some(until), _) => Availability::Resting(until),
            (_, Breaker::Closed) => Availability::Ready,
            (_, Breaker::Open { .. } | Breaker::HalfOpen { .. }) => Availability::Probe,
        }
    }

    fn out_until(&self, until: Instant) -> Availability {
        if self.is_unusable {
            Availability::Unusable(until)
        } else {
            Availability::Ejected(until)
        }
    }

    /// Whether a plan that is made now may count on it, if it is ready: during slow start the share of plans that may grows from
    /// [`SLOW_START_MIN`] to all.
    pub fn admits(&mut self, rules: &Rules, now: Instant) -> bool {
        let Some(since) = self.recovering_since else {
            return true;
        };
        let passed = now.saturating_duration_since(since);
        if passed >= rules.slow_start {
            self.recovering_since = None;
            return true;
        }
        // A little more, so that ten tenths are one.
        self.owed += 1e-9 + passed.div_duration_f64(rules.slow_start).max(SLOW_START_MIN);
        let is_due = self.owed >= 1.0;
        if is_due {
            self.owed -= 1.0;
        }
        is_due
    }

    /// The share of plans that may count on it; 1 when it is not starting slowly.
    pub fn share(&self, rules: &Rules, now: Instant) -> f64 {
        let passed = self.recovering_since.map(|since| now.saturating_duration_since(since));
        let passed = passed.filter(|&passed| passed < rules.slow_start);
        passed.map_or(1.0, |passed| {
            passed.div_duration_f64(rules.slow_start).max(SLOW_START_MIN)
        })
    }

    /// What an operator must look at, if anything.
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarm
    }

    /// Notes what an operator must look at, until it works again. Whether that is new.
    pub fn raise(&mut self, alarm: Alarm) -> bool {
        self.alarm.replace(alarm) != Some(alarm)
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
                self.window.note(false, now);
                self.close(rules, now);
            }
            Effect::Begins => self.close(rules, now),
            Effect::Nothing => {}
            Effect::Rest(asked) => {
                // A shorter time than one already known does not shorten it: the other limit still holds.
                self.throttled_until = self.throttled_until.max(Some(now + rules.rest(asked)));
                self.failures_in_a_row = 0;
                self.close(rules, now);
            }
            Effect::Pause(asked) => {
                self.paused_until = self.paused_until.max(Some(now + rules.rest(Some(asked))));
                self.reopen(now);
            }
            Effect::Failure => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                self.window.note(true, now);
                self.fail(rules, now);
            }
            Effect::Unusable(lasting) => {
                self.is_unusable = true;
                self.opened_at = Some(now);
                self.breaker = Breaker::Open {
                    until: now + lasting,
                    lasting,
                }
            }
        }
        let after = self.state(now);
        (before != after).then_some(after)
    }

    /// It answers: the breaker closes.
    fn close(&mut self, rules: &Rules, now: Instant) {
        self.alarm = None;
        if !matches!(self.breaker, Breaker::Closed) {
            self.breaker = Breaker::Closed;
            self.is_unusable = false;
            self.window = Window::default();
            self.recovering_since = (!rules.slow_start.is_zero()).then_some(now);
            self.owed = 0.0;
        }
    }

    /// Opens the breaker where the rules say so: after a failed probe, after too many failures in a row, or when too large a share fails.
    fn fail(&mut self, rules: &Rules, now: Instant) {
        let lasting = match self.breaker {
            Breaker::HalfOpen { lasting, .. } => (lasting * 2).min(OPEN_MAX.max(rules.open_for)),
            Breaker::Closed
                if self.failures_in_a_row >= rules.consecutive_failures
                    || self.window.fails(rules.failure_ratio, rules.ratio_requests, now) =>
            {
                rules.open_for
            }
            // A request that began before the breaker opened says nothing new.
            Breaker::Closed | Breaker::Open { .. } => return,
        };
        self.is_unusable = false;
        self.opened_at = Some(now);
        self.breaker = Breaker::Open {
            until: now + lasting,
            lasting,
        };
    }

    /// Closes the breaker that has just opened by failures, since too many others are open already; they count from none again.
    /// What cannot work stays set aside.
    pub fn stay(&mut self) {
        if self.is_unusable {
            return;
        }
        self.breaker = Breaker::Closed;
        self.failures_in_a_row = 0;
        self.window = Window::default();
    }

    /// It is another one than before, by what the control plane says: what was held against the one before is forgotten, and it starts
    /// slowly.
    pub fn begin_anew(&mut self, rules: &Rules, now: Instant) {
        *self = Self {
            recovering_since: (!rules.slow_start.is_zero()).then_some(now),
            ..Self::default()
        };
    }

    /// A probe that began then and ended without teaching anything lets the next request probe, unless another one probes already.
    pub fn give_back_probe(&mut self, began: Instant, now: Instant) {
        if matches!(self.breaker, Breaker::HalfOpen { since, .. } if since == began) {
            self.reopen(now);
        }
    }

    /// Lets the next request probe.
    fn reopen(&mut self, now: Instant) {
        if let Breaker::HalfOpen { lasting, .. } = self.breaker {
            self.breaker = Breaker::Open { until: now, lasting };
        }
    }

    /// Whether the breaker has opened after an attempt that began then: that it works says nothing new.
    pub fn has_opened_since(&self, began: Instant) -> bool {
        matches!(self.breaker, Breaker::Open { .. }) && self.opened_at.is_some_and(|opened| began < opened)
    }
}

#[cfg(test)]
mod tests;
