//! What is attacked: the built program before a simulator, with other clients, and an eye on its memory.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::world::{KEY, PATH, client, eventually, sum_of};

/// The kernel's page, in which it counts memory, on the machines that this runs on.
const PAGE_BYTES: f64 = 4096.0;

/// How long a client's request may take to arrive, head and body each.
pub(crate) const ARRIVES_WITHIN: Duration = Duration::from_secs(1);

/// How long a client may take nothing of what is sent to it.
pub(crate) const TAKES_WITHIN: Duration = Duration::from_secs(1);

/// Request bodies that the gateway may hold at one time.
pub(crate) const HELD_BODIES_MB: usize = 32;

/// The gateway as a process.
pub(crate) struct Target {
    aim: Aim,
    process: Child,
    admin: String,
    _log: JoinHandle<()>,
    _sim: Simulator,
    directory: TempDir,
}

/// Where to aim at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
}

/// Resident memory, in megabytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) before: f64,
    pub(crate) most: f64,
    pub(crate) after: f64,
}

/// What became of other clients.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Others {
    pub(crate) served: u32,
    pub(crate) failed: u32,
    pub(crate) slowest: Duration,
}

/// Something that runs until it is told to stop.
pub(crate) struct Until<T> {
    stop: Arc<AtomicBool>,
    task: JoinHandle<T>,
}

impl<T> Until<T> {
    pub(crate) async fn stop(self) -> T {
        self.stop.store(true, Ordering::Release);
        self.task.await.expect("no panic")
    }
}

impl Target {
    /// Starts simulator and gateway.
    pub(crate) async fn start() -> Self {
        Self::start_with(
            env!("CARGO_BIN_EXE_emberway"),
            &["run", "--config", "emberway.yaml"],
            "path: usage.db",
        )
        .await
    }

    /// The same by another command, and with another usage store.
    pub(crate) async fn start_with(command: &str, arguments: &[&str], usage: &str) -> Self {
        let scenario = format!(
            "limits: {{ enabled: false }}\nrecorded_requests: 0\n\
             engine: {{ base_latency_ms: 1, prefill_us_per_token: 0, decode_tokens_per_s: 100000, min_output_tokens: 300, max_output_tokens: 300 }}\n\
             accounts: [{{ name: a, region: r, api_keys: ['{KEY}'], deployments: [{{ name: ft, model: gpt-4.1-mini-2025-04-14.ft-1, capacity: 1000, context_tokens: 100000000 }}] }}]"
        );
        let sim = simulator::start(Scenario::parse(&scenario).expect("a scenario"))
            .await
            .expect("a simulator");
        let directory = tempfile::tempdir().unwrap();
        let config = config(&sim.account("a").expect("it").url, usage);
        tokio::fs::write(directory.path().join("emberway.yaml"), config)
            .await
            .unwrap();
        let mut process = Command::new(command)
            .args(arguments)
            .current_dir(directory.path())
            .env_clear()
            .env("KEY", KEY)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut log = BufReader::new(process.stderr.take().expect("piped")).lines();
        let mut addresses = Vec::new();
        while addresses.len() < 2 {
            let line = log.next_line().await.expect("a log").expect("it runs");
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if line["message"]
                .as_str()
                .is_some_and(|message| message.ends_with("listening"))
            {
                addresses.push(line["address"].as_str().expect("an address").to_owned());
            }
        }
        let admin = format!("http://{}/metrics", addresses[1]);
        // Read on, so that the gateway never waits for room in the pipe.
        let log = tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        let target = Self {
            aim: Aim {
                address: addresses[0].parse().expect("an address"),
            },
            process,
            admin,
            _log: log,
            _sim: sim,
            directory,
        };
        target.warm_up().await;
        target
    }

    /// Where to aim at.
    pub(crate) fn aim(&self) -> Aim {
        self.aim
    }

    /// Lets the gateway have served something, so that memory before an attack is that of a running one.
    async fn warm_up(&self) {
        let others = self.serve_others();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(others.stop().await.failed, 0);
    }

