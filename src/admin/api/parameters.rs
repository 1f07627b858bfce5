//! Query parameters that an endpoint does not have: refused, so that nobody takes an answer for what a misspelled filter asked.
//!
//! Which an endpoint has is read from the API's own document, so an endpoint cannot forget to say.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use url::form_urlencoded;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, ParameterIn};

use crate::admin::api::answer::Refusal;
use crate::admin::api::document;

/// Longest part of a name that is repeated to whoever sent it.
const NAME_CHARS_MAX: usize = 40;

/// The names of an endpoint's parameters, by its path as the router has it and by its method.
type Known = HashMap<(String, Method), BTreeSet<String>>;

/// The middleware of all endpoints.
pub(super) async fn known(path: MatchedPath, request: Request, next: Next) -> Response {
    static KNOWN: LazyLock<Known> = LazyLock::new(all);
    let method = match request.method() {
        &Method::HEAD => Method::GET,
        method => method.clone(),
    };
    let query = request.uri().query().unwrap_or_default();
    // An endpoint that is not in the document does not exist.
    let known = KNOWN.get(&(path.as_str().to_owned(), method));
    match known.map(|known| check(path.as_str(), query, known)) {
        Some(Err(refusal)) => refusal.into_response(),
        Some(Ok(())) | None => next.run(request).await,
    }
}

fn check(path: &str, query: &str, known: &BTreeSet<String>) -> Result<(), Refusal> {
    let mut sent = form_urlencoded::parse(query.as_bytes());
    let Some((name, _)) = sent.find(|(name, _)| !known.contains(&**name)) else {
        return Ok(());
    };
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let message = if names.is_empty() {
        format!("`{path}` has no parameter `{name}`, nor any other")
    } else {
        format!("`{path}` has no parameter `{name}`; it has {}", names.join(", "))
    };
    Err(Refusal {
        code: "unknown_parameter",
        ..Refusal::bad_param(name, message)
    })
}

fn all() -> Known {
    let mut known = Known::new();
    for (path, item) in document().paths.paths {
        for (method, operation) in [
            (Method::GET, item.get),
            (Method::PUT, item.put),
            (Method::POST, item.post),
            (Method::DELETE, item.delete),
            (Method::PATCH, item.patch),
        ] {
            if let Some(operation) = operation {
                known.insert((path.clone(), method), names(operation));
            }
        }
    }
    known
}

fn names(operation: Operation) -> BTreeSet<String> {
    let parameters = operation.parameters.unwrap_or_default().into_iter();
    let of_query = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) if matches!(parameter.parameter_in, ParameterIn::Query) => Some(parameter.name),
        // The document has each where it is used.
        RefOr::T(_) | RefOr::Ref(_) => None,
    });
    of_query.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::StatusCode;

    use super::*;
    use crate::admin::testing;

    #[test]
    fn an_unknown_name_is_told_with_those_that_are_known() {
        let known = BTreeSet::from(["by".to_owned(), "from_ms".to_owned()]);
        assert_eq!(check("/x", "", &known), Ok(()));
        assert_eq!(check("/x", "by=a&from_ms=1&&b%79=c", &known), Ok(()));
        for (query, name) in [("since=1", "since"), ("by=a&B%59=x", "BY"), ("=1", ""), ("a&by", "a")] {
            let refused = check("/x", query, &known).expect_err(query);
            assert_eq!(refused.param.as_deref(), Some(name));
            assert_eq!(
                refused.message,
                format!("`/x` has no parameter `{name}`; it has `by`, `from_ms`")
            );
        }
        let long = check("/x", &"y".repeat(10_000), &BTreeSet::new()).expect_err("unknown");
        assert!(
            long.message.len() < 120 && long.message.ends_with("nor any other"),
            "{}",
            long.message
        );
    }

    /// Every endpoint, also those that read no query: each of them ignored what it did not know.
    #[tokio::test]
    async fn no_endpoint_ignores_a_parameter() {
        let sources = Arc::new(testing::sources());
        let mut seen = 0;
        for (path, method) in all().into_keys() {
            let path = path.replace("{id}", "1");
            let answer = testing::ask(&sources, method.as_str(), &format!("{path}?nobody_knows_this=1"), "{}").await;
            let told = (answer.status, answer.json()["error"]["code"].clone());
            assert_eq!(
                told,
                (StatusCode::BAD_REQUEST, "unknown_parameter".into()),
                "{method} {path}"
            );
            assert_eq!(answer.json()["error"]["param"], "nobody_knows_this");
            seen += 1;
        }
        assert!(seen > 25, "{seen}");
    }
}
