//! One struct for each thing that happens; emitting it logs and counts it, in one place and in agreement.
//!
//! Levels: `error` wants somebody now, `warn` wants somebody today, `info` tells what the gateway did (one line a
//! request that reached a route), `debug` how it came to that. What a client can cause at will is never above `debug`, except its
//! request line. Words for outcomes and reasons are static strings of closed enums.
//!
//! Here is what happens to requests and the fleet; what happens to the process itself is in [`process`].

use std::time::Duration;

use strum::{AsRefStr, IntoStaticStr, VariantArray};
use tracing::{debug, error, info, trace};

use crate::core::ledger::misses::Miss;
use crate::core::ledger::usage::UsageRecord;
use crate::core::topology::{ClientIx, DeploymentIx, ResourceIx, RouteIx};
use crate::core::trace_context::RequestTrace;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::series::FleetSeries;

pub mod access;
pub mod care;
pub mod configuration;
mod fleet;
pub mod history;
mod lines;
pub mod otlp;
pub mod process;
pub mod traffic;
mod words;

pub use fleet::{
    AlarmRaised, BreakerChanged, BreakerOf, CacheLost, DeploymentCooling, ExchangeFailed, LimitChanged, LookupFailed,
    OptionRefused,
};

// === Requests ===

/// A request that was let in has ended, in whatever way.
#[derive(Debug)]
pub struct RequestFinished<'a> {
    /// What it used.
    pub record: &'a UsageRecord,
    /// Whose it was.
    pub client: ClientIx,
    /// What it asked for.
    pub route: RouteIx,
    /// Who answered, or was tried last.
    pub deployment: Option<DeploymentIx>,
    /// Why that deployment was chosen.
    pub reason: &'static str,
    /// Time spent in the gateway itself, waiting for neither upstream nor client.
    pub gateway: Duration,
    /// Its place in a trace, where traces are sent.
    pub trace: Option<RequestTrace>,
}

impl RequestFinished<'_> {
    /// Logs the request's one line and counts it.
    pub fn emit(&self, series: &FleetSeries) {
        let record = self.record;
        let outcome: &'static str = record.outcome.into();
        series
            .requests(self.client, self.route)
            .count([outcome, status_class(record.status)]);
        let route = series.route(self.route);
        route.gateway_overhead.observe(self.gateway.as_secs_f64());
        if let Some(us) = record.first_byte_us {
            route.time_to_first_byte.observe(seconds(us));
        }
        if let Some(deployment) = self.deployment {
            let attempts = series.attempts(self.route, deployment);
            attempts.prompt_tokens.inc_by(record.prompt_tokens);
            attempts.cached_tokens.inc_by(record.cached_tokens);
            attempts.completion_tokens.inc_by(record.completion_tokens);
        }
        info!(
            target: "emberway::request",
            request_id = &*record.request_id,
            client = &**record.client,
            route = &**record.route,
            deployment = record.deployment.as_ref().map(|id| &***id),
            region = record.region.as_ref().map(|region| &***region),
            reason = self.reason,
            attempts = record.attempts,
            outcome,
            status = record.status,
            prompt_tokens = record.prompt_tokens,
            cached_tokens = record.cached_tokens,
            completion_tokens = record.completion_tokens,
            ttft_ms = record.first_token_us.map(milliseconds),
            total_ms = milliseconds(record.total_us),
            gateway_ms = to_microsecond(self.gateway),
            trace_id = self.trace.map(|trace| display(trace.own.trace_text())),
            "request"
        );
    }
}

/// An attempt at one deployment has ended.
#[derive(Debug)]
pub struct AttemptFinished<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// What was asked for.
    pub route: RouteIx,
    /// Who was tried.
    pub deployment: DeploymentIx,
    /// Which attempt of the request, from 1.
    pub number: u32,
    /// How it ended.
    pub outcome: &'static str,
    /// Why that deployment was chosen.
    pub reason: &'static str,
    /// The upstream's status, if one came.
    pub status: Option<u16>,
    /// From its start to its end.
    pub duration: Duration,
    /// Times of the answer, if the client got its answer from this attempt.
    pub answer: Option<AnswerTimes>,
    /// How long the upstream asked to be left alone.
    pub retry_after: Option<Duration>,
    /// Why it may be billed beside another attempt; none where it was not given up after the whole request had been sent.
    pub maybe_billed_twice: Option<BilledTwice>,
    /// Whether the gateway sent a `prompt_cache_key` with it.
    pub keyed: bool,
}

