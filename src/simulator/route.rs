//! Which operation is this, and may the caller use it? Path, API version, credential, number of headers.

use http::request::Parts;
use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;

use crate::simulator::failure::Failure;
use crate::simulator::fine_tuning;
use crate::simulator::known_fields::{has_responses, is_known_version};
use crate::simulator::request::Operation;
use crate::simulator::scenario::AccountSpec;

/// Custom headers the service accepts.
const MAX_CUSTOM_HEADERS: usize = 10;

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The list of models.
    Models,
    /// One model of that list.
    Model(String),
    /// Fine-tuning jobs.
    FineTuning(fine_tuning::Asked),
    /// An operation. The deployment is in the body's `model` when absent here.
    Operation {
        /// Which.
        operation: Operation,
        /// Deployment in the path.
        deployment: Option<String>,
    },
}

/// Whether a path belongs to the undated API.
pub fn is_v1(path: &str) -> bool {
    path.starts_with("/openai/v1/")
}

/// The `api-version` of a request, when it has one.
pub fn api_version(head: &Parts) -> Option<&str> {
    parameter(head, "api-version")
}

/// A parameter of the query as it is written there.
pub fn parameter<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    let query = head.uri.query()?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Finds the route.
///
/// # Errors
/// 404 for an unknown path, method or API version.
pub fn find(head: &Parts) -> Result<Route, Failure> {
    let path = head.uri.path();
    let version = api_version(head);
    if is_v1(path) {
        if version.is_some_and(|version| !matches!(version, "preview" | "latest" | "v1")) {
            return Err(Failure::invalid_request(
                "API version not supported",
                None,
                Some("BadRequest"),
            ));
        }
    } else if !version.is_some_and(is_known_version) {
        return Err(Failure::resource_not_found());
    }
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let route = match (&head.method, segments.as_slice()) {
        (&Method::GET, ["openai", "models"] | ["openai", "v1", "models"]) => Some(Route::Models),
        (&Method::GET, ["openai", "models", id] | ["openai", "v1", "models", id]) => Some(Route::Model(decoded(id))),
        (
            &Method::GET,
            ["openai", "fine_tuning", "jobs", rest @ ..] | ["openai", "v1", "fine_tuning", "jobs", rest @ ..],
        ) => jobs_of(rest).map(Route::FineTuning),
        (&Method::POST, ["openai", "v1", rest @ ..]) => operation_of(rest).map(|operation| Route::Operation {
            operation,
            deployment: None,
        }),
        (&Method::POST, ["openai", "responses"]) if version.is_some_and(has_responses) => Some(Route::Operation {
            operation: Operation::Responses,
            deployment: None,
        }),
        (&Method::POST, ["openai", "deployments", name, rest @ ..]) => {
            let operation = operation_of(rest).filter(|&operation| operation != Operation::Responses);
            operation.map(|operation| Route::Operation {
                operation,
                deployment: Some(decoded(name)),
            })
        }
        _ => None,
    };
    route.ok_or_else(Failure::resource_not_found)
}

fn jobs_of(segments: &[&str]) -> Option<fine_tuning::Asked> {
    match segments {
        [] => Some(fine_tuning::Asked::Jobs),
        [id] => Some(fine_tuning::Asked::Job((*id).to_owned())),
        [id, "checkpoints"] => Some(fine_tuning::Asked::Checkpoints((*id).to_owned())),
        _ => None,
    }
}

fn operation_of(segments: &[&str]) -> Option<Operation> {
    match segments {
        ["chat", "completions"] => Some(Operation::Chat),
        ["completions"] => Some(Operation::Completions),
        ["embeddings"] => Some(Operation::Embeddings),
        ["responses"] => Some(Operation::Responses),
        _ => None,
    }
}

/// Checks the caller's credential.
///
/// # Errors
/// 401 or 403 as the service words them.
pub fn authorize(account: &AccountSpec, head: &Parts) -> Result<(), Failure> {
    let is_key = |value: &str| account.api_keys.iter().any(|key| key == value);
    if let Some(key) = text(&head.headers, "api-key") {
        return match (account.key_auth, is_key(key)) {
            (false, _) => Err(Failure::keys_disabled()),
            (true, true) => Ok(()),
            (true, false) => Err(Failure::wrong_key()),
        };
    }
    let Some(authorization) = text(&head.headers, header::AUTHORIZATION.as_str()) else {
        return Err(Failure::wrong_key());
    };
    let Some(bearer) = authorization
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
    else {
        return Err(Failure::wrong_token());
    };
    if account.bearer_tokens.iter().any(|token| token == bearer.1) {
        return Ok(());
    }
    // The plain OpenAI client sends its key as a bearer, which only the undated API takes.
    if is_v1(head.uri.path()) && is_key(bearer.1) {
        return if account.key_auth {
            Ok(())
        } else {
            Err(Failure::keys_disabled())
        };
    }
    Err(Failure::wrong_token())
}

