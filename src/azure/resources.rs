//! What ARM's resources look like in JSON: deployments, accounts, models, quota. Members that are not known here survive where a whole
//! resource is shown, and are ignored elsewhere: Azure adds some with every version.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// A deployment as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewDeployment {
    /// Type and size.
    pub sku: Sku,
    /// The rest.
    pub properties: NewProperties,
}

/// A deployment's properties as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewProperties {
    /// What is deployed.
    pub model: Model,
    /// Deployment of the same account that takes what a provisioned one cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spillover_deployment_name: Option<String>,
    /// Content filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rai_policy_name: Option<String>,
    /// What happens when a newer version of a base model appears.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_upgrade_option: Option<String>,
}

/// What of a deployment can be changed in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeploymentPatch {
    /// Type and size; ARM wants both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    /// Tags, which replace all that there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Map<String, Value>>,
}

/// Type and size of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sku {
    /// Azure's word, such as `Standard`.
    pub name: String,
    /// Units: thousands of tokens per minute, or PTUs.
    #[serde(default, deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
}

/// A model, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// `OpenAI`.
    #[serde(default)]
    pub format: String,
    /// A fine-tuned model's id, a checkpoint's, or a base model's name.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// The account that holds it, in another region or subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The same in another tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_account: Option<String>,
}

/// A deployment as it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// Its ARM id.
    #[serde(default)]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Type and size.
    pub sku: Option<Sku>,
    /// The rest.
    pub properties: Properties,
    /// Who made it, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_data: Option<SystemData>,
    /// What is not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A deployment's properties as they are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Properties {
    /// What is deployed.
    pub model: Option<Model>,
    /// `Accepted`, `Creating`, `Succeeded`, `Failed`, `Canceled`, `Deleting`, `Moving`, `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning_state: Option<String>,
    /// `Running` or `Paused`, in newer versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_state: Option<String>,
    /// Units in force now; may lag behind the SKU's.
    #[serde(default, deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    pub current_capacity: Option<u32>,
    /// Its limits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimit>,
    /// What is not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A limit of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// `request` or `token`.
    #[serde(default)]
    pub key: String,
    /// So many in [`Self::renewal_period`].
    #[serde(default)]
    pub count: f64,
    /// In seconds.
    #[serde(default)]
    pub renewal_period: f64,
    /// What is not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Properties {
    /// A limit in units a minute, if ARM tells it: `request` or `token`.
    pub fn per_minute(&self, key: &str) -> Option<f64> {
        let limit = self.rate_limits.iter().find(|limit| limit.key == key)?;
        (limit.renewal_period > 0.0).then(|| limit.count * 60.0 / limit.renewal_period)
    }
}

/// Who made a resource, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemData {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// What is not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Its ARM id.
    #[serde(default)]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its region.
    #[serde(default)]
    pub location: String,
    /// The rest; `endpoint` and `provisioningState` are in it.
    #[serde(default)]
    pub properties: Value,
    /// What is not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// An account's keys. Its `Debug` shows nothing of them.
#[derive(Clone, Deserialize)]
pub struct Keys {
    /// The first.
    pub key1: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// What of a quota is used in a region, in thousands of tokens per minute or PTUs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Which quota.
    pub name: UsageName,
    /// Used.
    #[serde(default)]
    pub current_value: f64,
    /// Allowed.
    #[serde(default)]
    pub limit: f64,
    /// What is not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A quota's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageName {
    /// For machines, such as `OpenAI.Standard.gpt-4.1-mini`.
    pub value: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub localized_value: Option<String>,
}

/// A model of an account's list, as far as quota is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ListedModel {
    /// Its name, or a fine-tuned one's id.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// By which SKUs it can be deployed.
    #[serde(default)]
    pub skus: Vec<ListedSku>,
}

/// A SKU of a listed model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedSku {
    /// Azure's word, such as `Standard`.
    pub name: String,
    /// The quota that deployments of it draw on, such as `OpenAI.Standard.gpt-4.1-mini-finetune`.
    #[serde(default)]
    pub usage_name: Option<String>,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// Its items.
    #[serde(default)]
    pub value: Vec<Value>,
    /// Where the next page is.
    #[serde(default)]
    pub next_link: Option<String>,
}

/// How an operation stands.
#[derive(Debug, Deserialize)]
pub struct OperationStatus {
    /// `InProgress` and others, finally `Succeeded`, `Failed` or `Canceled`.
    #[serde(default)]
    pub status: String,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<Value>,
}

/// A number, also where it was written as text: the Azure CLI does so.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }
    Ok(match Option::<Written>::deserialize(deserializer)? {
        Some(Written::Number(number)) => Some(number as u32),
        Some(Written::Text(text)) => text.trim().parse().ok(),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_keeps_what_is_not_known() {
        let written = json!({
            "id": "/subscriptions/S", "name": "D", "type": "t", "etag": "\"1\"",
            "sku": {"name": "Standard", "capacity": "50"},
            "systemData": {"createdAt": "2026-01-02T03:04:05Z", "createdBy": "u@x"},
            "properties": {
                "model": {"format": "OpenAI", "name": "m", "version": "1", "callRateLimit": null},
                "provisioningState": "Succeeded", "currentCapacity": 50, "newThing": {"a": 1},
                "rateLimits": [{"key": "request", "renewalPeriod": 10, "count": 50}, {"key": "token", "renewalPeriod": 60, "count": 50_000}],
            },
        });
        let deployment: Deployment = serde_json::from_value(written).expect("reads");
        assert_eq!(deployment.sku.as_ref().and_then(|sku| sku.capacity), Some(50));
        assert_eq!(deployment.properties.per_minute("request"), Some(300.0));
        assert_eq!(deployment.properties.per_minute("token"), Some(50_000.0));
        assert_eq!(deployment.properties.per_minute("other"), None);
        let shown = serde_json::to_value(&deployment).expect("writes");
        assert_eq!(shown["etag"], "\"1\"");
        assert_eq!(shown["properties"]["newThing"]["a"], 1);
        assert_eq!(shown["systemData"]["createdBy"], "u@x");
    }

    #[test]
    fn a_bare_deployment_is_read() {
        let bare = json!({"name": "D", "sku": null, "properties": {"model": null}});
        let deployment: Deployment = serde_json::from_value(bare).expect("reads");
        assert_eq!((deployment.sku, deployment.properties.model), (None, None));
    }
}
