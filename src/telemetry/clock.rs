//! The wall clock, read in this one place. Everything that decides takes the time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Now, in milliseconds since the Unix epoch; 0 for a clock set before it.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A moment in milliseconds since the Unix epoch as RFC 3339 in UTC; what is beyond the year 9999 is its end.
pub fn rfc3339(at_ms: i64) -> String {
    let beyond = if at_ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(at_ms).unwrap_or(beyond).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc_and_have_an_end() {
        assert_eq!(rfc3339(1_795_521_600_250), "2026-11-24T12:00:00.25Z");
        assert!(rfc3339(i64::MAX).starts_with("9999-12-30T"), "{}", rfc3339(i64::MAX));
    }
}
