//! What the commands for Azure's control plane share: whom to ask and as whom, from the configuration or from flags and environment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use reqwest::Url;

use crate::azure::arm::Arm;
use crate::azure::follow::Patience;
use crate::azure::witness::Witness;
use crate::config;
use crate::config::checked::azure::{AzureCredential, AzureSettings, ControlPlane, Tenant};
use crate::config::load;
use crate::config::secrets::{Secret, process_variables};
use crate::core::arm_id::AccountId;
use crate::fleet::connect;

pub(super) mod shown;

/// Whom to ask, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub struct AzureArgs {
    /// The configuration file, whose `azure` says where the control plane is and how to log in. Without the file, the public cloud is
    /// asked with `AZURE_ACCESS_TOKEN` or as whoever is logged in to the Azure CLI.
    #[arg(short, long, value_name = "FILE", env = "EMBERWAY_CONFIG", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
    /// Id of the subscription.
    #[arg(long, value_name = "ID", env = "AZURE_SUBSCRIPTION_ID")]
    subscription: Option<String>,
    /// A token for Azure Resource Manager, instead of the configured way of logging in.
    #[arg(long, value_name = "TOKEN", env = "AZURE_ACCESS_TOKEN", hide_env_values = true)]
    access_token: Option<String>,
    /// Base URL of Azure Resource Manager, instead of the configured one.
    #[arg(long, value_name = "URL", env = "AZURE_RESOURCE_MANAGER_URL")]
    management: Option<Url>,
    /// Version of the management API, instead of the configured one.
    #[arg(long, value_name = "DATE")]
    api_version: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// An account, by group and name.
#[derive(Debug, Clone, clap::Args)]
pub struct AccountArgs {
    /// Resource group of the account.
    #[arg(short = 'g', long, value_name = "GROUP", env = "AZURE_RESOURCE_GROUP")]
    resource_group: Option<String>,
    /// The account: its name, its ARM id, or the name of a managed resource of the configuration.
    #[arg(short, long, value_name = "ACCOUNT")]
    name: String,
}

impl AccountArgs {
    /// From flags of another shape.
    pub(super) fn new(resource_group: Option<String>, name: String) -> Self {
        Self { resource_group, name }
    }
}

/// The control plane as flags and configuration say.
#[derive(Debug)]
pub(super) struct Plane {
    pub(super) settings: AzureSettings,
    accounts: Vec<(String, AccountId)>,
}

impl AzureArgs {
    /// Puts flags and configuration together.
    pub(super) fn plane(&self) -> anyhow::Result<Plane> {
        let control = self.configured()?;
        let mut settings = match (control.azure, &self.access_token) {
            (Some(settings), _) => settings,
            (None, Some(_)) => AzureSettings::public_cloud(AzureCredential::Token(Secret::new(String::new())))?,
            (None, None) => AzureSettings::public_cloud(AzureCredential::AzureCli { tenant: None })?,
        };
        if let Some(token) = &self.access_token {
            settings.credential = AzureCredential::Token(Secret::new(token.trim().to_owned()));
        }
        if let Some(management) = &self.management {
            settings.management = base(management)?;
        }
        if let Some(version) = &self.api_version {
            settings.api_version.clone_from(version);
        }
        if let Some(subscription) = &self.subscription {
            settings.subscription = Some(subscription.clone());
        }
        Ok(Plane {
            settings,
            accounts: control.accounts,
        })
    }

    /// The configuration file, by flag or by default.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    fn configured(&self) -> anyhow::Result<ControlPlane> {
        // Nobody named it: then it need not be there.
        if self.config == Path::new(config::DEFAULT_FILE) && !self.config.exists() {
            return Ok(ControlPlane {
                azure: None,
                accounts: Vec::new(),
            });
        }
        Ok(load::control_plane(&self.config, &process_variables)?)
    }
}

/// A base URL from a flag: to another machine by https only, since a token goes there.
fn base(url: &Url) -> anyhow::Result<Url> {
    let is_near = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() != "https" && !is_near {
        bail!("`--management {url}` would carry the token readably; write `https://…`");
    }
    let mut url = url.clone();
    let path = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_query(None);
    Ok(url)
}

impl Plane {
    /// The account that flags name.
    pub(super) fn account(&self, args: &AccountArgs) -> anyhow::Result<AccountId> {
        let Self { settings, accounts } = self;
        if args.name.contains('/') {
            return args.name.parse().context("`--name`");
        }
        let group = args.resource_group.as_deref().or(settings.resource_group.as_deref());
        let named = accounts.iter().find(|(resource, _)| *resource == args.name);
        if let (Some((_, account)), None) = (named, &args.resource_group) {
            return Ok(account.clone());
        }
        let group =
            group.context("which resource group? Give `--resource-group`, or the account's ARM id as `--name`")?;
        AccountId::try_new(self.subscription()?, group, &args.name).context("the account")
    }

    pub(super) fn subscription(&self) -> anyhow::Result<&str> {
        self.settings
            .subscription
            .as_deref()
            .context("which subscription? Give `--subscription`, or `azure.subscription` in the configuration")
    }

    /// Makes a tenant known that a flag names: with `AZURE_AUXILIARY_TOKEN`, or as whoever is logged in to the Azure CLI.
    pub(super) fn know_tenant(&mut self, tenant: &str, token: Option<&str>) {
        let tenants = &mut self.settings.tenants;
        let known = tenants
            .iter()
            .position(|known| known.tenant.eq_ignore_ascii_case(tenant));
        let credential = match (token, known) {
            (Some(token), _) => AzureCredential::Token(Secret::new(token.trim().to_owned())),
            (None, Some(_)) => return,
            (None, None) => AzureCredential::AzureCli {
                tenant: Some(tenant.to_owned()),
            },
        };
        tenants.retain(|known| !known.tenant.eq_ignore_ascii_case(tenant));
        tenants.push(Tenant {
            tenant: tenant.to_owned(),
            credential,
        });
    }

    /// A client for reading.
    pub(super) fn arm(&self) -> anyhow::Result<Arm> {
        self.arm_with(None, Patience::default())
    }

    /// A client whose writes are witnessed.
    pub(super) fn arm_with(&self, witness: Option<Arc<dyn Witness>>, patience: Patience) -> anyhow::Result<Arm> {
        Ok(connect::arm_with(&self.settings, witness, patience)?)
    }
}

/// An account that a flag names by its ARM id, or by its name alone in the same subscription and resource group as another.
pub(super) fn beside(written: &str, other: &AccountId) -> anyhow::Result<AccountId> {
    if written.contains('/') {
        return Ok(written.parse()?);
    }
    Ok(AccountId::try_new(
        other.subscription(),
        other.resource_group(),
        written,
    )?)
}
