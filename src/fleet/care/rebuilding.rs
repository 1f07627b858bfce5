//! Rebuilding what was lost, as [`phoenix`] decides: hears of losses, asks Azure, makes deployments anew.

use std::collections::BTreeMap;

use crate::azure::error::AzureError;
use crate::core::fleet::actual::Provisioning;
use crate::core::fleet::backoff::seed_of;
use crate::core::fleet::declared::DeclaredDeployment;
use crate::core::fleet::phoenix::{self, Command, Event, Rule, State};
use crate::core::ids::DeploymentId;
use crate::fleet::alerts::{Severity, Topic};
use crate::fleet::care::{Care, memory};
use crate::fleet::declaration;
use crate::fleet::traffic::Seen;
use crate::storage::StoreError;
use crate::telemetry::events::care as events;

impl Care {
    /// What requests have met since the last turn.
    pub(super) async fn hear_of_losses(&mut self, seen: &BTreeMap<DeploymentId, Seen>) {
        self.share_needs(seen).await;
        for seen in seen.values() {
            if seen.was_missed {
                self.happened(&seen.deployment, Event::NotFound).await;
            }
            if seen.was_needed {
                let is_being_made = matches!(
                    self.state(&seen.deployment),
                    State::Creating { .. } | State::Propagating { .. }
                );
                // Somebody may have made it.
                self.wants_look |= !is_being_made;
                self.happened(&seen.deployment, Event::Needed).await;
            }
            let since_ms = match self.state(&seen.deployment) {
                State::Creating { since_ms, .. } | State::Propagating { since_ms, .. } => Some(since_ms),
                _ => None,
            };
            if since_ms.is_some_and(|since| seen.last_success_at_ms.is_some_and(|at| at > since)) {
                self.happened(&seen.deployment, Event::Answered).await;
            }
        }
    }

    /// What the last look has shown.
    pub(super) async fn compare_with_azure(&mut self) {
        let shown: Vec<(DeploymentId, Event)> = self
            .declaration
            .declared
            .deployments
            .iter()
            .filter_map(|declared| {
                let account = self.actual.accounts.get(&declared.key.account)?;
                // What was seen before settles no doubt that came since.
                if Some(account.seen_at_ms) != self.looked_at_ms {
                    return None;
                }
                let event = account
                    .deployments
                    .get(&declared.key)
                    .map_or(Event::Missing, |shown| Event::Shown(shown.state));
                Some((declared.id.clone(), event))
            })
            .collect();
        for (deployment, event) in shown {
            // One that is there and was never doubted is nothing to be told of.
            if !matches!((self.state(&deployment), event), (State::There, Event::Shown(_))) {
                self.happened(&deployment, event).await;
            }
        }
    }

    /// Time has passed.
    pub(super) async fn rebuild_what_is_due(&mut self) {
        let waiting: Vec<DeploymentId> = self
            .rebuilding
            .iter()
            .filter(|(_, state)| **state != State::There)
            .map(|(deployment, _)| deployment.clone())
            .collect();
        for deployment in waiting {
            self.happened(&deployment, Event::Tick).await;
        }
    }

    pub(super) fn state(&self, deployment: &DeploymentId) -> State {
        self.rebuilding.get(deployment).copied().unwrap_or_default()
    }

    /// Takes a step, stores it, and does what it asks for.
    pub(super) async fn happened(&mut self, deployment: &DeploymentId, event: Event) {
        if !self.acts {
            // Whoever acts takes the step; a look of our own tells routing the sooner.
            self.wants_look |= event == Event::NotFound;
            return;
        }
        if matches!(event, Event::Missing | Event::NotFound | Event::Needed) && !self.was_there(deployment) {
            // What was never there is not lost: a name that is misspelt must not be made. `emberway fleet apply` makes it.
            self.wants_look |= event == Event::NotFound;
            return;
        }
        let declared = &self.declaration.declared.deployments;
        let Some(declared) = declared.iter().find(|declared| declared.id == *deployment).cloned() else {
            return;
        };
        let rule = Rule {
            policy: declared.policy,
            may_write: self.declaration.writes && declaration::order(&declared, None).is_some(),
            seed: seed_of(&[&self.settings.replica, deployment]),
        };
        let now_ms = (self.partners.now_ms)();
        let before = self.state(deployment);
        let (after, command) = phoenix::step(before, event, rule, now_ms);
        if after != before {
            self.rebuilding.insert(deployment.clone(), after);
            events::RebuildingMoved {
                deployment,
                before: before.as_str(),
                after: after.as_str(),
            }
            .emit();
            if let Err(error) = self.remember(now_ms).await {
                events::MemoryFailing { error: &error }.emit();
                // What is not stored must not be done: it might be done twice.
                if command == Some(Command::Create) {
                    self.rebuilding.insert(deployment.clone(), before);
                    return;
                }
            }
        }
        match command {
            Some(Command::Look) => self.wants_look = true,
            Some(Command::Create) => Box::pin(self.create(&declared)).await,
            Some(Command::Alarm) => {
                events::RebuildingGivenUp {
                    deployment,
                    writes: self.declaration.writes,
                }
                .emit(self.partners.metrics.journal());
                let text = if self.declaration.writes {
                    "is lost and not made again: an operator must look at it (`emberway fleet plan`)"
                } else {
                    "is lost and not made again while `azure.writes` is false"
                };
                let text = text.to_owned();
                self.alert(Severity::Critical, Topic::Rebuilding, deployment, text);
            }
            // Routing takes it back by its standing; its breaker gives it a slow start.
            Some(Command::Rejoin) | None => {}
        }
    }

