//! The `usage` object of an answer: tokens in, cached, out. Read leniently, since members come and go; chat counts prompt and
//! completion, a response input and output.

use serde::Deserialize;

/// Token counts as the provider reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Prompt tokens, cached ones included.
    pub prompt: u64,
    /// Prompt tokens found in the provider's cache.
    pub cached: u64,
    /// Completion tokens.
    pub completion: u64,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<WireDetails>,
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    input_tokens_details: Option<WireDetails>,
}

#[derive(Deserialize)]
struct WireDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

/// The one member of an answer that is read.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    usage: Option<Wire>,
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer).map(Self::from)
    }
}

/// More tokens than any answer has. What is beyond it is no count, and sums of it would be none either.
const TOKENS_MAX: u64 = 1 << 40;

impl From<Wire> for Usage {
    fn from(wire: Wire) -> Self {
        let prompt = wire.prompt_tokens.or(wire.input_tokens).unwrap_or(0).min(TOKENS_MAX);
        let cached = wire
            .prompt_tokens_details
            .or(wire.input_tokens_details)
            .and_then(|details| details.cached_tokens)
            .unwrap_or(0);
        Self {
            prompt,
            cached: cached.min(prompt),
            completion: wire
                .completion_tokens
                .or(wire.output_tokens)
                .unwrap_or(0)
                .min(TOKENS_MAX),
        }
    }
}

/// Reads the usage of a whole answer or of one stream chunk. None when it has none, or is not understood.
pub fn of_answer(json: &[u8]) -> Option<Usage> {
    serde_json::from_slice::<Answer>(json).ok()?.usage.map(Usage::from)
}

/// Tokens that a text of this many bytes is about, at four bytes a token: for estimates only.
pub fn estimate_tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there() {
        let usage = |text: &str| of_answer(text.as_bytes());
        assert_eq!(
            usage(
                r#"{"usage":{"prompt_tokens":10,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":8}}}"#
            ),
            Some(Usage {
                prompt: 10,
                cached: 8,
                completion: 3
            })
        );
        assert_eq!(
            usage(r#"{"usage":{"prompt_tokens":10,"prompt_tokens_details":null,"new":1}}"#),
            Some(Usage {
                prompt: 10,
                cached: 0,
                completion: 0
            })
        );
        assert_eq!(
            usage(
                r#"{"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":8},"output_tokens":3,
                    "output_tokens_details":{"reasoning_tokens":1},"total_tokens":13}}"#
            ),
            Some(Usage {
                prompt: 10,
                cached: 8,
                completion: 3
            })
        );
        assert_eq!(usage(r#"{"usage":null}"#), None);
        assert_eq!(usage(r#"{"choices":[]}"#), None);
        assert_eq!(usage("<html>"), None);
    }

    #[test]
    fn counts_that_are_none_are_cut() {
        let text = br#"{"usage":{"prompt_tokens":18446744073709551615,"completion_tokens":18446744073709551615}}"#;
        let usage = of_answer(text).expect("usage");
        assert_eq!((usage.prompt, usage.completion), (TOKENS_MAX, TOKENS_MAX));
    }

    #[test]
    fn more_cached_than_prompted_is_cut() {
        let text = br#"{"usage":{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":9}}}"#;
        assert_eq!(
            of_answer(text),
            Some(Usage {
                prompt: 5,
                cached: 5,
                completion: 0
            })
        );
    }
}
