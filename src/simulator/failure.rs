//! The service's failures, word for word: one constructor each, no logic.
//!
//! Shapes differ on purpose, because they do on the wire: the front door sends `code` and `message` only, the token
//! check sends no `error` member at all, the model sends the OpenAI envelope.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::simulator::filters;
use crate::simulator::limits::{ThrottleCause, Throttled};

/// A failed response: status, body and what is special in its head.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Status code.
    pub status: StatusCode,
    /// Body.
    pub body: FailureBody,
    /// `retry-after`, also sent in milliseconds.
    pub retry_after: Option<Duration>,
    /// Whether the model refused it, which some headers tell.
    pub by_model: bool,
}

/// A failed response's body.
#[derive(Debug, Clone, PartialEq)]
pub enum FailureBody {
    /// `application/json`.
    Json(Value),
    /// `text/html`.
    Html(&'static str),
}

impl Failure {
    pub(super) fn json(status: StatusCode, body: Value) -> Self {
        Self {
            status,
            body: FailureBody::Json(body),
            retry_after: None,
            by_model: false,
        }
    }

    pub(super) fn coded(status: StatusCode, code: &str, message: &str) -> Self {
        Self::json(status, json!({ "error": { "code": code, "message": message } }))
    }

    pub(super) fn html(status: StatusCode, page: &'static str) -> Self {
        Self {
            status,
            body: FailureBody::Html(page),
            retry_after: None,
            by_model: false,
        }
    }

    /// 400 in the model's own words.
    pub(super) fn invalid_request(message: &str, param: Option<&str>, code: Option<&str>) -> Self {
        let body =
            json!({ "error": { "message": message, "type": "invalid_request_error", "param": param, "code": code } });
        Self {
            by_model: true,
            ..Self::json(StatusCode::BAD_REQUEST, body)
        }
    }

    /// 400 for a field the API version does not know.
    pub fn unrecognized_argument(name: &str) -> Self {
        Self::invalid_request(&format!("Unrecognized request argument supplied: {name}"), None, None)
    }

    /// 400 for a required field.
    pub fn missing_parameter(name: &str) -> Self {
        let message = format!("Missing required parameter: '{name}'.");
        Self::invalid_request(&message, Some(name), Some("missing_required_parameter"))
    }

    /// 400 for a response that this resource does not keep.
    pub fn previous_response_not_found(id: &str) -> Self {
        let message = format!("Previous response with id '{id}' not found.");
        Self::invalid_request(
            &message,
            Some("previous_response_id"),
            Some("previous_response_not_found"),
        )
    }

    /// 400 for a body that is not JSON.
    pub fn not_json() -> Self {
        let message = "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your \
                       HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)";
        Self::invalid_request(message, None, None)
    }

    /// 400 for a prompt that does not fit.
    pub fn context_length(limit: u32, tokens: u32) -> Self {
        let message = format!(
            "This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} tokens. \
             Please reduce the length of the messages."
        );
        Self::invalid_request(&message, Some("messages"), Some("context_length_exceeded"))
    }

    /// 400 for an operation the model does not offer.
    pub fn operation_not_supported(operation: &str, model: &str) -> Self {
        let message = format!(
            "The {operation} operation does not work with the specified model, {model}. Please choose different model \
             and try again. You can learn more about which models can be used with each operation here: \
             https://go.microsoft.com/fwlink/?linkid=2197993."
        );
        Self::coded(StatusCode::BAD_REQUEST, "OperationNotSupported", &message)
    }

    /// 400 for a prompt that the content filter stops.
    pub fn content_filter(category: filters::Category) -> Self {
        let body = json!({ "error": {
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. \
                        Please modify your prompt and retry. To learn more about our content filtering policies please \
                        read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
            "type": null, "param": "prompt", "code": "content_filter", "status": 400,
            "innererror": {
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": filters::prompt_results(Some(category)),
            },
        } });
        Self::json(StatusCode::BAD_REQUEST, body)
    }

