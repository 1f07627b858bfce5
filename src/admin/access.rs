//! WHO asks the admin listener, and what may they do?
//!
//! Three roles, each of which may do all that the one before it may. Without any credential configured everybody who reaches the
//! listener is an administrator; such a listener can be reached from its own machine only.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use strum::{AsRefStr, IntoStaticStr, VariantArray};
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;

use crate::admin::Sources;
use crate::admin::api::answer::Refusal;
use crate::config::secrets::Secret;
use crate::openai::bearer;

/// What somebody may do. Ordered: a later role may do all that an earlier one may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema, AsRefStr, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Look.
    Viewer,
    /// Also take deployments out, put them back, and call them.
    Operator,
    /// Also change the configuration.
    Admin,
}

/// Who asks. Handlers of the API get it as `Extension<Caller>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name that the audit has: that of a token, or of a person.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// How it said who it is.
    pub by: Credential,
}

/// How a caller said who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// Not at all: none is configured.
    None,
    /// By `Authorization`, which no browser sends by itself.
    Bearer,
}

/// A token of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedToken {
    /// Whose it is.
    pub name: String,
    /// What is sent.
    pub token: Secret,
    /// What its holder may do.
    pub role: Role,
}

/// Nobody that is known asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;

/// What is configured of who may.
#[derive(Debug, Default)]
pub struct Access {
    tokens: Vec<NamedToken>,
}

impl Access {
    /// These tokens; everybody where there are none.
    pub fn new(tokens: Vec<NamedToken>) -> Self {
        Self { tokens }
    }

    /// The ways to sign in that are configured; none where no credential is asked.
    pub fn offers(&self) -> Vec<&'static str> {
        if self.tokens.is_empty() { vec![] } else { vec!["token"] }
    }

    /// Who sent a request with this head.
    ///
    /// # Errors
    /// When a credential is asked and none that is known was sent.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Unknown> {
        if self.tokens.is_empty() {
            return Ok(Caller {
                name: "local".into(),
                role: Role::Admin,
                by: Credential::None,
            });
        }
        let sent = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let sent = sent.and_then(bearer::token).unwrap_or_default();
        let known = |token: &&NamedToken| bool::from(sent.ct_eq(token.token.expose().as_bytes()));
        let token = self.tokens.iter().find(known).ok_or(Unknown)?;
        Ok(Caller {
            name: token.name.as_str().into(),
            role: token.role,
            by: Credential::Bearer,
        })
    }
}

/// Lets pass whoever may, and says to the handler who it is.
pub(super) async fn ask(
    State((sources, role)): State<(Arc<Sources>, Role)>,
    mut request: Request,
    next: Next,
) -> Response {
    let Ok(caller) = sources.access.caller(request.headers()).await else {
        return Refusal::unauthorized().into_response();
    };
    if caller.role < role {
        return Refusal::forbidden(role, &caller).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}
