//! A scenario's world: simulator, a proxy before each account, and the gateway, with times so short that weather passes in a second.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use emberway::app::{self, Running};
use emberway::config::checked::Checked;
use emberway::config::load::compile_text;
use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};
use emberway::storage::sqlite::connect_reader;
use serde::Deserialize;
use tempfile::TempDir;

use crate::proxy::Proxy;
use crate::shape::Shape;

/// The key that clients send.
pub(crate) const KEY: &str = "a-client-key-that-is-long-enough";

/// Where clients ask.
pub(crate) const PATH: &str = "/openai/v1/chat/completions";

/// Longest wait for anything: far more than it takes, so that only what never happens runs into it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running world.
pub(crate) struct World {
    /// The simulator.
    pub(crate) sim: Simulator,
    /// When it began, by our clock.
    pub(crate) sim_began: Instant,
    /// Before each account.
    pub(crate) proxies: Vec<Proxy>,
    /// The gateway.
    pub(crate) gateway: Running,
    /// A client for the admin listener.
    pub(crate) admin: reqwest::Client,
    /// Configuration and usage store.
    pub(crate) directory: TempDir,
}

/// A usage record as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    pub(crate) request_id: String,
    pub(crate) deployment: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) outcome: String,
    pub(crate) status: u16,
    pub(crate) source: String,
    pub(crate) prompt_tokens: u32,
    pub(crate) cached_tokens: u32,
    pub(crate) completion_tokens: u32,
}

/// What differs in a configuration from the first one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Variation {
    /// Counts up, so that the file differs.
    pub(crate) generation: u32,
    /// An account that is left out.
    pub(crate) without: Option<usize>,
}

impl World {
    /// Starts everything.
    pub(crate) async fn start(shape: &Shape) -> Self {
        let sim_began = Instant::now();
        let sim = simulator::start(scenario(shape)).await.expect("a simulator");
        let proxies: Vec<_> = sim
            .accounts()
            .iter()
            .map(|account| Proxy::start(account.address))
            .collect();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("emberway.yaml");
        let text = config(shape, &addresses(&proxies), directory.path(), Variation::default());
        tokio::fs::write(&path, &text).await.unwrap();
        let checked = compile(&text, &path);
        let source = app::Source {
            path,
            variables: Arc::new(variables),
        };
        let gateway = app::start(checked, Some(source), None).await.expect("a gateway");
        Self {
            sim,
            sim_began,
            proxies,
            gateway,
            admin: client(reqwest::ClientBuilder::http1_only),
            directory,
        }
    }

    /// Where clients ask.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{PATH}", self.gateway.addresses()[0])
    }

    /// Writes another configuration over the one in use, at once, as editors do.
    pub(crate) async fn replace_config(&self, shape: &Shape, variation: Variation) {
        let text = config(shape, &addresses(&self.proxies), self.directory.path(), variation);
        let path = self.directory.path().join("emberway.yaml");
        let new = path.with_extension("new");
        tokio::fs::write(&new, text).await.unwrap();
        tokio::fs::rename(new, path).await.unwrap();
    }

    /// What `/status` says of the deployments.
    pub(crate) async fn status(&self) -> String {
        let url = format!("http://{}/status", self.gateway.admin_address());
        let answer = self.admin.get(url).send().await.expect("an answer");
        let status: serde_json::Value = answer.json().await.expect("JSON");
        status["deployments"].to_string()
    }

    /// `/metrics`.
    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.gateway.admin_address());
        let answer = self.admin.get(url).send().await.expect("an answer");
        answer.text().await.expect("text")
    }
}

/// The sum of a metric's series.
pub(crate) fn sum_of(metrics: &str, name: &str) -> f64 {
    sum_where(metrics, name, "")
}

/// The sum of those series of a metric whose labels contain this.
pub(crate) fn sum_where(metrics: &str, name: &str, label: &str) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let is_whole = labels.is_empty() || labels.starts_with('{');
        (is_whole && labels.contains(label)).then(|| value.parse::<f64>().expect("a number"))
    };
    metrics.lines().filter_map(value).sum()
}

/// The usage records of a store, oldest first.
pub(crate) async fn rows(directory: &Path) -> Vec<Row> {
    let mut connection = connect_reader(&directory.join("usage.db")).await.expect("a store");
    let lines: Vec<String> = sqlx::query_scalar(
        "SELECT json_object('request_id', request_id, 'deployment', deployment, 'attempts', attempts, 'outcome', outcome, \
         'status', status, 'source', source, 'prompt_tokens', prompt_tokens, 'cached_tokens', cached_tokens, \
         'completion_tokens', completion_tokens) FROM usage ORDER BY id",
    )
    .fetch_all(&mut connection)
    .await
    .expect("rows");
    lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect()
}

