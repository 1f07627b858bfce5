//! Who is handed finished requests and makes spans and figures of them.

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::trace::SpanData;

use crate::core::ledger::finished::Finished;
use crate::otlp::instruments::Instruments;
use crate::otlp::place::Places;
use crate::otlp::span_sender::SpanQueue;
use crate::otlp::spans;
use crate::telemetry::finished::FinishedConsumer;

/// Makes spans and figures. Never waits: what finds no room is dropped.
pub struct OtlpConsumer {
    /// Where spans are put, where traces are sent.
    pub queue: Option<SpanQueue>,
    /// What figures are noted in, where metrics are sent.
    pub instruments: Option<Instruments>,
    /// Where deployments are.
    pub places: Places,
    /// What makes the spans.
    pub scope: InstrumentationScope,
    /// Memory for the spans of a piece.
    pub made: Vec<SpanData>,
}

impl FinishedConsumer for OtlpConsumer {
    fn take(&mut self, finished: &[Finished]) {
        self.places.refresh();
        for finished in finished {
            if let Some(queue) = &self.queue {
                spans::add(finished, &self.places, &self.scope, &mut self.made);
                queue.put(&mut self.made);
            }
            if let Some(instruments) = &self.instruments {
                instruments.note(finished, &self.places);
            }
        }
    }
}
