//! Runs for people and for machines: a table, and one JSON object a run.

use serde::Serialize;

use super::policy::PolicyName;
use super::trace::Trace;
use super::world::{CacheKeys, Outcome, Provider, Setting};
use crate::columns::columns;

/// A run in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The trace's name.
    pub trace: String,
    /// The policy's name; `nested` is ours.
    pub policy: &'static str,
    /// Deployments.
    pub deployments: usize,
    /// Gateways that share nothing.
    pub replicas: usize,
    /// Each deployment's limit as a multiple of its fair share; null for none.
    pub limit_factor: Option<f64>,
    /// `engine` or `hosted`.
    pub provider: &'static str,
    /// Machines of a hosted deployment.
    pub machines: Option<u32>,
    /// Requests a minute that a machine takes for one head and key.
    pub requests_per_minute: Option<u32>,
    /// `off`, `auto` or `always`.
    pub cache_key: String,
    /// Requests of the trace.
    pub requests: usize,
    /// Cached ÷ prompt tokens.
    pub hit: f64,
    /// The same with one cache over all traffic.
    pub bound: f64,
    /// `hit` ÷ `bound`.
    pub hit_of_bound: f64,
    /// Busiest deployment over mean, whole trace.
    pub imbalance: f64,
    /// The same of each minute: the median.
    pub w50: f64,
    /// The same: the 95th percentile.
    pub w95: f64,
    /// Refused attempts per request.
    pub refused: f64,
    /// Requests that nobody took, per request.
    pub failed: f64,
}

impl Row {
    /// Of a run.
    pub fn of(trace: &Trace, policy: PolicyName, setting: &Setting, outcome: &Outcome, bound: f64) -> Self {
        let (provider, machines, requests_per_minute) = match setting.provider {
            Provider::Engine => ("engine", None, None),
            Provider::Hosted {
                machines,
                requests_per_minute,
            } => ("hosted", Some(machines), Some(requests_per_minute)),
        };
        let cache_key = if policy == PolicyName::Nested {
            setting.cache_keys
        } else {
            CacheKeys::Off
        };
        Self {
            trace: trace.name.clone(),
            policy: policy.into(),
            deployments: setting.deployments,
            replicas: setting.replicas,
            limit_factor: setting.limit_factor,
            provider,
            machines,
            requests_per_minute,
            cache_key: cache_key.as_ref().to_owned(),
            requests: trace.requests.len(),
            hit: outcome.hit,
            bound,
            hit_of_bound: if bound > 0.0 { outcome.hit / bound } else { 1.0 },
            imbalance: outcome.imbalance,
            w50: outcome.w50,
            w95: outcome.w95,
            refused: outcome.refused,
            failed: outcome.failed,
        }
    }

    /// What the run was, in words: for plots.
    pub fn setting(&self) -> String {
        let limit = self
            .limit_factor
            .map_or_else(|| "no limit".to_owned(), |factor| format!("limits x{factor}"));
        let keys = if self.cache_key == "off" {
            String::new()
        } else {
            format!(", keys {}", self.cache_key)
        };
        let hosted = self
            .machines
            .zip(self.requests_per_minute)
            .map_or_else(String::new, |(machines, rate)| {
                format!(", {machines} machines, {rate} a minute")
            });
        format!(
            "{} deployments, {limit}, {}{hosted}{keys}",
            self.deployments, self.provider
        )
    }
}

/// The table of runs. Percentages; `of bound` is what to compare policies by.
pub fn table(rows: &[Row]) -> String {
    let is_hosted = rows.iter().any(|row| row.provider == "hosted");
    let mut header = vec!["trace", "policy", "deployments", "replicas", "limit"];
    if is_hosted {
        header.extend(["machines", "a minute", "key"]);
    }
    header.extend(["hit", "of bound", "imbalance", "w50", "w95", "refused", "failed"]);
    let numbers_from = header.iter().position(|name| *name == "hit").unwrap_or(0);
    let cells = rows.iter().map(|row| {
        let limit = row
            .limit_factor
            .map_or_else(|| "-".to_owned(), |factor| format!("x{factor}"));
        let mut cells = vec![
            row.trace.clone(),
            row.policy.to_owned(),
            row.deployments.to_string(),
            row.replicas.to_string(),
            limit,
        ];
        if is_hosted {
            let number = |value: Option<u32>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            cells.extend([
                number(row.machines),
                number(row.requests_per_minute),
                row.cache_key.clone(),
            ]);
        }
        let percent = |part: f64| format!("{:.2} %", part * 100.0);
        cells.extend([
            format!("{:.1} %", row.hit * 100.0),
            format!("{:.1} %", row.hit_of_bound * 100.0),
        ]);
        cells.extend([row.imbalance, row.w50, row.w95].map(|value| format!("{value:.2}")));
        cells.extend([percent(row.refused), percent(row.failed)]);
        cells
    });
    columns(&header, numbers_from, cells.collect())
}
