//! What would another configuration have done with the same requests? Plays recorded traffic on the fleet of a real [`Snapshot`]:
//! every route with its policy, waiting and attempts, its pool's tiers and weights, each deployment with its own limit.
//!
//! Two runs over the same requests, one with the configuration in use and one with the proposed one, differ by the configuration
//! only. The plan of each request is made by the code that makes it in the gateway ([`router::outline`], `core::placement`), from what a
//! gateway would know; what a deployment does with it is modelled in `deployment`. Requests are named by the block ids that the
//! gateway itself placed them by, so their homes are the real ones.
//!
//! Not played: faults, breakers and second attempts beside late ones (no configuration would have had other faults, as far as anybody
//! knows), the limits of clients and routes, and how a provider spreads one deployment over machines. Caches begin empty; requests from
//! before the time that is asked about are played first and not counted, so that they are warm where there are any.
//!
//! Pure and in virtual time: the same requests, configuration and seed give the same figures. Linear in requests × blocks.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use self::deployment::{Asked, Deployment};
use self::outcome::{Outcome, Tally};
use crate::core::ids::DeploymentId;
use crate::core::ledger::book::PriceBook;
use crate::core::placement::chain::{BlockId, Chain};
use crate::core::placement::plain;
use crate::core::placement::plan::{Candidate, Placement, Plan, Reason};
use crate::core::placement::rendezvous;
use crate::core::placement::rule::Rule;
use crate::core::placement::view::{Ask, State, View};
use crate::core::recorded::TraceRecord;
use crate::core::router;
use crate::core::topology::{DeploymentIx, PoolIx, Route, RouteIx, Snapshot};

mod deployment;
pub mod file;
pub mod notes;
pub mod outcome;

/// Tries between two looks at whether the run may go on. A request that waits may be tried very often, so it is not arrivals that count.
const LOOK_EVERY: u64 = 256;

/// What is known of a deployment beside the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct KnownNow {
    /// Tokens a minute that it told; counts where the configuration names no capacity.
    pub limit: Option<f64>,
    /// Whether it is out of use now: drained, or not there.
    pub is_out: bool,
}

/// What both runs have in common.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Requests from this time on are counted, in milliseconds since the Unix epoch; those before it only warm caches.
    pub counted_from_ms: i64,
    /// Share of all conversations that is recorded, above 0 and at most 1.
    pub share: f64,
    /// What is known of deployments.
    pub known: HashMap<DeploymentId, KnownNow>,
    /// Chance.
    pub seed: u64,
}

/// A run was stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("playing the recorded requests takes too long")]
pub struct Stopped;

/// Plays requests, in order of their arrival, on the fleet of a configuration; prices are of `book`. `may_go_on` is asked now and then.
///
/// # Errors
/// When `may_go_on` says no.
pub fn play(
    recorded: &[Arc<TraceRecord>],
    snapshot: &Snapshot,
    book: &PriceBook,
    setting: &Setting,
    may_go_on: &dyn Fn() -> bool,
) -> Result<Outcome, Stopped> {
    let mut world = World::new(recorded, snapshot, setting, may_go_on);
    for (number, record) in recorded.iter().enumerate() {
        let at = world.since_start(record.at_ms);
        world.resume_until(at)?;
        world.arrives(number, at)?;
    }
    world.resume_until(Duration::MAX)?;
    let seconds = counted_seconds(recorded, setting);
    let replicas = f64::from(snapshot.replicas);
    Ok(world.tally.outcome(snapshot, book, seconds, replicas / setting.share))
}

/// From the first request that is counted to the last one.
fn counted_seconds(recorded: &[Arc<TraceRecord>], setting: &Setting) -> f64 {
    let mut counted = recorded.iter().filter(|record| record.at_ms >= setting.counted_from_ms);
    let first = counted.next().map_or(0, |record| record.at_ms);
    let last = recorded.last().map_or(0, |record| record.at_ms);
    last.saturating_sub(first).max(0) as f64 / 1e3
}

/// A request that waits for a deployment to recover: until when, its number, and until when at most.
type Waiting = (Duration, usize, Duration);

struct World<'a> {
    recorded: &'a [Arc<TraceRecord>],
    snapshot: &'a Snapshot,
    setting: &'a Setting,
    may_go_on: &'a dyn Fn() -> bool,
    /// How often requests were tried.
    tried: u64,
    /// By `PoolIx`.
    views: Vec<View>,
    turns: Vec<u64>,
    /// By `DeploymentIx`.
    deployments: Vec<Deployment>,
    placement: Placement,
    /// When requests in flight end, and where.
    ends: BinaryHeap<Reverse<(Duration, usize)>>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// How many wait, by `RouteIx`: as in the gateway, a route's queue is its own.
    waiting_of: Vec<usize>,
    start_ms: i64,
    tally: Tally,
}

