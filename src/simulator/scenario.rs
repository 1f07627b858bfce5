//! What to simulate, as data: accounts, deployments, engine speed, cache, limits, faults.
//!
//! A scenario is a YAML file, or built in code by tests. Unknown fields are refused, so that a misspelt setting is
//! an error and not a default. [`Scenario::check`] holds every rule between fields, and the server starts only
//! from a scenario that passed it. Nothing here opens a file or a socket.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::simulator::arm::settings::ArmSettings;
use crate::simulator::arm::time;
use crate::simulator::faults::Fault;
use crate::simulator::settings::{CacheSettings, EngineSettings, LimitSettings};

/// The default scenario: three regions, two fine-tuned models, the demo's speeds.
pub const DEMO: &str = include_str!("../../config/simulator.yaml");

/// A whole simulated world.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Seed of everything drawn: text, jitter, fault probability. The same scenario answers the same way.
    #[serde(default)]
    pub seed: u64,
    /// Where the control listener binds; must be a loopback address. Port 0 picks a free one.
    #[serde(default = "any_loopback_port")]
    pub control_address: SocketAddr,
    /// How many recent requests are kept for `GET /control/requests`; 0 keeps none, which is fastest.
    #[serde(default = "default_recorded_requests")]
    pub recorded_requests: usize,
    /// Whether recorded requests hold their bodies. Off by default: bodies are prompts.
    #[serde(default)]
    pub record_bodies: bool,
    /// Speeds of the simulated model.
    #[serde(default)]
    pub engine: EngineSettings,
    /// The provider's prompt cache.
    #[serde(default)]
    pub prompt_cache: CacheSettings,
    /// How limits are counted.
    #[serde(default)]
    pub limits: LimitSettings,
    /// The world's date when it begins, such as `2026-01-15T00:00:00Z`; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// The control plane and identity; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<ArmSettings>,
    /// The accounts, each with its own listener.
    pub accounts: Vec<AccountSpec>,
    /// Faults in force from the start.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// One Azure OpenAI account: a region, a listener, credentials and deployments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSpec {
    /// The account's name; unique.
    pub name: String,
    /// Region as ARM writes it, such as `swedencentral`.
    pub region: String,
    /// Region as `x-ms-region` shows it; looked up from `region` when absent.
    #[serde(default)]
    pub display_region: Option<String>,
    /// Where the account listens. Port 0 picks a free one.
    #[serde(default = "any_loopback_port")]
    pub address: SocketAddr,
    /// Certificate and key; plain HTTP when absent.
    #[serde(default)]
    pub tls: Option<TlsSpec>,
    /// Keys accepted in `api-key`, and as a bearer under `/openai/v1`.
    #[serde(default)]
    pub api_keys: Vec<String>,
    /// Tokens accepted in `Authorization: Bearer`.
    #[serde(default)]
    pub bearer_tokens: Vec<String>,
    /// Whether keys are accepted at all; when not, a key is answered 403 `AuthenticationTypeDisabled`.
    #[serde(default = "yes")]
    pub key_auth: bool,
    /// Subscription that holds the account; that of `arm` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// Resource group that holds the account; that of `arm` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    /// `provisioningState` of the account; writes to any but `Succeeded` are answered 409.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning_state: Option<String>,
    /// Fine-tuned models that were trained in the account.
    #[serde(default)]
    pub fine_tuned_models: Vec<FineTunedSpec>,
    /// The account's deployments.
    #[serde(default)]
    pub deployments: Vec<DeploymentSpec>,
}

/// A fine-tuned model and the job that made it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FineTunedSpec {
    /// The model's id, such as `gpt-4.1-mini-2025-04-14.ft-…`.
    pub model: String,
    /// The model it was trained from, such as `gpt-4.1-mini-2025-04-14`; what stands before `.ft-` when absent.
    #[serde(default)]
    pub base: Option<String>,
    /// The training job, `ftjob-…`; made from the model's id when absent.
    #[serde(default)]
    pub job: Option<String>,
    /// Checkpoints that can be deployed, `ftchkpt-…`, the last step first.
    #[serde(default)]
    pub checkpoints: Vec<String>,
}

/// PEM files of an account's listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// Certificate chain, leaf first.
    pub certificate_file: PathBuf,
    /// Private key.
    pub key_file: PathBuf,
}

