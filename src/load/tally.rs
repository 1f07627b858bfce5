//! Counting finished requests.
//!
//! Latencies are of whole answers only: a refusal in a millisecond must not make an endpoint look fast. What failed is
//! counted beside them.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};
use tokio::time::Instant;

use super::outcome::Finished;
use super::plan::MAX_TIMEOUT;
use super::report::{Counts, MAX_NAMES, Percentiles, Report};

/// Where names beyond [`MAX_NAMES`] are counted.
const OTHER: &str = "(other)";
/// Attempts are told apart up to here.
const MAX_ATTEMPTS: u32 = 100;

#[derive(Debug)]
pub(super) struct Tally {
    pub counts: Counts,
    latency: Histogram<u64>,
    first_token: Histogram<u64>,
    gateway: Histogram<u64>,
    last_end: Option<Instant>,
}

impl Tally {
    pub(super) fn new() -> Result<Self, CreationError> {
        // An open loop may be late by more than one timeout; longer waits are counted as this one.
        let longest = micros(MAX_TIMEOUT * 24);
        Ok(Self {
            counts: Counts::default(),
            latency: Histogram::new_with_bounds(1, longest, 3)?,
            first_token: Histogram::new_with_bounds(1, longest, 3)?,
            gateway: Histogram::new_with_bounds(1, longest, 3)?,
            last_end: None,
        })
    }

    /// When the last request was counted.
    pub(super) fn last_end(&self) -> Option<Instant> {
        self.last_end
    }

    pub(super) fn add(&mut self, finished: &Finished, now: Instant) {
        self.last_end = Some(now);
        let counts = &mut self.counts;
        let ok = finished.failure.is_none();
        let tokens = finished.tokens.unwrap_or_default();
        counts.requests += 1;
        counts.ok += u64::from(ok);
        counts.streams += u64::from(finished.streamed);
        counts.tokens.add(tokens);
        if let Some(failure) = &finished.failure {
            let mut failure = failure.clone();
            if counts.failures.len() >= MAX_NAMES && !counts.failures.contains_key(&failure) {
                failure.code = Some(OTHER.to_owned());
            }
            *counts.failures.entry(failure).or_default() += 1;
        }
        if let Some(name) = &finished.deployment {
            let deployment = bounded(&mut counts.deployments, name);
            deployment.requests += 1;
            deployment.ok += u64::from(ok);
            deployment.tokens.add(tokens);
        }
        if let Some(attempts) = finished.attempts {
            *counts.attempts.entry(attempts.min(MAX_ATTEMPTS)).or_default() += 1;
        }
        if ok {
            self.latency.saturating_record(micros(finished.latency));
            if let Some(first_token) = finished.first_token {
                self.first_token.saturating_record(micros(first_token));
            }
            if let Some(gateway) = finished.gateway {
                self.gateway.saturating_record(micros(gateway));
            }
        }
    }

