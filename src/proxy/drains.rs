//! Takes deployments out and puts them back, as operators want it.
//!
//! The names are kept in [`Gateway::drains`]; each deployment's mark follows from them whenever they or the configuration change.
//! Nothing is written to disk: a restart begins without drains.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::recovery::drain::{Drain, DrainEnd, DrainTarget, Drains};
use crate::core::recovery::health::Availability;
use crate::core::topology::DeploymentIx;
use crate::proxy::Gateway;
use crate::proxy::state::Live;
use crate::telemetry::events::process::{DrainChange, DrainChanged};

/// Longest time that a drain can be given; who wants more wants no end.
pub const LASTING_MAX: Duration = Duration::from_hours(30 * 24);

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum DrainRefused {
    /// The configuration does not know the name.
    #[error("there is no {kind} `{name}`; there are: {known}", kind = .target.kind.as_ref(), name = .target.name)]
    Unknown {
        /// What was named.
        target: DrainTarget,
        /// The names that there are.
        known: String,
    },
    /// It would leave pools without a deployment that can be used.
    #[error("that would leave nothing to use in {pools}; `--force` (`\"force\": true`) drains all the same")]
    LastUsable {
        /// Their names.
        pools: String,
    },
    /// There is nothing to undo.
    #[error("{kind} `{name}` is not drained; drained are: {drained}", kind = .target.kind.as_ref(), name = .target.name)]
    NotDrained {
        /// What was named.
        target: DrainTarget,
        /// What is drained.
        drained: String,
    },
    /// The time is out of bounds.
    #[error("a drain lasts from 1 s to 30 days, or until it is undone")]
    Lasting,
}

/// Begins a drain, for a time or until it is undone. With `force` also where it leaves a pool without a deployment that can be used.
///
/// # Errors
/// When the name is unknown, the time is out of bounds, or a pool would be left without.
pub fn begin(
    gateway: &Arc<Gateway>,
    target: DrainTarget,
    lasting: Option<Duration>,
    force: bool,
    now: Instant,
) -> Result<(), DrainRefused> {
    if lasting.is_some_and(|lasting| !(Duration::from_secs(1)..=LASTING_MAX).contains(&lasting)) {
        return Err(DrainRefused::Lasting);
    }
    // Held throughout: two drains at once must not each leave the other's deployment as the last.
    let mut drains = gateway.drains.lock();
    let live = gateway.live.load_full();
    let snapshot = &live.config.runtime.snapshot;
    if !target.is_known(snapshot) {
        let known = DrainTarget::known_names(target.kind, snapshot);
        return Err(DrainRefused::Unknown {
            target,
            known: listed(known.iter().map(String::as_str)),
        });
    }
    let emptied = emptied_pools(&live, &target, now);
    if !force && !emptied.is_empty() {
        return Err(DrainRefused::LastUsable {
            pools: listed(emptied.into_iter()),
        });
    }
    let end = lasting.map_or(DrainEnd::WhenUndone, |lasting| DrainEnd::At(now + lasting));
    tell(gateway, &target, DrainChange::Began, lasting);
    drains.begin(Drain { target, end });
    mark(&drains, &live);
    drop(drains);
    if let Some(lasting) = lasting {
        let gateway = Arc::downgrade(gateway);
        tokio::spawn(async move {
            // A little later than the marks, which end by themselves: this drops the name and tells.
            tokio::time::sleep(lasting + Duration::from_millis(2)).await;
            if let Some(gateway) = gateway.upgrade() {
                expire(&gateway, Instant::now());
            }
        });
    }
    Ok(())
}

/// Undoes a drain.
///
/// # Errors
/// When there is none of that target.
pub fn undo(gateway: &Gateway, target: DrainTarget) -> Result<(), DrainRefused> {
    let mut drains = gateway.drains.lock();
    if !drains.undo(&target) {
        let names: Vec<String> = drains.all().iter().map(|drain| shown(&drain.target)).collect();
        let drained = listed(names.iter().map(String::as_str));
        return Err(DrainRefused::NotDrained { target, drained });
    }
    tell(gateway, &target, DrainChange::Undone, None);
    mark(&drains, &gateway.live.load());
    Ok(())
}

/// What is drained, with how long it still lasts.
pub fn all(gateway: &Gateway, now: Instant) -> Vec<(DrainTarget, Option<Duration>)> {
    let drains = gateway.drains.lock();
    let left = |end: DrainEnd| end.time().map(|until| until.saturating_duration_since(now));
    let lasting = drains.all().iter().filter(|drain| !drain.end.is_over(now));
    lasting.map(|drain| (drain.target.clone(), left(drain.end))).collect()
}

/// Puts another configuration to use, with its deployments marked. Drains of names that it does not have are forgotten.
pub fn put_to_use(gateway: &Gateway, live: Live) {
    let mut drains = gateway.drains.lock();
    for gone in drains.forget_unknown(&live.config.runtime.snapshot) {
        tell(gateway, &gone.target, DrainChange::Forgotten, None);
    }
    mark(&drains, &live);
    gateway.live.store(Arc::new(live));
}

/// Drops what is over.
fn expire(gateway: &Gateway, now: Instant) {
    let mut drains = gateway.drains.lock();
    for over in drains.expire(now) {
        tell(gateway, &over.target, DrainChange::Expired, None);
    }
    mark(&drains, &gateway.live.load());
}

/// Sets every deployment's mark.
fn mark(drains: &Drains, live: &Live) {
    for (at, deployment) in live.deployments.iter().enumerate() {
        let end = drains.of(&live.config.runtime.snapshot, DeploymentIx(at));
        deployment.state.drained.set(end);
    }
}

/// The pools that lose a member and keep none that may be used or will be in a moment. Those behind an open breaker do not count.
fn emptied_pools<'a>(live: &'a Live, target: &DrainTarget, now: Instant) -> Vec<&'a str> {
    let snapshot = &live.config.runtime.snapshot;
    let takes = |deployment| target.takes(snapshot, deployment);
    let is_good = |deployment| {
        matches!(
            live.availability(deployment, now),
            Availability::Ready | Availability::Probe | Availability::Resting(_)
        )
    };
    let pools = snapshot.pools.iter().filter(|pool| {
        let members = || pool.members().map(|member| member.deployment);
        let is_out = |deployment| matches!(live.availability(deployment, now), Availability::Drained(_));
        members().any(|deployment| takes(deployment) && !is_out(deployment))
            && !members().any(|deployment| !takes(deployment) && is_good(deployment))
    });
    pools.map(|pool| &**pool.id).collect()
}

/// What a target is called.
fn shown(target: &DrainTarget) -> String {
    format!("{} {}", target.kind.as_ref(), target.name)
}

/// Names for a message.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn tell(gateway: &Gateway, target: &DrainTarget, change: DrainChange, lasting: Option<Duration>) {
    DrainChanged {
        kind: target.kind.into(),
        name: &target.name,
        change,
        lasting,
    }
    .emit(gateway.metrics.journal());
}
