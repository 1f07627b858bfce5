//! Starts the program anew, to replace this process.

use std::ffi::OsString;

use anyhow::Context as _;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// A successor that this process has started, if it has.
#[derive(Debug, Default)]
pub(super) struct Successor {
    watching: Option<JoinHandle<()>>,
}

impl Successor {
    /// Starts one, unless one that was started runs still. The log tells of it, and if it ends: this process only goes when it
    /// hears from a successor that it is ready.
    pub(super) fn start(&mut self) {
        if self.watching.as_ref().is_some_and(|watching| !watching.is_finished()) {
            tracing::warn!("a successor has been started already and is not ready yet");
            return;
        }
        match started() {
            Ok(child) => self.watching = Some(tokio::spawn(watch(child))),
            Err(error) => tracing::error!(%error, "no successor can be started; this process goes on serving"),
        }
    }
}

impl Drop for Successor {
    /// Its end does not matter any more: it serves, or this process ends.
    fn drop(&mut self) {
        if let Some(watching) = &self.watching {
            watching.abort();
        }
    }
}

/// The program as it was called, so that a link to another version since is followed.
fn started() -> anyhow::Result<Child> {
    let mut arguments = std::env::args_os();
    let program = arguments.next().context("the program's name is not known")?;
    let mut arguments: Vec<OsString> = arguments.collect();
    if !arguments.iter().any(|argument| argument == "--upgrade") {
        arguments.push("--upgrade".into());
    }
    let child = Command::new(&program)
        .args(&arguments)
        // It names this process, and its successor is to be watched as well.
        .env_remove("WATCHDOG_PID")
        .spawn()
        .with_context(|| format!("cannot start `{}`", program.display()))?;
    tracing::info!(pid = child.id(), program = %program.display(), "started a successor");
    Ok(child)
}

/// Waits for a successor's end, of which only one that comes too early is worth telling: after that this process is gone.
async fn watch(mut child: Child) {
    match child.wait().await {
        Ok(status) => tracing::error!(%status, "the successor has ended; this process goes on serving"),
        Err(error) => tracing::error!(%error, "cannot wait for the successor"),
    }
}
