//! What clients typed is cut, and what may be tried again says so.

use super::*;

#[test]
fn what_clients_typed_is_cut() {
    assert_eq!(echo("short"), "short");
    assert_eq!(echo(&"ä".repeat(500)).chars().count(), ECHO_CHARS_MAX + 1);
    let names: Vec<String> = (0..25).map(|n| format!("m{n}")).collect();
    assert!(list_names(names.iter().map(String::as_str)).ends_with("`m19` and 5 more"));
    assert_eq!(list_names(std::iter::empty()), "none");
}

#[test]
fn throttling_says_when_and_lets_clients_try_again() {
    for (is_throttled, status) in [
        (true, StatusCode::TOO_MANY_REQUESTS),
        (false, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let after = Duration::from_millis(1500);
        let error = ProxyError::Resting { after, is_throttled };
        assert_eq!(error.status(), status);
        assert_eq!(error.retry_after(), Some(after));
        assert!(!error.is_final());
    }
    assert!(ProxyError::Unauthorized("no key").is_final());
    assert!(!ProxyError::Exhausted(Exhausted::Timeout).is_final());
}

#[test]
fn bodies_are_envelopes_with_the_reason_as_code() {
    let body = ProxyError::Busy.body();
    let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(json["error"]["code"], "gateway_busy");
    assert_eq!(json["error"]["type"], "server_error");
}
