//! Runs for people and for machines: a table, and one JSON object a run.

use serde::Serialize;

use super::money::{self, Bill, Prices};
use super::policy::PolicyName;
use super::trace::Trace;
use super::world::{CacheKeys, Outcome, Provider, Setting};
use crate::columns::{columns, signed_usd};

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
    /// Cached ÷ prompt tokens as it really was, over the requests that tell it; null where none does.
    pub actual_hit: Option<f64>,
    /// The same over the same requests as it would have been; those that nobody took count as they really were.
    pub replayed_hit: Option<f64>,
    /// Prompt tokens found cached beyond those that really were, over the same requests; less than zero where fewer are.
    pub saved_tokens: Option<i64>,
    /// What these are worth, less the hosting of deployments that there were not, in USD; null without prices.
    pub saved_usd: Option<f64>,
    /// The same for a day, extrapolated from the trace's length.
    pub saved_usd_a_day: Option<f64>,
    /// The same for 30 days.
    pub saved_usd_in_30_days: Option<f64>,
    /// What the run costs; null without prices.
    pub usd: Option<Bill>,
    /// What it really cost at these prices; null without prices, or where the trace does not tell all of it.
    pub actual_usd: Option<Bill>,
    /// Deployments that really answered; 0 where the trace does not tell.
    pub actual_deployments: usize,
    /// Length of the trace, to its last request.
    pub trace_seconds: f64,
}

impl Row {
    /// Of a run.
    pub fn of(
        trace: &Trace,
        policy: PolicyName,
        setting: &Setting,
        outcome: &Outcome,
        bound: f64,
        prices: Option<Prices>,
    ) -> Self {
        let actual = trace.actual;
        let of_prompt = |cached: f64| (actual.prompt_tokens > 0).then(|| cached / actual.prompt_tokens as f64);
        let seconds = trace.seconds();
        let saved_usd = outcome
            .saved
            .zip(prices)
            .and_then(|(tokens, prices)| money::saved(prices, trace, tokens, setting.deployments));
        let a_day = saved_usd.map(|usd| money::a_day(usd, seconds));
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
            actual_hit: of_prompt(actual.cached_tokens as f64),
            replayed_hit: outcome
                .saved
                .and_then(|saved| of_prompt(actual.cached_tokens as f64 + saved as f64)),
            saved_tokens: outcome.saved,
            saved_usd,
            saved_usd_a_day: a_day,
            saved_usd_in_30_days: a_day.map(|usd| 30.0 * usd),
            usd: prices.map(|prices| Bill::of(prices, outcome.taken, setting.deployments, seconds)),
            actual_usd: prices.and_then(|prices| Bill::of_actual(prices, trace)),
            actual_deployments: actual.deployments,
            trace_seconds: seconds,
        }
    }

    /// The cells of [`run_header`].
    pub(super) fn run_cells(&self, is_hosted: bool) -> Vec<String> {
        let limit = self
            .limit_factor
            .map_or_else(|| "-".to_owned(), |factor| format!("x{factor}"));
        let mut cells = vec![
            self.trace.clone(),
            self.policy.to_owned(),
            self.deployments.to_string(),
            self.replicas.to_string(),
            limit,
        ];
        if is_hosted {
            let number = |value: Option<u32>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            let hosted = [
                number(self.machines),
                number(self.requests_per_minute),
                self.cache_key.clone(),
            ];
            cells.extend(hosted);
        }
        cells
    }

    /// The policy, with what it was told of keys: for plots.
    pub fn named_policy(&self) -> String {
        if self.cache_key == "off" {
            self.policy.to_owned()
        } else {
            format!("{}, keys {}", self.policy, self.cache_key)
        }
    }

    /// In which world the run was, in words: for plots.
    pub fn setting(&self) -> String {
        let limit = self
            .limit_factor
            .map_or_else(|| "no limit".to_owned(), |factor| format!("limits x{factor}"));
        let hosted = self
            .machines
            .zip(self.requests_per_minute)
            .map_or_else(String::new, |(machines, rate)| {
                format!(", {machines} machines, {rate} a minute")
            });
        format!("{} deployments, {limit}, {}{hosted}", self.deployments, self.provider)
    }
}

/// What tells runs apart: a hosted provider has more of it.
pub(super) fn run_header(is_hosted: bool) -> Vec<&'static str> {
    let mut header = vec!["trace", "policy", "deployments", "replicas", "limit"];
    if is_hosted {
        header.extend(["machines", "a minute", "key"]);
    }
    header
}

pub(super) fn is_hosted(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.provider == "hosted")
}

/// The table of runs. Percentages; `of bound` is what to compare policies by.
pub fn table(rows: &[Row]) -> String {
    let is_hosted = is_hosted(rows);
    let mut header = run_header(is_hosted);
    let numbers_from = header.len();
    header.extend(["hit", "of bound", "imbalance", "w50", "w95", "refused", "failed"]);
    let cells = rows.iter().map(|row| {
        let mut cells = row.run_cells(is_hosted);
        cells.extend([percent(row.hit), percent(row.hit_of_bound)]);
        cells.extend([row.imbalance, row.w50, row.w95].map(|value| format!("{value:.2}")));
        cells.extend([row.refused, row.failed].map(|part| format!("{:.2} %", part * 100.0)));
        cells
    });
    columns(&header, numbers_from, cells.collect())
}

/// What each run would have saved against what really happened; none where no trace tells that.
pub fn savings(rows: &[Row]) -> Option<String> {
    let (is_hosted, has_money) = (is_hosted(rows), rows.iter().any(|row| row.saved_usd.is_some()));
    let mut header = run_header(is_hosted);
    let numbers_from = header.len();
    header.extend(["was", "would be", "tokens saved"]);
    if has_money {
        header.extend(["USD saved", "a day", "in 30 days"]);
    }
    let cells = rows.iter().filter_map(|row| {
        let ((was, would_be), saved) = row.actual_hit.zip(row.replayed_hit).zip(row.saved_tokens)?;
        let mut cells = row.run_cells(is_hosted);
        cells.extend([percent(was), percent(would_be), format!("{saved:+}")]);
        if has_money {
            let amounts = [row.saved_usd, row.saved_usd_a_day, row.saved_usd_in_30_days];
            cells.extend(amounts.map(|usd| usd.map_or_else(|| "-".to_owned(), signed_usd)));
        }
        Some(cells)
    });
    let cells: Vec<_> = cells.collect();
    (!cells.is_empty()).then(|| columns(&header, numbers_from, cells))
}

/// With one digit: what differs by less is chance.
fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}
