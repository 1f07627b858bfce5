//! A planned answer as a response object: whole, and as it is before it has any output.

use serde_json::{Value, json};

use crate::simulator::answer::{Answer, Finish};
use crate::simulator::responses::Asked;

/// How far a response has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has begun.
    InProgress,
    /// It is whole.
    Ended,
}

/// The response object.
pub fn response(answer: &Answer, asked: &Asked, stage: Stage) -> Value {
    let is_over = stage == Stage::Ended;
    let reason = cut_by(answer);
    let status = match (is_over, reason) {
        (false, _) => "in_progress",
        (true, Some(_)) => "incomplete",
        (true, None) => "completed",
    };
    let mut response = json!({
        "id": answer.id, "object": "response", "created_at": answer.created, "status": status, "background": false,
        "error": null, "incomplete_details": reason.filter(|_| is_over).map(|reason| json!({"reason": reason})),
        "model": answer.model, "output": if is_over { vec![item(answer, Stage::Ended)] } else { vec![] },
        "parallel_tool_calls": true, "reasoning": {"effort": null, "summary": null}, "temperature": 1.0, "top_p": 1.0,
        "truncation": "disabled", "usage": if is_over { usage(answer) } else { Value::Null }, "user": null, "metadata": {},
    });
    for (name, value) in &asked.repeated {
        response[name] = value.clone();
    }
    response
}

/// Its only item of output: a message, or a call.
pub fn item(answer: &Answer, stage: Stage) -> Value {
    let is_over = stage == Stage::Ended;
    let status = match (is_over, cut_by(answer)) {
        (false, _) => "in_progress",
        (true, Some(_)) => "incomplete",
        (true, None) => "completed",
    };
    let text = if is_over { text(answer) } else { String::new() };
    match answer.choices[0].tool_call() {
        Some((call, name)) => json!({
            "id": item_id(answer), "type": "function_call", "status": status, "call_id": call, "name": name, "arguments": text,
        }),
        None => json!({
            "id": item_id(answer), "type": "message", "status": status, "role": "assistant",
            "content": if is_over { vec![part(&text)] } else { vec![] },
        }),
    }
}

/// A message's part.
pub fn part(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

/// The item's id.
pub fn item_id(answer: &Answer) -> String {
    let prefix = if answer.choices[0].tool_call().is_some() {
        "fc"
    } else {
        "msg"
    };
    answer.id.replacen("resp", prefix, 1)
}

/// All that is said.
pub fn text(answer: &Answer) -> String {
    let mut text = String::new();
    answer.choices[0].write_text(0, answer.choices[0].tokens, &mut text);
    text
}

fn cut_by(answer: &Answer) -> Option<&'static str> {
    match answer.choices[0].finish {
        Finish::Length => Some("max_output_tokens"),
        Finish::ContentFilter => Some("content_filter"),
        Finish::Stop | Finish::ToolCalls => None,
    }
}

fn usage(answer: &Answer) -> Value {
    let (input, output) = (answer.prompt_tokens, answer.output_tokens());
    json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": answer.cached_tokens}, "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": input + output,
    })
}
