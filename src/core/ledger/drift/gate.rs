//! Which requests of a route are sampled, and how many there are a day.
//!
//! The first few of each second, so that the cost is bounded whatever comes, a quiet route is seen whole, and of a busy one requests
//! that follow each other are: prompts that carry the minute agree with their neighbours, and would not with one much later.

use std::time::Duration;

/// Most samples of a route in a second: 33 µs each for a head of 4,000 tokens.
pub const SAMPLES_PER_SECOND: u32 = 8;
/// The rate is that of this span and the one before.
const SPAN: Duration = Duration::from_hours(1);
/// Shortest time that a rate is taken from, so that a first burst does not look like a busy day.
const SPAN_MIN: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// One route's requests, counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gate {
    second: u64,
    taken: u32,
    span_began: Duration,
    requests: u64,
    /// Requests of the span before, and how long it was.
    before: (u64, Duration),
}

impl Gate {
    /// A gate that counts from now.
    pub fn new(now: Duration) -> Self {
        Self {
            span_began: now,
            ..Self::default()
        }
    }

    /// Counts a request and says whether it is to be sampled.
    pub fn admit(&mut self, now: Duration) -> bool {
        let ran = now.saturating_sub(self.span_began);
        if ran >= SPAN {
            self.before = (self.requests, ran);
            self.requests = 0;
            self.span_began = now;
        }
        self.requests += 1;
        if self.second != now.as_secs() {
            self.second = now.as_secs();
            self.taken = 0;
        }
        let is_due = self.taken < SAMPLES_PER_SECOND;
        self.taken += u32::from(is_due);
        is_due
    }

    /// Requests a day, if it goes on like the last one or two hours.
    pub fn requests_a_day(&self, now: Duration) -> f64 {
        let ran = now.saturating_sub(self.span_began) + self.before.1;
        (self.requests + self.before.0) as f64 * DAY.as_secs_f64() / ran.max(SPAN_MIN).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_second_are_sampled() {
        let mut gate = Gate::new(Duration::ZERO);
        let mut admitted = |ms| gate.admit(Duration::from_millis(ms));
        let first: Vec<bool> = (0..10).map(|request| admitted(request * 10)).collect();
        assert_eq!(first.iter().filter(|&&is_due| is_due).count(), 8);
        assert_eq!(first[7..], [true, false, false]);
        assert_eq!([admitted(999), admitted(1_000)], [false, true]);
    }

    #[test]
    fn the_rate_is_that_of_the_last_hours() {
        let mut gate = Gate::new(Duration::from_mins(30));
        assert!(gate.requests_a_day(Duration::from_mins(30)) < 0.5);
        // One a minute for three hours, then one every ten seconds for one and a half.
        for minute in 0..180 {
            gate.admit(Duration::from_mins(30 + minute));
        }
        let day = gate.requests_a_day(Duration::from_mins(210));
        assert!((day - 1_440.0).abs() < 15.0, "{day}");
        for ten_seconds in 0..540 {
            gate.admit(Duration::from_mins(210) + Duration::from_secs(10 * ten_seconds));
        }
        let day = gate.requests_a_day(Duration::from_hours(5));
        assert!((day - 8_640.0).abs() < 600.0, "{day}");
    }

    #[test]
    fn a_new_span_goes_on_with_the_rate_of_the_one_before() {
        let mut gate = Gate::new(Duration::ZERO);
        for ten_seconds in 0..=360 {
            gate.admit(Duration::from_secs(10 * ten_seconds));
        }
        let day = gate.requests_a_day(SPAN);
        assert!((day - 8_664.0).abs() < 1.0, "{day}");
    }

    #[test]
    fn a_first_burst_is_not_taken_for_a_busy_day() {
        let mut gate = Gate::new(Duration::ZERO);
        (0..10).for_each(|_| _ = gate.admit(Duration::ZERO));
        assert!(gate.requests_a_day(Duration::ZERO) <= 14_400.0);
    }
}
