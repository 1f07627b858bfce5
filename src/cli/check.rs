//! `emberway check`: compiles a configuration file and prints every mistake in it, or what it amounts to.
//!
//! It resolves references too, so a variable that is missing here is missing for `emberway run` as well. It
//! connects to nothing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;

use crate::cli::output;
use crate::config;
use crate::config::checked::Checked;
use crate::config::errors::{self, ConfigErrors, Problem};
use crate::core::topology::{Member, Route, Snapshot};

/// Flags of `emberway check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", env = "EMBERWAY_CONFIG", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
    /// Print the outcome as JSON on stdout.
    #[arg(long)]
    json: bool,
}

/// What the check found.
#[derive(Debug, Serialize)]
struct Outcome {
    ok: bool,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    routes: Vec<RouteSummary>,
}

/// A route as it will be used.
#[derive(Debug, Serialize)]
struct RouteSummary {
    name: String,
    aliases: Vec<String>,
    pool: String,
    tiers: Vec<Vec<MemberSummary>>,
}

/// A deployment's place in a tier.
#[derive(Debug, Serialize)]
struct MemberSummary {
    deployment: String,
    region: String,
    sku: &'static str,
    /// Share of the tier's traffic, in percent.
    share: f64,
}

/// Checks the file and prints the outcome: a summary or JSON on stdout, mistakes and warnings on stderr.
///
/// # Errors
/// When the outcome cannot be printed.
pub fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let CheckArgs { config: file, json } = args;
    let outcome = match config::load::load(&file, &config::secrets::process_variables) {
        Ok(checked) => accepted(checked),
        Err(errors) => rejected(errors),
    };
    if json {
        let text = serde_json::to_string_pretty(&outcome).context("cannot write the outcome as JSON")?;
        writeln!(std::io::stdout(), "{text}").context("cannot write to stdout")?;
    } else {
        print(&file, &outcome)?;
    }
    Ok(if outcome.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(output::EXIT_CONFIG)
    })
}

fn accepted(checked: Checked) -> Outcome {
    let snapshot = &checked.runtime.snapshot;
    Outcome {
        ok: true,
        errors: Vec::new(),
        warnings: checked.warnings,
        routes: snapshot.routes.iter().map(|route| summary(snapshot, route)).collect(),
    }
}

fn rejected(errors: ConfigErrors) -> Outcome {
    Outcome {
        ok: false,
        errors: errors.problems,
        warnings: Vec::new(),
        routes: Vec::new(),
    }
}

fn summary(snapshot: &Snapshot, route: &Route) -> RouteSummary {
    let pool = &snapshot.pools[route.pool.0];
    RouteSummary {
        name: route.id.to_string(),
        aliases: route.aliases.clone(),
        pool: pool.id.to_string(),
        tiers: pool.tiers.iter().map(|tier| tier_summary(snapshot, tier)).collect(),
    }
}

fn tier_summary(snapshot: &Snapshot, tier: &[Member]) -> Vec<MemberSummary> {
    let total: f64 = tier.iter().map(|member| member.weight).sum();
    tier.iter()
        .map(|member| {
            let deployment = &snapshot.deployments[member.deployment.0];
            MemberSummary {
                deployment: deployment.id.to_string(),
                region: snapshot.resources[deployment.resource.0].region.to_string(),
                sku: deployment.sku.as_str(),
                share: (1_000.0 * member.weight / total).round() / 10.0,
            }
        })
        .collect()
}

fn print(file: &Path, outcome: &Outcome) -> anyhow::Result<()> {
    std::io::stderr()
        .write_all(complaints_text(file, outcome)?.as_bytes())
        .context("cannot write to stderr")?;
    if outcome.ok {
        let text = format!("{}: OK\n{}", file.display(), routes_text(&outcome.routes)?);
        std::io::stdout()
            .write_all(text.as_bytes())
            .context("cannot write to stdout")?;
    }
    Ok(())
}

/// Mistakes and warnings as compilers print them.
fn complaints_text(file: &Path, outcome: &Outcome) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for problem in &outcome.errors {
        errors::write_located(&mut text, file, problem)?;
        text.push('\n');
    }
    for problem in &outcome.warnings {
        text.push_str("warning: ");
        errors::write_located(&mut text, file, problem)?;
        text.push('\n');
    }
    if !outcome.ok {
        let noun = if outcome.errors.len() == 1 { "error" } else { "errors" };
        writeln!(text, "{}: {} {noun}", file.display(), outcome.errors.len())?;
    }
    Ok(text)
}

