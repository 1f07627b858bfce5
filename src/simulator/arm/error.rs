//! What ARM refuses, word for word: one constructor for each way to fail, no logic.

use http::StatusCode;
use serde_json::{Value, json};

use crate::simulator::arm::time;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmError {
    /// Status code.
    pub status: StatusCode,
    /// `error.code`.
    pub code: String,
    /// `error.message`.
    pub message: String,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
}

impl ArmError {
    /// A refusal in these words.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            retry_after_s: None,
        }
    }

    /// The body.
    pub fn body(&self) -> Value {
        json!({ "error": { "code": self.code, "message": self.message } })
    }

    fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    fn missing(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(super) fn unauthorized(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    pub(super) fn missing_api_version() -> Self {
        Self::bad(
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    }

    pub(super) fn invalid_api_version(version: &str) -> Self {
        let known = super::path::API_VERSIONS.join(",");
        Self::bad(
            "InvalidApiVersionParameter",
            format!("The api-version '{version}' is invalid. The supported versions are '{known}'."),
        )
    }

    pub(super) fn invalid_content(problem: &str) -> Self {
        Self::bad(
            "InvalidRequestContent",
            format!("The request content was invalid and could not be deserialized: '{problem}'."),
        )
    }

    pub(super) fn invalid_properties(problem: impl Into<String>) -> Self {
        Self::bad("InvalidResourceProperties", problem)
    }

    pub(super) fn invalid_source_id(id: &str, path: &str) -> Self {
        Self::bad(
            "LinkedInvalidPropertyId",
            format!(
                "Property id '{id}' at path '{path}' is invalid. Expect fully qualified resource Id that start with '/subscriptions/{{subscriptionId}}' or '/providers/{{resourceProviderNamespace}}/'."
            ),
        )
    }

    pub(super) fn model_not_supported(name: &str, version: &str) -> Self {
        Self::bad(
            "DeploymentModelNotSupported",
            format!("The model 'Format:OpenAI,Name:{name},Version:{version}' of account deployment is not supported."),
        )
    }

    pub(super) fn model_deprecated(model: &super::wanted::ModelRef, retired_ms: u64) -> Self {
        let date = time::shown(retired_ms);
        Self::bad(
            "ServiceModelDeprecated",
            format!(
                "The model 'Format:OpenAI,Name:{},Version:{},Source:{},SourceAccount:{}' has been deprecated since {date} and cannot be deployed any more.",
                model.name,
                model.version,
                model.source.as_deref().unwrap_or_default(),
                model.source_account.as_deref().unwrap_or_default(),
            ),
        )
    }

    pub(super) fn insufficient_quota(usage: &str, wanted: u32, used: u32, limit: u32) -> Self {
        let left = limit.saturating_sub(used);
        Self::bad(
            "InsufficientQuota",
            format!(
                "This operation require {wanted} new capacity in quota {usage}, which is bigger than the current available capacity {left}. The current quota usage is {used} and the quota limit is {limit} for quota {usage}."
            ),
        )
    }

    pub(super) fn wrong_tenant(found: &str, expected: &str) -> Self {
        Self::unauthorized(
            "InvalidAuthenticationTokenTenant",
            format!(
                "The access token is from the wrong issuer 'https://sts.windows.net/{found}/'. It must match the tenant 'https://sts.windows.net/{expected}/' associated with this subscription. Please use the authority (URL) 'https://login.windows.net/{expected}' to get the token."
            ),
        )
    }

    pub(super) fn not_authorized(client: (&str, &str), action: &str, scope: &str) -> Self {
        let (client_id, object_id) = client;
        Self::new(
            StatusCode::FORBIDDEN,
            "AuthorizationFailed",
            format!(
                "The client '{client_id}' with object id '{object_id}' does not have authorization to perform action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
            ),
        )
    }

    pub(super) fn linked_not_authorized(client: (&str, &str), scope: &str, linked: &str) -> Self {
        let (client_id, object_id) = client;
        Self::new(
            StatusCode::FORBIDDEN,
            "LinkedAuthorizationFailed",
            format!(
                "The client '{client_id}' with object id '{object_id}' has permission to perform action 'Microsoft.CognitiveServices/accounts/deployments/write' on scope '{scope}'; however, it does not have permission to perform action(s) 'Microsoft.CognitiveServices/accounts/deployments/write' on the linked scope(s) '{linked}' (respectively) or the linked scope(s) are invalid."
            ),
        )
    }

    pub(super) fn no_subscription(id: &str) -> Self {
        Self::missing(
            "SubscriptionNotFound",
            format!("The subscription '{id}' could not be found."),
        )
    }

    pub(super) fn no_resource_group(name: &str) -> Self {
        Self::missing(
            "ResourceGroupNotFound",
            format!("Resource group '{name}' could not be found."),
        )
    }

    pub(super) fn no_resource(kind: &str, name: &str, group: &str) -> Self {
        Self::missing(
            "ResourceNotFound",
            format!(
                "The Resource 'Microsoft.CognitiveServices/{kind}/{name}' under resource group '{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
            ),
        )
    }

    pub(super) fn no_operation(id: &str) -> Self {
        Self::missing("ResourceNotFound", format!("The operation '{id}' was not found."))
    }

    pub(super) fn no_path() -> Self {
        Self::missing(
            "InvalidResourceType",
            "The resource type could not be found in the namespace 'Microsoft.CognitiveServices' for this api version, or the simulator does not have it.",
        )
    }

    pub(super) fn wrong_method(method: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "HttpMethodNotSupported",
            format!("The HTTP method '{method}' is not supported at scope of this resource."),
        )
    }

    pub(super) fn conflict(account: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "RequestConflict",
            format!("Another operation is being performed on the parent resource '{account}'. Please try again later."),
        )
    }

    pub(super) fn invalid_state(account: &str, state: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "InvalidResourceState",
            format!("The account '{account}' is in state '{state}'; call again when it is 'Succeeded'."),
        )
    }

    pub(super) fn throttled(retry_after_s: u64, what: &str) -> Self {
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequests",
                format!(
                    "The request is being throttled as the limit of {what} has been reached. Please try after '{retry_after_s}' seconds."
                ),
            )
        }
    }
}
