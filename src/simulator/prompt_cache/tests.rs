//! Azure's documented rules of prompt caching, one by one.

use proptest::prelude::*;

use super::*;

const NOW: Duration = Duration::from_secs(1_000);

fn prompt(tokens: usize, letter: u8) -> Vec<u8> {
    vec![letter; tokens * BYTES_PER_TOKEN]
}

fn warm(cache: &mut PromptCache, at: Duration, text: &[u8]) {
    let digest = PrefixDigest::of(text, None);
    let lookup = cache.look_up(at, &digest);
    cache.store(at, at, lookup.machine, &digest);
}

fn cached(cache: &mut PromptCache, at: Duration, text: &[u8]) -> u32 {
    cache.look_up(at, &PrefixDigest::of(text, None)).cached_tokens
}

#[test]
fn hits_start_at_1024_tokens_and_grow_by_128() {
    for (tokens, expect) in [
        (1_023, 0),
        (1_024, 1_024),
        (1_151, 1_024),
        (1_152, 1_152),
        (2_000, 1_920),
    ] {
        let mut cache = PromptCache::new(CacheSettings::default());
        let text = prompt(tokens, b'a');
        warm(&mut cache, NOW, &text);
        assert_eq!(cached(&mut cache, NOW, &text), expect, "{tokens} tokens");
    }
}

#[test]
fn one_byte_in_the_first_1024_tokens_misses_all() {
    let mut cache = PromptCache::new(CacheSettings {
        machines: 1,
        ..CacheSettings::default()
    });
    let mut text = prompt(4_096, b'a');
    warm(&mut cache, NOW, &text);
    text[1_024 * BYTES_PER_TOKEN - 1] = b'b';
    assert_eq!(cached(&mut cache, NOW, &text), 0);
}

#[test]
fn a_later_difference_keeps_what_is_before_it() {
    let mut cache = PromptCache::new(CacheSettings::default());
    let mut text = prompt(4_096, b'a');
    warm(&mut cache, NOW, &text);
    text[1_500 * BYTES_PER_TOKEN] = b'b';
    assert_eq!(cached(&mut cache, NOW, &text), 1_408);
}

#[test]
fn entries_expire_idle_and_absolutely() {
    let settings = CacheSettings {
        idle_expiry_s: 300.0,
        absolute_expiry_s: 1_000.0,
        ..CacheSettings::default()
    };
    let text = prompt(1_024, b'a');
    let mut cache = PromptCache::new(settings.clone());
    warm(&mut cache, NOW, &text);
    assert_eq!(cached(&mut cache, NOW + Duration::from_mins(5), &text), 1_024);
    assert_eq!(cached(&mut cache, NOW + Duration::from_secs(601), &text), 0, "idle");

    let mut cache = PromptCache::new(settings);
    warm(&mut cache, NOW, &text);
    for after in [250, 500, 750, 1_000] {
        assert_eq!(
            cached(&mut cache, NOW + Duration::from_secs(after), &text),
            1_024,
            "{after} s, in use"
        );
    }
    assert_eq!(
        cached(&mut cache, NOW + Duration::from_secs(1_001), &text),
        0,
        "too old"
    );
}

#[test]
fn a_prefix_is_no_hit_before_it_was_read() {
    let mut cache = PromptCache::new(CacheSettings::default());
    let digest = PrefixDigest::of(&prompt(1_024, b'a'), None);
    let ready_at = NOW + Duration::from_millis(80);
    let machine = cache.look_up(NOW, &digest).machine;
    cache.store(NOW, ready_at, machine, &digest);
    assert_eq!(cache.look_up(NOW + Duration::from_millis(79), &digest).cached_tokens, 0);
    assert_eq!(cache.look_up(ready_at, &digest).cached_tokens, 1_024);
}

#[test]
fn a_hot_prefix_overflows_to_other_machines_until_the_next_minute() {
    let mut cache = PromptCache::new(CacheSettings {
        requests_per_minute_per_prefix: 15,
        ..CacheSettings::default()
    });
    let digest = PrefixDigest::of(&prompt(1_024, b'a'), None);
    let start = Duration::from_mins(10);
    let mut misses = 0;
    for _ in 0..45 {
        let lookup = cache.look_up(start, &digest);
        misses += u32::from(lookup.cached_tokens == 0);
        cache.store(start, start, lookup.machine, &digest);
    }
    assert_eq!(misses, 3, "45 requests at 15 a machine start cold on three machines");
    let home = (digest.routing % 4) as u32;
    assert_eq!(cache.look_up(start + MINUTE, &digest).machine, home);
}

#[test]
fn prompt_cache_key_takes_part_in_the_choice_of_machine() {
    let text = prompt(1_024, b'a');
    let machines: std::collections::BTreeSet<u64> = (0..32)
        .map(|key| PrefixDigest::of(&text, Some(&key.to_string())).routing % 4)
        .collect();
    assert!(machines.len() > 1);
}

#[test]
fn the_table_is_bounded() {
    let mut cache = PromptCache::new(CacheSettings {
        max_entries: 10,
        machines: 1,
        ..CacheSettings::default()
    });
    let first = prompt(1_024, 0);
    for letter in 0..=10 {
        warm(&mut cache, NOW, &prompt(1_024, letter));
    }
    assert_eq!(cache.entries.len(), 10);
    assert_eq!(cached(&mut cache, NOW, &first), 0, "the oldest was dropped");
}

proptest! {
    #[test]
    fn cached_tokens_cover_only_the_shared_prefix(shared in 0_usize..3_000, tail_a in 1_usize..600, tail_b in 1_usize..600) {
        let mut cache = PromptCache::new(CacheSettings { machines: 1, ..CacheSettings::default() });
        let (mut a, mut b) = (prompt(shared, b's'), prompt(shared, b's'));
        a.extend(prompt(tail_a, b'a'));
        b.extend(prompt(tail_b, b'b'));
        warm(&mut cache, NOW, &a);
        let got = cached(&mut cache, NOW, &b) as usize;
        let expect = if shared < FIRST_STEP_TOKENS { 0 } else { FIRST_STEP_TOKENS + (shared - FIRST_STEP_TOKENS) / STEP_TOKENS * STEP_TOKENS };
        prop_assert_eq!(got, expect);
    }
}
