//! What is known of one request so far: written along its way, read once at its end by log, metrics and usage.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::core::ids::Region;
use crate::core::ledger::kept::ResponseKey;
use crate::core::ledger::usage::RequestOutcome;
use crate::core::placement::plan::Reason;
use crate::core::recovery::outcome::{AttemptEnd, AttemptOutcome, Verdict};
use crate::core::topology::{ClientIx, DeploymentIx, RouteIx};
use crate::openai::target::WireOperation;
use crate::openai::usage::Usage;
use crate::proxy::error::RefusalReason;
use crate::proxy::pins::Keeper;
use crate::proxy::placing::Placed;
use crate::proxy::state::Live;

/// The facts of a request.
pub struct RequestContext {
    /// The id that the client sees as `x-request-id`.
    pub id: String,
    /// When its head had been read.
    pub started: Instant,
    /// The same, in milliseconds since the Unix epoch.
    pub started_at_ms: i64,
    /// The configuration it lives in.
    pub live: Option<Arc<Live>>,
    /// Who asked.
    pub client: Option<ClientIx>,
    /// What for.
    pub route: Option<RouteIx>,
    /// Which operation.
    pub operation: Option<WireOperation>,
    /// Where it was placed, and why.
    pub placed: Option<Box<Placed>>,
    /// Attempts, in order.
    pub attempts: SmallVec<[AttemptFacts; 2]>,
    /// Tokens that were taken from limits when it was let in; none where none were, or all is settled.
    pub reserved: Option<u32>,
    /// Why the gateway refused, if it did.
    pub refusal: Option<RefusalReason>,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// The status sent, 0 while none has been.
    pub status: u16,
    /// Whether the answer was a stream.
    pub streamed: bool,
    /// Bytes of the prompt, for an estimate.
    pub prompt_bytes: usize,
    /// Where the answer told it was processed.
    pub served_region: Option<Region>,
    /// The deployment that Azure spilled the request over to.
    pub spilled_to: Option<Box<str>>,
    /// Whether the provider keeps the response that is asked for, so that it can be continued.
    pub keeps_response: bool,
    /// Who remembers it, until its name is known.
    pub keeper: Option<Keeper>,
    /// The response that it keeps, once its name is known.
    pub kept: Option<ResponseKey>,
    /// Usage that the provider reported.
    pub reported: Option<Usage>,
    /// Output events of a stream, for an estimate.
    pub output_events: u64,
    /// First byte towards the client.
    pub first_byte: Option<Instant>,
    /// First output token of a stream.
    pub first_token: Option<Instant>,
    /// Time spent reading the request's body.
    pub body_wait: Duration,
    /// Time spent waiting for a deployment to recover.
    pub queue_wait: Duration,
    /// Time spent waiting for upstreams before the answer began.
    pub upstream_wait: Duration,
    /// Since when the last attempt runs; none where its end is known.
    attempt_since: Option<Instant>,
    is_finished: bool,
}

/// The facts of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct AttemptFacts {
    /// At which deployment.
    pub deployment: DeploymentIx,
    /// Why there.
    pub reason: Reason,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The upstream's status, 0 without an answer.
    pub status: u16,
    /// How long until it ended or its answer began.
    pub took: Duration,
    /// How long the upstream asked to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether the provider may have billed it although its answer was not used.
    pub maybe_billed: bool,
    /// Whether the gateway sent a `prompt_cache_key` with it.
    pub keyed: bool,
}

/// A request's id: 128 random bits in hexadecimal.
pub fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

impl RequestContext {
    /// The facts of a request that has just arrived.
    pub fn new(started: Instant, started_at_ms: i64) -> Self {
        Self {
            id: new_id(),
            started,
            started_at_ms,
            live: None,
            client: None,
            route: None,
            operation: None,
            placed: None,
            attempts: SmallVec::new(),
            reserved: None,
            refusal: None,
            outcome: RequestOutcome::ClientGone,
            status: 0,
            streamed: false,
            prompt_bytes: 0,
            served_region: None,
            spilled_to: None,
            keeps_response: false,
            keeper: None,
            kept: None,
            reported: None,
            output_events: 0,
            first_byte: None,
            first_token: None,
            body_wait: Duration::ZERO,
            queue_wait: Duration::ZERO,
            upstream_wait: Duration::ZERO,
            attempt_since: None,
            is_finished: false,
        }
    }

    /// Notes the request's route and counts it as running there, until it is finished.
    pub fn enter_route(&mut self, route: RouteIx) {
        self.route = Some(route);
        if let Some(live) = &self.live {
            live.routes[route.0].in_flight.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Remembers the response that the provider keeps, if it does and this is its name. Once.
    pub fn keep(&mut self, name: Option<&str>) {
        if let Some(name) = name
            && let Some(keeper) = self.keeper.take()
        {
            self.kept = Some(keeper.keep(name));
        }
    }

    /// Notes that an attempt begins. Until its end is noted it counts as cut off, which it is if this never happens.
    pub fn begin_attempt(&mut self, deployment: DeploymentIx, reason: Reason, now: Instant) {
        self.attempt_since = Some(now);
        self.attempts.push(AttemptFacts {
            deployment,
            reason,
            outcome: AttemptOutcome::CutOff,
            status: 0,
            took: Duration::ZERO,
            retry_after: None,
            maybe_billed: true,
            keyed: false,
        });
    }

    /// Notes the end of the attempt that runs.
    pub fn end_attempt(&mut self, end: AttemptEnd<'_>, verdict: Verdict, now: Instant) {
        self.stop_attempt_clock(now);
        let Some(attempt) = self.attempts.last_mut() else {
            return;
        };
        attempt.outcome = verdict.outcome;
        attempt.maybe_billed = verdict.maybe_billed;
        attempt.keyed = self.placed.as_ref().is_some_and(|placed| placed.was_keyed);
        match end {
            AttemptEnd::Status {
                status, retry_after, ..
            } => {
                attempt.status = status;
                attempt.retry_after = retry_after;
            }
            AttemptEnd::Begun { status } => attempt.status = status,
            _ => {}
        }
    }

    fn stop_attempt_clock(&mut self, now: Instant) {
        if let (Some(since), Some(attempt)) = (self.attempt_since.take(), self.attempts.last_mut()) {
            attempt.took = now.saturating_duration_since(since);
            self.upstream_wait += attempt.took;
        }
    }

    /// Notes that the gateway ends the request before its answer is whole.
    pub fn cut_off(&mut self) {
        self.stop_attempt_clock(Instant::now());
        self.outcome = if self.first_byte.is_some() {
            RequestOutcome::Broken
        } else {
            RequestOutcome::Refused
        };
    }

    /// Notes the end of the request. True the first time only.
    pub fn finish(&mut self) -> bool {
        if std::mem::replace(&mut self.is_finished, true) {
            return false;
        }
        if let (Some(live), Some(route)) = (&self.live, self.route) {
            live.routes[route.0].in_flight.fetch_sub(1, Ordering::Relaxed);
        }
        self.stop_attempt_clock(Instant::now());
        true
    }

    /// The gateway's own share of the time to the first byte (or until now): all that was not waiting for others.
    pub fn overhead(&self, now: Instant) -> Duration {
        let until = self.first_byte.unwrap_or(now);
        until
            .duration_since(self.started)
            .saturating_sub(self.body_wait)
            .saturating_sub(self.queue_wait)
            .saturating_sub(self.upstream_wait)
    }

    /// The attempt made last.
    pub fn last_attempt(&self) -> Option<&AttemptFacts> {
        self.attempts.last()
    }
}
