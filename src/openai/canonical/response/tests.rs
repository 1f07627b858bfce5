//! Inputs that mean the same, and those that do not.

use super::super::Part;
use super::*;
use crate::openai::request;

/// Keeps the form, by segments.
#[derive(Default)]
struct Kept {
    segments: Vec<Vec<u8>>,
    parts: Vec<Part>,
    open: Vec<u8>,
}

impl Sink for Kept {
    fn wants_parts(&self) -> bool {
        true
    }

    fn begin_segment(&mut self, part: Part) {
        self.parts.push(part);
    }

    fn push(&mut self, bytes: &[u8]) {
        self.open.extend_from_slice(bytes);
    }

    fn end_segment(&mut self) {
        self.segments.push(std::mem::take(&mut self.open));
    }

    fn is_full(&self) -> bool {
        false
    }
}

fn read(body: &str) -> (Kept, Shape) {
    let request = request::parse(body.as_bytes()).expect("valid");
    let mut kept = Kept::default();
    let shape = write(&request, &mut kept);
    (kept, shape)
}

fn of_input(input: &str) -> Vec<Vec<u8>> {
    let (kept, shape) = read(&format!(r#"{{"input":{input}}}"#));
    let form = kept.segments.concat();
    assert_eq!(
        form.len() == shape.bytes,
        !form.contains(&super::super::DIGEST),
        "attachments alone count another length"
    );
    kept.segments
}

#[track_caller]
fn same(inputs: &[&str]) {
    for input in inputs {
        assert_eq!(of_input(input), of_input(inputs[0]), "{input}");
    }
}

#[track_caller]
fn different(inputs: &[&str]) {
    for (at, input) in inputs.iter().enumerate() {
        for other in &inputs[..at] {
            assert_ne!(of_input(input), of_input(other), "{input} and {other}");
        }
    }
}

#[test]
fn a_users_text_is_one_prompt_in_every_form() {
    same(&[
        r#""hi""#,
        r#""\u0068i""#,
        r#"[{"role":"user","content":"hi"}]"#,
        r#"[{"content":"hi","type":"message","role":"user"}]"#,
        r#"[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]"#,
        r#"[ {"type":"message","role":"user","content":[{"text":"hi","type":"text","logprobs":null}],"name":null} ]"#,
    ]);
}

#[test]
fn what_an_answer_was_called_is_not_what_it_says() {
    same(&[
        r#"["q",{"role":"assistant","content":"a"}]"#,
        r#"["q",{"id":"msg_1","type":"message","status":"completed","role":"assistant",
            "content":[{"type":"output_text","annotations":[{"x":[1]}],"logprobs":[],"text":"a"}]}]"#,
    ]);
}

#[test]
fn what_means_something_else_has_another_form() {
    different(&[
        r#""hi""#,
        r#""ho""#,
        r#"[{"role":"developer","content":"hi"}]"#,
        r#"[{"role":"user","content":"hi","name":"x"}]"#,
        r#"[{"role":"user","content":[{"type":"input_image","image_url":"hi"}]}]"#,
        r#"[{"role":"assistant","content":[{"type":"refusal","refusal":"hi"}]}]"#,
        r#"[{"type":"item_reference","id":"msg_1"}]"#,
        r#"[{"type":"item_reference","id":"msg_2"}]"#,
        r#"[{"type":"function_call_output","call_id":"c","output":"hi"}]"#,
        r#"["hi","hi"]"#,
        "[]",
        "7",
    ]);
    let forms = [
        "{\"input\":\"hi\"}",
        "{\"instructions\":\"hi\"}",
        "{\"tools\":[\"hi\"]}",
        "{\"text\":{\"format\":\"hi\"}}",
    ];
    for (at, form) in forms.iter().enumerate() {
        for other in &forms[..at] {
            assert_ne!(read(form).0.segments, read(other).0.segments, "{form} and {other}");
        }
    }
}

#[test]
fn the_prompt_comes_in_the_providers_order() {
    let body = r#"{"input":[{"role":"developer","content":"d"},{"role":"user","content":"u"}],"instructions":"i",
        "text":{"format":{"type":"text"}},"tools":[{"type":"function","name":"f"}]}"#;
    let parts = read(body).0.parts;
    assert_eq!(
        parts,
        [Part::Tool, Part::Schema, Part::System, Part::System, Part::Message]
    );
}

#[test]
fn it_shares_nothing_with_a_chat() {
    let item = of_input(r#"[{"role":"user","content":"hi"}]"#);
    let request = request::parse(br#"{"messages":[{"role":"user","content":"hi"}]}"#).expect("valid");
    let mut chat = Kept::default();
    super::super::write(&request, &mut chat);
    assert_ne!(item[0], chat.segments[0]);
}

#[test]
fn a_turn_is_the_first_until_an_assistant_has_spoken() {
    let is_first = |body: &str| read(body).1.is_first_turn;
    assert!(is_first(r#"{"input":"hi"}"#));
    assert!(is_first(
        r#"{"input":[{"role":"system","content":"a"},{"role":"user","content":"b"}]}"#
    ));
    assert!(!is_first(
        r#"{"input":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#
    ));
    assert!(!is_first(
        r#"{"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]}"#
    ));
    assert!(!is_first(r#"{"input":"hi","previous_response_id":"resp_1"}"#));
}
