//! When is the next request due, and is there one?
//!
//! Closed loop: at once, as soon as a worker is free. Open loop: request *n* is due at *n* ÷ rate from the start, and
//! its latency counts from then even when no worker was free, since a real caller would have been waiting too (the
//! measurement error otherwise made is known as coordinated omission). Only a delay within the timer's own grain is
//! ours and not counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::plan::Extent;

/// How late the timer wakes a worker that was ready in time; the runtime's timer ticks in milliseconds.
const TIMER_GRAIN: Duration = Duration::from_millis(2);

/// Hands out slots in order.
#[derive(Debug)]
pub(super) struct Pace {
    started: Instant,
    rate: Option<f64>,
    extent: Extent,
    next: AtomicU64,
}

/// One request to be sent.
#[derive(Debug, PartialEq)]
pub(super) struct Slot {
    /// Its number, from 0, without gaps.
    pub number: u64,
    /// When to send it; none: now.
    pub due: Option<Instant>,
}

impl Pace {
    pub(super) fn new(started: Instant, rate: Option<f64>, extent: Extent) -> Self {
        Self {
            started,
            rate,
            extent,
            next: AtomicU64::new(0),
        }
    }

    /// The next slot, none when the run is over.
    pub(super) fn take(&self, now: Instant) -> Option<Slot> {
        if let Extent::Duration(length) = self.extent
            && now >= self.started + length
        {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if let Extent::Requests(total) = self.extent
            && number >= total
        {
            return None;
        }
        let due = self
            .rate
            .map(|rate| self.started + Duration::from_secs_f64(number as f64 / rate));
        if let (Extent::Duration(length), Some(due)) = (self.extent, due)
            && due >= self.started + length
        {
            return None;
        }
        Some(Slot { number, due })
    }

    /// From when the latency of `slot` counts, when a worker begins it `now`.
    pub(super) fn intended(slot: &Slot, now: Instant) -> Instant {
        match slot.due {
            Some(due) if now > due + TIMER_GRAIN => due,
            _ => now,
        }
    }

    /// How many requests were due by `ended` that no worker was free to take; none are ever missing in a closed loop.
    pub(super) fn unsent(&self, ended: Instant) -> u64 {
        let Some(rate) = self.rate else { return 0 };
        let mut elapsed = ended.saturating_duration_since(self.started);
        if let Extent::Duration(length) = self.extent {
            elapsed = elapsed.min(length);
        }
        let mut due = (elapsed.as_secs_f64() * rate).ceil() as u64;
        if let Extent::Requests(total) = self.extent {
            due = due.min(total);
        }
        due.saturating_sub(self.next.load(Ordering::Relaxed))
    }
}

/// Whether request `number` is one of those that ask for a stream: any run of them holds `share`, to within one.
pub(super) fn is_stream(number: u64, share: f64) -> bool {
    let up_to = |count: u64| (count as f64 * share).floor();
    up_to(number + 1) > up_to(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(pace: &Pace, now: Instant) -> Vec<Duration> {
        std::iter::from_fn(|| pace.take(now))
            .take(1000)
            .map(|slot| slot.due.map_or(Duration::ZERO, |due| due - pace.started))
            .collect()
    }

    #[test]
    fn open_loop_slots_are_evenly_spaced_and_end() {
        let now = Instant::now();
        let ms = Duration::from_millis;
        let by_time = Pace::new(now, Some(4.0), Extent::Duration(ms(1000)));
        assert_eq!(slots(&by_time, now), [ms(0), ms(250), ms(500), ms(750)]);
        let by_number = Pace::new(now, Some(4.0), Extent::Requests(2));
        assert_eq!(slots(&by_number, now), [ms(0), ms(250)]);
    }

    #[test]
    fn closed_loop_slots_have_no_due_time() {
        let now = Instant::now();
        let pace = Pace::new(now, None, Extent::Duration(Duration::from_secs(1)));
        assert_eq!(pace.take(now), Some(Slot { number: 0, due: None }));
        assert_eq!(pace.take(now + Duration::from_secs(1)), None);
    }

    #[test]
    fn a_late_start_counts_from_when_it_was_due() {
        let due = Instant::now();
        let slot = Slot {
            number: 0,
            due: Some(due),
        };
        let (grain, late) = (due + Duration::from_millis(1), due + Duration::from_millis(30));
        assert_eq!(Pace::intended(&slot, grain), grain);
        assert_eq!(Pace::intended(&slot, late), due);
        assert_eq!(Pace::intended(&Slot { number: 0, due: None }, late), late);
    }

    #[test]
    fn what_no_worker_was_free_for_is_counted() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let pace = Pace::new(now, Some(100.0), Extent::Duration(second));
        for _ in 0..30 {
            pace.take(now);
        }
        assert_eq!(pace.unsent(now + second / 2), 20);
        assert_eq!(pace.unsent(now + second * 5), 70);
        assert_eq!(Pace::new(now, None, Extent::UntilStopped).unsent(now + second), 0);
    }

    #[test]
    fn the_stream_share_is_exact_and_spread() {
        let count = |range: std::ops::Range<u64>, share| range.filter(|&number| is_stream(number, share)).count();
        assert_eq!(
            (count(0..1000, 0.3), count(0..10, 0.3), count(500..510, 0.3)),
            (300, 3, 3)
        );
        assert_eq!((count(0..50, 0.0), count(0..50, 1.0)), (0, 50));
    }
}
