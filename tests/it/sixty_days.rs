//! Sixty days of a fleet of ten in virtual time, in front of the simulator and its control plane: what becomes of idle deployments with
//! the guard and without it, what the guard costs, and whether the ledger has what the simulator bills.
//!
//! Who looks after the fleet, its client of Azure, the usage store and the command are the real ones. Gateways are played
//! (`replica.rs`), since the real one dates its records by the wall's clock. What happens:
//!
//! - two gateways on one usage file; `a` restarts every five days and is lost for good on day 40; both are off for a day
//!   from day 30 on (what is idle for 13 days and three quarters when the last one goes off is deleted 30 hours later, and nobody
//!   is there to help it);
//! - Azure's control plane is down from day 12 to 15;
//! - traffic in bursts with gaps of up to 9, 20 and 25 days, once a week, every three hours, none of its own but a pool's, and none.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use emberway::azure::address::ArmAddress;
use emberway::azure::arm::{Arm, ArmSettings, Tokens};
use emberway::azure::follow::Patience;
use emberway::azure::transport::Http;
use emberway::config::checked::Checked;
use emberway::core::fleet::catalogue::{self, Catalogue};
use emberway::fleet::care::{Care, Partners, Settings};
use emberway::fleet::connect;
use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};
use emberway::storage::cost_report::read_paid;
use emberway::storage::report::Range;
use emberway::storage::sqlite::{SqliteStore, connect_reader};
use emberway::telemetry::metrics::Metrics;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::compile;

mod replica;
mod traffic;

use replica::Replica;
use traffic::{FLEET, Subject};

const MODEL: &str = "gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef";
const MINUTE_MS: i64 = 60 * 1_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
const STEP_MS: i64 = 30 * MINUTE_MS;
const DAYS: i64 = 60;

/// A gateway of the two, with whoever looks after the fleet for it.
struct Gateway {
    replica: Arc<Replica>,
    care: Care,
}

struct World {
    sim: Simulator,
    store: Arc<SqliteStore>,
    checked: Arc<Checked>,
    config: PathBuf,
    began_ms: i64,
    /// `a` and `b`.
    gateways: [Option<Gateway>; 2],
    subjects: Vec<Subject>,
    directory: TempDir,
}

/// What a run came to.
struct Outcome {
    world: World,
    lost: usize,
    calls: u64,
    steered: u64,
    least: i64,
}

fn accounts(line: impl Fn(&str, usize) -> String) -> [String; 2] {
    ["east", "west"].map(|account| {
        let own = |at: &usize| at.is_multiple_of(2) == (account == "east");
        let lines: Vec<String> = (0..FLEET.len()).filter(own).map(|at| line(account, at)).collect();
        lines.join(", ")
    })
}

fn scenario() -> Scenario {
    let [east, west] = accounts(|_, at| {
        format!(
            "{{ name: ft{at}, model: {MODEL}, sku: Standard, capacity: 50, age_days: {} }}",
            FLEET[at].1
        )
    });
    // So that the world's date is the wall's when the sixty days are over, and the command finds them past.
    let now = jiff::Timestamp::from_millisecond(emberway::telemetry::clock::now_ms() - DAYS * DAY_MS).expect("a time");
    let text = format!(
        "starts_at: '{now}'\nengine: {{ time_scale: 0 }}\nlimits: {{ enabled: false }}\narm: {{}}\naccounts:\n\
         \x20 - {{ name: east, region: northcentralus, api_keys: [key-east], fine_tuned_models: [{{ model: {MODEL} }}], deployments: [{east}] }}\n\
         \x20 - {{ name: west, region: swedencentral, api_keys: [key-west], fine_tuned_models: [{{ model: {MODEL} }}], deployments: [{west}] }}\n"
    );
    Scenario::parse(&text).expect("a scenario")
}

fn config(sim: &Simulator, store: &str, policy: &str) -> String {
    let arm = sim.arm().expect("a control plane").url();
    let [east, west] = accounts(|_, at| {
        format!(
            "{{ name: ft{at}, sku: Standard, capacity: 50, fine_tuned_model: {MODEL}, inactivity: {{ policy: {policy} }}, \
             price: {{ input: 0.40, cached_input: 0.10, output: 1.60, hour: 1.70 }} }}"
        )
    });
    let resource = |name: &str, region: &str, deployments: &str| {
        let url = &sim.account(name).expect("an account").url;
        format!(
            "  - {{ name: {name}, region: {region}, account: {name}, endpoint: '{url}', credential: {{ api_key: '${{env:KEY_{name}}}' }}, deployments: [{deployments}] }}\n"
        )
    };
    format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\nadmin: {{ address: '127.0.0.1:0' }}\nusage: {{ path: '{store}' }}\n\
         azure: {{ subscription: 11111111-1111-4111-8111-111111111111, resource_group: emberway-sim, management: '{arm}',\n\
         \x20 credential: {{ token: '${{env:CONTROL}}' }} }}\n\
         clients: [{{ name: desk, keys: ['${{env:KEY}}'] }}]\nresources:\n{}{}\
         pools: [{{ name: ft, tiers: [[east/ft0]] }}]\nroutes: [{{ name: bot, pool: ft }}]\n",
        resource("east", "northcentralus", &east),
        resource("west", "swedencentral", &west),
    )
}

