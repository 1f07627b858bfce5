//! Every metric once: name, kind, labels, help, buckets. `docs/metrics.md` is generated from this table, and the shipped
//! dashboards and alerts are checked against it.
//!
//! Names follow OpenTelemetry's `gen_ai.client.*` where it has one (the gateway is a client of the model) and carry
//! our own prefix elsewhere. Units are seconds and bytes, as Prometheus asks. What changes faster than it is scraped
//! is a pair of counters, not a gauge.

use crate::telemetry::definitions::kind::{
    ANSWER_SECONDS, DELAY_SECONDS, Definition, OVERHEAD_SECONDS, counter, gauge, histogram,
};

mod all;
pub mod kind;
pub mod otlp;

pub use all::ALL;

// === Requests ===

/// See its help.
pub const REQUESTS: Definition = counter(
    "emberway_requests_total",
    &["client", "route", "outcome", "status_class"],
    "Finished requests by how they ended for the client and the class of the status it got (`none` when it left before).",
);
/// See its help.
pub const REQUESTS_IN_FLIGHT: Definition = gauge(
    "emberway_requests_in_flight",
    &["route"],
    "Requests let in and not finished.",
);
/// See its help.
pub const TIME_TO_FIRST_BYTE: Definition = histogram(
    "emberway_time_to_first_byte_seconds",
    ANSWER_SECONDS,
    &["route"],
    "From the request's head to the first byte towards the client, all attempts included.",
);
/// See its help.
pub const RETRY_BUDGET_SPENT: Definition = counter(
    "emberway_retry_budget_spent_total",
    &["route"],
    "Requests that were not tried again after a failure, since the route had spent its retry budget.",
);
/// See its help.
pub const REQUESTS_WAITING: Definition = gauge(
    "emberway_requests_waiting",
    &["route"],
    "Requests that wait for a deployment to recover.",
);
/// See its help.
pub const WAITS: Definition = counter(
    "emberway_request_waits_total",
    &["route", "end"],
    "Waits for a deployment to recover, by how they ended: `served`, `full` (no place), `evicted` (by a more urgent request), `timed_out`, `client_gone`.",
);
/// See its help.
pub const WAIT_SECONDS: Definition = histogram(
    "emberway_request_wait_seconds",
    ANSWER_SECONDS,
    &["route"],
    "Time that requests waited for a deployment to recover.",
);
/// See its help.
pub const GATEWAY_OVERHEAD: Definition = histogram(
    "emberway_gateway_overhead_seconds",
    OVERHEAD_SECONDS,
    &["route"],
    "Time a request spent in the gateway itself, waiting for neither upstream nor client.",
);
/// See its help.
pub const REFUSALS: Definition = counter(
    "emberway_gateway_refusals_total",
    &["reason"],
    "Requests that the gateway itself refused, by reason: a limit, a malformed request, shutting down.",
);
/// See its help.
pub const CLIENT_LIMITED: Definition = counter(
    "emberway_client_limited_total",
    &["client", "limit"],
    "Requests that a limit of their client's or route's kept out, by which: `requests`, `tokens` (a minute), `concurrency`.",
);
/// See its help.
pub const SHED: Definition = counter(
    "emberway_shed_total",
    &["reason"],
    "Requests turned away with 503, by which of `limits` was full: `held_bodies`, `running_requests`, or `delay` (`max_delay`).",
);
/// See its help.
pub const SCHEDULING_DELAY: Definition = histogram(
    "emberway_scheduling_delay_seconds",
    DELAY_SECONDS,
    &[],
    "How late the gateway's tasks run, measured fifty times a second: what overload looks like from within.",
);
/// See its help.
pub const REQUESTS_CUT_OFF: Definition = counter(
    "emberway_requests_cut_off_total",
    &["end"],
    "Requests cut off at the end of a drain, by what their client saw: `error_event`, `refused`, `connection_closed`.",
);
/// See its help.
pub const CLIENT_CONNECTIONS: Definition = gauge(
    "emberway_client_connections",
    &[],
    "Client connections open, idle ones included.",
);
/// See its help.
pub const CLIENT_CONNECTIONS_REFUSED: Definition = counter(
    "emberway_client_connections_refused_total",
    &[],
    "Client connections closed at once because `limits.connections` were open.",
);
/// See its help.
pub const AUTH_FAILURES: Definition = counter(
    "emberway_client_auth_failures_total",
    &["reason"],
    "Requests turned away for their key: `missing` or `unknown`.",
);
/// See its help.
pub const ADMIN_AUTH_FAILURES: Definition = counter(
    "emberway_admin_auth_failures_total",
    &["reason"],
    "Credentials that the admin listener refused, wherever it reads one, by reason: `missing`, `scheme` (not `Bearer`), `unknown` (a wrong token), `session` (not open any more), `no_role`, `provider_unreachable` (the provider of OpenID Connect, whose token it may be, cannot be asked); `too_many` are wrong tokens beyond what an address may send in a minute.",
);
/// See its help.
pub const HELD_BODY_BYTES: Definition = gauge(
    "emberway_held_body_bytes",
    &[],
    "Bytes of request bodies held in memory for a possible second attempt.",
);

