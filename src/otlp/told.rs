//! Whether a signal arrives, and who is told when that changes: once when it begins to fail, once when it is back.

use std::sync::Arc;

use crate::otlp::collector::Failure;
use crate::telemetry::events::otlp::{SendingFails, SendingWorks, Sent, Signal};
use crate::telemetry::metrics::Metrics;

/// What is known of one signal.
pub struct Told {
    signal: Signal,
    host: String,
    metrics: Arc<Metrics>,
    is_failing: bool,
}

impl Told {
    /// Nothing yet.
    pub fn new(signal: Signal, host: String, metrics: Arc<Metrics>) -> Self {
        Self {
            signal,
            host,
            metrics,
            is_failing: false,
        }
    }

    /// Notes that something was taken.
    pub fn sent(&mut self) {
        self.count("sent");
        if std::mem::take(&mut self.is_failing) {
            SendingWorks {
                signal: self.signal,
                host: &self.host,
            }
            .emit();
        }
    }

    /// Notes that something was not taken.
    pub fn failed(&mut self, failure: &Failure) {
        self.count(if failure.may_pass { "failed" } else { "refused" });
        if !std::mem::replace(&mut self.is_failing, true) {
            SendingFails {
                signal: self.signal,
                host: &self.host,
                cause: &failure.cause,
                may_pass: failure.may_pass,
            }
            .emit();
        }
    }

    fn count(&self, result: &'static str) {
        Sent {
            signal: self.signal,
            result,
        }
        .emit(&self.metrics);
    }
}
