//! What happens to traces and metrics on their way to a collector.

use std::time::Duration;

use strum::IntoStaticStr;
use tracing::{info, warn};

use crate::telemetry::metrics::Metrics;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Signal {
    /// Spans.
    Traces,
    /// Figures.
    Metrics,
}

/// Traces, metrics or both are sent from now on.
#[derive(Debug)]
pub struct SendingBegun<'a> {
    /// The collector, host and port only.
    pub host: &'a str,
    /// Share of traces, where they are sent.
    pub traces: Option<f64>,
    /// How often metrics are sent, where they are.
    pub metrics: Option<Duration>,
}

impl SendingBegun<'_> {
    /// Logs it.
    pub fn emit(&self) {
        info!(
            host = self.host,
            traces_share = self.traces,
            metrics_every_s = self.metrics.map(|every| every.as_secs_f64()),
            "sending to a collector"
        );
    }
}

/// The collector began not to take a signal.
#[derive(Debug)]
pub struct SendingFails<'a> {
    /// Which.
    pub signal: Signal,
    /// The collector.
    pub host: &'a str,
    /// Why.
    pub cause: &'a str,
    /// Whether it is tried again.
    pub may_pass: bool,
}

impl SendingFails<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let signal: &'static str = self.signal.into();
        let advice = if self.may_pass {
            "requests are served as before; see that it runs and can be reached, and `telemetry.otlp.endpoint`"
        } else {
            "requests are served as before; check `telemetry.otlp.endpoint` and `headers`, and the collector's own log"
        };
        warn!(
            signal,
            host = self.host,
            cause = self.cause,
            advice,
            "the collector does not take what is sent"
        );
    }
}

/// The collector takes a signal again.
#[derive(Debug)]
pub struct SendingWorks<'a> {
    /// Which.
    pub signal: Signal,
    /// The collector.
    pub host: &'a str,
}

impl SendingWorks<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let signal: &'static str = self.signal.into();
        info!(signal, host = self.host, "the collector takes what is sent again");
    }
}

/// Something was sent to the collector, whatever came of it.
#[derive(Debug)]
pub struct Sent {
    /// What.
    pub signal: Signal,
    /// `sent`, `failed` or `refused`.
    pub result: &'static str,
}

impl Sent {
    /// Counts it.
    pub fn emit(&self, metrics: &Metrics) {
        let labels = [self.signal.into(), self.result];
        metrics.otlp.exports.with_label_values(&labels).inc();
    }
}

/// Spans have left the queue, or found no room in it.
#[derive(Debug)]
pub struct SpansLeft {
    /// `sent`, `dropped`, `refused` or `unsent`.
    pub result: &'static str,
    /// How many.
    pub spans: usize,
}

impl SpansLeft {
    /// Counts them.
    pub fn emit(&self, metrics: &Metrics) {
        let counted = metrics.otlp.spans.with_label_values(&[self.result]);
        counted.inc_by(u64::try_from(self.spans).unwrap_or(u64::MAX));
    }
}
