//! A JSON document that fits a schema, for forced tool calls and structured output.
//!
//! Fills the properties a schema requires with plain values of their types, nested objects included; enums give their first
//! value. It does not validate, and constraints such as patterns or ranges are not met.

use serde_json::{Map, Value, json};

/// Levels of objects followed.
const MAX_DEPTH: u32 = 8;

/// The document, as JSON text; `{"answer":"..."}` where the schema asks for nothing.
pub fn example(schema: &Value) -> String {
    match filled(schema, 0) {
        Value::Object(fields) if fields.is_empty() && !schema["properties"].is_object() => {
            json!({ "answer": "simulated" }).to_string()
        }
        value => value.to_string(),
    }
}

fn filled(schema: &Value, depth: u32) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("string") => json!("simulated"),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ if depth >= MAX_DEPTH => json!({}),
        _ => {
            let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
            let names = required.iter().filter_map(Value::as_str);
            let fields = names.map(|name| (name.to_owned(), filled(&schema["properties"][name], depth + 1)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_properties_are_filled_by_type() {
        let schema = json!({"type": "object", "required": ["city", "days", "unit"], "properties": {
            "city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}, "more": {"type": "string"},
        }});
        assert_eq!(example(&schema), r#"{"city":"simulated","days":1,"unit":"C"}"#);
        assert_eq!(example(&Value::Null), r#"{"answer":"simulated"}"#);
    }
}
