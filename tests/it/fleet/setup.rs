//! The real gateway, or several on one usage file, in front of the simulator and its control plane. Whoever looks after the fleet is
//! driven by hand, with a clock that the test moves, so that weeks take a moment and nothing is waited for.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use emberway::app::traffic::OfGateway;
use emberway::app::{self, Running};
use emberway::azure::transport::Http;
use emberway::config::checked::Checked;
use emberway::core::fleet::catalogue::{self, Catalogue};
use emberway::core::ids::DeploymentId;
use emberway::fleet::alerts::Alerts;
use emberway::fleet::care::orders::Orders;
use emberway::fleet::care::{Board, Care, Partners, Settings};
use emberway::fleet::connect;
use emberway::fleet::declaration::Declaration;
use emberway::fleet::plane::patience_of_writes;
use emberway::fleet::traffic::{Called, Seen, Standing, Traffic};
use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};
use emberway::storage::sqlite::SqliteStore;
use emberway::telemetry::view::CaredView;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Answer, KEY, WHOLE, client, compile, read};

/// A model that was fine-tuned in both accounts' subscription.
pub(crate) const MODEL: &str = "gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef";
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// What differs from the usual fleet of two deployments in two regions.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// Of both: the inside of `inactivity`.
    pub(crate) policy: &'static str,
    /// The model of the one in the west.
    pub(crate) of_west: &'static str,
    /// Its SKU.
    pub(crate) west_sku: &'static str,
    /// Its name, as the gateway is told.
    pub(crate) of_west_name: &'static str,
    /// More of it in the simulator.
    pub(crate) of_west_simulated: &'static str,
    /// More of the pool.
    pub(crate) of_pool: &'static str,
    /// More of the file, each line with its end.
    pub(crate) of_file: &'static str,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            policy: "policy: keep",
            of_west: MODEL,
            west_sku: "Standard",
            of_west_name: "ft",
            of_west_simulated: "",
            of_pool: "",
            of_file: "",
        }
    }
}

/// A gateway, and whoever looks after the fleet for it.
pub(crate) struct Gateway {
    pub(crate) running: Running,
    pub(crate) care: Care,
    /// What its operators want made again.
    pub(crate) orders: Arc<Orders>,
    board: Arc<Board>,
    http: reqwest::Client,
}

/// The fleet, and its first gateway.
pub(crate) struct Fleet {
    pub(crate) sim: Simulator,
    pub(crate) gateway: Gateway,
    /// How far the clock is ahead of the wall's, in milliseconds.
    ahead_ms: Arc<AtomicI64>,
    terms: Terms,
    directory: TempDir,
}

/// What the simulator plays.
pub(crate) fn scenario(terms: Terms) -> Scenario {
    let Terms {
        of_west,
        west_sku,
        of_west_simulated,
        ..
    } = terms;
    let text = format!(
        "engine: {{ time_scale: 0 }}\nlimits: {{ enabled: false }}\n\
         arm:\n  durations: {{ create_s: 60, create_provisioned_s: 60, update_s: 1, delete_s: 1, propagation_s: 120 }}\n\
         accounts:\n\
         \x20 - {{ name: east, region: northcentralus, api_keys: [key-east], fine_tuned_models: [{{ model: {MODEL} }}],\n\
         \x20     deployments: [{{ name: ft, model: {MODEL}, sku: Standard, capacity: 50 }}] }}\n\
         \x20 - {{ name: west, region: swedencentral, api_keys: [key-west], fine_tuned_models: [{{ model: {MODEL} }}],\n\
         \x20     deployments: [{{ name: ft, model: {of_west}, sku: {west_sku}, capacity: 50{of_west_simulated} }}] }}\n"
    );
    Scenario::parse(&text).expect("a scenario")
}

fn config(sim: &Simulator, directory: &Path, terms: Terms) -> Arc<Checked> {
    let text = config_text(sim, directory, terms);
    compile(&text, &directory.join("emberway.yaml"))
}

