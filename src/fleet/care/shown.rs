//! What the fleet's guard knows, for people: how idle each deployment is, what will be done about it and when, and what that costs.

use std::collections::BTreeMap;

use crate::core::fleet::guard::GuardReason;
use crate::core::ids::DeploymentId;
use crate::fleet::care::Care;
use crate::fleet::traffic::Seen;
use crate::telemetry::view::{CareView, CaredView, EndView, NextView};

impl Care {
    /// When the account was read that was read longest ago; none while one has not been.
    fn read_at_ms(&self) -> Option<i64> {
        let accounts = self.declaration.declared.accounts.iter();
        let read = accounts.map(|account| self.actual.accounts.get(account).map(|view| view.seen_at_ms));
        read.min().flatten()
    }

    /// Puts the picture of this turn in the place of the last one.
    pub(super) fn show(&self, seen: &BTreeMap<DeploymentId, Seen>) {
        let declared = self.declaration.declared.deployments.iter();
        let deployments = declared.map(|declared| {
            let deployment = &declared.id;
            let verdict = self.verdicts.get(deployment);
            let rule_days = self.declaration.terms.get(deployment).and_then(|terms| terms.rule_days);
            CaredView {
                deployment: deployment.clone(),
                policy: declared.policy.as_str(),
                state: self.state(deployment).as_str(),
                last_success_at_ms: seen.get(deployment).and_then(|seen| seen.last_success_at_ms),
                idle_ms: verdict.and_then(|verdict| verdict.idle_ms),
                deletion_at_ms: verdict.and_then(|verdict| verdict.deletion_at_ms),
                deletion_is_exact: verdict.is_some_and(|verdict| verdict.is_exact),
                urgency: verdict.map_or("none", |verdict| verdict.alarm.as_str()),
                next: verdict.and_then(|verdict| verdict.next).map(|next| NextView {
                    action: next.action.as_str(),
                    at_ms: next.at_ms,
                    usd: next.micro_usd.map(|micro| micro / 1e6),
                }),
                end: self.end(deployment).map(|end| EndView {
                    cause: end.cause.as_str(),
                    at_ms: end.at_ms,
                }),
                sentence: verdict
                    .filter(|verdict| verdict.reason != GuardReason::Gone)
                    .map(|verdict| verdict.sentence(rule_days.unwrap_or_default())),
            }
        });
        let view = CareView {
            acts: self.acts,
            writes: self.declaration.writes,
            read_at_ms: self.read_at_ms(),
            deployments: deployments.collect(),
        };
        self.partners.board.store(Some(view.into()));
    }
}
