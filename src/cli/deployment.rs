//! `emberway deployment`: makes, shows, changes and deletes deployments, with the verbs and flags of the Azure CLI.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use crate::azure::address::ArmRequest;
use crate::azure::arm::{Arm, Progress};
use crate::azure::follow::Patience;
use crate::azure::resources::{Deployment, DeploymentPatch, Sku as SkuBody};
use crate::cli::audited::{self, AuditFlags};
use crate::cli::azure::shown::Shown;
use crate::cli::azure::{AccountArgs, AzureArgs, Plane};
use crate::cli::output;
use crate::columns::columns;
use crate::core::arm_id::DeploymentArmId;

mod create;
mod delete;

/// Flags of `emberway deployment`.
#[derive(Debug, clap::Args)]
pub struct DeploymentArgs {
    #[command(subcommand)]
    verb: Verb,
}

/// What is done.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Create or replace a deployment.
    Create(Box<create::CreateArgs>),
    /// Show a deployment.
    Show(OneArgs),
    /// List the deployments of an account.
    List(ListArgs),
    /// Delete a deployment. The model stays, and can be deployed again.
    Delete(delete::DeleteArgs),
    /// Change a deployment's capacity or SKU in place.
    Update(UpdateArgs),
    /// Pause a deployment: it answers 423 until it is resumed. Its hosting is probably billed on.
    Pause(WriteArgs),
    /// Resume a paused deployment.
    Resume(WriteArgs),
}

/// Which account.
#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    account: AccountArgs,
    #[command(flatten)]
    azure: AzureArgs,
}

/// Which deployment.
#[derive(Debug, clap::Args)]
struct OneArgs {
    #[command(flatten)]
    account: AccountArgs,
    /// The deployment.
    #[arg(long, value_name = "DEPLOYMENT")]
    deployment_name: String,
    #[command(flatten)]
    azure: AzureArgs,
}

/// Which deployment, and how to write.
#[derive(Debug, clap::Args)]
struct WriteArgs {
    #[command(flatten)]
    one: OneArgs,
    #[command(flatten)]
    write: WriteFlags,
}

/// How to write.
#[derive(Debug, Clone, clap::Args)]
struct WriteFlags {
    /// Wait until Azure is done, and show how it goes on; the default.
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Return as soon as Azure has accepted it. While another operation runs on the account, that is an error at once.
    #[arg(long)]
    no_wait: bool,
    /// Send nothing; print the request, and the same for curl and for the Azure CLI.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    audit: AuditFlags,
}

/// What is changed.
#[derive(Debug, clap::Args)]
struct UpdateArgs {
    #[command(flatten)]
    one: OneArgs,
    /// New capacity: thousands of tokens per minute, or PTUs.
    #[arg(long, visible_alias = "capacity", value_name = "UNITS")]
    sku_capacity: u32,
    /// New SKU; without it the one that it has.
    #[arg(long, visible_alias = "sku", value_name = "SKU")]
    sku_name: Option<String>,
    #[command(flatten)]
    write: WriteFlags,
}

/// What is to be printed.
enum Outcome {
    /// A deployment.
    One(Box<Deployment>),
    /// Several.
    Many(Vec<Deployment>),
    /// A request that was not sent.
    Shown(Box<Shown>),
    /// A sentence.
    Said(String),
}

/// Does what is asked, and prints what came of it.
///
/// # Errors
/// When the control plane cannot be asked, or refuses.
pub fn run(args: DeploymentArgs) -> anyhow::Result<ExitCode> {
    let runtime = output::runtime()?;
    let json = args.verb.azure().json;
    let outcome = runtime.block_on(act(args.verb))?;
    print(&outcome, json)?;
    Ok(ExitCode::SUCCESS)
}

impl Verb {
    fn azure(&self) -> &AzureArgs {
        match self {
            Self::Create(args) => &args.azure,
            Self::List(args) => &args.azure,
            Self::Show(one) => &one.azure,
            Self::Delete(args) => &args.write.one.azure,
            Self::Pause(args) | Self::Resume(args) => &args.one.azure,
            Self::Update(args) => &args.one.azure,
        }
    }
}

async fn act(verb: Verb) -> anyhow::Result<Outcome> {
    match verb {
        Verb::Create(args) => create::create(&args).await,
        Verb::List(args) => {
            let plane = args.azure.plane()?;
            let account = plane.account(&args.account)?;
            Ok(Outcome::Many(plane.arm()?.deployments(&account).await?))
        }
        Verb::Show(one) => {
            let (plane, id) = one.find()?;
            Ok(Outcome::One(Box::new(plane.arm()?.deployment(&id).await?)))
        }
        Verb::Delete(args) => delete::delete(&args).await,
        Verb::Update(args) => update(&args).await,
        Verb::Pause(args) => switch(&args, "pause").await,
        Verb::Resume(args) => switch(&args, "resume").await,
    }
}

impl OneArgs {
    fn find(&self) -> anyhow::Result<(Plane, DeploymentArmId)> {
        let plane = self.azure.plane()?;
        let id = plane.account(&self.account)?.deployment(&self.deployment_name)?;
        Ok((plane, id))
    }
}

async fn update(args: &UpdateArgs) -> anyhow::Result<Outcome> {
    let (plane, id) = args.one.find()?;
    let arm = args.write.arm(&args.one.azure, &plane, "update").await?;
    let name = match &args.sku_name {
        Some(written) => create::sku(written)?,
        None if args.write.dry_run => bail!("a dry run asks nobody for the SKU; give it with `--sku-name`"),
        // ARM wants both.
        None => arm.deployment(&id).await?.sku.map(|sku| sku.name).unwrap_or_default(),
    };
    let patch = DeploymentPatch {
        sku: Some(SkuBody {
            name,
            capacity: Some(args.sku_capacity),
        }),
        tags: None,
    };
    if args.write.dry_run {
        return Ok(dry(&arm.address().update(&id, &patch), None));
    }
    let updated = args
        .write
        .watched(&id, async |progress| arm.update(&id, &patch, progress).await)
        .await?;
    Ok(Outcome::One(Box::new(updated)))
}

