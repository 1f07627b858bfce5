//! The errors that the gateway itself answers with, in one table: status, code, and what the client can do.
//!
//! Errors of an upstream pass through as they came (see [`failover`](crate::proxy::failover)); these are ours. Each has a
//! stable `code` for programs and a message for people that says what was wrong and how to mend it. What a client typed is
//! repeated only where it helps (a model's name), cut to a bounded length, and never becomes a metric label.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderName;
use strum::{AsRefStr, IntoStaticStr, VariantArray};

use crate::core::ids::{DeploymentId, Region};
use crate::core::recovery::absence::Absence;
use crate::openai::error;
use crate::openai::request::RequestError;
use crate::openai::target;
use crate::proxy::client_limits::Limited;
use crate::proxy::overload::ShedReason;

/// When to come back to a deployment that is being made: that takes minutes, and client libraries believe a minute at most.
const PROVISIONED_AFTER: Duration = Duration::from_mins(1);

/// Longest piece of a client's text that is repeated in an error.
const ECHO_CHARS_MAX: usize = 100;

/// Most names listed in an error.
const NAMES_LISTED_MAX: usize = 20;

/// Why the gateway refuses or gives up a request.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The path or method is not served.
    #[error("`{method} {path}` is not served here; served are: {served}", served = target::SERVED)]
    NotServed {
        /// The method.
        method: String,
        /// The path, cut.
        path: String,
    },
    /// The path is served, but not with this method.
    #[error("`{path}` takes {allowed} only")]
    WrongMethod {
        /// The path, cut.
        path: String,
        /// The methods it takes.
        allowed: &'static str,
    },
    /// No key, or an unknown one.
    #[error("{0}; send a key of this gateway as `api-key: KEY` or `Authorization: Bearer KEY`")]
    Unauthorized(&'static str),
    /// The body is larger than the limit.
    #[error("the request body is larger than {limit} bytes, the limit of this gateway")]
    BodyTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The body did not arrive in time.
    #[error("the request body did not arrive within {} s", .0.as_secs_f64())]
    BodyTooSlow(Duration),
    /// The process holds as many body bytes as it may.
    #[error("the gateway holds as many request bodies as it may; try again shortly")]
    Busy,
    /// As many requests run as may.
    #[error("the gateway answers as many requests as it may; try again shortly")]
    TooManyRunning,
    /// Where the response to be continued is kept cannot be looked up.
    #[error("the gateway cannot look up the response that this request continues; try again shortly")]
    CannotFindResponse,
    /// The gateway cannot keep up.
    #[error("the gateway is overloaded; try again shortly")]
    Overloaded,
    /// A limit of the client's or of the route's is in the way.
    #[error("{0}")]
    Limited(Box<Limited>),
    /// The gateway is being stopped, and the time for running requests is over.
    #[error("the gateway is being stopped; try again shortly")]
    Stopping,
    /// The request's head is no HTTP.
    #[error("the request's head is not valid HTTP, or larger than 1 MiB or 256 headers")]
    BadHead,
    /// The body cannot be understood.
    #[error("{0}")]
    BadBody(#[from] RequestError),
    /// A header of the gateway's own says what it cannot mean.
    #[error("the header `{name}` is `{value}`; it takes {wanted}")]
    BadHeader {
        /// Which.
        name: HeaderName,
        /// What it says, cut.
        value: String,
        /// What it takes.
        wanted: String,
    },
    /// The body's chunks cannot be told apart, or it is coded in another way besides.
    #[error(
        "the request body is framed wrongly; send it with `content-length`, or with `transfer-encoding: chunked` and nothing else"
    )]
    BadFraming,
    /// The body names no model.
    #[error("the request names no model: set `model` in the body to one of: {0}")]
    MissingModel(String),
    /// No such route, or not for this client.
    #[error("the model `{model}` does not exist or is not open to this key; its models are: {known}")]
    UnknownModel {
        /// What was asked for, cut.
        model: String,
        /// What may be asked for.
        known: String,
    },
    /// A deployment rests, and no other gave an answer.
    #[error(
        "no deployment behind this model can answer now; the first recovers in {:.1} s",
        .after.as_secs_f64()
    )]
    Resting {
        /// When the first has rested.
        after: Duration,
        /// Whether one was throttled; else Azure called itself unavailable for a time.
        is_throttled: bool,
    },
    /// Operators have taken every deployment out.
    #[error("every deployment behind this model is taken out of use by the gateway's operator")]
    Drained {
        /// When the first is back, where that is known.
        after: Option<Duration>,
    },
    /// By what the control plane says, or Azure's answers, no deployment can answer; this is the first of them.
    #[error("no deployment behind this model can answer: `{deployment}` in {region} {}", .why.sentence())]
    Absent {
        /// Which.
        deployment: DeploymentId,
        /// Where.
        region: Region,
        /// Why.
        why: Absence,
    },
    /// Azure does not know the deployment, and no other could answer.
    #[error(
        "Azure has no deployment `{deployment}` in {region}: it may have been deleted{rule}, or created a moment ago; \
         the gateway's operator must look at it",
        rule = .inactivity_days.map_or_else(String::new, |days| format!(" (fine-tuned ones are, after {days} days without a call)"))
    )]
    DeploymentMissing {
        /// Which.
        deployment: DeploymentId,
        /// Where.
        region: Region,
        /// The rule it may have fallen under.
        inactivity_days: Option<u32>,
    },
    /// Azure does not know the path that the configuration makes, and no other deployment could answer.
    #[error(
        "Azure does not know `{path}`, the path of deployment `{deployment}` in {region}: its resource's `endpoint` or \
         `api_version` is wrong; the gateway's operator must look at it"
    )]
    Misconfigured {
        /// Path and query.
        path: String,
        /// Of which deployment.
        deployment: DeploymentId,
        /// Where.
        region: Region,
    },
    /// Nothing within the bounds of the route's residency could answer, and nothing outside may be asked.
    #[error("{error}; this model is bound to {}, and {} not used", .regions.join(", "), others(*.excluded))]
    Fenced {
        /// What would have been said without.
        error: Box<Self>,
        /// The regions.
        regions: Vec<String>,
        /// How many deployments are not used.
        excluded: usize,
    },
    /// The response that is continued is another client's. In the provider's own words, so that nobody can tell it from one that is
    /// nowhere.
    #[error("Previous response with id '{name}' not found.")]
    PreviousResponseNotFound {
        /// What the client calls it, cut.
        name: String,
    },
    /// The response that is continued was made by a deployment that is not there any more, or not for this model.
    #[error(
        "the response that this request continues is kept by deployment `{deployment}`, which this model does not use (any more); \
         begin anew without `previous_response_id`, with the conversation so far as `input`"
    )]
    PreviousResponseGone {
        /// Who keeps it.
        deployment: DeploymentId,
    },
    /// The one deployment that keeps the response that is continued cannot answer.
    #[error(
        "{error}; the response that this request continues is kept by deployment `{deployment}`, and no other knows it{again}",
        again = .after.map_or_else(String::new, |after| format!("; try again in {:.1} s", after.as_secs_f64()))
    )]
    Pinned {
        /// What would have been said of a pool of this deployment alone.
        error: Box<Self>,
        /// Who keeps it.
        deployment: DeploymentId,
        /// When to try again; none where that cannot help.
        after: Option<Duration>,
    },
    /// Every attempt failed, and no upstream answer is worth passing on.
    #[error("no deployment behind this model gave an answer: {0}")]
    Exhausted(Exhausted),
}

