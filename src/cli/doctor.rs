//! `emberway doctor`: asks everything that a gateway of this configuration would need, from this machine, and says what to mend.
//!
//! It changes nothing and calls no model, unless `--call` says so: what it asks of Azure are reads that cost nothing. Each check is one
//! file: it asks, and a pure function makes a finding of what was seen. Checks run beside each other, a few at a time, each within a bound.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;

use crate::cli::output;
use crate::config;
use crate::config::checked::{Checked, Credential};
use crate::config::errors::ConfigErrors;
use crate::config::secrets::process_variables;
use crate::core::topology::ResourceIx;

mod alerts;
mod certificate;
mod control_plane;
mod data_plane;
mod gateway;
mod machine;
mod network;
mod others;
mod report;
mod unset;
mod verdicts;

use report::{Finding, Group, Report};
use unset::Unset;

/// Checks that run at one time: enough for a fleet of fifty accounts to take seconds, few enough to disturb nobody.
const AT_ONCE: usize = 8;

/// Flags of `emberway doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", env = "EMBERWAY_CONFIG", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
    /// Do what reaches others or costs something too: send each deployment one tiny chat (a few tokens, which are billed and start its
    /// fifteen days anew), and the webhook one message.
    #[arg(long)]
    call: bool,
    /// Longest wait for each answer.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "10s")]
    timeout: Duration,
    /// Print the findings as JSON on stdout.
    #[arg(long)]
    json: bool,
}

/// What all checks share.
struct Patient {
    checked: Checked,
    /// What of it is a stand-in.
    unset: Unset,
    file: PathBuf,
    timeout: Duration,
    call: bool,
    /// For Azure's data planes, the gateway, the webhook and the OpenID provider: through no proxy, as the gateway goes.
    http: reqwest::Client,
}

/// Examines, prints what was found, and says by the exit code whether anything fails: 1, or 78 where the configuration does not compile.
///
/// # Errors
/// When the checks cannot begin, or the findings cannot be printed.
pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let (report, code) = match unset::load(&args.config, &process_variables) {
        Ok((checked, unset)) => {
            let compiles = unset.is_empty();
            let report = output::runtime()?.block_on(examine(args, checked, unset))?;
            let code = match (compiles, report.fails()) {
                (false, _) => ExitCode::from(output::EXIT_CONFIG),
                (true, true) => ExitCode::FAILURE,
                (true, false) => ExitCode::SUCCESS,
            };
            (report, code)
        }
        Err(errors) => (refused(&errors), ExitCode::from(output::EXIT_CONFIG)),
    };
    let text = if args.json { report.json()? } else { report.text() };
    writeln!(std::io::stdout(), "{}", text.trim_end())?;
    Ok(code)
}

/// Each mistake of a configuration that does not compile; nothing else can be asked then.
fn refused(errors: &ConfigErrors) -> Report {
    let mut findings = unset::findings(&errors.file, &errors.problems);
    let what = "nothing else was asked, since the configuration does not compile";
    let place = errors.file.display().to_string();
    findings.push(Finding::skipped(Group::Configuration, place, what));
    Report::new(findings)
}

async fn examine(args: &DoctorArgs, checked: Checked, unset: Unset) -> anyhow::Result<Report> {
    // Whoever came first decides the process's provider; the build has only this one.
    let _already_set = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .timeout(args.timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("cannot set up the HTTP client")?;
    let patient = Patient {
        checked,
        unset,
        file: args.config.clone(),
        timeout: args.timeout,
        call: args.call,
        http,
    };
    let trusted = certificate::trusted();
    let mut checks: Vec<BoxFuture<'_, Vec<Finding>>> = vec![
        Box::pin(async { compiled(&patient) }),
        Box::pin(machine::check(&patient)),
        Box::pin(gateway::check(&patient)),
        Box::pin(control_plane::check(&patient)),
        Box::pin(alerts::check(&patient, &trusted)),
        Box::pin(others::collector(&patient, &trusted)),
        Box::pin(others::provider(&patient, &trusted)),
    ];
    for at in 0..patient.checked.runtime.snapshot.resources.len() {
        checks.push(Box::pin(resource(&patient, &trusted, ResourceIx(at))));
    }
    let found: Vec<Vec<Finding>> = stream::iter(checks).buffered(AT_ONCE).collect().await;
    Ok(Report::new(found.concat()))
}

/// What can be reached of a resource, and what it answers then.
async fn resource(patient: &Patient, trusted: &certificate::Trusted, at: ResourceIx) -> Vec<Finding> {
    let resource = &patient.checked.runtime.snapshot.resources[at.0];
    let endpoint = &resource.endpoint;
    let (own, its_endpoint) = (format!("resources[{}]", at.0), format!("resources[{}].endpoint", at.0));
    if let Some(skipped) = patient.unset.skipped(&[&its_endpoint], Group::Network, &resource.id) {
        return vec![skipped];
    }
    let place = network::Place {
        name: &resource.id,
        host: &endpoint.host,
        port: endpoint.port,
        tls: endpoint.tls,
    };
    let (mut findings, is_reached) = network::check(&place, trusted, patient.timeout).await;
    let mut named = vec![own.as_str()];
    if matches!(patient.checked.runtime.credentials[at.0], Credential::Entra(_)) {
        named.push("azure");
    }
    if let Some(skipped) = patient.unset.skipped(&named, Group::Requests, &resource.id) {
        findings.push(skipped);
    } else if is_reached {
        findings.extend(data_plane::check(patient, at).await);
    } else {
        let what = "not asked, since it cannot be reached";
        findings.push(Finding::skipped(Group::Requests, &**resource.id, what));
    }
    findings
}

fn compiled(patient: &Patient) -> Vec<Finding> {
    let snapshot = &patient.checked.runtime.snapshot;
    let place = patient.file.display().to_string();
    let mut findings = patient.unset.findings(&patient.file);
    if patient.unset.is_empty() {
        let what = format!(
            "compiles, with its secrets: {}, {}, {} of {}",
            plural(snapshot.routes.len(), "route"),
            plural(snapshot.pools.len(), "pool"),
            plural(snapshot.deployments.len(), "deployment"),
            plural(snapshot.resources.len(), "resource")
        );
        findings.push(Finding::ok(Group::Configuration, &*place, what));
    }
    for problem in &patient.checked.warnings {
        let mend = problem.hint.clone().unwrap_or_else(|| "see docs/config.md".to_owned());
        let place = format!("{place}:{}", problem.line);
        findings.push(Finding::warn(
            Group::Configuration,
            place,
            problem.message.clone(),
            mend,
        ));
    }
    findings
}

/// `1 pool`, `2 pools`.
fn plural(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}
