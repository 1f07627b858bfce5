//! What the history tells, as it is sent: times in milliseconds since the Unix epoch, durations in milliseconds, money in US dollars.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What requests of a stretch of time came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// Requests that ended.
    pub requests: u64,
    /// Those that their client saw fail: throttled, failed upstream, broken, or refused by the gateway with 5xx.
    pub errors: u64,
    /// Attempts that a deployment answered with 429. (Requests that ended so are in `outcomes`.)
    pub throttled: u64,
    /// Attempts at deployments.
    pub attempts: u64,
    /// How often a request went on to another deployment.
    pub failovers: u64,
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: u64,
    /// Those that the provider found cached.
    pub cached_tokens: u64,
    /// Those that could have been cached, since they were sent before.
    pub expected_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
    /// What the tokens cost, as far as prices are known.
    pub token_usd: f64,
    /// What cached tokens cost less than others would have.
    pub saved_usd: f64,
    /// What the deployments concerned cost for being there; absent where that cannot be said of what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosting_usd: Option<f64>,
    /// Time to the first token of streams, and so on; none where there was no request.
    #[serde(flatten)]
    pub latency: Percentiles,
    /// Requests by how they ended.
    pub outcomes: BTreeMap<String, u64>,
    /// Requests by why their deployment was chosen.
    pub reasons: BTreeMap<String, u64>,
}

/// Times of requests, in milliseconds; none where nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Percentiles {
    /// Time to the first token of streams: half of them were quicker.
    pub ttft_p50_ms: Option<f64>,
    /// 95 of 100 were quicker.
    pub ttft_p95_ms: Option<f64>,
    /// 99 of 100 were quicker.
    pub ttft_p99_ms: Option<f64>,
    /// Time to the end.
    pub total_p50_ms: Option<f64>,
    /// As above.
    pub total_p95_ms: Option<f64>,
    /// As above.
    pub total_p99_ms: Option<f64>,
    /// Time in the gateway itself.
    pub overhead_p50_ms: Option<f64>,
    /// As above.
    pub overhead_p95_ms: Option<f64>,
    /// As above.
    pub overhead_p99_ms: Option<f64>,
}

/// Figures step by step, by what was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Series {
    /// The beginning of the first step: later than asked for where no earlier records are kept.
    pub from_ms: i64,
    /// The end of the last one.
    pub to_ms: i64,
    /// How long a step is.
    pub step_ms: i64,
    /// Beginnings of the steps.
    pub starts_ms: Vec<i64>,
    /// By key; what there was too much of at a time is under `(other)`.
    pub groups: Vec<Group>,
}

/// One line of a series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Group {
    /// Whose: a configured name; empty for all together, `(none)` for requests that no deployment was asked for.
    pub key: String,
    /// The same for people.
    pub label: String,
    /// All steps together.
    pub total: Figures,
    /// Each step.
    pub points: Points,
}

/// The figures of each step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "each is the member of `Figures` with its name")]
pub struct Points {
    pub requests: Vec<u64>,
    pub errors: Vec<u64>,
    pub throttled: Vec<u64>,
    pub attempts: Vec<u64>,
    pub failovers: Vec<u64>,
    pub prompt_tokens: Vec<u64>,
    pub cached_tokens: Vec<u64>,
    pub expected_tokens: Vec<u64>,
    pub completion_tokens: Vec<u64>,
    pub token_usd: Vec<f64>,
    pub saved_usd: Vec<f64>,
    pub ttft_p50_ms: Vec<Option<f64>>,
    pub ttft_p95_ms: Vec<Option<f64>>,
    pub ttft_p99_ms: Vec<Option<f64>>,
    pub total_p50_ms: Vec<Option<f64>>,
    pub total_p95_ms: Vec<Option<f64>>,
    pub total_p99_ms: Vec<Option<f64>>,
    pub overhead_p50_ms: Vec<Option<f64>>,
    pub overhead_p95_ms: Vec<Option<f64>>,
    pub overhead_p99_ms: Vec<Option<f64>>,
}

impl Points {
    /// Adds a step.
    pub fn push(&mut self, figures: &Figures) {
        self.requests.push(figures.requests);
        self.errors.push(figures.errors);
        self.throttled.push(figures.throttled);
        self.attempts.push(figures.attempts);
        self.failovers.push(figures.failovers);
        self.prompt_tokens.push(figures.prompt_tokens);
        self.cached_tokens.push(figures.cached_tokens);
        self.expected_tokens.push(figures.expected_tokens);
        self.completion_tokens.push(figures.completion_tokens);
        self.token_usd.push(figures.token_usd);
        self.saved_usd.push(figures.saved_usd);
        let latency = &figures.latency;
        self.ttft_p50_ms.push(latency.ttft_p50_ms);
        self.ttft_p95_ms.push(latency.ttft_p95_ms);
        self.ttft_p99_ms.push(latency.ttft_p99_ms);
        self.total_p50_ms.push(latency.total_p50_ms);
        self.total_p95_ms.push(latency.total_p95_ms);
        self.total_p99_ms.push(latency.total_p99_ms);
        self.overhead_p50_ms.push(latency.overhead_p50_ms);
        self.overhead_p95_ms.push(latency.overhead_p95_ms);
        self.overhead_p99_ms.push(latency.overhead_p99_ms);
    }
}

