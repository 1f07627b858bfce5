//! What one replica remembers of each block: how many tokens and requests came with it lately, how many homes and keys it
//! was given, and where it was sent.
//!
//! One table of [`ENTRY_BYTES`] a block, of a fixed number of entries, so its memory is bounded whatever comes. It is cut into
//! sets of [`WAYS`]; a block belongs to one set by its id. Where a set is full, the entry with the fewest tokens left goes, and
//! one below [`FORGOTTEN_TOKENS`] counts as gone: big prefixes survive a flood of small ones. Counters decay exactly, when they
//! are touched; nothing ever sweeps the table, so no request pays for others. All memory is taken at the start.
//!
//! Cost of a block: a look at its set's fingerprints, which are small enough to stay in the processor's cache, and one cache miss
//! for its entry. No allocation.

use std::time::Duration;

use super::chain::BlockId;
use super::rendezvous;

/// Entries of a set.
const WAYS: usize = 16;
/// Deployments that are remembered for a block; the least recent is replaced.
const MARKS: usize = 4;
/// Below so many decayed tokens an entry counts as gone.
pub const FORGOTTEN_TOKENS: f32 = 200.0;
/// Ticks of a second: fine enough for decay, and 32 bits of them are eight years.
const TICKS_PER_SECOND: f64 = 16.0;
/// Bytes of an entry: one cache line.
pub const ENTRY_BYTES: usize = size_of::<Entry>();

/// When a block was last sent to a deployment.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// Who, by [`tag`]; 0 is nobody.
    tag: u32,
    at: u32,
}

/// What is known of a block.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    id: u128,
    /// Prompt tokens of the requests that held it, decayed.
    pub(super) tokens: f32,
    /// Those requests, decayed.
    pub(super) requests: f32,
    at: u32,
    /// Homes it was given; 0 and 1 are one.
    pub(super) homes: u8,
    /// Keys it was given; 0 and 1 are none.
    pub(super) keys: u16,
    sent: [Mark; MARKS],
}

impl Entry {
    /// Lets it decay to `now`; for how long it was not touched, none if so few tokens are left that it counts as gone.
    fn age(&mut self, now: u32, ago: u32, factor: f32) -> Option<Duration> {
        self.at = self.at.max(now);
        self.tokens *= factor;
        self.requests *= factor;
        if self.tokens < FORGOTTEN_TOKENS {
            // Homes and keys fall by their own rule when the block is asked for again, as they would have without this.
            self.tokens = 0.0;
            return None;
        }
        Some(Duration::from_secs_f64(f64::from(ago) / TICKS_PER_SECOND))
    }

    /// Whether it was sent to the deployment in the last `life` before `now`.
    pub(super) fn is_warm(&self, tag: u32, now: Duration, life: Duration) -> bool {
        let mark = self.sent.iter().find(|mark| mark.tag == tag);
        mark.is_some_and(|mark| ticks(now).saturating_sub(mark.at) <= ticks(life))
    }

    /// It was sent to the deployment now.
    pub(super) fn mark(&mut self, tag: u32, now: Duration) {
        let oldest = self
            .sent
            .iter_mut()
            .min_by_key(|mark| (mark.tag != tag, mark.tag != 0, mark.at));
        if let Some(mark) = oldest {
            *mark = Mark { tag, at: ticks(now) };
        }
    }
}

/// A deployment in marks, from its rendezvous seed: 32 bits of a hash of its name, so that marks outlive a reload.
pub(super) fn tag(seed: u64) -> u32 {
    ((rendezvous::spread(seed) >> 32) as u32).max(1)
}

fn ticks(time: Duration) -> u32 {
    (time.as_secs_f64() * TICKS_PER_SECOND) as u32
}

/// The table.
#[derive(Debug)]
pub(super) struct Heat {
    /// Part of the hash of each entry's id, set by set; 0 where there is none.
    fingerprints: Box<[[u32; WAYS]]>,
    entries: Box<[[Entry; WAYS]]>,
    half_life_ticks: f32,
    /// The last decay that was computed: the blocks of one prompt mostly share it.
    last_decay: (u32, f32),
    used: usize,
}

impl Heat {
    /// An empty table of at most `capacity` entries (rounded down to a power of two, at least one set).
    pub(super) fn new(capacity: usize, half_life: Duration) -> Self {
        let sets = (capacity / WAYS).max(1);
        let sets = 1_usize << sets.ilog2();
        Self {
            fingerprints: vec![[0; WAYS]; sets].into_boxed_slice(),
            entries: vec![[Entry::default(); WAYS]; sets].into_boxed_slice(),
            half_life_ticks: ticks(half_life).max(1) as f32,
            last_decay: (0, 1.0),
            used: 0,
        }
    }

    /// Entries in use, forgotten ones included.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// Entries that can be in use.
    pub(super) fn capacity(&self) -> usize {
        self.entries.len() * WAYS
    }

