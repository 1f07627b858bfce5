//! Puts the parts together, and ends them.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::SpanExporter as _;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::azure::transport::{Http, TransportError, host_of};
use crate::config::checked::telemetry::{MetricsSettings, OtlpSettings, TracesSettings};
use crate::otlp::collector::Collector;
use crate::otlp::consumer::OtlpConsumer;
use crate::otlp::instruments::Instruments;
use crate::otlp::metrics_sender::WatchedExporter;
use crate::otlp::place::{CurrentSnapshot, Places};
use crate::otlp::span_sender::{SpanQueue, SpanSender};
use crate::otlp::spans;
use crate::otlp::told::Told;
use crate::telemetry::events::otlp::{SendingBegun, Signal};
use crate::telemetry::metrics::Metrics;

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The connections cannot be set up.
    #[error("cannot set up connections to the collector")]
    Transport(#[from] TransportError),
    /// The SDK does not take the settings.
    #[error("cannot set up OpenTelemetry's exporter")]
    Exporter(#[from] ExporterBuildError),
}

/// What sends.
pub struct RunningOtlp {
    stop: watch::Sender<bool>,
    spans: Option<JoinHandle<()>>,
    meters: Option<SdkMeterProvider>,
}

/// Starts sending, and returns who is to be handed finished requests.
///
/// # Errors
/// When certificates or TLS cannot be used.
pub fn start(
    settings: &OtlpSettings,
    current: CurrentSnapshot,
    metrics: &Arc<Metrics>,
) -> Result<(OtlpConsumer, RunningOtlp), OtlpError> {
    let starts = Starts {
        settings,
        http: Http::new(settings.ca.as_deref())?,
        host: host_of(&settings.endpoint),
        resource: resource(settings),
        metrics,
    };
    let (stop, stopped) = watch::channel(false);
    let traces = settings.traces.as_ref();
    let (queue, spans) = traces.map(|traces| starts.traces(traces, stopped)).transpose()?.unzip();
    let figures = settings.metrics.as_ref();
    let (meters, instruments) = figures.map(|figures| starts.metrics(figures)).transpose()?.unzip();
    SendingBegun {
        host: &starts.host,
        traces: traces.map(|traces| traces.share),
        metrics: figures.map(|figures| figures.every),
    }
    .emit();
    let consumer = OtlpConsumer {
        queue,
        instruments,
        places: Places::new(current),
        scope: spans::scope(),
        made: Vec::new(),
    };
    Ok((consumer, RunningOtlp { stop, spans, meters }))
}

impl RunningOtlp {
    /// Sends what waits and ends, both signals side by side; within `limit`, or without it. Whether both were in time. Whoever was handed
    /// requests must be gone.
    pub async fn end(self, limit: Duration) -> bool {
        self.stop.send_replace(true);
        let Self { spans, meters, .. } = self;
        let last_spans = async {
            let Some(task) = spans else { return true };
            let abort = task.abort_handle();
            let in_time = tokio::time::timeout(limit, task).await.is_ok();
            if !in_time {
                abort.abort();
            }
            in_time
        };
        let last_figures = async {
            let Some(meters) = meters else { return true };
            // It waits for its thread, which sends once more, 5 s at most; a collector that refuses them has been told of.
            let ended = tokio::task::spawn_blocking(move || meters.shutdown());
            let ended = tokio::time::timeout(limit, ended).await;
            !matches!(ended, Err(_) | Ok(Ok(Err(OTelSdkError::Timeout(_)))))
        };
        let (spans, figures) = tokio::join!(last_spans, last_figures);
        spans && figures
    }
}

/// What both signals need.
struct Starts<'a> {
    settings: &'a OtlpSettings,
    http: Http,
    host: String,
    resource: Resource,
    metrics: &'a Arc<Metrics>,
}

impl Starts<'_> {
    fn traces(
        &self,
        traces: &TracesSettings,
        stopped: watch::Receiver<bool>,
    ) -> Result<(SpanQueue, JoinHandle<()>), OtlpError> {
        let collector = self.collector();
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(self.url("v1/traces"))
            .with_timeout(self.settings.timeout)
            .with_retry_policy(RetryPolicy::disabled())
            .with_shared_http_client(Arc::clone(&collector) as _)
            .build()?;
        exporter.set_resource(&self.resource);
        let (queue, waiting) = SpanQueue::new(traces.queue, Arc::clone(self.metrics));
        let sender = SpanSender {
            exporter,
            collector,
            waiting,
            every: traces.every,
            told: self.told(Signal::Traces),
            metrics: Arc::clone(self.metrics),
            stopped,
        };
        Ok((queue, tokio::spawn(sender.run())))
    }

    fn metrics(&self, figures: &MetricsSettings) -> Result<(SdkMeterProvider, Instruments), OtlpError> {
        let collector = self.collector();
        let temporality = if figures.is_delta {
            Temporality::Delta
        } else {
            Temporality::Cumulative
        };
        let exporter = MetricExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(self.url("v1/metrics"))
            .with_timeout(self.settings.timeout)
            .with_retry_policy(RetryPolicy::disabled())
            .with_shared_http_client(Arc::clone(&collector) as _)
            .with_temporality(temporality)
            .build()?;
        let watched = WatchedExporter {
            exporter,
            collector,
            told: Mutex::new(self.told(Signal::Metrics)),
        };
        let reader = PeriodicReader::builder(watched).with_interval(figures.every).build();
        let meters = SdkMeterProvider::builder()
            .with_resource(self.resource.clone())
            .with_reader(reader)
            .build();
        let instruments = Instruments::new(&meters.meter_with_scope(spans::scope()));
        Ok((meters, instruments))
    }

    fn collector(&self) -> Arc<Collector> {
        Arc::new(Collector::new(self.settings, self.http.clone()))
    }

    fn told(&self, signal: Signal) -> Told {
        Told::new(signal, self.host.clone(), Arc::clone(self.metrics))
    }

    /// The base URL ends in a slash.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.settings.endpoint)
    }
}

/// What everything that is sent is of. Nothing of it comes from the environment but by the configuration.
fn resource(settings: &OtlpSettings) -> Resource {
    let own = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", format!("{:032x}", rand::random::<u128>())),
    ];
    let written = settings.resource.iter();
    let written = written.map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_service_name(settings.service_name.clone())
        .with_attributes(own)
        .with_attributes(written)
        .build()
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_end_says_whether_all_was_sent_in_time() {
        let limit = Duration::from_secs(5);
        let end = async |spans: JoinHandle<()>, stop: watch::Sender<bool>| {
            let running = RunningOtlp {
                stop,
                spans: Some(spans),
                meters: Some(SdkMeterProvider::builder().build()),
            };
            running.end(limit).await
        };
        let (stop, mut stopped) = watch::channel(false);
        let sending = tokio::spawn(async move {
            let told = stopped.wait_for(|stopped| *stopped).await;
            assert!(told.is_ok_and(|told| *told), "told to end");
        });
        assert!(end(sending, stop).await);
        assert!(!end(tokio::spawn(pending()), watch::Sender::new(false)).await);
    }
}
