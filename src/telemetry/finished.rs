//! Where finished requests wait for those who keep history of them or tell others: one queue, emptied once a second.
//!
//! Leaving one is a short lock and a move into memory that the queue keeps; nobody is woken. What finds no room is dropped and
//! counted: the usage record, by which money is charged, goes its own way.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::core::ledger::finished::Finished;

/// Requests that wait at most: those of a second, and far more than a gateway can finish in one. Some 600 bytes each, so 40 MiB.
pub const WAITING_MAX: usize = 65_536;

/// Finished requests, in the order in which they ended.
#[derive(Debug, Default)]
pub struct FinishedQueue {
    waiting: Mutex<Vec<Finished>>,
    dropped: AtomicU64,
}

/// Somebody who is told of every finished request. Called by one task, so it may keep state; it must not wait for anything.
pub trait FinishedConsumer: Send {
    /// Takes requests that have finished: some of those of the last second, at most [`PIECE_MAX`].
    fn take(&mut self, finished: &[Finished]);

    /// The second's requests have all been taken; also called when there were none. `now_ms` is in milliseconds since the Unix epoch.
    fn second(&mut self, _now_ms: i64) {}
}

/// Requests that a consumer gets at once: between pieces other tasks may run.
pub const PIECE_MAX: usize = 512;
/// Requests that memory is kept for when fewer finish: 2.4 MiB.
const ROOM_KEPT: usize = 4_096;

/// Forgets requests that were taken. Memory beyond twice what they needed is given back, so that a burst's is not kept for good.
pub fn forget(taken: &mut Vec<Finished>) {
    let room = taken.len().saturating_mul(2).max(ROOM_KEPT);
    taken.clear();
    taken.shrink_to(room);
}

impl FinishedQueue {
    /// Leaves a request. Says whether there was room.
    pub fn leave(&self, finished: Finished) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.len() < WAITING_MAX {
            waiting.push(finished);
            return true;
        }
        drop(waiting);
        self.dropped.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Exchanges what waits for an emptied vector, so that both keep their memory. [`forget`] empties it afterwards.
    pub fn take(&self, empty: &mut Vec<Finished>) {
        empty.clear();
        std::mem::swap(&mut *self.waiting.lock(), empty);
    }

    /// Requests lost so far because nobody took them in time.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::finished::testing::finished;

    #[test]
    fn what_is_left_is_taken_once_and_in_order() {
        let (queue, mut taken) = (FinishedQueue::default(), Vec::new());
        for at_ms in [7, 5, 6] {
            assert!(queue.leave(finished(at_ms)));
        }
        queue.take(&mut taken);
        let times = |taken: &[Finished]| -> Vec<i64> { taken.iter().map(|one| one.record.started_at_ms).collect() };
        assert_eq!(times(&taken), [7, 5, 6]);
        queue.leave(finished(8));
        queue.take(&mut taken);
        assert_eq!(times(&taken), [8]);
        queue.take(&mut taken);
        assert!(taken.is_empty());
    }

    #[test]
    fn beyond_its_room_requests_are_dropped_and_counted() {
        let queue = FinishedQueue::default();
        let one = finished(1);
        assert!((0..WAITING_MAX).all(|_| queue.leave(one.clone())));
        assert!(!queue.leave(one.clone()) && !queue.leave(one.clone()));
        assert_eq!(queue.dropped(), 2);
        let mut taken = Vec::new();
        queue.take(&mut taken);
        assert_eq!(taken.len(), WAITING_MAX);
        assert!(queue.leave(one), "there is room again");
    }

    #[test]
    fn a_bursts_memory_is_given_back_within_two_seconds() {
        let (queue, mut taken) = (FinishedQueue::default(), Vec::new());
        let one = finished(1);
        let mut second = |requests: usize| {
            for _ in 0..requests {
                queue.leave(one.clone());
            }
            queue.take(&mut taken);
            forget(&mut taken);
            taken.capacity().max(queue.waiting.lock().capacity())
        };
        assert!(second(WAITING_MAX) >= WAITING_MAX, "so much was needed just now");
        second(10);
        assert!(second(10) <= ROOM_KEPT);
        // What is needed every second is kept.
        second(2 * ROOM_KEPT);
        let room = second(2 * ROOM_KEPT);
        assert!(room >= 2 * ROOM_KEPT);
        assert_eq!(second(2 * ROOM_KEPT), room);
    }
}
