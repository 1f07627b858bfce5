//! What the API tells of routing: the configuration in use in words, and what placement remembers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::admin::api::routing::{
    Head, MemberShown, PoolShown, RouteShown, RoutingAnswer, RoutingView, Setting, Table,
};
use crate::core::admission::limit::LimitRule;
use crate::core::placement::policy::Policy;
use crate::core::recovery::health::Availability;
use crate::core::topology::{Member, Pool, Route};
use crate::proxy::Gateway;
use crate::proxy::state::{Live, RouteState};

/// Heads that are shown.
const HEADS_SHOWN: usize = 20;

/// The routing of a running gateway.
pub(in crate::app) struct GatewayRouting(pub(in crate::app) Arc<Gateway>);

impl RoutingView for GatewayRouting {
    fn routing(&self) -> RoutingAnswer {
        let live = self.0.live.load_full();
        let snapshot = &live.config.runtime.snapshot;
        let now = Instant::now();
        let routes = snapshot.routes.iter().zip(&live.routes);
        let size = self.0.memory.placement.size();
        RoutingAnswer {
            routes: routes.map(|(route, state)| route_shown(&live, route, state)).collect(),
            pools: snapshot.pools.iter().map(|pool| pool_shown(&live, pool, now)).collect(),
            heads: heads(&self.0),
            table: Table {
                blocks: size.blocks,
                blocks_max: size.blocks_max,
                bytes: size.bytes,
            },
        }
    }
}

/// The hottest beginnings of prompts, and where they were sent.
pub(super) fn heads(gateway: &Gateway) -> Vec<Head> {
    let live = gateway.live.load_full();
    let snapshot = &live.config.runtime.snapshot;
    let (memory, replicas) = (&gateway.memory, f64::from(snapshot.replicas));
    let now = memory.since_start(Instant::now());
    let seeds: Vec<u64> = live.deployments.iter().map(|deployment| deployment.seed).collect();
    let hot = memory.placement.hot_heads(HEADS_SHOWN, now).into_iter();
    let shown = hot.map(|head| {
        let held = memory.placement.held(head.id, &seeds, replicas, now);
        let names = held
            .places
            .into_iter()
            .map(|place| snapshot.deployments[place].id.to_string());
        Head {
            digest: format!("{:08x}", head.id.0 >> 96),
            homes: head.homes,
            deployments: names.collect(),
            requests: held.requests_per_minute,
            tokens_per_minute: head.tokens_per_minute,
        }
    });
    shown.collect()
}

fn route_shown(live: &Live, route: &Route, state: &RouteState) -> RouteShown {
    RouteShown {
        name: route.id.to_string(),
        aliases: route.aliases.clone(),
        pool: live.config.runtime.snapshot.pools[route.pool.0].id.to_string(),
        policy: route.policy.as_ref().to_owned(),
        policy_text: policy_text(route.policy).to_owned(),
        settings: settings(route),
        in_flight: state.in_flight.load(Ordering::Relaxed),
        waiting: state.queue.len() as u64,
    }
}

fn policy_text(policy: Policy) -> &'static str {
    match policy {
        Policy::Nested => {
            "follows prompts to where their beginning is cached, and divides beginnings that are too hot for one deployment"
        }
        Policy::RoundRobin => "takes each deployment in turn, by weight",
        Policy::LeastBusy => "takes the deployment with the fewest requests in flight for its weight",
        Policy::HeadHash => "chooses by a hash of the prompt's first 1,024 tokens",
        Policy::Latency => "of two deployments takes the one with the lower latency times requests in flight",
    }
}

