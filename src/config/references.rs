//! Which references a text that comes over HTTP may make the gateway follow.
//!
//! A reference is followed wherever it stands, and what is behind it in a plain field shows: in a message, or in the words of a change.
//! So, from the page, plain fields may only have references that plain fields of the file have already, and whoever may not change the
//! configuration may only have those of the file at all: otherwise a reader could ask which variables and files there are, and what is in
//! them. What readers may not name is taken as if it held some secret, so that the rest can be checked all the same; a text with a
//! reference where it would show is not followed at all, nor one whose references can only be read by whoever reads YAML.

use std::collections::BTreeSet;

use crate::config::document::Document;
use crate::config::errors::{Pointer, Problem};
use crate::config::fields;

/// Whose text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Of somebody who may only look.
    OfTheFile,
    /// Of somebody who may change the configuration.
    Anywhere,
}

/// Most references of a text, those in comments included: a hundred times what a large configuration has. Each is looked up and may be
/// told, so that a text full of them would cost more than all else about it.
const REFERENCES_MAX: usize = 10_000;

/// Longest reference: the longest path that Linux takes, and some. A longer one is not taken for written out.
const REFERENCE_BYTES_MAX: usize = 4_200;

/// The name of the variable that stands for what is not followed; padded, so that every place in the text stays.
const STAND_IN: &str = "EMBERWAY_NOT_FOLLOWED";

/// A text whose references may all be followed, with a variable of stand-ins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tamed {
    /// The text.
    pub(super) text: String,
    /// References that are not followed.
    pub(super) left: Vec<String>,
    /// References that stand where what is behind them would show, or that the text hides. With any, the text is not to be compiled.
    pub(super) problems: Vec<Problem>,
}

/// Takes out of a text what may not be followed, given the file's text. Linear in both.
pub(super) fn tame(text: &str, file: &str, reach: Reach) -> Tamed {
    if text.match_indices("${").nth(REFERENCES_MAX).is_some() {
        let message = format!("there are more than {REFERENCES_MAX} references");
        let hint = "write values that are no secrets, or put the references into the file by hand";
        return Tamed {
            text: text.to_owned(),
            left: Vec::new(),
            problems: vec![Problem::whole_file(message, Some(hint))],
        };
    }
    let known: BTreeSet<&str> = references(file).collect();
    let (plain_in_file, _) = plain(file);
    let (_, shown) = plain(text);
    let written: BTreeSet<&str> = references(text).collect();
    let mut problems = hidden(text, &|reference| !written.contains(reference));
    let mut refused: BTreeSet<String> = BTreeSet::new();
    for (reference, problem) in shown {
        if !plain_in_file.contains(&reference) {
            refused.insert(reference);
            problems.push(problem);
        }
    }
    if reach == Reach::OfTheFile {
        refused.extend(
            references(text)
                .filter(|reference| !known.contains(reference))
                .map(str::to_owned),
        );
    }
    let tamed = without(text, &refused);
    // One that is written out in a comment can stand a second time, in escapes that the replacing does not see.
    problems.extend(hidden(&tamed, &|reference| refused.contains(reference)));
    Tamed {
        text: tamed,
        left: refused.into_iter().collect(),
        problems,
    }
}

/// A text with stand-ins for these references, in one pass.
fn without(text: &str, refused: &BTreeSet<String>) -> String {
    let mut tamed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        tamed.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(reference) = reference_at(rest).filter(|reference| refused.contains(*reference)) {
            tamed.push_str(&stand_in(reference));
            rest = &rest[reference.len()..];
        } else {
            // One that may be followed can have one in it that may not.
            tamed.push_str("${");
            rest = &rest["${".len()..];
        }
    }
    tamed.push_str(rest);
    tamed
}

/// What a stand-in holds; none for any other variable.
pub(super) fn stands_in(name: &str) -> Option<String> {
    name.starts_with(STAND_IN)
        .then(|| "in-place-of-what-is-not-followed".to_owned())
}

