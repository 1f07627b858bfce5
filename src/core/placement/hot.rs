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
    /// Prompt tokens a minute that come with it to all gateways together, as this one reckons: a mean of the counters' window, so it falls
    /// by half in each half-life without traffic.
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

    /// The hottest as of `now`, at most `most`. `left` is the part that is left of a rate that was reckoned at the time it is given.
    pub(super) fn top(&self, most: usize, now: Duration, left: impl Fn(Duration) -> f64) -> Vec<HotHead> {
        let recent = self.0.iter().filter(|(_, (_, at))| now.saturating_sub(*at) <= HOT_FOR);
        let as_of_now = recent.map(|(_, (head, at))| HotHead {
            tokens_per_minute: head.tokens_per_minute * left(*at),
            ..*head
        });
        let mut heads: Vec<HotHead> = as_of_now.collect();
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
                .top(3, Duration::from_secs(now), |_| 1.0)
                .iter()
                .map(|head| head.id.0)
                .collect()
        };
        assert_eq!(ids(990), [99, 98, 97]);
        assert_eq!(ids(980 + 600), [99, 98]);
        let all = heads.top(1_000, Duration::from_secs(990), |_| 1.0);
        assert!(all.len() <= HEADS_MAX.get());
    }

    #[test]
    fn heads_are_ranked_by_what_is_left_of_their_rates() {
        let mut heads = HotHeads::default();
        for (id, tokens_per_minute, at) in [(1, 1_000.0, 0), (2, 600.0, 420)] {
            let head = HotHead {
                id: BlockId(id),
                homes: 2,
                tokens_per_minute,
            };
            heads.note(head, Duration::from_secs(at));
        }
        let now = Duration::from_mins(7);
        let half_life = |at: Duration| (-(now.saturating_sub(at).as_secs_f64()) / 420.0).exp2();
        let top = heads.top(2, now, half_life);
        let told: Vec<_> = top
            .iter()
            .map(|head| (head.id.0, head.tokens_per_minute.round() as u64))
            .collect();
        assert_eq!(told, [(2, 600), (1, 500)]);
    }
}
