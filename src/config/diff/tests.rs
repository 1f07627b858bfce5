//! Edits of a small configuration and how they are told.

use super::*;
use crate::config::tests::{SMALL, compile};

fn check(edit: impl Fn(&str) -> String, expected: &[&str]) {
    let old = compile(SMALL).expect("old compiles");
    let new = compile(&edit(SMALL)).expect("new compiles");
    let shown: Vec<String> = changes(&old.runtime, &new.runtime)
        .iter()
        .map(Change::to_string)
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn nothing_changed() {
    check(|text| format!("# a comment\n{text}"), &[]);
}

#[test]
fn fields_are_told_with_both_values() {
    check(
        |text| {
            text.replace(
                "name: support, sku: Standard, capacity: 50",
                "name: support, sku: Standard, capacity: 60",
            )
        },
        &[
            "deployment `contoso/support`: capacity changed from 50 to 60",
            "pool `support`: tiers changed from [contoso/support 25 %, contoso/spare 75 %] to \
             [contoso/support 28.57 %, contoso/spare 71.43 %]",
        ],
    );
}

#[test]
fn prices_are_told_as_they_are_written() {
    let priced = "capacity: 50, price: {input: 0.4, cached_input: 0.1}}";
    check(
        |text| text.replace("capacity: 50}", priced),
        &["deployment `contoso/support`: price changed from none to {input: 0.4, cached_input: 0.1}"],
    );
}

#[test]
fn limits_are_told_as_they_are_written() {
    check(
        |text| {
            text.replace(
                "- name: team\n",
                "- name: team\n    limits: {requests_per_minute: 60, concurrency: 2}\n",
            )
        },
        &["client `team`: limits changed from none to {requests_per_minute: 60, concurrency: 2}"],
    );
}

#[test]
fn a_thing_added_in_front_does_not_change_the_others() {
    check(
        |text| text.replace("routes:\n", "routes:\n  - {name: first, pool: support}\n"),
        &["route `first` added"],
    );
    check(
        |text| {
            text.replace(
                "clients:\n",
                "clients:\n  - {name: other, keys: ['${env:OTHER_KEY}']}\n",
            )
        },
        &["client `other` added"],
    );
}

#[test]
fn secrets_change_without_being_shown() {
    check(
        |text| text.replace("AZURE_KEY", "OTHER_KEY"),
        &["resource `contoso`: credential changed"],
    );
    check(
        |text| text.replace("TEAM_KEY", "OTHER_KEY"),
        &["client `team`: keys changed"],
    );
    check(
        |text| text.replace("api_key", "token"),
        &["resource `contoso`: credential changed"],
    );
}

#[test]
fn every_install_setting_is_named() {
    let old = compile(SMALL).expect("compiles");
    let cases = [
        ("admin: {address: '127.0.0.1:9191'}", "admin.address"),
        (
            "telemetry: {otlp: {endpoint: 'http://localhost:4318', traces: {}}}",
            "telemetry.otlp",
        ),
        ("admin: {token: '${env:OTHER_KEY}'}", "admin.token"),
        (
            "admin: {tokens: [{name: ada, token: '${env:OTHER_KEY}', role: viewer}]}",
            "admin.tokens",
        ),
        (
            "admin: {oidc: {issuer: 'https://login.example', client_id: a, client_secret: '${env:OTHER_KEY}', roles: {admin: [A]}}}",
            "admin.oidc",
        ),
        ("usage: {path: x}", "usage.path"),
        ("usage: {queue: 1}", "usage.queue"),
        ("usage: {when_full: wait}", "usage.when_full"),
        ("usage: {keep_days: 1}", "usage.keep_days"),
        ("trace: {path: x}", "trace"),
        ("shutdown: {delay: 1s}", "shutdown.delay"),
        ("shutdown: {drain: 1s}", "shutdown.drain"),
        ("log: {filter: debug}", "log.filter"),
        ("log: {format: json}", "log.format"),
    ];
    for (line, field) in cases {
        let new = compile(&format!("{SMALL}{line}\n")).expect(line);
        assert_eq!(needs_restart(&old.install, &new.install), [field], "{line}");
    }
    let new = compile(&SMALL.replace("127.0.0.1:0", "127.0.0.2:0")).expect("compiles");
    assert_eq!(needs_restart(&old.install, &new.install), ["listeners"]);
    assert!(needs_restart(&old.install, &old.install).is_empty());
}

#[test]
fn settings_of_several_members_are_told_as_they_are_written() {
    check(
        |text| {
            text.replace(
                "    pool: support\n",
                "    pool: support\n    waiting: {max_wait: 90s}\n    residency: {regions: [swedencentral]}\n",
            )
        },
        &[
            "route `support-bot`: residency changed from none to {regions: [swedencentral]}",
            "route `support-bot`: waiting changed from {max_wait: 5s, queue: 1000} to {max_wait: 1m 30s, queue: 1000}",
        ],
    );
    check(
        |text| {
            text.replace(
                "    pool: support\n",
                "    pool: support\n    failover: {deadline: 1m}\n    timeouts: {idle: 5s}\n",
            )
        },
        &[
            "route `support-bot`: failover changed from {max_attempts: 3, deadline: 5m, retry_budget: {ratio: 0.5, min_per_second: 10}, backoff: 100ms, \
             first_token: {base: 15s, per_1k_tokens: 500ms, least: 5s}, hedging: {max_share: 0}} to {max_attempts: 3, deadline: 1m, \
             retry_budget: {ratio: 0.5, min_per_second: 10}, backoff: 100ms, first_token: {base: 15s, per_1k_tokens: 500ms, least: 5s}, \
             hedging: {max_share: 0}}",
            "route `support-bot`: timeouts changed from {connect: 3s, first_byte: 30s, whole_answer: 5m, idle: 1m, total: 10m} to \
             {connect: 3s, first_byte: 30s, whole_answer: 5m, idle: 5s, total: 10m}",
        ],
    );
}
