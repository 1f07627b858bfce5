//! Checks a file's shape against the schema, all of it at once, and repairs a copy so that its meaning can be
//! checked in the same run.
//!
//! An unknown field is removed; a missing or malformed one gets a stand-in (its default or an example). The compiler then
//! stays silent about everything that stand-ins touch ([`Structure::repaired`]), so that one mistake is
//! reported once. Values are shown only where the schema expects a plain value that is not a secret
//! (`writeOnly`): a key pasted into the wrong field does not end up in a terminal or a log.

use std::collections::HashSet;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::{Map, Value};

use crate::config::document::Document;
use crate::config::errors::{Pointer, Problem};
use crate::config::{schema, suggest};

/// Longest excerpt of a value in a message, in characters.
const SHOWN_MAX: usize = 60;

/// The outcome of the structural check.
pub(super) struct Structure {
    /// The file's value, fit for serde unless `sound` is false.
    pub(super) value: Value,
    /// What was wrong with it.
    pub(super) problems: Vec<Problem>,
    /// Where stand-ins are.
    pub(super) repaired: Vec<Pointer>,
    /// Whether the repaired value satisfies the schema.
    pub(super) sound: bool,
}

/// Checks and repairs.
pub(super) fn check(document: &Document) -> Structure {
    let schema = schema::inlined();
    let mut value = document.value.clone();
    let validator = match jsonschema::validator_for(&schema) {
        Ok(validator) => validator,
        Err(error) => {
            return Structure {
                value,
                problems: vec![Problem::whole_file(
                    format!("the built-in schema is broken: {error}"),
                    None,
                )],
                repaired: Vec::new(),
                sound: false,
            };
        }
    };
    let mut findings = Vec::new();
    for error in validator.iter_errors(&document.value) {
        collect(&error, &schema, &mut findings);
    }
    match_unknown_with_missing(&mut findings);
    let misspelt: HashSet<Pointer> = findings.iter().filter_map(|finding| finding.meant.clone()).collect();
    let mut problems = Vec::new();
    let mut repaired = Vec::new();
    for finding in findings {
        finding.fix.apply(&mut value, &finding.at);
        // `adress` is unknown and `address` missing: one mistake, told once.
        if !misspelt.contains(&finding.at) {
            problems.push(finding.problem(document));
        }
        repaired.push(finding.at);
    }
    let sound = validator.is_valid(&value);
    make_whole(&mut value);
    Structure {
        value,
        problems,
        repaired,
        sound,
    }
}

/// Writes numbers such as `2.0` as `2`: to JSON Schema they are the same integer, to serde they are not.
fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0)
                && float.abs() <= u32::MAX.into()
            {
                *number = (float as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(fields) => fields.values_mut().for_each(make_whole),
        _ => {}
    }
}

/// One violation of the schema.
struct Finding {
    at: Pointer,
    message: String,
    hint: Option<String>,
    fix: Fix,
    /// For an unknown field, the one that was probably meant.
    meant: Option<Pointer>,
    /// Whether it is a field that is not there.
    is_missing: bool,
}

impl Finding {
    fn problem(&self, document: &Document) -> Problem {
        let mark = document.mark(&self.at);
        Problem {
            field: self.at.to_string(),
            line: mark.line,
            column: mark.column,
            message: self.message.clone(),
            hint: self.hint.clone(),
        }
    }
}

/// What makes the value fit for the next stage.
enum Fix {
    Remove,
    Set(Value),
    Truncate(usize),
}

