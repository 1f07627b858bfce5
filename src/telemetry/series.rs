//! Metrics by position in the snapshot, so that a request looks no label up by text.
//!
//! Finding a counter by its labels hashes them under a lock, about 200 ns each; a request touches about ten. A
//! [`FleetSeries`] is made with each snapshot and finds them by index. Entries are filled in at their first use,
//! so that pairs of client and route that never occur cost a few bytes here and nothing in a scrape. Calls against inactivity are the
//! exception: they are rare, and `increase` does not see a series that is born with its first failure.
//!
//! Series of ids that a reload removed stay exposed until the process ends, as Prometheus expects of counters.

use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use prometheus::{Histogram, IntCounter, IntCounterVec};

use crate::core::ids::{ClientId, DeploymentId, ResourceId, RouteId};
use crate::core::topology::{ClientIx, DeploymentIx, ResourceIx, RouteIx, Snapshot};
use crate::telemetry::definitions::KEEPALIVE_RESULTS;
use crate::telemetry::metrics::Metrics;

/// Every series that requests of one snapshot can touch.
#[derive(Debug)]
pub struct FleetSeries {
    metrics: Arc<Metrics>,
    clients: Vec<ClientId>,
    routes: Vec<RouteId>,
    deployments: Vec<DeploymentId>,
    resources: Vec<ResourceId>,
    by_route: Box<[OnceLock<RouteSeries>]>,
    /// Requests over a limit, by client.
    limited: Box<[OnceLock<ByWords<1>>]>,
    /// Clients × routes.
    by_client: Box<[OnceLock<ByWords<2>>]>,
    /// Routes × deployments.
    by_deployment: Box<[OnceLock<AttemptSeries>]>,
    by_resource: Box<[OnceLock<ConnectionSeries>]>,
}

/// What is counted by route.
#[derive(Debug)]
pub(super) struct RouteSeries {
    pub(super) time_to_first_byte: Histogram,
    pub(super) gateway_overhead: Histogram,
    pub(super) retry_budget_spent: IntCounter,
    /// By how they ended.
    pub(super) waits: ByWords<1>,
    pub(super) wait: Histogram,
}

/// What is counted by route and deployment.
#[derive(Debug)]
pub(super) struct AttemptSeries {
    /// By outcome and reason.
    pub(super) attempts: ByWords<2>,
    pub(super) duration: Histogram,
    pub(super) first_chunk: Histogram,
    pub(super) prompt_tokens: IntCounter,
    pub(super) cached_tokens: IntCounter,
    pub(super) completion_tokens: IntCounter,
    pub(super) expected_tokens: IntCounter,
    /// Tokens, by cause.
    pub(super) missed_tokens: ByWords<1>,
    /// By cause.
    pub(super) maybe_billed_twice: ByWords<1>,
    pub(super) residency_contradicted: IntCounter,
    pub(super) cache_keys_sent: IntCounter,
}

/// What is counted by resource.
#[derive(Debug)]
pub(super) struct ConnectionSeries {
    pub(super) reused: IntCounter,
    pub(super) made: IntCounter,
}

impl FleetSeries {
    /// Makes room for the snapshot's ids.
    pub fn new(metrics: Arc<Metrics>, snapshot: &Snapshot) -> Self {
        let clients: Vec<_> = snapshot.clients.iter().map(|client| client.id.clone()).collect();
        let routes: Vec<_> = snapshot.routes.iter().map(|route| route.id.clone()).collect();
        let deployments: Vec<_> = snapshot
            .deployments
            .iter()
            .map(|deployment| deployment.id.clone())
            .collect();
        let resources: Vec<_> = snapshot.resources.iter().map(|resource| resource.id.clone()).collect();
        for deployment in &deployments {
            for result in KEEPALIVE_RESULTS {
                metrics.keepalives.with_label_values(&[&***deployment, result]);
            }
        }
        Self {
            by_route: empty(routes.len()),
            limited: empty(clients.len()),
            by_client: empty(clients.len() * routes.len()),
            by_deployment: empty(routes.len() * deployments.len()),
            by_resource: empty(resources.len()),
            metrics,
            clients,
            routes,
            deployments,
            resources,
        }
    }

    /// The metrics that all of this counts into.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The deployment's name for logs.
    pub(super) fn deployment_name(&self, deployment: DeploymentIx) -> &str {
        &self.deployments[deployment.0]
    }

    /// The route's name for logs.
    pub(super) fn route_name(&self, route: RouteIx) -> &str {
        &self.routes[route.0]
    }

    /// The client's name for logs.
    pub(super) fn client_name(&self, client: ClientIx) -> &str {
        &self.clients[client.0]
    }

