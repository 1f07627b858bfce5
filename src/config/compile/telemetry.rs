//! Where traces and metrics are sent.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderName;

use crate::config::checked::telemetry::{MetricsSettings, OtlpSettings, TracesSettings};
use crate::config::compile::azure;
use crate::config::compile::context::Context;
use crate::config::errors::Pointer;
use crate::config::raw::telemetry::{RawOtlp, RawOtlpMetrics, RawOtlpTraces, RawTelemetry, RawTemporality};
use crate::config::scalars::SecretText;
use crate::config::secrets::Secret;

/// Most headers that are sent along.
const HEADERS_MAX: usize = 16;
/// Most attributes of the resource.
const ATTRIBUTES_MAX: usize = 64;
/// Longest name of an attribute, in bytes.
const ATTRIBUTE_NAME_MAX: usize = 128;
/// Longest value of one, in bytes: it is sent with each batch.
const ATTRIBUTE_VALUE_MAX: usize = 1_024;
/// More often than this metrics tell nothing more, and cost the collector.
const METRICS_EVERY_MIN: Duration = Duration::from_secs(1);

/// Headers that the protocol itself sets, or HTTP.
const RESERVED: [&str; 7] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
];

/// Compiles the section; none after a mistake in its URL.
pub(super) fn compile(context: &mut Context<'_>, raw: &RawTelemetry, at: &Pointer) -> Option<OtlpSettings> {
    let (raw, at) = (&raw.otlp, at.key("otlp"));
    if raw.traces.is_none() && raw.metrics.is_none() && !context.is_repaired(&at) {
        let hint = "add `traces: {}`, `metrics: {}` or both, or leave `telemetry` out".to_owned();
        context.error(&at, "neither traces nor metrics would be sent", hint);
    }
    let headers = headers(context, &raw.headers, &at.key("headers"));
    let resource = resource(context, &raw.resource, &at.key("resource"));
    let ca = raw.ca.as_deref();
    let ca = ca.map(|written| azure::ca(context, &at.key("ca"), written));
    let timeout = context.positive(&at.key("timeout"), &raw.timeout);
    let service_name = context.text(&at.key("service_name"), &raw.service_name);
    let traces = raw.traces.as_ref();
    let traces = traces.map(|traces| compile_traces(context, traces, &at.key("traces")));
    let metrics = raw.metrics.as_ref();
    let metrics = metrics.map(|metrics| compile_metrics(context, metrics, &at.key("metrics")));
    Some(OtlpSettings {
        endpoint: endpoint(context, raw, &at.key("endpoint"))?,
        headers,
        ca,
        timeout,
        service_name,
        resource,
        traces,
        metrics,
    })
}

fn endpoint(context: &mut Context<'_>, raw: &RawOtlp, at: &Pointer) -> Option<url::Url> {
    let written = &raw.endpoint;
    let text = context.text(at, written);
    match azure::parse_base(&text, written) {
        Ok((url, is_near)) => {
            if url.scheme() == "http" && !is_near && !raw.allow_plaintext {
                let hint = "write `https://…`, or set `telemetry.otlp.allow_plaintext: true`".to_owned();
                context.error(at, format!("to `{written}` everything would travel readably"), hint);
            }
            if ["v1/traces/", "v1/metrics/"]
                .iter()
                .any(|end| url.path().ends_with(end))
            {
                let hint = "leave `/v1/…` out: it is added".to_owned();
                context.error(at, format!("`{written}` is the URL of one signal"), hint);
            }
            Some(url)
        }
        Err(message) => {
            context.error(at, message, "such as `http://127.0.0.1:4318`".to_owned());
            None
        }
    }
}

fn headers(context: &mut Context<'_>, raw: &BTreeMap<String, SecretText>, at: &Pointer) -> Vec<(HeaderName, Secret)> {
    if raw.len() > HEADERS_MAX {
        context.error(at, format!("there are more than {HEADERS_MAX} headers"), None);
    }
    let mut headers: Vec<(HeaderName, Secret)> = Vec::with_capacity(raw.len());
    for (name, value) in raw {
        let at = at.key(name);
        let value = context.secret(&at, &value.0);
        let Ok(known) = HeaderName::try_from(name.as_str()) else {
            context.error(
                &at,
                format!("`{name}` is not a header's name"),
                "such as `x-api-key`".to_owned(),
            );
            continue;
        };
        if RESERVED.contains(&known.as_str()) {
            let message = format!("`{name}` is set by the protocol");
            context.error(&at, message, "leave it out".to_owned());
        } else if headers.iter().any(|(other, _)| *other == known) {
            let message = format!("there is another header `{known}`");
            context.error(&at, message, "give each once, whatever its capitals".to_owned());
        }
        headers.extend(value.map(|value| (known, value)));
    }
    headers
}

fn resource(context: &mut Context<'_>, raw: &BTreeMap<String, String>, at: &Pointer) -> Vec<(String, String)> {
    if raw.len() > ATTRIBUTES_MAX {
        context.error(at, format!("there are more than {ATTRIBUTES_MAX} attributes"), None);
    }
    let mut attributes = Vec::with_capacity(raw.len());
    for (name, written) in raw {
        let at = at.key(name);
        let is_name = name.len() <= ATTRIBUTE_NAME_MAX
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "._-/".contains(letter));
        if !is_name {
            let hint =
                "letters, digits, `.`, `_`, `-` and `/`, the first a letter, such as `deployment.environment.name`";
            context.error(&at, format!("`{name}` is not an attribute's name"), hint.to_owned());
        }
        if name == "service.name" {
            let hint = "write `telemetry.otlp.service_name`".to_owned();
            context.error(&at, "the service's name has a setting of its own", hint);
        }
        let value = context.text(&at, written);
        if value.len() > ATTRIBUTE_VALUE_MAX {
            let message = format!("the value is longer than {ATTRIBUTE_VALUE_MAX} bytes");
            context.error(&at, message, None);
        }
        attributes.push((name.clone(), value));
    }
    attributes
}

fn compile_traces(context: &mut Context<'_>, raw: &RawOtlpTraces, at: &Pointer) -> TracesSettings {
    TracesSettings {
        share: raw.share,
        follow_clients: raw.follow_clients,
        queue: raw.queue,
        every: context.positive(&at.key("every"), &raw.every),
    }
}

fn compile_metrics(context: &mut Context<'_>, raw: &RawOtlpMetrics, at: &Pointer) -> MetricsSettings {
    let at = at.key("every");
    let every = context.duration(&at, &raw.every);
    if every < METRICS_EVERY_MIN {
        context.error(
            &at,
            format!("`{}` is too often", raw.every.text()),
            "1s or more".to_owned(),
        );
    }
    MetricsSettings {
        every,
        is_delta: matches!(raw.temporality, RawTemporality::Delta),
    }
}
