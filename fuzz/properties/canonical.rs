//! What must hold for the canonical form of every prompt that the gateway accepts, read as a chat's and as a response's:
//!
//! - the same body in other whitespace and with all its strings in escapes has the same form;
//! - a sink that is full early was given the beginning of it;
//! - it is as long as the reader says, but for attachments, which count more.
//!
//! A violation panics, which is how a fuzzer and a test alike learn of it.

use std::fmt::Write as _;

use emberway::openai::canonical::{self, ATTACHMENT_BYTES, Shape, Sink, response};
use emberway::openai::request::{self, Request};

/// Where the second sink is full.
const EARLY: usize = 100;

/// Keeps the form, up to a bound.
struct Kept {
    bytes: Vec<u8>,
    segments: usize,
    most: usize,
}

impl Sink for Kept {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn end_segment(&mut self) {
        self.segments += 1;
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= self.most
    }
}

/// How a prompt is written.
type Writing = fn(&Request<'_>, &mut Kept) -> Shape;

/// Checks one body.
pub(crate) fn check(input: &[u8]) {
    check_written(input, canonical::write);
    check_written(input, response::write);
}

fn check_written(input: &[u8], write: Writing) {
    let read = |body: &[u8], most| read(body, most, write);
    let Some((form, shape)) = read(input, usize::MAX) else {
        return;
    };
    assert!(form.bytes.len() <= shape.bytes, "{} of {shape:?}", form.bytes.len());
    if let Some((early, _)) = read(input, EARLY) {
        let shown = early.bytes.len().min(EARLY);
        assert_eq!(early.bytes[..shown], form.bytes[..shown]);
        assert!(early.bytes.len() >= form.bytes.len().min(EARLY));
    }
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let other = rewritten(text);
    let again = read(other.as_bytes(), usize::MAX);
    let again = again.map(|(again, shape)| (again.bytes, again.segments, shape));
    assert!(
        again == Some((form.bytes, form.segments, shape)),
        "not the same: {other}"
    );
    assert!(shape.bytes <= input.len() * (ATTACHMENT_BYTES + 8) + ATTACHMENT_BYTES);
}

fn read(body: &[u8], most: usize, write: Writing) -> Option<(Kept, Shape)> {
    let request = request::parse(body).ok()?;
    let mut kept = Kept {
        bytes: Vec::new(),
        segments: 0,
        most,
    };
    let shape = write(&request, &mut kept);
    Some((kept, shape))
}

/// The same JSON: spaces at all places, and every letter of every string as an escape.
fn rewritten(json: &str) -> String {
    let mut text = String::new();
    let mut characters = json.chars();
    let mut in_string = false;
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                in_string = !in_string;
                text.push('"');
            }
            '\\' if in_string => {
                text.push('\\');
                let escaped = characters.next();
                text.extend(escaped);
                if escaped == Some('u') {
                    text.extend(characters.by_ref().take(4));
                }
            }
            _ if in_string => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "\\u{unit:04X}");
                }
            }
            ' ' | '\t' | '\r' | '\n' => {}
            '{' | '}' | '[' | ']' | ',' | ':' => text.extend(['\n', character, '\t']),
            _ => text.push(character),
        }
    }
    text
}