impl World {
    async fn start(policy: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let sim = simulator::start(scenario()).await.expect("a simulator");
        let store = directory.path().join("usage.db");
        let text = config(&sim, &store.display().to_string(), policy);
        let path = directory.path().join("emberway.yaml");
        std::fs::write(&path, &text).expect("a file");
        let began_ms = sim.control().unix_ms().cast_signed();
        Self {
            checked: compile(&text, &path),
            store: Arc::new(SqliteStore::open(&store).await.expect("a store")),
            config: path,
            began_ms,
            gateways: [None, None],
            subjects: traffic::subjects(began_ms),
            sim,
            directory,
        }
    }

    /// A gateway as it is after a start: it knows what the store remembers.
    async fn gateway(&self, name: &'static str) -> Gateway {
        let control = self.sim.control().clone();
        let replica = Arc::new(Replica::start(&self.sim, &self.store, &self.checked).await);
        let azure = self.checked.install.azure.as_ref().expect("a control plane");
        let http = Http::new(None).expect("a client");
        let settings = ArmSettings {
            address: ArmAddress {
                management: azure.management.clone(),
                api_version: azure.api_version.clone(),
            },
            audience: azure.audience.clone(),
            writes: true,
            writes_per_minute: azure.writes_per_minute,
            // Nobody waits on the wall for what is not there.
            patience: Patience {
                again: Duration::from_millis(1),
                ..Patience::default()
            },
        };
        let tokens = Tokens {
            own: connect::tokens(azure, &azure.credential, &http).expect("tokens"),
            tenants: Vec::new(),
        };
        let partners = Partners {
            arm: Arc::new(Arm::new(settings, http, tokens, None)),
            traffic: Arc::clone(&replica) as _,
            notes: Arc::clone(&self.store) as _,
            lives: Arc::clone(&self.store) as _,
            leases: Arc::clone(&self.store) as _,
            usage: Arc::clone(&self.store) as _,
            board: Arc::default(),
            alerts: None,
            metrics: Arc::new(Metrics::new().expect("metrics")),
            orders: Arc::default(),
            catalogue: Catalogue::parse(catalogue::EMBEDDED).expect("a catalogue"),
            now_ms: Arc::new(move || control.unix_ms().cast_signed()),
        };
        let settings = Settings {
            look_every_ms: 60 * MINUTE_MS,
            replica: name.to_owned(),
            process: name.to_owned(),
        };
        Gateway {
            care: Care::new(settings, partners).await.expect("a memory"),
            replica,
        }
    }

    /// Which gateways there are on this day, anew after each restart.
    async fn gateways_come_and_go(&mut self, since_ms: i64) {
        let day = since_ms / DAY_MS;
        let are_off = (30 * DAY_MS..31 * DAY_MS).contains(&since_ms);
        let up = [!are_off && day < 40, !are_off];
        for (at, name) in ["a", "b"].into_iter().enumerate() {
            let is_restart = at == 0 && since_ms % (5 * DAY_MS) == 0;
            if !up[at] || is_restart {
                self.gateways[at] = None;
            }
            if up[at] && self.gateways[at].is_none() {
                self.gateways[at] = Some(self.gateway(name).await);
            }
        }
    }

    async fn control_plane_comes_and_goes(&self, since_ms: i64) {
        let control = self.sim.control();
        if since_ms == 12 * DAY_MS {
            control.arm().expect("a control plane").stop().await;
        } else if since_ms == 15 * DAY_MS {
            control.start_arm().await.expect("back again");
        }
    }

    async fn step(&mut self, since_ms: i64) {
        self.control_plane_comes_and_goes(since_ms).await;
        self.gateways_come_and_go(since_ms).await;
        traffic::pass(&mut self.subjects, &self.gateways, self.began_ms + since_ms, since_ms).await;
        // Replicas keep their own time: one is half an hour behind the other.
        let turn = usize::try_from(since_ms / STEP_MS % 2).expect("one of two");
        if let Some(gateway) = &mut self.gateways[turn] {
            gateway.replica.learn_from_store().await;
            gateway.care.turn().await;
        }
    }

    async fn run(policy: &str) -> Outcome {
        let mut world = Self::start(policy).await;
        let (mut calls, mut steered) = (0, 0);
        let tally = |gateways: &[Option<Gateway>; 2]| {
            let up = gateways.iter().flatten();
            up.fold((0, 0), |sum, gateway| {
                let (calls, steered) = gateway.replica.tally();
                (sum.0 + calls, sum.1 + steered)
            })
        };
        for step in 0..DAYS * DAY_MS / STEP_MS {
            world.step(step * STEP_MS).await;
            let (more, others) = tally(&world.gateways);
            (calls, steered) = (calls + more, steered + others);
            world
                .sim
                .control()
                .advance_clock(Duration::from_millis(STEP_MS.unsigned_abs()));
        }
        let bill = world.sim.control().bill().expect("a bill");
        Outcome {
            lost: bill.deployments.iter().filter(|bill| bill.end.is_some()).count(),
            calls,
            steered,
            least: world
                .subjects
                .iter()
                .map(|subject| subject.least(world.began_ms + DAYS * DAY_MS))
                .sum(),
            world,
        }
    }

