//! `emberway deployment create`: from the same account, another region or subscription, or another tenant.

use anyhow::{Context as _, bail};

use crate::azure::arm::Arm;
use crate::azure::resources::{Model, NewDeployment, NewProperties, Sku as SkuBody};
use crate::cli::azure::{AccountArgs, AzureArgs, beside};
use crate::cli::deployment::{Outcome, WriteFlags, dry, named};
use crate::cli::output;
use crate::core::arm_id::{AccountId, DeploymentArmId};
use crate::core::fleet::catalogue::{Answer, Catalogue, EMBEDDED, Wish};
use crate::core::topology::Sku;

/// Flags of `emberway deployment create`.
#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    account: AccountArgs,
    /// The deployment.
    #[arg(long, value_name = "DEPLOYMENT")]
    deployment_name: String,
    /// A fine-tuned model's id (`emberway finetune list` prints them), a checkpoint (`ftchkpt-…`), or a base model's name.
    #[arg(long, value_name = "MODEL")]
    model_name: String,
    /// The model's version; `1` for every fine-tuned one.
    #[arg(long, value_name = "VERSION", default_value = "1")]
    model_version: String,
    /// The model's format.
    #[arg(long, value_name = "FORMAT", default_value = "OpenAI")]
    model_format: String,
    /// The account that holds the model, in another region or subscription: its ARM id, or its name alone in the same resource group.
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "source_account")]
    model_source: Option<String>,
    /// The account that holds the model, in another tenant: its ARM id. Needs `--auxiliary-tenant`.
    #[arg(long, value_name = "ACCOUNT", requires = "auxiliary_tenant")]
    source_account: Option<String>,
    /// The tenant of `--source-account`, whose token is sent along: as `azure.tenants` says, or as whoever is logged in to the Azure CLI
    /// there.
    #[arg(long, value_name = "TENANT", requires = "source_account")]
    auxiliary_tenant: Option<String>,
    /// A token of that tenant, instead of logging in to it.
    #[arg(long, value_name = "TOKEN", env = "AZURE_AUXILIARY_TOKEN", hide_env_values = true)]
    auxiliary_token: Option<String>,
    /// Deployment type.
    #[arg(long, visible_alias = "sku", value_name = "SKU", default_value = "Standard")]
    sku_name: String,
    /// Thousands of tokens per minute, or PTUs.
    #[arg(long, visible_alias = "capacity", value_name = "UNITS", default_value_t = 1)]
    sku_capacity: u32,
    /// A deployment of the same account that takes what a provisioned one cannot.
    #[arg(long, value_name = "DEPLOYMENT")]
    spillover_deployment_name: Option<String>,
    /// Content filter policy.
    #[arg(long, value_name = "POLICY")]
    rai_policy_name: Option<String>,
    /// The account's region, for the check of model, region and SKU; without it Azure is asked.
    #[arg(short, long, value_name = "REGION")]
    location: Option<String>,
    /// Take as an error what the tables of models, regions and SKUs do not offer, instead of as a warning.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    write: WriteFlags,
    #[command(flatten)]
    pub(super) azure: AzureArgs,
}

/// Creates, or shows how.
pub(super) async fn create(args: &CreateArgs) -> anyhow::Result<Outcome> {
    let mut plane = args.azure.plane()?;
    if let Some(tenant) = &args.auxiliary_tenant {
        plane.know_tenant(tenant, args.auxiliary_token.as_deref());
    }
    let account = plane.account(&args.account)?;
    let id = account.deployment(&args.deployment_name)?;
    let source = args
        .model_source
        .as_deref()
        .map(|source| beside(source, &account))
        .transpose()?;
    let other: Option<AccountId> = args
        .source_account
        .as_deref()
        .map(|source| source.parse().context("`--source-account`"))
        .transpose()?;
    let new = new_deployment(args, source.as_ref(), other.as_ref())?;
    let arm = args.write.arm(&args.azure, &plane, "create").await?;
    let request = arm.address().create(&id, &new, args.auxiliary_tenant.as_deref());
    check(args, &arm, &account).await?;
    if args.write.dry_run {
        let az = az_arguments(args, &id, &new);
        // The Azure CLI's own command knows no other tenant.
        return Ok(dry(&request, args.source_account.is_none().then_some(&az)));
    }
    let tenant = args.auxiliary_tenant.as_deref();
    let created = args
        .write
        .watched(&id, async |progress| arm.create(&id, &new, tenant, progress).await)
        .await?;
    Ok(Outcome::One(Box::new(created)))
}

fn new_deployment(
    args: &CreateArgs,
    source: Option<&AccountId>,
    other_tenant: Option<&AccountId>,
) -> anyhow::Result<NewDeployment> {
    if args.sku_capacity == 0 {
        bail!("`--sku-capacity 0` serves nothing; give 1 or more");
    }
    Ok(NewDeployment {
        sku: SkuBody {
            name: sku(&args.sku_name)?,
            capacity: Some(args.sku_capacity),
        },
        properties: NewProperties {
            model: Model {
                format: args.model_format.clone(),
                name: args.model_name.clone(),
                version: args.model_version.clone(),
                source: source.map(ToString::to_string),
                source_account: other_tenant.map(ToString::to_string),
            },
            spillover_deployment_name: args.spillover_deployment_name.clone(),
            rai_policy_name: args.rai_policy_name.clone(),
            version_upgrade_option: None,
        },
    })
}

/// Azure's spelling of a SKU.
pub(super) fn sku(written: &str) -> anyhow::Result<String> {
    let Some(sku) = Sku::of(written) else {
        let known: Vec<&str> = Sku::ALL.iter().map(|sku| sku.as_str()).collect();
        bail!("there is no SKU `{written}`; there are {}", known.join(", "))
    };
    Ok(sku.as_str().to_owned())
}

/// Looks the wish up in the tables that come with the program.
async fn check(args: &CreateArgs, arm: &Arm, account: &AccountId) -> anyhow::Result<()> {
    let Some(sku) = Sku::of(&args.sku_name) else {
        return Ok(());
    };
    let region = match &args.location {
        Some(location) => location.clone(),
        None if args.write.dry_run => return Ok(()),
        None => arm.account(account).await?.location,
    };
    let region: String = region
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect::<String>()
        .to_lowercase();
    let offered = Catalogue::parse(EMBEDDED)?.is_offered(Wish {
        model: &args.model_name,
        region: &region,
        sku,
        capacity: Some(args.sku_capacity),
    });
    if offered.answer == Answer::Yes {
        return Ok(());
    }
    if args.strict {
        bail!("{}; without `--strict` Azure decides", offered.sentence);
    }
    output::warn(&format!("{}; Azure decides", offered.sentence));
    Ok(())
}

/// The arguments of `az cognitiveservices account deployment`.
fn az_arguments(args: &CreateArgs, id: &DeploymentArmId, new: &NewDeployment) -> Vec<String> {
    let model = &new.properties.model;
    let mut arguments = named("create", id);
    let capacity = args.sku_capacity.to_string();
    let mut add = |name: &str, value: &str| arguments.extend([name.to_owned(), value.to_owned()]);
    add("--model-name", &model.name);
    add("--model-version", &model.version);
    add("--model-format", &model.format);
    if let Some(source) = &model.source {
        add("--model-source", source);
    }
    add("--sku-capacity", &capacity);
    add("--sku-name", &new.sku.name);
    if let Some(spillover) = &args.spillover_deployment_name {
        add("--spillover-deployment-name", spillover);
    }
    if let Some(policy) = &args.rai_policy_name {
        add("--rai-policy-name", policy);
    }
    arguments
}
