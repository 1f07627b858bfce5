//! Secrets that are written out in a configuration's text, hidden before anybody is shown it.
//!
//! A configuration that can be used holds references only, so this matters for one that cannot: a file somebody broke by hand, or a text
//! that is being typed. What counts is what the schema marks as secret, and fields that nobody knows whose names sound like one. A text
//! that is no YAML is judged line by line. A comment is not judged.

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::config::document::Document;
use crate::config::errors::Pointer;
use crate::config::fields::{self, sounds_secret};

/// What stands in a secret's place.
pub const MASK: &str = "••••••••";

/// Shorter values are too likely to be found in other words; the field's lines are hidden instead.
const REPLACED_BYTES_MIN: usize = 6;

/// Longest name of a scheme that may stand before a reference, such as `Bearer`.
const SCHEME_BYTES_MAX: usize = 12;

/// A text without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The text.
    pub text: String,
    /// Fields that held a secret, such as `clients[0].keys[0]`; lines, such as `line 3`, of a text that is no YAML.
    pub fields: Vec<String>,
}

/// Hides every secret that is written out. Time is linear in the text, however many there are.
pub fn mask(text: &str) -> Masked {
    let Ok(document) = Document::parse(text) else {
        return mask_lines(text);
    };
    let secrets = fields::fields(&document).into_iter();
    let secrets = secrets.filter(|field| field.is_secret && !is_reference(&field.text));
    let found: Vec<(Pointer, String)> = secrets.map(|field| (field.at, field.text)).collect();
    if found.is_empty() {
        return Masked {
            text: text.to_owned(),
            fields: Vec::new(),
        };
    }
    let values: Vec<&str> = found.iter().map(|(_, secret)| secret.trim_end()).collect();
    let (masked, is_replaced) = without(text, &values);
    let left = found.iter().zip(is_replaced).filter(|(_, is_replaced)| !is_replaced);
    let places: Vec<&Pointer> = left.map(|((at, _), _)| at).collect();
    Masked {
        text: without_lines(&masked, &document, &places),
        fields: found.into_iter().map(|(at, _)| at.to_string()).collect(),
    }
}

/// Whether a value refers to a secret, with nothing but the name of a scheme such as `Bearer ` before it, or is the digest of one.
fn is_reference(text: &str) -> bool {
    if let Some(digest) = text.strip_prefix("sha256:") {
        return digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let Some((before, mut rest)) = text.split_once("${") else {
        return false;
    };
    while let Some((_, after)) = rest.split_once('}') {
        if after.is_empty() {
            return is_scheme(before);
        }
        let Some(next) = after.strip_prefix("${") else {
            return false;
        };
        rest = next;
    }
    false
}

fn is_scheme(before: &str) -> bool {
    let word = before.strip_suffix(' ').unwrap_or_default();
    let is_word =
        !word.is_empty() && word.len() <= SCHEME_BYTES_MAX && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    before.is_empty() || is_word
}

/// The text without these values, and which of them are hidden by that, wherever they stand.
fn without(text: &str, values: &[&str]) -> (String, Vec<bool>) {
    let mut is_replaced = vec![false; values.len()];
    let is_plain = |value: &str| value.len() >= REPLACED_BYTES_MIN && !value.contains('\n');
    let plain: Vec<usize> = (0..values.len()).filter(|at| is_plain(values[*at])).collect();
    let patterns = plain.iter().map(|at| values[*at]);
    let Ok(search) = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(patterns)
    else {
        // Only more than can be counted, which no text holds; then lines are hidden.
        return (text.to_owned(), is_replaced);
    };
    let mut found = HashSet::new();
    let mut masked = String::with_capacity(text.len());
    search.replace_all_with(text, &mut masked, |_, secret, masked| {
        found.insert(secret.to_owned());
        masked.push_str(MASK);
        true
    });
    for at in plain {
        is_replaced[at] = found.contains(values[at]);
    }
    (masked, is_replaced)
}

/// The text with the lines of fields blank, each from its own to that of the next one: their values are written in a way that is not
/// their text.
fn without_lines(text: &str, document: &Document, places: &[&Pointer]) -> String {
    let known = document.lines();
    let mut hidden: Vec<(u32, u32)> = places
        .iter()
        .map(|at| {
            let first = document.mark(at).line;
            (first, known.range(first + 1..).next().copied().unwrap_or(u32::MAX))
        })
        .collect();
    hidden.sort_unstable();
    let mut hidden = hidden.into_iter().peekable();
    in_lines(text, |number, line| {
        while hidden.next_if(|(_, next)| *next <= number).is_some() {}
        let is_hidden = hidden.peek().is_some_and(|(first, _)| *first <= number);
        if is_hidden { MASK } else { line }
    })
}

/// Hides every line that sounds as if it held a secret, and holds more than references, with all that is indented below it.
fn mask_lines(text: &str) -> Masked {
    let mut fields = Vec::new();
    // Where the name stands whose value these lines may be.
    let mut below: Option<usize> = None;
    let masked = in_lines(text, |number, line| {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            return line;
        }
        let indent = line.len() - line.trim_start().len();
        let is_item = trimmed.starts_with("- ");
        if below.is_some_and(|name| indent < name || indent == name && !is_item) {
            below = None;
        }
        let is_below = below.is_some();
        let is_comment = trimmed.starts_with('#');
        let named = !is_comment && line.contains(':') && line.split([':', ',', '{']).any(sounds_secret);
        if named && !is_below {
            below = Some(line.len() - line.trim_start_matches([' ', '\t', '-']).len());
        }
        // A key alone holds nothing, and neither does a word such as `auto`.
        let is_hidden = is_below || named && !trimmed.ends_with(':');
        if is_hidden && !is_line_of_references(trimmed) {
            fields.push(format!("line {number}"));
            return MASK;
        }
        line
    });
    Masked { text: masked, fields }
}

