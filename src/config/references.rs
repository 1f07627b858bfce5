//! Which references a text that comes over HTTP may make the gateway follow.
//!
//! A reference is followed wherever it stands, and what is behind it in a plain field shows: in a message, or in the words of a change.
//! So, from the page, plain fields may only have references that plain fields of the file have already: otherwise whoever may change the
//! configuration could read any variable and file. A text with another where it would show is not followed at all, nor one whose
//! references can only be read by whoever reads YAML.

use std::collections::BTreeSet;

use crate::config::document::Document;
use crate::config::errors::{Pointer, Problem};
use crate::config::fields;

/// Most references of a text, those in comments included: a hundred times what a large configuration has. Each is looked up and may be
/// told, so that a text full of them would cost more than all else about it.
const REFERENCES_MAX: usize = 10_000;

/// Longest reference: the longest path that Linux takes, and some. A longer one is not taken for written out.
const REFERENCE_BYTES_MAX: usize = 4_200;

/// The problems of references in a text that may not be followed, given the file's text. With any, the text is not to be compiled.
/// Linear in both.
pub(super) fn problems(text: &str, file: &str) -> Vec<Problem> {
    if text.match_indices("${").nth(REFERENCES_MAX).is_some() {
        let message = format!("there are more than {REFERENCES_MAX} references");
        let hint = "write values that are no secrets, or put the references into the file by hand";
        return vec![Problem::whole_file(message, Some(hint))];
    }
    let in_file: BTreeSet<String> = plain(file).into_iter().map(|(reference, _)| reference).collect();
    let shown = plain(text)
        .into_iter()
        .filter(|(reference, _)| !in_file.contains(reference));
    let mut problems = hidden(text);
    problems.extend(shown.map(|(_, problem)| problem));
    problems
}

/// Every reference of a text, comments included.
fn references(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("${").filter_map(|(at, _)| reference_at(&text[at..]))
}

/// The reference that a text begins with: up to the next brace on its line.
fn reference_at(text: &str) -> Option<&str> {
    let near = text.as_bytes().iter().take(REFERENCE_BYTES_MAX);
    let end = near.take_while(|byte| **byte != b'\n').position(|byte| *byte == b'}')?;
    // A brace is never a part of another character.
    text.get(..=end)
}

/// Every reference of a value, as it is followed: up to the next brace, whatever stands between.
fn followed(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let at = rest.find("${")?;
        let end = at + rest[at..].find('}')?;
        let reference = &rest[at..=end];
        rest = &rest[end + 1..];
        Some(reference)
    })
}

/// The problems of references that stand in the values of a text and are not to be seen in it.
fn hidden(text: &str) -> Vec<Problem> {
    let Ok(document) = Document::parse(text) else {
        return Vec::new();
    };
    let written: BTreeSet<&str> = references(text).collect();
    let mut problems = Vec::new();
    for field in fields::fields(&document) {
        if followed(&field.text).any(|reference| !written.contains(reference)) {
            let message =
                "a reference is written in escapes or over several lines here, or is longer than any name".to_owned();
            problems.push(problem(&document, &field.at, message, "write it out, as `${env:NAME}`"));
        }
    }
    problems
}

fn problem(document: &Document, at: &Pointer, message: String, hint: &str) -> Problem {
    let mark = document.mark(at);
    Problem {
        field: at.to_string(),
        line: mark.line,
        column: mark.column,
        message,
        hint: Some(hint.to_owned()),
    }
}

/// References in plain fields, and each with the problem that it would be. Nothing of a text that is no YAML: it is not followed anyhow.
fn plain(text: &str) -> Vec<(String, Problem)> {
    let Ok(document) = Document::parse(text) else {
        return Vec::new();
    };
    let fields = fields::fields(&document).into_iter().filter(|field| !field.is_secret);
    let mut found = Vec::new();
    for field in fields {
        for reference in followed(&field.text) {
            let message = format!("what is behind `{reference}` would show here");
            let hint = "write the value, or put the reference into the file by hand";
            found.push((reference.to_owned(), problem(&document, &field.at, message, hint)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "listeners: [{ address: \"${env:LISTEN}\" }]\nadmin:\n  token: ${env:TOKEN}\n";

    #[test]
    fn the_references_of_the_file_may_be_followed_and_new_secrets_too() {
        assert_eq!(problems(FILE, FILE), []);
        let text = FILE.replace("${env:TOKEN}", "${file:/etc/another-token}");
        assert_eq!(problems(&text, FILE), []);
    }

    #[test]
    fn a_secret_does_not_come_into_a_plain_field() {
        let text = FILE.replace("${env:LISTEN}", "${env:TOKEN}");
        let problems = problems(&text, FILE);
        assert_eq!(
            (problems.len(), problems[0].field.as_str(), problems[0].line),
            (1, "listeners[0].address", 1)
        );
    }

    /// Each took a pass over the whole text, and what stood in another was looked for to the line's end each time: hours for these.
    #[test]
    fn a_text_full_of_references_is_not_looked_through_once_for_each() {
        let numbered = |count: usize| {
            let lines: Vec<String> = (0..count).map(|number| format!("# ${{env:N{number}}}\n")).collect();
            lines.concat()
        };
        let nested = format!("# {}}}", "${".repeat(500_000));
        for text in [numbered(60_000), nested] {
            let problems = problems(&text, FILE);
            assert_eq!(problems.len(), 1);
            assert!(problems[0].message.contains("more than 10000"), "{problems:?}");
        }
        assert_eq!(problems(&numbered(10_000), FILE), []);
    }

    #[test]
    fn a_reference_that_only_yaml_can_read_is_refused() {
        let hidden = [
            r#""\x24{env:OTHER}""#,
            r#""$\x7benv:OTHER}""#,
            r#""$\u007benv:OTHER\x7d""#,
            "\"${env:\n    OTHER}\"",
            "\"$\\\n    {env:OTHER}\"",
        ];
        for hidden in hidden {
            let text = FILE.replace("${env:TOKEN}", hidden);
            let problems = problems(&text, FILE);
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].message.contains("in escapes"), "{problems:?}");
        }
    }

    /// Written out in a comment, it is to be seen in the text: where it is followed besides, it is one that may be.
    #[test]
    fn a_reference_that_is_written_out_somewhere_is_not_hidden() {
        let twice = FILE.replace("${env:TOKEN}", "\"\\x24{env:OTHER}\" # ${env:OTHER}");
        assert_eq!(problems(&twice, FILE), []);
    }
}
