//! How often may a subscription be asked? Reads, writes and deletes in an hour, counted from the first call of each hour.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::simulator::arm::error::ArmError;
use crate::simulator::arm::settings::ArmLimits;
use crate::simulator::arm::time;

/// Calls of an hour.
#[derive(Debug, Default)]
pub struct Throttle {
    counted: Mutex<BTreeMap<(String, Sort), Window>>,
}

/// What sort of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// `GET`.
    Read,
    /// `PUT`, `PATCH`, `POST`.
    Write,
    /// `DELETE`.
    Delete,
}

#[derive(Debug, Default)]
struct Window {
    since_ms: u64,
    count: u32,
}

impl Sort {
    /// Of a method.
    pub fn of(method: &http::Method) -> Self {
        match *method {
            http::Method::GET | http::Method::HEAD => Self::Read,
            http::Method::DELETE => Self::Delete,
            _ => Self::Write,
        }
    }

    /// The header that tells how many are left.
    pub fn header(self) -> &'static str {
        match self {
            Self::Read => "x-ms-ratelimit-remaining-subscription-reads",
            Self::Write => "x-ms-ratelimit-remaining-subscription-writes",
            Self::Delete => "x-ms-ratelimit-remaining-subscription-deletes",
        }
    }

    fn limit(self, limits: &ArmLimits) -> u32 {
        match self {
            Self::Read => limits.reads_per_hour,
            Self::Write => limits.writes_per_hour,
            Self::Delete => limits.deletes_per_hour,
        }
    }
}

impl Throttle {
    /// Counts a call and says how many are left. `subscription` must be one of the scenario, which bounds what is kept.
    ///
    /// # Errors
    /// 429 with the time to the next hour.
    pub fn count(&self, limits: &ArmLimits, subscription: &str, sort: Sort, now_ms: u64) -> Result<u32, ArmError> {
        let limit = sort.limit(limits);
        let mut counted = self.counted.lock();
        let window = counted.entry((subscription.to_ascii_lowercase(), sort)).or_default();
        if now_ms >= window.since_ms + time::HOUR_MS {
            *window = Window {
                since_ms: now_ms,
                count: 0,
            };
        }
        if window.count >= limit {
            let wait_s = (window.since_ms + time::HOUR_MS - now_ms).div_ceil(1_000);
            return Err(ArmError::throttled(wait_s, "requests of this subscription"));
        }
        window.count += 1;
        Ok(limit - window.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sort_has_an_hour_of_its_own() {
        let limits = ArmLimits {
            reads_per_hour: 2,
            writes_per_hour: 1,
            ..ArmLimits::default()
        };
        let throttle = Throttle::default();
        let start = 10 * time::DAY_MS;
        let count = |sort, at| {
            throttle
                .count(&limits, "s", sort, at)
                .map_err(|error| error.retry_after_s)
        };
        assert_eq!(count(Sort::Read, start), Ok(1));
        assert_eq!(count(Sort::Write, start), Ok(0));
        assert_eq!(count(Sort::Read, start + 1), Ok(0));
        assert_eq!(count(Sort::Read, start + 60_000), Err(Some(3_540)));
        assert_eq!(count(Sort::Read, start + time::HOUR_MS), Ok(1));
    }
}