// === Attempts and tokens ===

/// See its help.
pub const OPERATION_DURATION: Definition = histogram(
    "gen_ai_client_operation_duration_seconds",
    ANSWER_SECONDS,
    &["route", "deployment"],
    "Whole duration of attempts that gave the client its answer.",
);
/// See its help.
pub const TIME_TO_FIRST_CHUNK: Definition = histogram(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    ANSWER_SECONDS,
    &["route", "deployment"],
    "From an attempt's start to its first output token; streams only.",
);
/// See its help.
pub const TOKENS: Definition = counter(
    "emberway_tokens_total",
    &["route", "deployment", "kind"],
    "Tokens by kind: `prompt` (cached ones included), `cached` (those of the prompt that the provider found cached), \
     `completion`.",
);
/// See its help.
pub const CACHE_EXPECTED_TOKENS: Definition = counter(
    "emberway_cache_expected_tokens_total",
    &["route", "deployment"],
    "Prompt tokens of answers that could have been cached, since this gateway had sent them to some deployment in the last hour.",
);
/// See its help.
pub const CACHE_MISSED_TOKENS: Definition = counter(
    "emberway_cache_missed_tokens_total",
    &["route", "deployment", "cause"],
    "Prompt tokens that could have been cached and were reported as not, by cause.",
);
/// See its help.
pub const ATTEMPTS: Definition = counter(
    "emberway_attempts_total",
    &["route", "deployment", "outcome", "reason"],
    "Attempts by how they ended and why that deployment was chosen.",
);
/// See its help.
pub const MAYBE_BILLED_TWICE: Definition = counter(
    "emberway_attempts_maybe_billed_twice_total",
    &["route", "deployment", "cause"],
    "Attempts given up after the whole request had been sent, while another was made: Azure may bill both. By why there were two: one had failed \
     (`given_up`), or the route asks for second attempts (`hedged`).",
);
/// See its help.
pub const RESIDENCY_CONTRADICTED: Definition = counter(
    "emberway_residency_contradictions_total",
    &["route", "deployment"],
    "Answers that told they were processed outside the regions that their route is bound to.",
);
/// See its help.
pub const CACHE_KEYS_SENT: Definition = counter(
    "emberway_cache_keys_sent_total",
    &["route", "deployment"],
    "Attempts that were sent with a `prompt_cache_key` of the gateway's, which divides a hot prompt among a deployment's machines.",
);
/// See its help.
pub const UPSTREAM_CONNECTIONS: Definition = counter(
    "emberway_upstream_connections_total",
    &["resource", "reused"],
    "Connections taken for attempts, by whether an open one was reused (`true`) or made (`false`).",
);

// === Deployments and pools, as of the scrape ===

