//! Did it work? The conditions under which `emberway demo` exits with 0, each as a sentence that is true or not.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use crate::core::ledger::drift::SAMPLES_MIN;
use crate::core::provider::CACHEABLE_TOKENS;
use crate::demo::books::Books;
use crate::demo::figures::Figures;
use crate::demo::ledger::{Act, Seen};
use crate::demo::traffic::HEAD_TOKENS;
use crate::load::outcome::Tokens;
use crate::storage::misses::DriftFound;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Whether it holds.
    pub holds: bool,
    /// What it says, with its figures.
    pub says: String,
}

/// All conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// In the order of the acts.
    pub checks: Vec<Check>,
}

impl Verdict {
    /// Judges everything that was seen. `dead` is the account that went down.
    /// `drifts` are where the gateway says that prompts change too early, and `stamp_after` where a time was put into each, if it was.
    pub fn of(seen: &[Seen], dead: &str, store: Books, drifts: &[Drifted], stamp_after: Option<u32>) -> Self {
        let total = Figures::of(seen);
        let in_act = |act: Act| seen.iter().filter(move |seen| seen.act == act);
        let from_dead = |act: Act| in_act(act).filter(|seen| seen.is_ok() && seen.is_from(dead)).count();
        let elsewhere = in_act(Act::Down)
            .filter(|seen| seen.is_ok() && !seen.is_from(dead))
            .count();
        let (before, back) = (from_dead(Act::Before), from_dead(Act::Back));
        let driver = Books::of_driver(&total);
        let check = |holds, says| Check { holds, says };
        Self {
            checks: vec![
                check(
                    total.requests > 0 && total.failed == 0,
                    format!(
                        "{} requests, {} failed (none may); {} streams, cut on purpose, ended by an explicit error",
                        total.requests, total.failed, total.cut_and_said
                    ),
                ),
                of_cache(total.tokens, stamp_after),
                check(
                    before > 0 && elsewhere > 0 && returned_at(seen, dead).is_some(),
                    format!(
                        "{dead} answered {before} requests before it went down, others {elsewhere} while it was, and it \
                         {back} when it was back (each at least one)"
                    ),
                ),
                check(
                    driver == store,
                    "the usage store holds what the driver counted (every count the same)".to_owned(),
                ),
                of_drift(drifts, stamp_after, &by_route(seen)),
            ],
        }
    }

    /// Whether every condition holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

/// Whether anything was cached, where something can be.
fn of_cache(tokens: Tokens, stamp_after: Option<u32>) -> Check {
    let can_be = stamp_after.is_none_or(|after| after >= CACHEABLE_TOKENS);
    let due = match stamp_after {
        Some(after) if !can_be => {
            format!(
                "none need be: the {after} before the time are fewer than the {CACHEABLE_TOKENS} that a cache keeps at least"
            )
        }
        _ => "at least one must be".to_owned(),
    };
    Check {
        holds: tokens.cached > 0 || !can_be,
        says: format!(
            "{} of {} prompt tokens were cached ({due})",
            tokens.cached, tokens.prompt
        ),
    }
}

/// A route whose prompts are said to change too early, and after how many tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// Which route.
    pub route: String,
    /// Tokens before the place.
    pub position: u32,
}

impl Drifted {
    /// Of a finding in the store.
    pub fn of(found: &DriftFound) -> Self {
        Self {
            route: found.route.to_string(),
            position: found.drift.position_tokens,
        }
    }
}

/// How far a finding may be from the truth: marks of the canonical form are counted too, and a token is four bytes only on average.
const POSITION_TOLERANCE: u32 = 64;

/// Requests by route.
fn by_route(seen: &[Seen]) -> BTreeMap<&str, usize> {
    let mut requests = BTreeMap::new();
    for seen in seen {
        *requests.entry(&*seen.head.route).or_default() += 1;
    }
    requests
}

/// Whether drift was found where there is some, and only there. `requests` are by route: all have the time in their prompts, or none.
fn of_drift(drifts: &[Drifted], stamp_after: Option<u32>, requests: &BTreeMap<&str, usize>) -> Check {
    let places: Vec<_> = drifts
        .iter()
        .map(|drift| format!("{} after {} tokens", drift.route, drift.position))
        .collect();
    let found = if places.is_empty() {
        "none".to_owned()
    } else {
        places.join(", ")
    };
    match stamp_after {
        None => Check {
            holds: drifts.is_empty(),
            says: format!("prompts that change too early: {found} (there are none)"),
        },
        Some(after) => {
            let is_there = |drift: &Drifted| drift.position.abs_diff(after) <= POSITION_TOLERANCE;
            let missing = requests
                .iter()
                .filter(|(route, _)| drifts.iter().all(|drift| drift.route != **route));
            let mut holds = drifts.iter().all(is_there);
            let mut says = vec![format!(
                "prompts that change too early: {found} (a time stands after {after})"
            )];
            for (route, requests) in missing {
                let (is_excused, because) = why_not_found(after, *requests);
                holds &= is_excused;
                says.push(format!("not of {route}: {because}"));
            }
            Check {
                holds,
                says: says.join("; "),
            }
        }
    }
}

/// Why a route's drift need not be found, or that it ought to be.
fn why_not_found(after: u32, requests: usize) -> (bool, String) {
    if after + WORTH_TOKENS > HEAD_TOKENS {
        let said = format!("hardly anything of a prompt's {HEAD_TOKENS} tokens that others share is behind the time");
        (true, said)
    } else if requests < SAMPLES_MIN {
        (
            true,
            format!("of its {requests} requests too few are sampled, {SAMPLES_MIN} are needed"),
        )
    } else {
        (false, "it ought to be".to_owned())
    }
}

