//! `prompt_cache_key`: the machine inside the deployment.
//!
//! A deployment is many machines. The provider picks one by the prompt's first 256 tokens or so and the key; above some 15
//! requests a minute for one such pair the rest goes to machines that have nothing. So a head that is hot at one
//! deployment needs several keys there, its conversations divided among them and never moved without need.
//!
//! **Which key.** From the front, a block above [`TARGET_PER_MINUTE`] needs a power of two of keys; the last such block is
//! the hot one, and the block after it, a conversation's opener say, picks one of its keys. Without a
//! hot block there is no key: a key must not divide what needs no dividing.
//!
//! **Whether it pays** is decided by the cached tokens that answers report, since neither the machines nor the threshold are
//! published ([`Trials`]). A head that is too short to be cached by itself loses nothing when it is divided: it gets a fixed number
//! of keys at once, and no later change moves its conversations. A longer one begins without. Where answers show that much of what
//! must be cached is not, keys are switched on for that head; where surely more is missing then than before, they are switched off
//! again, for longer each time. The two ways are tried one after the other, not side by side: a small share without a key would be
//! few requests a minute, which never meets the threshold, and would always look best.

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use super::chain::{BlockId, Chain};
use super::heat::{Entry, Heat};
use super::rendezvous;
use super::survey::Pass;
use crate::core::provider::{CACHEABLE_TOKENS, ROUTING_TOKENS};

/// Requests a minute that one key is given: well below the some 15 at which the provider begins to overflow.
pub const TARGET_PER_MINUTE: f64 = 8.0;
/// Keys are lowered only below this part of what they are, since each change moves half of the head's conversations.
const LOWER: f64 = 0.35;
/// Most keys of a head at one deployment: more than 16,000 requests a minute.
const KEYS_MAX: u16 = 2_048;
/// Keys of such a head, however hot it is: what never changes never moves a conversation.
const FREE_KEYS: u16 = 64;

/// A key for a hot head, and whether sending it pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheKey {
    /// What to send, as [`CacheKey::text`].
    pub value: u64,
    /// How many keys the head has at each of its homes.
    pub keys: u16,
    /// Whether reported cached tokens say that keys pay for this head: what a deployment set to `auto` goes by.
    pub pays: bool,
    /// Whom the provider would send to one machine: what is compared with and without keys.
    group: BlockId,
}

impl CacheKey {
    /// The text of the member `prompt_cache_key`.
    pub fn text(&self) -> String {
        format!("{:016x}", self.value)
    }
}

/// Whether a block may need several keys, where one decayed request stands for `per_request` a minute at all its homes together.
pub(super) fn may_need_keys(entry: &Entry, per_request: f64) -> bool {
    entry.keys > 1 || f64::from(entry.requests) * per_request > TARGET_PER_MINUTE
}

/// The key of a prompt. `requests` are the decayed requests of those of its leading blocks that may need several keys, and
/// `per_request` the requests a minute at one deployment that one of them stands for.
pub(super) fn cache_key(
    heat: &mut Heat,
    trials: &Trials,
    pass: Pass,
    chain: &Chain,
    requests: &[f32],
    per_request: f64,
) -> Option<CacheKey> {
    let ids = chain.ids();
    let mut hot = None;
    let leading = ids.iter().take(ids.len().saturating_sub(1)).zip(requests);
    for (at, (&id, &requests)) in leading.enumerate() {
        let rate = f64::from(requests) * per_request;
        let Some(entry) = heat.get(id) else { break };
        if rate <= TARGET_PER_MINUTE && entry.keys <= 1 {
            break;
        }
        let needed = keys(rate / TARGET_PER_MINUTE, entry.keys);
        if pass == Pass::Counts {
            entry.keys = needed;
        }
        if needed <= 1 {
            break;
        }
        hot = Some((at, needed));
    }
    let (at, keys) = hot?;
    let (hot, next) = (ids[at], ids[at + 1]);
    let is_free = chain.tokens(at + 1) < CACHEABLE_TOKENS;
    let keys = if is_free { FREE_KEYS } else { keys };
    let key = key_of(next, keys);
    let group = ids[chain.blocks_within(ROUTING_TOKENS) - 1];
    Some(CacheKey {
        value: rendezvous::spread(hot.low() ^ u64::from(key)),
        keys,
        pays: is_free || trials.pays(group),
        group,
    })
}

/// Which of so many keys, a power of two, a conversation has. When they are doubled or halved, half of the conversations keep theirs, which
/// is as many as can.
fn key_of(next: BlockId, keys: u16) -> u16 {
    rendezvous::spread(next.low()) as u16 & (keys - 1)
}

