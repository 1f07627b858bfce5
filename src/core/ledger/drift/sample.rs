//! A prompt's head as chunks that are found again wherever they stand.
//!
//! Ids of a chain tell only where two prompts part. Whether they are equal again *after* that needs ids that do not depend on what comes
//! before: the head is cut where a rolling hash of its last bytes says so (content-defined chunking, about 96 bytes), and each chunk is
//! hashed by itself. A timestamp changes its own chunk, and the next ones are the same as ever.
//!
//! A head is everything before the first message of a user; where nothing is before it, that message. Only keyed 64-bit hashes are kept:
//! without the key, which lives as long as the process, they tell nothing of the text.
//!
//! Cost: about 2 ns a byte and 24 bytes a chunk, for the sampled requests only.

use std::hash::{BuildHasher, Hasher as _, RandomState};

use gearhash::Hasher;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, EnumString, IntoStaticStr, VariantArray};

/// How deep a head is read: as deep as a chain.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// No chunk is shorter, unless its segment ends.
const CHUNK_BYTES_MIN: usize = 32;
/// No chunk is longer, whatever the rolling hash says.
const CHUNK_BYTES_MAX: usize = 256;
/// Six bits of the rolling hash, so every 64th place ends a chunk; they depend on the last 46 bytes, so that chunks agree again soon
/// after a difference.
const BOUNDARY_MASK: u64 = 0b11_1111 << 40;

/// What kind of segment a piece of a prompt is in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, AsRefStr, EnumString, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Segment {
    /// A tool's definition.
    Tools,
    /// The response format.
    Format,
    /// A message of the system or developer.
    System,
    /// Any other message.
    Message,
}

/// A prompt's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub(super) chunks: Vec<Chunk>,
}

/// One chunk of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Hash of its text alone.
    pub(super) content: u64,
    /// Hash of everything up to its end.
    pub(super) prefix: u64,
    /// Bytes of the head up to its end.
    pub(super) end: u32,
    pub(super) segment: Segment,
}

impl Sample {
    /// The segments that its chunks are in, one after the other; short ones are one chunk each.
    pub fn segments(&self) -> Vec<Segment> {
        self.chunks.iter().map(|chunk| chunk.segment).collect()
    }

    /// Bytes up to the end of the first `chunks` chunks.
    pub(super) fn bytes(&self, chunks: usize) -> u32 {
        chunks.checked_sub(1).map_or(0, |last| self.chunks[last].end)
    }
}

/// Cuts a prompt's head into chunks as its canonical text comes: [`Sampler::segment`] before each segment, then [`Sampler::push`].
#[derive(Debug)]
pub struct Sampler {
    key: RandomState,
    roll: Hasher<'static>,
    content: std::hash::DefaultHasher,
    /// Bytes of the chunk that is open.
    open: usize,
    read: usize,
    segment: Segment,
    is_closed: bool,
    chunks: Vec<Chunk>,
}

impl Sampler {
    /// Begins a prompt. Samples are comparable where the key is the same.
    pub fn new(key: &RandomState) -> Self {
        Self {
            key: key.clone(),
            roll: Hasher::default(),
            content: key.build_hasher(),
            open: 0,
            read: 0,
            segment: Segment::Message,
            is_closed: false,
            chunks: Vec::new(),
        }
    }

    /// A segment of this kind begins. The head ends with the first message, or before it if there is something else.
    pub fn segment(&mut self, kind: Segment) {
        self.cut();
        if self.read > 0 && (kind == Segment::Message || self.segment == Segment::Message) {
            self.is_closed = true;
        }
        self.segment = kind;
    }

    /// Adds text of the segment that has begun. What is after the head or deeper than [`HEAD_BYTES_MAX`] is not read.
    pub fn push(&mut self, mut text: &[u8]) {
        text = &text[..text.len().min(HEAD_BYTES_MAX - self.read)];
        while !text.is_empty() && !self.is_closed {
            let (taken, ends) = self.next_piece(text);
            self.content.write(&text[..taken]);
            self.open += taken;
            self.read += taken;
            text = &text[taken..];
            if ends {
                self.end_chunk();
            }
        }
    }

    /// Bytes that belong to the open chunk, and whether it ends with them.
    fn next_piece(&mut self, text: &[u8]) -> (usize, bool) {
        if self.open < CHUNK_BYTES_MIN {
            let taken = text.len().min(CHUNK_BYTES_MIN - self.open);
            self.roll.update(&text[..taken]);
            return (taken, false);
        }
        let most = text.len().min(CHUNK_BYTES_MAX - self.open);
        match self.roll.next_match(&text[..most], BOUNDARY_MASK) {
            Some(taken) => (taken, true),
            None => (most, self.open + most == CHUNK_BYTES_MAX),
        }
    }