/// See its help.
pub const DEPLOYMENT_IN_FLIGHT: Definition = gauge(
    "emberway_deployment_in_flight",
    &["deployment"],
    "Attempts running at a deployment.",
);
/// See its help.
pub const BREAKER_STATE: Definition = gauge(
    "emberway_deployment_breaker_state",
    &["deployment"],
    "Circuit breaker, the deployment's own or its resource's: 0 closed, 1 half-open (one request may probe), 2 open.",
);
/// See its help.
pub const RESOURCE_BREAKER_STATE: Definition = gauge(
    "emberway_resource_breaker_state",
    &["resource"],
    "Circuit breaker of a whole resource, for its host and its credential: 0 closed, 1 half-open, 2 open.",
);
/// See its help.
pub const ALARM: Definition = gauge(
    "emberway_deployment_alarm",
    &["deployment", "alarm"],
    "1 while the deployment cannot work until somebody mends what the label names; absent else.",
);
/// See its help.
pub const COOLING: Definition = gauge(
    "emberway_deployment_cooling_seconds",
    &["deployment"],
    "Time for which a throttled deployment still rests; 0 when it does not.",
);
/// See its help.
pub const DRAINED: Definition = gauge(
    "emberway_deployment_drained",
    &["deployment"],
    "1 while an operator has taken the deployment out, else 0.",
);
/// See its help.
pub const ABSENT: Definition = gauge(
    "emberway_deployment_absent",
    &["deployment", "why"],
    "1 while the control plane says that the deployment cannot answer, or is not to, for the reason that the label names; absent else.",
);
/// See its help.
pub const LIMIT_TOKENS: Definition = gauge(
    "emberway_deployment_limit_tokens_per_minute",
    &["deployment"],
    "Tokens a minute that the deployment takes: as its headers tell, before that as configured; absent while neither is known.",
);
/// See its help.
pub const LIMIT_USED: Definition = gauge(
    "emberway_deployment_limit_used_ratio",
    &["deployment"],
    "Part of the deployment's limit that is used in its current minute, as far as this gateway knows; 1 is all of it.",
);
/// See its help.
pub const CACHE_LIFE: Definition = gauge(
    "emberway_deployment_cache_life_seconds",
    &["deployment"],
    "How long the deployment's cache is believed to keep what nobody asks for, as answers have taught; 0 if it is believed not to cache.",
);
/// See its help.
pub const LAST_SUCCESS_AGE: Definition = gauge(
    "emberway_deployment_last_success_age_seconds",
    &["deployment"],
    "Time since the deployment last answered with success, restarts included; absent while it never has.",
);
/// See its help.
pub const INACTIVITY_DELETION: Definition = gauge(
    "emberway_deployment_inactivity_deletion_seconds",
    &["deployment"],
    "Time until Azure may delete the deployment for inactivity, negative once it may; absent where it never does.",
);
/// See its help.
pub const GUARD_NEXT: Definition = gauge(
    "emberway_deployment_guard_next_seconds",
    &["deployment", "action"],
    "Time until the inactivity guard does something about the deployment if nobody calls it, by what: `steer`, `call`, `delete`, `rebuild`, `let_go`; negative while that is tried.",
);
/// See its help.
pub const GUARD_URGENCY: Definition = gauge(
    "emberway_deployment_inactivity_urgency",
    &["deployment"],
    "How near the deployment's deletion for inactivity is: 0 not near, 1 soon, 2 its last day, 3 overdue.",
);
/// See its help.
pub const END: Definition = gauge(
    "emberway_deployment_end_seconds",
    &["deployment", "cause"],
    "Time until the deployment ends whatever the traffic, by cause: `retirement` of its model, `developer_tier`.",
);
/// See its help.
pub const REBUILDING: Definition = gauge(
    "emberway_deployment_rebuilding",
    &["deployment", "state"],
    "1 while a lost deployment is in this state: `doubted`, `lost`, `waiting`, `creating`, `propagating`, `given_up`.",
);
/// See its help.
pub const FLEET_ACTS: Definition = gauge(
    "emberway_fleet_acts",
    &[],
    "1 where this gateway calls, rebuilds and deletes, of those on its usage file; 0 where another does, or nobody looks after the fleet.",
);
/// The results of [`ALERTS`]; each has its series from the start, so that `increase` sees the first too.
pub const ALERT_RESULTS: [&str; 3] = ["sent", "failed", "dropped"];
/// See its help.
pub const ALERTS: Definition = counter(
    "emberway_alerts_total",
    &["result"],
    "Alerts for the webhook, by result: `sent`, `failed` after all tries, `dropped` because too many waited.",
);
/// See its help.
pub const POOL_DEPLOYMENTS: Definition = gauge("emberway_pool_deployments", &["pool"], "Deployments of a pool.");
/// See its help.
pub const POOL_USABLE: Definition = gauge(
    "emberway_pool_usable_deployments",
    &["pool"],
    "Deployments of a pool that are neither cooling, drained, absent, nor behind an open breaker.",
);
/// See its help.
pub const HEADROOM: Definition = gauge(
    "emberway_headroom_ratio",
    &["pool", "lost_region"],
    "Tokens a minute that the pool's usable deployments outside the region take, by the pool's tokens of the last minute \
     (or a minute's since the last scrape, where that is longer ago): below 1 they would not carry the load if the region were lost. Absent for pools in one region, where no such limit is known, and until the load is measured.",
);

// === Placement ===

/// See its help.
pub const PLACEMENT_BLOCKS: Definition = gauge(
    "emberway_placement_blocks",
    &[],
    "Blocks of prompts in placement's table of counters.",
);
/// See its help.
pub const PLACEMENT_BLOCKS_MAX: Definition = gauge(
    "emberway_placement_blocks_max",
    &[],
    "Blocks that placement's table can hold; when it is full, the smallest go first.",
);
/// See its help.
pub const PLACEMENT_BYTES: Definition = gauge(
    "emberway_placement_bytes",
    &[],
    "Memory of placement's table, all of it taken at the start.",
);
/// See its help.
pub const PLACEMENT_HEAD_HOMES: Definition = gauge(
    "emberway_placement_head_homes",
    &["head"],
    "Homes of the five hottest heads that have several, by the first digits of the head's digest.",
);

