//! The report for people: plain columns, no colour, so that it reads the same in a terminal, a file and a log.

use std::fmt::{self, Display};

use super::outcome::{Failure, Tokens};
use super::report::{Percentiles, Report};
use crate::columns::columns;

impl Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [summary(self), times(self), deployments(self), failures(self)];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        writeln!(to, "{}", parts.join("\n\n"))?;
        if self.unsent > 0 {
            let unsent = self.unsent;
            writeln!(
                to,
                "\n{unsent} requests were due and not sent: raise --concurrency, or the endpoint is this slow"
            )?;
        }
        Ok(())
    }
}

/// Names to the left, numbers to the right; all to the left without a `header`. Nothing for no rows.
fn table(header: &[&str], rows: Vec<Vec<String>>) -> Option<String> {
    let left = if header.is_empty() { usize::MAX } else { 1 };
    (!rows.is_empty()).then(|| columns(header, left, rows))
}

fn summary(report: &Report) -> Option<String> {
    let counts = &report.counts;
    let Tokens {
        prompt,
        cached,
        completion,
    } = counts.tokens;
    let attempts: Vec<_> = counts
        .attempts
        .iter()
        .map(|(attempts, count)| format!("{count} with {attempts}"))
        .collect();
    let mut rows = vec![
        (
            "requests",
            format!(
                "{} in {:.2} s, {:.1}/s",
                counts.requests, report.elapsed_s, report.requests_per_s
            ),
        ),
        ("ok", format!("{}, failed {}", counts.ok, counts.failed())),
        ("streams", counts.streams.to_string()),
        (
            "tokens",
            format!(
                "{prompt} prompt, {cached} cached ({}), {completion} completion",
                ratio(counts.tokens)
            ),
        ),
    ];
    if !attempts.is_empty() {
        rows.push(("attempts", attempts.join(", ")));
    }
    table(
        &[],
        rows.into_iter()
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect(),
    )
}

fn times(report: &Report) -> Option<String> {
    let rows = [
        ("whole answer", report.latency_ms),
        ("first token", report.first_token_ms),
        ("gateway itself", report.gateway_ms),
    ];
    let rows = rows.into_iter().filter_map(|(name, percentiles)| {
        let Percentiles {
            count,
            mean,
            p50,
            p90,
            p95,
            p99,
            p999,
            max,
            ..
        } = percentiles?;
        let figures = [p50, p90, p95, p99, p999, max, mean].map(figure);
        Some(
            std::iter::once(name.to_owned())
                .chain(figures)
                .chain([count.to_string()])
                .collect(),
        )
    });
    table(
        &[
            "milliseconds",
            "p50",
            "p90",
            "p95",
            "p99",
            "p99.9",
            "max",
            "mean",
            "count",
        ],
        rows.collect(),
    )
}

fn deployments(report: &Report) -> Option<String> {
    let rows = report.counts.deployments.iter().map(|(name, counts)| {
        let Tokens { prompt, cached, .. } = counts.tokens;
        let figures = [counts.requests, counts.ok, prompt, cached].map(|count| count.to_string());
        std::iter::once(name.clone())
            .chain(figures)
            .chain([ratio(counts.tokens)])
            .collect()
    });
    table(
        &["deployment", "requests", "ok", "prompt tokens", "cached", "hit ratio"],
        rows.collect(),
    )
}

fn failures(report: &Report) -> Option<String> {
    let rows = report.counts.failures.iter().map(|(failure, count)| {
        vec![
            failure.kind.as_ref().replace('_', " "),
            failure
                .status
                .map_or_else(|| "-".to_owned(), |status| status.to_string()),
            code(failure),
            if failure.begun { "begun" } else { "not begun" }.to_owned(),
            count.to_string(),
        ]
    });
    table(&["failures", "status", "code", "answer", "count"], rows.collect())
}

/// The error's code; Azure's is often the status once more, which says nothing.
fn code(failure: &Failure) -> String {
    let repeats = |code: &&String| failure.status.is_some_and(|status| **code == status.to_string());
    let code = failure.code.as_ref().filter(|code| !repeats(code));
    code.cloned().unwrap_or_else(|| "-".to_owned())
}

/// Three significant digits or so, in milliseconds.
fn figure(milliseconds: f64) -> String {
    match milliseconds {
        value if value < 10.0 => format!("{value:.3}"),
        value if value < 100.0 => format!("{value:.2}"),
        value => format!("{value:.0}"),
    }
}

fn ratio(tokens: Tokens) -> String {
    tokens
        .hit_ratio()
        .map_or_else(|| "-".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::outcome::FailureKind;
    use super::super::report::{Counts, DeploymentCounts};
    use super::*;

    #[test]
    fn a_code_that_repeats_the_status_is_left_out() {
        let check = |said: Option<&str>| {
            code(&Failure {
                code: said.map(str::to_owned),
                ..Failure::after(FailureKind::HttpError, 429)
            })
        };
        assert_eq!(check(Some("429")), "-");
        assert_eq!(check(Some("RateLimitReached")), "RateLimitReached");
        assert_eq!(check(None), "-");
    }

    #[test]
    fn a_report_for_people() {
        let tokens = Tokens {
            prompt: 1000,
            cached: 640,
            completion: 70,
        };
        let failure = Failure {
            code: Some("upstream_cut".to_owned()),
            ..Failure::after(FailureKind::ErrorEvent, 200)
        };
        let latency = Percentiles {
            count: 9,
            min: 1.0,
            mean: 30.5,
            p50: 9.876,
            p90: 45.67,
            p95: 99.9,
            p99: 120.4,
            p999: 130.0,
            max: 1300.0,
        };
        let report = Report {
            elapsed_s: 2.0,
            requests_per_s: 5.5,
            unsent: 4,
            hit_ratio: tokens.hit_ratio(),
            latency_ms: Some(latency),
            first_token_ms: None,
            gateway_ms: None,
            counts: Counts {
                requests: 11,
                ok: 9,
                failures: BTreeMap::from([(failure, 1), (Failure::before(FailureKind::Refused), 1)]),
                streams: 5,
                tokens,
                deployments: BTreeMap::from([(
                    "east/ft".to_owned(),
                    DeploymentCounts {
                        requests: 10,
                        ok: 9,
                        tokens,
                    },
                )]),
                attempts: BTreeMap::from([(1, 9), (2, 1)]),
            },
        };
        insta::assert_snapshot!(report.to_string(), @r"
        requests  11 in 2.00 s, 5.5/s
        ok        9, failed 2
        streams   5
        tokens    1000 prompt, 640 cached (64.0 %), 70 completion
        attempts  9 with 1, 1 with 2

        milliseconds    p50    p90    p95  p99  p99.9   max   mean  count
        whole answer  9.876  45.67  99.90  120    130  1300  30.50      9

        deployment  requests  ok  prompt tokens  cached  hit ratio
        east/ft           10   9           1000     640     64.0 %

        failures     status          code     answer  count
        refused           -             -  not begun      1
        error event     200  upstream_cut      begun      1

        4 requests were due and not sent: raise --concurrency, or the endpoint is this slow
        ");
    }
}
