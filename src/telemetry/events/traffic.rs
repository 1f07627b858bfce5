//! What happened to many requests in ten seconds, added up: too much for a line each.

use tracing::info;

use crate::core::ids::{DeploymentId, RouteId};
use crate::telemetry::journal::{EventKind, Journal, Note, Severity};

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
pub struct OutcomeSeen {
    /// The word for it.
    pub outcome: &'static str,
    /// The upstream's status, 0 without an answer.
    pub status: u16,
}

impl OutcomeSeen {
    /// In a few words.
    fn words(self) -> String {
        match (self.outcome, self.status) {
            ("timeout", _) => "no answer in time".to_owned(),
            ("unreachable", _) => "no connection".to_owned(),
            ("reset", _) => "connection broke".to_owned(),
            (outcome, 0) => outcome.replace('_', " "),
            (_, status) => status.to_string(),
        }
    }
}

/// Requests of a route went on from one deployment to another.
#[derive(Debug)]
pub struct FailoversSeen<'a> {
    /// Whose requests.
    pub route: &'a RouteId,
    /// Who did not answer.
    pub from: &'a DeploymentId,
    /// Who was asked next.
    pub to: &'a DeploymentId,
    /// What came of the first.
    pub seen: OutcomeSeen,
    /// How many.
    pub requests: u64,
}

impl FailoversSeen<'_> {
    /// Logs and notes it.
    pub fn emit(&self, journal: &Journal, now_ms: i64) {
        let (route, from, to, requests) = (self.route, self.from, self.to, self.requests);
        let words = self.seen.words();
        info!(%route, %from, %to, outcome = self.seen.outcome, requests, "requests went on to another deployment");
        let went = if requests == 1 {
            "a request".to_owned()
        } else {
            format!("{requests} requests")
        };
        let text = format!("{route}: {went} went on from {from} ({words}) to {to}");
        let (severity, advice) = match self.seen.outcome {
            "throttled" => (
                Severity::Info,
                "clients were served; where this lasts, raise the deployment's capacity or add another",
            ),
            "credential_refused" => (
                Severity::Error,
                "the deployment refuses the gateway's credential: look at its key or role assignment",
            ),
            "unavailable" | "misconfigured" => (
                Severity::Error,
                "the deployment is not there, or asked in a way it does not know: compare its name and API version",
            ),
            _ => (
                Severity::Warn,
                "clients were served; look at the deployment's region in Azure's status, or drain it if this lasts",
            ),
        };
        let note = Note::new(severity, EventKind::Failover, text).of(from).advise(advice);
        journal.note_at(now_ms, note);
    }
}

/// Requests of a route ended with a 429 of a deployment, and went nowhere else.
#[derive(Debug)]
pub struct ThrottlesSeen<'a> {
    /// Whose requests.
    pub route: &'a RouteId,
    /// Who sent it.
    pub deployment: &'a DeploymentId,
    /// How many.
    pub requests: u64,
    /// The longest rest that it asked for, in milliseconds; 0 for none.
    pub rest_ms: u64,
}

impl ThrottlesSeen<'_> {
    /// Logs and notes it.
    pub fn emit(&self, journal: &Journal, now_ms: i64) {
        let (route, deployment, requests) = (self.route, self.deployment, self.requests);
        info!(%route, %deployment, requests, rest_ms = self.rest_ms, "requests ended with a 429");
        let rest = match self.rest_ms {
            0 => String::new(),
            ms => format!("; it asks for {:.1} s of rest", ms as f64 / 1_000.0),
        };
        let times = if requests == 1 {
            "once".to_owned()
        } else {
            format!("{requests} times")
        };
        let text = format!("{route}: {deployment} answered with 429 {times}, and no other deployment was asked{rest}");
        let advice =
            "the pool's limits are used up: raise capacity, add a deployment, or let requests wait (`waiting`)";
        let note = Note::new(Severity::Warn, EventKind::Throttle, text)
            .of(deployment)
            .advise(advice);
        journal.note_at(now_ms, note);
    }
}
