//! How long to wait before trying again: twice as long each time, up to a bound, spread by a seed.
//!
//! The spread comes from a seed that the caller makes of names, so that replicas differ, and one replica does the same after a restart.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Waits that grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure, in milliseconds.
    pub first_ms: i64,
    /// The longest, in milliseconds.
    pub most_ms: i64,
}

impl Backoff {
    /// The wait after so many failures, the last half of it spread by the seed. Nothing after none.
    pub fn delay_ms(self, failures: u32, seed: u64) -> i64 {
        if failures == 0 {
            return 0;
        }
        let doublings = (failures - 1).min(30);
        let whole = self.first_ms.saturating_mul(1 << doublings).min(self.most_ms);
        let half = whole / 2;
        half + (spread(seed ^ u64::from(failures)) * half as f64) as i64
    }
}

/// A seed of names.
pub fn seed_of(names: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}

/// A number from 0 to below 1, even over seeds.
pub fn spread(seed: u64) -> f64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_differ() {
        let backoff = Backoff {
            first_ms: 1_000,
            most_ms: 8_000,
        };
        assert_eq!(backoff.delay_ms(0, 7), 0);
        for (failures, whole) in [(1, 1_000), (2, 2_000), (4, 8_000), (5, 8_000), (u32::MAX, 8_000)] {
            for replica in ["a", "b", "c"] {
                let delay = backoff.delay_ms(failures, seed_of(&[replica]));
                assert!((whole / 2..=whole).contains(&delay), "{failures}: {delay}");
            }
        }
        let delays = |replica| backoff.delay_ms(3, seed_of(&[replica, "x"]));
        assert_ne!(delays("a"), delays("b"));
        assert_eq!(delays("a"), delays("a"));
    }

    #[test]
    fn seeds_are_spread_evenly() {
        let numbers: Vec<f64> = (0..1_000).map(spread).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        let mean = numbers.iter().sum::<f64>() / 1_000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