/// Keys that a block needs: a power of two.
fn keys(needed: f64, had: u16) -> u16 {
    let had = had.max(1);
    if needed > f64::from(had) || needed < LOWER * f64::from(had) {
        let needed = needed.ceil().clamp(1.0, f64::from(KEYS_MAX)) as u16;
        needed.next_power_of_two()
    } else {
        had
    }
}

/// Heads whose keys are on trial; beyond, the least recent begin anew.
const TRIALS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);
/// Fewest answers that prove something.
const ANSWERS_MIN: f64 = 24.0;
/// Answers after which older ones begin to fade, so that a head is judged by its present.
const ANSWERS_MAX: f64 = 200.0;
/// Part of the expected tokens that may be missing without a key before keys are tried: what any cache loses.
const MISSED_WITHOUT: f64 = 0.2;
/// Standard errors by which the missing part must surely be more, or less.
const CERTAINTY: f64 = 2.0;
/// With keys on, more than this surely missing is as good as nothing found: they do not pay, even if all was missing without them too.
const NOTHING_FOUND: f64 = 0.95;
/// How long keys are on before they are judged: the move to them itself loses what was cached before.
const SETTLING: Duration = Duration::from_mins(5);
/// How long keys stay off after they did not pay, for the first time; then twice as long, up to a day.
const OFF_FIRST: Duration = Duration::from_mins(30);
const OFF_MAX: Duration = Duration::from_hours(24);

/// Whether keys pay, head by head.
#[derive(Debug)]
pub(super) struct Trials(LruCache<BlockId, Trial>);

impl Default for Trials {
    fn default() -> Self {
        Self(LruCache::new(TRIALS_MAX))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Trial {
    /// Since when keys are on.
    on_since: Option<Duration>,
    /// Until when they stay off.
    off_until: Duration,
    off_for: Duration,
    tally: Tally,
    /// The part that was missing before keys were switched on, or must have been by what the provider says.
    missed_without: f64,
}

/// The missing part of what was expected, over some answers: its sum and the sum of its squares.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    answers: f64,
    missed: f64,
    squares: f64,
}

impl Tally {
    fn add(&mut self, expected: u32, cached: u32) {
        if self.answers >= ANSWERS_MAX {
            self.answers /= 2.0;
            self.missed /= 2.0;
            self.squares /= 2.0;
        }
        let missed = f64::from(expected.saturating_sub(cached)) / f64::from(expected.max(1));
        self.answers += 1.0;
        self.missed += missed;
        self.squares += missed * missed;
    }

    /// What is surely missing; none while too few answers came.
    fn surely(&self) -> Option<f64> {
        (self.answers >= ANSWERS_MIN).then(|| {
            let mean = self.missed / self.answers;
            let variance = (self.squares / self.answers - mean * mean).max(0.0);
            mean - CERTAINTY * (variance / self.answers).sqrt()
        })
    }
}

impl Trial {
    fn switch_on(&mut self, missed_without: f64, now: Duration) {
        self.on_since = Some(now);
        self.missed_without = missed_without;
        self.tally = Tally::default();
    }

    fn switch_off(&mut self, now: Duration) {
        let off_for = (2 * self.off_for).clamp(OFF_FIRST, OFF_MAX);
        *self = Self {
            off_until: now + off_for,
            off_for,
            ..Self::default()
        };
    }
}

impl Trials {
    /// Whether keys are on for a head.
    fn pays(&self, group: BlockId) -> bool {
        self.0.peek(&group).is_some_and(|trial| trial.on_since.is_some())
    }

    /// An answer of a head that needs keys, with the tokens expected from the cache and those reported.
    pub(super) fn observed(&mut self, key: &CacheKey, was_keyed: bool, expected: u32, cached: u32, now: Duration) {
        let trial = self.0.get_or_insert_mut(key.group, Trial::default);
        match trial.on_since {
            None if !was_keyed && now >= trial.off_until => {
                trial.tally.add(expected, cached);
                if trial.tally.surely().is_some_and(|missed| missed > MISSED_WITHOUT) {
                    let missed = trial.tally.missed / trial.tally.answers;
                    trial.switch_on(missed, now);
                }
            }
            Some(since) if was_keyed && now >= since + SETTLING => {
                trial.tally.add(expected, cached);
                if trial
                    .tally
                    .surely()
                    .is_some_and(|missed| missed > trial.missed_without.min(NOTHING_FOUND))
                {
                    trial.switch_off(now);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
