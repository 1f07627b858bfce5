//! The newest requests in memory, for what-if questions on the page: always there, without a file.
//!
//! Bounded by number and by bytes; the oldest go first. Nothing of it is ever written or sent, so blocks keep the names by which the
//! gateway placed them (placement remembers the same names): a what-if then finds their real homes. Like a trace it holds lengths, times
//! and hashes, never text.
//!
//! Cost of a request: a copy of its chain (at most 5 KiB) and a lock for a moment.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::core::placement::chain::BlockId;
use crate::core::recorded::TraceRecord;

/// Most requests that may be asked for.
pub const REQUESTS_MAX: usize = 20_000;
/// Memory that they take at most, in bytes.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// The newest requests.
#[derive(Debug)]
pub struct Recent {
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    requests: VecDeque<Arc<TraceRecord>>,
    bytes: usize,
}

impl Recent {
    /// Keeps at most so many; none at all for 0.
    pub fn new(most: usize) -> Option<Self> {
        (most > 0).then(|| Self {
            most: most.min(REQUESTS_MAX),
            kept: Mutex::default(),
        })
    }

    /// Takes one more; the oldest go where there is no room.
    pub fn note(&self, record: TraceRecord) {
        let bytes = bytes_of(&record);
        let record = Arc::new(record);
        let mut gone = Vec::new();
        let mut kept = self.kept.lock();
        kept.requests.push_back(record);
        kept.bytes += bytes;
        while kept.requests.len() > self.most || kept.bytes > BYTES_MAX {
            let Some(oldest) = kept.requests.pop_front() else { break };
            kept.bytes -= bytes_of(&oldest);
            gone.push(oldest);
        }
        drop(kept);
        // Freed after the lock.
        drop(gone);
    }

    /// All of them, by arrival.
    pub fn all(&self) -> Vec<Arc<TraceRecord>> {
        let mut all: Vec<_> = self.kept.lock().requests.iter().cloned().collect();
        // They are noted as they end.
        all.sort_by_key(|record| record.at_ms);
        all
    }
}

/// Memory that a record takes.
fn bytes_of(record: &TraceRecord) -> usize {
    let blocks = record.chain.len() * (size_of::<BlockId>() + size_of::<u32>());
    size_of::<TraceRecord>() + blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::placement::chain::Chain;
    use crate::core::placement::policy::Policy;
    use crate::core::placement::view::Ask;

    fn record(at_ms: i64, blocks: u32) -> TraceRecord {
        TraceRecord {
            at_ms,
            chain: Chain::of((1..=blocks).map(|block| (BlockId(block.into()), 128 * block))),
            prompt_tokens: 1,
            used: None,
            ask: Ask {
                prompt_tokens: 1,
                total_tokens: 1,
                is_first_turn: true,
                is_cacheable: true,
                session: None,
                draw: 0,
            },
            route: "support".into(),
            pool: None,
            policy: Policy::Nested,
            took_ms: 0,
        }
    }

    #[test]
    fn the_newest_stay_in_order_of_arrival() {
        let recent = Recent::new(3).expect("some");
        for at in [5, 1, 4, 3, 2] {
            recent.note(record(at, 1));
        }
        let at: Vec<i64> = recent.all().iter().map(|record| record.at_ms).collect();
        assert_eq!(at, [2, 3, 4]);
        assert!(Recent::new(0).is_none());
    }

    #[test]
    fn long_prompts_take_the_room_of_more_short_ones() {
        let recent = Recent::new(usize::MAX).expect("some");
        for at in 0..20_001 {
            recent.note(record(at, 1));
        }
        assert_eq!(recent.all().len(), REQUESTS_MAX);
        for at in 0..10_000 {
            recent.note(record(at, 256));
        }
        let kept = recent.all();
        assert!(kept.len() < 7_000, "{}", kept.len());
        let bytes: usize = kept.iter().map(|record| bytes_of(record)).sum();
        assert!(bytes <= BYTES_MAX && bytes > BYTES_MAX - 10_000);
        assert_eq!(recent.kept.lock().bytes, bytes);
    }
}
