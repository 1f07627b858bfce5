//! Replay as a whole: it agrees with the reference, and reaches its figures.

mod gateways;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::policy::PolicyName;
use super::trace::{self, Trace};
use super::world::{self, CacheKeys, Outage, Outcome, Provider, Setting};
use crate::core::placement::rule::{Fill, Rule};

/// A made trace of 500 requests; each line also has `placed`: where the reference implementation sent it, with one replica, eight
/// deployments and ample limits.
const REFERENCE: &str = include_str!("fixtures/reference.jsonl");

fn written(text: &str) -> Trace {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.jsonl");
    std::fs::write(&path, text).unwrap();
    trace::files::read(&path, None, trace::files::Pick::OneRoute).unwrap()
}

/// The rule for an engine, which caches prompts of any length.
fn engine_rule() -> Rule {
    Rule {
        cacheable_tokens: 0,
        ..Rule::default()
    }
}

fn play(trace: &Trace, policy: PolicyName, setting: &Setting) -> Outcome {
    world::run(trace, policy, &engine_rule(), setting)
}

/// A real trace, where it is at hand: in `EMBERWAY_TRACES`, or beside the repository.
fn real(name: &str) -> Option<Trace> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/traces");
    let folder = std::env::var_os("EMBERWAY_TRACES").map_or_else(beside, PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        // Not by a macro: what those print of a test that passes is not shown.
        let reason = format!("skipped: no {}; set EMBERWAY_TRACES=folder\n", path.display());
        std::io::stderr().write_all(reason.as_bytes()).unwrap();
        return None;
    }
    Some(trace::files::read(&path, None, trace::files::Pick::OneRoute).unwrap())
}

#[test]
fn decisions_are_those_of_the_reference() {
    let trace = written(REFERENCE);
    let placed = REFERENCE.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["placed"].as_u64().map(|at| at as u8)
    });
    let even = Fill {
        new: 0.95,
        warm: 0.95,
        other: 0.95,
    };
    let rule = Rule {
        half_life: Duration::from_mins(5),
        window_min: Duration::from_secs(15),
        home_share: 0.12,
        certainty: 1.0,
        alone: even,
        ..engine_rule()
    };
    let setting = Setting {
        limit_factor: Some(4.0),
        ..Setting::default()
    };
    let ours = world::run(&trace, PolicyName::Nested, &rule, &setting);
    let alike = placed
        .zip(&ours.placed)
        .filter(|(theirs, ours)| theirs == *ours)
        .count();
    // The reference lets counters decay in steps of 15 seconds, which now and then moves a change of homes.
    assert!(alike >= 490, "{alike} of 500");
}

#[test]
fn the_same_seed_plays_the_same_run() {
    let trace = written(REFERENCE);
    let setting = Setting {
        replicas: 3,
        ..Setting::default()
    };
    for policy in [PolicyName::Nested, PolicyName::SglangCacheAware, PolicyName::Latency] {
        assert_eq!(play(&trace, policy, &setting), play(&trace, policy, &setting));
    }
}

#[test]
fn ours_keeps_its_hits_with_several_replicas() {
    let trace = written(REFERENCE);
    let bound = world::bound(&trace, &Setting::default());
    let hit = |policy, replicas| {
        let setting = Setting {
            replicas,
            ..Setting::default()
        };
        play(&trace, policy, &setting).hit / bound
    };
    let (one, four) = (hit(PolicyName::Nested, 1), hit(PolicyName::Nested, 4));
    assert!(one > 0.93 && four > 0.9, "{one} {four}");
    for published in [
        PolicyName::RoundRobin,
        PolicyName::SglangCacheAware,
        PolicyName::PrebleE2,
    ] {
        assert!(hit(published, 4) < four, "{published:?}");
    }
}

/// Where each block of the trace was last sent, by the last request that ended with it.
fn homes(trace: &Trace, deployments: usize) -> HashMap<u64, u8> {
    let setting = Setting {
        deployments,
        limit_factor: None,
        ..Setting::default()
    };
    let outcome = play(trace, PolicyName::Nested, &setting);
    let last = trace.requests.iter().zip(&outcome.placed);
    last.filter_map(|(request, placed)| Some((*request.raw.last()?, (*placed)?)))
        .collect()
}

