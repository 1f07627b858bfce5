//! What is sent upstream: the client's bytes, with at most three small edits.
//!
//! Edits never re-serialise: they replace or insert a few bytes and leave all others as they came, so number forms,
//! member order, escapes and whitespace survive, and with them the provider's prompt cache. Small bodies are copied
//! into one buffer (one write to the socket); large ones are cut into slices of the original, copying nothing.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::{SmallVec, smallvec};

use crate::openai::request::{Request, StreamOptions};

/// Bodies up to this size are copied rather than sliced when edited: a copy of 16 KiB costs less than a system call.
const COPY_BYTES_MAX: usize = 16 * 1024;

/// The pieces of an upstream body, in order.
pub type Pieces = SmallVec<[Bytes; 7]>;

/// Which edits an upstream needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edits<'a> {
    /// The value that `model` must have (v1 upstreams).
    pub model: Option<&'a str>,
    /// Whether to ask for usage in the stream.
    pub ask_usage: bool,
    /// The `prompt_cache_key` to send; never where the client sent its own.
    pub cache_key: Option<&'a str>,
}

/// One replacement of a range of the original by other bytes; an empty range inserts.
struct Edit {
    at: Range<usize>,
    with: Bytes,
}

/// Applies the edits. The pieces joined are the new body; with no edit they are the original itself.
pub fn edited(body: &Bytes, request: &Request<'_>, edits: Edits<'_>) -> Pieces {
    let mut list: SmallVec<[Edit; 3]> = SmallVec::new();
    let mut appended = BytesMut::new();
    if let Some(model) = edits.model {
        let value = json_string(model);
        match &request.model_at {
            Some(at) => list.push(Edit {
                at: at.clone(),
                with: value,
            }),
            None => append_member(&mut appended, request.is_empty, "model", &value),
        }
    }
    if let Some(key) = edits.cache_key.filter(|_| !request.has_own_cache_key()) {
        let value = json_string(key);
        if let Some(at) = &request.prompt_cache_key_at {
            list.push(Edit {
                at: at.clone(),
                with: value,
            });
        } else {
            let is_first = request.is_empty && appended.is_empty();
            append_member(&mut appended, is_first, "prompt_cache_key", &value);
        }
    }
    if edits.ask_usage && request.stream {
        ask_usage(request, &mut list, &mut appended);
    }
    if !appended.is_empty() {
        list.push(Edit {
            at: request.closing_at..request.closing_at,
            with: appended.freeze(),
        });
    }
    list.sort_by_key(|edit| edit.at.start);
    apply(body, list)
}

/// Whether [`edited`] would add `include_usage` for this request, so that its traces must be taken out of the answer.
pub fn adds_usage(request: &Request<'_>) -> bool {
    request.stream && request.stream_options != StreamOptions::UsageAsked
}

/// Notes the edit that makes the stream carry usage.
fn ask_usage(request: &Request<'_>, list: &mut SmallVec<[Edit; 3]>, appended: &mut BytesMut) {
    const OPTION: &[u8] = br#"{"include_usage":true}"#;
    match &request.stream_options {
        StreamOptions::UsageAsked => {}
        StreamOptions::Absent => {
            append_member(
                appended,
                request.is_empty && appended.is_empty(),
                "stream_options",
                OPTION,
            );
        }
        StreamOptions::Null(at) => list.push(Edit {
            at: at.clone(),
            with: Bytes::from_static(OPTION),
        }),
        StreamOptions::Other(options) => {
            list.push(if let Some(at) = &options.include_usage_at {
                Edit {
                    at: at.clone(),
                    with: Bytes::from_static(b"true"),
                }
            } else {
                let text: &[u8] = if options.is_empty {
                    br#""include_usage":true"#
                } else {
                    br#","include_usage":true"#
                };
                Edit {
                    at: options.closing_at..options.closing_at,
                    with: Bytes::from_static(text),
                }
            });
        }
    }
}

/// Appends `,"name":value` (without the comma for the first member of an empty object).
fn append_member(out: &mut BytesMut, first: bool, name: &str, value: &[u8]) {
    // Room for all of it at once, and no more: what is exactly full is frozen without a second allocation.
    out.reserve(usize::from(!first) + name.len() + 3 + value.len());
    if !first {
        out.put_u8(b',');
    }
    out.put_u8(b'"');
    out.put_slice(name.as_bytes());
    out.put_slice(b"\":");
    out.put_slice(value);
}

/// A JSON string with its quotes. Names of deployments need no escapes, and then this allocates once.
fn json_string(text: &str) -> Bytes {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        return Bytes::from(serde_json::Value::from(text).to_string());
    }
    let mut quoted = BytesMut::with_capacity(text.len() + 2);
    quoted.put_u8(b'"');
    quoted.put_slice(text.as_bytes());
    quoted.put_u8(b'"');
    quoted.freeze()
}

/// Cuts the original at the edits, which are in order and do not overlap.
fn apply(body: &Bytes, edits: SmallVec<[Edit; 3]>) -> Pieces {
    if edits.is_empty() {
        return smallvec![body.clone()];
    }
    let mut pieces = Pieces::new();
    let mut from = 0;
    for edit in edits {
        pieces.push(body.slice(from..edit.at.start));
        pieces.push(edit.with);
        from = edit.at.end;
    }
    pieces.push(body.slice(from..));
    if body.len() <= COPY_BYTES_MAX {
        let mut whole = BytesMut::with_capacity(length(&pieces));
        for piece in &pieces {
            whole.put_slice(piece);
        }
        return smallvec![whole.freeze()];
    }
    pieces
}

