//! What does this request body ask for?
//!
//! Reads the few fields the simulator acts on and refuses what the service refuses; every other known field is
//! accepted and has no effect (`temperature`, `stop`, `logprobs`, ...). The prompt is flattened in the order in which
//! the service caches it: tools, output schema, messages.

use serde_json::{Map, Value};

use crate::simulator::document;
use crate::simulator::failure::Failure;
use crate::simulator::known_fields::known_fields;
use crate::simulator::responses;
use crate::simulator::tokens::BYTES_PER_TOKEN;

/// Most choices a request may ask for.
const MAX_CHOICES: u64 = 128;
/// Most inputs of one embeddings request, and messages of a chat.
const MAX_ITEMS: usize = 2_048;

/// An operation of the data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `chat/completions`.
    Chat,
    /// `completions`.
    Completions,
    /// `embeddings`.
    Embeddings,
    /// `responses`.
    Responses,
}

impl Operation {
    /// The operation's name in throttling messages.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Chat => "ChatCompletions_Create",
            Self::Completions => "Completions_Create",
            Self::Embeddings => "Embeddings_Create",
            Self::Responses => "Responses_Create",
        }
    }
}

/// What an answer has to be made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// Running text.
    Words,
    /// One JSON document, for `response_format`.
    Document(String),
    /// A call of this function with these arguments.
    ToolCall {
        /// Function name.
        name: String,
        /// Arguments, as JSON.
        arguments: String,
        /// Whether the request named the function; then the service ends with `stop`.
        named: bool,
    },
}

/// A request in the simulator's terms.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which operation.
    pub operation: Operation,
    /// Whether the answer is a stream.
    pub stream: bool,
    /// Whether a stream ends with usage.
    pub include_usage: bool,
    /// The canonical prompt.
    pub prompt: Vec<u8>,
    /// Separate prompts or inputs in it: 1 for chats.
    pub inputs: Vec<Vec<u8>>,
    /// Choices for each prompt.
    pub choices: u32,
    /// Output limit of each choice.
    pub output_limit: Option<u32>,
    /// What the answer is made of.
    pub form: Form,
    /// `prompt_cache_key`.
    pub prompt_cache_key: Option<String>,
    /// Embedding length asked for.
    pub dimensions: Option<u32>,
    /// Whether embeddings are wanted as base64 instead of numbers.
    pub base64: bool,
    /// What is particular to a response.
    pub response: Option<Box<responses::Asked>>,
}

impl Request {
    /// Tokens of the prompt.
    pub fn prompt_tokens(&self) -> u32 {
        u32::try_from(self.prompt.len().div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX)
    }

    /// Choices over all prompts.
    pub fn total_choices(&self) -> u32 {
        self.choices
            .saturating_mul(u32::try_from(self.inputs.len().max(1)).unwrap_or(u32::MAX))
    }
}

/// What the endpoint makes of fields.
#[derive(Debug, Clone, Copy)]
pub struct Strictness {
    /// Whether unknown fields are refused, as dated API versions do.
    pub refuse_unknown: bool,
    /// Whether `stream_options` is known.
    pub accepts_stream_options: bool,
}

/// Parses a body as a JSON object.
///
/// # Errors
/// 400 when it is not one.
pub fn parse_object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure::not_json())
}

/// Reads the fields of a request.
///
/// # Errors
/// 400 in the service's words.
pub fn read(operation: Operation, fields: &Map<String, Value>, strictness: Strictness) -> Result<Request, Failure> {
    let known = known_fields(operation);
    for name in fields.keys() {
        let refused = name == "stream_options" && !strictness.accepts_stream_options;
        if refused || (strictness.refuse_unknown && !known.contains(&name.as_str())) {
            return Err(Failure::unrecognized_argument(name));
        }
    }
    let stream = fields.get("stream").and_then(Value::as_bool).unwrap_or(false) && operation != Operation::Embeddings;
    if !stream && fields.get("stream_options").is_some_and(|options| !options.is_null()) {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Failure::invalid_request(message, Some("stream_options"), None));
    }
    let mut request = Request {
        operation,
        stream,
        include_usage: fields
            .get("stream_options")
            .and_then(|options| options["include_usage"].as_bool())
            .unwrap_or(false),
        prompt: Vec::new(),
        inputs: Vec::new(),
        choices: number(fields, "n", 1, MAX_CHOICES)?.unwrap_or(1),
        output_limit: output_limit(operation, fields)?,
        form: Form::Words,
        prompt_cache_key: fields
            .get("prompt_cache_key")
            .and_then(Value::as_str)
            .map(str::to_owned),
        dimensions: number(fields, "dimensions", 1, 4_096)?,
        base64: fields.get("encoding_format").and_then(Value::as_str) == Some("base64"),
        response: None,
    };
    match operation {
        Operation::Chat => read_chat(fields, &mut request)?,
        Operation::Completions => read_inputs(fields, "prompt", &mut request)?,
        Operation::Embeddings => read_inputs(fields, "input", &mut request)?,
        Operation::Responses => responses::read(fields, &mut request)?,
    }
    Ok(request)
}

