//! Deleting by policy: first a deployment gets no new requests, from any gateway; then those that run end; then it goes. A success
//! that anybody on the usage file has seen meanwhile calls it off.

use crate::core::calendar::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::core::fleet::backoff::{Backoff, seed_of};
use crate::core::fleet::phoenix::Event;
use crate::core::ids::DeploymentId;
use crate::fleet::alerts::{Severity, Topic};
use crate::fleet::care::Care;
use crate::fleet::traffic::Seen;
use crate::telemetry::events::care as events;

/// How long one that is to be deleted gets no requests before it is: the other gateways' clocks may be a little behind.
const LEAVING_MS: i64 = MINUTE_MS;
/// How long Azure may take to show that it deletes what it was asked to.
const ASKED_MS: i64 = 10 * MINUTE_MS;
/// Waits after refusals.
const BACKOFF: Backoff = Backoff {
    first_ms: HOUR_MS,
    most_ms: DAY_MS,
};

/// How far the deletion of a deployment is. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deletion {
    /// Since when it gets no new requests, or will not.
    since_ms: i64,
    /// When Azure took the order.
    asked_at_ms: Option<i64>,
    /// Refusals of the order.
    failures: u32,
}

impl Deletion {
    pub(super) fn begun(now_ms: i64) -> Self {
        Self {
            since_ms: now_ms,
            ..Self::default()
        }
    }

    /// Whether it gets no new requests. After a refusal it does, until it is tried again.
    pub(super) fn is_leaving(&self, now_ms: i64) -> bool {
        now_ms >= self.since_ms
    }

    fn is_due(&self, now_ms: i64) -> bool {
        let is_asked = self.asked_at_ms.is_some_and(|at| now_ms < at + ASKED_MS);
        now_ms >= self.since_ms + LEAVING_MS && !is_asked
    }
}

impl Care {
    /// Deletes what its policy wants deleted, once nothing runs there.
    pub(super) async fn delete(&mut self, deployment: &DeploymentId, seen: Option<&Seen>, now_ms: i64) {
        let deletion = self.deletions.get(deployment);
        let is_due = deletion.is_some_and(|deletion| deletion.is_due(now_ms));
        if !is_due || seen.is_some_and(|seen| seen.in_flight > 0) {
            return;
        }
        // Another gateway may have seen a success a moment ago.
        let before = self.heard.get(deployment).copied();
        if !self.read_store().await || self.heard.get(deployment).copied() > before {
            return;
        }
        let Some(terms) = self.declaration.terms.get(deployment) else {
            return;
        };
        let arm_id = terms.arm_id.clone();
        let deleted = self.partners.arm.delete(&arm_id, None).await;
        events::DeletedByPolicy {
            deployment,
            error: deleted.as_ref().err().map(|error| error as &dyn std::error::Error),
        }
        .emit(self.partners.metrics.journal());
        let deletion = self.deletions.entry(deployment.clone()).or_default();
        match deleted {
            Ok(_) => {
                deletion.asked_at_ms = Some(now_ms);
                self.happened(deployment, Event::Deleting).await;
                let text = "was idle for as long as its policy says, and is deleted".to_owned();
                self.alert(Severity::Info, Topic::Deletion, deployment, text);
            }
            Err(error) => {
                deletion.failures = deletion.failures.saturating_add(1);
                let pause_ms = BACKOFF.delay_ms(deletion.failures, seed_of(&[deployment]));
                deletion.since_ms = now_ms.saturating_add(pause_ms);
                if deletion.failures == 1 {
                    let text = format!("cannot be deleted, as its policy says, and is tried again: {error}");
                    self.alert(Severity::Warning, Topic::Deletion, deployment, text);
                }
            }
        }
        self.wants_look = true;
    }
}
