//! Responses: what a body asks for, and what is kept so that a later one can continue it.
//!
//! The prompt is flattened as for chats: tools, format, instructions, then the conversation. Of a response that is continued only
//! the conversation counts, as documented: instructions are those of the new request. Not simulated: reading, deleting and
//! cancelling a response, background mode, conversations, and tools of the service's own.

pub mod book;
pub mod shape;
pub mod stream;

use serde_json::{Map, Value};

use crate::simulator::document;
use crate::simulator::failure::Failure;
use crate::simulator::request::{Form, Request, number, push_json};

/// What is particular to a response.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Bytes of the prompt before the conversation.
    pub head_bytes: usize,
    /// `previous_response_id`.
    pub continues: Option<String>,
    /// Whether it may be continued itself.
    pub store: bool,
    /// `instructions`, `tools`, `tool_choice`, `text` and `max_output_tokens`, which the response repeats.
    pub repeated: Map<String, Value>,
}

/// Members that a response repeats, with what stands there where the request has none.
fn repeated(fields: &Map<String, Value>) -> Map<String, Value> {
    let usual = [
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("previous_response_id", Value::Null),
        ("store", Value::Bool(true)),
        ("text", serde_json::json!({"format": {"type": "text"}})),
        ("tool_choice", Value::from("auto")),
        ("tools", serde_json::json!([])),
    ];
    let of = |(name, usual): (&str, Value)| {
        let sent = fields.get(name).filter(|value| !value.is_null());
        (name.to_owned(), sent.cloned().unwrap_or(usual))
    };
    usual.into_iter().map(of).collect()
}

/// Reads what is particular to a response into the request.
///
/// # Errors
/// 400 in the service's words.
pub fn read(fields: &Map<String, Value>, request: &mut Request) -> Result<(), Failure> {
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let input = given("input").ok_or_else(|| Failure::missing_parameter("input"))?;
    request.output_limit = number(fields, "max_output_tokens", 1, u64::from(u32::MAX))?;
    let prompt = &mut request.prompt;
    if let Some(tools) = given("tools") {
        push_json(prompt, tools);
    }
    let format = given("text").map_or(&Value::Null, |text| &text["format"]);
    if format["type"] == "json_schema" {
        push_json(prompt, format);
    }
    if let Some(instructions) = given("instructions") {
        push_turn(prompt, "system", instructions);
    }
    let head_bytes = prompt.len();
    match input {
        Value::String(_) => push_turn(prompt, "user", input),
        Value::Array(items) if !items.is_empty() => items.iter().for_each(|item| push_item(prompt, item)),
        _ => {
            let message = "Invalid type for 'input': expected a string or a list of items.";
            return Err(Failure::invalid_request(message, Some("input"), Some("invalid_type")));
        }
    }
    request.form = form(fields, format)?;
    request.response = Some(Box::new(Asked {
        head_bytes,
        continues: given("previous_response_id").and_then(Value::as_str).map(str::to_owned),
        store: given("store").and_then(Value::as_bool).unwrap_or(true),
        repeated: repeated(fields),
    }));
    Ok(())
}

/// An item of the input: a message, or anything else as it is.
fn push_item(prompt: &mut Vec<u8>, item: &Value) {
    match item["role"].as_str() {
        Some(role) => push_turn(prompt, role, &item["content"]),
        None => push_json(prompt, item),
    }
}

fn push_turn(prompt: &mut Vec<u8>, role: &str, content: &Value) {
    prompt.extend_from_slice(role.as_bytes());
    prompt.push(b'\n');
    match content {
        Value::String(text) => prompt.extend_from_slice(text.as_bytes()),
        Value::Array(parts) => {
            for part in parts {
                match part["text"].as_str() {
                    Some(text) => prompt.extend_from_slice(text.as_bytes()),
                    None => push_json(prompt, part),
                }
            }
        }
        _ => {}
    }
    prompt.push(b'\n');
}

fn form(fields: &Map<String, Value>, format: &Value) -> Result<Form, Failure> {
    let choice = fields.get("tool_choice").unwrap_or(&Value::Null);
    let named = choice["name"].as_str();
    if named.is_some() || choice.as_str() == Some("required") {
        let tools = fields.get("tools").and_then(Value::as_array);
        let mut tools = tools.into_iter().flatten();
        let fits = |tool: &&Value| match named {
            Some(name) => tool["name"].as_str() == Some(name),
            None => tool["name"].is_string(),
        };
        let Some(tool) = tools.find(fits) else {
            let message = "Invalid value for 'tool_choice': no such function in 'tools'.";
            return Err(Failure::invalid_request(message, Some("tool_choice"), None));
        };
        return Ok(Form::ToolCall {
            name: tool["name"].as_str().unwrap_or_default().to_owned(),
            arguments: document::example(&tool["parameters"]),
            named: named.is_some(),
        });
    }
    Ok(match format["type"].as_str() {
        Some("json_schema") => Form::Document(document::example(&format["schema"])),
        Some("json_object") => Form::Document(document::example(&Value::Null)),
        _ => Form::Words,
    })
}

#[cfg(test)]
mod tests;
