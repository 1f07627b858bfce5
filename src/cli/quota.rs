//! `emberway quota list`: how much of a region's quota is used.

use std::io::Write as _;
use std::process::ExitCode;

use crate::azure::resources::Usage;
use crate::cli::azure::AzureArgs;
use crate::cli::output;
use crate::columns::columns;
use crate::core::fleet::catalogue::{Catalogue, EMBEDDED};

/// Flags of `emberway quota`.
#[derive(Debug, clap::Args)]
pub struct QuotaArgs {
    #[command(subcommand)]
    verb: Verb,
}

/// What is done.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the quota of a region: thousands of tokens per minute, or PTUs.
    List(ListArgs),
}

/// Where.
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// The region.
    #[arg(short, long, value_name = "REGION")]
    location: String,
    /// Quota of which nothing is used, too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    azure: AzureArgs,
}

/// Prints the quota.
///
/// # Errors
/// When the control plane cannot be asked, or refuses.
pub fn run(args: QuotaArgs) -> anyhow::Result<ExitCode> {
    let Verb::List(args) = args.verb;
    let plane = args.azure.plane()?;
    let arm = plane.arm()?;
    if let Some(doubt) = doubt(&Catalogue::parse(EMBEDDED)?, &args.location) {
        output::warn(&doubt);
    }
    let asked = output::runtime()?.block_on(arm.usages(plane.subscription()?, &args.location))?;
    let usages: Vec<Usage> = asked
        .into_iter()
        .filter(|usage| args.all || usage.current_value > 0.0)
        .collect();
    let mut stdout = std::io::stdout().lock();
    if args.azure.json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&usages)?)?;
    } else if usages.is_empty() {
        writeln!(
            stdout,
            "no quota is used in `{}`; `--all` lists what is there",
            args.location
        )?;
    } else {
        writeln!(stdout, "{}", table(&usages))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with a region that the tables do not know; those of Azure may be newer.
fn doubt(catalogue: &Catalogue, location: &str) -> Option<String> {
    let spelt = location.replace(char::is_whitespace, "").to_lowercase();
    let regions = &catalogue.regions;
    if regions.contains(&spelt) {
        return None;
    }
    let begun: Vec<String> = regions
        .iter()
        .filter(|region| !spelt.is_empty() && region.contains(&*spelt))
        .map(|region| format!("`{region}`"))
        .collect();
    let meant = if begun.is_empty() {
        "Azure decides".to_owned()
    } else {
        format!("did you mean {}?", begun.join(" or "))
    };
    Some(format!("`{location}` is not a region that is known here; {meant}"))
}

fn table(usages: &[Usage]) -> String {
    let row = |usage: &Usage| {
        let free = usage.limit - usage.current_value;
        let mut row = vec![usage.name.value.clone()];
        row.extend([usage.current_value, usage.limit, free].map(|number| format!("{number}")));
        row
    };
    columns(&["quota", "used", "limit", "free"], 1, usages.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    #[test]
    fn quota_is_shown_with_what_is_free() {
        let usage = Usage {
            name: serde_json::from_value(json!({"value": "OpenAI.Standard.gpt-4.1-mini"})).expect("a name"),
            current_value: 50.0,
            limit: 200.0,
            rest: Map::new(),
        };
        let shown = table(&[usage]);
        assert_eq!(
            shown,
            "quota                         used  limit  free\nOpenAI.Standard.gpt-4.1-mini    50    200   150"
        );
    }
}
