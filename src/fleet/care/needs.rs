//! What gateways on one usage file tell each other of lost deployments: requests meet them at any, and one rebuilds.

use std::collections::BTreeMap;

use crate::core::fleet::phoenix::{Event, State};
use crate::core::ids::DeploymentId;
use crate::fleet::care::Care;
use crate::fleet::traffic::Seen;
use crate::telemetry::events::care as events;

impl Care {
    /// Tells whoever acts what requests have met here, or hears as that one what they have met elsewhere.
    pub(super) async fn share_needs(&mut self, seen: &BTreeMap<DeploymentId, Seen>) {
        let told = if self.acts {
            self.hear_needs().await
        } else {
            let met = seen.values().filter(|seen| seen.was_missed || seen.was_needed);
            let met: Vec<DeploymentId> = met.map(|seen| seen.deployment.clone()).collect();
            if met.is_empty() {
                return;
            }
            self.partners.leases.ask_for(&met, (self.partners.now_ms)()).await
        };
        if let Err(error) = told {
            events::NeedUntold { error: &error }.emit();
        }
    }

    async fn hear_needs(&mut self) -> Result<(), crate::storage::StoreError> {
        for deployment in self.partners.leases.take_needed().await? {
            let event = match self.state(&deployment) {
                State::There => Event::NotFound,
                _ => Event::Needed,
            };
            self.happened(&deployment, event).await;
        }
        Ok(())
    }
}
