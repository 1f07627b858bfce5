//! What people have been told: each thing once, across restarts and whoever acts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::calendar::{MINUTE_MS, shown_span};
use crate::core::fleet::guard::Alarm;
use crate::core::ids::DeploymentId;
use crate::core::recovery::absence::Absence;
use crate::fleet::alerts::{Alert, Severity, Topic};
use crate::fleet::care::Care;
use crate::fleet::care::ending::Nearness;
use crate::fleet::care::memory::{self, MemoryError};
use crate::storage::notes::NoteStore;
use crate::telemetry::events::care as events;

/// How long an account may not be readable before people are told.
const BLIND_MS: i64 = 10 * MINUTE_MS;
/// The name of what is stored.
const NOTE: &str = "told";

/// What people know of one deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// Why it gets no requests.
    absence: Option<String>,
    /// How near its deletion is.
    urgency: Option<String>,
    /// How near its end by date is.
    end: Option<Nearness>,
}

/// What people have been told of each deployment.
#[derive(Debug, Default)]
pub(super) struct Told {
    known: BTreeMap<DeploymentId, Known>,
    /// Whether it is to be stored.
    is_new: bool,
}

impl Told {
    /// Reads what an earlier process has told.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what is not understood.
    pub(super) async fn recall(notes: &dyn NoteStore) -> Result<Self, MemoryError> {
        Ok(Self {
            known: memory::recall(notes, NOTE).await?,
            is_new: false,
        })
    }

    fn of(&mut self, deployment: &DeploymentId) -> &mut Known {
        self.is_new = true;
        self.known.entry(deployment.clone()).or_default()
    }

    fn find(&self, deployment: &DeploymentId) -> Known {
        self.known.get(deployment).cloned().unwrap_or_default()
    }
}

/// Why a deployment gets no requests, with the rule that people meet only as a 404 otherwise.
pub(super) fn why(absence: Absence, rule_days: Option<u32>) -> String {
    let sentence = absence.sentence();
    match (absence, rule_days) {
        (Absence::Missing, Some(days)) if days > 0 => format!(
            "{sentence} (Azure deletes deployments of fine-tuned models after {days} days without a successful call)"
        ),
        _ => sentence.to_owned(),
    }
}

impl Care {
    /// Tells people of what has happened, if a webhook is configured. Of the gateways on one usage file, whoever acts does.
    pub(super) fn alert(&self, severity: Severity, topic: Topic, deployment: &DeploymentId, text: String) {
        if self.acts {
            self.alert_anyway(severity, topic, Some(deployment), text);
        }
    }

    fn alert_anyway(&self, severity: Severity, topic: Topic, deployment: Option<&DeploymentId>, text: String) {
        if let Some(alerts) = &self.partners.alerts {
            alerts.send(Alert {
                severity,
                topic,
                deployment: deployment.map(ToString::to_string),
                text,
            });
        }
    }

    /// Whether people are told of states by this process.
    fn tells(&self) -> bool {
        self.acts && self.partners.alerts.is_some()
    }

    /// That nobody can say who acts.
    pub(super) fn alert_of_lease(&self) {
        let text =
            "the usage store cannot be written, so no gateway calls, rebuilds or deletes until a deployment's last day";
        self.alert_anyway(Severity::Critical, Topic::Store, None, text.to_owned());
    }

