//! What happens to the fleet at Azure: looks, losses, rebuilding, the inactivity guard. None of it is on a request's way.

use std::error::Error;

use tracing::{error, info, warn};

use crate::core::fleet::guard::Alarm;
use crate::core::ids::{DeploymentId, ResourceId};
use crate::core::ledger::bill::{CostKind, Sum};
use crate::core::recovery::absence::Absence;
use crate::telemetry::definitions::KEEPALIVE_RESULTS;
use crate::telemetry::journal::Journal;
use crate::telemetry::metrics::Metrics;

/// An account was read, or could not be.
#[derive(Debug)]
pub struct Looked<'a> {
    /// The account's name.
    pub account: &'a str,
    /// Why it could not be read; what was seen last stays.
    pub error: Option<&'a dyn Error>,
}

impl Looked<'_> {
    /// Counts it, and logs a failure.
    pub fn emit(&self, metrics: &Metrics) {
        let result = if self.error.is_some() { "failed" } else { "read" };
        metrics.fleet_looks.with_label_values(&[result]).inc();
        if let Some(error) = self.error {
            warn!(
                account = self.account,
                error = %error,
                "cannot read the account's deployments; what was seen last stays in use"
            );
        }
    }
}

/// What Azure says of a deployment is another thing than before.
#[derive(Debug)]
pub struct StandingChanged<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
    /// Why it gets no requests; none where it does.
    pub absence: Option<Absence>,
    /// The same in words, with the rule that may have ended it.
    pub why: &'a str,
}

impl StandingChanged<'_> {
    /// Logs it.
    pub fn emit(&self, journal: &Journal) {
        journal.note(self.note());
        let deployment = self.deployment;
        if let Some(absence) = self.absence {
            let why = self.why;
            warn!(%deployment, absence = absence.as_ref(), "gets no requests: it {why}");
        } else {
            info!(%deployment, "gets requests: Azure shows it in order");
        }
    }
}

/// The rebuilding of a deployment is further than before.
#[derive(Debug)]
pub struct RebuildingMoved<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
    /// How far it was.
    pub before: &'static str,
    /// How far it is.
    pub after: &'static str,
}

impl RebuildingMoved<'_> {
    /// Logs it.
    pub fn emit(&self) {
        info!(deployment = %self.deployment, before = self.before, after = self.after, "rebuilding");
    }
}

/// A deployment was asked to be made again.
#[derive(Debug)]
pub struct Rebuilt<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
    /// Why Azure did not take it.
    pub error: Option<&'a dyn Error>,
}

impl Rebuilt<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.journal().note(self.note());
        let result = if self.error.is_some() { "failed" } else { "begun" };
        let labels = &[&**self.deployment, result];
        metrics.rebuilds.with_label_values(labels).inc();
        if let Some(error) = self.error {
            warn!(deployment = %self.deployment, error = %error, "cannot be made again");
        } else {
            info!(deployment = %self.deployment, "is being made again");
        }
    }
}

/// Requests need a lost deployment, and whoever rebuilds could not be told or asked.
#[derive(Debug)]
pub struct NeedUntold<'a> {
    /// Why.
    pub error: &'a dyn Error,
}

impl NeedUntold<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(error = %self.error, "gateways on the usage file cannot tell each other which lost deployments are needed");
    }
}

/// A deployment will not be made again without an operator.
#[derive(Debug)]
pub struct RebuildingGivenUp<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
    /// Whether anything may be written.
    pub writes: bool,
}

impl RebuildingGivenUp<'_> {
    /// Logs it.
    pub fn emit(&self, journal: &Journal) {
        journal.note(self.note());
        let deployment = self.deployment;
        if self.writes {
            error!(%deployment, "is lost and not made again: an operator must look at it (`emberway fleet plan`)");
        } else {
            error!(%deployment, "is lost and not made again while `azure.writes` is false");
        }
    }
}

/// What must outlive the process could not be stored.
#[derive(Debug)]
pub struct MemoryFailing<'a> {
    /// Why.
    pub error: &'a dyn Error,
}

impl MemoryFailing<'_> {
    /// Logs it.
    pub fn emit(&self) {
        error!(error = %self.error, "cannot store how far rebuilding is; nothing is made until that works");
    }
}

