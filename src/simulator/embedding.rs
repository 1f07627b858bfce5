//! Deterministic embeddings: the same text has the same unit vector everywhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::simulator::answer::{push, quoted};
use crate::simulator::chance::draw;
use crate::simulator::request::Request;

/// Length of a vector when the request names none.
fn default_dimensions(model: &str) -> u32 {
    if model.contains("large") { 3_072 } else { 1_536 }
}

/// The whole body.
pub fn to_json(request: &Request, model: &str, seed: u64) -> String {
    let dimensions = request.dimensions.unwrap_or_else(|| default_dimensions(model));
    let mut out = String::from(r#"{"object":"list","data":["#);
    for (index, input) in request.inputs.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        push(
            &mut out,
            format_args!(r#"{comma}{{"object":"embedding","index":{index},"embedding":"#),
        );
        let vector = vector(draw(seed, input), dimensions);
        if request.base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            push(&mut out, format_args!("\"{}\"}}", STANDARD.encode(bytes)));
        } else {
            out.push('[');
            for (position, number) in vector.iter().enumerate() {
                let comma = if position == 0 { "" } else { "," };
                push(&mut out, format_args!("{comma}{number:?}"));
            }
            out.push_str("]}");
        }
    }
    let tokens = request.prompt_tokens();
    push(
        &mut out,
        format_args!(
            r#"],"model":{},"usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#,
            quoted(model)
        ),
    );
    out
}

fn vector(seed: u64, dimensions: u32) -> Vec<f32> {
    let raw: Vec<f64> = (0..dimensions)
        .map(|index| draw(seed, index) as f64 / u64::MAX as f64 - 0.5)
        .collect();
    let length = raw
        .iter()
        .map(|number| number * number)
        .sum::<f64>()
        .sqrt()
        .max(f64::MIN_POSITIVE);
    raw.iter().map(|number| (number / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::simulator::request::{Operation, Strictness, read};

    fn embed(body: &Value) -> Value {
        let strictness = Strictness {
            refuse_unknown: true,
            accepts_stream_options: true,
        };
        let request = read(Operation::Embeddings, body.as_object().unwrap(), strictness).unwrap();
        serde_json::from_str(&to_json(&request, "text-embedding-3-small", 1)).unwrap()
    }

    #[test]
    fn both_encodings_hold_the_same_unit_vector() {
        let numbers = embed(&json!({"input": "a", "dimensions": 8}))["data"][0]["embedding"].clone();
        let numbers: Vec<f32> = serde_json::from_value(numbers).unwrap();
        assert!((numbers.iter().map(|number| number * number).sum::<f32>() - 1.0).abs() < 1e-5);
        let coded = embed(&json!({"input": "a", "dimensions": 8, "encoding_format": "base64"}));
        let bytes = STANDARD
            .decode(coded["data"][0]["embedding"].as_str().unwrap())
            .unwrap();
        let decoded: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
            .collect();
        assert_eq!(decoded, numbers);
    }

    #[test]
    fn each_input_has_a_vector_of_its_own() {
        let body = embed(&json!({"input": ["a", "b", "a"]}));
        let vectors = &body["data"];
        assert_eq!(vectors[0]["embedding"].as_array().unwrap().len(), 1_536);
        assert_eq!(vectors[0]["embedding"], vectors[2]["embedding"]);
        assert_ne!(vectors[0]["embedding"], vectors[1]["embedding"]);
    }
}
