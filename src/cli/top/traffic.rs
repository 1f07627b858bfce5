//! What happened between two scrapes of a gateway's metrics, as rates, shares and times, by route and by deployment. Pure.
//!
//! Requests and their failures are as clients saw them by route, and attempts by deployment. Times are of the attempts that gave the
//! client its answer, from the histograms' differences; so are those of the whole gateway, by adding up all routes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cli::scrape::{FAILED, Histogram, Sample, samples};

/// Outcomes of attempts that say nothing against their deployment.
const NOT_HELD_AGAINST: &[&str] = &["success", "rejected", "client_gone", "overtaken", "cut_off"];

/// What one scrape has counted since the process began.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counts {
    /// When the process began, in seconds since the Unix epoch; 0 where that is not told.
    began_s: f64,
    refusals: f64,
    routes: BTreeMap<String, Counted>,
    deployments: BTreeMap<String, Counted>,
    /// Requests let in and not finished, by route.
    in_flight: BTreeMap<String, f64>,
}

/// Of a route or deployment.
#[derive(Debug, Clone, Default, PartialEq)]
struct Counted {
    requests: f64,
    failed: f64,
    prompt_tokens: f64,
    cached_tokens: f64,
    completion_tokens: f64,
    first_token: Histogram,
    whole: Histogram,
}

/// What happened in a stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Traffic {
    /// How long it was.
    pub(super) over: Duration,
    /// Requests a second that the gateway itself refused, those without a route included.
    pub(super) refusals: f64,
    /// All routes together.
    pub(super) all: Figures,
    /// Each route, by requests.
    pub(super) routes: BTreeMap<String, Figures>,
    /// Each deployment, by attempts.
    pub(super) deployments: BTreeMap<String, Figures>,
}

/// Figures of a route, a deployment, or all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Figures {
    /// Finished requests a second; attempts of a deployment.
    pub(super) requests: f64,
    /// Those of them a second that failed.
    pub(super) failed: f64,
    /// To the first token, of streams.
    pub(super) first_token: Times,
    /// To the end.
    pub(super) whole: Times,
    /// Tokens of prompts a second, cached ones included.
    pub(super) prompt_tokens: f64,
    /// Tokens of answers a second.
    pub(super) completion_tokens: f64,
    /// Share of prompt tokens that were cached; none without any.
    pub(super) cached_share: Option<f64>,
    /// Requests let in and not finished, as of the later scrape; 0 for a deployment, of which `/status` tells.
    pub(super) in_flight: f64,
}

/// So many seconds were not exceeded by 50, 95 and 99 in a hundred; none without any.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Times {
    /// By half.
    pub(super) p50: Option<f64>,
    /// By 95 in a hundred.
    pub(super) p95: Option<f64>,
    /// By 99 in a hundred.
    pub(super) p99: Option<f64>,
}

