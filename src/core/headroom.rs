//! Would the others carry the load if a region were lost? Limits of those that would be left, by the load as it is.
//!
//! The load is measured where somebody looks: every deployment's sum of tokens sent, as
//! [`Room`](crate::core::placement::room::Room) counts them against limits anyhow, is noted at each look, and the difference over
//! the last minute is the rate. Requests pay nothing for it.
//!
//! What is estimated: a deployment of two pools counts with all its load and all its limit in both, and tokens that a provisioned
//! deployment counts otherwise than a per-token one are taken as they are.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::ids::Region;

/// What the rate is taken over: so long does it take until all of a change of the load shows.
const WINDOW: Duration = Duration::from_mins(1);

/// Shortest time between two samples, and shortest time that a rate is taken over. So there are at most some dozen samples.
const SPACING: Duration = Duration::from_secs(5);

/// Tokens a minute that a deployment is sent, measured from a sum that only its requests change.
#[derive(Debug, Default)]
pub struct TokenRate {
    /// Times with the sum as of then, oldest first; only the first is older than the window.
    samples: VecDeque<(Duration, f64)>,
}

impl TokenRate {
    /// The rate over the last minute, or over the time since the last look if that is longer; none until five seconds after the first
    /// look. `total` is the sum as of now.
    pub fn look(&mut self, total: f64, now: Duration) -> Option<f64> {
        let begun = now.saturating_sub(WINDOW);
        while self.samples.get(1).is_some_and(|(at, _)| *at <= begun) {
            self.samples.pop_front();
        }
        let rate = self.samples.front().and_then(|(at, before)| {
            let over = now.checked_sub(*at).filter(|over| *over >= SPACING)?;
            // What was not taken is subtracted later.
            Some((total - before).max(0.0) * WINDOW.as_secs_f64() / over.as_secs_f64())
        });
        if self
            .samples
            .back()
            .is_none_or(|(at, _)| now.saturating_sub(*at) >= SPACING)
        {
            self.samples.push_back((now, total));
        }
        rate
    }
}

/// A member of a pool, as one that carries load.
#[derive(Debug, Clone)]
pub struct Carrier<'a> {
    /// Where it is.
    pub region: &'a Region,
    /// Whether it may be used: one that is drained, or behind an open breaker, would carry nothing.
    pub is_usable: bool,
    /// Tokens a minute that it takes; infinite where that is not known, which counts as nothing.
    pub limit: f64,
    /// Tokens a minute that all gateways send it; none where that is not measured yet.
    pub load: Option<f64>,
}

/// For each region of a pool, what the usable members elsewhere take, by the pool's load: below 1 they would not carry it. Empty
/// for a pool in one region and where no load is measured; without the regions of which no survivor's limit is known.
pub fn headroom(members: &[Carrier<'_>]) -> Vec<(Region, f64)> {
    let loads = || members.iter().filter_map(|member| member.load);
    if loads().next().is_none() {
        return Vec::new();
    }
    let load = loads().sum::<f64>();
    let by_load = |(lost, limit): (Region, f64)| (lost, ratio(limit, load));
    survivors(members).into_iter().map(by_load).collect()
}

/// A limit by a load, both in tokens a minute. A load of less than a token a minute counts as one.
pub fn ratio(limit: f64, load: f64) -> f64 {
    limit / load.max(1.0)
}

/// For each region of a pool, the tokens a minute that the usable members elsewhere take. Empty for a pool in one region; without the
/// regions of which no survivor's limit is known.
pub fn survivors(members: &[Carrier<'_>]) -> Vec<(Region, f64)> {
    let mut regions: Vec<&Region> = Vec::new();
    for member in members {
        if !regions.contains(&member.region) {
            regions.push(member.region);
        }
    }
    if regions.len() < 2 {
        return Vec::new();
    }
    let limit = |lost: &Region| {
        let others = || members.iter().filter(|member| member.region != lost);
        // Unknown for all is not the same as nothing.
        others().find(|member| member.limit.is_finite())?;
        let carries = |member: &&Carrier<'_>| member.is_usable && member.limit.is_finite();
        let limits: f64 = others().filter(carries).map(|member| member.limit).sum();
        Some((lost.clone(), limits))
    };
    regions.into_iter().filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_rate_is_taken_over_the_last_minute_or_since_the_last_look() {
        let mut rate = TokenRate::default();
        assert_eq!(rate.look(1_000.0, seconds(0)), None);
        assert_eq!(rate.look(1_100.0, seconds(2)), None, "too short");
        assert_eq!(rate.look(1_100.0, seconds(10)), Some(600.0));
        // Looks of one moment agree.
        assert_eq!(rate.look(1_100.0, seconds(10)), Some(600.0));
        assert_eq!(rate.look(1_200.0, seconds(70)), Some(100.0));
        // Nobody looked for long.
        assert_eq!(rate.look(1_800.0, seconds(670)), Some(60.0));
        // What was sent and not taken.
        assert_eq!(rate.look(1_100.0, seconds(680)), Some(0.0));
    }

    #[test]
    fn samples_are_bounded() {
        let mut rate = TokenRate::default();
        for second in 0..1_000 {
            rate.look(second as f64, seconds(second));
        }
        assert!(rate.samples.len() <= 14, "{}", rate.samples.len());
        assert_eq!(rate.look(1_000.0, seconds(1_000)), Some(60.0));
    }

    /// Members by region, limit, load and whether they are usable.
    fn ratios(members: &[(&str, f64, Option<f64>, bool)]) -> Vec<(String, f64)> {
        let regions: Vec<Region> = members.iter().map(|(region, ..)| Region::from(*region)).collect();
        let carriers: Vec<_> = members
            .iter()
            .zip(&regions)
            .map(|((_, limit, load, is_usable), region)| Carrier {
                region,
                is_usable: *is_usable,
                limit: *limit,
                load: *load,
            })
            .collect();
        let shown = headroom(&carriers).into_iter();
        shown.map(|(region, ratio)| (region.to_string(), ratio)).collect()
    }

    #[test]
    fn survivors_limits_are_set_against_the_whole_load() {
        let unknown = f64::INFINITY;
        let north = |ratio| ("north".to_owned(), ratio);
        let south = |ratio| ("south".to_owned(), ratio);
        for (members, expected) in [
            (
                vec![("north", 100.0, Some(30.0), true), ("south", 50.0, Some(20.0), true)],
                vec![north(1.0), south(2.0)],
            ),
            // A survivor that is out of use carries nothing, but its load must be carried.
            (
                vec![("north", 100.0, Some(30.0), true), ("south", 50.0, Some(20.0), false)],
                vec![north(0.0), south(2.0)],
            ),
            // An unknown limit counts as nothing beside known ones, and alone says nothing.
            (
                vec![
                    ("north", 100.0, Some(10.0), true),
                    ("south", 50.0, None, true),
                    ("south", unknown, None, true),
                ],
                vec![north(5.0), south(10.0)],
            ),
            (
                vec![("north", 100.0, Some(10.0), true), ("south", unknown, None, true)],
                vec![south(10.0)],
            ),
            // No load to speak of, none measured, one region.
            (
                vec![("north", 100.0, Some(0.0), true), ("south", 50.0, Some(0.0), true)],
                vec![north(50.0), south(100.0)],
            ),
            (vec![("north", 100.0, None, true), ("south", 50.0, None, true)], vec![]),
            (
                vec![("north", 100.0, Some(1.0), true), ("north", 50.0, Some(1.0), true)],
                vec![],
            ),
        ] {
            assert_eq!(ratios(&members), expected, "{members:?}");
        }
    }
}
