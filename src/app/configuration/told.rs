//! What is answered about the configuration, made of what is known.

use similar::{ChangeTag, TextDiff};

use crate::admin::api::answer::Refusal;
use crate::admin::api::config::shapes::{
    Change, ConfigText, DeploymentOutcome, Judgement, Outcome, Problem, RouteOutcome, Version,
};
use crate::config::proposal::{Finding, Judged, Severity, Told};
use crate::replay::what_if::outcome;
use crate::storage::versions;

/// A gateway without a file.
pub(super) fn no_file(reason: &str) -> ConfigText {
    ConfigText {
        text: String::new(),
        path: None,
        sha256: String::new(),
        generation: 1,
        writable: false,
        reason: Some(reason.to_owned()),
        last_error: None,
        schema_url: "/api/v1/config/schema",
    }
}

/// Why a file that holds secrets is not changed from here: its text is never shown whole.
pub(super) fn secret_reason(fields: &[String]) -> Option<String> {
    (!fields.is_empty()).then(|| {
        format!(
            "the file holds a secret that is written out ({}); put a reference such as `${{env:NAME}}` in its place by hand",
            fields.join(", ")
        )
    })
}

pub(super) fn judgement(judged: &Judged) -> Judgement {
    Judgement {
        ok: judged.is_ok(),
        problems: problems(&judged.findings),
        changes: changes(&judged.changes),
        diff: judged.diff.clone(),
    }
}

pub(super) fn problems(findings: &[Finding]) -> Vec<Problem> {
    findings
        .iter()
        .map(|Finding { severity, problem }| Problem {
            severity: match severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Remark => "remark",
            },
            path: problem.field.clone(),
            line: Some(problem.line).filter(|line| *line > 0),
            column: Some(problem.column).filter(|column| *column > 0),
            message: problem.message.clone(),
            help: problem.hint.clone(),
        })
        .collect()
}

/// What only a restart can change, as mistakes.
pub(super) fn restarts(changes: &[Told]) -> Vec<Problem> {
    let fixed = changes.iter().filter(|change| change.needs_restart);
    fixed
        .map(|change| Problem {
            severity: "error",
            path: change.text.split('`').nth(1).unwrap_or_default().to_owned(),
            line: None,
            column: None,
            message: format!("a restart is needed: {}", change.text),
            help: None,
        })
        .collect()
}

pub(super) fn changes(changes: &[Told]) -> Vec<Change> {
    changes
        .iter()
        .map(|change| Change {
            text: change.text.clone(),
            needs_restart: change.needs_restart,
        })
        .collect()
}

/// 422 with what was found.
pub(super) fn with_problems(message: &str, code: &'static str, problems: Vec<Problem>) -> Refusal {
    // Structs of strings and numbers always serialise.
    let problems = serde_json::to_value(problems).unwrap_or_default();
    Refusal::new(http::StatusCode::UNPROCESSABLE_ENTITY, message, code).beside("problems", problems)
}

/// What a version changed that was made by other means, in a line.
pub(super) fn difference_in_a_line(old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    format!(
        "{} lines added, {} removed",
        count(ChangeTag::Insert),
        count(ChangeTag::Delete)
    )
}

pub(super) fn version(version: versions::Version, is_current: bool) -> Version {
    let versions::Version {
        id,
        at_ms,
        who,
        note,
        summary,
        sha256,
    } = version;
    Version {
        id,
        at_ms,
        who,
        note,
        sha256,
        current: is_current,
        summary,
    }
}

pub(super) fn outcome(played: outcome::Outcome) -> Outcome {
    let deployment = |one: outcome::DeploymentOutcome| DeploymentOutcome {
        deployment: one.deployment,
        region: one.region,
        requests: one.requests,
        share: one.share,
        hit_ratio: one.hit_ratio,
        tokens: one.tokens,
    };
    let route = |one: outcome::RouteOutcome| RouteOutcome {
        route: one.route,
        requests: one.requests,
        hit_ratio: one.hit_ratio,
        spills: one.spills,
        refused: one.refused,
    };
    Outcome {
        requests: played.requests,
        hit_ratio: played.hit_ratio,
        cached_tokens: played.cached_tokens,
        prompt_tokens: played.prompt_tokens,
        spills: played.spills,
        refused: played.refused,
        token_usd: played.token_usd,
        hosting_usd: played.hosting_usd,
        by_deployment: played.by_deployment.into_iter().map(deployment).collect(),
        by_route: played.by_route.into_iter().map(route).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted() {
        assert_eq!(difference_in_a_line("a\nb\n", "a\nc\nd\n"), "2 lines added, 1 removed");
    }
}
