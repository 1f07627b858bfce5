//! A fleet in virtual time: the shipped router, rooms and health of gateways that share nothing, in front of the simulator's engines.
//!
//! Apart from `emberway replay`, whose provider is the plainest cache that separates policies: here deployments have tiers, limits as
//! Azure counts them (fixed minutes, a provisioned bucket), answers that take time, and refusals that name one. Gateways learn what
//! the proxy's do, when it does: a request counts once it is sent, headers are read at the head, usage at the end. Nobody waits
//! and nothing breaks: what no deployment takes is refused.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use emberway::core::placement::plan::{Candidate, Placement};
use emberway::core::placement::room::{Room, Sent, Throttle};
use emberway::core::placement::rule::Rule;
use emberway::core::placement::view::{CACHE_LIFE, View};
use emberway::core::recovery::health::{Health, Rules};
use emberway::core::recovery::outcome::{AttemptOutcome, Effect, Next};
use emberway::core::router::tries::Tries;
use emberway::core::router::{self, Known};
use emberway::core::topology::{
    ApiForm, CacheKeys, Deployment as Configured, DeploymentIx, Endpoint, Member, Pool, Resource, ResourceIx, Sku,
    Snapshot,
};
use emberway::simulator::engine::{Admitted, Engine};
use emberway::simulator::limits::{Remaining, ThrottleCause, ptu_rate};
use emberway::simulator::scenario::Scenario;

use super::traffic::{Chance, Coming};

/// The model behind every deployment: fine-tuned, counted as its base model.
const MODEL: &str = "gpt-4.1-mini-2025-04-14.ft-1";
/// Attempts of a request, as by default.
const ATTEMPTS_MAX: usize = 3;

/// The rules of health by default; only throttling occurs here.
const RULES: Rules = Rules {
    consecutive_failures: 5,
    failure_ratio: 0.5,
    ratio_requests: 20,
    open_for: Duration::from_secs(10),
    slow_start: Duration::from_secs(20),
    max_ejected: 0.8,
    throttle_default: Duration::from_secs(2),
    throttle_max: Duration::from_mins(1),
};

/// What a fleet is.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// Tiers of deployments, each provisioned or not and with its capacity.
    pub(super) tiers: Vec<Vec<(Sku, u32)>>,
    /// Gateways.
    pub(super) gateways: usize,
    /// Whether gateways know what is used of limits. Without, every deployment seems empty until it refuses: for comparison only.
    pub(super) knows_room: bool,
    /// What a provisioned deployment's bucket holds, in seconds of its rate. Azure does not publish it.
    pub(super) burst_seconds: f64,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Requests that came.
    pub(super) requests: usize,
    /// Refusals to clients.
    pub(super) refused: usize,
    /// Attempts that deployments refused.
    pub(super) refused_upstream: usize,
    /// Requests that the first tier did not serve: passed over for want of room or while it rested, before it refused them.
    pub(super) spilled: usize,
    /// The same after it had refused them.
    pub(super) spilled_late: usize,
    /// Part of the provisioned capacity that was worked off, from the start to the last arrival.
    pub(super) utilisation: f64,
    /// Cached ÷ prompt tokens.
    pub(super) hit: f64,
}

struct Deployment {
    engine: Engine,
    /// Input tokens a second; none for what is paid per token.
    drain_per_s: Option<f64>,
    worked_off: f64,
    is_first_tier: bool,
}

struct Gateway {
    placement: Placement,
    rooms: Vec<Room>,
    healths: Vec<Health>,
}

/// An attempt that was let in.
struct Running {
    request: usize,
    gateway: usize,
    deployment: usize,
    sent: Sent,
    admitted: Admitted,
    headers: Option<Remaining>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(usize),
    /// The answer of the running attempt of this number begins.
    Begins(usize),
    Ends(usize),
}

