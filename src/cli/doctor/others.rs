//! Whom else does a gateway of this configuration need: can the collector and the OpenID provider be reached, and is the issuer who it
//! says?
//!
//! A collector is connected to and sent nothing. Of a provider the discovery document is read, which anybody may.

use serde_json::Value;
use url::Url;

use crate::cli::doctor::Patient;
use crate::cli::doctor::certificate::{self, Trusted};
use crate::cli::doctor::network::{self, Place};
use crate::cli::doctor::report::{Finding, Group};

/// What the collector is called in findings.
const COLLECTOR: &str = "otlp";
/// What the OpenID provider is called in findings.
const PROVIDER: &str = "admin.oidc";

/// Asks the collector, if there is one.
pub(super) async fn collector(patient: &Patient, trusted: &Trusted) -> Vec<Finding> {
    let Some(otlp) = &patient.checked.install.otlp else {
        return Vec::new();
    };
    if let Some(skipped) = patient.unset.skipped(&["otlp"], Group::Network, COLLECTOR) {
        return vec![skipped];
    }
    let own = match &otlp.ca {
        None => trusted.clone(),
        Some(file) => match certificate::trusted_with(file) {
            Ok(own) => own,
            Err(why) => {
                let what = format!("`{}` cannot be used: {why}", file.display());
                return vec![Finding::fail(
                    Group::Network,
                    COLLECTOR,
                    what,
                    "write a PEM file of certificates as `ca`",
                )];
            }
        },
    };
    network::check(&place(COLLECTOR, &otlp.endpoint), &own, patient.timeout)
        .await
        .0
}

/// Asks the OpenID provider, if there is one.
pub(super) async fn provider(patient: &Patient, trusted: &Trusted) -> Vec<Finding> {
    let Some(oidc) = &patient.checked.install.admin.oidc else {
        return Vec::new();
    };
    if let Some(skipped) = patient.unset.skipped(&["admin.oidc"], Group::Network, PROVIDER) {
        return vec![skipped];
    }
    let (mut findings, is_reached) = network::check(&place(PROVIDER, &oidc.issuer), trusted, patient.timeout).await;
    if is_reached {
        let base = oidc.issuer_text.trim_end_matches('/');
        let asked = patient.http.get(format!("{base}/.well-known/openid-configuration"));
        let answer = match asked.send().await {
            Ok(answer) => Ok((answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))),
            Err(error) => Err(error.without_url().to_string()),
        };
        findings.push(discovered(&oidc.issuer_text, &answer));
    }
    findings
}

fn place<'a>(name: &'a str, url: &'a Url) -> Place<'a> {
    Place {
        name,
        host: url.host_str().unwrap_or_default().trim_matches(['[', ']']),
        port: url.port_or_known_default().unwrap_or(443),
        tls: url.scheme() == "https",
    }
}

/// A discovery document beside the issuer that is configured; tokens repeat the issuer to the letter.
fn discovered(issuer: &str, answer: &Result<(u16, Value), String>) -> Finding {
    let fail = |what: String| {
        let mend = "compare `admin.oidc.issuer` with the provider's page; for Microsoft Entra ID it ends in `/v2.0`";
        Finding::fail(Group::Network, PROVIDER, what, mend)
    };
    match answer {
        Ok((200..=299, document)) => match document["issuer"].as_str() {
            Some(told) if told == issuer => {
                Finding::ok(Group::Network, PROVIDER, format!("tells of itself as `{issuer}`"))
            }
            Some(told) => fail(format!("tells of itself as `{told}`, not `{issuer}`")),
            None => fail("answers for its discovery document with something else".to_owned()),
        },
        Ok((status, _)) => fail(format!("answers {status} for its discovery document")),
        Err(why) => fail(format!("does not tell its discovery document: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::doctor::report::State;

    #[test]
    fn an_issuer_is_who_is_configured() {
        const ISSUER: &str = "https://login.example/tenant/v2.0";
        let check = |answer: Result<(u16, Value), String>, state: State, part: &str| {
            let found = discovered(ISSUER, &answer);
            assert_eq!((found.state, found.what.contains(part)), (state, true), "{found:?}");
        };
        check(Ok((200, json!({ "issuer": ISSUER }))), State::Ok, "tells of itself");
        let other = json!({ "issuer": format!("{ISSUER}/") });
        check(Ok((200, other)), State::Fail, "v2.0/`, not `");
        check(Ok((200, Value::Null)), State::Fail, "something else");
        check(Ok((404, json!({ "issuer": ISSUER }))), State::Fail, "answers 404");
        check(Err("reset".to_owned()), State::Fail, "reset");
    }

    #[test]
    fn places_have_the_schemes_ports() {
        let check = |url: &str, expected: (&str, u16, bool)| {
            let url = Url::parse(url).expect("a URL");
            let place = place("x", &url);
            assert_eq!((place.host, place.port, place.tls), expected, "{url}");
        };
        check("https://login.example/tenant", ("login.example", 443, true));
        check("http://[::1]:4318/", ("::1", 4318, false));
    }
}
