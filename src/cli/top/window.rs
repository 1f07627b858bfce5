//! The scrapes of the last moments: which of them the newest is compared with. Pure.
//!
//! One interval is too short to say much: requests for a model take seconds. So figures are over a window of several; a scrape that is
//! missing in between costs nothing, and another process begins a new window.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::cli::top::traffic::{Counts, Traffic};

/// So many scrapes are kept at most, however short the interval is: closer ones are passed over.
const KEPT_MAX: u32 = 60;

/// The window.
#[derive(Debug)]
pub(super) struct Window {
    length: Duration,
    /// Oldest first; the first is what the newest is compared with.
    kept: VecDeque<(Instant, Counts)>,
    newest: Option<(Instant, Counts)>,
}

impl Window {
    /// An empty one.
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            kept: VecDeque::new(),
            newest: None,
        }
    }

    /// Takes the newest scrape in, and tells what happened in the window's time, or since what is oldest of this process; none at
    /// the first.
    pub(super) fn take(&mut self, at: Instant, counts: Counts) -> Option<Traffic> {
        let is_of_another = |(_, newest): &(Instant, Counts)| !counts.continues(newest);
        if self.newest.as_ref().is_some_and(is_of_another) {
            self.kept.clear();
            self.newest = None;
        }
        if let Some(before) = self.newest.take() {
            let apart = self.length / KEPT_MAX;
            if self
                .kept
                .back()
                .is_none_or(|(last, _)| before.0.duration_since(*last) >= apart)
            {
                self.kept.push_back(before);
            }
        }
        let is_old = |(kept, _): &(Instant, Counts)| at.duration_since(*kept) >= self.length;
        // The oldest of the window goes when the next one covers the window too.
        while self.kept.get(1).is_some_and(is_old) {
            self.kept.pop_front();
        }
        let traffic = self
            .kept
            .front()
            .map(|(then, earlier)| counts.since(earlier, at.duration_since(*then)));
        self.newest = Some((at, counts));
        traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As of a process that began then, with so many requests.
    fn counts(began: u32, requests: u32) -> Counts {
        let text = format!(
            "process_start_time_seconds {began}\nemberway_requests_total{{outcome=\"success\",route=\"bot\"}} {requests}\n"
        );
        Counts::read(&text).expect("metrics")
    }

    #[test]
    fn the_newest_is_compared_with_what_the_window_reaches() {
        let begin = Instant::now();
        let mut window = Window::new(Duration::from_secs(3));
        let mut take = |second: u64, began, requests| {
            let traffic = window.take(begin + Duration::from_secs(second), counts(began, requests))?;
            Some((traffic.over.as_secs(), traffic.all.requests))
        };
        assert_eq!(take(0, 1, 100), None);
        assert_eq!(take(1, 1, 101), Some((1, 1.0)));
        assert_eq!(take(2, 1, 104), Some((2, 2.0)));
        assert_eq!(take(3, 1, 109), Some((3, 3.0)));
        assert_eq!(take(4, 1, 113), Some((3, 4.0)), "since second 1");
        // Scrapes are missing: since the last that there is.
        assert_eq!(take(9, 1, 138), Some((5, 5.0)));
        // It was restarted.
        assert_eq!(take(10, 2, 500), None);
        assert_eq!(take(11, 2, 507), Some((1, 7.0)));
    }

    #[test]
    fn a_short_interval_does_not_keep_more_scrapes() {
        let begin = Instant::now();
        let mut window = Window::new(Duration::from_mins(1));
        for tick in 0..2_000 {
            window.take(begin + Duration::from_millis(tick * 100), counts(1, tick as u32));
        }
        assert!(window.kept.len() <= KEPT_MAX as usize + 2, "{}", window.kept.len());
        let last = window
            .take(begin + Duration::from_secs(200), counts(1, 2_000))
            .expect("traffic");
        assert!((60..=61).contains(&last.over.as_secs()), "{:?}", last.over);
    }
}