pub(super) struct Fleet {
    outline: View,
    knows_room: bool,
    burst_seconds: f64,
    deployments: Vec<Deployment>,
    gateways: Vec<Gateway>,
    running: Vec<Running>,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    start: Instant,
    looked_at: Duration,
    chance: Chance,
    seen: Seen,
    prompt_tokens: u64,
    cached_tokens: u64,
}

/// The deployments' engines, as a scenario makes them; without limits where no bucket is given.
pub(super) fn engines(tiers: &[Vec<(Sku, u32)>], burst_seconds: Option<f64>) -> Vec<Engine> {
    let limits = burst_seconds.map_or("enabled: false".to_owned(), |burst| {
        format!("provisioned_burst_s: {burst}")
    });
    let mut text =
        format!("limits: {{{limits}}}\nprompt_cache: {{machines: 1}}\naccounts: [{{name: a, region: r, deployments: [");
    for (at, (sku, capacity)) in tiers.iter().flatten().enumerate() {
        let sku = if sku.is_provisioned() {
            "ProvisionedManaged"
        } else {
            "Standard"
        };
        let _ = write!(
            text,
            "{{name: d{at}, model: {MODEL}, sku: {sku}, capacity: {capacity}}}, "
        );
    }
    let scenario = Scenario::parse(&(text + "]}]")).unwrap();
    let specs = scenario.accounts[0].deployments.iter();
    specs.map(|spec| Engine::new(&scenario, spec)).collect()
}

/// The gateway's own picture of the same.
fn snapshot(shape: &Shape) -> (Snapshot, Pool) {
    let resource = Resource {
        id: "a".into(),
        region: "r".into(),
        endpoint: Endpoint {
            tls: false,
            host: "localhost".to_owned(),
            port: 1,
            authority: "localhost:1".to_owned(),
            base_path: String::new(),
            http2: false,
        },
        api: ApiForm::V1,
    };
    let deployment = |(at, &(sku, capacity)): (usize, &(Sku, u32))| Configured {
        id: format!("a/d{at}").into(),
        name: format!("d{at}"),
        resource: ResourceIx(0),
        sku,
        capacity: Some(capacity),
        model: Some(MODEL.to_owned()),
        cache_keys: CacheKeys::Auto,
        stream_usage: true,
        created_at_ms: None,
        inactivity_days: None,
        price: None,
    };
    let all = shape.tiers.iter().flatten().enumerate();
    let snapshot = Snapshot {
        replicas: shape.gateways as u32,
        resources: vec![resource],
        deployments: all.map(deployment).collect(),
        ..Snapshot::default()
    };
    let mut numbers = 0..snapshot.deployments.len();
    let member = |at: usize| Member {
        deployment: DeploymentIx(at),
        weight: snapshot.deployments[at].tokens_per_minute().unwrap(),
    };
    let tiers = shape.tiers.iter();
    let tiers = tiers.map(|tier| numbers.by_ref().take(tier.len()).map(member).collect());
    let pool = Pool {
        id: "pool".into(),
        tiers: tiers.collect(),
    };
    (snapshot, pool)
}

impl Fleet {
    pub(super) fn new(shape: &Shape) -> Self {
        let (snapshot, pool) = snapshot(shape);
        let room = |deployment: &Configured| {
            let limit = deployment.tokens_per_minute().unwrap();
            if deployment.sku.is_provisioned() {
                Room::provisioned(limit, shape.gateways as f64)
            } else {
                Room::new(limit)
            }
        };
        let gateway = |_| Gateway {
            placement: Placement::new(Rule::default()),
            rooms: snapshot.deployments.iter().map(room).collect(),
            healths: vec![Health::default(); snapshot.deployments.len()],
        };
        let drains = snapshot.deployments.iter().map(|deployment| {
            let limit = deployment.tokens_per_minute().unwrap();
            deployment.sku.is_provisioned().then_some(limit / 60.0)
        });
        let deployments = engines(&shape.tiers, Some(shape.burst_seconds))
            .into_iter()
            .zip(drains)
            .enumerate();
        let deployments = deployments.map(|(at, (engine, drain_per_s))| Deployment {
            engine,
            drain_per_s,
            worked_off: 0.0,
            is_first_tier: at < shape.tiers[0].len(),
        });
        Self {
            outline: router::outline(&snapshot, &pool),
            knows_room: shape.knows_room,
            burst_seconds: shape.burst_seconds,
            deployments: deployments.collect(),
            gateways: (0..shape.gateways).map(gateway).collect(),
            running: Vec::new(),
            events: BinaryHeap::new(),
            start: Instant::now(),
            looked_at: Duration::ZERO,
            chance: Chance::new(3),
            seen: Seen::default(),
            prompt_tokens: 0,
            cached_tokens: 0,
        }
    }

