//! The counters of what is sent to a collector.

use prometheus::{IntCounterVec, Registry};

use super::counter_vec;
use crate::telemetry::definitions::otlp as define;

/// The counters.
#[derive(Debug)]
pub(in crate::telemetry) struct OtlpCounters {
    pub(in crate::telemetry) exports: IntCounterVec,
    pub(in crate::telemetry) spans: IntCounterVec,
}

impl OtlpCounters {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            exports: counter_vec(registry, &define::OTLP_EXPORTS)?,
            spans: counter_vec(registry, &define::OTLP_SPANS)?,
        })
    }
}
