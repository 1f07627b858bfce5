//! What happens to deployments and resources.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use crate::core::ids::{DeploymentId, ResourceId};
use crate::core::recovery::health::BreakerState;
use crate::core::recovery::outcome::Alarm;
use crate::telemetry::journal::Journal;

/// A circuit breaker changed its state.
#[derive(Debug)]
pub struct BreakerChanged<'a> {
    /// Whose.
    pub of: BreakerOf<'a>,
    /// To what.
    pub state: BreakerState,
    /// The outcome that caused it.
    pub cause: &'static str,
}

/// Whose circuit breaker it is.
#[derive(Debug)]
pub enum BreakerOf<'a> {
    /// One deployment's.
    Deployment(&'a DeploymentId),
    /// A whole resource's.
    Resource(&'a ResourceId),
}

impl BreakerChanged<'_> {
    /// Logs it; the metric shows the state at the scrape.
    pub fn emit(&self, journal: &Journal) {
        journal.note(self.note());
        let (state, cause) = (self.state.as_ref(), self.cause);
        let (deployment, resource) = match self.of {
            BreakerOf::Deployment(id) => (Some(&***id), None),
            BreakerOf::Resource(id) => (None, Some(&***id)),
        };
        match self.state {
            BreakerState::Open => warn!(deployment, resource, state, cause, "circuit breaker changed"),
            BreakerState::HalfOpen | BreakerState::Closed => {
                info!(deployment, resource, state, cause, "circuit breaker changed");
            }
        }
    }
}

/// A deployment answered that it cannot work until somebody mends something.
#[derive(Debug)]
pub struct AlarmRaised<'a> {
    /// Which deployment answered so.
    pub deployment: &'a DeploymentId,
    /// What about.
    pub alarm: Alarm,
    /// Whether it was not known.
    pub is_news: bool,
}

impl AlarmRaised<'_> {
    /// Logs it; the metric shows it until the deployment works again.
    pub fn emit(&self, journal: &Journal) {
        if self.is_news {
            journal.note(self.note());
        }
        let (deployment, alarm, advice) = (&***self.deployment, self.alarm.as_ref(), self.alarm.advice());
        if self.is_news {
            error!(deployment, alarm, advice, "a deployment needs somebody");
        } else {
            debug!(deployment, alarm, advice, "a deployment needs somebody");
        }
    }
}

/// An exchange with a deployment gave no answer: no connection, or none that held.
#[derive(Debug)]
pub struct ExchangeFailed<'a> {
    /// Whose.
    pub deployment: &'a DeploymentId,
    /// Host, and port where it is not the scheme's own.
    pub host: &'a str,
    /// Why: name, TCP, TLS, reset or time.
    pub error: &'a (dyn std::error::Error + 'static),
    /// Whether it is some seconds since this was last said of the deployment.
    pub is_news: bool,
}

impl ExchangeFailed<'_> {
    /// Logs it; counted with its attempt. An outage fails every request, so what is no news is told at `debug`.
    pub fn emit(&self) {
        let (deployment, host, error) = (&***self.deployment, self.host, self.error);
        if self.is_news {
            warn!(deployment, host, %error, "no answer from the deployment");
        } else {
            debug!(deployment, host, %error, "no answer from the deployment");
        }
    }
}

/// A deployment refused a member of the body that the gateway had added; it is sent without for a while.
#[derive(Debug)]
pub struct OptionRefused<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
    /// The member.
    pub option: &'static str,
}

impl OptionRefused<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let deployment = &***self.deployment;
        warn!(
            deployment,
            option = self.option,
            "the deployment refuses what the gateway adds to requests; it is sent without for an hour"
        );
    }
}

/// A host's name could not be looked up again; its last addresses stay in use.
#[derive(Debug)]
pub struct LookupFailed<'a> {
    /// Whose name.
    pub host: &'a str,
    /// Why.
    pub error: &'a std::io::Error,
}

impl LookupFailed<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(
            host = self.host,
            error = %self.error,
            "name lookup failed; its last address stays in use"
        );
    }
}

/// A deployment was throttled, or asked for a pause, and rests. Happens in the course of business, so it is told at `debug`.
#[derive(Debug)]
pub struct DeploymentCooling<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
    /// For how long.
    pub rest: Duration,
    /// The outcome of the attempt that told.
    pub cause: &'static str,
}

impl DeploymentCooling<'_> {
    /// Logs it; the metric shows the rest at the scrape.
    pub fn emit(&self) {
        let (deployment, rest_s, cause) = (&***self.deployment, self.rest.as_secs_f64(), self.cause);
        debug!(deployment, rest_s, cause, "deployment rests");
    }
}

/// A deployment's headers tell of another limit than before.
#[derive(Debug)]
pub struct LimitChanged<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
    /// Tokens a minute that were believed.
    pub before: f64,
    /// Tokens a minute now in force.
    pub after: f64,
    /// Tokens a minute that the configuration names.
    pub configured: Option<f64>,
}

impl LimitChanged<'_> {
    /// Logs it; the metric is read at the scrape.
    pub fn emit(&self, journal: &Journal) {
        if let Some(configured) = self.configured.filter(|configured| self.after < *configured) {
            journal.note(self.note(configured));
        }
        let (deployment, before, after, configured) = (&***self.deployment, self.before, self.after, self.configured);
        if configured.is_some_and(|configured| after < configured) {
            warn!(
                deployment,
                before, after, configured, "the deployment's limit is lower than configured"
            );
        } else {
            info!(
                deployment,
                before, after, configured, "the deployment's limit has changed"
            );
        }
    }
}

/// What had been sent to a deployment before is not in its cache any more.
#[derive(Debug)]
pub struct CacheLost<'a> {
    /// Which.
    pub deployment: &'a DeploymentId,
}

impl CacheLost<'_> {
    /// Logs it.
    pub fn emit(&self) {
        info!(
            deployment = &***self.deployment,
            "the deployment's cache has lost what was sent before; prompts are not kept there for its sake"
        );
    }
}
