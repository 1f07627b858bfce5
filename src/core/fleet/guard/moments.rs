//! When in a deployment's idleness something is done: by parts of the rule, or as configured.

use crate::core::calendar::DAY_MS;
use crate::core::fleet::guard::Watched;

/// Days of the rule that the parts below are of.
pub(super) const RULE_DAYS: i64 = 15;
/// From when on people are warned, in parts of the rule's days.
const WARN_DAY: i64 = 10;
/// From when on a real request is steered.
const STEER_DAY: i64 = 12;
/// From when on one is made up.
const CALL_DAY: i64 = 13;
/// From when on every replica does.
const ANYONE_DAY: i64 = 14;

/// Idle days after which something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardDays {
    /// People are warned.
    pub warn: u32,
    /// A real request is steered.
    pub steer: u32,
    /// One is made up; less than the rule's days.
    pub call: u32,
}

/// The same as times, from the beginning of idleness, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub(super) warn: i64,
    pub(super) steer: i64,
    pub(super) call: i64,
    /// The same by every replica.
    pub(super) anyone: i64,
}

impl Moments {
    pub(super) fn of(watched: &Watched<'_>, rule_ms: i64) -> Self {
        let part = |day: i64| rule_ms / RULE_DAYS * day;
        match watched.days {
            None => Self {
                warn: part(WARN_DAY),
                steer: part(STEER_DAY),
                call: part(CALL_DAY),
                anyone: part(ANYONE_DAY),
            },
            Some(days) => {
                let [warn, steer, call] = [days.warn, days.steer, days.call].map(|days| i64::from(days) * DAY_MS);
                Self {
                    warn,
                    steer,
                    call,
                    // Policies that never call have a last day too.
                    anyone: if call < rule_ms {
                        i64::midpoint(call, rule_ms)
                    } else {
                        part(ANYONE_DAY)
                    },
                }
            }
        }
    }
}
