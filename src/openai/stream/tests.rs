//! Tables of events as Azure sends them.

use proptest::prelude::*;

use super::*;

fn event(data: &str) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

#[track_caller]
fn check(data: &str, expect: &Event) {
    assert_eq!(&classify(&event(data)), expect, "{data}");
}

#[test]
fn events_before_output() {
    for data in [
        r#"{"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[{"prompt_index":0}],"usage":null}"#,
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[]}}]}"#,
        r#"{"choices":[{"index":0,"content_filter_results":{},"content_filter_offsets":{"check_offset":1}}]}"#,
        r#"{"error":null,"choices":[]}"#,
        "not json",
    ] {
        check(data, &Event::Preamble);
    }
    assert_eq!(classify(b": ping\n\n"), Event::Preamble);
}

#[test]
fn events_of_output() {
    for data in [
        r#"{"choices":[{"delta":{"content":"Hi"}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}],"usage":null}"#,
        r#"{"choices":[{"delta":{"refusal":"no"}}]}"#,
        r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"text":"legacy","index":0}]}"#,
    ] {
        check(data, &Event::Output);
        assert_eq!(classify_after_output(&event(data)), Event::Output, "{data}");
    }
}

#[test]
fn ends_errors_and_usage_are_found_before_and_after_output() {
    let error = r#"{"error":{"message":"boom"}}"#;
    let report = r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}"#;
    for look in [classify, classify_after_output] {
        assert_eq!(look(b"data: [DONE]\n\n"), Event::Done);
        assert_eq!(look(&event(error)), Event::Error(Bytes::from_static(error.as_bytes())));
        assert_eq!(
            look(&event(report)),
            Event::Usage(Usage {
                prompt: 7,
                cached: 0,
                completion: 2
            })
        );
    }
}

#[test]
fn words_inside_text_are_text() {
    let data = r#"{"choices":[{"delta":{"content":"say \"usage\":{ and \"error\" "}}]}"#;
    assert_eq!(classify_after_output(&event(data)), Event::Output);
    assert_eq!(strip_usage(&event(data)), Stripped::Unchanged);
}

#[test]
fn usage_beside_output_is_read() {
    let data = r#"{"choices":[{"delta":{"content":"x"}}],"usage": {"prompt_tokens":3}}"#;
    assert_eq!(
        usage_beside(&event(data)),
        Some(Usage {
            prompt: 3,
            cached: 0,
            completion: 0
        })
    );
    assert_eq!(usage_beside(&event(r#"{"choices":[],"usage":null}"#)), None);
}

#[track_caller]
fn stripped(data: &str, expect: &str) {
    assert_eq!(strip_usage(&event(data)), Stripped::Edited(event(expect)), "{data}");
}

#[test]
fn strips_the_member_wherever_it_stands() {
    stripped(r#"{"choices":[{"a":1}],"usage":null}"#, r#"{"choices":[{"a":1}]}"#);
    stripped(r#"{"choices":[], "usage" : null ,"x":1}"#, r#"{"choices":[] ,"x":1}"#);
    stripped(r#"{"usage":null,"choices":[]}"#, r#"{"choices":[]}"#);
    stripped(r#"{"usage":null}"#, "{}");
    stripped(
        r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}"#,
        r#"{"choices":[{"delta":{}}]}"#,
    );
    stripped(
        r#"{"choices":[],"prompt_filter_results":[1],"usage":null}"#,
        r#"{"choices":[],"prompt_filter_results":[1]}"#,
    );
    let crlf = Bytes::from_static(b"data: {\"a\":1,\"usage\":null}\r\n\r\n");
    assert_eq!(
        strip_usage(&crlf),
        Stripped::Edited(Bytes::from_static(b"data: {\"a\":1}\r\n\r\n"))
    );
}

#[test]
fn what_is_not_one_object_is_left_alone() {
    for event in [
        // serde would read these arrays as an error, and as a report with empty choices.
        "data: [[],{\"x\":1}]\n\n",
        "data: [{\"usage\":1},[]]\n\n",
        ": said,\"usage\":null}\n\n",
        "data: {\"a\":1}\nid: 1,\"usage\":null}\n\n",
    ] {
        assert_eq!(classify(event.as_bytes()), Event::Preamble, "{event}");
        assert_eq!(
            strip_usage(&Bytes::from_static(event.as_bytes())),
            Stripped::Unchanged,
            "{event}"
        );
    }
}

#[test]
fn drops_the_report_and_nothing_else() {
    assert_eq!(
        strip_usage(&event(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#)),
        Stripped::Dropped
    );
    assert_eq!(
        strip_usage(&event(r#"{"choices":[{"delta":{"content":"x"}}]}"#)),
        Stripped::Unchanged
    );
    assert_eq!(strip_usage(&event("[DONE]")), Stripped::Unchanged);
}

#[test]
fn a_nested_member_of_the_same_name_stays() {
    let data = r#"{"choices":[{"usage":null}],"x":1}"#;
    assert_eq!(strip_usage(&event(data)), Stripped::Unchanged);
    stripped(
        r#"{"choices":[{"usage":null}],"usage":null}"#,
        r#"{"choices":[{"usage":null}]}"#,
    );
}

proptest! {
    /// What a service that reports usage sends, stripped, is what it would have sent without.
    #[test]
    fn stripping_undoes_asking(text in r#"([a-z {}:,]|\\"|\\n|é){0,30}"#, last in any::<bool>()) {
        let plain = format!(r#"{{"id":"a","choices":[{{"delta":{{"content":"{text}"}}}}]}}"#);
        let asked = if last {
            format!(r#"{{"id":"a","choices":[{{"delta":{{"content":"{text}"}}}}],"usage":null}}"#)
        } else {
            format!(r#"{{"id":"a","usage":null,"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#)
        };
        prop_assert_eq!(strip_usage(&event(&asked)), Stripped::Edited(event(&plain)));
    }
}
