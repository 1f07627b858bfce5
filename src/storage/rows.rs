//! Turns a batch into two statements: one inserts its records, one adds to its deployments' totals. Where responses are kept, a third one
//! inserts those.
//!
//! One statement for a whole batch, because every statement costs a round trip to SQLite's thread (about 40 µs of CPU,
//! as much as 15 rows). Statements are prepared once: their row count is rounded up to a power of two, so there are
//! only a handful of texts, and the rows left over stay NULL and are filtered out. Measured per record in release
//! builds: 3 µs for batches of 512, 4.3 µs for 100; one JSON parameter taken apart by `json_each` costs 10 µs, rows
//! in exact chunks of 64, 8 and 1 cost 7 µs for 100.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite};

use crate::core::ids::DeploymentId;
use crate::core::ledger::kept::ResponseKey;
use crate::core::ledger::usage::{Operation, RequestOutcome, UsageRecord, UsageSource};
use crate::storage::DeploymentSeen;
use strum::VariantArray as _;

/// Most rows of one statement. 512 rows of 21 values stay below SQLite's bound of 32,766 parameters.
pub(super) const ROWS_MAX: usize = 512;

/// Largest count that is stored. No answer has more tokens and no request takes longer (12 days in µs); without a bound
/// a few absurd figures of an upstream would overflow sums and with them break every report.
const COUNT_MAX: u64 = 1 << 40;

const USAGE_COLUMNS: &str = "request_id, started_at_ms, client, route, operation, deployment, region, attempts, outcome, \
     status, streamed, source, prompt_tokens, cached_tokens, completion_tokens, first_byte_us, first_token_us, \
     total_us, upstream_us, served_region, spilled_to";

const DEPLOYMENT_COLUMNS: &str = "deployment, first_seen_ms, created_at_ms, last_success_at_ms, requests, successes, \
     prompt_tokens, cached_tokens, completion_tokens";

/// How a deployment's row takes up new figures. SQLite's `max` is NULL as soon as one side is. Records are written within seconds,
/// so a success that is a day later than a new one was dated by a clock that ran ahead.
const DEPLOYMENT_MERGE: &str = " ON CONFLICT (deployment) DO UPDATE SET \
     first_seen_ms = min(first_seen_ms, excluded.first_seen_ms), \
     created_at_ms = max(coalesce(created_at_ms, excluded.created_at_ms), \
                         coalesce(excluded.created_at_ms, created_at_ms)), \
     last_success_at_ms = CASE WHEN last_success_at_ms > excluded.last_success_at_ms + 86400000 \
                               THEN excluded.last_success_at_ms \
                               ELSE max(coalesce(last_success_at_ms, excluded.last_success_at_ms), \
                                        coalesce(excluded.last_success_at_ms, last_success_at_ms)) END, \
     requests = requests + excluded.requests, \
     successes = successes + excluded.successes, \
     prompt_tokens = prompt_tokens + excluded.prompt_tokens, \
     cached_tokens = cached_tokens + excluded.cached_tokens, \
     completion_tokens = completion_tokens + excluded.completion_tokens";

const KEPT_COLUMNS: &str = "key, client, deployment, kept_at_ms";

static KEPT_SQL: LazyLock<Vec<Arc<str>>> =
    LazyLock::new(|| statements("kept_response", KEPT_COLUMNS, " ON CONFLICT (key) DO NOTHING"));
static USAGE_SQL: LazyLock<Vec<Arc<str>>> = LazyLock::new(|| statements("usage", USAGE_COLUMNS, ""));
static DEPLOYMENT_SQL: LazyLock<Vec<Arc<str>>> =
    LazyLock::new(|| statements("deployment", DEPLOYMENT_COLUMNS, DEPLOYMENT_MERGE));

/// A statement ready to run.
pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// Inserts the records; at most [`ROWS_MAX`].
pub(super) fn insert_usage(records: &[UsageRecord]) -> Statement {
    let mut query = sqlx::query(AssertSqlSafe(sized(&USAGE_SQL, records.len())));
    for record in records {
        query = query
            .bind(Arc::clone(&record.request_id))
            .bind(record.started_at_ms)
            .bind(Arc::clone(&record.client))
            .bind(Arc::clone(&record.route))
            .bind(word(&OPERATIONS, Operation::VARIANTS, &record.operation))
            .bind(record.deployment.as_deref().map(Arc::clone))
            .bind(record.region.as_deref().map(Arc::clone))
            .bind(i64::from(record.attempts))
            .bind(word(&OUTCOMES, RequestOutcome::VARIANTS, &record.outcome))
            .bind(i64::from(record.status))
            .bind(i64::from(record.streamed))
            .bind(word(&SOURCES, UsageSource::VARIANTS, &record.source))
            .bind(count(record.prompt_tokens))
            .bind(count(record.cached_tokens))
            .bind(count(record.completion_tokens))
            .bind(record.first_byte_us.map(count))
            .bind(record.first_token_us.map(count))
            .bind(count(record.total_us))
            .bind(count(record.upstream_us))
            .bind(record.served_region.as_deref().map(Arc::clone))
            .bind(record.spilled_to.as_deref().map(str::to_owned));
    }
    query
}

/// The records whose response is kept, with who keeps it.
pub(super) fn kept(records: &[UsageRecord]) -> Vec<(&UsageRecord, ResponseKey, &DeploymentId)> {
    let kept = records
        .iter()
        .filter_map(|record| Some((record, record.kept?, record.deployment.as_ref()?)));
    kept.collect()
}

