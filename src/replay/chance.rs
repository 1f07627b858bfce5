//! Chance from a seed: the same seed plays the same run.

use crate::core::placement::rendezvous;

/// A sequence of numbers.
#[derive(Debug, Clone)]
pub(super) struct Chance {
    state: u64,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: rendezvous::spread(seed),
        }
    }

    /// A number below `n`; 0 for 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let drawn = rendezvous::spread(self.state);
        ((u128::from(drawn) * n as u128) >> 64) as usize
    }
}
