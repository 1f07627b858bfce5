//! What deployments cost for being there, entered where figures are told by what they belong to: a deployment or a region, never a route
//! or client. Where no price is known nothing is said; 0 is said of what is known to cost nothing.

use std::collections::BTreeSet;

use crate::core::history::ask::By;
use crate::core::history::gather::GROUPS_MAX;
use crate::core::history::shown::{Figures, Group, Points, Series, Total};
use crate::core::ids::DeploymentId;

/// What deployments cost in a time, in US dollars, with their regions; none where a price is not known.
#[derive(Debug)]
pub(super) struct Hosting(pub(super) Vec<(DeploymentId, String, Option<f64>)>);

impl Hosting {
    /// Of a group, as far as prices are known; none where none is.
    pub(super) fn of(&self, key: &str, by: By) -> Option<f64> {
        let is_in = |(deployment, region, _): &&(DeploymentId, String, Option<f64>)| match by {
            By::Deployment => &***deployment == key,
            By::Region => region == key,
            By::None => true,
            By::Route | By::Client => false,
        };
        let mut sum = None;
        for (_, _, usd) in self.0.iter().filter(is_in) {
            if let Some(usd) = usd {
                *sum.get_or_insert(0.0) += usd;
            }
        }
        sum
    }

    /// Enters it in a series, with groups for deployments that cost something and had no request.
    pub(super) fn enter_series(&self, by: By, series: &mut Series) {
        for group in &mut series.groups {
            group.total.hosting_usd = self.of(&group.key, by);
        }
        let mut points = Points::default();
        for _ in &series.starts_ms {
            points.push(&Figures::default());
        }
        let known = series.groups.iter().map(|group| &*group.key).collect();
        let idle = self.idle(by, &known).into_iter().map(|(key, total)| Group {
            label: key.clone(),
            key,
            total,
            points: points.clone(),
        });
        let idle: Vec<Group> = idle.collect();
        series.groups.extend(idle);
    }

    /// The same in totals.
    pub(super) fn enter_totals(&self, by: By, totals: &mut Vec<Total>) {
        for total in &mut *totals {
            total.total.hosting_usd = self.of(&total.key, by);
        }
        let known = totals.iter().map(|total| &*total.key).collect();
        let idle = self.idle(by, &known).into_iter().map(|(key, total)| Total {
            label: key.clone(),
            key,
            total,
        });
        let idle: Vec<Total> = idle.collect();
        totals.extend(idle);
    }

    /// Deployments that cost something and are in no group. Where there are so many groups that some are told together, any may be in
    /// those.
    fn idle(&self, by: By, known: &BTreeSet<&str>) -> Vec<(String, Figures)> {
        if by != By::Deployment || known.len() >= GROUPS_MAX {
            return Vec::new();
        }
        let names: BTreeSet<&str> = self.0.iter().map(|(deployment, _, _)| &***deployment).collect();
        let idle = names.difference(known).filter_map(|name| {
            let usd = self.of(name, by).filter(|usd| *usd > 0.0)?;
            let figures = Figures {
                hosting_usd: Some(usd),
                ..Figures::default()
            };
            Some(((*name).to_owned(), figures))
        });
        idle.take(GROUPS_MAX - known.len()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosting() -> Hosting {
        let of = |name: &str, region: &str, usd| (DeploymentId::from(name), region.to_owned(), usd);
        Hosting(vec![
            of("eu/one", "swedencentral", Some(1.5)),
            of("eu/one", "swedencentral", Some(2.0)),
            of("eu/idle", "swedencentral", Some(1.0)),
            of("eu/free", "swedencentral", Some(0.0)),
            of("us/unknown", "eastus2", None),
        ])
    }

    #[test]
    fn what_has_no_price_costs_nothing_known_and_not_0() {
        let hosting = hosting();
        assert_eq!(hosting.of("", By::None), Some(4.5));
        assert_eq!(hosting.of("eu/free", By::Deployment), Some(0.0));
        assert_eq!(hosting.of("us/unknown", By::Deployment), None);
        assert_eq!(hosting.of("(none)", By::Deployment), None);
        assert_eq!(hosting.of("swedencentral", By::Region), Some(4.5));
        assert_eq!(hosting.of("eastus2", By::Region), None);
        assert_eq!(hosting.of("support", By::Route), None);
    }

    #[test]
    fn a_deployment_that_costs_and_is_idle_is_a_group_of_its_own() {
        let used = Group {
            key: "eu/one".to_owned(),
            ..Group::default()
        };
        let mut series = Series {
            starts_ms: vec![0, 10_000],
            groups: vec![used],
            ..Series::default()
        };
        hosting().enter_series(By::Deployment, &mut series);
        let told: Vec<_> = series
            .groups
            .iter()
            .map(|group| (&*group.key, group.total.hosting_usd))
            .collect();
        assert_eq!(told, [("eu/one", Some(3.5)), ("eu/idle", Some(1.0))]);
        assert_eq!(series.groups[1].points.requests, [0, 0]);
        let mut totals = Vec::new();
        hosting().enter_totals(By::Region, &mut totals);
        assert!(totals.is_empty());
        hosting().enter_totals(By::Deployment, &mut totals);
        let told: Vec<_> = totals.iter().map(|total| &*total.key).collect();
        assert_eq!(told, ["eu/idle", "eu/one"]);
    }
}
