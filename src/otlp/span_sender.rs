//! Sends spans to the collector: a bounded queue, and the one task that empties it.
//!
//! A batch that the collector cannot take now waits for it, with longer and longer pauses, while the queue fills behind it; what finds
//! no room there is dropped and counted. One that it will never take is dropped. At the end what waits is sent, each batch once.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::otlp::collector::Collector;
use crate::otlp::told::Told;
use crate::telemetry::events::otlp::SpansLeft;
use crate::telemetry::metrics::Metrics;

/// Spans that are sent at once: some 400 KiB.
pub const BATCH_MAX: usize = 512;
/// First pause after a failure; each is twice the one before.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Longest pause: so long after its return a collector hears of us at the latest.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Where spans are put.
pub struct SpanQueue {
    sender: mpsc::Sender<SpanData>,
    metrics: Arc<Metrics>,
}

impl SpanQueue {
    /// A queue with room for so many, and its other end.
    pub fn new(room: usize, metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<SpanData>) {
        let (sender, waiting) = mpsc::channel(room);
        (Self { sender, metrics }, waiting)
    }

    /// Puts spans in; what finds no room is dropped and counted.
    pub fn put(&self, spans: &mut Vec<SpanData>) {
        let mut dropped = 0;
        for span in spans.drain(..) {
            dropped += usize::from(self.sender.try_send(span).is_err());
        }
        if dropped > 0 {
            SpansLeft {
                result: "dropped",
                spans: dropped,
            }
            .emit(&self.metrics);
        }
    }
}

/// Sends what was put in.
pub struct SpanSender {
    /// What makes requests of spans.
    pub exporter: opentelemetry_otlp::SpanExporter,
    /// Where those go.
    pub collector: Arc<Collector>,
    /// The queue's other end.
    pub waiting: mpsc::Receiver<SpanData>,
    /// How long spans are gathered.
    pub every: Duration,
    /// Who is told.
    pub told: Told,
    /// Where spans are counted.
    pub metrics: Arc<Metrics>,
    /// Says when to end.
    pub stopped: watch::Receiver<bool>,
}

impl SpanSender {
    /// Sends until whoever puts spans in is gone and all are sent, or until it is told to stop and the collector fails.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.gather(&mut batch).await {
            let spans = batch.len();
            let result = self.deliver(&batch).await;
            SpansLeft {
                result: result.into(),
                spans,
            }
            .emit(&self.metrics);
            batch.clear();
            if result == Delivered::Unsent {
                break;
            }
        }
        self.waiting.close();
        let left = self.waiting.len();
        if left > 0 {
            SpansLeft {
                result: Delivered::Unsent.into(),
                spans: left,
            }
            .emit(&self.metrics);
        }
    }

    /// Fills a batch. False if there will be no more.
    async fn gather(&mut self, batch: &mut Vec<SpanData>) -> bool {
        if self.waiting.recv_many(batch, BATCH_MAX).await == 0 {
            return false;
        }
        let until = Instant::now() + self.every;
        while batch.len() < BATCH_MAX {
            let more = tokio::select! {
                biased;
                more = self.waiting.recv_many(batch, BATCH_MAX - batch.len()) => more,
                // Whoever could say so is gone: the gateway has ended.
                _ = self.stopped.wait_for(|stopped| *stopped) => 0,
                () = tokio::time::sleep_until(until) => 0,
            };
            if more == 0 {
                break;
            }
        }
        true
    }

    /// Sends a batch, again and again while that may help.
    async fn deliver(&mut self, batch: &[SpanData]) -> Delivered {
        let mut pause = PAUSE_FIRST;
        loop {
            // The exporter wants its own.
            let Err(error) = self.exporter.export(batch.to_vec()).await else {
                self.told.sent();
                return Delivered::Sent;
            };
            let failure = self.collector.failure(&error);
            self.told.failed(&failure);
            if !failure.may_pass {
                return Delivered::Refused;
            }
            tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stopped| *stopped) => return Delivered::Unsent,
                () = tokio::time::sleep(failure.retry_after.unwrap_or(pause).max(pause)) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum Delivered {
    Sent,
    Refused,
    /// It was to end, and the collector was not there.
    Unsent,
}
