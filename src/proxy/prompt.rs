//! A request's prompt as placement sees it: its chain of blocks and its size.

use crate::core::placement::chain::{Chain, ChainBuilder};
use crate::core::placement::view::Ask;
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
    let mut chain = ChainBuilder::new(scope);
    for piece in request.prompt {
        chain.push(piece.as_bytes());
        chain.cut();
    }
    let bytes: usize = request.prompt.iter().map(|piece| piece.len()).sum();
    let prompt_tokens = u32::try_from(bytes.div_ceil(4)).unwrap_or(u32::MAX);
    Prompt {
        chain: chain.finish(),
        ask: Ask {
            prompt_tokens,
            total_tokens: prompt_tokens.saturating_add(OUTPUT_DEFAULT),
            is_first_turn: !request.prompt[2].contains("\"assistant\""),
            is_cacheable: operation != WireOperation::Embeddings,
        },
    }
}
