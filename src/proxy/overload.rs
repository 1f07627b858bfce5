//! Turning requests away while there are too many: as many run as may, or the gateway's tasks run too late.
//!
//! A probe sleeps for a moment again and again and looks how late it wakes: so late is everything else, too.
//! [`Shedder`] makes a level of it. A request looks at the level once, before its body is
//! read, so that turning it away costs little; what runs already is never ended. Small bodies are read and dropped: a new
//! connection would cost more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pingora::protocols::http::ServerSession;
use strum::{AsRefStr, IntoStaticStr, VariantArray};
use tokio::time::Instant;

use crate::core::admission::queue::Priority;
use crate::core::admission::shed::{Level, Shedder};
use crate::proxy::error::ProxyError;
use crate::proxy::state::Live;
use crate::proxy::{Gateway, body};
use crate::telemetry::events::LatenessMeasured;

/// How often the probe wakes: often enough to see an overload within a quarter of a second, seldom enough to cost nothing.
const PROBE_EVERY: Duration = Duration::from_millis(20);

/// Why a request is turned away for the gateway's sake, as the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ShedReason {
    /// `limits.held_bodies` are held.
    HeldBodies,
    /// `limits.running_requests` run.
    RunningRequests,
    /// Tasks run later than `limits.max_delay`.
    Delay,
}

/// How much is turned away at the moment.
#[derive(Debug, Default)]
pub struct Overload(AtomicU32);

impl Overload {
    fn set(&self, level: Level) {
        self.0.store(level.thousandths(), Ordering::Relaxed);
    }

    fn level(&self) -> Level {
        Level::from_thousandths(self.0.load(Ordering::Relaxed))
    }
}

/// Measures how late tasks run, for as long as the gateway lives.
pub async fn probe(gateway: Arc<Gateway>) {
    let mut shedder = Shedder::default();
    loop {
        let due = Instant::now() + PROBE_EVERY;
        tokio::time::sleep_until(due).await;
        let now = Instant::now();
        let delay = now - due;
        let too_late = gateway.live.load().config.runtime.limits.max_delay;
        gateway.overload.set(shedder.look(delay, too_late, now.into_std()));
        LatenessMeasured { delay }.emit(&gateway.metrics);
    }
}

/// Lets a request in whose head has been read, or turns it away.
///
/// # Errors
/// [`ProxyError::TooManyRunning`] or [`ProxyError::Overloaded`].
pub async fn admit(
    gateway: &Gateway,
    live: &Live,
    session: &mut ServerSession,
    priority: Priority,
) -> Result<(), ProxyError> {
    let refused = refusal(gateway, live, priority);
    let Some(refused) = refused else { return Ok(()) };
    body::drop_small(session).await;
    Err(refused)
}

fn refusal(gateway: &Gateway, live: &Live, priority: Priority) -> Option<ProxyError> {
    // This request is among them.
    if gateway.activity.running() > live.config.runtime.limits.running_requests {
        return Some(ProxyError::TooManyRunning);
    }
    let level = gateway.overload.level();
    if level == Level::NONE {
        return None;
    }
    level.sheds(priority, rand::random()).then_some(ProxyError::Overloaded)
}
