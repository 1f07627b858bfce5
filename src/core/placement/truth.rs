//! What answers have told of a deployment's cache, set against what was expected of it.
//!
//! Every answer reports the prompt tokens that were found cached. Where a beginning had been sent to the deployment before, that is a
//! trial of what is believed of its cache:
//!
//! - **How long it keeps what nobody asks for.** Trials are tallied by how long the beginning had lain idle. The life ends where
//!   trials find less than half of what fresh ones find. Ten minutes until enough trials say otherwise, an hour at most, as the
//!   provider documents.
//! - **Whether it has lost everything.** Some fresh beginnings in a row that are not there, of different heads, mean that another pool of
//!   machines serves the deployment now. What was sent before is then no reason to go there. Fewer are enough where the answers
//!   also name a serving session that was not seen before.
//! - **Whether it caches at all.** Where many in a row were not there, prompts are placed by load: affinity that earns
//!   nothing is not paid for with imbalance. One hit ends that, and half an hour later it is tried again.
//!
//! Pure: `now` is an argument. A few hundred bytes a deployment; constant time.

use std::time::Duration;

use smallvec::SmallVec;

use super::view::CACHE_LIFE;

/// Upper ends of the idle times that are told apart, in minutes.
const AGES: [u64; 14] = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 45, 60];
/// The longest that any cache is believed to keep what nobody asks for.
pub const LIFE_MAX: Duration = Duration::from_hours(1);
/// Trials of an age before it is judged, and at which its tally is halved, so that the past fades.
const TRIALS_MIN: f32 = 8.0;
const TRIALS_MAX: f32 = 64.0;
/// Ages of trials that tell how much is found of what was just sent.
const FRESH_AGES: usize = 2;
/// Part of what is found of fresh beginnings, below which an age is beyond the cache's life.
const ALIVE: f32 = 0.5;
/// Evidence from which on everything sent is taken to be lost, and the same where a new session serves: a miss in a row counts
/// [`OTHER_HEAD`] if it is of another head than the one before it, else 1.
const LOST_FROM: u32 = 6;
const LOST_FROM_NEW_SESSION: u32 = 3;
const OTHER_HEAD: u32 = 2;
/// Serving sessions that are remembered: one for each machine, as far as is known.
const SESSIONS_MAX: usize = 16;
/// The same before the deployment is taken not to cache at all.
const NO_CACHE_AFTER: u32 = 20;
/// How long that is believed without a further trial.
const TRIED_AGAIN_AFTER: Duration = Duration::from_mins(30);

/// What came of a beginning that had been sent before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// Tokens of the prompt that had been sent to the deployment before.
    pub sent: u32,
    /// Tokens that the answer reports as cached.
    pub cached: u32,
    /// How long they had lain idle when the request was planned.
    pub idle: Duration,
    /// When that was.
    pub planned_at: Duration,
    /// What tells heads apart.
    pub head: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Tally {
    trials: f32,
    found: f32,
}

/// What is known of one deployment's cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    ages: [Tally; AGES.len()],
    life: Duration,
    /// Fresh beginnings in a row that were not there.
    missed: u32,
    /// What they say of a loss, since the last one, and the head of the last of them.
    evidence: u32,
    missed_head: u64,
    missed_at: Duration,
    lost_before: Duration,
    sessions: SmallVec<[u64; 4]>,
    has_new_session: bool,
}

impl Default for Truth {
    fn default() -> Self {
        Self {
            ages: Default::default(),
            life: CACHE_LIFE,
            missed: 0,
            evidence: 0,
            missed_head: 0,
            missed_at: Duration::ZERO,
            lost_before: Duration::ZERO,
            sessions: SmallVec::new(),
            has_new_session: false,
        }
    }
}

impl Truth {
    /// How long what nobody asks for is believed to be kept.
    pub fn cache_life(&self) -> Duration {
        self.life
    }

    /// What was sent before this time is believed to be lost.
    pub fn lost_before(&self) -> Duration {
        self.lost_before
    }

    /// Whether it is believed to cache at all.
    pub fn caches(&self, now: Duration) -> bool {
        self.missed < NO_CACHE_AFTER || now > self.missed_at + TRIED_AGAIN_AFTER
    }

