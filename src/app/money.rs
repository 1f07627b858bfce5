//! Counts what requests cost as their records are written: off their way, and by the very records that `emberway cost` adds up.

use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::config::billed;
use crate::config::checked::Checked;
use crate::core::ids::DeploymentId;
use crate::core::ledger::bill::{self, CostKind};
use crate::core::ledger::book::PriceBook;
use crate::core::ledger::prices::{self, PriceList};
use crate::core::ledger::usage::UsageRecord;
use crate::core::recovery::absence::Absence;
use crate::proxy::Gateway;
use crate::storage::sqlite::SqliteStore;
use crate::storage::{DeploymentSeen, DeploymentTotals, StoreError, UsageStore};
use crate::telemetry::events::care::Charged;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::view::FleetView;

/// The prices of a gateway's present configuration.
#[derive(Default)]
pub(super) struct Prices {
    gateway: OnceLock<Weak<Gateway>>,
    /// Those of the configuration that was asked for last.
    known: Mutex<Option<(Arc<Checked>, Arc<PriceBook>)>>,
}

impl Prices {
    /// Says whose; before that there are none.
    pub(super) fn are_of(&self, gateway: &Arc<Gateway>) {
        // Whose they are never changes.
        let _ = self.gateway.set(Arc::downgrade(gateway));
    }

    /// Made anew when the configuration has changed. None before there is one, and after the gateway's end.
    pub(super) fn book(&self) -> Option<Arc<PriceBook>> {
        let config = Arc::clone(&self.gateway.get()?.upgrade()?.live.load().config);
        let mut known = self.known.lock();
        if let Some((of, book)) = known.as_ref()
            && Arc::ptr_eq(of, &config)
        {
            return Some(Arc::clone(book));
        }
        // That the list which comes with the program can be read is tested.
        let list = PriceList::parse(prices::EMBEDDED).ok()?;
        let book = Arc::new(PriceBook::new(list, billed::of_runtime(&config.runtime)));
        *known = Some((config, Arc::clone(&book)));
        Some(book)
    }

    /// What an hour of each deployment costs that is there, as far as that is known.
    pub(super) fn hosting(&self, view: &FleetView) -> Vec<(DeploymentId, f64)> {
        let Some(book) = self.book() else { return Vec::new() };
        let there = view
            .deployments
            .iter()
            .filter(|deployment| deployment.absent != Some(Absence::Missing));
        there
            .filter_map(|view| Some((view.deployment.clone(), book.price(&view.deployment).hour?)))
            .collect()
    }
}

/// The usage store, and what is written there in money.
pub(super) struct CountedStore {
    pub(super) store: Arc<SqliteStore>,
    pub(super) prices: Arc<Prices>,
    pub(super) metrics: Arc<Metrics>,
}

impl CountedStore {
    fn count(&self, record: &UsageRecord, book: &PriceBook) {
        let Some(deployment) = &record.deployment else { return };
        let (prompt, cached, completion) = (record.prompt_tokens, record.cached_tokens, record.completion_tokens);
        let sum = bill::request_sum(prompt, cached, completion, &book.price(deployment));
        Charged {
            deployment,
            kind: if record.is_keepalive() {
                CostKind::Keepalive
            } else {
                CostKind::Tokens
            },
            sum,
        }
        .emit(&self.metrics);
    }
}

#[async_trait]
impl UsageStore for CountedStore {
    async fn append(&self, records: &[UsageRecord]) -> Result<(), StoreError> {
        self.store.append(records).await?;
        if let Some(book) = self.prices.book() {
            for record in records {
                self.count(record, &book);
            }
        }
        Ok(())
    }

    async fn note_deployments(&self, seen: &[DeploymentSeen]) -> Result<(), StoreError> {
        self.store.note_deployments(seen).await
    }

    async fn deployments(&self) -> Result<Vec<DeploymentTotals>, StoreError> {
        self.store.deployments().await
    }

    async fn purge(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        self.store.purge(before_ms, limit).await
    }

    async fn forget_responses(&self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        self.store.forget_responses(before_ms, limit).await
    }
}
