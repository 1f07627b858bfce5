//! Looking after the fleet: what Azure's control plane shows reaches routing, what is lost is rebuilt, what is idle is kept alive.
//!
//! The real gateway in front of the simulator and its control plane. Whoever looks after the fleet is driven by hand here, with a clock
//! that the test moves, so that weeks take a moment and nothing is waited for.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use emberway::app::traffic::OfGateway;
use emberway::app::{self, Running};
use emberway::config::checked::Checked;
use emberway::core::fleet::catalogue::{self, Catalogue};
use emberway::core::ids::DeploymentId;
use emberway::fleet::care::{Care, Partners, Settings};
use emberway::fleet::connect;
use emberway::fleet::declaration::Declaration;
use emberway::fleet::traffic::{Called, Seen, Standing, Traffic};
use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};
use emberway::storage::sqlite::SqliteStore;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Answer, KEY, WHOLE, client, compile, read};

/// A model that was fine-tuned in both accounts' subscription.
pub(crate) const MODEL: &str = "gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef";
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A simulated fleet of two deployments in two regions, a gateway, and whoever looks after them.
pub(crate) struct Fleet {
    pub(crate) sim: Simulator,
    gateway: Running,
    care: Care,
    /// How far the clock is ahead of the wall's, in milliseconds.
    ahead_ms: Arc<AtomicI64>,
    http: reqwest::Client,
    _directory: TempDir,
}

pub(crate) fn scenario(of_west: &str) -> Scenario {
    let text = format!(
        "engine: {{ time_scale: 0 }}\nlimits: {{ enabled: false }}\n\
         arm:\n  durations: {{ create_s: 60, create_provisioned_s: 60, update_s: 1, delete_s: 1, propagation_s: 120 }}\n\
         accounts:\n\
         \x20 - {{ name: east, region: northcentralus, api_keys: [key-east], fine_tuned_models: [{{ model: {MODEL} }}],\n\
         \x20     deployments: [{{ name: ft, model: {MODEL}, sku: Standard, capacity: 50 }}] }}\n\
         \x20 - {{ name: west, region: swedencentral, api_keys: [key-west], fine_tuned_models: [{{ model: {MODEL} }}],\n\
         \x20     deployments: [{{ name: ft, model: {of_west}, sku: Standard, capacity: 50 }}] }}\n"
    );
    Scenario::parse(&text).expect("a scenario")
}

fn config(sim: &Simulator, directory: &Path, policy: &str, of_west: &str, of_pool: &str) -> Arc<Checked> {
    let text = config_text(sim, directory, policy, of_west, of_pool);
    compile(&text, &directory.join("emberway.yaml"))
}

/// The gateway's configuration in front of both accounts and their control plane.
pub(crate) fn config_text(sim: &Simulator, directory: &Path, policy: &str, of_west: &str, of_pool: &str) -> String {
    let arm = sim.arm().expect("a control plane");
    let resource = |name: &str, region: &str, model: &str| {
        let url = &sim.account(name).expect("an account").url;
        format!(
            "  - {{ name: {name}, region: {region}, account: {name}, endpoint: '{url}', credential: {{ api_key: '${{env:KEY_{name}}}' }},\n\
             \x20     deployments: [{{ name: ft, sku: Standard, capacity: 50, fine_tuned_model: {model}, inactivity: {{ policy: {policy} }} }}] }}\n"
        )
    };
    format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\nadmin: {{ address: '127.0.0.1:0' }}\nusage: {{ path: '{}' }}\n\
         limits: {{ max_delay: 0s }}\nhealth: {{ slow_start: 0s }}\n\
         azure: {{ subscription: 11111111-1111-4111-8111-111111111111, resource_group: emberway-sim, management: '{}',\n\
         \x20 credential: {{ token: '${{env:CONTROL}}' }} }}\n\
         clients: [{{ name: desk, keys: ['${{env:KEY}}'], debug_headers: true }}]\nresources:\n{}{}\
         pools: [{{ name: ft, tiers: [[east/ft], [west/ft]]{of_pool} }}]\nroutes: [{{ name: bot, pool: ft }}]\n",
        directory.join("usage.db").display(),
        arm.url(),
        resource("east", "northcentralus", MODEL),
        resource("west", "swedencentral", of_west),
    )
}