impl<'a> World<'a> {
    fn new(
        recorded: &'a [Arc<TraceRecord>],
        snapshot: &'a Snapshot,
        setting: &'a Setting,
        may_go_on: &'a dyn Fn() -> bool,
    ) -> Self {
        let pools = snapshot.pools.iter();
        let deployments = snapshot.deployments.iter().map(|deployment| {
            let known = setting.known.get(&deployment.id).copied().unwrap_or_default();
            let limit = deployment.tokens_per_minute().or(known.limit);
            Deployment::new(
                limit.map(|limit| limit * setting.share),
                f64::from(snapshot.replicas),
                deployment.sku.is_provisioned(),
                known.is_out,
            )
        });
        Self {
            recorded,
            snapshot,
            setting,
            may_go_on,
            tried: 0,
            views: pools.map(|pool| router::outline(snapshot, pool)).collect(),
            turns: (0..snapshot.pools.len() as u64)
                .map(|pool| rendezvous::spread(setting.seed ^ pool) >> 32)
                .collect(),
            deployments: deployments.collect(),
            placement: Placement::new(Rule::default()),
            ends: BinaryHeap::new(),
            waiting: BinaryHeap::new(),
            waiting_of: vec![0; snapshot.routes.len()],
            start_ms: recorded.first().map_or(0, |record| record.at_ms),
            tally: Tally::new(snapshot),
        }
    }

    fn since_start(&self, at_ms: i64) -> Duration {
        Duration::from_millis(u64::try_from(at_ms.saturating_sub(self.start_ms)).unwrap_or(0))
    }

    fn is_counted(&self, record: &TraceRecord) -> bool {
        record.at_ms >= self.setting.counted_from_ms
    }

    /// Lets those that wait try again whose time has come.
    fn resume_until(&mut self, now: Duration) -> Result<(), Stopped> {
        while let Some(&Reverse((at, number, give_up_at))) = self.waiting.peek() {
            if at > now {
                break;
            }
            self.waiting.pop();
            if let Some(route) = self.snapshot.route_by_model.get(&**self.recorded[number].route) {
                self.waiting_of[route.0] -= 1;
            }
            self.tries(number, at, give_up_at)?;
        }
        Ok(())
    }

    fn arrives(&mut self, number: usize, at: Duration) -> Result<(), Stopped> {
        let record = &self.recorded[number];
        match self.snapshot.route_by_model.get(&**record.route) {
            Some(route) => {
                let max_wait = self.snapshot.routes[route.0].waiting.max_wait;
                self.tries(number, at, at + max_wait)?;
            }
            None if self.is_counted(record) => self.tally.unrouted(record),
            None => {}
        }
        Ok(())
    }

    /// Plans a request and sends it to the first candidate that takes it; where none does it waits, if it may, or is refused. Looks now and
    /// then whether the run may go on.
    fn tries(&mut self, number: usize, at: Duration, give_up_at: Duration) -> Result<(), Stopped> {
        if self.tried.is_multiple_of(LOOK_EVERY) && !(self.may_go_on)() {
            return Err(Stopped);
        }
        self.tried += 1;
        let record = Arc::clone(&self.recorded[number]);
        let Some(&route_ix) = self.snapshot.route_by_model.get(&**record.route) else {
            return Ok(());
        };
        let route = &self.snapshot.routes[route_ix.0];
        self.end_until(at);
        let chain = self.chain(&record, route.pool);
        let plan = self.plan(route, &chain, &record.ask, at);
        let attempts = route.failover.max_attempts as usize;
        for (attempt, candidate) in plan.candidates.iter().take(attempts).enumerate() {
            if self.admits(candidate, at) {
                self.serve(&record, route_ix, &plan, (attempt, candidate), &chain, at);
                return Ok(());
            }
        }
        match self
            .soonest(route.pool)
            .filter(|soonest| *soonest <= give_up_at && *soonest > at)
        {
            Some(soonest) if self.waiting_of[route_ix.0] < route.waiting.queue => {
                self.waiting_of[route_ix.0] += 1;
                self.waiting.push(Reverse((soonest, number, give_up_at)));
            }
            _ if self.is_counted(&record) => self.tally.refused(&record, route_ix),
            _ => {}
        }
        Ok(())
    }

