//! What to know before believing a what-if, a sentence each: what was left out, guessed, or is too little.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Setting;
use super::outcome::Outcome;
use crate::core::placement::policy::Policy;
use crate::core::recorded::TraceRecord;
use crate::core::topology::Snapshot;

/// Fewer counted requests say little.
const REQUESTS_MIN: u64 = 200;
/// A played hit ratio that is further from the real one than this deserves a word.
const HIT_OFF: f64 = 0.1;
/// Recorded requests that came before those that are counted, and warm the caches.
const WARM_UP_MIN: usize = 50;

/// Where recorded requests come from, and what of them is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Source {
    /// Whether they are read from a trace file, whose hashes have a key of their own.
    pub is_trace: bool,
    /// Recorded requests that were left out, the oldest, to be done in time.
    pub left_out: usize,
}

/// Cached ÷ prompt tokens that answers really reported for the requests that are counted; none where none did.
pub fn real_hit_ratio(recorded: &[Arc<TraceRecord>], setting: &Setting) -> Option<f64> {
    let counted = recorded.iter().filter(|record| record.at_ms >= setting.counted_from_ms);
    let mut sums = (0, 0);
    for record in counted {
        if let Some(used) = &record.used {
            sums.0 += used.cached_tokens;
            sums.1 += record.prompt_tokens;
        }
    }
    (sums.1 > 0).then(|| sums.0 as f64 / sums.1 as f64)
}

/// The sentences, the most important first.
pub fn notes(
    recorded: &[Arc<TraceRecord>],
    setting: &Setting,
    source: Source,
    (today, proposed): (&Outcome, &Outcome),
    (in_use, wanted): (&Snapshot, &Snapshot),
) -> Vec<String> {
    let mut notes = Vec::new();
    if today.requests < REQUESTS_MIN {
        notes.push(format!(
            "only {} requests are recorded for that time: differences of a few percent mean nothing",
            today.requests
        ));
    }
    if source.left_out > 0 {
        notes.push(format!(
            "only the newest {} recorded requests were played, {} older ones were left out to be done in time",
            recorded.len(),
            source.left_out
        ));
    }
    if let Some(real) = real_hit_ratio(recorded, setting)
        && (today.hit_ratio - real).abs() > HIT_OFF
    {
        notes.push(format!(
            "played, today's configuration finds {:.0} % cached where answers really reported {:.0} %: read the difference between the two \
             columns, not the amounts",
            100.0 * today.hit_ratio,
            100.0 * real
        ));
    }
    let warm_up = recorded
        .iter()
        .take_while(|record| record.at_ms < setting.counted_from_ms);
    if warm_up.count() < WARM_UP_MIN {
        notes.push("caches begin empty with the first recorded request, so both columns find a little less cached than they would".to_owned());
    }
    notes.extend(of_routes(recorded, setting, proposed, wanted));
    notes.extend(of_fleet(in_use, wanted, setting));
    if source.is_trace {
        notes.push(
            "the requests are from the trace file, whose hashes are not those that place prompts: totals hold, but which deployment is \
             home to which prompts is drawn anew"
                .to_owned(),
        );
    }
    let unpriced: BTreeSet<&String> = today.unpriced.iter().chain(&proposed.unpriced).collect();
    if !unpriced.is_empty() {
        let names: Vec<String> = unpriced.iter().map(|name| format!("`{name}`")).collect();
        notes.push(format!(
            "not all prices of {} are known, so amounts of money are left out; set `price`",
            names.join(", ")
        ));
    }
    notes
}

/// Of routes and pools that differ.
fn of_routes(recorded: &[Arc<TraceRecord>], setting: &Setting, proposed: &Outcome, wanted: &Snapshot) -> Vec<String> {
    let mut notes = Vec::new();
    let counted = recorded.iter().filter(|record| record.at_ms >= setting.counted_from_ms);
    let routes: BTreeSet<&str> = counted.map(|record| &**record.route).collect();
    let gone = routes
        .iter()
        .filter(|route| !wanted.route_by_model.contains_key(**route));
    let gone: Vec<String> = gone.map(|route| format!("`{route}`")).collect();
    if !gone.is_empty() {
        notes.push(format!(
            "the proposed configuration has no route {}: its {} requests count as refused",
            gone.join(", "),
            proposed.unrouted
        ));
    }
    let pool_of = |record: &TraceRecord| {
        let route = wanted.route_by_model.get(&**record.route)?;
        let pool = &wanted.pools[wanted.routes[route.0].pool.0].id;
        record.pool.as_ref().filter(|recorded| *recorded != pool)?;
        Some(pool.to_string())
    };
    let moved: BTreeSet<String> = recorded.iter().filter_map(|record| pool_of(record)).collect();
    if !moved.is_empty() {
        let moved: Vec<String> = moved.iter().map(|pool| format!("`{pool}`")).collect();
        notes.push(format!(
            "requests come to pool {} that went to another one: which deployment is home to which prompts is drawn anew there",
            moved.join(", ")
        ));
    }
    let by_latency = wanted.routes.iter().any(|route| route.policy == Policy::Latency);
    if by_latency {
        notes.push("policy `latency` is played with deployments that are all alike quick".to_owned());
    }
    notes
}

/// Of deployments and gateways.
fn of_fleet(in_use: &Snapshot, wanted: &Snapshot, setting: &Setting) -> Vec<String> {
    let mut notes = Vec::new();
    if wanted.replicas > 1 {
        notes.push(format!(
            "each of the {} gateways is taken to get requests like this one's",
            wanted.replicas
        ));
    }
    if setting.share < 1.0 {
        notes.push(format!(
            "{} % of conversations are recorded; limits are scaled to that, and money to all traffic",
            (1_000.0 * setting.share).round() / 10.0
        ));
    }
    let out: Vec<String> = in_use
        .deployments
        .iter()
        .filter(|deployment| setting.known.get(&deployment.id).is_some_and(|known| known.is_out))
        .map(|deployment| format!("`{}`", deployment.id))
        .collect();
    if !out.is_empty() {
        notes.push(format!("out of use now, and so in both columns: {}", out.join(", ")));
    }
    let gone = in_use.deployments.iter().any(|deployment| {
        let mut kept = wanted.deployments.iter();
        !kept.any(|other| other.id == deployment.id)
    });
    if gone {
        notes.push(
            "hosting is reckoned as if deployments that are no longer configured were deleted at Azure too".to_owned(),
        );
    }
    notes
}
