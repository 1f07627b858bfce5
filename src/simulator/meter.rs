//! What a deployment was used for, as the service would bill it and as its sweeper looks at it.
//!
//! Only answers that began count: their tokens are charged, and they are what keeps a fine-tuned deployment from being deleted.
//! Nothing resets a meter; a deployment that is made anew has a new one.

use std::sync::atomic::{AtomicU64, Ordering};

/// One deployment's meter.
#[derive(Debug, Default)]
pub struct Meter {
    last_success_ms: AtomicU64,
    answers: AtomicU64,
    prompt_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    output_tokens: AtomicU64,
}

/// What a meter has counted since its deployment was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Answers that began.
    pub answers: u64,
    /// Prompt tokens of those, cached ones included.
    pub prompt_tokens: u64,
    /// Those found in the cache.
    pub cached_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

impl Meter {
    /// A use at this time, in milliseconds since the Unix epoch. Times may come out of order.
    pub fn used(&self, at_ms: u64) {
        self.last_success_ms.fetch_max(at_ms, Ordering::AcqRel);
    }

    /// An answer that began has ended, fully or not.
    pub fn charge(&self, prompt_tokens: u32, cached_tokens: u32, output_tokens: u32) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.prompt_tokens.fetch_add(prompt_tokens.into(), Ordering::Relaxed);
        self.cached_tokens.fetch_add(cached_tokens.into(), Ordering::Relaxed);
        self.output_tokens.fetch_add(output_tokens.into(), Ordering::Relaxed);
    }

    /// When it was last used, if ever.
    pub fn last_success_ms(&self) -> Option<u64> {
        Some(self.last_success_ms.load(Ordering::Acquire)).filter(|&at| at > 0)
    }

    /// The counts.
    pub fn read(&self) -> Reading {
        Reading {
            answers: self.answers.load(Ordering::Relaxed),
            prompt_tokens: self.prompt_tokens.load(Ordering::Relaxed),
            cached_tokens: self.cached_tokens.load(Ordering::Relaxed),
            output_tokens: self.output_tokens.load(Ordering::Relaxed),
        }
    }
}

impl Reading {
    /// What was counted since an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            answers: self.answers - earlier.answers,
            prompt_tokens: self.prompt_tokens - earlier.prompt_tokens,
            cached_tokens: self.cached_tokens - earlier.cached_tokens,
            output_tokens: self.output_tokens - earlier.output_tokens,
        }
    }
}
