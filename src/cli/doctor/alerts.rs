//! Can the alerts' webhook be reached? Nothing is sent there, unless `--call` says so: one message of the form that alerts have.

use serde_json::json;

use crate::cli::doctor::Patient;
use crate::cli::doctor::certificate::Trusted;
use crate::cli::doctor::network::{self, Place};
use crate::cli::doctor::report::{Finding, Group};
use crate::telemetry::clock;

/// What it is called in findings; its URL may be a secret.
const NAME: &str = "webhook";

/// Connects, and with `--call` sends a message.
pub(super) async fn check(patient: &Patient, trusted: &Trusted) -> Vec<Finding> {
    let Some(alerts) = &patient.checked.install.alerts else {
        return vec![Finding::skipped(
            Group::Alerts,
            NAME,
            "not configured, so nobody is told of what the log says",
        )];
    };
    if let Some(skipped) = patient.unset.skipped(&["alerts"], Group::Alerts, NAME) {
        return vec![skipped];
    }
    let place = Place {
        name: NAME,
        host: alerts.url.host_str().unwrap_or_default().trim_matches(['[', ']']),
        port: alerts.url.port_or_known_default().unwrap_or(443),
        tls: alerts.url.scheme() == "https",
    };
    let (mut findings, is_reached) = network::check(&place, trusted, patient.timeout).await;
    for finding in &mut findings {
        finding.group = Group::Alerts;
    }
    if !is_reached {
        return findings;
    }
    if !patient.call {
        findings.push(Finding::skipped(
            Group::Alerts,
            NAME,
            "nothing was sent; `--call` sends one message",
        ));
        return findings;
    }
    let message = json!({
        "source": "emberway", "gateway": "doctor", "at": clock::rfc3339(clock::now_ms()), "severity": "info", "topic": "test",
        "deployment": null, "text": "[info] `emberway doctor --call` asks whether this webhook takes alerts",
    });
    let mut request = patient.http.post(alerts.url.clone()).json(&message);
    if let Some(authorization) = &alerts.authorization {
        request = request.header(http::header::AUTHORIZATION, authorization.expose());
    }
    findings.push(match request.send().await {
        Ok(answer) => taken(answer.status().as_u16()),
        Err(error) => Finding::fail(
            Group::Alerts,
            NAME,
            format!("does not answer: {}", error.without_url()),
            "look at whoever takes alerts",
        ),
    });
    findings
}

fn taken(status: u16) -> Finding {
    match status {
        200..=299 => Finding::ok(Group::Alerts, NAME, "takes a message"),
        401 | 403 => Finding::fail(
            Group::Alerts,
            NAME,
            format!("refuses a message with {status}"),
            "compare `alerts.webhook.authorization`",
        ),
        _ => Finding::fail(
            Group::Alerts,
            NAME,
            format!("answers a message with {status}"),
            "compare `alerts.webhook.url`, and what it takes",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::report::State;

    #[test]
    fn a_webhook_takes_messages_or_not() {
        for (status, state) in [
            (200, State::Ok),
            (204, State::Ok),
            (401, State::Fail),
            (404, State::Fail),
            (500, State::Fail),
        ] {
            assert_eq!(taken(status).state, state, "{status}");
        }
    }
}
