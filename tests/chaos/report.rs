//! The table of a run: what was in force while requests ran, and what became of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::driver::{End, Seen};

/// Requests by what became of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    requests: u64,
    first: u64,
    again: u64,
    throttled: u64,
    failed: u64,
    broken: u64,
    left: u64,
    refused: u64,
}

/// What came of one scenario.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Its seed.
    pub(crate) seed: u64,
    /// Requests by what was in force while they ran.
    pub(crate) tallies: BTreeMap<String, Tally>,
    /// What does not hold.
    pub(crate) complaints: Vec<String>,
    /// Whether an account was good all the time, so that no failure was justified.
    pub(crate) is_sheltered: bool,
    /// Requests in all.
    pub(crate) requests: u64,
    /// How long it took for the whole fleet to be used again.
    pub(crate) recovery: Option<Duration>,
}

impl Tally {
    /// Counts a request.
    pub(crate) fn add(&mut self, seen: &Seen, is_broken: bool) {
        self.requests += 1;
        let counter = if seen.ask.kind.refused_as().is_some() {
            &mut self.refused
        } else if seen.end == End::Left {
            &mut self.left
        } else if is_broken {
            &mut self.broken
        } else if seen.status == 429 {
            &mut self.throttled
        } else if seen.status != 200 {
            &mut self.failed
        } else if seen.attempts() == Some(1) {
            &mut self.first
        } else {
            &mut self.again
        };
        *counter += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.first += other.first;
        self.again += other.again;
        self.throttled += other.throttled;
        self.failed += other.failed;
        self.broken += other.broken;
        self.left += other.left;
        self.refused += other.refused;
    }
}

/// The table of all scenarios.
pub(crate) fn table(outcomes: &[Outcome], took: Duration) -> String {
    let mut all: BTreeMap<&str, (u64, Tally)> = BTreeMap::new();
    for outcome in outcomes {
        for (name, tally) in &outcome.tallies {
            let (scenarios, sum) = all.entry(name).or_default();
            *scenarios += 1;
            sum.merge(tally);
        }
    }
    let mut text = format!(
        "{:<28}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}\n",
        "in force", "scenarios", "requests", "first try", "failover", "429", "failed", "broken", "left", "refused"
    );
    for (name, (scenarios, tally)) in &all {
        writeln!(
            text,
            "{name:<28}{scenarios:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            tally.requests,
            tally.first,
            tally.again,
            tally.throttled,
            tally.failed,
            tally.broken,
            tally.left,
            tally.refused
        )
        .unwrap();
    }
    let requests: u64 = outcomes.iter().map(|outcome| outcome.requests).sum();
    let sheltered = outcomes.iter().filter(|outcome| outcome.is_sheltered).count();
    let slowest = outcomes
        .iter()
        .filter_map(|outcome| outcome.recovery)
        .max()
        .unwrap_or_default();
    let violated: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.complaints.is_empty())
        .collect();
    writeln!(
        text,
        "\n{} scenarios, {requests} requests in {:.0} s; in {sheltered} one account was good all the time, so that nothing might fail\n\
         the fleet was wholly used again after {:.1} s at most\nscenarios in which something does not hold: {}",
        outcomes.len(),
        took.as_secs_f64(),
        slowest.as_secs_f64(),
        violated.len()
    )
    .unwrap();
    for outcome in violated {
        writeln!(text, "  seed {}:", outcome.seed).unwrap();
        for complaint in &outcome.complaints {
            writeln!(text, "    {complaint}").unwrap();
        }
    }
    text
}
