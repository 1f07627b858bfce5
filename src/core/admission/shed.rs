//! Which requests are turned away while the gateway has more to do than it can.
//!
//! The sign is how late a task runs that should run now: it grows with whatever is scarce, cores as much as threads, and says how
//! late everything else runs too. While it is above a bound, more and more is turned away; while it is below half of it, slowly
//! less; between the two nothing changes, so that the share settles where the gateway is just busy. Batch requests go first, then a
//! growing share of the others.
//!
//! A late moment alone (a machine that was paused, a noisy neighbour) turns away few: what one look can say is bounded.
//!
//! Pure; constant time and memory.

use std::time::{Duration, Instant};

use crate::core::admission::queue::Priority;

/// In which time an older look counts a third.
const MEMORY: Duration = Duration::from_millis(200);

/// What one look says at most, as a multiple of the bound.
const LATENESS_MAX: f64 = 2.0;

/// How fast the level rises at most, a second: from nothing to all of batch.
const RISE: f64 = 1.0;

/// How fast it falls at most, a second.
const FALL: f64 = 0.1;

/// Time that one look stands for at most: what happened between looks that are further apart is not known. A late one after another
/// late one tells more than a late one alone, which may be a machine that was paused.
const STEP_MAX: Duration = Duration::from_millis(250);
const LATE_STEP_MAX: Duration = Duration::from_secs(2);

/// Below this part of the bound less and less is turned away.
const CALM: f64 = 0.5;

/// Largest share of requests that somebody waits for which is turned away: some must come in, or nobody would see that it works again.
const INTERACTIVE_MAX: f64 = 0.98;

/// How much is turned away: 0 is nothing, 1 all of batch, 2 nearly everything.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Level(f64);

impl Level {
    /// Nothing is turned away.
    pub const NONE: Self = Self(0.0);

    /// The level in thousandths.
    pub fn thousandths(self) -> u32 {
        (self.0 * 1_000.0).ceil() as u32
    }

    /// The level of so many thousandths; 2,000 at most.
    pub fn from_thousandths(thousandths: u32) -> Self {
        Self((f64::from(thousandths) / 1_000.0).min(2.0))
    }

    /// The share of requests that is turned away, from 0 to 1.
    pub fn share(self, priority: Priority) -> f64 {
        match priority {
            Priority::Batch => self.0.min(1.0),
            Priority::Interactive => (self.0 - 1.0).clamp(0.0, INTERACTIVE_MAX),
        }
    }

    /// Whether a request is turned away, by a random number of at least 0 and less than 1.
    pub fn sheds(self, priority: Priority, draw: f64) -> bool {
        draw < self.share(priority)
    }
}

/// What is known of the gateway's lateness.
#[derive(Debug, Default)]
pub struct Shedder {
    /// Multiples of the bound.
    lateness: f64,
    level: Level,
    looked_at: Option<Instant>,
    was_late: bool,
}

