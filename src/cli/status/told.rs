//! What a gateway tells at `/status`, as far as it is shown, and what each part of it amounts to.
//!
//! Read leniently: words that this version does not know are shown as they come.

use std::collections::BTreeMap;

use anyhow::Context as _;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::admin::care::{CaredStatus, FleetStatus};
use crate::admin::needs::Need;
use crate::cli::operator::Operator;
use crate::cli::span::span;
use crate::cli::styled::Gravity;

/// `GET /status`.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::cli) struct Told {
    /// When, by the gateway's clock: ages are told by it.
    pub(in crate::cli) at_ms: i64,
    /// When the process started.
    pub(in crate::cli) started_at: String,
    /// The same in milliseconds since the Unix epoch.
    pub(in crate::cli) started_at_ms: i64,
    /// Whether new requests are welcome.
    pub(in crate::cli) ready: bool,
    /// Whether the process is ending.
    pub(in crate::cli) draining: bool,
    /// The program's version.
    pub(in crate::cli) version: String,
    /// Requests running.
    pub(in crate::cli) requests_running: u64,
    /// The configuration in use.
    pub(in crate::cli) config: ToldConfig,
    /// How the fleet is looked after; none without a control plane.
    pub(in crate::cli) fleet: Option<FleetStatus>,
    /// Each pool.
    pub(in crate::cli) pools: Vec<ToldPool>,
    /// Each deployment.
    pub(in crate::cli) deployments: Vec<ToldDeployment>,
    /// What needs somebody, gravest first.
    pub(in crate::cli) needs: Vec<Need>,
}

/// The configuration in use.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::cli) struct ToldConfig {
    /// Counts configurations put to use.
    pub(in crate::cli) generation: u64,
    /// When it was loaded.
    pub(in crate::cli) loaded_at: String,
    /// Why the file as it is now is not in use.
    pub(in crate::cli) last_error: Option<String>,
}

/// A pool.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::cli) struct ToldPool {
    /// Its name.
    pub(in crate::cli) name: String,
    /// Its deployments.
    pub(in crate::cli) deployments: u64,
    /// Those of them that can be used.
    pub(in crate::cli) usable: u64,
    /// By region: what the others take if it is lost, by the load.
    pub(in crate::cli) headroom: BTreeMap<String, f64>,
}

/// A deployment.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::cli) struct ToldDeployment {
    /// `resource/name`.
    pub(in crate::cli) name: String,
    /// Where it is.
    pub(in crate::cli) region: String,
    /// Attempts running at it.
    pub(in crate::cli) in_flight: u64,
    breaker: String,
    limit_tokens_per_minute: Option<u64>,
    limit_used: Option<f64>,
    cooling_until_ms: Option<i64>,
    drained: bool,
    drained_until_ms: Option<i64>,
    absent: Option<String>,
    last_success_at_ms: Option<i64>,
    deletion_at: Option<String>,
    /// What looking after the fleet knows of it.
    pub(in crate::cli) care: Option<CaredStatus>,
}

/// Asks a gateway, and returns also what it told as it is.
///
/// # Errors
/// When it does not answer, or what it tells is not understood.
pub(in crate::cli) async fn ask(operator: &Operator) -> anyhow::Result<(Told, Value)> {
    let text = operator.ask(Method::GET, "/status", &[], Vec::new()).await?;
    read(&text)
}

/// Reads what a gateway told.
///
/// # Errors
/// When it is not understood.
pub(in crate::cli) fn read(text: &str) -> anyhow::Result<(Told, Value)> {
    let understood = || "the gateway's status is not understood; is it of this version?";
    let whole: Value = serde_json::from_str(text).with_context(understood)?;
    let told = Told::deserialize(&whole).with_context(understood)?;
    Ok((told, whole))
}

impl Told {
    /// Whether the gateway takes requests and every pool has somebody to use.
    pub(in crate::cli) fn is_in_order(&self) -> bool {
        self.ready && !self.pools.iter().any(ToldPool::is_unusable)
    }

    /// Whether it takes requests, in a word.
    pub(in crate::cli) fn readiness(&self) -> (&'static str, Gravity) {
        match (self.draining, self.ready) {
            (true, _) => ("draining", Gravity::Bad),
            (false, true) => ("ready", Gravity::Fine),
            (false, false) => ("not ready", Gravity::Bad),
        }
    }

    /// For how long it has run, in words.
    pub(in crate::cli) fn uptime(&self) -> String {
        span(self.at_ms - self.started_at_ms)
    }
}

