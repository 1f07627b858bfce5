//! The list of models that an account shows: those behind its deployments, each once.

use serde_json::{Value, json};

use crate::simulator::world::Account;

/// The whole list.
pub fn list(account: &Account) -> Value {
    let mut models: Vec<&str> = account
        .deployments
        .values()
        .map(|entry| entry.spec.model.as_str())
        .collect();
    models.sort_unstable();
    models.dedup();
    let data: Vec<Value> = models.into_iter().map(shown).collect();
    json!({ "object": "list", "data": data })
}

/// One model, when the account has it.
pub fn one(account: &Account, id: &str) -> Option<Value> {
    let known = account.deployments.values().any(|entry| entry.spec.model == id);
    known.then(|| shown(id))
}

fn shown(id: &str) -> Value {
    let embeds = id.contains("embedding");
    json!({
        "id": id, "object": "model", "status": "succeeded", "lifecycle_status": "generally-available",
        "created_at": 1_744_600_000, "updated_at": 1_744_600_000, "deprecation": {},
        "capabilities": {
            "chat_completion": !embeds, "completion": false, "embeddings": embeds, "inference": true, "fine_tune": false,
        },
    })
}
