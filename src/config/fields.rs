//! Every text of a document, with whether it is a secret: by the schema, and by its name where the schema does not know it.

use serde_json::Value;

use crate::config::document::Document;
use crate::config::errors::Pointer;
use crate::config::schema;

/// Words in the names of fields that hold secrets.
const WORDS: [&str; 6] = ["key", "token", "secret", "password", "authorization", "credential"];

/// A text, or a number as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// Where it stands.
    pub(super) at: Pointer,
    /// What it says.
    pub(super) text: String,
    /// Whether it is, or refers to, a secret.
    pub(super) is_secret: bool,
}

/// All of a document's, in its order.
pub(super) fn fields(document: &Document) -> Vec<Field> {
    let mut found = Vec::new();
    let root = schema::inlined();
    walk(&document.value, &[&root], &Pointer::root(), false, &mut found);
    found
}

/// Whether a field's name sounds as if it held a secret.
pub(super) fn sounds_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// `schemas` are those that the value may be of; none where nobody knows its field. What is in a secret is one.
fn walk(value: &Value, schemas: &[&Value], at: &Pointer, in_secret: bool, found: &mut Vec<Field>) {
    let kept = in_secret || is_secret(schemas, at);
    let text = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let known = each(schemas, &|schema| member(schema, name));
                walk(value, &known, &at.key(name), kept, found);
            }
            return;
        }
        Value::Array(items) => {
            for (position, value) in items.iter().enumerate() {
                let known = each(schemas, &|schema| schema.get("items"));
                walk(value, &known, &at.index(position), kept, found);
            }
            return;
        }
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) => return,
    };
    found.push(Field {
        at: at.clone(),
        text,
        is_secret: kept,
    });
}

/// The schema of an object's field: its own, or that of the fields which may have any name.
fn member<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let any = || schema.get("additionalProperties").filter(|schema| schema.is_object());
    schema["properties"].get(name).or_else(any)
}

/// A part of each schema and of its alternatives.
fn each<'a>(schemas: &[&'a Value], part: &dyn Fn(&'a Value) -> Option<&'a Value>) -> Vec<&'a Value> {
    let mut parts = Vec::new();
    for schema in schemas {
        parts.extend(part(schema));
        for alternatives in ["anyOf", "oneOf"] {
            let branches: Vec<&Value> = schema[alternatives].as_array().into_iter().flatten().collect();
            if !branches.is_empty() {
                parts.extend(each(&branches, part));
            }
        }
    }
    parts
}

fn is_secret(schemas: &[&Value], at: &Pointer) -> bool {
    if schemas.is_empty() {
        // Items of a list and fields of an object are named by what they are in, too.
        return at.steps().any(|step| sounds_secret(&step));
    }
    let mut marked = each(schemas, &|schema| schema.get("writeOnly")).into_iter();
    marked.any(|marked| *marked == true)
}
