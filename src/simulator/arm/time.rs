//! Dates as ARM writes them, from and to milliseconds since the Unix epoch in the world's time.

use jiff::Timestamp;

/// A minute.
pub const MINUTE_MS: u64 = 60_000;
/// An hour.
pub const HOUR_MS: u64 = 60 * MINUTE_MS;
/// A day.
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// Such as `2026-01-02T03:04:05Z`; empty beyond the year 9999.
pub fn shown(ms: u64) -> String {
    let second = i64::try_from(ms / 1_000)
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok());
    second.map(|at| at.to_string()).unwrap_or_default()
}

/// A time with its zone, or a date alone, which is its midnight; none before 1970.
pub fn parse(text: &str) -> Option<u64> {
    let at: Timestamp = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse()).ok()?;
    u64::try_from(at.as_millisecond()).ok()
}

/// Seconds of a setting as milliseconds.
pub fn of_seconds(seconds: f64) -> u64 {
    (seconds * 1e3) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for (text, ms) in [
            ("2026-01-02T03:04:05Z", 1_767_323_045_000),
            ("2027-10-14", 1_823_472_000_000),
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
            assert!(shown(ms).starts_with(text), "{}", shown(ms));
        }
        assert_eq!(parse("soon"), None);
        assert_eq!(parse("1969-01-01"), None);
    }
}
