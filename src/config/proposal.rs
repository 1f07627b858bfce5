//! A configuration as it was typed, judged before it is put to use: its mistakes, what it would change, and the difference to the file.
//!
//! Compiled by the same function as a reload and `emberway check`, with the same variables, so what passes here passes there (unless a
//! file or a variable changes in between). What is told never holds a secret.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use similar::TextDiff;

use crate::config::checked::Checked;
use crate::config::diff;
use crate::config::errors::{ConfigErrors, Problem};
use crate::config::load::{self, FILE_MAX_BYTES};
use crate::config::mask;
use crate::config::place;
use crate::config::references;
use crate::config::secrets::Variables;

/// Lines around a difference that are shown with it.
const CONTEXT_LINES: usize = 3;
/// How long the smallest difference is looked for; a larger one is shown beyond.
const DIFF_MAX: Duration = Duration::from_millis(300);
/// Most changes that are told.
const CHANGES_MAX: usize = 500;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, and is probably not meant so.
    Warning,
    /// Something to know.
    Remark,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, and where.
    pub problem: Problem,
}

/// A difference to the configuration in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// In words, as the log tells it.
    pub text: String,
    /// Whether only a restart can make it.
    pub needs_restart: bool,
}

/// What a text amounts to.
#[derive(Debug)]
pub struct Judged {
    /// What it compiles to; none where it has mistakes.
    pub checked: Option<Checked>,
    /// What was found, mistakes first.
    pub findings: Vec<Finding>,
    /// What it would change.
    pub changes: Vec<Told>,
    /// The difference to the file's text, as `diff -u` shows it; empty where there is none.
    pub diff: String,
}

impl Judged {
    /// Whether it can be used, be it after a restart.
    pub fn is_ok(&self) -> bool {
        self.checked.is_some()
    }

    /// Whether only a restart can put all of it to use.
    pub fn needs_restart(&self) -> bool {
        self.changes.iter().any(|change| change.needs_restart)
    }
}

/// What a text is judged by.
pub struct Against<'a> {
    /// The file that it would be in.
    pub path: &'a Path,
    /// How references are resolved.
    pub variables: &'a Arc<Variables>,
    /// What the file holds.
    pub current: &'a str,
    /// The configuration in use.
    pub in_use: &'a Checked,
}

/// Judges a text.
pub fn judge(text: &str, against: &Against<'_>) -> Judged {
    let Against {
        path, current, in_use, ..
    } = *against;
    if text.len() as u64 > FILE_MAX_BYTES {
        // Looking for references and differences takes longer the larger it is.
        return refused(
            vec![Problem::whole_file("the file is larger than 1 MiB".to_owned(), None)],
            String::new(),
        );
    }
    let problems = references::problems(text, current);
    let diff = difference(current, text);
    if !problems.is_empty() {
        return refused(problems, diff);
    }
    let compiled = load::compile_text(text, path, &**against.variables);
    let compiled = compiled.map_err(|ConfigErrors { problems, .. }| problems);
    let compiled = compiled.and_then(|checked| match place::trace_folder(checked.install.trace.as_ref()) {
        Some(problem) => Err(vec![problem]),
        None => Ok(checked),
    });
    match compiled {
        Ok(checked) => {
            let changes = changes(in_use, &checked);
            let warnings = checked.warnings.iter().cloned();
            let mut findings: Vec<Finding> = warnings.map(|problem| found(Severity::Warning, problem)).collect();
            findings.extend(restart_remark(&changes));
            Judged {
                checked: Some(checked),
                findings,
                changes,
                diff,
            }
        }
        Err(problems) => refused(problems, diff),
    }
}

/// What a text with mistakes amounts to.
fn refused(mut problems: Vec<Problem>, diff: String) -> Judged {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    let findings = problems.into_iter().map(|problem| found(Severity::Error, problem));
    Judged {
        checked: None,
        findings: findings.collect(),
        changes: Vec::new(),
        diff,
    }
}

fn found(severity: Severity, problem: Problem) -> Finding {
    Finding { severity, problem }
}

/// What differs, what needs a restart first.
fn changes(in_use: &Checked, wanted: &Checked) -> Vec<Told> {
    let fixed = diff::needs_restart(&in_use.install, &wanted.install);
    let fixed = fixed.into_iter().map(|setting| Told {
        text: format!("`{setting}` changed"),
        needs_restart: true,
    });
    let reloaded = diff::changes(&in_use.runtime, &wanted.runtime);
    let more = reloaded.len().saturating_sub(CHANGES_MAX);
    let reloaded = reloaded.into_iter().take(CHANGES_MAX).map(|change| change.to_string());
    let rest = (more > 0).then(|| format!("and {more} more"));
    let reloaded = reloaded.chain(rest).map(|text| Told {
        text,
        needs_restart: false,
    });
    fixed.chain(reloaded).collect()
}

