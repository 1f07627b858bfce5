//! Failovers and throttles, told as a sentence for each route and pair of deployments instead of one for each request.
//!
//! A pair is told within ten seconds when it is seen first. While it goes on, once in ten minutes with all that came meanwhile: a pool
//! that is throttled all day is not to push out what else happened.

use std::collections::HashMap;
use std::hash::Hash;

use crate::core::history::sums::is_move;
use crate::core::ids::{DeploymentId, RouteId};
use crate::core::ledger::finished::Finished;
use crate::core::ledger::usage::RequestOutcome;
use crate::telemetry::events::traffic::{FailoversSeen, OutcomeSeen, ThrottlesSeen};
use crate::telemetry::journal::Journal;

/// Pairs, and deployments, that are remembered; of the others the history's figures tell.
const PAIRS_MAX: usize = 256;
/// Of them, those that are told at once; the others are told in the next ten seconds.
const TOLD_MAX: usize = 32;
/// How often the same is told, in milliseconds.
const AGAIN_MS: i64 = 10 * 60 * 1_000;

/// What is to be told.
#[derive(Debug, Default)]
pub struct Telling {
    moves: HashMap<Moved, Tally>,
    /// 429s by route and deployment of requests that ended with one.
    throttles: HashMap<(RouteId, DeploymentId), Tally>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Moved {
    route: RouteId,
    from: DeploymentId,
    to: DeploymentId,
    outcome: &'static str,
    status: u16,
}

/// What came since it was told last.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    requests: u64,
    /// Those whose client got no answer of a deployment.
    unserved: u64,
    /// The longest rest that was asked for, in milliseconds.
    rest_ms: u64,
    /// When it was told last.
    told_ms: Option<i64>,
}

impl Telling {
    /// Adds a request.
    pub fn add(&mut self, finished: &Finished) {
        let record = &finished.record;
        let is_served = matches!(record.outcome, RequestOutcome::Success | RequestOutcome::Rejected);
        for (attempt, next) in finished.attempts.iter().zip(finished.attempts.iter().skip(1)) {
            if !is_move(attempt, next) {
                continue;
            }
            let moved = Moved {
                route: record.route.clone(),
                from: attempt.deployment.clone(),
                to: next.deployment.clone(),
                outcome: attempt.outcome,
                status: attempt.status,
            };
            if let Some(tally) = tally(&mut self.moves, moved) {
                tally.requests += 1;
                tally.unserved += u64::from(!is_served);
            }
        }
        let last = finished.attempts.last().filter(|last| last.status == 429);
        if let Some(last) = last.filter(|_| record.outcome == RequestOutcome::Throttled)
            && let Some(tally) = tally(&mut self.throttles, (record.route.clone(), last.deployment.clone()))
        {
            tally.requests += 1;
            tally.rest_ms = tally.rest_ms.max(last.retry_after_ms.unwrap_or(0));
        }
    }

    /// Tells what is due, the most first.
    pub fn tell(&mut self, journal: &Journal, now_ms: i64) {
        self.tell_after(journal, now_ms, AGAIN_MS);
    }

    /// Tells all that is not told yet.
    pub fn tell_rest(&mut self, journal: &Journal, now_ms: i64) {
        self.tell_after(journal, now_ms, 0);
    }

    fn tell_after(&mut self, journal: &Journal, now_ms: i64, again_ms: i64) {
        for (moved, tally) in due(&mut self.moves, now_ms, again_ms) {
            FailoversSeen {
                route: &moved.route,
                from: &moved.from,
                to: &moved.to,
                seen: OutcomeSeen {
                    outcome: moved.outcome,
                    status: moved.status,
                },
                requests: tally.requests,
                unserved: tally.unserved,
                since_ms: tally.told_ms,
            }
            .emit(journal, now_ms);
        }
        for ((route, deployment), tally) in due(&mut self.throttles, now_ms, again_ms) {
            ThrottlesSeen {
                route: &route,
                deployment: &deployment,
                requests: tally.requests,
                rest_ms: tally.rest_ms,
                since_ms: tally.told_ms,
            }
            .emit(journal, now_ms);
        }
    }
}

/// Where to add what was seen; none where there is too much of it.
fn tally<K: Eq + Hash>(all: &mut HashMap<K, Tally>, key: K) -> Option<&mut Tally> {
    (all.len() < PAIRS_MAX || all.contains_key(&key)).then(|| all.entry(key).or_default())
}

