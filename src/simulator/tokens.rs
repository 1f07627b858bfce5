//! How many tokens is this text? Four bytes of UTF-8 make one, rounded up.
//!
//! English comes out near the real count (about four characters a token) and other scripts higher, as they do in
//! reality. A real tokenizer would add megabytes and change no behaviour that a gateway can see, so there is none.

/// Bytes of text that make a token.
pub const BYTES_PER_TOKEN: usize = 4;

/// Tokens in a text.
pub fn count(text: &str) -> u32 {
    u32::try_from(text.len().div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX)
}
