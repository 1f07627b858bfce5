//! `emberway replay`: flags to runs, a progress bar, the table.

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use strum::VariantArray as _;

use crate::replay::matrix::{Finished, Matrix, Run};
use crate::replay::money::{self, Prices};
use crate::replay::policy::PolicyName;
use crate::replay::report::Row;
use crate::replay::trace::Trace;
use crate::replay::world::{CacheKeys, Outage, Provider, Setting};
use crate::replay::{plot, report, trace};

/// Flags of `emberway replay`. Those that take several values make a run of each.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// Files to play: request traces as JSON lines, conversations as JSON lines, or CSV; also compressed (`.gz`).
    #[arg(required = true, value_name = "TRACE")]
    traces: Vec<PathBuf>,
    /// Policies; `nested` is ours.
    #[arg(long, value_delimiter = ',', default_value = "nested", value_parser = words::<PolicyName>(PolicyName::VARIANTS))]
    policy: Vec<PolicyName>,
    /// Deployments, all alike; `actual` for as many as the trace tells, also `actual+2`, `actual-1`.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "8", value_parser = count)]
    deployments: Vec<Count>,
    /// Gateways that share nothing; each request comes to any of them.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1")]
    replicas: Vec<NonZeroUsize>,
    /// Each deployment's tokens a minute, as a multiple of its fair share of the trace's; `none` for no limit.
    #[arg(long, value_name = "FACTOR", value_delimiter = ',', default_value = "2", value_parser = factor)]
    limit_factor: Vec<Factor>,
    /// What a deployment is: one cache, or machines chosen by a hash of the prompt's beginning [default: hosted for a trace that
    /// tells cached tokens, since a hosted fleet wrote it, else engine].
    #[arg(long, value_parser = ["engine", "hosted"])]
    provider: Option<String>,
    /// Machines of a hosted deployment.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "32")]
    machines: Vec<u32>,
    /// Requests a minute with one beginning and one key that a machine takes; more go to the next one.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "15")]
    requests_per_minute: Vec<u32>,
    /// Whether the shipped policy sends `prompt_cache_key` to hosted deployments.
    #[arg(long, value_delimiter = ',', default_value = "auto", value_parser = words::<CacheKeys>(CacheKeys::VARIANTS))]
    cache_key: Vec<CacheKeys>,
    /// How long a cache keeps what nobody asks for.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    idle: std::time::Duration,
    /// Regions that the deployments are in, in turn.
    #[arg(long, value_name = "N", default_value = "1")]
    regions: NonZeroUsize,
    /// Let placement not know the regions, to see what homes that span them save in an outage.
    #[arg(long)]
    no_spanning: bool,
    /// A region that fails, as `REGION:FROM:UNTIL`, from 0 and in seconds of the trace; its caches are lost.
    #[arg(long, value_name = "OUTAGE", value_parser = outage)]
    outage: Option<Outage>,
    /// Tokens of a block, where a trace does not say it.
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    block_tokens: Option<u32>,
    /// Play this route's requests only, of a trace that tells routes.
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// USD for a million prompt tokens that are not cached: what a run costs, and what it saves against a trace that tells what was cached.
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = price, requires = "price_cached")]
    price_input: Option<f64>,
    /// USD for a million that are cached; not more than `--price-input`.
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = price, requires = "price_input")]
    price_cached: Option<f64>,
    /// USD for a million completion tokens [default: 0].
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = price, requires = "price_input")]
    price_output: Option<f64>,
    /// USD for an hour of a deployment's existence: what `actual+2` costs more [default: 0].
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = price, requires = "price_input")]
    price_hour: Option<f64>,
    /// Which replica gets which request, and ties.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs at the same time [default: one a core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Draw hit ratio against replicas, and load over time, as SVG into this folder.
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
    /// Print one JSON object a run.
    #[arg(long)]
    json: bool,
    /// Show no progress; it is shown on a terminal only.
    #[arg(long)]
    no_progress: bool,
}

/// A limit as a multiple of the fair share; none for no limit.
#[derive(Debug, Clone, Copy)]
struct Factor(Option<f64>);

fn factor(text: &str) -> Result<Factor, String> {
    if text == "none" {
        return Ok(Factor(None));
    }
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Factor(Some(factor))),
        _ => Err("a number above zero such as `1.5`, or `none`".to_owned()),
    }
}

