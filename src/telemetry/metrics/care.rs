//! The gauges of what looking after the fleet knows.

use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Registry};

use super::{gauge_vec, int_gauge, int_gauge_vec, seconds};
use crate::telemetry::definitions as define;
use crate::telemetry::view::{CareView, CaredView};

/// The gauges.
#[derive(Debug)]
pub(super) struct CareGauges {
    acts: IntGauge,
    next: GaugeVec,
    urgency: IntGaugeVec,
    end: GaugeVec,
    rebuilding: IntGaugeVec,
}

impl CareGauges {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            acts: int_gauge(registry, &define::FLEET_ACTS)?,
            next: gauge_vec(registry, &define::GUARD_NEXT)?,
            urgency: int_gauge_vec(registry, &define::GUARD_URGENCY)?,
            end: gauge_vec(registry, &define::END)?,
            rebuilding: int_gauge_vec(registry, &define::REBUILDING)?,
        })
    }

    pub(super) fn show(&self, now_ms: i64, view: Option<&CareView>) {
        self.next.reset();
        self.urgency.reset();
        self.end.reset();
        self.rebuilding.reset();
        self.acts.set(view.is_some_and(|view| view.acts).into());
        for cared in view.into_iter().flat_map(|view| &view.deployments) {
            self.show_one(now_ms, cared);
        }
    }

    fn show_one(&self, now_ms: i64, cared: &CaredView) {
        let deployment = &**cared.deployment;
        let left = |at_ms: i64| seconds(at_ms.saturating_sub(now_ms));
        if let Some(next) = cared.next {
            self.next
                .with_label_values(&[deployment, next.action])
                .set(left(next.at_ms));
        }
        let urgency = match cared.urgency {
            "soon" => 1,
            "urgent" => 2,
            "overdue" => 3,
            _ => 0,
        };
        self.urgency.with_label_values(&[deployment]).set(urgency);
        if let Some(end) = cared.end {
            self.end
                .with_label_values(&[deployment, end.cause])
                .set(left(end.at_ms));
        }
        if cared.state != "there" {
            self.rebuilding.with_label_values(&[deployment, cared.state]).set(1);
        }
    }
}
