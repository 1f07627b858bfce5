//! Sources for tests of the admin listener: each test sets what it asks.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::Sources;
use super::access::Access;
use super::api::ApiSources;
use super::api::answer::Refusal;
use super::api::books::Books;
use super::api::cache::CacheAnswer;
use super::api::fleet::{FleetActions, FleetAnswer, Pinged};
use super::api::routing::{RoutingAnswer, RoutingView};
use super::api::usage::{CostAnswer, UsageAnswer, UsageBy};
use crate::storage::StoreError;
use crate::storage::audit::{AuditEntry, AuditStore};
use crate::storage::limited::ReadRefused;
use crate::storage::report::Range;
use crate::storage::usage_sums::Only;

/// Sources of which nothing is asked, open to everybody.
pub(super) fn sources() -> Sources {
    Sources {
        metrics: Box::new(|| Ok(String::new())),
        status: Box::new(|| panic!("nobody asks for it")),
        explain: Box::new(|_, _, _| panic!("nobody asks for it")),
        drains: Box::new(|_| panic!("nobody asks for it")),
        access: Access::default(),
        api: ApiSources {
            is_demo: false,
            audit: Arc::new(Remembered::default()),
            books: Arc::new(Nobody),
            fleet: Arc::new(Nobody),
            routing: Arc::new(Nobody),
            config_writable: Box::new(|| Ok(())),
        },
    }
}

/// Whom nobody asks.
struct Nobody;

#[async_trait]
impl Books for Nobody {
    async fn usage(&self, _: UsageBy, _: &Only, _: Range) -> Result<UsageAnswer, ReadRefused> {
        panic!("nobody asks for it")
    }

    async fn costs(&self, _: &Only, _: Range) -> Result<CostAnswer, ReadRefused> {
        panic!("nobody asks for it")
    }

    async fn cache(&self, _: &Only, _: Range) -> Result<CacheAnswer, ReadRefused> {
        panic!("nobody asks for it")
    }
}

#[async_trait]
impl FleetActions for Nobody {
    fn fleet(&self) -> FleetAnswer {
        panic!("nobody asks for it")
    }

    async fn ping(&self, _: &str) -> Result<Pinged, Refusal> {
        panic!("nobody asks for it")
    }

    fn recreate(&self, _: &str) -> Result<(), Refusal> {
        panic!("nobody asks for it")
    }
}

impl RoutingView for Nobody {
    fn routing(&self) -> RoutingAnswer {
        panic!("nobody asks for it")
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
