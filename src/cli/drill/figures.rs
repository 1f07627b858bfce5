//! What a gateway's metrics tell of a stretch of time: the difference of two scrapes.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Serialize;

/// Outcomes of requests that failed their clients, as the alerts have them.
const FAILED: &[&str] = &["throttled", "upstream_failed", "broken", "refused"];

/// Counters as of one scrape.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Scrape {
    requests: f64,
    failed: f64,
    refusals: f64,
    prompt_tokens: f64,
    cached_tokens: f64,
    /// Times to the first byte at most so long, by the bound's text.
    first_byte: BTreeMap<String, f64>,
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
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let place = match name {
                "emberway_requests_total" => &mut scrape.requests,
                "emberway_gateway_refusals_total" => &mut scrape.refusals,
                "emberway_tokens_total" => match label(labels, "kind") {
                    Some("prompt") => &mut scrape.prompt_tokens,
                    Some("cached") => &mut scrape.cached_tokens,
                    _ => continue,
                },
                "emberway_time_to_first_byte_seconds_bucket" => {
                    let bound = label(labels, "le").context("a bucket without a bound in the metrics")?;
                    scrape.first_byte.entry(bound.to_owned()).or_default()
                }
                _ => continue,
            };
            let value: f64 = value
                .parse()
                .with_context(|| format!("`{value}` is no number in the metrics"))?;
            *place += value;
            if name == "emberway_requests_total" && label(labels, "outcome").is_some_and(|o| FAILED.contains(&o)) {
                scrape.failed += value;
            }
        }
        Ok(scrape)
    }

    /// What happened since an earlier scrape.
    pub(super) fn since(&self, earlier: &Self) -> Figures {
        let count = |now: f64, before: f64| (now - before).max(0.0).round() as u64;
        let prompt = self.prompt_tokens - earlier.prompt_tokens;
        let cached = self.cached_tokens - earlier.cached_tokens;
        let buckets = self.buckets_since(earlier);
        Figures {
            requests: count(self.requests, earlier.requests),
            failed: count(self.failed, earlier.failed),
            refusals: count(self.refusals, earlier.refusals),
            p50_s: quantile(&buckets, 0.5),
            p95_s: quantile(&buckets, 0.95),
            cached_share: (prompt > 0.0).then(|| cached / prompt),
        }
    }

    /// Upper bounds with the times at most so long, shortest first.
    fn buckets_since(&self, earlier: &Self) -> Vec<(f64, f64)> {
        let of = |(bound, now): (&String, &f64)| {
            let before = earlier.first_byte.get(bound).copied().unwrap_or(0.0);
            Some((bound.parse().ok()?, now - before))
        };
        let mut buckets: Vec<(f64, f64)> = self.first_byte.iter().filter_map(of).collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        buckets
    }
}

/// A label's value. Ours hold configured names and fixed words; a quote in a name would be escaped, and such a name is in no label that is
/// looked at here.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let key = format!("{name}=\"");
    let at = labels.find(&key)?;
    labels[at + key.len()..].split('"').next()
}

/// As Prometheus takes it: evenly within a bucket; in the last one its lower bound.
fn quantile(buckets: &[(f64, f64)], part: f64) -> Option<f64> {
    let total = buckets.last()?.1;
    if total <= 0.0 {
        return None;
    }
    let rank = part * total;
    let at = buckets.iter().position(|(_, count)| *count >= rank)?;
    let (lower, below) = at.checked_sub(1).map_or((0.0, 0.0), |at| buckets[at]);
    let (upper, count) = buckets[at];
    if !upper.is_finite() {
        return Some(lower);
    }
    Some(lower + (upper - lower) * (rank - below) / (count - below).max(f64::MIN_POSITIVE))
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
