//! Whole answers, member by member.

use serde_json::{Value, json};

use super::*;
use crate::simulator::request::{Strictness, read};

fn answer(operation: Operation, body: &Value, verdict: Verdict) -> Answer {
    let strictness = Strictness {
        refuse_unknown: true,
        accepts_stream_options: true,
    };
    let request = read(operation, body.as_object().unwrap(), strictness).unwrap();
    let facts = Circumstances {
        seed: 1,
        number: 7,
        created: 1_800_000_000,
        model: "m\"1",
        cached_tokens: 0,
    };
    plan(&request, verdict, &EngineSettings::default(), &facts)
}

fn chat(more: &Value) -> Answer {
    let mut body = json!({"messages": [{"role": "user", "content": "hello"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    answer(Operation::Chat, &body, Verdict::Safe)
}

fn parsed(answer: &Answer) -> Value {
    serde_json::from_str(&answer.to_json()).unwrap()
}

#[test]
fn a_whole_answer_has_the_documented_members() {
    let body = parsed(&chat(&json!({})));
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "m\"1");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["choices"][0]["content_filter_results"]["hate"]["severity"], "safe");
    assert_eq!(
        body["prompt_filter_results"][0]["content_filter_results"]["jailbreak"]["detected"],
        false
    );
    let usage = &body["usage"];
    assert_eq!(
        usage["total_tokens"],
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap()
    );
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 0);
    let words = body["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .split(' ')
        .count() as u64;
    assert_eq!(usage["completion_tokens"], words);
}

#[test]
fn a_limit_ends_it_with_length() {
    for limit in ["max_tokens", "max_completion_tokens"] {
        let body = parsed(&chat(&json!({limit: 5})));
        assert_eq!(body["choices"][0]["finish_reason"], "length");
        assert_eq!(body["usage"]["completion_tokens"], 5);
    }
}

#[test]
fn choices_differ_and_the_same_prompt_repeats() {
    let body = parsed(&chat(&json!({"n": 3})));
    let texts: Vec<&str> = (0..3)
        .map(|n| body["choices"][n]["message"]["content"].as_str().unwrap())
        .collect();
    assert!(texts[0] != texts[1] && texts[1] != texts[2]);
    assert_eq!(parsed(&chat(&json!({"n": 3})))["choices"], body["choices"]);
}

#[test]
fn a_forced_tool_is_called() {
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}}}]);
    for (choice, finish) in [
        (json!("required"), "tool_calls"),
        (json!({"type": "function", "function": {"name": "weather"}}), "stop"),
    ] {
        let body = parsed(&chat(&json!({"tools": tools, "tool_choice": choice})));
        let call = &body["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["function"]["name"], "weather");
        assert_eq!(call["function"]["arguments"], r#"{"city":"simulated"}"#);
        assert_eq!(body["choices"][0]["finish_reason"], finish);
    }
    assert!(parsed(&chat(&json!({"tools": tools})))["choices"][0]["message"]["content"].is_string());
}

#[test]
fn structured_output_is_a_document() {
    let body = parsed(&chat(&json!({"response_format": {"type": "json_object"}})));
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(text, r#"{"answer":"simulated"}"#);
}

#[test]
fn a_filtered_answer_is_cut() {
    let body = json!({"messages": [{"role": "user", "content": "hello"}]});
    let body = parsed(&answer(Operation::Chat, &body, Verdict::Answer));
    assert_eq!(body["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(body["choices"][0]["content_filter_results"]["hate"]["filtered"], true);
}

#[test]
fn legacy_completions_answer_each_prompt_with_16_tokens() {
    let body = parsed(&answer(
        Operation::Completions,
        &json!({"prompt": ["a", "b"], "n": 2}),
        Verdict::Safe,
    ));
    assert_eq!(body["object"], "text_completion");
    assert_eq!(body["choices"].as_array().unwrap().len(), 4);
    assert_eq!(body["usage"]["completion_tokens"], 64);
    assert_eq!(body["prompt_filter_results"].as_array().unwrap().len(), 2);
    assert!(body["choices"][3]["text"].is_string());
}
