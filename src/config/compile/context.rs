//! What every part of the compiler works with: the file's places, references, and the list of what is wrong.
//!
//! A part that finds a mistake reports it and goes on with any value of the right type; the result is thrown away when
//! there is a problem, so only the report matters then.

use std::path::Path;
use std::time::Duration;

use crate::config::document::Document;
use crate::config::errors::{Pointer, Problem};
use crate::config::scalars::DurationText;
use crate::config::secrets::{self, ReferenceError, Secret, Variables};

/// Longest time that a setting may name. Longer ones are mistakes, and adding them to a clock could overflow it.
const DURATION_MAX: Duration = Duration::from_hours(24);

/// The compiler's surroundings and its findings so far.
pub(super) struct Context<'a> {
    pub(super) directory: &'a Path,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    document: &'a Document,
    variables: &'a Variables,
    repaired: &'a [Pointer],
}

impl<'a> Context<'a> {
    pub(super) fn new(
        document: &'a Document,
        directory: &'a Path,
        variables: &'a Variables,
        repaired: &'a [Pointer],
    ) -> Self {
        Self {
            directory,
            problems: Vec::new(),
            warnings: Vec::new(),
            document,
            variables,
            repaired,
        }
    }

    /// Reports a mistake, unless a stand-in is involved: then the real mistake has been reported already.
    pub(super) fn error(&mut self, at: &Pointer, message: impl Into<String>, hint: impl Into<Option<String>>) {
        if !self.is_repaired(at) {
            let problem = self.problem(at, message.into(), hint.into());
            self.problems.push(problem);
        }
    }

    /// Reports something legal that is probably not meant.
    pub(super) fn warn(&mut self, at: &Pointer, message: impl Into<String>, hint: impl Into<Option<String>>) {
        let problem = self.problem(at, message.into(), hint.into());
        self.warnings.push(problem);
    }

    fn problem(&self, at: &Pointer, message: String, hint: Option<String>) -> Problem {
        let mark = self.document.mark(at);
        Problem {
            field: at.to_string(),
            line: mark.line,
            column: mark.column,
            message,
            hint,
        }
    }

    /// What an environment variable holds, where it is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.is_empty())
    }

    /// The line where something stands.
    pub(super) fn line(&self, at: &Pointer) -> u32 {
        self.document.mark(at).line
    }

    /// Whether the value here is, holds or belongs to a stand-in.
    pub(super) fn is_repaired(&self, at: &Pointer) -> bool {
        self.repaired
            .iter()
            .any(|repaired| at.is_within(repaired) || repaired.is_within(at))
    }

    /// Whether a stand-in hides some of the names at `pattern` (`*` is any position in a list), so that a name
    /// not found there may still have been written in the file.
    pub(super) fn hides_names(&self, pattern: &[&str]) -> bool {
        self.repaired.iter().any(|repaired| {
            let steps: Vec<String> = repaired.steps().collect();
            steps.len() <= pattern.len()
                && steps
                    .iter()
                    .zip(pattern)
                    .all(|(step, part)| *part == "*" || step == part)
        })
    }

    /// A plain text with its references resolved; as written when that fails. Messages show what was written, never this:
    /// a reference in the wrong field may stand for a secret.
    pub(super) fn text(&mut self, at: &Pointer, written: &str) -> String {
        match secrets::resolve(written, self.directory, self.variables) {
            Ok(text) if text.is_empty() => {
                self.error(at, "the text is empty", None);
                text
            }
            Ok(text) => text,
            Err(error) => {
                self.reference_error(at, &error);
                written.to_owned()
            }
        }
    }

    /// A secret by reference, checked to be fit for a header. Messages never show its value.
    pub(super) fn secret(&mut self, at: &Pointer, written: &str) -> Option<Secret> {
        let value = match secrets::resolve(written, self.directory, self.variables) {
            Ok(value) => value,
            Err(error) => {
                self.reference_error(at, &error);
                return None;
            }
        };
        let references = secrets::references(written);
        if value.is_empty() {
            let hint = "put the secret into it, or look at what should have done so".to_owned();
            self.error(at, format!("the secret behind `{references}` is empty"), hint);
            return None;
        }
        // Printable ASCII without spaces at the ends: what survives the way through an HTTP header unchanged.
        if value.trim() != value || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            self.error(
                at,
                format!("the secret behind `{references}` has characters that cannot travel in a header"),
                "look for line ends, surrounding spaces and letters outside ASCII".to_owned(),
            );
            return None;
        }
        Some(Secret::new(value))
    }

    fn reference_error(&mut self, at: &Pointer, error: &ReferenceError) {
        self.error(at, error.to_string(), error.hint().to_owned());
    }

    /// A length of time up to a day.
    pub(super) fn duration(&mut self, at: &Pointer, written: &DurationText) -> Duration {
        if written.value() > DURATION_MAX {
            let message = format!("`{}` is too long", written.text());
            self.error(at, message, "24h at most".to_owned());
        }
        written.value()
    }

    /// A length of time above zero and up to a day.
    pub(super) fn positive(&mut self, at: &Pointer, written: &DurationText) -> Duration {
        if written.value().is_zero() {
            self.error(
                at,
                format!("`{}` is no time at all", written.text()),
                "more than 0".to_owned(),
            );
        }
        self.duration(at, written)
    }
}
