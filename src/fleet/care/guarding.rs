//! Guarding idle deployments, as [`guard`] decides: warns, steers a request, calls, and has those deleted whose policy says so.

use std::collections::BTreeMap;

use crate::core::calendar::MINUTE_MS;
use crate::core::fleet::actual::Provisioning;
use crate::core::fleet::guard::{self, Action, Clock, GuardReason, Replica, Verdict, Watched};
use crate::core::fleet::phoenix::State;
use crate::core::ids::DeploymentId;
use crate::fleet::alerts::{Severity, Topic};
use crate::fleet::care::Care;
use crate::fleet::care::deleting::Deletion;
use crate::fleet::traffic::Seen;
use crate::telemetry::events::care as events;
use crate::telemetry::events::process::DeploymentHistoryFailing;

/// How often the other gateways' successes are read.
const HEAR_EVERY_MS: i64 = MINUTE_MS;

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
                    last_success_at_ms: seen
                        .and_then(|seen| seen.last_success_at_ms)
                        .max(self.heard.get(&declared.id).copied()),
                    first_seen_ms: seen.and_then(|seen| seen.first_seen_ms),
                },
                // What Azure shows is guarded, also where its last change failed or somebody has paused it: Azure deletes it all the
                // same.
                is_there: shown.map_or(
                    matches!(self.state(&declared.id), State::There | State::Doubted),
                    |shown| shown.state != Provisioning::Deleting,
                ),
                price: terms.price,
            };
            let replica = Replica {
                name: &self.settings.replica,
                holds_lease: self.acts,
            };
            let verdict = guard::judge(&watched, efforts, replica, now_ms);
            let before = self.verdicts.insert(declared.id.clone(), verdict);
            self.warn(&declared.id, before, &verdict, terms.rule_days.unwrap_or_default());
            if verdict.reason == GuardReason::Active {
                self.efforts.remove(&declared.id);
            }
            if verdict.steers {
                self.partners.traffic.steer(&declared.id);
                self.efforts.entry(declared.id.clone()).or_default().steered_at_ms = Some(now_ms);
            }
            if verdict.deletes_now(now_ms) && self.declaration.writes {
                // Whoever acts: all gateways send it no new requests.
                let deletion = self.deletions.entry(declared.id.clone());
                deletion.or_insert_with(|| Deletion::begun(now_ms));
            } else {
                // A request that still ran there has succeeded meanwhile.
                self.deletions.remove(&declared.id);
            }
            match verdict.due {
                Some(Action::Call) => self.call(&declared.id, now_ms).await,
                Some(Action::Delete) => self.delete(&declared.id, seen, now_ms).await,
                Some(Action::Steer | Action::Rebuild | Action::LetGo) | None => {}
            }
        }
    }

    /// Tells that a deletion is nearer than before, or no longer near.
    fn warn(&mut self, deployment: &DeploymentId, before: Option<Verdict>, verdict: &Verdict, rule_days: u32) {
        let sentence = verdict.sentence(rule_days);
        if before.map(|before| before.alarm) != Some(verdict.alarm) {
            events::InactivityWarning {
                deployment,
                alarm: verdict.alarm,
                sentence: &sentence,
            }
            .emit(self.partners.metrics.journal());
        }
        if verdict.reason == GuardReason::Gone {
            self.forget_urgency(deployment);
        } else {
            self.tell_urgency(deployment, verdict.alarm, &sentence);
        }
    }

    /// Hears what the other gateways on the usage file have seen, now and then.
    pub(super) async fn hear_from_store(&mut self) {
        let now_ms = (self.partners.now_ms)();
        let is_fresh = |at: i64| (0..HEAR_EVERY_MS).contains(&(now_ms - at));
        if !self.heard_at_ms.is_some_and(is_fresh) {
            self.read_store().await;
        }
    }

    /// The same at once: whether it could be read.
    pub(super) async fn read_store(&mut self) -> bool {
        let known = self.partners.usage.deployments().await;
        // Also where it failed: it is told once a minute.
        self.heard_at_ms = Some((self.partners.now_ms)());
        match known {
            Ok(known) => {
                let known = known.into_iter();
                self.heard = known
                    .filter_map(|known| Some((known.deployment, known.last_success_at_ms?)))
                    .collect();
                true
            }
            Err(error) => {
                DeploymentHistoryFailing { error: &error }.emit();
                false
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
}
