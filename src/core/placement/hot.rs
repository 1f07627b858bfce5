//! The heads that have several homes: the few that matter for metrics and for whoever asks why load looks as it does.

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use super::chain::BlockId;

/// Heads that are remembered.
const HEADS_MAX: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// One that nobody asked for in so long is not hot any more.
const HOT_FOR: Duration = Duration::from_mins(10);

/// A head that has several homes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HotHead {
    /// Its last block.
    pub id: BlockId,
    /// Its homes.
    pub homes: usize,
    /// Prompt tokens a minute that come with it to all gateways together, as this one reckons.
    pub tokens_per_minute: f64,
}

/// Hot heads, those least asked for forgotten first.
#[derive(Debug)]
pub(super) struct HotHeads(LruCache<BlockId, (HotHead, Duration)>);

impl Default for HotHeads {
    fn default() -> Self {
        Self(LruCache::new(HEADS_MAX))
    }
}

impl HotHeads {
    /// A prompt came whose head has several homes.
    pub(super) fn note(&mut self, head: HotHead, now: Duration) {
        self.0.put(head.id, (head, now));
    }

    /// The hottest, at most `most`.
    pub(super) fn top(&self, most: usize, now: Duration) -> Vec<HotHead> {
        let recent = self.0.iter().filter(|(_, (_, at))| now.saturating_sub(*at) <= HOT_FOR);
        let mut heads: Vec<HotHead> = recent.map(|(_, (head, _))| *head).collect();
        heads.sort_by(|a, b| {
            b.tokens_per_minute
                .total_cmp(&a.tokens_per_minute)
                .then(a.id.cmp(&b.id))
        });
        heads.truncate(most);
        heads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_come_first_and_cold_ones_not_at_all() {
        let mut heads = HotHeads::default();
        for n in 0..100_u128 {
            let head = HotHead {
                id: BlockId(n),
                homes: 2,
                tokens_per_minute: n as f64,
            };
            heads.note(head, Duration::from_secs(n as u64 * 10));
        }
        let ids = |now| -> Vec<u128> {
            heads
                .top(3, Duration::from_secs(now))
                .iter()
                .map(|head| head.id.0)
                .collect()
        };
        assert_eq!(ids(990), [99, 98, 97]);
        assert_eq!(ids(980 + 600), [99, 98]);
        assert!(heads.top(1_000, Duration::from_secs(990)).len() <= HEADS_MAX.get());
    }
}
