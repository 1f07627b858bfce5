//! A stand-in for a collector: takes OTLP over HTTP, decodes it with OpenTelemetry's own types, and refuses what it is told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::net::{TcpListener, TcpSocket};

use crate::harness::eventually;

/// An address where nobody listens yet: connections are refused.
pub(super) struct Reserved(TcpSocket);

impl Reserved {
    pub(super) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().unwrap()).expect("a port");
        Self(socket)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }

    /// Listens there.
    pub(super) fn start(self) -> Collector {
        Collector::on(self.0.listen(64).expect("a listener"))
    }
}

/// What came, one request each.
#[derive(Default)]
struct Taken {
    headers: Vec<HeaderMap>,
    bodies: Vec<Bytes>,
    traces: Vec<ExportTraceServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
    /// What is answered instead of taking anything.
    refuses: Option<StatusCode>,
}

/// A running collector.
pub(super) struct Collector {
    pub(super) address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Collector {
    pub(super) fn start() -> Self {
        Reserved::new().start()
    }

    fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("an address");
        let taken = Arc::<Mutex<Taken>>::default();
        let router = Router::new()
            .route("/v1/traces", post(take_traces))
            .route("/v1/metrics", post(take_metrics))
            .with_state(Arc::clone(&taken));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, taken }
    }

    /// Answers with this from now on, or takes what comes.
    pub(super) fn refuse(&self, status: Option<StatusCode>) {
        self.taken.lock().refuses = status;
    }

    /// All spans so far.
    pub(super) fn spans(&self) -> Vec<Span> {
        let taken = self.taken.lock();
        let resources = taken.traces.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// All spans, once there are so many.
    pub(super) async fn spans_once(&self, count: usize) -> Vec<Span> {
        eventually("spans", || async {
            let spans = self.spans();
            (spans.len() >= count).then_some(spans)
        })
        .await
    }

    /// Attributes of the resource of the first spans.
    pub(super) fn resource(&self) -> BTreeMap<String, String> {
        let taken = self.taken.lock();
        let resource = taken.traces[0].resource_spans[0].resource.as_ref().expect("a resource");
        attributes(&resource.attributes)
    }

    /// What came last of a metric: its figure for each set of attributes.
    pub(super) fn figures(&self, name: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let taken = self.taken.lock();
        let Some(last) = taken.metrics.last() else {
            return Vec::new();
        };
        let scopes = last
            .resource_metrics
            .iter()
            .flat_map(|resource| &resource.scope_metrics);
        let metrics = scopes.flat_map(|scope| &scope.metrics);
        metrics.filter(|metric| metric.name == name).flat_map(points).collect()
    }

    /// The sum of a metric's figures; of a histogram how often it was noted.
    pub(super) fn sum(&self, name: &str) -> f64 {
        self.figures(name).iter().map(|(_, value)| value).sum()
    }

    /// How often metrics came.
    pub(super) fn metrics_taken(&self) -> usize {
        self.taken.lock().metrics.len()
    }

    /// Every request's head.
    pub(super) fn headers(&self) -> Vec<HeaderMap> {
        self.taken.lock().headers.clone()
    }

    /// Whether this stands anywhere in what came.
    pub(super) fn has_text(&self, text: &str) -> bool {
        let taken = self.taken.lock();
        let finds = |body: &Bytes| body.windows(text.len()).any(|window| window == text.as_bytes());
        taken.bodies.iter().any(finds)
    }
}

/// Attributes as text.
pub(super) fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let shown = |value: Option<&AnyValue>| match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => panic!("{other:?}"),
    };
    let pairs = attributes.iter();
    pairs
        .map(|attribute| (attribute.key.clone(), shown(attribute.value.as_ref())))
        .collect()
}

fn points(metric: &Metric) -> Vec<(BTreeMap<String, String>, f64)> {
    match metric.data.as_ref().expect("data") {
        Data::Sum(sum) => {
            let value = |value: Option<&number_data_point::Value>| match value.expect("a value") {
                number_data_point::Value::AsInt(number) => *number as f64,
                number_data_point::Value::AsDouble(number) => *number,
            };
            let points = sum.data_points.iter();
            points
                .map(|point| (attributes(&point.attributes), value(point.value.as_ref())))
                .collect()
        }
        Data::Histogram(histogram) => {
            let points = histogram.data_points.iter();
            points
                .map(|point| (attributes(&point.attributes), point.count as f64))
                .collect()
        }
        other => panic!("{other:?}"),
    }
}

async fn take_traces(State(taken): State<Arc<Mutex<Taken>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    take(&taken, headers, &body, |taken, body| {
        taken
            .traces
            .push(ExportTraceServiceRequest::decode(body).expect("traces"));
    })
}

async fn take_metrics(State(taken): State<Arc<Mutex<Taken>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    take(&taken, headers, &body, |taken, body| {
        taken
            .metrics
            .push(ExportMetricsServiceRequest::decode(body).expect("metrics"));
    })
}

fn take(taken: &Mutex<Taken>, headers: HeaderMap, body: &Bytes, keep: impl FnOnce(&mut Taken, Bytes)) -> StatusCode {
    let mut taken = taken.lock();
    if let Some(refused) = taken.refuses {
        return refused;
    }
    taken.headers.push(headers);
    taken.bodies.push(body.clone());
    keep(&mut taken, body.clone());
    StatusCode::OK
}
