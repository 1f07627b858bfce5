//! Hedging: a second attempt at another deployment beside one whose answer is late. The first to answer is taken, the other is cancelled.
//!
//! Off unless a route says otherwise, since what is cancelled is probably billed. Both are attempts like any other, in log, metrics
//! and limits; the one that was too late ends as `overtaken`, which teaches its deployment nothing.

use std::pin::pin;
use std::time::{Duration, Instant};

use smallvec::{SmallVec, smallvec};

use crate::core::admission::queue::Priority;
use crate::core::placement::plan::{Candidate, Reason};
use crate::core::recovery::health::Availability;
use crate::core::recovery::outcome::AttemptEnd;
use crate::core::router::tries::Tries;
use crate::core::topology::DeploymentIx;
use crate::proxy::attempt::{Attempt, Attempted};
use crate::proxy::context::RequestContext;
use crate::proxy::downstream::Downstream;
use crate::proxy::failover::Call;
use crate::proxy::state::Live;

/// What came of attempts, in the order in which they ended. Nothing follows one that decides the request.
pub type Ends = SmallVec<[(Candidate, Attempted); 2]>;

/// Makes an attempt, and where the route has second attempts and `may_be_two`, one beside it if its answer is late.
pub async fn make(
    first: (Candidate, &Attempt<'_>),
    may_be_two: bool,
    tries: &mut Tries,
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
) -> Ends {
    match late_after(first.1.call, Instant::now()).filter(|_| may_be_two) {
        None => smallvec![(first.0, first.1.make(downstream, context).await)],
        // Boxed, since it is large and few routes have it.
        Some(late_after) => Box::pin(race(first, late_after, tries, downstream, context)).await,
    }
}

/// After how long an attempt that begins now is late; none where nothing would be done about it.
fn late_after(call: &Call<'_>, now: Instant) -> Option<Duration> {
    if !call.route.failover.hedging.is_on() {
        return None;
    }
    let state = &call.live.routes[call.route_ix.0];
    state.hedging.lock().late_after(call.request.stream, now)
}

/// Makes an attempt, and one beside it if its answer is late, another deployment is ready and the route has a second attempt left.
async fn race(
    first: (Candidate, &Attempt<'_>),
    late_after: Duration,
    tries: &mut Tries,
    downstream: &mut Downstream<'_>,
    context: &mut RequestContext,
) -> Ends {
    let (candidate, first) = first;
    let running = first.begin(context);
    let mut asked = pin!(first.ask(running.adds()));
    tokio::select! {
        biased;
        asked = &mut asked => return smallvec![(candidate, first.end(context, running, Ok(asked)))],
        error = downstream.gone() => return smallvec![(candidate, first.end(context, running, Err(error)))],
        () = tokio::time::sleep(late_after) => {}
    }
    // A probe is to tell how its deployment is, and would tell nothing if it were overtaken.
    let beside = (!running.is_probe()).then(|| beside(first, tries)).flatten();
    let Some(beside) = beside else {
        let asked = tokio::select! {
            biased;
            asked = asked => Ok(asked),
            error = downstream.gone() => Err(error),
        };
        return smallvec![(candidate, first.end(context, running, asked))];
    };
    let (live, now) = (first.call.live, Instant::now());
    let stands = |deployment| live.availability(deployment, now);
    let second = Attempt {
        deployment: beside.deployment,
        reason: Reason::Hedge,
        is_last: !tries.has_another(stands, |deployment| is_provisioned(live, deployment)),
        ..*first
    };
    let beside_running = second.begin(context);
    let mut beside_asked = pin!(second.ask(beside_running.adds()));
    let (mut running, mut beside_running) = (Some(running), Some(beside_running));
    let mut ends = Ends::new();
    while running.is_some() || beside_running.is_some() {
        let end = tokio::select! {
            biased;
            asked = &mut asked, if running.is_some() => {
                running.take().map(|running| (candidate, first.end(context, running, Ok(asked))))
            }
            asked = &mut beside_asked, if beside_running.is_some() => {
                beside_running.take().map(|running| (beside, second.end(context, running, Ok(asked))))
            }
            error = downstream.gone() => {
                for (attempt, running) in [(first, running.take()), (&second, beside_running.take())] {
                    if let Some(running) = running {
                        attempt.give_up(context, running, AttemptEnd::ClientGone);
                    }
                }
                Some((candidate, Attempted::ClientGone(error)))
            }
        };
        ends.extend(end);
        if !matches!(ends.last(), Some((_, Attempted::Failed { .. }))) {
            break;
        }
    }
    for (attempt, running) in [(first, running), (&second, beside_running)] {
        if let Some(running) = running {
            attempt.give_up(context, running, AttemptEnd::Overtaken);
        }
    }
    ends
}

/// Whom to ask beside one that is late, and paid for; none where there is nobody, or no second attempt is left.
fn beside(first: &Attempt<'_>, tries: &mut Tries) -> Option<Candidate> {
    let (call, now) = (first.call, Instant::now());
    let state = &call.live.routes[call.route_ix.0];
    // Nobody waits for a batch, and who waits for room comes first.
    if call.priority == Priority::Batch || !state.queue.is_empty() {
        return None;
    }
    let snapshot = &call.live.config.runtime.snapshot;
    let replicas = f64::from(snapshot.replicas);
    let since = first.gateway.memory.since_start(now);
    let may_be_asked = |candidate: &Candidate| {
        let learned = call.live.deployments[candidate.deployment.0].state.learned.lock();
        let left = learned.room.limit() - learned.room.used(since, replicas);
        drop(learned);
        candidate.cost <= left && call.live.availability(candidate.deployment, now) == Availability::Ready
    };
    let mut hedging = state.hedging.lock();
    if !hedging.has_left(call.route.failover.hedging, now) {
        return None;
    }
    let beside = tries.beside(may_be_asked, |deployment| is_provisioned(call.live, deployment))?;
    hedging.spend(now);
    Some(beside)
}

fn is_provisioned(live: &Live, deployment: DeploymentIx) -> bool {
    live.config.runtime.snapshot.deployments[deployment.0]
        .sku
        .is_provisioned()
}
