//! Where traces and metrics are sent: what is refused, and that headers' values are not shown.

use std::time::Duration;

use super::azure::shown;
use super::mistakes::problems;
use super::{SMALL, compile};

fn with(otlp: &str) -> String {
    format!("{SMALL}telemetry: {{otlp: {otlp}}}\n")
}

#[track_caller]
fn check(otlp: &str, expected: &[&str]) {
    let whole = with(otlp);
    let shown: Vec<String> = problems(&[(SMALL, &whole)]).iter().map(shown).collect();
    assert_eq!(shown, expected, "{otlp}");
}

#[test]
fn nothing_is_sent_unless_the_file_says_so() {
    assert_eq!(compile(SMALL).expect("compiles").install.otlp, None);
    check(
        "{endpoint: 'http://localhost:4318'}",
        &[
            "22: telemetry.otlp: neither traces nor metrics would be sent; add `traces: {}`, `metrics: {}` or both, or leave `telemetry` out",
        ],
    );
}

#[test]
fn a_whole_section_and_its_defaults() {
    let text = with(
        "{endpoint: 'https://collector.example.com/base', headers: {X-Api-Key: '${env:TEAM_KEY}'}, \
         resource: {deployment.environment.name: production, host.name: '${env:ARM_TOKEN}'}, \
         traces: {}, metrics: {every: 30s, temporality: delta}}",
    );
    let checked = compile(&text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(checked.warnings, []);
    let otlp = checked.install.otlp.expect("a collector");
    assert_eq!(otlp.endpoint.as_str(), "https://collector.example.com/base/");
    assert_eq!(otlp.headers[0].0, "x-api-key");
    assert_eq!(otlp.headers[0].1.expose(), "team-key-team-key-team-key");
    let resource: Vec<_> = otlp.resource.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        resource,
        [("deployment.environment.name", "production"), ("host.name", "a-token")]
    );
    assert_eq!(
        (&*otlp.service_name, otlp.timeout),
        ("emberway", Duration::from_secs(10))
    );
    let traces = otlp.traces.as_ref().expect("traces");
    assert_eq!((traces.share, traces.follow_clients, traces.queue), (0.05, true, 8_192));
    assert_eq!(traces.every, Duration::from_secs(5));
    let metrics = otlp.metrics.as_ref().expect("metrics");
    assert_eq!((metrics.every, metrics.is_delta), (Duration::from_secs(30), true));
    let shown = format!("{otlp:?}");
    assert!(!shown.contains("team-key"), "{shown}");
}

#[test]
fn a_collector_must_be_one() {
    check(
        "{endpoint: collector, traces: {}}",
        &[
            "22: telemetry.otlp.endpoint: `collector` is not a URL: relative URL without a base; such as `http://127.0.0.1:4318`",
        ],
    );
    check(
        "{endpoint: 'http://collector.example.com:4318', traces: {}}",
        &[
            "22: telemetry.otlp.endpoint: to `http://collector.example.com:4318` everything would travel readably; write `https://…`, or set `telemetry.otlp.allow_plaintext: true`",
        ],
    );
    check(
        "{endpoint: 'http://127.0.0.1:4318/v1/traces', traces: {}}",
        &[
            "22: telemetry.otlp.endpoint: `http://127.0.0.1:4318/v1/traces` is the URL of one signal; leave `/v1/…` out: it is added",
        ],
    );
    compile(&with(
        "{endpoint: 'http://collector.example.com:4318', allow_plaintext: true, traces: {}}",
    ))
    .expect("as is allowed");
}

#[test]
fn headers_are_names_with_references() {
    let with_headers = |headers: &str| format!("{{endpoint: 'http://localhost', headers: {headers}, traces: {{}}}}");
    check(
        &with_headers("{x-api-key: literal-secret}"),
        &[
            "22: telemetry.otlp.headers.x-api-key: a secret must be given by reference, not written out; such as `${env:AZURE_OPENAI_KEY}`, `${file:/run/secrets/azure-openai-key}`",
        ],
    );
    check(
        &with_headers("{'x api': '${env:TEAM_KEY}'}"),
        &["22: telemetry.otlp.headers.x api: `x api` is not a header's name; such as `x-api-key`"],
    );
    check(
        &with_headers("{Content-Type: '${env:TEAM_KEY}'}"),
        &["22: telemetry.otlp.headers.Content-Type: `Content-Type` is set by the protocol; leave it out"],
    );
    check(
        &with_headers("{A: '${env:TEAM_KEY}', a: '${env:TEAM_KEY}'}"),
        &["22: telemetry.otlp.headers.a: there is another header `a`; give each once, whatever its capitals"],
    );
    let many: Vec<String> = (0..17)
        .map(|number| format!("h{number}: '${{env:TEAM_KEY}}'"))
        .collect();
    check(
        &with_headers(&format!("{{{}}}", many.join(", "))),
        &["22: telemetry.otlp.headers: there are more than 16 headers"],
    );
}

#[test]
fn attributes_and_times_have_bounds() {
    let with_more = |more: &str| format!("{{endpoint: 'http://localhost', metrics: {{}}, {more}}}");
    check(
        &with_more("resource: {'a b': c}"),
        &[
            "22: telemetry.otlp.resource.a b: `a b` is not an attribute's name; letters, digits, `.`, `_`, `-` and `/`, the first a letter, such as `deployment.environment.name`",
        ],
    );
    check(
        &with_more("resource: {service.name: c}"),
        &[
            "22: telemetry.otlp.resource.service.name: the service's name has a setting of its own; write `telemetry.otlp.service_name`",
        ],
    );
    check(
        &with_more(&format!("resource: {{a: {}}}", "x".repeat(1_025))),
        &["22: telemetry.otlp.resource.a: the value is longer than 1024 bytes"],
    );
    check(
        "{endpoint: 'http://localhost', metrics: {every: 999ms}}",
        &["22: telemetry.otlp.metrics.every: `999ms` is too often; 1s or more"],
    );
    check(
        "{endpoint: 'http://localhost', traces: {share: 1.5}}",
        &["22: telemetry.otlp.traces.share: `1.5` is too large; 1 at most"],
    );
    check(
        "{endpoint: 'http://localhost', traces: {every: 0s}}",
        &["22: telemetry.otlp.traces.every: `0s` is no time at all; more than 0"],
    );
}