impl ToldPool {
    /// Whether none of its deployments can be used.
    pub(in crate::cli) fn is_unusable(&self) -> bool {
        self.deployments > 0 && self.usable == 0
    }

    /// How many can be used, and how that is.
    pub(in crate::cli) fn usable(&self) -> (String, Gravity) {
        let gravity = match () {
            () if self.is_unusable() => Gravity::Bad,
            () if self.usable < self.deployments => Gravity::Watch,
            () => Gravity::Fine,
        };
        (format!("{}/{}", self.usable, self.deployments), gravity)
    }

    /// The region whose loss leaves the least headroom, with that.
    pub(in crate::cli) fn least_headroom(&self) -> Option<(&str, f64)> {
        let regions = self.headroom.iter().map(|(region, ratio)| (region.as_str(), *ratio));
        regions.min_by(|one, other| one.1.total_cmp(&other.1))
    }
}

impl ToldDeployment {
    /// What keeps it from being used, in words; `usable` where nothing does.
    pub(in crate::cli) fn state(&self, now_ms: i64) -> (String, Gravity) {
        let mut words = Vec::new();
        let mut gravity = Gravity::Fine;
        let mut tell = |word: String, how: Gravity| {
            words.push(word);
            gravity = gravity.max(how);
        };
        if let Some(absent) = &self.absent {
            tell(absent.clone(), Gravity::Bad);
        }
        if self.drained {
            let left = self.drained_until_ms.map(|until| span(until - now_ms));
            tell(
                left.map_or("drained".to_owned(), |left| format!("drained, {left} left")),
                Gravity::Watch,
            );
        }
        match self.breaker.as_str() {
            "closed" => {}
            "open" => tell("breaker open".to_owned(), Gravity::Bad),
            other => tell(format!("breaker {other}"), Gravity::Watch),
        }
        if let Some(until) = self.cooling_until_ms.filter(|until| *until > now_ms) {
            tell(format!("cooling {}", span(until - now_ms)), Gravity::Watch);
        }
        if words.is_empty() {
            return ("usable".to_owned(), Gravity::Fine);
        }
        (words.join(", "), gravity)
    }

    /// What is left of its limit, `62 % of 150k`; `-` where that is not known.
    pub(in crate::cli) fn room(&self) -> (String, Gravity) {
        let used = self.limit_used;
        let left = used.map(|used| (1.0 - used).max(0.0) * 100.0);
        let gravity = left.map_or(
            Gravity::Fine,
            |left| if left < 10.0 { Gravity::Watch } else { Gravity::Fine },
        );
        let limit = self.limit_tokens_per_minute.map(|limit| amount(limit as f64));
        let shown = match (left, limit) {
            (Some(left), Some(limit)) => format!("{left:.0} % of {limit}"),
            (Some(left), None) => format!("{left:.0} %"),
            (None, Some(limit)) => limit,
            (None, None) => "-".to_owned(),
        };
        (shown, gravity)
    }

    /// How long ago it answered with success; `-` where it never has.
    pub(in crate::cli) fn last_success(&self, now_ms: i64) -> String {
        let at = self.last_success_at_ms;
        at.map_or("-".to_owned(), |at| format!("{} ago", span(now_ms - at)))
    }

    /// When it is or may be deleted, to the minute: `by` before what may be earlier, `-` where it never is.
    pub(in crate::cli) fn deletion(&self) -> String {
        let date = self.care.as_ref().map_or(&self.deletion_at, |care| &care.deletion_at);
        let by = self.care.as_ref().is_some_and(|care| !care.deletion_is_exact);
        let shown = |at: &String| format!("{}{}", if by { "by " } else { "" }, minute(at));
        date.as_ref().map_or("-".to_owned(), shown)
    }
}

/// The day and minute of an RFC 3339 time in UTC.
pub(in crate::cli) fn minute(at: &str) -> String {
    at.get(..16)
        .map_or_else(|| at.to_owned(), |minute| minute.replace('T', " "))
}

/// A number with three digits that count: `4.2`, `312`, `12.5k`, `3.1M`.
pub(in crate::cli) fn amount(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        abs if abs >= 999_500.0 => (number / 1_000_000.0, "M"),
        abs if abs >= 999.5 => (number / 1_000.0, "k"),
        _ => (number, ""),
    };
    let decimals = usize::from(scaled.abs() < 99.95 && scaled.fract().abs() >= 0.05);
    format!("{scaled:.decimals$}{unit}")
}
