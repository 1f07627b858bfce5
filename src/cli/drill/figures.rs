//! What a gateway's metrics tell of a stretch of time: the difference of two scrapes.

use serde::Serialize;

use crate::cli::scrape::{FAILED, Histogram, samples};

/// Counters as of one scrape.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Scrape {
    requests: f64,
    failed: f64,
    refusals: f64,
    prompt_tokens: f64,
    cached_tokens: f64,
    /// Times to the first byte.
    first_byte: Histogram,
}

/// What happened between two scrapes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    /// Finished requests.
    pub(super) requests: u64,
    /// Those of them that failed their clients.
    pub(super) failed: u64,
    /// Requests that the gateway itself refused, those without a route included.
    pub(super) refusals: u64,
    /// Half of the requests had their first byte within so many seconds; none without any.
    pub(super) p50_s: Option<f64>,
    /// The same of 95 in a hundred.
    pub(super) p95_s: Option<f64>,
    /// Share of prompt tokens that were cached; none without any.
    pub(super) cached_share: Option<f64>,
}

impl Scrape {
    /// Reads Prometheus' text format. Metrics that nothing has counted yet are 0.
    ///
    /// # Errors
    /// When a line that matters is not of that format.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let mut scrape = Self::default();
        for sample in samples(text) {
            match sample.name {
                "emberway_requests_total" => {
                    let value = sample.value()?;
                    scrape.requests += value;
                    if sample
                        .label("outcome")
                        .is_some_and(|outcome| FAILED.contains(&&*outcome))
                    {
                        scrape.failed += value;
                    }
                }
                "emberway_gateway_refusals_total" => scrape.refusals += sample.value()?,
                "emberway_tokens_total" => match sample.label("kind").as_deref() {
                    Some("prompt") => scrape.prompt_tokens += sample.value()?,
                    Some("cached") => scrape.cached_tokens += sample.value()?,
                    _ => {}
                },
                "emberway_time_to_first_byte_seconds_bucket" => {
                    scrape.first_byte.add(&sample.bound()?, sample.value()?);
                }
                _ => {}
            }
        }
        Ok(scrape)
    }

    /// What happened since an earlier scrape.
    pub(super) fn since(&self, earlier: &Self) -> Figures {
        let count = |now: f64, before: f64| (now - before).max(0.0).round() as u64;
        let prompt = self.prompt_tokens - earlier.prompt_tokens;
        let cached = self.cached_tokens - earlier.cached_tokens;
        let first_byte = self.first_byte.since(&earlier.first_byte);
        Figures {
            requests: count(self.requests, earlier.requests),
            failed: count(self.failed, earlier.failed),
            refusals: count(self.refusals, earlier.refusals),
            p50_s: first_byte.quantile(0.5),
            p95_s: first_byte.quantile(0.95),
            cached_share: (prompt > 0.0).then(|| cached / prompt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLIER: &str = r#"# HELP emberway_requests_total Finished requests.
# TYPE emberway_requests_total counter
emberway_requests_total{client="a",outcome="success",route="bot",status_class="2xx"} 100
emberway_requests_total{client="b",outcome="throttled",route="bot",status_class="4xx"} 3
emberway_tokens_total{deployment="a/ft",kind="prompt",route="bot"} 1000
emberway_tokens_total{deployment="a/ft",kind="cached",route="bot"} 900
emberway_time_to_first_byte_seconds_bucket{route="bot",le="0.1"} 100
emberway_time_to_first_byte_seconds_bucket{route="bot",le="0.2"} 100
emberway_time_to_first_byte_seconds_bucket{route="bot",le="+Inf"} 100
process_open_fds 12
"#;
    const LATER: &str = r#"emberway_requests_total{client="a",outcome="success",route="bot",status_class="2xx"} 108
emberway_requests_total{client="b",outcome="throttled",route="bot",status_class="4xx"} 4
emberway_requests_total{client="b",outcome="client_gone",route="bot",status_class="none"} 1
emberway_gateway_refusals_total{reason="gateway_busy"} 2
emberway_tokens_total{deployment="a/ft",kind="prompt",route="bot"} 1500
emberway_tokens_total{deployment="b/ft",kind="prompt",route="bot"} 500
emberway_tokens_total{deployment="a/ft",kind="cached",route="bot"} 1150
emberway_tokens_total{deployment="a/ft",kind="completion",route="bot"} 77
emberway_time_to_first_byte_seconds_bucket{route="bot",le="0.1"} 105
emberway_time_to_first_byte_seconds_bucket{route="bot",le="0.2"} 109
emberway_time_to_first_byte_seconds_bucket{route="other",le="0.1"} 0
emberway_time_to_first_byte_seconds_bucket{route="bot",le="+Inf"} 110
"#;

    #[test]
    fn two_scrapes_tell_what_happened_between_them() {
        let [earlier, later] = [EARLIER, LATER].map(|text| Scrape::read(text).expect("metrics"));
        let figures = later.since(&earlier);
        assert_eq!((figures.requests, figures.failed, figures.refusals), (10, 1, 2));
        assert_eq!(figures.cached_share, Some(0.25));
        assert!((figures.p50_s.expect("some") - 0.1).abs() < 1e-9, "{figures:?}");
        assert!(
            (figures.p95_s.expect("some") - 0.2).abs() < 1e-9,
            "beyond the last bound: {figures:?}"
        );
        let nothing = later.since(&later);
        assert_eq!((nothing.requests, nothing.p50_s, nothing.cached_share), (0, None, None));
    }

    #[test]
    fn what_is_no_number_is_told() {
        let wrong = Scrape::read("emberway_requests_total{outcome=\"success\"} many");
        assert!(wrong.expect_err("no number").to_string().contains("`many`"));
    }
}
