//! The slowest requests of each minute, by the time to their first token, by that to their end and by that in the gateway itself.

use crate::core::history::ask::Latency;
use crate::core::history::shown::{SlowAttempt, SlowRequest};
use crate::core::ledger::finished::{Finished, FinishedAttempt};

/// Requests that are kept of a minute by each time: 3 · 20 a minute are some 150 MB in two days at most, of 900 bytes each.
pub const SLOWEST_MAX: usize = 20;
/// How long they are kept, in milliseconds: two days.
pub const SLOWEST_KEPT_MS: i64 = 2 * 24 * 60 * 60 * 1_000;

/// The slowest requests of the minute that runs, and which of them are news.
#[derive(Debug, Default)]
pub struct SlowMinute {
    minute_ms: i64,
    /// By each time, the slowest first.
    bounds: [Vec<u64>; 3],
    news: Vec<SlowRequest>,
}

impl SlowMinute {
    /// Looks at a request that ended in the minute that begins then. One that is slow enough is made a row of.
    pub fn look(&mut self, minute_ms: i64, finished: &Finished) {
        if minute_ms != self.minute_ms {
            self.minute_ms = minute_ms;
            self.bounds = [const { Vec::new() }; 3];
        }
        let [by_first, by_end, by_overhead] = &mut self.bounds;
        let first = finished.record.first_token_us.is_some_and(|us| enters(by_first, us));
        let end = enters(by_end, finished.record.total_us);
        let overhead = enters(by_overhead, finished.overhead_us);
        if first || end || overhead {
            self.news.push(shown(finished));
        }
    }

    /// Those that were slow enough when they came, and were not taken yet: at most some hundred a minute.
    pub fn news(&self) -> &[SlowRequest] {
        &self.news
    }

    /// The same, taken.
    pub fn take(&mut self) -> Vec<SlowRequest> {
        std::mem::take(&mut self.news)
    }
}

fn enters(bounds: &mut Vec<u64>, us: u64) -> bool {
    let at = bounds.partition_point(|known| *known >= us);
    if at >= SLOWEST_MAX {
        return false;
    }
    bounds.insert(at, us);
    bounds.truncate(SLOWEST_MAX);
    true
}

/// The slowest of these by a time, at most so many, the slowest first. Those without that time are left out.
pub fn slowest(requests: Vec<SlowRequest>, of: Latency, limit: usize) -> Vec<SlowRequest> {
    let mut timed: Vec<(f64, SlowRequest)> = requests
        .into_iter()
        .filter_map(|request| Some((time_ms(&request, of)?, request)))
        .collect();
    timed.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    timed.truncate(limit);
    timed.into_iter().map(|(_, request)| request).collect()
}

/// A time of a request, in milliseconds.
pub fn time_ms(request: &SlowRequest, of: Latency) -> Option<f64> {
    match of {
        Latency::Ttft => request.first_token_ms,
        Latency::Total => Some(request.total_ms),
        Latency::Overhead => Some(request.overhead_ms),
    }
}

/// A request as it is shown.
pub fn shown(finished: &Finished) -> SlowRequest {
    let record = &finished.record;
    let word = |word: &str| word.to_owned();
    SlowRequest {
        id: word(&record.request_id),
        at_ms: record.started_at_ms,
        client: word(&record.client),
        route: word(&record.route),
        deployment: record.deployment.as_ref().map(|id| word(id)),
        region: record.region.as_ref().map(|region| word(region)),
        operation: word(record.operation.as_ref()),
        streamed: record.streamed,
        outcome: word(record.outcome.as_ref()),
        status: record.status,
        reason: word(finished.reason),
        prompt_tokens: record.prompt_tokens,
        cached_tokens: record.cached_tokens,
        completion_tokens: record.completion_tokens,
        first_byte_ms: record.first_byte_us.map(ms),
        first_token_ms: record.first_token_us.map(ms),
        total_ms: ms(record.total_us),
        overhead_ms: ms(finished.overhead_us),
        body_ms: ms(finished.body_us),
        queue_ms: ms(finished.queue_us),
        attempts: finished.attempts.iter().map(attempt).collect(),
    }
}

fn attempt(attempt: &FinishedAttempt) -> SlowAttempt {
    SlowAttempt {
        deployment: attempt.deployment.to_string(),
        region: attempt.region.to_string(),
        reason: attempt.reason.to_owned(),
        outcome: attempt.outcome.to_owned(),
        status: attempt.status,
        began_ms: ms(attempt.began_us),
        headers_ms: ms(attempt.headers_us),
        total_ms: ms(attempt.total_us),
        retry_after_ms: attempt.retry_after_ms,
        answers: attempt.answers,
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::finished::testing::finished;

    const MINUTE_MS: i64 = 60 * 1_000;

    fn slow(total_us: u64) -> Finished {
        let mut request = finished(0);
        request.record.total_us = total_us;
        request.record.first_token_us = None;
        request
    }

    #[test]
    fn only_what_is_among_the_slowest_of_its_minute_is_kept() {
        let mut minute = SlowMinute::default();
        for us in (1..=100).rev() {
            minute.look(0, &slow(us * 1_000));
        }
        let totals: Vec<f64> = minute.take().iter().map(|request| request.total_ms).collect();
        assert_eq!(totals, (81..=100).rev().map(f64::from).collect::<Vec<_>>());
        minute.look(0, &slow(81_000));
        assert!(minute.news().is_empty(), "as slow as the last of them, and later");
        minute.look(0, &slow(81_001));
        minute.look(MINUTE_MS, &slow(1));
        assert_eq!(minute.take().len(), 2, "another minute begins anew");
    }

    #[test]
    fn what_the_gateway_held_up_is_kept_although_others_took_longer() {
        let mut minute = SlowMinute::default();
        for us in (1..=100).rev() {
            minute.look(0, &slow(us * 1_000));
        }
        minute.take();
        let mut held_up = slow(1);
        held_up.overhead_us = 401;
        minute.look(0, &held_up);
        let slowest = slowest(minute.take(), Latency::Overhead, 1);
        let overheads: Vec<f64> = slowest.iter().map(|request| request.overhead_ms).collect();
        assert_eq!(overheads, [0.401]);
    }

    #[test]
    fn the_slowest_come_first_and_those_without_the_time_not_at_all() {
        let mut streamed = finished(0);
        streamed.record.total_us = 2_500;
        let all = || vec![shown(&slow(1_000)), shown(&streamed), shown(&slow(3_000))];
        let totals = |of, limit| -> Vec<f64> {
            let found = slowest(all(), of, limit);
            found.iter().map(|request| request.total_ms).collect()
        };
        assert_eq!(totals(Latency::Total, 2), [3.0, 2.5]);
        assert_eq!(totals(Latency::Ttft, 9), [2.5]);
    }
}