    /// Whether Azure has shown it at some time, to whoever used the store, or it has answered.
    fn was_there(&self, deployment: &DeploymentId) -> bool {
        self.settings_seen.contains_key(deployment)
            || self.heard.contains_key(deployment)
            || self.state(deployment) != State::There
    }

    async fn remember(&self, now_ms: i64) -> Result<(), StoreError> {
        let stored = self.rebuilding.iter();
        let stored = stored
            .filter(|(_, state)| **state != State::There)
            .map(|(deployment, state)| (&***deployment, *state));
        memory::remember(&*self.partners.notes, memory::REBUILDING, stored.collect(), now_ms).await
    }

    async fn create(&mut self, declared: &DeclaredDeployment) {
        let seen = self.settings_seen.get(&declared.id);
        let (Some(order), Some(terms)) = (
            declaration::order(declared, seen),
            self.declaration.terms.get(&declared.id),
        ) else {
            return;
        };
        let arm_id = terms.arm_id.clone();
        self.wants_look = true;
        // A list may lack what is there, and somebody may have made it since: what is there is not written over.
        match self.partners.arm.deployment(&arm_id).await {
            Ok(there) => {
                let state = there.properties.provisioning_state.as_deref().unwrap_or_default();
                let state = Provisioning::of(state);
                // One that came to nothing is.
                if !matches!(state, Provisioning::Failed | Provisioning::Canceled) {
                    return Box::pin(self.happened(&declared.id, Event::Shown(state))).await;
                }
            }
            Err(error) if is_missing(&error) => {}
            Err(error) => return self.refused(declared, &error).await,
        }
        let tenant = declared.source.as_ref().and_then(|source| source.tenant.as_deref());
        let made = self.partners.arm.create(&arm_id, &order, tenant, None).await;
        events::Rebuilt {
            deployment: &declared.id,
            error: made.as_ref().err().map(|error| error as &dyn std::error::Error),
        }
        .emit(&self.partners.metrics);
        match made {
            Ok(_) => self.alert(
                Severity::Info,
                Topic::Rebuilding,
                &declared.id,
                "is being made again".to_owned(),
            ),
            Err(error) => self.refused(declared, &error).await,
        }
    }

    /// Azure did not take the order, or did not say whether it is needed.
    async fn refused(&mut self, declared: &DeclaredDeployment, error: &AzureError) {
        let event = if is_busy(error) {
            Event::Busy
        } else {
            let text = format!("cannot be made again: {error}");
            self.alert(Severity::Warning, Topic::Rebuilding, &declared.id, text);
            Event::Failed {
                is_final: is_final(error),
            }
        };
        Box::pin(self.happened(&declared.id, event)).await;
    }
}

/// Whether the deployment is what is not there: its account may be, or may not.
fn is_missing(error: &AzureError) -> bool {
    const PARENTS: [&str; 2] = ["ResourceGroupNotFound", "SubscriptionNotFound"];
    matches!(error, AzureError::Refused(refusal) if refusal.status == Some(404) && !PARENTS.contains(&&*refusal.code))
}

/// Whether another operation runs on the account.
fn is_busy(error: &AzureError) -> bool {
    matches!(error, AzureError::Refused(refusal) if refusal.status == Some(409))
}

/// Whether Azure would refuse it again. Rights are given and tokens renewed meanwhile.
fn is_final(error: &AzureError) -> bool {
    match error {
        AzureError::Refused(refusal) => refusal.status == Some(400) && refusal.code != "InsufficientQuota",
        AzureError::UnknownTenant(_) | AzureError::Id(_) => true,
        _ => false,
    }
}
