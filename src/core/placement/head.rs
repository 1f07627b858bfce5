//! The key of a prompt's head: equal for prompts that the provider's cache could share.
//!
//! Azure's prompt cache finds nothing unless the first 1,024 tokens of two prompts are the same, so exactly that much
//! decides: the first [`HEAD_BYTES`] bytes of the prompt, in the provider's cache order. Less would pile prompts that
//! share nothing useful onto one deployment; more would scatter prompts that differ only in their tails. A prompt that
//! is shorter than its head is rarely cached (it would need 1,024 tokens of under three bytes each); its key is that of its whole
//! text, which spreads such prompts evenly.
//!
//! Cost: one SHA-256 over at most 3 KiB, about 1.7 µs. SHA-256, because the key decides who shares a deployment with
//! whom, and a client must not be able to choose it.

use sha2::{Digest, Sha256};

/// 1,024 tokens at three bytes a token: dense text (code, non-Latin scripts) has few bytes a token, and a head cut a little
/// early only joins prompts that differ late.
pub const HEAD_BYTES: usize = 3 * 1024;

/// The key of a prompt's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeadKey {
    /// Uniformly distributed.
    pub hash: u64,
    /// Whether the prompt is shorter than a head, so that the provider hardly ever caches it.
    pub is_short: bool,
}

/// The key of a prompt, given as its pieces in the provider's cache order. The scope (the pool's name) keeps pools apart.
pub fn key(scope: &str, prompt: &[&str]) -> HeadKey {
    let mut hash = Sha256::new();
    hash.update((scope.len() as u64).to_le_bytes());
    hash.update(scope.as_bytes());
    let mut left = HEAD_BYTES;
    for piece in prompt {
        let taken = &piece.as_bytes()[..piece.len().min(left)];
        hash.update(taken);
        left -= taken.len();
    }
    let digest = hash.finalize();
    let first = digest
        .iter()
        .take(8)
        .fold(0_u64, |value, &byte| (value << 8) | u64::from(byte));
    HeadKey {
        hash: first,
        is_short: left > 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_head_with_different_tails_is_one_key() {
        let head = "h".repeat(HEAD_BYTES);
        let with = |tail: &str| key("pool", &["", &format!("{head}{tail}")]);
        assert_eq!(with("a"), with("b, and much longer"));
        assert!(!with("a").is_short);
    }

    #[test]
    fn one_byte_inside_the_head_another_key() {
        let head = "h".repeat(HEAD_BYTES - 1);
        assert_ne!(key("pool", &[&format!("{head}a")]), key("pool", &[&format!("{head}b")]));
    }

    #[test]
    fn pools_and_short_prompts() {
        assert_ne!(key("a", &["x"]).hash, key("b", &["x"]).hash);
        assert!(key("a", &["x"]).is_short);
    }

    #[test]
    fn the_head_runs_across_pieces() {
        let tools = "t".repeat(HEAD_BYTES - 1);
        assert_eq!(key("p", &[&tools, "ma"]), key("p", &[&tools, "mb"]));
    }
}