/// The figures of something, without steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Total {
    /// As [`Group::key`].
    pub key: String,
    /// As [`Group::label`].
    pub label: String,
    /// Its figures.
    pub total: Figures,
}

/// A time that figures are really of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Time {
    /// Its beginning.
    pub from_ms: i64,
    /// Its end: the first moment that no longer counts.
    pub to_ms: i64,
}

/// A time, and the one of the same length before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Summary {
    /// The time asked for.
    pub now: Figures,
    /// Which time `now` is of: longer than asked for where only hours are kept of it, shorter where records begin later or the time has not
    /// come yet; none where no records are kept, and then `now` says nothing.
    pub now_time: Option<Time>,
    /// The time before it.
    pub before: Figures,
    /// Which time `before` is of, in the same way.
    pub before_time: Option<Time>,
    /// Whether records of all of the time before are kept; if not, `before` lacks some, and comparing says little.
    pub before_is_whole: bool,
    /// What it costs.
    pub money: Money,
}

/// What a time cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct Money {
    /// What an hour of the deployments concerned that are there costs now; none where no price is known, or where a route's or client's
    /// part is asked for.
    pub hosting_usd_per_hour: Option<f64>,
    /// What the tokens cost.
    pub token_usd: f64,
    /// What cached tokens cost less than others would have.
    pub saved_usd: f64,
}

/// How long requests took, step by step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Heatmap {
    /// How long a step is.
    pub step_ms: i64,
    /// Beginnings of the steps.
    pub starts_ms: Vec<i64>,
    /// Upper bounds of cells; what is beyond the last is in the last one.
    pub bounds_ms: Vec<f64>,
    /// Of each step, requests by cell.
    pub counts: Vec<Vec<u64>>,
}

/// The slowest requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Slowest {
    /// The slowest first.
    pub requests: Vec<SlowRequest>,
}

/// A slow request. Nothing of its prompt is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowRequest {
    /// The `x-request-id` of its answer.
    pub id: String,
    /// When it came.
    pub at_ms: i64,
    /// Who asked.
    pub client: String,
    /// For which model.
    pub route: String,
    /// Who answered, or was tried last.
    pub deployment: Option<String>,
    /// Where that is.
    pub region: Option<String>,
    /// Which operation.
    pub operation: String,
    /// Whether the answer was a stream.
    pub streamed: bool,
    /// How it ended for the client.
    pub outcome: String,
    /// The status it got; 0 where it left before.
    pub status: u16,
    /// Why its deployment was chosen, or why the gateway refused.
    pub reason: String,
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: u64,
    /// Those that the provider found cached.
    pub cached_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
    /// To the first byte towards the client.
    pub first_byte_ms: Option<f64>,
    /// To the first token of a stream.
    pub first_token_ms: Option<f64>,
    /// To the end.
    pub total_ms: f64,
    /// In the gateway itself, to the first byte.
    pub overhead_ms: f64,
    /// Reading its body.
    pub body_ms: f64,
    /// Waiting for a deployment to recover.
    pub queue_ms: f64,
    /// Its attempts, in the order in which they began.
    pub attempts: Vec<SlowAttempt>,
}

/// An attempt of a slow request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlowAttempt {
    /// At which deployment.
    pub deployment: String,
    /// Where that is.
    pub region: String,
    /// Why there.
    pub reason: String,
    /// How it ended.
    pub outcome: String,
    /// The upstream's status, 0 without an answer.
    pub status: u16,
    /// When it began, from the request's start.
    pub began_ms: f64,
    /// How long until it ended, or its answer began.
    pub headers_ms: f64,
    /// How long until its end.
    pub total_ms: f64,
    /// How long the upstream asked to be left alone.
    pub retry_after_ms: Option<u64>,
    /// Whether the client got its answer from it.
    pub answers: bool,
}

/// Where requests went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Flows {
    /// Which time they are of, as [`Summary::now_time`]; none where no records are kept of it.
    pub time: Option<Time>,
    /// From each route to each deployment.
    pub flows: Vec<Flow>,
    /// Requests that were not answered where they belong, by why.
    pub spills: BTreeMap<String, u64>,
    /// Requests that went on from one deployment to another.
    pub failovers: Vec<FailoverFlow>,
}

/// Requests of a route that a deployment answered, or was tried for last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Flow {
    /// Which route.
    pub route: String,
    /// Which deployment; `(none)` where none was asked.
    pub deployment: String,
    /// Where that is.
    pub region: String,
    /// Its tier in the route's pool, from 0; none where it is not in it any more.
    pub tier: Option<usize>,
    /// How many.
    pub requests: u64,
    /// The same by why the deployment was chosen.
    pub reasons: BTreeMap<String, u64>,
    /// Those that their client saw fail.
    pub errors: u64,
}

/// Requests that went on from one deployment to another.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct FailoverFlow {
    /// Who did not answer.
    pub from: String,
    /// Who was asked next.
    pub to: String,
    /// What came of the first.
    pub outcome: String,
    /// How many.
    pub requests: u64,
}

/// The last interval that is whole: what a live view shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Latest {
    /// Its beginning.
    pub at_ms: i64,
    /// How long it is.
    pub step_ms: i64,
    /// All requests together.
    pub figures: Figures,
}
