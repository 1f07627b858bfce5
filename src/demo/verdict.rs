//! Did it work? The conditions under which `emberway demo` exits with 0, each as a sentence that is true or not.

use std::time::Instant;

use serde::Serialize;

use crate::demo::books::Books;
use crate::demo::figures::Figures;
use crate::demo::ledger::{Act, Seen};
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
                check(
                    total.tokens.cached > 0,
                    format!(
                        "{} of {} prompt tokens were cached (at least one must be)",
                        total.tokens.cached, total.tokens.prompt
                    ),
                ),
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
                of_drift(drifts, stamp_after),
            ],
        }
    }

    /// Whether every condition holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
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

/// Whether drift was found where there is some, and only there.
fn of_drift(drifts: &[Drifted], stamp_after: Option<u32>) -> Check {
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
        Some(after) => Check {
            holds: !drifts.is_empty()
                && drifts
                    .iter()
                    .all(|drift| drift.position.abs_diff(after) <= POSITION_TOLERANCE),
            says: format!("prompts that change too early: {found} (a time stands after {after})"),
        },
    }
}

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
        let at = |position| Drifted {
            route: "bot".to_owned(),
            position,
        };
        for (drifts, stamp_after, holds) in [
            (vec![], None, true),
            (vec![at(412)], None, false),
            (vec![], Some(400), false),
            (vec![at(412)], Some(400), true),
            (vec![at(412), at(600)], Some(400), false),
        ] {
            assert_eq!(
                of_drift(&drifts, stamp_after).holds,
                holds,
                "{drifts:?} {stamp_after:?}"
            );
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
    }
}
