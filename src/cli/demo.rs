//! `emberway demo`: flags, signals and the exit code of the demo.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{healthcheck, output};
use crate::demo::program::Program;
use crate::demo::traffic::HEAD_TOKENS;
use crate::demo::{self, LOAD_SECONDS, Options, handout};
use crate::telemetry::logging::{self, LogFormat};

/// How long another demo may take to say that it lives.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Flags of `emberway demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// End after the last act, instead of staying up for you to try.
    #[arg(long)]
    once: bool,
    /// Where to write addresses and key for shells to source, until the demo ends, with the program's folder for `PATH` if it is
    /// not there; the usage store is made beside it. The file of another demo that still runs is left alone, and one with the
    /// process's id in its name is written instead.
    #[arg(long, value_name = "FILE", default_value = "target/demo.env")]
    env_file: PathBuf,
    /// Write the figures of the summary to this file as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Seconds of load; some ten more pass in all.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(load_seconds()))]
    seconds: u16,
    /// Put the time of sending into each prompt's beginning, after so many tokens, as careless applications do: nothing behind it
    /// is cached, and the gateway says where it stands.
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(0..=i64::from(HEAD_TOKENS)))]
    stamp_after: Option<u32>,
    /// Listen on ports at random instead of 8080, 9090 and 9100 to 9103. Without it a port that is taken is replaced by the first
    /// free one a multiple of 100 above it.
    #[arg(long)]
    free_ports: bool,
    /// Send nothing while it stays up, instead of the gentle traffic (some four requests a second) that gives the page something to show.
    #[arg(long, conflicts_with = "once")]
    still: bool,
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
    let runtime = output::runtime()?;
    let wanted = args.env_file;
    let is_taken = runtime.block_on(is_in_use(&wanted));
    let own = if is_taken {
        handout::beside(&wanted, std::process::id())
    } else {
        wanted.clone()
    };
    let options = Options {
        once: args.once,
        env_file: own,
        env_file_taken: is_taken.then_some(wanted),
        report: args.report,
        load: Duration::from_secs(u64::from(args.seconds)),
        stamp_after: args.stamp_after,
        goes_on: !args.still,
        free_ports: args.free_ports,
        program: program()?,
    };
    runtime.block_on(give(options))
}

/// How this program is called from the shell that called it.
fn program() -> anyhow::Result<Program> {
    let file = std::env::current_exe().context("cannot tell which program this is")?;
    let called = std::env::args_os().next().map(PathBuf::from);
    Ok(Program::find(
        &file,
        called.as_deref(),
        std::env::var_os("PATH").as_deref(),
    ))
}

/// Whether the environment file is there and the gateway that it names answers. Asked before this demo listens anywhere, so that
/// what answers is another's.
async fn is_in_use(env_file: &Path) -> bool {
    let text = std::fs::read_to_string(env_file).unwrap_or_default();
    let url = handout::admin_url(&text).and_then(|admin| format!("{admin}/livez").parse().ok());
    match url {
        // One that does not answer has ended, or is no gateway: its file is of no use to anybody.
        Some(url) => healthcheck::ask(url, ANSWERS_WITHIN).await.is_ok(),
        None => false,
    }
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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_environment_file_is_in_use_while_its_gateway_answers() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("demo.env");
        assert!(!is_in_use(&path).await, "there is none");

        let socket = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = socket.local_addr().expect("address");
        std::fs::write(&path, format!("export ADMIN_URL=http://{address}\n")).expect("writes");
        let server = tokio::spawn(async move {
            let router = axum::Router::new().route("/livez", get(|| async { "ok" }));
            axum::serve(socket, router).await
        });
        assert!(is_in_use(&path).await);
        server.abort();
        assert!(server.await.is_err(), "cancelled");
        assert!(!is_in_use(&path).await, "it was left behind");
    }
}
