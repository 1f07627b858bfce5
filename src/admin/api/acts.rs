//! What operators did: every write leaves an entry, and `GET /audit` shows them with the writes to Azure.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::Sources;
use crate::admin::access::Caller;
use crate::admin::api::answer::{Answer, Asked, ErrorBody, Refusal};
use crate::storage::acts::{Act, ActResult};
use crate::telemetry::clock;
use crate::telemetry::events::process::ActNotKept;

/// Most entries of an answer.
const ENTRIES_MAX: u32 = 1_000;

/// How the audit is asked for.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Most entries; 100 when left out.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Entry {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who: a person or token of this page, or a command or part of the gateway that wrote to Azure.
    pub who: String,
    /// What: a word such as `drain`; for writes to Azure `azure_` and the method.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// `done`, `refused` or `failed`; for writes to Azure the answer's status or its word.
    pub result: String,
    /// In words.
    pub text: String,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuditAnswer {
    /// Newest first.
    pub entries: Vec<Entry>,
}

/// What operators did by this API, and what was written to Azure; newest first.
#[utoipa::path(
    get, path = "/audit", tag = "events", params(AuditQuery),
    responses(
        (status = 200, body = AuditAnswer),
        (status = 400, body = ErrorBody, description = "A parameter is not understood or out of bounds."),
        (status = 503, body = ErrorBody, description = "The store cannot be read now, or not in time."),
    )
)]
pub(super) async fn audit(
    State(sources): State<Arc<Sources>>,
    Asked(AuditQuery { limit }): Asked<AuditQuery>,
) -> Answer<AuditAnswer> {
    let limit = limit.unwrap_or(100);
    if !(1..=ENTRIES_MAX).contains(&limit) {
        let message = format!("`limit` must be 1 to {ENTRIES_MAX}");
        return Err(Refusal::bad_param("limit", message));
    }
    let entries = sources.api.books.audit(limit).await?;
    Ok(Json(AuditAnswer { entries }))
}

/// What was done, for its entry.
#[derive(Debug, Clone)]
pub struct Deed<'a> {
    /// What, in a word.
    pub action: &'a str,
    /// What it was done to.
    pub subject: &'a str,
    /// What came of it.
    pub result: ActResult,
    /// In words.
    pub text: String,
}

/// Enters what a caller did. A store that fails is told of in the log: what was done stays done.
pub(super) async fn note(sources: &Sources, caller: &Caller, deed: Deed<'_>) {
    let act = Act {
        at_ms: clock::now_ms(),
        who: caller.name.to_string(),
        action: deed.action.to_owned(),
        subject: deed.subject.to_owned(),
        result: deed.result,
        text: deed.text,
    };
    if let Err(error) = sources.api.acts.add_act(&act).await {
        ActNotKept {
            who: &act.who,
            action: &act.action,
            subject: &act.subject,
            error: &error,
        }
        .emit();
    }
}
