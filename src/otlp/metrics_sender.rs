//! Sends metrics to the collector: the SDK's reader collects them on a thread of its own, and hands them over here.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use parking_lot::Mutex;

use crate::otlp::collector::Collector;
use crate::otlp::told::Told;

/// The SDK's exporter, watched: whether what it sends arrives is told. What was not taken is not sent again; cumulative figures
/// are in the next ones.
pub struct WatchedExporter {
    /// What makes requests of figures.
    pub exporter: MetricExporter,
    /// Where those go.
    pub collector: Arc<Collector>,
    /// Who is told.
    pub told: Mutex<Told>,
}

impl PushMetricExporter for WatchedExporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.exporter.export(metrics).await;
        match &result {
            Ok(()) => self.told.lock().sent(),
            Err(error) => {
                let failure = self.collector.failure(error);
                self.told.lock().failed(&failure);
            }
        }
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
