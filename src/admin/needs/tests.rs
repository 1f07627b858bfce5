//! What needs somebody, from a status where all is well and one thing is changed.

use std::collections::BTreeMap;

use super::*;
use crate::admin::status::{AlarmStatus, ConfigStatus};
use crate::core::recovery::absence::Absence;
use crate::core::recovery::outcome::Alarm;

const NOW_MS: i64 = 1_795_521_600_000;

fn deployment() -> DeploymentStatus {
    DeploymentStatus {
        name: "a/ft".to_owned(),
        region: "north".to_owned(),
        in_flight: 3,
        breaker: "closed",
        alarm: None,
        limit_tokens_per_minute: Some(150_000),
        limit_used: Some(0.25),
        cache_life_s: 600.0,
        cooling_until: None,
        cooling_until_ms: None,
        drained: false,
        drained_until_ms: None,
        absent: None,
        last_success_at: None,
        last_success_at_ms: Some(NOW_MS),
        deletion_at: None,
        deletion_at_ms: Some(NOW_MS + 15 * DAY_MS),
        care: None,
        last_failure: None,
    }
}

fn pool(name: &str) -> PoolStatus {
    PoolStatus {
        name: name.to_owned(),
        deployments: 2,
        usable: 2,
        regions: Vec::new(),
        sent_tokens: 0.0,
        limit_without: BTreeMap::new(),
        headroom: BTreeMap::from([("north".to_owned(), 2.5), ("south".to_owned(), 1.0)]),
    }
}

fn all_well() -> Status {
    Status {
        at: String::new(),
        at_ms: NOW_MS,
        started_at: String::new(),
        started_at_ms: 0,
        ready: true,
        draining: false,
        version: "0",
        requests_running: 6,
        config: ConfigStatus {
            generation: 1,
            loaded_at: String::new(),
            loaded_at_ms: 0,
            last_error: None,
        },
        fleet: None,
        pools: vec![pool("ft"), pool("embed")],
        deployments: vec![deployment()],
        needs: Vec::new(),
    }
}

/// Urgency, subject and kind of each.
fn told(status: &Status) -> Vec<(Urgency, String, String)> {
    let all = needs(status).into_iter();
    all.map(|need| (need.urgency, need.subject, need.kind)).collect()
}

fn of(change: impl FnOnce(&mut DeploymentStatus)) -> Vec<Need> {
    let mut status = all_well();
    change(&mut status.deployments[0]);
    needs(&status)
}

/// The only one of a deployment changed so, by urgency and kind.
fn is(change: impl FnOnce(&mut DeploymentStatus), urgency: Urgency, kind: &str) -> Need {
    let mut found = of(change);
    assert_eq!(found.len(), 1, "{found:?}");
    let need = found.remove(0);
    assert_eq!((need.urgency, &*need.kind, &*need.subject), (urgency, kind, "a/ft"));
    need
}

#[test]
fn where_all_is_well_nothing_needs_somebody() {
    assert_eq!(needs(&all_well()), []);
}

#[test]
fn the_gravest_comes_first() {
    let mut status = all_well();
    status.pools[0].headroom.insert("south".to_owned(), 0.5);
    status.pools[1].usable = 0;
    status.config.last_error = Some("emberway.yaml:3:1: unknown field".to_owned());
    status.deployments[0].alarm = Some(AlarmStatus::from(Alarm::Paused));
    status.deployments[0].breaker = "open";
    status.deployments[0].drained = true;
    status.draining = true;
    let expected = [
        (Urgency::Error, "configuration", "reload_refused"),
        (Urgency::Error, "pool embed", "nobody_usable"),
        (Urgency::Error, "a/ft", "paused"),
        (Urgency::Warning, "gateway", "ending"),
        (Urgency::Warning, "pool ft", "headroom"),
        (Urgency::Info, "a/ft", "drained"),
    ];
    let expected = expected.map(|(urgency, subject, kind)| (urgency, subject.to_owned(), kind.to_owned()));
    assert_eq!(told(&status), expected);
    status.draining = false;
    status.ready = false;
    assert!(told(&status).contains(&(Urgency::Error, "gateway".to_owned(), "not_ready".to_owned())));
}

