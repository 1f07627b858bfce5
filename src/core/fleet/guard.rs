//! The inactivity guard: what is to be done before Azure deletes a deployment that nobody calls, or instead.
//!
//! The rule (Microsoft Learn, Deploy a fine-tuned model): a deployment of a fine-tuned model is deleted when it was created more than
//! 15 days ago and had no successful call for 15 days in a row. Day 15.0 is still safe, and nobody says how soon after it Azure looks.
//! So there is time for cheap means first. For a rule of 15 days (another length scales all of them):
//!
//! | day | `keep` |
//! | --- | --- |
//! | 10 | people are warned, whatever the policy |
//! | 12 | *organic*: the router steers a request there that loses nothing: a real one, at no cost |
//! | 13½ | one tiny completion of our own, by the replica that holds the lease, some hours later by chance; tried again after failures |
//! | 14 | the same by every replica, lease or not: two tiny calls cost less than one lost deployment |
//!
//! **The clock.** Only successful calls count; whether refused ones do is not published. It is merged by the maximum: of
//! replicas, of what was stored, of what ARM says of the creation (later, after a rebuild). So it never goes back, and a gateway
//! that was off for days finds overdue what is overdue and acts at once. Where neither creation nor success is known, the true date
//! may be any: such a deployment is seen to within the hour.
//!
//! A success that is yet to come, by a clock that ran ahead, does not count. What is to be deleted after idle days is idle since it was
//! first seen at the earliest, since what others did before is not known.
//!
//! What the call is, and who holds the lease, is not decided here.

use strum::{AsRefStr, IntoStaticStr};

use crate::core::calendar::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::core::fleet::backoff::{Backoff, seed_of, spread};
use crate::core::fleet::guard::moments::{GuardDays, Moments, RULE_DAYS};
use crate::core::fleet::policy::Policy;
use crate::core::fleet::retirement::{DEVELOPER_LIFE_MS, DEVELOPER_SOON_MS};
use crate::core::ids::DeploymentId;
use crate::core::topology::{Price, Sku};

pub mod moments;
mod words;

/// How long after the day of a call it is really made, for a rule of 15 days: half a day more for a real request to come.
const PATIENCE_MS: i64 = 12 * HOUR_MS;
/// Calls are spread over this long after that, for a rule of 15 days.
const JITTER_MS: i64 = 6 * HOUR_MS;
/// How long a deployment of which nothing is known waits for a call of its own.
const UNKNOWN_MS: i64 = HOUR_MS;
/// How long after a request was steered the next is: its success ends the need.
const STEER_PAUSE_MS: i64 = MINUTE_MS;
/// How far clocks may differ.
const SKEW_MS: i64 = 5 * MINUTE_MS;
/// Waits after calls that failed.
const BACKOFF: Backoff = Backoff {
    first_ms: MINUTE_MS,
    most_ms: HOUR_MS,
};

/// Prompt tokens of a call of our own: one word, with what the chat format adds.
pub const CALL_PROMPT_TOKENS: u64 = 8;
/// Completion tokens that it asks for at most.
pub const CALL_COMPLETION_TOKENS: u64 = 16;

/// What is known of a deployment's activity, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock {
    /// When Azure created it.
    pub created_at_ms: Option<i64>,
    /// When a call last succeeded.
    pub last_success_at_ms: Option<i64>,
    /// When it was first seen, by anyone of us.
    pub first_seen_ms: Option<i64>,
}

impl Clock {
    /// What two know together: the later of each; of first sights the earlier.
    pub fn merge(self, other: Self) -> Self {
        let earlier = match (self.first_seen_ms, other.first_seen_ms) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self {
            created_at_ms: self.created_at_ms.max(other.created_at_ms),
            last_success_at_ms: self.last_success_at_ms.max(other.last_success_at_ms),
            first_seen_ms: earlier,
        }
    }

    /// The same as far as it can be: a success that is yet to come was dated by a clock that ran ahead, and says nothing.
    pub fn as_of(self, now_ms: i64) -> Self {
        Self {
            last_success_at_ms: self.last_success_at_ms.filter(|at| *at <= now_ms + SKEW_MS),
            ..self
        }
    }

