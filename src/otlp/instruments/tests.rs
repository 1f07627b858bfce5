//! Figures of requests, as an exporter gets them.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use parking_lot::Mutex;

use super::*;
use crate::core::ledger::finished::testing::finished;
use crate::otlp::testing::{failed_over, places};

/// Keeps what it is given, a line for each set of attributes.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl PushMetricExporter for Kept {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut lines: Vec<String> = metrics
            .scope_metrics()
            .flat_map(ScopeMetrics::metrics)
            .flat_map(|metric| {
                let name = metric.name().to_owned();
                shown(metric.data())
                    .into_iter()
                    .map(move |line| format!("{name}{line}"))
            })
            .collect();
        lines.sort_unstable();
        *self.0.lock() = lines;
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

fn shown(data: &AggregatedMetrics) -> Vec<String> {
    fn labels<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
        let mut labels: Vec<String> = attributes
            .map(|attribute| format!("{}={}", attribute.key, attribute.value))
            .collect();
        labels.sort_unstable();
        format!("{{{}}}", labels.join(","))
    }
    match data {
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
            .data_points()
            .map(|point| format!("{} {}x, {:.4}", labels(point.attributes()), point.count(), point.sum()))
            .collect(),
        AggregatedMetrics::U64(MetricData::Histogram(histogram)) => histogram
            .data_points()
            .map(|point| format!("{} {}x, {}", labels(point.attributes()), point.count(), point.sum()))
            .collect(),
        AggregatedMetrics::U64(MetricData::Sum(sum)) => sum
            .data_points()
            .map(|point| format!("{} {}", labels(point.attributes()), point.value()))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn exported(requests: &[Finished]) -> Vec<String> {
    let kept = Kept::default();
    let reader = PeriodicReader::builder(kept.clone())
        .with_interval(Duration::from_hours(1))
        .build();
    let meters = SdkMeterProvider::builder().with_reader(reader).build();
    let instruments = Instruments::new(&meters.meter("test"));
    let places = places();
    for request in requests {
        instruments.note(request, &places);
    }
    meters.force_flush().expect("exported");
    kept.0.lock().clone()
}

#[test]
fn a_request_that_went_on_counts_once_and_both_its_attempts() {
    assert_eq!(
        exported(&[failed_over(0)]),
        [
            "emberway.attempts{emberway.deployment=eu/one,emberway.outcome=success,emberway.reason=failover,emberway.route=support} 1",
            "emberway.attempts{emberway.deployment=us/two,emberway.outcome=throttled,emberway.reason=home,emberway.route=support} 1",
            "emberway.cached_tokens{emberway.deployment=eu/one,emberway.route=support} 1024",
            "emberway.requests{emberway.client=shop,emberway.outcome=success,emberway.route=support} 1",
            "gen_ai.client.operation.duration{emberway.deployment=eu/one,gen_ai.operation.name=chat,gen_ai.provider.name=azure.ai.openai,\
             gen_ai.request.model=support,gen_ai.response.model=gpt-4.1-mini,server.address=eu.openai.azure.com,server.port=443} 1x, 0.8995",
            "gen_ai.client.token.usage{emberway.deployment=eu/one,gen_ai.operation.name=chat,gen_ai.provider.name=azure.ai.openai,\
             gen_ai.request.model=support,gen_ai.response.model=gpt-4.1-mini,gen_ai.token.type=input,server.address=eu.openai.azure.com,\
             server.port=443} 1x, 2000",
            "gen_ai.client.token.usage{emberway.deployment=eu/one,gen_ai.operation.name=chat,gen_ai.provider.name=azure.ai.openai,\
             gen_ai.request.model=support,gen_ai.response.model=gpt-4.1-mini,gen_ai.token.type=output,server.address=eu.openai.azure.com,\
             server.port=443} 1x, 50",
            "gen_ai.server.request.duration{gen_ai.operation.name=chat,gen_ai.provider.name=azure.ai.openai,gen_ai.request.model=support} 1x, 0.9000",
            "gen_ai.server.time_to_first_token{gen_ai.operation.name=chat,gen_ai.provider.name=azure.ai.openai,gen_ai.request.model=support} 1x, 0.3000",
        ]
    );
}

#[test]
fn first_tokens_of_streams_that_did_not_succeed_do_not_count() {
    let check = |outcome: RequestOutcome, expected: usize| {
        let mut request = failed_over(0);
        request.record.outcome = outcome;
        let lines = exported(&[request]);
        let counted = lines
            .iter()
            .filter(|line| line.starts_with("gen_ai.server.time_to_first_token"));
        assert_eq!(counted.count(), expected, "{outcome:?}: {lines:?}");
    };
    check(RequestOutcome::Success, 1);
    check(RequestOutcome::ClientGone, 0);
    check(RequestOutcome::Rejected, 0);
    check(RequestOutcome::Broken, 0);
}

#[test]
fn a_request_without_an_answer_has_no_tokens() {
    let mut refused = finished(0);
    refused.record.outcome = RequestOutcome::Throttled;
    refused.record.source = UsageSource::None;
    refused.record.first_token_us = None;
    refused.attempts.clear();
    assert_eq!(
        exported(&[refused.clone(), refused]),
        [
            "emberway.requests{emberway.client=shop,emberway.outcome=throttled,emberway.route=support} 2",
            "gen_ai.server.request.duration{error.type=throttled,gen_ai.operation.name=chat,gen_ai.provider.name=azure.ai.openai,\
             gen_ai.request.model=support} 2x, 1.8000",
        ]
    );
}

#[test]
fn sets_of_attributes_are_bounded() {
    let requests: Vec<Finished> = (0..2_500)
        .map(|number| {
            let mut request = finished(0);
            request.record.client = format!("client-{number}").as_str().into();
            request
        })
        .collect();
    let lines = exported(&requests);
    let counted = lines.iter().filter(|line| line.starts_with("emberway.requests{"));
    assert_eq!(counted.count(), 2_001);
    assert!(
        lines
            .iter()
            .any(|line| line == "emberway.requests{otel.metric.overflow=true} 500")
    );
}
