//! What a run came to: counts while it runs ([`Snapshot`]), and with latencies at its end ([`Report`]).

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::outcome::{Failure, Tokens};

/// What has been counted so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Finished requests.
    pub requests: u64,
    /// Those with a whole answer.
    pub ok: u64,
    /// Those without, by reason.
    #[serde(serialize_with = "failure_list")]
    pub failures: BTreeMap<Failure, u64>,
    /// Finished requests that asked for a stream.
    pub streams: u64,
    /// Sum of the reported tokens.
    pub tokens: Tokens,
    /// Answers by the deployment that they named. At most [`MAX_NAMES`] names; the rest is `(other)`.
    pub deployments: BTreeMap<String, DeploymentCounts>,
    /// Answers by the number of attempts the gateway says it made.
    pub attempts: BTreeMap<u32, u64>,
}

/// Most distinct deployments, and most distinct failures, that are told apart; both are named by whoever answers.
pub const MAX_NAMES: usize = 500;

/// The answers of one deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DeploymentCounts {
    /// Answers of any status.
    pub requests: u64,
    /// Whole ones.
    pub ok: u64,
    /// Their tokens.
    pub tokens: Tokens,
}

/// Counts at one moment of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Since the run's start.
    pub elapsed: Duration,
    /// Requests begun and not finished.
    pub in_flight: u64,
    /// All up to now.
    pub counts: Counts,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// From the first request's start to the last one's end, in seconds.
    pub elapsed_s: f64,
    /// Finished requests a second.
    pub requests_per_s: f64,
    /// Requests that were due by the rate, and for which no worker was free: the endpoint was slower than asked of it,
    /// or `concurrency` too low. Always 0 in a closed loop.
    pub unsent: u64,
    /// Cached ÷ prompt tokens.
    pub hit_ratio: Option<f64>,
    /// Whole answers: from the intended start to the last byte.
    pub latency_ms: Option<Percentiles>,
    /// Whole streams: from the intended start to the first output token.
    pub first_token_ms: Option<Percentiles>,
    /// Whole answers: what the gateway says it spent itself.
    pub gateway_ms: Option<Percentiles>,
    /// What was counted.
    #[serde(flatten)]
    pub counts: Counts,
}

/// A distribution, in milliseconds, to three significant digits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub count: u64,
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

#[derive(Serialize)]
struct FailureCount<'a> {
    #[serde(flatten)]
    failure: &'a Failure,
    count: u64,
}

/// JSON has no struct keys: a list of failures, each with its count.
fn failure_list<S: serde::Serializer>(failures: &BTreeMap<Failure, u64>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(failures.iter().map(|(failure, &count)| FailureCount { failure, count }))
}

impl Counts {
    /// Requests without a whole answer.
    pub fn failed(&self) -> u64 {
        self.requests - self.ok
    }

    /// What was counted after `earlier`, a snapshot of the same run: the last interval.
    pub fn since(&self, earlier: &Counts) -> Counts {
        Counts {
            requests: self.requests.saturating_sub(earlier.requests),
            ok: self.ok.saturating_sub(earlier.ok),
            failures: less(&self.failures, &earlier.failures),
            streams: self.streams.saturating_sub(earlier.streams),
            tokens: self.tokens.less(earlier.tokens),
            deployments: self
                .deployments
                .iter()
                .map(|(name, counts)| {
                    let before = earlier.deployments.get(name).copied().unwrap_or_default();
                    let counts = DeploymentCounts {
                        requests: counts.requests.saturating_sub(before.requests),
                        ok: counts.ok.saturating_sub(before.ok),
                        tokens: counts.tokens.less(before.tokens),
                    };
                    (name.clone(), counts)
                })
                .collect(),
            attempts: less(&self.attempts, &earlier.attempts),
        }
    }
}

/// Counts that have grown, by how much.
fn less<K: Ord + Clone>(now: &BTreeMap<K, u64>, earlier: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    now.iter()
        .map(|(key, count)| {
            (
                key.clone(),
                count.saturating_sub(earlier.get(key).copied().unwrap_or(0)),
            )
        })
        .filter(|(_key, count)| *count > 0)
        .collect()
}

impl Snapshot {
    /// The interval from `earlier`, a snapshot of the same run, to this one.
    pub fn since(&self, earlier: &Snapshot) -> Snapshot {
        Snapshot {
            elapsed: self.elapsed.saturating_sub(earlier.elapsed),
            in_flight: self.in_flight,
            counts: self.counts.since(&earlier.counts),
        }
    }
}

impl Report {
    /// Whether every request got a whole answer.
    pub fn all_ok(&self) -> bool {
        self.counts.failed() == 0
    }
}

impl Percentiles {
    /// Of a histogram of microseconds; none when it is empty.
    pub(super) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let ms = |microseconds: u64| microseconds as f64 / 1e3;
        let at = |quantile: f64| ms(histogram.value_at_quantile(quantile));
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            min: ms(histogram.min()),
            mean: histogram.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(histogram.max()),
        })
    }
}