impl Counts {
    /// Reads a scrape. Metrics that nothing has counted yet are 0.
    ///
    /// # Errors
    /// When a value that matters is no number.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let mut counts = Self::default();
        for sample in samples(text) {
            counts.count(&sample)?;
        }
        Ok(counts)
    }

    fn count(&mut self, sample: &Sample<'_>) -> anyhow::Result<()> {
        let is = |name: &str, words: &[&str]| sample.label(name).is_some_and(|value| words.contains(&&*value));
        match sample.name {
            "process_start_time_seconds" => self.began_s = sample.value()?,
            "emberway_gateway_refusals_total" => self.refusals += sample.value()?,
            "emberway_requests_in_flight" => {
                let route = sample.label("route").unwrap_or_default().into_owned();
                *self.in_flight.entry(route).or_default() += sample.value()?;
            }
            "emberway_requests_total" => {
                let value = sample.value()?;
                let route = entry(&mut self.routes, sample, "route");
                route.requests += value;
                route.failed += if is("outcome", FAILED) { value } else { 0.0 };
            }
            "emberway_attempts_total" => {
                let value = sample.value()?;
                let deployment = entry(&mut self.deployments, sample, "deployment");
                deployment.requests += value;
                deployment.failed += if is("outcome", NOT_HELD_AGAINST) { 0.0 } else { value };
            }
            "emberway_tokens_total" => {
                let value = sample.value()?;
                let kind = sample.label("kind").unwrap_or_default();
                for counted in self.both(sample) {
                    match &*kind {
                        "prompt" => counted.prompt_tokens += value,
                        "cached" => counted.cached_tokens += value,
                        "completion" => counted.completion_tokens += value,
                        _ => {}
                    }
                }
            }
            "gen_ai_client_operation_time_to_first_chunk_seconds_bucket" => {
                let (bound, value) = (sample.bound()?, sample.value()?);
                for counted in self.both(sample) {
                    counted.first_token.add(&bound, value);
                }
            }
            "gen_ai_client_operation_duration_seconds_bucket" => {
                let (bound, value) = (sample.bound()?, sample.value()?);
                for counted in self.both(sample) {
                    counted.whole.add(&bound, value);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The route and the deployment that a sample is of.
    fn both(&mut self, sample: &Sample<'_>) -> [&mut Counted; 2] {
        [
            entry(&mut self.routes, sample, "route"),
            entry(&mut self.deployments, sample, "deployment"),
        ]
    }

    /// Whether both are of one process, so that they can be compared.
    pub(super) fn continues(&self, earlier: &Self) -> bool {
        // The start is told in whole and hundredth seconds; the same process tells the same.
        (self.began_s - earlier.began_s).abs() < f64::EPSILON
    }

    /// What happened since an earlier scrape of the same process, so long ago.
    pub(super) fn since(&self, earlier: &Self, over: Duration) -> Traffic {
        let of = |now: &BTreeMap<String, Counted>, before: &BTreeMap<String, Counted>| {
            let nothing = Counted::default();
            let since = |(name, counted): (&String, &Counted)| {
                (name.clone(), counted.since(before.get(name).unwrap_or(&nothing)))
            };
            now.iter().map(since).collect::<BTreeMap<_, _>>()
        };
        let routes = of(&self.routes, &earlier.routes);
        let mut all = Counted::default();
        for counted in routes.values() {
            all.add(counted);
        }
        let figures = |counted: BTreeMap<String, Counted>| {
            let figures = |(name, counted): (String, Counted)| (name, counted.figures(over));
            counted.into_iter().map(figures).collect::<BTreeMap<_, _>>()
        };
        let mut routes = figures(routes);
        for (route, in_flight) in &self.in_flight {
            routes.entry(route.clone()).or_default().in_flight = *in_flight;
        }
        Traffic {
            over,
            refusals: a_second((self.refusals - earlier.refusals).max(0.0), over),
            all: Figures {
                in_flight: self.in_flight.values().sum(),
                ..all.figures(over)
            },
            routes,
            deployments: figures(of(&self.deployments, &earlier.deployments)),
        }
    }
}

fn entry<'a>(counted: &'a mut BTreeMap<String, Counted>, sample: &Sample<'_>, label: &str) -> &'a mut Counted {
    let name = sample.label(label).unwrap_or_default();
    counted.entry(name.into_owned()).or_default()
}

fn a_second(count: f64, over: Duration) -> f64 {
    if over.is_zero() {
        return 0.0;
    }
    count / over.as_secs_f64()
}

impl Counted {
    /// The difference. What has become less was taken away by a reload and counts anew.
    fn since(&self, earlier: &Self) -> Self {
        let since = |now: f64, before: f64| (now - before).max(0.0);
        Self {
            requests: since(self.requests, earlier.requests),
            failed: since(self.failed, earlier.failed),
            prompt_tokens: since(self.prompt_tokens, earlier.prompt_tokens),
            cached_tokens: since(self.cached_tokens, earlier.cached_tokens),
            completion_tokens: since(self.completion_tokens, earlier.completion_tokens),
            first_token: self.first_token.since(&earlier.first_token),
            whole: self.whole.since(&earlier.whole),
        }
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.prompt_tokens += other.prompt_tokens;
        self.cached_tokens += other.cached_tokens;
        self.completion_tokens += other.completion_tokens;
        self.first_token.merge(&other.first_token);
        self.whole.merge(&other.whole);
    }

    fn figures(&self, over: Duration) -> Figures {
        let times = |histogram: &Histogram| Times {
            p50: histogram.quantile(0.5),
            p95: histogram.quantile(0.95),
            p99: histogram.quantile(0.99),
        };
        Figures {
            requests: a_second(self.requests, over),
            failed: a_second(self.failed, over),
            first_token: times(&self.first_token),
            whole: times(&self.whole),
            prompt_tokens: a_second(self.prompt_tokens, over),
            completion_tokens: a_second(self.completion_tokens, over),
            cached_share: (self.prompt_tokens > 0.0).then(|| self.cached_tokens / self.prompt_tokens),
            in_flight: 0.0,
        }
    }
}

#[cfg(test)]
mod tests;
