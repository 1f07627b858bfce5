//! Flags and what they lead to.

use clap::Parser;

use super::*;
use crate::replay::trace::Actual;

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
    let settings = flags.replay.prices().and_then(|_| flags.replay.settings(&trace));
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
}

#[test]
fn wrong_flags_are_named() {
    for (flags, part) in [
        ("--policy best", "possible values: nested, round_robin"),
        ("--limit-factor 0", "a number above zero"),
        ("--replicas 0", "--replicas"),
        ("--outage 1:2", "three numbers"),
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
