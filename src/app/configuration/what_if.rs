//! Gathers recorded requests and what is known of the fleet, and plays them on the configuration in use and on a proposed one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::told;
use crate::admin::api::answer::Refusal;
use crate::admin::api::config::shapes::{Recorded, WhatIf};
use crate::config::billed;
use crate::config::checked::{Checked, Runtime};
use crate::core::ids::DeploymentId;
use crate::core::ledger::book::PriceBook;
use crate::core::ledger::prices::{self, PriceList};
use crate::core::recorded::TraceRecord;
use crate::core::recovery::health::Availability;
use crate::core::topology::DeploymentIx;
use crate::proxy::Gateway;
use crate::proxy::state::Live;
use crate::replay::what_if::notes::{self, Source};
use crate::replay::what_if::{self, KnownNow, Setting, file};
use crate::storage::trace::recent::REQUESTS_MAX;
use crate::storage::trace::recent::Recent;

/// How long both runs may take together, before a part of the requests is played instead: three tries stay below ten seconds.
const TRY_MAX: Duration = Duration::from_secs(3);
/// Parts of the recorded requests that are played, the newest of them: all, and less where that takes too long.
const PARTS: [usize; 3] = [1, 4, 16];
/// Requests that came before those that are counted are played for so long, so that caches are warm. None keeps anything for longer.
const WARM_UP_MS: i64 = 60 * 60 * 1_000;
/// Chance: the same question has the same answer.
const SEED: u64 = 1;

/// 429: one is being played.
pub(super) fn busy() -> Refusal {
    let message = "another what-if is being played; ask again in some seconds";
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, message, "what_if_busy").retry_after(5)
}

/// Recorded requests.
struct Gathered {
    requests: Vec<Arc<TraceRecord>>,
    share: f64,
    is_trace: bool,
}

