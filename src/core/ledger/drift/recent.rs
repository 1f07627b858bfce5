//! A bounded set of hashes that forgets what nobody has asked for the longest.
//!
//! Two generations: new and asked-for hashes are in the young one; when that is full it becomes the old one, and the one that was old is
//! gone. So between [`Recent::GENERATION`] and twice as many are remembered, at about 20 bytes each.

use std::collections::HashSet;

/// Hashes that were there lately.
#[derive(Debug, Default)]
pub(super) struct Recent {
    young: HashSet<u64>,
    old: HashSet<u64>,
}

impl Recent {
    /// Hashes of a generation: the chunks of some 80 heads of 4,000 tokens that have nothing in common.
    pub(super) const GENERATION: usize = 16_384;

    /// Whether the hash was there.
    pub(super) fn contains(&self, hash: u64) -> bool {
        self.young.contains(&hash) || self.old.contains(&hash)
    }

    /// The hash is there now.
    pub(super) fn insert(&mut self, hash: u64) {
        if self.young.len() >= Self::GENERATION && !self.young.contains(&hash) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_generation_does_not_forget_the_one_before_it() {
        let mut recent = Recent::default();
        let generation = Recent::GENERATION as u64;
        (0..=generation).for_each(|hash| recent.insert(hash));
        assert!((0..=generation).all(|hash| recent.contains(hash)));
        (generation + 1..=2 * generation).for_each(|hash| recent.insert(hash));
        assert!(!recent.contains(0) && recent.contains(generation));
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let mut recent = Recent::default();
        for hash in 0..10 * Recent::GENERATION as u64 {
            recent.insert(hash);
            recent.insert(7);
            assert!(recent.young.len() <= Recent::GENERATION && recent.old.len() <= Recent::GENERATION);
        }
        let last = 10 * Recent::GENERATION as u64 - 1;
        assert_eq!([7, last, 8].map(|hash| recent.contains(hash)), [true, true, false]);
    }
}
