//! What the API of the operators' page is given: its seams to the running gateway.

use std::sync::Arc;

use crate::admin::api::ApiSources;
use crate::admin::api::config::Configuration;
use crate::admin::api::live::Listeners;
use crate::admin::history::{EventQueries, HistoryQueries};
use crate::app::ProcessState;
use crate::app::api::books::StoreBooks;
use crate::app::api::fleet::GatewayFleet;
use crate::app::api::routing::GatewayRouting;
use crate::app::sources::Known;
use crate::config::checked::admin::AdminListener;
use crate::proxy::Gateway;
use crate::storage::audit::AuditStore;
use crate::storage::sqlite::SqliteStore;

mod books;
mod fleet;
mod routing;

/// What the API alone needs.
pub(super) fn sources(
    admin: &AdminListener,
    gateway: &Arc<Gateway>,
    state: &Arc<ProcessState>,
    known: &Known,
    store: &Arc<SqliteStore>,
) -> ApiSources {
    ApiSources {
        audit: Arc::clone(store) as Arc<dyn AuditStore>,
        books: Arc::new(StoreBooks::new(gateway, store, &known.prices)),
        fleet: Arc::new(GatewayFleet::new(gateway, state, known)),
        routing: Arc::new(GatewayRouting(Arc::clone(gateway))),
        history: Arc::clone(&known.history) as Arc<dyn HistoryQueries>,
        events: Arc::clone(&known.history) as Arc<dyn EventQueries>,
        live: Listeners::default(),
        is_demo: admin.is_demo,
        configuration: Arc::clone(&known.desk) as Arc<dyn Configuration>,
    }
}
