//! Secrets that are written out in a configuration's text, hidden before anybody is shown it.
//!
//! A configuration that can be used holds references only, so this matters for one that cannot: a file somebody broke by hand, or a text
//! that is being typed. What counts is what the schema marks as secret, and fields that nobody knows whose names sound like one. A text
//! that is no YAML is judged line by line. A comment is not judged.

use crate::config::document::Document;
use crate::config::errors::Pointer;
use crate::config::fields::{self, sounds_secret};

/// What stands in a secret's place.
pub const MASK: &str = "••••••••";

/// Shorter values are too likely to be found in other words; the field's lines are hidden instead.
const REPLACED_BYTES_MIN: usize = 6;

/// A text without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The text.
    pub text: String,
    /// Fields that held a secret, such as `clients[0].keys[0]`; lines, such as `line 3`, of a text that is no YAML.
    pub fields: Vec<String>,
}

/// Hides every secret that is written out.
pub fn mask(text: &str) -> Masked {
    let Ok(document) = Document::parse(text) else {
        return mask_lines(text);
    };
    let secrets = fields::fields(&document).into_iter();
    let secrets = secrets.filter(|field| field.is_secret && !is_reference(&field.text));
    let found: Vec<(Pointer, String)> = secrets.map(|field| (field.at, field.text)).collect();
    let mut masked = text.to_owned();
    for (at, secret) in &found {
        if secret.len() >= REPLACED_BYTES_MIN && masked.contains(secret.as_str()) {
            masked = masked.replace(secret.as_str(), MASK);
        } else {
            masked = without_lines(&masked, &document, at);
        }
    }
    Masked {
        text: masked,
        fields: found.into_iter().map(|(at, _)| at.to_string()).collect(),
    }
}

/// Whether a value refers to a secret, or is the digest of one.
fn is_reference(text: &str) -> bool {
    text.contains("${") || text.starts_with("sha256:")
}

/// The text with the lines of a field blank, from its own to that of the next one: its value is written in a way that is not its text.
fn without_lines(text: &str, document: &Document, at: &Pointer) -> String {
    let first = document.mark(at).line;
    let next = document.line_after(first);
    let lines = text.lines().zip(1..).map(
        |(line, number)| {
            if (first..next).contains(&number) { MASK } else { line }
        },
    );
    let mut masked = lines.collect::<Vec<_>>().join("\n");
    if text.ends_with('\n') {
        masked.push('\n');
    }
    masked
}

/// Hides every line that sounds as if it held a secret, and holds no reference.
fn mask_lines(text: &str) -> Masked {
    let mut fields = Vec::new();
    let mut in_list = false;
    let lines = text.lines().zip(1..).map(|(line, number)| {
        let trimmed = line.trim_start();
        let is_item = trimmed.starts_with("- ");
        let named = line.contains(':') && line.split([':', ',', '{']).any(sounds_secret);
        let is_hidden = (named || in_list && is_item) && !is_reference(line) && !trimmed.starts_with('#');
        in_list = named && trimmed.trim_end().ends_with(':') || in_list && is_item;
        // A key alone holds nothing, and neither does a word such as `auto`.
        if is_hidden && !trimmed.trim_end().ends_with(':') {
            fields.push(format!("line {number}"));
            return MASK;
        }
        line
    });
    let mut masked = lines.collect::<Vec<_>>().join("\n");
    if text.ends_with('\n') {
        masked.push('\n');
    }
    Masked { text: masked, fields }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, hidden: &[&str], fields: &[&str]) {
        let masked = mask(text);
        for secret in hidden {
            assert!(!masked.text.contains(secret), "{secret} in {}", masked.text);
        }
        assert_eq!(masked.fields, fields, "{text}");
        assert_eq!(masked.text.lines().count(), text.lines().count());
        if fields.is_empty() {
            assert_eq!(masked.text, text);
        }
    }

    #[test]
    fn what_the_schema_calls_secret_is_hidden_and_references_are_not() {
        check(
            "admin: { token: hunter2hunter2 }\nclients:\n  - name: a\n    keys: [s3cr3ts3cr3t, \"${env:KEY}\"]\n",
            &["hunter2", "s3cr3t"],
            &["admin.token", "clients[0].keys[0]"],
        );
        check(
            "resources:\n- credential:\n    api_key: 12345\n  name: x\n",
            &["12345"],
            &["resources[0].credential.api_key"],
        );
        let digest = format!("clients:\n  - keys: [\"sha256:{}\"]\n", "0".repeat(64));
        check(&digest, &[], &[]);
    }

    #[test]
    fn fields_that_nobody_knows_are_judged_by_their_names() {
        check(
            "resources:\n  - api_keyy: abcdefgh\n",
            &["abcdefgh"],
            &["resources[0].api_keyy"],
        );
        check("tokens: [abcdefgh]\n", &["abcdefgh"], &["tokens[0]"]);
        check("routes:\n  - prompt: abcdefgh\n", &[], &[]);
        check(
            "resources: [{ deployments: [{ prompt_cache_key: always }] }]\n",
            &[],
            &[],
        );
    }

    #[test]
    fn values_in_another_spelling_lose_their_lines() {
        check(
            "admin:\n  token: \"ab\\x63def\\x67h\"\nreplicas: 2\n",
            &["def"],
            &["admin.token"],
        );
        check(
            "admin:\n  token: |\n    two\n    lines\nreplicas: 2\n",
            &["two", "lines"],
            &["admin.token"],
        );
        check("admin: { token: ab }\n", &["ab"], &["admin.token"]);
    }

    #[test]
    fn what_is_no_yaml_is_judged_by_line() {
        check(
            "admin: { token: hunter2\nclients:\n  keys:\n    - s3cr3t\n    - ${env:KEY}\n  name: x\n",
            &["hunter2", "s3cr3t"],
            &["line 1", "line 4"],
        );
    }
}
