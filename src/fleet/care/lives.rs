//! Writes down which deployments a look has shown: what hosting is reckoned by.

use crate::core::ledger::life::{Sighting, There};
use crate::fleet::care::Care;
use crate::telemetry::events::care as events;

impl Care {
    /// Stores what the look at this time has shown of declared deployments. An account that could not be read tells nothing.
    pub(super) async fn note_lives(&self, now_ms: i64) {
        let declared = self.declaration.declared.deployments.iter();
        let seen: Vec<Sighting> = declared
            .filter_map(|declared| {
                let account = self.actual.accounts.get(&declared.key.account)?;
                if account.seen_at_ms != now_ms {
                    return None;
                }
                let there = account.deployments.get(&declared.key).map(|shown| There {
                    created_at_ms: shown.created_at_ms,
                    sku: shown.sku().unwrap_or(declared.sku),
                    capacity: shown.capacity,
                });
                Some(Sighting {
                    deployment: declared.id.clone(),
                    at_ms: now_ms,
                    there,
                })
            })
            .collect();
        if let Err(error) = self.partners.lives.note_lives(&seen).await {
            events::LivesFailing { error: &error }.emit();
        }
    }
}
