//! What the API of the operators' page is given: who may use it, and its seams to the running gateway.

use std::sync::Arc;

use crate::admin::access::{Access, NamedToken, Role};
use crate::admin::api::ApiSources;
use crate::admin::api::config::Configuration;
use crate::app::configuration::Desk;
use crate::config::checked::AdminListener;
use crate::storage::audit::AuditStore;
use crate::storage::sqlite::SqliteStore;

/// Who may use the admin listener.
pub(super) fn access(admin: &AdminListener) -> Access {
    let token = admin.token.iter().map(|token| NamedToken {
        name: "admin".to_owned(),
        token: token.clone(),
        role: Role::Admin,
    });
    Access::new(token.collect())
}

/// What the API alone needs.
pub(super) fn sources(admin: &AdminListener, store: &Arc<SqliteStore>, desk: &Arc<Desk>) -> ApiSources {
    ApiSources {
        audit: Arc::clone(store) as Arc<dyn AuditStore>,
        is_demo: admin.is_demo,
        configuration: Arc::clone(desk) as Arc<dyn Configuration>,
    }
}