    /// Since when it is idle.
    fn idle_since_ms(self) -> Option<i64> {
        self.created_at_ms.max(self.last_success_at_ms)
    }
}

/// A deployment under guard.
#[derive(Debug, Clone, Copy)]
pub struct Watched<'a> {
    /// Which.
    pub id: &'a DeploymentId,
    /// What is to become of it.
    pub policy: Policy,
    /// Its SKU: the Developer tier has a clock of its own.
    pub sku: Sku,
    /// Days after which Azure deletes it; none if it never does.
    pub rule_days: Option<u32>,
    /// When what is done, where the configuration says so; else by parts of the rule.
    pub days: Option<GuardDays>,
    /// Its activity.
    pub clock: Clock,
    /// Whether it is there.
    pub is_there: bool,
    /// What it costs.
    pub price: Option<Price>,
}

/// What this replica has done about it since its last success. It may be forgotten with the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Efforts {
    /// Calls of our own that failed.
    pub failures: u32,
    /// When the last call began, in milliseconds since the Unix epoch.
    pub called_at_ms: Option<i64>,
    /// When a request was last steered there.
    pub steered_at_ms: Option<i64>,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Replica<'a> {
    /// Its name, for the spread.
    pub name: &'a str,
    /// Whether it is the one that acts.
    pub holds_lease: bool,
}

/// What may be done for a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Action {
    /// A real request is steered there.
    Steer,
    /// A tiny completion is made up.
    Call,
    /// It is taken out of routing and deleted.
    Delete,
    /// It is made again, once it is gone.
    Rebuild,
    /// Azure deletes it.
    LetGo,
}

impl Action {
    /// The word for log, metric, table and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How urgent it is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Alarm {
    /// Not at all.
    None,
    /// Deletion comes near.
    Soon,
    /// The guard should have succeeded by now: it is the last day.
    Urgent,
    /// Azure may delete it at any moment.
    Overdue,
}

impl Alarm {
    /// The word for log, metric, table and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why something is due, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum GuardReason {
    /// Azure deletes no such deployment for inactivity.
    NoRule,
    /// It is not there.
    Gone,
    /// Azure would have deleted it if only we called it: others do.
    UsedElsewhere,
    /// It was called lately.
    Active,
    /// It has been idle for some time, and nothing needs to be done yet.
    Idle,
    /// A real request would do.
    Organic,
    /// It is time for one of our own.
    Due,
    /// Nothing is known of its activity, so it may be late already.
    NothingKnown,
    /// It is another replica's turn.
    NotMine,
    /// The last call failed; the next waits.
    Backoff,
    /// By its policy.
    Policy,
    /// The Developer tier removes it whatever the traffic.
    DeveloperTier,
}

impl GuardReason {
    /// The word for log, metric, table and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What will be done, if nobody calls it meanwhile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Planned {
    /// What.
    pub action: Action,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What it costs beyond hosting, in millionths of a US dollar; none where prices are not known.
    pub micro_usd: Option<f64>,
}

/// The guard's word on one deployment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// For how long it has been idle, in milliseconds; at least so long where that is not known better.
    pub idle_ms: Option<i64>,
    /// When it is or may be deleted, by Azure or by its policy, in milliseconds since the Unix epoch.
    pub deletion_at_ms: Option<i64>,
    /// Whether that date is certain; else it may be earlier.
    pub is_exact: bool,
    /// For people.
    pub alarm: Alarm,
    /// Whether a request that loses nothing by it should be steered there.
    pub steers: bool,
    /// What this replica is to do now.
    pub due: Option<Action>,
    /// What comes next.
    pub next: Option<Planned>,
    /// Why.
    pub reason: GuardReason,
}

