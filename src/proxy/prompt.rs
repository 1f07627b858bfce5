//! A request's prompt as placement sees it: its chain of blocks and its size.

use crate::core::placement::chain::{BYTES_PER_TOKEN, Chain, ChainBuilder};
use crate::core::placement::view::Ask;
use crate::openai::canonical::{self, Sink};
use crate::openai::request::Request;
use crate::openai::target::WireOperation;

/// Output tokens that the provider reckons with where the request names no limit.
const OUTPUT_DEFAULT: u32 = 16;

/// What placement must know of a request.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Its blocks, within the pool's scope.
    pub chain: Chain,
    /// Its size and kind.
    pub ask: Ask,
}

/// Reads a prompt. Nothing of it is kept but hashes.
pub fn read(scope: &str, request: &Request<'_>, operation: WireOperation) -> Prompt {
    let mut blocks = Blocks(ChainBuilder::new(scope));
    let shape = canonical::write(request, &mut blocks);
    let prompt_tokens = u32::try_from(shape.bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX);
    let output_tokens = request.output_tokens_max().unwrap_or_else(|| u64::from(OUTPUT_DEFAULT));
    Prompt {
        chain: blocks.0.finish(),
        ask: Ask {
            prompt_tokens,
            total_tokens: prompt_tokens.saturating_add(u32::try_from(output_tokens).unwrap_or(u32::MAX)),
            is_first_turn: shape.is_first_turn,
            is_cacheable: operation != WireOperation::Embeddings,
        },
    }
}

/// The canonical form is cut into blocks as it comes.
struct Blocks(ChainBuilder);

impl Sink for Blocks {
    fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    fn end_segment(&mut self) {
        self.0.cut();
    }

    fn is_full(&self) -> bool {
        self.0.is_full()
    }
}
