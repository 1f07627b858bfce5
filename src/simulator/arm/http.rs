//! The control plane's front door: one request in, one response out; who calls is settled here, what they get in `resources`.
//!
//! The order is ARM's: a path that is there, a token that counts, a version, a subscription of that token's tenant, room in the hour.
//! Token endpoints, the machine's metadata and the cloud's description are answered before that, on the same port.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::simulator::arm::calls::ArmCall;
use crate::simulator::arm::checks::{Caller, Callers};
use crate::simulator::arm::cloud;
use crate::simulator::arm::error::ArmError;
use crate::simulator::arm::faults::ArmAction;
use crate::simulator::arm::identity::{self, Machine, Times};
use crate::simulator::arm::path::{self, ArmPath};
use crate::simulator::arm::plane::Plane;
use crate::simulator::arm::resources::{self, Answer};
use crate::simulator::arm::throttle::Sort;
use crate::simulator::arm::token::{self, For, TokenProblem};
use crate::simulator::arm::writes::uuid;
use crate::simulator::world::World;

/// Longest body taken.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Auxiliary tokens that ARM takes.
const MAX_AUXILIARY: usize = 3;

/// A request, read.
pub struct Asked {
    /// Its head.
    pub head: Parts,
    /// Its body.
    pub body: Bytes,
    /// Scheme and authority that the caller used, for links.
    pub base: String,
    /// The world's time, in milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// Answers a request. `is_tls` is how it came.
pub async fn serve(world: Arc<World>, plane: Arc<Plane>, is_tls: bool, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let number = world.next_number();
    let (method, shown_path) = (head.method.clone(), head.uri.path().to_owned());
    let echoed = echo(&head.headers);
    let answer = answer(&world, &plane, is_tls, head, body).await;
    let response = respond(world.scenario.seed, number, echoed, answer);
    plane.calls.keep(ArmCall {
        at_ms: world.clock.unix_ms(),
        method: method.to_string(),
        path: shown_path,
        status: response.status().as_u16(),
    });
    response
}

async fn answer(world: &World, plane: &Plane, is_tls: bool, head: Parts, body: Body) -> Answer {
    let scheme = if is_tls { "https" } else { "http" };
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host
        .or_else(|| head.uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or("localhost");
    let base = format!("{scheme}://{host}");
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return refused(&ArmError::invalid_content("the body is too large or did not come"));
    };
    let is_identity = is_identity(head.uri.path());
    match plane.faults.take(&head.method, head.uri.path()) {
        Some(ArmAction::Delay { ms }) => sleep(Duration::from_millis(ms)).await,
        Some(ArmAction::Hang) => std::future::pending().await,
        Some(action) => {
            if let Some(refusal) = action.refusal() {
                return scripted(&refusal, is_identity);
            }
        }
        None => {}
    }
    let asked = Asked {
        now_ms: world.clock.unix_ms(),
        head,
        body,
        base,
    };
    plane.settle(asked.now_ms);
    let times = Times {
        world_s: asked.now_ms / 1_000,
        wall_s: world.clock.wall_s(),
    };
    if let Some((status, body)) = beside(plane, &asked, times) {
        return Answer::new(status, Some(body));
    }
    manage(plane, &asked).unwrap_or_else(|refusal| refused(&refusal))
}

/// Whether a path is of tokens, where errors have another shape.
fn is_identity(path: &str) -> bool {
    path.contains("/oauth2/") || path == "/msi/token"
}

fn scripted(refusal: &ArmError, is_identity: bool) -> Answer {
    if !is_identity {
        return refused(refusal);
    }
    let body = json!({ "error": refusal.code, "error_description": refusal.message });
    let mut answer = Answer::new(refusal.status, Some(body));
    answer.retry_after(refusal.retry_after_s);
    answer
}

/// What is served besides ARM.
fn beside(plane: &Plane, asked: &Asked, times: Times) -> Option<(StatusCode, Value)> {
    let settings = &plane.settings;
    let Asked { head, body, base, .. } = asked;
    let segments: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    match (&head.method, segments.as_slice()) {
        (&Method::GET, ["metadata", "endpoints"]) => {
            let version = path::parameter(head, "api-version");
            Some((
                StatusCode::OK,
                cloud::endpoints(base, &settings.tenant, version.as_deref()),
            ))
        }
        (&Method::GET, ["metadata", "identity", "oauth2", "token"]) => {
            Some(identity::managed(settings, Machine::Imds, head, times))
        }
        (&Method::GET, ["msi", "token"]) => Some(identity::managed(settings, Machine::AppService, head, times)),
        (&Method::GET, ["common", "discovery", "instance"]) => Some((StatusCode::OK, cloud::instance(base))),
        (
            &Method::GET,
            [tenant, "v2.0", ".well-known", "openid-configuration"] | [tenant, ".well-known", "openid-configuration"],
        ) => Some((StatusCode::OK, cloud::openid(base, tenant))),
        (&Method::POST, [tenant, "oauth2", "v2.0", "token"] | [tenant, "oauth2", "token"]) => {
            Some(identity::entra(settings, tenant, body, times))
        }
        _ => None,
    }
}

/// What ARM answers.
fn manage(plane: &Plane, asked: &Asked) -> Result<Answer, ArmError> {
    let head = &asked.head;
    let found = path::read(head.uri.path()).ok_or_else(ArmError::no_path)?;
    let callers = callers(plane, &head.headers, asked.now_ms / 1_000)?;
    let (subscription, target) = match found {
        ArmPath::Subscriptions => return Ok(resources::subscriptions(plane, &callers.primary)),
        ArmPath::Tenants => return Ok(resources::tenants(plane)),
        ArmPath::Of { subscription, target } => (subscription, target),
    };
    if target == path::Target::Subscription {
        return resources::subscription(plane, &callers.primary, &subscription);
    }
    let version = path::api_version(head, plane.settings.compatibility.accepts_2024_10_21)?;
    let tenant = plane.settings.tenant_of(&subscription);
    let tenant = tenant.ok_or_else(|| ArmError::no_subscription(&subscription))?;
    if !tenant.eq_ignore_ascii_case(&callers.primary.tenant) {
        return Err(ArmError::wrong_tenant(&callers.primary.tenant, tenant));
    }
    let sort = Sort::of(&head.method);
    let left = plane
        .throttle
        .count(&plane.settings.limits, &subscription, sort, asked.now_ms)?;
    let call = resources::Call {
        plane,
        asked,
        subscription: &subscription,
        version: &version,
        callers: &callers,
    };
    let mut answer = call.answer(&target).unwrap_or_else(|refusal| refused(&refusal));
    answer
        .headers
        .insert(HeaderName::from_static(sort.header()), HeaderValue::from(left));
    Ok(answer)
}

/// Checks the tokens of a request.
fn callers(plane: &Plane, headers: &HeaderMap, now_s: u64) -> Result<Callers, ArmError> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let missing = || {
        ArmError::unauthorized(
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing or is not a bearer's.",
        )
    };
    let primary = text(AUTHORIZATION).and_then(bearer).ok_or_else(missing)?;
    let primary = checked(plane, primary, now_s)?;
    let auxiliary = text(HeaderName::from_static("x-ms-authorization-auxiliary")).unwrap_or_default();
    let auxiliary: Vec<&str> = auxiliary
        .split(',')
        .map(str::trim)
        .filter(|token| !token.is_empty())
        .collect();
    if auxiliary.len() > MAX_AUXILIARY {
        let message = format!("The 'x-ms-authorization-auxiliary' header has more than {MAX_AUXILIARY} tokens.");
        return Err(ArmError::unauthorized("InvalidAuthenticationToken", message));
    }
    let check = |token: &&str| checked(plane, bearer(token).ok_or_else(missing)?, now_s);
    Ok(Callers {
        primary,
        auxiliary: auxiliary.iter().map(check).collect::<Result<_, _>>()?,
    })
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn checked(plane: &Plane, token: &str, now_s: u64) -> Result<Caller, ArmError> {
    token::check(&plane.settings, token, For::Management, now_s).map_err(|problem| match problem {
        TokenProblem::Malformed => ArmError::unauthorized("InvalidAuthenticationToken", "The access token is invalid."),
        TokenProblem::Audience => ArmError::unauthorized(
            "InvalidAuthenticationToken",
            "The access token has been obtained for wrong audience or resource. It should exactly match with one of the allowed audiences 'https://management.core.windows.net/','https://management.core.windows.net','https://management.azure.com/','https://management.azure.com'.",
        ),
        TokenProblem::Expired => ArmError::unauthorized("ExpiredAuthenticationToken", "The access token expiry UTC time is in the past."),
    })
}

fn refused(refusal: &ArmError) -> Answer {
    let mut answer = Answer::new(refusal.status, Some(refusal.body()));
    answer.retry_after(refusal.retry_after_s);
    if refusal.status == StatusCode::UNAUTHORIZED
        && let Ok(challenge) = HeaderValue::from_str(&format!(
            "Bearer error=\"invalid_token\", error_description=\"{}\"",
            refusal.code
        ))
    {
        answer.headers.insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

/// The caller's own id of its request, where it wants it back.
fn echo(headers: &HeaderMap) -> Option<HeaderValue> {
    let wants = headers.get("x-ms-return-client-request-id")?;
    let wants = wants.to_str().is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    headers.get("x-ms-client-request-id").filter(|_| wants).cloned()
}

fn respond(seed: u64, number: u64, echoed: Option<HeaderValue>, answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if let Some(body) = answer.body {
        *response.body_mut() = Body::from(body.to_string());
        let kind = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    let headers = response.headers_mut();
    headers.insert("x-emberway-simulator", HeaderValue::from_static("1"));
    if let Ok(id) = HeaderValue::from_str(&uuid(seed.rotate_left(7), number)) {
        headers.insert("x-ms-request-id", id.clone());
        headers.insert("x-ms-correlation-request-id", id);
    }
    if let Some(id) = echoed {
        headers.insert("x-ms-client-request-id", id);
    }
    response
}

impl Answer {
    /// An answer without headers of its own.
    pub fn new(status: StatusCode, body: Option<Value>) -> Self {
        Self {
            status,
            body,
            headers: HeaderMap::new(),
        }
    }

    /// Says when to come again.
    pub fn retry_after(&mut self, seconds: Option<u64>) {
        if let Some(seconds) = seconds {
            self.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}
