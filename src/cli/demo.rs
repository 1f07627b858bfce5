//! `emberway demo`: flags, signals and the exit code of the demo.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::output;
use crate::demo::{self, LOAD_SECONDS, Options};
use crate::telemetry::logging::{self, LogFormat};

/// Flags of `emberway demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// End after the last act, instead of staying up for you to try.
    #[arg(long)]
    once: bool,
    /// Where to write addresses and key as `NAME=value` lines; the usage store is made beside it.
    #[arg(long, value_name = "FILE", default_value = "target/demo.env")]
    env_file: PathBuf,
    /// Write the figures of the summary to this file as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Seconds of load; some ten more pass in all.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(load_seconds()))]
    seconds: u16,
    /// Listen on ports at random instead of 8080, 9090 and 9100 to 9103.
    #[arg(long)]
    free_ports: bool,
    /// What the gateway logs to stderr meanwhile, such as `info`.
    #[arg(long, value_name = "FILTER", default_value = "off")]
    log: String,
}

fn load_seconds() -> std::ops::RangeInclusive<i64> {
    i64::from(*LOAD_SECONDS.start())..=i64::from(*LOAD_SECONDS.end())
}

/// Gives the demo: exit code 0 only if everything that it claims held. A signal ends it early, or when it only stays up, well;
/// a second signal ends it at once.
///
/// # Errors
/// When it cannot start, or a file cannot be written.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let _log = logging::init(&args.log, LogFormat::Pretty)?;
    let options = Options {
        once: args.once,
        env_file: args.env_file,
        report: args.report,
        load: Duration::from_secs(u64::from(args.seconds)),
        free_ports: args.free_ports,
    };
    output::runtime()?.block_on(give(options))
}

async fn give(options: Options) -> anyhow::Result<ExitCode> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let (first, stop) = tokio::sync::oneshot::channel();
    let twice = async {
        let mut first = Some(first);
        loop {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
            }
            match first.take() {
                // The demo has ended by itself when nobody waits for this.
                Some(first) => drop(first.send(())),
                None => return,
            }
        }
    };
    let mut stop = Box::pin(async {
        let _ = stop.await;
    });
    let mut out = std::io::stdout();
    tokio::select! {
        verdict = demo::run(&options, &mut out, &mut stop) => Ok(match verdict? {
            Some(verdict) if verdict.holds() => ExitCode::SUCCESS,
            Some(_) | None => ExitCode::FAILURE,
        }),
        () = twice => Ok(ExitCode::FAILURE),
    }
}
