//! What ARM is asked: each request as a plain value, so that it can be sent or just shown.

use http::Method;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::azure::resources::{DeploymentPatch, NewDeployment};
use crate::core::arm_id::{AccountId, DeploymentArmId};

/// The version that the recipe for another tenant's model was written for.
pub const CROSS_TENANT_VERSION: &str = "2024-10-01";
/// The first version that can pause a deployment.
pub const PAUSE_VERSION: &str = "2025-10-01-preview";

/// Where ARM is, and which version of it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmAddress {
    /// Base URL; its path ends in `/`.
    pub management: Url,
    /// A date.
    pub api_version: String,
}

/// One request to ARM.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmRequest {
    /// GET, PUT, PATCH, POST or DELETE.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// The tenant whose token goes along beside that of the subscription's own.
    pub auxiliary_tenant: Option<String>,
    /// JSON; none for a request without a body.
    pub body: Option<String>,
}

impl ArmAddress {
    /// Creates or replaces a deployment. A model of another tenant takes that tenant's token along, in the version that recipe is for.
    pub fn create(&self, id: &DeploymentArmId, new: &NewDeployment, source_tenant: Option<&str>) -> ArmRequest {
        let version = if source_tenant.is_some() {
            CROSS_TENANT_VERSION
        } else {
            &self.api_version
        };
        ArmRequest {
            auxiliary_tenant: source_tenant.map(str::to_owned),
            body: Some(json(new)),
            ..self.of(Method::PUT, &id.to_string(), version, &[])
        }
    }

    /// Changes SKU or tags.
    pub fn update(&self, id: &DeploymentArmId, patch: &DeploymentPatch) -> ArmRequest {
        ArmRequest {
            body: Some(json(patch)),
            ..self.of(Method::PATCH, &id.to_string(), &self.api_version, &[])
        }
    }

    /// Reads a deployment.
    pub fn show(&self, id: &DeploymentArmId) -> ArmRequest {
        self.get(&id.to_string(), &[])
    }

    /// Deletes a deployment.
    pub fn delete(&self, id: &DeploymentArmId) -> ArmRequest {
        self.of(Method::DELETE, &id.to_string(), &self.api_version, &[])
    }

    /// Pauses or resumes a deployment: `pause`, `resume`.
    pub fn switch(&self, id: &DeploymentArmId, verb: &str) -> ArmRequest {
        // Dates compare as texts.
        let version = self.api_version.as_str().max(PAUSE_VERSION);
        self.of(Method::POST, &format!("{id}/{verb}"), version, &[])
    }

    /// SKUs that a deployment can have.
    pub fn skus(&self, id: &DeploymentArmId) -> ArmRequest {
        self.get(&format!("{id}/skus"), &[])
    }

    /// Deployments of an account.
    pub fn deployments(&self, account: &AccountId) -> ArmRequest {
        self.get(&format!("{account}/deployments"), &[])
    }

    /// An account.
    pub fn account(&self, account: &AccountId) -> ArmRequest {
        self.get(&account.to_string(), &[])
    }

    /// Accounts of a subscription, or of one of its resource groups.
    pub fn accounts(&self, subscription: &str, resource_group: Option<&str>) -> ArmRequest {
        let group = resource_group.map_or_else(String::new, |group| format!("/resourceGroups/{group}"));
        self.get(
            &format!("/subscriptions/{subscription}{group}/providers/Microsoft.CognitiveServices/accounts"),
            &[],
        )
    }

    /// An account's keys.
    pub fn keys(&self, account: &AccountId) -> ArmRequest {
        self.of(Method::POST, &format!("{account}/listKeys"), &self.api_version, &[])
    }

    /// Models that can be deployed in an account, its fine-tuned ones included.
    pub fn account_models(&self, account: &AccountId) -> ArmRequest {
        self.get(&format!("{account}/models"), &[])
    }

    /// Models of a region.
    pub fn location_models(&self, subscription: &str, location: &str) -> ArmRequest {
        self.get(&in_location(subscription, location, "models"), &[])
    }

    /// Quota of a region and what is used of it.
    pub fn usages(&self, subscription: &str, location: &str) -> ArmRequest {
        self.get(&in_location(subscription, location, "usages"), &[])
    }

    /// Free capacity of a model in every region.
    pub fn model_capacities(&self, subscription: &str, name: &str, version: &str) -> ArmRequest {
        let path = format!("/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/modelCapacities");
        self.get(
            &path,
            &[
                ("modelFormat", "OpenAI"),
                ("modelName", name),
                ("modelVersion", version),
            ],
        )
    }

    /// Whether a URL that ARM gave leads back to it, so that its token may go there.
    pub fn is_own(&self, url: &Url) -> bool {
        let own = &self.management;
        url.scheme() == own.scheme()
            && url.host() == own.host()
            && url.port_or_known_default() == own.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none()
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> ArmRequest {
        self.of(Method::GET, path, &self.api_version, query)
    }

    fn of(&self, method: Method, path: &str, api_version: &str, query: &[(&str, &str)]) -> ArmRequest {
        let mut url = self.management.clone();
        url.set_path(&format!("{}{}", self.management.path().trim_end_matches('/'), path));
        url.query_pairs_mut()
            .append_pair("api-version", api_version)
            .extend_pairs(query);
        ArmRequest {
            method,
            url,
            auxiliary_tenant: None,
            body: None,
        }
    }
}

impl ArmRequest {
    /// What it does and to what, for messages: no query, no host.
    pub fn shown(&self) -> String {
        format!("{} {}", self.method, self.url.path())
    }
}

fn in_location(subscription: &str, location: &str, what: &str) -> String {
    // As ARM writes regions: `East US 2` is `eastus2`.
    let location: String = location
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_lowercase();
    format!("/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/locations/{location}/{what}")
}

fn json(value: &impl Serialize) -> String {
    // Through a value: what these types hold always has a form in JSON.
    serde_json::to_value(value).unwrap_or(Value::Null).to_string()
}

#[cfg(test)]
mod tests;