    /// Tells of accounts that could not be read for a while, once for each time.
    pub(super) fn tell_blindness(&mut self, now_ms: i64) {
        let mut oldest: Option<(String, i64)> = None;
        for account in &self.declaration.declared.accounts {
            let read_at = self.actual.accounts.get(account).map(|view| view.seen_at_ms);
            let since = read_at.unwrap_or(self.began_ms);
            if oldest.as_ref().is_none_or(|(_, at)| since < *at) {
                oldest = Some((account.name().to_owned(), since));
            }
        }
        let blind = oldest.filter(|(_, since)| now_ms - since >= BLIND_MS);
        if let Some((account, since)) = blind.as_ref().filter(|_| !self.is_blind) {
            let text = format!(
                "account `{account}` could not be read for {}: what Azure showed last stays in use (see the log)",
                shown_span(now_ms - since)
            );
            if self.acts {
                self.alert_anyway(Severity::Critical, Topic::Azure, None, text);
            }
        } else if blind.is_none() && self.is_blind && self.acts {
            self.alert_anyway(
                Severity::Info,
                Topic::Azure,
                None,
                "all accounts can be read again".to_owned(),
            );
        }
        self.is_blind = blind.is_some();
    }

    /// Tells why a deployment gets no requests, or that it gets them again, where that is another thing than people know.
    pub(super) fn tell_absence(&mut self, deployment: &DeploymentId, absence: Option<Absence>) {
        let word = absence.map(|absence| absence.as_ref().to_owned());
        let known = self.told.find(deployment).absence;
        if !self.tells() || known == word {
            return;
        }
        let terms = self.declaration.terms.get(deployment);
        let rule_days = terms.and_then(|terms| terms.rule_days);
        let (severity, text) = match absence {
            None => (Severity::Info, "gets requests again".to_owned()),
            Some(absence) => {
                // By its policy, or told apart.
                let severity = match absence {
                    Absence::Deleting | Absence::Provisioning | Absence::Ending => Severity::Info,
                    _ => Severity::Critical,
                };
                (severity, format!("gets no requests: it {}", why(absence, rule_days)))
            }
        };
        // What its policy does is told when it is done.
        let deleting = Some(Absence::Deleting.as_ref().to_owned());
        if word != deleting && known != deleting {
            self.alert(severity, Topic::Absence, deployment, text);
        }
        self.told.of(deployment).absence = word;
    }

    /// Tells that a deletion is nearer than people know, or no longer near.
    pub(super) fn tell_urgency(&mut self, deployment: &DeploymentId, alarm: Alarm, sentence: &str) {
        let word = (alarm != Alarm::None).then(|| alarm.as_str().to_owned());
        if !self.tells() || self.told.find(deployment).urgency == word {
            return;
        }
        let severity = match alarm {
            Alarm::None => Severity::Info,
            Alarm::Soon => Severity::Warning,
            Alarm::Urgent | Alarm::Overdue => Severity::Critical,
        };
        self.alert(severity, Topic::Inactivity, deployment, sentence.to_owned());
        self.told.of(deployment).urgency = word;
    }

    /// Its absence is told; its idleness is over without a word.
    pub(super) fn forget_urgency(&mut self, deployment: &DeploymentId) {
        if self.tells() && self.told.find(deployment).urgency.is_some() {
            self.told.of(deployment).urgency = None;
        }
    }

    /// Tells that an end by date is nearer than people know.
    pub(super) fn tell_end(&mut self, deployment: &DeploymentId, nearness: Option<Nearness>, sentence: String) {
        let known = self.told.find(deployment).end;
        if !self.tells() || known == nearness {
            return;
        }
        if nearness > known {
            let severity = match nearness {
                Some(Nearness::Near) => Severity::Critical,
                _ => Severity::Warning,
            };
            self.alert(severity, Topic::End, deployment, sentence);
        }
        self.told.of(deployment).end = nearness;
    }

    /// Stores what was told in this turn.
    pub(super) async fn remember_told(&mut self) {
        if !self.told.is_new || !self.acts {
            return;
        }
        let now_ms = (self.partners.now_ms)();
        let known = self.told.known.iter();
        let known = known
            .filter(|(_, known)| **known != Known::default())
            .map(|(deployment, known)| (&***deployment, known));
        match memory::remember(&*self.partners.notes, NOTE, known.collect(), now_ms).await {
            Ok(()) => self.told.is_new = false,
            Err(error) => events::MemoryFailing { error: &error }.emit(),
        }
    }
}
