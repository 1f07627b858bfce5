//! The service's failures by name, for faults: `action: {preset: gateway_timeout}`.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::simulator::failure::{Failure, Limited};
use crate::simulator::filters::Category;
use crate::simulator::limits::{NEVER_FITS_RETRY_AFTER, ThrottleCause, Throttled};

/// A known failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// 400 by the prompt's content filter.
    ContentFilter,
    /// 401 for a key.
    WrongKey,
    /// 401 for a token that expired.
    ExpiredCredential,
    /// 401 for a principal without the role.
    MissingRole,
    /// 403 by the network rules.
    NetworkDenied,
    /// 403 for abuse.
    TemporarilyBlocked,
    /// 404 `DeploymentNotFound`.
    DeploymentNotFound,
    /// 408.
    RequestTimeout,
    /// 410.
    ModelRetired,
    /// 423.
    Paused,
    /// 424.
    FailedDependency,
    /// 429 by the token limit, retry after 20 s.
    TokenLimit,
    /// 429 by the request limit, retry after 3 s.
    RequestLimit,
    /// 429 that asks to wait a day.
    RetryAfterDay,
    /// 429 for shared capacity, without `retry-after`.
    HighDemand,
    /// 429 of a full provisioned deployment, retry after 200 ms.
    ProvisionedFull,
    /// 500 in the model's words.
    ServerError,
    /// 500 in the front door's words.
    InternalServerError,
    /// 502 with an HTML page.
    BadGatewayHtml,
    /// 503 with JSON.
    Unavailable,
    /// 503 with an HTML page.
    UnavailableHtml,
    /// 504 with JSON.
    GatewayTimeout,
}

impl Preset {
    /// The response.
    pub fn failure(self, limited: &Limited<'_>) -> Failure {
        let throttled = |cause, retry_after| Failure::throttled(&Throttled { cause, retry_after }, limited);
        match self {
            Self::ContentFilter => Failure::content_filter(Category::Hate),
            Self::WrongKey => Failure::wrong_key(),
            Self::ExpiredCredential => Failure::wrong_token(),
            Self::MissingRole => missing_role(),
            Self::NetworkDenied => Failure::coded(
                StatusCode::FORBIDDEN,
                "403",
                "Access denied due to Virtual Network/Firewall rules.",
            ),
            Self::TemporarilyBlocked => Failure::coded(
                StatusCode::FORBIDDEN,
                "403",
                "Your resource has been temporarily blocked because we detected behavior that may violate our content policy.",
            ),
            Self::DeploymentNotFound => Failure::deployment_not_found(),
            Self::RequestTimeout => {
                Failure::coded(StatusCode::REQUEST_TIMEOUT, "Timeout", "The operation was timeout.")
            }
            Self::ModelRetired => Failure::model_retired(),
            Self::Paused => Failure::paused(),
            Self::FailedDependency => Failure::coded(StatusCode::FAILED_DEPENDENCY, "424", "Failed dependency."),
            Self::TokenLimit => throttled(ThrottleCause::Tokens, Duration::from_secs(20)),
            Self::RequestLimit => throttled(ThrottleCause::Requests, Duration::from_secs(3)),
            Self::RetryAfterDay => throttled(ThrottleCause::TooLarge, NEVER_FITS_RETRY_AFTER),
            Self::HighDemand => high_demand(),
            Self::ProvisionedFull => throttled(ThrottleCause::Provisioned, Duration::from_millis(200)),
            Self::ServerError => server_error(),
            Self::InternalServerError => Failure::coded(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalServerError",
                "Internal server error.",
            ),
            Self::BadGatewayHtml => Failure::html(StatusCode::BAD_GATEWAY, BAD_GATEWAY_PAGE),
            Self::Unavailable => unavailable(),
            Self::UnavailableHtml => Failure::html(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE_PAGE),
            Self::GatewayTimeout => Failure::coded(
                StatusCode::GATEWAY_TIMEOUT,
                "GatewayTimeout",
                "The gateway did not receive a response in time.",
            ),
        }
    }
}

fn missing_role() -> Failure {
    let message = "The principal `00000000-0000-0000-0000-000000000000` lacks the required data action \
                   `Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action` to perform \
                   `POST /openai/deployments/{deployment-id}/chat/completions` operation.";
    Failure::coded(StatusCode::UNAUTHORIZED, "PermissionDenied", message)
}

fn high_demand() -> Failure {
    let message = "The system is currently experiencing high demand and cannot process your request. Your request \
                   exceeds the maximum usage size allowed during peak load. For improved capacity reliability, consider \
                   switching to Provisioned Throughput.";
    Failure::coded(StatusCode::TOO_MANY_REQUESTS, "NoCapacity", message)
}

fn server_error() -> Failure {
    let body = json!({ "error": {
        "message": "The server had an error while processing your request. Sorry about that!",
        "type": "server_error", "param": null, "code": null,
    } });
    Failure {
        by_model: true,
        ..Failure::json(StatusCode::INTERNAL_SERVER_ERROR, body)
    }
}

fn unavailable() -> Failure {
    let message = "The service is temporarily unable to process your request. Please try again later.";
    Failure::coded(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
}

const BAD_GATEWAY_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad \
    Gateway</h1></center>\r\n<hr><center>Microsoft-Azure-Application-Gateway/v2</center>\r\n</body>\r\n</html>\r\n";
const UNAVAILABLE_PAGE: &str = "<!DOCTYPE html><html><head><title>Service Unavailable</title></head><body><h2>Service \
    Unavailable</h2><hr><p>HTTP Error 503. The service is unavailable.</p></body></html>\r\n";
