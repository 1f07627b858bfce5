//! The few members of a request body that the gateway acts on, with their places in the bytes.
//!
//! One pass of borrowed serde over the body: no tree is built and strings without escapes are not copied. Members
//! not named here are skipped, so they survive byte for byte. Known members that occur twice are refused: two
//! parsers may disagree about which one counts. Cost is linear, about 0.4 µs a KiB.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::openai::target::WireOperation;

/// A parsed request body. Borrows the body.
#[derive(Debug)]
pub struct Request<'a> {
    /// `model`, where it is a string; `null` counts as absent.
    pub model: Option<Cow<'a, str>>,
    /// Where the value of `model` stands, `null` included.
    pub model_at: Option<Range<usize>>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// What `stream_options` says.
    pub stream_options: StreamOptions,
    /// The prompt in the provider's cache order: tools, response format (`text.format` of a response), then messages, prompt or input; raw
    /// JSON, empty where there is none.
    pub prompt: [&'a str; 3],
    /// Which member the last of these is.
    pub prompt_member: PromptMember,
    /// What only responses have.
    pub response: ResponseMembers<'a>,
    /// Most tokens of one answer, if the client set a bound that is a whole number.
    pub answer_tokens_max: Option<u32>,
    /// Answers that are made, at least 1: `n`, or `best_of` where it is more.
    pub answers: u32,
    /// The client's own `prompt_cache_key`, where it is a string.
    pub prompt_cache_key: Option<Cow<'a, str>>,
    /// Where the value of `prompt_cache_key` stands, whatever it is.
    pub prompt_cache_key_at: Option<Range<usize>>,
    /// Whether that value is `null`.
    pub prompt_cache_key_is_null: bool,
    /// `user`, where it is a string.
    pub user: Option<Cow<'a, str>>,
    /// Where the body's closing brace stands.
    pub closing_at: usize,
    /// Whether the body has no members at all.
    pub is_empty: bool,
}

impl Request<'_> {
    /// Whether the client sent a `prompt_cache_key`, of whatever kind: that is between it and the provider.
    pub fn has_own_cache_key(&self) -> bool {
        self.prompt_cache_key_at.is_some() && !self.prompt_cache_key_is_null
    }

    /// That the gateway can carry out what is asked for.
    ///
    /// # Errors
    /// When a response is to be made in the background.
    pub fn check_served(&self, operation: WireOperation) -> Result<(), RequestError> {
        if operation == WireOperation::Responses && self.response.is_background {
            return Err(RequestError::InBackground);
        }
        Ok(())
    }

    /// Bytes of the prompt as it is written.
    pub fn prompt_bytes(&self) -> usize {
        self.prompt.iter().map(|piece| piece.len()).sum::<usize>() + self.response.instructions.len()
    }

    /// Most tokens of all answers together, as the provider counts them against a limit; none without a bound of the client's.
    pub fn output_tokens_max(&self) -> Option<u64> {
        self.answer_tokens_max
            .map(|one| u64::from(one) * u64::from(self.answers))
    }
}

/// The members that only responses have.
#[derive(Debug)]
pub struct ResponseMembers<'a> {
    /// `instructions`, which come before the input; raw JSON, empty where there is none.
    pub instructions: &'a str,
    /// `previous_response_id`, where it is a string: the response that this one continues.
    pub previous_id: Option<Cow<'a, str>>,
    /// Whether the provider may keep the response to be continued: not so with `store: false`.
    pub is_stored: bool,
    /// Whether it is to be made in the background, and fetched later by its id.
    pub is_background: bool,
}

/// The member of a body that holds what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptMember {
    /// `messages`, or no such member.
    Messages,
    /// `prompt`.
    Prompt,
    /// `input`.
    Input,
}

/// The state of `stream_options` in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamOptions {
    /// No such member.
    Absent,
    /// The client asked for usage itself.
    UsageAsked,
    /// `null`, standing there.
    Null(Range<usize>),
    /// An object without `include_usage: true`.
    Other(OtherOptions),
}

