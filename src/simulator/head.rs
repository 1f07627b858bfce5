//! Response heads, field by field as the service sends them.
//!
//! Pay-per-token deployments tell their limits in `x-ratelimit-*`; provisioned ones do not send these at all. Every
//! response carries `x-emberway-simulator: 1`, so that nobody takes it for the real service.

use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::simulator::chance::draw;
use crate::simulator::failure::{Failure, FailureBody};
use crate::simulator::faults::Canned;
use crate::simulator::limits::Remaining;
use crate::simulator::world::{Account, Deployment};

const MARK: HeaderName = HeaderName::from_static("x-emberway-simulator");
const REGION: HeaderName = HeaderName::from_static("x-ms-region");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const APIM_REQUEST_ID: HeaderName = HeaderName::from_static("apim-request-id");
/// Echoed when the caller sends it.
pub const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const DEPLOYMENT: HeaderName = HeaderName::from_static("x-ms-deployment-name");
const SESSION: HeaderName = HeaderName::from_static("azureml-model-session");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const RAI_INVOKED: HeaderName = HeaderName::from_static("x-ms-rai-invoked");
const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
const MODEL_ERROR: HeaderName = HeaderName::from_static("ms-azureml-model-error-reason");
const MODEL_ERROR_STATUS: HeaderName = HeaderName::from_static("ms-azureml-model-error-statuscode");
/// Set when another deployment served.
pub const SPILLOVER_FROM: HeaderName = HeaderName::from_static("x-ms-spillover-from-deployment");
/// Status of a spillover that failed.
pub const SPILLOVER_ERROR: HeaderName = HeaderName::from_static("x-ms-spillover-error");
/// Spillover target in a request.
pub const SPILLOVER_TO: HeaderName = HeaderName::from_static("x-ms-spillover-deployment");

/// What every response of an account carries.
pub fn common(account: &Account, seed: u64, number: u64, client_request_id: Option<&HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(24);
    headers.insert(MARK, HeaderValue::from_static("1"));
    headers.insert(REGION, account.region_header.clone());
    if let Ok(id) = HeaderValue::from_str(&request_id(seed, number)) {
        headers.insert(APIM_REQUEST_ID, id.clone());
        headers.insert(REQUEST_ID, id);
    }
    if let Some(id) = client_request_id {
        headers.insert(CLIENT_REQUEST_ID, id.clone());
    }
    let hsts = HeaderValue::from_static("max-age=31536000; includeSubDomains; preload");
    headers.insert(http::header::STRICT_TRANSPORT_SECURITY, hsts);
    headers.insert(
        http::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
}

/// A version 4 UUID in form, drawn from the seed.
fn request_id(seed: u64, number: u64) -> String {
    let (high, low) = (
        draw(seed, ("request id", number)),
        draw(seed, ("request id end", number)),
    );
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

/// Adds what a deployment's own answers carry. `machine` is the one that served.
pub fn add_deployment(headers: &mut HeaderMap, deployment: &Deployment, machine: u32, took: Duration) {
    headers.insert(DEPLOYMENT, deployment.name_header.clone());
    let session = format!("d20260620024045-{:08x}", draw(deployment.session, machine) >> 32);
    if let Ok(session) = HeaderValue::from_str(&session) {
        headers.insert(SESSION, session);
    }
    let took_ms = HeaderValue::from(took.as_millis() as u64);
    headers.insert(SERVICE_TIME, took_ms.clone());
    headers.insert(PROCESSING_MS, took_ms);
    headers.insert(RAI_INVOKED, HeaderValue::from_static("true"));
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
}

/// Adds the limits of a standard deployment. The reset times come with a 429 only.
pub fn add_limits(headers: &mut HeaderMap, remaining: &Remaining, throttled: bool) {
    let mut add = |name: &'static str, value: u64| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    };
    add("x-ratelimit-limit-requests", remaining.limit_requests.into());
    add("x-ratelimit-limit-tokens", remaining.limit_tokens);
    add("x-ratelimit-remaining-requests", remaining.remaining_requests.into());
    add("x-ratelimit-remaining-tokens", remaining.remaining_tokens);
    if throttled {
        let reset = seconds_rounded_up(remaining.reset);
        add("x-ratelimit-reset-requests", reset);
        add("x-ratelimit-reset-tokens", reset);
    }
}

fn seconds_rounded_up(time: Duration) -> u64 {
    time.as_millis().div_ceil(1_000) as u64
}

/// Rounded up, so that whoever waits exactly as told passes.
fn milliseconds_rounded_up(time: Duration) -> u64 {
    time.as_nanos().div_ceil(1_000_000) as u64
}

/// The response of a failure.
pub fn failed(failure: &Failure, mut headers: HeaderMap) -> Response<Body> {
    let (text, content_type) = match &failure.body {
        FailureBody::Json(body) => (body.to_string(), "application/json"),
        FailureBody::Html(page) => ((*page).to_owned(), "text/html"),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(wait) = failure.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds_rounded_up(wait).max(1)));
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(milliseconds_rounded_up(wait)));
    }
    if failure.by_model {
        headers.insert(MODEL_ERROR, HeaderValue::from_static("model_error"));
        headers.insert(MODEL_ERROR_STATUS, HeaderValue::from(failure.status.as_u16()));
    }
    respond(failure.status, headers, Body::from(text))
}

/// The response that a fault gives word for word: its own fields win over the account's.
pub fn canned(canned: &Canned, mut headers: HeaderMap) -> Response<Body> {
    let text = match &canned.body {
        None => String::new(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(json) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            json.to_string()
        }
    };
    for (name, value) in &canned.headers {
        // Checked when the fault was taken up.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    let status = StatusCode::from_u16(canned.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(status, headers, Body::from(text))
}

/// Puts a response together.
pub fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
