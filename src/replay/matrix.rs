//! Many runs at once: every trace with every policy in every setting, on some threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::money::Prices;
use super::policy::PolicyName;
use super::report::Row;
use super::trace::Trace;
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
    /// Makes all runs on `threads` threads and tells `finished` of each as it ends.
    pub fn play(&self, threads: usize, finished: impl Fn() + Sync) -> Vec<Finished> {
        let runs = &self.runs;
        let bounds = Bounds::default();
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<Option<Finished>>> = Mutex::new(vec![None; runs.len()]);
        thread::scope(|scope| {
            for _ in 0..threads.clamp(1, runs.len().max(1)) {
                scope.spawn(|| {
                    while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&at| at < runs.len()) {
                        let played = play(&runs[at], &bounds, self.prices);
                        done.lock()[at] = Some(played);
                        finished();
                    }
                });
            }
        });
        done.into_inner().into_iter().flatten().collect()
    }
}

/// Upper bounds that were computed: they depend on trace and provider only.
#[derive(Default)]
struct Bounds(Mutex<Vec<(String, bool, u64, f64)>>);

impl Bounds {
    fn of(&self, trace: &Trace, setting: &Setting) -> f64 {
        let is_hosted = matches!(setting.provider, Provider::Hosted { .. });
        let idle = setting.idle_seconds.to_bits();
        let known = |row: &&(String, bool, u64, f64)| row.0 == trace.name && row.1 == is_hosted && row.2 == idle;
        if let Some(row) = self.0.lock().iter().find(known) {
            return row.3;
        }
        let bound = world::bound(trace, setting);
        self.0.lock().push((trace.name.clone(), is_hosted, idle, bound));
        bound
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

fn play(run: &Run, bounds: &Bounds, prices: Option<Prices>) -> Finished {
    let bound = bounds.of(&run.trace, &run.setting);
    let outcome: Outcome = world::run(&run.trace, run.policy, &rule_for(&run.setting), &run.setting);
    Finished {
        row: Row::of(&run.trace, run.policy, &run.setting, &outcome, bound, prices),
        load: outcome.load,
    }
}
