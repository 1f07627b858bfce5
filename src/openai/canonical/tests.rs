//! Bodies that mean the same, bodies that do not, and what no body may do to the writer.

mod properties;

use serde_json::json;

use super::*;
use crate::openai::request;

/// Takes so many bytes, and remembers the segments.
#[derive(Debug, Default)]
struct Taken {
    most: Option<usize>,
    segments: Vec<Vec<u8>>,
    open: Vec<u8>,
    pushes_when_full: usize,
}

impl Sink for Taken {
    fn push(&mut self, bytes: &[u8]) {
        self.pushes_when_full += usize::from(self.is_full());
        self.open.extend_from_slice(bytes);
    }

    fn end_segment(&mut self) {
        self.segments.push(std::mem::take(&mut self.open));
    }

    fn is_full(&self) -> bool {
        let taken = self.open.len() + self.segments.iter().map(Vec::len).sum::<usize>();
        self.most.is_some_and(|most| taken >= most)
    }
}

fn read(body: &str) -> (Vec<Vec<u8>>, Shape) {
    let request = request::parse(body.as_bytes()).expect("valid");
    let mut taken = Taken::default();
    let shape = write(&request, &mut taken);
    assert!(taken.open.is_empty(), "the last segment has ended");
    assert_eq!(
        shape.bytes == taken.segments.concat().len(),
        !taken.segments.concat().contains(&DIGEST),
        "attachments alone count another length"
    );
    (taken.segments, shape)
}

fn segments(body: &str) -> Vec<Vec<u8>> {
    read(body).0
}

/// A form with its marks shown: `<` and `>` for what is not text, or its first letter.
fn shown(segment: &[u8]) -> String {
    let mark = |byte: u8| match byte {
        SEGMENT => "§".to_owned(),
        TEXT => "¶".to_owned(),
        STRING => "'".to_owned(),
        ATOM => "#".to_owned(),
        DIGEST => "@".to_owned(),
        OBJECT => "{".to_owned(),
        ARRAY => "[".to_owned(),
        END => "}".to_owned(),
        other => char::from(other).to_string(),
    };
    segment.iter().map(|&byte| mark(byte)).collect()
}

fn messages(messages: &str) -> String {
    format!(r#"{{"messages":{messages}}}"#)
}

#[track_caller]
fn same(bodies: &[&str]) {
    for body in bodies {
        assert_eq!(segments(body), segments(bodies[0]), "{body}");
    }
}

#[track_caller]
fn different(bodies: &[&str]) {
    for (at, body) in bodies.iter().enumerate() {
        for other in &bodies[..at] {
            assert_ne!(segments(body), segments(other), "{body} and {other}");
        }
    }
}

#[test]
fn segments_come_in_the_providers_order() {
    let body = r#"{
        "messages": [{"role": "system", "content": "Be \"brief\"."}, {"content": null, "role": "assistant", "tool_calls": []}],
        "response_format": {"type": "json_schema"},
        "tools": [{"type": "function"}, {"n": -1.50}]
    }"#;
    let forms: Vec<_> = segments(body).iter().map(|segment| shown(segment)).collect();
    assert_eq!(
        forms,
        [
            "§t{'type'function}",
            "§t{'n#-1.50}",
            "§s{'type'json_schema}",
            r#"§m{'role'system'content[¶Be "brief".}}"#,
            "§m{'role'assistant'tool_calls[}}",
        ]
    );
}