/// Judges one deployment. Constant time.
pub fn judge(watched: &Watched<'_>, efforts: Efforts, replica: Replica<'_>, now_ms: i64) -> Verdict {
    let watched = &Watched {
        clock: watched.clock.as_of(now_ms),
        ..*watched
    };
    if !watched.is_there {
        return quiet(GuardReason::Gone);
    }
    if watched.sku == Sku::DeveloperTier {
        return developer(watched, now_ms);
    }
    let Some(days) = watched.rule_days.filter(|days| *days > 0) else {
        return quiet(GuardReason::NoRule);
    };
    let rule_ms = i64::from(days) * DAY_MS;
    let known = watched.clock.idle_since_ms();
    let since_ms = known.or(watched.clock.first_seen_ms).unwrap_or(now_ms);
    let idle_ms = now_ms.saturating_sub(since_ms).max(0);
    let moments = Moments::of(watched, rule_ms);
    let reason = if idle_ms < rule_ms / RULE_DAYS {
        GuardReason::Active
    } else {
        GuardReason::Idle
    };
    let alarm = match idle_ms {
        _ if idle_ms > rule_ms => Alarm::Overdue,
        _ if idle_ms >= moments.anyone => Alarm::Urgent,
        _ if idle_ms >= moments.warn => Alarm::Soon,
        _ => Alarm::None,
    };
    let verdict = Verdict {
        idle_ms: Some(idle_ms),
        deletion_at_ms: Some(since_ms.saturating_add(rule_ms)),
        is_exact: known.is_some(),
        alarm,
        reason,
        ..quiet(reason)
    };
    match watched.policy {
        Policy::Keep => keep(watched, efforts, replica, now_ms, since_ms, verdict),
        Policy::Recreate { .. } => let_go(Action::Rebuild, verdict),
        Policy::Expire => let_go(Action::LetGo, verdict),
        // What was used before it was first seen here, or by others, is not known: its days begin with the first sight.
        Policy::DeleteAfter { .. } if idle_ms > rule_ms + DAY_MS && known.is_some() => used_elsewhere(verdict),
        Policy::DeleteAfter { days } => {
            let since_ms = watched.clock.first_seen_ms.map_or(since_ms, |seen| since_ms.max(seen));
            delete(days, replica, now_ms, since_ms, verdict)
        }
    }
}

fn keep(
    watched: &Watched<'_>,
    efforts: Efforts,
    replica: Replica<'_>,
    now_ms: i64,
    since_ms: i64,
    verdict: Verdict,
) -> Verdict {
    let rule_ms = verdict.deletion_at_ms.unwrap_or(since_ms) - since_ms;
    let moments = Moments::of(watched, rule_ms);
    let seed = seed_of(&[replica.name, watched.id]);
    let scale = rule_ms as f64 / (RULE_DAYS * DAY_MS) as f64;
    let jitter_ms = (spread(seed) * JITTER_MS as f64 * scale) as i64;
    let (steer_at, call_at) = if verdict.is_exact {
        let patience_ms = (PATIENCE_MS as f64 * scale) as i64;
        (
            since_ms + moments.steer,
            since_ms + moments.call + patience_ms + jitter_ms,
        )
    } else {
        (since_ms, since_ms + UNKNOWN_MS)
    };
    let planned = |action, at_ms: i64| Planned {
        action,
        at_ms: at_ms.max(now_ms),
        micro_usd: if action == Action::Steer {
            Some(0.0)
        } else {
            call_micro_usd(watched.price)
        },
    };
    let is_paused = efforts.steered_at_ms.is_some_and(|at| now_ms < at + STEER_PAUSE_MS);
    let steers = now_ms >= steer_at && !is_paused;
    let verdict = Verdict { steers, ..verdict };
    if now_ms < call_at {
        let (reason, next) = if now_ms >= steer_at {
            (GuardReason::Organic, planned(Action::Call, call_at))
        } else {
            (verdict.reason, planned(Action::Steer, steer_at))
        };
        let reason = if verdict.is_exact {
            reason
        } else {
            GuardReason::NothingKnown
        };
        return Verdict {
            next: Some(next),
            reason,
            ..verdict
        };
    }
    let anyone_at = since_ms + moments.anyone + jitter_ms;
    let waits = waits(efforts, replica, anyone_at, seed, now_ms);
    let (reason, at_ms) = match waits {
        Some(waits) => waits,
        None if verdict.is_exact => (GuardReason::Due, now_ms),
        None => (GuardReason::NothingKnown, now_ms),
    };
    Verdict {
        due: waits.is_none().then_some(Action::Call),
        next: Some(planned(Action::Call, at_ms)),
        reason,
        ..verdict
    }
}

