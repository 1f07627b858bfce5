//! Does a gateway of this configuration run here, is it ready, and does it run what the file says?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::cli::doctor::Patient;
use crate::cli::doctor::report::{Finding, Group};
use crate::config::checked::Listener;
use crate::telemetry::clock;

/// What `/readyz` and, where it may be asked, `/status` say.
#[derive(Debug, Clone, Default)]
struct Seen {
    ready: Value,
    status: Option<Value>,
}

/// Asks the admin listener, if anybody answers there.
pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    let place = near(patient.checked.install.admin.address).to_string();
    let Some(ready) = ready(patient).await else {
        return vec![Finding::skipped(
            Group::Gateway,
            place,
            "no gateway answers here; none needs to run for this",
        )];
    };
    let status = get(patient, "status")
        .await
        .filter(|status| status["version"].is_string());
    let deployments = &patient.checked.runtime.snapshot.deployments;
    let names: Vec<&str> = deployments.iter().map(|deployment| &**deployment.id).collect();
    judge(&place, &Seen { ready, status }, changed_at_ms(&patient.file), &names)
}

/// Whether a gateway answers at the admin listener's address.
pub(super) async fn is_running(patient: &Patient) -> bool {
    ready(patient).await.is_some()
}

async fn ready(patient: &Patient) -> Option<Value> {
    get(patient, "readyz").await.filter(is_readiness)
}

/// Whether this is what a gateway says of its readiness; others answer with JSON too.
fn is_readiness(answer: &Value) -> bool {
    answer["ready"].is_boolean()
}

/// Whether who holds a listener's address answers as a gateway does.
pub(super) async fn answers_at(listener: &Listener, patience: Duration) -> bool {
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    // It is asked who it is and told nothing, so its certificate, which is for another name than this address, is not judged.
    let http = reqwest::Client::builder()
        .timeout(patience)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .build();
    let Ok(http) = http else { return false };
    let asked = http.get(format!("{scheme}://{}/", near(listener.address))).send().await;
    asked.is_ok_and(|answer| is_refusal(answer.status().as_u16(), answer.headers()))
}

/// Whether an answer is a gateway's refusal of what it does not serve.
fn is_refusal(status: u16, headers: &HeaderMap) -> bool {
    let is_json = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    (400..600).contains(&status) && is_json && headers.contains_key("x-request-id")
}

