//! What a provisioned throughput unit (PTU) is worth, model by model.
//!
//! Source: Azure's provisioned throughput documentation, table of May 2026. Fine-tuned models have their base model's figures.

/// A base model and what one PTU of it does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitThroughput {
    /// Base model.
    pub model: &'static str,
    /// Input tokens a minute and unit.
    pub input_per_minute: f64,
    /// Input tokens that one output token counts as.
    pub output_weight: f64,
}

const TABLE: [UnitThroughput; 7] = [
    row("gpt-4.1", 3_000.0, 4.0),
    row("gpt-4.1-mini", 14_900.0, 4.0),
    row("gpt-4.1-nano", 59_400.0, 4.0),
    row("gpt-4o", 2_500.0, 4.0),
    row("gpt-4o-mini", 37_000.0, 4.0),
    row("o4-mini", 5_400.0, 4.0),
    row("gpt-5", 4_750.0, 8.0),
];

const fn row(model: &'static str, input_per_minute: f64, output_weight: f64) -> UnitThroughput {
    UnitThroughput {
        model,
        input_per_minute,
        output_weight,
    }
}

/// The row of a model. A dated or fine-tuned name, such as `gpt-4.1-mini-2025-04-14.ft-0123`, has that of its base model; relatives
/// (`gpt-5-mini`) are other models.
pub fn of_model(model: &str) -> Option<UnitThroughput> {
    let matching = TABLE.iter().filter(|row| {
        let rest = model.strip_prefix(row.model);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(".ft-") || is_dated(rest))
    });
    matching.max_by_key(|row| row.model.len()).copied()
}

/// `-YYYY-MM-DD`, and perhaps more.
fn is_dated(rest: &str) -> bool {
    let date = rest.strip_prefix('-').and_then(|rest| rest.as_bytes().get(..10));
    date.is_some_and(|date| {
        let mut bytes = date.iter().enumerate();
        bytes.all(|(at, byte)| {
            if matches!(at, 4 | 7) {
                *byte == b'-'
            } else {
                byte.is_ascii_digit()
            }
        })
    })
}

/// The models of the table.
pub fn models() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_model_itself_dated_or_tuned_counts() {
        let of = |model| of_model(model).map(|row| row.model);
        assert_eq!(of("gpt-4.1"), Some("gpt-4.1"));
        assert_eq!(of("gpt-4.1-mini-2025-04-14.ft-0123"), Some("gpt-4.1-mini"));
        assert_eq!(of("gpt-4o-2024-08-06"), Some("gpt-4o"));
        assert_eq!(of("gpt-4.1.ft-0123"), Some("gpt-4.1"));
        for other in [
            "gpt-4.11",
            "gpt-5-mini",
            "gpt-5-nano",
            "gpt-5.1",
            "gpt-4o-audio-preview",
            "gpt-5-pro-2026-01-01",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(of("support"), None);
    }
}
