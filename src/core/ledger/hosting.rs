//! Hosting: what a deployment costs for being there, called or not, by the hour from its creation to its deletion.
//!
//! Money is whole millionths of a US dollar. What a stretch of time costs is the difference of two rounded sums since the
//! tenure's beginning, so that days add up to the month to the last millionth.

use crate::core::calendar::{DAY_MS, HOUR_MS, day_start_ms};
use crate::core::ids::DeploymentId;
use crate::core::topology::Sku;

/// Days that one tenure is spread over at most; of a longer one only the last are told.
pub const DAYS_MAX: i64 = 3_660;

/// A stretch of a deployment's life at one price: a change of SKU, capacity or price begins the next. Times in milliseconds since
/// the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenure {
    /// Whose.
    pub deployment: DeploymentId,
    /// Its SKU.
    pub sku: Sku,
    /// Its creation, or the change.
    pub from_ms: i64,
    /// Its deletion, or the next change; none while it goes on.
    pub to_ms: Option<i64>,
    /// US dollars an hour, all its units together; none where that is not known.
    pub hour_usd: Option<f64>,
}

/// What a deployment cost for being there on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct HostingDay {
    /// The day's start in UTC, in milliseconds since the Unix epoch.
    pub day_ms: i64,
    /// How long it was there on that day.
    pub there_ms: i64,
    /// What that cost, in millionths of a US dollar; none where its price is not known.
    pub micro_usd: Option<u64>,
}

impl Tenure {
    /// How much of it is in `from..to`.
    pub fn there_ms(&self, from_ms: i64, to_ms: i64) -> i64 {
        let begins = self.from_ms.max(from_ms);
        let ends = self.to_ms.unwrap_or(i64::MAX).min(to_ms);
        ends.saturating_sub(begins).max(0)
    }

    /// What it costs in `from..to`, in millionths of a US dollar.
    pub fn micro_usd(&self, from_ms: i64, to_ms: i64) -> Option<u64> {
        let until = |at_ms: i64| self.there_ms(self.from_ms, at_ms) as f64 / HOUR_MS as f64;
        let sum = |at_ms: i64| Some((until(at_ms) * self.hour_usd? * 1e6).round() as u64);
        Some(sum(to_ms)?.saturating_sub(sum(from_ms)?))
    }

    /// The same day by day, in order; days without it are left out.
    pub fn days(&self, from_ms: i64, to_ms: i64) -> Vec<HostingDay> {
        let begins = self.from_ms.max(from_ms);
        let ends = self.to_ms.unwrap_or(i64::MAX).min(to_ms);
        let mut days = Vec::new();
        let mut day_ms = day_start_ms(begins).max(ends.saturating_sub(DAYS_MAX * DAY_MS));
        while day_ms < ends {
            let next_ms = day_start_ms(day_ms) + DAY_MS;
            let (from, to) = (day_ms.max(begins), next_ms.min(ends));
            days.push(HostingDay {
                day_ms: day_start_ms(day_ms),
                there_ms: self.there_ms(from, to),
                micro_usd: self.micro_usd(from, to),
            });
            day_ms = next_ms;
        }
        days
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 20_000 * DAY_MS;

    fn tenure(from_ms: i64, to_ms: Option<i64>, hour_usd: Option<f64>) -> Tenure {
        Tenure {
            deployment: DeploymentId::from("x/a"),
            sku: Sku::Standard,
            from_ms,
            to_ms,
            hour_usd,
        }
    }

    #[test]
    fn a_month_is_what_the_page_reckons() {
        let month = tenure(START, None, Some(1.70)).micro_usd(START, START + 30 * DAY_MS);
        assert_eq!(month, Some(1_224_000_000), "1.70 x 720");
        assert_eq!(tenure(START, None, None).micro_usd(START, START + DAY_MS), None);
        assert_eq!(tenure(START, None, Some(0.0)).micro_usd(START, START + DAY_MS), Some(0));
    }

    #[test]
    fn only_the_time_that_it_was_there_counts() {
        let tenure = tenure(START + 18 * HOUR_MS, Some(START + 30 * HOUR_MS), Some(2.0));
        let days = tenure.days(START - DAY_MS, START + 9 * DAY_MS);
        let shown: Vec<_> = days
            .iter()
            .map(|day| ((day.day_ms - START) / DAY_MS, day.there_ms / HOUR_MS, day.micro_usd))
            .collect();
        assert_eq!(shown, [(0, 6, Some(12_000_000)), (1, 6, Some(12_000_000))]);
        assert_eq!(tenure.micro_usd(START + 40 * HOUR_MS, START + 50 * HOUR_MS), Some(0));
        assert_eq!(tenure.micro_usd(START, START + HOUR_MS), Some(0));
        assert!(tenure.days(START + 2 * DAY_MS, START + 3 * DAY_MS).is_empty());
    }

    #[test]
    fn a_tenure_without_end_is_bounded() {
        let days = tenure(0, None, Some(1.0)).days(0, i64::MAX / 2);
        assert_eq!(days.len() as i64, DAYS_MAX + 1);
    }

    proptest! {
        #[test]
        fn days_add_up_to_the_whole(from in 0..90 * HOUR_MS, length in 0..900 * HOUR_MS, hour in 0.0..200.0_f64) {
            let tenure = tenure(START + from, Some(START + from + length), Some(hour));
            let end = START + 60 * DAY_MS;
            let whole = tenure.micro_usd(START, end);
            let days = tenure.days(START, end);
            prop_assert_eq!(days.iter().map(|day| day.micro_usd.unwrap()).sum::<u64>(), whole.unwrap());
            prop_assert_eq!(days.iter().map(|day| day.there_ms).sum::<i64>(), length);
        }
    }
}
