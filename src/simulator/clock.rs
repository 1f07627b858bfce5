//! Time of the simulated world: how long ago did it begin?
//!
//! It follows tokio's clock, so tests with a paused clock control it, and it can be moved forward to let windows
//! and cache entries expire without waiting. Moving it does not shorten answers already under way: those sleep.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The world's clock.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    began_unix: Duration,
    advanced_ms: AtomicU64,
}

impl Clock {
    /// A clock that begins now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulator's one edge that reads the wall clock, for `created`"
    )]
    pub fn start() -> Self {
        let began_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            began: Instant::now(),
            began_unix,
            advanced_ms: AtomicU64::new(0),
        }
    }

    /// Time since the world began.
    pub fn now(&self) -> Duration {
        self.began.elapsed() + Duration::from_millis(self.advanced_ms.load(Ordering::Relaxed))
    }

    /// Seconds since the Unix epoch, as the world sees it.
    pub fn unix_s(&self) -> u64 {
        (self.began_unix + self.now()).as_secs()
    }

    /// Moves the world forward, by a year at most in all.
    pub fn advance(&self, by: Duration) {
        const YEAR_MS: u64 = 365 * 86_400_000;
        let by = u64::try_from(by.as_millis()).unwrap_or(YEAR_MS);
        let add = |sum: u64| Some(sum.saturating_add(by).min(YEAR_MS));
        // The update function always returns a value, so this cannot fail.
        let _ = self.advanced_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}