/// A reference of the same length that leads to a stand-in, where it is long enough.
fn stand_in(reference: &str) -> String {
    let padding = reference
        .chars()
        .count()
        .saturating_sub("${env:}".len() + STAND_IN.len());
    format!("${{env:{STAND_IN}{}}}", "_".repeat(padding))
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

/// The problems of references that stand in the values of a text and that `is_hidden` says are not to be seen in it.
fn hidden(text: &str, is_hidden: &dyn Fn(&str) -> bool) -> Vec<Problem> {
    let Ok(document) = Document::parse(text) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    for field in fields::fields(&document) {
        if followed(&field.text).any(is_hidden) {
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
fn plain(text: &str) -> (BTreeSet<String>, Vec<(String, Problem)>) {
    let Ok(document) = Document::parse(text) else {
        return (BTreeSet::new(), Vec::new());
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
    (found.iter().map(|(reference, _)| reference.clone()).collect(), found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "listeners: [{ address: \"${env:LISTEN}\" }]\nadmin:\n  token: ${env:TOKEN}\n";

    fn left(text: &str, reach: Reach) -> Vec<String> {
        let tamed = tame(text, FILE, reach);
        assert_eq!(tamed.text.lines().count(), text.lines().count());
        for reference in &tamed.left {
            assert!(!tamed.text.contains(reference.as_str()), "{}", tamed.text);
        }
        tamed.left
    }

    #[test]
    fn the_references_of_the_file_may_be_followed_by_everybody() {
        for reach in [Reach::OfTheFile, Reach::Anywhere] {
            let tamed = tame(FILE, FILE, reach);
            assert_eq!(
                (tamed.text.as_str(), tamed.left.len(), tamed.problems.len()),
                (FILE, 0, 0)
            );
        }
    }

    #[test]
    fn new_ones_only_by_those_who_may_change_the_file() {
        let text = FILE.replace("${env:TOKEN}", "${file:/etc/shadow-and-more-of-it}");
        assert_eq!(left(&text, Reach::OfTheFile), ["${file:/etc/shadow-and-more-of-it}"]);
        assert_eq!(left(&text, Reach::Anywhere), Vec::<String>::new());
        let tamed = tame(&text, FILE, Reach::OfTheFile).text;
        assert_eq!(tamed.len(), text.len(), "places stay");
        let name = tamed
            .split("${env:")
            .last()
            .and_then(|rest| rest.split('}').next())
            .expect("a name");
        assert!(stands_in(name).is_some(), "{name}");
        assert_eq!(stands_in("TOKEN"), None);
    }

    #[test]
    fn a_secret_does_not_come_into_a_plain_field() {
        let text = FILE.replace("${env:LISTEN}", "${env:TOKEN}");
        for reach in [Reach::OfTheFile, Reach::Anywhere] {
            assert_eq!(left(&text, reach), ["${env:TOKEN}"]);
        }
        let problems = tame(&text, FILE, Reach::Anywhere).problems;
        assert_eq!(
            (problems.len(), problems[0].field.as_str(), problems[0].line),
            (1, "listeners[0].address", 1)
        );
    }

    #[test]
    fn references_are_replaced_in_one_pass_wherever_they_stand() {
        let refused = |names: &[&str]| names.iter().map(|name| format!("${{{name}}}")).collect();
        let stand_in = |name: &str| stand_in(&format!("${{{name}}}"));
        let long = "file:/etc/shadow-and-more-of-it";
        for (text, names, expected) in [
            (
                "a ${env:A} b ${env:B}",
                &["env:B"][..],
                format!("a ${{env:A}} b {}", stand_in("env:B")),
            ),
            ("${env:A}${env:A}", &["env:A"], stand_in("env:A").repeat(2)),
            ("${x${env:A}}", &["env:A"], format!("${{x{}}}", stand_in("env:A"))),
            ("${x${env:A}", &["x${env:A", "env:A"], stand_in("x${env:A")),
            ("${env:A ${", &["env:A"], "${env:A ${".to_owned()),
            (
                "ä${file:/etc/shadow-and-more-of-it}ö",
                &[long],
                format!("ä{}ö", stand_in(long)),
            ),
        ] {
            assert_eq!(without(text, &refused(names)), expected, "{text}");
        }
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
            let tamed = tame(&text, FILE, Reach::OfTheFile);
            assert_eq!(tamed.problems.len(), 1);
            assert!(
                tamed.problems[0].message.contains("more than 10000"),
                "{:?}",
                tamed.problems
            );
        }
        let tamed = tame(&numbered(10_000), FILE, Reach::OfTheFile);
        assert_eq!((tamed.left.len(), tamed.problems.len()), (10_000, 0));
        assert!(!tamed.text.contains("${env:N"));
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
            for reach in [Reach::OfTheFile, Reach::Anywhere] {
                let problems = tame(&text, FILE, reach).problems;
                assert_eq!(problems.len(), 1, "{text}: {problems:?}");
                assert!(problems[0].message.contains("in escapes"), "{problems:?}");
            }
        }
        let twice = FILE.replace("${env:TOKEN}", "\"\\x24{env:OTHER}\" # ${env:OTHER}");
        assert_eq!(tame(&twice, FILE, Reach::Anywhere).problems, []);
        assert_eq!(
            tame(&twice, FILE, Reach::OfTheFile).problems.len(),
            1,
            "not followed by a reader"
        );
    }
}
