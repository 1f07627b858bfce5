//! Guarding idle deployments, as [`guard`] decides: warns, steers a request, calls, deletes.

use std::collections::BTreeMap;

use crate::core::calendar::MINUTE_MS;
use crate::core::fleet::actual::ActualDeployment;
use crate::core::fleet::guard::{self, Action, Alarm, Clock, GuardReason, Replica, Verdict, Watched};
use crate::core::fleet::phoenix::{Event, State};
use crate::core::ids::DeploymentId;
use crate::fleet::alerts::{Severity, Topic};
use crate::fleet::care::Care;
use crate::fleet::traffic::Seen;
use crate::telemetry::events::care as events;

/// How long one that is to be deleted gets no requests before it is: the other gateways' clocks may be a little behind.
const LEAVING_MS: i64 = MINUTE_MS;

impl Care {
    /// Judges every deployment, and does what is due.
    pub(super) async fn guard(&mut self, seen: &BTreeMap<DeploymentId, Seen>) {
        let now_ms = (self.partners.now_ms)();
        let declared = self.declaration.declared.deployments.clone();
        for declared in &declared {
            let Some(terms) = self.declaration.terms.get(&declared.id).cloned() else {
                continue;
            };
            let seen = seen.get(&declared.id);
            let shown = self.actual.find(&declared.key);
            let efforts = self.efforts.get(&declared.id).copied().unwrap_or_default();
            let watched = Watched {
                id: &declared.id,
                policy: declared.policy,
                sku: declared.sku,
                rule_days: terms.rule_days,
                days: terms.days,
                clock: Clock {
                    created_at_ms: shown.and_then(|shown| shown.created_at_ms).max(terms.created_at_ms),
                    last_success_at_ms: seen.and_then(|seen| seen.last_success_at_ms),
                    first_seen_ms: seen.and_then(|seen| seen.first_seen_ms),
                },
                is_there: matches!(self.state(&declared.id), State::There | State::Doubted)
                    && shown.is_none_or(ActualDeployment::is_serving),
                price: terms.price,
            };
            let replica = Replica {
                name: &self.settings.replica,
                holds_lease: self.acts,
            };
            let verdict = guard::judge(&watched, efforts, replica, now_ms);
            let before = self.verdicts.insert(declared.id.clone(), verdict);
            if before.map(|before| before.alarm) != Some(verdict.alarm) {
                self.warn(
                    &declared.id,
                    before,
                    &verdict,
                    &verdict.sentence(terms.rule_days.unwrap_or_default()),
                );
            }
            if verdict.reason == GuardReason::Active {
                self.efforts.remove(&declared.id);
            }
            if verdict.steers {
                self.partners.traffic.steer(&declared.id);
                self.efforts.entry(declared.id.clone()).or_default().steered_at_ms = Some(now_ms);
            }
            if verdict.deletes_now(now_ms) && self.settings.writes {
                // Whoever acts: all gateways send it no new requests.
                self.leaving.entry(declared.id.clone()).or_insert(now_ms);
            } else {
                // A request that still ran there has succeeded meanwhile.
                self.leaving.remove(&declared.id);
            }
            match verdict.due {
                Some(Action::Call) => self.call(&declared.id, now_ms).await,
                Some(Action::Delete) => self.delete(&declared.id, seen, now_ms).await,
                Some(Action::Steer | Action::Rebuild | Action::LetGo) | None => {}
            }
        }
    }

    /// Tells that a deletion is nearer than before, or no longer near.
    fn warn(&self, deployment: &DeploymentId, before: Option<Verdict>, verdict: &Verdict, sentence: &str) {
        events::InactivityWarning {
            deployment,
            alarm: verdict.alarm,
            sentence,
        }
        .emit();
        let severity = match verdict.alarm {
            Alarm::None if before.is_none_or(|before| before.alarm == Alarm::None) => return,
            // Its absence is told.
            Alarm::None if verdict.reason == GuardReason::Gone => return,
            Alarm::None => Severity::Info,
            Alarm::Soon => Severity::Warning,
            Alarm::Urgent | Alarm::Overdue => Severity::Critical,
        };
        self.alert(severity, Topic::Inactivity, deployment, sentence.to_owned());
    }

    async fn call(&mut self, deployment: &DeploymentId, now_ms: i64) {
        self.efforts.entry(deployment.clone()).or_default().called_at_ms = Some(now_ms);
        let called = self.partners.traffic.call(deployment).await;
        let efforts = self.efforts.entry(deployment.clone()).or_default();
        match &called {
            Ok(_) => efforts.failures = 0,
            Err(_) => efforts.failures = efforts.failures.saturating_add(1),
        }
        let failures = efforts.failures;
        if let (Err(error), 1) = (&called, failures) {
            let text = format!("a call to keep it alive failed, and is tried again: {error}");
            self.alert(Severity::Warning, Topic::Keepalive, deployment, text);
        }
        events::KeptAlive {
            deployment,
            used: called
                .as_ref()
                .ok()
                .map(|used| (used.prompt_tokens, used.completion_tokens)),
            error: called.as_ref().err().map(String::as_str),
        }
        .emit(&self.partners.metrics);
    }

    /// Deletes what its policy wants deleted, once nothing runs there.
    async fn delete(&mut self, deployment: &DeploymentId, seen: Option<&Seen>, now_ms: i64) {
        // First it gets no new requests, from the other gateways either; then those that run end.
        let since_ms = self.leaving.get(deployment).copied();
        let has_left = since_ms.is_some_and(|since| now_ms - since >= LEAVING_MS);
        if !has_left || seen.is_some_and(|seen| seen.in_flight > 0) {
            return;
        }
        let Some(terms) = self.declaration.terms.get(deployment) else {
            return;
        };
        let arm_id = terms.arm_id.clone();
        self.happened(deployment, Event::Deleting).await;
        let deleted = self.partners.arm.delete(&arm_id, None).await;
        events::DeletedByPolicy {
            deployment,
            error: deleted.as_ref().err().map(|error| error as &dyn std::error::Error),
        }
        .emit();
        match &deleted {
            Ok(_) => {
                self.leaving.remove(deployment);
                let text = "was idle for as long as its policy says, and is deleted".to_owned();
                self.alert(Severity::Info, Topic::Deletion, deployment, text);
            }
            Err(error) => {
                let text = format!("cannot be deleted, as its policy says: {error}");
                self.alert(Severity::Warning, Topic::Deletion, deployment, text);
            }
        }
        self.wants_look = true;
    }
}