/// One deployment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentSpec {
    /// The name callers use; unique in its account.
    pub name: String,
    /// The model behind it, such as `gpt-4.1-mini-2025-04-14.ft-…`.
    pub model: String,
    /// The kind of deployment.
    #[serde(default)]
    pub sku: Sku,
    /// Capacity: 1 is 1,000 tokens a minute, or 1 PTU for provisioned kinds; 1 and up.
    pub capacity: u32,
    /// Requests a minute; 6 per unit of capacity when absent. Provisioned kinds have no such limit.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
    /// Longest prompt accepted, in tokens.
    #[serde(default = "default_context_tokens")]
    pub context_tokens: u32,
    /// How streams are cut into chunks.
    #[serde(default)]
    pub stream: StreamSpec,
    /// Whether `stream_options` is known; when not, it is answered 400 by name, as old API versions do.
    #[serde(default = "yes")]
    pub accepts_stream_options: bool,
    /// What the deployment is in the middle of.
    #[serde(default)]
    pub state: DeploymentState,
    /// Standard deployment of the same account that serves what this provisioned one cannot.
    #[serde(default)]
    pub spillover_deployment: Option<String>,
    /// How old the deployment is when the world begins, in days; 0 and up. It was last used when it was made.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub age_days: f64,
}

impl Default for DeploymentSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            model: String::new(),
            sku: Sku::default(),
            capacity: 1,
            requests_per_minute: None,
            context_tokens: default_context_tokens(),
            stream: StreamSpec::default(),
            accepts_stream_options: true,
            state: DeploymentState::default(),
            spillover_deployment: None,
            age_days: 0.0,
        }
    }
}

/// How a deployment streams.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSpec {
    /// Output tokens a chunk; 1 to 1,000. The default content filter buffers, so real text comes in bursts.
    #[serde(default = "one")]
    pub tokens_per_chunk: u32,
    /// Whether the asynchronous content filter is on: annotation chunks come between and after the text.
    #[serde(default)]
    pub async_filter: bool,
}

impl Default for StreamSpec {
    fn default() -> Self {
        Self {
            tokens_per_chunk: 1,
            async_filter: false,
        }
    }
}

/// Deployment kinds. Spelt as ARM does; lower case and `Developer` are understood too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::VariantArray)]
pub enum Sku {
    /// Pay per token, processed in the account's region.
    #[default]
    #[serde(alias = "standard")]
    Standard,
    /// Pay per token, processed anywhere.
    #[serde(alias = "globalstandard")]
    GlobalStandard,
    /// Pay per token, processed in a data zone.
    #[serde(alias = "datazonestandard")]
    DataZoneStandard,
    /// Pay per token, no hosting fee, gone after a day.
    #[serde(alias = "Developer", alias = "developertier")]
    DeveloperTier,
    /// Reserved units in the account's region.
    #[serde(alias = "provisionedmanaged")]
    ProvisionedManaged,
    /// Reserved units anywhere.
    #[serde(alias = "globalprovisionedmanaged")]
    GlobalProvisionedManaged,
    /// Reserved units in a data zone.
    #[serde(alias = "datazoneprovisionedmanaged")]
    DataZoneProvisionedManaged,
}

impl Sku {
    /// The kind of this name, in any case; `Developer` is `DeveloperTier`.
    pub fn named(name: &str) -> Option<Self> {
        let known = <Self as strum::VariantArray>::VARIANTS.iter().copied();
        let alias = (name.eq_ignore_ascii_case("developer")).then_some(Self::DeveloperTier);
        alias.or_else(|| known.into_iter().find(|sku| sku.to_string().eq_ignore_ascii_case(name)))
    }

    /// Whether capacity is counted in PTU.
    pub fn is_provisioned(self) -> bool {
        matches!(
            self,
            Self::ProvisionedManaged | Self::GlobalProvisionedManaged | Self::DataZoneProvisionedManaged
        )
    }
}

/// What a deployment answers before it looks at the request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// It serves.
    #[default]
    Ok,
    /// Paused: 423.
    Paused,
    /// Deleted: 404 `DeploymentNotFound`.
    Deleted,
    /// Its model is retired: 410.
    Retired,
}

