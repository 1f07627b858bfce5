//! What the gateway looks like from outside: plain data for the metrics and the admin listener, read at the moment of asking.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::core::headroom::{self, Carrier};
use crate::core::ids::Region;
use crate::core::ledger::idle;
use crate::core::placement::hot::HotHead;
use crate::core::recovery::health::Availability;
use crate::core::topology::{Deployment, Member, Pool, Resource};
use crate::proxy::Gateway;
use crate::proxy::state::{Live, LiveDeployment, LiveResource};
use crate::storage::queue::UsageStats;
use crate::storage::trace::TraceStats;
use crate::telemetry::view::{
    DeploymentView, DrainedView, FleetView, PlacementView, PoolView, ResourceView, RouteView, TraceView, UsageView,
};

/// Describes the gateway as it is now. Linear in routes, pools and deployments; takes each deployment's lock for a moment.
pub fn fleet_view(gateway: &Gateway, now: Instant, now_ms: i64) -> FleetView {
    let live = gateway.live.load_full();
    let snapshot = &live.config.runtime.snapshot;
    let loads = loads(gateway, &live, now);
    FleetView {
        routes: snapshot
            .routes
            .iter()
            .zip(&live.routes)
            .map(|(route, state)| RouteView {
                route: route.id.clone(),
                in_flight: state.in_flight.load(Ordering::Relaxed),
                waiting: state.queue.len() as u64,
            })
            .collect(),
        pools: snapshot
            .pools
            .iter()
            .map(|pool| pool_view(&live, pool, &loads, now))
            .collect(),
        deployments: snapshot
            .deployments
            .iter()
            .zip(&live.deployments)
            .map(|(deployment, known)| deployment_view(gateway, &live, deployment, known, now, now_ms))
            .collect(),
        resources: resource_views(&live, now),
        placement: placement_view(gateway, now),
        held_body_bytes: gateway.budget.held() as u64,
        client_connections: gateway.clients.open() as u64,
        client_connections_refused: gateway.clients.refused(),
        usage: usage_view(gateway.usage.stats()),
        misses_dropped: gateway.misses.dropped(),
        finished_dropped: gateway.finished.dropped(),
        trace: gateway
            .trace
            .as_ref()
            .map_or_else(TraceView::default, |trace| trace_view(trace.stats())),
        ..FleetView::default()
    }
}

/// A deployment's limit, tokens a minute that all gateways send it, and what they have sent in all, as far as this one knows.
struct Load {
    limit: f64,
    sent: Option<f64>,
    total: f64,
}

/// The load of each deployment, by `DeploymentIx`.
fn loads(gateway: &Gateway, live: &Live, now: Instant) -> Vec<Load> {
    let replicas = f64::from(live.config.runtime.snapshot.replicas);
    let since = gateway.memory.since_start(now);
    let of = |deployment: &LiveDeployment| {
        let mut learned = deployment.state.learned.lock();
        let (total, limit) = (learned.room.sent_in_all(), learned.room.limit());
        Load {
            limit,
            sent: learned.rate.look(total, since).map(|rate| rate * replicas),
            total: total * replicas,
        }
    };
    live.deployments.iter().map(of).collect()
}

fn pool_view(live: &Live, pool: &Pool, loads: &[Load], now: Instant) -> PoolView {
    let is_usable = |availability| matches!(availability, Availability::Ready | Availability::Probe);
    let usable = pool
        .members()
        .filter(|member| is_usable(live.availability(member.deployment, now)))
        .count();
    let carriers = carriers(live, pool, loads, now);
    PoolView {
        pool: pool.id.clone(),
        deployments: pool.members().count() as u64,
        usable: usable as u64,
        regions: regions(live, pool),
        sent_tokens: pool.members().map(|member| loads[member.deployment.0].total).sum(),
        limit_without: headroom::survivors(&carriers),
        headroom: headroom::headroom(&carriers),
    }
}

fn regions(live: &Live, pool: &Pool) -> Vec<Region> {
    let snapshot = &live.config.runtime.snapshot;
    let mut regions: Vec<Region> = Vec::new();
    for member in pool.members() {
        let region = &snapshot.resources[snapshot.deployments[member.deployment.0].resource.0].region;
        if !regions.contains(region) {
            regions.push(region.clone());
        }
    }
    regions
}

