//! Rebuilding what was lost: a state machine for each deployment, from its loss until it serves again.
//!
//! A 404 alone is no proof: what was made minutes ago answers 404 too. So the first step is a look at ARM, which is where a loss is
//! also found without a request. Then it is made from its declared source, at most once per back-off, which grows; after
//! [`TRIES_MAX`] failures it is given up, with an alarm, until an operator mends it. Requests go elsewhere meanwhile, and come back
//! by slow start: that is routing's.
//!
//! By its policy a deployment is rebuilt at once (`keep`, `recreate` with `at_once`), when a request needs it (`recreate`), or
//! never. Those that we deleted ourselves are not lost.

use serde::{Deserialize, Serialize};
use strum::{AsRefStr, IntoStaticStr};

use crate::core::calendar::{HOUR_MS, MINUTE_MS};
use crate::core::fleet::actual::Provisioning;
use crate::core::fleet::backoff::Backoff;
use crate::core::fleet::policy::Policy;

/// Failures after which it is given up.
pub const TRIES_MAX: u32 = 5;
/// Waits between creations.
pub const BACKOFF: Backoff = Backoff {
    first_ms: 2 * MINUTE_MS,
    most_ms: HOUR_MS,
};
/// How long to wait for an account on which another operation runs.
pub const BUSY_MS: i64 = MINUTE_MS;
/// How long after a creation was sent, or ARM shows the deployment, 404 is believed to pass.
pub const PROPAGATION_MAX_MS: i64 = 15 * MINUTE_MS;
/// How long a creation may take.
pub const CREATING_MAX_MS: i64 = 30 * MINUTE_MS;

/// Where a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, AsRefStr, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum State {
    /// It is there, as far as anyone knows.
    #[default]
    There,
    /// A request got 404: ARM is to be asked.
    Doubted,
    /// It is gone. By its policy it waits for a request that needs it, or stays away.
    Lost,
    /// It is gone and will be made, not before this time.
    Waiting {
        /// In milliseconds since the Unix epoch.
        until_ms: i64,
        /// Creations that came to nothing.
        failures: u32,
    },
    /// It is being made.
    Creating {
        /// When that was begun, in milliseconds since the Unix epoch.
        since_ms: i64,
        /// Creations that came to nothing before.
        failures: u32,
    },
    /// ARM shows it; the data plane may not know it yet.
    Propagating {
        /// Since when ARM shows it, in milliseconds since the Unix epoch.
        since_ms: i64,
        /// Creations that came to nothing before.
        failures: u32,
    },
    /// It could not be made: an operator has to see to it.
    GivenUp,
}

impl State {
    /// The word for log, metric, table and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether requests may be sent there.
    pub fn takes_requests(self) -> bool {
        matches!(self, Self::There | Self::Doubted)
    }
}

/// What happened, or what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A request got 404 `DeploymentNotFound`.
    NotFound,
    /// A request was answered by it.
    Answered,
    /// A request would have gone there.
    Needed,
    /// ARM was asked and has no such deployment.
    Missing,
    /// ARM was asked and shows it so.
    Shown(Provisioning),
    /// The creation that was begun was refused or failed.
    Failed {
        /// Whether it would be refused again: no right, no quota, model retired.
        is_final: bool,
    },
    /// The creation was refused since another operation runs on the account: it says nothing of this one.
    Busy,
    /// We delete it ourselves.
    Deleting,
    /// An operator says: try again.
    Reset,
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Command {
    /// Ask ARM whether it is there.
    Look,
    /// Make it from its declared source. The state already says so: to be stored before the request is sent.
    Create,
    /// It serves: put it back with slow start.
    Rejoin,
    /// Tell an operator.
    Alarm,
}

impl Command {
    /// The word for log, metric and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The rules for one deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// What is to become of it.
    pub policy: Policy,
    /// Whether the configuration says what to make and writes to ARM are allowed.
    pub may_write: bool,
    /// For the spread of waits.
    pub seed: u64,
}

