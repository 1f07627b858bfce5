//! A finished request with its attempts and times: more than its usage record tells, for those who keep history or tell others.
//!
//! Like the record it never holds prompt text, keys or anything else a client typed except through configured ids. All durations
//! are in microseconds.

use smallvec::SmallVec;

use crate::core::ids::{DeploymentId, Region};
use crate::core::ledger::misses::Miss;
use crate::core::ledger::usage::UsageRecord;
use crate::core::trace_context::RequestTrace;

/// A finished request.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// What it asked for, got and used.
    pub record: UsageRecord,
    /// Why its deployment was chosen; where none was asked, why the gateway refused, or `none`.
    pub reason: &'static str,
    /// Time in the gateway itself until the first byte (or the end): all that was not waiting for others.
    pub overhead_us: u64,
    /// Time spent reading the request's body.
    pub body_us: u64,
    /// Time spent waiting for a deployment to recover.
    pub queue_us: u64,
    /// Prompt tokens that could have been cached, since they were sent before; none where nothing was expected or told.
    pub expected_tokens: Option<u64>,
    /// What was missed of them, and why.
    pub miss: Option<Miss>,
    /// Its place in a trace; none where no traces are sent. That of an attempt follows from it.
    pub trace: Option<RequestTrace>,
    /// Its attempts, in the order in which they began.
    pub attempts: SmallVec<[FinishedAttempt; 2]>,
}

/// An attempt of a finished request.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedAttempt {
    /// At which deployment.
    pub deployment: DeploymentId,
    /// Where that is.
    pub region: Region,
    /// Why there.
    pub reason: &'static str,
    /// How it ended.
    pub outcome: &'static str,
    /// The upstream's status, 0 without an answer.
    pub status: u16,
    /// When it began, from the request's start.
    pub began_us: u64,
    /// How long until it ended, or its answer began.
    pub headers_us: u64,
    /// How long until its end.
    pub total_us: u64,
    /// How long the upstream asked to be left alone, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether the provider may have billed it although its answer was not used.
    pub maybe_billed: bool,
    /// Whether the client got its answer from it.
    pub answers: bool,
}

impl Finished {
    /// When it ended, in milliseconds since the Unix epoch.
    pub fn ended_at_ms(&self) -> i64 {
        let took_ms = i64::try_from(self.record.total_us / 1_000).unwrap_or(i64::MAX);
        self.record.started_at_ms.saturating_add(took_ms)
    }
}

/// Finished requests for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::core::ledger::usage::{Operation, RequestOutcome, UsageSource};

    /// One that succeeded at `eu/one` at the first attempt.
    pub(crate) fn finished(started_at_ms: i64) -> Finished {
        let record = UsageRecord {
            request_id: "r1".into(),
            started_at_ms,
            client: "shop".into(),
            route: "support".into(),
            operation: Operation::Chat,
            deployment: Some("eu/one".into()),
            region: Some("swedencentral".into()),
            served_region: None,
            spilled_to: None,
            attempts: 1,
            outcome: RequestOutcome::Success,
            status: 200,
            streamed: true,
            source: UsageSource::Reported,
            prompt_tokens: 2_000,
            cached_tokens: 1_024,
            completion_tokens: 50,
            first_byte_us: Some(200_000),
            first_token_us: Some(300_000),
            total_us: 900_000,
            upstream_us: 199_000,
            kept: None,
        };
        let attempt = FinishedAttempt {
            deployment: "eu/one".into(),
            region: "swedencentral".into(),
            reason: "home",
            outcome: "success",
            status: 200,
            began_us: 500,
            headers_us: 199_000,
            total_us: 899_500,
            retry_after_ms: None,
            maybe_billed: true,
            answers: true,
        };
        Finished {
            record,
            reason: "home",
            overhead_us: 400,
            body_us: 100,
            queue_us: 0,
            expected_tokens: Some(1_152),
            miss: None,
            trace: None,
            attempts: std::iter::once(attempt).collect(),
        }
    }
}
