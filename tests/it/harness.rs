//! A world for a test: a simulator, a gateway in front of it, and the means to ask both.
//!
//! A [`Setup`] says what differs from the usual world, in the words of the two configuration files. The usual one has two accounts
//! `a` and `b`, each with a deployment `ft`, in two tiers, so that `a` is always tried first and `b` takes over.

pub(crate) mod desk;
mod setup;

use std::fmt::Write as _;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use emberway::app::{self, Running};
use emberway::config::checked::Checked;
use emberway::config::load::compile_text;
use emberway::simulator::faults::{Action, Canned, Fault};
use emberway::simulator::presets::Preset;
use emberway::simulator::record::RequestRecord;
use emberway::simulator::{self, Simulator};
use emberway::storage::report::Range;
use emberway::storage::residency_report::{ResidencyReport, read_residency};
use emberway::storage::sqlite::connect_reader;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

pub(crate) use self::setup::Setup;

/// The key that clients of the gateway send.
pub(crate) const KEY: &str = "a-client-key-that-is-long-enough";
/// A second client's key, where a setup has one.
pub(crate) const OTHER_KEY: &str = "another-client-key-that-is-long";
/// The token of the admin listener, where a setup asks for one.
pub(crate) const ADMIN_TOKEN: &str = "an-admin-token-that-is-long-enough";

/// Where clients ask, in the v1 family.
pub(crate) const V1: &str = "/openai/v1/chat/completions";
/// Where clients ask, in the classic family.
pub(crate) const CLASSIC: &str = "/openai/deployments/bot/chat/completions?api-version=2024-10-21";

/// A question that is answered whole.
pub(crate) const WHOLE: &str = r#"{"model":"bot","messages":[{"role":"user","content":"Where is my parcel?"}]}"#;
/// A question that is answered as a stream.
pub(crate) const STREAM: &str =
    r#"{"model":"bot","stream":true,"messages":[{"role":"user","content":"Where is my parcel?"}]}"#;
/// The same with a report of usage at its end.
pub(crate) const STREAM_WITH_USAGE: &str = r#"{"model":"bot","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Where is my parcel?"}]}"#;

/// Longest wait for anything: far more than it takes, so that only what never happens runs into it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running simulator with a running gateway in front of it.
pub(crate) struct World {
    /// The simulator.
    pub(crate) sim: Simulator,
    /// The gateway.
    pub(crate) gateway: Running,
    /// A client that speaks HTTP/1.1.
    pub(crate) client: reqwest::Client,
    directory: Arc<TempDir>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A usage record as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    pub(crate) request_id: String,
    pub(crate) client: String,
    pub(crate) route: String,
    pub(crate) deployment: Option<String>,
    pub(crate) attempts: i64,
    pub(crate) outcome: String,
    pub(crate) status: i64,
    pub(crate) streamed: i64,
    pub(crate) source: String,
    pub(crate) prompt_tokens: i64,
    pub(crate) cached_tokens: i64,
    pub(crate) completion_tokens: i64,
}

/// The environment of every configuration here.
pub(crate) fn variables(name: &str) -> Option<String> {
    match name {
        "KEY" => Some(KEY.to_owned()),
        "OTHER_KEY" => Some(OTHER_KEY.to_owned()),
        "ADMIN_TOKEN" => Some(ADMIN_TOKEN.to_owned()),
        "CONTROL" => Some("sim-arm-token".to_owned()),
        "CLIENT_SECRET" => Some("sim-client-secret".to_owned()),
        _ => name.strip_prefix("KEY_").map(|account| format!("key-{account}")),
    }
}

/// Compiles a configuration.
pub(crate) fn compile(text: &str, path: &Path) -> Arc<Checked> {
    match compile_text(text, path, &variables) {
        Ok(checked) => Arc::new(checked),
        Err(errors) => panic!("{errors}\n{text}"),
    }
}

impl World {
    /// Starts simulator and gateway.
    pub(crate) async fn start(setup: Setup) -> Self {
        Self::start_in(setup, Arc::new(tempfile::tempdir().unwrap())).await
    }

    /// The same, with the usage store of a world before it.
    pub(crate) async fn start_in(setup: Setup, directory: Arc<TempDir>) -> Self {
        let sim = simulator::start(setup.scenario()).await.expect("a simulator");
        let config = setup.config(&upstreams(&setup, &sim), directory.path());
        let path = directory.path().join("emberway.yaml");
        tokio::fs::write(&path, &config).await.unwrap();
        let checked = compile(&config, &path);
        let source = app::Source {
            path,
            variables: Arc::new(variables),
        };
        let gateway = app::start(checked, Some(source), None).await.expect("a gateway");
        Self {
            sim,
            gateway,
            client: client(reqwest::ClientBuilder::http1_only),
            directory,
        }
    }

