//! Fine-tuning as far as it can be looked at: the jobs that made an account's models, and their checkpoints.
//!
//! Nothing is trained; every job has succeeded. Lists are cut by `limit` and `after`, as the service does.

use serde_json::{Value, json};

use crate::simulator::chance::draw;
use crate::simulator::scenario::{AccountSpec, FineTunedSpec};

/// Jobs of a page when the request names no limit, and the most it may name.
const PAGE: usize = 20;
const MAX_PAGE: usize = 100;
/// When all training was done.
const TRAINED_AT: u64 = 1_748_000_000;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// All jobs.
    Jobs,
    /// One job.
    Job(String),
    /// Its checkpoints.
    Checkpoints(String),
}

/// Which part of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// At most so many.
    pub limit: Option<usize>,
    /// After the item with this id.
    pub after: Option<String>,
}

/// The answer; none when there is no such job.
pub fn answer(account: &AccountSpec, asked: &Asked, page: &Page) -> Option<Value> {
    let models = &account.fine_tuned_models;
    let find = |id: &str| models.iter().find(|spec| spec.job_id() == id);
    match asked {
        Asked::Jobs => Some(cut(models.iter().map(job).collect(), page)),
        Asked::Job(id) => find(id).map(job),
        Asked::Checkpoints(id) => find(id).map(|spec| cut(checkpoints(spec), page)),
    }
}

fn job(spec: &FineTunedSpec) -> Value {
    json!({
        "id": spec.job_id(), "object": "fine_tuning.job", "model": spec.base_model(), "status": "succeeded",
        "fine_tuned_model": spec.model, "created_at": TRAINED_AT, "finished_at": TRAINED_AT + 7_200,
        "training_file": format!("file-{:032x}", draw(0, &spec.model)), "validation_file": null, "result_files": [],
        "hyperparameters": { "n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 1.0 },
        "method": { "type": "supervised" }, "trained_tokens": 1_000_000, "seed": 1, "error": null, "organization_id": "",
    })
}

fn checkpoints(spec: &FineTunedSpec) -> Vec<Value> {
    let last = spec.checkpoints.len() as u64;
    let shown = |(index, id): (u64, &String)| {
        let step = (last - index) * 100;
        json!({
            "id": id, "object": "fine_tuning.job.checkpoint", "created_at": TRAINED_AT + 72 * step,
            "fine_tuned_model_checkpoint": id, "fine_tuning_job_id": spec.job_id(), "step_number": step,
            "metrics": { "step": step, "train_loss": 0.5, "train_mean_token_accuracy": 0.9 },
        })
    };
    (0..).zip(&spec.checkpoints).map(shown).collect()
}

fn cut(all: Vec<Value>, page: &Page) -> Value {
    let after = page.after.as_deref();
    let first = after
        .and_then(|id| all.iter().position(|item| item["id"] == id))
        .map_or(0, |index| index + 1);
    let limit = page.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let has_more = all.len() > first + limit;
    let data: Vec<Value> = all.into_iter().skip(first).take(limit).collect();
    json!({ "object": "list", "data": data, "has_more": has_more })
}

impl FineTunedSpec {
    /// Its job.
    pub fn job_id(&self) -> String {
        let made = || format!("ftjob-{:016x}{:016x}", draw(1, &self.model), draw(2, &self.model));
        self.job.clone().unwrap_or_else(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_lead_to_models_and_checkpoints() {
        let yaml = "{name: a, region: r, fine_tuned_models: [
            {model: gpt-4.1-2025-04-14.ft-1, job: ftjob-1, checkpoints: [ftchkpt-b, ftchkpt-a]}, {model: gpt-4o-2024-08-06.ft-2}]}";
        let account: AccountSpec = serde_saphyr::from_str(yaml).unwrap();
        let all = answer(&account, &Asked::Jobs, &Page::default()).unwrap();
        assert_eq!(all["data"][0]["fine_tuned_model"], "gpt-4.1-2025-04-14.ft-1");
        assert_eq!(
            (&all["data"][0]["model"], &all["has_more"]),
            (&json!("gpt-4.1-2025-04-14"), &json!(false))
        );
        let page = Page {
            limit: Some(1),
            after: Some("ftjob-1".to_owned()),
        };
        let second = answer(&account, &Asked::Jobs, &page).unwrap();
        let id = second["data"][0]["id"].as_str().unwrap();
        assert!(id.starts_with("ftjob-"));
        let found = answer(&account, &Asked::Job(id.to_owned()), &page).unwrap();
        assert_eq!(found["fine_tuned_model"], "gpt-4o-2024-08-06.ft-2");
        let list = answer(&account, &Asked::Checkpoints("ftjob-1".to_owned()), &Page::default()).unwrap();
        assert_eq!(list["data"][0]["id"], "ftchkpt-b");
        assert!(list["data"][0]["step_number"].as_u64() > list["data"][1]["step_number"].as_u64());
        assert_eq!(answer(&account, &Asked::Job("ftjob-9".to_owned()), &page), None);
    }
}
