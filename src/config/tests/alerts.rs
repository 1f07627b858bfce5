//! The webhook for alerts: what is refused, and that a URL that is a secret is not shown.

use super::azure::shown;
use super::mistakes::{edited, problems};
use super::{SMALL, compile};

const CONTROL: &str = "azure: {subscription: s, resource_group: g, credential: {token: '${env:ARM_TOKEN}'}}";

fn with(alerts: &str) -> String {
    format!("{SMALL}{CONTROL}\nalerts: {alerts}\n")
}

#[track_caller]
fn check(alerts: &str, expected: &[&str]) {
    let whole = with(alerts);
    let shown: Vec<String> = problems(&[(SMALL, &whole)]).iter().map(shown).collect();
    assert_eq!(shown, expected);
}

#[test]
fn a_webhook_is_a_secret() {
    let checked = compile(&with(
        "{webhook: {url: '${env:HOOK}', authorization: 'Bearer ${env:ARM_TOKEN}'}}",
    ))
    .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(checked.warnings, []);
    let alerts = checked.install.alerts.expect("alerts");
    assert_eq!(alerts.url.as_str(), "https://hooks.example.com/T0/secret");
    assert_eq!(
        alerts.authorization.as_ref().expect("a header").expose(),
        "Bearer a-token"
    );
    assert_eq!(format!("{alerts:?}"), "AlertSettings { .. }");
}

#[test]
fn what_cannot_be_a_webhook_is_refused_without_its_value() {
    check(
        "{webhook: {url: '${env:TEAM_KEY}'}}",
        &[
            "23: alerts.webhook.url: it is not a URL: relative URL without a base; such as `https://hooks.example.com/services/…`",
        ],
    );
    check(
        "{webhook: {url: 'http://${env:TEAM_KEY}/'}}",
        &["23: alerts.webhook.url: alerts would travel readably; use `https://…`, or set `allow_plaintext: true`"],
    );
    check(
        "{webhook: {url: 'mailto:${env:TEAM_KEY}'}}",
        &[
            "23: alerts.webhook.url: it is neither an `https` nor an `http` URL; such as `https://hooks.example.com/services/…`",
        ],
    );
    compile(&with(
        "{webhook: {url: 'http://${env:TEAM_KEY}/', allow_plaintext: true}}",
    ))
    .expect("as is allowed");
}

#[test]
fn without_a_control_plane_there_is_nothing_to_tell() {
    let text = edited(&[(
        "    pool: support\n",
        "    pool: support\nalerts: {webhook: {url: '${env:HOOK}'}}\n",
    )]);
    let checked = compile(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let shown: Vec<String> = checked.warnings.iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            "22: alerts.webhook: alerts are about what Azure's control plane shows, and there is no `azure`; add the section `azure`, or leave this out"
        ]
    );
}
