//! The error envelope: `{"error":{"message","type","param","code"}}`, written for our own errors, read from upstreams.
//!
//! Azure's front door sends only `code` and `message`, sometimes without the envelope, and `code` may be a number, a
//! string of digits or a word; infrastructure sends HTML. Reading never fails: what cannot be read is absent.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An error of the gateway's own, as clients read it.
#[derive(Debug, Serialize)]
pub struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

/// Writes an error body.
pub fn body(message: &str, kind: &str, param: Option<&str>, code: &str) -> Bytes {
    let envelope = Envelope {
        error: Body {
            message,
            kind,
            param,
            code: Some(code),
        },
    };
    // Strings and options of strings always serialise.
    Bytes::from(serde_json::to_vec(&envelope).unwrap_or_default())
}

/// Writes an error as the last event of a stream.
pub fn event(message: &str, kind: &str, code: &str) -> Bytes {
    let json = body(message, kind, None, code);
    Bytes::from([b"data: ", &json[..], b"\n\n"].concat())
}

/// What an upstream's error body says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamError {
    /// `error.code`, or the code of a body without envelope; numbers as text.
    pub code: Option<String>,
    /// `error.message`.
    pub message: Option<String>,
    /// `error.param`.
    pub param: Option<String>,
}

#[derive(Deserialize)]
struct WireEnvelope {
    #[serde(default)]
    error: Option<Wire>,
    #[serde(flatten)]
    bare: Wire,
}

#[derive(Deserialize, Default)]
struct Wire {
    #[serde(default, alias = "statusCode")]
    code: Option<Value>,
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    param: Option<Value>,
}

/// Reads an upstream's error body. What is not there, or not JSON, is absent.
pub fn read(json: &[u8]) -> UpstreamError {
    let Ok(envelope) = serde_json::from_slice::<WireEnvelope>(json) else {
        return UpstreamError::default();
    };
    let wire = envelope.error.unwrap_or(envelope.bare);
    let text = |value: Option<Value>| match value? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    UpstreamError {
        code: text(wire.code),
        message: text(wire.message),
        param: text(wire.param),
    }
}

impl UpstreamError {
    /// Whether the upstream refused a request member of this name as unknown to it.
    pub fn refuses_member(&self, member: &str) -> bool {
        let named = self.param.as_deref().is_some_and(|param| param.starts_with(member));
        let message = self.message.as_deref().unwrap_or("");
        let lower = message.to_ascii_lowercase();
        named
            || (lower.contains(member)
                && ["unrecognized", "unknown", "not supported", "unsupported"]
                    .iter()
                    .any(|word| lower.contains(word)))
    }
}

/// What a 429 is about, by its wording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottleKind {
    /// Tokens a minute.
    Tokens,
    /// Requests a minute.
    Requests,
    /// Shared capacity, or a wording that is not known.
    Other,
}

impl UpstreamError {
    /// What this 429 is about. Azure words it "token rate limit" or "call rate limit", by times "Rate limit is exceeded" for the second.
    pub fn throttle_kind(&self) -> ThrottleKind {
        let message = self.message.as_deref().unwrap_or("").to_ascii_lowercase();
        if message.contains("token rate limit") {
            ThrottleKind::Tokens
        } else if message.contains("call rate limit") || message.starts_with("rate limit is exceeded") {
            ThrottleKind::Requests
        } else {
            ThrottleKind::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_429_says_what_it_is_about() {
        let kind = |message: &str| {
            let message = Some(message.to_owned());
            let error = UpstreamError {
                message,
                ..UpstreamError::default()
            };
            error.throttle_kind()
        };
        let tokens = "Your requests to support for gpt-4.1-mini in Sweden Central have exceeded the token rate limit for your current \
            AIServices S0 pricing tier. Please retry after 12 seconds.";
        assert_eq!(kind(tokens), ThrottleKind::Tokens);
        assert_eq!(
            kind("Requests to the API have exceeded call rate limit of your current OpenAI S0 pricing tier."),
            ThrottleKind::Requests
        );
        assert_eq!(
            kind("Rate limit is exceeded. Try again in 3 seconds."),
            ThrottleKind::Requests
        );
        assert_eq!(
            kind("The system is currently experiencing high demand and cannot process your request."),
            ThrottleKind::Other
        );
    }

    #[test]
    fn writes_the_envelope() {
        assert_eq!(
            body("no `model`", "invalid_request_error", Some("model"), "missing_model"),
            r#"{"error":{"message":"no `model`","type":"invalid_request_error","param":"model","code":"missing_model"}}"#
        );
        assert!(event("x", "server_error", "c").starts_with(b"data: {\"error\":"));
        assert!(event("x", "server_error", "c").ends_with(b"}\n\n"));
    }

    #[track_caller]
    fn check(json: &str, code: Option<&str>, message: Option<&str>) {
        let got = read(json.as_bytes());
        assert_eq!((got.code.as_deref(), got.message.as_deref()), (code, message), "{json}");
    }

    #[test]
    fn reads_every_form() {
        check(r#"{"error":{"code":"429","message":"m"}}"#, Some("429"), Some("m"));
        check(
            r#"{"error":{"code":429,"message":"m","type":null}}"#,
            Some("429"),
            Some("m"),
        );
        check(
            r#"{"statusCode":401,"message":"Unauthorized."}"#,
            Some("401"),
            Some("Unauthorized."),
        );
        check(r#"{"error":{"code":null}}"#, None, None);
        check("<html>502</html>", None, None);
        check("[1]", None, None);
        check("", None, None);
    }

    #[test]
    fn knows_a_refused_member() {
        let refuses = |json: &str| read(json.as_bytes()).refuses_member("stream_options");
        assert!(refuses(
            r#"{"error":{"message":"Unrecognized request argument supplied: stream_options","param":null}}"#
        ));
        assert!(refuses(
            r#"{"error":{"message":"bad","param":"stream_options.include_usage"}}"#
        ));
        assert!(!refuses(
            r#"{"error":{"message":"Unrecognized request argument supplied: foo"}}"#
        ));
        assert!(!refuses(
            r#"{"error":{"message":"The response was filtered","param":"prompt"}}"#
        ));
    }
}