// === The gateway's own state ===

/// See its help.
pub const CONFIG_GENERATION: Definition = gauge(
    "emberway_config_generation",
    &[],
    "How many configurations have been taken into use: 1 after the start, one more with each reload.",
);
/// See its help.
pub const CONFIG_RELOAD_FAILED: Definition = gauge(
    "emberway_config_reload_failed",
    &[],
    "1 while the file on disk was refused and an older configuration is in use, else 0.",
);
/// See its help.
pub const CONFIG_RELOADS: Definition = counter(
    "emberway_config_reloads_total",
    &["result"],
    "Reloads by result: `loaded`, `refused`.",
);
/// See its help.
pub const FLEET_LOOKS: Definition = counter(
    "emberway_fleet_looks_total",
    &["result"],
    "Readings of accounts at Azure Resource Manager by result: `read`, `failed` (what was seen last stays in use).",
);
/// See its help.
pub const REBUILDS: Definition = counter(
    "emberway_rebuilds_total",
    &["deployment", "result"],
    "Lost deployments that Azure was asked to make again, by result: `begun`, `failed`.",
);
/// The results of [`KEEPALIVES`]; each configured deployment has its series from the start.
pub const KEEPALIVE_RESULTS: [&str; 2] = ["answered", "failed"];
/// See its help.
pub const KEEPALIVES: Definition = counter(
    "emberway_keepalives_total",
    &["deployment", "result"],
    "Calls of the gateway's own so that Azure does not delete an idle deployment, by result: `answered`, `failed`.",
);
/// See its help.
pub const HOSTING_USD: Definition = gauge(
    "emberway_deployment_hosting_usd_per_hour",
    &["deployment"],
    "US dollars an hour for the deployment being there, provisioned units included; absent while it is missing or its price is not known.",
);
/// See its help.
pub const TOKEN_USD: Definition = counter(
    "emberway_token_cost_usd_total",
    &["deployment", "kind"],
    "US dollars for tokens, as far as their prices are known: `tokens` of clients' requests, `keepalive` of the gateway's own.",
);
/// See its help.
pub const CACHE_SAVED_USD: Definition = counter(
    "emberway_cache_saved_usd_total",
    &["deployment"],
    "US dollars that cached tokens cost less than others would have, as far as their prices are known.",
);
/// See its help.
pub const USAGE_ACCEPTED: Definition = counter(
    "emberway_usage_records_accepted_total",
    &[],
    "Usage records taken into the queue; those not yet written are this less the written ones.",
);
/// See its help.
pub const USAGE_WRITTEN: Definition = counter(
    "emberway_usage_records_written_total",
    &[],
    "Usage records written to the store.",
);
/// See its help.
pub const USAGE_DROPPED: Definition = counter(
    "emberway_usage_records_dropped_total",
    &[],
    "Usage records lost because the queue was full.",
);
/// See its help.
pub const USAGE_BATCHES: Definition = counter(
    "emberway_usage_batches_total",
    &[],
    "Transactions that wrote usage records.",
);
/// See its help.
pub const USAGE_WRITE_ERRORS: Definition = counter(
    "emberway_usage_write_errors_total",
    &[],
    "Writes to the usage store that failed; each is tried again.",
);
/// See its help.
pub const MISSES_DROPPED: Definition = counter(
    "emberway_cache_misses_dropped_total",
    &[],
    "Misses and prompt samples lost for `emberway usage --misses` because the task that writes them was behind, or its store failed for long.",
);
/// See its help.
pub const FINISHED_DROPPED: Definition = counter(
    "emberway_finished_requests_dropped_total",
    &[],
    "Finished requests that are missing in the history (not in the usage records), because the task that takes them was behind.",
);
/// See its help.
pub const TRACE_WRITTEN: Definition = counter(
    "emberway_trace_records_written_total",
    &[],
    "Requests written to the trace.",
);
/// See its help.
pub const TRACE_DROPPED: Definition = counter(
    "emberway_trace_records_dropped_total",
    &[],
    "Requests lost for the trace because its queue was full or its file could not be written.",
);
/// See its help.
pub const LOG_LINES_DROPPED: Definition = counter(
    "emberway_log_lines_dropped_total",
    &[],
    "Log lines lost because whatever reads stderr was too slow.",
);
/// See its help.
pub const BUILD_INFO: Definition = gauge(
    "emberway_build_info",
    &["version"],
    "Always 1; its label is the version.",
);

/// Metrics of the process that the client library adds, on Linux only.
pub const PROCESS: &[&str] = &[
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
];

#[cfg(test)]
mod tests;
