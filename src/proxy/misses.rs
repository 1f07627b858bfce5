//! Where answers tell what of their prompt was cached, and prompts are sampled for drift.
//!
//! A request leaves a few numbers ([`MissLedger::note`]) and, seldom, the hashes of its prompt's head ([`MissLedger::sampler`]).
//! Both wait in bounded lists in memory; what finds no room is dropped and counted. One task ([`MissWriter`]) empties them: it adds
//! misses up by the hour, looks for drift, and writes every ten seconds. A store that fails is tried again with the next sums,
//! which wait added up.
//!
//! Cost for a request: arithmetic, three reference counts and short locks; a sampled one reads its head once more.

use std::collections::HashMap;
use std::hash::RandomState;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use lru::LruCache;
use parking_lot::{Mutex, RwLock};

use crate::core::ids::{ClientId, DeploymentId, RouteId};
use crate::core::ledger::cost;
use crate::core::ledger::drift::Drift;
use crate::core::ledger::drift::gate::Gate;
use crate::core::ledger::drift::sample::{Sample, Sampler};
use crate::core::ledger::misses::{self, Cause, Drifting, Facts, Miss, Moved};
use crate::core::placement::plan::Reason;
use crate::core::recovery::outcome::AttemptOutcome;
use crate::core::topology::{ClientIx, DeploymentIx, Route, RouteIx, Snapshot};
use crate::openai::usage::Usage;
use crate::proxy::placing::Placed;
use crate::proxy::state::Live;
use crate::storage::DeploymentTotals;
use crate::telemetry::events::CacheJudged;

mod writer;

pub use writer::MissWriter;

/// Misses that wait for the writing task, which looks twice a second: 96 bytes each.
const RECORDS_MAX: usize = 32_768;
/// Samples that wait for it: at most 48 KiB each.
const SAMPLES_MAX: usize = 256;
/// Routes whose requests are counted; the configuration allows as many.
const ROUTES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1_023);
/// Answers without a cached token, where there should have been some, after which a deployment is taken to report none.
const SILENT_MAX: u32 = 8;

/// The ledger's side of requests. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct MissLedger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    records: Mutex<Vec<MissRecord>>,
    samples: Mutex<Vec<Sampled>>,
    dropped: AtomicU64,
    /// Of the hashes in samples; lives as long as the process.
    key: RandomState,
    gates: Mutex<LruCache<RouteId, Gate>>,
    findings: ArcSwap<HashMap<RouteId, Drift>>,
    reports: RwLock<HashMap<DeploymentId, Reports>>,
    began: Instant,
}

/// Whether a deployment reports cached tokens.
#[derive(Debug, Default)]
struct Reports {
    ever: AtomicBool,
    silent: AtomicU32,
}

/// A sampled prompt, on its way to be compared with others.
#[derive(Debug)]
struct Sampled {
    route: RouteId,
    sample: Sample,
    /// Millionths of a US dollar that a missed token of the route costs more, as configured.
    micro_usd_each: Option<f64>,
}

/// What a missed token of a route costs more where no answer has told: at the first deployment of its pool that has prices per
/// token, in the order of tiers. One that is paid by the hour alone says nothing of what is paid where its requests overflow.
fn usual_cost(snapshot: &Snapshot, route: &Route) -> Option<f64> {
    let mut members = snapshot.pools[route.pool.0].members();
    members.find_map(|member| {
        let price = snapshot.deployments[member.deployment.0].price.as_ref();
        price
            .and_then(cost::micro_usd_per_missed_token)
            .filter(|each| *each > 0.0)
    })
}

/// One miss, on its way to the store.
#[derive(Debug, Clone, PartialEq)]
struct MissRecord {
    at_ms: i64,
    route: RouteId,
    client: ClientId,
    deployment: DeploymentId,
    cause: Cause,
    tokens: u64,
    /// Millionths of a US dollar that each of them costs more, if known.
    micro_usd_each: Option<f64>,
}

/// An answer whose usage the provider reported.
#[derive(Debug, Clone, Copy)]
pub struct CachedAnswer<'a> {
    /// When the request arrived, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who asked.
    pub client: ClientIx,
    /// What for.
    pub route: RouteIx,
    /// Who answered.
    pub deployment: DeploymentIx,
    /// Why it was asked.
    pub reason: Reason,
    /// Whether those that were asked before it were all throttled, or others of them failed; none where it was asked first.
    pub before: Option<Before>,
    /// What was planned and expected.
    pub placed: &'a Placed,
    /// What it reported.
    pub usage: Usage,
}

/// What came of judging an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Prompt tokens that could have been cached, since they were sent before.
    pub expected: u64,
    /// What was missed of them, and why; none when it was all there.
    pub miss: Option<Miss>,
}

/// What the attempts before the one that answered came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// All were throttled: their deployments work, and have no room.
    Throttled,
    /// At least one failed.
    Failed,
}

impl Before {
    /// Of the outcomes of the attempts before; none without any.
    pub fn of(outcomes: impl Iterator<Item = AttemptOutcome>) -> Option<Self> {
        let each = outcomes.map(|outcome| match outcome {
            AttemptOutcome::Throttled => Self::Throttled,
            _ => Self::Failed,
        });
        each.reduce(|one, other| if one == other { one } else { Self::Failed })
    }
}

