//! A prompt as the provider's cache sees it: a chain of block ids, each of which names everything before it too.
//!
//! The prompt's canonical text, in the provider's cache order, is cut into blocks of [`BLOCK_BYTES`], and at the end of each
//! segment (a tool, a message). A block's id is the 128-bit `HighwayHash` of the id before it and the block's text, under a key
//! that is the SHA-256 of the pool's name. So equal ids mean equal beginnings inside one pool, on every gateway alike, and no id
//! tells a byte of the prompt.
//!
//! Cost: the text copied and hashed once, memory for at most [`BLOCKS_MAX`] blocks, taken once. Why this hash:
//! `docs/adr/0014-block-hash.md`. What canonical means is the caller's: this file hashes the bytes it is given.

use highway::{HighwayHash as _, HighwayHasher, Key};
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

/// Length of a block: about 128 tokens, the step in which the provider's hits grow.
pub const BLOCK_BYTES: usize = 512;
/// How deep a prompt is read: about 16,384 tokens. What parts later than that stays together.
pub const DEPTH_BYTES: usize = 64 * 1024;
/// Most blocks of a chain: twice what [`DEPTH_BYTES`] holds, since each message ends a block, however short it is.
pub const BLOCKS_MAX: usize = 2 * DEPTH_BYTES / BLOCK_BYTES;
/// Bytes of a token, for estimates: what the provider itself counts by.
pub const BYTES_PER_TOKEN: usize = 4;

/// Names a block together with everything before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u128);

impl BlockId {
    /// The part that rendezvous hashing draws from.
    pub fn low(self) -> u64 {
        self.0 as u64
    }
}

/// The block ids of a prompt, first block first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    ids: SmallVec<[BlockId; 8]>,
    ends: SmallVec<[u32; 8]>,
}

impl Chain {
    /// A chain made elsewhere, such as one read from a trace: each block with the tokens up to its end. What is deeper than
    /// [`BLOCKS_MAX`] is dropped.
    pub fn of(blocks: impl IntoIterator<Item = (BlockId, u32)>) -> Self {
        let (ids, ends) = blocks.into_iter().take(BLOCKS_MAX).unzip();
        Self { ids, ends }
    }

    /// The ids, first block first.
    pub fn ids(&self) -> &[BlockId] {
        &self.ids
    }

    /// Tokens from the prompt's start to the end of its first `blocks` blocks, as estimated from bytes.
    pub fn tokens(&self, blocks: usize) -> u32 {
        let last = blocks.min(self.ends.len());
        last.checked_sub(1).map_or(0, |last| self.ends[last])
    }

    /// Leading blocks that end within so many tokens; the first one in any case.
    pub fn blocks_within(&self, tokens: u32) -> usize {
        let within = self.ends.partition_point(|&end| end <= tokens);
        within.max(1).min(self.ends.len())
    }

    /// Number of blocks.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no block, since the prompt is empty.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Bytes of an id.
const ID_BYTES: usize = size_of::<BlockId>();

/// Cuts a prompt into blocks as its text comes.
#[derive(Debug)]
pub struct ChainBuilder {
    key: Key,
    /// The id before the open block, then the block's text.
    open: [u8; ID_BYTES + BLOCK_BYTES],
    /// Bytes of the open block.
    filled: usize,
    read: usize,
    chain: Chain,
}

/// What chains of one scope (a pool) are made under. Those of different scopes have no id in common.
#[derive(Debug, Clone, Copy)]
pub struct ChainKey([u64; 4]);

impl ChainKey {
    /// Of the scope of this name.
    pub fn new(name: &str) -> Self {
        let seed = Sha256::digest(name.as_bytes());
        let (words, _) = seed.as_chunks::<8>();
        let mut key = [0; 4];
        for (word, bytes) in key.iter_mut().zip(words) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self(key)
    }
}

impl ChainBuilder {
    /// Begins a chain.
    pub fn new(key: ChainKey) -> Self {
        Self {
            key: Key(key.0),
            open: [0; ID_BYTES + BLOCK_BYTES],
            filled: 0,
            read: 0,
            chain: Chain::default(),
        }
    }

    /// Adds text. What is deeper than [`DEPTH_BYTES`] or [`BLOCKS_MAX`] is not read.
    pub fn push(&mut self, mut text: &[u8]) {
        while !text.is_empty() && !self.is_full() {
            let room = (BLOCK_BYTES - self.filled).min(DEPTH_BYTES - self.read);
            let (taken, rest) = text.split_at(text.len().min(room));
            let begin = ID_BYTES + self.filled;
            self.open[begin..begin + taken.len()].copy_from_slice(taken);
            self.filled += taken.len();
            self.read += taken.len();
            text = rest;
            if self.filled == BLOCK_BYTES {
                self.cut();
            }
        }
    }

    /// Ends the block here: a segment ends.
    pub fn cut(&mut self) {
        if self.filled == 0 || self.chain.len() == BLOCKS_MAX {
            return;
        }
        if self.chain.ids.len() == self.chain.ids.inline_size() {
            // Once for a long prompt, not at every doubling.
            self.chain.ids.reserve_exact(BLOCKS_MAX);
            self.chain.ends.reserve_exact(BLOCKS_MAX);
        }
        let [low, high] = HighwayHasher::new(self.key).hash128(&self.open[..ID_BYTES + self.filled]);
        let id = u128::from(high) << 64 | u128::from(low);
        self.open[..ID_BYTES].copy_from_slice(&id.to_le_bytes());
        self.chain.ids.push(BlockId(id));
        self.chain.ends.push((self.read / BYTES_PER_TOKEN) as u32);
        self.filled = 0;
    }

