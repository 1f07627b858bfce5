//! Which of the gateways on one usage file acts: one at a time calls, rebuilds and deletes, and another takes over within a minute.
//!
//! Gateways that share no file do not know of each other; each acts, and Azure takes the same order twice as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use crate::core::calendar::MINUTE_MS;
use crate::storage::leases::LeaseStore;
use crate::telemetry::events::care::LeaseFailing;

/// Its name in the store.
const NAME: &str = "fleet";
/// How long it is held at a time: how long nobody acts after its holder was killed.
const HELD_MS: i64 = MINUTE_MS;
/// How often it is renewed, so that two renewals may fail.
pub(super) const RENEWED: Duration = Duration::from_secs(20);

/// A lease that is wanted, and perhaps held.
pub(super) struct Lease {
    store: Arc<dyn LeaseStore>,
    /// This process.
    holder: String,
    /// Until when it is held, in milliseconds since the Unix epoch; 0 where it is not.
    until_ms: AtomicI64,
    is_failing: AtomicBool,
    /// Whether it has begun to fail since that was last asked.
    is_untold: AtomicBool,
}

impl Lease {
    pub(super) fn new(store: Arc<dyn LeaseStore>, holder: String) -> Self {
        Self {
            store,
            holder,
            until_ms: AtomicI64::new(0),
            is_failing: AtomicBool::new(false),
            is_untold: AtomicBool::new(false),
        }
    }

    /// Whether this process acts.
    pub(super) fn is_held(&self, now_ms: i64) -> bool {
        now_ms < self.until_ms.load(Ordering::Relaxed)
    }

    /// Takes it or keeps it, unless that was done a moment ago. A store that fails counts as one where another holds it.
    pub(super) async fn keep(&self, now_ms: i64) {
        let until_ms = self.until_ms.load(Ordering::Relaxed);
        let renewed_ms = i64::try_from(RENEWED.as_millis()).unwrap_or(i64::MAX);
        if (now_ms..=now_ms + HELD_MS).contains(&until_ms) && until_ms - now_ms > HELD_MS - renewed_ms {
            return;
        }
        let until_ms = now_ms.saturating_add(HELD_MS);
        match self.store.hold(NAME, &self.holder, now_ms, until_ms).await {
            Ok(is_held) => {
                self.until_ms
                    .store(if is_held { until_ms } else { 0 }, Ordering::Relaxed);
                self.is_failing.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                // What was granted until later still is.
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    LeaseFailing { error: &error }.emit();
                    self.is_untold.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    /// Whether the store has begun to fail since this was last asked.
    pub(super) fn takes_failure(&self) -> bool {
        self.is_untold.swap(false, Ordering::Relaxed)
    }

    /// Lets another take over at once.
    pub(super) async fn give_back(&self) {
        if self.until_ms.swap(0, Ordering::Relaxed) == 0 {
            return;
        }
        if let Err(error) = self.store.give_back(NAME, &self.holder).await {
            LeaseFailing { error: &error }.emit();
        }
    }
}
