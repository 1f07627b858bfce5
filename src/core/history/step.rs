//! Which intervals there are, how long each kind is kept, and which of them answer a question.
//!
//! Ten seconds are kept for two hours, minutes for two days, hours for 400 days. A row of minutes is made of the rows of its seconds, once,
//! and one of hours of its minutes. How far that has been done is a mark ([`Marks`]): what is before it is in the longer rows as
//! well, what comes late included, and nothing after it is. So a question takes whole hours where it can, minutes at its ends and
//! where hours are not made yet, and seconds after that; it counts nothing twice and misses nothing. Before what is kept at all ([`Kept`])
//! nothing is told.

use crate::core::history::kept::Kept;

/// A minute, in milliseconds.
const MINUTE_MS: i64 = 60 * 1_000;
/// An hour, in milliseconds.
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// A day, in milliseconds.
const DAY_MS: i64 = 24 * HOUR_MS;

/// How long an interval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Ten seconds, as requests are added up.
    Seconds,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}

impl Step {
    /// All, the shortest first.
    pub const ALL: [Self; 3] = [Self::Seconds, Self::Minute, Self::Hour];

    /// Its length, in milliseconds.
    pub fn ms(self) -> i64 {
        match self {
            Self::Seconds => 10_000,
            Self::Minute => MINUTE_MS,
            Self::Hour => HOUR_MS,
        }
    }

    /// How long rows of it are kept, in milliseconds.
    pub fn kept_ms(self) -> i64 {
        match self {
            Self::Seconds => 2 * HOUR_MS,
            Self::Minute => 2 * DAY_MS,
            Self::Hour => KEPT_MS,
        }
    }

    /// Rows of it that are kept at most; some kilobyte each with its place in the index, so 1.6 GB in all.
    pub fn rows_max(self) -> u64 {
        match self {
            Self::Seconds => 150_000,
            Self::Minute => 400_000,
            Self::Hour => 1_000_000,
        }
    }

    /// The beginning of the interval that a moment is in.
    pub fn floor(self, at_ms: i64) -> i64 {
        at_ms.div_euclid(self.ms()) * self.ms()
    }

    /// The beginning of the first interval that begins at a moment or after it.
    pub fn ceil(self, at_ms: i64) -> i64 {
        self.floor(at_ms.saturating_add(self.ms() - 1))
    }

    /// The next shorter one.
    pub fn shorter(self) -> Option<Self> {
        match self {
            Self::Seconds => None,
            Self::Minute => Some(Self::Seconds),
            Self::Hour => Some(Self::Minute),
        }
    }
}

/// The longest time that can be asked for: as long as hours are kept, in milliseconds.
pub const KEPT_MS: i64 = 400 * DAY_MS;

/// How far longer rows have been made, in milliseconds since the Unix epoch: the beginning of the first that has not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// Minutes.
    pub minute_ms: i64,
    /// Hours; never beyond the minutes.
    pub hour_ms: i64,
}

impl Marks {
    /// Of these rows.
    pub fn of(&self, step: Step) -> i64 {
        match step {
            Step::Seconds => i64::MAX,
            Step::Minute => self.minute_ms,
            Step::Hour => self.hour_ms,
        }
    }

    /// The rows that something of an interval of ten seconds belongs to.
    pub fn rows_of(&self, start_ms: i64) -> impl Iterator<Item = (Step, i64)> {
        let rows = Step::ALL.map(|step| (step, step.floor(start_ms)));
        let marks = *self;
        rows.into_iter()
            .filter(move |(step, start_ms)| *start_ms < marks.of(*step))
    }
}

/// Rows of one length and a time: from the beginning of a row to that of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Of which length.
    pub step: Step,
    /// From here.
    pub from_ms: i64,
    /// To here.
    pub to_ms: i64,
}

/// What there is to answer from: how far longer rows are made, which are whole, and when that is asked.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// How far longer rows have been made.
    pub marks: Marks,
    /// From when on rows are whole.
    pub kept: Kept,
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

impl Known {
    /// From when on a question may use rows of this length: neither too old nor deleted.
    fn usable_ms(&self, step: Step) -> i64 {
        let young_ms = step.ceil(self.now_ms.saturating_sub(step.kept_ms()));
        young_ms.max(self.kept.of(step))
    }
}