#[test]
fn what_a_region_carries_is_told_by_its_loss() {
    let said = |ratio: f64| {
        let mut status = all_well();
        status.pools[0].headroom.insert("south".to_owned(), ratio);
        needs(&status).pop().map(|need| need.advice)
    };
    assert_eq!(said(1.0), None);
    assert_eq!(
        said(0.505).as_deref(),
        Some("without south the others would carry 50 % of its load")
    );
    assert_eq!(
        said(0.999).as_deref(),
        Some("without south the others would carry 99 % of its load")
    );
    assert_eq!(said(0.0).as_deref(), Some("without south nobody would carry its load"));
}

#[test]
fn each_state_of_a_deployment_has_its_urgency() {
    let breaker = |word: &'static str| move |one: &mut DeploymentStatus| one.breaker = word;
    is(breaker("open"), Urgency::Error, "breaker_open");
    is(breaker("half_open"), Urgency::Warning, "breaker_half_open");
    let until = |ms: i64| {
        move |one: &mut DeploymentStatus| {
            one.cooling_until_ms = Some(NOW_MS + ms);
            one.limit_used = Some(0.5);
        }
    };
    assert_eq!(is(until(5), Urgency::Warning, "resting").at_ms, Some(NOW_MS + 5));
    assert_eq!(of(until(0)), []);
    let used = |part: f64| move |one: &mut DeploymentStatus| one.limit_used = Some(part);
    assert_eq!(of(used(0.949)), []);
    let near = is(used(1.2), Urgency::Warning, "limit_near");
    assert_eq!(near.advice, "120 % of its tokens a minute are used");
    let drained = |one: &mut DeploymentStatus| {
        one.drained = true;
        one.drained_until_ms = Some(NOW_MS + 9);
    };
    assert_eq!(is(drained, Urgency::Info, "drained").at_ms, Some(NOW_MS + 9));
}

#[test]
fn what_is_not_there_is_told_once_and_in_words() {
    let absent = |word: &'static str| move |one: &mut DeploymentStatus| one.absent = Some(word);
    is(absent("provisioning"), Urgency::Info, "provisioning");
    is(absent("ending"), Urgency::Info, "ending");
    for why in [
        Absence::Missing,
        Absence::Failed,
        Absence::Deleting,
        Absence::Paused,
        Absence::Disabled,
        Absence::Retired,
        Absence::Unlike,
    ] {
        let word: &'static str = why.into();
        let need = is(absent(word), Urgency::Error, word);
        assert_ne!(need.advice, "it gets no requests", "{word} has words of its own");
    }
    let both = |one: &mut DeploymentStatus| {
        one.absent = Some("missing");
        one.alarm = Some(AlarmStatus::from(Alarm::DeploymentMissing));
    };
    let need = is(both, Urgency::Error, "deployment_missing");
    assert_eq!(
        (need.words(), &*need.advice),
        ("deployment missing".to_owned(), Alarm::DeploymentMissing.advice())
    );
}

#[test]
fn inactivity_is_judged_by_the_guard_or_else_by_the_date() {
    let care = |urgency: &str| {
        let cared = CaredStatus {
            policy: "keep".to_owned(),
            state: "there".to_owned(),
            idle_s: Some(9.0),
            deletion_at: None,
            deletion_is_exact: true,
            urgency: urgency.to_owned(),
            next: None,
            end: None,
            sentence: Some("idle for 14 d".to_owned()),
        };
        move |one: &mut DeploymentStatus| {
            one.care = Some(cared);
            one.deletion_at_ms = Some(NOW_MS);
        }
    };
    assert_eq!(of(care("none")), [], "the guard knows better than the date");
    for (word, urgency) in [
        ("soon", Urgency::Warning),
        ("urgent", Urgency::Error),
        ("overdue", Urgency::Error),
    ] {
        assert_eq!(
            is(care(word), urgency, &format!("inactivity_{word}")).advice,
            "idle for 14 d"
        );
    }
    let left = |ms: i64| move |one: &mut DeploymentStatus| one.deletion_at_ms = Some(NOW_MS + ms);
    assert_eq!(of(left(5 * DAY_MS)), []);
    let need = is(left(5 * DAY_MS - 1), Urgency::Warning, "inactivity");
    assert!(
        need.advice.starts_with("Azure may delete it in 4 d (20"),
        "{}",
        need.advice
    );
    is(left(DAY_MS - 1), Urgency::Error, "inactivity");
    let need = is(left(0), Urgency::Error, "inactivity");
    assert!(
        need.advice.starts_with("Azure may delete it at any time;"),
        "{}",
        need.advice
    );
}