/// An object of stream options that does not ask for usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherOptions {
    /// Where the value of its `include_usage` stands, if there is one.
    pub include_usage_at: Option<Range<usize>>,
    /// Where its closing brace stands.
    pub closing_at: usize,
    /// Whether it has no members.
    pub is_empty: bool,
}

/// Why a body cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Not JSON.
    #[error("the request body is not valid JSON: {0}")]
    NotJson(serde_json::Error),
    /// A member named here is there twice.
    #[error("the request body has a member twice, and which one counts is anybody's guess: {0}")]
    Twice(serde_json::Error),
    /// Valid JSON, but no object.
    #[error("the request body must be a JSON object")]
    NotAnObject,
    /// A member named here has a type it cannot have.
    #[error("`{member}` must be {expected}")]
    WrongType {
        /// The member.
        member: &'static str,
        /// What it must be, with its article.
        expected: &'static str,
    },
    /// A response is to be made in the background.
    #[error(
        "`background: true` makes a response that is fetched, or stopped, by its id, which this gateway does not serve; leave it out, \
         and ask for a stream if the answer takes long"
    )]
    InBackground,
}

impl RequestError {
    /// The member that is to be mended, where it is known.
    pub fn member(&self) -> Option<&'static str> {
        match self {
            Self::WrongType { member, .. } => Some(member),
            Self::InBackground => Some("background"),
            Self::NotJson(_) | Self::Twice(_) | Self::NotAnObject => None,
        }
    }
}

impl From<serde_json::Error> for RequestError {
    fn from(error: serde_json::Error) -> Self {
        // The members are taken as they are, so all that serde can object to beside the syntax is a second one.
        if error.is_data() {
            Self::Twice(error)
        } else {
            Self::NotJson(error)
        }
    }
}

/// The members as serde sees them.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    model: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    stream: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    stream_options: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    messages: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    prompt: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    input: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    tools: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    functions: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    response_format: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    text: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    instructions: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    previous_response_id: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    store: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    background: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    max_completion_tokens: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    max_tokens: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    max_output_tokens: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    n: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    best_of: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    prompt_cache_key: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    user: Option<&'a RawValue>,
}

/// The one stream option that matters here.
#[derive(Deserialize)]
struct UsageOption<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    include_usage: Option<&'a RawValue>,
}

/// The one option of a response's text that is part of its prompt.
#[derive(Deserialize)]
struct TextOptions<'a> {
    #[serde(default, borrow)]
    format: Option<&'a RawValue>,
}

/// Keeps a member's raw text even where it is `null`, which `Option` alone would swallow.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a request body.
///
/// # Errors
/// When the body is not one JSON object, or a member named here is given twice or has a type it cannot have.
pub fn parse(body: &[u8]) -> Result<Request<'_>, RequestError> {
    // serde would fill a struct from an array too.
    if body.trim_ascii_start().first().is_some_and(|&byte| byte != b'{') {
        return Err(RequestError::NotAnObject);
    }
    let members: Members<'_> = serde_json::from_slice(body)?;
    let model = match members.model {
        Some(raw) => serde_json::from_str::<Option<BorrowedText<'_>>>(raw.get())
            .map_err(|_| wrong_type("model", "a string"))?
            .map(|text| text.0),
        None => None,
    };
    let stream = match members.stream.map(RawValue::get) {
        Some("true") => true,
        Some("false" | "null") | None => false,
        Some(_) => return Err(wrong_type("stream", "true or false")),
    };
    let closing_at = memchr::memrchr(b'}', body).unwrap_or(0);
    let (prompt_member, prompt) = prompt(&members);
    let bounds = [
        members.max_completion_tokens,
        members.max_tokens,
        members.max_output_tokens,
    ];
    Ok(Request {
        model,
        model_at: members.model.map(|raw| span(body, raw)),
        stream,
        stream_options: stream_options(body, members.stream_options)?,
        prompt: [
            raw(members.tools).or(raw(members.functions)).unwrap_or(""),
            raw(members.response_format)
                .or_else(|| text_format(members.text))
                .unwrap_or(""),
            prompt,
        ],
        prompt_member,
        response: ResponseMembers {
            instructions: raw(members.instructions).unwrap_or(""),
            previous_id: members.previous_response_id.and_then(text),
            is_stored: raw(members.store) != Some("false"),
            is_background: raw(members.background) == Some("true"),
        },
        answer_tokens_max: bounds.into_iter().find_map(whole_number),
        answers: whole_number(members.n)
            .max(whole_number(members.best_of))
            .unwrap_or(1)
            .max(1),
        prompt_cache_key: members.prompt_cache_key.and_then(text),
        prompt_cache_key_is_null: raw(members.prompt_cache_key).is_none(),
        prompt_cache_key_at: members.prompt_cache_key.map(|raw| span(body, raw)),
        user: members.user.and_then(text),
        closing_at,
        is_empty: preceding(body, closing_at) == Some(b'{'),
    })
}

