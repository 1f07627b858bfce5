//! What a configuration amounts to, for people: the gateway, its routes, limits and pools.

use std::time::Duration;

use super::{LimitsSummary, MemberSummary, Outcome, TraceSummary};
use crate::columns::columns;

/// All of it: routes with pool, policy and wait, limits if there are any, then each pool with its tiers in the order in which they
/// are used.
pub(super) fn fleet(outcome: &Outcome) -> String {
    let replicas = outcome.replicas;
    let trace = outcome.trace.as_ref().map_or_else(|| "none".to_owned(), trace);
    let limits = limits(&outcome.limits);
    format!(
        "replicas: {replicas}\ntrace: {trace}\n\n{}\n\n{limits}{}\n",
        routes(outcome),
        pools(outcome)
    )
}

fn trace(trace: &TraceSummary) -> String {
    let key = if trace.has_key {
        "the configured key"
    } else {
        "a key made at each start"
    };
    let (path, share) = (trace.path.display(), (1_000.0 * trace.share).round() / 10.0);
    format!("{path}, {share} % of conversations, hashed with {key}")
}

fn routes(outcome: &Outcome) -> String {
    let rows = outcome.routes.iter().map(|route| {
        let models: Vec<&str> = std::iter::once(&route.name)
            .chain(&route.aliases)
            .map(String::as_str)
            .collect();
        let waits = if route.max_wait_s > 0.0 {
            humantime::format_duration(Duration::from_secs_f64(route.max_wait_s)).to_string()
        } else {
            "no".to_owned()
        };
        vec![models.join(", "), route.pool.clone(), route.policy.to_owned(), waits]
    });
    columns(&["route", "pool", "policy", "waits"], 4, rows.collect())
}

/// With an empty line behind it; nothing where there are none.
fn limits(limits: &[LimitsSummary]) -> String {
    if limits.is_empty() {
        return String::new();
    }
    let number = |limit: Option<u32>| limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
    let rows = limits.iter().map(|limits| {
        vec![
            limits.of.clone(),
            number(limits.requests_per_minute),
            number(limits.tokens_per_minute),
            number(limits.concurrency),
        ]
    });
    let header = ["limits of", "requests a minute", "tokens a minute", "at one time"];
    format!("{}\n\n", columns(&header, 1, rows.collect()))
}

fn pools(outcome: &Outcome) -> String {
    let rows = outcome.pools.iter().flat_map(|pool| {
        let tiers = pool.tiers.iter().zip(1..);
        tiers.flat_map(move |(tier, number)| tier.iter().map(move |member| member_row(&pool.name, number, member)))
    });
    let header = [
        "pool",
        "tier",
        "deployment",
        "region",
        "sku",
        "prices",
        "cache keys",
        "share",
        "tokens a minute",
    ];
    columns(&header, 7, rows.collect())
}

fn member_row(pool: &str, tier: usize, member: &MemberSummary) -> Vec<String> {
    let prices = match member.prices.as_slice() {
        [] => "none".to_owned(),
        [_, _, _, _] => "all".to_owned(),
        some => some.join(", "),
    };
    vec![
        pool.to_owned(),
        tier.to_string(),
        member.deployment.clone(),
        member.region.clone(),
        member.sku.to_owned(),
        prices,
        member.cache_keys.to_owned(),
        format!("{} %", member.share),
        member
            .tokens_per_minute
            .map_or_else(|| "not known".to_owned(), |limit| format!("{limit:.0}")),
    ]
}