fn carriers<'a>(live: &'a Live, pool: &Pool, loads: &[Load], now: Instant) -> Vec<Carrier<'a>> {
    let snapshot = &live.config.runtime.snapshot;
    let carrier = |member: &Member| {
        let (deployment, load) = (member.deployment, &loads[member.deployment.0]);
        let out = matches!(
            live.availability(deployment, now),
            Availability::Drained(_) | Availability::Absent(_) | Availability::Ejected(_) | Availability::Unusable(_)
        );
        Carrier {
            region: &snapshot.resources[snapshot.deployments[deployment.0].resource.0].region,
            is_usable: !out,
            limit: load.limit,
            load: load.sent,
        }
    };
    pool.members().map(carrier).collect()
}

fn resource_views(live: &Live, now: Instant) -> Vec<ResourceView> {
    let resources = live.config.runtime.snapshot.resources.iter().zip(&live.resources);
    let view = |(resource, known): (&Resource, &LiveResource)| ResourceView {
        resource: resource.id.clone(),
        breaker: known.state.health.lock().state(now),
    };
    resources.map(view).collect()
}

fn deployment_view(
    gateway: &Gateway,
    live: &Live,
    deployment: &Deployment,
    known: &LiveDeployment,
    now: Instant,
    now_ms: i64,
) -> DeploymentView {
    let replicas = f64::from(live.config.runtime.snapshot.replicas);
    let since = gateway.memory.since_start(now);
    let (limit, used, cache_life_s) = {
        let learned = known.state.learned.lock();
        let room = &learned.room;
        let truth = &learned.truth;
        let cache_life_s = if truth.caches(since) {
            truth.cache_life().as_secs_f64()
        } else {
            0.0
        };
        (room.limit(), room.used(since, replicas), cache_life_s)
    };
    let health = known.state.health.lock().clone();
    let (resource_breaker, resource_alarm) = {
        let resource = live.resources[deployment.resource.0].state.health.lock();
        (resource.state(now), resource.alarm())
    };
    let last_success = Some(known.state.last_success_at_ms.load(Ordering::Relaxed)).filter(|&at| at > 0);
    let first_seen = Some(known.state.first_seen_ms.load(Ordering::Relaxed)).filter(|&at| at > 0);
    let from_azure = Some(known.state.created_at_ms.load(Ordering::Relaxed)).filter(|&at| at > 0);
    let created = from_azure.max(deployment.created_at_ms);
    let to_ms = |until: Instant| now_ms + duration_ms(until.saturating_duration_since(now));
    DeploymentView {
        deployment: deployment.id.clone(),
        region: live.config.runtime.snapshot.resources[deployment.resource.0]
            .region
            .clone(),
        in_flight: known.state.in_flight.load(Ordering::Relaxed),
        breaker: health.state(now).max(resource_breaker),
        alarm: health.alarm().or(resource_alarm),
        limit_tokens_per_minute: limit.is_finite().then_some(limit as u64),
        limit_used: limit.is_finite().then(|| used / limit),
        cache_life_s,
        cooling_until_ms: health.rests_until(now).map(to_ms),
        drained: known.state.drained.get(now).map(|end| DrainedView {
            until_ms: end.time().map(to_ms),
        }),
        absent: known.state.absent.get(),
        last_success_at_ms: last_success,
        deletion_at_ms: deployment
            .inactivity_days
            .and_then(|days| idle::deletion_at_ms(created.or(first_seen), last_success, days)),
        last_failure: *known.state.last_failure.lock(),
    }
}

/// Heads that are shown.
const HEADS_SHOWN: usize = 5;

fn placement_view(gateway: &Gateway, now: Instant) -> PlacementView {
    let memory = &gateway.memory;
    let size = memory.placement.size();
    let heads = memory.placement.hot_heads(HEADS_SHOWN, memory.since_start(now));
    let shown = |head: HotHead| (format!("{:08x}", head.id.0 >> 96), head.homes as u64);
    PlacementView {
        blocks: size.blocks as u64,
        blocks_max: size.blocks_max as u64,
        bytes: size.bytes as u64,
        heads: heads.into_iter().map(shown).collect(),
    }
}

fn usage_view(stats: &UsageStats) -> UsageView {
    UsageView {
        accepted: stats.accepted.load(Ordering::Relaxed),
        written: stats.written.load(Ordering::Relaxed),
        dropped: stats.dropped.load(Ordering::Relaxed),
        batches: stats.batches.load(Ordering::Relaxed),
        write_errors: stats.write_errors.load(Ordering::Relaxed),
    }
}

fn trace_view(stats: &TraceStats) -> TraceView {
    TraceView {
        written: stats.written.load(Ordering::Relaxed),
        dropped: stats.dropped.load(Ordering::Relaxed),
    }
}

fn duration_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
