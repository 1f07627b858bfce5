//! Long-running operations: where their state is told, what it means, and how long to wait before asking again.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::azure::transport::Answer;

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// First wait between two looks at an operation that names none; it grows to three times as much.
    pub look: Duration,
    /// Longest wait that an answer's `retry-after` can ask for.
    pub look_max: Duration,
    /// Longest time for an operation; deployments take minutes, provisioned ones longer.
    pub operation: Duration,
    /// First wait after a conflict or a passing failure; it doubles up to [`Self::look_max`].
    pub again: Duration,
    /// Longest time of being refused for another operation on the account.
    pub conflict: Duration,
    /// Most tries of one request that meets passing failures.
    pub tries: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(10),
            look_max: Duration::from_mins(1),
            operation: Duration::from_hours(1),
            again: Duration::from_secs(2),
            conflict: Duration::from_mins(20),
            tries: 5,
        }
    }
}

impl Patience {
    /// How long to wait before the next look, the first being 0.
    pub fn look(&self, retry_after: Option<Duration>, looks: u32) -> Duration {
        retry_after
            .unwrap_or_else(|| self.look * (looks / 3 + 1).min(3))
            .min(self.look_max)
    }

    /// How long to wait before the next try, the first being 0. `share` is a random number from 0 to 1.
    pub fn again(&self, retry_after: Option<Duration>, tries: u32, share: f64) -> Duration {
        let grown = self
            .again
            .saturating_mul(2_u32.saturating_pow(tries))
            .min(self.look_max);
        // Half of it is left to chance, so that replicas do not meet again.
        retry_after.map_or_else(|| grown.mul_f64(0.5 + share / 2.0), |asked| asked.min(self.look_max))
    }
}

/// Where an accepted operation tells how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    /// Nowhere: it has ended.
    Ended,
    /// In a status of its own.
    Status(Url),
    /// Where its answer will be.
    Location(Url),
    /// In the resource itself.
    Resource,
}

/// How an operation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It runs; Azure's word for it.
    Running(String),
    /// It has done what was asked.
    Done,
    /// It has not; Azure's error.
    Failed(Value),
}

/// What to look at after a write was accepted. The caller checks that a URL leads where a token may go.
pub fn follow(answer: &Answer) -> Follow {
    let url = |name: &str| answer.header(name).and_then(|text| Url::parse(text).ok());
    if let Some(status) = url("azure-asyncoperation") {
        return Follow::Status(status);
    }
    if answer.status == 202 {
        return url("location").map_or(Follow::Resource, Follow::Location);
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    match resource_state(&body) {
        // Also a failed one: it is read from the resource, with its reason.
        Some(State::Running(_) | State::Failed(_)) => Follow::Resource,
        Some(State::Done) | None => Follow::Ended,
    }
}

/// What an operation's status says.
pub fn status_state(body: &Value) -> State {
    let status = body["status"].as_str().unwrap_or_default();
    match status.to_ascii_lowercase().as_str() {
        "succeeded" => State::Done,
        "failed" | "canceled" | "cancelled" => State::Failed(reason(&body["error"], status)),
        _ => State::Running(status.to_owned()),
    }
}

/// What a resource's `provisioningState` says; none where it has none.
pub fn resource_state(body: &Value) -> Option<State> {
    let state = body["properties"]["provisioningState"].as_str()?;
    Some(match state.to_ascii_lowercase().as_str() {
        "succeeded" => State::Done,
        "failed" | "canceled" | "disabled" => State::Failed(reason(&body["properties"]["provisioningError"], state)),
        _ => State::Running(state.to_owned()),
    })
}

fn reason(error: &Value, state: &str) -> Value {
    if error.is_object() {
        return error.clone();
    }
    serde_json::json!({"code": state, "message": "the operation ended so, and Azure gives no reason"})
}

/// How long an answer asks to wait, in either of the forms that HTTP has.
pub fn retry_after(answer: &Answer, now: jiff::Timestamp) -> Option<Duration> {
    let text = answer.header("retry-after")?;
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = jiff::Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &Value) -> Answer {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).expect("a value"),
                )
            })
            .collect();
        Answer {
            status,
            headers,
            body: body.to_string().into(),
            witnessed: None,
        }
    }

    fn with_state(state: &str) -> Value {
        json!({"properties": {"provisioningState": state}})
    }

    #[test]
    fn what_is_followed() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let (status, location) = ("https://arm.example/status", "https://arm.example/location");
        let both = [("azure-asyncoperation", status), ("location", location)];
        let cases = [
            (answer(201, &both, &with_state("Creating")), Follow::Status(url(status))),
            (answer(202, &both[1..], &Value::Null), Follow::Location(url(location))),
            (answer(202, &[], &Value::Null), Follow::Resource),
            (answer(201, &[], &with_state("Accepted")), Follow::Resource),
            (answer(200, &[], &with_state("Failed")), Follow::Resource),
            (answer(200, &[], &with_state("succeeded")), Follow::Ended),
            (answer(200, &both[1..], &with_state("Succeeded")), Follow::Ended),
            (answer(204, &[], &Value::Null), Follow::Ended),
        ];
        for (answer, expected) in cases {
            assert_eq!(follow(&answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn states_are_read() {
        let failed = json!({"code": "RequestConflict", "message": "m"});
        assert_eq!(
            status_state(&json!({"status": "InProgress"})),
            State::Running("InProgress".to_owned())
        );
        assert_eq!(status_state(&json!({"status": "Succeeded"})), State::Done);
        assert_eq!(
            status_state(&json!({"status": "Failed", "error": failed})),
            State::Failed(failed)
        );
        let State::Failed(reason) = status_state(&json!({"status": "Canceled"})) else {
            panic!("it failed");
        };
        assert_eq!(reason["code"], "Canceled");
        assert_eq!(resource_state(&json!({})), None);
        assert_eq!(
            resource_state(&with_state("Deleting")),
            Some(State::Running("Deleting".to_owned()))
        );
        assert!(matches!(
            resource_state(&with_state("Disabled")),
            Some(State::Failed(_))
        ));
    }

    #[test]
    fn waits_are_asked_for_in_two_forms_and_bounded() {
        let now: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        let asked = |text: &str| retry_after(&answer(202, &[("retry-after", text)], &Value::Null), now);
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Fri, 02 Jan 2026 03:04:35 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(asked("Fri, 02 Jan 2026 03:04:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("soon"), None);
        assert_eq!(asked("-1"), None);
        let patience = Patience::default();
        let seconds = |looks| patience.look(None, looks).as_secs();
        assert_eq!([0, 2, 3, 6, 100].map(seconds), [10, 10, 20, 30, 30]);
        assert_eq!(patience.look(asked("86400"), 0), patience.look_max);
        assert_eq!(patience.again(None, 0, 1.0), Duration::from_secs(2));
        assert_eq!(patience.again(None, 1, 0.0), Duration::from_secs(2));
        assert_eq!(patience.again(None, 60, 1.0), patience.look_max);
        assert_eq!(patience.again(asked("3"), 5, 0.5), Duration::from_secs(3));
    }
}
