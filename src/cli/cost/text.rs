//! A cost report as people and spreadsheets read it.

use anyhow::Context as _;

use crate::columns::{columns, thousands, usd};
use crate::core::calendar::{DAY_MS, HOUR_MS, shown_date};
use crate::core::ledger::advice::{Advice, AdviceKind, Forecast};
use crate::storage::cost_sheet::{CostReport, CostRow};

const KINDS: [&str; 4] = ["hosting", "provisioned", "tokens", "keepalive"];

/// What is not known where no configuration was read.
const WITHOUT_CONFIG: &str = "no configuration was read, so the models of deployments and the prices that it sets are not known: tokens have no price, and \
                              neither has reserved throughput; name it with `--config FILE`";

/// The table, the forecast and the findings; where no configuration was read, it says what is not known for want of it.
pub(super) fn table(report: &CostReport, has_config: bool) -> String {
    let mut header = vec![report.by.as_ref(), "hours", "requests"];
    header.extend(KINDS);
    header.extend(["USD", "saved"]);
    let rows = report.groups.iter().chain([&report.total]).map(row).collect();
    let (first, last) = (shown_date(report.since_ms), shown_date(report.until_ms - DAY_MS));
    let mut parts = vec![
        format!("cost in US dollars from {first} to {last}, both included (UTC)"),
        columns(&header, 1, rows),
    ];
    if report.total.sum.unpriced > 0 {
        parts.push("+ a price is not known: at least so much; ? no price is known".to_owned());
    }
    if !has_config {
        parts.push(WITHOUT_CONFIG.to_owned());
    }
    parts.extend(report.forecast.as_ref().map(shown_forecast));
    let told =
        |names: &[String], what: &str| -> Vec<String> { names.iter().map(|name| format!("{name}: {what}")).collect() };
    // Without a configuration nothing has these prices, which was just said.
    let told_of = |finding: &&Advice| has_config || finding.kind != AdviceKind::Unpriced;
    let mut findings: Vec<String> = report.findings.iter().filter(told_of).map(shown_finding).collect();
    findings.extend(told(
        &report.unseen,
        "no gateway has noted yet that it is there, so its hosting is not counted",
    ));
    findings.extend(told(
        &report.stale,
        "no gateway has seen it for a day; it is counted as if it were there",
    ));
    parts.push(findings.join("\n"));
    parts.join("\n\n")
}

fn row(row: &CostRow) -> Vec<String> {
    let is_partial = row.sum.unpriced > 0;
    let mut cells = vec![
        row.key.clone(),
        thousands(row.sum.there_ms / HOUR_MS),
        thousands(row.sum.requests.cast_signed()),
    ];
    let [hosting, provisioned, tokens, keepalive] = amounts(row);
    let shown = |amount: u64, none: &str| {
        if amount == 0 { none.to_owned() } else { dollars(amount) }
    };
    // Nothing of what requests cost is known, rather than nothing to pay.
    let no_tokens = if is_partial && row.sum.requests > 0 { "?" } else { "-" };
    cells.extend([
        shown(hosting, "-"),
        shown(provisioned, "-"),
        shown(tokens, no_tokens),
        shown(keepalive, "-"),
    ]);
    let none = if is_partial { "?" } else { "0.00" };
    let more = if is_partial && row.sum.micro_usd > 0 { "+" } else { "" };
    cells.push(format!("{}{more}", shown(row.sum.micro_usd, none)));
    cells.push(shown(row.sum.saved_micro_usd, none));
    cells
}

/// In the order of [`KINDS`].
fn amounts(row: &CostRow) -> [u64; 4] {
    [
        row.hosting_micro_usd,
        row.provisioned_micro_usd,
        row.tokens_micro_usd,
        row.keepalive_micro_usd,
    ]
}

fn dollars(micro_usd: u64) -> String {
    usd(micro_usd as f64 / 1e6)
}

fn shown_forecast(forecast: &Forecast) -> String {
    let at_least = if forecast.is_partial { "at least " } else { "" };
    let tokens = if forecast.is_partial && forecast.tokens == 0 {
        "?".to_owned()
    } else {
        dollars(forecast.tokens)
    };
    format!(
        "forecast to {}: {at_least}{} = {} spent this month + {} hosting of what is there + {tokens} tokens at the last days' rate",
        shown_date(forecast.ends_ms - DAY_MS),
        dollars(forecast.total()),
        dollars(forecast.spent),
        dollars(forecast.hosting),
    )
}

fn shown_finding(finding: &Advice) -> String {
    if finding.of.is_empty() {
        finding.sentence.clone()
    } else {
        format!("{}: {}", finding.of, finding.sentence)
    }
}

/// The groups, one a line, without their total.
pub(super) fn csv(report: &CostReport) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut header = vec![
        report.by.as_ref().to_owned(),
        "hours".to_owned(),
        "requests".to_owned(),
        "prompt_tokens".to_owned(),
        "cached_tokens".to_owned(),
        "completion_tokens".to_owned(),
    ];
    header.extend(KINDS.map(|kind| format!("{kind}_usd")));
    header.extend(["usd", "saved_usd", "unpriced"].map(str::to_owned));
    writer.write_record(&header).context("cannot write CSV")?;
    for row in &report.groups {
        let exact = |micro_usd: u64| format!("{}.{:06}", micro_usd / 1_000_000, micro_usd % 1_000_000);
        let sum = &row.sum;
        let mut cells = vec![
            row.key.clone(),
            format!("{:.4}", sum.there_ms as f64 / HOUR_MS as f64),
            sum.requests.to_string(),
            sum.prompt_tokens.to_string(),
            sum.cached_tokens.to_string(),
            sum.completion_tokens.to_string(),
        ];
        cells.extend(amounts(row).map(exact));
        cells.extend([
            exact(sum.micro_usd),
            exact(sum.saved_micro_usd),
            sum.unpriced.to_string(),
        ]);
        writer.write_record(&cells).context("cannot write CSV")?;
    }
    let bytes = writer.into_inner().context("cannot write CSV")?;
    String::from_utf8(bytes).context("cannot write CSV")
}

#[cfg(test)]
mod tests;
