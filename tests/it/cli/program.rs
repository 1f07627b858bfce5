//! Runs the built program: to its end for a snapshot, or in the background until it is told to stop.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::harness::{KEY, within};

/// A directory to run in, so that nothing is found that a test did not put there.
pub(crate) struct Place(TempDir);

impl Place {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    /// The program with these arguments, in this place and with nothing of this process's environment that it would heed.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_emberway"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("KEY", KEY)
            .env("KEY_a", "key-a")
            .env("KEY_b", "key-b")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs the program to its end: exit code, stdout and stderr as one text, with this place's path as `[PLACE]`.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        self.run_with(arguments, &[]).await
    }

    /// The same with more variables.
    pub(crate) async fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        let output = within("the program's end", command.output()).await.expect("it runs");
        let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
        let mut text = format!("exit {code}\n");
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            if !bytes.is_empty() {
                let said = String::from_utf8_lossy(bytes);
                writeln!(text, "--- {name}\n{}", said.trim_end()).expect("a string takes text");
            }
        }
        text.replace(&self.0.path().display().to_string(), "[PLACE]")
    }
}

/// `emberway run` in the background.
pub(crate) struct Gateway {
    /// The process.
    pub(crate) process: Child,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// Where operators connect.
    pub(crate) admin: SocketAddr,
    log: Lines<BufReader<ChildStderr>>,
}

impl Gateway {
    /// Starts it and waits until it listens everywhere. The configuration logs JSON.
    pub(crate) async fn start(place: &Place, config: &Path) -> Self {
        Self::start_with(place, config, &[], &[]).await
    }

    /// The same with more arguments and variables.
    pub(crate) async fn start_with(place: &Place, config: &Path, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let arguments = ["run", "--config", config.to_str().expect("UTF-8")];
        let mut process = place
            .command(&[&arguments[..], more].concat())
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stderr = process.stderr.take().expect("piped");
        let mut log = BufReader::new(stderr).lines();
        let address_in = |line: Value| {
            line["address"]
                .as_str()
                .expect("an address")
                .parse()
                .expect("an address")
        };
        let address = address_in(line_of(&mut log, "listening").await);
        let admin = address_in(line_of(&mut log, "admin listening").await);
        Self {
            process,
            address,
            admin,
            log,
        }
    }

    /// Waits for a line of its log with this message.
    pub(crate) async fn logs(&mut self, message: &str) -> Value {
        line_of(&mut self.log, message).await
    }

    /// Waits for a line of its log that fits.
    pub(crate) async fn logs_where(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        line_where(&mut self.log, what, fits).await
    }

    /// Asks it to end.
    pub(crate) async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Sends it a signal.
    pub(crate) async fn signal(&self, name: &str) {
        signal(self.process.id().expect("it runs"), name).await;
    }

    /// Waits for its end. Its log is read on, so that it never waits for room in the pipe.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        let reading = async { while let Ok(Some(_)) = self.log.next_line().await {} };
        let (status, ()) = within("the gateway's end", async {
            tokio::join!(self.process.wait(), reading)
        })
        .await;
        status.expect("a status")
    }
}

/// Sends a process a signal.
pub(crate) async fn signal(id: u32, name: &str) {
    let arguments = [format!("-{name}"), id.to_string()];
    let sent = Command::new("kill").args(arguments).status().await.expect("kill");
    assert!(sent.success());
}

/// Reads a log up to a line with this message.
pub(crate) async fn line_of(log: &mut Lines<BufReader<ChildStderr>>, message: &str) -> Value {
    line_where(log, message, |line| line["message"] == message).await
}

/// Reads a log up to a line that fits.
async fn line_where(log: &mut Lines<BufReader<ChildStderr>>, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let reading = async {
        let mut seen = Vec::new();
        while let Some(line) = log.next_line().await.expect("a log") {
            let parsed: Value = serde_json::from_str(&line).unwrap_or_default();
            if fits(&parsed) {
                return parsed;
            }
            seen.push(line);
        }
        panic!("the log ended without `{what}`:\n{}", seen.join("\n"));
    };
    within(what, reading).await
}