/// The next state, and what is to be done.
pub fn step(state: State, event: Event, rule: Rule, now_ms: i64) -> (State, Option<Command>) {
    match event {
        Event::Reset if state == State::GivenUp => return (State::Doubted, Some(Command::Look)),
        // What we delete is wanted to be gone: no 404 is a loss until somebody needs it.
        Event::Deleting => return (State::Lost, None),
        _ => {}
    }
    match state {
        State::There => match event {
            Event::NotFound => (State::Doubted, Some(Command::Look)),
            Event::Missing => lost(rule, now_ms),
            _ => (state, None),
        },
        State::Doubted => match event {
            Event::Answered => (State::There, None),
            Event::Missing => lost(rule, now_ms),
            Event::Shown(shown) => found(shown, 0, rule, now_ms),
            // A look that failed is made again.
            Event::Tick => (state, Some(Command::Look)),
            _ => (state, None),
        },
        State::Lost => match event {
            Event::Needed | Event::NotFound if rule.policy.rebuilds() && rule.may_write => create(0, now_ms),
            // It could not be made when it was lost, since nothing may be written: perhaps that has changed.
            Event::Missing if is_wanted(rule) && rule.may_write => create(0, now_ms),
            Event::Shown(shown) => found(shown, 0, rule, now_ms),
            Event::Answered => (State::There, Some(Command::Rejoin)),
            _ => (state, None),
        },
        State::Waiting { until_ms, failures } => match event {
            // The failure that is waited after, seen again.
            Event::Shown(Provisioning::Failed | Provisioning::Canceled) if now_ms < until_ms => (state, None),
            Event::Shown(Provisioning::Failed | Provisioning::Canceled) => create(failures, now_ms),
            Event::Shown(shown) => found(shown, failures, rule, now_ms),
            Event::Answered => (State::There, Some(Command::Rejoin)),
            _ if now_ms >= until_ms => create(failures, now_ms),
            _ => (state, None),
        },
        State::Creating { since_ms, failures } => creating(since_ms, failures, event, rule, now_ms),
        State::Propagating { since_ms, failures } => match event {
            Event::Answered => (State::There, Some(Command::Rejoin)),
            Event::Missing => wait(failures + 1, rule, now_ms),
            // It may serve by now; if not, the next 404 begins anew with a look.
            Event::Tick if now_ms >= since_ms + PROPAGATION_MAX_MS => (State::There, Some(Command::Rejoin)),
            _ => (state, None),
        },
        State::GivenUp => match event {
            Event::Shown(Provisioning::Succeeded) => found(Provisioning::Succeeded, 0, rule, now_ms),
            Event::Answered => (State::There, Some(Command::Rejoin)),
            _ => (state, None),
        },
    }
}

/// It is gone for certain.
fn lost(rule: Rule, now_ms: i64) -> (State, Option<Command>) {
    if !rule.policy.rebuilds() {
        return (State::Lost, None);
    }
    if !rule.may_write {
        return (State::Lost, Some(Command::Alarm));
    }
    if is_wanted(rule) {
        return create(0, now_ms);
    }
    (State::Lost, None)
}

/// Whether it is made again without waiting for a request.
fn is_wanted(rule: Rule) -> bool {
    rule.policy.rebuilds() && rule.policy != (Policy::Recreate { at_once: false })
}

fn create(failures: u32, now_ms: i64) -> (State, Option<Command>) {
    let state = State::Creating {
        since_ms: now_ms,
        failures,
    };
    (state, Some(Command::Create))
}

/// ARM shows it, in some state.
fn found(shown: Provisioning, failures: u32, rule: Rule, now_ms: i64) -> (State, Option<Command>) {
    match shown {
        Provisioning::Succeeded => {
            let state = State::Propagating {
                since_ms: now_ms,
                failures,
            };
            (state, None)
        }
        Provisioning::Accepted | Provisioning::Creating | Provisioning::Moving | Provisioning::Other => {
            let state = State::Creating {
                since_ms: now_ms,
                failures,
            };
            (state, None)
        }
        Provisioning::Failed | Provisioning::Canceled if rule.policy.rebuilds() && rule.may_write => {
            wait(failures + 1, rule, now_ms)
        }
        // Another write of it would be refused until it is gone.
        Provisioning::Deleting => (State::Doubted, None),
        Provisioning::Failed | Provisioning::Canceled | Provisioning::Disabled => {
            (State::GivenUp, Some(Command::Alarm))
        }
    }
}

fn creating(since_ms: i64, failures: u32, event: Event, rule: Rule, now_ms: i64) -> (State, Option<Command>) {
    let state = State::Creating { since_ms, failures };
    let may_be_late = now_ms < since_ms + PROPAGATION_MAX_MS;
    match event {
        Event::Answered => (State::There, Some(Command::Rejoin)),
        Event::Shown(Provisioning::Succeeded) => found(Provisioning::Succeeded, failures, rule, now_ms),
        Event::Failed { is_final: true } => (State::GivenUp, Some(Command::Alarm)),
        Event::Busy if rule.policy.rebuilds() => {
            let until_ms = now_ms + BUSY_MS;
            (State::Waiting { until_ms, failures }, None)
        }
        Event::Failed { is_final: false } | Event::Shown(Provisioning::Failed | Provisioning::Canceled) => {
            wait(failures + 1, rule, now_ms)
        }
        // ARM shows late what it has taken.
        Event::Missing if !may_be_late => wait(failures + 1, rule, now_ms),
        Event::Tick if now_ms >= since_ms + CREATING_MAX_MS => wait(failures + 1, rule, now_ms),
        _ => (state, None),
    }
}

/// A creation came to nothing, ours or somebody else's.
fn wait(failures: u32, rule: Rule, now_ms: i64) -> (State, Option<Command>) {
    if !rule.policy.rebuilds() {
        return (State::Lost, None);
    }
    if failures >= TRIES_MAX || !rule.may_write {
        return (State::GivenUp, Some(Command::Alarm));
    }
    let state = State::Waiting {
        until_ms: now_ms + BACKOFF.delay_ms(failures, rule.seed),
        failures,
    };
    (state, None)
}

#[cfg(test)]
mod tests;
