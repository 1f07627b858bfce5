//! Secrets: values that come by reference and never show in logs.
//!
//! A reference is `${env:NAME}` or `${file:path}`. The environment is an argument, so that tests and reloads
//! see what they are given; files are read here. Values are not cached: a reload reads them again.

use std::fmt;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::config::small_file::read_small;

/// Largest file that a `${file:…}` reference may name. Keys and tokens have a few kilobytes at most.
const REFERENCED_FILE_MAX_BYTES: u64 = 64 * 1024;

/// Looks up an environment variable.
pub type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The variables of this process. A variable that is not UTF-8 counts as not set.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn process_variables(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A secret value. Its `Debug` shows nothing of it; comparing two compares their text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the value's UTF-8 bytes.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a reference could not be resolved.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReferenceError {
    #[error("the environment variable `{0}` is not set")]
    Variable(String),
    #[error("cannot read `{path}`: {cause}")]
    File { path: String, cause: io::Error },
    #[error("`{0}` is larger than 64 KiB")]
    FileTooLarge(String),
    #[error("`${{{0}}}` is not a reference")]
    Form(String),
    #[error("a reference has no closing brace")]
    Unclosed,
}

impl ReferenceError {
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Variable(_) => "export it before starting, or fix its name",
            Self::File { .. } => "relative paths start at the configuration file's directory",
            Self::FileTooLarge(_) => "name the file that holds just the value",
            Self::Form(_) | Self::Unclosed => "write `${env:NAME}` or `${file:path}`",
        }
    }
}

/// Replaces every reference in `text`. Relative files start at `directory`.
pub(super) fn resolve(text: &str, directory: &Path, variables: &Variables) -> Result<String, ReferenceError> {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("${") {
        let (reference, after) = from.split_once('}').ok_or(ReferenceError::Unclosed)?;
        resolved.push_str(before);
        resolved.push_str(&resolve_one(reference, directory, variables)?);
        rest = after;
    }
    resolved.push_str(rest);
    Ok(resolved)
}

/// The references in `text` without what stands around them, which may be part of a secret; for messages.
pub(super) fn references(text: &str) -> String {
    let mut found = Vec::new();
    for from in text.split("${").skip(1) {
        if let Some((reference, _)) = from.split_once('}') {
            found.push(format!("${{{reference}}}"));
        }
    }
    found.join(", ")
}

fn resolve_one(reference: &str, directory: &Path, variables: &Variables) -> Result<String, ReferenceError> {
    match reference.split_once(':') {
        Some(("env", name)) => variables(name).ok_or_else(|| ReferenceError::Variable(name.to_owned())),
        Some(("file", path)) => read(directory, path),
        _ => Err(ReferenceError::Form(reference.to_owned())),
    }
}

/// Reads a small text file, without the line ends at its end that editors and `echo` leave there.
fn read(directory: &Path, path: &str) -> Result<String, ReferenceError> {
    let failed = |cause| ReferenceError::File {
        path: path.to_owned(),
        cause,
    };
    let bytes = match read_small(&directory.join(path), REFERENCED_FILE_MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(ReferenceError::FileTooLarge(path.to_owned()));
        }
        read => read.map_err(failed)?,
    };
    let mut text =
        String::from_utf8(bytes).map_err(|_| failed(io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8")))?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str) -> Option<String> {
        (name == "KEY").then(|| "value".to_owned())
    }

    #[test]
    fn references_are_replaced_where_they_stand() {
        let directory = tempfile::tempdir().expect("directory");
        std::fs::write(directory.path().join("key"), "from file\r\n\n").expect("write");
        let resolved = |text: &str| resolve(text, directory.path(), &variables).expect(text);
        assert_eq!(resolved("plain"), "plain");
        assert_eq!(resolved("${env:KEY}"), "value");
        assert_eq!(resolved("a-${env:KEY}-${file:key}-b"), "a-value-from file-b");
    }

    #[test]
    fn broken_references_say_what_is_wrong() {
        let directory = tempfile::tempdir().expect("directory");
        std::fs::write(directory.path().join("large"), vec![b'x'; 64 * 1024 + 1]).expect("write");
        let failure = |text: &str| resolve(text, directory.path(), &variables).expect_err(text).to_string();
        assert_eq!(failure("${env:NONE}"), "the environment variable `NONE` is not set");
        assert!(failure("${file:none}").starts_with("cannot read `none`: "));
        assert_eq!(failure("${file:large}"), "`large` is larger than 64 KiB");
        assert_eq!(
            failure("${file:/dev/zero}"),
            "cannot read `/dev/zero`: it is no regular file"
        );
        assert_eq!(failure("${KEY}"), "`${KEY}` is not a reference");
        assert_eq!(failure("${env:KEY"), "a reference has no closing brace");
    }

    #[test]
    fn references_are_told_without_their_surroundings() {
        assert_eq!(references("hun${env:A}ter${file:b}2"), "${env:A}, ${file:b}");
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "Secret(…)");
    }
}