/// Each route with its tiers in the order in which they are used.
fn routes_text(routes: &[RouteSummary]) -> Result<String, std::fmt::Error> {
    let members = || routes.iter().flat_map(|route| route.tiers.iter().flatten());
    let widest = |length: fn(&MemberSummary) -> usize| members().map(length).max().unwrap_or(0);
    let (name, region, sku) = (
        widest(|member| member.deployment.len()),
        widest(|member| member.region.len()),
        widest(|member| member.sku.len()),
    );
    let mut text = String::new();
    for route in routes {
        let models: Vec<&str> = std::iter::once(&route.name)
            .chain(&route.aliases)
            .map(String::as_str)
            .collect();
        writeln!(text, "\n{} → pool {}", models.join(", "), route.pool)?;
        for (position, tier) in route.tiers.iter().enumerate() {
            for (index, member) in tier.iter().enumerate() {
                let label = if index == 0 {
                    format!("tier {}", position + 1)
                } else {
                    String::new()
                };
                writeln!(
                    text,
                    "  {label:<8}{:<name$}  {:<region$}  {:<sku$}  {:>5} %",
                    member.deployment, member.region, member.sku, member.share
                )?;
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of the only route to pool `support`; the tests should not depend on comments in the demo file.
    fn route_line() -> usize {
        let demo = include_str!("../../config/demo.yaml");
        1 + demo
            .lines()
            .position(|line| line == "    pool: support")
            .expect("the route")
    }

    fn outcome(edit: impl Fn(&str) -> String) -> Outcome {
        let demo = include_str!("../../config/demo.yaml");
        let variables = |name: &str| Some(format!("a-secret-of-sufficient-length-for-{name}"));
        match config::load::compile_text(&edit(demo), Path::new("demo.yaml"), &variables) {
            Ok(checked) => accepted(checked),
            Err(errors) => rejected(errors),
        }
    }

    #[test]
    fn the_summary_shows_tiers_in_the_order_of_their_use() {
        let outcome = outcome(str::to_owned);
        assert_eq!(
            routes_text(&outcome.routes).expect("writes"),
            "
support-bot, gpt-4.1-mini-support → pool support
  tier 1  sim-swedencentral/support-ptu  swedencentral   ProvisionedManaged    100 %
  tier 2  sim-eastus2/support            eastus2         Standard               50 %
          sim-northcentralus/support     northcentralus  Standard               50 %

summary → pool summary
  tier 1  sim-swedencentral/summary      swedencentral   Standard               50 %
          sim-eastus2/summary            eastus2         Standard               50 %
"
        );
        assert_eq!(complaints_text(Path::new("demo.yaml"), &outcome).expect("writes"), "");
    }

    #[test]
    fn mistakes_are_printed_as_compilers_do() {
        let outcome = outcome(|demo| demo.replace("    pool: support\n", "    pool: suport\n"));
        assert!(!outcome.ok);
        assert_eq!(
            complaints_text(Path::new("config/demo.yaml"), &outcome).expect("writes"),
            format!(
                "config/demo.yaml:{}:5: routes[0].pool: unknown pool `suport`\n  hint: did you mean `support`?\n\
                 config/demo.yaml: 1 error\n",
                route_line()
            )
        );
    }

    #[test]
    fn warnings_are_marked_and_do_not_fail() {
        let outcome = outcome(|demo| demo.replacen("sku: Standard, capacity: 500", "sku: Standard", 1));
        let text = complaints_text(Path::new("demo.yaml"), &outcome).expect("writes");
        assert!(outcome.ok && text.starts_with("warning: demo.yaml:"), "{text}");
    }

    #[test]
    fn json_has_the_same_facts() {
        let accepted = serde_json::to_value(outcome(str::to_owned)).expect("serialises");
        assert_eq!(accepted["routes"][0]["tiers"][1][0]["share"], 50.0);
        let rejected = outcome(|demo| demo.replace("    pool: support\n", "    pool: suport\n"));
        let rejected = serde_json::to_value(rejected).expect("serialises");
        assert_eq!(
            rejected["errors"][0],
            serde_json::json!({
                "field": "routes[0].pool",
                "line": route_line(),
                "column": 5,
                "message": "unknown pool `suport`",
                "hint": "did you mean `support`?",
            })
        );
    }
}
