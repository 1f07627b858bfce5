//! What every read is asked with: a stretch of time, and which requests of it.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::api::answer::Refusal;
use crate::core::calendar::{DAY_MS, HOUR_MS};
use crate::storage::report::Range;
use crate::storage::usage_sums::Only;

/// Longest stretch of time: records are kept no longer by most.
pub(super) const RANGE_DAYS_MAX: i64 = 400;
/// The last millisecond of the year 9999: beyond it dates cannot be written.
const TIME_MS_MAX: i64 = 253_402_300_799_999;
/// Longest name in a filter, in bytes: `resource/name` with room.
const NAME_BYTES_MAX: usize = 256;

/// A stretch of time.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TimeQuery {
    /// First moment that counts, in milliseconds since the Unix epoch; an hour before `to_ms` when left out.
    #[param(minimum = 0, maximum = 253_402_300_799_999_i64)]
    pub(super) from_ms: Option<i64>,
    /// First moment that no longer counts; now when left out. At most 400 days after `from_ms`.
    #[param(minimum = 0, maximum = 253_402_300_799_999_i64)]
    pub(super) to_ms: Option<i64>,
}

impl TimeQuery {
    /// The stretch that is meant.
    ///
    /// # Errors
    /// When a moment is no date, the end is not after the start, or it is too long.
    pub(super) fn range(self, now_ms: i64) -> Result<Range, Refusal> {
        for (name, given) in [("from_ms", self.from_ms), ("to_ms", self.to_ms)] {
            if given.is_some_and(|ms| !(0..=TIME_MS_MAX).contains(&ms)) {
                let message = format!("`{name}` must be milliseconds since 1970, up to the year 9999");
                return Err(Refusal::bad_param(name, message));
            }
        }
        let until_ms = self.to_ms.unwrap_or(now_ms);
        let since_ms = self.from_ms.unwrap_or((until_ms - HOUR_MS).max(0));
        if since_ms >= until_ms {
            let message = "`from_ms` must be before `to_ms` (now when left out)";
            return Err(Refusal::bad_param("from_ms", message));
        }
        if until_ms - since_ms > RANGE_DAYS_MAX * DAY_MS {
            let message =
                format!("`from_ms` and `to_ms` are more than {RANGE_DAYS_MAX} days apart; ask for less at a time");
            return Err(Refusal::bad_param("from_ms", message));
        }
        Ok(Range { since_ms, until_ms })
    }
}

/// Which requests: those with all of these properties. A name that nobody has ever had gives empty answers: names of the past are
/// legal, and only records know them.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OnlyQuery {
    /// Only requests for this route.
    #[param(max_length = 256)]
    pub(super) route: Option<String>,
    /// Only requests that this deployment (`resource/name`) answered, or was tried for last.
    #[param(max_length = 256)]
    pub(super) deployment: Option<String>,
    /// Only requests that a deployment in this region answered, or was tried for last.
    #[param(max_length = 256)]
    pub(super) region: Option<String>,
    /// Only requests of this client.
    #[param(max_length = 256)]
    pub(super) client: Option<String>,
}

impl OnlyQuery {
    /// Those that are meant; an empty name is none.
    ///
    /// # Errors
    /// When a name is longer than any can be.
    pub(super) fn only(self) -> Result<Only, Refusal> {
        Ok(Only {
            route: name("route", self.route)?,
            deployment: name("deployment", self.deployment)?,
            region: name("region", self.region)?,
            client: name("client", self.client)?,
        })
    }
}

fn name(param: &'static str, given: Option<String>) -> Result<Option<String>, Refusal> {
    let given = given.filter(|name| !name.is_empty());
    if given.as_ref().is_some_and(|name| name.len() > NAME_BYTES_MAX) {
        let message = format!("`{param}` has more than {NAME_BYTES_MAX} bytes, which no name has");
        return Err(Refusal::bad_param(param, message));
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_795_521_600_000;

    fn range(from_ms: Option<i64>, to_ms: Option<i64>) -> Result<(i64, i64), String> {
        let range = TimeQuery { from_ms, to_ms }.range(NOW_MS);
        range
            .map(|range| (range.since_ms - NOW_MS, range.until_ms - NOW_MS))
            .map_err(|refused| format!("{}: {}", refused.param.unwrap_or_default(), refused.message))
    }

    #[test]
    fn ranges_are_the_last_hour_unless_told_and_bounded() {
        let day = |days: i64| NOW_MS + days * DAY_MS;
        for (from, to, expected) in [
            (None, None, Ok((-HOUR_MS, 0))),
            (Some(day(-1)), None, Ok((-DAY_MS, 0))),
            (None, Some(day(-1)), Ok((-DAY_MS - HOUR_MS, -DAY_MS))),
            (Some(day(-400)), Some(NOW_MS), Ok((-400 * DAY_MS, 0))),
            (
                Some(day(-400) - 1),
                Some(NOW_MS),
                Err("from_ms: `from_ms` and `to_ms` are more than 400 days"),
            ),
            (Some(NOW_MS), Some(NOW_MS), Err("from_ms: `from_ms` must be before")),
            (Some(-1), None, Err("from_ms: `from_ms` must be milliseconds")),
            (None, Some(i64::MAX), Err("to_ms: `to_ms` must be milliseconds")),
        ] {
            match (range(from, to), expected) {
                (Ok(range), Ok(expected)) => assert_eq!(range, expected),
                (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{error}"),
                (range, expected) => panic!("{range:?}, and not {expected:?}"),
            }
        }
        let early = TimeQuery {
            from_ms: None,
            to_ms: Some(5),
        };
        assert_eq!(early.range(NOW_MS).expect("a range").since_ms, 0);
    }

    #[test]
    fn an_empty_name_is_none_and_a_huge_one_is_refused() {
        let of = |route: &str| OnlyQuery {
            route: Some(route.to_owned()),
            ..OnlyQuery::default()
        };
        assert_eq!(of("").only().expect("legal").route, None);
        assert_eq!(of("bot").only().expect("legal").route.as_deref(), Some("bot"));
        let refused = of(&"x".repeat(NAME_BYTES_MAX + 1)).only().expect_err("too long");
        assert_eq!(refused.param.as_deref(), Some("route"));
    }
}
