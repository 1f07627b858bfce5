//! `emberway usage --misses`: what of prompts was cached, why the rest was not, what that cost, and where prompts change too early.

use super::{percent, shown};
use crate::columns::{self, columns, thousands};
use crate::storage::miss_report::{MissFigures, MissGroup, MissReport};

/// Millionths in one.
const MILLION: f64 = 1_000_000.0;

/// The report as people read it.
pub(super) fn text(report: &MissReport) -> String {
    let (since, until) = (shown(Some(report.since_ms)), shown(Some(report.until_ms)));
    let mut text = format!("misses from {since} to {until}\n\n");
    if report.groups.is_empty() {
        text.push_str("no requests were recorded\n");
    } else {
        let header = [
            report.by.as_ref(),
            "prompt tokens",
            "requests",
            "tokens",
            "of prompt",
            "USD lost",
        ];
        text.push_str(&columns(&header, 2, report.groups.iter().flat_map(rows).collect()));
        text.push('\n');
    }
    let unjudged = report
        .groups
        .iter()
        .filter(|group| group.misses.is_empty() && group.rest_tokens > 0);
    for group in unjudged {
        text.push('\n');
        text.push_str(&group.key);
        text.push_str(
            ": no causes, since nothing was missed or nothing judged: what continues another response is not, nor a route whose policy is not `nested`",
        );
    }
    for found in &report.drifts {
        text.push('\n');
        text.push_str(&found.sentence());
    }
    text.trim_end().to_owned()
}

/// A group's lines, which add up to its last one.
fn rows(group: &MissGroup) -> Vec<Vec<String>> {
    let line = |name: &str, requests: Option<i64>, tokens: i64, micro_usd: Option<i64>| {
        vec![
            group.key.clone(),
            name.to_owned(),
            requests.map_or_else(|| "-".to_owned(), thousands),
            thousands(tokens),
            percent(tokens, group.prompt_tokens),
            micro_usd.map_or_else(|| "-".to_owned(), |micro| columns::usd(micro as f64 / MILLION)),
        ]
    };
    let costs = group.misses.iter().filter_map(|miss| miss.micro_usd);
    let cost = costs.reduce(|sum, micro| sum + micro);
    let mut rows = vec![line("cached", Some(group.hits), group.cached_tokens, None)];
    let missed = |miss: &MissFigures| line(miss.cause.as_ref(), Some(miss.requests), miss.tokens, miss.micro_usd);
    rows.extend(group.misses.iter().map(missed));
    rows.push(line("rest", None, group.rest_tokens, None));
    rows.push(line("all", Some(group.requests), group.prompt_tokens, cost));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::drift::Drift;
    use crate::core::ledger::drift::sample::Segment;
    use crate::core::ledger::misses::Cause;
    use crate::storage::miss_report::MissBy;
    use crate::storage::misses::DriftFound;

    fn missed(cause: Cause, tokens: i64, micro_usd: Option<i64>) -> MissFigures {
        MissFigures {
            cause,
            requests: 1_204,
            tokens,
            micro_usd,
        }
    }

    fn found(tokens_a_day: u64, micro_usd_a_day: Option<u64>) -> DriftFound {
        DriftFound {
            route: "support-bot".into(),
            seen_at_ms: 0,
            drift: Drift {
                position_bytes: 1_650,
                position_tokens: 412,
                segment: Segment::System,
                share: 0.97,
                lost_tokens_per_request: 3_584,
                requests_seen: 64,
            },
            tokens_a_day,
            micro_usd_a_day,
        }
    }

    #[test]
    fn causes_are_a_table_and_findings_are_sentences() {
        let group = MissGroup {
            key: "support-bot".to_owned(),
            requests: 2_500,
            prompt_tokens: 4_000_000,
            hits: 1_300,
            cached_tokens: 800_000,
            misses: vec![
                missed(Cause::MovedBySpill, 3_100_000, Some(930_000)),
                missed(Cause::Cold, 0, None),
            ],
            rest_tokens: 100_000,
        };
        let unpriced = MissGroup {
            key: "summary".to_owned(),
            requests: 5,
            prompt_tokens: 9_000,
            rest_tokens: 9_000,
            ..MissGroup::default()
        };
        let report = MissReport {
            by: MissBy::Route,
            since_ms: 0,
            until_ms: 3_600_000,
            groups: vec![group, unpriced],
            drifts: vec![found(3_100_000, Some(38_400_000)), found(9_400, None)],
        };
        let expected = "\
misses from 1970-01-01 00:00Z to 1970-01-01 01:00Z

route        prompt tokens   requests     tokens  of prompt  USD lost
support-bot  cached             1,300    800,000      20.0%         -
support-bot  moved_by_spill     1,204  3,100,000      77.5%     0.930
support-bot  cold               1,204          0       0.0%         -
support-bot  rest                   -    100,000       2.5%         -
support-bot  all                2,500  4,000,000     100.0%     0.930
summary      cached                 0          0       0.0%         -
summary      rest                   -      9,000     100.0%         -
summary      all                    5      9,000     100.0%         -

summary: no causes, since nothing was missed or nothing judged: what continues another response is not, nor a route whose policy is not `nested`
support-bot: 412 tokens in (system prompt), 97 % of requests differ, and then go on alike: a time, an id or a shuffled list? \
about 3.1 M tokens a day, 38 USD
support-bot: 412 tokens in (system prompt), 97 % of requests differ, and then go on alike: a time, an id or a shuffled list? \
about 9 k tokens a day, no price per token is configured";
        assert_eq!(text(&report), expected);
        let empty = MissReport {
            groups: Vec::new(),
            drifts: Vec::new(),
            ..report
        };
        assert!(text(&empty).ends_with("no requests were recorded"));
    }
}
