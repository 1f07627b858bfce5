//! The scenario's `arm` section: where the control plane listens, who may do what there, how long things take, what they cost.
//!
//! Every field has a default, so that `arm: {}` is a whole control plane with one principal that may do everything. Where
//! the service's rule is not published, the field says so and the default is our choice.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::simulator::arm::bill::Prices;
use crate::simulator::arm::principals::{PrincipalSpec, StaticToken, usual_principals};
use crate::simulator::arm::time;
use crate::simulator::scenario::{ScenarioError, TlsSpec, any_loopback_port, rule};

/// Subscription of accounts that name none.
pub const SUBSCRIPTION: &str = "11111111-1111-4111-8111-111111111111";
/// Tenant of that subscription.
pub const TENANT: &str = "22222222-2222-4222-8222-222222222222";
/// Resource group of accounts that name none.
pub const RESOURCE_GROUP: &str = "emberway-sim";

/// The control plane.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArmSettings {
    /// Where it listens, token endpoints included. Port 0 picks a free one.
    pub address: SocketAddr,
    /// Whether it speaks TLS as well: a port with TLS answers plain HTTP too.
    pub tls: Option<ArmTls>,
    /// Where a generated certificate is written; the system's directory for temporary files when absent.
    pub certificate_to: Option<PathBuf>,
    /// Subscription of accounts that name none.
    pub subscription: String,
    /// Tenant of that subscription.
    pub tenant: String,
    /// Resource group of accounts that name none.
    pub resource_group: String,
    /// Further subscriptions.
    pub subscriptions: Vec<SubscriptionSpec>,
    /// Who can get a token, and what they may do.
    pub principals: Vec<PrincipalSpec>,
    /// Tokens that never expire, for scripts.
    pub tokens: Vec<StaticToken>,
    /// Audiences taken for the control plane besides Azure's.
    pub audiences: Vec<String>,
    /// What `X-IDENTITY-HEADER` must be.
    pub identity_header: String,
    /// How long a token lives, in seconds of the world; 1 and up.
    pub token_lifetime_s: u64,
    /// How long things take.
    pub durations: Durations,
    /// When deployments end by themselves, and what counts.
    pub rules: Rules,
    /// How much may be asked.
    pub limits: ArmLimits,
    /// Quota lines; every other has `limits.quota`.
    pub quota: Vec<QuotaLine>,
    /// Retirement dates instead of those of `config/models.yaml`.
    pub retirements: Vec<Retirement>,
    /// What is charged.
    pub prices: Prices,
    /// Where documentation and observation differ.
    pub compatibility: Compatibility,
}

impl Default for ArmSettings {
    fn default() -> Self {
        Self {
            address: any_loopback_port(),
            tls: None,
            certificate_to: None,
            subscription: SUBSCRIPTION.to_owned(),
            tenant: TENANT.to_owned(),
            resource_group: RESOURCE_GROUP.to_owned(),
            subscriptions: Vec::new(),
            principals: usual_principals(),
            tokens: vec![StaticToken::usual()],
            audiences: Vec::new(),
            identity_header: "sim-identity-header".to_owned(),
            token_lifetime_s: 3_600,
            durations: Durations::default(),
            rules: Rules::default(),
            limits: ArmLimits::default(),
            quota: Vec::new(),
            retirements: Vec::new(),
            prices: Prices::default(),
            compatibility: Compatibility::default(),
        }
    }
}

/// How the control plane gets its certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmTls {
    /// An authority of its own, made at the start and written to a file, and a certificate by it.
    Generated,
    /// From files.
    Files(TlsSpec),
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionSpec {
    /// Its id.
    pub id: String,
    /// The tenant that it belongs to.
    pub tenant: String,
}

/// How long operations take, in seconds of the world; 0 and up. The defaults are what is commonly seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Durations {
    /// To create a pay-per-token deployment.
    pub create_s: f64,
    /// To create a provisioned one.
    pub create_provisioned_s: f64,
    /// To change one.
    pub update_s: f64,
    /// To delete one.
    pub delete_s: f64,
    /// From success to the first answer; `404 DeploymentNotFound` until then.
    pub propagation_s: f64,
    /// What `Retry-After` asks for at most; less when less is left. At least 1 is sent.
    pub retry_after_s: u64,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            create_s: 120.0,
            create_provisioned_s: 300.0,
            update_s: 30.0,
            delete_s: 20.0,
            propagation_s: 60.0,
            retry_after_s: 10,
        }
    }
}

/// When deployments end by themselves.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Days without an answer after which a deployment of a fine-tuned model is deleted.
    pub inactivity_days: f64,
    /// Hours after which a Developer deployment is deleted, used or not.
    pub developer_hours: f64,
    /// Whether requests that failed count as use. Not published; ours is no.
    pub failed_calls_are_use: bool,
    /// Whether a paused deployment costs no hosting. Not published; ours is no.
    pub pause_stops_hosting: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            inactivity_days: 15.0,
            developer_hours: 24.0,
            failed_calls_are_use: false,
            pause_stops_hosting: false,
        }
    }
}

