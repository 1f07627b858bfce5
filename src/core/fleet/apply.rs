//! Which step of the plan next: a state machine without a state of its own, so that it can be killed at any moment.
//!
//! Whoever carries a plan out goes around this loop: look at Azure; [`observe`]; ask [`next`]; store the journal with the steps
//! begun; do them; store what was answered. The plan is made anew each time, so a step that had its effect is not in it any more,
//! however it came about. The [`Journal`] has the rest: what was begun and may or may not have reached Azure, which nothing but
//! time can tell.
//!
//! Rules: one write an account at a time, since Azure refuses a second with 409; a replaced deployment is out of routing before and
//! until its model serves, one at a time; and nothing is deleted before all else is done and has reached the data plane.

use strum::{AsRefStr, IntoStaticStr};

use crate::core::calendar::MINUTE_MS;
use crate::core::fleet::actual::{AccountView, ActualDeployment, Provisioning};
use crate::core::fleet::backoff::{Backoff, seed_of};
use crate::core::fleet::finding::{Finding, FindingKind};
use crate::core::fleet::journal::{Answer, Entry, Journal};
use crate::core::fleet::key::{AccountKey, DeploymentKey};
use crate::core::fleet::plan::{Picture, Plan, plan};
use crate::core::fleet::step::{Step, StepKind};

/// A write that Azure does not show so long after it was begun never reached it.
pub const VISIBLE_MS: i64 = MINUTE_MS;
/// A write that Azure took and does not show after so long has come to nothing.
pub const TAKEN_MAX_MS: i64 = 30 * MINUTE_MS;
/// What is made answers 404 for about so long after it is there (Azure's own error message says five minutes).
pub const PROPAGATION_MS: i64 = 5 * MINUTE_MS;
/// Requests that run so long in a deployment that is taken out are waited for no longer.
pub const DRAIN_MAX_MS: i64 = 10 * MINUTE_MS;
/// Failures after which a step is given up.
pub const TRIES_MAX: u32 = 6;
/// Waits after failures.
pub const BACKOFF: Backoff = Backoff {
    first_ms: 30_000,
    most_ms: 10 * MINUTE_MS,
};
/// How often to look at what is awaited, if nothing says when it will be: Azure asks for 10 to 30 seconds.
pub const LOOK_MS: i64 = 15_000;

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// These, each at once; no two writes of one account.
    Steps(Vec<Step>),
    /// Nothing before that time; look again then.
    Wait {
        /// In milliseconds since the Unix epoch.
        until_ms: i64,
        /// What for.
        reason: WaitReason,
    },
    /// Nothing more.
    Done {
        /// Steps that were not taken, and why.
        left: Vec<Left>,
        /// What else was found.
        findings: Vec<Finding>,
    },
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum WaitReason {
    /// Azure is at a write.
    Azure,
    /// It is not known yet whether Azure got a write.
    Uncertain,
    /// A step failed and is tried again later.
    Backoff,
    /// What was made has to reach the data plane.
    Propagation,
    /// Requests still run in what was taken out.
    Draining,
    /// Another model is being replaced.
    Turn,
}

impl WaitReason {
    /// The word for log, table and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A step that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub step: Step,
    /// Why.
    pub reason: LeftReason,
}

/// Why a step is not taken.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LeftReason {
    /// Azure refuses it.
    Refused {
        /// Azure's word for it.
        code: String,
    },
    /// It failed too often.
    TriedEnough,
    /// Something else could not be done, so nothing is deleted.
    NotAllDone,
}

impl LeftReason {
    /// Whether this run will not try it again.
    fn is_final(&self) -> bool {
        !matches!(self, Self::NotAllDone)
    }

    /// The word for log, table and test.
    pub fn as_str(&self) -> &'static str {
        self.into()
    }
}

/// How far a write is that was begun.
enum Progress {
    /// Its effect is there.
    Done,
    /// It may yet be.
    Open { until_ms: i64, reason: WaitReason },
    /// It had none.
    Failed { retry_at_ms: i64 },
    /// It will have none.
    GivenUp(LeftReason),
}

