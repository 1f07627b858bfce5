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
use crate::core::fleet::actual::Actual;
use crate::core::fleet::catalogue::Catalogue;
use crate::core::fleet::guard::{Efforts, Verdict};
use crate::core::fleet::phoenix;
use crate::core::ids::DeploymentId;
use crate::core::recovery::absence::Absence;
use crate::fleet::alerts::{Alert, Alerts, Severity, Topic};
use crate::fleet::care::rebuilding::MemoryError;
use crate::fleet::declaration::Declaration;
use crate::fleet::lease::{self, Lease};
use crate::fleet::look;
use crate::fleet::standing::{self, Picture};
use crate::fleet::traffic::{Seen, Standing, Traffic};
use crate::storage::leases::LeaseStore;
use crate::storage::lives::LifeStore;
use crate::storage::notes::NoteStore;
use crate::telemetry::events::care as events;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::view::CareView;

mod ending;
mod guarding;
mod lives;
mod needs;
pub mod rebuilding;
mod shown;

/// What is known after each turn, for metrics and the admin listener.
pub type Board = ArcSwapOption<CareView>;

/// How often the gateway is asked what it knows, and the clocks are looked at.
const TICK: Duration = Duration::from_secs(5);
/// Shortest time between two looks at Azure, whatever asks for one.
const LOOK_AGAIN_MS: i64 = 15_000;

/// Why a deployment gets no requests, with the rule that people meet only as a 404 otherwise.
fn why(absence: Absence, rule_days: Option<u32>) -> String {
    let sentence = absence.sentence();
    match (absence, rule_days) {
        (Absence::Missing, Some(days)) if days > 0 => format!(
            "{sentence} (Azure deletes deployments of fine-tuned models after {days} days without a successful call)"
        ),
        _ => sentence.to_owned(),
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

/// How the fleet is looked after.
pub struct Settings {
    /// How often Azure is looked at, in milliseconds.
    pub look_every_ms: i64,
    /// Whether anything may be written to Azure.
    pub writes: bool,
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
    /// Which of the gateways on one store acts.
    pub leases: Arc<dyn LeaseStore>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// Where it is shown.
    pub board: Arc<Board>,
    /// Who is told of what people should look at, if anybody is.
    pub alerts: Option<Alerts>,
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
    /// Those that their policies want deleted, since when: first they get no new requests.
    leaving: BTreeMap<DeploymentId, i64>,
    /// How near the ends by date are that have been told.
    ends: BTreeMap<DeploymentId, ending::Nearness>,
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
        let rebuilding = rebuilding::recall(&*partners.notes).await?;
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
            leaving: BTreeMap::new(),
            ends: BTreeMap::new(),
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
        self.hear_of_losses(&seen).await;
        if self.is_time_to_look() {
            self.look().await;
            self.compare_with_azure().await;
        }
        self.rebuild_what_is_due().await;
        self.guard(&seen).await;
        self.tell_routing(&seen);
    }

    /// Takes the lease or keeps it. Whoever has just got it goes on where its predecessor was; whoever has not follows its progress.
    async fn find_out_who_acts(&mut self) {
        let now_ms = (self.partners.now_ms)();
        self.lease.keep(now_ms).await;
        let mut acts = self.lease.is_held(now_ms);
        if acts != self.acts || (!acts && self.is_time_to_look()) {
            match rebuilding::recall(&*self.partners.notes).await {
                Ok(rebuilding) => self.rebuilding = rebuilding,
                Err(error) => {
                    events::MemoryFailing { error: &error }.emit();
                    acts = false;
                }
            }
        }
        if acts != self.acts {
            events::LeaseMoved { is_ours: acts }.emit();
        }
        self.acts = acts;
    }

    fn alert_absence(&self, deployment: &DeploymentId, absence: Option<Absence>, why: &str) {
        let (severity, text) = match absence {
            None => (Severity::Info, "gets requests again".to_owned()),
            // By its policy, or told apart.
            Some(Absence::Deleting | Absence::Provisioning | Absence::Ending) => {
                (Severity::Info, format!("gets no requests: it {why}"))
            }
            Some(_) => (Severity::Critical, format!("gets no requests: it {why}")),
        };
        self.alert(severity, Topic::Absence, deployment, text);
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
        self.count_down(now_ms);
    }

    /// Tells people, if a webhook is configured; of the gateways on one usage file, whichever acts does.
    fn alert(&self, severity: Severity, topic: Topic, deployment: &DeploymentId, text: String) {
        if let Some(alerts) = self.partners.alerts.as_ref().filter(|_| self.acts) {
            alerts.send(Alert {
                severity,
                topic,
                deployment: deployment.to_string(),
                text,
            });
        }
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
                let rule_days = self.declaration.terms.get(deployment).and_then(|terms| terms.rule_days);
                let why = standing
                    .absence
                    .map(|absence| why(absence, rule_days))
                    .unwrap_or_default();
                events::StandingChanged {
                    deployment,
                    absence: standing.absence,
                    why: &why,
                }
                .emit();
                self.alert_absence(deployment, standing.absence, &why);
            }
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
