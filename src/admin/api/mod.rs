//! The API of the operators' page, `/api/v1`: JSON over the admin listener, with a document of itself.
//!
//! Every endpoint is in one of three groups by the role that it asks; a group's middleware says who asks and refuses who may not, so
//! that no endpoint can forget to. The group also enters its role and its refusals into the document.

use std::sync::Arc;

use axum::middleware;
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Sources;
use crate::admin::access::{self, Ask};
use crate::config::checked::admin::Role;
use crate::storage::audit::AuditStore;

pub mod answer;
mod audit;
pub(super) mod audited;
mod document;
mod session;
mod state;
#[cfg(test)]
mod tests;

/// Where the API is. A change that would break whoever uses it gets another.
pub const PREFIX: &str = "/api/v1";

/// The part of [`Sources`] that only the API needs: the seams to what `app` wires.
pub struct ApiSources {
    /// Whether this is a demo, whose figures are of a simulated world.
    pub is_demo: bool,
    /// Where writes are entered.
    pub audit: Arc<dyn AuditStore>,
    /// Whether the configuration may be changed from here; the reason where it may not.
    pub config_writable: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

type Group = OpenApiRouter<Arc<Sources>>;

/// Who signs in and out: asks no credential.
fn open() -> Group {
    OpenApiRouter::new().routes(routes!(session::session, session::sign_in, session::sign_out))
}

/// What whoever may look may do.
fn viewer() -> Group {
    OpenApiRouter::new()
        .routes(routes!(document::openapi))
        .routes(routes!(state::status))
        .routes(routes!(audit::audit))
}

/// What changes traffic and deployments.
fn operator() -> Group {
    OpenApiRouter::new()
}

/// What changes the configuration.
fn admin() -> Group {
    OpenApiRouter::new()
}

/// The document of the whole API, with the role that each operation asks as `x-emberway-role`.
pub fn document() -> OpenApi {
    let groups = [
        (None, open()),
        (Some(Role::Viewer), viewer()),
        (Some(Role::Operator), operator()),
        (Some(Role::Admin), admin()),
    ];
    let inner = groups
        .into_iter()
        .fold(OpenApiRouter::new(), |whole: Group, (role, group)| {
            whole.merge(document::marked(group, role))
        });
    OpenApiRouter::with_openapi(document::Head::openapi())
        .nest(PREFIX, inner)
        .into_openapi()
}

/// The document as it is served and kept in the repository.
pub fn document_text() -> String {
    // Maps with text as keys always serialise.
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// The endpoints, below [`PREFIX`].
pub(super) fn router(sources: &Arc<Sources>) -> axum::Router<Arc<Sources>> {
    let asking = |group: Group, role: Role| {
        let group = axum::Router::from(group);
        let asked = Ask {
            sources: Arc::clone(sources),
            role,
            wants_header: true,
        };
        // axum refuses a layer over nothing.
        if group.has_routes() {
            group.route_layer(middleware::from_fn_with_state(Arc::new(asked), access::ask))
        } else {
            group
        }
    };
    let letting_in = middleware::from_fn_with_state(Arc::clone(sources), access::let_in);
    let inner = axum::Router::from(open())
        .route_layer(letting_in)
        .merge(asking(viewer(), Role::Viewer))
        .merge(asking(operator(), Role::Operator))
        .merge(asking(admin(), Role::Admin))
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(CompressionLayer::new());
    axum::Router::new().nest(PREFIX, inner)
}
