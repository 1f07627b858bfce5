//! Variables that are not set, and files of secrets that cannot be read: which, where, and what can be asked all the same.
//!
//! Where nothing else is wrong with a file, it compiles with stand-ins for them, and each check of a part that names one is skipped. A
//! stand-in is never sent to anybody.

use std::path::Path;

use crate::cli::doctor::report::{Finding, Group};
use crate::config::checked::Checked;
use crate::config::errors::{ConfigErrors, Problem};
use crate::config::load;
use crate::config::secrets::Variables;

/// What is wrong with a file only because variables are not set or are empty, or secrets' files cannot be read.
#[derive(Debug, Default)]
pub(super) struct Unset(Vec<Problem>);

impl Unset {
    /// Whether all are set.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Why a part of the file, such as `resources[1]` or `azure`, cannot be used, if so.
    pub(super) fn of(&self, part: &str) -> Option<&str> {
        let is_within = |problem: &&Problem| {
            let rest = problem.field.strip_prefix(part);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.0.iter().find(is_within).map(|problem| problem.message.as_str())
    }

    /// A check that is skipped for want of what the first of these parts names, if one names something that is not set.
    pub(super) fn skipped(&self, parts: &[&str], group: Group, place: &str) -> Option<Finding> {
        let why = parts.iter().find_map(|part| self.of(part))?;
        Some(Finding::skipped(group, place, format!("not asked: {why}")))
    }
}

/// Compiles a file; with stand-ins where nothing but variables and secrets' files is missing, which is told then.
///
/// # Errors
/// Every mistake, where there are others.
pub(super) fn load(file: &Path, variables: &'static Variables) -> Result<(Checked, Unset), ConfigErrors> {
    let errors = match load::load(file, variables) {
        Ok(checked) => return Ok((checked, Unset::default())),
        Err(errors) => errors,
    };
    let with_stand_ins = move |name: &str| {
        let known = variables(name).filter(|value| !value.is_empty());
        known.or_else(|| Some(stand_in(name)))
    };
    let text = load::read(file).map(|text| without_missing_files(&text, file.parent().unwrap_or(Path::new(""))));
    match text.map(|text| load::compile_text(&text, file, &with_stand_ins)) {
        Ok(Ok(checked)) => {
            let mut problems = errors.problems;
            // What is told of the same field then is only what follows from it.
            problems.dedup_by(|later, first| later.field == first.field);
            Ok((checked, Unset(problems)))
        }
        // The first errors say all that the others would.
        Ok(Err(_)) | Err(_) => Err(errors),
    }
}

/// The text with each `${file:…}` that cannot be read as a variable, for which a stand-in serves. Places stay on their lines.
fn without_missing_files(text: &str, folder: &Path) -> String {
    let mut parts = text.split("${file:");
    let mut changed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let path = part.split('}').next().unwrap_or_default();
        let is_there = std::fs::File::open(folder.join(path)).is_ok();
        changed.push_str(if is_there { "${file:" } else { "${env:" });
        changed.push_str(part);
    }
    changed
}

/// A value that is fit for keys and for URLs, and that is nobody's address.
fn stand_in(name: &str) -> String {
    let host: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("https://x{}.not-set.invalid", host.to_ascii_lowercase())
}

/// Each mistake as a finding.
pub(super) fn findings(file: &Path, problems: &[Problem]) -> Vec<Finding> {
    let finding = |problem: &Problem| {
        let place = if problem.line > 0 {
            format!("{}:{}", file.display(), problem.line)
        } else {
            file.display().to_string()
        };
        let mend = problem.hint.clone();
        Finding::fail(
            Group::Configuration,
            place,
            problem.message.clone(),
            mend.unwrap_or_else(|| "`emberway check` says more".to_owned()),
        )
    };
    problems.iter().map(finding).collect()
}

impl Unset {
    /// What is not set, each a finding.
    pub(super) fn findings(&self, file: &Path) -> Vec<Finding> {
        findings(file, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::report::State;

    const TEXT: &str = "listeners: [{address: 127.0.0.1:0}]
resources:
  - {name: a, endpoint: https://a.example, region: eastus2, credential: {api_key: '${env:KEY_A}'}, deployments: [{name: ft, sku: Standard}]}
  - {name: b, endpoint: '${env:URL_B}', region: eastus2, credential: {api_key: '${env:KEY_B}'}, deployments: [{name: ft, sku: Standard}]}
pools: [{name: ft, tiers: [[a/ft, b/ft]]}]
routes: [{name: bot, pool: ft}]
clients: [{name: c, keys: ['${env:EMPTY}', '${file:absent}', '${file:there}']}]
";

    fn variables(name: &str) -> Option<String> {
        match name {
            "EMPTY" => Some(String::new()),
            "KEY_B" => Some("key".to_owned()),
            _ => None,
        }
    }

    fn loaded(text: &str) -> Result<(Checked, Unset), ConfigErrors> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("emberway.yaml");
        std::fs::write(&file, text).expect("written");
        std::fs::write(folder.path().join("there"), "a key").expect("written");
        load(&file, &variables)
    }

    #[test]
    fn all_that_is_not_set_is_told_and_what_needs_none_of_it_can_be_asked() {
        let (checked, unset) = loaded(TEXT).expect("compiles with stand-ins");
        assert_eq!(checked.runtime.snapshot.resources.len(), 2);
        let told = unset.findings(Path::new("e.yaml"));
        let told: Vec<(&str, &str)> = told.iter().map(|found| (&*found.place, &*found.what)).collect();
        assert_eq!(
            told,
            [
                ("e.yaml:3", "the environment variable `KEY_A` is not set"),
                ("e.yaml:4", "the environment variable `URL_B` is not set"),
                ("e.yaml:7", "the secret behind `${env:EMPTY}` is empty"),
                (
                    "e.yaml:7",
                    "cannot read `absent`: No such file or directory (os error 2)"
                ),
            ]
        );
        assert_eq!(unset.of("resources[0].endpoint"), None, "it can be reached");
        assert!(unset.of("resources[0]").is_some(), "its key is not known");
        assert!(unset.of("resources[1].endpoint").is_some());
        assert_eq!(unset.of("resources[10]"), None);
        assert_eq!(unset.of("azure"), None);
        let skipped = unset.skipped(&["azure", "resources[0]"], Group::Requests, "a");
        let skipped = skipped.expect("a key is missing");
        assert_eq!(
            (skipped.state, &*skipped.what),
            (State::Skipped, "not asked: the environment variable `KEY_A` is not set")
        );
    }

    #[test]
    fn other_mistakes_are_told_with_what_is_not_set() {
        let errors = loaded(&TEXT.replace("pool: ft", "pool: nowhere")).expect_err("it has a mistake");
        assert_eq!(errors.problems.len(), 6, "{errors}");
        let told = errors.to_string();
        assert!(
            told.contains("`nowhere`") && told.contains("`KEY_A` is not set"),
            "{told}"
        );
    }
}