/// The gateway, whose successes are as of the moved clock: it dates them by the wall's.
struct Moved {
    gateway: OfGateway,
    ahead_ms: Arc<AtomicI64>,
    /// How far the clock was ahead when this was asked before: what succeeded since did so then.
    before_ms: AtomicI64,
    /// By deployment: when it last succeeded, by the wall's clock and by the moved one.
    successes: Mutex<HashMap<DeploymentId, (i64, i64)>>,
}

#[async_trait]
impl Traffic for Moved {
    fn new_declaration(&self) -> Option<Declaration> {
        self.gateway.new_declaration()
    }

    fn seen(&self) -> Vec<Seen> {
        let then_ms = self
            .before_ms
            .swap(self.ahead_ms.load(Ordering::Relaxed), Ordering::Relaxed);
        let mut successes = self.successes.lock();
        let mut seen = self.gateway.seen();
        for one in &mut seen {
            let Some(at) = one.last_success_at_ms else { continue };
            let known = successes.entry(one.deployment.clone()).or_insert((0, 0));
            if at > known.0 {
                *known = (at, at + then_ms);
            }
            one.last_success_at_ms = Some(known.1);
        }
        seen
    }

    fn mark(&self, deployment: &DeploymentId, standing: Standing) {
        self.gateway.mark(deployment, standing);
    }

    fn steer(&self, deployment: &DeploymentId) {
        self.gateway.steer(deployment);
    }

    async fn call(&self, deployment: &DeploymentId) -> Result<Called, String> {
        self.gateway.call(deployment).await
    }
}

impl Fleet {
    pub(crate) async fn start(policy: &str) -> Self {
        Self::start_with(policy, MODEL, "").await
    }

    /// The same with another model in the west, and more of the pool.
    async fn start_with(policy: &str, of_west: &str, of_pool: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let sim = simulator::start(scenario(of_west)).await.expect("a simulator");
        let mut checked =
            Arc::into_inner(config(&sim, directory.path(), policy, of_west, of_pool)).expect("nobody else's");
        // The gateway's own looking after is done by hand instead.
        let azure = checked.install.azure.take().expect("a control plane");
        let checked = Arc::new(checked);
        let gateway = app::start(Arc::clone(&checked), None, None).await.expect("a gateway");
        let store = Arc::new(SqliteStore::open(&checked.install.usage.path).await.expect("a store"));
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let ahead = Arc::clone(&ahead_ms);
        let partners = Partners {
            arm: Arc::new(connect::arm(&azure, None).expect("a client")),
            traffic: Arc::new(Moved {
                gateway: OfGateway::new(gateway.gateway()),
                ahead_ms: Arc::clone(&ahead_ms),
                before_ms: AtomicI64::new(0),
                successes: Mutex::default(),
            }),
            notes: Arc::clone(&store) as _,
            lives: store,
            metrics: Arc::clone(&gateway.gateway().metrics),
            catalogue: Catalogue::parse(catalogue::EMBEDDED).expect("a catalogue"),
            now_ms: Box::new(move || emberway::telemetry::clock::now_ms() + ahead.load(Ordering::Relaxed)),
        };
        let settings = Settings {
            look_every_ms: 120_000,
            writes: true,
            replica: "one".to_owned(),
        };
        Self {
            care: Care::new(settings, partners).await.expect("a memory"),
            sim,
            gateway,
            ahead_ms,
            http: client(reqwest::ClientBuilder::http1_only),
            _directory: directory,
        }
    }

