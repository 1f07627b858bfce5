//! Reads metrics as the gateway tells them, in Prometheus' text format, and takes the histograms of two scrapes apart: for commands that
//! watch traffic.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::Context as _;

/// Outcomes of requests that failed their clients, as the alerts have them.
pub(super) const FAILED: &[&str] = &["throttled", "upstream_failed", "broken", "refused"];

/// One line of a scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample<'a> {
    /// The metric's name.
    pub(super) name: &'a str,
    labels: &'a str,
    value: &'a str,
}

/// The lines of a scrape that hold a value, in their order.
pub(super) fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        Some(Sample { name, labels, value })
    })
}

impl<'a> Sample<'a> {
    /// The value.
    ///
    /// # Errors
    /// When it is no number.
    pub(super) fn value(&self) -> anyhow::Result<f64> {
        let wrong = || format!("`{}` is no number in the metrics", self.value);
        self.value.parse().with_context(wrong)
    }

    /// A label's value; none where there is no such label.
    pub(super) fn label(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut rest = self.labels;
        loop {
            let (key, after) = rest.split_once("=\"")?;
            let end = closing_quote(after)?;
            if key.trim_start_matches(',') == name {
                return Some(unescaped(&after[..end]));
            }
            rest = &after[end + 1..];
        }
    }

    /// A bucket's upper bound, as it is written.
    ///
    /// # Errors
    /// When it has none.
    pub(super) fn bound(&self) -> anyhow::Result<Cow<'a, str>> {
        self.label("le").context("a bucket without a bound in the metrics")
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(char) = rest.next() {
        match char {
            '\\' => text.extend(rest.next().map(|escaped| if escaped == 'n' { '\n' } else { escaped })),
            _ => text.push(char),
        }
    }
    Cow::Owned(text)
}

/// How many values were at most so large, by the bound as it is written. The largest bound is `+Inf`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Histogram(BTreeMap<String, f64>);

impl Histogram {
    /// Counts a bucket in.
    pub(super) fn add(&mut self, bound: &str, count: f64) {
        match self.0.get_mut(bound) {
            Some(counted) => *counted += count,
            None => {
                self.0.insert(bound.to_owned(), count);
            }
        }
    }

    /// Counts another one's buckets in.
    pub(super) fn merge(&mut self, other: &Self) {
        for (bound, count) in &other.0 {
            self.add(bound, *count);
        }
    }

    /// What was counted since an earlier scrape.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let of = |(bound, now): (&String, &f64)| {
            let before = earlier.0.get(bound).copied().unwrap_or(0.0);
            (bound.clone(), (now - before).max(0.0))
        };
        Self(self.0.iter().map(of).collect())
    }

    /// The value that this part of all values does not exceed; none without any. As Prometheus takes it: evenly within a bucket; in the
    /// last one its lower bound.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        let of = |(bound, count): (&String, &f64)| Some((bound.parse::<f64>().ok()?, *count));
        let mut buckets: Vec<(f64, f64)> = self.0.iter().filter_map(of).collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_whatever_is_in_them() {
        let line = r#"m{a="x",deployment="e\\a\"s,le=\"9\" t/{ft}",le="0.1"} 3"#;
        let sample = samples(line).next().expect("a sample");
        let label = |name| sample.label(name).map(Cow::into_owned);
        assert_eq!(sample.name, "m");
        assert_eq!(label("a").as_deref(), Some("x"));
        assert_eq!(label("deployment").as_deref(), Some(r#"e\a"s,le="9" t/{ft}"#));
        assert_eq!(label("le").as_deref(), Some("0.1"));
        assert_eq!(label("ployment"), None);
        assert!((sample.value().expect("a number") - 3.0).abs() < 1e-9);
        let without: Vec<_> = samples("# TYPE m counter\n\nm 7\n").collect();
        assert_eq!((without.len(), without[0].label("a")), (1, None));
    }

    #[test]
    fn quantiles_are_taken_evenly_within_a_bucket() {
        let mut histogram = Histogram::default();
        for (bound, count) in [("+Inf", 10.0), ("10.24", 8.0), ("0.5", 0.0), ("2.5", 4.0)] {
            histogram.add(bound, count);
        }
        for (part, expected) in [(0.2, 1.5), (0.4, 2.5), (0.6, 6.37), (0.99, 10.24)] {
            let found = histogram.quantile(part).expect("some");
            assert!((found - expected).abs() < 1e-9, "{part}: {found}");
        }
        assert_eq!(histogram.since(&histogram).quantile(0.5), None);
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
