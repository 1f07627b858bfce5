//! Looking after the fleet: one task that looks at Azure, tells routing who is there, keeps idle deployments from being deleted and
//! rebuilds what was lost.
//!
//! All decisions are of [`core::fleet`](crate::core::fleet); this carries them out and remembers. Nothing here is on a request's way.
//! It writes to Azure only what policies name: rebuilding (`keep`, `recreate`) and deleting (`delete_after`). What must outlive the
//! process, how far rebuilding is, is stored before it is acted upon.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::azure::arm::Arm;
use crate::core::fleet::actual::{self, Actual};
use crate::core::fleet::catalogue::Catalogue;
use crate::core::fleet::guard::{Efforts, Verdict};
use crate::core::fleet::phoenix;
use crate::core::ids::DeploymentId;
use crate::fleet::alerts::Alerts;
use crate::fleet::care::deleting::Deletion;
use crate::fleet::care::ending::Nearness;
use crate::fleet::care::memory::MemoryError;
use crate::fleet::care::orders::Orders;
use crate::fleet::care::told::Told;
use crate::fleet::declaration::Declaration;
use crate::fleet::lease::{self, Lease};
use crate::fleet::look;
use crate::fleet::standing::{self, Picture};
use crate::fleet::traffic::{Seen, Standing, Traffic};
use crate::storage::UsageStore;
use crate::storage::leases::LeaseStore;
use crate::storage::lives::LifeStore;
use crate::storage::notes::NoteStore;
use crate::telemetry::events::care as events;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::view::CareView;

mod deleting;
mod ending;
mod guarding;
mod lives;
pub mod memory;
mod needs;
pub mod orders;
mod rebuilding;
mod shown;
mod told;

/// What is known after each turn, for metrics and the admin listener.
pub type Board = ArcSwapOption<CareView>;

/// How often the gateway is asked what it knows, and the clocks are looked at.
const TICK: Duration = Duration::from_secs(5);
/// Shortest time between two looks at Azure, whatever asks for one.
const LOOK_AGAIN_MS: i64 = 15_000;

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

/// How the fleet is looked after.
pub struct Settings {
    /// How often Azure is looked at, in milliseconds.
    pub look_every_ms: i64,
    /// This gateway's name among its replicas.
    pub replica: String,
    /// This process: two of the same replica, of which one takes over, are two.
    pub process: String,
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
    /// When deployments answered, of all gateways on the store.
    pub usage: Arc<dyn UsageStore>,
    /// Which of the gateways on one store acts.
    pub leases: Arc<dyn LeaseStore>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// Where it is shown.
    pub board: Arc<Board>,
    /// Who is told of what people should look at, if anybody is.
    pub alerts: Option<Alerts>,
    /// What operators want made again.
    pub orders: Arc<Orders>,
    /// What Azure offers.
    pub catalogue: Catalogue,
    /// Reads the wall clock, in milliseconds since the Unix epoch.
    pub now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
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
    /// Those that their policies want deleted, and how far that is.
    deletions: BTreeMap<DeploymentId, Deletion>,
    /// How near the ends by date are that have been logged.
    ends: BTreeMap<DeploymentId, Nearness>,
    /// What people have been told.
    told: Told,
    /// What deployments were set to when they were seen last.
    settings_seen: BTreeMap<DeploymentId, actual::DeploymentSettings>,
    /// When each last answered any gateway on the usage file, in milliseconds since the Unix epoch; and when that was read.
    heard: BTreeMap<DeploymentId, i64>,
    heard_at_ms: Option<i64>,
    /// When this process began, in milliseconds since the Unix epoch.
    began_ms: i64,
    /// Whether people are to know that an account cannot be read.
    is_blind: bool,
    lease: Arc<Lease>,
    /// Whether this gateway calls, rebuilds and deletes.
    acts: bool,
    looked_at_ms: Option<i64>,
    wants_look: bool,
}

impl Care {
    /// Ready to run; what an earlier process stored is read.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what is not understood.
    pub async fn new(settings: Settings, partners: Partners) -> Result<Self, MemoryError> {
        let rebuilding = memory::recall(&*partners.notes, memory::REBUILDING).await?;
        let settings_seen = memory::recall(&*partners.notes, memory::SETTINGS).await?;
        let began_ms = (partners.now_ms)();
        let lease = Lease::new(Arc::clone(&partners.leases), settings.process.clone());
        Ok(Self {
            settings,
            partners,
            declaration: Declaration::default(),
            actual: Actual::default(),
            rebuilding,
            efforts: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            standings: BTreeMap::new(),
            deletions: BTreeMap::new(),
            ends: BTreeMap::new(),
            told: Told::default(),
            settings_seen,
            heard: BTreeMap::new(),
            heard_at_ms: None,
            began_ms,
            is_blind: false,
            lease: Arc::new(lease),
            acts: false,
            looked_at_ms: None,
            wants_look: true,
        })
    }

