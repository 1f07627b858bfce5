//! What a list of requests came to: counts, tokens, and exact percentiles.
//!
//! Times are of whole answers only, and the time to the first token of streams only, as in `emberway load`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::demo::ledger::{Head, Seen};
use crate::load::outcome::Tokens;

/// Figures of some requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Finished requests.
    pub requests: u64,
    /// Those whose whole answer came.
    pub ok: u64,
    /// Streams cut on purpose that said so; see [`Seen::is_cut_and_said`].
    pub cut_and_said: u64,
    /// All others.
    pub failed: u64,
    /// Attempts that the gateway made for them, the first ones included.
    pub attempts: u64,
    /// Requests that took more than one attempt.
    pub failovers: u64,
    /// Tokens of the whole answers.
    pub tokens: Tokens,
    /// Time to the first token of streams; none without any.
    pub first_token: Option<Percentiles>,
    /// Time that the gateway spent itself, as it says; none when it did not.
    pub gateway: Option<Percentiles>,
    /// Time to the last byte of whole answers; none without any.
    pub whole: Option<Percentiles>,
}

/// Exact percentiles by nearest rank, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// How many values.
    pub count: usize,
    /// Half of them are no larger.
    pub p50_us: u64,
    /// 95 % of them are no larger.
    pub p95_us: u64,
    /// The largest.
    pub max_us: u64,
}

impl Figures {
    /// Folds requests into figures.
    pub fn of<'a>(seen: impl IntoIterator<Item = &'a Seen>) -> Self {
        let mut figures = Self::default();
        let (mut first_token, mut gateway, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        for seen in seen {
            let finished = &seen.finished;
            let attempts = u64::from(finished.attempts.unwrap_or(0));
            figures.requests += 1;
            figures.attempts += attempts;
            figures.failovers += u64::from(attempts > 1);
            if seen.is_cut_and_said() {
                figures.cut_and_said += 1;
            } else if seen.is_ok() {
                figures.ok += 1;
                figures.tokens.add(finished.tokens.unwrap_or_default());
                first_token.extend(finished.first_token);
                gateway.extend(finished.gateway);
                whole.push(finished.latency);
            } else {
                figures.failed += 1;
            }
        }
        figures.first_token = Percentiles::of(first_token);
        figures.gateway = Percentiles::of(gateway);
        figures.whole = Percentiles::of(whole);
        figures
    }
}

impl Percentiles {
    fn of(mut values: Vec<Duration>) -> Option<Self> {
        values.sort_unstable();
        let micros = |value: &Duration| u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        let rank = |percent: usize| {
            values
                .get((values.len() * percent).div_ceil(100).saturating_sub(1))
                .map(micros)
        };
        Some(Self {
            count: values.len(),
            p50_us: rank(50)?,
            p95_us: rank(95)?,
            max_us: values.last().map(micros)?,
        })
    }
}

/// Groups requests by the deployment that answered, or was named with the error.
pub fn by_deployment<'a>(seen: impl IntoIterator<Item = &'a Seen>) -> BTreeMap<String, Figures> {
    let unnamed = || "(none)".to_owned();
    grouped(seen, |seen| seen.finished.deployment.clone().unwrap_or_else(unnamed))
}

/// Groups requests by what their prompts begin with.
pub fn by_head<'a>(seen: impl IntoIterator<Item = &'a Seen>) -> BTreeMap<Head, Vec<&'a Seen>> {
    let mut groups: BTreeMap<Head, Vec<&Seen>> = BTreeMap::new();
    for seen in seen {
        groups.entry(seen.head.clone()).or_default().push(seen);
    }
    groups
}

fn grouped<'a, K: Ord>(seen: impl IntoIterator<Item = &'a Seen>, key: impl Fn(&Seen) -> K) -> BTreeMap<K, Figures> {
    let mut groups: BTreeMap<K, Vec<&Seen>> = BTreeMap::new();
    for seen in seen {
        groups.entry(key(seen)).or_default().push(seen);
    }
    let figures = |(key, seen)| (key, Figures::of(seen as Vec<&Seen>));
    groups.into_iter().map(figures).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::ledger::Act;
    use crate::demo::ledger::testing::{failed, seen};
    use crate::load::outcome::FailureKind;

    #[test]
    fn requests_are_ok_cut_or_failed_and_only_whole_answers_have_tokens_and_times() {
        let mut twice = seen(Act::Down, 1, "b/x");
        twice.finished.attempts = Some(2);
        twice.finished.latency = Duration::from_millis(90);
        let list = [
            seen(Act::Cache, 1, "a/x"),
            twice,
            failed(Act::Streams, FailureKind::ErrorEvent, true),
            failed(Act::Down, FailureKind::HttpError, false),
        ];
        let figures = Figures::of(&list);
        assert_eq!(
            (figures.requests, figures.ok, figures.cut_and_said, figures.failed),
            (4, 2, 1, 1)
        );
        assert_eq!((figures.attempts, figures.failovers), (5, 1));
        assert_eq!((figures.tokens.prompt, figures.tokens.cached), (200, 120));
        let whole = figures.whole.expect("two answers");
        assert_eq!((whole.count, whole.p50_us, whole.max_us), (2, 20_000, 90_000));
    }

    #[test]
    fn percentiles_are_exact() {
        let of = |count: u64| Percentiles::of((1..=count).rev().map(Duration::from_micros).collect());
        let hundred = of(100).expect("values");
        assert_eq!((hundred.p50_us, hundred.p95_us, hundred.max_us), (50, 95, 100));
        let three = of(3).expect("values");
        assert_eq!((three.p50_us, three.p95_us), (2, 3));
        assert_eq!(of(0), None);
    }

    #[test]
    fn groups() {
        let list = [
            seen(Act::Cache, 1, "a/x"),
            seen(Act::Cache, 2, "b/x"),
            seen(Act::Cache, 1, "a/x"),
        ];
        let deployments = by_deployment(&list);
        assert_eq!((deployments["a/x"].requests, deployments["b/x"].requests), (2, 1));
        let lengths: Vec<_> = by_head(&list).into_values().map(|seen| seen.len()).collect();
        assert_eq!(lengths, [2, 1]);
    }
}
