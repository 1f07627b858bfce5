//! What Prometheus watches here: a gateway with a managed fleet, limits and prices, and traffic that meets everything a dashboard shows:
//! streams and whole answers, refusals, throttling, an outage that others repair, and one that nobody does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use emberway::app::{self, Running};
use emberway::simulator::faults::{Action, Fault};
use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};

use crate::fleet::setup::MODEL;
use crate::harness::{KEY, OTHER_KEY, client, compile, preset};

/// The gateway and what it stands before.
pub(super) struct Watched {
    sim: Arc<Simulator>,
    gateway: Running,
    _folder: TempDir,
}

impl Watched {
    pub(super) async fn start() -> Self {
        let sim = simulator::start(scenario()).await.expect("a simulator");
        let folder = tempfile::tempdir().expect("a folder");
        let checked = compile(&config(&sim, &folder), &folder.path().join("emberway.yaml"));
        let gateway = app::start(checked, None, None).await.expect("a gateway");
        Self {
            sim: Arc::new(sim),
            gateway,
            _folder: folder,
        }
    }

    /// What Prometheus scrapes.
    pub(super) fn scraped(&self) -> SocketAddr {
        self.gateway.admin_address()
    }

    /// Traffic until it is told to end.
    pub(super) fn traffic(&self) -> JoinHandle<()> {
        let clients = Clients {
            url: format!("http://{}/openai/v1/chat/completions", self.gateway.addresses()[0]),
            http: client(|builder| builder),
        };
        let sim = Arc::clone(&self.sim);
        tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(100));
            let mut turn: u64 = 0;
            loop {
                pace.tick().await;
                // A scene lasts a second; then comes the next, and all of them again.
                if turn.is_multiple_of(10) {
                    scene(&sim, turn / 10 % 6, &clients).await;
                }
                clients.usual(turn).await;
                turn += 1;
            }
        })
    }
}

/// What goes wrong in a second.
async fn scene(sim: &Simulator, number: u64, clients: &Clients) {
    let control = sim.control();
    let fault = |account: &str, times: u32, action: Action| {
        let fault = Fault::new(action).on_account(account).times(times);
        control.add_fault(fault).expect("a fault");
    };
    control.clear_faults();
    match number {
        // An outage that others repair, and a slow one that is given up.
        1 => {
            fault("east", 8, preset("server_error"));
            fault("west", 1, Action::Hang);
        }
        2 => {
            fault("east", 4, preset("provisioned_full"));
            fault("west", 4, preset("provisioned_full"));
        }
        // Nobody answers: some requests fail, some wait for one that rests.
        3 => {
            for account in ["east", "west", "spare"] {
                fault(account, 12, preset("unavailable"));
            }
        }
        // Of those that wait for one that rests, only one has a place.
        4 => {
            fault("spare", 8, preset("provisioned_full"));
            clients.many(8).await;
        }
        // More at once than the gateway may run.
        5 => {
            fault("spare", 40, Action::Delay { ms: 300 });
            clients.many(40).await;
        }
        _ => {}
    }
    let role = Fault::new(preset("missing_role"));
    let role = Fault {
        deployment: Some("role".to_owned()),
        ..role
    };
    control.add_fault(role).expect("a fault");
}

#[derive(Clone)]
struct Clients {
    url: String,
    http: reqwest::Client,
}

impl Clients {
    /// A stream, a whole answer, and what is refused.
    async fn usual(&self, turn: u64) {
        let mut all = JoinSet::new();
        all.spawn(self.clone().one(KEY, "bot", true));
        all.spawn(self.clone().one(KEY, "bot", false));
        all.spawn(self.clone().one(KEY, "alone", true));
        match turn % 5 {
            0 => all.spawn(self.clone().one(OTHER_KEY, "bot", false)),
            1 => all.spawn(self.clone().one(KEY, "lost", false)),
            2 => all.spawn(self.clone().one(KEY, "role", false)),
            3 => all.spawn(self.clone().one(KEY, "no-such-model", false)),
            _ => all.spawn(self.clone().one("a-key-that-nobody-has-been-given", "bot", false)),
        };
        all.join_all().await;
    }

    /// So many at one time.
    async fn many(&self, count: usize) {
        let all: JoinSet<()> = (0..count).map(|_| self.clone().one(KEY, "alone", false)).collect();
        all.join_all().await;
    }

