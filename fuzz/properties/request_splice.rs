//! What must hold for every request body that the gateway accepts, whatever edits are made to it:
//!
//! - the edited body is accepted too, and says what the edits wanted;
//! - every other member is there, once, in its place, byte for byte;
//! - without an edit the body is the original itself.
//!
//! A violation panics, which is how a fuzzer and a test alike learn of it.

use bytes::Bytes;
use emberway::openai::body::{self, Edits};
use emberway::openai::request::{self, Request, StreamOptions};

use crate::members::Members;

/// A deployment's name that needs escaping.
const MODEL: &str = "ft:\"a\\b\"";

/// Checks one body under all combinations of edits.
pub(crate) fn check(input: &[u8]) {
    let original = Bytes::copy_from_slice(input);
    let Ok(before) = request::parse(&original) else {
        return;
    };
    assert!(
        Members::of(input).is_some(),
        "accepted, although it is not a JSON object"
    );
    for model in [None, Some(MODEL)] {
        for ask_usage in [false, true] {
            for cache_key in [None, Some("00ff")] {
                let edits = Edits {
                    model,
                    ask_usage,
                    cache_key,
                };
                check_edits(&original, &before, edits);
            }
        }
    }
}

fn check_edits(original: &Bytes, before: &Request<'_>, edits: Edits<'_>) {
    let pieces = body::edited(original, before, edits);
    let edited = pieces.concat();
    assert_eq!(body::length(&pieces), edited.len());
    let asks = edits.ask_usage && body::adds_usage(before);
    // A client's own key stays, of whatever kind it is.
    let adds_key = edits.cache_key.is_some() && !before.has_own_cache_key();
    if edits.model.is_none() && !asks && !adds_key {
        assert_eq!(edited, &original[..], "nothing was to be edited");
        return;
    }
    let after = match request::parse(&edited) {
        Ok(after) => after,
        Err(error) => unreadable(&edited, &error.to_string()),
    };
    assert_eq!(after.model.as_deref(), edits.model.or(before.model.as_deref()));
    assert_eq!(after.stream, before.stream);
    assert_eq!(after.prompt, before.prompt);
    let own_key = before.prompt_cache_key.as_deref();
    let key = if adds_key { edits.cache_key } else { own_key };
    assert_eq!(after.prompt_cache_key.as_deref(), key);
    if asks {
        assert_eq!(after.stream_options, StreamOptions::UsageAsked);
    }
    check_members(original, &edited, edits.model.is_some(), asks, adds_key);
}

/// Whether only what was to be edited differs.
fn check_members(original: &[u8], edited: &[u8], sets_model: bool, asks: bool, adds_key: bool) {
    let (Some(before), Some(after)) = (Members::of(original), Members::of(edited)) else {
        unreadable(edited, "not an object");
    };
    let mut changed = Vec::new();
    if sets_model {
        changed.push("model");
    }
    if adds_key {
        changed.push("prompt_cache_key");
    }
    if asks {
        changed.push("stream_options");
        check_options(before.get("stream_options"), after.get("stream_options"));
    }
    assert_eq!(before.without(&changed), after.without(&changed));
    for name in changed {
        assert_eq!(after.count(name), 1, "`{name}` occurs once");
        let place = |members: &Members| members.0.iter().position(|member| member.0 == name);
        if let Some(at) = place(&before) {
            assert_eq!(place(&after), Some(at), "`{name}` stays in its place");
        }
    }
}

/// Whether the other stream options survived.
fn check_options(before: Option<&str>, after: Option<&str>) {
    let options = |text: &str| Members::of(&text.chars().map(|char| char as u8).collect::<Vec<_>>());
    let Some(after) = after.and_then(options) else {
        unreadable(&[], "stream options are not an object");
    };
    assert_eq!(after.get("include_usage"), Some("true"));
    assert_eq!(after.count("include_usage"), 1);
    let before = before.and_then(options);
    let others = before.as_ref().map(|before| before.without(&["include_usage"]));
    assert_eq!(others.unwrap_or_default(), after.without(&["include_usage"]));
}

#[expect(clippy::panic, reason = "a panic is how a property fails")]
fn unreadable(edited: &[u8], why: &str) -> ! {
    panic!("the edited body cannot be read: {why}: {}", edited.escape_ascii())
}
