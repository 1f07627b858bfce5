//! Taking deployments, accounts and regions out and putting them back: `/admin/drains` for the page, with an entry for each change.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::Sources;
use crate::admin::access::Caller;
use crate::admin::api::acts::{self, Deed};
use crate::admin::api::answer::{Asked, ErrorBody, Refusal, Sent};
use crate::admin::drains::{BeginBody, DrainAsked, DrainList};
use crate::openai::error;
use crate::storage::acts::ActResult;

/// What is put back.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Undone {
    /// `deployment`, `resource` or `region`.
    kind: String,
    /// The name.
    name: String,
}

/// What is taken out now, in the order in which it was.
#[utoipa::path(get, path = "/drains", tag = "fleet", responses((status = 200, body = DrainList)))]
pub(super) async fn list(State(sources): State<Arc<Sources>>) -> Response {
    answer((sources.drains)(DrainAsked::List).map(|drains| DrainList { drains }))
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
) -> Response {
    let BeginBody {
        kind,
        name,
        for_s,
        force,
    } = body;
    let subject = format!("{kind} {name}");
    let lasting = for_s.map_or_else(|| "until it is put back".to_owned(), |seconds| format!("for {seconds} s"));
    let done = format!("taken out {lasting}{}", if force { ", by force" } else { "" });
    let asked = DrainAsked::Begin {
        kind,
        name,
        for_s,
        force,
    };
    change(&sources, &caller, ("drain", &subject, done), asked).await
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
) -> Response {
    let subject = format!("{kind} {name}");
    let asked = DrainAsked::Undo { kind, name };
    change(&sources, &caller, ("undo_drain", &subject, "put back".to_owned()), asked).await
}

async fn change(sources: &Sources, caller: &Caller, deed: (&str, &str, String), asked: DrainAsked) -> Response {
    let changed = (sources.drains)(asked).map(|drains| DrainList { drains });
    let (action, subject, done) = deed;
    let (result, text) = match &changed {
        Ok(_) => (ActResult::Done, done),
        Err((_, body)) => {
            let told = error::read(body).message;
            (ActResult::Refused, told.unwrap_or_else(|| "refused".to_owned()))
        }
    };
    let deed = Deed {
        action,
        subject,
        result,
        text,
    };
    acts::note(sources, caller, deed).await;
    answer(changed)
}

fn answer(changed: Result<DrainList, (u16, Bytes)>) -> Response {
    match changed {
        Ok(list) => Json(list).into_response(),
        Err((status, body)) => match StatusCode::from_u16(status) {
            Ok(status) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(_) => Refusal::failed("the refusal has no status", "no_status").into_response(),
        },
    }
}
