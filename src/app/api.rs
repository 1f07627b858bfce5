//! What the API of the operators' page is given: its seams to the running gateway.

use std::sync::Arc;

use crate::admin::api::ApiSources;
use crate::config::checked::admin::AdminListener;
use crate::storage::audit::AuditStore;
use crate::storage::sqlite::SqliteStore;

/// What the API alone needs.
pub(super) fn sources(admin: &AdminListener, store: &Arc<SqliteStore>) -> ApiSources {
    ApiSources {
        audit: Arc::clone(store) as Arc<dyn AuditStore>,
        is_demo: admin.is_demo,
        config_writable: Box::new(|| Err("this version does not change its configuration; edit the file".to_owned())),
    }
}
