//! Applying a plan to the simulator's control plane, by a process that dies at each moment in turn.
//!
//! The runner, its requests to ARM and its store are the real ones; the gateway is a list. A moment is before each call that changes
//! anything: of ARM, of the gateway, of the store. Dying there loses the answer of the call before, unless it was stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use emberway::azure::arm::Arm;
use emberway::config::checked::Checked;
use emberway::core::fleet::actual::Actual;
use emberway::core::fleet::catalogue::{self, Catalogue};
use emberway::core::fleet::journal::Answer;
use emberway::core::fleet::key::DeploymentKey;
use emberway::core::fleet::plan::{Allowed, Deletable, Routed, Routing};
use emberway::core::fleet::step::{Step, StepKind};
use emberway::fleet::apply::{Answered, Applied, Applying, Plane, Routes, RoutesError, Time};
use emberway::fleet::audit::Audit;
use emberway::fleet::declaration::{self, Declaration};
use emberway::fleet::plane::{OverArm, patience_of_writes};
use emberway::fleet::{connect, quota};
use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};
use emberway::storage::StoreError;
use emberway::storage::audit::{AuditPhase, AuditStore as _};
use emberway::storage::notes::NoteStore;
use emberway::storage::sqlite::SqliteStore;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::harness::compile;

const MODEL: &str = "gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef";
const OTHER: &str = "gpt-4.1-mini-2025-04-14.ft-ffffffffffffffffffffffffffffffff";
/// More moments than any run has.
const NEVER: i64 = i64::MAX;

/// Everything that can be wrong at once: one missing, one too small, one too large, one of another model, two that nobody declares.
fn scenario(quota: u32) -> Scenario {
    let text = format!(
        "engine: {{ time_scale: 0 }}\nlimits: {{ enabled: false }}\n\
         arm:\n  durations: {{ create_s: 20, create_provisioned_s: 20, update_s: 20, delete_s: 20, propagation_s: 1 }}\n\
         \x20 quota: [{{ location: northcentralus, usage: OpenAI.Standard.gpt-4.1-mini-finetune, limit: {quota} }}]\n\
         accounts:\n\
         \x20 - {{ name: east, region: northcentralus, api_keys: [key-east], fine_tuned_models: [{{ model: {MODEL} }}],\n\
         \x20     deployments: [{{ name: ft, model: {MODEL}, sku: Standard, capacity: 50 }},\n\
         \x20       {{ name: small, model: {MODEL}, sku: Standard, capacity: 10 }},\n\
         \x20       {{ name: old, model: {MODEL}, sku: Standard, capacity: 10 }}] }}\n\
         \x20 - {{ name: west, region: swedencentral, api_keys: [key-west], fine_tuned_models: [{{ model: {MODEL} }}, {{ model: {OTHER} }}],\n\
         \x20     deployments: [{{ name: other, model: {OTHER}, sku: Standard, capacity: 50 }},\n\
         \x20       {{ name: big, model: {MODEL}, sku: Standard, capacity: 50 }},\n\
         \x20       {{ name: junk, model: {MODEL}, sku: Standard, capacity: 10 }}] }}\n"
    );
    Scenario::parse(&text).expect("a scenario")
}

fn config(sim: &Simulator, directory: &Path) -> Arc<Checked> {
    let arm = sim.arm().expect("a control plane");
    let resource = |name: &str, region: &str, deployments: &[(&str, u32)]| {
        let url = &sim.account(name).expect("an account").url;
        let one = |(name, capacity): &(&str, u32)| {
            format!("{{ name: {name}, sku: Standard, capacity: {capacity}, fine_tuned_model: {MODEL} }}")
        };
        let all: Vec<String> = deployments.iter().map(one).collect();
        format!(
            "  - {{ name: {name}, region: {region}, account: {name}, endpoint: '{url}', credential: {{ api_key: '${{env:KEY_{name}}}' }},\n\
             \x20     deployments: [{}] }}\n",
            all.join(", ")
        )
    };
    let text = format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\nadmin: {{ address: '127.0.0.1:0' }}\n\
         azure: {{ subscription: 11111111-1111-4111-8111-111111111111, resource_group: emberway-sim, management: '{}',\n\
         \x20 credential: {{ token: '${{env:CONTROL}}' }}, writes_per_minute: 1000 }}\n\
         clients: [{{ name: desk, keys: ['${{env:KEY}}'] }}]\nresources:\n{}{}\
         pools: [{{ name: ft, tiers: [[east/ft, east/small], [west/other, west/big, west/new]] }}]\nroutes: [{{ name: bot, pool: ft }}]\n",
        arm.url(),
        resource("east", "northcentralus", &[("ft", 50), ("small", 20)]),
        resource("west", "swedencentral", &[("other", 50), ("big", 30), ("new", 10)]),
    );
    compile(&text, &directory.join("emberway.yaml"))
}

