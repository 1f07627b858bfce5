//! What one replica remembers of each block: how many tokens and requests came with it lately, how many homes and keys it
//! was given, and where it was sent.
//!
//! One table of [`ENTRY_BYTES`] a block, of a fixed number of entries, so its memory is bounded whatever comes. It is cut into
//! sets of [`WAYS`]; a block belongs to one set by its id. Where a set is full, the entry with the fewest tokens left goes, and
//! one below [`FORGOTTEN_TOKENS`] counts as gone: big prefixes survive a flood of small ones. Counters decay exactly, when they
//! are touched; nothing ever sweeps the table, so no request pays for others. All memory is taken at the start.
//!
//! Cost of a block: a look at its set's fingerprints, which are small enough to stay in the processor's cache, and one cache miss
//! for its entry; several blocks are looked up at a time, so that their misses overlap. No allocation. Times are in [`ticks`],
//! computed once for all blocks of a prompt.

use std::time::Duration;

use super::chain::BlockId;
use super::rendezvous;

/// Entries of a set.
const WAYS: usize = 16;
/// Deployments that are remembered for a block; the least recent is replaced.
pub(super) const MARKS: usize = 4;
/// Below so many decayed tokens an entry counts as gone.
pub const FORGOTTEN_TOKENS: f32 = 200.0;
/// Ticks of a second: fine enough for decay, and 32 bits of them are eight years.
const TICKS_PER_SECOND: f64 = 16.0;
/// Bytes of an entry: one cache line.
pub const ENTRY_BYTES: usize = size_of::<Entry>();

/// Part of the hash of an id: enough to be right at the first look but once in some thousands of lookups, and small enough that
/// those of the whole table nearly fit into a core's own cache. 0 is none.
type Fingerprint = u16;

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
    fn age(&mut self, now: u32, ago: u32, factor: f32) -> Option<u32> {
        self.at = self.at.max(now);
        self.tokens *= factor;
        self.requests *= factor;
        if self.tokens < FORGOTTEN_TOKENS {
            // Homes and keys fall by their own rule when the block is asked for again, as they would have without this.
            self.tokens = 0.0;
            return None;
        }
        Some(ago)
    }

    /// To whom it was sent, by [`tag`], and when; a tag of 0 is nobody.
    pub(super) fn sent(&self) -> [(u32, u32); MARKS] {
        self.sent.map(|mark| (mark.tag, mark.at))
    }

    /// It was sent to the deployment now.
    pub(super) fn mark(&mut self, tag: u32, now: u32) {
        let mut at = self.sent.iter().position(|mark| mark.tag == tag);
        if at.is_none() {
            let ages = self.sent.iter().map(|mark| (mark.tag != 0, mark.at));
            at = ages.enumerate().min_by_key(|(_, age)| *age).map(|(at, _)| at);
        }
        if let Some(at) = at {
            self.sent[at] = Mark { tag, at: now };
        }
    }
}

/// A deployment in marks, from its rendezvous seed: 32 bits of a hash of its name, so that marks outlive a reload.
pub(super) fn tag(seed: u64) -> u32 {
    ((rendezvous::spread(seed) >> 32) as u32).max(1)
}

/// A time in the table's own unit.
pub(super) fn ticks(time: Duration) -> u32 {
    (time.as_secs_f64() * TICKS_PER_SECOND) as u32
}

/// The time between two moments in ticks.
pub(super) fn between(earlier: u32, later: u32) -> Duration {
    Duration::from_secs_f64(f64::from(later.saturating_sub(earlier)) / TICKS_PER_SECOND)
}

/// How many blocks are looked up together.
pub(super) const BATCH: usize = 16;

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot(u32);

