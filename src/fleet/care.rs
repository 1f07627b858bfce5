//! Looking after the fleet: one task that looks at Azure, tells routing who is there, keeps idle deployments from being deleted and
//! rebuilds what was lost.
//!
//! All decisions are of [`core::fleet`](crate::core::fleet); this carries them out and remembers. Nothing here is on a request's way.
//! It writes to Azure only what policies name: rebuilding (`keep`, `recreate`) and deleting (`delete_after`). What must outlive the
//! process, how far rebuilding is, is stored before it is acted upon.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::azure::arm::Arm;
use crate::core::fleet::actual::Actual;
use crate::core::fleet::catalogue::Catalogue;
use crate::core::fleet::guard::{Efforts, Verdict};
use crate::core::fleet::phoenix;
use crate::core::ids::DeploymentId;
use crate::fleet::care::rebuilding::MemoryError;
use crate::fleet::declaration::Declaration;
use crate::fleet::look;
use crate::fleet::standing::{self, Picture};
use crate::fleet::traffic::{Seen, Standing, Traffic};
use crate::storage::lives::LifeStore;
use crate::storage::notes::NoteStore;
use crate::telemetry::events::care as events;
use crate::telemetry::metrics::Metrics;

mod guarding;
mod lives;
pub mod rebuilding;

/// How often the gateway is asked what it knows, and the clocks are looked at.
const TICK: Duration = Duration::from_secs(5);
/// Shortest time between two looks at Azure, whatever asks for one.
const LOOK_AGAIN_MS: i64 = 15_000;

/// How the fleet is looked after.
pub struct Settings {
    /// How often Azure is looked at, in milliseconds.
    pub look_every_ms: i64,
    /// Whether anything may be written to Azure.
    pub writes: bool,
    /// This gateway's name among its replicas.
    pub replica: String,
}

/// Whom it works with.
pub struct Partners {
    /// Azure.
    pub arm: Arc<Arm>,
    /// The gateway.
    pub traffic: Arc<dyn Traffic>,
    /// What outlives the process.
    pub notes: Arc<dyn NoteStore>,
    /// When deployments were there, for what they cost.
    pub lives: Arc<dyn LifeStore>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// What Azure offers.
    pub catalogue: Catalogue,
    /// Reads the wall clock, in milliseconds since the Unix epoch.
    pub now_ms: Box<dyn Fn() -> i64 + Send + Sync>,
}

/// The task.
pub struct Care {
    settings: Settings,
    partners: Partners,
    declaration: Declaration,
    actual: Actual,
    rebuilding: BTreeMap<DeploymentId, phoenix::State>,
    efforts: BTreeMap<DeploymentId, Efforts>,
    verdicts: BTreeMap<DeploymentId, Verdict>,
    standings: BTreeMap<DeploymentId, Standing>,
    /// Those that their policies want deleted: first they get no new requests.
    leaving: BTreeSet<DeploymentId>,
    looked_at_ms: Option<i64>,
    wants_look: bool,
}

impl Care {
    /// Ready to run; what an earlier process stored is read.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what is not understood.
    pub async fn new(settings: Settings, partners: Partners) -> Result<Self, MemoryError> {
        let rebuilding = rebuilding::recall(&*partners.notes).await?;
        Ok(Self {
            settings,
            partners,
            declaration: Declaration::default(),
            actual: Actual::default(),
            rebuilding,
            efforts: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            standings: BTreeMap::new(),
            leaving: BTreeSet::new(),
            looked_at_ms: None,
            wants_look: true,
        })
    }

    /// Looks after the fleet until told to stop.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = async { _ = stop.wait_for(|stop| *stop).await } => return,
                _ = ticks.tick() => self.turn().await,
            }
        }
    }

    /// One turn: look if it is time, rebuild what is lost, guard what is idle, tell routing.
    pub async fn turn(&mut self) {
        if let Some(declaration) = self.partners.traffic.new_declaration() {
            self.declaration = declaration;
            self.wants_look = true;
        }
        let seen: BTreeMap<DeploymentId, Seen> = self
            .partners
            .traffic
            .seen()
            .into_iter()
            .map(|seen| (seen.deployment.clone(), seen))
            .collect();
        self.hear_of_losses(&seen).await;
        if self.is_time_to_look() {
            self.look().await;
            self.compare_with_azure().await;
        }
        self.rebuild_what_is_due().await;
        self.guard(&seen).await;
        self.tell_routing(&seen);
    }

    fn is_time_to_look(&self) -> bool {
        let Some(at_ms) = self.looked_at_ms else {
            return true;
        };
        let since_ms = (self.partners.now_ms)().saturating_sub(at_ms);
        // A wall clock that was set back must not keep it from looking.
        since_ms < 0 || since_ms >= self.settings.look_every_ms || (self.wants_look && since_ms >= LOOK_AGAIN_MS)
    }

    async fn look(&mut self) {
        let now_ms = (self.partners.now_ms)();
        let failed = look::look(
            &self.partners.arm,
            &self.declaration.accounts,
            &self.partners.catalogue,
            &mut self.actual,
            now_ms,
        )
        .await;
        self.looked_at_ms = Some(now_ms);
        self.wants_look = false;
        for account in &self.declaration.accounts {
            let failed = failed.iter().find(|(failed, _)| failed == account);
            events::Looked {
                account: account.name(),
                error: failed.map(|(_, error)| error as &dyn std::error::Error),
            }
            .emit(&self.partners.metrics);
        }
        self.note_lives(now_ms).await;
    }

    /// Says how each deployment stands, and logs what changed.
    fn tell_routing(&mut self, seen: &BTreeMap<DeploymentId, Seen>) {
        let standings = standing::standings(&Picture {
            declared: &self.declaration.declared,
            actual: &self.actual,
            seen,
            rebuilding: &self.rebuilding,
            leaving: &self.leaving,
            now_ms: (self.partners.now_ms)(),
        });
        for (deployment, standing) in &standings {
            self.partners.traffic.mark(deployment, *standing);
            let before = self.standings.get(deployment).and_then(|standing| standing.absence);
            if before != standing.absence {
                events::StandingChanged {
                    deployment,
                    absence: standing.absence,
                }
                .emit();
            }
        }
        // What is not looked after any more, after a reload, stands as it is configured.
        for deployment in self.standings.keys() {
            if !self.declaration.terms.contains_key(deployment) {
                self.partners.traffic.mark(deployment, Standing::default());
            }
        }
        self.standings = standings;
    }
}