/// Writes into the journal what Azure shows of what was begun. To be called with each new picture, before [`next`].
pub fn observe(journal: &mut Journal, picture: &Picture<'_>) {
    let plan = plan(picture);
    let done: Vec<DeploymentKey> = journal
        .entries()
        .iter()
        .filter(|entry| entry.done_at_ms.is_none() && matches!(progress(entry, picture, &plan), Progress::Done))
        .map(|entry| entry.key.clone())
        .collect();
    for key in done {
        journal.done(&key, picture.now_ms);
    }
    let is_gone = |key: &DeploymentKey| {
        let account = picture.actual.accounts.get(&key.account);
        account.is_some_and(|account| !account.deployments.contains_key(key))
    };
    let gone: Vec<DeploymentKey> = journal
        .drains()
        .iter()
        .filter(|drain| is_gone(&drain.key))
        .map(|drain| drain.key.clone())
        .collect();
    // What is deleted stays out of routing; there is nothing to put back.
    for key in gone {
        journal.rejoined(&key);
    }
    journal.forget_old(picture.now_ms);
}

/// What to do now. Linear in the fleet, for each step.
pub fn next(journal: &Journal, picture: &Picture<'_>) -> Next {
    let plan = plan(picture);
    let mut turn = Turn {
        journal,
        picture,
        plan: &plan,
        busy: Vec::new(),
        steps: Vec::new(),
        left: Vec::new(),
        wait: None,
        is_unfinished: plan.is_blocked(),
    };
    turn.mark_busy();
    for step in plan.steps.iter().filter(|step| step.kind.is_write()) {
        turn.consider(step);
    }
    turn.rejoin();
    if turn.steps.is_empty() && turn.wait.is_none() {
        turn.rejoin_all();
    }
    if !turn.steps.is_empty() {
        return Next::Steps(turn.steps);
    }
    match turn.wait {
        Some((until_ms, reason)) => Next::Wait { until_ms, reason },
        None => Next::Done {
            left: turn.left,
            findings: plan.findings,
        },
    }
}

/// One look at the plan.
struct Turn<'a> {
    journal: &'a Journal,
    picture: &'a Picture<'a>,
    plan: &'a Plan,
    /// Accounts that take no write now.
    busy: Vec<&'a AccountKey>,
    steps: Vec<Step>,
    left: Vec<Left>,
    wait: Option<(i64, WaitReason)>,
    /// Whether anything but deleting is yet to be done, or cannot be.
    is_unfinished: bool,
}