/// Pieces, and the blocks in which text is looked at, end at each place of a message once.
#[test]
fn a_long_message_is_whole_wherever_its_pieces_end() {
    for length in 0..1_100 {
        let (long, rest) = ("a".repeat(length), "b".repeat(length % 40));
        let body = messages(&format!(
            r#"[{{"role":"user","content":"{long}\"{rest}","x":"{long}","name":"\u00e9"}}]"#
        ));
        let expected = format!(r#"§m{{'role'user'content[¶{long}"{rest}}}'x'{long}'name'"#);
        let form = segments(&body).concat();
        assert_eq!(shown(&form[..form.len() - 3]), expected, "{length}");
        assert_eq!(form[form.len() - 3..], [0xc3, 0xa9, END]);
    }
}

#[test]
fn marks_are_never_text() {
    let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
    for mark in [SEGMENT, TEXT, STRING, ATOM, DIGEST, OBJECT, ARRAY, END] {
        assert!(!all.as_bytes().contains(&mark));
    }
}

#[test]
fn escapes_whitespace_and_order_outside_do_not_matter() {
    same(&[
        r#"{"messages":[{"role":"user","content":"é/😀\n"}],"tools":[{"type":"x"}],"model":"m"}"#,
        r#"{"model":"other","tools":[{"type":"x"}],"messages":[{"role":"user","content":"\u00e9\/\ud83d\ude00\u000a"}]}"#,
        "{ \"tools\" : [ { \"type\" :\t\"x\" } ] ,\r\n \"messages\" : [ { \"\\u0072ole\" : \"user\" , \"content\":\"\u{e9}/😀\\n\" } ] }",
    ]);
}

#[test]
fn what_clients_write_differently_for_one_meaning_is_alike() {
    same(&[
        &messages(r#"[{"role":"user","content":"x"}]"#),
        &messages(r#"[{"content":"x","role":"user"}]"#),
        &messages(r#"[{"content":[{"type":"text","text":"x"}],"role":"user"}]"#),
        &messages(r#"[{"role":"user","name":null,"content":[{"text":"x","annotations":null,"type":"text"}]}]"#),
        &messages(r#"[{"refusal":null,"role":"user","content":"x","tool_calls":null}]"#),
    ]);
    same(&[
        &messages(r#"[{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]}]"#),
        &messages(r#"[{"role":"assistant","tool_calls":[{"id":"1","index":null}]}]"#),
    ]);
    same(&[
        &messages(
            r#"[{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]}]"#,
        ),
        &messages(
            r#"[{"tool_calls":[{"function":{"arguments":"{}","name":"f"},"type":"function","id":"1"}],"role":"assistant"}]"#,
        ),
        &messages(
            r#"[{"role":"assistant","tool_calls":[{"index":null,"type":"function","id":"1","function":{"name":"f","arguments":"{}","x":null}}]}]"#,
        ),
    ]);
    same(&[
        &messages(r#"[{"role":"assistant","tool_calls":[{"id":"1","custom":{"b":1},"type":"custom"},"x"]}]"#),
        &messages(r#"[{"role":"assistant","tool_calls":[{"type":"custom","id":"1","custom":{"b":1}},"x"]}]"#),
    ]);
    same(&[
        &messages(r#"[{"role":"tool","tool_call_id":"1","content":"x"}]"#),
        &messages(r#"[{"content":"x","role":"tool","tool_call_id":"1"}]"#),
    ]);
    same(&[
        r#"{"tools":[{"type":"function","function":{"name":"f","strict":null}}]}"#,
        r#"{"functions":null,"tools":[{"type":"function","function":{"name":"f"}}],"messages":[],"response_format":null}"#,
    ]);
    same(&[r#"{"prompt":"x"}"#, r#"{"prompt":["x"]}"#]);
    same(&[r#"{"prompt":[1,2]}"#, r#"{"prompt":[1,2],"messages":null}"#]);
}

#[test]
fn what_means_something_else_is_different() {
    different(&[
        &messages(r#"[{"role":"user","content":"x"}]"#),
        &messages(r#"[{"role":"user","content":"y"}]"#),
        &messages(r#"[{"role":"user","content":["x"]}]"#),
        &messages(r#"[{"role":"user","content":""}]"#),
        &messages(r#"[{"role":"user","content":[]}]"#),
        &messages(r#"[{"role":"user"}]"#),
        &messages(r#"[{"role":"user","content":"x"},{"role":"user","content":""}]"#),
        &messages(r#"[{"role":"user","name":"x"}]"#),
        &messages(r#"[{"role":"user","text":"x"}]"#),
        &messages(r#"[{"role":"user","content":[{"type":"text","text":"x"},{"type":"text","text":""}]}]"#),
        &messages(r#"[{"role":"user","content":[{"type":"text","text":"x","cache":1}]}]"#),
        &messages(r#"[{"role":"user","content":[{"type":"refusal","text":"x"}]}]"#),
        &messages(r#"[{"role":"user","content":[{"text":"x"}]}]"#),
        &messages(r#"[{"role":"user","content":[{"type":"text","text":"x","text":"y"}]}]"#),
        &messages(r#"[{"role":"user","content":{"type":"text","text":"x"}}]"#),
        &messages(r#"[{"role":"user","content":"x","content":"x"}]"#),
        &messages(r#"["x"]"#),
        &messages(r#"[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f"}}]}]"#),
        &messages(r#"[{"role":"assistant","tool_calls":[{"id":"1","function":{"arguments":"f"}}]}]"#),
        &messages(r#"[{"role":"assistant","tool_calls":[{"id":"1","name":"f"}]}]"#),
        &messages(r#"[{"role":"assistant","tool_calls":[{"id":"1"},{"function":{"name":"f"}}]}]"#),
        &messages(r#"[{"role":"assistant","tool_calls":[{"id":"1","type":"1"}]}]"#),
        &messages(r#"[{"role":"assistant","tool_calls":[{"id":"1","custom":{"a":1,"b":1}}]}]"#),
        &messages(r#"[{"role":"assistant","tool_calls":[{"id":"1","custom":{"b":1,"a":1}}]}]"#),
        r#"{"prompt":"x"}"#,
        r#"{"prompt":"x","tools":["x"]}"#,
        r#"{"prompt":"x","response_format":"x"}"#,
        r#"{"prompt":["x",""]}"#,
        r#"{"prompt":[["x"]]}"#,
        r#"{"prompt":[]}"#,
    ]);
    different(
        &["1", "1.0", r#""1""#, "[1]", "[[1]]", "true", r#""true""#].map(|value| {
            let body = format!(r#"{{"tools":[{value}]}}"#);
            Box::leak(body.into_boxed_str()) as &str
        }),
    );
}

#[test]
fn text_that_looks_like_structure_is_text() {
    different(&[
        &messages(r#"[{"role":"user","content":"a"},{"role":"user","content":"b"}]"#),
        &messages(r#"[{"role":"user","content":"a\"},{\"role\":\"user\",\"content\":\"b"}]"#),
        &messages(r#"[{"role":"user","content":"a","b":"c"}]"#),
        &messages(r#"[{"role":"user","content":"a\",\"b\":\"c"}]"#),
        &messages(r#"[{"role":"user","content":"a\u00f9b\u00f9c"}]"#),
        &messages(r#"[{"role":"user","content":"a","":"bc"}]"#),
        &messages(r#"[{"role":"user","content":"a","bc":""}]"#),
    ]);
}

#[test]
fn nulls_count_inside_json_schemas() {
    let tool = |inner: &str| {
        let body = format!(r#"{{"tools":[{{"function":{{"parameters":{inner},"strict":null}},"x":null}}]}}"#);
        shown(&segments(&body)[0])
    };
    assert_eq!(
        tool(r#"{"a":{"default":null,"parameters":{"b":null}},"enum":[null]}"#),
        "§t{'function{'parameters{'a{'default#null'parameters{'b#null}}'enum[#null}}}}"
    );
    assert_eq!(tool("null"), "§t{'function{}}");
    let schema = r#"{"response_format":{"json_schema":{"schema":{"default":null},"strict":null}}}"#;
    assert_eq!(shown(&segments(schema)[0]), "§s{'json_schema{'schema{'default#null}}}");
}

#[test]
fn an_image_is_its_digest_and_takes_no_depth() {
    let image = |url: &str| {
        let part = format!(r#"{{"type":"image_url","image_url":{{"detail":"low","url":"{url}"}}}}"#);
        read(&messages(&format!(r#"[{{"role":"user","content":[{part}]}}]"#)))
    };
    let data = format!("data:image/png;base64,{}", "iVBORw0KGgo/".repeat(50_000));
    let (form, shape) = image(&data);
    assert_eq!(form, image(&data.replace('/', r"\/")).0);
    assert_ne!(form, image(&data.replace("png", "gif")).0);
    assert!(form[0].len() < 150, "{}", form[0].len());
    assert_eq!(shape, image("https://a/b.png").1);
    assert!((ATTACHMENT_BYTES..ATTACHMENT_BYTES + 150).contains(&shape.bytes));

    let mut digest = Vec::new();
    digest.push(DIGEST);
    digest.extend_from_slice(&Sha256::digest(&data));
    assert!(form[0].windows(digest.len()).any(|window| window == digest));
}

#[test]
fn recordings_and_files_are_digests_too_but_only_inside_parts() {
    let long = "QUJD".repeat(1_000);
    for part in [
        json!({"type": "input_audio", "input_audio": {"data": long, "format": "wav"}}),
        json!({"type": "file", "file": {"file_data": long}}),
    ] {
        let body = json!({"messages": [{"role": "user", "content": [part]}]}).to_string();
        assert!(segments(&body)[0].len() < 150, "{part}");
    }
    let body = json!({"messages": [{"role": "user", "data": long}], "tools": [{"url": long}]}).to_string();
    assert!(segments(&body).iter().all(|segment| segment.len() > long.len()));
}

#[test]
fn a_first_turn_has_no_answer_yet() {
    let is_first = |body: &str| read(body).1.is_first_turn;
    assert!(is_first(&messages(
        r#"[{"role":"system","content":"the \"assistant\""},{"role":"user","content":"assistant"}]"#
    )));
    assert!(!is_first(&messages(
        r#"[{"role":"user","content":"x"},{"content":"y","role":"assistant"},{"role":"user"}]"#
    )));
    assert!(!is_first(&messages(r#"[{"role":"\u0061ssistant"}]"#)));
    assert!(is_first(&messages(r#"[{"role":["assistant"],"name":"assistant"}]"#)));
    assert!(is_first(r#"{"input":[{"role":"assistant","content":"x"}]}"#));
    assert!(is_first(r#"{"prompt":"assistant"}"#));
    assert!(is_first("{}"));
}

#[test]
fn a_full_sink_is_left_alone_and_the_rest_is_measured() {
    let long = "é\n".repeat(3_000);
    let image = json!({"type": "image_url", "image_url": {"url": "x".repeat(40_000)}});
    let body = json!({"messages": [
        {"role": "user", "content": long},
        {"role": "assistant", "content": long},
        {"role": "user", "content": [image, {"type": "text", "text": "y"}]},
    ]})
    .to_string();
    let request = request::parse(body.as_bytes()).expect("valid");
    let whole = read(&body);
    for most in [0, 1, 10, 5_000, 9_030, 18_000] {
        let mut taken = Taken {
            most: Some(most),
            ..Taken::default()
        };
        let shape = write(&request, &mut taken);
        assert_eq!(taken.pushes_when_full, 0);
        assert!(!shape.is_first_turn, "found beyond {most} bytes");
        let (exact, raw) = (whole.1.bytes, 12_000 + whole.1.bytes);
        assert!(
            (exact..=raw).contains(&shape.bytes),
            "{most}: {} of {exact}",
            shape.bytes
        );
        taken.end_segment();
        let (form, taken) = (whole.0.concat(), taken.segments.concat());
        assert!(form.starts_with(&taken) && taken.len() >= most);
    }
}

#[test]
fn a_million_brackets_are_a_prompt_like_any_other() {
    for body in [
        format!(r#"{{"messages":{}{}}}"#, "[".repeat(1 << 20), "]".repeat(1 << 20)),
        messages(&format!(
            r#"[{{"content":{}1{}}}]"#,
            r#"{"a":["#.repeat(1 << 18),
            "]}".repeat(1 << 18)
        )),
        messages(&format!(
            r#"[{{"content":[{}1{}]}}]"#,
            r#"{"text":["#.repeat(1 << 18),
            "]}".repeat(1 << 18)
        )),
    ] {
        let (segments, _) = read(&body);
        assert!(segments.concat().len() > 1 << 19);
    }
}
