//! `emberway model list`: what can be deployed in an account or a region, and until when.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::Value;

use crate::cli::azure::{AccountArgs, AzureArgs};
use crate::cli::output;
use crate::columns::columns;

/// Flags of `emberway model`.
#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    #[command(subcommand)]
    verb: Verb,
}

/// What is done.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List models: of an account, its fine-tuned ones included, or of a region.
    List(ListArgs),
}

/// Where.
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// The account: its name, its ARM id, or the name of a managed resource of the configuration.
    #[arg(
        short,
        long,
        value_name = "ACCOUNT",
        required_unless_present = "location",
        conflicts_with = "location"
    )]
    name: Option<String>,
    /// Resource group of the account.
    #[arg(short = 'g', long, value_name = "GROUP", env = "AZURE_RESOURCE_GROUP")]
    resource_group: Option<String>,
    /// A region instead of an account.
    #[arg(short, long, value_name = "REGION")]
    location: Option<String>,
    /// Only fine-tuned models.
    #[arg(long)]
    fine_tuned: bool,
    #[command(flatten)]
    azure: AzureArgs,
}

/// Prints the models.
///
/// # Errors
/// When the control plane cannot be asked, or refuses.
pub fn run(args: ModelArgs) -> anyhow::Result<ExitCode> {
    let Verb::List(args) = args.verb;
    let plane = args.azure.plane()?;
    let arm = plane.arm()?;
    let request = match (&args.name, &args.location) {
        (Some(name), _) => {
            let account = plane.account(&AccountArgs::new(args.resource_group.clone(), name.clone()))?;
            arm.address().account_models(&account)
        }
        (None, Some(location)) => arm.address().location_models(plane.subscription()?, location),
        (None, None) => bail!("which models? Give `--name` for an account's or `--location` for a region's"),
    };
    let asked: Vec<Value> = output::runtime()?.block_on(arm.list(&request))?;
    // A region's list wraps each model.
    let models = asked.into_iter().map(|item| {
        if item["model"].is_object() {
            item["model"].clone()
        } else {
            item
        }
    });
    let models: Vec<Value> = models
        .filter(|model| !args.fine_tuned || is_fine_tuned(model))
        .collect();
    let mut stdout = std::io::stdout().lock();
    if args.azure.json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&models)?)?;
    } else {
        writeln!(stdout, "{}", table(&models))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn is_fine_tuned(model: &Value) -> bool {
    model["baseModel"].is_object() || model["name"].as_str().is_some_and(|name| name.contains(".ft-"))
}

/// A model's state for people. Azure's words mislead: its `Deprecated` is retired, its `Deprecating` what the documentation calls
/// deprecated.
fn state(model: &Value) -> &str {
    match model["lifecycleStatus"].as_str().unwrap_or_default() {
        "Deprecated" => "retired",
        "Deprecating" => "deprecated",
        other => other,
    }
}

fn table(models: &[Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |model: &Value| {
        let skus = model["skus"].as_array().into_iter().flatten();
        let skus: Vec<&str> = skus.filter_map(|sku| sku["name"].as_str()).collect();
        let ends = text(&model["deprecation"]["inference"]);
        vec![
            text(&model["name"]),
            text(&model["version"]),
            state(model).to_owned(),
            // The day is enough.
            ends.split('T').next().unwrap_or_default().to_owned(),
            skus.join(", "),
        ]
    };
    columns(
        &["model", "version", "state", "ends", "skus"],
        5,
        models.iter().map(row).collect(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn models_are_shown_with_their_end() {
        let models = [
            json!({"name": "m.ft-0", "version": "1", "lifecycleStatus": "Deprecating", "baseModel": {"name": "m"},
                "deprecation": {"inference": "2027-10-14T00:00:00Z"}, "skus": [{"name": "Standard"}, {"name": "GlobalStandard"}]}),
            json!({"name": "m", "version": "2", "lifecycleStatus": "Deprecated"}),
        ];
        assert_eq!(models.each_ref().map(is_fine_tuned), [true, false]);
        assert_eq!(
            table(&models),
            "model   version  state       ends        skus\n\
             m.ft-0  1        deprecated  2027-10-14  Standard, GlobalStandard\n\
             m       2        retired"
        );
    }
}