    /// Blocks so far, without the one that is open.
    pub fn blocks(&self) -> usize {
        self.chain.len()
    }

    /// Whether more text would change nothing.
    pub fn is_full(&self) -> bool {
        self.read == DEPTH_BYTES || self.chain.len() == BLOCKS_MAX
    }

    /// The chain, the last block included even if it is not full.
    pub fn finish(mut self) -> Chain {
        self.cut();
        self.chain
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chain(scope: &str, segments: &[&str]) -> Chain {
        let mut builder = ChainBuilder::new(ChainKey::new(scope));
        for segment in segments {
            builder.push(segment.as_bytes());
            builder.cut();
        }
        builder.finish()
    }

    /// Leading ids that two chains have in common.
    fn shared(a: &Chain, b: &Chain) -> usize {
        a.ids().iter().zip(b.ids()).take_while(|(a, b)| a == b).count()
    }

    #[test]
    fn equal_beginnings_have_equal_ids_and_nothing_after_a_difference_has() {
        let (long, other) = ("a".repeat(2_000), format!("{}b{}", "a".repeat(1_100), "a".repeat(899)));
        let (first, second) = (chain("p", &[&long]), chain("p", &[&other]));
        assert_eq!((first.len(), shared(&first, &second)), (4, 2));
        let ids: std::collections::HashSet<_> = first.ids().iter().chain(second.ids()).collect();
        assert_eq!(
            ids.len(),
            6,
            "the third and fourth blocks differ, although the fourth's text is the same"
        );
    }

    #[test]
    fn a_message_ends_a_block() {
        let (asked, answered) = (chain("p", &["system", "hello"]), chain("p", &["system", "hello", "hi"]));
        assert_eq!((shared(&asked, &answered), answered.len()), (2, 3));
        assert_ne!(chain("p", &["ab", "c"]), chain("p", &["a", "bc"]));
    }

    #[test]
    fn pools_share_no_id_and_an_empty_prompt_has_none() {
        assert_eq!(shared(&chain("a", &["x"]), &chain("b", &["x"])), 0);
        assert!(chain("a", &["", ""]).is_empty());
    }

    #[test]
    fn deep_and_finely_cut_prompts_are_bounded() {
        let deep = "d".repeat(DEPTH_BYTES + 5_000);
        assert_eq!(chain("p", &[&deep]).len(), DEPTH_BYTES / BLOCK_BYTES);
        assert_eq!(chain("p", &[&deep]), chain("p", &[&deep[..DEPTH_BYTES]]));
        assert_eq!(chain("p", &["x"; 2 * BLOCKS_MAX]).len(), BLOCKS_MAX);
    }

    #[test]
    fn tokens_are_counted_to_a_blocks_end() {
        let chain = chain("p", &[&"a".repeat(600), "bcd"]);
        assert_eq!(
            [0, 1, 2, 3, 9].map(|blocks| chain.tokens(blocks)),
            [0, 128, 150, 150, 150]
        );
        assert_eq!([0, 149, 150].map(|tokens| chain.blocks_within(tokens)), [1, 1, 3]);
        assert_eq!(Chain::default().blocks_within(9), 0);
    }

    #[test]
    fn a_short_block_is_no_long_one_with_zeros_after_it() {
        let zeros = "\0".repeat(BLOCK_BYTES);
        let ids: std::collections::HashSet<_> = [1, 3, 64, 100, 128, 448, 511, 512]
            .into_iter()
            .flat_map(|length| [(length, "a"), (length, "\0")])
            .map(|(length, first)| chain("p", &[&format!("{first}{}", &zeros[1..length])]).ids()[0])
            .collect();
        assert_eq!(ids.len(), 16);
    }

    #[test]
    fn ids_are_fixed_for_ever() {
        // Replicas of different versions must agree, so these values may never change.
        assert_eq!(
            chain("pool", &["system"]).ids(),
            [BlockId(122_702_219_535_340_639_573_521_135_890_894_496_959)]
        );
    }

    #[test]
    fn every_machine_makes_the_same_ids() {
        // What a machine without vector instructions would make of it.
        let text: String = ('!'..='~').cycle().take(BLOCK_BYTES + 77).collect();
        let key = ChainBuilder::new(ChainKey::new("p")).key;
        let mut before = 0_u128;
        for (id, block) in chain("p", &[&text])
            .ids()
            .iter()
            .zip(text.as_bytes().chunks(BLOCK_BYTES))
        {
            let input = [&before.to_le_bytes(), block].concat();
            let [low, high] = highway::PortableHash::new(key).hash128(&input);
            before = u128::from(high) << 64 | u128::from(low);
            assert_eq!(id.0, before);
        }
        assert_ne!(before, 0);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in proptest::collection::vec(any::<u8>(), 0..3_000), at in 0_usize..3_000) {
            let at = at.min(text.len());
            let (mut whole, mut pieces) = (ChainBuilder::new(ChainKey::new("p")), ChainBuilder::new(ChainKey::new("p")));
            whole.push(&text);
            pieces.push(&text[..at]);
            pieces.push(&text[at..]);
            prop_assert_eq!(whole.finish(), pieces.finish());
        }
    }
}