/// The gateway's configuration in front of both accounts and their control plane.
pub(crate) fn config_text(sim: &Simulator, directory: &Path, terms: Terms) -> String {
    let arm = sim.arm().expect("a control plane");
    let Terms {
        policy,
        of_west,
        west_sku,
        of_west_name,
        of_pool,
        of_file,
        ..
    } = terms;
    let resource = |name: &str, region: &str, model: &str, sku: &str, deployment: &str| {
        let url = &sim.account(name).expect("an account").url;
        format!(
            "  - {{ name: {name}, region: {region}, account: {name}, endpoint: '{url}', credential: {{ api_key: '${{env:KEY_{name}}}' }},\n\
             \x20     deployments: [{{ name: {deployment}, sku: {sku}, capacity: 50, fine_tuned_model: {model}, inactivity: {{ {policy} }} }}] }}\n"
        )
    };
    format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\nadmin: {{ address: '127.0.0.1:0' }}\nusage: {{ path: '{}' }}\n\
         limits: {{ max_delay: 0s }}\nhealth: {{ slow_start: 0s }}\n\
         azure: {{ subscription: 11111111-1111-4111-8111-111111111111, resource_group: emberway-sim, management: '{}',\n\
         \x20 credential: {{ token: '${{env:CONTROL}}' }} }}\n{of_file}\
         clients: [{{ name: desk, keys: ['${{env:KEY}}'], debug_headers: true }}]\nresources:\n{}{}\
         pools: [{{ name: ft, tiers: [[east/ft], [west/{of_west_name}]]{of_pool} }}]\nroutes: [{{ name: bot, pool: ft }}]\n",
        directory.join("usage.db").display(),
        arm.url(),
        resource("east", "northcentralus", MODEL, "Standard", "ft"),
        resource("west", "swedencentral", of_west, west_sku, of_west_name),
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

impl Gateway {
    /// What is known after the last turn.
    pub(crate) fn cared(&self, deployment: &str) -> CaredView {
        let view = self.board.load_full().expect("a turn");
        let found = view.deployments.iter().find(|cared| &**cared.deployment == deployment);
        found.expect("the deployment").clone()
    }

    /// Whether this one calls, rebuilds and deletes.
    pub(crate) fn acts(&self) -> bool {
        self.board.load_full().expect("a turn").acts
    }

    pub(crate) async fn ask(&self) -> Answer {
        let url = format!("http://{}/openai/v1/chat/completions", self.running.addresses()[0]);
        let request = self.http.post(url).header("api-key", KEY).body(WHOLE);
        read(request.send().await.expect("an answer")).await
    }

    pub(crate) async fn status(&self, deployment: &str) -> Value {
        let url = format!("http://{}/status", self.running.admin_address());
        let status = read(self.http.get(url).send().await.expect("an answer")).await.json();
        let all = status["deployments"].as_array().expect("deployments");
        let found = all.iter().find(|one| one["name"] == deployment);
        found.expect("the deployment").clone()
    }

    pub(crate) async fn absence(&self, deployment: &str) -> Value {
        self.status(deployment).await["absent"].clone()
    }

    /// A counter or gauge of this process.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", self.running.admin_address());
        let text = read(self.http.get(url).send().await.expect("an answer")).await.text();
        let line = text
            .lines()
            .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.map(|line| {
            line.rsplit(' ')
                .next()
                .and_then(|value| value.parse().ok())
                .expect("a number")
        })
    }
}

impl Fleet {
    pub(crate) async fn start(terms: Terms) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let sim = simulator::start(scenario(terms)).await.expect("a simulator");
        let ahead_ms = Arc::new(AtomicI64::new(0));
        Self {
            gateway: gateway(&sim, directory.path(), terms, "one", &ahead_ms).await,
            sim,
            ahead_ms,
            terms,
            directory,
        }
    }

    /// Another gateway on the same usage file.
    pub(crate) async fn another(&self, name: &str) -> Gateway {
        gateway(&self.sim, self.directory.path(), self.terms, name, &self.ahead_ms).await
    }

    /// Lets time pass, at Azure and here.
    pub(crate) fn pass(&self, ms: i64) {
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
        self.sim
            .control()
            .advance_clock(Duration::from_millis(u64::try_from(ms).expect("forward")));
    }

    /// The same, and has the fleet looked after once.
    pub(crate) async fn after(&mut self, ms: i64) {
        self.pass(ms);
        self.gateway.care.turn().await;
    }

    pub(crate) async fn ask(&self) -> Answer {
        self.gateway.ask().await
    }

    pub(crate) async fn status(&self, deployment: &str) -> Value {
        self.gateway.status(deployment).await
    }

    pub(crate) async fn absence(&self, deployment: &str) -> Value {
        self.gateway.absence(deployment).await
    }
}

async fn gateway(sim: &Simulator, directory: &Path, terms: Terms, name: &str, ahead_ms: &Arc<AtomicI64>) -> Gateway {
    let mut checked = Arc::into_inner(config(sim, directory, terms)).expect("nobody else's");
    // The gateway's own looking after is done by hand instead.
    let azure = checked.install.azure.take().expect("a control plane");
    let checked = Arc::new(checked);
    let running = app::start(Arc::clone(&checked), None, None).await.expect("a gateway");
    let store = Arc::new(SqliteStore::open(&checked.install.usage.path).await.expect("a store"));
    let (ahead, board) = (Arc::clone(ahead_ms), Arc::new(Board::empty()));
    let (metrics, orders) = (&running.gateway().metrics, Arc::<Orders>::default());
    let alerts = checked.install.alerts.as_ref().map(|settings| {
        let http = Http::new(None).expect("a client");
        Alerts::start(settings, http, name.to_owned(), Arc::clone(metrics)).0
    });
    let partners = Partners {
        arm: Arc::new(connect::arm_with(&azure, None, patience_of_writes()).expect("a client")),
        traffic: Arc::new(Moved {
            gateway: OfGateway::new(running.gateway()),
            ahead_ms: Arc::clone(ahead_ms),
            before_ms: AtomicI64::new(ahead_ms.load(Ordering::Relaxed)),
            successes: Mutex::default(),
        }),
        notes: Arc::clone(&store) as _,
        leases: Arc::clone(&store) as _,
        usage: Arc::clone(&store) as _,
        lives: store,
        board: Arc::clone(&board),
        alerts,
        metrics: Arc::clone(metrics),
        orders: Arc::clone(&orders),
        catalogue: Catalogue::parse(catalogue::EMBEDDED).expect("a catalogue"),
        now_ms: Arc::new(move || emberway::telemetry::clock::now_ms() + ahead.load(Ordering::Relaxed)),
    };
    let settings = Settings {
        look_every_ms: 120_000,
        replica: name.to_owned(),
        process: name.to_owned(),
    };
    Gateway {
        care: Care::new(settings, partners).await.expect("a memory"),
        running,
        orders,
        board,
        http: client(reqwest::ClientBuilder::http1_only),
    }
}
