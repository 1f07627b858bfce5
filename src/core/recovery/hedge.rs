//! Hedging: when an answer is late by the route's own measure, and how many second attempts may be begun for that.
//!
//! Late is later than 19 of 20 answers of the route began lately; streams and whole answers are measured apart, since one begins
//! with its first token and the other with its last. Of each second attempt one answer is thrown away and probably billed, so there
//! is a bound on their share.

use std::time::{Duration, Instant};

use crate::core::recovery::window::Halves;

/// What times and shares are taken from: between half of this and all of it.
const WINDOW: Duration = Duration::from_mins(10);
/// Fewer answers tell nothing of what is late.
const ANSWERS_MIN: u32 = 40;
/// The share of answers that are not late.
const IN_TIME: f64 = 0.95;
/// Buckets of times: four a doubling, from a millisecond to half an hour.
const BUCKETS: usize = 84;
const BUCKETS_PER_DOUBLING: f64 = 4.0;
const LEAST: Duration = Duration::from_millis(1);

/// A route's rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HedgeRule {
    /// Most second attempts as a share of the route's requests; 0 for none, at most 1.
    pub max_share: f64,
}

impl HedgeRule {
    /// Whether there are any.
    pub fn is_on(self) -> bool {
        self.max_share > 0.0
    }
}

/// What is known of a route's answers and second attempts. Constant memory, about 1.5 KiB; time linear in the buckets.
#[derive(Debug, Clone, Default)]
pub struct Hedging {
    streams: Halves<Times>,
    whole: Halves<Times>,
    counts: Halves<Counts>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    requests: u32,
    hedges: u32,
}

/// How many answers began in which time.
#[derive(Debug, Clone, Copy)]
struct Times([u32; BUCKETS]);

impl Default for Times {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Hedging {
    /// Notes a request.
    pub fn arrived(&mut self, now: Instant) {
        let (counts, _) = self.counts.within(WINDOW, now);
        counts.requests = counts.requests.saturating_add(1);
    }

    /// Notes that an answer began after this time, counted from its attempt's beginning; or, of an attempt that another one overtook,
    /// that it would have taken longer.
    pub fn began(&mut self, is_stream: bool, took: Duration, now: Instant) {
        let (times, _) = self.times(is_stream).within(WINDOW, now);
        let bucket = &mut times.0[bucket(took)];
        *bucket = bucket.saturating_add(1);
    }

    /// After how long an answer that has not begun is late; none while that is not known.
    pub fn late_after(&mut self, is_stream: bool, now: Instant) -> Option<Duration> {
        let (newer, older) = self.times(is_stream).within(WINDOW, now);
        let each = newer
            .0
            .iter()
            .zip(older.0)
            .map(|(newer, older)| newer.saturating_add(older));
        let all: u32 = each.clone().fold(0, u32::saturating_add);
        if all < ANSWERS_MIN {
            return None;
        }
        let in_time = (IN_TIME * f64::from(all)).ceil();
        let mut seen = 0.0;
        let last = each.into_iter().position(|answers| {
            seen += f64::from(answers);
            seen >= in_time
        })?;
        Some(upper_bound(last))
    }

    /// Whether the rule allows one more second attempt now.
    pub fn has_left(&mut self, rule: HedgeRule, now: Instant) -> bool {
        let (newer, older) = self.counts.within(WINDOW, now);
        let requests = newer.requests.saturating_add(older.requests);
        let hedges = newer.hedges.saturating_add(older.hedges);
        f64::from(hedges) + 1.0 <= rule.max_share * f64::from(requests)
    }

    /// Notes a second attempt.
    pub fn spend(&mut self, now: Instant) {
        let (counts, _) = self.counts.within(WINDOW, now);
        counts.hedges = counts.hedges.saturating_add(1);
    }

    fn times(&mut self, is_stream: bool) -> &mut Halves<Times> {
        if is_stream { &mut self.streams } else { &mut self.whole }
    }
}

fn bucket(took: Duration) -> usize {
    let doublings = took.max(LEAST).div_duration_f64(LEAST).log2();
    ((doublings * BUCKETS_PER_DOUBLING) as usize).min(BUCKETS - 1)
}

/// The time that no answer in this bucket took.
fn upper_bound(bucket: usize) -> Duration {
    LEAST.mul_f64(((bucket + 1) as f64 / BUCKETS_PER_DOUBLING).exp2())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: HedgeRule = HedgeRule { max_share: 0.05 };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn late_is_later_than_nineteen_of_twenty() {
        let start = Instant::now();
        let mut hedging = Hedging::default();
        for answer in 0..100 {
            assert_eq!(hedging.late_after(true, start).is_some(), answer >= ANSWERS_MIN);
            hedging.began(true, ms(if answer % 20 == 0 { 5_000 } else { 200 }), start);
        }
        let late = hedging.late_after(true, start).expect("known");
        assert!((ms(200)..ms(240)).contains(&late), "{late:?}");
        assert_eq!(
            hedging.late_after(false, start),
            None,
            "of whole answers nothing is known"
        );
        // One more slow one, and 19 of 20 are no longer as quick.
        hedging.began(true, ms(5_000), start);
        assert!(hedging.late_after(true, start) > Some(ms(5_000)));
    }

    #[test]
    fn what_is_long_ago_tells_nothing() {
        let start = Instant::now();
        let mut hedging = Hedging::default();
        (0..ANSWERS_MIN).for_each(|_| hedging.began(false, ms(200), start));
        assert!(hedging.late_after(false, start + WINDOW / 2).is_some());
        assert_eq!(hedging.late_after(false, start + 2 * WINDOW), None);
    }

    #[test]
    fn times_of_any_length_have_their_place() {
        for took in [Duration::ZERO, ms(1), ms(7), ms(90_000), Duration::from_hours(9)] {
            let bucket = bucket(took);
            let is_last = bucket == BUCKETS - 1;
            assert!(upper_bound(bucket) > took || is_last, "{took:?}");
            assert!(bucket == 0 || upper_bound(bucket - 1) <= took, "{took:?}");
        }
    }

    #[test]
    fn no_more_than_their_share() {
        let start = Instant::now();
        let mut hedging = Hedging::default();
        assert!(!hedging.has_left(RULE, start), "of no requests");
        (0..100).for_each(|_| hedging.arrived(start));
        assert!(!hedging.has_left(HedgeRule { max_share: 0.0 }, start));
        let mut spent = 0;
        while hedging.has_left(RULE, start) {
            hedging.spend(start);
            spent += 1;
        }
        assert_eq!(spent, 5);
    }
}
