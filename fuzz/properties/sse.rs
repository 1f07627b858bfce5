//! What must hold for every byte stream from upstream, however the network cuts it:
//!
//! - any two cuts give the same events, the same findings and the same bytes to the client, and nothing is lost;
//! - taking usage out of an event leaves JSON that differs in that one member, and drops nothing but a usage report;
//! - the cheap look at an event finds every end, error and usage report that the full one finds.
//!
//! Cuts are drawn from a hash of the stream, so that seeds stay plain text and a failure repeats.

use bytes::Bytes;
use emberway::openai::sse::{self, Scanner};
use emberway::openai::stream::{self, Event, Stripped};
use emberway::openai::target::WireOperation;
use emberway::proxy::tap::StreamTap;

use crate::members::Members;

/// Random cuttings per stream, besides whole and byte by byte.
const CUTTINGS: u64 = 3;

/// Checks one stream.
pub(crate) fn check(input: &[u8]) {
    let whole = events(&[input]);
    let (list, rest) = &whole;
    assert_eq!([list.concat(), rest.clone()].concat(), input, "nothing is lost");
    let tapped = [true, false].map(|strips| tap(strips, &[input]));
    assert_eq!(tapped[1].0, input, "without stripping, bytes pass as they are");
    let response = tap_response(&[input]);
    assert_eq!(response.0, input, "nothing is ever taken out of a response");

    let mut cuttings: Vec<Vec<&[u8]>> = vec![input.chunks(1).collect()];
    cuttings.extend((0..CUTTINGS).map(|round| cut(input, hash(input) ^ round)));
    for pieces in &cuttings {
        assert_eq!(events(pieces), whole, "events");
        assert_eq!(tap(true, pieces), tapped[0], "tap with stripping");
        assert_eq!(tap(false, pieces), tapped[1], "tap without stripping");
        assert_eq!(tap_response(pieces), response, "tap of a response");
    }
    for event in list {
        check_strip(&Bytes::copy_from_slice(event));
        check_looks(event);
    }
}

fn events(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut scanner = Scanner::default();
    let mut list = Vec::new();
    for piece in pieces {
        scanner.feed(&Bytes::copy_from_slice(piece), |event| list.push(event.to_vec()));
    }
    (list, scanner.finish().to_vec())
}

/// What the client gets, and what was seen.
fn tap(strips: bool, pieces: &[&[u8]]) -> (Vec<u8>, String) {
    heard(StreamTap::new(strips), pieces)
}

/// The same of a response's stream.
fn tap_response(pieces: &[&[u8]]) -> (Vec<u8>, String) {
    heard(StreamTap::of(WireOperation::Responses, true), pieces)
}

fn heard(mut tap: StreamTap, pieces: &[&[u8]]) -> (Vec<u8>, String) {
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&tap.feed(&Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(&tap.finish());
    (out, format!("{:?}", tap.seen))
}

fn check_strip(event: &Bytes) {
    let before = sse::data(event).and_then(|data| Members::of(&data));
    let stripped = stream::strip_usage(event);
    let Some(before) = before else {
        // Not JSON: the one edit made without parsing takes out exactly this text at the end.
        if let Stripped::Edited(edited) = &stripped {
            let put_back = edited
                .strip_suffix(b"}\n\n")
                .map(|kept| [kept, b",\"usage\":null}\n\n"].concat());
            assert_eq!(put_back.as_deref(), Some(&event[..]));
        }
        assert_ne!(stripped, Stripped::Dropped, "only JSON can be a usage report");
        return;
    };
    match stripped {
        Stripped::Unchanged => {
            // Members that occur twice or are spelt with escapes, and what is not UTF-8, are not understood and stay.
            let names = ["usage", "choices", "prompt_filter_results"];
            let is_plain = names.iter().all(|name| before.count(name) <= 1)
                && !event.contains(&b'\\')
                && str::from_utf8(event).is_ok();
            let is_one_line = event.windows(5).filter(|window| window == b"data:").count() == 1;
            assert!(
                !is_plain || !is_one_line || before.count("usage") == 0,
                "usage was left in"
            );
        }
        Stripped::Edited(edited) => {
            let after = sse::data(&edited).and_then(|data| Members::of(&data));
            let others = after.as_ref().map(|after| after.without(&["usage"]));
            assert_eq!(others, Some(before.without(&["usage"])));
            // One goes; a second can only be one whose name is spelt with escapes.
            let left = after.map_or(0, |after| after.count("usage"));
            assert_eq!(left + 1, before.count("usage"));
            assert!(left == 0 || event.contains(&b'\\'));
        }
        Stripped::Dropped => {
            assert_eq!(before.get("choices"), Some("[]"));
            assert!(before.get("usage").is_some_and(|usage| usage != "null"));
            assert_eq!(before.count("prompt_filter_results"), 0);
        }
    }
}

fn check_looks(event: &[u8]) {
    let full = stream::classify(event);
    let quick = stream::classify_after_output(event);
    // Names spelt with escapes are only found by the full look; no service writes them so.
    let data = sse::data(event).unwrap_or_default();
    // So is a report that is an array, which serde reads as an object's values.
    let has_array =
        Members::of(&data).is_some_and(|members| members.get("usage").is_some_and(|usage| usage.starts_with('[')));
    let is_exempt = has_array || event.contains(&b'\\') || data.contains(&b'\n');
    if !matches!(full, Event::Preamble | Event::Output) && !is_exempt {
        assert_eq!(full, quick);
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Cuts into pieces of 1 to 64 bytes.
fn cut(mut bytes: &[u8], mut state: u64) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let length = 1 + (state >> 58) as usize;
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
