//! Many runs at once: every trace with every policy in every setting, on some threads; and the policies that were in use, to compare with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::money::Prices;
use super::policy::PolicyName;
use super::report::Row;
use super::saving::Baseline;
use super::trace::{InUse, Trace};
use super::world::{self, Load, Outcome, Provider, Setting};
use crate::core::placement::rule::Rule;

/// What to run, and what is paid.
#[derive(Debug, Clone, Default)]
pub struct Matrix {
    /// In the order of the table.
    pub runs: Vec<Run>,
    /// What is paid, if it is known.
    pub prices: Option<Prices>,
}

/// A run to make.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was asked.
    pub trace: Arc<Trace>,
    /// Who decides.
    pub policy: PolicyName,
    /// In which world.
    pub setting: Setting,
    /// The world to play the policy in use in, where the trace tells it and the run is to be compared with it.
    pub in_use: Option<Setting>,
}

/// What is played: a trace by a policy in a world.
#[derive(Clone, Copy)]
struct Play<'a> {
    trace: &'a Arc<Trace>,
    policy: PolicyName,
    setting: &'a Setting,
}

impl Play<'_> {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.trace, other.trace) && self.policy == other.policy && self.setting == other.setting
    }
}

impl Run {
    fn play(&self) -> Play<'_> {
        Play {
            trace: &self.trace,
            policy: self.policy,
            setting: &self.setting,
        }
    }

    /// The policy in use, to compare with.
    fn baseline(&self) -> Option<Play<'_>> {
        let InUse::One(policy) = self.trace.in_use else {
            return None;
        };
        let setting = self.in_use.as_ref()?;
        let trace = &self.trace;
        Some(Play { trace, policy, setting })
    }
}

/// A run that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// What is printed of it.
    pub row: Row,
    /// Prompt tokens of each deployment over the trace's time.
    pub load: Load,
}

impl Matrix {
    /// What is played, each once: all runs, then the policies in use that are not among them.
    fn plays(&self) -> Vec<Play<'_>> {
        let mut plays: Vec<_> = self.runs.iter().map(Run::play).collect();
        for baseline in self.runs.iter().filter_map(Run::baseline) {
            if !plays.iter().any(|play| play.is(&baseline)) {
                plays.push(baseline);
            }
        }
        plays
    }

    /// How often [`Self::play`] will tell that something ended.
    pub fn steps(&self) -> usize {
        self.plays().len()
    }

    /// Makes all runs on `threads` threads and tells `finished` of each, and of each that is only compared with, as it ends.
    pub fn play(&self, threads: usize, finished: impl Fn() + Sync) -> Vec<Finished> {
        let plays = self.plays();
        let bounds = Bounds::default();
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<Option<(Outcome, f64)>>> = Mutex::new(vec![None; plays.len()]);
        thread::scope(|scope| {
            for _ in 0..threads.clamp(1, plays.len().max(1)) {
                scope.spawn(|| {
                    while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&at| at < plays.len()) {
                        let played = play(plays[at], &bounds);
                        done.lock()[at] = Some(played);
                        finished();
                    }
                });
            }
        });
        let done: Vec<_> = done.into_inner().into_iter().flatten().collect();
        let judged = self.runs.iter().zip(&done);
        judged
            .map(|(run, (outcome, bound))| {
                let baseline = run.baseline().and_then(|baseline| {
                    let at = plays.iter().position(|play| play.is(&baseline))?;
                    Some(Baseline {
                        setting: baseline.setting,
                        outcome: &done[at].0,
                        is_same: baseline.is(&run.play()),
                    })
                });
                Finished {
                    row: Row::of(run, outcome, *bound, self.prices, baseline),
                    load: outcome.load.clone(),
                }
            })
            .collect()
    }
}

/// Upper bounds that were computed: they depend on trace and provider only.
#[derive(Default)]
struct Bounds<'a>(Mutex<Vec<Bound<'a>>>);

struct Bound<'a> {
    trace: &'a Arc<Trace>,
    is_hosted: bool,
    idle_seconds: f64,
    hit: f64,
}

impl<'a> Bounds<'a> {
    fn of(&self, trace: &'a Arc<Trace>, setting: &Setting) -> f64 {
        let is_hosted = matches!(setting.provider, Provider::Hosted { .. });
        let idle_seconds = setting.idle_seconds;
        let is_known = |bound: &&Bound<'_>| {
            let is_alike = bound.idle_seconds.to_bits() == idle_seconds.to_bits();
            Arc::ptr_eq(bound.trace, trace) && bound.is_hosted == is_hosted && is_alike
        };
        if let Some(known) = self.0.lock().iter().find(is_known) {
            return known.hit;
        }
        let hit = world::bound(trace, setting);
        self.0.lock().push(Bound {
            trace,
            is_hosted,
            idle_seconds,
            hit,
        });
        hit
    }
}

/// The shipped rule, but for what the provider does not ask for: an engine caches short prompts too.
fn rule_for(setting: &Setting) -> Rule {
    let rule = Rule::default();
    match setting.provider {
        Provider::Engine => Rule {
            cacheable_tokens: 0,
            ..rule
        },
        Provider::Hosted { .. } => rule,
    }
}

/// What a play comes to, and what one cache over all traffic finds.
fn play<'a>(play: Play<'a>, bounds: &Bounds<'a>) -> (Outcome, f64) {
    let Play { trace, policy, setting } = play;
    let bound = bounds.of(trace, setting);
    (world::run(trace, policy, &rule_for(setting), setting), bound)
}