fn settings(route: &Route) -> Vec<Setting> {
    let (failover, timeouts, waiting) = (&route.failover, &route.timeouts, &route.waiting);
    let first_token = failover.first_token;
    let mut settings = vec![
        setting(
            "failover",
            format!(
                "at most {} attempts, and {} until an answer begins",
                failover.max_attempts,
                span(failover.deadline)
            ),
        ),
        setting(
            "retries",
            format!(
                "at most {:.0} % of requests are tried again, or {} a second",
                failover.retry_budget.ratio * 100.0,
                failover.retry_budget.min_per_second
            ),
        ),
        setting(
            "first token",
            format!(
                "a stream must begin within {}, and {} more for 1,000 tokens that are not cached; never less than {}",
                span(first_token.base),
                span(first_token.per_1k_tokens),
                span(first_token.least)
            ),
        ),
        setting(
            "hedging",
            if failover.hedging.is_on() {
                let share = failover.hedging.max_share * 100.0;
                format!("a second attempt beside one that is late, for at most {share:.0} % of requests")
            } else {
                "off".to_owned()
            },
        ),
        setting(
            "waiting",
            if waiting.max_wait.is_zero() {
                "requests do not wait for a deployment to recover".to_owned()
            } else {
                format!(
                    "up to {} for a deployment to recover, at most {} requests at a time",
                    span(waiting.max_wait),
                    waiting.queue
                )
            },
        ),
        setting(
            "timeouts",
            format!(
                "connect {}, first byte {}, whole answers {}, silence {}, an attempt {}",
                span(timeouts.connect),
                span(timeouts.first_byte),
                span(timeouts.whole_answer),
                span(timeouts.idle),
                span(timeouts.total)
            ),
        ),
    ];
    settings.extend(limits(route.limits).map(|text| setting("limits of all clients together", text)));
    settings.extend(limits(route.client_limits).map(|text| setting("limits of each client", text)));
    if let Some(residency) = &route.residency {
        let regions: Vec<&str> = residency.regions.iter().map(|region| &***region).collect();
        settings.push(setting("residency", format!("only in {}", regions.join(", "))));
    }
    settings
}

fn setting(name: &str, text: String) -> Setting {
    Setting {
        name: name.to_owned(),
        text,
    }
}

/// None where nothing is limited.
fn limits(rule: LimitRule) -> Option<String> {
    let parts = [
        rule.requests_per_minute.map(|most| format!("{most} requests a minute")),
        rule.tokens_per_minute.map(|most| format!("{most} tokens a minute")),
        rule.concurrency.map(|most| format!("{most} requests at one time")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn span(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

fn pool_shown(live: &Live, pool: &Pool, now: Instant) -> PoolShown {
    let snapshot = &live.config.runtime.snapshot;
    let shown = |member: &Member| {
        let why = why_not(live.availability(member.deployment, now));
        MemberShown {
            deployment: snapshot.deployments[member.deployment.0].id.to_string(),
            weight: member.weight,
            usable: why.is_none(),
            why: why.map(str::to_owned),
        }
    };
    let tiers: Vec<Vec<MemberShown>> = pool.tiers.iter().map(|tier| tier.iter().map(shown).collect()).collect();
    let mut regions: Vec<String> = Vec::new();
    for member in pool.members() {
        let region = &snapshot.resources[snapshot.deployments[member.deployment.0].resource.0].region;
        if !regions.iter().any(|known| **known == ***region) {
            regions.push(region.to_string());
        }
    }
    PoolShown {
        name: pool.id.to_string(),
        usable: tiers.iter().flatten().filter(|member| member.usable).count(),
        tiers,
        regions,
    }
}

/// Why a deployment may not be used now, in a word.
fn why_not(availability: Availability) -> Option<&'static str> {
    match availability {
        Availability::Ready | Availability::Probe => None,
        Availability::Resting(_) => Some("resting"),
        Availability::Ejected(_) => Some("ejected"),
        Availability::Unusable(_) => Some("unusable"),
        Availability::Drained(_) => Some("drained"),
        Availability::Absent(absence) => Some(absence.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_where_there_are_any() {
        assert_eq!(limits(LimitRule::default()), None);
        let rule = LimitRule {
            requests_per_minute: Some(60),
            tokens_per_minute: None,
            concurrency: Some(4),
        };
        assert_eq!(
            limits(rule).as_deref(),
            Some("60 requests a minute, 4 requests at one time")
        );
    }
}