/// Why a call that is due is not made now, and when it will be; none where it is.
fn waits(efforts: Efforts, replica: Replica<'_>, anyone_at: i64, seed: u64, now_ms: i64) -> Option<(GuardReason, i64)> {
    if !replica.holds_lease && now_ms < anyone_at {
        return Some((GuardReason::NotMine, anyone_at));
    }
    // At least a while after any call, failed or not known to have ended yet.
    let pause_ms = BACKOFF.delay_ms(efforts.failures.max(1), seed);
    let again_at = efforts
        .called_at_ms
        .filter(|at| *at <= now_ms)?
        .saturating_add(pause_ms);
    (now_ms < again_at).then_some((GuardReason::Backoff, again_at))
}

fn let_go(action: Action, verdict: Verdict) -> Verdict {
    let next = verdict.deletion_at_ms.map(|at_ms| Planned {
        action,
        at_ms,
        micro_usd: Some(0.0),
    });
    Verdict {
        next,
        reason: GuardReason::Policy,
        ..verdict
    }
}

fn used_elsewhere(verdict: Verdict) -> Verdict {
    Verdict {
        deletion_at_ms: None,
        alarm: Alarm::None,
        reason: GuardReason::UsedElsewhere,
        ..verdict
    }
}

fn delete(days: u32, replica: Replica<'_>, now_ms: i64, since_ms: i64, verdict: Verdict) -> Verdict {
    let at_ms = since_ms + i64::from(days.max(1)) * DAY_MS;
    let azure_at = verdict.deletion_at_ms.unwrap_or(at_ms);
    if at_ms > azure_at {
        return let_go(Action::LetGo, verdict);
    }
    let is_due = now_ms >= at_ms;
    let reason = match (is_due, replica.holds_lease) {
        (true, false) => GuardReason::NotMine,
        (true, true) => GuardReason::Due,
        (false, _) => verdict.reason,
    };
    Verdict {
        deletion_at_ms: Some(at_ms),
        // The operator has asked for it, so nobody needs to be woken.
        alarm: Alarm::None,
        due: (is_due && replica.holds_lease).then_some(Action::Delete),
        next: Some(Planned {
            action: Action::Delete,
            at_ms: at_ms.max(now_ms),
            micro_usd: Some(0.0),
        }),
        reason,
        ..verdict
    }
}

/// The Developer tier ends by its age alone.
fn developer(watched: &Watched<'_>, now_ms: i64) -> Verdict {
    let created = watched.clock.created_at_ms;
    let from = created.or(watched.clock.first_seen_ms);
    let end = from.map(|from| from.saturating_add(DEVELOPER_LIFE_MS));
    let left = end.map(|end| end - now_ms);
    let action = if watched.policy.rebuilds() {
        Action::Rebuild
    } else {
        Action::LetGo
    };
    Verdict {
        idle_ms: watched.clock.idle_since_ms().map(|since| (now_ms - since).max(0)),
        deletion_at_ms: end,
        is_exact: created.is_some(),
        alarm: match left {
            Some(left) if left <= 0 => Alarm::Overdue,
            Some(left) if left <= DEVELOPER_SOON_MS => Alarm::Soon,
            _ => Alarm::None,
        },
        next: end.map(|at_ms| Planned {
            action,
            at_ms,
            micro_usd: Some(0.0),
        }),
        ..quiet(GuardReason::DeveloperTier)
    }
}

fn quiet(reason: GuardReason) -> Verdict {
    Verdict {
        idle_ms: None,
        deletion_at_ms: None,
        is_exact: false,
        alarm: Alarm::None,
        steers: false,
        due: None,
        next: None,
        reason,
    }
}

/// What a call of our own costs at most, in millionths of a US dollar.
fn call_micro_usd(price: Option<Price>) -> Option<f64> {
    let price = price?;
    let (input, output) = price.input.zip(price.output)?;
    Some(CALL_PROMPT_TOKENS as f64 * input + CALL_COMPLETION_TOKENS as f64 * output)
}

impl Verdict {
    /// Whether its policy deletes it at this time, whichever replica does.
    pub fn deletes_now(&self, now_ms: i64) -> bool {
        self.next
            .is_some_and(|next| next.action == Action::Delete && next.at_ms <= now_ms)
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
