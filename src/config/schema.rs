//! The JSON Schema of the configuration file, generated from `config::raw`.
//!
//! Two forms of the same schema: the published one shares definitions by `$ref`, which editors and people read
//! well; the one the checker uses is written out in full, so that a field's own schema can be looked up by path.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use crate::config::raw::RawConfig;

/// The schema for editors and for `emberway schema` (draft 2020-12).
pub fn published() -> Value {
    generate(false)
}

/// The published schema as text, ending in a line end, as it is committed.
pub fn published_text() -> String {
    format!("{:#}\n", published())
}

/// The schema without references.
pub(super) fn inlined() -> Value {
    generate(true)
}

fn generate(inline: bool) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = inline;
        settings.transforms.push(Box::new(RecursiveTransform(tidy)));
    });
    settings.into_generator().into_root_schema_for::<RawConfig>().into()
}

/// Makes optional mean "may be left out", not "may be null" (a key without a value is a mistake in YAML), and
/// drops what only Rust cares about.
fn tidy(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
        branches.retain(|branch| branch.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = branches.as_mut_slice() {
            let only = std::mem::take(only);
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
    if object
        .get("default")
        .is_some_and(|default| default.is_null() || default.is_object() || *default == Value::Array(Vec::new()))
    {
        object.remove("default");
    }
    // Rust's integer widths; the ranges that hold are in `minimum` and `maximum`.
    if object.get("format").is_some_and(|format| format != "date-time") {
        object.remove("format");
    }
}
