//! The control listener's part for the control plane: outages, faults, deployments that vanish, state, and the bill.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::json;

use crate::simulator::arm::bill::Bill;
use crate::simulator::arm::faults::{ArmFault, ArmFaultInForce};
use crate::simulator::arm::listener::ArmListener;
use crate::simulator::arm::reads::ArmStatus;
use crate::simulator::control::{Control, ControlError};

/// The routes; all answer 404 where a scenario has no control plane.
pub fn router() -> Router<Control> {
    Router::new()
        .route("/control/arm", get(status))
        .route("/control/arm/stop", post(stop))
        .route("/control/arm/start", post(start))
        .route(
            "/control/arm/faults",
            get(list_faults).post(add_fault).delete(clear_faults),
        )
        .route("/control/arm/faults/{id}", delete(remove_fault))
        .route("/control/accounts/{account}/deployments/{deployment}", delete(vanish))
        .route("/control/bill", get(bill))
}

fn arm(control: &Control) -> Result<&Arc<ArmListener>, ControlError> {
    control.arm().ok_or(ControlError::NoControlPlane)
}

async fn status(State(control): State<Control>) -> Result<Json<ArmStatus>, ControlError> {
    let listener = arm(&control)?;
    let open = listener.is_open().await;
    Ok(Json(listener.plane().status(control.unix_ms(), listener.url(), open)))
}

async fn stop(State(control): State<Control>) -> Result<StatusCode, ControlError> {
    arm(&control)?.stop().await;
    Ok(StatusCode::NO_CONTENT)
}

async fn start(State(control): State<Control>) -> Result<StatusCode, ControlError> {
    control.start_arm().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_faults(State(control): State<Control>) -> Result<Json<Vec<ArmFaultInForce>>, ControlError> {
    Ok(Json(arm(&control)?.plane().faults.list()))
}

async fn add_fault(
    State(control): State<Control>,
    fault: Result<Json<ArmFault>, JsonRejection>,
) -> Result<Response, ControlError> {
    let listener = arm(&control)?;
    let Json(fault) = match fault {
        Ok(fault) => fault,
        Err(rejection) => {
            let body = Json(json!({ "error": { "message": rejection.body_text() } }));
            return Ok((rejection.status(), body).into_response());
        }
    };
    let id = listener.plane().faults.add(fault).map_err(ControlError::ArmFault)?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

async fn clear_faults(State(control): State<Control>) -> Result<StatusCode, ControlError> {
    arm(&control)?.plane().faults.clear();
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_fault(State(control): State<Control>, Path(id): Path<u64>) -> Result<StatusCode, ControlError> {
    if arm(&control)?.plane().faults.remove(id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ControlError::UnknownFault(id))
    }
}

async fn vanish(
    State(control): State<Control>,
    Path((account, deployment)): Path<(String, String)>,
) -> Result<StatusCode, ControlError> {
    control.vanish(&account, &deployment)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn bill(State(control): State<Control>) -> Result<Json<Bill>, ControlError> {
    Ok(Json(control.bill()?))
}
