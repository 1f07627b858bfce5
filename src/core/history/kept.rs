//! From when on rows are whole, and the clock by which they grow old.
//!
//! Rows go by age, and the oldest of a length where there are too many ([`Step::rows_max`]). What went is remembered ([`Kept`]), so that a
//! time without rows is told by longer ones that still have it, or is in no answer at all, and never looks like one without requests.
//!
//! A wall clock that is wrong for an hour must not cost a year of history. So rows grow old by a clock of its own that follows the wall
//! clock ([`followed`]): at most a quarter of an hour each time that rows are deleted, which is once a minute. It keeps up with time and
//! makes up for a week's pause in half a day, but a wall clock that is ahead, by however much, costs the oldest quarter of an hour a
//! minute. While the wall clock is behind, it stands, and rows are deleted by the wall clock.

use crate::core::history::step::Step;

/// How far the clock by which rows grow old moves at once, in milliseconds. More than the ten minutes between writes of an idle gateway,
/// or it would fall behind.
const FOLLOWED_MS: i64 = 15 * 60 * 1_000;
/// A wall clock that is further ahead of it than a day is told.
pub const AHEAD_MS_MAX: i64 = 24 * 60 * 60 * 1_000;

/// From when on rows of each length are whole: what was before may have been deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// By [`Step::ALL`], in milliseconds since the Unix epoch.
    from_ms: [i64; Step::ALL.len()],
}

impl Default for Kept {
    /// Nothing was deleted.
    fn default() -> Self {
        Self::new([0; Step::ALL.len()])
    }
}

impl Kept {
    /// Rows of each length are whole from these times on.
    pub fn new(from_ms: [i64; Step::ALL.len()]) -> Self {
        Self { from_ms }
    }

    /// As it was given.
    pub fn given_ms(&self) -> [i64; Step::ALL.len()] {
        self.from_ms
    }

    /// From when on rows of this length, and all longer ones, are whole: shorter rows never answer for a time that longer ones do not have.
    pub fn of(&self, step: Step) -> i64 {
        let longer = Step::ALL
            .into_iter()
            .zip(self.from_ms)
            .filter(|(other, _)| *other >= step);
        longer.map(|(_, from_ms)| from_ms).max().unwrap_or(0)
    }

    /// From when on there are records at all.
    pub fn begin_ms(&self) -> i64 {
        self.of(Step::Hour)
    }

    /// The same after rows before these times were deleted.
    #[must_use]
    pub fn without(mut self, before_ms: [i64; Step::ALL.len()]) -> Self {
        for ((step, from_ms), before_ms) in Step::ALL.into_iter().zip(&mut self.from_ms).zip(before_ms) {
            *from_ms = (*from_ms).max(step.ceil(before_ms));
        }
        self
    }

    /// The same at this time: what is written from now on is whole, also after a clock that was ahead went back.
    #[must_use]
    pub fn at(mut self, now_ms: i64) -> Self {
        for (step, from_ms) in Step::ALL.into_iter().zip(&mut self.from_ms) {
            *from_ms = (*from_ms).min(step.floor(now_ms));
        }
        self
    }
}

/// The clock by which rows grow old, when rows are deleted; `known_ms` is what it was, none before the first time.
pub fn followed(known_ms: Option<i64>, now_ms: i64) -> i64 {
    known_ms.map_or(now_ms, |known_ms| {
        now_ms.clamp(known_ms, known_ms.saturating_add(FOLLOWED_MS))
    })
}

/// Rows of this length that began before are too old by that clock. They stay for the length of a longest step of a series that is made
/// of them, so that its first point is whole.
pub fn old_before_ms(step: Step, clock_ms: i64) -> i64 {
    let longest_step_ms = match step {
        Step::Seconds => Step::Minute.ms(),
        Step::Minute => Step::Hour.ms(),
        Step::Hour => 24 * Step::Hour.ms(),
    };
    clock_ms.saturating_sub(step.kept_ms()).saturating_sub(longest_step_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn shorter_rows_are_never_told_to_be_kept_for_longer_than_longer_ones() {
        let kept = Kept::default().without([0, 5 * HOUR_MS + 1, 2 * HOUR_MS]);
        let minutes_ms = 5 * HOUR_MS + 60_000;
        assert_eq!(
            Step::ALL.map(|step| kept.of(step)),
            [minutes_ms, minutes_ms, 2 * HOUR_MS]
        );
        assert_eq!(kept.without([0; 3]), kept, "what went does not come back");
        assert_eq!(kept.begin_ms(), 2 * HOUR_MS);
        assert_eq!(kept.at(HOUR_MS + 5).begin_ms(), HOUR_MS);
    }

    #[test]
    fn age_keeps_up_with_time_and_follows_a_jump_slowly() {
        assert_eq!(followed(None, 7), 7);
        assert_eq!(followed(Some(7), 60_007), 60_007);
        assert_eq!(followed(Some(0), 400 * 24 * HOUR_MS), FOLLOWED_MS);
        assert_eq!(
            followed(Some(HOUR_MS), 7),
            HOUR_MS,
            "it stands while the clock is behind"
        );
        // A week's pause, with a write a minute.
        let (mut clock_ms, mut now_ms, mut minutes) = (0, 7 * 24 * HOUR_MS, 0);
        while clock_ms < now_ms {
            (now_ms, minutes) = (now_ms + 60_000, minutes + 1);
            clock_ms = followed(Some(clock_ms), now_ms);
        }
        assert_eq!(minutes / 60, 12);
    }
}
