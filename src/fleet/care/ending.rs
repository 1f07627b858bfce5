//! Counting down to ends by date: retirement, and the Developer tier's day. Each is told when it comes into sight, and when it is near.

use crate::core::fleet::actual::ActualDeployment;
use crate::core::fleet::retirement::{self, End};
use crate::core::ids::DeploymentId;
use crate::fleet::alerts::{Severity, Topic};
use crate::fleet::care::Care;
use crate::telemetry::events::care as events;

/// How near an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nearness {
    /// It is to be reported.
    InSight,
    /// The deployment's weight falls.
    Near,
}

impl Care {
    /// Tells what ends soon, once for each step nearer.
    pub(super) fn count_down(&mut self, now_ms: i64) {
        let mut near = Vec::new();
        for declared in &self.declaration.declared.deployments {
            let Some(end) = self.actual.find(&declared.key).and_then(end_of) else {
                self.ends.remove(&declared.id);
                continue;
            };
            let nearness = match end.left_ms(now_ms) {
                _ if end.is_fading(now_ms) => Some(Nearness::Near),
                left if left <= end.cause.reported_ms() => Some(Nearness::InSight),
                _ => None,
            };
            let told = self.ends.get(&declared.id).copied();
            if nearness > told {
                near.push((
                    declared.id.clone(),
                    end.sentence(now_ms),
                    nearness == Some(Nearness::Near),
                ));
            }
            match nearness {
                Some(nearness) => self.ends.insert(declared.id.clone(), nearness),
                None => self.ends.remove(&declared.id),
            };
        }
        for (deployment, sentence, is_fading) in near {
            events::EndNear {
                deployment: &deployment,
                sentence: &sentence,
                is_fading,
            }
            .emit();
            let severity = if is_fading {
                Severity::Critical
            } else {
                Severity::Warning
            };
            self.alert(severity, Topic::End, &deployment, sentence);
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