fn restart_remark(changes: &[Told]) -> Option<Finding> {
    let fixed = changes.iter().filter(|change| change.needs_restart).count();
    (fixed > 0).then(|| {
        let settings = if fixed == 1 { "a setting" } else { "settings" };
        let hint = "put it in the file by hand and restart, or leave that part as it is";
        let message = format!("it changes {settings} that only a restart can");
        found(Severity::Remark, Problem::whole_file(message, Some(hint)))
    })
}

/// The difference of two texts, their secrets hidden.
pub fn difference(old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let (old, new) = (mask::mask(old).text, mask::mask(new).text);
    let diff = TextDiff::configure()
        .timeout(DIFF_MAX)
        .diff_lines(old.as_str(), new.as_str());
    diff.unified_diff()
        .context_radius(CONTEXT_LINES)
        .header("file", "proposed")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = include_str!("../../config/demo.yaml");

    #[expect(clippy::unnecessary_wraps, reason = "the signature of a source of variables")]
    fn variables(name: &str) -> Option<String> {
        Some(format!("a-secret-of-sufficient-length-for-{name}"))
    }

    fn demo() -> Checked {
        load::compile_text(DEMO, Path::new("demo.yaml"), &variables).expect("compiles")
    }

    fn judged(text: &str, current: &str) -> Judged {
        let known: Arc<Variables> = Arc::new(variables);
        let against = Against {
            path: Path::new("demo.yaml"),
            variables: &known,
            current,
            in_use: &demo(),
        };
        judge(text, &against)
    }

    fn judge_edit(from: &str, to: &str) -> Judged {
        assert!(DEMO.contains(from), "{from}");
        judged(&DEMO.replace(from, to), DEMO)
    }

    fn texts(judged: &Judged) -> Vec<(&str, bool)> {
        let changes = judged.changes.iter();
        changes
            .map(|change| (change.text.as_str(), change.needs_restart))
            .collect()
    }

    #[test]
    fn a_text_that_is_the_file_changes_nothing() {
        let judged = judged(DEMO, DEMO);
        assert!(judged.is_ok());
        assert_eq!((texts(&judged), judged.diff.as_str()), (vec![], ""));
        assert_eq!(judged.findings, []);
    }

    #[test]
    fn changes_are_told_with_their_difference() {
        let judged = judge_edit("    pool: support\n", "    pool: summary\n");
        assert_eq!(
            texts(&judged),
            [("route `support-bot`: pool changed from `support` to `summary`", false)]
        );
        assert!(
            judged.diff.contains("-    pool: support\n+    pool: summary\n"),
            "{}",
            judged.diff
        );
        assert!(!judged.needs_restart());
    }

    #[test]
    fn what_needs_a_restart_is_told_first_and_remarked() {
        let judged = judge_edit("127.0.0.1:9090", "127.0.0.1:9091");
        assert_eq!(texts(&judged), [("`admin.address` changed", true)]);
        assert_eq!(judged.findings[0].severity, Severity::Remark);
        assert!(judged.is_ok() && judged.needs_restart());
    }

    #[test]
    fn mistakes_are_those_of_the_loader_and_no_secret_is_told() {
        let text = DEMO
            .replace("    pool: support\n", "    pool: suport\n")
            .replace("\"${env:DEMO_KEY}\"", "a-key-in-clear");
        let wrong = judged(&text, DEMO);
        let errors = load::compile_text(&text, Path::new("demo.yaml"), &variables).expect_err("mistakes");
        let found: Vec<Problem> = wrong.findings.iter().map(|finding| finding.problem.clone()).collect();
        assert_eq!(found, errors.problems);
        assert_eq!(found.len(), 2);
        assert!(
            !wrong.diff.contains("a-key-in-clear") && wrong.diff.contains(mask::MASK),
            "{}",
            wrong.diff
        );
        let back = judged(DEMO, &text);
        assert!(!back.diff.contains("a-key-in-clear"), "nor one that is in the file");
    }

    #[test]
    fn a_secret_cannot_be_read_through_a_field_that_is_shown() {
        let judged = judge_edit("http://127.0.0.1:9101", "\"http://127.0.0.1/${env:DEMO_KEY}\"");
        let told = format!("{judged:?}");
        assert!(!judged.is_ok() && !told.contains("a-secret-of"), "{told}");
        assert!(judged.findings[0].problem.message.contains("would show"), "{told}");
        assert_eq!(judged.findings[0].problem.field, "resources[0].endpoint");
    }

    #[test]
    fn a_text_that_is_too_large_is_refused() {
        let judged = judged(&"#".repeat(1024 * 1024 + 1), DEMO);
        assert!(!judged.is_ok() && judged.findings[0].problem.message.contains("1 MiB"));
        assert_eq!(judged.diff, "");
    }
}