/// Plays the requests of the last `window_s` seconds.
pub(super) fn answer(gateway: &Gateway, proposed: &Checked, window_s: u64, now_ms: i64) -> Result<WhatIf, Refusal> {
    let live = gateway.live.load_full();
    let back_ms = i64::try_from(window_s.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let from_ms = now_ms.saturating_sub(back_ms);
    let gathered = gathered(gateway, &live, from_ms)?;
    let setting = Setting {
        counted_from_ms: from_ms,
        share: gathered.share,
        known: known(&live),
        seed: SEED,
    };
    // That the list which comes with the program can be read is tested.
    let list = PriceList::parse(prices::EMBEDDED);
    let list = list.map_err(|error| Refusal::failed(error.to_string(), "prices_unreadable"))?;
    let book = |runtime: &Runtime| PriceBook::new(list.clone(), billed::of_runtime(runtime));
    let (in_use, wanted) = (&live.config.runtime, &proposed.runtime);
    let (book_in_use, book_wanted) = (book(in_use), book(wanted));
    for part in PARTS {
        let recorded = newest_part(&gathered.requests, from_ms, part);
        let begun = Instant::now();
        let may_go_on = || begun.elapsed() < TRY_MAX;
        let today = what_if::play(recorded, &in_use.snapshot, &book_in_use, &setting, &may_go_on);
        let Ok(today) = today else { continue };
        let then = what_if::play(recorded, &wanted.snapshot, &book_wanted, &setting, &may_go_on);
        let Ok(then) = then else { continue };
        let counted = || recorded.iter().filter(|record| record.at_ms >= from_ms);
        let source = Source {
            is_trace: gathered.is_trace,
            left_out: gathered.requests.len() - recorded.len(),
        };
        let outcomes = (&today, &then);
        let snapshots = (&*in_use.snapshot, &*wanted.snapshot);
        return Ok(WhatIf {
            recorded: Recorded {
                requests: counted().count() as u64,
                from_ms: counted().next().map_or(from_ms, |record| record.at_ms),
                to_ms: recorded.last().map_or(now_ms, |record| record.at_ms),
                source: if gathered.is_trace { "trace" } else { "memory" },
                hit_ratio: notes::real_hit_ratio(recorded, &setting),
            },
            notes: notes::notes(recorded, &setting, source, outcomes, snapshots),
            today: told::outcome(today),
            proposed: told::outcome(then),
        });
    }
    let message = "playing the recorded requests takes too long on this machine; ask about a shorter time";
    Err(Refusal::unavailable(message, "what_if_too_long"))
}

/// The newest part of the requests that are counted, with those before them only where all are played.
fn newest_part(requests: &[Arc<TraceRecord>], from_ms: i64, part: usize) -> &[Arc<TraceRecord>] {
    if part == 1 {
        return requests;
    }
    let warm_up = requests.partition_point(|record| record.at_ms < from_ms);
    let counted = requests.len() - warm_up;
    &requests[requests.len() - counted.div_ceil(part)..]
}

/// Requests from memory, or those of the trace file where it has more of that time.
fn gathered(gateway: &Gateway, live: &Live, from_ms: i64) -> Result<Gathered, Refusal> {
    let within = |requests: &[Arc<TraceRecord>]| requests.iter().filter(|record| record.at_ms >= from_ms).count();
    let memory = gateway.recent.as_ref().map(Recent::all).unwrap_or_default();
    let mut gathered = Gathered {
        requests: memory,
        share: 1.0,
        is_trace: false,
    };
    if let Some(trace) = &live.config.install.trace {
        let newest = file::newest(&trace.path, REQUESTS_MAX);
        let newest = newest
            .map_err(|error| Refusal::unavailable(format!("cannot read the trace: {error}"), "trace_unreadable"))?;
        if within(&newest.requests) > within(&gathered.requests) {
            gathered = Gathered {
                requests: newest.requests,
                share: newest.share,
                is_trace: true,
            };
        }
    }
    if within(&gathered.requests) == 0 {
        let message = if gateway.recent.is_none() && live.config.install.trace.is_none() {
            "no requests are recorded; set `admin.recent_requests`"
        } else {
            "no request is recorded for that time yet"
        };
        return Err(Refusal::conflict(message, "nothing_recorded"));
    }
    gathered
        .requests
        .retain(|record| record.at_ms >= from_ms.saturating_sub(WARM_UP_MS));
    Ok(gathered)
}

/// What is known of the deployments now.
fn known(live: &Live) -> HashMap<DeploymentId, KnownNow> {
    let now = Instant::now();
    let deployments = live.config.runtime.snapshot.deployments.iter().enumerate();
    let known = deployments.map(|(at, deployment)| {
        let limit = live.deployments[at].state.learned.lock().room.limit();
        let (availability, _) = live.standing_as_seen(DeploymentIx(at), now);
        let known = KnownNow {
            limit: Some(limit).filter(|limit| limit.is_finite()),
            is_out: matches!(availability, Availability::Drained(_) | Availability::Absent(_)),
        };
        (deployment.id.clone(), known)
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::placement::chain::Chain;
    use crate::core::placement::policy::Policy;
    use crate::core::placement::view::Ask;

    #[test]
    fn a_part_is_of_the_requests_that_are_counted() {
        let record = |at_ms| {
            Arc::new(TraceRecord {
                at_ms,
                chain: Chain::default(),
                prompt_tokens: 1,
                used: None,
                ask: Ask {
                    prompt_tokens: 1,
                    total_tokens: 1,
                    is_first_turn: true,
                    is_cacheable: true,
                    session: None,
                    draw: 0,
                },
                route: "r".into(),
                pool: None,
                policy: Policy::Nested,
                took_ms: 0,
            })
        };
        let requests: Vec<_> = (0..20).map(record).collect();
        let first = |part| newest_part(&requests, 12, part).first().map(|record| record.at_ms);
        assert_eq!([1, 4, 16].map(first), [Some(0), Some(18), Some(19)]);
    }
}
