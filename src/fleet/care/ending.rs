//! Counting down to ends by date: retirement, and the Developer tier's day. Each is told when it comes into sight, and when it is near.

use serde::{Deserialize, Serialize};

use crate::core::fleet::actual::ActualDeployment;
use crate::core::fleet::retirement::{self, End, EndCause};
use crate::core::ids::DeploymentId;
use crate::fleet::care::Care;
use crate::telemetry::events::care as events;

/// How near an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Nearness {
    /// It is to be reported.
    InSight,
    /// The deployment's weight falls.
    Near,
}

impl Care {
    /// Tells what ends soon, once for each step nearer. A Developer tier's day is nothing to tell where it is made again.
    pub(super) fn count_down(&mut self, now_ms: i64) {
        let declared = self.declaration.declared.deployments.iter();
        let all: Vec<(DeploymentId, Option<End>)> = declared
            .map(|declared| {
                let end = self.actual.find(&declared.key).and_then(end_of);
                let is_routine = |end: &End| end.cause == EndCause::DeveloperTier && declared.policy.rebuilds();
                (declared.id.clone(), end.filter(|end| !is_routine(end)))
            })
            .collect();
        for (deployment, end) in all {
            let nearness = end.and_then(|end| match end.left_ms(now_ms) {
                _ if end.is_fading(now_ms) => Some(Nearness::Near),
                left if left <= end.cause.reported_ms() => Some(Nearness::InSight),
                _ => None,
            });
            let sentence = end.map(|end| end.sentence(now_ms)).unwrap_or_default();
            if nearness > self.ends.get(&deployment).copied() {
                events::EndNear {
                    deployment: &deployment,
                    sentence: &sentence,
                    is_fading: nearness == Some(Nearness::Near),
                }
                .emit(self.partners.metrics.journal());
            }
            self.tell_end(&deployment, nearness, sentence);
            match nearness {
                Some(nearness) => self.ends.insert(deployment, nearness),
                None => self.ends.remove(&deployment),
            };
        }
    }

    /// What ends a deployment by date, if anything is known to.
    pub(super) fn end(&self, deployment: &DeploymentId) -> Option<End> {
        let declared = &self.declaration.declared.deployments;
        let declared = declared.iter().find(|declared| declared.id == *deployment)?;
        self.actual.find(&declared.key).and_then(end_of)
    }
}

fn end_of(shown: &ActualDeployment) -> Option<End> {
    retirement::end_of(shown.sku(), shown.created_at_ms, shown.retires_at_ms)
}
