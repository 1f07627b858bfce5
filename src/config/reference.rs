//! The reference page `docs/config.md`, generated from the schema: every field, its type, default and meaning.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::config::schema;

const INTRODUCTION: &str = "\
# Configuration reference

<!-- Generated from src/config/raw.rs: `UPDATE_GENERATED=1 cargo test --lib config::` writes it. Do not edit. -->

One YAML file. `emberway check --config FILE` tells every mistake in it at once, with line and a hint;
`emberway schema` prints its JSON Schema. An annotated example is `config/emberway.yaml`.

Unknown fields and duplicate keys are refused, and so are secrets that are written out: they come by reference.
Relative paths of certificates, keys and `${file:…}` start at the file's directory, `usage.path` at the working directory.

The file is read again when it changes and on SIGHUP. A file with a mistake, or with a change that needs a restart,
changes nothing; the log says why, and `/readyz` does to those who send the admin token.
";

/// The page as it is committed.
///
/// # Errors
/// Never in practice: writing to a string does not fail.
pub fn markdown() -> Result<String, std::fmt::Error> {
    let schema = schema::inlined();
    let mut page = INTRODUCTION.to_owned();
    write_sections(&mut page, "", &schema, &mut Vec::new())?;
    write_forms(&mut page)?;
    Ok(page)
}

/// Writes an object's fields as a table, then the objects among them, each as a section of its own. What `told` has already, with its
/// path, is referred to.
fn write_sections<'a>(
    page: &mut String,
    path: &str,
    object: &'a Value,
    told: &mut Vec<(String, &'a Value)>,
) -> std::fmt::Result {
    let title = if path.is_empty() { "The file" } else { path };
    write!(page, "\n## {}\n\n", code_unless(title, path.is_empty()))?;
    if !path.is_empty()
        && let Some(description) = object["description"].as_str()
    {
        write!(page, "{description}\n\n")?;
    }
    let is_same =
        |other: &Value| other["properties"] == object["properties"] && other["required"] == object["required"];
    if let Some((other, _)) = told.iter().find(|(_, other)| is_same(other)) {
        return writeln!(page, "Its fields are those of `{other}`.");
    }
    told.push((path.to_owned(), object));
    page.push_str("| Field | Type | Default | Meaning |\n| --- | --- | --- | --- |\n");
    let required: Vec<&str> = object["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut nested = Vec::new();
    for (name, field) in object["properties"].as_object().into_iter().flatten() {
        let default = match field.get("default") {
            Some(default) => format!("`{}`", plain(default)),
            None if required.contains(&name.as_str()) => "required".to_owned(),
            None => String::new(),
        };
        writeln!(
            page,
            "| `{name}` | {} | {default} | {} |",
            type_of(field),
            meaning(field)?
        )?;
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}.")
        };
        nested.extend(objects_in(format!("{prefix}{name}"), field));
    }
    nested
        .iter()
        .try_for_each(|(path, object)| write_sections(page, path, object, told))
}

/// Writes how single values are spelt: the titled texts of the schema.
fn write_forms(page: &mut String) -> std::fmt::Result {
    page.push_str("\n## How values are written\n\n| Type | Form | Examples |\n| --- | --- | --- |\n");
    let schema = schema::published();
    for form in schema["$defs"].as_object().into_iter().flat_map(Map::values) {
        if let (Some(title), "string") = (form["title"].as_str(), form["type"].as_str().unwrap_or_default()) {
            let description = form["description"].as_str().unwrap_or_default();
            writeln!(page, "| {title} | {} | {} |", in_cell(description), example_list(form))?;
        }
    }
    Ok(())
}

fn example_list(schema: &Value) -> String {
    let examples = schema["examples"].as_array().into_iter().flatten();
    let shown: Vec<String> = examples.map(|example| format!("`{}`", plain(example))).collect();
    shown.join(", ")
}

fn code_unless(text: &str, is_plain: bool) -> String {
    if is_plain { text.to_owned() } else { format!("`{text}`") }
}

/// The objects that a field holds, directly, in lists or as an alternative, each with its path.
fn objects_in(path: String, field: &Value) -> Vec<(String, &Value)> {
    if field["properties"].is_object() {
        return vec![(path, field)];
    }
    if let Some(branches) = field["anyOf"].as_array() {
        return branches
            .iter()
            .flat_map(|branch| objects_in(path.clone(), branch))
            .collect();
    }
    match field.get("items") {
        Some(items) => objects_in(format!("{path}[]"), items),
        None => Vec::new(),
    }
}

fn type_of(field: &Value) -> String {
    if let Some(items) = field.get("items") {
        return format!("list of {}", type_of(items));
    }
    if let Some(branches) = field["anyOf"].as_array() {
        return branches.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    if let Some(choices) = field["oneOf"].as_array() {
        let values: Vec<String> = choices
            .iter()
            .map(|choice| format!("`{}`", plain(&choice["const"])))
            .collect();
        return values.join(", ");
    }
    let noun = match (field["title"].as_str(), field["type"].as_str()) {
        (Some(title), Some("string")) => title,
        (_, Some("string")) => "text",
        (_, Some("integer")) => "whole number",
        (_, Some("boolean")) => "`true`, `false`",
        (_, Some(other)) => other,
        _ => "any",
    };
    noun.to_owned()
}

/// A field's description with the bounds and examples that the schema states.
fn meaning(field: &Value) -> Result<String, std::fmt::Error> {
    let mut text = field["description"].as_str().unwrap_or_default().to_owned();
    let bounds = [
        ("at least", field.get("minimum").or_else(|| field.get("minItems"))),
        ("more than", field.get("exclusiveMinimum")),
        ("at most", field.get("maximum").or_else(|| field.get("maxItems"))),
    ];
    let bounds: Vec<String> = bounds
        .iter()
        .filter_map(|(word, bound)| bound.map(|bound| format!("{word} {bound}")))
        .collect();
    if !bounds.is_empty() {
        text.push_str(&capitalised(&bounds.join(", ")));
    }
    for choice in field["oneOf"].as_array().into_iter().flatten() {
        if let Some(meaning) = choice["description"].as_str() {
            write!(text, "<br>`{}`: {meaning}", plain(&choice["const"]))?;
        }
    }
    // Titled texts are explained once, in the last section.
    if field["examples"].is_array() && field["title"].is_null() {
        write!(text, " Such as {}.", example_list(field))?;
    }
    Ok(in_cell(&text))
}

/// Text that a table cell can hold.
fn in_cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    format!(" {}{}.", first.collect::<String>(), letters.as_str())
}

/// A value as YAML shows it: text without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let fields: &Map<String, Value> = fields;
            let shown: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}: {}", plain(value)))
                .collect();
            format!("{{{}}}", shown.join(", "))
        }
        other => other.to_string(),
    }
}
