//! Writes a configuration of ours as YAML: what differs from the defaults, and a comment where a person has to look.
//!
//! The raw types serialise themselves. What they would write that the file need not say (fields without a value, and those that hold
//! their default, by the schema) is left out, and the result is read back by `config::load` before anybody gets it.

use std::collections::HashMap;

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::Value;
use serde_saphyr::Commented;

use crate::config::errors::Pointer;
use crate::config::raw::RawConfig;
use crate::config::schema;

/// A configuration that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Its values could not be told.
    #[error("cannot tell the configuration's values: {0}")]
    Values(#[from] serde_json::Error),
    /// They could not be written as YAML.
    #[error("cannot write the configuration as YAML: {0}")]
    Yaml(#[from] serde_saphyr::SerializeError),
}

/// The configuration as a file. `comments` stand behind the values that they are about; a `header` of comment lines comes first.
pub(super) fn text(raw: &RawConfig, comments: &HashMap<Pointer, String>, header: &str) -> Result<String, WriteError> {
    let mut value = serde_json::to_value(raw)?;
    strip(&mut value, &schema::inlined());
    let options = serde_saphyr::ser_options! {
        compact_list_indent: false,
        prefer_block_scalars: false,
    };
    let body = serde_saphyr::to_string_with_options(
        &Written {
            value: &value,
            at: Pointer::root(),
            comments,
        },
        options,
    )?;
    Ok(format!("{header}{body}"))
}

/// Takes out what says nothing: no value, the default, an object or list of nothing where that is the default.
fn strip(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            let required = |name: &str| {
                let names = schema["required"].as_array().into_iter().flatten();
                names.filter_map(Value::as_str).any(|required| required == name)
            };
            let names: Vec<String> = fields.keys().cloned().collect();
            for name in names {
                let Some(field) = fields.get_mut(&name) else { continue };
                let was_set = !field.is_null();
                // An object that was chosen says something even where it is empty, as `entra: {}` does.
                let is_choice = schema.get("maxProperties").is_some() && was_set;
                let schema = &schema["properties"][name.as_str()];
                strip(field, schema);
                let is_empty = match &*field {
                    Value::Null => true,
                    Value::Object(fields) => fields.is_empty() && !is_choice,
                    Value::Array(items) => items.is_empty(),
                    other => schema.get("default") == Some(other),
                };
                if is_empty && !required(&name) {
                    fields.shift_remove(&name);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strip(item, &schema["items"])),
        // Whole numbers look like it.
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0)
                && float.abs() < f64::from(u32::MAX)
            {
                *number = (float as i64).into();
            }
        }
        _ => {}
    }
}

/// A value on its way into the file.
struct Written<'a> {
    value: &'a Value,
    at: Pointer,
    comments: &'a HashMap<Pointer, String>,
}

impl Written<'_> {
    fn part<'a>(&'a self, value: &'a Value, at: Pointer) -> Written<'a> {
        Written {
            value,
            at,
            comments: self.comments,
        }
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, &self.part(value, self.at.key(name)))?;
                }
                map.end()
            }
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for (index, value) in items.iter().enumerate() {
                    list.serialize_element(&self.part(value, self.at.index(index)))?;
                }
                list.end()
            }
            scalar => match self.comments.get(&self.at) {
                Some(comment) => Commented(scalar, comment.clone()).serialize(serializer),
                None => scalar.serialize(serializer),
            },
        }
    }
}