    /// Looks after the fleet until told to stop.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (lease, now_ms) = (Arc::clone(&self.lease), Arc::clone(&self.partners.now_ms));
        // Beside the turns: one that waits for Azure must not lose the lease.
        let keeping = async {
            let mut ticks = every(lease::RENEWED);
            loop {
                ticks.tick().await;
                lease.keep(now_ms()).await;
            }
        };
        let caring = async {
            let mut ticks = every(TICK);
            loop {
                ticks.tick().await;
                self.turn().await;
            }
        };
        tokio::select! {
            () = async { _ = stop.wait_for(|stop| *stop).await } => {}
            () = keeping => {}
            () = caring => {}
        }
        lease.give_back().await;
    }

    /// One turn: look if it is time, rebuild what is lost, guard what is idle, tell routing.
    pub async fn turn(&mut self) {
        if let Some(declaration) = self.partners.traffic.new_declaration() {
            self.partners.arm.allow_writes(declaration.writes);
            self.declaration = declaration;
            self.wants_look = true;
        }
        self.find_out_who_acts().await;
        let seen: BTreeMap<DeploymentId, Seen> = self
            .partners
            .traffic
            .seen()
            .into_iter()
            .map(|seen| (seen.deployment.clone(), seen))
            .collect();
        self.hear_from_store().await;
        self.hear_of_losses(&seen).await;
        self.take_orders().await;
        if self.is_time_to_look() {
            self.look().await;
            // What follows may wait for Azure.
            self.tell_routing(&seen);
            self.compare_with_azure().await;
        }
        self.rebuild_what_is_due().await;
        self.guard(&seen).await;
        self.tell_routing(&seen);
        self.remember_told().await;
    }

    async fn recall(&mut self) -> Result<(), MemoryError> {
        let notes = &*self.partners.notes;
        self.rebuilding = memory::recall(notes, memory::REBUILDING).await?;
        self.settings_seen = memory::recall(notes, memory::SETTINGS).await?;
        self.told = Told::recall(notes).await?;
        Ok(())
    }

    /// Takes the lease or keeps it. Whoever has just got it goes on where its predecessor was; whoever has not follows its progress.
    async fn find_out_who_acts(&mut self) {
        let now_ms = (self.partners.now_ms)();
        self.lease.keep(now_ms).await;
        if self.lease.takes_failure() {
            // Nobody acts, so nobody else tells.
            self.alert_of_lease();
        }
        let mut acts = self.lease.is_held(now_ms);
        let is_to_recall = acts != self.acts || (!acts && self.is_time_to_look());
        if is_to_recall && let Err(error) = self.recall().await {
            events::MemoryFailing { error: &error }.emit();
            // Whoever can read it acts instead.
            self.lease.give_back().await;
            acts = false;
        }
        if acts != self.acts {
            events::LeaseMoved { is_ours: acts }.emit();
        }
        self.acts = acts;
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
        // What is being made is looked at until it is there.
        let is_making = |state: &phoenix::State| matches!(state, phoenix::State::Creating { .. });
        self.wants_look = self.rebuilding.values().any(is_making);
        for account in &self.declaration.accounts {
            let failed = failed.iter().find(|(failed, _)| failed == account);
            events::Looked {
                account: account.name(),
                error: failed.map(|(_, error)| error as &dyn std::error::Error),
            }
            .emit(&self.partners.metrics);
        }
        self.tell_blindness(now_ms);
        self.note_lives(now_ms).await;
        self.note_settings(now_ms).await;
        self.count_down(now_ms);
    }

    /// Says how each deployment stands, and logs what changed.
    fn tell_routing(&mut self, seen: &BTreeMap<DeploymentId, Seen>) {
        let now_ms = (self.partners.now_ms)();
        let deletions = self.deletions.iter();
        let leaving = deletions
            .filter(|(_, deletion)| deletion.is_leaving(now_ms))
            .map(|(deployment, _)| deployment.clone())
            .collect();
        let standings = standing::standings(&Picture {
            declared: &self.declaration.declared,
            writes: self.declaration.writes,
            actual: &self.actual,
            seen,
            rebuilding: &self.rebuilding,
            leaving: &leaving,
            now_ms,
        });
        for (deployment, standing) in &standings {
            self.partners.traffic.mark(deployment, *standing);
            let before = self.standings.get(deployment).and_then(|standing| standing.absence);
            if before != standing.absence {
                let rule_days = self.declaration.terms.get(deployment).and_then(|terms| terms.rule_days);
                let why = standing
                    .absence
                    .map(|absence| told::why(absence, rule_days))
                    .unwrap_or_default();
                events::StandingChanged {
                    deployment,
                    absence: standing.absence,
                    why: &why,
                }
                .emit(self.partners.metrics.journal());
            }
        }
        for (deployment, standing) in &standings {
            self.tell_absence(deployment, standing.absence);
        }
        // What is not looked after any more, after a reload, stands as it is configured.
        for deployment in self.standings.keys() {
            if !self.declaration.terms.contains_key(deployment) {
                self.partners.traffic.mark(deployment, Standing::default());
            }
        }
        self.standings = standings;
        self.show(seen);
    }
}