    /// Lets time pass, at Azure and here, and has the fleet looked after once.
    pub(crate) async fn after(&mut self, ms: i64) {
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
        self.sim
            .control()
            .advance_clock(Duration::from_millis(u64::try_from(ms).expect("forward")));
        self.care.turn().await;
    }

    pub(crate) async fn ask(&self) -> Answer {
        let url = format!("http://{}/openai/v1/chat/completions", self.gateway.addresses()[0]);
        let request = self.http.post(url).header("api-key", KEY).body(WHOLE);
        read(request.send().await.expect("an answer")).await
    }

    /// What the admin listener answers.
    pub(crate) async fn admin(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.gateway.admin_address());
        read(self.http.get(url).send().await.expect("an answer")).await
    }

    pub(crate) async fn status(&self, deployment: &str) -> Value {
        let status = self.admin("/status").await.json();
        let all = status["deployments"].as_array().expect("deployments");
        let found = all.iter().find(|one| one["name"] == deployment);
        found.expect("the deployment").clone()
    }

    pub(crate) async fn absence(&self, deployment: &str) -> Value {
        self.status(deployment).await["absent"].clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_behind_the_gateways_back_is_rebuilt_and_no_request_fails() {
    let mut fleet = Fleet::start("keep").await;
    fleet.after(6 * 60_000).await;
    assert_eq!(fleet.absence("east/ft").await, Value::Null);
    assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    fleet.sim.control().vanish("east", "ft").expect("it was there");
    // The first request finds out, and is answered elsewhere.
    let answer = fleet.ask().await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-deployment")),
        (200, "west/ft")
    );
    fleet.after(20_000).await;
    assert_eq!(fleet.absence("east/ft").await, "provisioning", "it is being made again");
    assert_eq!(
        fleet.ask().await.header("x-emberway-attempts"),
        "1",
        "nobody asks it meanwhile"
    );
    let mut waited_ms = 0;
    while fleet.absence("east/ft").await != Value::Null {
        assert!(waited_ms < 20 * 60_000, "it never comes back");
        fleet.after(20_000).await;
        waited_ms += 20_000;
        assert_eq!(fleet.ask().await.status, 200);
    }
    let answer = fleet.ask().await;
    assert_eq!(
        answer.header("x-emberway-deployment"),
        "east/ft",
        "what its predecessor had done is forgotten: {} after {waited_ms} ms",
        fleet.status("east/ft").await
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_deployment_is_sent_a_request_that_loses_nothing_or_a_call_of_our_own() {
    let mut fleet = Fleet::start("keep").await;
    fleet.after(60_000).await;
    // Only the first of the two tiers is used, until the second is in danger.
    for _ in 0..11 {
        fleet.after(DAY_MS).await;
        assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    }
    fleet.after(DAY_MS + 3_600_000).await;
    let steered = fleet.ask().await;
    assert_eq!(
        (
            steered.header("x-emberway-deployment"),
            steered.header("x-emberway-reason")
        ),
        ("west/ft", "keepalive")
    );
    assert_eq!(
        fleet.ask().await.header("x-emberway-deployment"),
        "east/ft",
        "one is enough"
    );
    // Nobody calls any more: by themselves both would be deleted.
    for _ in 0..30 {
        fleet.after(DAY_MS / 2).await;
    }
    for _ in 0..30 {
        fleet.after(DAY_MS / 2).await;
    }
    for deployment in ["east/ft", "west/ft"] {
        assert_eq!(fleet.absence(deployment).await, Value::Null, "{deployment}");
    }
    assert_eq!(fleet.ask().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_expire_goes_and_requests_go_elsewhere() {
    let mut fleet = Fleet::start("expire").await;
    for _ in 0..40 {
        fleet.after(DAY_MS / 2).await;
        assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    }
    fleet.after(180_000).await;
    assert_eq!(fleet.absence("west/ft").await, "missing");
    assert_eq!(fleet.ask().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_carry_a_token_of_entra_id_where_a_resource_has_no_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = "engine: { time_scale: 0 }\nlimits: { enabled: false }\narm: {}\naccounts:\n\
                \x20 - { name: a, region: swedencentral, key_auth: false,\n\
                \x20     deployments: [{ name: ft, model: gpt-4.1-mini-2025-04-14.ft-1, sku: Standard, capacity: 50 }] }\n";
    let sim = simulator::start(Scenario::parse(text).expect("a scenario"))
        .await
        .expect("a simulator");
    let arm = sim.arm().expect("a control plane").url();
    let config = format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\nadmin: {{ address: '127.0.0.1:0' }}\nusage: {{ path: '{}' }}\n\
         azure: {{ management: '{arm}', authority: '{arm}', credential: {{ client_secret: {{ \
         tenant: 22222222-2222-4222-8222-222222222222, client_id: 33333333-3333-4333-8333-333333333333, \
         secret: '${{env:CLIENT_SECRET}}' }} }} }}\n\
         clients: [{{ name: desk, keys: ['${{env:KEY}}'], debug_headers: true }}]\n\
         resources: [{{ name: a, region: swedencentral, endpoint: '{}', credential: {{ entra: {{}} }}, \
         deployments: [{{ name: ft, sku: Standard, capacity: 50 }}] }}]\n\
         pools: [{{ name: ft, tiers: [[a/ft]] }}]\nroutes: [{{ name: bot, pool: ft }}]\n",
        directory.path().join("usage.db").display(),
        sim.account("a").expect("an account").url,
    );
    let checked = compile(&config, &directory.path().join("emberway.yaml"));
    let gateway = app::start(checked, None, None).await.expect("a gateway");
    let http = client(reqwest::ClientBuilder::http1_only);
    let url = format!("http://{}/openai/v1/chat/completions", gateway.addresses()[0]);
    let request = http.post(url).header("api-key", KEY).body(WHOLE);
    let answer = read(request.send().await.expect("an answer")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_deleted_gets_no_requests_first_and_stays_if_one_that_ran_there_succeeds() {
    let mut fleet = Fleet::start("delete_after, days: 3").await;
    fleet.after(6 * 60_000).await;
    for day in 1..=3 {
        assert_eq!(fleet.absence("west/ft").await, Value::Null, "day {day}");
        fleet.after(DAY_MS).await;
        assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    }
    assert_eq!(fleet.absence("west/ft").await, "deleting");
    let live = fleet.gateway.gateway().live.load_full();
    let west = live
        .config
        .runtime
        .snapshot
        .deployments
        .iter()
        .position(|one| &**one.id == "west/ft");
    let state = &live.deployments[west.expect("the deployment")].state;
    state
        .last_success_at_ms
        .store(emberway::telemetry::clock::now_ms(), Ordering::Relaxed);
    fleet.after(60_000).await;
    assert_eq!(fleet.absence("west/ft").await, Value::Null, "it was used");
    for _ in 0..3 {
        fleet.after(DAY_MS).await;
        assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    }
    assert_eq!(fleet.absence("west/ft").await, "deleting");
    for _ in 0..3 {
        fleet.after(60_000).await;
    }
    assert_eq!(fleet.absence("west/ft").await, "missing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_runs_another_model_than_its_pool_gets_no_requests_unless_it_is_declared_equivalent() {
    let declared = format!(", equivalent_models: [[{MODEL}, ftchkpt-1]]");
    for (of_pool, absence) in [("", Value::from("unlike")), (&*declared, Value::Null)] {
        let mut fleet = Fleet::start_with("expire", "ftchkpt-1", of_pool).await;
        fleet.after(6 * 60_000).await;
        let odd = [fleet.absence("east/ft").await, fleet.absence("west/ft").await];
        assert_eq!(odd, [Value::Null, absence], "{of_pool}");
    }
}
