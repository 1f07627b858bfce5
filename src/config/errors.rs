//! What is wrong with a configuration file, in a form that leads to the place and says how to mend it.
//!
//! Loading never stops at the first mistake: [`ConfigErrors`] holds all that were found in one run, in the
//! order of the file. A [`Problem`] never carries the text of a secret; see `config::structure`.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// A field's place in the file, kept as a JSON pointer and shown as `pools[0].tiers[1][0]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(String);

impl Pointer {
    /// The whole file.
    pub fn root() -> Self {
        Self::default()
    }

    /// A pointer as JSON Schema validators write it.
    pub(super) fn from_json(pointer: &str) -> Self {
        Self(pointer.to_owned())
    }

    /// The field `name` of the object here.
    pub fn key(&self, name: &str) -> Self {
        Self(format!("{}/{}", self.0, name.replace('~', "~0").replace('/', "~1")))
    }

    /// The item `index`, from 0, of the list here.
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    /// The object or list that holds this; none for the whole file.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// Whether this is `other` or lies inside it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0
            .strip_prefix(other.0.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The JSON pointer itself.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Its steps from the root, unescaped.
    pub(super) fn steps(&self) -> impl Iterator<Item = String> {
        self.0
            .split('/')
            .skip(1)
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps().enumerate() {
            if step.bytes().all(|byte| byte.is_ascii_digit()) {
                write!(f, "[{step}]")?;
            } else if position == 0 {
                f.write_str(&step)?;
            } else {
                write!(f, ".{step}")?;
            }
        }
        Ok(())
    }
}

/// One mistake, or one thing to look at again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The field, such as `pools[0].tiers[1][0]`; empty when it is about the whole file.
    pub field: String,
    /// Line, from 1; 0 when it is not about a place in the file.
    pub line: u32,
    /// Column in characters, from 1; 0 when it is not about a place in the file.
    pub column: u32,
    /// What is wrong: lowercase, the value in backticks.
    pub message: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem with the file as a whole.
    pub(super) fn whole_file(message: String, hint: Option<&str>) -> Self {
        Self {
            field: String::new(),
            line: 0,
            column: 0,
            message,
            hint: hint.map(str::to_owned),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Everything that keeps a configuration file from being used; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file, as it was named.
    pub file: PathBuf,
    /// What is wrong with it, in the order of the file.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigErrors {
    /// Compiler style: `file:line:column: field: message`, a line each, hints indented below.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write_located(f, &self.file, problem)?;
        }
        Ok(())
    }
}

/// Writes `file:line:column: field: message`.
///
/// # Errors
/// When the writer fails.
pub fn write_located(out: &mut impl fmt::Write, file: &std::path::Path, problem: &Problem) -> fmt::Result {
    let gap = if problem.line > 0 { "" } else { " " };
    write!(out, "{}:{gap}{problem}", file.display())
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_read_like_code() {
        let pointer = Pointer::root().key("pools").index(0).key("tiers").index(1).index(0);
        assert_eq!(pointer.to_string(), "pools[0].tiers[1][0]");
        assert_eq!(pointer.as_json(), "/pools/0/tiers/1/0");
    }

    #[test]
    fn a_pointer_is_within_itself_and_its_parents_only() {
        let pool = Pointer::root().key("pools").index(1);
        assert!(pool.key("name").is_within(&pool));
        assert!(pool.is_within(&pool));
        assert!(!Pointer::root().key("pools").index(10).is_within(&pool));
        assert!(!pool.is_within(&pool.key("name")));
    }

    #[test]
    fn odd_keys_survive_the_pointer() {
        let pointer = Pointer::root().key("a/b~c");
        assert_eq!(pointer.steps().collect::<Vec<_>>(), ["a/b~c"]);
    }
}
