//! Waiting for a deployment to recover instead of refusing: in a bounded queue of the route, in turn among clients.
//!
//! Only the one whose turn it is looks at the deployments; when it goes, it wakes the next one. So those that wait cost nothing, and a
//! deployment that recovers is not met by all of them at once: each goes when there is room for it, or after a moment without, one by
//! one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::core::admission::queue::{Entered, Priority, Ticket, WaitQueue};
use crate::core::recovery::drain::DrainEnd;
use crate::core::recovery::health::Availability;
use crate::core::topology::Pool;
use crate::proxy::Gateway;
use crate::proxy::downstream::Downstream;
use crate::proxy::failover::Call;
use crate::proxy::state::Live;

/// How often the one whose turn it is looks whether there is room, while nothing says when there will be. After that it goes without,
/// to a deployment that does not rest any more: the deployment knows better.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often it looks although the time at which a deployment is back is known: an operator may have put one back before.
const LOOK_AT_LEAST: Duration = Duration::from_millis(500);

/// The requests of a route that wait.
#[derive(Debug, Default)]
pub struct Queue(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    order: WaitQueue,
    wakers: HashMap<Ticket, Arc<Notify>>,
}

/// How a wait ended.
pub enum Waited {
    /// A deployment may answer now.
    Turn,
    /// It had no place, lost it to a more urgent one, or its time passed.
    InVain(WaitEnd),
    /// The client left.
    ClientGone(Box<pingora::Error>),
}

/// Why a wait was in vain, or not, as the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::AsRefStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum WaitEnd {
    /// Its turn came.
    Served,
    /// There was no place.
    Full,
    /// A more urgent request took its place.
    Evicted,
    /// Its time passed.
    TimedOut,
    /// The client left.
    ClientGone,
}

/// A place in the queue, given up when dropped.
struct Place<'a> {
    queue: &'a Queue,
    ticket: Ticket,
    waker: Arc<Notify>,
}

impl Queue {
    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.0.lock().order.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn enter(&self, client: u64, priority: Priority, most: usize) -> Option<Place<'_>> {
        let waker = Arc::new(Notify::new());
        let mut inner = self.0.lock();
        let ticket = match inner.order.enter(client, priority, most) {
            Entered::Waits(ticket) => ticket,
            Entered::Instead(ticket, evicted) => {
                if let Some(evicted) = inner.wakers.remove(&evicted) {
                    evicted.notify_one();
                }
                ticket
            }
            Entered::Full => return None,
        };
        inner.wakers.insert(ticket, Arc::clone(&waker));
        Some(Place {
            queue: self,
            ticket,
            waker,
        })
    }
}

/// Where a place stands.
enum Standing {
    First,
    Later,
    Evicted,
}

impl Place<'_> {
    fn standing(&self) -> Standing {
        let inner = self.queue.0.lock();
        if inner.order.first() == Some(self.ticket) {
            Standing::First
        } else if inner.order.holds(self.ticket) {
            Standing::Later
        } else {
            Standing::Evicted
        }
    }

    fn go(&self) {
        self.queue.0.lock().order.go(self.ticket);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut inner = self.queue.0.lock();
        inner.order.leave(self.ticket);
        inner.wakers.remove(&self.ticket);
        let next = inner.order.first();
        if let Some(waker) = next.and_then(|next| inner.wakers.get(&next)) {
            waker.notify_one();
        }
    }
}

/// Whether a deployment may answer now, or when to look again.
enum Opening {
    Now,
    /// One does not rest any more, but has no room as far as is known, or how much it takes is not known.
    WithoutRoom,
    At(Instant),
    Never,
}

/// The queue that a request waits in. Who continues a response waits for one deployment, and must not keep those back that wait for any.
pub fn queue_of<'a>(call: &Call<'a>) -> &'a Queue {
    match call.pinned {
        Some(deployment) => &call.live.deployments[deployment.0].state.queue,
        None => &call.live.routes[call.route_ix.0].queue,
    }
}

/// Waits until a deployment of the call's pool may answer, at most until then. Returns at once, in vain, where nothing says that one
/// will recover in time.
pub async fn wait(
    gateway: &Gateway,
    downstream: &mut Downstream<'_>,
    call: &Call<'_>,
    client: u64,
    until: Instant,
) -> Waited {
    if !recovers_in_time(call.live, call.pool, Instant::now(), until) {
        return Waited::InVain(WaitEnd::TimedOut);
    }
    let Some(place) = queue_of(call).enter(client, call.priority, call.route.waiting.queue) else {
        return Waited::InVain(WaitEnd::Full);
    };
    let mut first_since = None;
    loop {
        let now = Instant::now();
        if now >= until {
            return Waited::InVain(WaitEnd::TimedOut);
        }
        let look_at = match place.standing() {
            Standing::Evicted => return Waited::InVain(WaitEnd::Evicted),
            Standing::Later => until,
            Standing::First => match opening(gateway, call, now) {
                Opening::Now => {
                    place.go();
                    return Waited::Turn;
                }
                Opening::WithoutRoom => {
                    let since = *first_since.get_or_insert(now);
                    if now >= since + LOOK_AGAIN {
                        place.go();
                        return Waited::Turn;
                    }
                    until.min(since + LOOK_AGAIN)
                }
                Opening::At(at) => at.min(until).min(now + LOOK_AT_LEAST),
                Opening::Never => return Waited::InVain(WaitEnd::TimedOut),
            },
        };
        tokio::select! {
            biased;
            error = downstream.gone() => return Waited::ClientGone(error),
            () = place.waker.notified() => {}
            () = tokio::time::sleep_until(look_at.into()) => {}
        }
    }
}

/// Whether some deployment of the pool that rests will have rested by then.
pub fn recovers_in_time(live: &Live, pool: &Pool, now: Instant, until: Instant) -> bool {
    let mut members = pool.members();
    members.any(|member| match live.availability(member.deployment, now) {
        Availability::Resting(rested) => rested <= until,
        Availability::Ready | Availability::Probe => true,
        Availability::Drained(end) => end.is_over(until),
        Availability::Ejected(_) | Availability::Unusable(_) | Availability::Absent(_) => false,
    })
}

/// By what is known of each member, recovering ones included: who has waited takes no other's share of them.
fn opening(gateway: &Gateway, call: &Call<'_>, now: Instant) -> Opening {
    let since = gateway.memory.since_start(now);
    let replicas = f64::from(call.live.config.runtime.snapshot.replicas);
    let tokens = f64::from(call.tokens);
    let (mut is_ready, mut soonest) = (false, None);
    for member in call.pool.members() {
        let at = match call.live.availability(member.deployment, now) {
            Availability::Ready | Availability::Probe => {
                let learned = call.live.deployments[member.deployment.0].state.learned.lock();
                let (limit, used) = (learned.room.limit(), learned.room.used(since, replicas));
                // One with an empty minute takes whatever comes.
                if limit.is_finite() && used + tokens.min(limit) <= limit {
                    return Opening::Now;
                }
                is_ready = true;
                continue;
            }
            Availability::Resting(until) | Availability::Drained(DrainEnd::At(until)) => until,
            Availability::Ejected(_)
            | Availability::Unusable(_)
            | Availability::Absent(_)
            | Availability::Drained(DrainEnd::WhenUndone) => {
                continue;
            }
        };
        soonest = Some(soonest.map_or(at, |soonest: Instant| soonest.min(at)));
    }
    if is_ready {
        return Opening::WithoutRoom;
    }
    soonest.map_or(Opening::Never, Opening::At)
}
