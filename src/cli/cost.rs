//! `emberway cost`: prints what the fleet costs, by what the usage store remembers and the prices of now.
//!
//! It opens the store read-only, also while a gateway is writing. Prices come from the configuration and, where that is silent, from the
//! list that comes with the program; the arithmetic is `core::ledger`'s. Amounts are kept by whole days in UTC.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use strum::VariantArray as _;

use crate::cli::{output, usage};
use crate::config;
use crate::core::calendar::month_ms;
use crate::core::ledger::bill::CostGroup;
use crate::core::ledger::book::PriceBook;
use crate::core::ledger::prices::{self, PriceList};
use crate::storage::cost_report::read_paid;
use crate::storage::cost_sheet::{CostReport, Period};
use crate::storage::sqlite::connect_reader;
use crate::telemetry::clock;

mod text;

/// Flags of `emberway cost`.
#[derive(Debug, clap::Args)]
pub struct CostArgs {
    /// The gateway's configuration file, for the prices and the place of the usage file. Secrets in it are not needed. Without it only
    /// hosting has a price, by the built-in list: which model a deployment has is not known, so what its tokens cost is not either, and
    /// what is not known is shown as `?` [default: `emberway.yaml`, if it is there].
    #[arg(short, long, value_name = "FILE", env = "EMBERWAY_CONFIG")]
    config: Option<PathBuf>,
    /// The gateway's usage file, whatever the configuration says [default without either: `emberway-usage.db`].
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,
    /// What sums are by. Hosting is of no route or client: it stands under `-` there.
    #[arg(long, value_parser = group_by(), default_value = "deployment")]
    by: CostGroup,
    /// First day: how long ago (`7days`), a date or an RFC 3339 time; whole days in UTC count [default: the month's first].
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// End of the range: the day that this is in is the last one [default: today].
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Print JSON, with amounts in millionths of a US dollar.
    #[arg(long)]
    json: bool,
    /// Print the sums as CSV, with amounts in US dollars.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

fn group_by() -> impl clap::builder::TypedValueParser<Value = CostGroup> {
    PossibleValuesParser::new(CostGroup::VARIANTS.iter().map(AsRef::<str>::as_ref)).try_map(|word| word.parse())
}

/// Runs the command.
///
/// # Errors
/// When a time or the configuration cannot be read, or the store cannot.
pub fn run(args: CostArgs) -> anyhow::Result<ExitCode> {
    let now_ms = clock::now_ms();
    let period = period(args.since.as_deref(), args.until.as_deref(), now_ms)?;
    let file = usage::config_file(args.config);
    let named_by = file.path().filter(|_| args.store.is_none()).map(Path::to_owned);
    let variables = &config::secrets::process_variables;
    let billed = file
        .path()
        .map_or_else(|| Ok(Vec::new()), |file| config::load::billed(file, variables));
    let found = billed.and_then(|billed| Ok((billed, usage::find_store(args.store, &file)?)));
    let (billed, store) = match found {
        Ok(found) => found,
        Err(errors) => {
            writeln!(std::io::stderr(), "{errors}").context("cannot write to stderr")?;
            return Ok(ExitCode::from(output::EXIT_CONFIG));
        }
    };
    let book = PriceBook::new(PriceList::parse(prices::EMBEDDED)?, billed);
    let paid = output::runtime()?.block_on(async {
        let connection = connect_reader(&store).await;
        let mut connection = connection.map_err(|error| usage::unreadable(error, named_by.as_deref()))?;
        anyhow::Ok(read_paid(&mut connection, period.reads(now_ms)).await?)
    })?;
    anyhow::ensure!(
        !paid.truncated,
        "there is more than one report can hold; choose a later `--since`"
    );
    let report = CostReport::new(&paid, &book, args.by, period, now_ms);
    let text = if args.json {
        usage::json(&report)?
    } else if args.csv {
        text::csv(&report)?
    } else {
        text::table(&report, file.path().is_some())
    };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// Whole days that two flags mean.
fn period(since: Option<&str>, until: Option<&str>, now_ms: i64) -> anyhow::Result<Period> {
    let since_ms = match since {
        Some(since) => usage::moment(since, now_ms).context("cannot read --since")?,
        None => month_ms(now_ms).map_or(now_ms, |(begins_ms, _)| begins_ms),
    };
    let until_ms = until.map_or(Ok(now_ms), |until| {
        usage::moment(until, now_ms).context("cannot read --until")
    })?;
    let period = Period::of(since_ms, until_ms);
    anyhow::ensure!(
        period.since_ms < period.until_ms,
        "the range is empty: `--since` is a later day than its end"
    );
    Ok(period)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::calendar::date_ms;
    use crate::storage::cost_sheet::reads_from;

    #[test]
    fn ranges_are_whole_days() {
        let at = |date: &str| date_ms(date).expect("a date");
        let now_ms = at("2026-11-26") + 5_000;
        let shown = |since, until| {
            let period = period(since, until, now_ms).expect("a range");
            [period.since_ms, period.until_ms].map(crate::core::calendar::shown_date)
        };
        assert_eq!(shown(None, None), ["2026-11-01", "2026-11-27"]);
        assert_eq!(shown(Some("24h"), None), ["2026-11-25", "2026-11-27"]);
        assert_eq!(
            shown(Some("2026-10-03"), Some("2026-10-03T08:00:00Z")),
            ["2026-10-03", "2026-10-04"]
        );
        let refused = period(Some("2026-11-03"), Some("2026-11-02"), now_ms).expect_err("empty");
        assert!(refused.to_string().contains("the range is empty"), "{refused}");
        assert!(period(Some("soon"), None, now_ms).is_err());
        assert_eq!(reads_from(now_ms), at("2026-11-01"));
        assert_eq!(reads_from(at("2026-11-03")), at("2026-10-24"));
    }
}
