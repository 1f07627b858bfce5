//! What is counted of traces and metrics that are sent to a collector.

use crate::telemetry::definitions::kind::{Definition, counter};

/// See its help.
pub const OTLP_EXPORTS: Definition = counter(
    "emberway_otlp_exports_total",
    &["signal", "result"],
    "Sendings to the collector (`traces`, `metrics`), by result: `sent`, `failed` (tried again), `refused`.",
);
/// See its help.
pub const OTLP_SPANS: Definition = counter(
    "emberway_otlp_spans_total",
    &["result"],
    "Spans for the collector, by what became of them: `sent`, `dropped` (the queue was full), `refused` by the collector, `unsent` when the process ended.",
);
