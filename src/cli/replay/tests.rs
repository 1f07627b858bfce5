//! Flags and what they lead to.

use clap::Parser;

use super::*;
use crate::replay::trace::Actual;
use crate::replay::world::limit_of;

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    replay: ReplayArgs,
}

fn settings(flags: &str) -> Result<Vec<Setting>, String> {
    let flags = ["replay", "t.jsonl"].into_iter().chain(flags.split_whitespace());
    let flags = Flags::try_parse_from(flags).map_err(|error| error.to_string())?;
    let trace = Trace {
        name: "t".to_owned(),
        actual: Actual {
            deployments: 3,
            ..Actual::default()
        },
        ..Trace::default()
    };
    let checked = flags.replay.check().and_then(|()| flags.replay.prices());
    let settings = checked.and_then(|_| flags.replay.settings(&trace));
    settings.map_err(|error| error.to_string())
}

#[test]
fn lists_make_a_run_of_each() {
    assert_eq!(settings("").unwrap().len(), 1);
    let all = settings("--replicas 1,4 --limit-factor 1.5,none --deployments 2,8").unwrap();
    assert_eq!(all.len(), 8);
    assert!(
        all.iter()
            .any(|setting| setting.limit_factor.is_none() && setting.replicas == 4)
    );
    let hosted = settings("--provider hosted --machines 8,32 --requests-per-minute 10,15 --cache-key off,auto");
    assert_eq!(hosted.unwrap().len(), 8);
}

#[test]
fn the_provider_follows_the_trace_unless_a_flag_says_it() {
    let of = |flags: &[&str], told: usize| {
        let flags = Flags::try_parse_from(["replay", "t.jsonl"].iter().chain(flags)).expect("flags");
        let mut trace = Trace::default();
        trace.actual.requests = told;
        flags.replay.settings(&trace).expect("settings")[0].provider
    };
    let is_hosted = |provider| matches!(provider, Provider::Hosted { .. });
    assert!(is_hosted(of(&[], 1)) && !is_hosted(of(&[], 0)));
    assert!(is_hosted(of(&["--provider", "hosted"], 0)) && !is_hosted(of(&["--provider", "engine"], 1)));
}

#[test]
fn deployments_follow_the_trace() {
    let all = settings("--deployments actual,actual+2,actual-1,8").unwrap();
    let counts: Vec<_> = all.iter().map(|setting| setting.deployments).collect();
    assert_eq!(counts, [3, 5, 2, 8]);
    assert_eq!(settings("").unwrap()[0].deployments, 3, "as many as the trace tells");
    let flags = Flags::try_parse_from(["replay", "t.jsonl"]).expect("flags");
    let untold = flags.replay.settings(&Trace::default()).expect("settings");
    assert_eq!(untold[0].deployments, 8);
}

#[test]
fn limits_in_tokens_are_each_deployments_own() {
    let all = settings("--deployments actual,actual+2 --tokens-per-minute 250000").unwrap();
    let trace = Trace {
        share: Some(0.1),
        ..Trace::default()
    };
    for setting in all {
        // A tenth of the requests is to meet a tenth of the limit.
        assert_eq!(limit_of(&trace, &setting), Some(25_000.0), "{setting:?}");
    }
}

#[test]
fn the_policy_in_use_is_played_at_what_there_was() {
    let flags = [
        "replay",
        "t.jsonl",
        "--provider",
        "hosted",
        "--cache-key",
        "off,always",
        "--outage",
        "0:1:2",
    ];
    let flags = Flags::try_parse_from(flags).expect("flags");
    let mut trace = Trace::default();
    (trace.actual.deployments, trace.actual.requests) = (3, 1);
    let settings = flags.replay.settings(&trace).expect("settings");
    let in_use = flags.replay.in_use(
        &trace,
        &Setting {
            deployments: 5,
            ..settings[1].clone()
        },
    );
    let expected = Setting {
        outage: None,
        ..settings[0].clone()
    };
    assert_eq!(in_use, Some(expected));
    assert_eq!(
        flags.replay.in_use(&Trace::default(), &settings[0]),
        None,
        "nothing is known of it"
    );
}

#[test]
fn wrong_flags_are_named() {
    for (flags, part) in [
        ("--policy best", "possible values: nested, round_robin"),
        ("--limit-factor 0", "a number above zero"),
        ("--replicas 0", "--replicas"),
        ("--outage 1:2", "three numbers"),
        (
            "--outage 5:1:9",
            "takes out region 5, but there are 1, from 0; give `--regions` more",
        ),
        ("--outage 2:1:9 --regions 2", "takes out region 2, but there are 2"),
        ("--outage 0:9:1", "it ends at 1 s, not after its begin at 9 s"),
        ("--machines 0", "0 is not in 1.."),
        ("--requests-per-minute 0", "0 is not in 1.."),
        ("--tokens-per-minute 0", "a number of tokens above zero"),
        ("--tokens-per-minute 9 --limit-factor 2", "cannot be used with"),
        ("--provider azure", "engine, hosted"),
        ("--deployments 0", "a number such as `8`"),
        ("--deployments actual2", "a number such as `8`"),
        ("--deployments 65", "`65` deployments are too many"),
        (
            "--deployments actual-3",
            "`t` has 3 deployments, so `actual-3` leaves none",
        ),
        ("--price-input 2", "--price-cached"),
        ("--price-input -2 --price-cached 1", "--price-input"),
        ("--price-hour 2", "--price-input"),
        (
            "--price-input 1 --price-cached 1.5",
            "`--price-cached 1.5` is more than `--price-input 1`; what is found cached costs less",
        ),
    ] {
        let message = settings(flags).unwrap_err();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn every_flag_is_in_the_manual() {
    use clap::CommandFactory as _;
    let manual = include_str!("../../../docs/placement.md");
    for flag in Flags::command().get_arguments().filter_map(clap::Arg::get_long) {
        assert!(
            manual.contains(&format!("| `--{flag}` |")),
            "--{flag} is not in docs/placement.md"
        );
    }
}
