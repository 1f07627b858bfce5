//! Settings of several members in words, as a file has them: for log lines that tell what a reload changed.

use std::time::Duration;

use crate::config::checked::azure::{DeclaredModel, Inactivity, InactivityPolicy, ModelSource};
use crate::core::recovery::budget::BudgetRule;
use crate::core::recovery::hedge::HedgeRule;
use crate::core::recovery::patience::FirstTokenRule;
use crate::core::topology::{Failover, Residency, Timeouts, Waiting};

fn span(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// A tier's weights as what they mean: each member's share of the tier's traffic, to the hundredth of a per cent.
pub(super) fn shares(weights: impl Iterator<Item = f64> + Clone) -> Vec<String> {
    let whole: f64 = weights.clone().sum();
    let shown = |weight: f64| {
        let digits = format!("{:.2}", 100.0 * weight / whole);
        format!("{} %", digits.trim_end_matches('0').trim_end_matches('.'))
    };
    weights.map(shown).collect()
}

/// A route's regions, and what of its pool is therefore not used.
pub(super) fn residency(residency: &Residency) -> String {
    let Residency { regions, excluded } = residency;
    let regions: Vec<&str> = regions.iter().map(|region| &***region).collect();
    let excluded: Vec<String> = excluded.iter().map(ToString::to_string).collect();
    let without = match excluded.as_slice() {
        [] => String::new(),
        some => format!(", not used: [{}]", some.join(", ")),
    };
    format!("{{regions: [{}]{without}}}", regions.join(", "))
}

/// A route's bounds on attempts.
pub(super) fn failover(failover: &Failover) -> String {
    let Failover {
        max_attempts,
        deadline,
        retry_budget: BudgetRule { ratio, min_per_second },
        backoff,
        first_token: FirstTokenRule {
            base,
            per_1k_tokens,
            least,
        },
        hedging: HedgeRule { max_share },
    } = failover;
    format!(
        "{{max_attempts: {max_attempts}, deadline: {}, retry_budget: {{ratio: {ratio}, min_per_second: {min_per_second}}}, backoff: {}, \
         first_token: {{base: {}, per_1k_tokens: {}, least: {}}}, hedging: {{max_share: {max_share}}}}}",
        span(*deadline),
        span(*backoff),
        span(*base),
        span(*per_1k_tokens),
        span(*least),
    )
}

/// A route's time limits of an attempt.
pub(super) fn timeouts(timeouts: &Timeouts) -> String {
    let Timeouts {
        connect,
        first_byte,
        whole_answer,
        idle,
        total,
    } = timeouts;
    format!(
        "{{connect: {}, first_byte: {}, whole_answer: {}, idle: {}, total: {}}}",
        span(*connect),
        span(*first_byte),
        span(*whole_answer),
        span(*idle),
        span(*total),
    )
}

/// A route's bounds on waiting.
pub(super) fn waiting(waiting: &Waiting) -> String {
    let Waiting { max_wait, queue } = waiting;
    format!("{{max_wait: {}, queue: {queue}}}", span(*max_wait))
}

/// The model that a deployment is declared to be of.
pub(super) fn declared_model(model: &DeclaredModel) -> String {
    let DeclaredModel { name, version, source } = model;
    let from = source.as_ref().map_or_else(String::new, |source| {
        let ModelSource { account, tenant } = source;
        let tenant = tenant
            .as_ref()
            .map_or_else(String::new, |tenant| format!(", source_tenant: {tenant}"));
        format!(", source: {account}{tenant}")
    });
    format!("{{{name}, model_version: {version}{from}}}")
}

/// What becomes of a deployment that nobody uses.
pub(super) fn inactivity(inactivity: Inactivity) -> String {
    let Inactivity {
        policy,
        warn_after_days,
    } = inactivity;
    let policy = match policy {
        InactivityPolicy::Keep {
            organic_after_days,
            keepalive_after_days,
        } => format!("keep, organic_after_days: {organic_after_days}, keepalive_after_days: {keepalive_after_days}"),
        InactivityPolicy::Recreate { at_once } => format!("recreate, at_once: {at_once}"),
        InactivityPolicy::Expire => "expire".to_owned(),
        InactivityPolicy::DeleteAfter { days } => format!("delete_after, days: {days}"),
    };
    format!("{{policy: {policy}, warn_after_days: {warn_after_days}}}")
}
