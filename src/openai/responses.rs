//! What the events of a response's stream mean, and what of a whole response matters here: its name, its usage.
//!
//! Each event has its kind by name, in its `event` field and again in its data. The stream ends with `response.completed`,
//! `response.incomplete` or `response.failed`, whose response has the usage; there is no `[DONE]`. An event of output is known by
//! its name alone, without a look at its data.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::openai::sse;
use crate::openai::stream::Event;
use crate::openai::usage::Usage;

/// Longest name of a response that is remembered, in bytes; Azure's have 53.
const NAME_BYTES_MAX: usize = 256;

/// Reads one event. Linear in the few that carry the whole response; for output constant.
pub fn classify(event: &[u8]) -> Event {
    if let Some(kind) = kind_in_field(event) {
        return of_kind(kind, event);
    }
    let Some(data) = sse::data(event) else {
        return Event::Preamble;
    };
    if data.starts_with(b"[DONE]") {
        return Event::Done;
    }
    match serde_json::from_slice::<Kind<'_>>(&data) {
        Ok(Kind { kind: Some(kind), .. }) => of_kind(kind.as_bytes(), event),
        // A front door's error, which knows nothing of this API.
        Ok(Kind { error: Some(_), .. }) => Event::Error(Bytes::copy_from_slice(&data)),
        _ => Event::Preamble,
    }
}

/// The value of an event's first line, where that is its `event` field.
fn kind_in_field(event: &[u8]) -> Option<&[u8]> {
    let line = event.split(|&byte| byte == b'\n').next()?;
    Some(line.strip_prefix(b"event:")?.trim_ascii())
}

fn of_kind(kind: &[u8], event: &[u8]) -> Event {
    match kind {
        b"response.created" | b"response.in_progress" | b"response.queued" => {
            let name = response_of(event).and_then(|response| response.id);
            name.map_or(Event::Preamble, Event::Named)
        }
        b"response.output_item.added" | b"response.content_part.added" | b"response.reasoning_summary_part.added" => {
            Event::Preamble
        }
        b"response.completed" | b"response.incomplete" => {
            Event::Last(response_of(event).and_then(|response| response.usage))
        }
        b"response.failed" | b"error" => Event::Error(error_of(event)),
        // New kinds of output keep coming.
        kind if kind.starts_with(b"response.") => Event::Output,
        _ => Event::Preamble,
    }
}

/// The error that an event tells of: its response's, if it has one, else its data.
fn error_of(event: &[u8]) -> Bytes {
    let data = sse::data(event).unwrap_or_default();
    let of_response = serde_json::from_slice::<Failing<'_>>(&data).ok();
    let error = of_response.and_then(|failing| failing.response?.error);
    Bytes::copy_from_slice(error.map_or(&*data, |error| error.get().as_bytes()))
}

/// The usage of the response that an event carries; a failed one has used something too.
pub fn usage_of(event: &[u8]) -> Option<Usage> {
    response_of(event)?.usage
}

fn response_of(event: &[u8]) -> Option<Facts> {
    let data = sse::data(event)?;
    let carrier = serde_json::from_slice::<Carrier>(&data).ok()?;
    carrier.response.map(Facts::bounded)
}

/// The error of a whole response that failed, as it stands there; none of any other.
pub fn failure_of(json: &[u8]) -> Option<Bytes> {
    let ended = serde_json::from_slice::<Ended<'_>>(json).ok()?;
    let error = ended.error.filter(|_| ended.status.as_deref() == Some("failed"))?;
    Some(Bytes::copy_from_slice(error.get().as_bytes()))
}

#[derive(Deserialize)]
struct Ended<'a> {
    #[serde(default, borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

/// What matters of a response.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Facts {
    /// Its name, by which it can be continued.
    #[serde(default)]
    pub id: Option<String>,
    /// What it used; none before its end.
    #[serde(default)]
    pub usage: Option<Usage>,
}

impl Facts {
    /// Reads a whole response. Nothing is known of what is no response.
    pub fn of(json: &[u8]) -> Self {
        serde_json::from_slice::<Self>(json)
            .map(Self::bounded)
            .unwrap_or_default()
    }

    fn bounded(self) -> Self {
        Self {
            id: self.id.filter(|id| id.len() <= NAME_BYTES_MAX),
            ..self
        }
    }
}

/// The number of an event in its stream, from 0.
pub fn sequence_number(event: &[u8]) -> Option<u64> {
    let numbered = serde_json::from_slice::<Numbered>(&sse::data(event)?).ok()?;
    numbered.sequence_number
}

