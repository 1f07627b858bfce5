//! `emberway usage --residency`: where requests were processed, for those who must show it.

use super::shown;
use crate::columns::{columns, thousands};
use crate::storage::residency_report::{ResidencyReport, ResidencyRow};

/// The report as people read it.
pub(super) fn text(report: &ResidencyReport) -> String {
    let (since, until) = (shown(Some(report.since_ms)), shown(Some(report.until_ms)));
    let mut text = format!("where answers came from, {since} to {until}\n\n");
    if report.rows.is_empty() {
        text.push_str("no answers");
        return text;
    }
    let header = [
        "route", "asked", "served", "", "requests", "tokens", "spilled", "first", "last",
    ];
    text.push_str(&columns(&header, 4, report.rows.iter().map(row).collect()));
    let count = |wanted: Option<bool>| -> i64 {
        let rows = report.rows.iter().filter(|row| row.agrees == wanted);
        rows.map(|row| row.requests).sum()
    };
    let (told, other, silent) = (count(Some(true)), count(Some(false)), count(None));
    let (told, other, silent) = (thousands(told), thousands(other), thousands(silent));
    format!("{text}\n\n{told} answers told the region that was asked, {other} another one, {silent} none")
}

fn row(row: &ResidencyRow) -> Vec<String> {
    let verdict = match row.agrees {
        Some(true) => "as asked",
        Some(false) => "ELSEWHERE",
        None => "not told",
    };
    vec![
        row.route.clone(),
        row.asked.clone(),
        row.served.clone().unwrap_or_else(|| "-".to_owned()),
        verdict.to_owned(),
        thousands(row.requests),
        thousands(row.tokens),
        thousands(row.spilled),
        shown(Some(row.first_at_ms)),
        shown(Some(row.last_at_ms)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(served: Option<&str>, requests: i64) -> ResidencyRow {
        ResidencyRow {
            route: "support-bot".to_owned(),
            asked: "swedencentral".to_owned(),
            served: served.map(str::to_owned),
            agrees: served.map(|served| served == "swedencentral"),
            requests,
            tokens: 1_000 * requests,
            spilled: 0,
            first_at_ms: 0,
            last_at_ms: 3_600_000,
        }
    }

    #[test]
    fn what_was_served_elsewhere_stands_out_and_all_is_counted() {
        let mut report = ResidencyReport {
            since_ms: 0,
            until_ms: 86_400_000,
            rows: vec![
                answers(Some("swedencentral"), 1_200),
                answers(Some("eastus2"), 3),
                answers(None, 7),
            ],
        };
        let told = text(&report);
        for part in [
            "swedencentral  as asked      1,200  1,200,000",
            "eastus2        ELSEWHERE         3",
            "1,200 answers told the region that was asked, 3 another one, 7 none",
        ] {
            assert!(told.contains(part), "{told}");
        }
        report.rows.clear();
        assert!(text(&report).ends_with("no answers"));
    }
}