/// A scenario that cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The text is not YAML, or not of this shape.
    #[error(transparent)]
    Syntax(#[from] serde_saphyr::Error),
    /// A value is out of range or contradicts another.
    #[error("`{path}` is wrong: {problem}")]
    Invalid {
        /// Where in the scenario.
        path: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl Scenario {
    /// The embedded default scenario.
    ///
    /// # Errors
    /// None in a released build: a test parses it.
    pub fn demo() -> Result<Self, ScenarioError> {
        Self::parse(DEMO)
    }

    /// Reads and checks a scenario.
    ///
    /// # Errors
    /// When the text is not a scenario, or a value breaks a rule.
    pub fn parse(yaml: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = serde_saphyr::from_str(yaml)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// The same world with every listener on a free loopback port: what tests want.
    pub fn on_free_ports(mut self) -> Self {
        self.control_address = any_loopback_port();
        if let Some(arm) = &mut self.arm {
            arm.address = any_loopback_port();
        }
        for account in &mut self.accounts {
            account.address = any_loopback_port();
        }
        self
    }

    /// The same world with every account listening on this address; ports and the control listener stay.
    pub fn on_address(mut self, address: IpAddr) -> Self {
        for account in &mut self.accounts {
            account.address.set_ip(address);
        }
        self
    }

    /// Checks the rules between fields.
    ///
    /// # Errors
    /// With the first rule broken.
    pub fn check(&self) -> Result<(), ScenarioError> {
        rule(
            self.control_address.ip().is_loopback(),
            "control_address",
            "must be a loopback address",
        )?;
        rule(!self.accounts.is_empty(), "accounts", "at least one is needed")?;
        rule(
            self.recorded_requests <= MAX_RECORDED_REQUESTS,
            "recorded_requests",
            "at most 100000 are kept",
        )?;
        self.engine.check()?;
        self.prompt_cache.check()?;
        self.limits.check()?;
        let date = self.starts_at.as_deref();
        rule(
            date.is_none_or(|date| time::parse(date).is_some()),
            "starts_at",
            "a date such as 2026-01-15T00:00:00Z",
        )?;
        if let Some(arm) = &self.arm {
            arm.check()?;
        }
        let mut names = BTreeSet::new();
        for account in &self.accounts {
            let path = format!("accounts.{}", account.name);
            rule(names.insert(&account.name), &path, "another account has this name")?;
            account.check(&path)?;
        }
        for (index, fault) in self.faults.iter().enumerate() {
            fault
                .check()
                .map_err(|problem| invalid(&format!("faults.{index}"), problem))?;
        }
        Ok(())
    }
}

impl AccountSpec {
    /// The region as `x-ms-region` shows it.
    pub fn shown_region(&self) -> &str {
        let known = REGIONS
            .iter()
            .find(|(name, _)| *name == self.region)
            .map(|(_, shown)| *shown);
        self.display_region.as_deref().or(known).unwrap_or(&self.region)
    }

    fn check(&self, path: &str) -> Result<(), ScenarioError> {
        rule(
            !self.name.is_empty() && !self.name.contains('/'),
            path,
            "a name is not empty and has no `/`",
        )?;
        let mut names = BTreeSet::new();
        for deployment in &self.deployments {
            let path = format!("{path}.deployments.{}", deployment.name);
            rule(
                names.insert(&deployment.name),
                &path,
                "another deployment of the account has this name",
            )?;
            rule(deployment.capacity > 0, &path, "capacity must be 1 or more")?;
            rule(
                (0.0..=3_650.0).contains(&deployment.age_days),
                &path,
                "age_days is 0 to 3650",
            )?;
            rule(
                deployment.requests_per_minute != Some(0),
                &path,
                "requests_per_minute must be 1 or more",
            )?;
            rule(
                (1..=1_000).contains(&deployment.stream.tokens_per_chunk),
                &path,
                "tokens_per_chunk is 1 to 1000",
            )?;
            if let Some(target) = &deployment.spillover_deployment {
                let fits = self
                    .deployments
                    .iter()
                    .any(|other| other.name == *target && !other.sku.is_provisioned());
                rule(
                    fits,
                    &path,
                    "spillover_deployment must name a standard deployment of the same account",
                )?;
                rule(
                    deployment.sku.is_provisioned(),
                    &path,
                    "only provisioned deployments spill over",
                )?;
            }
        }
        Ok(())
    }
}

/// Fails with this problem unless the condition holds.
pub(super) fn rule(holds: bool, path: &str, problem: &str) -> Result<(), ScenarioError> {
    if holds {
        Ok(())
    } else {
        Err(invalid(path, problem.to_owned()))
    }
}

fn invalid(path: &str, problem: String) -> ScenarioError {
    ScenarioError::Invalid {
        path: path.to_owned(),
        problem,
    }
}

/// Bound on the request log; at some 2 KB each this is 200 MB.
const MAX_RECORDED_REQUESTS: usize = 100_000;

/// How the regions that offer fine-tuned deployments, and their usual neighbours, are displayed.
const REGIONS: &[(&str, &str)] = &[
    ("australiaeast", "Australia East"),
    ("canadaeast", "Canada East"),
    ("eastus", "East US"),
    ("eastus2", "East US 2"),
    ("francecentral", "France Central"),
    ("germanywestcentral", "Germany West Central"),
    ("japaneast", "Japan East"),
    ("northcentralus", "North Central US"),
    ("norwayeast", "Norway East"),
    ("polandcentral", "Poland Central"),
    ("southcentralus", "South Central US"),
    ("spaincentral", "Spain Central"),
    ("swedencentral", "Sweden Central"),
    ("switzerlandnorth", "Switzerland North"),
    ("switzerlandwest", "Switzerland West"),
    ("uksouth", "UK South"),
    ("westeurope", "West Europe"),
    ("westus", "West US"),
    ("westus3", "West US 3"),
];

pub(super) fn any_loopback_port() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

fn default_recorded_requests() -> usize {
    256
}

fn default_context_tokens() -> u32 {
    128_000
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}
