//! Which operation a request's path and query name: the three URL families that clients use.
//!
//! | family | path | model comes from |
//! | --- | --- | --- |
//! | Azure classic | `/openai/deployments/{name}/chat/completions?api-version=…` | the path |
//! | Azure v1 | `/openai/v1/chat/completions` | the body |
//! | OpenAI | `/v1/chat/completions` | the body |
//!
//! Responses have no deployment in any path: Azure's classic form is `/openai/responses?api-version=…`.
//!
//! Pure text matching; the `api-version` that a client sends is not looked at, since the version that counts is
//! the one configured for the resource that will serve it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<'a> {
    /// `POST`: run a model.
    Inference {
        /// Which operation.
        operation: WireOperation,
        /// The deployment named in the path (classic family), percent-decoded.
        deployment: Option<Cow<'a, str>>,
    },
    /// `GET`: list models, or tell of one.
    Models {
        /// Which, percent-decoded.
        name: Option<Cow<'a, str>>,
    },
}

/// The inference operations the gateway serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WireOperation {
    /// `chat/completions`.
    Chat,
    /// Legacy `completions`.
    Completions,
    /// `embeddings`.
    Embeddings,
    /// `responses`.
    Responses,
}

impl WireOperation {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Chat, Self::Completions, Self::Embeddings, Self::Responses];

    /// The path after `/openai/v1/` or `/openai/deployments/{name}/`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "chat/completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
        }
    }

    /// The inverse of [`path`](Self::path).
    fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.path() == path)
    }
}

/// What is served, for the answer to a path that is not.
pub const SERVED: &str = "POST /openai/deployments/{name}/{chat/completions,completions,embeddings}, \
     POST /openai/v1/{chat/completions,completions,embeddings,responses}, \
     POST /v1/{chat/completions,completions,embeddings,responses}, POST /openai/responses, \
     GET /openai/models, GET /openai/v1/models, GET /v1/models, and GET …/models/{name} of each";

/// Reads a path (without query). None when nothing is served there.
pub fn parse(path: &str) -> Option<Target<'_>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if let Some(rest) = path.strip_prefix("/openai/deployments/") {
        let (name, operation) = rest.split_once('/')?;
        let name = percent_decode_str(name)
            .decode_utf8()
            .ok()
            .filter(|name| !name.is_empty())?;
        // Azure has no deployment in the path of Responses.
        let operation =
            WireOperation::from_path(operation).filter(|&operation| operation != WireOperation::Responses)?;
        return Some(Target::Inference {
            operation,
            deployment: Some(name),
        });
    }
    if path == "/openai/responses" {
        return Some(Target::Inference {
            operation: WireOperation::Responses,
            deployment: None,
        });
    }
    let of_v1 = path.strip_prefix("/openai/v1/").or_else(|| path.strip_prefix("/v1/"));
    if let Some(models) = of_v1
        .or_else(|| path.strip_prefix("/openai/"))
        .and_then(|rest| rest.strip_prefix("models"))
    {
        return models_target(models);
    }
    let rest = of_v1?;
    Some(Target::Inference {
        operation: WireOperation::from_path(rest)?,
        deployment: None,
    })
}

/// What is after `models` in a path: nothing, or a name, in which a client may leave slashes as they are.
fn models_target(rest: &str) -> Option<Target<'_>> {
    if rest.is_empty() {
        return Some(Target::Models { name: None });
    }
    let name = percent_decode_str(rest.strip_prefix('/')?).decode_utf8().ok()?;
    (!name.is_empty()).then_some(Target::Models { name: Some(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expect: Option<(WireOperation, Option<&str>)>) {
        let got = parse(path).map(|target| match target {
            Target::Inference { operation, deployment } => (operation, deployment.map(Cow::into_owned)),
            Target::Models { .. } => panic!("`{path}` is of models"),
        });
        assert_eq!(
            got,
            expect.map(|(operation, name)| (operation, name.map(str::to_owned))),
            "{path}"
        );
    }

    #[test]
    fn inference_paths() {
        check(
            "/openai/deployments/a/chat/completions",
            Some((WireOperation::Chat, Some("a"))),
        );
        check(
            "/openai/deployments/a%20b/completions",
            Some((WireOperation::Completions, Some("a b"))),
        );
        check(
            "/openai/deployments/gpt-4.1/embeddings",
            Some((WireOperation::Embeddings, Some("gpt-4.1"))),
        );
        check("/openai/v1/chat/completions", Some((WireOperation::Chat, None)));
        check("/openai/v1/chat/completions/", Some((WireOperation::Chat, None)));
        check("/v1/embeddings", Some((WireOperation::Embeddings, None)));
        for path in [
            "/v1/responses",
            "/openai/v1/responses",
            "/openai/responses",
            "/openai/responses/",
        ] {
            check(path, Some((WireOperation::Responses, None)));
        }
        for path in [
            "/openai/deployments/a/responses",
            "/v1/responses/resp_1",
            "/openai/v1/responses/resp_1/cancel",
            "/openai/responses/resp_1",
        ] {
            check(path, None);
        }
        check("/openai/deployments//chat/completions", None);
        check("/openai/deployments/a", None);
        check("/openai/deployments/%ff/embeddings", None);
        check("/", None);
        check("", None);
    }

    #[test]
    fn model_lists() {
        for path in ["/v1/models", "/openai/v1/models", "/openai/models", "/v1/models/"] {
            assert_eq!(parse(path), Some(Target::Models { name: None }), "{path}");
        }
    }

    #[test]
    fn single_models() {
        for (path, name) in [
            ("/v1/models/bot", "bot"),
            ("/openai/v1/models/bot/", "bot"),
            ("/openai/models/a%20b", "a b"),
            ("/v1/models/team/bot", "team/bot"),
            ("/v1/models/team%2Fbot", "team/bot"),
        ] {
            let name = Some(Cow::Borrowed(name));
            assert_eq!(parse(path), Some(Target::Models { name }), "{path}");
        }
        for path in [
            "/v1/models//",
            "/v1/models/%ff",
            "/v1/modelsx",
            "/models/bot",
            "/v1/v1/models/bot",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
