//! Answers made of lines: figures of each point and of the whole, cells of a heat map, flows.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::core::history::ask::By;
use crate::core::history::lines::{Key, Line, NONE};
use crate::core::history::shown::{
    FailoverFlow, Figures, Flow, Flows, Group, Heatmap, Percentiles, Points, Series, Time, Total,
};
use crate::core::history::step::Grid;
use crate::core::history::sums::{OTHER, Sums};
use crate::core::history::times::{TIME_US_MAX, Times};

/// Groups that are told apart; the others, those with the fewest requests, are told together.
pub const GROUPS_MAX: usize = 50;

/// Figures of a line.
pub fn figures(line: &Line) -> Figures {
    let sums = &line.sums;
    let words = |words: &crate::core::history::sums::Words| {
        words
            .pairs()
            .map(|(word, count)| (word.to_owned(), count))
            .collect::<BTreeMap<_, _>>()
    };
    Figures {
        outcomes: words(&sums.outcomes),
        reasons: words(&sums.reasons),
        ..bare_figures(line)
    }
}

/// The same without words, for points.
fn bare_figures(line: &Line) -> Figures {
    let Sums {
        requests,
        errors,
        attempts,
        throttled,
        prompt_tokens,
        cached_tokens,
        expected_tokens,
        completion_tokens,
        nano_usd,
        saved_nano_usd,
        ..
    } = line.sums;
    Figures {
        requests,
        errors,
        throttled,
        attempts,
        failovers: line.sums.failovers(),
        prompt_tokens,
        cached_tokens,
        expected_tokens,
        completion_tokens,
        token_usd: nano_usd as f64 / 1e9,
        saved_usd: saved_nano_usd as f64 / 1e9,
        latency: percentiles(line),
        ..Figures::default()
    }
}

fn percentiles(line: &Line) -> Percentiles {
    let of = |times: &Times| times.quantiles_ms([0.50, 0.95, 0.99]);
    let [ttft_p50_ms, ttft_p95_ms, ttft_p99_ms] = of(&line.ttft);
    let [total_p50_ms, total_p95_ms, total_p99_ms] = of(&line.total);
    let [overhead_p50_ms, overhead_p95_ms, overhead_p99_ms] = of(&line.overhead);
    Percentiles {
        ttft_p50_ms,
        ttft_p95_ms,
        ttft_p99_ms,
        total_p50_ms,
        total_p95_ms,
        total_p99_ms,
        overhead_p50_ms,
        overhead_p95_ms,
        overhead_p99_ms,
    }
}

/// Which groups are told apart: those with the most requests.
#[derive(Debug)]
pub struct Chosen {
    by: By,
    apart: HashSet<Arc<str>>,
}

impl Chosen {
    /// Of groups with their requests.
    pub fn new(by: By, requests: BTreeMap<Arc<str>, u64>) -> Self {
        let mut all: Vec<_> = requests.into_iter().collect();
        all.sort_by(|(name, count), (other, others)| others.cmp(count).then_with(|| name.cmp(other)));
        all.truncate(GROUPS_MAX);
        Self {
            by,
            apart: all.into_iter().map(|(name, _)| name).collect(),
        }
    }

    fn name(&self, key: &Key) -> Arc<str> {
        let name = match self.by {
            By::None => return "".into(),
            by => key.name(by),
        };
        if self.apart.contains(name) {
            Arc::clone(name)
        } else {
            OTHER.into()
        }
    }
}

/// Gathers a series: lines are added in any order, best in that of their times.
#[derive(Debug)]
pub struct Gathering {
    grid: Option<Grid>,
    chosen: Chosen,
    groups: BTreeMap<Arc<str>, Gathered>,
}

#[derive(Debug, Default)]
struct Gathered {
    total: Line,
    /// Lines of points that something may still be added to; the first points of a time are told from the store, the last from memory.
    open: BTreeMap<usize, Line>,
    told: BTreeMap<usize, Figures>,
}

impl Gathering {
    /// Of these groups, on this grid; without one only all together.
    pub fn new(chosen: Chosen, grid: Option<Grid>) -> Self {
        Self {
            grid,
            chosen,
            groups: BTreeMap::new(),
        }
    }

    /// Adds a line of the interval that begins then. False where it is in no point.
    pub fn add(&mut self, start_ms: i64, key: &Key, line: &Line) -> bool {
        let group = self.groups.entry(self.chosen.name(key)).or_default();
        let Some(grid) = &self.grid else {
            group.total.merge(line);
            return true;
        };
        let Some(point) = grid.point(start_ms) else {
            return false;
        };
        group.open.entry(point).or_default().merge(line);
        true
    }

    /// No line of a point before this time will come any more: its memory is given back.
    pub fn close_before(&mut self, start_ms: i64) {
        let Some(point) = self.grid.as_ref().and_then(|grid| grid.point(start_ms)) else {
            return;
        };
        for group in self.groups.values_mut() {
            let later = group.open.split_off(&point);
            for (point, line) in std::mem::replace(&mut group.open, later) {
                group.tell(point, &line);
            }
        }
    }

