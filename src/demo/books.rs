//! Does the gateway's usage store say what the driver saw? Both kept books of the same requests without knowing of each other.
//!
//! What must agree: the number of requests and attempts; and of whole answers their number and every token. Streams that were
//! cut brought no usage, so the driver knows no tokens of theirs and the store holds its own estimate, marked as such: only
//! their number is compared.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::core::ledger::usage::RequestOutcome;
use crate::demo::figures::Figures;
use crate::storage::StoreError;
use crate::storage::miss_report::{MissBy, read_misses};
use crate::storage::misses::DriftFound;
use crate::storage::report::{GroupBy, Range, Report, read_report};
use crate::storage::sqlite::connect_reader;

/// How long the last records may take to be written; they take a quarter of a second at most.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// How often the store is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where prompts were found to change too early, by route.
///
/// # Errors
/// When the store cannot be read.
pub async fn drifts(usage: &Path) -> Result<Vec<DriftFound>, StoreError> {
    let mut connection = connect_reader(usage).await?;
    Ok(read_misses(&mut connection, MissBy::Route, EVER).await?.drifts)
}

/// All of time.
const EVER: Range = Range {
    since_ms: 0,
    until_ms: i64::MAX,
};

/// One side's totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Books {
    /// Finished requests.
    pub requests: u64,
    /// Whole answers.
    pub whole: u64,
    /// Answers that broke after they had begun.
    pub broken: u64,
    /// Attempts.
    pub attempts: u64,
    /// Prompt tokens of whole answers.
    pub prompt: u64,
    /// Those of them that were cached.
    pub cached: u64,
    /// Completion tokens of whole answers.
    pub completion: u64,
}

impl Books {
    /// The driver's.
    pub fn of_driver(total: &Figures) -> Self {
        Self {
            requests: total.requests,
            whole: total.ok,
            broken: total.cut_and_said,
            attempts: total.attempts,
            prompt: total.tokens.prompt,
            cached: total.tokens.cached,
            completion: total.tokens.completion,
        }
    }

    /// The store's, from a report by outcome.
    pub fn of_store(report: &Report) -> Self {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let group = |outcome: RequestOutcome| report.groups.iter().find(|group| group.key == outcome.as_ref());
        let whole = group(RequestOutcome::Success);
        Self {
            requests: count(report.total.requests),
            attempts: count(report.total.attempts),
            broken: group(RequestOutcome::Broken).map_or(0, |group| count(group.requests)),
            whole: whole.map_or(0, |group| count(group.requests)),
            prompt: whole.map_or(0, |group| count(group.prompt_tokens)),
            cached: whole.map_or(0, |group| count(group.cached_tokens)),
            completion: whole.map_or(0, |group| count(group.completion_tokens)),
        }
    }

    /// The totals with their names.
    pub fn lines(&self) -> [(&'static str, u64); 7] {
        [
            ("requests", self.requests),
            ("whole answers", self.whole),
            ("streams cut", self.broken),
            ("attempts", self.attempts),
            ("prompt tokens", self.prompt),
            ("cached tokens", self.cached),
            ("completion tokens", self.completion),
        ]
    }
}

/// Reads the store's books, once it has as many requests as expected; after a few seconds whatever it has.
///
/// # Errors
/// When the store cannot be read.
pub async fn read(store: &Path, expected: u64) -> Result<Books, StoreError> {
    let mut connection = connect_reader(store).await?;
    let begun = Instant::now();
    loop {
        let books = Books::of_store(&read_report(&mut connection, GroupBy::Outcome, EVER).await?);
        if books.requests >= expected || begun.elapsed() > WRITTEN_WITHIN {
            return Ok(books);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::ledger::Act;
    use crate::demo::ledger::testing::{failed, seen};
    use crate::load::outcome::FailureKind;
    use crate::storage::report::Figures as StoreFigures;

    fn group(key: &str, requests: i64, tokens: i64) -> StoreFigures {
        StoreFigures {
            key: key.to_owned(),
            requests,
            successes: 0,
            estimated: 0,
            asked: 0,
            attempts: requests,
            prompt_tokens: tokens * 100,
            cached_tokens: tokens * 60,
            completion_tokens: tokens * 10,
            total_us: None,
            first_token_us: None,
        }
    }

    fn report(groups: Vec<StoreFigures>) -> Report {
        let requests = groups.iter().map(|group| group.requests).sum();
        Report {
            by: GroupBy::Outcome,
            since_ms: 0,
            until_ms: 1,
            groups,
            truncated: false,
            total: group("all", requests, 99),
        }
    }

    #[test]
    fn estimates_of_cut_streams_are_left_out_of_the_comparison() {
        let list = [
            seen(Act::Cache, 1, "a/x"),
            seen(Act::Streams, 1, "a/x"),
            failed(Act::Streams, FailureKind::ErrorEvent, true),
        ];
        let driver = Books::of_driver(&Figures::of(&list));
        let store = Books::of_store(&report(vec![group("success", 2, 2), group("broken", 1, 7)]));
        assert_eq!(driver, store);
    }

    #[test]
    fn a_missing_record_shows() {
        let list = [seen(Act::Cache, 1, "a/x"), seen(Act::Cache, 1, "a/x")];
        let driver = Books::of_driver(&Figures::of(&list));
        assert_ne!(driver, Books::of_store(&report(vec![group("success", 1, 1)])));
        assert_ne!(driver, Books::of_store(&report(vec![])));
    }
}
