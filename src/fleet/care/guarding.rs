//! Guarding idle deployments, as [`guard`] decides: warns, steers a request, calls, deletes.

use std::collections::BTreeMap;

use crate::core::fleet::actual::ActualDeployment;
use crate::core::fleet::guard::{self, Action, Clock, Replica, Watched};
use crate::core::fleet::phoenix::{Event, State};
use crate::core::ids::DeploymentId;
use crate::fleet::care::Care;
use crate::fleet::traffic::Seen;
use crate::telemetry::events::care as events;

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
            // One process acts alone until replicas share a lease.
            let replica = Replica {
                name: &self.settings.replica,
                holds_lease: true,
            };
            let verdict = guard::judge(&watched, efforts, replica, now_ms);
            let before = self.verdicts.insert(declared.id.clone(), verdict);
            if before.map(|before| before.alarm) != Some(verdict.alarm) {
                events::InactivityWarning {
                    deployment: &declared.id,
                    alarm: verdict.alarm,
                    sentence: &verdict.sentence(terms.rule_days.unwrap_or_default()),
                }
                .emit();
            }
            if verdict.reason == guard::GuardReason::Active {
                self.efforts.remove(&declared.id);
            }
            if verdict.steers {
                self.partners.traffic.steer(&declared.id);
                self.efforts.entry(declared.id.clone()).or_default().steered_at_ms = Some(now_ms);
            }
            if verdict.due != Some(Action::Delete) {
                // A request that still ran there has succeeded meanwhile.
                self.leaving.remove(&declared.id);
            }
            match verdict.due {
                Some(Action::Call) => self.call(&declared.id, now_ms).await,
                Some(Action::Delete) => self.delete(&declared.id, seen).await,
                Some(Action::Steer | Action::Rebuild | Action::LetGo) | None => {}
            }
        }
    }

    async fn call(&mut self, deployment: &DeploymentId, now_ms: i64) {
        self.efforts.entry(deployment.clone()).or_default().called_at_ms = Some(now_ms);
        let called = self.partners.traffic.call(deployment).await;
        let efforts = self.efforts.entry(deployment.clone()).or_default();
        match &called {
            Ok(_) => efforts.failures = 0,
            Err(_) => efforts.failures = efforts.failures.saturating_add(1),
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
    async fn delete(&mut self, deployment: &DeploymentId, seen: Option<&Seen>) {
        if !self.settings.writes {
            return;
        }
        // First it gets no new requests; then those that run end.
        if self.leaving.insert(deployment.clone()) || seen.is_some_and(|seen| seen.in_flight > 0) {
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
        if deleted.is_ok() {
            self.leaving.remove(deployment);
        }
        self.wants_look = true;
    }
}
