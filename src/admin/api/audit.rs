//! Who did what: writes of the API and to Azure's control plane, as the store's audit has them.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::Sources;
use crate::admin::api::answer::{Answer, Asked, ErrorBody, Refusal};
use crate::storage::audit::{AuditEntry, AuditPhase};

/// Most writes that are told.
const WRITES_MAX: u32 = 1_000;

/// Rows that a write has at most: one for each of its moments.
const ROWS_EACH: u32 = 3;

/// Which writes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// How many, the newest; at most 1,000, 200 without.
    #[param(minimum = 1, maximum = 1_000)]
    #[serde(default = "usual")]
    limit: u32,
}

fn usual() -> u32 {
    200
}

/// What was done, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Audit {
    entries: Vec<Done>,
}

/// A write.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Done {
    /// When its last moment was that is known.
    at_ms: i64,
    /// Who did it: a person or token with its role, a command with its user, or a part of the gateway.
    who: String,
    /// The HTTP method.
    action: String,
    /// The path, here or at Azure.
    subject: String,
    /// What came of it: `done`, a status, or Azure's word; `sent` while nothing is known.
    result: String,
    /// What was asked for.
    text: Option<String>,
}

impl From<AuditEntry> for Done {
    fn from(entry: AuditEntry) -> Self {
        let phase = match entry.phase {
            AuditPhase::Sent => "sent",
            AuditPhase::Answered => "answered",
            AuditPhase::Ended => "ended",
        };
        Self {
            at_ms: entry.at_ms,
            who: entry.actor,
            action: entry.method,
            subject: entry.target,
            result: entry.outcome.unwrap_or_else(|| phase.to_owned()),
            text: entry.asked,
        }
    }
}

/// Who changed what, newest first.
#[utoipa::path(
    get, path = "/audit", tag = "events", params(AuditQuery),
    responses(
        (status = 200, body = Audit),
        (status = 400, body = ErrorBody, description = "A limit that is none."),
        (status = 503, body = ErrorBody, description = "The store cannot be read."),
    )
)]
pub(super) async fn audit(State(sources): State<Arc<Sources>>, Asked(query): Asked<AuditQuery>) -> Answer<Audit> {
    if !(1..=WRITES_MAX).contains(&query.limit) {
        return Err(Refusal::bad_param("limit", "`limit` is 1 to 1000"));
    }
    let rows = sources.api.audit.audit(0, query.limit * ROWS_EACH).await;
    let rows = rows.map_err(|error| Refusal::unavailable(error.to_string(), "store_failing"))?;
    let entries = last_moments(rows, query.limit as usize);
    Ok(Json(Audit { entries }))
}

/// Of rows with the newest first, each write's last moment.
fn last_moments(rows: Vec<AuditEntry>, most: usize) -> Vec<Done> {
    let mut seen = HashSet::new();
    let mut last = rows;
    last.retain(|row| seen.insert(row.client_request_id.clone()));
    last.truncate(most);
    last.into_iter().map(Done::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_told_once_with_its_last_moment() {
        let row = |id: &str, phase, outcome: Option<&str>| AuditEntry {
            at_ms: 1,
            actor: "ada (operator)".to_owned(),
            phase,
            method: "POST".to_owned(),
            target: "/api/v1/drains".to_owned(),
            client_request_id: id.to_owned(),
            request_id: None,
            outcome: outcome.map(str::to_owned),
            asked: None,
        };
        let rows = vec![
            row("b", AuditPhase::Sent, None),
            row("a", AuditPhase::Ended, Some("succeeded")),
            row("a", AuditPhase::Answered, Some("201")),
            row("a", AuditPhase::Sent, None),
            row("c", AuditPhase::Sent, None),
        ];
        let told = |most| -> Vec<String> {
            let done = last_moments(rows.clone(), most);
            done.into_iter().map(|done| done.result).collect()
        };
        assert_eq!(told(10), ["sent", "succeeded", "sent"]);
        assert_eq!(told(2), ["sent", "succeeded"]);
    }
}
