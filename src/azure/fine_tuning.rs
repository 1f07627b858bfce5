//! Fine-tuning jobs of an account, by its data plane: to find the id of the model, or checkpoint, that is to be deployed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::azure::error::{AzureError, Refusal};
use crate::azure::token::AccessToken;
use crate::azure::transport::Http;

/// Jobs asked for at one time; Azure's own largest page.
const PAGE: usize = 100;
/// Pages that are followed.
const PAGES_MAX: usize = 50;

/// How to log in to an account's data plane.
pub enum DataKey {
    /// Sent as `api-key`.
    Key(String),
    /// Sent as `Authorization: Bearer`.
    Token(AccessToken),
}

/// An account's data plane.
pub struct FineTuning {
    endpoint: Url,
    key: DataKey,
    http: Http,
}

/// A fine-tuning job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// `ftjob-…`.
    pub id: String,
    /// Base model.
    #[serde(default)]
    pub model: String,
    /// `succeeded` and others.
    #[serde(default)]
    pub status: String,
    /// What to deploy, once it has succeeded.
    #[serde(default)]
    pub fine_tuned_model: Option<String>,
    /// In seconds since the Unix epoch.
    #[serde(default)]
    pub created_at: Option<i64>,
    /// The same.
    #[serde(default)]
    pub finished_at: Option<i64>,
    /// What is not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A checkpoint of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// `ftchkpt-…`: what to deploy.
    pub id: String,
    /// After so many steps.
    #[serde(default)]
    pub step_number: Option<u64>,
    /// The same as a model.
    #[serde(default)]
    pub fine_tuned_model_checkpoint: Option<String>,
    /// What is not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
struct Page<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

impl FineTuning {
    /// The data plane at an endpoint, such as `https://contoso.openai.azure.com/`.
    pub fn new(endpoint: Url, key: DataKey, http: Http) -> Self {
        Self { endpoint, key, http }
    }

    /// Its jobs, newest first as Azure has them.
    ///
    /// # Errors
    /// When Azure refuses or does not answer.
    pub async fn jobs(&self) -> Result<Vec<Job>, AzureError> {
        self.list("fine_tuning/jobs", |job: &Job| job.id.clone()).await
    }

    /// One job.
    ///
    /// # Errors
    /// As [`Self::jobs`].
    pub async fn job(&self, id: &str) -> Result<Job, AzureError> {
        let value = self.get(&["fine_tuning", "jobs", id], &[]).await?;
        serde_json::from_value(value).map_err(|error| unreadable("a job", &error))
    }

    /// The checkpoints of a job that can be deployed.
    ///
    /// # Errors
    /// As [`Self::jobs`].
    pub async fn checkpoints(&self, job: &str) -> Result<Vec<Checkpoint>, AzureError> {
        let path = format!("fine_tuning/jobs/{job}/checkpoints");
        self.list(&path, |checkpoint: &Checkpoint| checkpoint.id.clone()).await
    }

    async fn list<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        id: impl Fn(&T) -> String,
    ) -> Result<Vec<T>, AzureError> {
        let segments: Vec<&str> = path.split('/').collect();
        let limit = PAGE.to_string();
        let mut items: Vec<T> = Vec::new();
        for _ in 0..PAGES_MAX {
            let after = items.last().map(&id);
            let mut query = vec![("limit", limit.as_str())];
            query.extend(after.as_deref().map(|after| ("after", after)));
            let page: Page<T> =
                serde_json::from_value(self.get(&segments, &query).await?).map_err(|error| unreadable(path, &error))?;
            let is_last = !page.has_more || page.data.is_empty();
            items.extend(page.data);
            if is_last {
                return Ok(items);
            }
        }
        Err(AzureError::Endless(path.to_owned()))
    }

    async fn get(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Value, AzureError> {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["openai", "v1"]).extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(http::Method::GET, url);
        let request = match &self.key {
            DataKey::Key(key) => request.header("api-key", key),
            DataKey::Token(token) => request.bearer_auth(token.expose()),
        };
        let answer = self.http.send(request).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if answer.status == 200 {
            return Ok(body);
        }
        let request_id = answer.header("apim-request-id");
        Err(AzureError::Refused(Box::new(Refusal::read(
            Some(answer.status),
            &body,
            request_id,
        ))))
    }
}

fn unreadable(asked: &str, error: &serde_json::Error) -> AzureError {
    AzureError::Unreadable {
        asked: asked.to_owned(),
        cause: error.to_string(),
    }
}
