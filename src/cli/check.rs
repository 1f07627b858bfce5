//! `emberway check`: compiles a configuration file and prints every mistake in it, or what it amounts to.
//!
//! It resolves references too, so a variable that is missing here is missing for `emberway run` as well, unless told otherwise, and so is a
//! folder for the trace. It connects to nothing and writes nothing.

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
use crate::config::place;
use crate::core::admission::limit::LimitRule;
use crate::core::topology::{Member, Pool, Price, Route, Snapshot};

mod text;

/// Flags of `emberway check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", env = "EMBERWAY_CONFIG", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
    /// Take environment variables that are not set as if they held secrets: to check a file where those are not known, as before a merge.
    /// Files that references name must be there all the same.
    #[arg(long)]
    without_secrets: bool,
    /// Print the outcome as JSON on stdout.
    #[arg(long)]
    json: bool,
}

/// What the check found.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    ok: bool,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Gateways that are taken to share the traffic.
    replicas: u32,
    trace: Option<TraceSummary>,
    routes: Vec<RouteSummary>,
    /// Of clients and routes that have any.
    limits: Vec<LimitsSummary>,
    pools: Vec<PoolSummary>,
}

/// The trace that will be written.
#[derive(Debug, Serialize)]
struct TraceSummary {
    path: PathBuf,
    /// Share of conversations, above 0 and at most 1.
    share: f64,
    /// Whether its hashes have a key of their own; else one is made at each start.
    has_key: bool,
}

/// What may be used.
#[derive(Debug, Serialize)]
struct LimitsSummary {
    /// By whom or of what: `client NAME`, `route NAME`, `route NAME, each client`.
    of: String,
    requests_per_minute: Option<u32>,
    tokens_per_minute: Option<u32>,
    concurrency: Option<u32>,
}

/// A route as it will be used.
#[derive(Debug, Serialize)]
struct RouteSummary {
    name: String,
    aliases: Vec<String>,
    pool: String,
    policy: &'static str,
    /// Longest wait for a deployment to recover, in seconds; 0 for none.
    max_wait_s: f64,
    tiers: Vec<Vec<MemberSummary>>,
}

/// A pool as its routes will use it.
#[derive(Debug, Serialize)]
struct PoolSummary {
    name: String,
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
    /// Its limit until its answers tell it; none where the configuration does not say enough.
    tokens_per_minute: Option<f64>,
    /// Whether it is sent a `prompt_cache_key`: `off`, `auto`, `always`.
    cache_keys: &'static str,
    /// Which prices are configured: `input`, `cached_input`, `output`, `hour`.
    prices: Vec<&'static str>,
}

/// Checks the file and prints the outcome: a summary or JSON on stdout, mistakes and warnings on stderr.
///
/// # Errors
/// When the outcome cannot be printed.
pub fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let CheckArgs {
        config: file,
        without_secrets,
        json,
    } = args;
    let variables = move |name: &str| {
        let stand_in = || format!("in-place-of-the-variable-{name}");
        config::secrets::process_variables(name).or_else(|| without_secrets.then(stand_in))
    };
    let outcome = match config::load::load(&file, &variables) {
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
    let errors: Vec<_> = place::trace_folder(checked.install.trace.as_ref())
        .into_iter()
        .collect();
    Outcome {
        ok: errors.is_empty(),
        errors,
        warnings: checked.warnings,
        replicas: snapshot.replicas,
        trace: checked.install.trace.as_ref().map(|trace| TraceSummary {
            path: trace.path.clone(),
            share: trace.share,
            has_key: trace.key.is_some(),
        }),
        limits: limits(snapshot),
        routes: snapshot.routes.iter().map(|route| summary(snapshot, route)).collect(),
        pools: snapshot.pools.iter().map(|pool| pool_summary(snapshot, pool)).collect(),
    }
}

fn rejected(errors: ConfigErrors) -> Outcome {
    Outcome {
        errors: errors.problems,
        ..Outcome::default()
    }
}

fn summary(snapshot: &Snapshot, route: &Route) -> RouteSummary {
    let pool = &snapshot.pools[route.pool.0];
    RouteSummary {
        name: route.id.to_string(),
        aliases: route.aliases.clone(),
        pool: pool.id.to_string(),
        policy: route.policy.into(),
        max_wait_s: route.waiting.max_wait.as_secs_f64(),
        tiers: pool.tiers.iter().map(|tier| tier_summary(snapshot, tier)).collect(),
    }
}

/// Of clients, then of routes.
fn limits(snapshot: &Snapshot) -> Vec<LimitsSummary> {
    let clients = snapshot.clients.iter();
    let mut all: Vec<(String, &LimitRule)> = clients
        .map(|client| (format!("client {}", client.id), &client.limits))
        .collect();
    for route in &snapshot.routes {
        all.push((format!("route {}", route.id), &route.limits));
        all.push((format!("route {}, each client", route.id), &route.client_limits));
    }
    let summaries = all.into_iter().filter_map(|(of, rule)| {
        let LimitRule {
            requests_per_minute,
            tokens_per_minute,
            concurrency,
        } = *rule;
        (*rule != LimitRule::default()).then_some(LimitsSummary {
            of,
            requests_per_minute,
            tokens_per_minute,
            concurrency,
        })
    });
    summaries.collect()
}

