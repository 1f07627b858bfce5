//! Bodies the service refuses, and what it makes of the others.

use serde_json::json;

use super::*;

const DATED: Strictness = Strictness {
    refuse_unknown: true,
    accepts_stream_options: true,
};

fn chat(body: &Value) -> Result<Request, Failure> {
    read(Operation::Chat, body.as_object().unwrap(), DATED)
}

fn refused(body: &Value) -> String {
    match chat(body).unwrap_err().body {
        crate::simulator::failure::FailureBody::Json(body) => body["error"]["message"].as_str().unwrap().to_owned(),
        crate::simulator::failure::FailureBody::Html(page) => page.to_owned(),
    }
}

#[test]
fn the_service_refuses_what_it_does_not_understand() {
    let hello = json!([{"role": "user", "content": "hi"}]);
    for (body, expect) in [
        (json!({}), "Missing required parameter: 'messages'."),
        (json!({"messages": []}), "Invalid 'messages'"),
        (json!({"messages": [{"content": "x"}]}), "messages[0].role"),
        (
            json!({"messages": hello, "top_k": 3}),
            "Unrecognized request argument supplied: top_k",
        ),
        (json!({"messages": hello, "n": 0}), "Invalid value for 'n'"),
        (
            json!({"messages": hello, "stream_options": {"include_usage": true}}),
            "only allowed when 'stream'",
        ),
        (json!({"messages": hello, "tool_choice": "required"}), "tool_choice"),
    ] {
        let message = refused(&body);
        assert!(message.contains(expect), "{message}");
    }
}

#[test]
fn stream_options_can_be_unknown() {
    let body = json!({"messages": [{"role": "user", "content": "x"}], "stream": true, "stream_options": null});
    let strictness = Strictness {
        refuse_unknown: false,
        accepts_stream_options: false,
    };
    let refused = read(Operation::Chat, body.as_object().unwrap(), strictness).unwrap_err();
    assert_eq!(refused, Failure::unrecognized_argument("stream_options"));
}

#[test]
fn a_null_model_and_text_parts_are_accepted() {
    let whole = chat(&json!({"model": null, "messages": [{"role": "user", "content": "one two"}]})).unwrap();
    let parts = json!([{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]);
    let parts = chat(&json!({"messages": [{"role": "user", "content": parts}]})).unwrap();
    assert_eq!(whole.prompt, parts.prompt);
}

#[test]
fn tools_come_before_messages_in_the_prompt() {
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {}}}]);
    let request = chat(&json!({"messages": [{"role": "user", "content": "later"}], "tools": tools})).unwrap();
    assert!(request.prompt.starts_with(b"[{\"type\":\"function\""));
    assert!(request.prompt.ends_with(b"user\nlater\n"));
}

#[test]
fn inputs_may_be_text_lists_or_tokens() {
    for (input, count, tokens) in [
        (json!("four"), 1, 1),
        (json!(["four", "five"]), 2, 2),
        (json!([1, 2, 3]), 1, 3),
        (json!([[1, 2], [3]]), 2, 3),
    ] {
        let body = json!({"input": input});
        let request = read(Operation::Embeddings, body.as_object().unwrap(), DATED).unwrap();
        assert_eq!(
            (request.inputs.len(), request.prompt_tokens()),
            (count, tokens),
            "{body}"
        );
    }
}