    pub(super) fn report(&self, elapsed: Duration, unsent: u64) -> Report {
        let elapsed_s = elapsed.as_secs_f64();
        Report {
            elapsed_s,
            requests_per_s: if elapsed_s > 0.0 {
                self.counts.requests as f64 / elapsed_s
            } else {
                0.0
            },
            unsent,
            hit_ratio: self.counts.tokens.hit_ratio(),
            latency_ms: Percentiles::of(&self.latency),
            first_token_ms: Percentiles::of(&self.first_token),
            gateway_ms: Percentiles::of(&self.gateway),
            counts: self.counts.clone(),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The entry of `name`, or of [`OTHER`] when there are too many names already.
fn bounded<'m, V: Default>(map: &'m mut BTreeMap<String, V>, name: &str) -> &'m mut V {
    let name = if map.len() < MAX_NAMES || map.contains_key(name) {
        name
    } else {
        OTHER
    };
    map.entry(name.to_owned()).or_default()
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{Failure, FailureKind, Tokens};
    use super::*;

    fn finished(ms: u64, deployment: &str, failure: Option<Failure>) -> Finished {
        let ok = failure.is_none();
        Finished {
            finished_at_ms: 0,
            request_id: None,
            status: Some(200),
            streamed: ok,
            failure,
            latency: Duration::from_millis(ms),
            first_token: ok.then(|| Duration::from_millis(ms / 2)),
            gateway: None,
            attempts: Some(1),
            deployment: Some(deployment.to_owned()),
            tokens: ok.then_some(Tokens {
                prompt: 100,
                cached: 25,
                completion: 10,
            }),
        }
    }

    fn add(tally: &mut Tally, finished: &Finished) {
        tally.add(finished, Instant::now());
    }

    #[test]
    fn sums_percentiles_and_ratios() {
        let mut tally = Tally::new().unwrap();
        for ms in 1..=100 {
            add(&mut tally, &finished(ms, if ms % 4 == 0 { "a" } else { "b" }, None));
        }
        add(
            &mut tally,
            &finished(0, "a", Some(Failure::after(FailureKind::CutStream, 200))),
        );
        let report = tally.report(Duration::from_secs(2), 3);
        assert!(!report.all_ok());
        assert_eq!(
            (
                report.counts.requests,
                report.counts.ok,
                report.counts.failed(),
                report.unsent
            ),
            (101, 100, 1, 3)
        );
        assert!((report.requests_per_s - 50.5).abs() < 1e-9);
        assert_eq!(report.hit_ratio, Some(0.25));
        let latency = report.latency_ms.unwrap();
        assert_eq!(latency.count, 100, "failures have no latency");
        for (value, expected) in [
            (latency.min, 1.0),
            (latency.p50, 50.0),
            (latency.p90, 90.0),
            (latency.p99, 99.0),
            (latency.max, 100.0),
        ] {
            assert!((value - expected).abs() <= expected * 1e-3, "{value} is not {expected}");
        }
        assert_eq!(report.gateway_ms, None);
        let a = report.counts.deployments["a"];
        assert_eq!((a.requests, a.ok, a.tokens.prompt), (26, 25, 2500));
        assert_eq!(report.counts.attempts, BTreeMap::from([(1, 101)]));
    }

    #[test]
    fn an_interval_is_the_difference() {
        let mut tally = Tally::new().unwrap();
        let refused = || Some(Failure::before(FailureKind::Refused));
        add(&mut tally, &finished(1, "a", None));
        add(&mut tally, &finished(1, "a", refused()));
        let earlier = tally.counts.clone();
        add(&mut tally, &finished(1, "b", None));
        let interval = tally.counts.since(&earlier);
        assert_eq!((interval.requests, interval.ok, interval.failed()), (1, 1, 0));
        assert_eq!(
            (interval.deployments["a"].requests, interval.deployments["b"].requests),
            (0, 1)
        );
        assert!(interval.failures.is_empty());
    }

    #[test]
    fn names_are_bounded() {
        let mut tally = Tally::new().unwrap();
        for number in 0..MAX_NAMES + 20 {
            let code = Some(number.to_string());
            let failure = Failure {
                code,
                ..Failure::after(FailureKind::ErrorEvent, 200)
            };
            add(&mut tally, &finished(1, &number.to_string(), Some(failure)));
        }
        assert_eq!(tally.counts.deployments.len(), MAX_NAMES + 1);
        assert_eq!(tally.counts.deployments[OTHER].requests, 20);
        assert_eq!(tally.counts.failures.len(), MAX_NAMES + 1);
    }

    #[test]
    fn the_report_as_json() {
        let mut tally = Tally::new().unwrap();
        add(
            &mut tally,
            &finished(
                1,
                "a",
                Some(Failure {
                    code: Some("x".to_owned()),
                    ..Failure::after(FailureKind::ErrorEvent, 200)
                }),
            ),
        );
        let json = serde_json::to_value(tally.report(Duration::from_secs(1), 0)).unwrap();
        assert_eq!(
            json["failures"],
            serde_json::json!([{"kind": "error_event", "begun": true, "status": 200, "code": "x", "count": 1}])
        );
        assert_eq!(json["ok"], 0);
        assert_eq!(json["latency_ms"], serde_json::Value::Null);
    }
}
