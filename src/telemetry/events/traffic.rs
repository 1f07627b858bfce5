//! What happened to many requests, added up: too much for a line each.

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
    /// Those of them whose client got no whole answer of a deployment.
    pub unserved: u64,
    /// Since when, in milliseconds since the Unix epoch; none where it is told for the first time.
    pub since_ms: Option<i64>,
}

impl FailoversSeen<'_> {
    /// Logs and notes it.
    pub fn emit(&self, journal: &Journal, now_ms: i64) {
        let (route, from, to, requests, unserved) = (self.route, self.from, self.to, self.requests, self.unserved);
        let words = self.seen.words();
        info!(%route, %from, %to, outcome = self.seen.outcome, requests, unserved, "requests went on to another deployment");
        let rest = match (unserved, requests) {
            (0, _) => "",
            (1, 1) => "; it was not served",
            (1, _) => "; 1 of them was not served",
            (_, _) if unserved == requests => "; none of them was served",
            (_, _) => &format!("; {unserved} of them were not served"),
        };
        let (went, time) = counted(requests, self.since_ms, now_ms);
        let text = format!("{route}: {went} went on from {from} ({words}) to {to}{time}{rest}");
        let (severity, advice) = match (self.seen.outcome, unserved) {
            ("throttled", 0) => (
                Severity::Info,
                "clients were served; where this lasts, raise the deployment's capacity or add another",
            ),
            ("throttled", _) => (
                Severity::Warn,
                "raise the deployment's capacity or add another: not all of its requests found room elsewhere",
            ),
            ("credential_refused", _) => (
                Severity::Error,
                "the deployment refuses the gateway's credential: look at its key or role assignment",
            ),
            ("unavailable" | "misconfigured", _) => (
                Severity::Error,
                "the deployment is not there, or asked in a way it does not know: compare its name and API version",
            ),
            (_, 0) => (
                Severity::Warn,
                "clients were served; look at the deployment's region in Azure's status, or drain it if this lasts",
            ),
            (_, _) => (
                Severity::Warn,
                "look at the deployment's region in Azure's status, or drain it if this lasts; the others did not answer all either",
            ),
        };
        let note = Note::new(severity, EventKind::Failover, text).of(from).advise(advice);
        journal.note_at(now_ms, note);
    }
}

/// Requests of a route ended with a 429 of a deployment.
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
    /// Since when, in milliseconds since the Unix epoch; none where it is told for the first time.
    pub since_ms: Option<i64>,
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
        let (ended, time) = counted(requests, self.since_ms, now_ms);
        let text = format!("{route}: {ended} ended with a 429 of {deployment}{time}{rest}");
        let advice =
            "the pool's limits are used up: raise capacity, add a deployment, or let requests wait (`waiting`)";
        let note = Note::new(Severity::Warn, EventKind::Throttle, text)
            .of(deployment)
            .advise(advice);
        journal.note_at(now_ms, note);
    }
}

/// How many, and in which time where that is more than the ten seconds after which all is told at first: the event stands at its end.
fn counted(requests: u64, since_ms: Option<i64>, now_ms: i64) -> (String, String) {
    let (more, time) = match since_ms.map(|since_ms| now_ms.saturating_sub(since_ms) / 60_000) {
        None | Some(..=0) => ("", String::new()),
        Some(1) => (" more", " in the minute before".to_owned()),
        Some(minutes) => (" more", format!(" in the {minutes} minutes before")),
    };
    let counted = match requests {
        1 if more.is_empty() => "a request".to_owned(),
        1 => "one more request".to_owned(),
        _ => format!("{requests}{more} requests"),
    };
    (counted, time)
}
