//! Bodies in all forms that clients send, and those that are refused.

use super::*;

#[test]
fn reads_the_members_it_needs_and_their_places() {
    let body = br#"{ "model" : "gpt", "stream":true,"messages":[{"role":"user","content":"x"}], "new": 1e400 }"#;
    let request = parse(body).expect("valid");
    assert_eq!(request.model.as_deref(), Some("gpt"));
    assert_eq!(&body[request.model_at.expect("there")], br#""gpt""#);
    assert!(request.stream);
    assert_eq!(request.stream_options, StreamOptions::Absent);
    assert_eq!(request.prompt, ["", "", r#"[{"role":"user","content":"x"}]"#]);
    assert_eq!(body[request.closing_at], b'}');
    assert!(!request.is_empty);
}

#[test]
fn a_null_model_is_absent_but_has_a_place() {
    let request = parse(br#"{"model":null}"#).expect("valid");
    assert_eq!(request.model, None);
    assert_eq!(request.model_at, Some(9..13));
}

#[test]
fn refusals_say_what_is_wrong_and_where() {
    let refused = |body: &str| parse(body.as_bytes()).expect_err("refused");
    let wrong = refused(r#"{"messages":[],"model":3}"#);
    assert_eq!(
        (wrong.to_string().as_str(), wrong.member()),
        ("`model` must be a string", Some("model"))
    );
    assert_eq!(
        refused(r#"{"stream":"yes"}"#).to_string(),
        "`stream` must be true or false"
    );
    assert_eq!(
        refused(r#"{"stream_options":[]}"#).to_string(),
        "`stream_options` must be an object"
    );
    let twice = refused(r#"{"model":"a","model":"b"}"#).to_string();
    assert!(twice.contains("duplicate field `model` at line 1 column"), "{twice}");
    assert!(matches!(refused("[1]"), RequestError::NotAnObject));
    for broken in ["", "{\"model\":", "{\"a\":1}}", "{a:1}"] {
        assert!(matches!(refused(broken), RequestError::NotJson(_)), "{broken}");
    }
}

#[test]
fn what_could_only_be_fetched_by_its_id_is_not_served() {
    let check = |body: &str, operation| parse(body.as_bytes()).expect("valid").check_served(operation);
    let refused = check(r#"{"background":true}"#, WireOperation::Responses).expect_err("refused");
    assert_eq!(refused.member(), Some("background"));
    assert!(refused.to_string().contains("ask for a stream"), "{refused}");
    for body in [r#"{"background":false}"#, r#"{"background":null}"#, "{}"] {
        assert!(check(body, WireOperation::Responses).is_ok(), "{body}");
    }
    // No other operation knows the member; what it is there is for Azure to say.
    assert!(check(r#"{"background":true}"#, WireOperation::Chat).is_ok());
}

#[test]
fn the_prompt_is_the_first_member_that_is_not_null() {
    let asked = |body: &str| {
        let request = parse(body.as_bytes()).expect("valid");
        (request.prompt_member, request.prompt.map(str::to_owned))
    };
    let check = |body: &str, member, prompt: [&str; 3]| {
        assert_eq!(asked(body), (member, prompt.map(str::to_owned)), "{body}");
    };
    check(r#"{"messages":[],"input":1}"#, PromptMember::Messages, ["", "", "[]"]);
    check(
        r#"{"prompt":"a","messages":null}"#,
        PromptMember::Prompt,
        ["", "", r#""a""#],
    );
    check(r#"{"input":["a"]}"#, PromptMember::Input, ["", "", r#"["a"]"#]);
    check("{}", PromptMember::Messages, ["", "", ""]);
    check(
        r#"{"tools":null,"functions":[{}],"response_format":null}"#,
        PromptMember::Messages,
        ["[{}]", "", ""],
    );
}

#[test]
fn the_most_output_is_the_bound_for_each_answer() {
    let most = |body: &str| parse(body.as_bytes()).expect("valid").output_tokens_max();
    assert_eq!(most(r#"{"n":3}"#), None);
    assert_eq!(most(r#"{"max_tokens":100}"#), Some(100));
    assert_eq!(most(r#"{"max_tokens":null,"max_completion_tokens":7,"n":3}"#), Some(21));
    assert_eq!(most(r#"{"max_output_tokens":7,"n":2,"best_of":5}"#), Some(35));
    assert_eq!(
        most(r#"{"max_tokens":4294967295,"n":4294967295}"#),
        Some(18_446_744_065_119_617_025)
    );
    for strange in ["1.5", "-1", "1e3", "\"9\"", "true", "99999999999"] {
        let body = format!(r#"{{"max_tokens":{strange},"n":{strange}}}"#);
        assert_eq!(most(&body), None, "{body}");
    }
    assert_eq!(most(r#"{"max_tokens":5,"n":0}"#), Some(5));
}

#[test]
fn the_clients_own_cache_key_and_user() {
    let body = r#"{"prompt_cache_key": "caf\u00e9" ,"user":"u-1"}"#;
    let request = parse(body.as_bytes()).expect("valid");
    assert_eq!(request.prompt_cache_key.as_deref(), Some("café"));
    assert_eq!(&body[request.prompt_cache_key_at.expect("there")], r#""caf\u00e9""#);
    assert_eq!(request.user.as_deref(), Some("u-1"));
    for (value, length) in [("null", 4), ("7", 1), (r#""\ud800""#, 8)] {
        let body = format!(r#"{{"prompt_cache_key":{value},"user":{value}}}"#);
        let request = parse(body.as_bytes()).expect("valid");
        assert_eq!(
            (request.prompt_cache_key.as_deref(), request.user.as_deref()),
            (None, None)
        );
        assert_eq!(request.prompt_cache_key_at, Some(20..20 + length), "{body}");
    }
    assert_eq!(parse(b"{}").expect("valid").prompt_cache_key_at, None);
}

#[test]
fn an_escaped_model_is_decoded() {
    assert_eq!(
        parse(br#"{"model":"a\u002fb"}"#).expect("valid").model.as_deref(),
        Some("a/b")
    );
}

#[test]
fn stream_options_in_all_forms() {
    let options = |text: &str| parse(text.as_bytes()).expect("valid").stream_options;
    assert_eq!(
        options(r#"{"stream_options":{"include_usage":true}}"#),
        StreamOptions::UsageAsked
    );
    assert_eq!(options(r#"{"stream_options":null}"#), StreamOptions::Null(18..22));
    assert_eq!(
        options(r#"{"stream_options":{ }}"#),
        StreamOptions::Other(OtherOptions {
            include_usage_at: None,
            closing_at: 20,
            is_empty: true
        })
    );
    assert_eq!(
        options(r#"{"stream_options":{"include_usage":false}}"#),
        StreamOptions::Other(OtherOptions {
            include_usage_at: Some(35..40),
            closing_at: 40,
            is_empty: false
        })
    );
}

#[test]
fn refuses_what_two_parsers_could_read_differently() {
    for body in [
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":1}"#,
        r#"{"stream":"yes"}"#,
        r#"{"stream_options":[]}"#,
        r#"{"model":"a""#,
        r#"{"model":"a"} trailing"#,
        "[]",
        "",
        "null",
    ] {
        assert!(parse(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn an_empty_object_is_known_to_be_empty() {
    assert!(parse(b" { } ").expect("valid").is_empty);
}

#[test]
fn a_response_has_instructions_and_a_format_and_may_continue_another() {
    let body = r#"{"model":"m","instructions":"be \u006bind","text":{"verbosity":"low","format":{"type":"text"}},
        "input":"hi","previous_response_id":"resp_\u0031","store":true,"max_output_tokens":7}"#;
    let request = parse(body.as_bytes()).expect("valid");
    assert_eq!(request.prompt, ["", r#"{"type":"text"}"#, r#""hi""#]);
    assert_eq!(request.response.instructions, r#""be \u006bind""#);
    assert_eq!(request.response.previous_id.as_deref(), Some("resp_1"));
    assert_eq!(
        (request.response.is_stored, request.output_tokens_max()),
        (true, Some(7))
    );
    assert_eq!(request.prompt_bytes(), 15 + 4 + request.response.instructions.len());
    let strange = r#"{"instructions":null,"text":"x","previous_response_id":7,"store":false}"#;
    let request = parse(strange.as_bytes()).expect("valid");
    assert_eq!((request.prompt, request.response.instructions), (["", "", ""], ""));
    assert_eq!(
        (request.response.previous_id, request.response.is_stored),
        (None, false)
    );
    let plain = parse(br#"{"text":{"format":null},"store":null}"#).expect("valid");
    assert_eq!((plain.prompt[1], plain.response.is_stored), ("", true));
}
