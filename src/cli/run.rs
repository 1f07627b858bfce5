//! `emberway run`: the gateway, until a signal ends it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{self, Source};
use crate::cli::output;
use crate::config::checked::{self, Checked};
use crate::config::{self, load, secrets};
use crate::telemetry::logging::{self, LogFormat};

/// Flags of `emberway run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", env = "EMBERWAY_CONFIG", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
}

/// Runs the gateway until SIGTERM or SIGINT, then drains it. A second signal ends it at once.
///
/// # Errors
/// When it cannot start, or usage records could not be written at the end.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let checked = match load::load(&args.config, &secrets::process_variables) {
        Ok(checked) => Arc::new(checked),
        Err(errors) => {
            writeln!(std::io::stderr(), "{errors}").context("cannot write to stderr")?;
            return Ok(ExitCode::from(output::EXIT_CONFIG));
        }
    };
    let settings = &checked.install.log;
    let format = match settings.format {
        checked::LogFormat::Pretty => LogFormat::Pretty,
        checked::LogFormat::Json => LogFormat::Json,
    };
    let log = Arc::new(logging::init(&settings.filter, format)?);
    for warning in &checked.warnings {
        tracing::warn!(line = warning.line, field = warning.field, "{}", warning.message);
    }
    output::runtime()?.block_on(serve(args.config, checked, log))
}

async fn serve(path: PathBuf, checked: Arc<Checked>, log: Arc<logging::LogGuard>) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let source = Source {
        path,
        variables: Arc::new(secrets::process_variables),
    };
    let snapshot = Arc::clone(&checked.runtime.snapshot);
    let (config, usage) = (source.path.clone(), checked.install.usage.path.clone());
    let running = app::start(checked, Some(source), Some(log)).await?;
    tracing::info!(
        version = clap::crate_version!(),
        config = %config.display(),
        usage = %usage.display(),
        routes = snapshot.routes.len(),
        pools = snapshot.pools.len(),
        deployments = snapshot.deployments.len(),
        clients = snapshot.clients.len(),
        "started"
    );
    for address in running.addresses() {
        tracing::info!(%address, "listening");
    }
    tracing::info!(address = %running.admin_address(), "admin listening");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping in order; a second signal ends the process at once");
    let activity = running.activity();
    let second = tokio::select! {
        drained = running.drain() => return drained.map(|()| ExitCode::SUCCESS),
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::error!(
        signal = second,
        requests_cut = activity.running(),
        "ended by a second signal before everything was done"
    );
    Ok(ExitCode::FAILURE)
}