    /// Keepalives by deployment, as the store has them, against the least possible.
    async fn keepalives(&self) -> String {
        let mut connection = connect_reader(self.store.path()).await.expect("a store");
        let end_ms = self.began_ms + DAYS * DAY_MS;
        let range = Range {
            since_ms: self.began_ms,
            until_ms: end_ms,
        };
        let paid = read_paid(&mut connection, range).await.expect("read");
        let shown = self.subjects.iter().enumerate().map(|(at, subject)| {
            let own = paid
                .used
                .iter()
                .filter(|used| used.is_keepalive && **used.deployment == *traffic::id_of(at));
            let days: Vec<i64> = own.map(|used| (used.at_ms - self.began_ms) / DAY_MS).collect();
            let (name, least) = (traffic::id_of(at), subject.least(end_ms));
            format!("{name}: keepalives on days {days:?}, least possible {least}")
        });
        shown.collect::<Vec<_>>().join("\n")
    }

    /// What the command says, and what the simulator charges, in US dollars.
    fn ledger_and_bill(&self) -> (Value, f64, f64) {
        let bill = self.sim.control().bill().expect("a bill").total;
        let since = jiff::Timestamp::from_millisecond(self.began_ms - 30 * DAY_MS).expect("a time");
        let asked = Command::new(env!("CARGO_BIN_EXE_emberway"))
            .args(["cost", "--json", "--since", &since.to_string(), "--config"])
            .arg(&self.config)
            .current_dir(self.directory.path())
            .output()
            .expect("the program");
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        let report: Value = serde_json::from_slice(&asked.stdout).expect("JSON");
        let ledger = report["total"]["micro_usd"].as_u64().expect("an amount") as f64 / 1e6;
        (report, ledger, bill)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_guarded_days_lose_nothing_and_the_ledger_has_what_is_billed() {
    let outcome = World::run("keep").await;
    println!("{}", outcome.world.keepalives().await);
    let (report, ledger, bill) = outcome.world.ledger_and_bill();
    let ratio = outcome.calls as f64 / outcome.least as f64;
    println!(
        "guarded: lost {}, keepalives {} ({} requests steered besides), least possible {}, ratio {ratio:.3}",
        outcome.lost, outcome.calls, outcome.steered, outcome.least
    );
    println!(
        "ledger {ledger:.6} USD, simulator's bill {bill:.6} USD, off by {:.5} %; keepalives {} millionths",
        (ledger - bill).abs() / bill * 100.0,
        report["total"]["keepalive_micro_usd"]
    );
    assert_eq!(outcome.lost, 0);
    assert!(outcome.least >= 10, "there was something to do: {}", outcome.least);
    assert!(outcome.steered > 0, "steering was tried");
    // Calls are made from day 13½ of 15 on, a tenth more than would do where nobody else ever calls. A gap of 14 days needs none, and
    // sixty days are no multiple of 13½, so that it depends on how gaps fall: of random ones some 88 in 100 stay within this.
    assert!(
        outcome.calls as f64 <= 1.2 * outcome.least as f64,
        "{} keepalives, {} would have done",
        outcome.calls,
        outcome.least
    );
    assert!((ledger - bill).abs() <= bill * 0.001, "ledger {ledger}, bill {bill}");
    assert_eq!(report["total"]["unpriced"], 0);
    assert!(report["total"]["tokens_micro_usd"].as_u64() > Some(0), "{report}");
    let findings = report["findings"].as_array().expect("findings");
    let is_idle = |finding: &&Value| finding["kind"] == "idle" && finding["micro_usd"] == 1_224_000_000_u64;
    assert!(findings.iter().filter(is_idle).count() >= 4, "{findings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_sixty_days_without_the_guard_lose_deployments() {
    let outcome = World::run("expire").await;
    let (report, ledger, bill) = outcome.world.ledger_and_bill();
    println!(
        "without the guard: lost {}; ledger {ledger:.2} USD, simulator's bill {bill:.2} USD, off by {:.4} %",
        outcome.lost,
        (ledger - bill).abs() / bill * 100.0
    );
    assert_eq!(outcome.calls, 0);
    assert!(outcome.lost > 0);
    // Ends are known to half an hour, those in the outage of the control plane to a day and a half.
    assert!((ledger - bill).abs() <= bill * 0.01, "ledger {ledger}, bill {bill}");
    assert!(report["stale"].as_array().is_some_and(Vec::is_empty), "{report}");
}