/// The rows that answer a question about a time: the longest that fit, and no longer than `longest`. Where shorter ones are not kept any
/// more the time is widened; it begins with the records at the earliest. In the order of their times.
pub fn spans(from_ms: i64, to_ms: i64, longest: Step, known: &Known) -> Vec<Span> {
    let mut found = Vec::new();
    add_spans(&mut found, (from_ms.max(known.kept.begin_ms()), to_ms), longest, known);
    found
}

fn add_spans(into: &mut Vec<Span>, (from_ms, to_ms): (i64, i64), step: Step, known: &Known) {
    if from_ms >= to_ms {
        return;
    }
    let Some(shorter) = step.shorter() else {
        return into.push(Span {
            step,
            from_ms: step.floor(from_ms),
            to_ms: step.ceil(to_ms),
        });
    };
    // At an end that is too long ago for shorter rows, a whole longer one is taken.
    let kept_from_ms = known.usable_ms(shorter);
    let is_kept = |at_ms: i64| at_ms >= kept_from_ms;
    let begins = if is_kept(from_ms) {
        step.ceil(from_ms)
    } else {
        step.floor(from_ms)
    };
    let ends = if is_kept(step.floor(to_ms)) {
        step.floor(to_ms)
    } else {
        step.ceil(to_ms)
    };
    let ends = ends.min(known.marks.of(step));
    if begins >= ends {
        return add_spans(into, (from_ms, to_ms), shorter, known);
    }
    add_spans(into, (from_ms, begins.min(to_ms)), shorter, known);
    into.push(Span {
        step,
        from_ms: begins,
        to_ms: ends,
    });
    add_spans(into, (ends.max(from_ms), to_ms), shorter, known);
}

/// How points of a series follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// The beginning of the first.
    pub from_ms: i64,
    /// The end of the last.
    pub to_ms: i64,
    /// How long each is.
    pub step_ms: i64,
    /// The longest rows that fit into them.
    pub rows: Step,
}

/// Lengths of steps, each a multiple of rows and a part of a day; longer ones are whole days.
const STEPS_MS: [i64; 17] = [
    10_000,
    20_000,
    30_000,
    MINUTE_MS,
    2 * MINUTE_MS,
    5 * MINUTE_MS,
    10 * MINUTE_MS,
    15 * MINUTE_MS,
    20 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    2 * HOUR_MS,
    3 * HOUR_MS,
    4 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
    DAY_MS,
];

