//! Who is signed in: what the page asks first.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::Sources;
use crate::admin::access::{Caller, Credential, Role};

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
    responses((status = 200, body = Session, description = "Also when nobody is signed in."))
)]
pub(super) async fn session(State(sources): State<Arc<Sources>>, headers: HeaderMap) -> Json<Session> {
    let known = sources.access.caller(&headers).await.ok();
    Json(told(&sources, known))
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
            Credential::None => "none",
            Credential::Bearer => "token",
        }),
        config_writable: Some(writable.is_ok()),
        config_reason: writable.err(),
        demo: Some(sources.api.is_demo),
        ..nothing
    }
}
