//! Runs for people and for machines: a table, and one JSON object a run.

use serde::Serialize;

use super::matrix::Run;
use super::money::{Bill, Prices};
use super::policy::PolicyName;
use super::saving::{Baseline, Saving};
use super::table::RunTable;
use super::trace::InUse;
use super::world::{CacheKeys, Outcome, Provider};
use crate::columns::signed_usd;

/// A trace that is shorter has too few minutes to tell how uneven they are.
const UNEVEN_SECONDS_MIN: f64 = 120.0;

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
    /// Each deployment's limit as a multiple of its fair share; null for none, or where it is told in tokens.
    pub limit_factor: Option<f64>,
    /// Each deployment's limit in tokens a minute, where it is told so.
    pub tokens_per_minute: Option<f64>,
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
    /// What it saves.
    #[serde(flatten)]
    pub saving: Saving,
    /// What the run costs; null without prices.
    pub usd: Option<Bill>,
    /// What it really cost at these prices; null without prices, or where the trace does not tell all of it.
    pub actual_usd: Option<Bill>,
    /// Deployments that really answered; 0 where the trace does not tell.
    pub actual_deployments: usize,
    /// Requests that really were refused; they are played like the others.
    pub actual_refused: usize,
    /// The policy that was in use; null where the trace does not tell one.
    pub policy_in_use: Option<&'static str>,
    /// Share of all conversations that is in the trace; null where it does not tell it, and then taken as 1.
    pub share: Option<f64>,
    /// Length of the trace, to its last request.
    pub trace_seconds: f64,
}

impl Row {
    /// Of a run.
    pub fn of(
        run: &Run,
        outcome: &Outcome,
        bound: f64,
        prices: Option<Prices>,
        baseline: Option<Baseline<'_>>,
    ) -> Self {
        let Run {
            trace, policy, setting, ..
        } = run;
        let actual = trace.actual;
        let (provider, machines, requests_per_minute) = match setting.provider {
            Provider::Engine => ("engine", None, None),
            Provider::Hosted {
                machines,
                requests_per_minute,
            } => ("hosted", Some(machines), Some(requests_per_minute)),
        };
        let cache_key = if *policy == PolicyName::Nested {
            setting.cache_keys
        } else {
            CacheKeys::Off
        };
        Self {
            trace: trace.name.clone(),
            policy: (*policy).into(),
            deployments: setting.deployments,
            replicas: setting.replicas,
            limit_factor: setting.limit_factor.filter(|_| setting.tokens_per_minute.is_none()),
            tokens_per_minute: setting.tokens_per_minute,
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
            actual_hit: actual.hit_with(0),
            replayed_hit: outcome.saved.and_then(|saved| actual.hit_with(saved)),
            saving: Saving::of(trace, prices, setting, outcome, baseline),
            usd: prices.map(|prices| Bill::of(prices, outcome.taken, setting.deployments, trace)),
            actual_usd: prices.and_then(|prices| Bill::of_actual(prices, trace)),
            actual_deployments: actual.deployments,
            actual_refused: actual.refused,
            policy_in_use: match trace.in_use {
                InUse::One(policy) => Some(policy.into()),
                InUse::Unknown | InUse::Several => None,
            },
            share: trace.share,
            trace_seconds: trace.seconds(),
        }
    }

    /// How many requests each of the trace's stands for.
    pub fn scale(&self) -> f64 {
        1.0 / self.share.unwrap_or(1.0)
    }

    /// Each deployment's limit, as a cell.
    pub(super) fn limit(&self) -> String {
        match (self.tokens_per_minute, self.limit_factor) {
            (Some(tokens), _) => format!("{tokens:.0} a minute"),
            (None, Some(factor)) => format!("x{factor}"),
            (None, None) => "none".to_owned(),
        }
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
        let limit = match self.limit().as_str() {
            "none" => "no limit".to_owned(),
            limit => format!("limits {limit}"),
        };
        let hosted = self
            .machines
            .zip(self.requests_per_minute)
            .map_or_else(String::new, |(machines, rate)| {
                format!(", {machines} machines, {rate} a minute")
            });
        format!("{} deployments, {limit}, {}{hosted}", self.deployments, self.provider)
    }
}