/// How the last attempt failed, where there is no upstream answer to pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// The deadline passed or the answer did not begin in time.
    #[error("the time allowed ran out")]
    Timeout,
    /// Connections failed or broke, or what came was neither an answer nor an error.
    #[error("connections failed or broke, or what came back was no answer")]
    Unreachable,
    /// The gateway's own credential was refused.
    #[error("Azure refused the gateway's credential; its operator must look at it")]
    CredentialRefused,
    /// The only one that could be asked answered with this status.
    #[error("it answered with status {0}")]
    Answered(u16),
}

/// The name of a [`ProxyError`] in logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum RefusalReason {
    /// See [`ProxyError::NotServed`].
    NotServed,
    /// See [`ProxyError::WrongMethod`].
    MethodNotAllowed,
    /// See [`ProxyError::Unauthorized`].
    InvalidApiKey,
    /// See [`ProxyError::BodyTooLarge`].
    RequestTooLarge,
    /// See [`ProxyError::BodyTooSlow`].
    RequestTimeout,
    /// See [`ProxyError::Busy`], [`ProxyError::TooManyRunning`] and [`ProxyError::CannotFindResponse`].
    GatewayBusy,
    /// See [`ProxyError::Overloaded`].
    GatewayOverloaded,
    /// See [`ProxyError::Limited`].
    ClientLimited,
    /// See [`ProxyError::Stopping`].
    GatewayStopping,
    /// See [`ProxyError::BadHead`].
    InvalidHead,
    /// See [`ProxyError::BadBody`] and [`ProxyError::BadFraming`].
    InvalidBody,
    /// See [`ProxyError::BadHeader`].
    InvalidHeader,
    /// See [`ProxyError::MissingModel`].
    MissingModel,
    /// See [`ProxyError::UnknownModel`].
    ModelNotFound,
    /// See [`ProxyError::PreviousResponseNotFound`] and [`ProxyError::PreviousResponseGone`].
    PreviousResponseNotFound,
    /// See [`ProxyError::Resting`]: one was throttled.
    RateLimitExceeded,
    /// See [`ProxyError::Resting`]: none was throttled.
    UpstreamUnavailable,
    /// See [`ProxyError::Drained`].
    PoolDrained,
    /// See [`ProxyError::Absent`].
    DeploymentAbsent,
    /// See [`ProxyError::DeploymentMissing`].
    DeploymentNotFound,
    /// See [`ProxyError::Misconfigured`].
    UpstreamMisconfigured,
    /// See [`Exhausted::Timeout`].
    UpstreamTimeout,
    /// See [`Exhausted::Unreachable`].
    UpstreamUnreachable,
    /// See [`Exhausted::CredentialRefused`].
    UpstreamCredentialRefused,
}

