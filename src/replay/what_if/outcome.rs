//! What a run of a what-if came to: counted request by request, told in the end.

use serde::Serialize;

use crate::core::ledger::bill;
use crate::core::ledger::book::PriceBook;
use crate::core::recorded::TraceRecord;
use crate::core::topology::{DeploymentIx, RouteIx, Snapshot};

/// What a run came to. Ratios are parts of 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Requests that were counted.
    pub requests: u64,
    /// Cached ÷ prompt tokens of those that were let in.
    pub hit_ratio: f64,
    /// Prompt tokens that were found cached.
    pub cached_tokens: u64,
    /// Prompt tokens of those that were let in.
    pub prompt_tokens: u64,
    /// Requests that went elsewhere than where they belong, for want of room.
    pub spills: u64,
    /// Requests that nobody took.
    pub refused: u64,
    /// US dollars for tokens, of all traffic that the recorded requests stand for; none where a price is not known.
    pub token_usd: Option<f64>,
    /// US dollars for the existence of all configured deployments meanwhile; none where a price is not known.
    pub hosting_usd: Option<f64>,
    /// Each configured deployment, the busiest first.
    pub by_deployment: Vec<DeploymentOutcome>,
    /// Each route that was asked for, in the configuration's order.
    pub by_route: Vec<RouteOutcome>,
    /// Requests of routes that the configuration does not have; they count as refused.
    pub unrouted: u64,
    /// Deployments whose prices are not known and that would matter.
    pub unpriced: Vec<String>,
}

/// What a deployment would have got.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeploymentOutcome {
    /// `resource/name`.
    pub deployment: String,
    /// Its region.
    pub region: String,
    /// Requests.
    pub requests: u64,
    /// Part of all requests that were let in.
    pub share: f64,
    /// Cached ÷ prompt tokens.
    pub hit_ratio: f64,
    /// Prompt and completion tokens.
    pub tokens: u64,
}

/// What would have become of a route's requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteOutcome {
    /// Its name.
    pub route: String,
    /// Requests.
    pub requests: u64,
    /// Cached ÷ prompt tokens of those that were let in.
    pub hit_ratio: f64,
    /// Requests that went elsewhere than where they belong.
    pub spills: u64,
    /// Requests that nobody took.
    pub refused: u64,
}

/// Sums of requests.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    requests: u64,
    prompt: u64,
    cached: u64,
    completion: u64,
    spills: u64,
    refused: u64,
}

impl Sums {
    fn hit_ratio(&self) -> f64 {
        self.cached as f64 / self.prompt.max(1) as f64
    }

    fn served(&mut self, record: &TraceRecord, cached: u64, is_spilled: bool) {
        self.requests += 1;
        self.prompt += record.prompt_tokens;
        self.cached += cached;
        self.completion += record.used.as_ref().map_or(0, |used| used.completion_tokens);
        self.spills += u64::from(is_spilled);
    }
}

/// The sums of a run.
#[derive(Debug)]
pub(super) struct Tally {
    all: Sums,
    unrouted: u64,
    /// By `DeploymentIx`.
    deployments: Vec<Sums>,
    /// By `RouteIx`.
    routes: Vec<Sums>,
}

impl Tally {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        Self {
            all: Sums::default(),
            unrouted: 0,
            deployments: vec![Sums::default(); snapshot.deployments.len()],
            routes: vec![Sums::default(); snapshot.routes.len()],
        }
    }

    /// A deployment took a request.
    pub(super) fn served(
        &mut self,
        record: &TraceRecord,
        route: RouteIx,
        deployment: DeploymentIx,
        cached: u64,
        is_spilled: bool,
    ) {
        for sums in [
            &mut self.all,
            &mut self.deployments[deployment.0],
            &mut self.routes[route.0],
        ] {
            sums.served(record, cached, is_spilled);
        }
    }

    /// Nobody took it.
    pub(super) fn refused(&mut self, _record: &TraceRecord, route: RouteIx) {
        for sums in [&mut self.all, &mut self.routes[route.0]] {
            sums.requests += 1;
            sums.refused += 1;
        }
    }

    /// The configuration has no such route.
    pub(super) fn unrouted(&mut self, _record: &TraceRecord) {
        self.all.requests += 1;
        self.all.refused += 1;
        self.unrouted += 1;
    }

    /// All of it. `seconds` were counted, and each request stands for `scale`.
    pub(super) fn outcome(&self, snapshot: &Snapshot, book: &PriceBook, seconds: f64, scale: f64) -> Outcome {
        let mut unpriced = Vec::new();
        let (token_usd, hosting_usd) = self.money(snapshot, book, (seconds, scale), &mut unpriced);
        let served = self.all.requests - self.all.refused;
        let deployments = snapshot.deployments.iter().zip(&self.deployments);
        let mut by_deployment: Vec<_> = deployments
            .map(|(deployment, sums)| DeploymentOutcome {
                deployment: deployment.id.to_string(),
                region: snapshot.resources[deployment.resource.0].region.to_string(),
                requests: sums.requests,
                share: sums.requests as f64 / served.max(1) as f64,
                hit_ratio: sums.hit_ratio(),
                tokens: sums.prompt + sums.completion,
            })
            .collect();
        // Stable: those of equal load stay in the file's order.
        by_deployment.sort_by_key(|deployment| std::cmp::Reverse(deployment.requests));
        let routes = snapshot.routes.iter().zip(&self.routes);
        Outcome {
            requests: self.all.requests,
            hit_ratio: self.all.hit_ratio(),
            cached_tokens: self.all.cached,
            prompt_tokens: self.all.prompt,
            spills: self.all.spills,
            refused: self.all.refused,
            token_usd,
            hosting_usd,
            by_deployment,
            by_route: routes
                .filter(|(_, sums)| sums.requests > 0)
                .map(|(route, sums)| RouteOutcome {
                    route: route.id.to_string(),
                    requests: sums.requests,
                    hit_ratio: sums.hit_ratio(),
                    spills: sums.spills,
                    refused: sums.refused,
                })
                .collect(),
            unrouted: self.unrouted,
            unpriced,
        }
    }

    /// Tokens and hosting, in US dollars.
    fn money(
        &self,
        snapshot: &Snapshot,
        book: &PriceBook,
        (seconds, scale): (f64, f64),
        unpriced: &mut Vec<String>,
    ) -> (Option<f64>, Option<f64>) {
        let (mut tokens, mut hosting) = (Some(0.0), Some(0.0));
        for (deployment, sums) in snapshot.deployments.iter().zip(&self.deployments) {
            let price = book.price(&deployment.id);
            let sum = bill::request_sum(sums.prompt, sums.cached, sums.completion, &price);
            let hour = price.hour;
            let tokens_known = sums.requests == 0 || sum.unpriced == 0;
            tokens = tokens
                .filter(|_| tokens_known)
                .map(|usd| usd + sum.micro_usd as f64 / 1e6 * scale);
            hosting = hosting.zip(hour).map(|(usd, hour)| usd + hour * seconds / 3_600.0);
            if !tokens_known || hour.is_none() {
                unpriced.push(deployment.id.to_string());
            }
        }
        (tokens, hosting)
    }
}
