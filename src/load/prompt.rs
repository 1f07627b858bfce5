//! The text that is sent: plain words, the same for the same seed, shaped like a fleet's real traffic.
//!
//! A *head* is the system message that many conversations share: what a prompt cache can hold. A *tail* is one user
//! message, unlike any other of the run. Which head a conversation takes is drawn at random rather than in turn: in
//! turn, as many heads as deployments would make a round-robin gateway look as if it kept heads together.
//!
//! Lengths are in tokens of four characters, which is near enough for English and exact enough for a load; the report
//! shows the endpoint's own counts. The text is never logged or recorded.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::plan::PromptShape;

/// Characters taken for one token.
pub const CHARS_PER_TOKEN: usize = 4;

/// Short everyday words, so that four characters a token is about right.
const WORDS: &[&str] = &[
    "the", "order", "was", "sent", "to", "a", "new", "house", "and", "came", "back", "late", "with", "no", "note",
    "so", "please", "check", "what", "is", "in", "our", "records", "before", "you", "reply", "customer", "asks",
    "about", "price", "of", "blue", "chair", "that", "stood", "near", "window", "when", "rain", "began", "last",
    "week", "he", "says", "box", "had", "been", "open", "for", "days", "by", "then", "each", "part", "must", "be",
    "counted", "twice", "write", "short", "answer", "kind", "clear", "names", "first", "list", "next", "step", "if",
    "refund", "due", "ask", "how", "they", "paid", "card", "or", "bank", "never", "promise", "date", "unless", "store",
    "has", "it", "on", "shelf", "today", "thank", "them", "at", "end", "use", "their", "own", "words", "where", "can",
    "keep", "tone", "warm", "but", "plain", "some", "goods", "are", "heavy", "need", "two", "people", "carry", "up",
    "stairs", "tell", "driver", "call", "ahead", "morning", "most", "shops", "close", "early", "friday", "field",
    "staff", "may", "visit", "after", "lunch",
];

/// What a number is drawn for; keeps the draws of one seed apart.
#[derive(Clone, Copy)]
enum Draw {
    Head = 1,
    Tail = 2,
    Choice = 3,
}

/// The prompts of one run.
#[derive(Debug, Clone)]
pub struct Prompts {
    heads: Vec<Arc<str>>,
    tail_chars: usize,
    seed: u64,
}

impl Prompts {
    /// Makes all heads, O(text); tails are made when asked for.
    pub fn new(shape: &PromptShape) -> Self {
        let head_chars = shape.head_tokens as usize * CHARS_PER_TOKEN;
        let heads = (0..u64::from(shape.heads.get()))
            .map(|number| {
                let label = format!("You are assistant {number}.");
                Arc::from(text(&label, head_chars, &mut rng(shape.seed, Draw::Head, number, 0)))
            })
            .collect();
        Self {
            heads,
            tail_chars: shape.tail_tokens as usize * CHARS_PER_TOKEN,
            seed: shape.seed,
        }
    }

    /// The head of conversation `conversation`.
    pub fn head(&self, conversation: u64) -> Arc<str> {
        let index = rng(self.seed, Draw::Choice, conversation, 0).random_range(0..self.heads.len().max(1));
        self.heads.get(index).cloned().unwrap_or_default()
    }

    /// The user message of turn `turn` of conversation `conversation`.
    pub fn tail(&self, conversation: u64, turn: u32) -> String {
        let label = format!("Case {}-{conversation}-{turn}:", self.seed);
        text(
            &label,
            self.tail_chars,
            &mut rng(self.seed, Draw::Tail, conversation, turn),
        )
    }
}

/// A generator for one text.
fn rng(seed: u64, draw: Draw, number: u64, turn: u32) -> StdRng {
    let mut lanes = [0u8; 32];
    let (first, rest) = lanes.split_at_mut(8);
    let (second, rest) = rest.split_at_mut(8);
    first.copy_from_slice(&seed.to_le_bytes());
    second.copy_from_slice(&number.to_le_bytes());
    rest[..4].copy_from_slice(&turn.to_le_bytes());
    rest[4] = draw as u8;
    StdRng::from_seed(lanes)
}

/// `label`, then words up to `chars` characters; the label is never cut, since it is what makes the text its own.
fn text(label: &str, chars: usize, rng: &mut StdRng) -> String {
    let mut text = String::with_capacity(chars.max(label.len()) + 16);
    text.push_str(label);
    while text.len() < chars {
        text.push(' ');
        text.push_str(WORDS[rng.random_range(0..WORDS.len())]);
    }
    text.truncate(chars.max(label.len()));
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::num::NonZeroU32;

    use super::*;

    fn prompts(seed: u64) -> Prompts {
        Prompts::new(&PromptShape {
            heads: NonZeroU32::new(4).unwrap(),
            head_tokens: 500,
            tail_tokens: 20,
            turns: NonZeroU32::MIN,
            max_tokens: 1,
            stamp_after: None,
            seed,
            first_conversation: 0,
        })
    }

    #[test]
    fn the_same_seed_gives_the_same_text_of_the_asked_length() {
        let (one, again, other) = (prompts(7), prompts(7), prompts(8));
        assert_eq!(one.head(3), again.head(3));
        assert_eq!(one.tail(3, 1), again.tail(3, 1));
        assert_ne!(one.tail(3, 1), other.tail(3, 1));
        assert_eq!((one.head(3).len(), one.tail(3, 1).len()), (2000, 80));
    }

    #[test]
    fn heads_are_shared_and_tails_are_not() {
        let prompts = prompts(1);
        let heads: HashSet<_> = (0..200).map(|number| prompts.head(number)).collect();
        let tails: HashSet<_> = (0..200)
            .flat_map(|number| [prompts.tail(number, 0), prompts.tail(number, 1)])
            .collect();
        assert_eq!((heads.len(), tails.len()), (4, 400));
    }

    #[test]
    fn a_tail_shorter_than_its_label_is_still_unique() {
        let mut prompts = prompts(1);
        prompts.tail_chars = 0;
        assert_ne!(prompts.tail(1, 0), prompts.tail(2, 0));
    }
}