/// The bearer's token, where no key comes before it.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    if headers.contains_key("api-key") {
        return None;
    }
    let (scheme, token) = text(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Whether a token has the form of a JWT; keys and the scenario's own tokens need not.
pub fn is_jwt(token: &str) -> bool {
    token.split('.').count() == 3
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Refuses a request with more custom headers than the service takes. Which headers count is not published; here it
/// is every field that neither HTTP nor the service defines, which includes `x-stainless-*`.
///
/// # Errors
/// 431.
pub fn count_headers(headers: &HeaderMap) -> Result<(), Failure> {
    let custom = headers.keys().filter(|name| !is_standard(name.as_str())).count();
    if custom > MAX_CUSTOM_HEADERS {
        Err(Failure::too_many_headers(custom))
    } else {
        Ok(())
    }
}

fn is_standard(name: &str) -> bool {
    const STANDARD: &[&str] = &[
        "api-key",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "origin",
        "pragma",
        "priority",
        "range",
        "referer",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-ms-client-request-id",
        "x-ms-spillover-deployment",
    ];
    STANDARD.contains(&name) || name.starts_with("accept") || name.starts_with("sec-fetch-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn both_url_families_are_understood_and_others_are_not() {
        let classic = |name: &str| {
            Some(Route::Operation {
                operation: Operation::Chat,
                deployment: Some(name.to_owned()),
            })
        };
        let undated = |operation| {
            Some(Route::Operation {
                operation,
                deployment: None,
            })
        };
        for (method, uri, expect) in [
            (
                "POST",
                "/openai/deployments/a/chat/completions?api-version=2024-10-21",
                classic("a"),
            ),
            (
                "POST",
                "/openai/deployments/a%20b/chat/completions?x=1&api-version=2024-02-01",
                classic("a b"),
            ),
            ("POST", "/openai/deployments/a/chat/completions", None),
            (
                "POST",
                "/openai/deployments/a/chat/completions?api-version=2031-01-01",
                None,
            ),
            (
                "GET",
                "/openai/deployments/a/chat/completions?api-version=2024-10-21",
                None,
            ),
            ("POST", "/openai/v1/chat/completions", undated(Operation::Chat)),
            (
                "POST",
                "/openai/v1/chat/completions?api-version=preview",
                undated(Operation::Chat),
            ),
            ("POST", "/openai/v1/completions", undated(Operation::Completions)),
            ("POST", "/openai/v1/embeddings", undated(Operation::Embeddings)),
            ("POST", "/openai/v1/responses", undated(Operation::Responses)),
            ("POST", "/openai/v1/responses/resp_1/cancel", None),
            (
                "POST",
                "/openai/responses?api-version=2025-04-01-preview",
                undated(Operation::Responses),
            ),
            ("POST", "/openai/responses?api-version=2024-10-21", None),
            (
                "POST",
                "/openai/deployments/a/responses?api-version=2025-04-01-preview",
                None,
            ),
            ("POST", "/v1/chat/completions", None),
            ("GET", "/openai/models?api-version=2024-10-21", Some(Route::Models)),
            ("GET", "/openai/v1/models", Some(Route::Models)),
            ("GET", "/openai/v1/models/m", Some(Route::Model("m".to_owned()))),
        ] {
            assert_eq!(find(&head(method, uri, &[])).ok(), expect, "{method} {uri}");
        }
    }

    #[test]
    fn fine_tuning_jobs_are_in_both_url_families() {
        let jobs = |asked| Some(Route::FineTuning(asked));
        let checkpoints = fine_tuning::Asked::Checkpoints("j".to_owned());
        for (method, uri, expect) in [
            (
                "GET",
                "/openai/v1/fine_tuning/jobs?limit=1",
                jobs(fine_tuning::Asked::Jobs),
            ),
            (
                "GET",
                "/openai/v1/fine_tuning/jobs/j",
                jobs(fine_tuning::Asked::Job("j".to_owned())),
            ),
            (
                "GET",
                "/openai/fine_tuning/jobs/j/checkpoints?api-version=2024-10-21",
                jobs(checkpoints),
            ),
            ("GET", "/openai/fine_tuning/jobs", None),
            ("GET", "/openai/v1/fine_tuning/jobs/j/events", None),
            ("POST", "/openai/v1/fine_tuning/jobs", None),
        ] {
            assert_eq!(find(&head(method, uri, &[])).ok(), expect, "{method} {uri}");
        }
    }

    #[test]
    fn credentials_are_taken_where_the_service_takes_them() {
        const CLASSIC: &str = "/openai/models?api-version=2024-10-21";
        const V1: &str = "/openai/v1/models";
        let yaml = "{name: a, region: r, api_keys: [key], bearer_tokens: [token], deployments: []}";
        let open: AccountSpec = serde_saphyr::from_str(yaml).unwrap();
        let keyless = AccountSpec {
            key_auth: false,
            ..open.clone()
        };
        for (account, uri, header, expect) in [
            (&open, CLASSIC, ("api-key", "key"), 0),
            (&open, CLASSIC, ("api-key", "other"), 401),
            (&open, CLASSIC, ("authorization", "Bearer token"), 0),
            (&open, CLASSIC, ("authorization", "bearer token"), 0),
            (&open, CLASSIC, ("authorization", "Bearer key"), 401),
            (&open, V1, ("authorization", "Bearer key"), 0),
            (&open, V1, ("authorization", "Basic key"), 401),
            (&open, V1, ("accept", "x"), 401),
            (&keyless, V1, ("api-key", "key"), 403),
            (&keyless, V1, ("authorization", "Bearer key"), 403),
            (&keyless, V1, ("authorization", "Bearer token"), 0),
        ] {
            let status = authorize(account, &head("GET", uri, &[header]))
                .err()
                .map_or(0, |failure| failure.status.as_u16());
            assert_eq!(status, expect, "{uri} {header:?}");
        }
    }

    #[test]
    fn the_eleventh_custom_header_is_refused() {
        let names: Vec<String> = (0..11).map(|index| format!("x-stainless-{index}")).collect();
        let mut headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        headers.extend([
            ("accept", "*/*"),
            ("user-agent", "x"),
            ("api-key", "x"),
            ("content-type", "x"),
        ]);
        assert!(count_headers(&head("GET", "/", &headers).headers).is_err());
        assert!(count_headers(&head("GET", "/", &headers[1..]).headers).is_ok());
    }
}
