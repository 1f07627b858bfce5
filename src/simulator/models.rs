//! The list of models that an account shows: those behind its deployments and those that were trained in it, each once.

use serde_json::{Value, json};

use crate::simulator::world::Account;

/// The whole list.
pub fn list(account: &Account) -> Value {
    let data: Vec<Value> = ids(account).iter().map(|id| shown(account, id)).collect();
    json!({ "object": "list", "data": data })
}

/// One model, when the account has it.
pub fn one(account: &Account, id: &str) -> Option<Value> {
    ids(account).iter().any(|known| known == id).then(|| shown(account, id))
}

fn ids(account: &Account) -> Vec<String> {
    let trained = account.spec.fine_tuned_models.iter().map(|spec| spec.model.clone());
    let deployed = account.all().into_iter().map(|entry| entry.spec.model.clone());
    let mut ids: Vec<String> = deployed.chain(trained).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn shown(account: &Account, id: &str) -> Value {
    let embeds = id.contains("embedding");
    let trained = account.spec.fine_tuned_models.iter().find(|spec| spec.model == id);
    let mut shown = json!({
        "id": id, "object": "model", "status": "succeeded", "lifecycle_status": "generally-available",
        "created_at": 1_744_600_000, "updated_at": 1_744_600_000, "deprecation": {},
        "capabilities": {
            "chat_completion": !embeds, "completion": false, "embeddings": embeds, "inference": true, "fine_tune": false,
        },
    });
    if let Some(trained) = trained {
        shown["model"] = json!(trained.base_model());
        shown["fine_tune"] = json!(trained.job_id());
    }
    shown
}