    /// The prompt's blocks as this configuration names them: those of another pool than the recorded one have other names.
    fn chain<'r>(&self, record: &'r TraceRecord, pool: PoolIx) -> Cow<'r, Chain> {
        let id = &self.snapshot.pools[pool.0].id;
        let recorded = &record.chain;
        if record.pool.as_ref().is_none_or(|pool| pool == id) {
            return Cow::Borrowed(recorded);
        }
        let scope = rendezvous::seed(id);
        let blocks = recorded.ids().iter().enumerate();
        Cow::Owned(Chain::of(blocks.map(|(at, block)| {
            let low = rendezvous::spread(block.low() ^ scope);
            let high = block.0 >> 64;
            (BlockId(high << 64 | u128::from(low)), recorded.tokens(at + 1))
        })))
    }

    fn plan(&mut self, route: &Route, chain: &Chain, ask: &Ask, at: Duration) -> Plan {
        let view = &mut self.views[route.pool.0];
        let replicas = view.replicas;
        for member in view.tiers.iter_mut().flat_map(|tier| &mut tier.members) {
            let deployment = &self.deployments[member.deployment.0];
            member.limit = deployment.room.limit();
            member.used = deployment.room.used(at, replicas);
            member.load = f64::from(deployment.in_flight);
            member.latency = deployment.latency.seconds(at);
            member.state = match deployment {
                Deployment { is_out: true, .. } => State::Drained,
                Deployment { rests_until, .. } if *rests_until > at => State::Resting,
                Deployment { .. } => State::Ready,
            };
        }
        let turn = &mut self.turns[route.pool.0];
        *turn += 1;
        let ask = Ask { draw: *turn, ..*ask };
        match route.policy.plain() {
            None => self.placement.plan(view, chain, &ask, at),
            Some(plain::Plain::HeadHash) if !ask.is_cacheable => {
                plain::plan(plain::Plain::LeastBusy, view, chain, &ask, *turn)
            }
            Some(policy) => plain::plan(policy, view, chain, &ask, *turn),
        }
    }

    /// Whether the deployment takes it; one that does not asks for rest.
    fn admits(&mut self, candidate: &Candidate, at: Duration) -> bool {
        let deployment = &mut self.deployments[candidate.deployment.0];
        deployment.rests_until <= at && deployment.admits(candidate.cost, at)
    }

    fn serve(
        &mut self,
        record: &TraceRecord,
        route_ix: RouteIx,
        plan: &Plan,
        (attempt, candidate): (usize, &Candidate),
        chain: &Chain,
        at: Duration,
    ) {
        let at_deployment = candidate.deployment;
        let deployment = &mut self.deployments[at_deployment.0];
        let asked = Asked {
            record,
            cost: candidate.cost,
            output_weight: self.snapshot.deployments[at_deployment.0].output_weight(),
            at,
        };
        let (cached, ends) = deployment.serve(&asked);
        self.ends.push(Reverse((ends, at_deployment.0)));
        if plan.key.is_some() && self.snapshot.routes[route_ix.0].policy.plain().is_none() {
            let seed = rendezvous::seed(&self.snapshot.deployments[at_deployment.0].id);
            self.placement.sent(chain, record.ask.prompt_tokens, seed, at);
        }
        if self.is_counted(record) {
            let is_spilled = attempt > 0 || is_spill(candidate.reason);
            self.tally.served(record, route_ix, at_deployment, cached, is_spilled);
        }
    }

    fn end_until(&mut self, at: Duration) {
        while let Some(&Reverse((ends, deployment))) = self.ends.peek() {
            if ends > at {
                return;
            }
            self.ends.pop();
            self.deployments[deployment].in_flight -= 1;
        }
    }

    /// When the first member of a pool that rests may be used again.
    fn soonest(&self, pool: PoolIx) -> Option<Duration> {
        let members = self.snapshot.pools[pool.0].members();
        let usable = members.filter_map(|member| {
            let DeploymentIx(at) = member.deployment;
            let deployment = &self.deployments[at];
            (!deployment.is_out).then_some(deployment.rests_until)
        });
        usable.min()
    }
}

/// Whether a request with this reason goes elsewhere than where it belongs.
fn is_spill(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::SpillNoRoom
            | Reason::SpillThrottled
            | Reason::SpillEjected
            | Reason::SpillDrained
            | Reason::SpillAbsent
            | Reason::NoRoom
            | Reason::Tier
            | Reason::LastResort
    )
}