/// Whether what a line says, after its name, is a reference.
fn is_line_of_references(trimmed: &str) -> bool {
    let item = trimmed.trim_start_matches("- ");
    let value = match item.split_once(": ") {
        Some((name, value)) if !name.contains("${") => value,
        _ => item,
    };
    is_reference(value.trim().trim_matches(['"', '\'']))
}

/// A text with each line as `shown` has it, given its number from 1.
fn in_lines<'a>(text: &'a str, mut shown: impl FnMut(u32, &'a str) -> &'a str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .zip(1..)
        .map(|(line, number)| shown(number, line))
        .collect();
    let mut masked = lines.join("\n");
    if text.ends_with('\n') {
        masked.push('\n');
    }
    masked
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

    #[test]
    fn below_a_name_everything_indented_is_hidden() {
        check(
            "admin:\n  token: >-\n    two words\n    # and: more\n\n    ${env:KEY}\n  role: x\nlog: [\n",
            &["two words", "and: more", ">-"],
            &["line 2", "line 3", "line 4"],
        );
        check(
            "a: [\nkeys:\n- abc\n- x: def\n  y: ghi\nname: n\n",
            &["abc", "def", "ghi"],
            &["line 3", "line 4", "line 5"],
        );
        check("a: [\n- token: abc\n  name: n\n", &["abc"], &["line 2"]);
        check(
            "a: [\ntoken: hunter2${env:A}\nkey: Bearer ${env:A}\n",
            &["hunter2"],
            &["line 2"],
        );
    }

    #[test]
    fn what_stands_beside_a_reference_is_a_secret_too() {
        let is = |text: &str, expected: bool| assert_eq!(is_reference(text), expected, "{text}");
        for reference in [
            "${env:A}",
            "Bearer ${env:A}",
            "${env:A}${file:b}",
            &format!("sha256:{}", "0".repeat(64)),
        ] {
            is(reference, true);
        }
        for secret in [
            "",
            "hunter",
            "hunter2 ${env:A}",
            "hunter${env:A}",
            "${env:A}ter2",
            "${env:A",
            "sha256:abc",
            "two words ${env:A}",
        ] {
            is(secret, false);
        }
        check(
            "admin: { token: \"hunter2${env:A}\" }\n",
            &["hunter2"],
            &["admin.token"],
        );
    }

    #[test]
    fn a_map_of_secrets_is_one() {
        check(
            "telemetry:\n  otlp:\n    headers:\n      x-one: abcdefgh\n      x-two: ${env:TWO}\n    resource: { team: a-team }\n",
            &["abcdefgh"],
            &["telemetry.otlp.headers.x-one"],
        );
        check("credential: { kee: abcdefgh }\n", &["abcdefgh"], &["credential.kee"]);
    }

    #[test]
    fn secrets_that_overlap_leave_nothing() {
        check(
            "tokens: [abcdefgh, abcdef]\nsecrets:\n  - defghi\nname: abcdefghi\n",
            &["abcdef", "defghi"],
            &["tokens[0]", "tokens[1]", "secrets[0]"],
        );
        check(
            "admin:\n  token: |\n    hunter2hunter2\nreplicas: 2\n",
            &["hunter2"],
            &["admin.token"],
        );
    }

    /// One replacing a secret took minutes.
    #[test]
    fn many_secrets_are_hidden_in_one_pass() {
        let keys: Vec<String> = (0..20_000).map(|number| format!("  - k{number:07}\n")).collect();
        let began = std::time::Instant::now();
        let masked = mask(&format!("tokens:\n{}", keys.concat()));
        assert_eq!(masked.fields.len(), keys.len());
        assert!(!masked.text.contains("k0"));
        assert!(
            began.elapsed() < std::time::Duration::from_secs(20),
            "{:?}",
            began.elapsed()
        );
    }
}