/// It could not be found out which of the gateways on the usage file acts.
#[derive(Debug)]
pub struct LeaseFailing<'a> {
    /// Why.
    pub error: &'a dyn Error,
}

impl LeaseFailing<'_> {
    /// Logs it.
    pub fn emit(&self) {
        error!(
            error = %self.error,
            "cannot take or renew the fleet's lease; without it nothing is called, made or deleted until a deployment's last day"
        );
    }
}

/// This gateway acts on the fleet from now on, or another on the same usage file does.
#[derive(Debug)]
pub struct LeaseMoved {
    /// Whether it is this one.
    pub is_ours: bool,
}

impl LeaseMoved {
    /// Logs it.
    pub fn emit(&self) {
        if self.is_ours {
            info!("looks after the fleet: calls, rebuilds and deletes by policy");
        } else {
            info!("another gateway on the same usage file calls, rebuilds and deletes by policy");
        }
    }
}

/// A deployment's end by date is nearer than before.
#[derive(Debug)]
pub struct EndNear<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
    /// In words, with the date.
    pub sentence: &'a str,
    /// Whether its weight has begun to fall.
    pub is_fading: bool,
}

impl EndNear<'_> {
    /// Logs it.
    pub fn emit(&self, journal: &Journal) {
        journal.note(self.note());
        let (deployment, sentence) = (self.deployment, self.sentence);
        if self.is_fading {
            error!(%deployment, "{sentence}");
        } else {
            warn!(%deployment, "{sentence}");
        }
    }
}

/// A deployment's idleness is more or less urgent than before.
#[derive(Debug)]
pub struct InactivityWarning<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
    /// How urgent.
    pub alarm: Alarm,
    /// In words, with the rule.
    pub sentence: &'a str,
}

impl InactivityWarning<'_> {
    /// Logs it.
    pub fn emit(&self, journal: &Journal) {
        if let Some(note) = self.note() {
            journal.note(note);
        }
        let (deployment, sentence) = (self.deployment, self.sentence);
        match self.alarm {
            Alarm::None => {}
            Alarm::Soon => warn!(%deployment, alarm = self.alarm.as_str(), "{sentence}"),
            Alarm::Urgent | Alarm::Overdue => error!(%deployment, alarm = self.alarm.as_str(), "{sentence}"),
        }
    }
}

/// A deployment was called so that Azure does not delete it.
#[derive(Debug)]
pub struct KeptAlive<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
    /// Prompt and completion tokens that it cost.
    pub used: Option<(u64, u64)>,
    /// What came instead of an answer.
    pub error: Option<&'a str>,
}

/// The word for a call that came to this.
fn call_result(error: Option<&str>) -> &'static str {
    let [answered, failed] = KEEPALIVE_RESULTS;
    if error.is_some() { failed } else { answered }
}

impl KeptAlive<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.journal().note(self.note());
        let labels = &[&**self.deployment, call_result(self.error)];
        metrics.keepalives.with_label_values(labels).inc();
        let deployment = self.deployment;
        match (self.error, self.used) {
            (Some(error), _) => warn!(%deployment, error, "a call to keep it alive failed; it is tried again"),
            (None, used) => {
                let (prompt_tokens, completion_tokens) = used.unwrap_or_default();
                info!(%deployment, prompt_tokens, completion_tokens, "was called so that Azure does not delete it");
            }
        }
    }
}

/// An operator had a deployment called.
#[derive(Debug)]
pub struct Pinged<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
    /// Prompt and completion tokens that it cost.
    pub used: Option<(u64, u64)>,
    /// What came instead of an answer.
    pub error: Option<&'a str>,
}

impl Pinged<'_> {
    /// Logs and counts it, as a keepalive: that is what Azure and the bill make of it.
    pub fn emit(&self, metrics: &Metrics) {
        let labels = &[&**self.deployment, call_result(self.error)];
        metrics.keepalives.with_label_values(labels).inc();
        let deployment = self.deployment;
        let (prompt_tokens, completion_tokens) = self.used.unwrap_or_default();
        if let Some(error) = self.error {
            info!(%deployment, error, "was called for an operator, in vain");
        } else {
            info!(%deployment, prompt_tokens, completion_tokens, "was called for an operator");
        }
    }
}

