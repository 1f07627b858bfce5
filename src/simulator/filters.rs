//! Content filter results, and the magic words that trip the filter.
//!
//! Nothing is judged: a prompt that holds a trigger is treated as that kind of content, everything else is safe.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// What every trigger begins with; a prompt without it is not looked at further.
const TRIGGER: &str = "simulator:filter-";

/// A kind of content that the filter knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// Hate.
    Hate,
    /// Self harm.
    SelfHarm,
    /// Sexual.
    Sexual,
    /// Violence.
    Violence,
    /// An attempt to get round the model's rules.
    Jailbreak,
}

/// What a prompt trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Safe,
    /// The prompt is refused: `simulator:filter-hate`, `-self-harm`, `-sexual`, `-violence`, `-jailbreak`.
    Prompt(Category),
    /// The answer is cut short by the filter: `simulator:filter-answer`.
    Answer,
}

/// Reads the triggers in a prompt; the first one counts.
pub fn judge(prompt: &[u8]) -> Verdict {
    let Some(at) = memchr::memmem::find(prompt, TRIGGER.as_bytes()) else {
        return Verdict::Safe;
    };
    let rest = &prompt[at + TRIGGER.len()..];
    let triggers = [
        ("hate", Verdict::Prompt(Category::Hate)),
        ("self-harm", Verdict::Prompt(Category::SelfHarm)),
        ("sexual", Verdict::Prompt(Category::Sexual)),
        ("violence", Verdict::Prompt(Category::Violence)),
        ("jailbreak", Verdict::Prompt(Category::Jailbreak)),
        ("answer", Verdict::Answer),
    ];
    triggers
        .iter()
        .find(|(word, _)| rest.starts_with(word.as_bytes()))
        .map_or(Verdict::Safe, |(_, verdict)| *verdict)
}

/// The results for a prompt.
pub fn prompt_results(tripped: Option<Category>) -> Value {
    let severity = |category| {
        let filtered = tripped == Some(category);
        json!({ "filtered": filtered, "severity": if filtered { "high" } else { "safe" } })
    };
    let jailbreak = tripped == Some(Category::Jailbreak);
    json!({
        "hate": severity(Category::Hate),
        "self_harm": severity(Category::SelfHarm),
        "sexual": severity(Category::Sexual),
        "violence": severity(Category::Violence),
        "jailbreak": { "filtered": jailbreak, "detected": jailbreak },
    })
}

/// `content_filter_results` of a safe prompt, as JSON text.
pub static SAFE_PROMPT: LazyLock<String> = LazyLock::new(|| prompt_results(None).to_string());

/// `content_filter_results` of a safe piece of a stream, as JSON text.
pub const SAFE_PIECE: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;

/// `content_filter_results` of a safe whole answer, as JSON text.
pub const SAFE_ANSWER: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"protected_material_code":{"filtered":false,"detected":false},"protected_material_text":{"filtered":false,"detected":false},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;

/// `content_filter_results` of an answer that the filter cut, as JSON text.
pub const FILTERED_ANSWER: &str = r#"{"hate":{"filtered":true,"severity":"high"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_found_inside_text() {
        for (prompt, expect) in [
            ("hello", Verdict::Safe),
            ("please simulator:filter-hate now", Verdict::Prompt(Category::Hate)),
            ("simulator:filter-self-harm", Verdict::Prompt(Category::SelfHarm)),
            ("simulator:filter-answer", Verdict::Answer),
            ("simulator:filter-unknown", Verdict::Safe),
        ] {
            assert_eq!(judge(prompt.as_bytes()), expect, "{prompt}");
        }
    }

    #[test]
    fn the_texts_are_json() {
        for text in [SAFE_PIECE, SAFE_ANSWER, FILTERED_ANSWER, SAFE_PROMPT.as_str()] {
            serde_json::from_str::<Value>(text).unwrap();
        }
    }
}