/// Inserts kept responses; at most [`ROWS_MAX`].
pub(super) fn insert_kept(kept: &[(&UsageRecord, ResponseKey, &DeploymentId)]) -> Statement {
    let mut query = sqlx::query(AssertSqlSafe(sized(&KEPT_SQL, kept.len())));
    for (record, key, deployment) in kept {
        query = query
            .bind(key.0.to_vec())
            .bind(Arc::clone(&record.client))
            .bind(Arc::clone(deployment))
            .bind(record.started_at_ms);
    }
    query
}

/// Adds figures to deployments' totals; at most [`ROWS_MAX`], each deployment once.
pub(super) fn add_to_deployments(changes: &[DeploymentChange]) -> Statement {
    let mut query = sqlx::query(AssertSqlSafe(sized(&DEPLOYMENT_SQL, changes.len())));
    for change in changes {
        query = query
            .bind(Arc::clone(&change.seen.deployment))
            .bind(change.seen.seen_at_ms)
            .bind(change.seen.created_at_ms)
            .bind(change.seen.last_success_at_ms)
            .bind(change.requests)
            .bind(change.successes)
            .bind(change.prompt_tokens)
            .bind(change.cached_tokens)
            .bind(change.completion_tokens);
    }
    query
}

/// What a batch adds to one deployment's totals.
#[derive(Debug)]
pub(super) struct DeploymentChange {
    seen: DeploymentSeen,
    requests: i64,
    successes: i64,
    prompt_tokens: i64,
    cached_tokens: i64,
    completion_tokens: i64,
}

impl From<&DeploymentSeen> for DeploymentChange {
    fn from(seen: &DeploymentSeen) -> Self {
        Self {
            seen: seen.clone(),
            requests: 0,
            successes: 0,
            prompt_tokens: 0,
            cached_tokens: 0,
            completion_tokens: 0,
        }
    }
}

/// Sums a batch by deployment. A success counts from when its request started: earlier than it was served, so that a
/// deployment is never believed active for longer than it was.
pub(super) fn changes(records: &[UsageRecord]) -> Vec<DeploymentChange> {
    let mut by_deployment: HashMap<&DeploymentId, DeploymentChange> = HashMap::new();
    for record in records {
        let Some(deployment) = &record.deployment else { continue };
        let at = record.started_at_ms;
        let change = by_deployment.entry(deployment).or_insert_with(|| {
            DeploymentChange::from(&DeploymentSeen {
                deployment: deployment.clone(),
                seen_at_ms: at,
                created_at_ms: None,
                last_success_at_ms: None,
            })
        });
        change.seen.seen_at_ms = change.seen.seen_at_ms.min(at);
        change.requests += 1;
        if record.outcome == RequestOutcome::Success {
            change.successes += 1;
            change.seen.last_success_at_ms = change.seen.last_success_at_ms.max(Some(at));
        }
        change.prompt_tokens += count(record.prompt_tokens);
        change.cached_tokens += count(record.cached_tokens);
        change.completion_tokens += count(record.completion_tokens);
    }
    by_deployment.into_values().collect()
}

/// The text with room for `rows`, the smallest there is.
pub(super) fn sized(texts: &[Arc<str>], rows: usize) -> Arc<str> {
    debug_assert!(
        (1..=ROWS_MAX).contains(&rows),
        "a batch has 1 to {ROWS_MAX} rows, not {rows}"
    );
    let power = rows.next_power_of_two().trailing_zeros() as usize;
    Arc::clone(&texts[power.min(texts.len() - 1)])
}

/// Insert statements with room for 1, 2, 4 … [`ROWS_MAX`] rows; rows whose first value is NULL are left out.
pub(super) fn statements(table: &str, columns: &str, tail: &str) -> Vec<Arc<str>> {
    let row = format!("({})", vec!["?"; columns.split(',').count()].join(","));
    (0..=ROWS_MAX.trailing_zeros())
        .map(|power| {
            let rows = vec![row.as_str(); 1 << power].join(",");
            format!("INSERT INTO {table} ({columns}) SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL{tail}")
                .into()
        })
        .collect()
}

/// A count as it is stored.
fn count(value: u64) -> i64 {
    value.min(COUNT_MAX).cast_signed()
}

static OPERATIONS: LazyLock<Vec<Arc<str>>> = LazyLock::new(|| words(Operation::VARIANTS));
static OUTCOMES: LazyLock<Vec<Arc<str>>> = LazyLock::new(|| words(RequestOutcome::VARIANTS));
static SOURCES: LazyLock<Vec<Arc<str>>> = LazyLock::new(|| words(UsageSource::VARIANTS));

/// The words of a closed enum, shared once so that binding one is a reference count.
fn words<T: AsRef<str>>(variants: &[T]) -> Vec<Arc<str>> {
    variants.iter().map(|variant| Arc::from(variant.as_ref())).collect()
}

/// The shared word of one variant.
fn word<T: PartialEq + AsRef<str>>(words: &[Arc<str>], variants: &[T], variant: &T) -> Arc<str> {
    let position = variants.iter().position(|other| other == variant);
    position.map_or_else(|| Arc::from(variant.as_ref()), |position| Arc::clone(&words[position]))
}