fn read_chat(fields: &Map<String, Value>, request: &mut Request) -> Result<(), Failure> {
    let messages = fields.get("messages").filter(|value| !value.is_null());
    let messages = messages.ok_or_else(|| Failure::missing_parameter("messages"))?;
    let Some(messages) = messages.as_array().filter(|list| (1..=MAX_ITEMS).contains(&list.len())) else {
        let message = "Invalid 'messages': expected an array of 1 to 2048 messages.";
        return Err(Failure::invalid_request(
            message,
            Some("messages"),
            Some("invalid_type"),
        ));
    };
    for (index, message) in messages.iter().enumerate() {
        if message["role"].as_str().is_none() {
            let param = format!("messages[{index}].role");
            let text = format!("Missing required parameter: '{param}'.");
            return Err(Failure::invalid_request(
                &text,
                Some(&param),
                Some("missing_required_parameter"),
            ));
        }
    }
    let prompt = &mut request.prompt;
    for definitions in ["tools", "functions"] {
        if let Some(list) = fields.get(definitions).filter(|value| !value.is_null()) {
            push_json(prompt, list);
        }
    }
    let schema = fields
        .get("response_format")
        .map_or(&Value::Null, |format| &format["json_schema"]);
    if !schema.is_null() {
        push_json(prompt, schema);
    }
    for message in messages {
        push_message(prompt, message);
    }
    request.form = chat_form(fields)?;
    Ok(())
}

fn push_message(prompt: &mut Vec<u8>, message: &Value) {
    prompt.extend_from_slice(message["role"].as_str().unwrap_or_default().as_bytes());
    prompt.push(b'\n');
    match &message["content"] {
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
    for more in ["name", "tool_calls", "tool_call_id", "function_call"] {
        if !message[more].is_null() {
            push_json(prompt, &message[more]);
        }
    }
    prompt.push(b'\n');
}

/// Appends JSON to a prompt.
pub(super) fn push_json(prompt: &mut Vec<u8>, value: &Value) {
    // `Display` of a JSON value cannot fail, unlike its `Serialize` into a writer.
    prompt.extend_from_slice(value.to_string().as_bytes());
}

fn chat_form(fields: &Map<String, Value>) -> Result<Form, Failure> {
    let choice = fields.get("tool_choice").unwrap_or(&Value::Null);
    let named = choice["function"]["name"].as_str();
    if named.is_some() || choice.as_str() == Some("required") {
        let tools = fields
            .get("tools")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let tool = tools.iter().map(|tool| &tool["function"]).find(|function| match named {
            Some(name) => function["name"].as_str() == Some(name),
            None => function["name"].is_string(),
        });
        let Some(tool) = tool else {
            let message = "Invalid value for 'tool_choice': no such function in 'tools'.";
            return Err(Failure::invalid_request(message, Some("tool_choice"), None));
        };
        let name = tool["name"].as_str().unwrap_or_default().to_owned();
        return Ok(Form::ToolCall {
            name,
            arguments: document::example(&tool["parameters"]),
            named: named.is_some(),
        });
    }
    let format = fields.get("response_format").unwrap_or(&Value::Null);
    Ok(match format["type"].as_str() {
        Some("json_schema") => Form::Document(document::example(&format["json_schema"]["schema"])),
        Some("json_object") => Form::Document(document::example(&Value::Null)),
        _ => Form::Words,
    })
}

fn read_inputs(fields: &Map<String, Value>, name: &str, request: &mut Request) -> Result<(), Failure> {
    let value = fields
        .get(name)
        .filter(|value| !value.is_null())
        .ok_or_else(|| Failure::missing_parameter(name))?;
    request.inputs = match value {
        Value::String(text) => vec![text.as_bytes().to_vec()],
        Value::Array(list) if list.first().is_some_and(Value::is_number) => vec![token_bytes(list)],
        Value::Array(list) if (1..=MAX_ITEMS).contains(&list.len()) => list.iter().map(input_bytes).collect(),
        _ => {
            return Err(Failure::invalid_request(
                &format!("'$.{name}' is invalid. Please check the API reference."),
                None,
                None,
            ));
        }
    };
    if request.operation == Operation::Completions && u64::from(request.total_choices()) > MAX_CHOICES {
        return Err(Failure::invalid_request(
            "Too many prompts and choices.",
            Some(name),
            None,
        ));
    }
    request.prompt = request.inputs.concat();
    Ok(())
}

fn input_bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Array(list) => token_bytes(list),
        other => other.to_string().into_bytes(),
    }
}

/// Token ids as so many bytes that each counts as one token.
fn token_bytes(tokens: &[Value]) -> Vec<u8> {
    tokens
        .iter()
        .flat_map(|token| (token.as_u64().unwrap_or_default() as u32).to_be_bytes())
        .collect()
}

fn output_limit(operation: Operation, fields: &Map<String, Value>) -> Result<Option<u32>, Failure> {
    let most = u64::from(u32::MAX);
    let named = match number(fields, "max_completion_tokens", 1, most)? {
        Some(limit) => Some(limit),
        None => number(fields, "max_tokens", 1, most)?,
    };
    // Legacy completions stop at 16 tokens unless told otherwise.
    Ok(named.or((operation == Operation::Completions).then_some(16)))
}

/// A number of this name, within bounds.
///
/// # Errors
/// 400 where it is something else.
pub(super) fn number(fields: &Map<String, Value>, name: &str, least: u64, most: u64) -> Result<Option<u32>, Failure> {
    let Some(value) = fields.get(name).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let number = value.as_u64().filter(|number| (least..=most).contains(number));
    let number = number.and_then(|number| u32::try_from(number).ok());
    let wrong = || {
        Failure::invalid_request(
            &format!("Invalid value for '{name}': {value} is not in range."),
            Some(name),
            None,
        )
    };
    number.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