impl Shedder {
    /// Takes one look into account: how late it was, and how late is too late. Zero for the latter turns nothing away.
    pub fn look(&mut self, delay: Duration, too_late: Duration, now: Instant) -> Level {
        let since = self
            .looked_at
            .replace(now)
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if too_late.is_zero() {
            (self.lateness, self.level) = (0.0, Level::NONE);
            return self.level;
        }
        let lateness = (delay.as_secs_f64() / too_late.as_secs_f64()).min(LATENESS_MAX);
        let weight = 1.0 - (-since.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.lateness += (lateness - self.lateness) * weight;
        let was_late = std::mem::replace(&mut self.was_late, lateness > 1.0);
        let step = since.min(if was_late { LATE_STEP_MAX } else { STEP_MAX }).as_secs_f64();
        let change = if self.lateness > 1.0 {
            RISE * (self.lateness - 1.0)
        } else if self.lateness < CALM {
            FALL * (self.lateness - CALM) / CALM
        } else {
            0.0
        };
        self.level = Level((self.level.0 + change * step).clamp(0.0, 2.0));
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOO_LATE: Duration = Duration::from_millis(100);
    const EVERY: Duration = Duration::from_millis(20);

    /// A gateway that can answer so many requests a second and is sent more; they queue until it is decided about them. Turning one
    /// away costs a part of an answer.
    struct Model {
        shedder: Shedder,
        now: Instant,
        level: Level,
        cost: f64,
        queued: f64,
        answered: f64,
    }

    const CAPACITY: f64 = 5_000.0;
    /// No more can queue: clients have so many connections.
    const QUEUED_MAX: f64 = 4_000.0;

    impl Model {
        fn new(cost: f64) -> Self {
            Self {
                shedder: Shedder::default(),
                now: Instant::now(),
                level: Level::NONE,
                cost,
                queued: 0.0,
                answered: 0.0,
            }
        }

        /// Plays some seconds of a load, as a multiple of the capacity, a part of it batch. Returns which part of the capacity was
        /// answered.
        fn play(&mut self, seconds: f64, load: f64, batch: f64) -> f64 {
            let (start, end) = (self.now, self.now + Duration::from_secs_f64(seconds));
            self.answered = 0.0;
            while self.now < end {
                let shed =
                    batch * self.level.share(Priority::Batch) + (1.0 - batch) * self.level.share(Priority::Interactive);
                let each = (1.0 - shed + shed * self.cost) / CAPACITY;
                // A look that is late is also the next one's beginning.
                let step = EVERY.as_secs_f64() + self.queued * each;
                let come = self.queued + load * CAPACITY * step;
                let done = come.min(step / each);
                self.queued = (come - done).min(QUEUED_MAX);
                self.answered += done * (1.0 - shed);
                self.now += Duration::from_secs_f64(step);
                let late = Duration::from_secs_f64(self.queued * each);
                self.level = self.shedder.look(late, TOO_LATE, self.now);
            }
            self.answered / CAPACITY / (self.now - start).as_secs_f64()
        }
    }

    #[test]
    fn a_gateway_that_keeps_up_turns_nothing_away() {
        let mut model = Model::new(0.1);
        model.play(60.0, 0.95, 0.3);
        assert_eq!(model.level, Level::NONE);
    }

    #[test]
    fn under_overload_it_goes_on_answering_nearly_what_it_can() {
        for (cost, load) in [(0.0, 1.2), (0.0, 2.0), (0.0, 5.0), (0.1, 1.2), (0.1, 2.0), (0.1, 5.0)] {
            let mut model = Model::new(cost);
            model.play(10.0, load, 0.0);
            let answered = model.play(60.0, load, 0.0);
            // Turning away what is too much takes its part.
            let able = (1.0 - cost * load) / (1.0 - cost);
            assert!(answered > 0.85 * able, "{load} at {cost}: {answered} of {able}");
            assert!(model.level.share(Priority::Interactive) > 0.0, "{load} at {cost}");
        }
    }

    #[test]
    fn batch_goes_first_and_alone_where_that_is_enough() {
        let mut model = Model::new(0.1);
        model.play(60.0, 1.4, 0.5);
        assert!(
            model.level > Level(0.3) && model.level <= Level(1.0),
            "{:?}",
            model.level
        );
        model.play(60.0, 4.0, 0.5);
        assert!(model.level > Level(1.3), "{:?}", model.level);
    }

    #[test]
    fn it_ends_slowly_and_does_end() {
        let mut model = Model::new(0.1);
        model.play(20.0, 5.0, 0.0);
        let high = model.level;
        model.play(1.0, 0.1, 0.0);
        assert!(
            model.level < high && model.level > Level(high.0 - 0.2),
            "{high:?} {:?}",
            model.level
        );
        model.play(25.0, 0.1, 0.0);
        assert_eq!(model.level, Level::NONE);
    }

    #[test]
    fn a_moment_of_which_nothing_is_known_turns_away_a_part_of_batch_at_most() {
        let mut shedder = Shedder::default();
        let mut now = Instant::now();
        shedder.look(Duration::ZERO, TOO_LATE, now);
        now += Duration::from_hours(1);
        shedder.look(Duration::from_hours(1), TOO_LATE, now);
        let mut most = Level::NONE;
        for _ in 0..100 {
            now += EVERY;
            let level = shedder.look(Duration::ZERO, TOO_LATE, now);
            most = if level > most { level } else { most };
        }
        assert!(most < Level(0.5), "{most:?}");
    }

    #[test]
    fn no_bound_turns_nothing_away() {
        let mut shedder = Shedder::default();
        let start = Instant::now();
        for second in 0..10 {
            let now = start + Duration::from_secs(second);
            assert_eq!(shedder.look(Duration::from_secs(9), Duration::ZERO, now), Level::NONE);
        }
    }

    #[test]
    fn levels_are_shares() {
        for (thousandths, batch, interactive) in
            [(0, 0.0, 0.0), (500, 0.5, 0.0), (1_250, 1.0, 0.25), (9_999, 1.0, 0.98)]
        {
            let level = Level::from_thousandths(thousandths);
            assert_eq!(
                (level.share(Priority::Batch), level.share(Priority::Interactive)),
                (batch, interactive)
            );
            assert_eq!(level.thousandths(), thousandths.min(2_000));
        }
        assert!(Level::from_thousandths(500).sheds(Priority::Batch, 0.499));
        assert!(!Level::from_thousandths(500).sheds(Priority::Batch, 0.5));
        assert!(!Level::NONE.sheds(Priority::Batch, 0.0));
    }
}
