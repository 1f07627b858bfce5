//! `emberway drain`: takes deployments of a running gateway out, puts them back, and tells which are out.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use reqwest::Method;

use crate::admin::drains::{BeginBody, DrainList, DrainShown};
use crate::cli::operator::{Operator, OperatorArgs};
use crate::cli::output;
use crate::cli::span::span_left;
use crate::columns::columns;

/// Flags of `emberway drain`.
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[derive(Debug, clap::Args)]
// Else whatever the environment tells would stand in the usage as if it were asked for.
#[command(override_usage = "emberway drain [OPTIONS] <KIND> <NAME>\n       emberway drain [OPTIONS] --list")]
pub struct DrainArgs {
    /// What the name is of.
    #[arg(value_enum, required_unless_present = "list")]
    kind: Option<Kind>,
    /// Which: `resource/name` of a deployment, or the name of a resource or region.
    #[arg(value_name = "NAME", required_unless_present = "list")]
    name: Option<String>,
    /// Put it back after this time; without it, it stays out until `--undo`.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with_all = ["undo", "list"])]
    lasting: Option<Duration>,
    /// Put it back now.
    #[arg(long, conflicts_with_all = ["force", "list"])]
    undo: bool,
    /// Print what is out.
    #[arg(long, conflicts_with_all = ["kind", "name"])]
    list: bool,
    /// Take it out even where that leaves a pool without a deployment that can be used.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    operator: OperatorArgs,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// What can be taken out.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// One deployment.
    Deployment,
    /// Every deployment of a resource.
    Resource,
    /// Every deployment in a region.
    Region,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Resource => "resource",
            Self::Region => "region",
        }
    }
}

/// Where drains are asked for.
pub(super) const PATH: &str = "/admin/drains";

/// Does what is asked, and prints what is out then.
///
/// # Errors
/// When the gateway cannot be reached, or refuses.
pub fn run(args: &DrainArgs) -> anyhow::Result<ExitCode> {
    let operator = Operator::new(&args.operator)?;
    let drains = output::runtime()?.block_on(ask(&operator, args))?;
    let mut stdout = std::io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string(&drains)?)?;
    } else {
        writeln!(stdout, "{}", shown(&drains.drains))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(operator: &Operator, args: &DrainArgs) -> anyhow::Result<DrainList> {
    match (args.kind, &args.name) {
        (Some(kind), Some(name)) if args.undo => undo(operator, kind.word(), name).await,
        (Some(kind), Some(name)) => begin(operator, kind.word(), name, args.lasting, args.force).await,
        _ => read(&operator.ask(Method::GET, PATH, &[], Vec::new()).await?),
    }
}

/// Takes something out.
pub(super) async fn begin(
    operator: &Operator,
    kind: &str,
    name: &str,
    lasting: Option<Duration>,
    force: bool,
) -> anyhow::Result<DrainList> {
    let body = BeginBody {
        kind: kind.to_owned(),
        name: name.to_owned(),
        // Less than a second is refused there.
        for_s: lasting.map(|lasting| lasting.as_secs()),
        force,
    };
    let body = serde_json::to_vec(&body)?;
    read(&operator.ask(Method::POST, PATH, &[], body).await?)
}

/// Puts something back.
pub(super) async fn undo(operator: &Operator, kind: &str, name: &str) -> anyhow::Result<DrainList> {
    let query = [("kind", kind), ("name", name)];
    read(&operator.ask(Method::DELETE, PATH, &query, Vec::new()).await?)
}

/// Reads an answer.
pub(super) fn read(text: &str) -> anyhow::Result<DrainList> {
    serde_json::from_str(text).context("the gateway's answer is not understood")
}

/// The drains for people.
fn shown(drains: &[DrainShown]) -> String {
    if drains.is_empty() {
        return "nothing is drained".to_owned();
    }
    let row = |drain: &DrainShown| {
        let left = drain
            .left_s
            .map_or_else(|| "until undone".to_owned(), |left| format!("for {}", span_left(left)));
        vec![drain.kind.clone(), drain.name.clone(), left]
    };
    columns(&[], 3, drains.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drains_are_shown_with_what_is_left() {
        assert_eq!(shown(&[]), "nothing is drained");
        let drain = |kind: &str, name: &str, left_s| DrainShown {
            kind: kind.to_owned(),
            name: name.to_owned(),
            left_s,
        };
        let shown = shown(&[drain("region", "north", None), drain("deployment", "a/ft", Some(59.2))]);
        assert_eq!(shown, "region      north  until undone\ndeployment  a/ft   for 60 s");
    }
}