    /// One request; whatever the answer, it is counted by the gateway.
    async fn one(self, key: &'static str, model: &'static str, stream: bool) {
        let body = json!({
            "model": model, "stream": stream,
            "messages": [
                {"role": "system", "content": "You answer questions about parcels, kindly and in one sentence. ".repeat(200)},
                {"role": "user", "content": "Where is my parcel?"},
            ],
        });
        let sent = self
            .http
            .post(&self.url)
            .header("api-key", key)
            .json(&body)
            .send()
            .await;
        if let Ok(answer) = sent {
            // A stream that breaks is one of the things to be seen.
            let _ = answer.bytes().await;
        }
    }
}

fn scenario() -> Scenario {
    let text = format!(
        "engine: {{ base_latency_ms: 20, prefill_us_per_token: 5, decode_tokens_per_s: 2000, min_output_tokens: 8, max_output_tokens: 16 }}\n\
         arm: {{}}\naccounts:\n\
         \x20 - {{ name: east, region: northcentralus, api_keys: [key-east], fine_tuned_models: [{{ model: {MODEL} }}],\n\
         \x20     deployments: [{{ name: ft, model: {MODEL}, sku: Standard, capacity: 4000 }}] }}\n\
         \x20 - {{ name: west, region: swedencentral, api_keys: [key-west], fine_tuned_models: [{{ model: {MODEL} }}],\n\
         \x20     deployments: [{{ name: ft, model: {MODEL}, sku: Standard, capacity: 4000 }}] }}\n\
         \x20 - {{ name: spare, region: eastus2, api_keys: [key-spare],\n\
         \x20     deployments: [{{ name: ft, model: {MODEL}, sku: Standard, capacity: 4000 }}, {{ name: role, model: {MODEL}, sku: Standard, capacity: 50 }}] }}\n"
    );
    Scenario::parse(&text).expect("a scenario")
}

fn config(sim: &Simulator, folder: &TempDir) -> String {
    let price = "price: { input: 0.40, cached_input: 0.10, output: 1.60, hour: 1.70 }";
    let managed =
        format!("sku: Standard, capacity: 4000, fine_tuned_model: {MODEL}, inactivity: {{ policy: keep }}, {price}");
    let resource = |name: &str, region: &str, account: &str, deployments: &str| {
        let url = &sim.account(name).expect("an account").url;
        format!(
            "  - {{ name: {name}, region: {region}, {account}endpoint: '{url}', credential: {{ api_key: '${{env:KEY_{name}}}' }},\n\
             \x20     deployments: [{deployments}] }}\n"
        )
    };
    format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\nadmin: {{ address: '127.0.0.1:0' }}\n\
         usage: {{ path: '{0}/usage.db' }}\ntrace: {{ path: '{0}/trace.jsonl' }}\n\
         limits: {{ max_delay: 0s, running_requests: 16 }}\nhealth: {{ slow_start: 0s, open_for: 300ms }}\n\
         defaults: {{ timeouts: {{ first_byte: 1s, whole_answer: 1s }}, waiting: {{ max_wait: 1s, queue: 1 }} }}\n\
         azure: {{ subscription: 11111111-1111-4111-8111-111111111111, resource_group: emberway-sim, management: '{1}',\n\
         \x20 credential: {{ token: '${{env:CONTROL}}' }} }}\n\
         clients:\n  - {{ name: desk, keys: ['${{env:KEY}}'] }}\n\
         \x20 - {{ name: small, keys: ['${{env:OTHER_KEY}}'], limits: {{ requests_per_minute: 1 }} }}\n\
         resources:\n{2}{3}{4}\
         pools:\n  - {{ name: main, tiers: [[east/ft, west/ft]] }}\n  - {{ name: lost, tiers: [[west/gone], [spare/ft]] }}\n\
         \x20 - {{ name: alone, tiers: [[spare/ft]] }}\n  - {{ name: role, tiers: [[spare/role]] }}\n\
         routes:\n  - {{ name: bot, pool: main }}\n  - {{ name: lost, pool: lost }}\n  - {{ name: alone, pool: alone }}\n  - {{ name: role, pool: role }}\n",
        folder.path().display(),
        sim.arm().expect("a control plane").url(),
        resource(
            "east",
            "northcentralus",
            "account: east, ",
            &format!("{{ name: ft, {managed} }}")
        ),
        resource(
            "west",
            "swedencentral",
            "account: west, ",
            &format!("{{ name: ft, {managed} }}, {{ name: gone, {managed} }}")
        ),
        resource(
            "spare",
            "eastus2",
            "",
            &format!(
                "{{ name: ft, sku: Standard, capacity: 4000, {price} }}, {{ name: role, sku: Standard, capacity: 50 }}"
            )
        ),
    )
}