async fn switch(args: &WriteArgs, verb: &str) -> anyhow::Result<Outcome> {
    let (plane, id) = args.one.find()?;
    let arm = args.write.arm(&args.one.azure, &plane, verb).await?;
    if args.write.dry_run {
        return Ok(dry(&arm.address().switch(&id, verb), None));
    }
    Ok(Outcome::One(Box::new(arm.switch(&id, verb).await?)))
}

/// A request that is shown instead of sent, with the Azure CLI's arguments where its own command can say it.
fn dry(request: &ArmRequest, az: Option<&[String]>) -> Outcome {
    Outcome::Shown(Box::new(Shown::new(request, az)))
}

/// The Azure CLI's arguments that name a deployment.
fn named(verb: &str, id: &DeploymentArmId) -> Vec<String> {
    let account = id.account();
    [
        verb,
        "--subscription",
        account.subscription(),
        "--resource-group",
        account.resource_group(),
        "--name",
        account.name(),
        "--deployment-name",
        id.name(),
    ]
    .map(str::to_owned)
    .to_vec()
}

impl WriteFlags {
    /// A client whose writes are entered in the audit; in a dry run there are none.
    async fn arm(&self, azure: &AzureArgs, plane: &Plane, verb: &str) -> anyhow::Result<Arm> {
        if self.dry_run {
            return plane.arm();
        }
        let store = self.audit.open(azure.config()).await?;
        let audit = audited::audit(&store, &format!("deployment {verb}"));
        plane.arm_with(Some(audit), self.patience())
    }

    /// Who does not wait for Azure does not wait for another operation either, but hears of it.
    fn patience(&self) -> Patience {
        let usual = Patience::default();
        if !self.no_wait {
            return usual;
        }
        Patience {
            conflict: Duration::ZERO,
            ..usual
        }
    }

    /// Runs a write and tells on stderr how it goes on: in one line that changes at a terminal, elsewhere in a line for each new state.
    /// Nothing is told if nobody waits.
    async fn watched<T>(
        &self,
        id: &DeploymentArmId,
        write: impl AsyncFnOnce(Option<&(dyn Fn(Progress<'_>) + Send + Sync)>) -> Result<T, crate::azure::error::AzureError>,
    ) -> anyhow::Result<T> {
        if self.no_wait {
            return Ok(write(None).await?);
        }
        let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}")?);
        bar.enable_steady_tick(Duration::from_millis(200));
        let told = Told {
            name: id.name().to_owned(),
            bar: bar.clone(),
            last: Mutex::default(),
        };
        told.tell("waiting for Azure");
        let written = write(Some(&|progress: Progress<'_>| told.tell(progress.state))).await;
        bar.finish_and_clear();
        Ok(written?)
    }
}

/// Who waits, and what was told last.
struct Told {
    name: String,
    bar: ProgressBar,
    last: Mutex<String>,
}

impl Told {
    fn tell(&self, state: &str) {
        let line = format!("{}: {state}", self.name);
        let mut last = self.last.lock();
        if self.bar.is_hidden() && *last != line {
            output::say(&line);
        }
        self.bar.set_message(line.clone());
        *last = line;
    }
}

fn print(outcome: &Outcome, json: bool) -> anyhow::Result<()> {
    let text = match outcome {
        Outcome::One(one) if json => serde_json::to_string_pretty(one)?,
        Outcome::Many(many) if json => serde_json::to_string_pretty(many)?,
        Outcome::Shown(shown) if json => serde_json::to_string_pretty(shown)?,
        Outcome::Said(said) if json => serde_json::json!({"outcome": said}).to_string(),
        Outcome::One(one) => table(std::slice::from_ref(&**one)),
        Outcome::Many(many) if many.is_empty() => "the account has no deployments".to_owned(),
        Outcome::Many(many) => table(many),
        Outcome::Shown(shown) => shown.text(),
        Outcome::Said(said) => said.clone(),
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

fn table(deployments: &[Deployment]) -> String {
    let row = |deployment: &Deployment| {
        let properties = &deployment.properties;
        let model = properties.model.as_ref();
        let sku = deployment.sku.as_ref();
        let state = [&properties.provisioning_state, &properties.deployment_state].map(|state| state.as_deref());
        // What runs is not worth a word.
        let state = state.into_iter().flatten().filter(|state| *state != "Running");
        let created = deployment.system_data.as_ref().and_then(|data| data.created_at.clone());
        let limit = |key: &str| {
            properties
                .per_minute(key)
                .map_or_else(String::new, |limit| format!("{limit:.0}"))
        };
        vec![
            deployment.name.clone(),
            model.map(|model| model.name.clone()).unwrap_or_default(),
            sku.map(|sku| sku.name.clone()).unwrap_or_default(),
            state.collect::<Vec<_>>().join(", "),
            created.unwrap_or_default(),
            sku.and_then(|sku| sku.capacity)
                .map_or_else(String::new, |units| units.to_string()),
            limit("request"),
            limit("token"),
        ]
    };
    let header = [
        "deployment",
        "model",
        "sku",
        "state",
        "created",
        "capacity",
        "requests/min",
        "tokens/min",
    ];
    columns(&header, 5, deployments.iter().map(row).collect())
}
