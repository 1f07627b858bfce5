//! The order, the members and the times of stream events.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::simulator::answer::{Circumstances, plan};
use crate::simulator::filters::Verdict;
use crate::simulator::request::{Strictness, read};
use crate::simulator::settings::EngineSettings;

fn script(operation: Operation, body: &Value, spec: StreamSpec, verdict: Verdict) -> Script {
    let strictness = Strictness {
        refuse_unknown: true,
        accepts_stream_options: true,
    };
    let request = read(operation, body.as_object().unwrap(), strictness).unwrap();
    let facts = Circumstances {
        seed: 1,
        number: 7,
        created: 1_800_000_000,
        model: "m",
        cached_tokens: 0,
    };
    let answer = plan(&request, verdict, &EngineSettings::default(), &facts);
    Script::new(answer, spec, request.include_usage)
}

/// The events as JSON, without `[DONE]`, which must come last and once.
fn events(script: Script) -> Vec<Value> {
    let mut texts: Vec<String> = script
        .map(|event| String::from_utf8(event.data.to_vec()).unwrap())
        .collect();
    assert_eq!(texts.pop().as_deref(), Some("data: [DONE]\n\n"));
    let json = |text: String| {
        let body = text
            .strip_prefix("data: ")
            .and_then(|text| text.strip_suffix("\n\n"))
            .unwrap();
        assert!(!body.contains('\n'));
        serde_json::from_str(body).unwrap()
    };
    texts.into_iter().map(json).collect()
}

/// What an event is, in a word.
fn kind(event: &Value) -> &'static str {
    let choice = &event["choices"][0];
    if event.get("prompt_filter_results").is_some() {
        assert_eq!((&event["id"], &event["created"]), (&json!(""), &json!(0)));
        "prompt"
    } else if choice.is_null() {
        assert!(event["usage"].is_object());
        "usage"
    } else if choice.get("content_filter_offsets").is_some() {
        assert!(choice.get("delta").is_none());
        "annotation"
    } else if choice["finish_reason"].is_string() {
        "finish"
    } else if choice["delta"]["role"].is_string() {
        "role"
    } else {
        "text"
    }
}

fn kinds(script: Script) -> Vec<&'static str> {
    let mut kinds: Vec<_> = events(script).iter().map(kind).collect();
    kinds.dedup();
    kinds
}

fn body(more: &Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "hello"}], "stream": true});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

const WITH_USAGE: &str = "stream_options";

#[test]
fn events_come_in_azures_order() {
    let plain = StreamSpec::default();
    let asynchronous = StreamSpec {
        async_filter: true,
        ..plain
    };
    let usage = json!({WITH_USAGE: {"include_usage": true}});
    let chat = |more: &Value, spec| kinds(script(Operation::Chat, &body(more), spec, Verdict::Safe));
    assert_eq!(chat(&json!({}), plain), ["prompt", "role", "text", "finish"]);
    assert_eq!(chat(&usage, plain), ["prompt", "role", "text", "finish", "usage"]);
    let few = json!({"max_tokens": 9, WITH_USAGE: {"include_usage": true}});
    assert_eq!(
        chat(&few, asynchronous),
        [
            "prompt",
            "role",
            "text",
            "annotation",
            "text",
            "finish",
            "annotation",
            "usage"
        ]
    );
    let legacy = json!({"prompt": "a", "stream": true});
    assert_eq!(
        kinds(script(Operation::Completions, &legacy, plain, Verdict::Safe)),
        ["prompt", "text", "finish"]
    );
}

#[test]
fn usage_is_null_on_all_events_but_the_last_and_absent_when_not_asked_for() {
    let usage = body(&json!({WITH_USAGE: {"include_usage": true}}));
    let all = events(script(Operation::Chat, &usage, StreamSpec::default(), Verdict::Safe));
    let (last, others) = all.split_last().unwrap();
    assert!(last["usage"]["total_tokens"].is_u64());
    assert!(others.iter().all(|event| event.get("usage") == Some(&Value::Null)));
    let without = events(script(
        Operation::Chat,
        &body(&json!({})),
        StreamSpec::default(),
        Verdict::Safe,
    ));
    assert!(without.iter().all(|event| event.get("usage").is_none()));
}

#[test]
fn a_tool_call_streams_its_arguments() {
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}}}]);
    let all = events(script(
        Operation::Chat,
        &body(&json!({"tools": tools, "tool_choice": "required"})),
        StreamSpec::default(),
        Verdict::Safe,
    ));
    let call = |event: &Value| event["choices"][0]["delta"]["tool_calls"][0]["function"].clone();
    assert_eq!(call(&all[1])["name"], "weather");
    let arguments: String = all
        .iter()
        .filter_map(|event| call(event)["arguments"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(arguments, r#"{"city":"simulated"}"#);
    assert_eq!(all.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn a_filtered_answer_says_so_at_its_end() {
    let all = events(script(
        Operation::Chat,
        &body(&json!({})),
        StreamSpec::default(),
        Verdict::Answer,
    ));
    let last = &all.last().unwrap()["choices"][0];
    assert_eq!(last["finish_reason"], "content_filter");
    assert_eq!(last["content_filter_results"]["hate"]["filtered"], true);
}

proptest! {
    #[test]
    fn a_stream_says_what_the_whole_answer_says(n in 1_u32..4, limit in 1_u32..60, per_chunk in 1_u32..9, async_filter: bool) {
        let body = body(&json!({"n": n, "max_tokens": limit}));
        let script = script(Operation::Chat, &body, StreamSpec { tokens_per_chunk: per_chunk, async_filter }, Verdict::Safe);
        let whole: Value = serde_json::from_str(&script.answer().to_json()).unwrap();
        let mut texts = vec![String::new(); n as usize];
        let mut finished = 0;
        for event in events(script) {
            let choice = &event["choices"][0];
            if let (Some(index), Some(text)) = (choice["index"].as_u64(), choice["delta"]["content"].as_str()) {
                texts[index as usize].push_str(text);
            }
            finished += usize::from(choice["finish_reason"].is_string());
        }
        prop_assert_eq!(finished, n as usize);
        for (index, text) in texts.iter().enumerate() {
            prop_assert_eq!(whole["choices"][index]["message"]["content"].as_str().unwrap(), text);
        }
    }

    #[test]
    fn events_are_due_in_the_order_in_which_they_come(limit in 1_u32..60, per_chunk in 1_u32..9, async_filter: bool) {
        let body = body(&json!({"max_tokens": limit}));
        let script = script(Operation::Chat, &body, StreamSpec { tokens_per_chunk: per_chunk, async_filter }, Verdict::Safe);
        let due: Vec<u32> = script.map(|event| event.due_token).collect();
        prop_assert!(due.is_sorted(), "{:?}", due);
        prop_assert!(*due.last().unwrap() < limit);
    }
}
