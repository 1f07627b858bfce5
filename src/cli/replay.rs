//! `emberway replay`: flags to runs, a progress bar, the table.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use strum::VariantArray as _;

use crate::cli::output;
use crate::cli::replay::flags::{Count, Factor, count, factor, outage, price, tokens, words};
use crate::replay::matrix::{Matrix, Run};
use crate::replay::money::Prices;
use crate::replay::plot;
use crate::replay::policy::PolicyName;
use crate::replay::trace::Trace;
use crate::replay::trace::files::{self, Pick};
use crate::replay::world::{CacheKeys, Outage, Provider, Setting};

mod flags;
mod fleet;
mod notes;
mod print;

/// Flags of `emberway replay`. Those that take several values make a run of each.
#[derive(Debug, Clone, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a command line that do not exclude each other"
)]
pub struct ReplayArgs {
    /// Files to play: request traces as JSON lines, conversations as JSON lines, or CSV; also compressed (`.gz`).
    #[arg(required = true, value_name = "TRACE")]
    traces: Vec<PathBuf>,
    /// Play all files as one trace, by time: those of several gateways with the same `trace.key`, and those that were put aside.
    #[arg(long)]
    join: bool,
    /// Policies; `nested` is ours.
    #[arg(long, value_delimiter = ',', default_value = "nested", value_parser = words::<PolicyName>(PolicyName::VARIANTS))]
    policy: Vec<PolicyName>,
    /// Deployments, all alike; `actual` for as many as the trace tells, also `actual+2`, `actual-1` [default: actual where the trace tells
    /// them, else 8].
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = count)]
    deployments: Vec<Count>,
    /// Gateways that share nothing; each request comes to any of them.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1")]
    replicas: Vec<NonZeroUsize>,
    /// Each deployment's tokens a minute, as a multiple of its fair share of the trace's, so that more deployments have no more in all;
    /// `none` for no limit [default: 2].
    #[arg(long, value_name = "FACTOR", value_delimiter = ',', value_parser = factor)]
    limit_factor: Vec<Factor>,
    /// Each deployment's tokens a minute, in place of `--limit-factor`: more deployments have more.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = tokens, conflicts_with = "limit_factor")]
    tokens_per_minute: Vec<f64>,
    /// What a deployment is: one cache, or machines chosen by a hash of the prompt's beginning [default: hosted for a trace that
    /// tells cached tokens, since a hosted fleet wrote it, else engine].
    #[arg(long, value_parser = ["engine", "hosted"])]
    provider: Option<String>,
    /// Machines of a hosted deployment.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "32", value_parser = clap::value_parser!(u32).range(1..))]
    machines: Vec<u32>,
    /// Requests a minute with one beginning and one key that a machine takes; more go to the next one.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "15", value_parser = clap::value_parser!(u32).range(1..))]
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
    /// The configuration of the gateway that wrote the trace: deployments, mean limit and prices of the pool of the trace's routes, where
    /// no flag tells them.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Play the requests of these routes only, as those of one pool; needed where a trace has several, unless `--config` says that they
    /// are of one pool.
    #[arg(long, value_name = "ROUTE", value_delimiter = ',')]
    route: Vec<String>,
    /// USD for a million prompt tokens that are not cached: what a run costs, and what it saves where a trace tells what was cached.
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
                machines,
                requests_per_minute: rate,
            })
        };
        self.machines.iter().flat_map(|&machines| hosted(machines)).collect()
    }

    /// The deployments of a trace's runs.
    fn counts(&self, trace: &Trace) -> anyhow::Result<Vec<usize>> {
        let default = [match trace.actual.deployments {
            0 => Count::Of(DEPLOYMENTS),
            _ => Count::Actual(0),
        }];
        let counts = if self.deployments.is_empty() {
            &default
        } else {
            self.deployments.as_slice()
        };
        counts.iter().map(|count| count.of(trace)).collect()
    }

    /// Limits, each as a factor or as tokens a minute.
    fn limits(&self) -> Vec<(Option<f64>, Option<f64>)> {
        if !self.tokens_per_minute.is_empty() {
            let limits = self.tokens_per_minute.iter();
            return limits.map(|&tokens| (None, Some(tokens))).collect();
        }
        if self.limit_factor.is_empty() {
            return vec![(Some(LIMIT_FACTOR), None)];
        }
        let factors = self.limit_factor.iter();
        factors.map(|&Factor(factor)| (factor, None)).collect()
    }

    fn cache_keys(&self, trace: &Trace) -> &[CacheKeys] {
        if self.is_hosted(trace) {
            &self.cache_key
        } else {
            &[CacheKeys::Off]
        }
    }

    /// The settings for a trace.
    fn settings(&self, trace: &Trace) -> anyhow::Result<Vec<Setting>> {
        let mut settings = Vec::new();
        let counts = self.counts(trace)?;
        for provider in self.providers(trace) {
            for &deployments in &counts {
                for (limit_factor, tokens_per_minute) in self.limits() {
                    for &replicas in &self.replicas {
                        for &cache_keys in self.cache_keys(trace) {
                            settings.push(Setting {
                                deployments,
                                replicas: replicas.get(),
                                limit_factor,
                                tokens_per_minute,
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

    /// The world in which a run's trace was really placed: as many deployments as there were, the first of `--cache-key`, and no outage.
    fn in_use(&self, trace: &Trace, setting: &Setting) -> Option<Setting> {
        (trace.actual.requests > 0).then(|| Setting {
            deployments: match trace.actual.deployments {
                0 => setting.deployments,
                actual => actual,
            },
            cache_keys: self.cache_keys(trace).first().copied().unwrap_or(CacheKeys::Off),
            outage: None,
            ..setting.clone()
        })
    }

    /// What no flag alone can tell.
    fn check(&self) -> anyhow::Result<()> {
        let regions = self.regions.get();
        if let Some(Outage { region, .. }) = self.outage {
            anyhow::ensure!(
                region < regions,
                "`--outage` takes out region {region}, but there are {regions}, from 0; give `--regions` more"
            );
        }
        Ok(())
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

    /// The traces: each file one, or all of them together.
    fn traces(&self) -> Result<Vec<Trace>, files::TraceError> {
        let routes: Vec<&str> = self.route.iter().map(String::as_str).collect();
        let pick = match (routes.as_slice(), &self.config) {
            ([], None) => Pick::OneRoute,
            ([], Some(_)) => Pick::All,
            (routes, _) => Pick::Routes(routes),
        };
        if self.join {
            return Ok(vec![files::join(&self.traces, self.block_tokens, pick)?]);
        }
        let paths = self.traces.iter();
        paths.map(|path| files::read(path, self.block_tokens, pick)).collect()
    }

    /// Every policy in every setting with every trace.
    fn matrix(&self, traces: &[Arc<Trace>]) -> anyhow::Result<Matrix> {
        let mut matrix = Matrix {
            runs: Vec::new(),
            prices: self.prices()?,
        };
        for trace in traces {
            for setting in self.settings(trace)? {
                for &policy in &self.policy {
                    matrix.runs.push(Run {
                        trace: Arc::clone(trace),
                        policy,
                        in_use: self.in_use(trace, &setting),
                        setting: setting.clone(),
                    });
                }
            }
        }
        Ok(matrix)
    }
}

/// Deployments of a run where neither a flag nor the trace tells them.
const DEPLOYMENTS: usize = 8;
/// The limit where neither a flag nor a configuration tells one.
const LIMIT_FACTOR: f64 = 2.0;

/// Plays the traces and prints a row for each run.
///
/// # Errors
/// When a trace cannot be read, or table or pictures cannot be written.
pub fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    if let Err(error) = args.check() {
        output::report(&error);
        return Ok(ExitCode::from(output::EXIT_USAGE));
    }
    let mut traces = args.traces()?;
    for warning in traces.iter().flat_map(|trace| &trace.warnings) {
        output::warn(warning);
    }
    let Some(file) = &args.config else {
        return play(args, traces, Vec::new());
    };
    match fleet::load(file) {
        Ok(checked) => {
            let fleet = fleet::of(&checked.runtime.snapshot, &traces)?;
            let (args, notes) = fleet.apply(args, &mut traces);
            play(&args, traces, notes)
        }
        Err(errors) => {
            writeln!(std::io::stderr(), "{errors}").context("cannot write to stderr")?;
            Ok(ExitCode::from(output::EXIT_CONFIG))
        }
    }
}

fn play(args: &ReplayArgs, traces: Vec<Trace>, mut notes: Vec<String>) -> anyhow::Result<ExitCode> {
    let traces: Vec<_> = traces.into_iter().map(Arc::new).collect();
    let matrix = args.matrix(&traces)?;
    notes.extend(args.notes(&traces));
    let bar = progress_bar(matrix.steps(), args.no_progress)?;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let runs = matrix.play(args.threads.map_or(cores, NonZeroUsize::get), || bar.inc(1));
    bar.finish_and_clear();
    if args.json {
        print::json(&runs)?;
    } else {
        print::tables(&runs, &notes)?;
    }
    if let Some(folder) = &args.plot {
        plot::draw(&runs, folder)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn progress_bar(runs: usize, quiet: bool) -> anyhow::Result<ProgressBar> {
    if quiet {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} runs, {eta} left")?;
    Ok(ProgressBar::new(runs as u64).with_style(style))
}

#[cfg(test)]
mod tests;