/// Takes what is to be told now, the most first. What was told, and did not come again for so long, is forgotten.
fn due<K: Eq + Hash + Ord + Clone>(all: &mut HashMap<K, Tally>, now_ms: i64, again_ms: i64) -> Vec<(K, Tally)> {
    // A clock that went back tells anew.
    let is_over = |told_ms: i64| now_ms < told_ms || now_ms - told_ms >= again_ms;
    let is_due = |tally: &Tally| tally.told_ms.is_none_or(is_over);
    all.retain(|_, tally| tally.requests > 0 || !is_due(tally));
    let mut found: Vec<_> = all
        .iter()
        .filter(|(_, tally)| tally.requests > 0 && is_due(tally))
        .map(|(key, tally)| (key.clone(), *tally))
        .collect();
    found.sort_by(|(one, tally), (other, others)| others.requests.cmp(&tally.requests).then_with(|| one.cmp(other)));
    found.truncate(TOLD_MAX);
    for (key, _) in &found {
        if let Some(tally) = all.get_mut(key) {
            *tally = Tally {
                told_ms: Some(now_ms),
                ..Tally::default()
            };
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::finished::testing::finished;
    use crate::telemetry::journal::Severity;

    const MINUTE_MS: i64 = 60_000;

    /// A request with attempts at these deployments, for these reasons and with these states.
    fn request(outcome: RequestOutcome, attempts: &[(&str, &'static str, u16)]) -> Finished {
        let mut request = finished(0);
        let first = request.attempts[0].clone();
        request.record.outcome = outcome;
        request.attempts.clear();
        for (deployment, reason, status) in attempts {
            let mut attempt = first.clone();
            (attempt.deployment, attempt.reason, attempt.status) = ((*deployment).into(), reason, *status);
            attempt.outcome = match status {
                200 => "success",
                429 => "throttled",
                _ => "failed",
            };
            request.attempts.push(attempt);
        }
        request
    }

    fn told(journal: &Journal) -> Vec<String> {
        journal.unstored().into_iter().map(|event| event.text).collect()
    }

    #[test]
    fn a_429_is_told_only_where_the_request_ended_with_it() {
        let (mut telling, journal) = (Telling::default(), Journal::default());
        telling.add(&request(
            RequestOutcome::Success,
            &[("a", "home", 429), ("a", "retry", 200)],
        ));
        telling.add(&request(
            RequestOutcome::Success,
            &[("a", "home", 429), ("b", "hedge", 200)],
        ));
        telling.add(&request(
            RequestOutcome::Success,
            &[("a", "home", 200), ("b", "hedge", 429)],
        ));
        telling.tell(&journal, 0);
        assert_eq!(told(&journal), [""; 0]);
        telling.add(&request(
            RequestOutcome::Throttled,
            &[("a", "home", 429), ("a", "retry", 429)],
        ));
        telling.tell(&journal, 0);
        assert_eq!(told(&journal), ["support: a request ended with a 429 of a"]);
    }

    #[test]
    fn clients_are_said_to_be_served_only_where_they_were() {
        let (mut telling, journal) = (Telling::default(), Journal::default());
        let attempts = [("a", "home", 500), ("b", "failover", 200)];
        telling.add(&request(RequestOutcome::Success, &attempts));
        telling.tell(&journal, 0);
        telling.add(&request(RequestOutcome::Success, &attempts));
        telling.add(&request(RequestOutcome::UpstreamFailed, &attempts));
        telling.tell(&journal, AGAIN_MS);
        let events = journal.unstored();
        let advice = |nth: usize| events[nth].advice.as_deref().expect("advice");
        assert!(advice(0).starts_with("clients were served"), "{}", advice(0));
        assert!(!advice(1).contains("clients were served"), "{}", advice(1));
        assert_eq!(
            events[1].text,
            "support: 2 more requests went on from a (500) to b in the 10 minutes before; 1 of them was not served"
        );
        assert_eq!(events[1].severity, Severity::Warn);
    }

    #[test]
    fn what_goes_on_is_told_at_first_and_then_once_in_ten_minutes_with_its_sum() {
        let (mut telling, journal) = (Telling::default(), Journal::default());
        for ten in 0..6 * 21 {
            telling.add(&request(RequestOutcome::Throttled, &[("a", "home", 429)]));
            telling.tell(&journal, ten * 10_000);
        }
        let again = "support: 60 more requests ended with a 429 of a in the 10 minutes before";
        assert_eq!(
            told(&journal),
            ["support: a request ended with a 429 of a", again, again]
        );
        telling.tell_rest(&journal, 21 * MINUTE_MS);
        assert_eq!(
            told(&journal)[3],
            "support: 5 more requests ended with a 429 of a in the minute before"
        );
        // What has ceased is forgotten, and told at once when it comes again.
        telling.tell(&journal, 60 * MINUTE_MS);
        assert!(telling.throttles.is_empty());
    }

    #[test]
    fn pairs_are_bounded_and_told_a_few_at_once() {
        let (mut telling, journal) = (Telling::default(), Journal::default());
        for number in 0..PAIRS_MAX + 9 {
            telling.add(&request(
                RequestOutcome::Throttled,
                &[(&number.to_string(), "home", 429)],
            ));
        }
        assert_eq!(telling.throttles.len(), PAIRS_MAX);
        telling.tell(&journal, 0);
        assert_eq!(told(&journal).len(), TOLD_MAX);
        telling.tell(&journal, 10_000);
        assert_eq!(told(&journal).len(), 2 * TOLD_MAX);
    }
}
