//! `emberway replay`: flags to runs, a progress bar, the table.

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use strum::VariantArray as _;

use crate::replay::matrix::{Finished, Matrix};
use crate::replay::policy::PolicyName;
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
    /// Deployments, all alike.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "8")]
    deployments: Vec<NonZeroUsize>,
    /// Gateways that share nothing; each request comes to any of them.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1")]
    replicas: Vec<NonZeroUsize>,
    /// Each deployment's tokens a minute, as a multiple of its fair share of the trace's; `none` for no limit.
    #[arg(long, value_name = "FACTOR", value_delimiter = ',', default_value = "2", value_parser = factor)]
    limit_factor: Vec<Factor>,
    /// What a deployment is: one cache, or machines chosen by a hash of the prompt's beginning.
    #[arg(long, default_value = "engine", value_parser = ["engine", "hosted"])]
    provider: String,
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
    /// A region that fails, as `REGION:FROM:UNTIL`, from 0 and in seconds of the trace; its caches are lost.
    #[arg(long, value_name = "OUTAGE", value_parser = outage)]
    outage: Option<Outage>,
    /// Tokens of a block, where a trace does not say it.
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    block_tokens: Option<u32>,
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
    fn providers(&self) -> Vec<Provider> {
        if self.provider == "engine" {
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

    fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        let keys: &[CacheKeys] = if self.provider == "engine" {
            &[CacheKeys::Off]
        } else {
            &self.cache_key
        };
        for provider in self.providers() {
            for &deployments in &self.deployments {
                for &Factor(limit_factor) in &self.limit_factor {
                    for &replicas in &self.replicas {
                        for &cache_keys in keys {
                            settings.push(Setting {
                                deployments: deployments.get(),
                                replicas: replicas.get(),
                                limit_factor,
                                provider,
                                idle_seconds: self.idle.as_secs_f64(),
                                cache_keys,
                                regions: self.regions.get(),
                                outage: self.outage,
                                seed: self.seed,
                            });
                        }
                    }
                }
            }
        }
        settings
    }
}

/// Plays the traces and prints a row for each run.
///
/// # Errors
/// When a trace cannot be read, or table or pictures cannot be written.
pub fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let most = args.deployments.iter().map(|count| count.get()).max().unwrap_or(0);
    anyhow::ensure!(
        most <= DEPLOYMENTS_MAX,
        "`{most}` deployments are too many; at most {DEPLOYMENTS_MAX}"
    );
    let mut traces = Vec::with_capacity(args.traces.len());
    for path in &args.traces {
        traces.push(Arc::new(trace::read(path, args.block_tokens)?));
    }
    let matrix = Matrix {
        traces,
        policies: args.policy.clone(),
        settings: args.settings(),
    };
    let bar = progress_bar(matrix.len(), args.no_progress)?;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let runs = matrix.play(args.threads.map_or(cores, NonZeroUsize::get), || bar.inc(1));
    bar.finish_and_clear();
    print(&runs, args.json)?;
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

fn print(runs: &[Finished], json: bool) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    if json {
        for run in runs {
            serde_json::to_writer(&mut stdout, &run.row).map_err(io::Error::from)?;
            writeln!(stdout)?;
        }
    } else {
        let rows: Vec<_> = runs.iter().map(|run| run.row.clone()).collect();
        writeln!(stdout, "{}", report::table(&rows))?;
    }
    Ok(stdout.flush()?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        replay: ReplayArgs,
    }

    fn settings(flags: &str) -> Result<Vec<Setting>, String> {
        let flags = ["replay", "t.jsonl"].into_iter().chain(flags.split_whitespace());
        let flags = Flags::try_parse_from(flags).map_err(|error| error.to_string())?;
        Ok(flags.replay.settings())
    }

    #[test]
    fn lists_make_a_run_of_each() {
        assert_eq!(settings("").unwrap().len(), 1);
        let all = settings("--replicas 1,4 --limit-factor 1.5,none --deployments 2,8").unwrap();
        assert_eq!(all.len(), 8);
        assert!(
            all.iter()
                .any(|setting| setting.limit_factor.is_none() && setting.replicas == 4)
        );
        let hosted = settings("--provider hosted --machines 8,32 --requests-per-minute 10,15 --cache-key off,auto");
        assert_eq!(hosted.unwrap().len(), 8);
    }

    #[test]
    fn wrong_flags_are_named() {
        for (flags, part) in [
            ("--policy best", "possible values: nested, round_robin"),
            ("--limit-factor 0", "a number above zero"),
            ("--replicas 0", "--replicas"),
            ("--outage 1:2", "three numbers"),
            ("--provider azure", "engine, hosted"),
        ] {
            let message = settings(flags).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn every_flag_is_in_the_manual() {
        use clap::CommandFactory as _;
        let manual = include_str!("../../docs/placement.md");
        for flag in Flags::command().get_arguments().filter_map(clap::Arg::get_long) {
            assert!(
                manual.contains(&format!("| `--{flag}` |")),
                "--{flag} is not in docs/placement.md"
            );
        }
    }
}
