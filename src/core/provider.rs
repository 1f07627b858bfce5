//! What the provider says of its prompt cache: the numbers that placement, the miss ledger and the proxy reckon with.
//!
//! Source: Azure OpenAI's documentation of prompt caching (2026).

/// The provider caches no shorter prompt, in tokens.
pub const CACHEABLE_TOKENS: u32 = 1_024;
/// Steps in which hits grow beyond that, in tokens.
pub const STEP_TOKENS: u32 = 128;
/// Tokens of a prompt's beginning that the provider hashes, with `prompt_cache_key`, to choose a machine.
pub const ROUTING_TOKENS: u32 = 256;
