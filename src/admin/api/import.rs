//! Moving in from another gateway: its configuration as one of ours, as `emberway import` writes it. Nothing is stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use strum::VariantArray as _;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::admin::Sources;
use crate::admin::api::answer::{Answer, ErrorBody, Refusal, Sent};
use crate::config::errors::Problem;
use crate::config::import::report::{Grade, Line, Report};
use crate::config::import::{self, ImportError, Options};

/// Largest body: some thousand models.
pub(super) const IMPORT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Conversions at one time: each may take a core for a moment.
static TURNS: Semaphore = Semaphore::const_new(1);
/// What their file is called in messages.
const THEIRS: &str = "litellm.yaml";
/// What ours is called.
const OURS: &str = "emberway.yaml";

/// Whose configuration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum From {
    /// LiteLLM's proxy.
    Litellm,
}

/// A configuration to convert.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportBody {
    /// Whose it is.
    from: From,
    /// The file's text. Files that it includes are not read.
    text: String,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ImportAnswer {
    /// Our file; empty where there is nothing that can be carried over.
    pub(super) yaml: String,
    /// What became of each line, in their order.
    pub(super) lines: Vec<ImportLine>,
    /// How many lines have each grade.
    pub(super) counts: BTreeMap<String, usize>,
    /// Environment variables that our file reads, each with what it is for.
    pub(super) variables: BTreeMap<String, String>,
    /// What `emberway check` says of our file once those variables are set.
    pub(super) problems: Vec<ImportProblem>,
}

/// What became of one of their lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ImportLine {
    /// Its number, from 1; 0 where it is about something that the file does not say.
    pub(super) line: u32,
    /// The field, such as `model_list[0].litellm_params.rpm`.
    pub(super) path: String,
    /// `exact`, `approximate`, `manual` or `unsupported`.
    pub(super) grade: String,
    /// Where it went, what differs, what to do.
    pub(super) text: String,
}

/// What `emberway check` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ImportProblem {
    /// `error` or `warning`.
    pub(super) severity: String,
    /// The field of our file.
    pub(super) path: String,
    /// Its line, from 1; 0 where it is about the whole file.
    pub(super) line: u32,
    /// What is wrong and how to mend it.
    pub(super) message: String,
}

/// Converts another gateway's configuration, with what became of each line. Nothing is stored or changed.
#[utoipa::path(
    post, path = "/import", tag = "configuration", request_body = ImportBody,
    responses(
        (status = 200, body = ImportAnswer),
        (status = 400, body = ErrorBody, description = "The body is not understood."),
        (status = 413, body = ErrorBody, description = "The body is larger than 2 MiB."),
        (status = 415, body = ErrorBody, description = "The body is not sent as JSON."),
        (status = 422, body = ErrorBody, description = "The text is no configuration of theirs, or it cannot be carried over."),
        (status = 503, body = ErrorBody, description = "Another conversion is running."),
    )
)]
pub(super) async fn import(
    State(_): State<Arc<Sources>>,
    Sent(ImportBody { from, text }): Sent<ImportBody>,
) -> Answer<ImportAnswer> {
    let From::Litellm = from;
    let Ok(turn) = TURNS.try_acquire() else {
        let message = "another configuration is being converted; ask again in a second";
        return Err(Refusal::unavailable(message, "busy"));
    };
    let converted = tokio::task::spawn_blocking(move || {
        // Held to the end, also when whoever asked has left.
        let _turn = turn;
        convert(&text)
    })
    .await;
    converted
        .map_err(|_| Refusal::failed("the conversion failed; please report this file", "import_failed"))?
        .map(Json)
}

fn convert(text: &str) -> Result<ImportAnswer, Refusal> {
    let read = |path: &Path| {
        if path == Path::new(THEIRS) {
            return Ok(text.to_owned());
        }
        Err(Problem {
            field: "include".to_owned(),
            line: 0,
            column: 0,
            message: format!("`{}` is another file, which is not read here", path.display()),
            hint: Some("put its models into this one, or use `emberway import` where both files are".to_owned()),
        })
    };
    match import::litellm(Path::new(THEIRS), Path::new(OURS), Options::default(), &read) {
        Ok(import) => Ok(answer(import.text, &import.report)),
        Err(ImportError::Nothing(report)) => Ok(answer(String::new(), &report)),
        Err(error) => Err(unprocessable(&error)),
    }
}

fn unprocessable(error: &ImportError) -> Refusal {
    Refusal {
        param: Some("text".into()),
        ..Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string(), "not_understood")
    }
}

fn answer(yaml: String, report: &Report) -> ImportAnswer {
    let line = |line: &Line| ImportLine {
        line: line.line,
        path: line.field.clone(),
        grade: line.grade.to_string(),
        text: line.remark.clone(),
    };
    let counts = Grade::VARIANTS
        .iter()
        .map(|grade| (grade.to_string(), report.count(*grade)));
    let problem = |severity: &str, problem: &Problem| ImportProblem {
        severity: severity.to_owned(),
        path: problem.field.clone(),
        line: problem.line,
        message: match &problem.hint {
            Some(hint) => format!("{}; {hint}", problem.message),
            None => problem.message.clone(),
        },
    };
    let check = report.check.iter().flat_map(|check| {
        let errors = check.errors.iter().map(|error| problem("error", error));
        errors.chain(check.warnings.iter().map(|warning| problem("warning", warning)))
    });
    let variables = report.variables.iter();
    ImportAnswer {
        yaml,
        lines: report.lines.iter().map(line).collect(),
        counts: counts.collect(),
        variables: variables
            .map(|(name, purpose)| (name.clone(), (*purpose).to_owned()))
            .collect(),
        problems: check.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_of_azure_is_carried_over_and_its_lines_are_told() {
        let theirs = "model_list:\n  - model_name: bot\n    litellm_params:\n      model: azure/ft\n      \
                      api_base: https://contoso.openai.azure.com\n      api_key: os.environ/AZURE_KEY\n      rpm: 60\n";
        let answer = convert(theirs).expect("carried over");
        assert!(answer.yaml.contains("contoso.openai.azure.com"), "{}", answer.yaml);
        let rpm = answer
            .lines
            .iter()
            .find(|line| line.path.ends_with("params.rpm"))
            .expect("told");
        assert_eq!(rpm.line, 7);
        assert_eq!(answer.counts.len(), 4);
        assert_eq!(answer.counts.values().sum::<usize>(), answer.lines.len());
        assert!(answer.variables.contains_key("AZURE_KEY"), "{:?}", answer.variables);
    }

    #[test]
    fn what_is_nothing_of_theirs_says_so() {
        let nothing = convert("model_list:\n  - model_name: x\n    litellm_params: { model: gpt-4o }\n").expect("told");
        assert_eq!(nothing.yaml, "");
        assert!(!nothing.lines.is_empty());
        let refused = convert("model_list: [").expect_err("no YAML");
        assert_eq!((refused.status.as_u16(), refused.code), (422, "not_understood"));
        let includes = convert("include: [more.yaml]\nmodel_list: []\n").expect_err("not read");
        assert!(
            includes.message.contains("`more.yaml` is another file"),
            "{}",
            includes.message
        );
    }
}
