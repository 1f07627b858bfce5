//! Time of the simulated world: how long ago did it begin?
//!
//! It follows tokio's clock, so tests with a paused clock control it, and it can be moved forward to let windows
//! and cache entries expire without waiting. Moving it does not shorten answers already under way: those sleep. A scenario may
//! say on which day its world begins; without that it begins now.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The furthest that the world can be moved: ten years, past the retirement of any model.
pub const MAX_ADVANCE: Duration = Duration::from_hours(10 * 365 * 24);

/// The world's clock.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    /// The wall clock then.
    began_wall: Duration,
    /// The world's date then.
    began_unix: Duration,
    advanced_ms: AtomicU64,
}

impl Clock {
    /// A clock that begins now, on the date given as time since the Unix epoch, or else today.
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulator's one edge that reads the wall clock, for `created`"
    )]
    pub fn start(date: Option<Duration>) -> Self {
        let began_wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            began: Instant::now(),
            began_wall,
            began_unix: date.unwrap_or(began_wall),
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

    /// The same in milliseconds.
    pub fn unix_ms(&self) -> u64 {
        (self.began_unix + self.now()).as_millis() as u64
    }

    /// Seconds since the Unix epoch on the wall, whatever the world's date is: what clients that look at their own clock expect.
    pub fn wall_s(&self) -> u64 {
        (self.began_wall + self.began.elapsed()).as_secs()
    }

    /// Moves the world forward, by [`MAX_ADVANCE`] at most in all.
    pub fn advance(&self, by: Duration) {
        const MAX_MS: u64 = MAX_ADVANCE.as_millis() as u64;
        let by = u64::try_from(by.as_millis()).unwrap_or(MAX_MS);
        let add = |sum: u64| Some(sum.saturating_add(by).min(MAX_MS));
        // The update function always returns a value, so this cannot fail.
        let _ = self.advanced_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}
