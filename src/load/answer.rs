//! What an answer says: facts from its head, its body, or its stream, as far as the bytes have come. No IO here.
//!
//! Reading is lenient, since Azure adds members at any time: empty `choices`, missing `delta`, null details and unknown
//! fields are all fine. Strict are only the three things a caller relies on: a body is a chat completion, a stream's
//! events are JSON, and a stream says how it ends.

use std::time::Duration;

use http::HeaderMap;
use serde::Deserialize;

use super::events::{Event, Events, TooLong};
use super::outcome::Tokens;

/// Longest name of a deployment or error code that is kept, in bytes: they are written by whoever answers.
const MAX_NAME_BYTES: usize = 96;

/// What an answer's head tells.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Head {
    pub request_id: Option<String>,
    pub deployment: Option<String>,
    pub attempts: Option<u32>,
    pub gateway: Option<Duration>,
}

/// How a stream ended by its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// `[DONE]`.
    Done,
    /// An error event, with its code.
    Error(Option<String>),
    /// Something that is no chat completion chunk.
    Malformed,
}

/// A stream as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Stream {
    events: Events,
    /// Set once; later events are not looked at.
    pub end: Option<StreamEnd>,
    /// The generated text so far.
    pub text: String,
    /// Whether an output token has come.
    pub begun: bool,
    pub tokens: Option<Tokens>,
}

/// A whole body that is no stream.
#[derive(Debug, PartialEq)]
pub(super) struct Completion {
    pub text: String,
    pub tokens: Option<Tokens>,
}

#[derive(Deserialize)]
struct Wire {
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    delta: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    tool_calls: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            prompt: usage.prompt_tokens.unwrap_or(0),
            cached: usage
                .prompt_tokens_details
                .and_then(|details| details.cached_tokens)
                .unwrap_or(0),
            completion: usage.completion_tokens.unwrap_or(0),
        }
    }
}

impl Head {
    /// Reads the headers that matter; a value that cannot be read counts as absent.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let named = text("x-emberway-deployment").map(short).or_else(|| {
            let name = short(text("x-ms-deployment-name")?);
            Some(match text("x-ms-region") {
                Some(region) => format!("{name} ({})", short(region)),
                None => name,
            })
        });
        Self {
            request_id: text("x-request-id").map(str::to_owned),
            deployment: named,
            attempts: text("x-emberway-attempts").and_then(|value| value.parse().ok()),
            gateway: text("server-timing").and_then(gateway_time),
        }
    }
}

/// The `dur` of the metric `gw` in a `server-timing` value; it is in milliseconds.
fn gateway_time(value: &str) -> Option<Duration> {
    value.split(',').find_map(|metric| {
        let mut parts = metric.split(';').map(str::trim);
        if parts.next()? != "gw" {
            return None;
        }
        let milliseconds: f64 = parts.find_map(|part| part.strip_prefix("dur="))?.parse().ok()?;
        Duration::try_from_secs_f64(milliseconds / 1e3).ok()
    })
}

/// Cuts a name that somebody else chose, and takes out what a terminal would obey.
fn short(name: &str) -> String {
    let name = &name[..name.floor_char_boundary(MAX_NAME_BYTES)];
    name.chars().filter(|letter| !letter.is_control()).collect()
}

/// `error.code`, else `error.type`, of an error body; none when it says neither.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let wire: Wire = serde_json::from_slice(body).ok()?;
    code_of(&wire.error?)
}

fn code_of(error: &serde_json::Value) -> Option<String> {
    ["code", "type"].into_iter().find_map(|field| match error.get(field)? {
        serde_json::Value::String(code) => Some(short(code)),
        serde_json::Value::Number(code) => Some(code.to_string()),
        _ => None,
    })
}

impl Completion {
    /// None when the body is no chat completion.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(body).ok()?;
        let choice = wire.choices?.into_iter().next()?;
        Some(Self {
            text: choice.message.and_then(|message| message.content).unwrap_or_default(),
            tokens: wire.usage.map(Tokens::from),
        })
    }
}