/// How many deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    /// So many.
    Of(usize),
    /// As many as the trace tells, and so many more.
    Actual(isize),
}

fn count(text: &str) -> Result<Count, String> {
    let wrong = || "a number such as `8`, or `actual`, `actual+2`, `actual-1`".to_owned();
    let parsed = match text.strip_prefix("actual") {
        Some("") => Some(Count::Actual(0)),
        Some(more) if more.starts_with(['+', '-']) => more.parse().ok().map(Count::Actual),
        Some(_) => None,
        None => text.parse().ok().filter(|&number| number > 0).map(Count::Of),
    };
    parsed.ok_or_else(wrong)
}

impl Count {
    /// The deployments for a trace.
    fn of(self, trace: &Trace) -> anyhow::Result<usize> {
        let count = match self {
            Self::Of(count) => count,
            Self::Actual(more) => {
                let name = &trace.name;
                let actual = trace.actual.deployments;
                anyhow::ensure!(
                    actual > 0,
                    "the trace `{name}` does not tell its deployments; give `--deployments` a number"
                );
                let count = actual.checked_add_signed(more).filter(|&count| count > 0);
                count.with_context(|| format!("`{name}` has {actual} deployments, so `actual{more:+}` leaves none"))?
            }
        };
        anyhow::ensure!(
            count <= DEPLOYMENTS_MAX,
            "`{count}` deployments are too many; at most {DEPLOYMENTS_MAX}"
        );
        Ok(count)
    }
}

fn price(text: &str) -> Result<f64, String> {
    let price = text
        .parse()
        .ok()
        .filter(|price: &f64| price.is_finite() && *price >= 0.0);
    price.ok_or_else(|| "a number of USD such as `2.5`".to_owned())
}

fn outage(text: &str) -> Result<Outage, String> {
    let wrong = || "three numbers such as `0:1200:1800`: region, from and until which second".to_owned();
    let mut parts = text.split(':');
    let mut part = || parts.next().ok_or_else(wrong);
    let outage = Outage {
        region: part()?.parse().map_err(|_| wrong())?,
        from: part()?.parse().map_err(|_| wrong())?,
        until: part()?.parse().map_err(|_| wrong())?,
    };
    if parts.next().is_some() {
        Err(wrong())
    } else {
        Ok(outage)
    }
}

/// The words of a closed set.
fn words<T>(all: &'static [T]) -> impl TypedValueParser<Value = T>
where
    T: AsRef<str> + std::str::FromStr + Clone + Send + Sync + 'static,
    <T as std::str::FromStr>::Err: std::error::Error + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.iter().map(AsRef::<str>::as_ref)).try_map(|word| word.parse::<T>())
}

impl ReplayArgs {
    /// Whether a trace's deployments are hosted. What is compared with a real fleet has to be played like one: one cache that keeps short
    /// beginnings too would flatter every policy.
    fn is_hosted(&self, trace: &Trace) -> bool {
        match self.provider.as_deref() {
            Some(named) => named == "hosted",
            None => trace.actual.requests > 0,
        }
    }

    fn providers(&self, trace: &Trace) -> Vec<Provider> {
        if !self.is_hosted(trace) {
            return vec![Provider::Engine];
        }
        let hosted = |machines: u32| {
            self.requests_per_minute.iter().map(move |&rate| Provider::Hosted {
                machines: machines.max(1),
                requests_per_minute: rate,
            })
        };
        self.machines.iter().flat_map(|&machines| hosted(machines)).collect()
    }

    /// The settings for a trace.
    fn settings(&self, trace: &Trace) -> anyhow::Result<Vec<Setting>> {
        let mut settings = Vec::new();
        let counts: Vec<_> = self
            .deployments
            .iter()
            .map(|count| count.of(trace))
            .collect::<Result<_, _>>()?;
        let keys: &[CacheKeys] = if self.is_hosted(trace) {
            &self.cache_key
        } else {
            &[CacheKeys::Off]
        };
        for provider in self.providers(trace) {
            for &deployments in &counts {
                for &Factor(limit_factor) in &self.limit_factor {
                    for &replicas in &self.replicas {
                        for &cache_keys in keys {
                            settings.push(Setting {
                                deployments,
                                replicas: replicas.get(),
                                limit_factor,
                                provider,
                                idle_seconds: self.idle.as_secs_f64(),
                                cache_keys,
                                regions: self.regions.get(),
                                spans_regions: !self.no_spanning,
                                outage: self.outage,
                                seed: self.seed,
                            });
                        }
                    }
                }
            }
        }
        Ok(settings)
    }

