//! Rebuilding what was lost, as [`phoenix`] decides: hears of losses, asks Azure, makes deployments anew.

use std::collections::BTreeMap;

use crate::azure::error::AzureError;
use crate::core::fleet::backoff::seed_of;
use crate::core::fleet::declared::DeclaredDeployment;
use crate::core::fleet::phoenix::{self, Command, Event, Rule, State};
use crate::core::ids::DeploymentId;
use crate::fleet::alerts::{Severity, Topic};
use crate::fleet::care::Care;
use crate::fleet::declaration;
use crate::fleet::traffic::Seen;
use crate::storage::StoreError;
use crate::storage::notes::NoteStore;
use crate::telemetry::events::care as events;

/// The name of what is stored.
const NOTE: &str = "rebuilding";

/// Why it is not known how far rebuilding was.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in it.
    #[error("the usage store's note `{NOTE}` is not understood: {0}; a newer version may have written it")]
    Unreadable(#[from] serde_json::Error),
}

/// Reads how far an earlier process was.
///
/// # Errors
/// When the store cannot be read, or holds what is not understood.
pub(super) async fn recall(notes: &dyn NoteStore) -> Result<BTreeMap<DeploymentId, State>, MemoryError> {
    let Some(text) = notes.note(NOTE).await? else {
        return Ok(BTreeMap::new());
    };
    let stored: BTreeMap<String, State> = serde_json::from_str(&text)?;
    Ok(stored.into_iter().map(|(id, state)| (id.into(), state)).collect())
}

impl Care {
    /// What requests have met since the last turn.
    pub(super) async fn hear_of_losses(&mut self, seen: &BTreeMap<DeploymentId, Seen>) {
        self.share_needs(seen).await;
        for seen in seen.values() {
            if seen.was_missed {
                self.happened(&seen.deployment, Event::NotFound).await;
            }
            if seen.was_needed {
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
        let declared = &self.declaration.declared.deployments;
        let Some(declared) = declared.iter().find(|declared| declared.id == *deployment).cloned() else {
            return;
        };
        let rule = Rule {
            policy: declared.policy,
            may_write: self.settings.writes && declaration::order(&declared).is_some(),
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
                events::RebuildingGivenUp { deployment }.emit();
                let text = "is lost and not made again: an operator must look at it (`emberway fleet plan`)".to_owned();
                self.alert(Severity::Critical, Topic::Rebuilding, deployment, text);
            }
            // Routing takes it back by its standing; its breaker gives it a slow start.
            Some(Command::Rejoin) | None => {}
        }
    }

    async fn remember(&self, now_ms: i64) -> Result<(), StoreError> {
        let stored: BTreeMap<&str, State> = self
            .rebuilding
            .iter()
            .filter(|(_, state)| **state != State::There)
            .map(|(deployment, state)| (&***deployment, *state))
            .collect();
        let text = serde_json::to_string(&stored).unwrap_or_default();
        self.partners.notes.put_note(NOTE, text, now_ms).await
    }

    async fn create(&mut self, declared: &DeclaredDeployment) {
        let (Some(order), Some(terms)) = (declaration::order(declared), self.declaration.terms.get(&declared.id))
        else {
            return;
        };
        let tenant = declared.source.as_ref().and_then(|source| source.tenant.as_deref());
        let made = self.partners.arm.create(&terms.arm_id, &order, tenant, None).await;
        events::Rebuilt {
            deployment: &declared.id,
            error: made.as_ref().err().map(|error| error as &dyn std::error::Error),
        }
        .emit(&self.partners.metrics);
        let (severity, text) = match &made {
            Ok(_) => (Severity::Info, "is being made again".to_owned()),
            Err(error) => (Severity::Warning, format!("cannot be made again: {error}")),
        };
        self.alert(severity, Topic::Rebuilding, &declared.id, text);
        self.wants_look = true;
        if let Err(error) = made {
            let is_final = is_final(&error);
            Box::pin(self.happened(&declared.id, Event::Failed { is_final })).await;
        }
    }
}

/// Whether Azure would refuse it again.
fn is_final(error: &AzureError) -> bool {
    match error {
        AzureError::Refused(refusal) => {
            refusal.status.is_some_and(|status| (400..=403).contains(&status)) && refusal.code != "InsufficientQuota"
        }
        AzureError::WritesOff | AzureError::UnknownTenant(_) | AzureError::Id(_) => true,
        _ => false,
    }
}