/// Why two attempts of a request may both be billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum BilledTwice {
    /// The attempt failed, or took too long, and another was made.
    GivenUp,
    /// The route asks for second attempts beside late ones: it was the second, or the one that the second overtook.
    Hedged,
}

/// Times of an attempt that gave the client its answer, from the attempt's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerTimes {
    /// To the first output token; streams only.
    pub first_chunk: Option<Duration>,
    /// To the end of the body.
    pub total: Duration,
}

impl AttemptFinished<'_> {
    /// Logs and counts the attempt.
    pub fn emit(&self, series: &FleetSeries) {
        let counted = series.attempts(self.route, self.deployment);
        counted.attempts.count([self.outcome, self.reason]);
        if let Some(answer) = self.answer {
            counted.duration.observe(answer.total.as_secs_f64());
            if let Some(first_chunk) = answer.first_chunk {
                counted.first_chunk.observe(first_chunk.as_secs_f64());
            }
        }
        if let Some(cause) = self.maybe_billed_twice {
            counted.maybe_billed_twice.count([cause.into()]);
        }
        if self.keyed {
            counted.cache_keys_sent.inc();
        }
        debug!(
            target: "emberway::attempt",
            request_id = self.request_id,
            deployment = series.deployment_name(self.deployment),
            number = self.number,
            outcome = self.outcome,
            reason = self.reason,
            status = self.status,
            duration_ms = to_microsecond(self.duration),
            retry_after_s = self.retry_after.map(|after| after.as_secs_f64()),
            maybe_billed_twice = self.maybe_billed_twice.is_some(),
            keyed = self.keyed,
            "attempt"
        );
    }
}

/// An answer told how much of its prompt was cached.
#[derive(Debug)]
pub struct CacheJudged {
    /// What was asked for.
    pub route: RouteIx,
    /// Who answered.
    pub deployment: DeploymentIx,
    /// Prompt tokens that could have been cached, since they were sent before.
    pub expected: u64,
    /// What was missed of them, and why; none when it was all there.
    pub miss: Option<Miss>,
}

impl CacheJudged {
    /// Counts it.
    pub fn emit(&self, series: &FleetSeries) {
        let counted = series.attempts(self.route, self.deployment);
        counted.expected_tokens.inc_by(self.expected);
        if let Some(miss) = self.miss {
            let cause: &'static str = miss.cause.into();
            counted.missed_tokens.add([cause], miss.tokens);
            trace!(cause, tokens = miss.tokens, "prompt not cached");
        }
    }
}

/// A connection was taken for an attempt.
#[derive(Debug)]
pub struct UpstreamConnected {
    /// Where to.
    pub resource: ResourceIx,
    /// Whether it had been open already.
    pub reused: bool,
}

impl UpstreamConnected {
    /// Counts it.
    pub fn emit(&self, series: &FleetSeries) {
        let connections = series.connections(self.resource);
        if self.reused {
            connections.reused.inc();
        } else {
            connections.made.inc();
        }
        trace!(resource = self.resource.0, reused = self.reused, "upstream connection");
    }
}

/// Why a client's key was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum AuthFailure {
    /// There was none.
    Missing,
    /// No client has it.
    Unknown,
}

/// A request was turned away for its key.
#[derive(Debug)]
pub struct AuthFailed<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Why.
    pub reason: AuthFailure,
}

impl AuthFailed<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        let reason: &'static str = self.reason.into();
        metrics.auth_failures.with_label_values(&[reason]).inc();
        debug!(request_id = self.request_id, reason, "client key refused");
    }
}

/// The gateway itself refused a request: a limit, a malformed body, shutting down.
#[derive(Debug)]
pub struct GatewayRefused<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Why.
    pub reason: &'static str,
}