/// An address to connect to: the unspecified one is every one of this machine.
fn near(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Asks for JSON, whatever the status: a gateway that is not ready says so.
async fn get(patient: &Patient, path: &str) -> Option<Value> {
    let admin = &patient.checked.install.admin;
    let mut request = patient.http.get(format!("http://{}/{path}", near(admin.address)));
    // A stand-in is nobody's token.
    let token = admin.token.as_ref().filter(|_| patient.unset.of("admin").is_none());
    if let Some(token) = token {
        request = request.bearer_auth(token.expose());
    }
    request.send().await.ok()?.json().await.ok()
}

/// When the file was changed last, in milliseconds since the Unix epoch.
fn changed_at_ms(file: &Path) -> Option<i64> {
    let changed = std::fs::metadata(file).ok()?.modified().ok()?;
    i64::try_from(changed.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

fn judge(place: &str, seen: &Seen, changed_at_ms: Option<i64>, deployments: &[&str]) -> Vec<Finding> {
    let mut findings = vec![
        readiness(place, &seen.ready),
        configuration(place, &seen.ready, changed_at_ms),
    ];
    let Some(status) = &seen.status else {
        let what = "`/status` is not told without `admin.token`, so version and deployments are not compared";
        findings.push(Finding::skipped(Group::Gateway, place, what));
        return findings;
    };
    let (theirs, ours) = (
        status["version"].as_str().unwrap_or_default(),
        env!("CARGO_PKG_VERSION"),
    );
    findings.push(if theirs == ours {
        Finding::ok(Group::Gateway, place, format!("is of version {ours}, as this program"))
    } else {
        let mend = "restart it, or upgrade in place (docs/operations.md), if it is to run this version";
        Finding::warn(
            Group::Gateway,
            place,
            format!("is of version {theirs}, this program of {ours}"),
            mend,
        )
    });
    let running: Vec<&str> = status["deployments"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["name"].as_str())
        .collect();
    let lacking: Vec<&str> = deployments
        .iter()
        .copied()
        .filter(|name| !running.contains(name))
        .collect();
    if !lacking.is_empty() {
        let what = format!("does not know deployments of the file: {}", lacking.join(", "));
        findings.push(Finding::warn(
            Group::Gateway,
            place,
            what,
            "reload it (SIGHUP), or name the file that it runs with",
        ));
    }
    findings
}

fn readiness(place: &str, ready: &Value) -> Finding {
    let without = ready["pools_without_usable_deployment"].as_u64().unwrap_or_default();
    if ready["ready"] != true {
        let what = if ready["draining"] == true {
            "is draining"
        } else {
            "is not ready"
        };
        return Finding::fail(
            Group::Gateway,
            place,
            what,
            "its log says why; `emberway status` shows what is running",
        );
    }
    if without > 0 {
        let what = format!("runs, but {without} pools have no usable deployment");
        return Finding::fail(
            Group::Gateway,
            place,
            what,
            "`emberway status` says why for each deployment",
        );
    }
    Finding::ok(Group::Gateway, place, "runs and is ready")
}

fn configuration(place: &str, ready: &Value, changed_at_ms: Option<i64>) -> Finding {
    let config = &ready["config"];
    let generation = config["generation"].as_u64().unwrap_or_default();
    if config["reload_failed"] == true {
        let why = config["last_error"].as_str().unwrap_or("`emberway check` says why");
        let what = format!("refused the file as it is now, and runs on generation {generation}: {why}");
        return Finding::fail(
            Group::Gateway,
            place,
            what,
            "mend the file; what only a restart can change is refused too",
        );
    }
    let loaded = config["loaded_at_ms"].as_i64().unwrap_or_default();
    match changed_at_ms.filter(|changed| *changed > loaded) {
        Some(_) => Finding::warn(
            Group::Gateway,
            place,
            format!(
                "runs on a configuration of {}, older than the file",
                clock::rfc3339(loaded)
            ),
            "reload it (SIGHUP), or name the file that it runs with",
        ),
        None => Finding::ok(
            Group::Gateway,
            place,
            format!("runs on generation {generation}, not older than the file"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::doctor::report::State;

    fn seen() -> Seen {
        Seen {
            ready: json!({"ready": true, "draining": false, "pools_without_usable_deployment": 0,
                "config": {"generation": 2, "loaded_at_ms": 1_000, "reload_failed": false}}),
            status: Some(json!({"version": env!("CARGO_PKG_VERSION"), "deployments": [{"name": "a/ft"}]})),
        }
    }

    #[test]
    fn a_running_gateway_is_compared_with_the_file() {
        use State::{Fail, Ok, Skipped, Warn};
        let check = |edit: fn(&mut Seen), changed: i64, names: &[&str], expected: &[State]| {
            let mut seen = seen();
            edit(&mut seen);
            let found = judge("127.0.0.1:9090", &seen, Some(changed), names);
            let states: Vec<State> = found.iter().map(|finding| finding.state).collect();
            assert_eq!(states, expected, "{found:?}");
        };
        check(|_| (), 1_000, &["a/ft"], &[Ok, Ok, Ok]);
        check(|_| (), 1_001, &["a/ft"], &[Ok, Warn, Ok]);
        check(|_| (), 1_000, &["a/ft", "b/ft"], &[Ok, Ok, Ok, Warn]);
        check(|seen| seen.ready["ready"] = false.into(), 0, &[], &[Fail, Ok, Ok]);
        check(
            |seen| seen.ready["pools_without_usable_deployment"] = 1.into(),
            0,
            &[],
            &[Fail, Ok, Ok],
        );
        check(
            |seen| seen.ready["config"]["reload_failed"] = true.into(),
            0,
            &[],
            &[Ok, Fail, Ok],
        );
        check(|seen| seen.status = None, 0, &["b/ft"], &[Ok, Ok, Skipped]);
        check(
            |seen| seen.status = Some(json!({"version": "0.0.1"})),
            0,
            &[],
            &[Ok, Ok, Warn],
        );
    }

    #[test]
    fn another_program_is_no_gateway() {
        let check = |answer: Value, expected: bool| assert_eq!(is_readiness(&answer), expected, "{answer}");
        check(json!({ "ready": true }), true);
        check(json!({ "ready": false }), true);
        check(json!({ "status": "ok" }), false);
        check(json!({ "ready": "yes" }), false);
        check(json!([]), false);
        let check = |status: u16, names: &[(&'static str, &'static str)], expected: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in names {
                headers.insert(*name, http::HeaderValue::from_static(value));
            }
            assert_eq!(is_refusal(status, &headers), expected, "{status} {names:?}");
        };
        let (id, json) = (("x-request-id", "r1"), ("content-type", "application/json"));
        check(404, &[id, json], true);
        check(503, &[id, json], true);
        check(200, &[id, json], false);
        check(404, &[json], false);
        check(404, &[id, ("content-type", "text/html")], false);
    }

    #[test]
    fn everywhere_is_near() {
        let check = |address: &str, expected: &str| {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(near(address).to_string(), expected);
        };
        check("0.0.0.0:9090", "127.0.0.1:9090");
        check("[::]:9090", "[::1]:9090");
        check("10.0.0.4:9090", "10.0.0.4:9090");
    }
}