/// Writes an error as the last event of a stream.
pub fn error_event(message: &str, code: &str, sequence_number: u64) -> Bytes {
    let data = serde_json::json!({
        "type": "error", "code": code, "message": message, "param": null, "sequence_number": sequence_number,
    });
    Bytes::from(format!("event: error\ndata: {data}\n\n"))
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Carrier {
    #[serde(default)]
    response: Option<Facts>,
}

#[derive(Deserialize)]
struct Failing<'a> {
    #[serde(default, borrow)]
    response: Option<Failed<'a>>,
}

#[derive(Deserialize)]
struct Failed<'a> {
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Numbered {
    #[serde(default)]
    sequence_number: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::error;

    #[track_caller]
    fn check(event: &str, expect: &Event) {
        assert_eq!(&classify(event.as_bytes()), expect, "{event}");
        // The same without the field that repeats the kind.
        if let Some((_, data)) = event.split_once('\n').filter(|_| event.starts_with("event:")) {
            assert_eq!(&classify(data.as_bytes()), expect, "{data}");
        }
    }

    #[test]
    fn every_kind_is_known_by_its_name() {
        for kind in ["created", "in_progress", "queued"] {
            check(
                &format!(
                    "event: response.{kind}\ndata: {{\"type\":\"response.{kind}\",\"response\":{{\"id\":\"resp_1\",\"usage\":null}}}}\n\n"
                ),
                &Event::Named("resp_1".to_owned()),
            );
        }
        for kind in ["output_item.added", "content_part.added"] {
            let event = format!("event: response.{kind}\r\ndata: {{\"type\":\"response.{kind}\"}}\r\n\r\n");
            check(&event, &Event::Preamble);
        }
        for kind in [
            "output_text.delta",
            "output_text.done",
            "refusal.delta",
            "something.new",
        ] {
            let event = format!("event: response.{kind}\ndata: {{\"type\":\"response.{kind}\",\"delta\":\"x\"}}\n\n");
            check(&event, &Event::Output);
        }
        let used = Usage {
            prompt: 9,
            cached: 4,
            completion: 2,
        };
        for kind in ["completed", "incomplete"] {
            check(
                &format!(
                    "event: response.{kind}\ndata: {{\"type\":\"response.{kind}\",\"response\":{{\"id\":\"r\",\"usage\":\
                     {{\"input_tokens\":9,\"input_tokens_details\":{{\"cached_tokens\":4}},\"output_tokens\":2}}}}}}\n\n"
                ),
                &Event::Last(Some(used)),
            );
        }
        check(
            "data: {\"type\":\"response.completed\",\"response\":{}}\n\n",
            &Event::Last(None),
        );
        check(": keep-alive\n\n", &Event::Preamble);
        check("event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n", &Event::Preamble);
        check("data: [DONE]\n\n", &Event::Done);
        check("data: [1]\n\n", &Event::Preamble);
    }

    #[test]
    fn an_error_has_its_code_wherever_it_stands() {
        for (event, code) in [
            (
                "event: error\ndata: {\"type\":\"error\",\"code\":\"c\",\"message\":\"m\",\"param\":null,\"sequence_number\":3}\n\n",
                "c",
            ),
            (
                "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"r\",\"error\":{\"code\":\"f\",\"message\":\"m\"}}}\n\n",
                "f",
            ),
            ("data: {\"error\":{\"code\":\"429\",\"message\":\"m\"}}\n\n", "429"),
        ] {
            let Event::Error(data) = classify(event.as_bytes()) else {
                panic!("no error: {event}");
            };
            assert_eq!(error::read(&data).code.as_deref(), Some(code), "{event}");
        }
    }

    #[test]
    fn a_name_is_bounded_and_a_whole_response_has_one() {
        let long = format!(
            "{{\"id\":\"{}\",\"usage\":{{\"input_tokens\":1}}}}",
            "r".repeat(NAME_BYTES_MAX + 1)
        );
        let facts = Facts::of(long.as_bytes());
        assert_eq!((facts.id, facts.usage.map(|usage| usage.prompt)), (None, Some(1)));
        assert_eq!(Facts::of(br#"{"id":"resp_1","x":[]}"#).id.as_deref(), Some("resp_1"));
        assert_eq!(Facts::of(b"<html>"), Facts::default());
    }

    #[test]
    fn our_own_error_follows_in_the_count() {
        let event = error_event("it \"broke\"", "stream_broken", 8);
        assert!(event.starts_with(b"event: error\ndata: {") && event.ends_with(b"}\n\n"));
        assert_eq!(sequence_number(&event), Some(8));
        let Event::Error(data) = classify(&event) else {
            panic!("no error");
        };
        assert_eq!(error::read(&data).code.as_deref(), Some("stream_broken"));
        assert_eq!(sequence_number(b"data: {}\n\n"), None);
    }
}
