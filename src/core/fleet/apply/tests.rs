//! Applying a plan against a control plane that is slow, late and faulty, by a process that is killed at every moment.

use proptest::prelude::*;

use super::*;
use crate::core::fleet::catalogue::{Catalogue, EMBEDDED};
use crate::core::fleet::declared::Declared;
use crate::core::fleet::plan::Allowed;
use crate::core::fleet::toy::{Fault, Toy, declared, key, shown};

/// More turns than any run needs.
const TURNS_MAX: usize = 5_000;

/// A run, killed at each of these moments (counted from 0).
struct Run<'a> {
    toy: Toy,
    declared: &'a Declared,
    allowed: Allowed,
    kills: &'a [usize],
    moments: usize,
    /// What is in memory, and what was stored.
    journal: Journal,
    stored: Journal,
}

impl Run<'_> {
    /// Whether the process dies here.
    fn dies(&mut self) -> bool {
        let dies = self.kills.contains(&self.moments);
        self.moments += 1;
        if dies {
            self.journal = self.stored.clone();
            self.toy.forget_drains();
            self.toy.advance(self.toy.now_ms + 7_000);
        }
        dies
    }

    fn run_out(&mut self) -> Vec<Left> {
        let catalogue = Catalogue::parse(EMBEDDED).expect("the embedded catalogue");
        for _ in 0..TURNS_MAX {
            let (actual, routing) = (self.toy.actual(), self.toy.routing());
            let picture = Picture {
                declared: self.declared,
                actual: &actual,
                catalogue: &catalogue,
                allowed: self.allowed,
                deletable: None,
                routing: &routing,
                now_ms: self.toy.now_ms,
            };
            observe(&mut self.journal, &picture);
            match next(&self.journal, &picture) {
                Next::Steps(steps) => {
                    for step in steps {
                        if self.step(&step) {
                            break;
                        }
                    }
                }
                Next::Wait { until_ms, .. } => {
                    assert!(until_ms > self.toy.now_ms, "waits for what was");
                    self.toy.advance(until_ms);
                }
                Next::Done { left, .. } => return left,
            }
        }
        panic!("it does not end: {:?}", self.journal);
    }

    /// One step, with a moment to die at before and after each thing it does. True where the process died.
    fn step(&mut self, step: &Step) -> bool {
        self.journal.begin(step, self.toy.now_ms);
        if self.dies() {
            return true;
        }
        self.stored = self.journal.clone();
        if self.dies() {
            return true;
        }
        let answer = self.toy.perform(step);
        if self.dies() {
            return true;
        }
        match answer {
            Some(answer) => self.journal.answered(&step.key, answer, self.toy.now_ms),
            None if step.kind == StepKind::Rejoin => self.journal.rejoined(&step.key),
            None => {}
        }
        if self.dies() {
            return true;
        }
        self.stored = self.journal.clone();
        false
    }
}

fn run<'a>(toy: Toy, declared: &'a Declared, deleting: bool, kills: &'a [usize]) -> (Run<'a>, Vec<Left>) {
    let mut run = Run {
        toy,
        declared,
        allowed: Allowed {
            deleting,
            outage: true,
            strict: false,
        },
        kills,
        moments: 0,
        journal: Journal::default(),
        stored: Journal::default(),
    };
    let left = run.run_out();
    (run, left)
}

/// Everything that can be wrong at once: missing, broken, too large, too small, of another model, and unknown ones, one of them routed to.
fn muddle() -> (Declared, Toy) {
    let declared = declared(&[
        ("a/one", "1", 10),
        ("a/two", "1", 10),
        ("a/big", "1", 10),
        ("b/broken", "1", 10),
        ("b/other", "1", 10),
        ("b/small", "1", 10),
    ]);
    let fine = Provisioning::Succeeded;
    let live = [
        ("a/one", shown("1", 10, fine)),
        ("a/big", shown("1", 30, fine)),
        ("a/old", shown("9", 10, fine)),
        ("b/broken", shown("1", 10, Provisioning::Failed)),
        ("b/other", shown("2", 10, fine)),
        ("b/small", shown("1", 5, fine)),
        ("b/junk", shown("9", 10, fine)),
    ];
    let toy = Toy::new(&declared, &live, &["a/one", "b/other", "b/small", "a/old"]);
    (declared, toy)
}

/// All that is declared serves as declared, and what is not is there or not.
#[track_caller]
fn assert_converged(run: &Run<'_>, left: &[Left], unknown: &[&str]) {
    assert!(left.is_empty(), "{left:?}");
    let mut live = run.toy.live().clone();
    for wanted in &run.declared.deployments {
        let is = live.remove(&wanted.key).expect("what is declared is there");
        assert!(is.is_serving(), "{}: {:?}", wanted.id, is.state);
        assert_eq!(
            (Some(&is.model), is.capacity),
            (wanted.model.as_ref(), wanted.capacity),
            "{}",
            wanted.id
        );
    }
    let others: Vec<DeploymentKey> = live.into_keys().collect();
    assert_eq!(others, unknown.iter().map(|name| key(name)).collect::<Vec<_>>());
    assert_eq!(run.toy.needless, 0, "asked for what was there");
    assert!(
        run.toy.made.values().all(|times| *times == 1),
        "made twice: {:?}",
        run.toy.made
    );
    assert!(
        run.journal.drains().is_empty(),
        "left out of routing: {:?}",
        run.journal.drains()
    );
    // What a crash put back into routing is in it; all else was put back.
    let declared = |key: &DeploymentKey| run.declared.find(key).is_some();
    assert!(
        run.toy
            .routing()
            .iter()
            .all(|(key, routed)| !declared(key) || !routed.is_drained)
    );
}

