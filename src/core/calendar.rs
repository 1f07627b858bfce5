//! Hours, days and months, in milliseconds since the Unix epoch and UTC: what dates mean in everything that is decided by them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A minute, in milliseconds.
pub const MINUTE_MS: i64 = 60 * 1000;
/// An hour, in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// A day, in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// The start of a date written `YYYY-MM-DD`; none where it is not one.
pub fn date_ms(text: &str) -> Option<i64> {
    start_of(text.parse().ok()?)
}

/// The start of the day that a moment is in.
pub fn day_start_ms(at_ms: i64) -> i64 {
    at_ms - at_ms.rem_euclid(DAY_MS)
}

/// The start of the month that a moment is in, and that of the next one; none for moments beyond the year 9999.
pub fn month_ms(at_ms: i64) -> Option<(i64, i64)> {
    let first = date_of(at_ms)?.first_of_month();
    let next = first.checked_add(1.month()).ok()?;
    Some((start_of(first)?, start_of(next)?))
}

/// A moment's date as `YYYY-MM-DD`; `?` for moments beyond the year 9999.
pub fn shown_date(at_ms: i64) -> String {
    date_of(at_ms).map_or_else(|| "?".to_owned(), |date| date.to_string())
}

/// How long, to the larger of its units: `3 d`, `5 h`, `12 min`. Below a minute it is `0 min`, and so is less than nothing.
pub fn shown_span(span_ms: i64) -> String {
    let span_ms = span_ms.max(0);
    match span_ms {
        _ if span_ms >= 2 * DAY_MS => format!("{} d", span_ms / DAY_MS),
        _ if span_ms >= 2 * HOUR_MS => format!("{} h", span_ms / HOUR_MS),
        _ => format!("{} min", span_ms / MINUTE_MS),
    }
}

fn date_of(at_ms: i64) -> Option<Date> {
    let at = Timestamp::from_millisecond(at_ms).ok()?;
    Some(at.to_zoned_datetime(TimeZone::UTC).date())
}

fn start_of(date: Date) -> Option<i64> {
    let start = date.to_zoned_datetime(TimeZone::UTC).ok()?;
    Some(start.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_shown_in_utc() {
        assert_eq!(date_ms("1970-01-02"), Some(DAY_MS));
        assert_eq!(date_ms("2026-02-30"), None);
        assert_eq!(date_ms("soon"), None);
        let at = date_ms("2026-11-26").expect("a date");
        assert_eq!(shown_date(at), "2026-11-26");
        assert_eq!(shown_date(at - 1), "2026-11-25");
        assert_eq!(day_start_ms(at + 5), at);
        assert_eq!(day_start_ms(-1), -DAY_MS);
        assert_eq!(shown_date(i64::MAX), "?");
    }

    #[test]
    fn months_have_their_own_lengths() {
        let at = |text: &str| date_ms(text).expect("a date");
        assert_eq!(month_ms(at("2028-02-29")), Some((at("2028-02-01"), at("2028-03-01"))));
        assert_eq!(
            month_ms(at("2026-12-31") + 5),
            Some((at("2026-12-01"), at("2027-01-01")))
        );
        assert_eq!(month_ms(i64::MAX), None);
    }

    #[test]
    fn spans_are_told_by_their_larger_unit() {
        let cases = [
            (0, "0 min"),
            (-5, "0 min"),
            (119 * MINUTE_MS, "119 min"),
            (47 * HOUR_MS, "47 h"),
            (75 * HOUR_MS, "3 d"),
        ];
        for (span, shown) in cases {
            assert_eq!(shown_span(span), shown);
        }
    }
}