impl GatewayRefused<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.refusals.with_label_values(&[self.reason]).inc();
        debug!(request_id = self.request_id, reason = self.reason, "request refused");
    }
}

/// A request was turned away for the gateway's own sake.
#[derive(Debug)]
pub struct RequestShed {
    /// Why.
    pub reason: &'static str,
}

impl RequestShed {
    /// Counts it; the refusal itself is logged.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.journal().note_seldom(self.reason, || self.note());
        metrics.shed.with_label_values(&[self.reason]).inc();
    }
}

/// It was measured how late tasks run.
#[derive(Debug)]
pub struct LatenessMeasured {
    /// How late.
    pub delay: Duration,
}

impl LatenessMeasured {
    /// Counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.scheduling_delay.observe(self.delay.as_secs_f64());
    }
}

/// A limit of a client's or of a route's kept a request out.
#[derive(Debug)]
pub struct ClientLimited<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Whose it was.
    pub client: ClientIx,
    /// What it asked for.
    pub route: RouteIx,
    /// Whose limit it was.
    pub of: &'static str,
    /// Which.
    pub limit: &'static str,
}

impl ClientLimited<'_> {
    /// Counts it, and logs it at `debug`.
    pub fn emit(&self, series: &FleetSeries) {
        series.client_limited(self.client).count([self.limit]);
        debug!(
            request_id = self.request_id,
            client = series.client_name(self.client),
            route = series.route_name(self.route),
            of = self.of,
            limit = self.limit,
            "request over a limit"
        );
    }
}

/// A client's connection was closed at once because there were enough.
#[derive(Debug)]
pub struct ConnectionRefused {
    /// How many there may be.
    pub limit: usize,
}

impl ConnectionRefused {
    /// Logs it; the metric is read at the scrape.
    pub fn emit(&self) {
        debug!(limit = self.limit, "connection refused");
    }
}

/// A failed attempt is not followed by another one, since the route has spent what it may on that.
#[derive(Debug)]
pub struct RetryBudgetSpent<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Of which route.
    pub route: RouteIx,
}

impl RetryBudgetSpent<'_> {
    /// Counts it, and logs it at `debug`: an outage spends it for every request.
    pub fn emit(&self, series: &FleetSeries) {
        series.route(self.route).retry_budget_spent.inc();
        debug!(
            request_id = self.request_id,
            route = series.route_name(self.route),
            "retry budget spent"
        );
    }
}

/// An answer told that it was processed outside the regions that its route is bound to.
#[derive(Debug)]
pub struct ResidencyContradicted<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Of which route.
    pub route: RouteIx,
    /// Who answered.
    pub deployment: DeploymentIx,
    /// Where it says that was.
    pub served: &'a str,
    /// Whether it is some seconds since this was told of the deployment.
    pub is_news: bool,
}

impl ResidencyContradicted<'_> {
    /// Counts it, and logs it as an error.
    pub fn emit(&self, series: &FleetSeries) {
        series
            .attempts(self.route, self.deployment)
            .residency_contradicted
            .inc();
        if self.is_news {
            error!(
                request_id = self.request_id,
                route = series.route_name(self.route),
                deployment = series.deployment_name(self.deployment),
                served = self.served,
                "an answer was processed outside its route's regions"
            );
        }
    }
}

/// A request has waited for a deployment to recover.
#[derive(Debug)]
pub struct WaitFinished<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Of which route.
    pub route: RouteIx,
    /// How it ended.
    pub end: &'static str,
    /// How long it took.
    pub took: Duration,
}

impl WaitFinished<'_> {
    /// Counts it, and logs it at `debug`.
    pub fn emit(&self, series: &FleetSeries) {
        let route = series.route(self.route);
        route.waits.count([self.end]);
        route.wait.observe(self.took.as_secs_f64());
        debug!(
            request_id = self.request_id,
            route = series.route_name(self.route),
            end = self.end,
            waited_ms = to_microsecond(self.took),
            "wait for a deployment"
        );
    }
}

/// The class of a status, as the metrics name it.
fn status_class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "none",
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1_000_000.0
}

fn milliseconds(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// Milliseconds of a measured time, to the microsecond: the text format shows every digit that there is.
fn to_microsecond(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests;