/// Lets so many moments pass, and then nothing more.
struct Life {
    left: AtomicI64,
    passed: AtomicI64,
    died: Notify,
}

impl Life {
    fn of(moments: i64) -> Self {
        Self {
            left: AtomicI64::new(moments),
            passed: AtomicI64::new(0),
            died: Notify::new(),
        }
    }

    async fn moment(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
        self.passed.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is the same for all lives: the world, and what was done in it.
struct World {
    sim: Simulator,
    checked: Arc<Checked>,
    store: Arc<SqliteStore>,
    ahead_ms: AtomicI64,
    /// What requests are sent to, and whether each is out.
    routed: Mutex<Routing>,
    /// The deployment whose writes are refused for good.
    refused: Mutex<Option<String>>,
    /// Writes that reached ARM, and what it answered.
    writes: Mutex<Vec<(StepKind, String, Answer)>>,
    _directory: tempfile::TempDir,
}

/// One life's hands.
struct Hands<'a> {
    world: &'a World,
    life: &'a Life,
    over: &'a OverArm<'a>,
}

#[async_trait]
impl Time for World {
    fn now_ms(&self) -> i64 {
        emberway::telemetry::clock::now_ms() + self.ahead_ms.load(Ordering::Relaxed)
    }

    async fn wait_until(&self, at_ms: i64) {
        self.advance(at_ms - self.now_ms());
    }
}

#[async_trait]
impl Plane for Hands<'_> {
    async fn look(&self) -> Actual {
        self.over.look().await
    }

    async fn write(&self, step: &Step, actual: &Actual) -> Answered {
        self.life.moment().await;
        if matches!(step.kind, StepKind::Replace | StepKind::Delete) {
            let routed = self.world.routed.lock();
            assert!(
                routed.get(&step.key).is_none_or(|routed| routed.is_drained),
                "{} is routed to while it is touched",
                step.key
            );
        }
        if self.world.refused.lock().as_deref() == Some(&*step.key.to_string()) {
            let code = "DeploymentModelNotSupported".to_owned();
            return Answered {
                answer: Answer::Refused { code },
                problem: None,
            };
        }
        let answered = self.over.write(step, actual).await;
        let mut writes = self.world.writes.lock();
        writes.push((step.kind, step.key.to_string(), answered.answer.clone()));
        answered
    }
}

#[async_trait]
impl Routes for Hands<'_> {
    async fn routing(&self) -> Result<Routing, RoutesError> {
        Ok(self.world.routed.lock().clone())
    }

    async fn take_out(&self, key: &DeploymentKey) -> Result<(), RoutesError> {
        self.life.moment().await;
        self.world.set_drained(key, true);
        Ok(())
    }

    async fn put_back(&self, key: &DeploymentKey) -> Result<(), RoutesError> {
        self.life.moment().await;
        self.world.set_drained(key, false);
        Ok(())
    }
}

#[async_trait]
impl NoteStore for Hands<'_> {
    async fn put_note(&self, name: &'static str, document: String, now_ms: i64) -> Result<(), StoreError> {
        self.life.moment().await;
        self.world.store.put_note(name, document, now_ms).await
    }

    async fn note(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        self.world.store.note(name).await
    }
}