    /// Plays requests that come in order of time.
    pub(super) fn play(mut self, requests: &[Coming]) -> Seen {
        for (number, request) in requests.iter().enumerate() {
            self.events.push(Reverse((request.at, Event::Arrives(number))));
        }
        let last = requests.last().map_or(Duration::ZERO, |request| request.at);
        while let Some(Reverse((now, event))) = self.events.pop() {
            if now <= last {
                self.note_work(now);
            }
            match event {
                Event::Arrives(request) => self.arrives(requests, request, now),
                Event::Begins(attempt) => self.begins(requests, attempt, now),
                Event::Ends(attempt) => self.ends(requests, attempt, now),
            }
        }
        let provisioned = self
            .deployments
            .iter()
            .filter_map(|one| Some((one.drain_per_s?, one.worked_off)));
        let (drains, worked_off) = provisioned.fold((0.0, 0.0), |sums, one| (sums.0 + one.0, sums.1 + one.1));
        Seen {
            requests: requests.len(),
            utilisation: worked_off / (drains * last.as_secs_f64()),
            hit: self.cached_tokens as f64 / self.prompt_tokens as f64,
            ..self.seen
        }
    }

    /// A bucket works off its rate as long as it holds something.
    fn note_work(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.looked_at).as_secs_f64();
        for deployment in &mut self.deployments {
            let Some(drain_per_s) = deployment.drain_per_s else {
                continue;
            };
            let level = deployment.engine.utilisation(self.looked_at).unwrap() * drain_per_s * self.burst_seconds;
            deployment.worked_off += level.min(passed * drain_per_s);
        }
        self.looked_at = now;
    }

    fn arrives(&mut self, requests: &[Coming], number: usize, now: Duration) {
        let request = &requests[number];
        let at = self.chance.below(self.gateways.len());
        let candidates = self.plan(at, request, now);
        let mut tries = Tries::new(candidates, Duration::from_millis(100));
        let mut refused_by_first_tier = false;
        for _ in 0..ATTEMPTS_MAX {
            let (healths, instant) = (&self.gateways[at].healths, self.start + now);
            let stands = |deployment: DeploymentIx| healths[deployment.0].availability(instant);
            let Some(next) = tries.next(stands, |_| false) else {
                break;
            };
            if self.attempt(at, requests, number, &next.candidate, now) {
                if !self.deployments[next.candidate.deployment.0].is_first_tier {
                    self.seen.spilled += usize::from(!refused_by_first_tier);
                    self.seen.spilled_late += usize::from(refused_by_first_tier);
                }
                return;
            }
            refused_by_first_tier |= self.deployments[next.candidate.deployment.0].is_first_tier;
            tries.failed(next.candidate, AttemptOutcome::Throttled, Next::Elsewhere);
        }
        self.seen.refused += 1;
    }

    fn plan(&self, at: usize, request: &Coming, now: Duration) -> smallvec::SmallVec<[Candidate; 8]> {
        let gateway = &self.gateways[at];
        let instant = self.start + now;
        let view = router::view(&self.outline, |deployment| {
            let room = &gateway.rooms[deployment.0];
            Known {
                availability: gateway.healths[deployment.0].availability(instant),
                is_admitted: true,
                share: 1.0,
                limit: room.limit(),
                used: if self.knows_room {
                    room.used(now, self.outline.replicas)
                } else {
                    0.0
                },
                in_flight: 0.0,
                latency: 0.0,
                cache_life: CACHE_LIFE,
                lost_before: Duration::ZERO,
                caches: true,
            }
        });
        let plan = gateway.placement.plan(&view, &request.chain, &request.ask, now);
        plan.candidates
    }

    /// Whether the deployment took it. What both sides learn of it is what proxy and simulator would.
    fn attempt(&mut self, at: usize, requests: &[Coming], number: usize, candidate: &Candidate, now: Duration) -> bool {
        let request = &requests[number];
        let gateway = &mut self.gateways[at];
        let deployment = candidate.deployment.0;
        let serving = &mut self.deployments[deployment];
        let room = &mut gateway.rooms[deployment];
        let sent = room.sent(candidate.cost, now);
        let admitted = serving.engine.admit(now, &request.demand, 1.0);
        let headers = serving.engine.remaining(now, 1.0);
        match admitted {
            Ok(admitted) => {
                let attempt = self.running.len();
                let (begins, ends) = (admitted.due(0), admitted.due(request.output.saturating_sub(1)));
                self.running.push(Running {
                    request: number,
                    gateway: at,
                    deployment,
                    sent,
                    admitted,
                    headers,
                });
                self.events.push(Reverse((now + begins, Event::Begins(attempt))));
                self.events.push(Reverse((now + ends, Event::Ends(attempt))));
                true
            }
            Err(throttled) => {
                self.seen.refused_upstream += 1;
                room.returned(sent, now);
                report(room, headers, sent, now);
                let what = match throttled.cause {
                    ThrottleCause::Requests => Throttle::Requests,
                    ThrottleCause::Tokens | ThrottleCause::TooLarge | ThrottleCause::Provisioned => Throttle::Tokens,
                };
                room.refused(what, RULES.rest(Some(throttled.retry_after)), now);
                let health = &mut gateway.healths[deployment];
                health.end(Effect::Rest(Some(throttled.retry_after)), &RULES, self.start + now);
                false
            }
        }
    }

    fn begins(&mut self, requests: &[Coming], attempt: usize, now: Duration) {
        let running = &self.running[attempt];
        let request = &requests[running.request];
        let gateway = &mut self.gateways[running.gateway];
        report(
            &mut gateway.rooms[running.deployment],
            running.headers,
            running.sent,
            now,
        );
        let seed = self.outline.tiers.iter().flat_map(|tier| &tier.members);
        let seed = seed.map(|member| member.seed).nth(running.deployment).unwrap();
        gateway
            .placement
            .sent(&request.chain, request.ask.prompt_tokens, seed, now);
        self.prompt_tokens += u64::from(request.demand.prompt_tokens);
        self.cached_tokens += u64::from(running.admitted.cached_tokens);
    }

    fn ends(&mut self, requests: &[Coming], attempt: usize, now: Duration) {
        let running = &self.running[attempt];
        let request = &requests[running.request];
        let serving = &mut self.deployments[running.deployment];
        serving
            .engine
            .finish(now, &request.demand, &running.admitted, request.output);
        let weight = serving.drain_per_s.map_or(1.0, |_| ptu_rate(MODEL).output_weight);
        let uncached = request.demand.prompt_tokens - running.admitted.cached_tokens;
        let used = f64::from(uncached) + weight * f64::from(request.output);
        self.gateways[running.gateway].rooms[running.deployment].settled(running.sent, used, now);
    }
}

/// What headers tell; provisioned deployments send none.
fn report(room: &mut Room, headers: Option<Remaining>, sent: Sent, now: Duration) {
    if let Some(told) = headers {
        room.reported(told.limit_tokens as f64, told.remaining_tokens as f64, sent, now);
        let (limit, remaining) = (f64::from(told.limit_requests), f64::from(told.remaining_requests));
        room.reported_requests(limit, remaining, sent, now);
    }
}