    /// 401 for a wrong or missing key.
    pub fn wrong_key() -> Self {
        Self::coded(
            StatusCode::UNAUTHORIZED,
            "401",
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an \
             active subscription and use a correct regional API endpoint for your resource.",
        )
    }

    /// 401 for a wrong or expired token.
    pub fn wrong_token() -> Self {
        let message = "Unauthorized. Access token is missing, invalid, audience is incorrect \
                       (https://cognitiveservices.azure.com), or have expired.";
        Self::json(
            StatusCode::UNAUTHORIZED,
            json!({ "statusCode": 401, "message": message }),
        )
    }

    /// 403 where keys are switched off.
    pub fn keys_disabled() -> Self {
        let message = "Key based authentication is disabled for this resource.";
        Self::coded(StatusCode::FORBIDDEN, "AuthenticationTypeDisabled", message)
    }

    /// 404 for a deployment that is not there.
    pub fn deployment_not_found() -> Self {
        Self::coded(
            StatusCode::NOT_FOUND,
            "DeploymentNotFound",
            "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, \
             please wait a moment and try again.",
        )
    }

    /// 404 for a path, method or API version that is not there.
    pub fn resource_not_found() -> Self {
        Self::coded(StatusCode::NOT_FOUND, "404", "Resource not found")
    }

    /// 410 for a retired model.
    pub fn model_retired() -> Self {
        Self::coded(
            StatusCode::GONE,
            "ModelDeprecated",
            "The model associated with the deployment is deprecated and no longer available for use. Please refer to the \
             Azure OpenAI service documentation for more information.",
        )
    }

    /// 413 for a body above the simulator's bound.
    pub fn body_too_large() -> Self {
        Self::coded(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLarge",
            "The request body is too large.",
        )
    }

    /// 423 for a paused deployment. Its real body is undocumented.
    pub fn paused() -> Self {
        Self::coded(
            StatusCode::LOCKED,
            "DeploymentPaused",
            "The deployment is paused. Resume it to use it again.",
        )
    }

    /// 431 for more than ten custom headers.
    pub fn too_many_headers(count: usize) -> Self {
        let message = format!("The request has {count} custom headers; at most 10 are allowed.");
        Self::coded(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "431", &message)
    }

    /// 429 in the words that belong to the cause.
    pub fn throttled(throttled: &Throttled, limited: &Limited<'_>) -> Self {
        // Whole seconds, rounded up: zero would tell SDKs to come back at once.
        let seconds = throttled.retry_after.as_millis().div_ceil(1_000).max(1);
        let Limited {
            deployment,
            model,
            region,
            operation,
            api_version,
        } = *limited;
        let limit = match throttled.cause {
            ThrottleCause::Tokens | ThrottleCause::TooLarge => "token rate limit",
            ThrottleCause::Requests => "call rate limit",
            ThrottleCause::Provisioned => {
                let message = "Rate limit is exceeded. The provisioned deployment is above 100% utilization. \
                     Try again in a moment, or send the request to another deployment.";
                let refused = Self::coded(StatusCode::TOO_MANY_REQUESTS, "429", message);
                return Self {
                    retry_after: Some(throttled.retry_after),
                    ..refused
                };
            }
        };
        let message = format!(
            "Your requests to {deployment} for {model} in {region} have exceeded the {limit} for your current AIServices S0 \
             pricing tier. This request was for {operation} under Azure OpenAI API version {api_version}. Please retry after \
             {seconds} seconds. Please contact Azure support service if you would like to further increase the default rate limit."
        );
        let refused = Self::coded(StatusCode::TOO_MANY_REQUESTS, "429", &message);
        Self {
            retry_after: Some(throttled.retry_after),
            ..refused
        }
    }
}

/// What a 429 names.
#[derive(Debug, Clone, Copy)]
pub struct Limited<'a> {
    /// Deployment asked.
    pub deployment: &'a str,
    /// Its model.
    pub model: &'a str,
    /// Its region, as displayed.
    pub region: &'a str,
    /// Operation, such as `ChatCompletions_Create`.
    pub operation: &'a str,
    /// API version of the request, or `v1`.
    pub api_version: &'a str,
}
