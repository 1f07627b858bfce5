//! Deterministic draws: the same seed and lanes give the same number on every run of one build.
//!
//! The standard hasher with its fixed keys is the generator: draws are addressed by what they are for (a request's number, a word's
//! position) instead of by order, so concurrency does not change them. Another Rust release may have another hasher, and so other
//! draws. Not for secrets.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A number for this seed and purpose.
pub fn draw(seed: u64, lane: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    lane.hash(&mut hasher);
    hasher.finish()
}

/// The same as a part of one: 0 included, 1 not.
pub fn draw_unit(seed: u64, lane: impl Hash) -> f64 {
    // 53 bits fill a double's mantissa exactly.
    (draw(seed, lane) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A whole number from `low` to `high`, both included; `low` when the range is empty.
pub fn draw_between(seed: u64, lane: impl Hash, low: u32, high: u32) -> u32 {
    let span = u64::from(high.saturating_sub(low)) + 1;
    low + (draw(seed, lane) % span) as u32
}
