//! Whole numbers in bodies as JSON Schema has them: `36.0` is one.

use serde::{Deserialize, Deserializer};
use serde_json::Number;

/// Largest whole number that a float still tells from the next one.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A whole number that is not negative.
pub(in crate::admin) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    whole(&Number::deserialize(deserializer)?).ok_or_else(not_whole)
}

/// The same where `null` is none.
pub(in crate::admin) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = Option::<Number>::deserialize(deserializer)?;
    number.map(|number| whole(&number).ok_or_else(not_whole)).transpose()
}

fn whole(number: &Number) -> Option<u64> {
    let of_float = |float: f64| (float.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&float)).then_some(float as u64);
    number.as_u64().or_else(|| of_float(number.as_f64()?))
}

fn not_whole<E: serde::de::Error>() -> E {
    E::custom("a whole number that is not negative is wanted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        let check = |text: &str| optional(&mut serde_json::Deserializer::from_str(text)).ok();
        assert_eq!(check("36"), Some(Some(36)));
        assert_eq!(check("36.0"), Some(Some(36)));
        assert_eq!(check("null"), Some(None));
        for wrong in ["36.5", "-1", "-1.0", "1e300", "\"36\"", "true"] {
            assert_eq!(check(wrong), None, "{wrong}");
        }
        assert_eq!(
            number(&mut serde_json::Deserializer::from_str("4212.0")).ok(),
            Some(4_212)
        );
    }
}
