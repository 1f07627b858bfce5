//! The OpenAPI document: its head, and what a group of endpoints adds to each of its operations.

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::Modify;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use crate::admin::Sources;
use crate::admin::api::answer::{ErrorBody, ErrorMembers};
use crate::admin::api::document_text;
use crate::config::checked::admin::Role;

/// The document without paths.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Emberway",
        version = "1",
        description = "State, figures and control of one gateway, for its operators. Times are milliseconds since the Unix epoch, \
            durations milliseconds, money US dollars. A query parameter that an operation does not have is refused with 400 \
            `unknown_parameter`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ErrorBody, ErrorMembers)),
    modifiers(&Credentials)
)]
pub(super) struct Head;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            "emberway_session_9090",
            "Of a listener on port 9090; the port of the page's address follows where that is another one, and behind HTTPS the name \
             begins with `__Host-`.",
        )));
        components.add_security_scheme("bearer", bearer);
        components.add_security_scheme("session", cookie);
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "session", responses((status = 200, body = serde_json::Value)))]
pub(super) async fn openapi() -> impl IntoResponse {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document_text().into());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.clone())
}

/// A group with the role it asks, and what it answers to those without, in each of its operations.
pub(super) fn marked(mut group: OpenApiRouter<Arc<Sources>>, role: Option<Role>) -> OpenApiRouter<Arc<Sources>> {
    for item in group.get_openapi_mut().paths.paths.values_mut() {
        for operation in operations(item) {
            describe(operation);
            add_what_the_readers_refuse(operation);
            if let Some(role) = role {
                mark(operation, role);
            }
        }
    }
    group
}

/// Says of each answer what it is, where its endpoint does not: OpenAPI asks for a text.
fn describe(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let is_asked_for = status == "200";
            response.description = String::from(if is_asked_for {
                "What was asked for."
            } else {
                "Refused."
            });
        }
    }
}

/// Enters what [`super::answer`] and [`super::parameters`] refuse of a query or body before the endpoint sees it.
fn add_what_the_readers_refuse(operation: &mut Operation) {
    let reads_body = operation.request_body.is_some();
    let refusals = [
        (
            true,
            "400",
            "The request is not understood, or has a query parameter that is not known.",
        ),
        (reads_body, "413", "The body is too large."),
        (reads_body, "415", "The body is not called JSON."),
    ];
    for (_, status, description) in refusals.into_iter().filter(|(reads, ..)| *reads) {
        let answers = &mut operation.responses.responses;
        answers
            .entry(status.to_owned())
            .or_insert_with(|| refusal(description).into());
    }
}

fn mark(operation: &mut Operation, role: Role) {
    let extension = Extensions::builder().add("x-emberway-role", role.as_ref()).build();
    operation.extensions = Some(extension);
    operation.security = Some(vec![
        SecurityRequirement::new("bearer", Vec::<String>::new()),
        SecurityRequirement::new("session", Vec::<String>::new()),
    ]);
    let answers = &mut operation.responses.responses;
    for (status, description) in [
        ("401", "No credential that is known."),
        (
            "403",
            "A credential whose role may not, or a browser's request from elsewhere.",
        ),
    ] {
        answers
            .entry(status.to_owned())
            .or_insert_with(|| refusal(description).into());
    }
}

fn refusal(description: &str) -> Response {
    let envelope = Content::new(Some(Ref::from_schema_name("ErrorBody")));
    ResponseBuilder::new()
        .description(description)
        .content("application/json", envelope)
        .build()
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}