fn pool_summary(snapshot: &Snapshot, pool: &Pool) -> PoolSummary {
    PoolSummary {
        name: pool.id.to_string(),
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
                tokens_per_minute: deployment.tokens_per_minute(),
                cache_keys: deployment.cache_keys.into(),
                prices: deployment.price.as_ref().map(priced).unwrap_or_default(),
            }
        })
        .collect()
}

/// The prices that are known, by their names in the file.
fn priced(price: &Price) -> Vec<&'static str> {
    price
        .members()
        .into_iter()
        .filter_map(|(name, price)| price.map(|_| name))
        .collect()
}

fn print(file: &Path, outcome: &Outcome) -> anyhow::Result<()> {
    std::io::stderr()
        .write_all(complaints_text(file, outcome)?.as_bytes())
        .context("cannot write to stderr")?;
    if outcome.ok {
        let text = format!("{}: OK\n{}", file.display(), text::fleet(outcome));
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
        insta::assert_snapshot!(text::fleet(&outcome), @r"
        replicas: 1
        trace: none

        route                              pool     policy  waits
        support-bot, gpt-4.1-mini-support  support  nested  5s
        summary                            summary  nested  5s

        pool     tier  deployment                     region          sku                 prices  cache keys  share  tokens a minute
        support  1     sim-swedencentral/support-ptu  swedencentral   ProvisionedManaged  all     auto        100 %        not known
        support  2     sim-eastus2/support            eastus2         Standard            all     auto         50 %           500000
        support  2     sim-northcentralus/support     northcentralus  Standard            all     auto         50 %           500000
        summary  1     sim-swedencentral/summary      swedencentral   Standard            all     auto         50 %           250000
        summary  1     sim-eastus2/summary            eastus2         Standard            all     auto         50 %           250000
        ");
        assert_eq!(complaints_text(Path::new("demo.yaml"), &outcome).expect("writes"), "");
    }

    #[test]
    fn the_summary_shows_what_is_limited_traced_and_waited_for() {
        let outcome = outcome(|demo| {
            let demo = demo.replace(
                "    pool: support\n",
                "    pool: support\n    waiting: {max_wait: 0s}\n    client_limits: {concurrency: 4}\n",
            );
            let demo = demo.replacen(
                "  - name: demo\n",
                "  - name: demo\n    limits: {requests_per_minute: 600, tokens_per_minute: 90000}\n",
                1,
            );
            demo + "trace: {path: t.jsonl, share: 0.125}\n"
        });
        assert!(outcome.ok, "{outcome:?}");
        let text = text::fleet(&outcome);
        let above = text.split("\n\npool").next().expect("text");
        insta::assert_snapshot!(above, @r"
        replicas: 1
        trace: t.jsonl, 12.5 % of conversations, hashed with a key made at each start

        route                              pool     policy  waits
        support-bot, gpt-4.1-mini-support  support  nested  no
        summary                            summary  nested  5s

        limits of                       requests a minute  tokens a minute  at one time
        client demo                                   600            90000            -
        route support-bot, each client                  -                -            4
        ");
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
    fn a_trace_needs_a_folder() {
        let directory = tempfile::tempdir().expect("directory");
        let with_trace = |path: &Path| outcome(|demo| format!("{demo}\ntrace: {{ path: '{}' }}\n", path.display()));
        assert!(with_trace(&directory.path().join("t.jsonl")).ok);
        assert!(with_trace(Path::new("t.jsonl")).ok, "in the working directory");
        assert_eq!(
            std::fs::read_dir(directory.path()).expect("reads").count(),
            0,
            "nothing was written"
        );
        let missing = with_trace(&directory.path().join("no").join("t.jsonl"));
        assert!(!missing.ok);
        let folder = directory.path().join("no");
        assert_eq!(
            complaints_text(Path::new("demo.yaml"), &missing).expect("writes"),
            format!(
                "demo.yaml: trace.path: `{}` is no folder here\n  hint: make the folder, and check as the user that runs the \
                 gateway\ndemo.yaml: 1 error\n",
                folder.display()
            )
        );
        let taken = with_trace(directory.path());
        assert!(
            taken.errors[0]
                .message
                .ends_with("is no file that this user may write to")
        );
    }

    #[test]
    fn json_has_the_same_facts() {
        let accepted = serde_json::to_value(outcome(str::to_owned)).expect("serialises");
        assert_eq!(accepted["routes"][0]["tiers"][1][0]["share"], 50.0);
        let summary = &accepted["pools"][1]["tiers"][0][0];
        assert_eq!(
            (
                &accepted["routes"][0]["policy"],
                &accepted["replicas"],
                &summary["tokens_per_minute"]
            ),
            (&"nested".into(), &1.into(), &250_000.0.into())
        );
        assert_eq!(
            summary["prices"],
            serde_json::json!(["input", "cached_input", "output", "hour"])
        );
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
