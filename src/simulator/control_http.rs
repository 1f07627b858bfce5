//! The control listener: [`Control`] over HTTP, for scripts and the demo. Loopback only, no credentials.

use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::simulator::arm;
use crate::simulator::clock::MAX_ADVANCE;
use crate::simulator::control::{Control, ControlError};
use crate::simulator::faults::{Fault, FaultInForce};
use crate::simulator::record::RequestRecord;
use crate::simulator::world;

/// Longest body of a control call; a canned response is the largest thing sent.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The routes.
pub fn router(control: Control) -> Router {
    Router::new()
        .route("/control/state", get(state))
        .route("/control/faults", get(list_faults).post(add_fault).delete(clear_faults))
        .route("/control/faults/{id}", delete(remove_fault))
        .route("/control/accounts/{name}/stop", post(stop_account))
        .route("/control/accounts/{name}/start", post(start_account))
        .route("/control/requests", get(requests))
        .route("/control/reset", post(reset))
        .route("/control/clock/advance", post(advance_clock))
        .merge(arm::control::router())
        .fallback(async || refused(StatusCode::NOT_FOUND, "no such control path; see docs/simulator.md"))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(control)
}

fn refused(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": { "message": message } }))).into_response()
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::UnknownAccount(_) | Self::UnknownFault(_) | Self::UnknownDeployment { .. } | Self::NoControlPlane => {
                StatusCode::NOT_FOUND
            }
            Self::Fault(_) | Self::ArmFault(_) => StatusCode::BAD_REQUEST,
            Self::Bind { .. } => StatusCode::CONFLICT,
        };
        refused(status, &self.to_string())
    }
}

#[derive(Serialize)]
struct ShownState {
    #[serde(flatten)]
    world: world::State,
    listeners: Vec<Value>,
}

async fn state(State(control): State<Control>) -> Json<ShownState> {
    let mut listeners = Vec::new();
    for listener in control.listeners() {
        let (name, address) = (&listener.account().spec.name, listener.address());
        listeners.push(json!({ "account": name, "address": address, "open": listener.is_open().await }));
    }
    Json(ShownState {
        world: control.state(),
        listeners,
    })
}

async fn list_faults(State(control): State<Control>) -> Json<Vec<FaultInForce>> {
    Json(control.faults())
}

async fn add_fault(State(control): State<Control>, fault: Result<Json<Fault>, JsonRejection>) -> Response {
    let Json(fault) = match fault {
        Ok(fault) => fault,
        Err(rejection) => return refused(rejection.status(), &rejection.body_text()),
    };
    match control.add_fault(fault) {
        Ok(id) => (StatusCode::CREATED, Json(json!({ "id": id }))).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.clear_faults();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(control): State<Control>, Path(id): Path<u64>) -> Result<StatusCode, ControlError> {
    control.remove_fault(id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stop_account(State(control): State<Control>, Path(name): Path<String>) -> Result<StatusCode, ControlError> {
    control.stop_account(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn start_account(State(control): State<Control>, Path(name): Path<String>) -> Result<StatusCode, ControlError> {
    control.start_account(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    last: Option<usize>,
}

async fn requests(State(control): State<Control>, Query(query): Query<Last>) -> Json<Vec<RequestRecord>> {
    Json(control.requests(query.last.unwrap_or(usize::MAX)))
}

async fn reset(State(control): State<Control>) -> StatusCode {
    control.reset();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: f64,
}

async fn advance_clock(State(control): State<Control>, Json(advance): Json<Advance>) -> Response {
    if !(0.0..=MAX_ADVANCE.as_secs_f64()).contains(&advance.seconds) {
        return refused(StatusCode::BAD_REQUEST, "`seconds` is 0 to 315360000");
    }
    control.advance_clock(Duration::from_secs_f64(advance.seconds));
    let at_ms = control.state().at_ms;
    Json(json!({ "at_ms": at_ms, "at": arm::time::shown(control.unix_ms()) })).into_response()
}