    /// Memory taken, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.capacity() * (size_of::<u32>() + ENTRY_BYTES)
    }

    fn place(&self, id: BlockId) -> (usize, u32) {
        let mixed = rendezvous::spread(id.low() ^ (id.0 >> 64) as u64);
        (
            (mixed as usize) & (self.entries.len() - 1),
            ((mixed >> 32) as u32).max(1),
        )
    }

    /// The entry, if there is one, as it was when it was last touched.
    pub(super) fn get(&mut self, id: BlockId) -> Option<&mut Entry> {
        let (set, fingerprint) = self.place(id);
        let way = find(&self.fingerprints[set], &self.entries[set], id, fingerprint)?;
        Some(&mut self.entries[set][way])
    }

    /// What [`Heat::touch`] would give, as a copy: the table stays as it is.
    pub(super) fn peek(&self, id: BlockId, now: Duration) -> (Entry, Option<Duration>) {
        let (set, fingerprint) = self.place(id);
        let Some(way) = find(&self.fingerprints[set], &self.entries[set], id, fingerprint) else {
            return (Entry::default(), None);
        };
        let (mut entry, now) = (self.entries[set][way], ticks(now));
        let ago = now.saturating_sub(entry.at);
        let untouched = entry.age(now, ago, self.decay(ago));
        (entry, untouched)
    }

    fn decay(&self, ago: u32) -> f32 {
        (-(ago as f32) / self.half_life_ticks).exp2()
    }

    /// The entry, made where there is none and decayed to `now`, and for how long nobody touched it (none if it is new).
    pub(super) fn touch(&mut self, id: BlockId, now: Duration) -> (&mut Entry, Option<Duration>) {
        let (index, fingerprint) = self.place(id);
        let now = ticks(now);
        let mut last_decay = self.last_decay;
        let half_life = self.half_life_ticks;
        let mut decay = move |ago: u32| {
            if last_decay.0 != ago {
                last_decay = (ago, (-(ago as f32) / half_life).exp2());
            }
            last_decay.1
        };
        let (fingerprints, entries) = (&mut self.fingerprints[index], &mut self.entries[index]);
        if let Some(way) = find(fingerprints, entries, id, fingerprint) {
            let entry = &mut entries[way];
            let ago = now.saturating_sub(entry.at);
            let factor = decay(ago);
            self.last_decay = (ago, factor);
            let untouched = entry.age(now, ago, factor);
            return (entry, untouched);
        }
        let left = |entry: &Entry| entry.tokens * decay(now.saturating_sub(entry.at));
        let way = smallest(fingerprints, entries, left);
        if fingerprints[way] == 0 {
            self.used += 1;
        }
        fingerprints[way] = fingerprint;
        let entry = &mut entries[way];
        *entry = Entry {
            id: id.0,
            at: now,
            ..Entry::default()
        };
        (entry, None)
    }
}

fn find(fingerprints: &[u32; WAYS], entries: &[Entry; WAYS], id: BlockId, fingerprint: u32) -> Option<usize> {
    (0..WAYS).find(|&way| fingerprints[way] == fingerprint && entries[way].id == id.0)
}

/// A free way, or that with the fewest tokens.
fn smallest(fingerprints: &[u32; WAYS], entries: &[Entry; WAYS], mut left: impl FnMut(&Entry) -> f32) -> usize {
    let mut best = (0, f32::INFINITY);
    for way in 0..WAYS {
        if fingerprints[way] == 0 {
            return way;
        }
        let tokens = left(&entries[way]);
        if tokens < best.1 {
            best = (way, tokens);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_LIFE: Duration = Duration::from_mins(5);
    const LIFE: Duration = Duration::from_mins(10);

    fn add(heat: &mut Heat, id: u128, tokens: f32, now: Duration) -> f32 {
        let (entry, _) = heat.touch(BlockId(id), now);
        entry.tokens += tokens;
        entry.tokens
    }

    #[test]
    fn counters_halve_in_a_half_life() {
        let mut heat = Heat::new(1_024, HALF_LIFE);
        add(&mut heat, 7, 8_000.0, Duration::ZERO);
        assert!((add(&mut heat, 7, 0.0, HALF_LIFE) - 4_000.0).abs() < 1.0);
        assert!((add(&mut heat, 7, 0.0, 3 * HALF_LIFE) - 1_000.0).abs() < 1.0);
        let (_, untouched) = heat.touch(BlockId(7), 4 * HALF_LIFE);
        assert_eq!(untouched, Some(HALF_LIFE));
        assert_eq!(
            heat.touch(BlockId(7), 9 * HALF_LIFE).1,
            None,
            "below 200 tokens it is gone"
        );
    }

    #[test]
    fn an_entry_is_a_cache_line() {
        assert_eq!(ENTRY_BYTES, 64);
    }

    #[test]
    fn a_flood_of_small_blocks_takes_no_memory_and_spares_the_big_one() {
        let mut heat = Heat::new(4_096, HALF_LIFE);
        add(&mut heat, 1, 1e6, Duration::ZERO);
        for id in 2..100_000 {
            add(&mut heat, id, 300.0, Duration::from_secs(1));
        }
        assert!(heat.len() <= heat.capacity());
        assert_eq!(heat.capacity(), 4_096);
        assert!(heat.bytes() < 4_096 * 80, "{}", heat.bytes());
        assert!(add(&mut heat, 1, 0.0, Duration::from_secs(2)) > 9e5);
    }

    #[test]
    fn marks_are_per_deployment_and_expire() {
        let mut heat = Heat::new(1_024, HALF_LIFE);
        let (entry, _) = heat.touch(BlockId(1), Duration::ZERO);
        entry.mark(11, Duration::ZERO);
        entry.mark(12, Duration::from_mins(5));
        let warm = |entry: &Entry, tag, minutes| entry.is_warm(tag, Duration::from_mins(minutes), LIFE);
        assert_eq!(
            [
                warm(entry, 11, 10),
                warm(entry, 11, 11),
                warm(entry, 12, 11),
                warm(entry, 13, 0)
            ],
            [true, false, true, false]
        );
        for tag in 13..=15 {
            entry.mark(tag, Duration::from_mins(6));
        }
        assert!(!warm(entry, 11, 6), "the least recent of five is forgotten");
        assert!(warm(entry, 12, 6));
    }
}
