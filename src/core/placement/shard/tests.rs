//! Keys: when, which, and whether they stay on.

use super::*;
use crate::core::placement::heat;

const NOW: Duration = Duration::from_mins(10);

/// A head of so many blocks of 128 tokens, and a conversation's own block.
fn chain(head_blocks: u32, conversation: u64) -> Chain {
    let head = (0..u128::from(head_blocks)).map(BlockId);
    let own = BlockId(u128::from(rendezvous::spread(conversation)));
    Chain::of(head.chain([own]).zip((1..).map(|block: u32| block * 128)))
}

struct Gateway {
    heat: Heat,
    trials: Trials,
}

impl Gateway {
    fn new() -> Self {
        Self {
            heat: Heat::new(4_096, Duration::from_mins(5)),
            trials: Trials::default(),
        }
    }

    /// The key of a conversation whose head has been asked for so often a minute.
    fn key(&mut self, head_blocks: u32, conversation: u64, per_minute: f32) -> Option<CacheKey> {
        let chain = chain(head_blocks, conversation);
        for &id in chain.ids() {
            self.heat.touch(id, None, heat::ticks(NOW)).0.tokens = 1e6;
        }
        let mut requests: Vec<f32> = (0..head_blocks).map(|_| per_minute).collect();
        requests.push(1.0);
        cache_key(&mut self.heat, &self.trials, Pass::Counts, &chain, &requests, 1.0)
    }

    /// So many answers with this part of what was expected missing.
    fn answers(&mut self, key: &CacheKey, was_keyed: bool, answers: u32, missing: f64, now: Duration) {
        for _ in 0..answers {
            let cached = 10_000.0 * (1.0 - missing);
            self.trials.observed(key, was_keyed, 10_000, cached as u32, now);
        }
    }
}

#[test]
fn a_head_that_is_not_hot_has_no_key() {
    assert_eq!(Gateway::new().key(20, 1, 7.9), None);
}

#[test]
fn a_hot_head_is_divided_by_conversation_and_each_stays() {
    let mut gateway = Gateway::new();
    let mut keys = std::collections::BTreeSet::new();
    for conversation in 0..200 {
        let key = gateway.key(20, conversation, 60.0).unwrap();
        assert_eq!(gateway.key(20, conversation, 60.0).unwrap().value, key.value);
        assert_eq!(key.keys, 8);
        keys.insert(key.text());
    }
    assert_eq!(keys.len(), 8);
}

#[test]
fn keys_are_lowered_late() {
    for (needed, had, expected) in [
        (1.0, 0, 1),
        (1.1, 1, 2),
        (3.0, 1, 4),
        (3.0, 8, 8),
        (2.7, 8, 4),
        (0.1, 8, 1),
        (1e9, 1, 2_048),
    ] {
        assert_eq!(keys(needed, had), expected, "{needed} with {had}");
    }
}

#[test]
fn dividing_a_head_too_short_to_be_cached_costs_nothing() {
    let mut gateway = Gateway::new();
    let key = gateway.key(4, 1, 10.0).unwrap();
    assert!(key.pays);
    assert_eq!(
        gateway.key(4, 1, 300.0).unwrap().value,
        key.value,
        "no rate moves a conversation"
    );
    assert!(!Gateway::new().key(20, 1, 30.0).unwrap().pays);
}

#[test]
fn keys_are_switched_on_where_much_is_missing_without() {
    let mut gateway = Gateway::new();
    let key = gateway.key(20, 1, 30.0).unwrap();
    gateway.answers(&key, false, 200, 0.1, NOW);
    assert!(!gateway.key(20, 1, 30.0).unwrap().pays, "any cache loses a little");
    gateway.answers(&key, false, 400, 0.4, NOW);
    assert!(gateway.key(20, 1, 30.0).unwrap().pays);
}

#[test]
fn a_few_bad_answers_prove_nothing() {
    let mut gateway = Gateway::new();
    let key = gateway.key(20, 1, 30.0).unwrap();
    gateway.answers(&key, false, 23, 1.0, NOW);
    assert!(!gateway.key(20, 1, 30.0).unwrap().pays);
}

#[test]
fn keys_that_do_not_help_are_switched_off_for_longer_each_time() {
    let mut gateway = Gateway::new();
    let key = gateway.key(20, 1, 30.0).unwrap();
    let mut now = NOW;
    for off_for in [OFF_FIRST, 2 * OFF_FIRST, 4 * OFF_FIRST] {
        gateway.answers(&key, false, 30, 0.3, now);
        assert!(gateway.key(20, 1, 30.0).unwrap().pays);
        gateway.answers(&key, true, 100, 0.9, now + SETTLING / 2);
        assert!(gateway.key(20, 1, 30.0).unwrap().pays, "the move itself is not counted");
        now += SETTLING;
        gateway.answers(&key, true, 30, 0.5, now);
        assert!(!gateway.key(20, 1, 30.0).unwrap().pays);
        gateway.answers(&key, false, 100, 0.9, now + off_for.mul_f64(0.99));
        assert!(!gateway.key(20, 1, 30.0).unwrap().pays);
        now += off_for;
    }
}

#[test]
fn keys_that_help_stay() {
    let mut gateway = Gateway::new();
    let key = gateway.key(20, 1, 30.0).unwrap();
    gateway.answers(&key, false, 30, 0.3, NOW);
    gateway.answers(&key, true, 1_000, 0.1, NOW + SETTLING);
    assert!(gateway.key(20, 1, 30.0).unwrap().pays);
}

#[test]
fn half_of_the_conversations_keep_their_key_when_keys_are_doubled() {
    for keys in [1, 8, 64, 1_024] {
        let next = |at: u64| BlockId(u128::from(at) << 64 | u128::from(at));
        let pairs: Vec<(u16, u16)> = (0..10_000)
            .map(|at| (key_of(next(at), keys), key_of(next(at), 2 * keys)))
            .collect();
        assert!(pairs.iter().all(|&(before, after)| before < keys && after < 2 * keys));
        let kept = pairs.iter().filter(|(before, after)| before == after).count();
        assert!((4_800..5_200).contains(&kept), "{kept} of 10,000 with {keys}");
        let used: std::collections::HashSet<u16> = pairs.iter().map(|&(_, after)| after).collect();
        assert!(
            used.len() + 50 > usize::from(2 * keys),
            "{} of {}",
            used.len(),
            2 * keys
        );
    }
}

#[test]
fn keys_under_which_nothing_is_found_are_switched_off_even_if_nothing_was_found_before() {
    let mut gateway = Gateway::new();
    let key = gateway.key(20, 1, 30.0).unwrap();
    gateway.answers(&key, false, 30, 1.0, NOW);
    assert!(gateway.key(20, 1, 30.0).unwrap().pays);
    gateway.answers(&key, true, 100, 1.0, NOW + SETTLING);
    assert!(!gateway.key(20, 1, 30.0).unwrap().pays);
}