/// Shared tokens behind a time that are surely worth telling: two of the steps in which a cache keeps prompts.
const WORTH_TOKENS: u32 = 256;

/// When every deployment of the account that answered before the outage had answered again; none if one has not, or none
/// answered before.
pub fn returned_at(seen: &[Seen], dead: &str) -> Option<Instant> {
    let of_dead = |act: Act| {
        seen.iter()
            .filter(move |seen| seen.act == act && seen.is_ok() && seen.is_from(dead))
    };
    let name = |seen: &Seen| seen.finished.deployment.clone();
    let first_answers: Option<Vec<Instant>> = of_dead(Act::Before)
        .map(|before| {
            of_dead(Act::Back)
                .find(|back| name(back) == name(before))
                .map(|back| back.at)
        })
        .collect();
    first_answers?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::ledger::testing::{failed, seen};
    use crate::load::outcome::FailureKind;

    fn good() -> Vec<Seen> {
        vec![
            seen(Act::Cache, 1, "dead/x"),
            seen(Act::Before, 1, "dead/x"),
            seen(Act::Down, 1, "live/x"),
            seen(Act::Back, 1, "dead/x"),
            failed(Act::Streams, FailureKind::ErrorEvent, true),
        ]
    }

    /// Which conditions hold.
    fn judge(seen: &[Seen]) -> Vec<bool> {
        let store = Books::of_driver(&Figures::of(seen));
        let verdict = Verdict::of(seen, "dead", store, &[], None);
        verdict.checks.iter().map(|check| check.holds).collect()
    }

    #[test]
    fn all_is_well() {
        assert_eq!(judge(&good()), [true; 5]);
    }

    #[test]
    fn one_failed_request_is_enough() {
        for (act, kind, begun) in [
            (Act::Down, FailureKind::HttpError, false),
            (Act::Cache, FailureKind::ErrorEvent, true),
            (Act::Streams, FailureKind::CutStream, true),
            (Act::Streams, FailureKind::HttpError, false),
        ] {
            let mut list = good();
            list.push(failed(act, kind, begun));
            assert_eq!(judge(&list), [false, true, true, true, true], "{act:?} {kind:?}");
        }
    }

    #[test]
    fn traffic_must_leave_and_return() {
        for act in [Act::Before, Act::Down, Act::Back] {
            let list: Vec<_> = good().into_iter().filter(|seen| seen.act != act).collect();
            assert_eq!(judge(&list), [true, true, false, true, true], "{act:?}");
        }
    }

    #[test]
    fn each_deployment_must_return() {
        let mut list = good();
        list.push(seen(Act::Before, 1, "dead/y"));
        assert_eq!(judge(&list), [true, true, false, true, true]);
        list.push(seen(Act::Back, 1, "dead/y"));
        assert_eq!(judge(&list), [true; 5]);
        assert_eq!(returned_at(&list, "dead"), list.last().map(|seen| seen.at));
    }

    #[test]
    fn drift_must_be_found_where_it_is_and_nowhere_else() {
        let of = |route: &str, position| Drifted {
            route: route.to_owned(),
            position,
        };
        let at = |position| of("bot", position);
        let few = SAMPLES_MIN - 1;
        for (drifts, stamp_after, (bots, others), holds, says) in [
            (vec![], None, (90, 90), true, "(there are none)"),
            (vec![at(412)], None, (90, 90), false, "bot after 412"),
            (vec![], Some(400), (90, 0), false, "; not of bot: it ought to be"),
            (
                vec![at(412)],
                Some(400),
                (90, 0),
                true,
                "bot after 412 tokens (a time stands after 400)",
            ),
            (vec![at(600)], Some(400), (90, 0), false, "bot after 600"),
            (
                vec![at(412)],
                Some(400),
                (90, 90),
                false,
                "; not of other: it ought to be",
            ),
            (
                vec![at(412), of("other", 390)],
                Some(400),
                (90, 90),
                true,
                "other after 390",
            ),
            (vec![at(412)], Some(400), (90, few), true, "of its 23 requests too few"),
            (vec![], Some(HEAD_TOKENS), (90, 90), true, "is behind the time"),
        ] {
            let requests = [("bot", bots), ("other", others)];
            let requests = requests.into_iter().filter(|(_, requests)| *requests > 0).collect();
            let check = of_drift(&drifts, stamp_after, &requests);
            assert_eq!(check.holds, holds, "{}", check.says);
            assert!(check.says.contains(says), "{}", check.says);
        }
    }

    #[test]
    fn nothing_at_all_is_no_success() {
        assert_eq!(judge(&[]), [false, false, false, true, true]);
    }

    #[test]
    fn books_must_agree_and_tokens_be_cached() {
        let mut list = good();
        let verdict = Verdict::of(&list, "dead", Books::default(), &[], None);
        assert!(!verdict.holds() && !verdict.checks[3].holds);
        for seen in &mut list {
            if let Some(tokens) = &mut seen.finished.tokens {
                tokens.cached = 0;
            }
        }
        assert_eq!(judge(&list), [true, false, true, true, true]);
        for (stamp_after, holds) in [(400, true), (CACHEABLE_TOKENS, false)] {
            let check = of_cache(Figures::of(&list).tokens, Some(stamp_after));
            assert_eq!(check.holds, holds, "{}", check.says);
        }
    }
}
