//! What bodies come to, and responses member by member and event by event.

use serde_json::json;

use super::*;
use crate::simulator::answer::{Answer, Circumstances, plan};
use crate::simulator::failure::FailureBody;
use crate::simulator::filters::Verdict;
use crate::simulator::request::{Operation, Strictness, read as read_request};
use crate::simulator::responses::shape::{Stage, response};
use crate::simulator::responses::stream::ResponseScript;
use crate::simulator::settings::EngineSettings;

const DATED: Strictness = Strictness {
    refuse_unknown: true,
    accepts_stream_options: true,
};

fn asked(body: &Value) -> Result<Request, Failure> {
    read_request(Operation::Responses, body.as_object().unwrap(), DATED)
}

fn answered(body: &Value, verdict: Verdict) -> (Answer, Asked) {
    let request = asked(body).unwrap();
    let facts = Circumstances {
        seed: 1,
        number: 7,
        created: 1_800_000_000,
        model: "m",
        cached_tokens: 3,
    };
    let answer = plan(&request, verdict, &EngineSettings::default(), &facts);
    (answer, *request.response.unwrap())
}

fn whole(body: &Value) -> Value {
    let (answer, asked) = answered(body, Verdict::Safe);
    response(&answer, &asked, Stage::Ended)
}

fn events(body: &Value) -> Vec<Value> {
    let (answer, asked) = answered(body, Verdict::Safe);
    let script = ResponseScript::new(answer, asked, 4);
    let read = |event: crate::simulator::stream::Event| {
        let text = String::from_utf8(event.data.to_vec()).unwrap();
        let (field, data) = text.trim_end().split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(field.strip_prefix("event: ").unwrap(), data["type"]);
        data
    };
    script.map(read).collect()
}

#[test]
fn the_prompt_is_what_is_cached_in_this_order() {
    let body = json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "c"}]}, {"type": "item_reference", "id": "x"}],
        "instructions": "b", "tools": [{"type": "function", "name": "a"}]});
    let request = asked(&body).unwrap();
    let prompt = String::from_utf8(request.prompt).unwrap();
    assert_eq!(
        prompt,
        "[{\"type\":\"function\",\"name\":\"a\"}]system\nb\nuser\nc\n{\"type\":\"item_reference\",\"id\":\"x\"}"
    );
    let head = request.response.unwrap().head_bytes;
    assert!(prompt[head..].starts_with("user"), "{}", &prompt[head..]);
    let texts = asked(&json!({"input": "c"})).unwrap().prompt;
    assert_eq!(
        texts,
        asked(&json!({"input": [{"role": "user", "content": "c"}]}))
            .unwrap()
            .prompt
    );
}

#[test]
fn the_service_refuses_what_it_does_not_understand() {
    for (body, expect) in [
        (json!({}), "Missing required parameter: 'input'."),
        (json!({"input": []}), "Invalid type for 'input'"),
        (json!({"input": 7}), "Invalid type for 'input'"),
        (
            json!({"input": "x", "messages": []}),
            "Unrecognized request argument supplied: messages",
        ),
        (
            json!({"input": "x", "max_output_tokens": 0}),
            "Invalid value for 'max_output_tokens'",
        ),
        (json!({"input": "x", "tool_choice": "required"}), "tool_choice"),
    ] {
        let FailureBody::Json(error) = asked(&body).unwrap_err().body else {
            panic!("not JSON: {body}");
        };
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(expect), "{body}: {message}");
    }
}

#[test]
fn a_whole_response_has_the_documented_members() {
    let body = whole(&json!({"input": "hello", "instructions": "be kind", "store": false}));
    assert_eq!(
        (&body["object"], &body["status"], &body["instructions"], &body["store"]),
        (
            &json!("response"),
            &json!("completed"),
            &json!("be kind"),
            &json!(false)
        )
    );
    assert!(body["id"].as_str().unwrap().starts_with("resp_"));
    let message = &body["output"][0];
    assert_eq!(
        (&message["type"], &message["role"]),
        (&json!("message"), &json!("assistant"))
    );
    let words = message["content"][0]["text"].as_str().unwrap().split(' ').count();
    let usage = &body["usage"];
    assert_eq!(usage["output_tokens"], words);
    assert_eq!(usage["input_tokens_details"]["cached_tokens"], 3);
    assert_eq!(
        usage["total_tokens"],
        usage["input_tokens"].as_u64().unwrap() + usage["output_tokens"].as_u64().unwrap()
    );
}

#[test]
fn a_response_that_is_cut_says_by_what() {
    let body = whole(&json!({"input": "hello", "max_output_tokens": 2}));
    assert_eq!(
        (&body["status"], &body["usage"]["output_tokens"]),
        (&json!("incomplete"), &json!(2))
    );
    assert_eq!(body["incomplete_details"]["reason"], "max_output_tokens");
    let (answer, asked) = answered(&json!({"input": "hello"}), Verdict::Answer);
    let body = response(&answer, &asked, Stage::Ended);
    assert_eq!(body["incomplete_details"]["reason"], "content_filter");
}

#[test]
fn events_come_in_order_and_add_up() {
    let events = events(&json!({"input": "hello"}));
    let mut kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let text: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    let last = &events.last().unwrap()["response"];
    assert_eq!(last["output"][0]["content"][0]["text"], text);
    assert_eq!(last, &whole(&json!({"input": "hello"})));
    assert_eq!(
        (&events[0]["response"]["status"], &events[0]["response"]["usage"]),
        (&json!("in_progress"), &Value::Null)
    );
    assert_eq!(events[0]["response"]["id"], last["id"]);
}

#[test]
fn a_forced_tool_is_called() {
    let tools = json!([{"type": "function", "name": "weather", "parameters": {
        "type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}}]);
    for choice in [json!("required"), json!({"type": "function", "name": "weather"})] {
        let body = json!({"input": "hello", "tools": tools, "tool_choice": choice});
        let call = &whole(&body)["output"][0];
        assert_eq!(
            (&call["type"], &call["name"]),
            (&json!("function_call"), &json!("weather"))
        );
        assert_eq!(call["arguments"], r#"{"city":"simulated"}"#);
        let events = events(&body);
        let arguments: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
        assert_eq!(call["arguments"], arguments);
    }
    let format = json!({"input": "x", "text": {"format": {"type": "json_object"}}});
    assert_eq!(
        whole(&format)["output"][0]["content"][0]["text"],
        r#"{"answer":"simulated"}"#
    );
}