/// Total length of the pieces, in bytes.
pub fn length(pieces: &[Bytes]) -> usize {
    pieces.iter().map(Bytes::len).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::openai::request;

    fn joined(body: &[u8], edits: Edits<'_>) -> String {
        let body = Bytes::copy_from_slice(body);
        let request = request::parse(&body).expect("valid");
        let pieces = edited(&body, &request, edits);
        String::from_utf8(pieces.concat()).expect("UTF-8")
    }

    #[track_caller]
    fn check(body: &str, edits: Edits<'_>, expect: &str) {
        assert_eq!(joined(body.as_bytes(), edits), expect);
    }

    const MODEL: Edits<'_> = Edits {
        model: Some("d\"1"),
        ask_usage: false,
        cache_key: None,
    };
    const USAGE: Edits<'_> = Edits {
        model: None,
        ask_usage: true,
        cache_key: None,
    };
    const BOTH: Edits<'_> = Edits {
        model: Some("d"),
        ask_usage: true,
        cache_key: None,
    };

    #[test]
    fn model_is_replaced_or_added() {
        check(r#"{"model": "x" ,"n":1.0}"#, MODEL, r#"{"model": "d\"1" ,"n":1.0}"#);
        check(r#"{"model":null}"#, MODEL, r#"{"model":"d\"1"}"#);
        check(r#"{"n":1e2 }"#, MODEL, r#"{"n":1e2 ,"model":"d\"1"}"#);
        check("{ }", MODEL, r#"{ "model":"d\"1"}"#);
    }

    #[test]
    fn usage_is_asked_only_of_streams_and_only_once() {
        check(r#"{"stream":false}"#, USAGE, r#"{"stream":false}"#);
        check(r#"{"n":1}"#, USAGE, r#"{"n":1}"#);
        check(
            r#"{"stream":true}"#,
            USAGE,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        );
        check(
            r#"{"stream":true,"stream_options":null}"#,
            USAGE,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        );
        check(
            r#"{"stream_options":{"include_usage": false},"stream":true}"#,
            USAGE,
            r#"{"stream_options":{"include_usage": true},"stream":true}"#,
        );
        check(
            r#"{"stream_options":{"include_obfuscation":false},"stream":true}"#,
            USAGE,
            r#"{"stream_options":{"include_obfuscation":false,"include_usage":true},"stream":true}"#,
        );
        check(
            r#"{"stream_options":{ },"stream":true}"#,
            USAGE,
            r#"{"stream_options":{ "include_usage":true},"stream":true}"#,
        );
        let asked = r#"{"stream":true,"stream_options":{"include_usage":true}}"#;
        check(asked, USAGE, asked);
    }

    #[test]
    fn a_cache_key_is_added_and_a_clients_own_stays() {
        const KEY: Edits<'_> = Edits {
            model: None,
            ask_usage: false,
            cache_key: Some("00ff"),
        };
        check(r#"{"n":1}"#, KEY, r#"{"n":1,"prompt_cache_key":"00ff"}"#);
        check(r#"{"prompt_cache_key": null}"#, KEY, r#"{"prompt_cache_key": "00ff"}"#);
        for own in [
            r#"{"prompt_cache_key":"mine"}"#,
            r#"{"prompt_cache_key":7}"#,
            r#"{"prompt_cache_key":"\ud800"}"#,
        ] {
            check(own, KEY, own);
        }
        let all = Edits {
            cache_key: Some("00ff"),
            ..BOTH
        };
        check(
            r#"{"stream":true}"#,
            all,
            r#"{"stream":true,"model":"d","prompt_cache_key":"00ff","stream_options":{"include_usage":true}}"#,
        );
        check("{ }", KEY, r#"{ "prompt_cache_key":"00ff"}"#);
    }

    #[test]
    fn both_edits_in_either_order() {
        check(
            r#"{"stream_options":null,"model":"x","stream":true}"#,
            BOTH,
            r#"{"stream_options":{"include_usage":true},"model":"d","stream":true}"#,
        );
        check(
            r#"{"stream":true}"#,
            BOTH,
            r#"{"stream":true,"model":"d","stream_options":{"include_usage":true}}"#,
        );
    }

    #[test]
    fn large_bodies_are_sliced_not_copied() {
        let text = format!(r#"{{"model":"x","pad":"{}"}}"#, "p".repeat(COPY_BYTES_MAX));
        let body = Bytes::from(text);
        let request = request::parse(&body).expect("valid");
        let pieces = edited(
            &body,
            &request,
            Edits {
                model: Some("d"),
                ask_usage: false,
                cache_key: None,
            },
        );
        let range = body.as_ptr() as usize..body.as_ptr() as usize + body.len();
        assert_eq!(pieces.len(), 3);
        assert!(
            range.contains(&(pieces[2].as_ptr() as usize)),
            "the tail is a slice of the original"
        );
    }

    proptest! {
        /// Taking the edits out again gives the original, byte for byte.
        #[test]
        fn every_other_byte_survives(
            before in r"[ \n]{0,3}",
            number in "-?[1-9][0-9]{0,20}(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?",
            text in r#"([a-zA-Z0-9 äß😀]|\\u00e9|\\n|\\\\|\\"){0,40}"#,
            pad in 0..20_000_usize,
        ) {
            let body = format!(
                r#"{before}{{{before}"temperature":{number},"messages":[{{"content":"{text}{}"}}],"stream":true{before}}}{before}"#,
                "p".repeat(pad),
            );
            let got = joined(body.as_bytes(), BOTH);
            let undone = got.replacen(r#","model":"d","stream_options":{"include_usage":true}"#, "", 1);
            prop_assert_eq!(undone, body);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&got).is_ok());
        }
    }
}