    fn prices(&self) -> anyhow::Result<Option<Prices>> {
        let Some((input, cached)) = self.price_input.zip(self.price_cached) else {
            return Ok(None);
        };
        anyhow::ensure!(
            cached <= input,
            "`--price-cached {cached}` is more than `--price-input {input}`; what is found cached costs less, or the same"
        );
        Ok(Some(Prices {
            input,
            cached,
            output: self.price_output.unwrap_or(0.0),
            hour: self.price_hour.unwrap_or(0.0),
        }))
    }

    /// Which provider was taken for each trace and why, where no flag says it.
    fn provider_notes(&self, matrix: &Matrix) -> Vec<String> {
        if self.provider.is_some() {
            return Vec::new();
        }
        let mut notes: Vec<String> = Vec::new();
        for run in &matrix.runs {
            let name = &run.trace.name;
            let note = if self.is_hosted(&run.trace) {
                format!("{name} is played with `--provider hosted`, since it tells the cached tokens of a real fleet")
            } else {
                format!(
                    "{name} is played with `--provider engine`, since it does not tell what a real fleet found cached"
                )
            };
            if notes.last() != Some(&note) {
                notes.push(note);
            }
        }
        notes
    }

    /// Every policy in every setting with every trace.
    fn matrix(&self) -> anyhow::Result<Matrix> {
        let mut matrix = Matrix {
            runs: Vec::new(),
            prices: self.prices()?,
        };
        for path in &self.traces {
            let trace = Arc::new(trace::read(path, self.block_tokens, self.route.as_deref())?);
            for setting in self.settings(&trace)? {
                for &policy in &self.policy {
                    matrix.runs.push(Run {
                        trace: Arc::clone(&trace),
                        policy,
                        setting: setting.clone(),
                    });
                }
            }
        }
        Ok(matrix)
    }
}

/// Plays the traces and prints a row for each run.
///
/// # Errors
/// When a trace cannot be read, or table or pictures cannot be written.
pub fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let matrix = args.matrix()?;
    let notes = args.provider_notes(&matrix);
    let bar = progress_bar(matrix.runs.len(), args.no_progress)?;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let runs = matrix.play(args.threads.map_or(cores, NonZeroUsize::get), || bar.inc(1));
    bar.finish_and_clear();
    if args.json {
        print_json(&runs)?;
    } else {
        print(&runs, &notes)?;
    }
    if let Some(folder) = &args.plot {
        plot::draw(&runs, folder)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Most deployments of a run.
const DEPLOYMENTS_MAX: usize = 64;

fn progress_bar(runs: usize, quiet: bool) -> anyhow::Result<ProgressBar> {
    if quiet {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} runs, {eta} left")?;
    Ok(ProgressBar::new(runs as u64).with_style(style))
}

fn print_json(runs: &[Finished]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    for run in runs {
        serde_json::to_writer(&mut stdout, &run.row).map_err(io::Error::from)?;
        writeln!(stdout)?;
    }
    Ok(stdout.flush()?)
}

fn print(runs: &[Finished], notes: &[String]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let rows: Vec<_> = runs.iter().map(|run| run.row.clone()).collect();
    writeln!(stdout, "{}", report::table(&rows))?;
    for note in notes {
        writeln!(stdout, "{note}")?;
    }
    if let Some(costs) = money::table(&rows) {
        writeln!(
            stdout,
            "\nWhat it costs, in USD; a day and 30 days are extrapolated from {}:\n{costs}",
            lengths(&rows)
        )?;
    }
    if let Some(savings) = report::savings(&rows) {
        writeln!(stdout, "\nAgainst what really happened:\n{savings}")?;
    }
    Ok(stdout.flush()?)
}

/// How long the traces are, each once.
fn lengths(rows: &[Row]) -> String {
    let mut lengths: Vec<String> = Vec::new();
    for row in rows {
        let (seconds, name) = (row.trace_seconds, &row.trace);
        let length = if seconds < 120.0 {
            format!("the {seconds:.0} seconds of {name}")
        } else {
            format!("the {:.1} hours of {name}", seconds / 3_600.0)
        };
        if lengths.last() != Some(&length) {
            lengths.push(length);
        }
    }
    lengths.join(" and ")
}

#[cfg(test)]
mod tests;