    /// Ends the chunk here, whatever comes next: a segment ends.
    pub fn cut(&mut self) {
        self.end_chunk();
        self.roll.set_hash(0);
    }

    fn end_chunk(&mut self) {
        if self.open == 0 {
            return;
        }
        let content = std::mem::replace(&mut self.content, self.key.build_hasher()).finish();
        let before = self.chunks.last().map_or(0, |chunk| chunk.prefix);
        self.chunks.push(Chunk {
            content,
            prefix: self.key.hash_one((before, content)),
            end: self.read as u32,
            segment: self.segment,
        });
        self.open = 0;
    }

    /// Whether more text would change nothing.
    pub fn is_full(&self) -> bool {
        self.is_closed || self.read == HEAD_BYTES_MAX
    }

    /// The head, its last chunk included.
    pub fn finish(mut self) -> Sample {
        self.cut();
        Sample { chunks: self.chunks }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn sample(key: &RandomState, segments: &[(Segment, &str)]) -> Sample {
        let mut sampler = Sampler::new(key);
        for (kind, text) in segments {
            sampler.segment(*kind);
            sampler.push(text.as_bytes());
        }
        sampler.finish()
    }

    /// Text without repetition.
    fn prose(words: usize) -> String {
        let word = |at: usize| ["word", &(at * 7_919 % 100_003).to_string(), " "].concat();
        (0..words).map(word).collect()
    }

    #[test]
    fn a_change_spoils_its_own_chunk_and_few_more() {
        let key = RandomState::new();
        let text = prose(2_000);
        let changed = format!("2026-11-24T08:00:01Z {text}");
        let (before, after) = (
            sample(&key, &[(Segment::System, &text)]),
            sample(&key, &[(Segment::System, &changed)]),
        );
        let known: HashSet<u64> = before.chunks.iter().map(|chunk| chunk.content).collect();
        let new = after.chunks.iter().filter(|chunk| !known.contains(&chunk.content));
        assert!(new.count() <= 3, "chunks agree again soon after the difference");
        let prefixes: HashSet<u64> = before.chunks.iter().map(|chunk| chunk.prefix).collect();
        assert!(after.chunks.iter().all(|chunk| !prefixes.contains(&chunk.prefix)));
        let mean = text.len() / before.chunks.len();
        assert!((64..128).contains(&mean), "{mean}");
    }

    #[test]
    fn the_head_ends_before_the_first_message_or_with_it() {
        let key = RandomState::new();
        let tail = (Segment::Message, "what is the weather?");
        let (tool, system) = ((Segment::Tools, "{\"a\":1}"), (Segment::System, "be kind"));
        let kinds = |segments: &[(Segment, &str)]| {
            let sample = sample(&key, segments);
            let kinds: Vec<_> = sample.chunks.iter().map(|chunk| chunk.segment).collect();
            (kinds, sample.bytes(sample.chunks.len()))
        };
        assert_eq!(
            kinds(&[tool, system, tail]),
            (vec![Segment::Tools, Segment::System], 14)
        );
        assert_eq!(kinds(&[tail, system, tail]), (vec![Segment::Message], 20));
        assert_eq!(kinds(&[tool, tail, tail, system]), (vec![Segment::Tools], 7));
        assert_eq!(kinds(&[]), (vec![], 0));
    }

    #[test]
    fn deep_heads_and_dull_ones_are_bounded() {
        let key = RandomState::new();
        let dull = sample(&key, &[(Segment::System, &"a".repeat(2 * HEAD_BYTES_MAX))]);
        assert_eq!(dull.bytes(dull.chunks.len()) as usize, HEAD_BYTES_MAX);
        assert!(dull.chunks.len() <= HEAD_BYTES_MAX / CHUNK_BYTES_MIN);
        let mut sampler = Sampler::new(&key);
        sampler.push(&vec![b'a'; HEAD_BYTES_MAX]);
        assert!(sampler.is_full());
    }

    #[test]
    fn another_key_has_other_hashes() {
        let text = [(Segment::System, "be kind")];
        let (one, other) = (RandomState::new(), RandomState::new());
        assert_eq!(sample(&one, &text), sample(&one, &text));
        assert_ne!(sample(&one, &text), sample(&other, &text));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in proptest::collection::vec(any::<u8>(), 0..3_000), at in 0_usize..3_000) {
            let key = RandomState::new();
            let at = at.min(text.len());
            let (mut whole, mut pieces) = (Sampler::new(&key), Sampler::new(&key));
            whole.push(&text);
            pieces.push(&text[..at]);
            pieces.push(&text[at..]);
            prop_assert_eq!(whole.finish(), pieces.finish());
        }
    }
}
