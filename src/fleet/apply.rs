//! Carries a plan out, step by step, so that it can be killed at any moment and started again.
//!
//! What to do next is [`apply`]'s decision; this looks, stores the journal *before* each step, does the step and stores what was answered.
//! Steps are taken one after the other: Azure answers a write within a second or so and goes on by itself, so that writes to several
//! accounts overlap all the same. Azure, the gateway, the store and the time are seams: a test stops between any two calls.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;

use crate::core::fleet::actual::Actual;
use crate::core::fleet::apply::{self, Left, Next, WaitReason};
use crate::core::fleet::catalogue::Catalogue;
use crate::core::fleet::declared::Declared;
use crate::core::fleet::finding::{Finding, FindingKind};
use crate::core::fleet::journal::{Answer, Journal};
use crate::core::fleet::key::DeploymentKey;
use crate::core::fleet::plan::{Allowed, Deletable, Picture, Routing};
use crate::core::fleet::step::{Step, StepKind};
use crate::storage::StoreError;
use crate::storage::notes::{NoteStore, read_note};

/// The journal's name among the store's notes.
const NOTE: &str = "apply";
/// How often one deployment is taken out of routing anew, as after a restart of the gateway, before that is given up.
const DRAINS_MAX: u32 = 10;

/// Azure, as whoever applies a plan sees it.
#[async_trait]
pub trait Plane: Send + Sync {
    /// What every managed account has; one that could not be read is left out. With what is left of quota.
    async fn look(&self) -> Actual;

    /// Sends the request that carries a step out, and waits for its first answer only. `actual` is what was seen last.
    async fn write(&self, step: &Step, actual: &Actual) -> Answered;
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// For the journal.
    pub answer: Answer,
    /// For people: what went wrong, if anything did.
    pub problem: Option<String>,
}

/// The gateway that routes to the fleet, as whoever applies a plan sees it.
#[async_trait]
pub trait Routes: Send + Sync {
    /// Which deployments requests are sent to.
    ///
    /// # Errors
    /// When it cannot be asked.
    async fn routing(&self) -> Result<Routing, RoutesError>;

    /// Has no new requests sent to a deployment. Again is no mistake.
    ///
    /// # Errors
    /// When it cannot be asked, or refuses.
    async fn take_out(&self, key: &DeploymentKey) -> Result<(), RoutesError>;

    /// Puts a deployment back. One that is in, or that it does not know, is no mistake.
    ///
    /// # Errors
    /// When it cannot be asked.
    async fn put_back(&self, key: &DeploymentKey) -> Result<(), RoutesError>;
}

/// The gateway does not do what it is asked: in words, with every cause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RoutesError(pub String);

/// The time.
#[async_trait]
pub trait Time: Send + Sync {
    /// Now, in milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// Returns when it is so late.
    async fn wait_until(&self, at_ms: i64);
}

