//! Taking deployments, accounts and regions out and putting them back: `/admin/drains` for the page.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;

use crate::admin::Sources;
use crate::admin::access::Caller;
use crate::admin::api::answer::{Answer, Asked, ErrorBody, Sent};
use crate::admin::drains::{BeginBody, DrainAsked, DrainList, change};

/// Where changes are entered as made.
const TARGET: &str = "/api/v1/drains";

/// What is put back.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Undone {
    /// `deployment`, `resource` or `region`.
    #[param(pattern = "^(deployment|resource|region)$")]
    kind: String,
    /// The name.
    name: String,
}

/// What is taken out now, in the order in which it was.
#[utoipa::path(get, path = "/drains", tag = "fleet", responses((status = 200, body = DrainList)))]
pub(super) async fn list(State(sources): State<Arc<Sources>>) -> Answer<DrainList> {
    let drains = (sources.drains)(DrainAsked::List)?;
    Ok(Json(DrainList { drains }))
}

/// Takes a deployment, an account or a region out, for a time or until it is put back.
///
/// Running requests end there; new ones go elsewhere. Without `force` a pool's last usable deployment stays.
#[utoipa::path(
    post, path = "/drains", tag = "fleet", request_body = BeginBody,
    responses(
        (status = 200, body = DrainList, description = "What is taken out then."),
        (status = 400, body = ErrorBody, description = "The body is not understood, or the time is out of bounds."),
        (status = 404, body = ErrorBody, description = "There is no such name."),
        (status = 409, body = ErrorBody, description = "A pool would be left with nothing to use."),
        (status = 413, body = ErrorBody, description = "The body is too large."),
        (status = 415, body = ErrorBody, description = "The body is not sent as JSON."),
    )
)]
pub(super) async fn begin(
    State(sources): State<Arc<Sources>>,
    Extension(caller): Extension<Caller>,
    Sent(body): Sent<BeginBody>,
) -> Answer<DrainList> {
    change(&sources, &caller, TARGET, body.into()).await
}

/// Puts something back that was taken out.
#[utoipa::path(
    delete, path = "/drains", tag = "fleet", params(Undone),
    responses(
        (status = 200, body = DrainList, description = "What is taken out then."),
        (status = 400, body = ErrorBody, description = "The query is not understood."),
        (status = 404, body = ErrorBody, description = "It is not taken out."),
    )
)]
pub(super) async fn undo(
    State(sources): State<Arc<Sources>>,
    Extension(caller): Extension<Caller>,
    Asked(Undone { kind, name }): Asked<Undone>,
) -> Answer<DrainList> {
    change(&sources, &caller, TARGET, DrainAsked::Undo { kind, name }).await
}