impl Turn<'_> {
    /// Finds the accounts in which something is going on.
    fn mark_busy(&mut self) {
        let now_ms = self.picture.now_ms;
        let (actual, declared) = (self.picture.actual, self.picture.declared);
        for account in &declared.accounts {
            let Some(view) = actual.accounts.get(account) else {
                continue;
            };
            if view
                .deployments
                .values()
                .any(|deployment| deployment.state.is_passing())
            {
                self.busy.push(account);
                self.is_unfinished = true;
                self.wait_until(now_ms + LOOK_MS, WaitReason::Azure);
            }
        }
        for entry in self.journal.entries() {
            match progress(entry, self.picture, self.plan) {
                Progress::Open { until_ms, reason } => {
                    self.busy.push(&entry.key.account);
                    self.is_unfinished |= entry.kind != StepKind::Delete;
                    self.wait_until(until_ms, reason);
                }
                Progress::Done => self.wait_for_propagation(entry),
                Progress::Failed { .. } | Progress::GivenUp(_) => {}
            }
        }
    }

    /// What was made must be reachable before anything is deleted.
    fn wait_for_propagation(&mut self, entry: &Entry) {
        let serves_at = serves_at_ms(entry).filter(|at_ms| *at_ms > self.picture.now_ms);
        let awaits = self.plan.steps.iter().any(|step| step.kind == StepKind::Delete);
        if let Some(at_ms) = serves_at.filter(|_| awaits) {
            self.is_unfinished = true;
            self.wait_until(at_ms, WaitReason::Propagation);
        }
    }

    /// Takes the step now, or finds out what it waits for, or that it is not to be.
    fn consider(&mut self, step: &Step) {
        let now_ms = self.picture.now_ms;
        let entry = self.journal.entry(&step.key).filter(|entry| entry.kind == step.kind);
        let progress = entry.map(|entry| progress(entry, self.picture, self.plan));
        if step.kind == StepKind::Delete && (self.is_unfinished || !self.steps.is_empty()) {
            // While something else is going on this is not the end of it.
            return self.leave(step, LeftReason::NotAllDone);
        }
        let ready_at = match progress {
            Some(Progress::GivenUp(reason)) => {
                self.is_unfinished = true;
                return self.leave(step, reason);
            }
            Some(Progress::Failed { retry_at_ms }) => Some((retry_at_ms, WaitReason::Backoff)),
            // It was done and is to be done again; perhaps only an old picture says so.
            Some(Progress::Done) => entry
                .and_then(|entry| entry.done_at_ms)
                .map(|done| (done + VISIBLE_MS, WaitReason::Uncertain)),
            Some(Progress::Open { .. }) | None => None,
        };
        self.is_unfinished |= step.kind != StepKind::Delete;
        if let Some((at_ms, reason)) = ready_at.filter(|(at_ms, _)| *at_ms > now_ms) {
            return self.wait_until(at_ms, reason);
        }
        if self.is_busy(&step.key.account) {
            return;
        }
        if matches!(step.kind, StepKind::Replace | StepKind::Delete) && !self.is_out(step) {
            return;
        }
        self.take(step.clone());
    }

    /// Whether nothing is sent to the deployment any more; else it is seen to.
    fn is_out(&mut self, step: &Step) -> bool {
        let now_ms = self.picture.now_ms;
        let Some(routed) = self.picture.routing.get(&step.key) else {
            return true;
        };
        let is_other = |key: &DeploymentKey| *key != step.key;
        let is_taken_out = self.journal.drains().iter().any(|drain| is_other(&drain.key));
        let will_be = |taken: &Step| taken.kind == StepKind::Drain && is_other(&taken.key);
        if is_taken_out || self.steps.iter().any(will_be) {
            self.wait_until(now_ms + LOOK_MS, WaitReason::Turn);
            return false;
        }
        let drained_at_ms = self.journal.drained_at_ms(&step.key);
        let (true, Some(drained_at_ms)) = (routed.is_drained, drained_at_ms) else {
            self.take(step.beside(StepKind::Drain, "takes it out of routing first"));
            return false;
        };
        let most_ms = drained_at_ms + DRAIN_MAX_MS;
        if routed.in_flight > 0 && now_ms < most_ms {
            self.wait_until(most_ms.min(now_ms + LOOK_MS), WaitReason::Draining);
            return false;
        }
        true
    }

    /// Puts back what was taken out and has been replaced, or is not to be touched any more.
    fn rejoin(&mut self) {
        let now_ms = self.picture.now_ms;
        for drain in self.journal.drains() {
            let key = &drain.key;
            // What is given up is not to be touched any more, though it stays in the plan.
            let is_given_up = self
                .left
                .iter()
                .any(|left| left.step.key == *key && left.reason.is_final());
            if (is_due(self.plan, key) && !is_given_up) || !is_serving(self.picture, key) {
                continue;
            }
            let serves_at = self.journal.entry(key).and_then(serves_at_ms);
            if let Some(at_ms) = serves_at.filter(|at_ms| *at_ms > now_ms) {
                self.wait_until(at_ms, WaitReason::Propagation);
                continue;
            }
            self.take(rejoining(self.picture, key, is_given_up));
        }
    }

    /// Nothing more will be done: whatever is out and serves goes back, since nobody else would see to it.
    fn rejoin_all(&mut self) {
        for drain in self.journal.drains() {
            if is_serving(self.picture, &drain.key) {
                self.take(rejoining(self.picture, &drain.key, true));
            }
        }
    }

    fn take(&mut self, step: Step) {
        let account = self
            .picture
            .declared
            .accounts
            .iter()
            .find(|account| **account == step.key.account);
        if let Some(account) = account.filter(|_| step.kind.is_write()) {
            self.busy.push(account);
        }
        self.steps.push(step);
    }

    fn leave(&mut self, step: &Step, reason: LeftReason) {
        self.left.push(Left {
            step: step.clone(),
            reason,
        });
    }

    fn is_busy(&self, account: &AccountKey) -> bool {
        self.busy.contains(&account)
    }

    fn wait_until(&mut self, at_ms: i64, reason: WaitReason) {
        if self.wait.is_none_or(|(sooner, _)| at_ms < sooner) {
            self.wait = Some((at_ms, reason));
        }
    }
}

/// Whether a plan has a deployment replaced or deleted.
pub(super) fn is_due(plan: &Plan, key: &DeploymentKey) -> bool {
    let interrupts = |kind| matches!(kind, StepKind::Replace | StepKind::Delete);
    plan.steps.iter().any(|step| step.key == *key && interrupts(step.kind))
}

/// Whether Azure shows that a deployment answers requests.
pub(super) fn is_serving(picture: &Picture<'_>, key: &DeploymentKey) -> bool {
    picture.actual.find(key).is_some_and(ActualDeployment::is_serving)
}

