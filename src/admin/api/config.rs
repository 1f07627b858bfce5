//! The configuration: its text, what a text would mean, what it would have done to recorded requests, putting it to use, and its versions.
//!
//! The file stays the truth (ADR 20): what is applied is written there and read from there. No secret is ever told; see
//! `config::mask` and `config::references`.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::shapes::{
    Applied, ApplyBody, ConfigText, Judgement, ProblemsBody, RestoreBody, TextBody, Version, VersionText, Versions,
    WhatIf, WhatIfBody,
};
use super::Group;
use super::answer::{Answer, ErrorBody, Refusal, Sent};
use super::audited::{Write, audited_with};
use crate::admin::Sources;
use crate::admin::access::Caller;
use crate::config::schema;

pub mod shapes;

/// Largest body: a text of 1 MiB whose characters are escaped.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest note of a version, in characters.
const NOTE_CHARS_MAX: usize = 500;
/// How far back requests are played at most, in seconds: 30 days.
const WINDOW_S_MAX: u64 = 30 * 86_400;

/// The running gateway's configuration.
#[async_trait]
pub trait Configuration: Send + Sync {
    /// Whether it may be changed from here.
    ///
    /// # Errors
    /// The reason where it may not, and what to do instead.
    fn writable(&self) -> Result<(), String>;

    /// The file's text and state.
    async fn shown(&self) -> Result<ConfigText, Refusal>;

    /// What a text would mean.
    async fn check(&self, text: String) -> Result<Judgement, Refusal>;

    /// What a text would have done to the requests of the last `window_s` seconds.
    async fn what_if(&self, text: String, window_s: u64) -> Result<WhatIf, Refusal>;

    /// Puts a text to use, for `who`.
    async fn apply(&self, who: String, body: ApplyBody) -> Result<Applied, Refusal>;

    /// The versions that are kept.
    async fn versions(&self) -> Result<Vec<Version>, Refusal>;

    /// One of them.
    async fn version(&self, id: i64) -> Result<VersionText, Refusal>;

    /// Puts the text of a version to use again.
    async fn restore(&self, who: String, id: i64, body: RestoreBody) -> Result<Applied, Refusal>;
}

/// What whoever may look may see: the form of configurations, of none in particular.
pub(super) fn viewer() -> Group {
    OpenApiRouter::new().routes(routes!(config_schema))
}

/// The configuration, to look at and to change. Not for viewers: a text that is checked is compiled with the references of this machine,
/// and what was written by hand may hold what should be a reference.
pub(super) fn admin() -> Group {
    OpenApiRouter::new()
        .routes(routes!(config))
        .routes(routes!(check))
        .routes(routes!(what_if))
        .routes(routes!(versions))
        .routes(routes!(version))
        .routes(routes!(apply))
        .routes(routes!(restore))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// The configuration's file: its text, whether it may be changed from here, and how the last attempt to load it went.
#[utoipa::path(
    get, path = "/config", tag = "configuration",
    responses(
        (status = 200, body = ConfigText),
        (status = 503, body = ErrorBody, description = "The file cannot be read."),
    )
)]
async fn config(State(sources): State<Arc<Sources>>) -> Answer<ConfigText> {
    sources.api.configuration.shown().await.map(Json)
}

/// The JSON Schema of the configuration, as `emberway schema` prints it.
#[utoipa::path(
    get, path = "/config/schema", tag = "configuration",
    responses((status = 200, body = serde_json::Value, content_type = "application/schema+json"))
)]
async fn config_schema() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/schema+json")],
        schema::published_text(),
    )
}

/// What a text would mean: the mistakes that `emberway check` finds, what it would change, and the difference to the file.
#[utoipa::path(
    post, path = "/config/check", tag = "configuration", request_body = TextBody,
    responses(
        (status = 200, body = Judgement, description = "Also for a text with mistakes."),
        (status = 400, body = ErrorBody, description = "No body that is understood."),
        (status = 413, body = ErrorBody, description = "A body of more than 4 MiB."),
        (status = 503, body = ErrorBody, description = "The file cannot be read."),
    )
)]
async fn check(State(sources): State<Arc<Sources>>, Sent(body): Sent<TextBody>) -> Answer<Judgement> {
    sources.api.configuration.check(body.text).await.map(Json)
}