/// The table of runs, and before a trace's first run what really happened, where the trace tells it. Percentages; `of bound` is what to
/// compare policies by.
pub fn table(rows: &[Row]) -> Option<String> {
    let mut table = RunTable::new(
        rows,
        &["hit", "of bound", "imbalance", "w50", "w95", "refused", "failed"],
    );
    let part = |part: f64| format!("{:.2} %", part * 100.0);
    let mut told = None;
    for row in rows {
        if told.replace(&row.trace) != Some(&row.trace) && row.actual_hit.is_some() {
            let mut cells = vec!["-".to_owned(); 7];
            cells[0] = dash_or_percent(row.actual_hit);
            cells[6] = part(row.actual_refused as f64 / row.requests.max(1) as f64);
            table.actual(row, cells);
        }
        let is_short = row.trace_seconds < UNEVEN_SECONDS_MIN;
        let uneven = [row.imbalance, row.w50, row.w95].map(|value| {
            if is_short {
                "-".to_owned()
            } else {
                format!("{value:.2}")
            }
        });
        let mut cells = vec![percent(row.hit), percent(row.hit_of_bound)];
        cells.extend(uneven);
        cells.extend([part(row.refused), part(row.failed)]);
        table.run(row, cells);
    }
    table.text()
}

/// What each run would have saved; none where no trace tells what really happened.
pub fn savings(rows: &[Row]) -> Option<String> {
    let has_money = rows.iter().any(|row| row.usd.is_some());
    let has_played = rows.iter().any(|row| row.saving.in_use_hit.is_some());
    let mut header = vec!["was"];
    if has_played {
        header.push("in use");
    }
    header.extend(["would be", "tokens saved"]);
    if has_money {
        header.extend(["USD saved", "a day", "in 30 days"]);
    }
    header.push("note");
    let mut table = RunTable::new(rows, &header);
    for row in rows {
        let Some(was) = row.actual_hit.filter(|_| row.saving.saved_against.is_some()) else {
            continue;
        };
        let saving = &row.saving;
        let mut cells = vec![percent(was)];
        if has_played {
            cells.push(dash_or_percent(saving.in_use_hit));
        }
        let tokens = saving.saved_tokens.map(|tokens| format!("{tokens:+}"));
        cells.extend([dash_or_percent(row.replayed_hit), dash_or(tokens)]);
        if has_money {
            let amounts = [saving.saved_usd, saving.saved_usd_a_day, saving.saved_usd_in_30_days];
            cells.extend(amounts.map(|usd| dash_or(usd.map(signed_usd))));
        }
        cells.push(note(saving));
        table.run(row, cells);
    }
    table.text()
}

fn note(saving: &Saving) -> String {
    if let Some(reason) = &saving.no_saving {
        return format!("none: {reason}");
    }
    if saving.is_in_use {
        return "in use".to_owned();
    }
    match saving.is_within_model_error {
        Some(true) => "within the model's error".to_owned(),
        Some(false) | None => String::new(),
    }
}

fn dash_or(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "-".to_owned())
}

fn dash_or_percent(part: Option<f64>) -> String {
    dash_or(part.map(percent))
}

/// What a positive error may be made of: what was cached less in life than in the model.
const NOT_PLAYED: &str = "what outages and drains moved in life is part of the model's error, since they are not played; `emberway usage --misses` tells it as \
                          `moved_by_failover`";

/// How far the policy in use, played, is from what really happened: a sentence for each trace and world.
pub fn model_errors(rows: &[Row]) -> Vec<String> {
    let mut errors: Vec<String> = Vec::new();
    for row in rows {
        let (Some(policy), Some(was), Some(played), Some(tokens)) = (
            row.policy_in_use,
            row.actual_hit,
            row.saving.in_use_hit,
            row.saving.model_error_tokens,
        ) else {
            continue;
        };
        let usd = row.saving.model_error_usd;
        let usd = usd.map_or_else(String::new, |usd| format!(", {} USD", signed_usd(usd)));
        let error = format!(
            "model error: {} was placed by `{policy}`; played, it finds {} cached where {} really was ({tokens:+} tokens{usd})",
            row.trace,
            percent(played),
            percent(was)
        );
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
    if rows.iter().any(|row| row.saving.model_error_tokens > Some(0)) {
        errors.push(NOT_PLAYED.to_owned());
    }
    errors
}

/// With one digit: what differs by less is chance.
fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}
