//! How the API says no, and how it reads what it is sent: one error envelope for all, the one that clients of the gateway know.

use std::borrow::Cow;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::admin::access::Caller;
use crate::admin::api::PREFIX;
use crate::config::checked::admin::Role;
use crate::openai::error;

/// Longest part of a path that is repeated to whoever asked for it.
const PATH_CHARS_MAX: usize = 200;

/// What an endpoint answers: JSON, or a refusal.
pub type Answer<T> = Result<Json<T>, Refusal>;

/// Why something was not done. Its body is `{"error": {"message", "type", "param", "code"}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// What is wrong and how to mend it, for people.
    pub message: String,
    /// The parameter it is about, if it is about one.
    pub param: Option<Cow<'static, str>>,
    /// What is wrong, for programs.
    pub code: &'static str,
    /// A member beside `error`, for programs that can mend it.
    pub beside: Option<Box<(&'static str, Value)>>,
    /// Seconds after which asking again makes sense, sent as `retry-after`.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    /// With this status; see [`Refusal`].
    pub fn new(status: StatusCode, message: impl Into<String>, code: &'static str) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code,
            beside: None,
            retry_after_s: None,
        }
    }

    /// The same with a member beside `error`.
    #[must_use]
    pub fn beside(self, name: &'static str, value: Value) -> Self {
        Self {
            beside: Some(Box::new((name, value))),
            ..self
        }
    }

    /// 400: the request is not understood.
    pub fn bad(message: impl Into<String>, code: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message, code)
    }

    /// 400 for a parameter.
    pub fn bad_param(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..Self::bad(message, "bad_parameter")
        }
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<String>, code: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, message, code)
    }

    /// 409: not as things are.
    pub fn conflict(message: impl Into<String>, code: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, message, code)
    }

    /// 503: not now.
    pub fn unavailable(message: impl Into<String>, code: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message, code)
    }

    /// 500: the gateway failed.
    pub fn failed(message: impl Into<String>, code: &'static str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message, code)
    }

    /// The same with `retry-after`.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    /// 403: somebody who may not.
    pub(in crate::admin) fn forbidden(needed: Role, caller: &Caller) -> Self {
        let message = format!(
            "this asks the role `{}`; `{}` has `{}`",
            needed.as_ref(),
            caller.name,
            caller.role.as_ref()
        );
        Self::new(StatusCode::FORBIDDEN, message, "role_too_low")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let kind = if self.status.is_server_error() {
            "server_error"
        } else {
            "invalid_request_error"
        };
        let json = HeaderValue::from_static("application/json");
        let body = error::body(&self.message, kind, self.param.as_deref(), self.code);
        let body = match self.beside.map(|beside| *beside) {
            Some((name, value)) => with_member(&body, name, value),
            None => body,
        };
        let mut response = (self.status, [(header::CONTENT_TYPE, json)], body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"emberway\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

/// An error's body with one more member.
fn with_member(body: &Bytes, name: &str, value: Value) -> Bytes {
    // It is an object of our own writing.
    let mut whole: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    whole.insert(name.to_owned(), value);
    Value::Object(whole).to_string().into()
}

/// The body of a [`Refusal`], for the document.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorMembers,
}

/// What is told of an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorMembers {
    /// What is wrong and how to mend it, for people.
    pub message: String,
    /// `invalid_request_error` or `server_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The parameter it is about, if it is about one.
    pub param: Option<String>,
    /// What is wrong, for programs.
    pub code: Option<String>,
}

/// A query as a struct; one that is not understood is refused with the envelope.
#[derive(Debug, Clone)]
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection @ QueryRejection::FailedToDeserializeQueryString(_)) => {
                let message = format!("the query is not understood: {}", rejection.body_text());
                Err(Refusal::bad(message, "bad_query"))
            }
            Err(rejection) => Err(Refusal::bad(rejection.body_text(), "bad_query")),
        }
    }
}

/// A JSON body as a value; `content-type: application/json` is asked. One that is not understood is refused with the envelope.
#[derive(Debug, Clone)]
pub struct Sent<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(refused_body(&rejection)),
        }
    }
}

fn refused_body(rejection: &JsonRejection) -> Refusal {
    let message = format!("the body is not understood: {}", rejection.body_text());
    match rejection {
        // What a value means is part of the request too, and the envelope says which.
        JsonRejection::JsonDataError(_) | JsonRejection::JsonSyntaxError(_) => Refusal::bad(message, "bad_body"),
        JsonRejection::MissingJsonContentType(_) => Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body as `content-type: application/json`",
            "bad_content_type",
        ),
        other => Refusal::new(other.status(), message, "bad_body"),
    }
}

/// What is answered to a path that is none of the API's.
pub(super) async fn no_such_path(OriginalUri(uri): OriginalUri) -> Refusal {
    let path: String = uri.path().chars().take(PATH_CHARS_MAX).collect();
    let message = format!("there is no `{path}`; `{PREFIX}/openapi.json` describes what there is");
    Refusal::not_found(message, "unknown_path")
}

/// What is answered to a method that an endpoint does not have; axum adds `allow`.
pub(super) async fn wrong_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this method is not served here; `allow` says which are",
        "wrong_method",
    )
}