/// A client of its own.
pub(crate) fn client(adjust: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> reqwest::Client {
    // A second installation is refused, which is fine: the first was the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    adjust(reqwest::Client::builder().no_proxy()).build().expect("a client")
}

/// Looks again and again until there is something to see; none if that does not happen in time.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> Option<T> {
    let looking = async {
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        loop {
            pause.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    tokio::time::timeout(limit, looking).await.ok()
}

/// Compiles a configuration.
pub(crate) fn compile(text: &str, path: &Path) -> Arc<Checked> {
    match compile_text(text, path, &variables) {
        Ok(checked) => Arc::new(checked),
        Err(errors) => panic!("{errors}\n{text}"),
    }
}

pub(crate) fn variables(name: &str) -> Option<String> {
    (name == "KEY").then(|| KEY.to_owned())
}

fn addresses(proxies: &[Proxy]) -> Vec<SocketAddr> {
    proxies.iter().map(|proxy| proxy.address).collect()
}

/// What the simulator plays: answers of some milliseconds.
fn scenario(shape: &Shape) -> Scenario {
    let mut text = format!(
        "seed: {}\nrecord_bodies: true\nrecorded_requests: 10000\nlimits: {{ enabled: false }}\n\
         engine: {{ base_latency_ms: 2, prefill_us_per_token: 0, decode_tokens_per_s: 1500, min_output_tokens: 8, max_output_tokens: 60 }}\n\
         accounts:\n",
        shape.seed
    );
    for index in 0..shape.accounts.len() {
        writeln!(
            text,
            "  - {{ name: a{index}, region: region-{index}, api_keys: ['{KEY}'], deployments: [{{ name: ft, model: gpt-4.1-mini-2025-04-14.ft-1, capacity: 1000 }}] }}"
        )
        .unwrap();
    }
    Scenario::parse(&text).expect("a scenario")
}

/// The gateway's configuration. It never sheds: a machine that is busy with other things would make it.
fn config(shape: &Shape, proxies: &[SocketAddr], directory: &Path, variation: Variation) -> String {
    let (ratio, least) = shape.budget;
    let mut text = format!(
        "listeners: [ {{ address: '127.0.0.1:0', h2c: true }} ]\nadmin: {{ address: '127.0.0.1:0' }}\n\
         usage: {{ path: '{}' }}\nlimits: {{ max_delay: 0s }}\nshutdown: {{ delay: 0s, drain: 10s }}\n\
         health: {{ consecutive_failures: 3, open_for: 200ms, slow_start: 0s, throttle_default: 100ms, throttle_max: 400ms, ratio_requests: {} }}\n\
         defaults:\n  policy: {}\n  failover: {{ max_attempts: {}, deadline: 20s, backoff: 5ms, retry_budget: {{ ratio: {ratio}, min_per_second: {least} }}, first_token: {{ base: 1500ms, least: 1s }} }}\n  \
         waiting: {{ max_wait: {}ms }}\n  timeouts: {{ connect: 1s, first_byte: 1500ms, whole_answer: 1500ms, idle: 1500ms, total: 10s }}\n\
         clients: [ {{ name: desk, keys: ['${{env:KEY}}'], debug_headers: true }} ]\nresources:\n",
        directory.join("usage.db").display(),
        20 + variation.generation,
        shape.policy,
        shape.max_attempts,
        shape.max_wait_ms
    );
    let mut tiers: Vec<Vec<String>> = Vec::new();
    for (index, account) in shape.accounts.iter().enumerate() {
        if variation.without == Some(index) {
            continue;
        }
        let endpoint = if account.resolves {
            format!("http://{}", proxies[index])
        } else {
            "http://nowhere.invalid:9".to_owned()
        };
        let (sku, capacity) = if account.provisioned {
            ("ProvisionedManaged", 100)
        } else {
            ("Standard", 10_000)
        };
        let api = if account.v1 { "v1" } else { "classic" };
        writeln!(
            text,
            "  - {{ name: a{index}, region: region-{index}, endpoint: '{endpoint}', allow_plaintext: true, api: {api}, credential: {{ api_key: '${{env:KEY}}' }}, \
             deployments: [{{ name: ft, sku: {sku}, capacity: {capacity}, weight: 1 }}] }}"
        )
        .unwrap();
        tiers.resize(tiers.len().max(account.tier + 1), Vec::new());
        tiers[account.tier].push(format!("a{index}/ft"));
    }
    tiers.retain(|tier| !tier.is_empty());
    let tiers: Vec<_> = tiers.iter().map(|tier| format!("[{}]", tier.join(", "))).collect();
    writeln!(
        text,
        "pools: [{{ name: ft, tiers: [{}] }}]\nroutes: [{{ name: bot, pool: ft }}]",
        tiers.join(", ")
    )
    .unwrap();
    text
}

/// A number of the environment's, or the usual one.
pub(crate) fn setting(name: &str, usual: u64) -> u64 {
    let given = std::env::var_os(name);
    given.map_or(usual, |text| {
        text.to_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("{name} takes a number"))
    })
}

/// How many descriptors this process may have; programs that it starts have as many.
pub(crate) fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .expect("a line");
    line.split_whitespace()
        .nth(3)
        .and_then(|soft| soft.parse().ok())
        .unwrap_or(usize::MAX / 16)
}
