//! Figures as text: plain columns without lines and colour, so that they read the same in a terminal, a file and a log.

use std::collections::BTreeSet;

use crate::columns::columns;
use crate::demo::figures::{Figures, Percentiles, by_deployment, by_head};
use crate::demo::ledger::{Act, Seen};
use crate::load::outcome::Tokens;

/// Spaces before every line of a table.
const INDENT: &str = "   ";

/// [`columns`], indented.
pub fn table(header: &[&str], left: usize, rows: Vec<Vec<String>>) -> String {
    let lines: Vec<_> = columns(header, left, rows)
        .lines()
        .map(|line| format!("{INDENT}{line}"))
        .collect();
    lines.join("\n")
}

/// Where each prompt was answered, and what was found cached.
pub fn heads(seen: &[&Seen]) -> String {
    let rows = by_head(seen.iter().copied()).into_iter().map(|(head, seen)| {
        let figures = Figures::of(seen.iter().copied());
        let places: Vec<_> = by_deployment(seen).into_keys().collect();
        vec![
            format!("{} {}", head.route, head.number),
            places.join(", "),
            figures.requests.to_string(),
            figures.tokens.prompt.to_string(),
            figures.tokens.cached.to_string(),
            ratio(figures.tokens),
        ]
    });
    let header = [
        "prompt",
        "answered by",
        "requests",
        "prompt tokens",
        "cached",
        "hit ratio",
    ];
    table(&header, 2, rows.collect())
}

/// For each model the cached share through the gateway, and of the same load sent by turns. `deployments` tells how many
/// share a model's requests by turns.
pub fn compared(gateway: &[&Seen], turns: &[Seen], deployments: impl Fn(&str) -> usize) -> String {
    let models: BTreeSet<&str> = gateway.iter().map(|seen| seen.head.route.as_str()).collect();
    let rows = models.into_iter().map(|model| {
        let by_turns = Figures::of(turns.iter().filter(|seen| seen.head.route == model));
        let through = Figures::of(gateway.iter().copied().filter(|seen| seen.head.route == model));
        vec![
            model.to_owned(),
            deployments(model).to_string(),
            by_turns.requests.to_string(),
            by_turns.failed.to_string(),
            ratio(by_turns.tokens),
            through.requests.to_string(),
            ratio(through.tokens),
        ]
    });
    let header = [
        "\nmodel",
        "\ndeployments",
        "by turns\nrequests",
        "\nfailed",
        "\nhit ratio",
        "through Emberway\nrequests",
        "\nhit ratio",
    ];
    table(&header, 1, rows.collect())
}

/// Who answered how many requests in each part of the outage.
pub fn outage(seen: &[Seen]) -> String {
    let acts = [Act::Before, Act::Down, Act::Back];
    let in_acts = seen.iter().filter(|seen| acts.contains(&seen.act));
    let rows = by_deployment(in_acts).into_keys().map(|name| {
        let count = |act: Act| {
            let answered = seen
                .iter()
                .filter(|seen| seen.act == act && seen.finished.deployment.as_deref() == Some(&name));
            answered.count().to_string()
        };
        std::iter::once(name.clone()).chain(acts.map(count)).collect()
    });
    table(&["deployment", "before", "down", "back"], 1, rows.collect())
}

/// Each deployment's figures, and all together.
pub fn summary(seen: &[Seen]) -> String {
    let line = |name: String, figures: &Figures| {
        let Tokens { prompt, cached, .. } = figures.tokens;
        let first = figures.first_token;
        let gateway = figures.gateway;
        vec![
            name,
            figures.requests.to_string(),
            figures.failed.to_string(),
            figures.cut_and_said.to_string(),
            prompt.to_string(),
            cached.to_string(),
            ratio(figures.tokens),
            first.map_or_else(none, |first| ms(first.p50_us)),
            first.map_or_else(none, |first| ms(first.p95_us)),
            gateway.map_or_else(none, |gateway| gateway.p50_us.to_string()),
            gateway.map_or_else(none, |gateway| gateway.p95_us.to_string()),
        ]
    };
    let mut rows: Vec<_> = by_deployment(seen)
        .into_iter()
        .map(|(name, figures)| line(name, &figures))
        .collect();
    rows.push(line("all".to_owned(), &Figures::of(seen)));
    let header = [
        "deployment",
        "requests",
        "failed",
        "cut",
        "prompt tokens",
        "cached",
        "hit ratio",
        "first token\nms p50",
        "\np95",
        "gateway\nµs p50",
        "\np95",
    ];
    table(&header, 1, rows)
}

/// Cached ÷ prompt tokens in words.
pub fn ratio(tokens: Tokens) -> String {
    tokens
        .hit_ratio()
        .map_or_else(none, |ratio| format!("{:.1} %", ratio * 100.0))
}

/// The median and the number of values, in milliseconds.
pub fn median(percentiles: Option<Percentiles>) -> String {
    percentiles.map_or_else(
        || "none".to_owned(),
        |values| format!("{} ms ({} streams)", ms(values.p50_us), values.count),
    )
}

/// Microseconds as milliseconds.
pub fn ms(micros: u64) -> String {
    let ms = micros as f64 / 1_000.0;
    if ms < 10.0 {
        format!("{ms:.1}")
    } else {
        format!("{ms:.0}")
    }
}

fn none() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::ledger::testing::{failed, seen};
    use crate::load::outcome::FailureKind;

    fn list() -> Vec<Seen> {
        vec![
            seen(Act::Cache, 1, "a/x"),
            seen(Act::Before, 1, "a/x"),
            seen(Act::Down, 2, "b/x"),
            seen(Act::Back, 2, "a/x"),
            failed(Act::Streams, FailureKind::ErrorEvent, true),
        ]
    }

    #[test]
    fn a_head_names_all_who_answered_it() {
        let list = list();
        insta::assert_snapshot!(heads(&list.iter().take(4).collect::<Vec<_>>()), @r"
        prompt         answered by  requests  prompt tokens  cached  hit ratio
        support-bot 1  a/x                 2            200     120     60.0 %
        support-bot 2  a/x, b/x            2            200     120     60.0 %
        ");
    }

    #[test]
    fn the_load_by_turns_stands_beside_the_gateways() {
        let mut turns = vec![seen(Act::Cache, 1, "a/x"), seen(Act::Cache, 1, "b/x")];
        if let Some(tokens) = &mut turns[1].finished.tokens {
            tokens.cached = 0;
        }
        let list = list();
        insta::assert_snapshot!(compared(&list.iter().take(2).collect::<Vec<_>>(), &turns, |_model| 2), @r"
                                  by turns                     through Emberway
        model        deployments  requests  failed  hit ratio          requests  hit ratio
        support-bot            2         2       0     30.0 %                 2     60.0 %
        ");
    }

    #[test]
    fn the_outage_by_parts() {
        insta::assert_snapshot!(outage(&list()), @r"
        deployment  before  down  back
        a/x              1     0     1
        b/x              0     1     0
        ");
    }

    #[test]
    fn the_summary_ends_with_all() {
        insta::assert_snapshot!(summary(&list()), @r"
        deployment  requests  failed  cut  prompt tokens  cached  hit ratio  first token       gateway
                                                                                  ms p50  p95   µs p50  p95
        a/x                4       0    1            300     180     60.0 %          5.0  5.0      300  300
        b/x                1       0    0            100      60     60.0 %          5.0  5.0      300  300
        all                5       0    1            400     240     60.0 %          5.0  5.0      300  300
        ");
    }
}