/// A record of a request's tokens was written.
#[derive(Debug)]
pub struct Charged<'a> {
    /// Who answered.
    pub deployment: &'a DeploymentId,
    /// Whether a client asked or the gateway itself.
    pub kind: CostKind,
    /// What it costs.
    pub sum: Sum,
}

impl Charged<'_> {
    /// Counts it.
    pub fn emit(&self, metrics: &Metrics) {
        let (cost, saved) = (self.sum.micro_usd as f64 / 1e6, self.sum.saved_micro_usd as f64 / 1e6);
        // What costs nothing, or has no price, makes no series.
        if cost > 0.0 {
            let labels = &[&**self.deployment, self.kind.as_str()];
            metrics.token_usd.with_label_values(labels).inc_by(cost);
        }
        if saved > 0.0 {
            metrics
                .cache_saved_usd
                .with_label_values(&[&**self.deployment])
                .inc_by(saved);
        }
    }
}

/// A deployment was deleted since its policy says so.
#[derive(Debug)]
pub struct DeletedByPolicy<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
    /// Why Azure did not.
    pub error: Option<&'a dyn Error>,
}

impl DeletedByPolicy<'_> {
    /// Logs it.
    pub fn emit(&self, journal: &Journal) {
        journal.note(self.note());
        let deployment = self.deployment;
        if let Some(error) = self.error {
            warn!(%deployment, error = %error, "cannot be deleted, as its policy says");
        } else {
            info!(%deployment, "was idle for as long as its policy says, and is deleted");
        }
    }
}

/// An alert for people was sent, or was not.
#[derive(Debug)]
pub struct Alerted {
    /// `sent`, `failed` or `dropped`.
    pub result: &'static str,
}

impl Alerted {
    /// Counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.alerts.with_label_values(&[self.result]).inc();
    }
}

/// An alert could not be sent, tries included.
#[derive(Debug)]
pub struct AlertUnsent<'a> {
    /// The webhook's host; its path may be a secret.
    pub host: &'a str,
    /// Why.
    pub cause: &'a str,
}

impl AlertUnsent<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(
            host = self.host,
            cause = self.cause,
            "an alert could not be sent by the webhook"
        );
    }
}

/// A write to Azure could not be written down.
#[derive(Debug)]
pub struct AuditFailing<'a> {
    /// What was written to: path and query.
    pub target: &'a str,
    /// Why.
    pub error: &'a dyn Error,
}

impl AuditFailing<'_> {
    /// Logs it.
    pub fn emit(&self) {
        error!(target = self.target, error = %self.error, "a write to Azure is missing in the audit");
    }
}

/// When deployments were there could not be stored.
#[derive(Debug)]
pub struct LivesFailing<'a> {
    /// Why.
    pub error: &'a dyn Error,
}

impl LivesFailing<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(error = %self.error, "cannot store which deployments are there; what they cost is dated by the next time that works");
    }
}

/// What the configuration declares cannot be looked after.
#[derive(Debug)]
pub struct DeclarationUnusable<'a> {
    /// Why.
    pub error: &'a dyn Error,
}

impl DeclarationUnusable<'_> {
    /// Logs it.
    pub fn emit(&self) {
        error!(error = %self.error, "the declared fleet cannot be looked after; what was declared before still is");
    }
}

/// A resource's requests carry another token of Microsoft Entra ID, or there is none.
#[derive(Debug)]
pub struct LoginChanged<'a> {
    /// Whose requests.
    pub resource: &'a ResourceId,
    /// Why there is none.
    pub error: Option<&'a dyn Error>,
}

impl LoginChanged<'_> {
    /// Logs it.
    pub fn emit(&self, journal: &Journal) {
        if let Some(error) = self.error {
            journal.note(self.note(error));
        }
        if let Some(error) = self.error {
            error!(resource = %self.resource, error = %error, "no token for the resource's requests");
        } else {
            info!(resource = %self.resource, "the resource's requests carry a new token");
        }
    }
}