/// The table.
#[derive(Debug)]
pub(super) struct Heat {
    /// Part of the hash of each entry's id, set by set; 0 where there is none.
    fingerprints: Box<[[Fingerprint; WAYS]]>,
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
        self.capacity() * (size_of::<Fingerprint>() + ENTRY_BYTES)
    }

    fn place(&self, id: BlockId) -> (usize, Fingerprint) {
        let mixed = rendezvous::spread(id.low() ^ (id.0 >> 64) as u64);
        (
            (mixed as usize) & (self.entries.len() - 1),
            ((mixed >> 48) as Fingerprint).max(1),
        )
    }

    /// The entry, if there is one, as it was when it was last touched.
    pub(super) fn get(&mut self, id: BlockId) -> Option<&mut Entry> {
        let slot = self.find(id)?;
        self.at(slot, id)
    }

    /// Where the entries of the first [`BATCH`] blocks are, if they are there. One loop asks for the fingerprints and one for the entries,
    /// so that the many cache misses of each overlap: one by one they would cost several times as much.
    pub(super) fn find_batch(&self, ids: &[BlockId]) -> [Option<Slot>; BATCH] {
        let mut slots = [None; BATCH];
        for (slot, &id) in slots.iter_mut().zip(ids) {
            let (set, fingerprint) = self.place(id);
            *slot = match matching(&self.fingerprints[set], fingerprint) {
                (0, _) => None,
                (1, way) => Some(Slot((set * WAYS + way) as u32)),
                _ => self.find(id),
            };
        }
        for (slot, &id) in slots.iter_mut().zip(ids) {
            *slot = slot.filter(|&Slot(at)| self.entries[at as usize / WAYS][at as usize % WAYS].id == id.0);
        }
        slots
    }

    fn find(&self, id: BlockId) -> Option<Slot> {
        let (set, fingerprint) = self.place(id);
        let way = find(&self.fingerprints[set], &self.entries[set], id, fingerprint)?;
        Some(Slot((set * WAYS + way) as u32))
    }

    /// The entry in a slot, if it still is the block's.
    pub(super) fn at(&mut self, slot: Slot, id: BlockId) -> Option<&mut Entry> {
        let at = slot.0 as usize;
        let entry = &mut self.entries[at / WAYS][at % WAYS];
        (entry.id == id.0).then_some(entry)
    }

    /// What [`Heat::touch`] would give, as a copy: the table stays as it is.
    pub(super) fn peek(&self, id: BlockId, slot: Option<Slot>, now: u32) -> (Entry, Option<u32>) {
        let Some(Slot(at)) = slot else {
            return (Entry::default(), None);
        };
        let mut entry = self.entries[at as usize / WAYS][at as usize % WAYS];
        debug_assert_eq!(entry.id, id.0, "nothing has changed since it was found");
        let ago = now.saturating_sub(entry.at);
        let untouched = entry.age(now, ago, decay(ago, self.half_life_ticks));
        (entry, untouched)
    }

    /// The same, with the copy in a place of the caller's.
    pub(super) fn look<'a>(
        &self,
        id: BlockId,
        slot: Option<Slot>,
        now: u32,
        copy: &'a mut Entry,
    ) -> (&'a mut Entry, Option<u32>) {
        let (seen, untouched) = self.peek(id, slot, now);
        *copy = seen;
        (copy, untouched)
    }

    /// The entry, made where there is none and decayed to `now`, and for how long nobody touched it (none if it is new). `slot` is
    /// where it was found, if it was.
    pub(super) fn touch(&mut self, id: BlockId, slot: Option<Slot>, now: u32) -> (&mut Entry, Option<u32>) {
        // A block that was made since may be in its place, or be the same.
        let slot = slot
            .filter(|&slot| self.at(slot, id).is_some())
            .or_else(|| self.find(id));
        let Some(Slot(at)) = slot else {
            return (self.make(id, now), None);
        };
        let entry = &mut self.entries[at as usize / WAYS][at as usize % WAYS];
        let ago = now.saturating_sub(entry.at);
        if self.last_decay.0 != ago {
            self.last_decay = (ago, decay(ago, self.half_life_ticks));
        }
        let untouched = entry.age(now, ago, self.last_decay.1);
        (entry, untouched)
    }

    /// A new entry, in a free way or in that of the one with the fewest tokens.
    fn make(&mut self, id: BlockId, now: u32) -> &mut Entry {
        let (set, fingerprint) = self.place(id);
        let half_life = self.half_life_ticks;
        let (fingerprints, entries) = (&mut self.fingerprints[set], &mut self.entries[set]);
        let left = |entry: &Entry| entry.tokens * decay(now.saturating_sub(entry.at), half_life);
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
        entry
    }
}

/// The part that is left after so many ticks.
fn decay(ago: u32, half_life_ticks: f32) -> f32 {
    (-(ago as f32) / half_life_ticks).exp2()
}

fn find(
    fingerprints: &[Fingerprint; WAYS],
    entries: &[Entry; WAYS],
    id: BlockId,
    fingerprint: Fingerprint,
) -> Option<usize> {
    (0..WAYS).find(|&way| fingerprints[way] == fingerprint && entries[way].id == id.0)
}

