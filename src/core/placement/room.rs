//! How much of a deployment's minute is used, as far as one replica can know.
//!
//! The deployment's own rate-limit headers tell what is left at one moment, for all replicas together. From then on the report
//! ages: its minute passes, and what this replica sent since is added. Where there are other replicas it ages towards part of what
//! was usual lately, since they keep sending. Without any report, this replica's own sends of the last minute count, times the replicas. The limit is the configured capacity until headers tell it, and what they
//! tell then: a lower one is the service's own reduction.

use std::time::Duration;

/// What a limit is counted over.
const MINUTE: Duration = Duration::from_mins(1);

/// Time in which older reports lose half of their weight in what is usual.
const USUAL_HALF_LIFE: Duration = Duration::from_mins(2);
/// Part of what is usual that a report ages towards. More is refused less and finds less cached: what seems full is left by conversations
/// that would have been let in (ADR 11).
const USUAL_PART: f64 = 0.3;

/// What is known of one deployment's limit and its use.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    limit: f64,
    /// When the last report came and what it said was used.
    report: Option<(Duration, f64)>,
    /// What reports said was used, smoothed.
    usual: f64,
    /// Sent since the report or, without one, in the last minute (decayed).
    sent: f64,
    sent_at: Duration,
}

impl Room {
    /// Nothing used; `limit` in tokens a minute, infinite where nobody configured one.
    pub fn new(limit: f64) -> Self {
        Self {
            limit,
            report: None,
            usual: 0.0,
            sent: 0.0,
            sent_at: Duration::ZERO,
        }
    }

    /// The limit in force, in tokens a minute.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// This replica sends a request of this estimate.
    pub fn sent(&mut self, tokens: f64, now: Duration) {
        self.sent = self.decayed(now) + tokens;
        self.sent_at = now;
    }

    /// A deployment told limit and remaining tokens of its minute, all requests counted that it had admitted by then.
    pub fn reported(&mut self, limit: f64, remaining: f64, now: Duration) {
        let used = (limit - remaining).max(0.0);
        self.usual = match self.report {
            Some((at, _)) => {
                let ago = now.saturating_sub(at).as_secs_f64() / USUAL_HALF_LIFE.as_secs_f64();
                used + (self.usual - used) * (-ago).exp2()
            }
            None => used,
        };
        self.limit = limit;
        self.report = Some((now, used));
        self.sent = 0.0;
        self.sent_at = now;
    }

    /// Tokens of the current minute that are used.
    pub fn used(&self, now: Duration, replicas: f64) -> f64 {
        match self.report {
            Some((at, used)) if now < at + MINUTE => {
                let left = left(at, now);
                let towards = if replicas > 1.0 { USUAL_PART * self.usual } else { 0.0 };
                used * left + towards * (1.0 - left) + self.decayed(now)
            }
            _ => self.decayed(now) * replicas,
        }
    }

    fn decayed(&self, now: Duration) -> f64 {
        self.sent * left(self.sent_at, now)
    }
}

/// The part of a minute's use that still counts: it passes evenly.
fn left(at: Duration, now: Duration) -> f64 {
    1.0 - (now.saturating_sub(at).as_secs_f64() / MINUTE.as_secs_f64()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_report_ages_and_own_sends_are_added() {
        let mut room = Room::new(100.0);
        room.reported(80.0, 20.0, seconds(10));
        assert_eq!((room.limit(), room.used(seconds(10), 1.0)), (80.0, 60.0));
        assert!((room.used(seconds(40), 1.0) - 30.0).abs() < 1e-9);
        room.sent(10.0, seconds(40));
        assert!((room.used(seconds(40), 1.0) - 40.0).abs() < 1e-9);
        room.reported(80.0, 80.0, seconds(41));
        assert!(
            room.used(seconds(41), 1.0).abs() < 1e-9,
            "the report counts what was sent before it"
        );
    }

    #[test]
    fn among_others_a_report_ages_towards_part_of_what_is_usual() {
        let mut room = Room::new(100.0);
        room.reported(100.0, 40.0, seconds(0));
        assert!((room.used(seconds(0), 4.0) - 60.0).abs() < 1e-9);
        assert!((room.used(seconds(30), 4.0) - (30.0 + 0.5 * USUAL_PART * 60.0)).abs() < 1e-9);
        room.reported(100.0, 80.0, seconds(120));
        // Half of 60 and half of 20 is usual now.
        assert!((room.used(seconds(150), 4.0) - (10.0 + 0.5 * USUAL_PART * 40.0)).abs() < 1e-9);
        assert!((room.used(seconds(150), 1.0) - 10.0).abs() < 1e-9, "nobody else sends");
    }

    #[test]
    fn without_a_report_own_sends_stand_for_those_of_all() {
        let mut room = Room::new(100.0);
        room.sent(10.0, seconds(0));
        assert!((room.used(seconds(0), 4.0) - 40.0).abs() < 1e-9);
        assert!((room.used(seconds(30), 4.0) - 20.0).abs() < 1e-9);
        assert!(room.used(seconds(90), 4.0).abs() < 1e-9);
    }

    #[test]
    fn more_remaining_than_the_limit_is_nothing_used() {
        let mut room = Room::new(100.0);
        room.reported(100.0, 120.0, seconds(0));
        assert!(room.used(seconds(0), 1.0).abs() < 1e-9);
    }
}
