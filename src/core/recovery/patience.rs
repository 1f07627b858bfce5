//! How long to wait for the beginning of a deployment's answer before another one is asked.
//!
//! A long prompt that is not cached takes longer to read, so the deadline grows with it:
//! `base + slope × uncached tokens`. What a deployment really takes is learned: once enough answers have been seen, the base is their
//! mean and some deviations, never less than the least that is configured. The route's `first_byte` is the most in any case.

use std::time::Duration;

/// Answers before what was learned is believed.
pub const ANSWERS_MIN: u32 = 30;
/// Deviations above the mean. Times to first token have long tails; an answer that is given up costs its prompt.
const DEVIATIONS: f64 = 8.0;
/// Weight of the newest answer in the mean.
const WEIGHT: f64 = 0.05;

/// The configured rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstTokenRule {
    /// For a prompt of no length, until a deployment's own times are known.
    pub base: Duration,
    /// More for each 1,000 prompt tokens that are not believed to be cached.
    pub per_1k_tokens: Duration,
    /// Never less than this, however quick a deployment was.
    pub least: Duration,
}

impl FirstTokenRule {
    fn slope(&self, uncached_tokens: u32) -> f64 {
        self.per_1k_tokens.as_secs_f64() * f64::from(uncached_tokens) / 1_000.0
    }
}

/// What a deployment took, prompts' lengths set aside.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FirstToken {
    answers: u32,
    mean: f64,
    /// Mean of how far answers were from the mean.
    deviation: f64,
}

impl FirstToken {
    /// Notes an answer that began after so long.
    pub fn observed(&mut self, took: Duration, uncached_tokens: u32, rule: &FirstTokenRule) {
        let rest = (took.as_secs_f64() - rule.slope(uncached_tokens)).max(0.0);
        self.answers = self.answers.saturating_add(1);
        if self.answers == 1 {
            self.mean = rest;
            return;
        }
        // At first the plain mean, so that the first answer does not count for long.
        let weight = WEIGHT.max(1.0 / f64::from(self.answers));
        self.deviation += weight * ((rest - self.mean).abs() - self.deviation);
        self.mean += weight * (rest - self.mean);
    }

    /// Notes that an answer did not begin in time: it took at least so long, so the next may take longer.
    pub fn missed(&mut self, waited: Duration, uncached_tokens: u32, rule: &FirstTokenRule) {
        if self.is_learned() {
            self.observed(waited, uncached_tokens, rule);
        }
    }

    /// Whether its own answers tell how long it takes.
    pub fn is_learned(&self) -> bool {
        self.answers >= ANSWERS_MIN
    }

    /// How long to wait at most.
    pub fn deadline(&self, uncached_tokens: u32, rule: &FirstTokenRule, most: Duration) -> Duration {
        let base = if self.is_learned() {
            self.mean + DEVIATIONS * self.deviation
        } else {
            rule.base.as_secs_f64()
        };
        let least = rule.least.as_secs_f64();
        let seconds = base.max(least) + rule.slope(uncached_tokens);
        Duration::try_from_secs_f64(seconds).unwrap_or(most).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: FirstTokenRule = FirstTokenRule {
        base: Duration::from_secs(10),
        per_1k_tokens: Duration::from_millis(500),
        least: Duration::from_secs(2),
    };
    const MOST: Duration = Duration::from_secs(30);

    fn seen(times_ms: impl IntoIterator<Item = u64>) -> FirstToken {
        let mut first = FirstToken::default();
        for ms in times_ms {
            first.observed(Duration::from_millis(ms), 0, &RULE);
        }
        first
    }

    #[test]
    fn unknown_deployments_have_the_configured_time_by_length_and_never_more_than_the_most() {
        let unknown = seen([5; ANSWERS_MIN as usize - 1]);
        let ms = |tokens| unknown.deadline(tokens, &RULE, MOST).as_millis();
        assert_eq!([0, 1_000, 20_000, 1_000_000].map(ms), [10_000, 10_500, 20_000, 30_000]);
    }

    #[test]
    fn quick_ones_are_given_up_sooner_but_not_at_once() {
        let quick = seen([200; 100]);
        assert_eq!(quick.deadline(0, &RULE, MOST), Duration::from_secs(2));
        let slow = seen((0..200).map(|number| if number % 2 == 0 { 3_000 } else { 4_000 }));
        let deadline = slow.deadline(0, &RULE, MOST).as_secs_f64();
        assert!((7.0..8.5).contains(&deadline), "{deadline}");
    }

    #[test]
    fn what_the_prompts_length_explains_is_not_the_deployments() {
        let mut first = FirstToken::default();
        for tokens in (0..100).map(|number| number * 200) {
            let took = Duration::from_millis(1_000 + u64::from(tokens) / 2);
            first.observed(took, tokens, &RULE);
        }
        let deadline = first.deadline(0, &RULE, MOST).as_secs_f64();
        assert!((2.0..2.1).contains(&deadline), "{deadline}");
    }

    #[test]
    fn one_that_has_become_slow_is_waited_for_longer_and_longer() {
        let mut first = seen([200; 100]);
        let before = first.deadline(0, &RULE, MOST);
        for _ in 0..20 {
            let waited = first.deadline(0, &RULE, MOST);
            first.missed(waited, 0, &RULE);
        }
        assert!(first.deadline(0, &RULE, MOST) > before * 3);
        // Without answers nothing is learned from a silence: it may be dead.
        let mut unknown = FirstToken::default();
        unknown.missed(MOST, 0, &RULE);
        assert_eq!(unknown, FirstToken::default());
    }
}