#[test]
fn a_new_deployment_moves_its_share_and_one_that_leaves_its_own() {
    let trace = written(REFERENCE);
    let (eight, nine) = (homes(&trace, 8), homes(&trace, 9));
    let moved = eight.iter().filter(|(block, at)| nine.get(*block) != Some(at)).count();
    let share = moved as f64 / eight.len() as f64;
    assert!(share <= 1.0 / 8.0 + 0.05, "{share}");
    // Seen the other way round: what leaves with the ninth is what was there.
    for (block, at) in nine.iter().filter(|(_, at)| **at != 8) {
        assert_eq!(eight.get(block), Some(at));
    }
}

#[test]
fn a_prefix_that_spans_regions_survives_the_loss_of_one() {
    let trace = written(REFERENCE);
    let during = |regions| {
        let setting = Setting {
            regions,
            limit_factor: None,
            outage: Some(Outage {
                region: 0,
                from: 200.0,
                until: 400.0,
            }),
            ..Setting::default()
        };
        play(&trace, PolicyName::Nested, &setting)
    };
    let two = during(2);
    assert!(two.failed == 0.0 && two.refused > 0.0);
    let placed = trace.requests.iter().zip(&two.placed);
    for (request, placed) in placed.filter(|(request, _)| (200.0..400.0).contains(&request.at)) {
        assert_eq!(placed.unwrap() % 2, 1, "at {}", request.at);
    }
}

#[test]
fn real_traces_reach_the_reference_figures() {
    // Hit of the bound with one and four replicas and limits of 1.5 times the fair share; in percent, less one point.
    let figures = [
        ("mooncake_conversation.jsonl", [97.1, 91.2]),
        ("toolagent_like.jsonl.gz", [98.8, 97.6]),
        ("agentic_coding_replay.jsonl.gz", [92.5, 90.6]),
        ("gateway_mix.jsonl.gz", [95.1, 91.6]),
    ];
    for (name, least) in figures {
        let Some(trace) = real(name) else { return };
        let bound = world::bound(&trace, &Setting::default());
        for (replicas, least) in [1, 4].into_iter().zip(least) {
            let setting = Setting {
                replicas,
                limit_factor: Some(1.5),
                ..Setting::default()
            };
            let hit = 100.0 * play(&trace, PolicyName::Nested, &setting).hit / bound;
            assert!(hit >= least, "{name}, {replicas} replicas: {hit}");
        }
    }
}

#[test]
fn keys_never_lose_more_than_a_point_and_win_where_a_head_is_hot() {
    for (name, least) in [("mooncake_conversation.jsonl", 0.97), ("gateway_mix.jsonl.gz", 0.94)] {
        let Some(trace) = real(name) else { return };
        for rate in [15, 30] {
            let hit = |cache_keys| {
                let setting = Setting {
                    replicas: 4,
                    cache_keys,
                    provider: Provider::Hosted {
                        machines: 32,
                        requests_per_minute: rate,
                    },
                    ..Setting::default()
                };
                let outcome = world::run(&trace, PolicyName::Nested, &Rule::default(), &setting);
                outcome.hit / world::bound(&trace, &setting)
            };
            let (without, with) = (hit(CacheKeys::Off), hit(CacheKeys::Auto));
            assert!(with >= without - 0.01, "{name}, {rate} a minute: {without} {with}");
            assert!(rate > 15 || with >= least, "{name}: {with}");
        }
    }
}

#[test]
fn a_sample_overflows_machines_as_all_of_it_would() {
    let line = |second: u32| {
        let at = 1_000 * second;
        format!(r#"{{"timestamp":{at},"input_length":2048,"output_length":1,"hash_ids":[1,2,3,4]}}"#)
    };
    let lines: Vec<_> = (0..60).map(line).collect();
    let hit = |share| {
        let trace = Trace {
            share,
            ..written(&lines.join("\n"))
        };
        let setting = Setting {
            deployments: 1,
            limit_factor: None,
            provider: Provider::Hosted {
                machines: 32,
                requests_per_minute: 15,
            },
            ..Setting::default()
        };
        (60.0 * play(&trace, PolicyName::RoundRobin, &setting).hit).round() as u32
    };
    // Of 60 requests a minute each machine takes 15 and misses its first; of 600 it takes 20, of which 2 are in the sample.
    assert_eq!((hit(Some(1.0)), hit(None), hit(Some(0.1))), (56, 56, 30));
}
