//! Writes down every write to Azure's control plane, whoever makes it: a row before it is sent, a row with what came of it.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;

use crate::azure::witness::{Ended, Witness, Write};
use crate::storage::audit::{AuditEntry, AuditPhase, AuditStore};
use crate::telemetry::clock;
use crate::telemetry::events::care::AuditFailing;

/// Hears of writes and enters them in the store.
pub struct Audit {
    store: Arc<dyn AuditStore>,
    actor: String,
    failing: fn(&AuditFailing<'_>),
}

impl Audit {
    /// An audit of what this actor does. `failing` is told of writes that were sent and whose end could not be entered; one whose
    /// beginning cannot be is not sent.
    pub fn new(store: Arc<dyn AuditStore>, actor: String, failing: fn(&AuditFailing<'_>)) -> Self {
        Self { store, actor, failing }
    }

    fn entry(&self, write: Write<'_>, phase: AuditPhase) -> AuditEntry {
        let url = &write.request.url;
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        AuditEntry {
            at_ms: clock::now_ms(),
            actor: self.actor.clone(),
            phase,
            method: write.request.method.to_string(),
            target: format!("{}{query}", url.path()),
            client_request_id: write.client_request_id.to_owned(),
            request_id: None,
            outcome: None,
        }
    }
}

#[async_trait]
impl Witness for Audit {
    async fn sending(&self, write: Write<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let entry = self.entry(write, AuditPhase::Sent);
        Ok(self.store.add_audit(&entry).await?)
    }

    async fn ended(&self, write: Write<'_>, ended: Ended<'_>) {
        let entry = AuditEntry {
            request_id: ended.request_id.map(str::to_owned),
            outcome: Some(match ended.outcome {
                Ok(status) => status.to_string(),
                Err(error) => error.code().map_or_else(|| error.to_string(), str::to_owned),
            }),
            ..self.entry(write, AuditPhase::Answered)
        };
        if let Err(error) = self.store.add_audit(&entry).await {
            (self.failing)(&AuditFailing {
                target: &entry.target,
                error: &error,
            });
        }
    }
}
