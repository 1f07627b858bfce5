//! Writes down every write to Azure's control plane, whoever makes it: a row before it is sent, a row with its answer, and a row with
//! what came of the operation where somebody follows it.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::azure::error::AzureError;
use crate::azure::witness::{Ended, Witness, Write};
use crate::storage::audit::{AuditEntry, AuditPhase, AuditStore};
use crate::telemetry::clock;
use crate::telemetry::events::care::AuditFailing;

/// Longest part of what a write asks for that is kept.
const ASKED_CHARS_MAX: usize = 300;

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
            asked: write.request.body.as_ref().and_then(|body| asked(body.as_ref())),
        }
    }

    /// Enters what was done already, so that a store that fails is only told of.
    async fn enter(&self, entry: &AuditEntry) {
        if let Err(error) = self.store.add_audit(entry).await {
            (self.failing)(&AuditFailing {
                target: &entry.target,
                error: &error,
            });
        }
    }
}

/// What a body asks for, in a few words: `model m (1), Standard, capacity 10`. Nothing else of it is kept.
fn asked(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let (model, sku) = (&body["properties"]["model"], &body["sku"]);
    let mut words = Vec::new();
    if let Some(name) = model["name"].as_str() {
        let version = model["version"].as_str().unwrap_or("-");
        words.push(format!("model {name} ({version})"));
    }
    words.extend(sku["name"].as_str().map(str::to_owned));
    words.extend(sku["capacity"].as_u64().map(|units| format!("capacity {units}")));
    let text: String = words.join(", ").chars().take(ASKED_CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}

fn word(error: &AzureError) -> String {
    error.code().map_or_else(|| error.to_string(), str::to_owned)
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
                Err(error) => word(error),
            }),
            ..self.entry(write, AuditPhase::Answered)
        };
        self.enter(&entry).await;
    }

    async fn followed(&self, write: Write<'_>, outcome: Result<(), &AzureError>) {
        let entry = AuditEntry {
            outcome: Some(outcome.map_or_else(word, |()| "succeeded".to_owned())),
            ..self.entry(write, AuditPhase::Ended)
        };
        self.enter(&entry).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_body_only_model_sku_and_capacity_are_kept() {
        for (body, expected) in [
            (
                r#"{"sku":{"name":"Standard","capacity":10},"properties":{"model":{"name":"m","version":"1","source":"/secret"}}}"#,
                Some("model m (1), Standard, capacity 10"),
            ),
            (
                r#"{"sku":{"name":"Standard","capacity":20}}"#,
                Some("Standard, capacity 20"),
            ),
            (r#"{"tags":{"owner":"ada"}}"#, None),
            ("no JSON", None),
        ] {
            assert_eq!(asked(body.as_bytes()).as_deref(), expected);
        }
        let long = format!(r#"{{"sku":{{"name":"{}"}}}}"#, "x".repeat(9_000));
        assert_eq!(asked(long.as_bytes()).map(|text| text.len()), Some(ASKED_CHARS_MAX));
    }
}
