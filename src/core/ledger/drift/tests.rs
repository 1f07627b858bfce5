//! Drift, and what looks like it and is none.

use std::hash::RandomState;

use super::sample::Sampler;
use super::*;

/// One request's segments.
type Prompt = Vec<(Segment, String)>;

/// Text without repetition, of so many bytes; another one for each seed.
fn prose(seed: u64, bytes: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::new();
    while text.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let word = state >> 33;
        text.push_str(["the ", "of ", "case ", "must ", "never ", "always "][word as usize % 6]);
        text.push_str(&(word % 65_536).to_string());
        text.push(' ');
    }
    text.truncate(bytes);
    text
}

/// A system prompt of 4,000 tokens with something put in at a byte.
fn with(at: usize, inserted: &str) -> String {
    let text = prose(1, 16_000);
    format!("{}{inserted}{}", &text[..at], &text[at..])
}

fn chat(system: String, user: &str) -> Prompt {
    vec![(Segment::System, system), (Segment::Message, user.to_owned())]
}

/// What is found after so many requests.
fn find(requests: usize, prompt: impl Fn(usize) -> Prompt) -> Option<Drift> {
    find_asking(requests, |_| false, prompt)
}

/// The same where somebody asks meanwhile, after those requests for which `asks` says so.
fn find_asking(requests: usize, asks: impl Fn(usize) -> bool, prompt: impl Fn(usize) -> Prompt) -> Option<Drift> {
    let (key, route) = (RandomState::new(), RouteId::from("support"));
    let mut finder = DriftFinder::default();
    for number in 0..requests {
        if asks(number) {
            finder.finding(&route);
        }
        let mut sampler = Sampler::new(&key);
        for (kind, text) in prompt(number) {
            sampler.segment(kind);
            sampler.push(text.as_bytes());
        }
        finder.add(&route, &sampler.finish());
    }
    finder.finding(&route)
}

fn time(second: usize) -> String {
    format!("Now: 2026-11-24T08:{:02}:{:02}Z.\n", second / 60 % 60, second % 60)
}

#[track_caller]
fn check(
    drift: Option<Drift>,
    position: std::ops::RangeInclusive<u32>,
    segment: Segment,
    lost: std::ops::RangeInclusive<u32>,
) {
    let drift = drift.expect("drifts");
    assert!(position.contains(&drift.position_bytes), "{drift:?}");
    assert_eq!(
        (drift.segment, drift.position_tokens),
        (segment, drift.position_bytes / 4),
        "{drift:?}"
    );
    assert!(lost.contains(&drift.lost_tokens_per_request), "{drift:?}");
}

#[test]
fn a_time_is_found_where_it_stands() {
    for at in [0, 1_648, 8_000] {
        let drift = find(60, |number| {
            chat(with(at, &time(number)), &format!("question {number}"))
        });
        assert!(drift.expect("drifts").share > 0.95);
        // Where it parts before 1,024 tokens nothing is cached now, so all of it is lost.
        let lost = if at < 4_096 { 3_968 } else { 4_096 - at as u32 / 4 };
        let at = at as u32;
        check(drift, at.saturating_sub(256)..=at, Segment::System, lost - 256..=lost);
    }
}

#[test]
fn a_request_id_in_a_first_message_is_found() {
    let drift = find(40, |number| {
        let id = prose(1_000 + number as u64, 36);
        let text = format!(
            "Request {id}\n{}\nQuestion: {}",
            prose(1, 12_000),
            prose(number as u64, 200)
        );
        vec![(Segment::Message, text)]
    });
    check(drift, 0..=0, Segment::Message, 2_700..=3_008);
}

#[test]
fn shuffled_tools_are_found() {
    let drift = find(60, |number| {
        let mut tools: Vec<u64> = (0..16).collect();
        tools.sort_by_key(|&tool| prose(1_000 * number as u64 + tool, 24));
        let mut prompt: Prompt = tools
            .iter()
            .map(|&tool| (Segment::Tools, prose(50 + tool, 600)))
            .collect();
        prompt.extend(chat(prose(1, 6_000), "hello"));
        prompt
    });
    // The usual place is behind the first tool: another request began with the same.
    check(drift, 400..=1_800, Segment::Tools, 3_000..=3_968);
    assert!(drift.expect("drifts").share > 0.7);
}

#[test]
fn a_time_at_the_very_end_costs_nothing() {
    assert_eq!(find(60, |number| chat(with(16_000, &time(number)), "hello")), None);
}

#[test]
fn what_is_too_short_to_be_cached_loses_nothing() {
    let short = |number| chat(format!("{}{}", time(number), prose(1, 3_500)), "hello");
    assert_eq!(find(60, short), None);
}

#[test]
fn different_questions_after_one_head_are_normal() {
    let question = |number: usize| prose(100 + number as u64, 2_000);
    assert_eq!(find(60, |number| chat(prose(1, 16_000), &question(number))), None);
    // The same as a template in one message.
    let template = |number: usize| vec![(Segment::Message, format!("{}{}", prose(1, 8_000), question(number)))];
    assert_eq!(find(60, template), None);
}