/// What a text would have done to recorded requests, beside what the configuration in use would have. One at a time.
#[utoipa::path(
    post, path = "/config/what-if", tag = "configuration", request_body = WhatIfBody,
    responses(
        (status = 200, body = WhatIf),
        (status = 400, body = ErrorBody, description = "No body that is understood, or a time that is too long."),
        (status = 409, body = ErrorBody, description = "No request is recorded for that time."),
        (status = 413, body = ErrorBody, description = "A body of more than 4 MiB."),
        (status = 422, body = ProblemsBody, description = "The text has mistakes."),
        (status = 429, body = ErrorBody, description = "Another one is being played; `retry-after` says when to ask again."),
        (status = 503, body = ErrorBody, description = "The file cannot be read, or playing takes too long."),
    )
)]
async fn what_if(State(sources): State<Arc<Sources>>, Sent(body): Sent<WhatIfBody>) -> Answer<WhatIf> {
    if !(1..=WINDOW_S_MAX).contains(&body.window_s) {
        return Err(Refusal::bad_param("window_s", "`window_s` is 1 to 2592000 seconds"));
    }
    let configuration = &sources.api.configuration;
    configuration.what_if(body.text, body.window_s).await.map(Json)
}

/// Writes a text into the configuration's file and puts it to use, whole or not at all.
#[utoipa::path(
    post, path = "/config/apply", tag = "configuration", request_body = ApplyBody,
    responses(
        (status = 200, body = Applied),
        (status = 400, body = ErrorBody, description = "No body that is understood, or a note that is too long."),
        (status = 409, body = ErrorBody, description = "The file was changed meanwhile (its `sha256` is beside `error`), already holds the \
            text, or may not be changed from here."),
        (status = 413, body = ErrorBody, description = "A body of more than 4 MiB."),
        (status = 422, body = ProblemsBody, description = "The text has mistakes, needs a restart, or was refused when it was put to use; \
            the file holds the older text."),
        (status = 503, body = ErrorBody, description = "The file cannot be read or written."),
    )
)]
async fn apply(
    State(sources): State<Arc<Sources>>,
    Extension(caller): Extension<Caller>,
    Sent(body): Sent<ApplyBody>,
) -> Answer<Applied> {
    checked_note(&body.note)?;
    let configuration = Arc::clone(&sources.api.configuration);
    let who = caller.name.to_string();
    let write = Write {
        method: "POST",
        target: "/api/v1/config/apply",
        asked: with_note("change the configuration", ": ", &body.note),
    };
    let done = done("changed the configuration to", &who, &body.note);
    let work = async move { configuration.apply(who, body).await };
    audited_with(&sources, &caller, write, work, done).await.map(Json)
}

/// Texts of the configuration that were put to use, newest first: the newest 500.
#[utoipa::path(
    get, path = "/config/versions", tag = "configuration",
    responses(
        (status = 200, body = Versions),
        (status = 503, body = ErrorBody, description = "The store cannot be read."),
    )
)]
async fn versions(State(sources): State<Arc<Sources>>) -> Answer<Versions> {
    let versions = sources.api.configuration.versions().await?;
    Ok(Json(Versions { versions }))
}

/// One of them, with its text.
#[utoipa::path(
    get, path = "/config/versions/{id}", tag = "configuration",
    params(("id" = i64, Path, description = "Its number.")),
    responses(
        (status = 200, body = VersionText),
        (status = 404, body = ErrorBody, description = "There is no such version (any more)."),
        (status = 503, body = ErrorBody, description = "The store cannot be read."),
    )
)]
async fn version(State(sources): State<Arc<Sources>>, Path(id): Path<String>) -> Answer<VersionText> {
    sources.api.configuration.version(number(&id)?).await.map(Json)
}

/// Puts the text of a version to use again, as a new version.
#[utoipa::path(
    post, path = "/config/versions/{id}/restore", tag = "configuration", request_body = RestoreBody,
    params(("id" = i64, Path, description = "Its number.")),
    responses(
        (status = 200, body = Applied),
        (status = 400, body = ErrorBody, description = "No body that is understood, or a note that is too long."),
        (status = 404, body = ErrorBody, description = "There is no such version (any more)."),
        (status = 409, body = ErrorBody, description = "As for applying a text."),
        (status = 422, body = ProblemsBody, description = "As for applying a text."),
        (status = 503, body = ErrorBody, description = "The file cannot be read or written, or the store cannot be read."),
    )
)]
async fn restore(
    State(sources): State<Arc<Sources>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Sent(body): Sent<RestoreBody>,
) -> Answer<Applied> {
    let id = number(&id)?;
    checked_note(&body.note)?;
    let configuration = Arc::clone(&sources.api.configuration);
    let who = caller.name.to_string();
    let write = Write {
        method: "POST",
        target: "/api/v1/config/versions/{id}/restore",
        asked: with_note(&format!("restore version {id} of the configuration"), ": ", &body.note),
    };
    let done = done(
        &format!("restored version {id} of the configuration as"),
        &who,
        &body.note,
    );
    let work = async move { configuration.restore(who, id, body).await };
    audited_with(&sources, &caller, write, work, done).await.map(Json)
}

