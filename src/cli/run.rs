//! `emberway run`: the gateway, until a signal ends it or a successor takes over.
//!
//! SIGTERM and SIGINT drain; the same again ends the process at once. SIGQUIT starts the program anew, as it is on disk now and
//! with the same flags; that takes the sockets over and this process leaves. SIGHUP is the configuration's matter.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{self, Running, Source, ending, handover, systemd};
use crate::cli::output;
use crate::config::checked::{self, Checked};
use crate::config::{self, load, secrets};
use crate::telemetry::events::process;
use crate::telemetry::logging::{self, LogFormat};

mod successor;

use successor::Successor;

/// Flags of `emberway run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", env = "EMBERWAY_CONFIG", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
    /// Take the listening sockets over from the gateway that runs, which then finishes what it began and ends. If this one fails before it
    /// is ready, the other goes on.
    #[arg(long)]
    upgrade: bool,
    /// Where a running gateway hands its sockets over: a Unix socket that it makes for its own user. By default `upgrade.sock` in
    /// `$RUNTIME_DIRECTORY`, which systemd sets; without either, it cannot be replaced in place.
    #[arg(long, value_name = "PATH", env = "EMBERWAY_UPGRADE_SOCKET")]
    upgrade_socket: Option<PathBuf>,
}

/// Runs the gateway until SIGTERM or SIGINT, then drains it, or until a successor took over. A second signal ends it at once.
///
/// # Errors
/// When it cannot start, no running gateway hands its sockets over where they are asked for, or usage records could not be written at the
/// end.
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
    let socket = upgrade_socket(args.upgrade_socket, secrets::process_variables("RUNTIME_DIRECTORY"));
    anyhow::ensure!(
        socket.is_some() || !args.upgrade,
        "`--upgrade` needs the running gateway's socket: name it by `--upgrade-socket`"
    );
    let upgrade = Upgrade {
        socket,
        takes_over: args.upgrade,
    };
    let runtime = output::runtime()?;
    let ended = runtime.block_on(serve(args.config, checked, Arc::clone(&log), upgrade));
    // A thread that waits for a disk or a name would keep the process otherwise.
    runtime.shutdown_timeout(ending::THREADS_MAX);
    // Such a thread may hold the log too, whose last lines say how it ended.
    log.end();
    ended
}

/// How this process replaces another, and is replaced.
struct Upgrade {
    socket: Option<PathBuf>,
    takes_over: bool,
}

/// The path that is asked for, or the usual one in the first of systemd's runtime directories.
fn upgrade_socket(asked: Option<PathBuf>, directories: Option<String>) -> Option<PathBuf> {
    let usual = || {
        let directories = directories?;
        let first = directories.split(':').next().filter(|first| !first.is_empty())?;
        Some(Path::new(first).join("upgrade.sock"))
    };
    asked.or_else(usual)
}

async fn serve(
    path: PathBuf,
    checked: Arc<Checked>,
    log: Arc<logging::LogGuard>,
    upgrade: Upgrade,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let source = Source {
        path,
        variables: Arc::new(secrets::process_variables),
    };
    let snapshot = Arc::clone(&checked.runtime.snapshot);
    let (config, usage) = (source.path.clone(), checked.install.usage.path.clone());
    let mut inherited = match &upgrade.socket {
        Some(socket) if upgrade.takes_over => Some(handover::take_over(socket).await?),
        _ => None,
    };
    let mut running = app::start_from(checked, Some(source), Some(log), inherited.as_mut()).await?;
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
    if let Some(socket) = &upgrade.socket
        && let Err(error) = running.offer_sockets(socket, inherited.is_some()).await
    {
        // It serves all the same; only its own replacement will need a restart.
        process::UpgradeNotOffered { error: &error }.emit();
    }
    systemd::ready();
    if let Some(inherited) = inherited {
        inherited.ready().await;
    }
    let watchdog = systemd::watchdog_period().map(|period| tokio::spawn(systemd::watch(period)));
    for address in running.addresses() {
        tracing::info!(%address, "listening");
    }
    tracing::info!(address = %running.admin_address(), "admin listening");
    let ending = until_the_end(&running, &mut signals, upgrade.socket.is_some()).await;
    if ending == Ending::Succeeded
        && let Some(watchdog) = watchdog
    {
        // The successor's life is what matters now.
        watchdog.abort();
    }
    end(running, &mut signals, ending).await
}

/// Why a gateway ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// A signal.
    Told,
    /// A successor is ready.
    Succeeded,
}

/// The signals that concern the process's life.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind, name| signal(kind).with_context(|| format!("cannot listen for {name}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate(), "SIGTERM")?,
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
            quit: listen(SignalKind::quit(), "SIGQUIT")?,
        })
    }

    /// Waits for one that ends the process, and names it.
    async fn next_to_end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Waits until there is a reason to end. SIGQUIT starts a successor, one at a time.
async fn until_the_end(running: &Running, signals: &mut Signals, is_replaceable: bool) -> Ending {
    let mut successor = Successor::default();
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Ending::Told,
            _ = signals.interrupt.recv() => return Ending::Told,
            () = running.has_successor() => return Ending::Succeeded,
            _ = signals.quit.recv() => {
                if is_replaceable {
                    successor.start();
                } else {
                    tracing::error!("SIGQUIT starts a successor, for which `--upgrade-socket` is needed; this process goes on serving");
                }
            }
        }
    }
}

/// Ends in order. While that lasts, a signal to end ends at once; where a successor serves, only the second: the first is meant for
/// whatever is the service now. SIGQUIT changes nothing any more.
async fn end(running: Running, signals: &mut Signals, ending: Ending) -> anyhow::Result<ExitCode> {
    let activity = running.activity();
    let drained = async {
        match ending {
            Ending::Told => {
                systemd::stopping();
                tracing::info!("stopping in order; a second signal ends the process at once");
                running.drain().await
            }
            Ending::Succeeded => running.leave().await,
        }
    };
    let impatient = async {
        if ending == Ending::Succeeded {
            let signal = signals.next_to_end().await;
            tracing::info!(signal, "leaving already; a second signal ends the process at once");
        }
        signals.next_to_end().await
    };
    let second = tokio::select! {
        drained = drained => return drained.map(|()| ExitCode::SUCCESS),
        signal = impatient => signal,
    };
    tracing::error!(
        signal = second,
        requests_cut = activity.running(),
        "ended by a second signal before everything was done"
    );
    Ok(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upgrade_socket_is_the_one_asked_for_or_systemds() {
        for (asked, directories, expected) in [
            (Some("/a/b.sock"), Some("/run/emberway"), Some("/a/b.sock")),
            (
                None,
                Some("/run/emberway:/run/other"),
                Some("/run/emberway/upgrade.sock"),
            ),
            (None, Some(""), None),
            (None, None, None),
        ] {
            let got = upgrade_socket(asked.map(PathBuf::from), directories.map(str::to_owned));
            assert_eq!(got, expected.map(PathBuf::from), "{asked:?} {directories:?}");
        }
    }
}