impl Stream {
    /// Takes the next bytes of the body.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut events = std::mem::take(&mut self.events);
        if let Err(TooLong) = events.feed(bytes, |event| self.take(&event)) {
            self.end.get_or_insert(StreamEnd::Malformed);
        }
        self.events = events;
    }

    fn take(&mut self, event: &Event) {
        if self.end.is_some() {
            return;
        }
        if event.data == "[DONE]" {
            self.end = Some(StreamEnd::Done);
            return;
        }
        let wire: Option<Wire> = serde_json::from_str(&event.data).ok();
        if event.name == "error" {
            self.end = Some(StreamEnd::Error(wire.and_then(|wire| code_of(&wire.error?))));
            return;
        }
        let Some(wire) = wire else {
            self.end = Some(StreamEnd::Malformed);
            return;
        };
        if let Some(error) = wire.error {
            self.end = Some(StreamEnd::Error(code_of(&error)));
            return;
        }
        if let Some(usage) = wire.usage {
            self.tokens = Some(usage.into());
        }
        for delta in wire.choices.into_iter().flatten().filter_map(|choice| choice.delta) {
            let content = delta.content.unwrap_or_default();
            self.begun |= !content.is_empty() || delta.tool_calls.is_some_and(|calls| !calls.is_empty());
            self.text.push_str(&content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str) -> Stream {
        let mut stream = Stream::default();
        stream.feed(text.as_bytes());
        stream
    }

    const AZURE: &str = concat!(
        "data: {\"id\":\"\",\"choices\":[],\"prompt_filter_results\":[]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n",
    );

    #[test]
    fn the_first_token_is_the_first_content() {
        let mut seen = stream(AZURE);
        assert_eq!((seen.begun, &seen.end), (false, &None));
        seen.feed(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n");
        assert!(seen.begun);
        seen.feed(b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1,");
        assert_eq!(seen.tokens, None);
        seen.feed(b"\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\ndata: [DO");
        assert_eq!(seen.end, None);
        seen.feed(b"NE]\n\n");
        assert_eq!((seen.end, seen.text.as_str()), (Some(StreamEnd::Done), "Hi"));
        let tokens = Tokens {
            prompt: 9,
            cached: 4,
            completion: 1,
        };
        assert_eq!(seen.tokens, Some(tokens));
    }

    #[test]
    fn a_stream_says_how_it_ends() {
        let check = |text: &str, end: Option<StreamEnd>| assert_eq!(stream(text).end, end, "{text}");
        let error = |code: &str| Some(StreamEnd::Error(Some(code.to_owned())));
        check("", None);
        check(AZURE, None);
        check("data: [DONE]", None);
        check(
            "data: {\"error\":{\"code\":\"upstream_cut\",\"type\":\"server_error\"}}\n\ndata: [DONE]\n\n",
            error("upstream_cut"),
        );
        check(
            "event: error\ndata: {\"error\":{\"code\":null,\"type\":\"server_error\"}}\n\n",
            error("server_error"),
        );
        check("data: {\"error\":{\"code\":429}}\n\n", error("429"));
        check("event: error\ndata: oops\n\n", Some(StreamEnd::Error(None)));
        check("data: {\"error\":null,\"choices\":null}\n\n", None);
        check("data: <html>\n\n", Some(StreamEnd::Malformed));
        check(
            "data: [DONE]\n\ndata: {\"error\":{\"code\":\"late\"}}\n\n",
            Some(StreamEnd::Done),
        );
    }

    #[test]
    fn a_completion_has_a_choice() {
        let body = br#"{"choices":[{"message":{"content":"Hi","refusal":null}}],"usage":{"prompt_tokens":3,"prompt_tokens_details":null}}"#;
        let tokens = Tokens {
            prompt: 3,
            ..Tokens::default()
        };
        assert_eq!(
            Completion::read(body),
            Some(Completion {
                text: "Hi".to_owned(),
                tokens: Some(tokens)
            })
        );
        assert_eq!(Completion::read(b"{\"choices\":[]}"), None);
        assert_eq!(Completion::read(b"<html>"), None);
    }

    #[test]
    fn error_codes_are_read_in_all_their_shapes() {
        let check = |body: &str, code: Option<&str>| assert_eq!(error_code(body.as_bytes()).as_deref(), code, "{body}");
        check(
            r#"{"error":{"code":"DeploymentNotFound","message":"…"}}"#,
            Some("DeploymentNotFound"),
        );
        check(r#"{"error":{"code":null,"type":"server_error"}}"#, Some("server_error"));
        check(r#"{"statusCode":401,"message":"Unauthorized"}"#, None);
        check("<html>", None);
        check(r#"{"error":{"code":"\u001b[2Jgone"}}"#, Some("[2Jgone"));
    }

    #[test]
    fn heads_name_the_deployment_and_the_gateways_time() {
        let head = |pairs: &[(&'static str, &str)]| {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            Head::read(&headers)
        };
        let azure = head(&[("x-ms-deployment-name", "ft-1"), ("x-ms-region", "East US 2")]);
        assert_eq!(azure.deployment.as_deref(), Some("ft-1 (East US 2)"));
        let ours = head(&[
            ("x-ms-deployment-name", "ft-1"),
            ("x-emberway-deployment", "east/ft-1"),
            ("x-emberway-attempts", "2"),
            ("server-timing", "cdn;dur=9, gw;desc=\"x\";dur=0.25"),
        ]);
        assert_eq!(
            (ours.deployment.as_deref(), ours.attempts),
            (Some("east/ft-1"), Some(2))
        );
        assert_eq!(ours.gateway, Some(Duration::from_micros(250)));
        assert_eq!(head(&[("server-timing", "gw;dur=-1")]), Head::default());
    }
}
