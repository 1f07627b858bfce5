//! Reads YAML into a JSON value and remembers where each field stands.
//!
//! The file is parsed once. The value goes to the schema and then to serde; the marks go to error messages.
//! Syntax errors, duplicate keys and documents beyond the limits end here, with line and column; they are
//! reported without the source line, which could hold a secret.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Error, Spanned};

use crate::config::errors::{Pointer, Problem};

/// Deepest nesting of lists and objects; the format itself needs 7.
const DEPTH_MAX: usize = 32;

/// Most values in a file, aliases expanded: a guard against files that unfold without end.
const NODES_MAX: usize = 200_000;

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A parsed file.
#[derive(Debug)]
pub(super) struct Document {
    /// What it says.
    pub(super) value: Value,
    /// Where it says it: the key of a field, the start of an item.
    marks: HashMap<Pointer, Mark>,
}

impl Document {
    /// Parses YAML.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, max_nodes: NODES_MAX },
            // YAML 1.2: `off` and `no` are words.
            strict_booleans: true,
        };
        let node: Node =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| syntax_problem(&error, text))?;
        let mut marks = HashMap::new();
        let root = Pointer::root();
        marks.insert(root.clone(), mark_of(&node.0.referenced));
        let value = flatten(node, &root, &mut marks);
        if value.is_null() {
            return Err(Problem::whole_file(
                "the file is empty".to_owned(),
                Some("`emberway schema` and docs/config.md say what it can hold"),
            ));
        }
        Ok(Self { value, marks })
    }

    /// The lines on which fields stand.
    pub(super) fn lines(&self) -> BTreeSet<u32> {
        self.marks.values().map(|mark| mark.line).collect()
    }

    /// Where a field stands; for one that is missing, where the object stands that should hold it.
    pub(super) fn mark(&self, pointer: &Pointer) -> Mark {
        let mut at = Some(pointer.clone());
        while let Some(pointer) = at {
            if let Some(mark) = self.marks.get(&pointer) {
                return *mark;
            }
            at = pointer.parent();
        }
        Mark { line: 1, column: 1 }
    }
}

/// Turns a parser error into a problem, without the source snippet that it would print.
fn syntax_problem(error: &Error, text: &str) -> Problem {
    let plain = error.without_snippet();
    let message = match plain {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is there twice"),
        Error::MultipleDocuments { .. } => "a second document begins with `---`, but the file is one".to_owned(),
        Error::NonFiniteFloat { value, .. } => format!("`{value}` is not a finite number"),
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias stands inside its own anchor".to_owned(),
        other => {
            let text = other.to_string();
            let first = text.lines().next().unwrap_or_default();
            // The location is a field of its own here; the parser repeats it at the end of its text.
            first.split(" at line ").next().unwrap_or(first).to_owned()
        }
    };
    let mut problem = Problem::whole_file(message, None);
    if let Some(location) = error.location() {
        let mark = mark_of(&location);
        problem.line = mark.line;
        problem.column = mark.column;
        let line = usize::try_from(location.line())
            .ok()
            .and_then(|line| text.lines().nth(line.checked_sub(1)?));
        if matches!(plain, Error::ExternalMessage { .. }) && line.is_some_and(|line| line.contains("${")) {
            problem.hint = Some("inside `{…}` and `[…]`, references need quotes: `\"${env:NAME}\"`".to_owned());
        }
    }
    problem
}

fn mark_of(location: &serde_saphyr::Location) -> Mark {
    Mark {
        line: u32::try_from(location.line()).unwrap_or(u32::MAX).max(1),
        column: u32::try_from(location.column()).unwrap_or(u32::MAX).max(1),
    }
}

/// Separates a positioned tree into its value and its marks.
fn flatten(node: Node, at: &Pointer, marks: &mut HashMap<Pointer, Mark>) -> Value {
    match node.0.value {
        Tree::Scalar(value) => value,
        Tree::List(items) => {
            let items = items.into_iter().enumerate().map(|(position, item)| {
                let at = at.index(position);
                marks.insert(at.clone(), mark_of(&item.0.referenced));
                flatten(item, &at, marks)
            });
            Value::Array(items.collect())
        }
        Tree::Object(fields) => {
            let mut object = Map::new();
            for (name, node) in fields {
                let at = at.key(&name.value);
                marks.insert(at.clone(), mark_of(&name.referenced));
                object.insert(name.value, flatten(node, &at, marks));
            }
            Value::Object(object)
        }
    }
}