impl World {
    async fn start(quota: u32) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let sim = simulator::start(scenario(quota)).await.expect("a simulator");
        let store = SqliteStore::open(&directory.path().join("usage.db")).await;
        let checked = config(&sim, directory.path());
        let world = Self {
            sim,
            store: Arc::new(store.expect("a store")),
            ahead_ms: AtomicI64::new(0),
            routed: Mutex::default(),
            refused: Mutex::default(),
            writes: Mutex::default(),
            checked,
            _directory: directory,
        };
        let declaration = world.declaration();
        let routed = ["ft", "small", "old"].map(|name| (0, name));
        let routed = routed.into_iter().chain([(1, "other"), (1, "big")]);
        let key =
            |(account, name): (usize, &str)| DeploymentKey::new(declaration.declared.accounts[account].clone(), name);
        // A gateway with an older configuration routes to one that is to be deleted.
        *world.routed.lock() = routed.map(|of| (key(of), Routed::default())).collect();
        world
    }

    fn declaration(&self) -> Declaration {
        declaration::of(&self.checked.runtime).expect("a declaration")
    }

    fn advance(&self, ms: i64) {
        let ms = ms.max(1);
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
        let by = Duration::from_millis(u64::try_from(ms).expect("forward"));
        self.sim.control().advance_clock(by);
    }

    fn set_drained(&self, key: &DeploymentKey, is_drained: bool) {
        let mut routed = self.routed.lock();
        if let Some(routed) = routed.get_mut(key) {
            routed.is_drained = is_drained;
        }
    }

    fn arm(&self, witness: bool) -> Arm {
        let azure = self.checked.install.azure.as_ref().expect("a control plane");
        let audit = Audit::new(Arc::clone(&self.store) as _, "a test".to_owned(), |failing| {
            panic!("{failing:?}")
        });
        let witness = witness.then(|| Arc::new(audit) as _);
        connect::arm_with(azure, witness, patience_of_writes()).expect("a client")
    }

    /// One life of a process: how it ended, or none where it died before. With the moments that it saw.
    async fn live(&self, moments: i64, deletable: &[&str]) -> (Option<Applied>, i64) {
        let life = Life::of(moments);
        let (reader, writer) = (self.arm(false), self.arm(true));
        let mut declaration = self.declaration();
        let (places, problems) = quota::name_lines(&reader, &mut declaration).await;
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(places.len(), 2, "both accounts tell which quota their models draw on");
        let catalogue = Catalogue::parse(catalogue::EMBEDDED).expect("a catalogue");
        let over = OverArm {
            reader: &reader,
            writer: &writer,
            declaration: &declaration,
            catalogue: &catalogue,
            places: &places,
            time: self,
            quota: Mutex::default(),
            problem: &|problem| panic!("{problem}"),
        };
        let hands = Hands {
            world: self,
            life: &life,
            over: &over,
        };
        let seen = over.look().await;
        let named = seen.accounts.values().flat_map(|account| &account.deployments);
        let deletable: Deletable = named
            .filter(|(key, _)| deletable.contains(&key.to_string().as_str()))
            .map(|(key, shown)| (key.clone(), shown.created_at_ms))
            .collect();
        let applying = Applying {
            plane: &hands,
            routes: &hands,
            notes: &hands,
            time: self,
            declared: &declaration.declared,
            catalogue: &catalogue,
            allowed: Allowed {
                deleting: !deletable.is_empty(),
                ..Allowed::default()
            },
            deletable,
            told: &|_| {},
        };
        let applied = tokio::select! {
            biased;
            () = life.died.notified() => None,
            applied = applying.run() => Some(applied.expect("it runs")),
        };
        (applied, life.passed.load(Ordering::Relaxed))
    }

    /// What there is: `account/name model capacity`, with whatever is not in order.
    fn fleet(&self) -> Vec<String> {
        let control = self.sim.control();
        let arm = control.arm().expect("a control plane");
        let status = arm.plane().status(control.unix_ms(), String::new(), true);
        let shown = status.deployments.iter().map(|one| {
            let model = if one.model == MODEL { "wanted" } else { "another" };
            let state = if one.state == "Succeeded" { "" } else { one.state };
            format!("{}/{} {model} {}{state}", one.account, one.name, one.capacity)
        });
        let mut shown: Vec<String> = shown.collect();
        shown.sort();
        shown
    }

    /// The writes that Azure took, by what they were of; the same one twice is a mistake.
    fn taken(&self) -> BTreeMap<String, usize> {
        let mut taken = BTreeMap::new();
        for (kind, key, answer) in self.writes.lock().iter() {
            assert_eq!(*answer, Answer::Taken, "{} {key}", kind.as_str());
            *taken.entry(format!("{} {key}", kind.as_str())).or_default() += 1;
        }
        taken
    }
}

const DECLARED: [&str; 5] = [
    "east/ft wanted 50",
    "east/small wanted 20",
    "west/big wanted 30",
    "west/new wanted 10",
    "west/other wanted 50",
];