    /// Another client, who asks again and again, each time on a new connection and on an old one.
    pub(crate) fn serve_others(&self) -> Until<Others> {
        let stop = Arc::new(AtomicBool::new(false));
        let url = format!("http://{}{PATH}", self.aim.address);
        let told = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut others = Others::default();
            let steady = client(reqwest::ClientBuilder::http1_only);
            let mut pace = tokio::time::interval(Duration::from_millis(25));
            while !told.load(Ordering::Acquire) || others.served + others.failed == 0 {
                pace.tick().await;
                let fresh = client(reqwest::ClientBuilder::http1_only);
                for client in [&steady, &fresh] {
                    let began = Instant::now();
                    let asked = client
                        .post(&url)
                        .header("api-key", KEY)
                        .body(question("\"max_tokens\":20,", false))
                        .timeout(Duration::from_secs(10));
                    match asked.send().await {
                        Ok(answer) if answer.status() == 200 => others.served += 1,
                        _ => others.failed += 1,
                    }
                    others.slowest = others.slowest.max(began.elapsed());
                }
            }
            others
        });
        Until { stop, task }
    }

    /// Looks at the gateway's memory until told to stop.
    pub(crate) fn watch_memory(&self) -> Until<Memory> {
        let stop = Arc::new(AtomicBool::new(false));
        let path = format!("/proc/{}/statm", self.process.id().expect("it runs"));
        let before = resident_mb(&path);
        let told = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut most = before;
            let mut pace = tokio::time::interval(Duration::from_millis(5));
            while !told.load(Ordering::Acquire) {
                pace.tick().await;
                most = most.max(resident_mb(&path));
            }
            Memory {
                before,
                most,
                after: resident_mb(&path),
            }
        });
        Until { stop, task }
    }

    /// `/metrics`.
    pub(crate) async fn metrics(&self) -> String {
        let client = client(reqwest::ClientBuilder::http1_only);
        let answer = client.get(&self.admin).send().await.expect("an answer");
        answer.text().await.expect("text")
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// The gateway's resident memory.
    pub(crate) fn memory_mb(&self) -> f64 {
        resident_mb(&format!("/proc/{}/statm", self.process.id().expect("it runs")))
    }

    /// Waits until nothing is left of an attack: no connection, no request, no byte.
    pub(crate) async fn is_quiet(&self) -> Result<(), String> {
        let client = client(reqwest::ClientBuilder::http1_only);
        let look = || async { client.get(&self.admin).send().await.ok()?.text().await.ok() };
        let names = [
            "emberway_client_connections",
            "emberway_requests_in_flight",
            "emberway_deployment_in_flight",
            "emberway_held_body_bytes",
        ];
        let quiet = eventually(Duration::from_secs(10), || async {
            let metrics = look().await?;
            names
                .iter()
                .all(|name| sum_of(&metrics, name).abs() < 0.5)
                .then_some(())
        });
        if quiet.await.is_some() {
            return Ok(());
        }
        let metrics = look().await.unwrap_or_default();
        Err(format!(
            "left after 10 s: {:?}",
            names.map(|name| (name, sum_of(&metrics, name)))
        ))
    }
}

fn config(endpoint: &str, usage: &str) -> String {
    format!(
        "listeners: [ {{ address: '127.0.0.1:0', h2c: true }} ]\nadmin: {{ address: '127.0.0.1:0' }}\nusage: {{ {usage} }}\n\
         log: {{ format: json, filter: info }}\n\
         limits: {{ head_time: {}ms, body_time: {}ms, held_bodies: {HELD_BODIES_MB}MiB, body_size: 8MiB, connections: 20000 }}\n\
         defaults: {{ timeouts: {{ idle: {}ms }} }}\n\
         clients: [ {{ name: desk, keys: ['${{env:KEY}}'] }} ]\n\
         resources: [ {{ name: a, region: r, endpoint: '{endpoint}', credential: {{ api_key: '${{env:KEY}}' }}, deployments: [ {{ name: ft, sku: Standard }} ] }} ]\n\
         pools: [ {{ name: ft, tiers: [[a/ft]] }} ]\nroutes: [ {{ name: bot, pool: ft }} ]\n",
        ARRIVES_WITHIN.as_millis(),
        ARRIVES_WITHIN.as_millis(),
        TAKES_WITHIN.as_millis()
    )
}

fn resident_mb(statm: &str) -> f64 {
    let text = std::fs::read_to_string(statm).expect("the process runs");
    let pages: f64 = text
        .split(' ')
        .nth(1)
        .expect("a second figure")
        .parse()
        .expect("a number");
    pages * PAGE_BYTES / 1e6
}

/// A body that asks something; `more` are members besides, each with a comma after it.
pub(crate) fn question(more: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"bot",{more}"stream":{stream},"messages":[{{"role":"user","content":"Where is my parcel?"}}]}}"#
    )
}

/// A request's head, with the key.
pub(crate) fn head(more: &str) -> String {
    format!("POST {PATH} HTTP/1.1\r\nhost: gateway\r\napi-key: {KEY}\r\ncontent-type: application/json\r\n{more}\r\n")
}

/// A whole request.
pub(crate) fn request(body: &str) -> String {
    head(&format!("content-length: {}\r\n", body.len())) + body
}

/// How a connection ended, and what it brought.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    pub(crate) bytes: Vec<u8>,
    /// Whether the gateway closed it, in order or by a reset.
    pub(crate) is_closed: bool,
}

impl Answered {
    /// The bytes as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The status of the first answer, or how it ended without one.
    pub(crate) fn status(&self) -> String {
        let text = self.text();
        match text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)) {
            Some(status) => status.to_owned(),
            None if self.is_closed => "closed".to_owned(),
            None => "nothing".to_owned(),
        }
    }
}

impl Aim {
    /// A connection.
    pub(crate) async fn connect(self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends bytes on a connection of their own, and reads until it ends or nothing came for so long.
    pub(crate) async fn tell(self, bytes: &[u8], quiet: Duration) -> Answered {
        let mut stream = self.connect().await;
        // The gateway may close before it has read all.
        let _ = stream.write_all(bytes).await;
        read(&mut stream, quiet).await
    }
}

/// Reads until the end, or until nothing came for so long.
pub(crate) async fn read(stream: &mut TcpStream, quiet: Duration) -> Answered {
    let mut answered = Answered::default();
    loop {
        match tokio::time::timeout(quiet, stream.read_buf(&mut answered.bytes)).await {
            Ok(Ok(0) | Err(_)) => {
                answered.is_closed = true;
                return answered;
            }
            Ok(Ok(_)) => {}
            Err(_) => return answered,
        }
    }
}