    /// All points, and all together. Groups with the most requests come first, others last.
    pub fn series(mut self) -> Series {
        let Some(grid) = self.grid else {
            return Series::default();
        };
        for group in self.groups.values_mut() {
            for (point, line) in std::mem::take(&mut group.open) {
                group.tell(point, &line);
            }
        }
        let by = self.chosen.by;
        let mut groups: Vec<Group> = self
            .groups
            .into_iter()
            .map(|(key, mut group)| {
                let mut points = Points::default();
                for point in 0..grid.len() {
                    points.push(&group.told.remove(&point).unwrap_or_default());
                }
                Group {
                    label: label(&key, by),
                    key: key.to_string(),
                    total: figures(&group.total),
                    points,
                }
            })
            .collect();
        groups.sort_by_key(|group| (group.key == OTHER, std::cmp::Reverse(group.total.requests)));
        Series {
            from_ms: grid.from_ms,
            to_ms: grid.to_ms,
            step_ms: grid.step_ms,
            starts_ms: grid.starts_ms(),
            groups,
        }
    }

    /// All together, by group.
    pub fn totals(self) -> Vec<Total> {
        let by = self.chosen.by;
        let mut totals: Vec<Total> = self
            .groups
            .into_iter()
            .map(|(key, group)| Total {
                label: label(&key, by),
                key: key.to_string(),
                total: figures(&group.total),
            })
            .collect();
        totals.sort_by_key(|total| (total.key == OTHER, std::cmp::Reverse(total.total.requests)));
        totals
    }
}

impl Gathered {
    fn tell(&mut self, point: usize, line: &Line) {
        self.total.merge(line);
        self.told.insert(point, bare_figures(line));
    }
}

/// A group's name for people.
fn label(key: &str, by: By) -> String {
    match key {
        "" => "all requests".to_owned(),
        NONE => "no deployment was asked".to_owned(),
        OTHER => format!("all other {}s", by.as_ref()),
        name => name.to_owned(),
    }
}

/// Upper bounds of a heat map's cells, in microseconds: two and a half to a doubling, from a hundredth of a millisecond to an hour where
/// that is needed, at most 40 of them around what there is.
pub fn bounds_us(all: &Times) -> Vec<u64> {
    const CELLS_MAX: usize = 40;
    let scale: Vec<u64> = (0..80)
        .map(|step: i32| (10.0 * 2_f64.powf(f64::from(step) / 2.5)).round() as u64)
        .take_while(|bound| *bound < TIME_US_MAX)
        .collect();
    let mut counts = vec![0; scale.len()];
    all.spread(&scale, &mut counts);
    let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
    let last = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
    let first = first.max((last + 1).saturating_sub(CELLS_MAX));
    scale[first..=last].to_vec()
}

/// A heat map of the times of each point.
pub fn heatmap(grid: &Grid, points: &BTreeMap<usize, Times>) -> Heatmap {
    let mut all = Times::default();
    for times in points.values() {
        all.add(times);
    }
    let bounds = bounds_us(&all);
    let counts = (0..grid.len()).map(|point| {
        let mut counts = vec![0; bounds.len()];
        if let Some(times) = points.get(&point) {
            times.spread(&bounds, &mut counts);
        }
        counts
    });
    Heatmap {
        step_ms: grid.step_ms,
        starts_ms: grid.starts_ms(),
        counts: counts.collect(),
        bounds_ms: bounds.iter().map(|bound| *bound as f64 / 1_000.0).collect(),
    }
}

/// Where requests went, of sums by route and deployment of a time. `tier_of` knows the tier of a deployment in a route's pool.
pub fn flows(time: Option<Time>, sums: &BTreeMap<Key, Sums>, tier_of: impl Fn(&str, &str) -> Option<usize>) -> Flows {
    let mut all = Sums::default();
    let mut flows: Vec<Flow> = Vec::new();
    for (key, sums) in sums {
        all.merge(sums);
        if sums.requests > 0 {
            flows.push(Flow {
                route: key.route.to_string(),
                deployment: key.deployment.to_string(),
                region: key.region.to_string(),
                tier: tier_of(&key.route, &key.deployment),
                requests: sums.requests,
                reasons: sums
                    .reasons
                    .pairs()
                    .map(|(word, count)| (word.to_owned(), count))
                    .collect(),
                errors: sums.errors,
            });
        }
    }
    let is_spill = |word: &str| word.starts_with("spill") || matches!(word, "tier" | "no_room" | "last_resort");
    let spills = all.reasons.pairs().filter(|(word, _)| is_spill(word));
    let mut failovers: Vec<FailoverFlow> = all
        .moves
        .iter()
        .map(|moved| FailoverFlow {
            from: moved.from.to_string(),
            to: moved.to.to_string(),
            outcome: moved.outcome.to_string(),
            requests: moved.requests,
        })
        .collect();
    failovers.sort_by(|one, other| other.requests.cmp(&one.requests).then_with(|| one.cmp(other)));
    Flows {
        time,
        spills: spills.map(|(word, count)| (word.to_owned(), count)).collect(),
        flows,
        failovers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_less_than_a_millionth_is_told() {
        let sums = Sums {
            nano_usd: 400,
            saved_nano_usd: 30,
            ..Sums::default()
        };
        let line = Line {
            sums,
            ..Line::default()
        };
        let told = figures(&line);
        assert_eq!((told.token_usd, told.saved_usd), (4e-7, 3e-8));
    }
}
