//! `emberway finetune`: an account's fine-tuning jobs, to find the id of the model or checkpoint that is to be deployed.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use reqwest::Url;
use serde::Serialize;

use crate::azure::fine_tuning::{Checkpoint, DataKey, FineTuning, Job};
use crate::azure::transport::Http;
use crate::cli::azure::{AccountArgs, AzureArgs};
use crate::cli::output;
use crate::columns::columns;

/// Scope of tokens for the data plane.
const DATA_AUDIENCE: &str = "https://cognitiveservices.azure.com/.default";

/// Flags of `emberway finetune`.
#[derive(Debug, clap::Args)]
pub struct FinetuneArgs {
    #[command(subcommand)]
    verb: Verb,
}

/// What is done.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List fine-tuning jobs and the models they made.
    List(AtArgs),
    /// Show a job.
    Show(JobArgs),
    /// List a job's checkpoints that can be deployed.
    Checkpoints(JobArgs),
}

/// Where.
#[derive(Debug, clap::Args)]
struct AtArgs {
    /// The account's endpoint; with it the control plane is not asked.
    #[arg(
        long,
        value_name = "URL",
        env = "AZURE_OPENAI_ENDPOINT",
        required_unless_present = "name"
    )]
    endpoint: Option<Url>,
    /// The account's key; without it a token of the configured identity is sent, or the key that Azure Resource Manager tells.
    #[arg(long, value_name = "KEY", env = "AZURE_OPENAI_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// The account: its name, its ARM id, or the name of a managed resource of the configuration.
    #[arg(short, long, value_name = "ACCOUNT")]
    name: Option<String>,
    /// Resource group of the account.
    #[arg(short = 'g', long, value_name = "GROUP", env = "AZURE_RESOURCE_GROUP")]
    resource_group: Option<String>,
    #[command(flatten)]
    azure: AzureArgs,
}

/// Which job.
#[derive(Debug, clap::Args)]
struct JobArgs {
    /// The job: `ftjob-…`.
    #[arg(value_name = "JOB")]
    job: String,
    #[command(flatten)]
    at: AtArgs,
}

/// Prints what is asked.
///
/// # Errors
/// When the account cannot be asked, or refuses.
pub fn run(args: FinetuneArgs) -> anyhow::Result<ExitCode> {
    let runtime = output::runtime()?;
    let text = runtime.block_on(async {
        match args.verb {
            Verb::List(at) => {
                let jobs = at.data_plane().await?.jobs().await?;
                printed(&jobs, at.azure.json, || job_table(&jobs))
            }
            Verb::Show(JobArgs { job, at }) => {
                let found = at.data_plane().await?.job(&job).await;
                let job = found.with_context(|| format!("job `{job}`"))?;
                printed(&job, at.azure.json, || job_table(std::slice::from_ref(&job)))
            }
            Verb::Checkpoints(JobArgs { job, at }) => {
                let found = at.data_plane().await?.checkpoints(&job).await;
                let checkpoints = found.with_context(|| format!("job `{job}`"))?;
                printed(&checkpoints, at.azure.json, || checkpoint_table(&checkpoints))
            }
        }
    })?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(ExitCode::SUCCESS)
}

impl AtArgs {
    async fn data_plane(&self) -> anyhow::Result<FineTuning> {
        if let (Some(endpoint), Some(key)) = (&self.endpoint, &self.api_key) {
            return Ok(FineTuning::new(
                endpoint.clone(),
                DataKey::Key(key.clone()),
                Http::new(None)?,
            ));
        }
        let plane = self.azure.plane()?;
        let arm = plane.arm()?;
        let account = match &self.name {
            Some(name) => Some(plane.account(&AccountArgs::new(self.resource_group.clone(), name.clone()))?),
            None => None,
        };
        let endpoint = match (&self.endpoint, &account) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(account)) => {
                let account = arm.account(account).await?;
                let endpoint = account.properties["endpoint"].as_str();
                let endpoint = endpoint.with_context(|| format!("account `{}` has no endpoint yet", account.name))?;
                endpoint.parse().context("the account's endpoint")?
            }
            (None, None) => anyhow::bail!("which account? Give `--name` or `--endpoint`"),
        };
        let key = match (&self.api_key, &account) {
            (Some(key), _) => DataKey::Key(key.clone()),
            (None, Some(account)) => DataKey::Key(arm.keys(account).await?.key1),
            (None, None) => DataKey::Token(arm.tokens().own.token(DATA_AUDIENCE).await?),
        };
        Ok(FineTuning::new(endpoint, key, arm.http().clone()))
    }
}

fn printed(value: &impl Serialize, json: bool, text: impl FnOnce() -> String) -> anyhow::Result<String> {
    if json {
        Ok(serde_json::to_string_pretty(value)?)
    } else {
        Ok(text())
    }
}

fn job_table(jobs: &[Job]) -> String {
    if jobs.is_empty() {
        return "the account has no fine-tuning jobs".to_owned();
    }
    let when = |at: Option<i64>| {
        let at = at.and_then(|at| jiff::Timestamp::from_second(at).ok());
        at.map(|at| at.to_string()).unwrap_or_default()
    };
    let row = |job: &Job| {
        vec![
            job.id.clone(),
            job.status.clone(),
            job.model.clone(),
            job.fine_tuned_model.clone().unwrap_or_default(),
            when(job.finished_at.or(job.created_at)),
        ]
    };
    columns(
        &["job", "status", "base model", "fine-tuned model", "finished"],
        5,
        jobs.iter().map(row).collect(),
    )
}

fn checkpoint_table(checkpoints: &[Checkpoint]) -> String {
    if checkpoints.is_empty() {
        return "the job has no checkpoints".to_owned();
    }
    let row = |checkpoint: &Checkpoint| {
        vec![
            checkpoint.id.clone(),
            checkpoint.fine_tuned_model_checkpoint.clone().unwrap_or_default(),
            checkpoint.step_number.map_or_else(String::new, |step| step.to_string()),
        ]
    };
    columns(
        &["checkpoint", "model", "step"],
        2,
        checkpoints.iter().map(row).collect(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn jobs_and_checkpoints_are_shown_with_what_to_deploy() {
        let jobs: Vec<Job> = serde_json::from_value(json!([
            {"id": "ftjob-1", "model": "gpt-4.1-mini", "status": "succeeded", "fine_tuned_model": "gpt-4.1-mini.ft-0", "finished_at": 1_767_323_045},
        ]))
        .expect("jobs");
        assert_eq!(
            job_table(&jobs),
            "job      status     base model    fine-tuned model   finished\n\
             ftjob-1  succeeded  gpt-4.1-mini  gpt-4.1-mini.ft-0  2026-01-02T03:04:05Z"
        );
        let checkpoints: Vec<Checkpoint> =
            serde_json::from_value(json!([{"id": "ftchkpt-1", "step_number": 90}])).expect("checkpoints");
        assert_eq!(
            checkpoint_table(&checkpoints),
            "checkpoint  model  step\nftchkpt-1            90"
        );
    }
}
