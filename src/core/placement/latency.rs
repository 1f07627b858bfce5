//! How quick a deployment is, smoothed so that a peak counts at once and fades.
//!
//! A slow answer replaces what was known; quicker ones lower it by what time has passed, half in [`HALF_LIFE`] (as Finagle's peak
//! EWMA). Without answers it fades as well, so that a deployment that was slow once is tried again.

use std::time::Duration;

/// Time in which the past loses half of its weight: some answers of a busy deployment.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// A deployment's smoothed latency.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Latency {
    seconds: f64,
    at: Duration,
}

impl Latency {
    /// An answer began so many seconds after its request was sent. `now` is the time since any fixed moment.
    pub fn observed(&mut self, seconds: f64, now: Duration) {
        let left = self.left(now);
        self.seconds = if seconds > self.seconds * left {
            seconds
        } else {
            self.seconds * left + seconds * (1.0 - left)
        };
        self.at = self.at.max(now);
    }

    /// Seconds to the beginning of an answer; 0 where nothing is known.
    pub fn seconds(&self, now: Duration) -> f64 {
        self.seconds * self.left(now)
    }

    fn left(&self, now: Duration) -> f64 {
        (-now.saturating_sub(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let at = Duration::from_secs;
        let mut latency = Latency::default();
        assert!(latency.seconds(at(5)).abs() < 1e-9, "unknown");
        latency.observed(1.0, at(10));
        latency.observed(8.0, at(10));
        assert!((latency.seconds(at(10)) - 8.0).abs() < 1e-9);
        latency.observed(1.0, at(10));
        assert!((latency.seconds(at(10)) - 8.0).abs() < 1e-9, "no time has passed");
        latency.observed(1.0, at(20));
        assert!((latency.seconds(at(20)) - 4.5).abs() < 1e-9, "half of each");
        assert!((latency.seconds(at(40)) - 4.5 / 4.0).abs() < 1e-9, "fades unasked");
        latency.observed(2.0, at(40));
        assert!(
            (latency.seconds(at(40)) - 2.0).abs() < 1e-9,
            "above what is left of the peak"
        );
    }
}
