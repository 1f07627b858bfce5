//! Gateways that share nothing, asked side by side: do they agree, and what moves when the pool changes?
//!
//! Apart from a run, in which each request is planned once: here every gateway is asked where it would place a request, without counting
//! it, and one of them, drawn by chance, then places it.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::{engine_rule, real, written};
use crate::core::placement::plan::Placement;
use crate::core::placement::room::Room;
use crate::core::placement::view::{Ask, Member, Tier, View};
use crate::core::topology::DeploymentIx;
use crate::replay::chance::Chance;
use crate::replay::provider::{Deployment, Provider};
use crate::replay::trace::{Request, Trace};
use crate::replay::world::{Setting, limit_of};

const GATEWAYS: usize = 4;
const IDLE_SECONDS: f64 = 600.0;
/// What the provider's cache needs.
const CACHEABLE_TOKENS: u32 = 1_024;

struct Gateways<'a> {
    trace: &'a Trace,
    limit: f64,
    memories: Vec<Placement>,
    /// For each gateway what it knows of each deployment.
    rooms: Vec<Vec<Room>>,
    deployments: Vec<Deployment>,
    chance: Chance,
}

impl<'a> Gateways<'a> {
    /// In front of eight deployments with so many times the fair share.
    fn new(trace: &'a Trace, limit_factor: f64) -> Self {
        let setting = Setting {
            limit_factor: Some(limit_factor),
            ..Setting::default()
        };
        let limit = limit_of(trace, &setting).unwrap();
        Self {
            trace,
            limit,
            memories: (0..GATEWAYS).map(|_| Placement::new(engine_rule())).collect(),
            rooms: vec![vec![Room::new(limit); 8]; GATEWAYS],
            deployments: (0..8).map(|at| Deployment::new(Provider::Engine, at, 1.0)).collect(),
            chance: Chance::new(1),
        }
    }

    /// What a gateway sees of a pool of these deployments; of those it never used it knows nothing.
    fn view(&self, gateway: usize, members: &[usize], at: f64) -> View {
        let member = |&number: &usize| {
            let room = self.rooms[gateway].get(number);
            Member {
                used: room.map_or(0.0, |room| room.used(seconds(at), GATEWAYS as f64)),
                ..Member::named(DeploymentIx(number), &format!("a/{number}"), self.limit)
            }
        };
        let tier = Tier {
            members: members.iter().map(member).collect(),
        };
        View {
            tiers: std::iter::once(tier).collect(),
            replicas: GATEWAYS as f64,
        }
    }

    /// Where a gateway would place a request that comes at this time.
    fn would_place(&self, gateway: usize, request: &Request, members: &[usize], at: f64) -> usize {
        let view = self.view(gateway, members, at);
        let plan = self.memories[gateway].explain(&view, &request.chain, &ask(request), seconds(at));
        plan.candidates[0].deployment.0
    }

    /// A gateway that chance draws places a request; the first in its plan that has room takes it.
    fn place(&mut self, request: &Request) {
        let (gateway, now) = (self.chance.below(GATEWAYS), seconds(request.at));
        let view = self.view(gateway, &ALL, request.at);
        let plan = self.memories[gateway].plan(&view, &request.chain, &ask(request), now);
        let mut order = plan.candidates.iter().map(|candidate| candidate.deployment.0);
        let fits = |at: &usize| (self.deployments[*at].used(request.at) + request.limit_tokens) as f64 <= self.limit;
        let Some(taken) = order.find(fits) else { return };
        self.deployments[taken].serve(request, self.trace.block_tokens, IDLE_SECONDS, None);
        let remaining = self.limit - self.deployments[taken].used(request.at) as f64;
        let room = &mut self.rooms[gateway][taken];
        let sent = room.sent(0.0, now);
        room.reported(self.limit, remaining, sent, now);
        let seed = view.tiers[0].members[taken].seed;
        self.memories[gateway].sent(&request.chain, request.prompt, seed, now);
    }
}

const ALL: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

fn seconds(at: f64) -> Duration {
    Duration::from_secs_f64(at)
}

fn ask(request: &Request) -> Ask {
    Ask {
        prompt_tokens: request.prompt,
        total_tokens: request.limit_tokens as u32,
        is_first_turn: request.is_first_turn,
        is_cacheable: true,
        session: None,
        draw: 0,
    }
}

/// Of the requests whose prefix is warm somewhere, the share that all four gateways would place alike: each has seen its own quarter.
fn agreement(trace: &Trace, limit_factor: f64) -> f64 {
    let mut gateways = Gateways::new(trace, limit_factor);
    let mut all_traffic = Deployment::new(Provider::Engine, 0, 1.0);
    let (mut warm, mut alike) = (0, 0);
    for request in &trace.requests {
        let cached = all_traffic.serve(request, trace.block_tokens, IDLE_SECONDS, None);
        if cached >= CACHEABLE_TOKENS {
            let mut places = (0..GATEWAYS).map(|gateway| gateways.would_place(gateway, request, &ALL, request.at));
            let first = places.next();
            warm += 1;
            alike += usize::from(places.all(|place| Some(place) == first));
        }
        gateways.place(request);
    }
    assert!(
        warm > trace.requests.len() / 4,
        "{warm} of {} are warm",
        trace.requests.len()
    );
    f64::from(alike as u32) / f64::from(warm as u32)
}

