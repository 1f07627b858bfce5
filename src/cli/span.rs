//! How long something took or takes still, as people say it: one unit, whole numbers.

use crate::core::calendar::{HOUR_MS, MINUTE_MS, shown_span};

/// A time in milliseconds, to the larger of its units: `less than 1 s`, `12 s`, `2 min`, `3 h`, `2 d`. Cut, not rounded: what has taken
/// 119 s has not taken two minutes.
pub(super) fn span(ms: i64) -> String {
    match ms {
        _ if ms < 1_000 => "less than 1 s".to_owned(),
        _ if ms < 2 * MINUTE_MS => format!("{} s", ms / 1_000),
        _ if ms < 2 * HOUR_MS => format!("{} min", ms / MINUTE_MS),
        _ => shown_span(ms),
    }
}

/// The same for seconds that something takes still: begun ones count, so that nobody comes too early.
pub(super) fn span_left(seconds: f64) -> String {
    if seconds < 1.0 {
        return span(0);
    }
    // A float beyond the integer's range becomes its end.
    span((seconds.ceil() * 1_000.0) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_in_the_units_that_people_use() {
        let check = |ms: i64, expected: &str| assert_eq!(span(ms), expected, "{ms}");
        check(-5, "less than 1 s");
        check(746, "less than 1 s");
        check(1_000, "1 s");
        check(119_999, "119 s");
        check(130_800, "2 min");
        check(7_199_999, "119 min");
        check(7_200_000, "2 h");
        check(3 * 86_400_000, "3 d");
        assert_eq!(
            [0.746, 1.2, 59.2, 150.1, f64::INFINITY].map(span_left)[..4],
            ["less than 1 s", "2 s", "60 s", "2 min"]
        );
    }
}
