//! Finished requests as figures: the conventions' histograms, and counters of our own.
//!
//! They count what `/metrics` counts, from the same requests. Cardinality is bounded twice: attributes are configured names and closed
//! words, and beyond the SDK's 2,000 sets an instrument keeps one that says so (`otel.metric.overflow`).

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use crate::core::ids::{DeploymentId, RouteId};
use crate::core::ledger::finished::{Finished, FinishedAttempt};
use crate::core::ledger::usage::{RequestOutcome, UsageSource};
use crate::otlp::place::Places;
use crate::otlp::words::{self, count, named, seconds};

/// The conventions' bounds for durations, in seconds.
const DURATION_SECONDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
/// Their bounds for the time to the first token, in seconds.
const FIRST_TOKEN_SECONDS: [f64; 16] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Their bounds for tokens.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// What figures are noted in.
pub struct Instruments {
    request_duration: Histogram<f64>,
    time_to_first_token: Histogram<f64>,
    operation_duration: Histogram<f64>,
    token_usage: Histogram<u64>,
    requests: Counter<u64>,
    attempts: Counter<u64>,
    cached_tokens: Counter<u64>,
}

impl Instruments {
    /// Makes them.
    pub fn new(meter: &Meter) -> Self {
        let duration = |name: &'static str, bounds: &[f64], meaning: &'static str| {
            let builder = meter.f64_histogram(name).with_unit("s").with_description(meaning);
            builder.with_boundaries(bounds.to_vec()).build()
        };
        let counter = |name: &'static str, unit: &'static str, meaning: &'static str| {
            let builder = meter.u64_counter(name).with_unit(unit);
            builder.with_description(meaning).build()
        };
        Self {
            request_duration: duration(
                "gen_ai.server.request.duration",
                &DURATION_SECONDS,
                "From a request's head to the end of its answer, all attempts included.",
            ),
            time_to_first_token: duration(
                "gen_ai.server.time_to_first_token",
                &FIRST_TOKEN_SECONDS,
                "From a request's head to its first output token; successful streams only.",
            ),
            operation_duration: duration(
                "gen_ai.client.operation.duration",
                &DURATION_SECONDS,
                "Whole duration of attempts that gave the client its answer.",
            ),
            token_usage: meter
                .u64_histogram("gen_ai.client.token.usage")
                .with_unit("{token}")
                .with_description("Tokens of a request, of its prompt and of its answer.")
                .with_boundaries(TOKENS.to_vec())
                .build(),
            requests: counter("emberway.requests", "{request}", "Finished requests."),
            attempts: counter("emberway.attempts", "{attempt}", "Attempts of finished requests."),
            cached_tokens: counter(
                "emberway.cached_tokens",
                "{token}",
                "Prompt tokens that the provider found cached.",
            ),
        }
    }

    /// Notes a finished request.
    pub fn note(&self, finished: &Finished, places: &Places) {
        let record = &finished.record;
        let outcome: &'static str = record.outcome.into();
        self.requests.add(
            1,
            &[
                named("emberway.client", &record.client),
                named("emberway.route", &record.route),
                KeyValue::new("emberway.outcome", outcome),
            ],
        );
        let mut asked = Vec::with_capacity(4);
        asked.extend(words::common(finished));
        asked.push(named("gen_ai.request.model", &record.route));
        if let Some(us) = record
            .first_token_us
            .filter(|_| record.outcome == RequestOutcome::Success)
        {
            self.time_to_first_token.record(seconds(us), &asked);
        }
        asked.extend(words::request_error(record.outcome).map(|error| KeyValue::new("error.type", error)));
        self.request_duration.record(seconds(record.total_us), &asked);
        if let Some(deployment) = record
            .deployment
            .as_ref()
            .filter(|_| record.source != UsageSource::None)
        {
            self.note_tokens(finished, deployment, places);
        }
        for attempt in &finished.attempts {
            self.note_attempt(finished, attempt, places);
        }
    }

    fn note_tokens(&self, finished: &Finished, deployment: &DeploymentId, places: &Places) {
        let record = &finished.record;
        let mut attributes = of_deployment(finished, deployment, places);
        for (kind, tokens) in [("input", record.prompt_tokens), ("output", record.completion_tokens)] {
            attributes.push(KeyValue::new("gen_ai.token.type", kind));
            self.token_usage.record(tokens, &attributes);
            attributes.pop();
        }
        self.cached_tokens
            .add(record.cached_tokens, &of_route(&record.route, deployment));
    }

    fn note_attempt(&self, finished: &Finished, attempt: &FinishedAttempt, places: &Places) {
        let [route, deployment] = of_route(&finished.record.route, &attempt.deployment);
        self.attempts.add(
            1,
            &[
                route,
                deployment,
                KeyValue::new("emberway.outcome", attempt.outcome),
                KeyValue::new("emberway.reason", attempt.reason),
            ],
        );
        if attempt.answers {
            let mut attributes = of_deployment(finished, &attempt.deployment, places);
            attributes.extend(words::attempt_error(attempt).map(|error| KeyValue::new("error.type", error)));
            self.operation_duration.record(seconds(attempt.total_us), &attributes);
        }
    }
}

fn of_route(route: &RouteId, deployment: &DeploymentId) -> [KeyValue; 2] {
    [named("emberway.route", route), named("emberway.deployment", deployment)]
}

/// What the conventions ask of a client's figures: whom it asked, for what.
fn of_deployment(finished: &Finished, deployment: &DeploymentId, places: &Places) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(8);
    attributes.extend(words::common(finished));
    attributes.push(named("gen_ai.request.model", &finished.record.route));
    attributes.push(named("emberway.deployment", deployment));
    if let Some(place) = places.of(deployment) {
        attributes.push(named("server.address", &place.host));
        attributes.push(count("server.port", u64::from(place.port)));
        attributes.extend(place.model.as_ref().map(|model| named("gen_ai.response.model", model)));
    }
    attributes
}

#[cfg(test)]
mod tests;