/// A value with its place.
struct Node(Spanned<Tree>);

/// A value whose parts have places.
enum Tree {
    Scalar(Value),
    List(Vec<Node>),
    Object(Vec<(Spanned<String>, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Tree, E> {
        Number::from_f64(value)
            .map(|number| Tree::Scalar(Value::Number(number)))
            .ok_or_else(|| E::custom("numbers must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::String(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            if fields.len() == NODES_MAX {
                return Err(A::Error::custom("too many fields"));
            }
            fields.push((key, entries.next_value()?));
        }
        Ok(Tree::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn mark(text: &str, pointer: &str) -> (u32, u32) {
        let document = Document::parse(text).expect("parses");
        let mark = document.mark(&Pointer::from_json(pointer));
        (mark.line, mark.column)
    }

    #[test]
    fn fields_are_marked_at_their_key_and_items_at_their_start() {
        let text = "pools:\n  - name: a\n    tiers:\n      - [x, {deployment: y}]\n";
        assert_eq!(mark(text, "/pools"), (1, 1));
        assert_eq!(mark(text, "/pools/0"), (2, 5));
        assert_eq!(mark(text, "/pools/0/tiers"), (3, 5));
        assert_eq!(mark(text, "/pools/0/tiers/0/1"), (4, 13));
        assert_eq!(mark(text, "/pools/0/tiers/0/1/deployment"), (4, 14));
        assert_eq!(mark(text, "/pools/0/missing"), (2, 5));
    }

    #[test]
    fn values_keep_their_types() {
        let document =
            Document::parse("{a: 1, b: -2, c: 1.5, d: true, e: 'x', f: , g: [], h: 2024-01-01}").expect("parses");
        assert_eq!(
            document.value,
            serde_json::json!({"a": 1, "b": -2, "c": 1.5, "d": true, "e": "x", "f": null, "g": [], "h": "2024-01-01"})
        );
    }

    #[test]
    fn aliases_point_to_their_use() {
        let text = "a: &x {b: 1}\nc: *x\n";
        let document = Document::parse(text).expect("parses");
        assert_eq!(document.value["c"]["b"], 1);
        assert_eq!(mark(text, "/c"), (2, 1));
    }

    #[test]
    fn syntax_errors_carry_their_place_and_no_source() {
        let problem = Document::parse("a: 1\nsecret: [hunter2\n").expect_err("unclosed list");
        assert!(problem.line >= 2, "{problem:?}");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }

    #[test]
    fn duplicate_keys_are_refused() {
        let problem = Document::parse("log: {}\nlog: {}\n").expect_err("duplicate");
        assert_eq!(problem.to_string(), "2:1: the key `log` is there twice");
    }

    #[test]
    fn a_reference_without_quotes_in_a_flow_collection_is_explained() {
        let problem = Document::parse("a: 1\nb: {key: ${env:KEY}}\n").expect_err("unquoted");
        assert_eq!(problem.line, 2, "{problem:?}");
        assert!(problem.hint.is_some_and(|hint| hint.contains("need quotes")));
    }

    #[test]
    fn what_yaml_allows_and_a_configuration_does_not_is_said_plainly() {
        let message = |text: &str| Document::parse(text).expect_err(text).message;
        assert_eq!(message("# nothing\n"), "the file is empty");
        assert_eq!(message("a: .nan"), "`.nan` is not a finite number");
        assert_eq!(
            message("a: 1\n---\nb: 2\n"),
            "a second document begins with `---`, but the file is one"
        );
        assert_eq!(message("a: &a [*a]"), "an alias stands inside its own anchor");
    }

    #[test]
    fn deep_and_unfolding_documents_are_refused() {
        let deep = format!("{}1{}", "[".repeat(DEPTH_MAX + 2), "]".repeat(DEPTH_MAX + 2));
        Document::parse(&deep).expect_err("too deep");
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..8 {
            let previous = vec![format!("*a{}", level - 1); 10].join(", ");
            writeln!(bomb, "a{level}: &a{level} [{previous}]").expect("writes");
        }
        Document::parse(&bomb).expect_err("unfolds without end");
    }
}
