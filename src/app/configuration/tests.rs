//! A what-if as a whole, on configurations as people write them and traffic that can be reckoned by hand.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::billed;
use crate::config::checked::Checked;
use crate::config::load;
use crate::core::ledger::book::PriceBook;
use crate::core::ledger::prices::{self, PriceList};
use crate::core::placement::chain::{BlockId, Chain};
use crate::core::placement::policy::Policy;
use crate::core::placement::rendezvous;
use crate::core::placement::view::Ask;
use crate::core::recorded::{TraceRecord, Used};
use crate::replay::what_if::notes::{self, Source};
use crate::replay::what_if::outcome::Outcome;
use crate::replay::what_if::{KnownNow, Setting, Stopped, play};

const START_MS: i64 = 1_764_000_000_000;

/// A configuration with these deployments of one account, pools and routes.
fn config(deployments: &[(&str, u32)], pools: &str, routes: &str) -> Checked {
    let deployments = deployments.iter().map(|(name, capacity)| {
        format!(
            "{{ name: {name}, sku: Standard, capacity: {capacity}, price: {{ input: 1, cached_input: 0.5, output: 2, hour: 3 }} }}"
        )
    });
    let deployments: Vec<String> = deployments.collect();
    let text = format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\nclients: [{{ name: c, keys: [\"${{env:KEY}}\"] }}]\nresources:\n  - {{ name: r, region: \
         swedencentral, endpoint: \"http://127.0.0.1:1\", credential: {{ api_key: \"${{env:KEY}}\" }}, deployments: [{}] }}\npools: [{pools}]\n\
         routes: [{routes}]\n",
        deployments.join(", ")
    );
    let variables = |_: &str| Some("a-secret-of-sufficient-length".to_owned());
    load::compile_text(&text, Path::new("made.yaml"), &variables).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn book(checked: &Checked) -> PriceBook {
    let list = PriceList::parse(prices::EMBEDDED).expect("the list");
    PriceBook::new(list, billed::of_runtime(&checked.runtime))
}

/// A request of `heads`' number: a head of 2,048 tokens and a tail of 128 of its own.
fn request(number: u64, head: u64, at_s: f64, route: &str) -> Arc<TraceRecord> {
    let block = |id: u64| BlockId(u128::from(rendezvous::spread(id)));
    let head_blocks = (1..=16).map(|at| (block(head << 8 | at), 128 * at as u32));
    let tail = (block(1 << 40 | number), 2_176);
    Arc::new(TraceRecord {
        at_ms: START_MS + (at_s * 1e3) as i64,
        chain: Chain::of(head_blocks.chain([tail])),
        prompt_tokens: 2_176,
        used: Some(Used {
            completion_tokens: 100,
            cached_tokens: 1_024,
            deployment: None,
        }),
        ask: Ask {
            prompt_tokens: 2_176,
            total_tokens: 2_276,
            is_first_turn: true,
            is_cacheable: true,
            session: None,
            draw: 0,
        },
        route: route.into(),
        pool: Some("p".into()),
        policy: Policy::Nested,
        took_ms: 500,
    })
}

/// So many requests of so many heads in turn, so many a second.
fn traffic(requests: u64, heads: u64, per_second: f64) -> Vec<Arc<TraceRecord>> {
    (0..requests)
        .map(|number| request(number, number % heads, number as f64 / per_second, "r"))
        .collect()
}

fn setting() -> Setting {
    Setting {
        counted_from_ms: 0,
        share: 1.0,
        known: HashMap::new(),
        seed: 1,
    }
}

fn played_with(recorded: &[Arc<TraceRecord>], checked: &Checked, setting: &Setting) -> Outcome {
    let snapshot = &checked.runtime.snapshot;
    play(recorded, snapshot, &book(checked), setting, &|| true).expect("goes on")
}

fn played(recorded: &[Arc<TraceRecord>], checked: &Checked) -> Outcome {
    played_with(recorded, checked, &setting())
}

const FOUR: [(&str, u32); 4] = [("a", 1_000), ("b", 1_000), ("c", 1_000), ("d", 1_000)];
const ALL: &str = "{ name: p, tiers: [[r/a, r/b, r/c, r/d]] }";

#[test]
fn the_same_configuration_gives_the_same_figures() {
    let traffic = traffic(400, 20, 5.0);
    let checked = config(&FOUR, ALL, "{ name: r, pool: p }");
    let again = config(&FOUR, ALL, "{ name: r, pool: p }");
    let outcome = played(&traffic, &checked);
    assert_eq!(outcome, played(&traffic, &again));
    assert_eq!((outcome.requests, outcome.refused, outcome.unrouted), (400, 0, 0));
    assert!((outcome.by_deployment.iter().map(|one| one.share).sum::<f64>() - 1.0).abs() < 1e-9);
}

/// Each head is computed once wherever it comes: once by a policy that keeps it in one place, twice by one that deals it out to two. Ten
/// heads with 40 requests each: 39 of 40 heads are found, or 38 of 40.
#[test]
fn dealing_heads_out_costs_the_hits_that_arithmetic_says() {
    let traffic = traffic(400, 10, 5.0);
    let kept = played(&traffic, &config(&FOUR, ALL, "{ name: r, pool: p }"));
    let dealt = played(
        &traffic,
        &config(&FOUR, ALL, "{ name: r, pool: p, policy: round_robin }"),
    );
    let head = 2_048.0 / 2_176.0;
    let near = |found: f64, expected: f64| (found - expected).abs() < 0.005;
    assert!(near(kept.hit_ratio, head * 39.0 / 40.0), "{kept:?}");
    // In turn over ten heads and four deployments: a head of even number meets two deployments, one of odd number the other two.
    assert!(near(dealt.hit_ratio, head * 38.0 / 40.0), "{dealt:?}");
    assert!(dealt.token_usd > kept.token_usd);
    assert_eq!(dealt.hosting_usd, kept.hosting_usd);
}

#[test]
fn weights_are_shares() {
    let traffic = traffic(2_000, 500, 5.0);
    let weighted = "{ name: p, tiers: [[{ deployment: r/a, weight: 4 }, { deployment: r/b, weight: 1 }]] }";
    let checked = config(&FOUR[..2], weighted, "{ name: r, pool: p }");
    let outcome = played(&traffic, &checked);
    assert_eq!(outcome.by_deployment[0].deployment, "r/a");
    // 500 heads at one in five: a standard error of 1.8 %.
    assert!((outcome.by_deployment[0].share - 0.8).abs() < 0.06, "{outcome:?}");
}

#[test]
fn each_deployment_has_its_own_limit_and_tiers_come_in_order() {
    // 2,276 tokens twice a second: 273,120 a minute. The first tier takes 100,000 of them.
    let traffic = traffic(600, 1, 2.0);
    let tiers = "{ name: p, tiers: [[r/a], [r/b]] }";
    let wait = "{ name: r, pool: p, waiting: { max_wait: 0s } }";
    let outcome = played(&traffic, &config(&[("a", 100), ("b", 1_000)], tiers, wait));
    assert_eq!(outcome.refused, 0);
    let share = |outcome: &Outcome, name: &str| {
        let mut each = outcome.by_deployment.iter();
        each.find(|one| one.deployment == name).expect(name).share
    };
    assert!(
        (share(&outcome, "r/a") - 100_000.0 / 273_120.0).abs() < 0.08,
        "{outcome:?}"
    );
    assert_eq!(outcome.spills, (600.0 * share(&outcome, "r/b")).round() as u64);
    let ample = played(&traffic, &config(&[("a", 1_000), ("b", 1_000)], tiers, wait));
    assert_eq!((ample.spills, share(&ample, "r/a")), (0, 1.0));
    let scarce = played(&traffic, &config(&[("a", 100), ("b", 100)], tiers, wait));
    let taken = 200_000.0 / 273_120.0;
    assert!(
        (scarce.refused as f64 / 600.0 - (1.0 - taken)).abs() < 0.08,
        "{scarce:?}"
    );
}

#[test]
fn what_waits_is_not_refused() {
    // A burst of twice the minute's limit, and nothing after it.
    let traffic = traffic(20, 1, 10.0);
    let play_with = |wait: &str| {
        let route = format!("{{ name: r, pool: p, waiting: {{ max_wait: {wait} }} }}");
        played(&traffic, &config(&[("a", 25)], "{ name: p, tiers: [[r/a]] }", &route))
    };
    let (refusing, waiting) = (play_with("0s"), play_with("2m"));
    assert!(refusing.refused >= 9, "{refusing:?}");
    assert_eq!((waiting.refused, waiting.requests), (0, 20));
}

#[test]
fn a_busy_route_takes_no_place_in_anothers_queue() {
    // A burst of three minutes' limit for one route, and one request of another that comes after it.
    let mut traffic = traffic(30, 1, 100.0);
    traffic.push(request(99, 1, 2.0, "s"));
    let waiting = "waiting: { max_wait: 2m, queue: 5 }";
    let routes = format!("{{ name: r, pool: p, {waiting} }}, {{ name: s, pool: p, {waiting} }}");
    let outcome = played(&traffic, &config(&[("a", 25)], "{ name: p, tiers: [[r/a]] }", &routes));
    let refused: Vec<u64> = outcome.by_route.iter().map(|route| route.refused).collect();
    // Ten fit into the minute, five wait; the other route's queue is empty.
    assert_eq!(refused, [15, 0], "{outcome:?}");
}

#[test]
fn routes_go_to_pools_of_their_own() {
    let one = request(1, 1, 0.0, "r");
    let other = request(2, 2, 1.0, "s");
    let unknown = request(3, 3, 2.0, "gone");
    let pools = "{ name: p, tiers: [[r/a]] }, { name: q, tiers: [[r/b]] }";
    let checked = config(&FOUR[..2], pools, "{ name: r, pool: p }, { name: s, pool: q }");
    let outcome = played(&[one, other, unknown], &checked);
    let routes: Vec<_> = outcome
        .by_route
        .iter()
        .map(|route| (route.route.as_str(), route.requests))
        .collect();
    assert_eq!(routes, [("r", 1), ("s", 1)]);
    assert_eq!((outcome.requests, outcome.refused, outcome.unrouted), (3, 1, 1));
    assert!(outcome.by_deployment.iter().all(|deployment| deployment.requests == 1));
}

/// Two routes with the same head: in one pool they share a cache, in two pools of the same deployment too, and in two of two they do not.
#[test]
fn a_pool_that_is_divided_shares_no_cache() {
    let mut traffic = Vec::new();
    for number in 0..40 {
        traffic.push(request(
            number,
            1,
            number as f64,
            if number % 2 == 0 { "r" } else { "s" },
        ));
    }
    let together = config(
        &FOUR[..2],
        "{ name: p, tiers: [[r/a, r/b]] }",
        "{ name: r, pool: p }, { name: s, pool: p }",
    );
    let pools = "{ name: p, tiers: [[r/a]] }, { name: q, tiers: [[r/b]] }";
    let divided = config(&FOUR[..2], pools, "{ name: r, pool: p }, { name: s, pool: q }");
    let (together, divided) = (played(&traffic, &together), played(&traffic, &divided));
    let misses = |outcome: &Outcome| {
        (
            (outcome.prompt_tokens - outcome.cached_tokens - 40 * 128) / 2_048,
            outcome.spills,
        )
    };
    assert_eq!((misses(&together), misses(&divided)), ((1, 0), (2, 0)));
}

#[test]
fn requests_before_the_time_warm_caches_and_do_not_count() {
    let traffic = traffic(20, 1, 1.0);
    let checked = config(&FOUR[..1], "{ name: p, tiers: [[r/a]] }", "{ name: r, pool: p }");
    let later = Setting {
        counted_from_ms: START_MS + 10_000,
        ..setting()
    };
    let outcome = played_with(&traffic, &checked, &later);
    assert_eq!(outcome.requests, 10);
    assert!(
        (outcome.hit_ratio - 2_048.0 / 2_176.0).abs() < 1e-9,
        "the first of them is warm: {outcome:?}"
    );
    assert!((outcome.hosting_usd.expect("priced") - 3.0 * 9.0 / 3_600.0).abs() < 1e-9);
    let tokens = (10.0 * (128.0 + 2_048.0 * 0.5) + 10.0 * 100.0 * 2.0) / 1e6;
    assert!(
        (outcome.token_usd.expect("priced") - tokens).abs() < 1e-6,
        "{outcome:?}"
    );
}

#[test]
fn one_that_is_out_of_use_gets_nothing_and_a_part_stands_for_all() {
    let traffic = traffic(600, 1, 2.0);
    let checked = config(
        &[("a", 300), ("b", 300)],
        "{ name: p, tiers: [[r/a, r/b]] }",
        "{ name: r, pool: p }",
    );
    let out = KnownNow {
        limit: None,
        is_out: true,
    };
    let known = HashMap::from([("r/a".into(), out)]);
    let outcome = played_with(&traffic, &checked, &Setting { known, ..setting() });
    assert_eq!(outcome.by_deployment[0].deployment, "r/b");
    assert_eq!(outcome.by_deployment[1].requests, 0);
    // Half of all conversations: the two take 200,000 of the 273,120 that are recorded a minute.
    let scarce = config(
        &[("a", 200), ("b", 200)],
        "{ name: p, tiers: [[r/a, r/b]] }",
        "{ name: r, pool: p }",
    );
    let half = Setting {
        share: 0.5,
        ..setting()
    };
    let (half, whole) = (played_with(&traffic, &scarce, &half), played(&traffic, &scarce));
    let refused = half.refused as f64 / 600.0;
    assert!((refused - (1.0 - 200_000.0 / 273_120.0)).abs() < 0.1, "{half:?}");
    assert_eq!(whole.refused, 0, "{whole:?}");
    let tokens = |outcome: &Outcome| outcome.token_usd.expect("priced");
    assert!(tokens(&half) > 1.2 * tokens(&whole), "each stands for two");
}

#[test]
fn a_run_ends_when_it_may_not_go_on() {
    let checked = config(&FOUR, ALL, "{ name: r, pool: p }");
    let stopped = play(
        &traffic(300, 1, 1.0),
        &checked.runtime.snapshot,
        &book(&checked),
        &setting(),
        &|| false,
    );
    assert_eq!(stopped, Err(Stopped));
}

/// Few that arrive may be tried very often: each time that one of them is let in, all the others that wait ask again.
#[test]
fn a_run_ends_also_while_what_waits_is_tried_again() {
    // A burst of two hours' limit.
    let traffic = traffic(200, 1, 1_000.0);
    let route = "{ name: r, pool: p, waiting: { max_wait: 10m, queue: 1000 } }";
    let checked = config(&[("a", 4)], "{ name: p, tiers: [[r/a]] }", route);
    for allowed in [1, 2, 3] {
        let asked = Cell::new(0);
        let may_go_on = || {
            asked.set(asked.get() + 1);
            asked.get() <= allowed
        };
        let stopped = play(
            &traffic,
            &checked.runtime.snapshot,
            &book(&checked),
            &setting(),
            &may_go_on,
        );
        assert_eq!(stopped, Err(Stopped), "asked {} times", asked.get());
    }
}

#[test]
fn notes_say_what_to_know() {
    let traffic = traffic(40, 4, 1.0);
    let today = config(&FOUR, ALL, "{ name: r, pool: p }");
    let proposed = config(
        &FOUR[..3],
        "{ name: q, tiers: [[r/a, r/b, r/c]] }",
        "{ name: r, pool: q }",
    );
    let outcomes = (&played(&traffic, &today), &played(&traffic, &proposed));
    let snapshots = (&*today.runtime.snapshot, &*proposed.runtime.snapshot);
    let source = Source {
        is_trace: false,
        left_out: 7,
    };
    let notes = notes::notes(&traffic, &setting(), source, outcomes, snapshots);
    for expected in [
        "only 40 requests",
        "7 older",
        "really reported 47 %",
        "begin empty",
        "pool `q`",
        "deleted at Azure",
    ] {
        assert_eq!(
            notes.iter().filter(|note| note.contains(expected)).count(),
            1,
            "{expected}: {notes:#?}"
        );
    }
    assert_eq!(notes.len(), 6, "{notes:#?}");
}