impl ProxyError {
    /// The stable name: `code` in the body, label in logs and metrics.
    pub fn reason(&self) -> RefusalReason {
        match self {
            Self::Fenced { error, .. } | Self::Pinned { error, .. } => error.reason(),
            Self::NotServed { .. } => RefusalReason::NotServed,
            Self::WrongMethod { .. } => RefusalReason::MethodNotAllowed,
            Self::Unauthorized(_) => RefusalReason::InvalidApiKey,
            Self::BodyTooLarge { .. } => RefusalReason::RequestTooLarge,
            Self::BodyTooSlow(_) => RefusalReason::RequestTimeout,
            Self::Busy | Self::TooManyRunning | Self::CannotFindResponse => RefusalReason::GatewayBusy,
            Self::Overloaded => RefusalReason::GatewayOverloaded,
            Self::Limited(_) => RefusalReason::ClientLimited,
            Self::Stopping => RefusalReason::GatewayStopping,
            Self::BadHead => RefusalReason::InvalidHead,
            Self::BadBody(_) | Self::BadFraming => RefusalReason::InvalidBody,
            Self::BadHeader { .. } => RefusalReason::InvalidHeader,
            Self::MissingModel(_) => RefusalReason::MissingModel,
            Self::UnknownModel { .. } => RefusalReason::ModelNotFound,
            Self::PreviousResponseNotFound { .. } | Self::PreviousResponseGone { .. } => {
                RefusalReason::PreviousResponseNotFound
            }
            Self::Resting { is_throttled: true, .. } => RefusalReason::RateLimitExceeded,
            Self::Resting { .. } | Self::Exhausted(Exhausted::Answered(_)) => RefusalReason::UpstreamUnavailable,
            Self::Drained { .. } => RefusalReason::PoolDrained,
            Self::Absent { .. } => RefusalReason::DeploymentAbsent,
            Self::Misconfigured { .. } => RefusalReason::UpstreamMisconfigured,
            Self::DeploymentMissing { .. } => RefusalReason::DeploymentNotFound,
            Self::Exhausted(Exhausted::Timeout) => RefusalReason::UpstreamTimeout,
            Self::Exhausted(Exhausted::Unreachable) => RefusalReason::UpstreamUnreachable,
            Self::Exhausted(Exhausted::CredentialRefused) => RefusalReason::UpstreamCredentialRefused,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Fenced { error, .. } | Self::Pinned { error, .. } => error.status(),
            Self::NotServed { .. } | Self::UnknownModel { .. } | Self::DeploymentMissing { .. } => {
                StatusCode::NOT_FOUND
            }
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Limited(_) | Self::Resting { is_throttled: true, .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy
            | Self::TooManyRunning
            | Self::CannotFindResponse
            | Self::Overloaded
            | Self::Stopping
            | Self::Resting { .. }
            | Self::Drained { .. }
            | Self::Absent { .. }
            | Self::Exhausted(Exhausted::Answered(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadHead
            | Self::BadHeader { .. }
            | Self::BadBody(_)
            | Self::BadFraming
            | Self::MissingModel(_)
            | Self::PreviousResponseNotFound { .. }
            | Self::PreviousResponseGone { .. } => StatusCode::BAD_REQUEST,
            Self::Exhausted(Exhausted::Timeout) => StatusCode::GATEWAY_TIMEOUT,
            Self::Misconfigured { .. } | Self::Exhausted(Exhausted::Unreachable | Exhausted::CredentialRefused) => {
                StatusCode::BAD_GATEWAY
            }
        }
    }

    /// The JSON body.
    pub fn body(&self) -> Bytes {
        let param = match self {
            Self::MissingModel(_) | Self::UnknownModel { .. } => Some("model"),
            Self::BadBody(error) => error.member(),
            Self::PreviousResponseNotFound { .. } | Self::PreviousResponseGone { .. } => Some("previous_response_id"),
            _ => None,
        };
        let code = match self {
            // Azure's own spelling, which programs compare with.
            Self::DeploymentMissing { .. } => "DeploymentNotFound",
            Self::Fenced { error, .. } | Self::Pinned { error, .. }
                if matches!(**error, Self::DeploymentMissing { .. }) =>
            {
                "DeploymentNotFound"
            }
            // What OpenAI says, which programs compare with.
            Self::Limited(_) => RefusalReason::RateLimitExceeded.into(),
            _ => self.reason().into(),
        };
        error::body(&self.to_string(), self.kind(), param, code)
    }

    /// `type` in the body, in the words that OpenAI uses.
    fn kind(&self) -> &'static str {
        match self.status().as_u16() {
            401 => "authentication_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// Why the gateway turns the request away for its own sake, if that is so.
    pub fn shed_reason(&self) -> Option<ShedReason> {
        match self {
            Self::Busy => Some(ShedReason::HeldBodies),
            Self::TooManyRunning => Some(ShedReason::RunningRequests),
            Self::Overloaded => Some(ShedReason::Delay),
            _ => None,
        }
    }

    /// When it makes sense to try again; none where the client's library should use its own judgement.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Fenced { error, .. } => error.retry_after(),
            Self::Resting { after, .. } => Some(*after),
            Self::Limited(limited) => limited.after(),
            Self::Drained { after } | Self::Pinned { after, .. } => *after,
            Self::Absent {
                why: Absence::Provisioning,
                ..
            } => Some(PROVISIONED_AFTER),
            Self::Busy | Self::TooManyRunning | Self::CannotFindResponse | Self::Overloaded | Self::Stopping => {
                Some(Duration::from_secs(1))
            }
            _ => None,
        }
    }

    /// Whether trying again cannot help, so that client libraries are told not to.
    pub fn is_final(&self) -> bool {
        if let Self::Fenced { error, .. } | Self::Pinned { error, .. } = self {
            return error.is_final();
        }
        if let Self::Limited(limited) = self {
            return limited.after().is_none();
        }
        if let Self::Absent { why, .. } = self {
            return *why != Absence::Provisioning;
        }
        matches!(
            self,
            Self::Misconfigured { .. } | Self::Exhausted(Exhausted::CredentialRefused)
        ) || self.status().is_client_error() && !matches!(self, Self::Resting { .. } | Self::BodyTooSlow(_))
    }
}

/// The subject of a sentence about a pool's other deployments.
fn others(count: usize) -> String {
    match count {
        1 => "the other deployment of its pool is".to_owned(),
        _ => format!("the {count} other deployments of its pool are"),
    }
}

/// A client's text, cut for an error message.
pub fn echo(text: &str) -> String {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Configured names for an error message.
pub fn list_names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return "none".to_owned();
    }
    let more = names.len().saturating_sub(NAMES_LISTED_MAX);
    names.truncate(NAMES_LISTED_MAX);
    let tail = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{tail}", names.join(", "))
}

#[cfg(test)]
mod documented;

#[cfg(test)]
mod tests;
