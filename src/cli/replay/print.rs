//! A replay's figures: tables for people, and one JSON object a run for machines.

use std::io::{self, Write as _};

use crate::replay::matrix::Finished;
use crate::replay::report::Row;
use crate::replay::{money, report};

/// Seconds below which nothing is extrapolated.
const HOUR_SECONDS: f64 = 3_600.0;

/// Prints one JSON object a run.
pub(super) fn json(runs: &[Finished]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    for run in runs {
        serde_json::to_writer(&mut stdout, &run.row).map_err(io::Error::from)?;
        writeln!(stdout)?;
    }
    Ok(stdout.flush()?)
}

/// Prints the table of runs, what is to be known of them, and where it is known what they cost and save.
pub(super) fn tables(runs: &[Finished], notes: &[String]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let rows: Vec<_> = runs.iter().map(|run| run.row.clone()).collect();
    if let Some(table) = report::table(&rows) {
        writeln!(stdout, "{table}")?;
    }
    for note in notes {
        writeln!(stdout, "{note}")?;
    }
    if let Some(costs) = money::table(&rows) {
        writeln!(stdout, "\nWhat it costs, in USD; {}:\n{costs}", extrapolation(&rows))?;
        if rows.iter().any(|row| row.failed > 0.0) {
            writeln!(
                stdout,
                "requests that failed cost nothing, so a run with more of them is not cheaper"
            )?;
        }
    }
    if let Some(savings) = report::savings(&rows) {
        let is_played = rows.iter().any(|row| row.saving.in_use_hit.is_some());
        let against = if is_played {
            "Against the policy in use, as played"
        } else {
            "Against what really happened"
        };
        writeln!(stdout, "\n{against}:\n{savings}")?;
    }
    for error in report::model_errors(&rows) {
        writeln!(stdout, "{error}")?;
    }
    Ok(stdout.flush()?)
}

/// From what a day and 30 days are extrapolated, or why not.
fn extrapolation(rows: &[Row]) -> String {
    let (long, short): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.trace_seconds >= HOUR_SECONDS);
    let long = (!long.is_empty()).then(|| format!("a day and 30 days are extrapolated from {}", lengths(&long)));
    let short = (!short.is_empty()).then(|| {
        format!(
            "not extrapolated from {}, less than an hour: it begins with empty caches, and is no sample of a day",
            lengths(&short)
        )
    });
    let told: Vec<_> = long.into_iter().chain(short).collect();
    told.join("; ")
}

/// How long the traces are, each once.
fn lengths(rows: &[&Row]) -> String {
    let mut lengths: Vec<String> = Vec::new();
    for row in rows {
        let (seconds, name) = (row.trace_seconds, &row.trace);
        let length = if seconds < 120.0 {
            format!("the {seconds:.0} seconds of {name}")
        } else if seconds < HOUR_SECONDS {
            format!("the {:.0} minutes of {name}", seconds / 60.0)
        } else {
            format!("the {:.1} hours of {name}", seconds / HOUR_SECONDS)
        };
        if lengths.last() != Some(&length) {
            lengths.push(length);
        }
    }
    lengths.join(" and ")
}
