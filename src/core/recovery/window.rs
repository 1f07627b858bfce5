//! What was counted lately: such as how many attempts ended, and how many of them failed.

use std::time::{Duration, Instant};

/// How far back is counted: between half of this and all of it.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Counts of the last while, in two halves of a window of which the older is forgotten when the newer is over. Constant time and memory.
#[derive(Debug, Clone, Default)]
pub struct Halves<T> {
    newer_since: Option<Instant>,
    newer: T,
    older: T,
}

impl<T: Default + Copy> Halves<T> {
    /// The counts of the half that runs, to be added to, and those of the one before.
    pub fn at(&mut self, now: Instant) -> (&mut T, T) {
        self.within(WINDOW, now)
    }

    /// The same over another time than [`WINDOW`], which must be the same each time.
    pub fn within(&mut self, window: Duration, now: Instant) -> (&mut T, T) {
        let half = window / 2;
        match self.newer_since.map(|since| now.saturating_duration_since(since)) {
            Some(passed) if passed < half => {}
            passed => {
                let is_next = passed.is_some_and(|passed| passed < window);
                self.older = if is_next { self.newer } else { T::default() };
                self.newer = T::default();
                self.newer_since = Some(now);
            }
        }
        (&mut self.newer, self.older)
    }
}

/// Ends of attempts of late.
#[derive(Debug, Clone, Default)]
pub struct Window(Halves<Counts>);

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    ends: u32,
    failures: u32,
}

impl Window {
    /// Notes the end of an attempt.
    pub fn note(&mut self, failed: bool, now: Instant) {
        let (counts, _) = self.0.at(now);
        counts.ends = counts.ends.saturating_add(1);
        counts.failures = counts.failures.saturating_add(failed.into());
    }

    /// Whether at least `requests` attempts ended, and this share of them by failures.
    pub fn fails(&mut self, ratio: f64, requests: u32, now: Instant) -> bool {
        let (newer, older) = self.0.at(now);
        let ends = newer.ends.saturating_add(older.ends);
        let failures = newer.failures.saturating_add(older.failures);
        ends >= requests && f64::from(failures) >= ratio * f64::from(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_told_from_enough_ends_only_and_forgotten_in_time() {
        let start = Instant::now();
        let mut window = Window::default();
        for at in 0..19 {
            window.note(at % 2 == 0, start);
        }
        assert!(!window.fails(0.5, 20, start));
        window.note(false, start);
        assert!(window.fails(0.5, 20, start));
        assert!(!window.fails(0.51, 20, start));
        // Half of the window later it still counts, a whole one later it does not.
        assert!(window.clone().fails(0.5, 20, start + WINDOW / 2));
        assert!(!window.fails(0.5, 1, start + WINDOW));
    }
}
