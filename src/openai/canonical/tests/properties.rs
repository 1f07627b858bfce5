//! What must hold for any prompt.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// How a body is written: which characters as escapes, what between tokens.
fn written(value: &Value, escapes: u8, space: &str, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push('"');
            for character in text.chars() {
                match character {
                    '/' if escapes & 1 != 0 => out.push_str("\\/"),
                    '"' | '\\' => out.extend(['\\', character]),
                    '\n' if escapes & 2 != 0 => out.push_str("\\n"),
                    _ if character < ' ' || (escapes & 4 != 0 && !character.is_ascii()) || escapes & 8 != 0 => {
                        for unit in character.encode_utf16(&mut [0; 2]) {
                            let _ = write!(out, "\\u{unit:04x}");
                        }
                    }
                    _ => out.push(character),
                }
            }
            out.push('"');
        }
        Value::Array(list) => {
            let mut open = "[";
            for element in list {
                out.extend([open, space]);
                written(element, escapes, space, out);
                out.push_str(space);
                open = ",";
            }
            out.push_str(if list.is_empty() { "[]" } else { "]" });
        }
        Value::Object(members) => {
            let mut open = "{";
            for (key, member) in members {
                out.extend([open, space]);
                written(&Value::from(key.as_str()), escapes, space, out);
                out.extend([space, ":", space]);
                written(member, escapes, space, out);
                out.push_str(space);
                open = ",";
            }
            out.push_str(if members.is_empty() { "{}" } else { "}" });
        }
        other => out.push_str(&other.to_string()),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_message() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        any::<String>().prop_map(|text| json!({"type": "text", "text": text})),
        any::<String>().prop_map(|url| json!({"type": "image_url", "image_url": {"url": url}})),
        any_json(),
    ];
    let content = prop_oneof![
        any::<String>().prop_map(Value::from),
        proptest::collection::vec(part, 0..3).prop_map(Value::from),
        any_json(),
    ];
    let role = prop_oneof![Just("system"), Just("user"), Just("assistant"), Just("tool")];
    (role, content, any_json())
        .prop_map(|(role, content, calls)| json!({"role": role, "content": content, "tool_calls": calls}))
}

proptest! {
    /// Whitespace, escapes, and the order of the body's own members.
    #[test]
    fn however_it_is_written_the_form_is_the_same(
        list in proptest::collection::vec(any_message(), 0..4),
        tools in proptest::collection::vec(any_json(), 0..3),
        schema in any_json(),
        escapes in 0_u8..16,
        space in "[ \n\t]{0,3}",
        is_turned in any::<bool>(),
    ) {
        let plain = json!({"messages": list, "tools": tools, "response_format": schema}).to_string();
        let mut other = json!({"response_format": schema, "user": "u", "messages": list, "tools": tools});
        if is_turned {
            other = json!({"tools": tools, "messages": list, "seed": 1, "response_format": schema});
        }
        let mut text = String::new();
        written(&other, escapes, &space, &mut text);
        let (one, other) = (read(&plain), read(&text));
        prop_assert_eq!(one.0, other.0);
        prop_assert_eq!(one.1, other.1);
    }

    /// A form can be read back: no two prompts that differ in more than what is made alike on purpose have the same.
    #[test]
    fn forms_of_json_values_can_be_read_back(value in any_json()) {
        // A null member is left out in a message, so values without them are asked for.
        let value = without_nulls(value);
        let form = segments(&json!({"tools": [value]}).to_string()).concat();
        let mut rest = form.strip_prefix(&[SEGMENT, b't']).expect("a tool");
        prop_assert_eq!(read_back(&mut rest), value);
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn one_character_makes_another_form(before in any::<String>(), after in any::<String>(), at in any::<char>(), other in any::<char>()) {
        prop_assume!(at != other);
        let body = |character: char| {
            json!({"messages": [{"role": "user", "content": format!("{before}{character}{after}")}]}).to_string()
        };
        prop_assert_ne!(segments(&body(at)), segments(&body(other)));
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, member)| !member.is_null());
            Value::Object(kept.map(|(key, member)| (key, without_nulls(member))).collect())
        }
        other => other,
    }
}

/// The value that a form stands for; the inverse of the writer.
fn read_back(rest: &mut &[u8]) -> Value {
    let (&mark, after) = rest.split_first().expect("a value");
    *rest = after;
    match mark {
        STRING => Value::from(up_to_mark(rest)),
        ATOM => serde_json::from_str(&up_to_mark(rest)).expect("an atom"),
        ARRAY => {
            let mut list = Vec::new();
            while rest[0] != END {
                list.push(read_back(rest));
            }
            *rest = &rest[1..];
            Value::from(list)
        }
        OBJECT => {
            let mut members = serde_json::Map::new();
            while rest[0] != END {
                let key = read_back(rest);
                members.insert(key.as_str().expect("a key").to_owned(), read_back(rest));
            }
            *rest = &rest[1..];
            Value::Object(members)
        }
        other => panic!("no value begins with {other:x}"),
    }
}

fn up_to_mark(rest: &mut &[u8]) -> String {
    let end = rest.iter().position(|&byte| byte >= SEGMENT).unwrap_or(rest.len());
    let (text, after) = rest.split_at(end);
    *rest = after;
    String::from_utf8(text.to_vec()).expect("UTF-8")
}