/// Bounds of the control plane.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArmLimits {
    /// Reads of a subscription in an hour.
    pub reads_per_hour: u32,
    /// Writes of a subscription in an hour.
    pub writes_per_hour: u32,
    /// Deletes of a subscription in an hour.
    pub deletes_per_hour: u32,
    /// Items of one page of a list.
    pub page_size: usize,
    /// Deployments of fine-tuned models in an account.
    pub fine_tuned_deployments: usize,
    /// Pay-per-token deployments in an account.
    pub standard_deployments: usize,
    /// Quota of a line that `quota` does not name: thousands of tokens a minute, or PTU.
    pub quota: u32,
}

impl Default for ArmLimits {
    fn default() -> Self {
        Self {
            reads_per_hour: 12_000,
            writes_per_hour: 1_200,
            deletes_per_hour: 15_000,
            page_size: 100,
            fine_tuned_deployments: 10,
            standard_deployments: 32,
            quota: 5_000,
        }
    }
}

/// One line of quota.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaLine {
    /// Subscription; that of `arm` when absent.
    #[serde(default)]
    pub subscription: Option<String>,
    /// Region.
    pub location: String,
    /// Usage name, such as `OpenAI.Standard.gpt-4.1-mini-finetune`.
    pub usage: String,
    /// Thousands of tokens a minute, or PTU.
    pub limit: u32,
}

/// When a model retires.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retirement {
    /// The model's family, such as `gpt-4.1-mini`.
    pub model: String,
    /// Date of the base model.
    #[serde(default)]
    pub base: Option<String>,
    /// Date of deployments of fine-tuned models.
    #[serde(default)]
    pub deployment: Option<String>,
}

/// Where documentation and observation differ, or clients do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compatibility {
    /// What a second write to an account meets.
    pub conflicts: Conflicts,
    /// Whether `POST` on a deployment is taken as `PUT`; else 405.
    pub post_as_put: bool,
    /// Whether the data plane's version 2024-10-21 is taken, as Microsoft's samples have it.
    pub accepts_2024_10_21: bool,
}

impl Default for Compatibility {
    fn default() -> Self {
        Self {
            conflicts: Conflicts::Refuse,
            post_as_put: false,
            accepts_2024_10_21: true,
        }
    }
}

/// What a write meets while another is under way in its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conflicts {
    /// 409 at once.
    Refuse,
    /// It is accepted and its operation fails later.
    FailLater,
}

impl ArmSettings {
    /// The tenant of a subscription, when there is one.
    pub fn tenant_of(&self, subscription: &str) -> Option<&str> {
        if subscription.eq_ignore_ascii_case(&self.subscription) {
            return Some(&self.tenant);
        }
        let found = self
            .subscriptions
            .iter()
            .find(|spec| spec.id.eq_ignore_ascii_case(subscription));
        found.map(|spec| spec.tenant.as_str())
    }

    /// All subscriptions, the usual one first.
    pub fn all_subscriptions(&self) -> Vec<SubscriptionSpec> {
        let usual = SubscriptionSpec {
            id: self.subscription.clone(),
            tenant: self.tenant.clone(),
        };
        [usual].into_iter().chain(self.subscriptions.iter().cloned()).collect()
    }

    /// Whether a tenant is in this world.
    pub fn has_tenant(&self, tenant: &str) -> bool {
        let own = self.subscriptions.iter().map(|spec| spec.tenant.as_str());
        own.chain([self.tenant.as_str()])
            .any(|id| id.eq_ignore_ascii_case(tenant))
    }

    pub(in crate::simulator) fn check(&self) -> Result<(), ScenarioError> {
        let times = &self.durations;
        for (name, seconds) in [
            ("create_s", times.create_s),
            ("create_provisioned_s", times.create_provisioned_s),
            ("update_s", times.update_s),
            ("delete_s", times.delete_s),
            ("propagation_s", times.propagation_s),
        ] {
            rule(
                (0.0..=86_400.0).contains(&seconds),
                &format!("arm.durations.{name}"),
                "0 to 86400",
            )?;
        }
        let days = self.rules.inactivity_days;
        rule(
            (0.0..=3_650.0).contains(&days),
            "arm.rules.inactivity_days",
            "0 to 3650",
        )?;
        let hours = self.rules.developer_hours;
        rule(
            (0.0..=87_600.0).contains(&hours),
            "arm.rules.developer_hours",
            "0 to 87600",
        )?;
        rule(self.token_lifetime_s > 0, "arm.token_lifetime_s", "1 and up")?;
        rule(self.limits.page_size > 0, "arm.limits.page_size", "1 and up")?;
        for retirement in &self.retirements {
            let dates = [&retirement.base, &retirement.deployment];
            let fits = dates
                .iter()
                .all(|date| date.as_deref().is_none_or(|date| time::parse(date).is_some()));
            rule(fits, "arm.retirements", "dates such as 2027-10-14")?;
        }
        for token in &self.tokens {
            let known = self
                .principals
                .iter()
                .any(|principal| principal.name == token.principal);
            rule(known, "arm.tokens", "`principal` must name one of `principals`")?;
        }
        Ok(())
    }
}
