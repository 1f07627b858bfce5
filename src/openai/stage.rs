//! Bytes on their way to a sink, gathered into pieces that are worth a call.
//!
//! A prompt comes in runs of some sixty bytes between escapes; a call, a copy and a check for each would cost more than all the
//! rest. What is gathered is as long as a block of placement, so that a long segment's blocks are hashed where they stand.

use super::canonical::{Part, Sink};
use super::json;

/// Longest piece that is given to the sink.
const PIECE_BYTES: usize = 512;
/// What is looked at together, in words of eight bytes.
const BLOCK_WORDS: usize = 4;
const BLOCK_BYTES: usize = 8 * BLOCK_WORDS;

/// The gathered bytes.
pub(super) struct Stage<'a, S> {
    sink: &'a mut S,
    /// Copies may reach beyond a piece, by a block and a character.
    held: [u8; PIECE_BYTES + 2 * BLOCK_BYTES],
    length: usize,
    /// What left, and what was only counted.
    passed: usize,
    is_full: bool,
}

impl<'a, S: Sink> Stage<'a, S> {
    pub(super) fn new(sink: &'a mut S) -> Self {
        Self {
            is_full: sink.is_full(),
            sink,
            held: [0; PIECE_BYTES + 2 * BLOCK_BYTES],
            length: 0,
            passed: 0,
        }
    }

    /// Whether the sink takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether the sink wants to know what each segment is, and still takes it.
    pub(super) fn wants_parts(&self) -> bool {
        !self.is_full && self.sink.wants_parts()
    }

    /// A segment begins. All before it has been given away.
    pub(super) fn begin_segment(&mut self, part: Part) {
        self.sink.begin_segment(part);
    }

    /// Bytes that came, taken by the sink or not.
    pub(super) fn bytes(&self) -> usize {
        self.passed + self.length
    }

    /// Counts bytes that the sink does not get.
    pub(super) fn count(&mut self, bytes: usize) {
        self.passed += bytes;
    }

    /// Makes the count what it should be.
    pub(super) fn recount(&mut self, bytes: usize) {
        self.passed = bytes.saturating_sub(self.length);
    }

    /// Adds bytes.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if end < PIECE_BYTES {
            self.held[self.length..end].copy_from_slice(bytes);
            self.length = end;
        } else {
            self.push_long(bytes);
        }
    }

    #[inline(never)]
    fn push_long(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (taken, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.length));
            self.held[self.length..self.length + taken.len()].copy_from_slice(taken);
            self.length += taken.len();
            bytes = rest;
            self.give_whole();
        }
    }

    /// Adds the meaning of a string, given from inside it with all that follows. Returns how much was read: up to its quote, or to the end
    /// of the text, or until the sink was full.
    pub(super) fn push_string(&mut self, text: &[u8]) -> usize {
        let mut at = 0;
        // Not in `self` meanwhile, so that it is in a register.
        let mut length = self.length;
        loop {
            if length >= PIECE_BYTES {
                self.length = length;
                self.give_whole();
                length = self.length;
            }
            if self.is_full {
                break;
            }
            let Some(words) = text[at..].as_chunks().0.first_chunk::<BLOCK_WORDS>() else {
                self.length = length;
                return at + self.push_end(&text[at..]);
            };
            self.held[length..length + BLOCK_BYTES].copy_from_slice(words.as_flattened());
            let run = json::run_length(words);
            if run == BLOCK_BYTES {
                // By a constant, so that the next block need not wait for this one's length.
                at += BLOCK_BYTES;
                length += BLOCK_BYTES;
                continue;
            }
            at += run;
            length += run;
            if text[at] == b'"' {
                break;
            }
            let (character, used) = json::character(&text[at..]);
            self.held[length..length + character.bytes.len()].copy_from_slice(&character.bytes);
            at += used;
            length += character.length;
        }
        self.length = length;
        self.give_whole();
        at
    }

    /// The same near the end of the text.
    #[inline(never)]
    fn push_end(&mut self, text: &[u8]) -> usize {
        let mut at = 0;
        while !self.is_full {
            let rest = &text[at..];
            let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            let (run, mark) = rest.split_at(end.unwrap_or(rest.len()));
            self.push(run);
            at += run.len();
            if mark.first() != Some(&b'\\') {
                break;
            }
            let (character, used) = json::character(mark);
            self.push(&character);
            at += used;
        }
        at
    }

    /// Gives a whole piece, if there is one.
    #[inline]
    fn give_whole(&mut self) {
        if self.length >= PIECE_BYTES {
            self.give(PIECE_BYTES);
            self.held.copy_within(PIECE_BYTES.., 0);
            self.length -= PIECE_BYTES;
        }
    }

    fn give(&mut self, bytes: usize) {
        if !self.is_full {
            self.sink.push(&self.held[..bytes]);
            self.is_full = self.sink.is_full();
        }
        self.passed += bytes;
    }

    /// The segment ends here.
    pub(super) fn end_segment(&mut self) {
        if self.length > 0 {
            self.give(self.length);
            self.length = 0;
        }
        if !self.is_full {
            self.sink.end_segment();
            self.is_full = self.sink.is_full();
        }
    }
}