impl Grid {
    /// The finest that has at most so many points and rows that are still kept; the time is widened to whole steps. It begins with the
    /// first whole step of records at the earliest; a time before them has no points.
    pub fn new(from_ms: i64, to_ms: i64, points_max: usize, kept: &Kept, now_ms: i64) -> Self {
        let kept_ms = kept.begin_ms();
        let from_ms = from_ms.max(kept_ms).min(to_ms);
        let points_max = i64::try_from(points_max.max(1)).unwrap_or(i64::MAX);
        let days = (1..).map(|days: i64| days * DAY_MS);
        let grid = |step_ms: i64| {
            let rows = Step::ALL.into_iter().rev().find(|rows| step_ms % rows.ms() == 0);
            let floor = |at_ms: i64| at_ms.div_euclid(step_ms) * step_ms;
            let last_ms = floor(to_ms + step_ms - 1);
            let first_ms = match floor(from_ms) {
                at_ms if at_ms < kept_ms => floor(kept_ms + step_ms - 1).min(last_ms),
                at_ms => at_ms,
            };
            Self {
                from_ms: first_ms,
                to_ms: last_ms,
                step_ms,
                rows: rows.unwrap_or(Step::Seconds),
            }
        };
        let fits = |grid: &Self| {
            let oldest = now_ms.saturating_sub(grid.rows.kept_ms());
            let is_young = from_ms >= oldest && grid.from_ms >= kept.of(grid.rows);
            let is_kept = grid.rows == Step::Hour || is_young;
            is_kept && (grid.to_ms - grid.from_ms) / grid.step_ms <= points_max
        };
        let mut grids = STEPS_MS.into_iter().chain(days).map(grid);
        // Steps grow without end, and one that holds all has at most two points.
        grids.find(|grid| fits(grid) || grid.step_ms > KEPT_MS).unwrap_or(Self {
            from_ms,
            to_ms,
            step_ms: DAY_MS,
            rows: Step::Hour,
        })
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        usize::try_from((self.to_ms - self.from_ms) / self.step_ms).unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The point that a moment is in, if it is in one.
    pub fn point(&self, at_ms: i64) -> Option<usize> {
        let is_in = (self.from_ms..self.to_ms).contains(&at_ms);
        is_in.then(|| usize::try_from((at_ms - self.from_ms) / self.step_ms).ok())?
    }

    /// Beginnings of all points.
    pub fn starts_ms(&self) -> Vec<i64> {
        (0..self.len() as i64)
            .map(|point| self.from_ms + point * self.step_ms)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 20_000 * DAY_MS + 5 * HOUR_MS + 34 * MINUTE_MS + 17_000;

    #[track_caller]
    fn check_grid(ago_ms: i64, long_ms: i64, points: usize, expected: (i64, Step)) {
        let grid = Grid::new(NOW - ago_ms, NOW - ago_ms + long_ms, points, &Kept::default(), NOW);
        assert_eq!((grid.step_ms, grid.rows), expected);
        assert!(grid.len() <= points, "{} points", grid.len());
        assert_eq!(grid.point(NOW - ago_ms), Some(0));
        assert_eq!(grid.starts_ms().len(), grid.len());
    }

    #[test]
    fn steps_are_as_fine_as_points_and_keeping_allow() {
        check_grid(HOUR_MS, HOUR_MS, 600, (10_000, Step::Seconds));
        check_grid(HOUR_MS, HOUR_MS, 60, (2 * MINUTE_MS, Step::Minute));
        check_grid(3 * HOUR_MS, HOUR_MS, 600, (MINUTE_MS, Step::Minute));
        check_grid(DAY_MS, DAY_MS, 600, (5 * MINUTE_MS, Step::Minute));
        check_grid(3 * DAY_MS, HOUR_MS, 600, (HOUR_MS, Step::Hour));
        check_grid(30 * DAY_MS, 30 * DAY_MS, 600, (2 * HOUR_MS, Step::Hour));
        check_grid(400 * DAY_MS, 400 * DAY_MS, 600, (DAY_MS, Step::Hour));
        check_grid(400 * DAY_MS, 400 * DAY_MS, 100, (5 * DAY_MS, Step::Hour));
    }

    #[track_caller]
    fn check_spans(from_ms: i64, to_ms: i64, longest: Step, expected: &[(Step, i64, i64)]) {
        check_spans_of(Kept::default(), (from_ms, to_ms, longest), expected);
    }

    #[track_caller]
    fn check_spans_of(kept: Kept, (from_ms, to_ms, longest): (i64, i64, Step), expected: &[(Step, i64, i64)]) {
        let marks = Marks {
            minute_ms: Step::Minute.floor(NOW) - MINUTE_MS,
            hour_ms: Step::Hour.floor(NOW),
        };
        let known = Known {
            marks,
            kept,
            now_ms: NOW,
        };
        let found: Vec<_> = spans(from_ms, to_ms, longest, &known)
            .into_iter()
            .map(|span| (span.step, span.from_ms, span.to_ms))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_question_takes_hours_minutes_and_seconds_where_each_fits() {
        let hour = Step::Hour.floor(NOW);
        let minute = Step::Minute.floor(NOW) - MINUTE_MS;
        check_spans(
            NOW - 90 * MINUTE_MS,
            NOW,
            Step::Hour,
            &[
                (
                    Step::Seconds,
                    Step::Seconds.floor(NOW - 90 * MINUTE_MS),
                    hour - 55 * MINUTE_MS,
                ),
                (Step::Minute, hour - 55 * MINUTE_MS, minute),
                (Step::Seconds, minute, Step::Seconds.ceil(NOW)),
            ],
        );
        // Long ago there are hours only.
        let long_ago = hour - 9 * DAY_MS;
        check_spans(
            long_ago + 1,
            long_ago + HOUR_MS + 1,
            Step::Hour,
            &[(Step::Hour, long_ago, long_ago + 2 * HOUR_MS)],
        );
    }

    #[test]
    fn what_was_deleted_is_told_by_longer_rows_or_not_at_all() {
        let hour = Step::Hour.floor(NOW);
        // Seconds went up to a quarter of an hour ago, minutes up to the hour before this one, hours up to four hours ago.
        let kept = Kept::default().without([NOW - 15 * MINUTE_MS, hour - 20 * MINUTE_MS, hour - 4 * HOUR_MS]);
        let check = |from_ms, to_ms, expected: &[_]| check_spans_of(kept, (from_ms, to_ms, Step::Hour), expected);
        check(hour - 50 * MINUTE_MS, hour, &[(Step::Hour, hour - HOUR_MS, hour)]);
        let (first, last) = (hour + MINUTE_MS, hour + 5 * MINUTE_MS);
        check(first + 30_000, last, &[(Step::Minute, first, last)]);
        let (first, last) = (hour - 4 * HOUR_MS, hour - 3 * HOUR_MS);
        check(hour - 9 * HOUR_MS, last, &[(Step::Hour, first, last)]);
        check(hour - 9 * HOUR_MS, hour - 6 * HOUR_MS, &[]);
        let grid = |ago_ms: i64, long_ms: i64, points| {
            let grid = Grid::new(NOW - ago_ms, NOW - ago_ms + long_ms, points, &kept, NOW);
            (grid.step_ms, grid.rows, grid.from_ms, grid.len())
        };
        let ten = 10 * MINUTE_MS;
        let seconds = (10_000, Step::Seconds, Step::Seconds.floor(NOW - ten), 61);
        assert_eq!(grid(ten, ten, 600), seconds);
        assert_eq!(grid(2 * ten, ten, 600).0, MINUTE_MS);
        assert_eq!(grid(HOUR_MS, HOUR_MS, 600), (HOUR_MS, Step::Hour, hour - HOUR_MS, 2));
        let long = 9 * HOUR_MS;
        assert_eq!(grid(long, long, 600), (HOUR_MS, Step::Hour, first, 5));
        // The first step of two hours is half gone.
        assert_eq!(grid(long, long, 4), (2 * HOUR_MS, Step::Hour, first + HOUR_MS, 2));
        assert_eq!(grid(long, HOUR_MS, 600).3, 0, "nothing is known of it");
    }

    proptest! {
        /// Every moment that is kept in full is in exactly one row, and only rows that are made, and were not deleted, are used.
        #[test]
        fn rows_neither_overlap_nor_leave_gaps(
            ago_s in 1..400 * 86_400_i64, long_s in 1..400 * 86_400_i64, behind in 0..200_i64, longest in 0..3_usize,
            gone_s in prop::array::uniform3(1..800 * 86_400_i64),
        ) {
            let (from_ms, to_ms) = (NOW - ago_s * 1_000, (NOW - ago_s * 1_000 + long_s * 1_000).min(NOW + HOUR_MS));
            let minute_ms = Step::Minute.floor(NOW) - behind * MINUTE_MS;
            let marks = Marks { minute_ms, hour_ms: Step::Hour.floor(minute_ms) };
            // Rows are deleted only where longer ones are made of them.
            let gone = gone_s.map(|gone_s| NOW - gone_s * 1_000);
            let kept = Kept::default().without([gone[0].min(marks.minute_ms), gone[1].min(marks.hour_ms), gone[2]]);
            let found = spans(from_ms, to_ms, Step::ALL[longest], &Known { marks, kept, now_ms: NOW });
            let begin_ms = from_ms.max(kept.begin_ms());
            if begin_ms >= to_ms {
                prop_assert!(found.is_empty());
                return Ok(());
            }
            prop_assert!(found[0].from_ms <= begin_ms && found[found.len() - 1].to_ms >= to_ms);
            for span in &found {
                prop_assert!(span.from_ms < span.to_ms);
                prop_assert_eq!(span.from_ms, span.step.floor(span.from_ms));
                prop_assert!(span.to_ms <= marks.of(span.step));
                prop_assert!(longest < 2 || span.from_ms >= kept.of(span.step));
            }
            for pair in found.windows(2) {
                prop_assert_eq!(pair[0].to_ms, pair[1].from_ms);
            }
        }
    }

    #[test]
    fn what_comes_late_belongs_to_all_rows_that_are_made() {
        let marks = Marks {
            minute_ms: 10 * MINUTE_MS,
            hour_ms: 0,
        };
        let steps = |start_ms| marks.rows_of(start_ms).map(|(step, _)| step).collect::<Vec<_>>();
        assert_eq!(steps(10 * MINUTE_MS), [Step::Seconds]);
        assert_eq!(steps(10 * MINUTE_MS - 10_000), [Step::Seconds, Step::Minute]);
        assert_eq!(steps(-10_000), [Step::Seconds, Step::Minute, Step::Hour]);
    }
}
