//! The API of the operators' page, `/api/v1`: JSON over the admin listener, with a document of itself.
//!
//! Every endpoint is in one of three groups by the role that it asks; a group's middleware says who asks and refuses who may not, so
//! that no endpoint can forget to. The group also enters its role and its refusals into the document.

use std::sync::Arc;

use axum::Extension;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::any;
use tokio::sync::watch;
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use self::config::Configuration;
use super::{Sources, Stop, slow};
use crate::admin::access::{self, Ask};
use crate::admin::api::books::Books;
use crate::admin::api::fleet::FleetActions;
use crate::admin::api::live::Listeners;
use crate::admin::api::routing::RoutingView;
use crate::admin::history::{EventQueries, HistoryQueries};
use crate::config::checked::admin::Role;
use crate::storage::audit::AuditStore;

pub mod answer;
mod audit;
pub(super) mod audited;
pub mod books;
pub mod cache;
pub mod config;
mod document;
mod drains;
mod events;
pub mod fleet;
mod import;
pub mod live;
mod parameters;
mod range;
mod requests;
pub mod routing;
mod series;
mod session;
mod sheet;
mod state;
#[cfg(test)]
mod tests;
pub mod usage;
pub(in crate::admin) mod whole;

/// Where the API is. A change that would break whoever uses it gets another.
pub const PREFIX: &str = "/api/v1";

/// The part of [`Sources`] that only the API needs: the seams to what `app` wires.
pub struct ApiSources {
    /// Whether this is a demo, whose figures are of a simulated world.
    pub is_demo: bool,
    /// Where writes are entered.
    pub audit: Arc<dyn AuditStore>,
    /// The configuration.
    pub configuration: Arc<dyn Configuration>,
    /// What the store tells.
    pub books: Arc<dyn Books>,
    /// The fleet, and what can be done to it.
    pub fleet: Arc<dyn FleetActions>,
    /// Figures over time.
    pub history: Arc<dyn HistoryQueries>,
    /// What happened.
    pub events: Arc<dyn EventQueries>,
    /// Who listens to the live stream.
    pub live: Listeners,
    /// How requests are routed.
    pub routing: Arc<dyn RoutingView>,
}

type Group = OpenApiRouter<Arc<Sources>>;

/// Who signs in and out: asks no credential.
fn open() -> Group {
    let slow = middleware::from_fn_with_state(slow::SIGN_IN_TIME_MAX, slow::bound);
    let session = routes!(session::session, session::sign_in, session::sign_out);
    OpenApiRouter::new().routes(limited(session, session::SIGN_IN_BYTES_MAX).layer(slow))
}

/// What whoever may look may do.
fn viewer() -> Group {
    OpenApiRouter::new()
        .routes(routes!(document::openapi))
        .routes(routes!(state::status))
        .routes(routes!(audit::audit))
        .routes(routes!(fleet::fleet))
        .routes(routes!(drains::list))
        .routes(routes!(routing::routing))
        .routes(limited(routes!(routing::explain), routing::EXPLAINED_BYTES_MAX))
        .routes(routes!(cache::cache))
        .routes(routes!(series::series))
        .routes(routes!(series::summary))
        .routes(routes!(series::heatmap))
        .routes(routes!(series::flows))
        .routes(routes!(requests::slowest))
        .routes(routes!(events::events))
        .routes(routes!(live::live))
        .routes(routes!(usage::usage))
        .routes(routes!(usage::costs))
        .routes(limited(routes!(import::import), import::IMPORT_BYTES_MAX))
        .merge(config::viewer())
}

/// What changes traffic and deployments.
fn operator() -> Group {
    OpenApiRouter::new()
        .routes(limited(routes!(drains::begin, drains::undo), fleet::ACTION_BYTES_MAX))
        .routes(limited(routes!(fleet::ping), fleet::ACTION_BYTES_MAX))
        .routes(limited(routes!(fleet::recreate), fleet::ACTION_BYTES_MAX))
}

/// Endpoints whose bodies have at most so many bytes.
fn limited(routes: UtoipaMethodRouter<Arc<Sources>>, bytes: usize) -> UtoipaMethodRouter<Arc<Sources>> {
    routes.layer(DefaultBodyLimit::max(bytes))
}

/// What changes the configuration.
fn admin() -> Group {
    config::admin()
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
pub(super) fn router(sources: &Arc<Sources>, stop: &watch::Receiver<Stop>) -> axum::Router<Arc<Sources>> {
    let asking = |group: Group, role: Role| {
        let group = axum::Router::from(group);
        let asked = Ask {
            sources: Arc::clone(sources),
            role,
            wants_header: true,
        };
        // axum refuses a layer over nothing.
        if group.has_routes() {
            // Whoever may not ask is not told what could be.
            group
                .route_layer(middleware::from_fn(parameters::known))
                .route_layer(middleware::from_fn_with_state(Arc::new(asked), access::ask))
        } else {
            group
        }
    };
    let signing = middleware::from_fn_with_state(Arc::clone(sources), access::sign);
    let inner = axum::Router::from(open())
        .route_layer(middleware::from_fn(parameters::known))
        .route_layer(signing)
        .merge(asking(viewer(), Role::Viewer))
        .merge(asking(operator(), Role::Operator))
        .merge(asking(admin(), Role::Admin))
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(Extension(stop.clone()))
        .layer(CompressionLayer::new());
    axum::Router::new()
        // Nesting leaves this one out.
        .route(&format!("{PREFIX}/"), any(answer::no_such_path))
        .nest(PREFIX, inner)
}
