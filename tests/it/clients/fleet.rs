//! A simulator and a gateway for programs that are not ours, and the running of such programs.
//!
//! The world is the harness's usual one with one more name for its route, since Azure's own sample asks for that name.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use emberway::app::{self, Running};
use emberway::simulator::{self, Simulator};
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{KEY, Setup, compile, upstreams};

/// The name that the sample of Azure's documentation asks for.
pub(crate) const SAMPLE_MODEL: &str = "gpt-35-turbo-ft";

/// Longest run of one program.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running world.
pub(crate) struct Fleet {
    sim: Simulator,
    gateway: Running,
    _directory: TempDir,
}

impl Fleet {
    /// Two deployments, one preferred, without limits of their own and with room for long prompts.
    pub(crate) fn usual() -> Setup {
        Setup {
            simulated: "capacity: 1000, context_tokens: 1000000",
            health: "consecutive_failures: 100",
            ..Setup::default()
        }
    }

    /// Starts it.
    pub(crate) async fn start(setup: Setup) -> Self {
        let sim = simulator::start(setup.scenario()).await.expect("a simulator");
        let directory = tempfile::tempdir().expect("a directory");
        let route = "{ name: bot, pool: ft }";
        let text = setup.config(&upstreams(&setup, &sim), directory.path());
        assert!(text.contains(route), "the harness writes the route as it did:\n{text}");
        let text = text.replace(route, &format!("{{ name: bot, aliases: [{SAMPLE_MODEL}], pool: ft }}"));
        let checked = compile(&text, &directory.path().join("emberway.yaml"));
        let gateway = app::start(checked, None, None).await.expect("a gateway");
        Self {
            sim,
            gateway,
            _directory: directory,
        }
    }

    /// The gateway's URL, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.gateway.addresses()[0])
    }

    /// Runs a program that knows where everything is from its environment, and fails with what it said when it fails.
    pub(crate) async fn run(&self, program: &Path, arguments: &[&str]) -> String {
        let account = &self.sim.accounts()[0];
        let (url, control) = (self.url(), self.sim.control_url());
        let key = format!("key-{}", account.name);
        let environment = [
            ("EMBERWAY_URL", url.as_str()),
            ("EMBERWAY_KEY", KEY),
            ("SIMULATOR_CONTROL", &control),
            ("SIMULATOR_URL", &account.url),
            ("SIMULATOR_KEY", &key),
            ("AZURE_OPENAI_ENDPOINT", &url),
            ("AZURE_OPENAI_API_KEY", KEY),
        ];
        run(program, arguments, &environment).await
    }
}

/// Runs a program that speaks to this machine only, and fails with what it said when it fails.
pub(crate) async fn run(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = ended(program, arguments, environment).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{arguments:?} failed: {}\n{out}\n{err}",
        output.status
    );
    out
}

/// Runs a program that speaks to this machine only, however it ends.
pub(super) async fn ended(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied());
    for proxy in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        command.env_remove(proxy);
    }
    output_of(command).await
}

/// Runs a program to its end, within a bound.
async fn output_of(mut command: Command) -> Output {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    ended.expect("it ends in time").expect("it starts")
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The folder of the client programs.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// An interpreter that can run a program, or why there is none. The probe runs beside `node_modules`, where Node looks.
pub(crate) async fn interpreter(variable: &str, usual: &Path, probe: &[&str]) -> Result<PathBuf, String> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let path = named.clone().unwrap_or_else(|| usual.to_owned());
    let mut command = Command::new(&path);
    command
        .args(probe)
        .current_dir(folder().join("node"))
        // Else the Azure CLI writes into the home directory.
        .env("AZURE_CONFIG_DIR", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let problem = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => return Ok(path),
        Ok(Ok(output)) => {
            let said = text(&output.stderr);
            let error = said.lines().find(|line| line.contains("Error")).or(said.lines().last());
            error.unwrap_or("it failed").to_owned()
        }
        Ok(Err(error)) => error.to_string(),
        Err(_elapsed) => "it does not answer".to_owned(),
    };
    // Whoever names an interpreter wants the tests to run.
    assert!(
        named.is_none(),
        "{variable} names `{}`, which cannot be used: {problem}",
        path.display()
    );
    Err(format!("`{}` cannot be used: {problem}", path.display()))
}
