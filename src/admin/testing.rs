//! Sources for tests of the admin listener: each test sets what it asks.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::Sources;
use super::access::Access;
use super::api::ApiSources;
use crate::config::checked::admin::AdminListener;
use crate::storage::StoreError;
use crate::storage::audit::{AuditEntry, AuditStore};

/// Sources of which nothing is asked, open to everybody.
pub(super) fn sources() -> Sources {
    Sources {
        metrics: Box::new(|| Ok(String::new())),
        status: Box::new(|| panic!("nobody asks for it")),
        explain: Box::new(|_, _, _| panic!("nobody asks for it")),
        drains: Box::new(|_| panic!("nobody asks for it")),
        access: Access::new(&nobody_asked()).expect("no provider"),
        api: ApiSources {
            is_demo: false,
            audit: Arc::new(Remembered::default()),
            config_writable: Box::new(|| Ok(())),
        },
    }
}

/// A listener that asks no credential.
pub(super) fn nobody_asked() -> AdminListener {
    AdminListener {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        token: None,
        tokens: Vec::new(),
        oidc: None,
        is_demo: false,
    }
}

/// An audit in memory.
#[derive(Default)]
struct Remembered(Mutex<Vec<AuditEntry>>);

#[async_trait]
impl AuditStore for Remembered {
    async fn add_audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.0.lock().push(entry.clone());
        Ok(())
    }

    async fn audit(&self, since_ms: i64, most: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let entries = self.0.lock();
        let wanted = entries.iter().rev().filter(|entry| entry.at_ms >= since_ms);
        Ok(wanted.take(most as usize).cloned().collect())
    }
}