    /// Requests of one client that were over a limit, by which.
    pub(super) fn client_limited(&self, client: ClientIx) -> &ByWords<1> {
        self.limited[client.0].get_or_init(|| {
            ByWords::new(
                self.metrics.client_limited.clone(),
                [Arc::clone(&self.clients[client.0])],
            )
        })
    }

    /// Requests of one client to one route, by outcome and status class.
    pub(super) fn requests(&self, client: ClientIx, route: RouteIx) -> &ByWords<2> {
        self.by_client[client.0 * self.routes.len() + route.0].get_or_init(|| {
            let ids = [Arc::clone(&self.clients[client.0]), Arc::clone(&self.routes[route.0])];
            ByWords::new(self.metrics.requests.clone(), ids)
        })
    }

    pub(super) fn route(&self, route: RouteIx) -> &RouteSeries {
        self.by_route[route.0].get_or_init(|| {
            let labels = &[&**self.routes[route.0]];
            RouteSeries {
                time_to_first_byte: self.metrics.time_to_first_byte.with_label_values(labels),
                gateway_overhead: self.metrics.gateway_overhead.with_label_values(labels),
                retry_budget_spent: self.metrics.retry_budget_spent.with_label_values(labels),
                waits: ByWords::new(self.metrics.waits.clone(), [Arc::clone(&self.routes[route.0])]),
                wait: self.metrics.wait.with_label_values(labels),
            }
        })
    }

    pub(super) fn attempts(&self, route: RouteIx, deployment: DeploymentIx) -> &AttemptSeries {
        self.by_deployment[route.0 * self.deployments.len() + deployment.0].get_or_init(|| {
            let (route, deployment) = (&self.routes[route.0], &self.deployments[deployment.0]);
            let labels = &[&***route, &***deployment];
            let tokens = |kind| {
                self.metrics
                    .tokens
                    .with_label_values(&[&***route, &***deployment, kind])
            };
            AttemptSeries {
                attempts: ByWords::new(
                    self.metrics.attempts.clone(),
                    [Arc::clone(route), Arc::clone(deployment)],
                ),
                duration: self.metrics.operation_duration.with_label_values(labels),
                first_chunk: self.metrics.time_to_first_chunk.with_label_values(labels),
                prompt_tokens: tokens("prompt"),
                cached_tokens: tokens("cached"),
                completion_tokens: tokens("completion"),
                expected_tokens: self.metrics.cache_expected.with_label_values(labels),
                missed_tokens: ByWords::new(
                    self.metrics.cache_missed.clone(),
                    [Arc::clone(route), Arc::clone(deployment)],
                ),
                residency_contradicted: self.metrics.residency_contradicted.with_label_values(labels),
                maybe_billed_twice: ByWords::new(
                    self.metrics.maybe_billed_twice.clone(),
                    [Arc::clone(route), Arc::clone(deployment)],
                ),
                cache_keys_sent: self.metrics.cache_keys_sent.with_label_values(labels),
            }
        })
    }

    pub(super) fn connections(&self, resource: ResourceIx) -> &ConnectionSeries {
        self.by_resource[resource.0].get_or_init(|| {
            let counter = |reused| {
                let labels = [&**self.resources[resource.0], reused];
                self.metrics.upstream_connections.with_label_values(&labels)
            };
            ConnectionSeries {
                reused: counter("true"),
                made: counter("false"),
            }
        })
    }
}

fn empty<T>(length: usize) -> Box<[OnceLock<T>]> {
    std::iter::repeat_with(OnceLock::new).take(length).collect()
}

/// Counters with some fixed ids and some words of closed enums, found by comparing a handful of words.
#[derive(Debug)]
pub(super) struct ByWords<const WORDS: usize> {
    family: IntCounterVec,
    ids: Box<[Arc<str>]>,
    known: RwLock<Vec<([&'static str; WORDS], IntCounter)>>,
}

impl<const WORDS: usize> ByWords<WORDS> {
    fn new<const IDS: usize>(family: IntCounterVec, ids: [Arc<str>; IDS]) -> Self {
        Self {
            family,
            ids: Box::new(ids),
            known: RwLock::default(),
        }
    }

    /// Counts one.
    pub(super) fn count(&self, words: [&'static str; WORDS]) {
        self.add(words, 1);
    }

    /// Counts so many. The words are static, so that nothing a client sent can become a label.
    pub(super) fn add(&self, words: [&'static str; WORDS], by: u64) {
        if let Some((_, counter)) = self.known.read().iter().find(|(known, _)| *known == words) {
            counter.inc_by(by);
            return;
        }
        let labels: Vec<&str> = self.ids.iter().map(|id| &**id).chain(words).collect();
        let counter = self.family.with_label_values(&labels);
        counter.inc_by(by);
        let mut known = self.known.write();
        if known.iter().all(|(other, _)| *other != words) {
            known.push((words, counter));
        }
    }
}
