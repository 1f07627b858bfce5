//! Who is signed in, which is what the page asks first; signing in by a token, and out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Extension, Json};
use axum_extra::extract::cookie::CookieJar;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::Sources;
use crate::admin::access::login::Peer;
use crate::admin::access::{Caller, Voucher};
use crate::admin::api::answer::{Answer, ErrorBody, Refusal, Sent};
use crate::config::checked::admin::Role;

/// Largest body of signing in: a token. It is read of whoever comes.
pub(super) const SIGN_IN_BYTES_MAX: usize = 4 * 1024;

/// What the page is told before anything else. Of whoever is not signed in it says nothing but what is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Session {
    /// Whether the sender is known.
    pub signed_in: bool,
    /// Who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// How it said who it is: `none`, `token` or `oidc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<&'static str>,
    /// The ways to sign in: `token`, `oidc`; empty where none is asked.
    pub offers: Vec<&'static str>,
    /// The program's version.
    pub version: &'static str,
    /// Whether the configuration may be changed from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_writable: Option<bool>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_reason: Option<String>,
    /// Whether this is a demo, whose figures are of a simulated world.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demo: Option<bool>,
}

/// Who is signed in, and what is offered to those who are not.
#[utoipa::path(
    get, path = "/session", tag = "session",
    responses(
        (status = 200, body = Session, description = "Also when nobody is signed in."),
        (status = 429, body = ErrorBody, description = "Too many wrong tokens from this address; `retry-after` says when to try again."),
        (status = 503, body = ErrorBody, description = "A token of the provider, which cannot be asked; `retry-after` says when to try again."),
    )
)]
pub(super) async fn session(
    State(sources): State<Arc<Sources>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Answer<Session> {
    let peer = peer.map(|Extension(peer)| peer);
    let known = sources.access.recognise(&headers, peer).await?;
    Ok(Json(told(&sources, known)))
}

/// Somebody who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    /// `admin.token`, or one of `admin.tokens`.
    token: String,
}

/// Begins a session by a token; its cookie is `emberway_session_PORT`, behind HTTPS `__Host-emberway_session_PORT`.
#[utoipa::path(
    post, path = "/session", tag = "session", request_body = SignIn,
    responses(
        (status = 200, body = Session, description = "Signed in."),
        (status = 400, body = ErrorBody, description = "The body is not understood."),
        (status = 401, body = ErrorBody, description = "No token that is known."),
        (status = 403, body = ErrorBody, description = "A browser's request from elsewhere."),
        (status = 409, body = ErrorBody, description = "No token is configured."),
        (status = 413, body = ErrorBody, description = "The body is larger than 4 KiB."),
        (status = 415, body = ErrorBody, description = "The body is not called JSON."),
        (status = 429, body = ErrorBody, description = "Too many wrong tokens from this address; `retry-after` says when to try again."),
    )
)]
pub(super) async fn sign_in(
    State(sources): State<Arc<Sources>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Sent(SignIn { token }): Sent<SignIn>,
) -> Result<(CookieJar, Json<Session>), Refusal> {
    if !sources.access.offers().contains(&"token") {
        return Err(Refusal::conflict(
            "no token is configured, so there is nothing to sign in with",
            "no_tokens",
        ));
    }
    let (caller, id) = sources.access.sign_in(&token, peer)?;
    let jar = CookieJar::new().add(sources.access.cookies().of_session(id, &headers));
    Ok((jar, Json(told(&sources, Some(caller)))))
}

/// Ends the session that the cookie names.
#[utoipa::path(
    delete, path = "/session", tag = "session",
    responses(
        (status = 200, body = Session, description = "Signed out; also when nobody was signed in."),
        (status = 403, body = ErrorBody, description = "A browser's request from elsewhere."),
    )
)]
pub(super) async fn sign_out(State(sources): State<Arc<Sources>>, headers: HeaderMap) -> (CookieJar, Json<Session>) {
    sources.access.sign_out(&headers);
    let jar = CookieJar::new().add(sources.access.cookies().end_of_session(&headers));
    (jar, Json(told(&sources, None)))
}

/// What `caller` is told, or whoever is not known.
fn told(sources: &Sources, caller: Option<Caller>) -> Session {
    let nothing = Session {
        signed_in: false,
        name: None,
        role: None,
        auth: None,
        offers: sources.access.offers(),
        version: env!("CARGO_PKG_VERSION"),
        config_writable: None,
        config_reason: None,
        demo: None,
    };
    let Some(caller) = caller else { return nothing };
    let writable = sources.api.configuration.writable();
    Session {
        signed_in: true,
        name: Some(caller.name.to_string()),
        role: Some(caller.role),
        auth: Some(match caller.by {
            Voucher::Nothing => "none",
            Voucher::Token => "token",
            Voucher::Oidc => "oidc",
        }),
        config_writable: Some(writable.is_ok()),
        config_reason: writable.err(),
        demo: Some(sources.api.is_demo),
        ..nothing
    }
}