fn wrong_type(member: &'static str, expected: &'static str) -> RequestError {
    RequestError::WrongType { member, expected }
}

/// What is asked, and by which member.
fn prompt<'a>(members: &Members<'a>) -> (PromptMember, &'a str) {
    let all = [
        (PromptMember::Messages, members.messages),
        (PromptMember::Prompt, members.prompt),
        (PromptMember::Input, members.input),
    ];
    let mut asked = all
        .into_iter()
        .filter_map(|(member, value)| Some((member, raw(value)?)));
    asked.next().unwrap_or((PromptMember::Messages, ""))
}

/// The format in a response's `text`. What is no object is for the provider to refuse.
fn text_format(member: Option<&RawValue>) -> Option<&str> {
    let options = raw(member).filter(|text| text.starts_with('{'))?;
    raw(serde_json::from_str::<TextOptions<'_>>(options).ok()?.format)
}

/// A member's JSON; `null` counts as absent.
fn raw(member: Option<&RawValue>) -> Option<&str> {
    member.map(RawValue::get).filter(|&text| text != "null")
}

/// A number that may serve for an estimate. Anything else is for the provider to refuse.
fn whole_number(member: Option<&RawValue>) -> Option<u32> {
    raw(member)?.parse().ok()
}

/// A string's text; none for other values, and for what is no text (half a surrogate pair).
fn text(member: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<BorrowedText<'_>>(member.get())
        .ok()
        .map(|text| text.0)
}

/// A string borrowed from the input unless it holds escapes.
#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads `stream_options`.
fn stream_options(body: &[u8], raw: Option<&RawValue>) -> Result<StreamOptions, RequestError> {
    let Some(raw) = raw else {
        return Ok(StreamOptions::Absent);
    };
    let at = span(body, raw);
    let option = match raw.get().as_bytes().first() {
        Some(b'n') => return Ok(StreamOptions::Null(at)),
        Some(b'{') => serde_json::from_str::<UsageOption<'_>>(raw.get())?,
        _ => return Err(wrong_type("stream_options", "an object")),
    };
    if option.include_usage.is_some_and(|value| value.get() == "true") {
        return Ok(StreamOptions::UsageAsked);
    }
    let closing_at = at.end - 1;
    Ok(StreamOptions::Other(OtherOptions {
        include_usage_at: option.include_usage.map(|value| span(body, value)),
        closing_at,
        is_empty: preceding(body, closing_at) == Some(b'{'),
    }))
}

/// Where a borrowed piece stands in the body it was borrowed from.
fn span(body: &[u8], raw: &RawValue) -> Range<usize> {
    let start = raw.get().as_ptr() as usize - body.as_ptr() as usize;
    start..start + raw.get().len()
}

/// The last byte before `at` that is not JSON whitespace.
fn preceding(body: &[u8], at: usize) -> Option<u8> {
    body.get(..at)?
        .iter()
        .rev()
        .copied()
        .find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests;