#[test]
fn killed_at_every_moment_in_turn_it_converges() {
    let (declared, toy) = muddle();
    let (undisturbed, left) = run(toy, &declared, true, &[]);
    assert_converged(&undisturbed, &left, &[]);
    assert_eq!(undisturbed.toy.deleted.len(), 2);
    assert!(undisturbed.moments > 30, "{}", undisturbed.moments);
    for (moment, write_ms) in (0..undisturbed.moments).flat_map(|moment| [(moment, 90_000), (moment, 5_000)]) {
        let (declared, mut toy) = muddle();
        // What is done before it is shown must not be done again either.
        toy.write_ms = write_ms;
        let kills = [moment];
        let (run, left) = run(toy, &declared, true, &kills);
        assert_converged(&run, &left, &[]);
    }
}

#[test]
fn nothing_is_deleted_unasked() {
    let (declared, toy) = muddle();
    let (run, left) = run(toy, &declared, false, &[3, 11]);
    assert_converged(&run, &left, &["a/old", "b/junk"]);
    assert!(run.toy.deleted.is_empty());
}

#[test]
fn what_is_given_up_keeps_everything_from_being_deleted() {
    let (declared, mut toy) = muddle();
    toy.faults = vec![Fault::NotDone; 60];
    let (run, left) = run(toy, &declared, true, &[]);
    let reasons: Vec<(&str, &str)> = left
        .iter()
        .map(|left| (left.step.kind.as_str(), left.reason.as_str()))
        .collect();
    assert!(reasons.contains(&("create", "tried_enough")), "{reasons:?}");
    assert!(reasons.contains(&("delete", "not_all_done")), "{reasons:?}");
    assert!(run.toy.deleted.is_empty());
}

#[test]
fn a_refusal_is_final_until_it_is_forgiven() {
    let declared = declared(&[("a/one", "1", 10)]);
    let toy = Toy::new(&declared, &[], &[]);
    let (actual, routing) = (toy.actual(), toy.routing());
    let catalogue = Catalogue::parse(EMBEDDED).expect("the embedded catalogue");
    let picture = Picture {
        declared: &declared,
        actual: &actual,
        catalogue: &catalogue,
        allowed: Allowed::default(),
        deletable: None,
        routing: &routing,
        now_ms: toy.now_ms,
    };
    let mut journal = Journal::default();
    let Next::Steps(steps) = next(&journal, &picture) else {
        panic!("nothing to do")
    };
    journal.begin(&steps[0], toy.now_ms);
    let code = "InsufficientQuota".to_owned();
    journal.answered(&steps[0].key, Answer::Refused { code: code.clone() }, toy.now_ms);
    // It outlives a restart.
    let text = serde_json::to_string(&journal).expect("text");
    let mut journal: Journal = serde_json::from_str(&text).expect("the same");
    let Next::Done { left, .. } = next(&journal, &picture) else {
        panic!("tried again")
    };
    assert_eq!(left[0].reason, LeftReason::Refused { code });
    journal.forgive();
    assert!(matches!(next(&journal, &picture), Next::Steps(steps) if steps.len() == 1));
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::None),
        1 => Just(Fault::NotDone),
        1 => Just(Fault::DoneUnsaid),
        1 => Just(Fault::EndsFailed),
        1 => Just(Fault::Throttled),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_fleet_converges_whatever_fails_and_whenever_it_is_killed(
        wanted in prop::collection::vec(prop::option::of((1..3_u32, 1..3_u32)), 6),
        has in prop::collection::vec(prop::option::of((1..3_u32, 1..3_u32, any::<bool>(), any::<bool>())), 6),
        faults in prop::collection::vec(fault(), 0..5),
        kills in prop::collection::vec(0..80_usize, 0..5),
        lag_ms in 0..40_000_i64,
        write_ms in 1_000..120_000_i64,
        deleting in any::<bool>(),
    ) {
        let names = ["a/one", "a/two", "a/three", "b/one", "b/two", "b/three"];
        let models = ["0", "1", "2"];
        let rows: Vec<(&str, &str, u32)> = names.iter().zip(&wanted)
            .filter_map(|(name, row)| row.map(|(model, tens)| (*name, models[model as usize], tens * 10)))
            .collect();
        let declared = declared(&rows);
        let state = |is_fine| if is_fine { Provisioning::Succeeded } else { Provisioning::Failed };
        let live: Vec<(&str, ActualDeployment)> = names.iter().zip(&has)
            .filter_map(|(name, row)| row.map(|(model, tens, is_fine, _)| {
                (*name, shown(models[model as usize], tens * 10, state(is_fine)))
            }))
            .collect();
        let routed: Vec<&str> = names.iter().zip(&has)
            .filter_map(|(name, row)| row.filter(|row| row.3).map(|_| *name))
            .collect();
        let mut toy = Toy::new(&declared, &live, &routed);
        (toy.lag_ms, toy.write_ms, toy.faults) = (lag_ms, write_ms, faults);
        let unknown: Vec<&str> = live.iter().map(|(name, _)| *name)
            .filter(|name| !deleting && declared.find(&key(name)).is_none())
            .collect();
        let (run, left) = run(toy, &declared, deleting, &kills);
        assert_converged(&run, &left, &{ let mut unknown = unknown; unknown.sort_unstable_by_key(|name| key(name)); unknown });
    }
}