impl Fix {
    fn apply(&self, root: &mut Value, at: &Pointer) {
        match self {
            Self::Set(stand_in) if at.as_json().is_empty() => *root = stand_in.clone(),
            Self::Truncate(length) => {
                if let Some(Value::Array(items)) = root.pointer_mut(at.as_json()) {
                    items.truncate(*length);
                }
            }
            Self::Remove | Self::Set(_) => {
                let (Some(parent), Some(step)) = (at.parent(), at.steps().last()) else {
                    return;
                };
                match (root.pointer_mut(parent.as_json()), self) {
                    (Some(Value::Object(fields)), Self::Set(stand_in)) => {
                        fields.insert(step, stand_in.clone());
                    }
                    (Some(Value::Object(fields)), Self::Remove) => {
                        fields.shift_remove(&step);
                    }
                    (Some(Value::Array(items)), Self::Set(stand_in)) => {
                        if let Some(item) = step.parse().ok().and_then(|index: usize| items.get_mut(index)) {
                            *item = stand_in.clone();
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Turns one validator error into findings.
fn collect(error: &ValidationError<'_>, root: &Value, findings: &mut Vec<Finding>) {
    let at = Pointer::from_json(error.instance_path().as_str());
    let keyword = Pointer::from_json(error.schema_path().as_str());
    let schema = keyword
        .parent()
        .and_then(|parent| root.pointer(parent.as_json()))
        .unwrap_or(&Value::Null);
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            findings.extend(unexpected.iter().map(|name| unknown_field(&at, schema, name)));
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            findings.push(missing_field(&at, schema, name));
        }
        ValidationErrorKind::AnyOf { context } => match meant(context, &at) {
            Some(branch) => branch.iter().for_each(|error| collect(error, root, findings)),
            None => findings.push(bad_value(at, schema, error)),
        },
        _ => findings.push(bad_value(at, schema, error)),
    }
}

/// The alternative that was meant: the only one whose kind of value (text, object, …) is right.
fn meant<'a, 'b>(branches: &'a [Vec<ValidationError<'b>>], at: &Pointer) -> Option<&'a [ValidationError<'b>]> {
    let mut fitting = branches.iter().filter(|errors| {
        !errors.iter().any(|error| {
            matches!(error.kind(), ValidationErrorKind::Type { .. }) && error.instance_path().as_str() == at.as_json()
        })
    });
    match (fitting.next(), fitting.next()) {
        (Some(branch), None) => Some(branch),
        _ => None,
    }
}

fn unknown_field(object: &Pointer, schema: &Value, name: &str) -> Finding {
    let known: Vec<&str> = field_names(schema).collect();
    Finding {
        at: object.key(name),
        message: format!("unknown field `{}`", excerpt(name)),
        hint: suggest::hint(name, known.iter().copied()),
        fix: Fix::Remove,
        meant: suggest::nearest(name, &known).map(|meant| object.key(meant)),
        is_missing: false,
    }
}

/// A field that nobody knows, beside one that is missing, is likely to be a misspelling of that, even if it is not very similar.
fn match_unknown_with_missing(findings: &mut [Finding]) {
    let missing = findings.iter().filter(|finding| finding.is_missing);
    let missing: Vec<Pointer> = missing.map(|finding| finding.at.clone()).collect();
    for finding in findings {
        if !matches!(finding.fix, Fix::Remove) || finding.meant.is_some() {
            continue;
        }
        let (Some(object), Some(written)) = (finding.at.parent(), finding.at.steps().last()) else {
            continue;
        };
        let beside = missing.iter().filter(|at| at.parent().as_ref() == Some(&object));
        let names: Vec<String> = beside.filter_map(|at| at.steps().last()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if let Some(name) = suggest::nearest_missing(&written, &names) {
            finding.hint = Some(suggest::did_you_mean(name));
            finding.meant = Some(object.key(name));
        }
    }
}

fn missing_field(object: &Pointer, schema: &Value, name: &str) -> Finding {
    let field = &schema["properties"][name];
    Finding {
        at: object.key(name),
        message: format!("`{name}` is missing"),
        hint: field["description"].as_str().map(|meaning| match example_list(field) {
            Some(examples) => format!("{meaning} Such as {examples}"),
            None => meaning.to_owned(),
        }),
        fix: Fix::Set(stand_in(field)),
        meant: None,
        is_missing: true,
    }
}

fn bad_value(at: Pointer, schema: &Value, error: &ValidationError<'_>) -> Finding {
    let found = error.instance().as_ref();
    let (message, hint) = describe(schema, error.kind(), found);
    let fix = match error.kind() {
        ValidationErrorKind::MaxItems { limit } => Fix::Truncate(usize::try_from(*limit).unwrap_or(usize::MAX)),
        ValidationErrorKind::MinItems { .. } => Fix::Set(Value::Array(vec![stand_in(&schema["items"])])),
        _ => Fix::Set(as_text(schema, found).unwrap_or_else(|| stand_in(schema))),
    };
    Finding {
        at,
        message,
        hint,
        fix,
        meant: None,
        is_missing: false,
    }
}

fn field_names(schema: &Value) -> impl Iterator<Item = &str> {
    schema["properties"]
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .map(String::as_str)
}

/// Message and hint for a value that is there but wrong.
fn describe(schema: &Value, kind: &ValidationErrorKind, found: &Value) -> (String, Option<String>) {
    let examples = example_list(schema).map(|examples| format!("such as {examples}"));
    let shown = shown(schema, found);
    if let Some(choices) = choices(schema) {
        let written = found.as_str().unwrap_or_default();
        let hint = suggest::hint(written, choices.iter().map(String::as_str));
        return (format!("{shown} is not one of the possible values"), hint);
    }
    match kind {
        ValidationErrorKind::Type { .. } if found.is_null() => (
            "there is no value".to_owned(),
            Some("give one, or leave the key out".to_owned()),
        ),
        ValidationErrorKind::Type { kind } => {
            let text = if found.is_string() && shown.starts_with('`') {
                "the text "
            } else {
                ""
            };
            let message = format!("expected {}, found {text}{shown}", type_name(kind));
            (message, rewritten(schema, found).or(examples))
        }
        ValidationErrorKind::AnyOf { .. } => ("expected text or an object, found ".to_owned() + &shown, examples),
        ValidationErrorKind::Pattern { .. } if is_secret(schema) => (
            "a secret must be given by reference, not written out".to_owned(),
            examples,
        ),
        ValidationErrorKind::Pattern { .. } | ValidationErrorKind::Format { .. } => {
            let noun = schema["title"].as_str().unwrap_or("valid value");
            let hint = [schema["$comment"].as_str().map(str::to_owned), examples];
            let hint: Vec<String> = hint.into_iter().flatten().collect();
            (format!("{shown} is not a {noun}"), Some(hint.join(", ")))
        }
        ValidationErrorKind::MinItems { .. } => ("the list is empty".to_owned(), Some("give at least one".to_owned())),
        ValidationErrorKind::MaxItems { limit } => (format!("the list has more than {limit} items"), None),
        ValidationErrorKind::MinProperties { .. } | ValidationErrorKind::MaxProperties { .. } => {
            let names: Vec<String> = field_names(schema).map(|name| format!("`{name}`")).collect();
            let number = match (schema.get("minProperties"), schema.get("maxProperties")) {
                (Some(_), Some(_)) => "exactly",
                (None, Some(_)) => "at most",
                (_, None) => "at least",
            };
            (format!("give {number} one of {}", names.join(", ")), examples)
        }
        ValidationErrorKind::Minimum { limit } => (format!("{shown} is too small"), Some(format!("{limit} or more"))),
        ValidationErrorKind::ExclusiveMinimum { limit } => {
            (format!("{shown} is too small"), Some(format!("more than {limit}")))
        }
        ValidationErrorKind::Maximum { limit } => (format!("{shown} is too large"), Some(format!("{limit} at most"))),
        other => (format!("{shown} violates `{}`", other.keyword()), examples),
    }
}

/// How a value of the wrong kind could be meant: a number or truth value in quotes, or a time without its unit.
fn rewritten(schema: &Value, found: &Value) -> Option<String> {
    if let Some(text) = found.as_str() {
        let bare = serde_json::from_str(text).ok()?;
        return jsonschema::is_valid(schema, &bare).then(|| format!("write `{text}` without quotes"));
    }
    let seconds = format!("{}s", found.as_u64()?);
    let is_duration = schema["title"] == "duration" && jsonschema::is_valid(schema, &Value::String(seconds.clone()));
    is_duration.then(|| format!("write `{seconds}` for seconds, or another of `ms`, `s`, `m`, `h` and `d`"))
}

fn type_name(kind: &TypeKind) -> String {
    let name = |kind: &jsonschema::JsonType| match kind {
        jsonschema::JsonType::Array => "a list",
        jsonschema::JsonType::Boolean => "`true` or `false`",
        jsonschema::JsonType::Integer => "a whole number",
        jsonschema::JsonType::Null => "nothing",
        jsonschema::JsonType::Number => "a number",
        jsonschema::JsonType::Object => "an object",
        jsonschema::JsonType::String => "text",
    };
    match kind {
        TypeKind::Single(kind) => name(kind).to_owned(),
        TypeKind::Multiple(kinds) => kinds.iter().map(|kind| name(&kind)).collect::<Vec<_>>().join(" or "),
    }
}

/// A found value for a message: its text where that is safe, else its kind.
fn shown(schema: &Value, found: &Value) -> String {
    let plain = !matches!(schema["type"].as_str(), Some("object" | "array")) && !is_secret(schema);
    match found {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if plain => format!("`{}`", excerpt(text)),
        Value::String(_) => "text".to_owned(),
        Value::Bool(_) | Value::Number(_) if plain => format!("`{found}`"),
        Value::Bool(_) => "a truth value".to_owned(),
        Value::Number(_) => "a number".to_owned(),
    }
}

fn is_secret(schema: &Value) -> bool {
    schema["writeOnly"] == true
}

/// The values of a closed set, if the schema is one.
fn choices(schema: &Value) -> Option<Vec<String>> {
    schema["oneOf"]
        .as_array()?
        .iter()
        .map(|choice| choice["const"].as_str().map(str::to_owned))
        .collect()
}

fn example_list(schema: &Value) -> Option<String> {
    let examples = schema["examples"].as_array()?;
    let shown = examples
        .iter()
        .filter_map(Value::as_str)
        .map(|example| format!("`{example}`"));
    Some(shown.collect::<Vec<_>>().join(", ")).filter(|list| !list.is_empty())
}

/// A number or truth value as text, where text was wanted and this one would do: a name such as `2024`.
fn as_text(schema: &Value, found: &Value) -> Option<Value> {
    let text = match found {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Bool(truth) => Value::String(truth.to_string()),
        _ => return None,
    };
    jsonschema::is_valid(schema, &text).then_some(text)
}

/// A value that satisfies the schema.
fn stand_in(schema: &Value) -> Value {
    if let Some(value) = schema.get("default").or_else(|| schema["examples"].get(0)) {
        return value.clone();
    }
    if let Some(branch) = schema["oneOf"].get(0).or_else(|| schema["anyOf"].get(0)) {
        return branch.get("const").cloned().unwrap_or_else(|| stand_in(branch));
    }
    match schema["type"].as_str() {
        Some("object") => {
            let required = schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            let fields = required.map(|name| (name.to_owned(), stand_in(&schema["properties"][name])));
            Value::Object(fields.collect())
        }
        Some("array") if schema["minItems"].as_u64().unwrap_or(0) > 0 => Value::Array(vec![stand_in(&schema["items"])]),
        Some("array") => Value::Array(Vec::new()),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| 1.into()),
        Some("boolean") => Value::Bool(false),
        _ => Value::String("stand-in".to_owned()),
    }
}

fn excerpt(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
    if text.chars().count() > SHOWN_MAX {
        shown.push('…');
    }
    shown
}