/// Back into routing, as what it has become or as it was.
pub(super) fn rejoining(picture: &Picture<'_>, key: &DeploymentKey, is_as_it_was: bool) -> Step {
    let declared = picture.declared.find(key);
    let (why, text) = if is_as_it_was {
        (
            FindingKind::LeftOut,
            "puts it back into routing as it was: what it was taken out for is not done",
        )
    } else {
        (FindingKind::ModelDrift, "puts it back into routing")
    };
    Step {
        kind: StepKind::Rejoin,
        key: key.clone(),
        of: declared.map_or_else(|| key.to_string(), |declared| declared.id.to_string()),
        incarnation_ms: None,
        why,
        text: text.to_owned(),
    }
}

/// When what a write made is reachable; none for what makes nothing, or is not done.
fn serves_at_ms(entry: &Entry) -> Option<i64> {
    let makes = matches!(entry.kind, StepKind::Create | StepKind::Replace);
    entry.done_at_ms.filter(|_| makes).map(|done| done + PROPAGATION_MS)
}

/// How far a write is, by what Azure shows and has answered.
fn progress(entry: &Entry, picture: &Picture<'_>, plan: &Plan) -> Progress {
    if entry.done_at_ms.is_some() {
        return Progress::Done;
    }
    let now_ms = picture.now_ms;
    let open = |until_ms: i64, reason| Progress::Open {
        until_ms: until_ms.max(now_ms + 1),
        reason,
    };
    let Some(view) = picture.actual.accounts.get(&entry.key.account) else {
        return open(now_ms + LOOK_MS, WaitReason::Uncertain);
    };
    let shown = view.deployments.get(&entry.key);
    if shown.is_some_and(|shown| shown.state.is_passing()) {
        return open(now_ms + LOOK_MS, WaitReason::Azure);
    }
    if has_effect(entry, shown, plan) {
        return Progress::Done;
    }
    // A request without an answer, or with one of 5xx, may have had its effect, which is shown late.
    let known_at_ms = entry.begun_at_ms + VISIBLE_MS;
    let answer = entry.answer.as_ref().map(|answered| &answered.answer);
    if matches!(answer, None | Some(Answer::Failed)) && view.seen_at_ms < known_at_ms {
        return open(known_at_ms, WaitReason::Uncertain);
    }
    let Some(answered) = &entry.answer else {
        return Progress::Failed {
            retry_at_ms: known_at_ms,
        };
    };
    let seed = seed_of(&[entry.key.account.as_str(), &entry.key.name]);
    let later_ms = answered.at_ms + BACKOFF.delay_ms(entry.tries, seed);
    match &answered.answer {
        Answer::Taken => taken(entry, answered.at_ms, later_ms, view, shown)
            .unwrap_or_else(|| open(now_ms + LOOK_MS, WaitReason::Azure)),
        Answer::Conflict => Progress::Failed { retry_at_ms: later_ms },
        Answer::Throttled { retry_at_ms } => Progress::Failed {
            retry_at_ms: *retry_at_ms,
        },
        Answer::Failed => failed(entry, later_ms),
        Answer::Refused { code } => Progress::GivenUp(LeftReason::Refused { code: code.clone() }),
    }
}

/// How far a write is that Azure took, and whose effect it does not show: none while it may yet come.
fn taken(
    entry: &Entry,
    answered_at_ms: i64,
    later_ms: i64,
    view: &AccountView,
    shown: Option<&ActualDeployment>,
) -> Option<Progress> {
    let came_to_nothing =
        shown.is_some_and(|shown| matches!(shown.state, Provisioning::Failed | Provisioning::Canceled));
    let is_new = view.seen_at_ms >= answered_at_ms + VISIBLE_MS;
    let is_late = view.seen_at_ms >= answered_at_ms + TAKEN_MAX_MS;
    ((came_to_nothing && is_new) || is_late).then(|| failed(entry, later_ms))
}

fn failed(entry: &Entry, retry_at_ms: i64) -> Progress {
    if entry.tries >= TRIES_MAX {
        return Progress::GivenUp(LeftReason::TriedEnough);
    }
    Progress::Failed { retry_at_ms }
}

/// Whether Azure shows what a write was for.
fn has_effect(entry: &Entry, shown: Option<&ActualDeployment>, plan: &Plan) -> bool {
    let is_planned = || {
        plan.steps
            .iter()
            .any(|step| step.key == entry.key && step.kind == entry.kind)
    };
    match (entry.kind, shown) {
        (StepKind::Delete, shown) => shown.is_none_or(|shown| shown.created_at_ms != entry.incarnation_ms),
        (_, None) => false,
        (_, Some(shown)) => shown.state == Provisioning::Succeeded && !is_planned(),
    }
}

#[cfg(test)]
mod tests;