#[test]
fn conversations_are_normal() {
    let turns = |number: usize| {
        let (conversation, turn) = (number / 4, number % 4);
        let mut prompt = chat(prose(1, 8_000), "hello");
        for message in 0..2 * turn {
            let text = prose((1_000 + 100 * conversation + message) as u64, 1_500);
            prompt.push((Segment::Message, text));
        }
        prompt
    };
    assert_eq!(find(80, turns), None);
}

#[test]
fn different_prompts_are_no_drift() {
    assert_eq!(find(60, |number| chat(prose(number as u64, 16_000), "hello")), None);
}

#[test]
fn tenants_are_no_drift() {
    // Each tenant has a prompt of its own; then one that is like all others, but for the name at the front.
    let own = |number: usize| chat(prose(200 + (number * 37 % 12) as u64, 16_000), "hello");
    assert_eq!(find(60, own), None);
    let named = |number: usize| chat(with(30, &format!("tenant-{}", number * 37 % 12)), "hello");
    for requests in [SAMPLES_MIN, 40, 64, 200] {
        assert_eq!(find(requests, named), None, "{requests}");
    }
}

#[test]
fn tenants_are_known_by_their_whole_heads_when_their_parts_are_forgotten() {
    // More of them than the memory of chunks holds.
    let named = |number: usize| chat(with(30, &format!("tenant-{}", number % 300)), "hello");
    assert_eq!(find(1_200, named), None);
}

#[test]
fn an_ending_that_prompts_of_their_own_share_is_no_drift() {
    let own = |number: usize| {
        let text = prose(400 + number as u64, 10_000) + &prose(1, 6_000);
        chat(text, "hello")
    };
    assert_eq!(find(60, own), None);
}

#[test]
fn drift_that_has_just_begun_waits_for_half_of_the_samples() {
    let begun = |number: usize| {
        let inserted = if number < 40 { String::new() } else { time(number) };
        chat(with(0, &inserted), "hello")
    };
    assert_eq!(find(40 + 24, begun), None);
    assert!(find(40 + 36, begun).is_some());
}

#[test]
fn drift_is_found_among_several_tenants() {
    let drift = find(120, |number| {
        let text = prose(300 + (number * 37 % 8) as u64, 12_000);
        chat(format!("{}{}{}", &text[..4_800], time(number), &text[4_800..]), "hello")
    });
    check(drift, 4_544..=4_800, Segment::System, 1_500..=1_792);
}

#[test]
fn few_samples_prove_nothing_and_a_mended_prompt_is_forgiven() {
    let drifting = |number| chat(with(0, &time(number)), "hello");
    assert_eq!(find(SAMPLES_MIN - 1, drifting), None);
    assert!(find(SAMPLES_MIN, drifting).is_some());
    let mended = |number| {
        if number < 60 {
            drifting(number)
        } else {
            chat(with(0, ""), "hello")
        }
    };
    assert_eq!(find(60 + 20, mended), None);
}

#[test]
fn what_was_found_is_kept_until_a_quarter_no_longer_drifts() {
    // All of the first 40, then every third: too few to be found, enough to be kept.
    let seldom = |number: usize| {
        let drifts = number < 40 || number.is_multiple_of(3);
        chat(with(0, &if drifts { time(number) } else { String::new() }), "hello")
    };
    assert_eq!(find(120, seldom), None, "nobody had asked");
    assert!(find_asking(120, |number| number >= 40, seldom).is_some());
    let mended = |number: usize| {
        chat(
            with(0, &if number < 40 { time(number) } else { String::new() }),
            "hello",
        )
    };
    assert_eq!(find_asking(40 + 26, |number| number >= 40, mended), None);
}

#[test]
fn a_minute_that_is_shared_is_not_counted() {
    // Four requests a minute: one of four drifts, the others find it cached.
    assert_eq!(find(60, |number| chat(with(0, &time(number / 4 * 60)), "hello")), None);
}

#[test]
fn routes_are_apart_and_bounded() {
    let key = RandomState::new();
    let mut finder = DriftFinder::default();
    for number in 0..200 {
        let mut sampler = Sampler::new(&key);
        sampler.segment(Segment::System);
        sampler.push(with(0, &time(number)).as_bytes());
        let sample = sampler.finish();
        finder.add(&RouteId::from(format!("route-{number}")), &sample);
        finder.add(&RouteId::from("busy"), &sample);
        finder.add(&RouteId::from("empty"), &Sampler::new(&key).finish());
    }
    assert_eq!(finder.0.len(), ROUTES_MAX.get());
    assert!(finder.finding(&RouteId::from("busy")).is_some());
    assert_eq!(finder.finding(&RouteId::from("route-199")), None);
    assert_eq!(finder.finding(&RouteId::from("empty")), None);
}