/// How many ways have this fingerprint, and which, if it is one. In this form the processor compares several at once.
fn matching(fingerprints: &[Fingerprint; WAYS], fingerprint: Fingerprint) -> (u16, usize) {
    const ONE: u16 = 0x100;
    let ways = fingerprints.iter().zip(0_u16..);
    let sum: u16 = ways
        .map(|(&other, way)| if other == fingerprint { ONE + way } else { 0 })
        .sum();
    (sum / ONE, usize::from(sum % ONE))
}

/// A free way, or that with the fewest tokens.
fn smallest(fingerprints: &[Fingerprint; WAYS], entries: &[Entry; WAYS], mut left: impl FnMut(&Entry) -> f32) -> usize {
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

    fn add(heat: &mut Heat, id: u128, tokens: f32, now: Duration) -> f32 {
        let (entry, _) = heat.touch(BlockId(id), None, ticks(now));
        entry.tokens += tokens;
        entry.tokens
    }

    #[test]
    fn counters_halve_in_a_half_life() {
        let mut heat = Heat::new(1_024, HALF_LIFE);
        add(&mut heat, 7, 8_000.0, Duration::ZERO);
        assert!((add(&mut heat, 7, 0.0, HALF_LIFE) - 4_000.0).abs() < 1.0);
        assert!((add(&mut heat, 7, 0.0, 3 * HALF_LIFE) - 1_000.0).abs() < 1.0);
        let (_, untouched) = heat.touch(BlockId(7), None, ticks(4 * HALF_LIFE));
        assert_eq!(untouched, Some(ticks(HALF_LIFE)));
        assert_eq!(
            heat.touch(BlockId(7), None, ticks(9 * HALF_LIFE)).1,
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
    fn marks_are_per_deployment_and_the_least_recent_is_replaced() {
        let mut heat = Heat::new(1_024, HALF_LIFE);
        let (entry, _) = heat.touch(BlockId(1), None, ticks(Duration::ZERO));
        entry.mark(11, ticks(Duration::ZERO));
        entry.mark(12, ticks(Duration::from_mins(5)));
        let sent = |entry: &Entry| -> Vec<(u32, u64)> {
            let mut sent: Vec<_> = entry
                .sent()
                .into_iter()
                .filter(|(tag, _)| *tag != 0)
                .map(|(tag, at)| (tag, between(0, at).as_secs() / 60))
                .collect();
            sent.sort_unstable();
            sent
        };
        assert_eq!(sent(entry), [(11, 0), (12, 5)]);
        for tag in 13..=15 {
            entry.mark(tag, ticks(Duration::from_mins(6)));
        }
        assert_eq!(sent(entry), [(12, 5), (13, 6), (14, 6), (15, 6)]);
        entry.mark(12, ticks(Duration::from_mins(7)));
        assert_eq!(sent(entry)[0], (12, 7));
    }

    #[test]
    fn a_slot_that_another_block_took_is_not_the_blocks_any_more() {
        let mut heat = Heat::new(WAYS, HALF_LIFE);
        for id in 1..=WAYS as u128 {
            add(&mut heat, id, 1_000.0 * id as f32, Duration::ZERO);
        }
        let [slot, ..] = heat.find_batch(&[BlockId(1)]);
        let slot = slot.expect("it is there");
        add(&mut heat, 99, 500.0, Duration::ZERO);
        assert!(heat.at(slot, BlockId(1)).is_none(), "it had the fewest tokens");
        let (entry, untouched) = heat.touch(BlockId(1), Some(slot), 0);
        assert_eq!((entry.id, entry.tokens, untouched), (1, 0.0, None));
    }

    #[test]
    fn blocks_that_look_alike_at_first_are_told_apart() {
        let mut heat = Heat::new(WAYS, HALF_LIFE);
        let mut seen = std::collections::HashMap::new();
        let pair = (1..100_000).find_map(|id| Some((seen.insert(heat.place(BlockId(id)), id)?, id)));
        let (first, second) = pair.expect("two of one fingerprint");
        let ids = [first, second].map(BlockId);
        add(&mut heat, first, 1_000.0, Duration::ZERO);
        assert!(heat.find_batch(&ids)[1].is_none());
        add(&mut heat, second, 1_000.0, Duration::ZERO);
        let slots = heat.find_batch(&ids);
        for (slot, id) in slots.into_iter().zip(ids) {
            assert!(heat.at(slot.expect("it is there"), id).is_some());
        }
        assert_eq!(heat.len(), 2);
    }
}
