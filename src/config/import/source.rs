//! Another program's files, as values that know their places.
//!
//! Types are read leniently, as YAML 1.1 and Python do (`"30"` is a number, `yes` a truth value), and a reference to the environment is
//! told apart from a text.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::document::{Document, Mark};
use crate::config::errors::{ConfigErrors, Pointer, Problem};

/// How LiteLLM writes a reference to an environment variable.
const VARIABLE_PREFIX: &str = "os.environ/";

/// A file of theirs.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    pub(super) document: Document,
}

/// A value of theirs and its place.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    file: &'a SourceFile,
    at: Pointer,
    value: &'a Value,
}

/// What a text stands for. It may be a secret, so it is never shown.
pub(super) enum Said {
    /// The value of an environment variable, by name.
    Variable(String),
    /// Itself.
    Literal(String),
}

impl<'a> Node<'a> {
    /// The whole file.
    pub(super) fn root(file: &'a SourceFile) -> Self {
        Self {
            file,
            at: Pointer::root(),
            value: &file.document.value,
        }
    }

    /// A field; none where it is missing or has no value.
    pub(super) fn get(&self, name: &str) -> Option<Self> {
        let value = self.value.as_object()?.get(name).filter(|value| !value.is_null())?;
        Some(Self {
            file: self.file,
            at: self.at.key(name),
            value,
        })
    }

    /// All fields that have a value, in the order of the file; none of what is no object.
    pub(super) fn fields(&self) -> Vec<(&'a str, Self)> {
        let names = self.value.as_object().into_iter().flat_map(serde_json::Map::keys);
        names
            .filter_map(|name| Some((name.as_str(), self.get(name)?)))
            .collect()
    }

    /// The items of a list; none of what is no list.
    pub(super) fn items(&self) -> Vec<Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items
            .map(|(index, value)| Self {
                file: self.file,
                at: self.at.index(index),
                value,
            })
            .collect()
    }

    pub(super) fn is_object(&self) -> bool {
        self.value.is_object()
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_array()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// A finite number, also in quotes.
    pub(super) fn number(&self) -> Option<f64> {
        let number = match self.value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        number.filter(|number: &f64| number.is_finite())
    }

    /// A whole number that is not negative, also in quotes.
    pub(super) fn whole(&self) -> Option<u64> {
        self.number()
            .filter(|number| *number >= 0.0 && number.fract() == 0.0 && *number <= f64::from(u32::MAX))
            .map(|number| number as u64)
    }

    /// A truth value, in any of YAML 1.1's spellings.
    pub(super) fn truth(&self) -> Option<bool> {
        match self.value {
            Value::Bool(truth) => Some(*truth),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Some(true),
                "false" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// A text or a number as text: what it stands for.
    pub(super) fn said(&self) -> Option<Said> {
        let text = match self.value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        // The second form is that of `envsubst` and of Helm: a template's place for a variable.
        let name = text
            .strip_prefix(VARIABLE_PREFIX)
            .or_else(|| text.strip_prefix("${")?.strip_suffix('}'));
        Some(match name.filter(|name| is_variable(name)) {
            Some(name) => Said::Variable(name.to_owned()),
            None => Said::Literal(text),
        })
    }

    /// The variables that this and all below it refer to.
    pub(super) fn variables(&self) -> Vec<String> {
        let below = self.fields().into_iter().map(|(_, node)| node).chain(self.items());
        let own = match self.said() {
            Some(Said::Variable(name)) => Some(name),
            _ => None,
        };
        own.into_iter().chain(below.flat_map(|node| node.variables())).collect()
    }

    /// All below this that says something: texts, numbers and truth values, not lists and objects of nothing.
    pub(super) fn leaves(&self) -> Vec<Self> {
        if !self.is_list() && !self.is_object() {
            return vec![self.clone()];
        }
        let below = self.fields().into_iter().map(|(_, node)| node).chain(self.items());
        below.flat_map(|node| node.leaves()).collect()
    }

    pub(super) fn at(&self) -> &Pointer {
        &self.at
    }

    pub(super) fn path(&self) -> &'a Path {
        &self.file.path
    }

    pub(super) fn mark(&self) -> Mark {
        self.file.document.mark(&self.at)
    }

    pub(super) fn field(&self) -> String {
        self.at.to_string()
    }

    /// A mistake at this place, which ends the conversion.
    pub(super) fn mistake(&self, message: impl Into<String>, hint: &str) -> ConfigErrors {
        let mark = self.mark();
        ConfigErrors {
            file: self.file.path.clone(),
            problems: vec![Problem {
                field: self.field(),
                line: mark.line,
                column: mark.column,
                message: message.into(),
                hint: Some(hint.to_owned()),
            }],
        }
    }
}

/// Whether this can be the name of an environment variable.
fn is_variable(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, expected: &str) {
        let file = SourceFile {
            path: "config.yaml".into(),
            document: Document::parse(&format!("a: {written}")).expect("parses"),
        };
        let node = Node::root(&file).get("a").expect("a value");
        let said = match node.said() {
            Some(Said::Variable(name)) => format!("variable {name}"),
            Some(Said::Literal(text)) => format!("literal {text}"),
            None => "nothing".to_owned(),
        };
        let found = format!("{said}, {:?}, {:?}, {:?}", node.number(), node.whole(), node.truth());
        assert_eq!(found, expected, "{written}");
    }

    #[test]
    fn values_are_read_as_python_would() {
        check("os.environ/KEY", "variable KEY, None, None, None");
        check("\"${KEY}\"", "variable KEY, None, None, None");
        check(
            "os.environ/NOT A NAME",
            "literal os.environ/NOT A NAME, None, None, None",
        );
        check("\"30\"", "literal 30, Some(30.0), Some(30), None");
        check("0.5", "literal 0.5, Some(0.5), None, None");
        check("-1", "literal -1, Some(-1.0), None, None");
        check("yes", "literal yes, None, None, Some(true)");
        check("false", "nothing, None, None, Some(false)");
        check("[1]", "nothing, None, None, None");
    }
}
