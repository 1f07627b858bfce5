//! `emberway simulate`: run the Azure OpenAI simulator until told to stop.

use std::io::{IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::output;
use crate::simulator;
use crate::simulator::Simulator;
use crate::simulator::arm::listener::ArmListener;
use crate::simulator::scenario::{AccountSpec, Scenario};

/// Flags of `emberway simulate`.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// Scenario file; the built-in one (three regions, two models) when absent.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// IP address on which all accounts listen instead of their own; ports stay as in the scenario.
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// Put every listener, the control listener too, on a free loopback port instead of its own.
    #[arg(long, conflicts_with = "address")]
    free_ports: bool,
    /// Print what runs as one JSON object, also on a terminal.
    #[arg(long)]
    json: bool,
    /// Print the built-in scenario as YAML and exit: a start for one's own.
    #[arg(long, conflicts_with_all = ["scenario", "address", "free_ports", "json"])]
    print_scenario: bool,
}

/// Runs the command.
///
/// # Errors
/// When the scenario cannot be read or is wrong, or an address is taken.
#[expect(
    clippy::needless_pass_by_value,
    reason = "every subcommand's `run` takes its arguments by value"
)]
pub fn run(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    if args.print_scenario {
        std::io::stdout().write_all(simulator::scenario::DEMO.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut scenario = match read(args.scenario.as_ref()) {
        Ok(scenario) => scenario,
        Err(error) => {
            output::report(&error);
            return Ok(ExitCode::from(output::EXIT_CONFIG));
        }
    };
    if let Some(address) = args.address {
        scenario = scenario.on_address(address);
    }
    if args.free_ports {
        scenario = scenario.on_free_ports();
    }
    let as_json = args.json || !std::io::stdout().is_terminal();
    output::runtime()?.block_on(simulate(scenario, as_json))
}

fn read(file: Option<&PathBuf>) -> anyhow::Result<Scenario> {
    let Some(file) = file else { return Ok(Scenario::demo()?) };
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read scenario `{shown}`"))?;
    Scenario::parse(&text).with_context(|| format!("cannot use scenario `{shown}`"))
}

async fn simulate(scenario: Scenario, as_json: bool) -> anyhow::Result<ExitCode> {
    // Before anything is printed, so that whoever reads the output may send the signal at once.
    let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let specs = scenario.accounts.clone();
    let simulator = simulator::start(scenario).await?;
    let running = Running::new(&specs, &simulator);
    if as_json {
        print(&serde_json::to_string(&running)?)?;
    } else {
        print(&running.to_text())?;
    }
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    simulator.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()?;
    Ok(())
}

/// What runs, for people and scripts. The keys are made up and in the scenario for anyone to read, so they are shown.
#[derive(Debug, Serialize)]
struct Running {
    control_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    arm: Option<RunningArm>,
    accounts: Vec<RunningAccount>,
}

#[derive(Debug, Serialize)]
struct RunningArm {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<PathBuf>,
    subscription: String,
    tenant: String,
    resource_group: String,
    tokens: Vec<String>,
    principals: Vec<RunningPrincipal>,
}

#[derive(Debug, Serialize)]
struct RunningPrincipal {
    name: String,
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
}

#[derive(Debug, Serialize)]
struct RunningAccount {
    name: String,
    region: String,
    url: String,
    api_keys: Vec<String>,
    bearer_tokens: Vec<String>,
    deployments: Vec<RunningDeployment>,
}

#[derive(Debug, Serialize)]
struct RunningDeployment {
    name: String,
    model: String,
    sku: String,
    capacity: u32,
}

impl Running {
    fn new(specs: &[AccountSpec], simulator: &Simulator) -> Self {
        let account = |(spec, running): (&AccountSpec, simulator::RunningAccount)| RunningAccount {
            name: running.name,
            region: running.region,
            url: running.url,
            api_keys: spec.api_keys.clone(),
            bearer_tokens: spec.bearer_tokens.clone(),
            deployments: spec.deployments.iter().map(RunningDeployment::new).collect(),
        };
        let accounts = specs.iter().zip(simulator.accounts()).map(account).collect();
        Self {
            control_url: simulator.control_url(),
            arm: simulator.arm().map(RunningArm::new),
            accounts,
        }
    }

    fn to_text(&self) -> String {
        let mut lines = vec!["Azure OpenAI simulator; stop it with Ctrl-C".to_owned(), String::new()];
        for account in &self.accounts {
            lines.push(format!("{}  {}  {}", account.url, account.name, account.region));
            for key in &account.api_keys {
                lines.push(format!("  api-key      {key}"));
            }
            for token in &account.bearer_tokens {
                lines.push(format!("  bearer       {token}"));
            }
            for deployment in &account.deployments {
                let RunningDeployment {
                    name,
                    model,
                    sku,
                    capacity,
                } = deployment;
                lines.push(format!("  deployment   {name}  {sku} {capacity}  {model}"));
            }
            lines.push(String::new());
        }
        if let Some(arm) = &self.arm {
            lines.extend(arm.to_lines());
            lines.push(String::new());
        }
        lines.push(format!("control: {}/control/state", self.control_url));
        lines.join("\n")
    }
}

impl RunningArm {
    fn new(arm: &ArmListener) -> Self {
        let settings = &arm.plane().settings;
        let principals = settings.principals.iter().map(|principal| RunningPrincipal {
            name: principal.name.clone(),
            client_id: principal.client_id.clone(),
            client_secret: principal.client_secret.clone(),
        });
        Self {
            url: arm.url(),
            tls_url: arm.tls_url(),
            certificate: arm.certificate().cloned(),
            subscription: settings.subscription.clone(),
            tenant: settings.tenant.clone(),
            resource_group: settings.resource_group.clone(),
            tokens: settings.tokens.iter().map(|own| own.token.clone()).collect(),
            principals: principals.collect(),
        }
    }

    fn to_lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}  control plane and tokens", self.url)];
        lines.extend(self.tls_url.as_ref().map(|url| format!("  or           {url}")));
        let certificate = self.certificate.as_ref();
        lines.extend(certificate.map(|path| format!("  certificate  {}", path.display())));
        lines.push(format!("  tenant       {}", self.tenant));
        lines.push(format!(
            "  subscription {}  resource group {}",
            self.subscription, self.resource_group
        ));
        lines.extend(self.tokens.iter().map(|token| format!("  bearer       {token}")));
        for principal in &self.principals {
            let secret = principal.client_secret.as_deref().unwrap_or("none");
            lines.push(format!(
                "  principal    {}  client {}  secret {secret}",
                principal.name, principal.client_id
            ));
        }
        lines
    }
}

impl RunningDeployment {
    fn new(spec: &simulator::scenario::DeploymentSpec) -> Self {
        let (name, model, sku) = (spec.name.clone(), spec.model.clone(), spec.sku.to_string());
        Self {
            name,
            model,
            sku,
            capacity: spec.capacity,
        }
    }
}