/// What the audit tells of a change that was made: which version it made, by whom, what it changed, and the note.
fn done(what: &str, who: &str, note: &str) -> impl FnOnce(&Applied) -> Option<String> + Send + 'static {
    let (what, who, note) = (what.to_owned(), who.to_owned(), note.to_owned());
    move |applied| {
        let version = match applied.version {
            Some(version) => format!("version {version}"),
            None => "a version that could not be kept".to_owned(),
        };
        let changed = shapes::summary(&applied.changes);
        Some(with_note(
            &format!("{what} {version}, by {who}: {changed}"),
            "; note: ",
            &note,
        ))
    }
}

fn with_note(text: &str, between: &str, note: &str) -> String {
    match note.trim() {
        "" => text.to_owned(),
        note => format!("{text}{between}{note}"),
    }
}

fn number(id: &str) -> Result<i64, Refusal> {
    id.parse().map_err(|_| no_version(id))
}

/// 404 for a version.
pub fn no_version(id: &str) -> Refusal {
    Refusal::not_found(
        format!("there is no version `{}`; the newest 500 are kept", shortened(id)),
        "unknown_version",
    )
}

/// What a client sent, short enough to repeat.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

fn checked_note(note: &str) -> Result<(), Refusal> {
    if note.chars().count() > NOTE_CHARS_MAX {
        return Err(Refusal::bad_param("note", "`note` has at most 500 characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::checked::admin::Role;
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use tokio::sync::watch;

    use super::*;
    use crate::admin::{Stop, api, router, testing};
    use crate::config::checked::admin::{AdminListener, AdminToken};
    use crate::config::secrets::Secret;

    /// The status of what is answered to somebody with this token.
    async fn status(token: &str, method: &str, path: &str) -> StatusCode {
        let viewer = AdminToken {
            name: "eve".to_owned(),
            token: Secret::new("a-viewers-token".to_owned()),
            role: Role::Viewer,
        };
        let listener = AdminListener {
            tokens: vec![viewer],
            ..testing::nobody_asked()
        };
        let sources = Sources {
            access: testing::access(&listener),
            ..testing::sources()
        };
        let (_going_on, stop) = watch::channel(Stop::No);
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/config{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(r#"{"text": "", "base_sha256": ""}"#))
            .expect("a request");
        let service = TowerToHyperService::new(router(&Arc::new(sources), stop));
        service.call(request).await.expect("infallible").status()
    }

    #[tokio::test]
    async fn a_viewer_sees_the_form_and_nothing_of_the_file() {
        let viewer = "a-viewers-token";
        assert_eq!(status(viewer, "GET", "/schema").await, StatusCode::OK);
        assert_eq!(status("another", "GET", "/schema").await, StatusCode::UNAUTHORIZED);
        for path in ["", "/versions", "/versions/1"] {
            assert_eq!(status(viewer, "GET", path).await, StatusCode::FORBIDDEN, "{path}");
        }
        for path in ["/check", "/what-if", "/apply", "/versions/1/restore"] {
            assert_eq!(status(viewer, "POST", path).await, StatusCode::FORBIDDEN, "{path}");
        }
    }

    #[test]
    fn all_but_the_schema_asks_an_administrator() {
        let document = serde_json::to_value(api::document()).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let of_configuration = paths.iter().filter(|(path, _)| path.starts_with("/api/v1/config"));
        let mut seen = 0;
        for (path, item) in of_configuration {
            for operation in item.as_object().expect("operations").values() {
                let expected = if path.ends_with("/schema") { "viewer" } else { "admin" };
                assert_eq!(operation["x-emberway-role"], expected, "{path}");
                seen += 1;
            }
        }
        assert_eq!(seen, 8);
    }

    #[test]
    fn what_the_audit_tells_of_a_change_is_a_whole_sentence() {
        let applied = |version| Applied {
            version,
            generation: 3,
            changes: vec![shapes::Change {
                text: "route `a`: pool changed".to_owned(),
                needs_restart: false,
            }],
        };
        let told = |note: &str, version| done("changed the configuration to", "ada", note)(&applied(version));
        assert_eq!(
            told(" ", Some(7)).as_deref(),
            Some("changed the configuration to version 7, by ada: route `a`: pool changed")
        );
        assert_eq!(
            told("more room", None).as_deref(),
            Some(
                "changed the configuration to a version that could not be kept, by ada: route `a`: pool changed; note: more room"
            )
        );
        assert_eq!(with_note("change it", ": ", " "), "change it");
    }

    #[test]
    fn notes_and_numbers_are_bounded() {
        assert_eq!(checked_note(&"ä".repeat(500)), Ok(()));
        assert_eq!(
            checked_note(&"ä".repeat(501)).expect_err("too long").code,
            "bad_parameter"
        );
        assert_eq!(number("7"), Ok(7));
        let refused = number(&"x".repeat(1_000)).expect_err("no number");
        assert!(refused.message.len() < 120, "{}", refused.message);
    }
}