#[test]
fn four_gateways_that_share_nothing_agree() {
    // Its heads grow hot within minutes, and gateways notice at different moments. What is to be reached is held on recorded traffic.
    let share = agreement(&made(), 4.0);
    assert!(share >= 0.85, "made traffic: {share}");
    let Some(trace) = real("mooncake_conversation.jsonl") else {
        return;
    };
    let share = agreement(&trace, 4.0);
    assert!(share >= 0.98, "mooncake_conversation: {share}");
}

/// Prefixes that are warm when a pool changes, and where gateways would place each before and after: chance draws who is asked.
fn places(trace: &Trace, members: &[usize]) -> Vec<(usize, usize)> {
    let mut gateways = Gateways::new(trace, 2.0);
    let half = trace.requests.len() / 2;
    let now = trace.requests[half].at;
    for request in &trace.requests[..half] {
        gateways.place(request);
    }
    // The longest prompt of each conversation: what no later one begins with.
    let recent = trace.requests[..half]
        .iter()
        .filter(|request| now - request.at <= IDLE_SECONDS);
    let mut ends: HashMap<u32, &Request> = HashMap::new();
    let mut inner = HashSet::new();
    for request in recent.filter(|request| request.prompt >= CACHEABLE_TOKENS) {
        let (end, before) = request.blocks.split_last().unwrap();
        inner.extend(before.iter().copied());
        ends.insert(*end, request);
    }
    let warm = ends
        .into_iter()
        .filter(|(end, _)| !inner.contains(end))
        .map(|(_, request)| request);
    let mut chance = Chance::new(2);
    let mut sorted: Vec<_> = warm.collect();
    sorted.sort_by(|a, b| a.at.total_cmp(&b.at).then(a.raw.cmp(&b.raw)));
    assert!(sorted.len() > 200, "{}", sorted.len());
    let both = sorted.into_iter().map(|request| {
        let gateway = chance.below(GATEWAYS);
        let place = |members: &[usize]| gateways.would_place(gateway, request, members, now);
        (place(&ALL), place(members))
    });
    both.collect()
}

fn share(places: &[(usize, usize)], counts: impl Fn(usize, usize) -> bool) -> f64 {
    let counted = places.iter().filter(|&&(before, after)| counts(before, after)).count();
    counted as f64 / places.len() as f64
}

fn traces() -> impl Iterator<Item = Trace> {
    let real = ["mooncake_conversation.jsonl", "gateway_mix.jsonl.gz"]
        .into_iter()
        .filter_map(real);
    std::iter::once(made()).chain(real)
}

#[test]
fn a_ninth_deployment_moves_its_share_of_warm_prefixes() {
    for trace in traces() {
        let places = places(&trace, &[0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let moved = share(&places, |before, after| before != after);
        assert!(moved <= 1.0 / 8.0 + 0.05, "{}: {moved}", trace.name);
    }
}

#[test]
fn a_deployment_that_leaves_moves_only_its_own() {
    for trace in traces() {
        for gone in [0, 3, 7] {
            let left: Vec<_> = ALL.into_iter().filter(|&at| at != gone).collect();
            let places = places(&trace, &left);
            let own = share(&places, |before, _| before == gone);
            assert!(
                (0.04..0.30).contains(&own),
                "{} without {gone}: {own} were there",
                trace.name
            );
            let others = share(&places, |before, after| before != gone && before != after);
            assert!(
                others <= 0.03,
                "{} without {gone}: {others} of others moved",
                trace.name
            );
        }
    }
}

/// 30 applications, the hottest with a fifth of the traffic, in 20 minutes: heads of 512 to 8,192 tokens, conversations of up to
/// eight turns.
fn made() -> Trace {
    const BLOCK: usize = 128;
    let mut chance = Chance::new(7);
    let mut text = String::new();
    let mut next_block = 1_000_000_u64;
    let mut open: Vec<(usize, Vec<u64>)> = Vec::new();
    for number in 0..6_000_u64 {
        if open.len() < 60 || chance.below(4) == 0 {
            // The lower of two draws, twice: a few applications have most conversations.
            let head = (0..4).map(|_| chance.below(30)).min().unwrap();
            let blocks = 4 << (head % 5);
            open.push((
                1 + chance.below(8),
                (0..blocks).map(|at| head as u64 * 1_000 + at).collect(),
            ));
        }
        let talking = chance.below(open.len());
        let (turns, blocks) = &mut open[talking];
        for _ in 0..=chance.below(5) {
            blocks.push(next_block);
            next_block += 1;
        }
        let (input, at) = (blocks.len() * BLOCK, number * 200);
        let _ = writeln!(
            text,
            r#"{{"timestamp":{at},"input_length":{input},"output_length":100,"hash_ids":{blocks:?},"block_size":{BLOCK}}}"#,
        );
        *turns -= 1;
        if *turns == 0 {
            open.swap_remove(talking);
        }
    }
    written(&text)
}
