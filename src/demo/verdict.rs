//! Did it work? The conditions under which `emberway demo` exits with 0, each as a sentence that is true or not.

use std::time::Instant;

use serde::Serialize;

use crate::demo::books::Books;
use crate::demo::figures::Figures;
use crate::demo::ledger::{Act, Seen};

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
    pub fn of(seen: &[Seen], dead: &str, store: Books) -> Self {
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
            ],
        }
    }

    /// Whether every condition holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
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
        let verdict = Verdict::of(seen, "dead", store);
        verdict.checks.iter().map(|check| check.holds).collect()
    }

    #[test]
    fn all_is_well() {
        assert_eq!(judge(&good()), [true; 4]);
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
            assert_eq!(judge(&list), [false, true, true, true], "{act:?} {kind:?}");
        }
    }

    #[test]
    fn traffic_must_leave_and_return() {
        for act in [Act::Before, Act::Down, Act::Back] {
            let list: Vec<_> = good().into_iter().filter(|seen| seen.act != act).collect();
            assert_eq!(judge(&list), [true, true, false, true], "{act:?}");
        }
    }

    #[test]
    fn each_deployment_must_return() {
        let mut list = good();
        list.push(seen(Act::Before, 1, "dead/y"));
        assert_eq!(judge(&list), [true, true, false, true]);
        list.push(seen(Act::Back, 1, "dead/y"));
        assert_eq!(judge(&list), [true; 4]);
        assert_eq!(returned_at(&list, "dead"), list.last().map(|seen| seen.at));
    }

    #[test]
    fn nothing_at_all_is_no_success() {
        assert_eq!(judge(&[]), [false, false, false, true]);
    }

    #[test]
    fn books_must_agree_and_tokens_be_cached() {
        let mut list = good();
        let verdict = Verdict::of(&list, "dead", Books::default());
        assert!(!verdict.holds() && !verdict.checks[3].holds);
        for seen in &mut list {
            if let Some(tokens) = &mut seen.finished.tokens {
                tokens.cached = 0;
            }
        }
        assert_eq!(judge(&list), [true, false, true, true]);
    }
}