/// All is as declared, each write was sent once, and all that was taken out is back.
async fn assert_converged(world: &World, more: &[&str], moment: i64) {
    let mut expected: Vec<&str> = DECLARED.into_iter().chain(more.iter().copied()).collect();
    expected.sort_unstable();
    assert_eq!(world.fleet(), expected, "killed at {moment}");
    let taken = world.taken();
    assert!(taken.values().all(|times| *times == 1), "killed at {moment}: {taken:?}");
    assert_eq!(taken.len(), 4 + 2 - more.len(), "{taken:?}");
    let routed = world.routed.lock().clone();
    for (key, routed) in routed {
        let is_gone = !world.fleet().iter().any(|shown| shown.starts_with(&format!("{key} ")));
        assert!(is_gone || !routed.is_drained, "killed at {moment}: {key} is still out");
    }
    let audit = world.store.audit(0, 1_000).await.expect("an audit");
    let of_phase = |phase| audit.iter().filter(|entry| entry.phase == phase).count();
    assert_eq!(of_phase(AuditPhase::Sent), taken.len(), "each write is in the audit");
    assert_eq!(of_phase(AuditPhase::Answered), taken.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_moment_in_turn_it_converges_and_does_nothing_twice() {
    let all = ["east/old", "west/junk"];
    let world = World::start(5_000).await;
    let (applied, moments) = world.live(NEVER, &all).await;
    assert!(applied.expect("it ended").is_whole());
    assert_converged(&world, &[], NEVER).await;
    assert!(moments > 25, "{moments}");
    for moment in 0..moments {
        let world = World::start(5_000).await;
        let (died, passed) = world.live(moment, &all).await;
        assert!(died.is_none(), "there is a moment {moment}");
        assert_eq!(passed, moment);
        // Every other time the gateway is restarted too: what was out is in again.
        if moment % 2 == 0 {
            let mut routed = world.routed.lock();
            routed.values_mut().for_each(|routed| routed.is_drained = false);
        }
        world.advance(7_000);
        let (applied, _) = world.live(NEVER, &all).await;
        let applied = applied.expect("it ended");
        assert!(applied.is_whole(), "killed at {moment}: {applied:?}");
        assert_converged(&world, &[], moment).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_agreed_to_delete_stays() {
    let (old, junk) = ("east/old wanted 10", "west/junk wanted 10");
    for (agreed, stays) in [(&[][..], &[old, junk][..]), (&["east/old"], &[junk])] {
        let world = World::start(5_000).await;
        for moment in [5, 11] {
            assert!(world.live(moment, agreed).await.0.is_none());
            world.advance(7_000);
        }
        let applied = world.live(NEVER, agreed).await.0.expect("it ended");
        assert!(applied.is_whole(), "{applied:?}");
        assert_converged(&world, stays, 5).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_quota_nothing_of_its_line_is_done_and_nothing_is_deleted() {
    // East has 70 of 75 and would need 10 more.
    let world = World::start(75).await;
    let (applied, _) = world.live(NEVER, &["east/old", "west/junk"]).await;
    let applied = applied.expect("it ended");
    let found: Vec<&str> = applied.findings.iter().map(|finding| finding.kind.as_str()).collect();
    assert!(found.contains(&"quota_short") && !applied.is_whole(), "{found:?}");
    let left: Vec<String> = applied
        .left
        .iter()
        .map(|left| format!("{} {} {}", left.step.kind.as_str(), left.step.of, left.reason.as_str()))
        .collect();
    assert_eq!(left, ["delete east/old not_all_done", "delete west/junk not_all_done"]);
    let mut expected = DECLARED.to_vec();
    expected.retain(|shown| !shown.starts_with("east/small"));
    expected.extend(["east/small wanted 10", "east/old wanted 10", "west/junk wanted 10"]);
    expected.sort_unstable();
    assert_eq!(world.fleet(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_out_for_a_replacement_that_is_refused_goes_back_wherever_it_was_killed() {
    let start = async || {
        let world = World::start(5_000).await;
        *world.refused.lock() = Some("west/other".to_owned());
        world
    };
    let assert_back = |world: &World, applied: &Applied, moment: i64| {
        let left: Vec<String> = applied
            .left
            .iter()
            .map(|left| format!("{} {} {}", left.step.kind.as_str(), left.step.of, left.reason.as_str()))
            .collect();
        assert_eq!(left, ["replace west/other refused"], "killed at {moment}");
        assert!(applied.still_out.is_empty(), "killed at {moment}: {applied:?}");
        for (key, routed) in &*world.routed.lock() {
            assert!(!routed.is_drained, "killed at {moment}: {key} is still out");
        }
        assert!(world.fleet().contains(&"west/other another 50".to_owned()));
        assert!(world.taken().values().all(|times| *times == 1), "killed at {moment}");
    };
    let world = start().await;
    let (applied, moments) = world.live(NEVER, &[]).await;
    let applied = applied.expect("it ended");
    assert_back(&world, &applied, NEVER);
    assert_eq!(applied.put_back, ["west/other"]);
    for moment in 0..moments {
        let world = start().await;
        assert!(world.live(moment, &[]).await.0.is_none());
        world.advance(7_000);
        let applied = world.live(NEVER, &[]).await.0.expect("it ended");
        assert_back(&world, &applied, moment);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_run_took_out_goes_back_where_its_replacement_is_not_sent() {
    let mut moment = 0;
    let (world, other) = loop {
        let world = World::start(5_000).await;
        let other = DeploymentKey::new(world.declaration().declared.accounts[1].clone(), "other");
        assert!(
            world.live(moment, &[]).await.0.is_none(),
            "it is taken out before the end"
        );
        if world.routed.lock()[&other].is_drained {
            break (world, other);
        }
        moment += 1;
    };
    // Nobody else of the pool serves now, so it is not replaced any more.
    for declared in &world.declaration().declared.deployments {
        let mut routed = world.routed.lock();
        routed.entry(declared.key.clone()).or_default().is_absent = declared.key != other;
    }
    let applied = world.live(NEVER, &[]).await.0.expect("it ended");
    assert!(!applied.is_whole());
    assert!(!world.routed.lock()[&other].is_drained, "{applied:?}");
}
