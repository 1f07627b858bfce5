//! Times of requests as a histogram that can be added to others and written down.
//!
//! An `HdrHistogram` from a microsecond to an hour with sixteen cells to each doubling: a percentile is told to some 3 % by interpolating
//! within its cell, and never wrong by more than the cell's width, 6.25 %. Ten times the precision would take ten times the room in
//! the store; Prometheus' usual buckets are a doubling each. Written as the library's own V2 format, which other programs read.

use std::io::Cursor;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};

/// Longest time that is told from longer ones: an hour, in microseconds.
pub const TIME_US_MAX: u64 = 3_600_000_000;
/// Decimal digits that the library is to keep; it makes that sixteen cells to a doubling.
const DIGITS: u8 = 1;

/// Times, in microseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Times(Option<Histogram<u64>>);

/// What was written cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a histogram of the history is damaged ({0}); its interval is left out")]
pub struct TimesError(pub String);

impl Times {
    /// Adds a time. One beyond an hour counts as an hour.
    pub fn record(&mut self, us: u64) {
        if let Some(histogram) = self.made() {
            histogram.saturating_record(us.max(1));
        }
    }

    fn made(&mut self) -> Option<&mut Histogram<u64>> {
        if self.0.is_none() {
            // The bounds are legal: a test makes one.
            self.0 = Histogram::new_with_bounds(1, TIME_US_MAX, DIGITS).ok();
        }
        self.0.as_mut()
    }

    /// Adds all times of another.
    pub fn add(&mut self, other: &Self) {
        let Some(theirs) = &other.0 else { return };
        if let Some(ours) = self.made() {
            // Both have the same bounds; one that was read was checked.
            let _ = ours.add(theirs);
        }
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Times that so many of all are below, 0 to 1 and rising, in milliseconds; none without any.
    pub fn quantiles_ms<const N: usize>(&self, quantiles: [f64; N]) -> [Option<f64>; N] {
        let mut found = [None; N];
        let Some(histogram) = self.0.as_ref().filter(|histogram| !histogram.is_empty()) else {
            return found;
        };
        let (mut before, mut next) = (0.0, 0);
        for cell in histogram.iter_recorded() {
            let count = cell.count_since_last_iteration() as f64;
            while let Some(quantile) = quantiles.get(next) {
                let rank = quantile * histogram.len() as f64;
                if before + count < rank {
                    break;
                }
                let low = histogram.lowest_equivalent(cell.value_iterated_to()) as f64;
                let width = histogram.equivalent_range(cell.value_iterated_to()) as f64;
                let within = ((rank - before) / count).clamp(0.0, 1.0);
                found[next] = Some((low + width * within) / 1_000.0);
                next += 1;
            }
            before += count;
        }
        found
    }

    /// How many times are in each cell of a scale: at most its upper bound, in microseconds, and above the one before. Above the last
    /// counts as in the last. A histogram's cell belongs where its middle does.
    pub fn spread(&self, bounds_us: &[u64], into: &mut [u64]) {
        let Some(histogram) = &self.0 else { return };
        for cell in histogram.iter_recorded() {
            let middle = histogram.median_equivalent(cell.value_iterated_to());
            let at = bounds_us.partition_point(|bound| *bound < middle);
            if let Some(count) = into.get_mut(at.min(bounds_us.len().saturating_sub(1))) {
                *count += cell.count_since_last_iteration();
            }
        }
    }

    /// Written down; none without any.
    pub fn encoded(&self) -> Option<Vec<u8>> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        let mut bytes = Vec::new();
        // Writing to memory fails for counts beyond 2^63 only.
        V2Serializer::new().serialize(histogram, &mut bytes).ok()?;
        Some(bytes)
    }

    /// Adds times that were written down.
    ///
    /// # Errors
    /// When the bytes are none, or of other bounds.
    pub fn add_encoded(&mut self, bytes: &[u8]) -> Result<(), TimesError> {
        let read: Histogram<u64> = Deserializer::new()
            .deserialize(&mut Cursor::new(bytes))
            .map_err(|error| TimesError(error.to_string()))?;
        if (read.low(), read.high(), read.sigfig()) != (1, TIME_US_MAX, DIGITS) {
            return Err(TimesError("other bounds".to_owned()));
        }
        match &mut self.0 {
            None => self.0 = Some(read),
            Some(ours) => ours.add(&read).map_err(|error| TimesError(error.to_string()))?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[u64]) -> Times {
        let mut all = Times::default();
        for time in times {
            all.record(*time);
        }
        all
    }

    #[test]
    fn without_times_nothing_is_told() {
        let none = Times::default();
        assert_eq!(
            (none.quantiles_ms([0.5]), none.encoded(), none.len()),
            ([None], None, 0)
        );
        assert_eq!(of(&[1]).len(), 1, "the bounds are legal");
    }

    #[test]
    fn times_beyond_an_hour_count_as_an_hour() {
        let [told] = of(&[u64::MAX, 0]).quantiles_ms([1.0]);
        let told = told.expect("there are two");
        assert!((3_600_000.0..3_850_000.0).contains(&told), "{told}");
    }

    #[test]
    fn the_spread_counts_each_once() {
        let mut counts = [0; 3];
        of(&[900, 1_500, 1_600, 9_000, 80_000]).spread(&[1_000, 2_000, 10_000], &mut counts);
        assert_eq!(counts, [1, 2, 2]);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let mut times = Times::default();
        assert!(times.add_encoded(b"no histogram").is_err());
        let other: Histogram<u64> = Histogram::new_with_bounds(1, 1_000, 3).expect("bounds");
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&other, &mut bytes).expect("written");
        assert_eq!(times.add_encoded(&bytes), Err(TimesError("other bounds".to_owned())));
        assert!(times.is_empty());
    }

    proptest! {
        /// Whatever the parts, merged in whatever order and through whatever store, the percentiles are those of all values: within
        /// the width of a cell.
        #[test]
        fn merged_percentiles_are_those_of_all_values(
            parts in prop::collection::vec(prop::collection::vec(1_u64..5_000_000, 1..60), 1..8),
        ) {
            let mut merged = Times::default();
            for part in &parts {
                merged.add_encoded(&of(part).encoded().expect("not empty")).expect("read");
            }
            let mut all: Vec<u64> = parts.concat();
            prop_assert_eq!(&merged, &of(&all));
            all.sort_unstable();
            for quantile in [0.5, 0.95, 0.99] {
                let rank = (quantile * all.len() as f64).ceil() as usize;
                let exact = all[rank.max(1) - 1] as f64;
                let [told] = merged.quantiles_ms([quantile]);
                let told = told.expect("not empty") * 1_000.0;
                prop_assert!((told - exact).abs() <= (exact / 16.0).max(1.0) + 1.0, "{} for {}", told, exact);
            }
        }
    }
}