    /// An answer named its serving session, as a hash.
    pub fn served_by(&mut self, session: u64) {
        if self.sessions.contains(&session) {
            return;
        }
        self.has_new_session |= !self.sessions.is_empty();
        if self.sessions.len() == SESSIONS_MAX {
            self.sessions.remove(0);
        }
        self.sessions.push(session);
    }

    /// An answer told what was cached. The caller leaves out beginnings that are too short to be cached. True if everything that had
    /// been sent is taken to be lost from now on.
    pub fn observed(&mut self, trial: Trial, now: Duration) -> bool {
        // What was sent before the loss is known to be lost: requests that were planned before it say nothing new.
        if trial.sent == 0 || trial.planned_at.saturating_sub(trial.idle) < self.lost_before {
            return false;
        }
        let part = (trial.cached as f32 / trial.sent as f32).min(1.0);
        let age = AGES.partition_point(|&minutes| Duration::from_mins(minutes) < trial.idle);
        if let Some(tally) = self.ages.get_mut(age) {
            if tally.trials >= TRIALS_MAX {
                tally.trials /= 2.0;
                tally.found /= 2.0;
            }
            tally.trials += 1.0;
            tally.found += part;
            self.life = self.learned_life();
        }
        self.judge(part >= ALIVE, &trial, now)
    }

    fn judge(&mut self, is_hit: bool, trial: &Trial, now: Duration) -> bool {
        if is_hit {
            self.missed = 0;
            self.evidence = 0;
            self.has_new_session = false;
            return false;
        }
        if trial.idle > self.life / 2 {
            return false;
        }
        self.missed = self.missed.saturating_add(1);
        self.missed_at = now;
        let is_other = self.evidence == 0 || trial.head != self.missed_head;
        self.evidence += if is_other { OTHER_HEAD } else { 1 };
        self.missed_head = trial.head;
        let enough = if self.has_new_session {
            LOST_FROM_NEW_SESSION
        } else {
            LOST_FROM
        };
        if self.evidence < enough {
            return false;
        }
        self.evidence = 0;
        self.has_new_session = false;
        self.lost_before = now;
        true
    }

