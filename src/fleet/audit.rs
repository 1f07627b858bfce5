//! Writes down every write to Azure's control plane, whoever makes it.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::azure::arm::{Witness, Write};
use crate::storage::audit::{AuditEntry, AuditPhase, AuditStore};
use crate::telemetry::clock;
use crate::telemetry::events::care::AuditFailing;

/// Entries that wait to be written. Writes to Azure are some in a minute at most, so a store that falls behind this far has failed.
const WAITING_MAX: usize = 1_024;

/// Hears of writes and hands them on to the store.
pub struct Audit {
    actor: String,
    entries: mpsc::Sender<AuditEntry>,
}

impl Audit {
    /// An audit of what this actor does, and the task that writes it; the task ends when the audit is dropped and all is written.
    pub fn start(store: Arc<dyn AuditStore>, actor: String) -> (Self, JoinHandle<()>) {
        let (entries, mut waiting) = mpsc::channel(WAITING_MAX);
        let task = tokio::spawn(async move {
            while let Some(entry) = waiting.recv().await {
                if let Err(error) = store.add_audit(&entry).await {
                    AuditFailing {
                        target: &entry.target,
                        error: &error,
                    }
                    .emit();
                }
            }
        });
        (Self { actor, entries }, task)
    }
}

impl Witness for Audit {
    fn written(&self, write: &Write<'_>) {
        let url = &write.request.url;
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        let entry = AuditEntry {
            at_ms: clock::now_ms(),
            actor: self.actor.clone(),
            phase: AuditPhase::Answered,
            method: write.request.method.to_string(),
            target: format!("{}{query}", url.path()),
            client_request_id: write.client_request_id.to_owned(),
            request_id: write.request_id.map(str::to_owned),
            outcome: Some(match write.outcome {
                Ok(status) => status.to_string(),
                Err(error) => error.code().map_or_else(|| error.to_string(), str::to_owned),
            }),
        };
        if let Err(error) = self.entries.try_send(entry) {
            let target = match &error {
                mpsc::error::TrySendError::Full(entry) | mpsc::error::TrySendError::Closed(entry) => &entry.target,
            };
            AuditFailing { target, error: &error }.emit();
        }
    }
}