/// Why a run stopped. The next one goes on where it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The journal could not be stored or read, so nothing more is begun.
    #[error("cannot keep the journal of what was begun")]
    Store(#[from] StoreError),
    /// The journal is not understood.
    #[error("the usage store's note `{NOTE}` is not understood; a newer version may have written it")]
    Unreadable(#[from] serde_json::Error),
    /// The gateway.
    #[error("the gateway cannot be told what to route to; the next run goes on from here")]
    Routes(#[from] RoutesError),
    /// A deployment does not stay out of routing.
    #[error("`{0}` was taken out of routing {DRAINS_MAX} times and is in again; does the gateway restart?")]
    Returns(DeploymentKey),
}

/// What is going on, for people.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// A step is begun.
    Begins(&'a Step),
    /// Azure has answered it.
    Answered(&'a Step, &'a Answered),
    /// Azure shows what a step was for.
    Done(StepKind, &'a DeploymentKey),
    /// Nothing is to be done before this time.
    Waits {
        /// In milliseconds since the Unix epoch.
        until_ms: i64,
        /// What for.
        reason: WaitReason,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// Steps that were not taken, and why.
    pub left: Vec<Left>,
    /// What was found at the end.
    pub findings: Vec<Finding>,
    /// Steps that were begun.
    pub begun: u32,
    /// What was put back into routing as it was, since its replacement or deletion is not done; names for people.
    pub put_back: Vec<String>,
    /// What this or an earlier run took out of routing and is still out, since Azure does not show it as serving.
    pub still_out: Vec<DeploymentKey>,
}

impl Applied {
    /// Whether all that should be is.
    pub fn is_whole(&self) -> bool {
        self.left.is_empty() && !self.findings.iter().any(|finding| finding.kind.blocks())
    }
}

/// What a run works with.
pub struct Applying<'a> {
    /// Azure.
    pub plane: &'a dyn Plane,
    /// The gateway.
    pub routes: &'a dyn Routes,
    /// The store that keeps the journal.
    pub notes: &'a dyn NoteStore,
    /// The time.
    pub time: &'a dyn Time,
    /// What should be.
    pub declared: &'a Declared,
    /// What Azure offers.
    pub catalogue: &'a Catalogue,
    /// What may be done.
    pub allowed: Allowed,
    /// What may be deleted: what was shown to whoever allowed it. What appears while this runs is left alone.
    pub deletable: Deletable,
    /// Told what is going on.
    pub told: &'a (dyn Fn(Told<'_>) + Send + Sync),
}

/// What an earlier run had begun.
///
/// # Errors
/// When the store cannot be read, or holds what is not understood.
pub async fn recall(notes: &dyn NoteStore) -> Result<Journal, ApplyError> {
    Ok(match notes.note(NOTE).await? {
        Some(text) => serde_json::from_str(&text)?,
        None => Journal::default(),
    })
}

/// The same from a store that is only read, and need not be there.
///
/// # Errors
/// As [`recall`].
pub async fn recall_from(store: &Path) -> Result<Journal, ApplyError> {
    Ok(match read_note(store, NOTE).await? {
        Some(text) => serde_json::from_str(&text)?,
        None => Journal::default(),
    })
}

impl Applying<'_> {
    /// Goes on until nothing is left to be done, or what is left cannot be.
    ///
    /// # Errors
    /// When journal or gateway fail; nothing is lost by it.
    pub async fn run(&self) -> Result<Applied, ApplyError> {
        let mut journal = recall(self.notes).await?;
        journal.forgive();
        let mut applied = Applied::default();
        let mut drains: BTreeMap<DeploymentKey, u32> = BTreeMap::new();
        loop {
            let actual = self.plane.look().await;
            let routing = self.routes.routing().await?;
            let picture = Picture {
                declared: self.declared,
                actual: &actual,
                catalogue: self.catalogue,
                allowed: self.allowed,
                deletable: Some(&self.deletable),
                routing: &routing,
                now_ms: self.time.now_ms(),
            };
            self.observe(&mut journal, &picture).await?;
            match apply::next(&journal, &picture) {
                Next::Steps(steps) => {
                    for step in steps {
                        count_drain(&step, &mut drains)?;
                        applied.begun += 1;
                        self.take(&mut journal, &step, &actual).await?;
                        if step.kind == StepKind::Rejoin && step.why == FindingKind::LeftOut {
                            applied.put_back.push(step.of);
                        }
                    }
                }
                Next::Wait { until_ms, reason } => {
                    (self.told)(Told::Waits { until_ms, reason });
                    self.time.wait_until(until_ms).await;
                }
                Next::Done { left, findings } => {
                    return Ok(Applied {
                        left,
                        findings,
                        still_out: journal.drains().iter().map(|drain| drain.key.clone()).collect(),
                        ..applied
                    });
                }
            }
        }
    }

    async fn observe(&self, journal: &mut Journal, picture: &Picture<'_>) -> Result<(), ApplyError> {
        let before = journal.clone();
        apply::observe(journal, picture);
        if *journal == before {
            return Ok(());
        }
        for entry in journal.entries() {
            let was_done = before
                .entry(&entry.key)
                .is_some_and(|before| before.done_at_ms.is_some());
            if entry.done_at_ms.is_some() && !was_done {
                (self.told)(Told::Done(entry.kind, &entry.key));
            }
        }
        self.store(journal).await
    }

    /// One step: into the journal, done, and what was answered into the journal.
    async fn take(&self, journal: &mut Journal, step: &Step, actual: &Actual) -> Result<(), ApplyError> {
        journal.begin(step, self.time.now_ms());
        self.store(journal).await?;
        (self.told)(Told::Begins(step));
        match step.kind {
            StepKind::Drain => return Ok(self.routes.take_out(&step.key).await?),
            StepKind::Rejoin => {
                self.routes.put_back(&step.key).await?;
                journal.rejoined(&step.key);
            }
            _ => {
                let answered = self.plane.write(step, actual).await;
                (self.told)(Told::Answered(step, &answered));
                journal.answered(&step.key, answered.answer, self.time.now_ms());
            }
        }
        self.store(journal).await
    }

    async fn store(&self, journal: &Journal) -> Result<(), ApplyError> {
        let text = serde_json::to_string(journal)?;
        Ok(self.notes.put_note(NOTE, text, self.time.now_ms()).await?)
    }
}

fn count_drain(step: &Step, drains: &mut BTreeMap<DeploymentKey, u32>) -> Result<(), ApplyError> {
    if step.kind != StepKind::Drain {
        return Ok(());
    }
    let times = drains.entry(step.key.clone()).or_default();
    *times += 1;
    if *times > DRAINS_MAX {
        return Err(ApplyError::Returns(step.key.clone()));
    }
    Ok(())
}