    /// The end of the last age that is alive, with all before it. Ages with too few trials count as what is believed without any.
    fn learned_life(&self) -> Duration {
        let fresh = self.ages[..FRESH_AGES].iter();
        let (trials, found) = fresh.fold((0.0, 0.0), |sum, tally| (sum.0 + tally.trials, sum.1 + tally.found));
        if trials < TRIALS_MIN || found <= 0.0 {
            return CACHE_LIFE;
        }
        let least = ALIVE * found / trials;
        let is_alive = |(tally, &minutes): (&Tally, &u64)| {
            if tally.trials >= TRIALS_MIN {
                tally.found / tally.trials >= least
            } else {
                Duration::from_mins(minutes) <= CACHE_LIFE
            }
        };
        let alive = self.ages.iter().zip(&AGES).take_while(|&age| is_alive(age)).count();
        // What was sent this very minute is always believed to be there: else nothing would ever be tried again.
        Duration::from_mins(AGES[alive.max(1) - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(found: f32, minutes: u64) -> Trial {
        Trial {
            sent: 2_000,
            cached: (2_000.0 * found) as u32,
            idle: Duration::from_mins(minutes),
            planned_at: Duration::from_hours(2),
            head: 1,
        }
    }

    fn of_head(head: u64, found: f32) -> Trial {
        Trial {
            head,
            ..trial(found, 0)
        }
    }

    fn observe(truth: &mut Truth, times: usize, found: f32, minutes: u64) {
        for _ in 0..times {
            truth.observed(trial(found, minutes), Duration::from_hours(1));
        }
    }

    #[test]
    fn a_shorter_life_is_learned_from_what_is_not_there_any_more() {
        let mut truth = Truth::default();
        observe(&mut truth, 8, 1.0, 1);
        observe(&mut truth, 7, 0.0, 7);
        assert_eq!(truth.cache_life(), CACHE_LIFE, "too few to say");
        observe(&mut truth, 1, 0.0, 7);
        assert_eq!(truth.cache_life(), Duration::from_mins(6));
        // Night falls, other users are gone: it keeps things longer again.
        observe(&mut truth, 60, 1.0, 7);
        assert_eq!(truth.cache_life(), CACHE_LIFE);
    }

    #[test]
    fn a_longer_life_is_learned_age_by_age() {
        let mut truth = Truth::default();
        observe(&mut truth, 8, 1.0, 0);
        observe(&mut truth, 8, 0.9, 20);
        assert_eq!(truth.cache_life(), CACHE_LIFE, "nothing is known of what lies between");
        observe(&mut truth, 8, 0.9, 11);
        observe(&mut truth, 8, 0.9, 14);
        assert_eq!(truth.cache_life(), Duration::from_mins(20));
        observe(&mut truth, 8, 1.0, 90);
        assert!(truth.cache_life() <= LIFE_MAX);
    }

    #[test]
    fn a_share_that_always_misses_is_no_sign_of_age() {
        let mut truth = Truth::default();
        for minutes in [1, 3, 5, 9] {
            for _ in 0..10 {
                truth.observed(trial(1.0, minutes), Duration::ZERO);
                truth.observed(trial(0.2, minutes), Duration::ZERO);
            }
        }
        assert_eq!(truth.cache_life(), CACHE_LIFE);
    }

    #[test]
    fn misses_in_a_row_lose_everything_the_sooner_the_more_heads_miss() {
        let now = Duration::from_mins(9);
        let lost = |heads: &[(u64, f32)]| {
            let mut truth = Truth::default();
            let mut each = heads
                .iter()
                .map(|&(head, found)| truth.observed(of_head(head, found), now));
            each.position(|lost| lost)
        };
        assert_eq!(lost(&[(1, 0.0), (2, 0.0), (3, 0.0)]), Some(2));
        assert_eq!(
            lost(&[(1, 0.0), (2, 0.0), (1, 1.0), (3, 0.0), (4, 0.0)]),
            None,
            "a hit between"
        );
        assert_eq!(lost(&[(1, 0.0); 5]), Some(4), "one head alone may overflow its machine");
    }

    #[test]
    fn a_session_never_seen_makes_a_loss_likelier_and_one_of_several_does_not() {
        let now = Duration::from_mins(9);
        let mut truth = Truth::default();
        for session in [1, 2, 1, 2] {
            truth.served_by(session);
        }
        truth.observed(of_head(1, 1.0), now);
        for session in [1, 2, 1] {
            truth.served_by(session);
        }
        let two = [of_head(1, 0.0), of_head(2, 0.0)];
        assert_eq!(two.map(|trial| truth.observed(trial, now)), [false, false]);
        truth.observed(of_head(1, 1.0), now);
        truth.served_by(3);
        assert_eq!(two.map(|trial| truth.observed(trial, now)), [false, true]);
        assert_eq!(truth.lost_before(), now);
    }

    #[test]
    fn requests_planned_before_a_loss_do_not_count_it_again() {
        let now = Duration::from_hours(3);
        let mut truth = Truth::default();
        for head in 1..=3 {
            truth.observed(of_head(head, 0.0), now);
        }
        assert_eq!((truth.lost_before(), truth.missed), (now, 3));
        for head in 4..=30 {
            assert!(!truth.observed(of_head(head, 0.0), now + Duration::from_secs(1)));
        }
        assert_eq!(truth.missed, 3);
    }

    #[test]
    fn what_lay_long_is_no_sign_of_loss() {
        let mut truth = Truth::default();
        assert!((0..10).all(|_| !truth.observed(trial(0.0, 8), Duration::ZERO)));
    }

    #[test]
    fn one_that_never_hits_does_not_cache_until_it_does() {
        let mut truth = Truth::default();
        let now = Duration::from_hours(1);
        observe(&mut truth, 19, 0.0, 0);
        assert!(truth.caches(now));
        observe(&mut truth, 1, 0.0, 0);
        assert!(!truth.caches(now));
        assert!(truth.caches(now + Duration::from_mins(31)), "it is tried again");
        observe(&mut truth, 1, 1.0, 0);
        assert!(truth.caches(now));
    }
}