/// Why a prompt that is warm elsewhere came to a deployment.
fn moved_by(reason: Reason, before: Option<Before>) -> Moved {
    match reason {
        Reason::Failover if before == Some(Before::Throttled) => Moved::BySpill,
        Reason::Failover
        | Reason::Hedge
        | Reason::Retry
        | Reason::SpillEjected
        | Reason::SpillDrained
        | Reason::SpillAbsent
        | Reason::LastResort => Moved::ByFailover,
        Reason::SpillThrottled | Reason::SpillNoRoom | Reason::NoRoom | Reason::Tier => Moved::BySpill,
        Reason::Warm
        | Reason::Home
        | Reason::ShortPrompt
        | Reason::ByLoad
        | Reason::Turn
        | Reason::LeastBusy
        | Reason::Latency
        | Reason::OnlyChoice
        | Reason::Keepalive
        | Reason::Pinned => Moved::ByHomes,
    }
}

impl MissLedger {
    /// A ledger with nothing in it, except which deployments have reported cached tokens before.
    pub fn new(known: &[DeploymentTotals], now: Instant) -> Self {
        let reports = known.iter().map(|totals| {
            let reports = Reports::default();
            reports.ever.store(totals.cached_tokens > 0, Ordering::Relaxed);
            (totals.deployment.clone(), reports)
        });
        let shared = Shared {
            records: Mutex::default(),
            samples: Mutex::default(),
            dropped: AtomicU64::new(0),
            key: RandomState::new(),
            gates: Mutex::new(LruCache::new(ROUTES_MAX)),
            findings: ArcSwap::default(),
            reports: RwLock::new(reports.collect()),
            began: now,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Judges an answer, counts it in the metrics, and leaves its miss, if it is one. Says nothing of requests that want no cache, and of
    /// routes whose policy does not remember what was sent: none then.
    pub fn note(&self, live: &Live, answer: &CachedAnswer<'_>) -> Option<Judged> {
        let snapshot = &*live.config.runtime.snapshot;
        let (route, placed) = (&snapshot.routes[answer.route.0], answer.placed);
        if !placed.prompt.ask.is_cacheable || route.policy.plain().is_some() {
            return None;
        }
        let (route, deployment) = (&route.id, &snapshot.deployments[answer.deployment.0]);
        let here = placed
            .candidate(answer.deployment)
            .map_or(0, |candidate| candidate.expected_tokens);
        let mut facts = Facts {
            prompt: answer.usage.prompt,
            cached: answer.usage.cached,
            estimate: u64::from(placed.prompt.ask.prompt_tokens),
            here: u64::from(here),
            lately: u64::from(placed.warm_tokens),
            ever: u64::from(placed.sent_tokens),
            moved: moved_by(answer.reason, answer.before),
            reports_cache: true,
            drift: self.shared.findings.load().get(route).map(|drift| Drifting {
                position: u64::from(drift.position_tokens),
                lost: u64::from(drift.lost_tokens_per_request),
            }),
        };
        let expected = misses::expected(&facts);
        facts.reports_cache = self.shared.reports_cache(&deployment.id, expected, facts.cached);
        let miss = misses::miss(&facts);
        CacheJudged {
            route: answer.route,
            deployment: answer.deployment,
            expected,
            miss,
        }
        .emit(&live.series);
        if let Some(miss) = miss {
            self.shared.leave(MissRecord {
                at_ms: answer.at_ms,
                route: route.clone(),
                client: snapshot.clients[answer.client.0].id.clone(),
                deployment: deployment.id.clone(),
                cause: miss.cause,
                tokens: miss.tokens,
                micro_usd_each: deployment.price.as_ref().and_then(cost::micro_usd_per_missed_token),
            });
        }
        Some(Judged { expected, miss })
    }

    /// Counts a request of a route, and gives something to feed its prompt to if it is to be sampled.
    pub fn sampler(&self, route: &RouteId, now: Instant) -> Option<Sampler> {
        let now = self.shared.running(now);
        let mut gates = self.shared.gates.lock();
        let is_due = match gates.get_mut(route) {
            Some(gate) => gate.admit(now),
            None => gates.get_or_insert_mut(route.clone(), || Gate::new(now)).admit(now),
        };
        is_due.then(|| Sampler::new(&self.shared.key))
    }

    /// Leaves a sampled prompt of a route, whatever its policy.
    pub fn sample(&self, snapshot: &Snapshot, route: &Route, sampler: Sampler) {
        let prompt = Sampled {
            route: route.id.clone(),
            sample: sampler.finish(),
            micro_usd_each: usual_cost(snapshot, route),
        };
        let mut waiting = self.shared.samples.lock();
        if waiting.len() < SAMPLES_MAX {
            waiting.push(prompt);
        } else {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Where each route's prompts drift, of those that do.
    pub fn findings(&self) -> Arc<HashMap<RouteId, Drift>> {
        self.shared.findings.load_full()
    }

    /// Misses and samples lost so far because the writing task was behind, or the store failed for long.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn running(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    fn leave(&self, record: MissRecord) {
        let mut records = self.records.lock();
        if records.len() < RECORDS_MAX {
            records.push(record);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes an answer as evidence whether the deployment reports cached tokens, and says whether it is taken to.
    fn reports_cache(&self, deployment: &DeploymentId, expected: u64, cached: u64) -> bool {
        if let Some(reports) = self.reports.read().get(deployment) {
            return reports.learn(expected, cached);
        }
        let mut all = self.reports.write();
        all.entry(deployment.clone()).or_default().learn(expected, cached)
    }
}

impl Reports {
    fn learn(&self, expected: u64, cached: u64) -> bool {
        if cached > 0 {
            self.ever.store(true, Ordering::Relaxed);
        }
        if self.ever.load(Ordering::Relaxed) {
            return true;
        }
        if expected > 0 {
            self.silent.fetch_add(1, Ordering::Relaxed);
        }
        self.silent.load(Ordering::Relaxed) <= SILENT_MAX
    }
}

#[cfg(test)]
mod tests;