    /// The gateway's configuration file.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.directory.path().join("emberway.yaml")
    }

    /// The directory that holds configuration and usage store.
    pub(crate) fn directory(&self) -> Arc<TempDir> {
        Arc::clone(&self.directory)
    }

    /// Where the gateway listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.addresses()[0]
    }

    /// A request with the client's key.
    pub(crate) fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.address());
        self.client
            .post(url)
            .header("api-key", KEY)
            .header("content-type", "application/json")
            .body(body)
    }

    /// Asks a question and reads the answer.
    pub(crate) async fn ask(&self, body: impl Into<reqwest::Body>) -> Answer {
        read(self.post(V1, body).send().await.expect("an answer")).await
    }

    /// Asks the simulator itself, past the gateway.
    pub(crate) async fn ask_simulator(&self, account: &str, body: &str) -> Answer {
        let url = self.sim.account(account).expect("an account").url;
        let request = self
            .client
            .post(format!(
                "{url}/openai/deployments/ft/chat/completions?api-version=2024-10-21"
            ))
            .header("api-key", format!("key-{account}"))
            .body(body.to_owned());
        read(request.send().await.expect("an answer")).await
    }

    /// Lets every request to an account meet a fault, until told otherwise.
    pub(crate) fn fault(&self, account: &str, action: Action) {
        let fault = Fault::new(action).on_account(account);
        self.sim.control().add_fault(fault).expect("a fault");
    }

    /// Lets this many requests to an account meet a fault.
    pub(crate) fn fault_times(&self, account: &str, count: u32, action: Action) {
        let fault = Fault::new(action).on_account(account).times(count);
        self.sim.control().add_fault(fault).expect("a fault");
    }

    /// What the simulator was asked so far, oldest first.
    pub(crate) fn requests(&self) -> Vec<RequestRecord> {
        self.sim.control().requests(10_000)
    }

    /// What an account was asked so far.
    pub(crate) fn requests_to(&self, account: &str) -> Vec<RequestRecord> {
        let mut requests = self.requests();
        requests.retain(|request| request.account == account);
        requests
    }

    /// The usage record of an answered request, as soon as it is written.
    pub(crate) async fn record(&self, answer: &HeaderMap) -> Row {
        let id = answer["x-request-id"].to_str().unwrap().to_owned();
        let found = |rows: Vec<Row>| rows.into_iter().find(|row| row.request_id == id);
        eventually("its usage record", || async { found(self.records().await) }).await
    }

    /// The usage records once there are this many, oldest first.
    pub(crate) async fn records_once(&self, count: usize) -> Vec<Row> {
        let enough = |rows: Vec<Row>| (rows.len() >= count).then_some(rows);
        eventually("usage records", || async { enough(self.records().await) }).await
    }

    /// All usage records written so far, oldest first.
    pub(crate) async fn records(&self) -> Vec<Row> {
        records_in(self.directory.path()).await
    }

    /// Where the store says that answers were processed.
    pub(crate) async fn residency(&self) -> ResidencyReport {
        let store = self.directory.path().join("usage.db");
        let mut connection = connect_reader(&store).await.expect("a store");
        let always = Range {
            since_ms: 0,
            until_ms: i64::MAX,
        };
        read_residency(&mut connection, always).await.expect("a report")
    }

    /// Asks the admin listener.
    pub(crate) async fn admin(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.gateway.admin_address());
        let request = self.client.get(url).bearer_auth(ADMIN_TOKEN);
        read(request.send().await.expect("an answer")).await
    }

    /// What `/status` says of a deployment.
    pub(crate) async fn deployment(&self, name: &str) -> Value {
        let status = self.admin("/status").await.json();
        let all = status["deployments"].as_array().unwrap();
        let found = all.iter().find(|deployment| deployment["name"] == name);
        found.expect("the deployment").clone()
    }

    /// One figure of `/metrics`: the line that begins with this, up to the value.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.admin("/metrics").await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(series))?;
        Some(line.trim().parse().expect("a number"))
    }
}

impl Answer {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("text")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header as text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// `error.code` of the body.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Where each resource is found.
pub(crate) fn upstreams(setup: &Setup, sim: &Simulator) -> Vec<(String, String)> {
    let simulated = sim.accounts().into_iter().map(|account| (account.name, account.url));
    let mut all: Vec<_> = simulated.collect();
    for (name, address) in &setup.scripted {
        let url = format!("http://{address}");
        match all.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = url,
            None => all.push(((*name).to_owned(), url)),
        }
    }
    all
}

/// The usage records of a store, oldest first.
pub(crate) async fn records_in(directory: &Path) -> Vec<Row> {
    let mut connection = connect_reader(&directory.join("usage.db")).await.expect("a store");
    let lines: Vec<String> = sqlx::query_scalar(
        "SELECT json_object('request_id', request_id, 'client', client, 'route', route, 'deployment', deployment, \
         'attempts', attempts, 'outcome', outcome, 'status', status, 'streamed', streamed, 'source', source, \
         'prompt_tokens', prompt_tokens, 'cached_tokens', cached_tokens, 'completion_tokens', completion_tokens) FROM usage ORDER BY id",
    )
    .fetch_all(&mut connection)
    .await
    .expect("rows");
    let row = |line: &String| serde_json::from_str(line).expect("a row");
    lines.iter().map(row).collect()
}

/// A client of its own.
pub(crate) fn client(adjust: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> reqwest::Client {
    // A second installation is refused, which is fine: the first was the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    adjust(reqwest::Client::builder().no_proxy().timeout(PATIENCE))
        .build()
        .expect("a client")
}

/// Reads an answer to its end.
pub(crate) async fn read(response: reqwest::Response) -> Answer {
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body: response.bytes().await.expect("a whole body"),
    }
}

/// The SHA-256 of these bytes, in hexadecimal.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// A fault of the service, by name.
pub(crate) fn preset(name: &str) -> Action {
    let preset: Preset = serde_json::from_value(Value::from(name)).expect("a preset");
    Action::Preset(preset)
}

/// A fault that answers with this, as JSON.
pub(crate) fn respond(status: u16, body: Value, headers: &[(&str, &str)]) -> Action {
    let json = ("content-type", "application/json");
    let headers = headers.iter().chain([&json]);
    Action::Respond(Canned {
        status,
        body: Some(body),
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        delay_ms: 0,
        before_body: false,
    })
}

/// Looks again and again until there is something to see, within a bound.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let looking = async {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        loop {
            pause.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    within(what, looking).await
}

/// Waits for something to end, within a bound.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(error) => panic!("waited in vain for {what}: {error}"),
    }
}
