//! What is known of one request so far: written along its way, read once at its end by log, metrics and usage.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::core::ids::Region;
use crate::core::ledger::kept::ResponseKey;
use crate::core::ledger::usage::RequestOutcome;
use crate::core::placement::plan::Reason;
use crate::core::placement::room::Sent;
use crate::core::recovery::outcome::{AttemptEnd, AttemptOutcome, Verdict};
use crate::core::topology::{ClientIx, DeploymentIx, RouteIx};
use crate::core::trace_context::{RequestTrace, TraceParent};
use crate::openai::target::WireOperation;
use crate::openai::usage::Usage;
use crate::proxy::error::RefusalReason;
use crate::proxy::pins::Keeper;
use crate::proxy::placing::Placed;
use crate::proxy::state::Live;

/// The facts of a request.
pub struct RequestContext {
    /// The id that the client sees as `x-request-id`.
    pub id: Arc<str>,
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
    /// Its place in a trace; none where no traces are sent.
    pub trace: Option<RequestTrace>,
    /// Where it was placed, and why.
    pub placed: Option<Box<Placed>>,
    /// Attempts, in the order in which they began.
    pub attempts: SmallVec<[AttemptFacts; 2]>,
    /// The one whose answer is passed on; none while there is none.
    answering: Option<AttemptIx>,
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
    /// Attempts that run, and since when there is always one.
    running: (u32, Option<Instant>),
    is_finished: bool,
}

/// An attempt of a request, by its place in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptIx(usize);

/// The facts of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct AttemptFacts {
    /// At which deployment.
    pub deployment: DeploymentIx,
    /// Why there.
    pub reason: Reason,
    /// When it began.
    pub began: Instant,
    /// What its deployment's limits count it as.
    pub sent: Sent,
    /// When it ended, or its answer began; none while that is not known.
    ended: Option<Instant>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The upstream's status, 0 without an answer.
    pub status: u16,
    /// How long the upstream asked to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether the provider may have billed it although its answer was not used.
    pub maybe_billed: bool,
    /// Whether the gateway sent a `prompt_cache_key` with it.
    pub keyed: bool,
    /// Whether its answer came from another deployment that Azure spilled over to: it says nothing of the one that was asked.
    pub is_spilled: bool,
}

impl AttemptFacts {
    /// How long until it ended or its answer began; nothing while that is not known.
    pub fn took(&self) -> Duration {
        self.ended
            .map_or(Duration::ZERO, |ended| ended.saturating_duration_since(self.began))
    }
}

/// A request's id: 128 random bits in hexadecimal.
pub fn new_id() -> Arc<str> {
    format!("{:032x}", rand::random::<u128>()).into()
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
            trace: None,
            placed: None,
            attempts: SmallVec::new(),
            answering: None,
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
            running: (0, None),
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
    pub fn begin_attempt(
        &mut self,
        deployment: DeploymentIx,
        reason: Reason,
        (sent, keyed): (Sent, bool),
        now: Instant,
    ) -> AttemptIx {
        self.running.0 += 1;
        self.running.1.get_or_insert(now);
        self.attempts.push(AttemptFacts {
            deployment,
            reason,
            began: now,
            sent,
            ended: None,
            outcome: AttemptOutcome::CutOff,
            status: 0,
            retry_after: None,
            maybe_billed: true,
            keyed,
            is_spilled: false,
        });
        AttemptIx(self.attempts.len() - 1)
    }

    /// The place in the trace of the attempt that is begun next.
    pub fn next_attempt_trace(&self) -> Option<TraceParent> {
        self.trace.map(|trace| trace.attempt(self.attempts.len()))
    }

    /// An attempt's facts.
    pub fn attempt_mut(&mut self, attempt: AttemptIx) -> &mut AttemptFacts {
        &mut self.attempts[attempt.0]
    }

    /// Notes the end of an attempt, or its answer's beginning. It answers the request if that is a success.
    pub fn end_attempt(&mut self, attempt: AttemptIx, end: AttemptEnd<'_>, verdict: Verdict, now: Instant) {
        self.stop_clock(attempt, now);
        if verdict.outcome == AttemptOutcome::Success {
            self.answering = Some(attempt);
        }
        let facts = self.attempt_mut(attempt);
        facts.outcome = verdict.outcome;
        facts.maybe_billed = verdict.maybe_billed;
        match end {
            AttemptEnd::Status {
                status, retry_after, ..
            } => {
                facts.status = status;
                facts.retry_after = retry_after;
            }
            AttemptEnd::Begun { status } => facts.status = status,
            _ => {}
        }
    }

    /// Two attempts that run side by side are waited for once.
    fn stop_clock(&mut self, attempt: AttemptIx, now: Instant) {
        let facts = &mut self.attempts[attempt.0];
        if facts.ended.is_some() {
            return;
        }
        facts.ended = Some(now);
        self.running.0 -= 1;
        if self.running.0 == 0
            && let Some(since) = self.running.1.take()
        {
            self.upstream_wait += now.saturating_duration_since(since);
        }
    }

    fn stop_clocks(&mut self, now: Instant) {
        for attempt in 0..self.attempts.len() {
            self.stop_clock(AttemptIx(attempt), now);
        }
    }

    /// Notes that the gateway ends the request before its answer is whole.
    pub fn cut_off(&mut self) {
        self.stop_clocks(Instant::now());
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
        self.stop_clocks(Instant::now());
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

    /// The attempt that answers; while none does, the last one.
    pub fn deciding_attempt(&self) -> Option<&AttemptFacts> {
        self.attempts.get(self.deciding()?)
    }

    /// The attempts that were begun before the one that answers.
    pub fn before_deciding(&self) -> &[AttemptFacts] {
        &self.attempts[..self.deciding().unwrap_or(0)]
    }

    /// Notes that the answer ended otherwise than it began.
    pub fn answer_ended(&mut self, outcome: RequestOutcome, of_attempt: AttemptOutcome) {
        self.outcome = outcome;
        let deciding = self.deciding();
        if let Some(attempt) = deciding.and_then(|deciding| self.attempts.get_mut(deciding)) {
            attempt.outcome = of_attempt;
        }
    }

    /// Whether it is that attempt.
    pub fn is_deciding(&self, index: usize) -> bool {
        self.deciding() == Some(index)
    }

    fn deciding(&self) -> Option<usize> {
        self.answering
            .map(|attempt| attempt.0)
            .or(self.attempts.len().checked_sub(1))
    }
}
