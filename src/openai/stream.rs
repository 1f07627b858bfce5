//! What one event of a completion stream means, and how to take a usage report that the client did not ask for out
//! of it again. The events of responses are another language: [`responses`](crate::openai::responses).
//!
//! The first events of a stream are parsed in full, to find its first real output; after that an event is only
//! searched for three short needles, and parsed when one is there. JSON escapes a quote inside a string, so a needle
//! that begins and ends with quotes cannot match inside text.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::openai::sse;
use crate::openai::usage::{self, Usage};

/// What an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `[DONE]`.
    Done,
    /// An error object inside the stream; its data.
    Error(Bytes),
    /// Output: text, a tool call, a refusal, or the reason why it ended.
    Output,
    /// A usage report without output.
    Usage(Usage),
    /// Anything before or between output: role, filter annotations, comments, padding.
    Preamble,
    /// The name of a response that has begun, before its output.
    Named(String),
    /// The last event of a response, with what it used.
    Last(Option<Usage>),
}

/// Reads one event completely.
pub fn classify(event: &[u8]) -> Event {
    let Some(data) = sse::data(event) else {
        return Event::Preamble;
    };
    if data.starts_with(b"[DONE]") {
        return Event::Done;
    }
    if !is_object(&data) {
        return Event::Preamble;
    }
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(&data) else {
        return Event::Preamble;
    };
    if chunk.error.is_some_and(|error| error.get() != "null") {
        return Event::Error(Bytes::copy_from_slice(&data));
    }
    if chunk.choices.iter().flatten().any(Choice::is_output) {
        return Event::Output;
    }
    match usage::of_answer(&data) {
        Some(usage) => Event::Usage(usage),
        None => Event::Preamble,
    }
}

/// Reads one event of a stream whose output has begun: the same as [`classify`] for ends, errors and usage, and
/// [`Event::Output`] for everything else. About ten times cheaper.
pub fn classify_after_output(event: &[u8]) -> Event {
    let plain = !contains(event, b"[DONE]") && !contains(event, b"\"error\"") && !has_usage(event);
    if plain { Event::Output } else { classify(event) }
}

/// The usage that an output event carries beside its output, as some services send it.
pub fn usage_beside(event: &[u8]) -> Option<Usage> {
    if !has_usage(event) {
        return None;
    }
    usage::of_answer(&sse::data(event)?)
}

/// Whether an event may hold a usage object (and not just `"usage":null`).
fn has_usage(event: &[u8]) -> bool {
    memmem::find_iter(event, b"\"usage\"").any(|at| {
        let rest = event[at + 7..]
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace());
        rest.take(2).eq(*b":{")
    })
}

/// Whether JSON text can only be an object: serde would fill a struct from an array too.
fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

fn contains(event: &[u8], needle: &[u8]) -> bool {
    memmem::find(event, needle).is_some()
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default, borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default, borrow)]
    delta: Option<Delta<'a>>,
    #[serde(default, borrow)]
    text: Option<&'a RawValue>,
    #[serde(default, borrow)]
    finish_reason: Option<&'a RawValue>,
}

/// Every member of a delta, since new kinds of output keep coming.
#[derive(Deserialize)]
struct Delta<'a>(#[serde(borrow)] std::collections::BTreeMap<Cow<'a, str>, &'a RawValue>);

impl Choice<'_> {
    /// Whether the choice holds anything that a client would show, or its end.
    fn is_output(&self) -> bool {
        let delta = self.delta.as_ref();
        self.finish_reason.is_some_and(says_something)
            || self.text.is_some_and(says_something)
            || delta.is_some_and(|delta| {
                delta
                    .0
                    .iter()
                    .any(|(name, value)| name != "role" && says_something(value))
            })
    }
}

/// Whether a value is more than null or empty.
fn says_something(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "\"\"" | "[]" | "{}")
}

/// An event without the usage report that the client did not ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stripped {
    /// It had none.
    Unchanged,
    /// It had one among other things; these are the other things.
    Edited(Bytes),
    /// It was nothing but one.
    Dropped,
}

#[derive(Deserialize)]
struct UsageMember<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    usage: Option<&'a RawValue>,
    #[serde(default, borrow)]
    choices: Option<&'a RawValue>,
    #[serde(default, borrow)]
    prompt_filter_results: Option<&'a RawValue>,
}

/// Keeps a member's raw text even where it is `null`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Takes `usage` out of an event: the whole event where it only reports usage, else the one member. Every other byte
/// stays. An event that is not understood stays as it is; `"usage":null` at the very end, where services put it, is
/// understood without parsing.
pub fn strip_usage(event: &Bytes) -> Stripped {
    const NULL_AT_END: &[u8] = b",\"usage\":null}\n\n";
    if let Some(kept) = event
        .strip_suffix(NULL_AT_END)
        .filter(|kept| is_one_data_line(kept) && !contains(kept, b"\"usage\""))
    {
        let mut edited = BytesMut::with_capacity(kept.len() + 3);
        edited.extend_from_slice(kept);
        edited.extend_from_slice(b"}\n\n");
        return Stripped::Edited(edited.freeze());
    }
    if !contains(event, b"\"usage\"") {
        return Stripped::Unchanged;
    }
    let Some(Cow::Borrowed(data)) = sse::data(event).filter(|data| is_object(data)) else {
        return Stripped::Unchanged;
    };
    let Ok(member) = serde_json::from_slice::<UsageMember<'_>>(data) else {
        return Stripped::Unchanged;
    };
    let Some(value) = member.usage else {
        return Stripped::Unchanged;
    };
    let reports_only = member.choices.is_some_and(|choices| choices.get() == "[]")
        && member.prompt_filter_results.is_none()
        && value.get() != "null";
    if reports_only {
        return Stripped::Dropped;
    }
    let start = value.get().as_ptr() as usize - event.as_ptr() as usize;
    match member_range(event, start, start + value.get().len()) {
        Some(range) => {
            let mut edited = BytesMut::with_capacity(event.len() - range.len());
            edited.extend_from_slice(&event[..range.start]);
            edited.extend_from_slice(&event[range.end..]);
            Stripped::Edited(edited.freeze())
        }
        None => Stripped::Unchanged,
    }
}

/// Whether an event is nothing but data on one line, so that its end is the end of the data.
fn is_one_data_line(event: &[u8]) -> bool {
    event.starts_with(b"data:") && memchr::memchr(b'\n', event).is_none()
}

/// The range of the member whose value stands at `start..end`, with the one comma that goes with it.
fn member_range(event: &[u8], start: usize, end: usize) -> Option<std::ops::Range<usize>> {
    let colon = trim_end(&event[..start]);
    let name = trim_end(colon.strip_suffix(b":")?).strip_suffix(b"\"usage\"")?;
    let before = trim_end(name);
    if let Some(rest) = before.strip_suffix(b",") {
        return Some(rest.len()..end);
    }
    let after = &event[end..];
    let comma = after
        .iter()
        .position(|byte| !byte.is_ascii_whitespace())
        .filter(|&at| after[at] == b',');
    Some(before.len()..comma.map_or(end, |at| end + at + 1))
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii_end()
}

#[cfg(test)]
mod tests;
