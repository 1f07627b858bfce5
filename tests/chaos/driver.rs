//! The clients of a scenario: they ask, and note what they saw.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use serde_json::json;

use crate::shape::{Ask, Client, Kind, Shape};
use crate::world::{KEY, PATIENCE, client};

/// What a client saw of one request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// What it asked.
    pub(crate) ask: Ask,
    /// When it began to ask.
    pub(crate) asked: Instant,
    /// When the answer's head had come.
    pub(crate) head_at: Option<Instant>,
    /// When it was over.
    pub(crate) over: Instant,
    /// The answer's status, 0 without one.
    pub(crate) status: u16,
    /// The answer's headers.
    pub(crate) headers: HeaderMap,
    /// What came of its body.
    pub(crate) body: Vec<u8>,
    /// How it ended.
    pub(crate) end: End,
}

/// How a request ended for its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// With an answer that was whole as HTTP has it.
    Whole,
    /// Without an answer: the connection failed.
    NoAnswer(String),
    /// With an answer that broke off.
    Torn(String),
    /// Not within the time that anything may take.
    Hung,
    /// The client left.
    Left,
}

impl Seen {
    /// A header as text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or("?"))
    }

    /// How many attempts the gateway told of, if it did.
    pub(crate) fn attempts(&self) -> Option<u32> {
        self.header("x-emberway-attempts").parse().ok()
    }
}

/// The text by which a request is known wherever it is seen.
pub(crate) fn marker(number: u32) -> String {
    format!("chaos-{number:05}-")
}

/// Lets all clients ask, each its requests one after another.
pub(crate) async fn drive(shape: &Shape, url: &str) -> Vec<Seen> {
    let url: Arc<str> = url.into();
    let clients = shape
        .clients
        .iter()
        .map(|plan| tokio::spawn(run(plan.clone(), Arc::clone(&url))));
    let mut seen = Vec::with_capacity(shape.requests());
    for client in clients.collect::<Vec<_>>() {
        seen.extend(client.await.expect("no panic"));
    }
    seen
}

async fn run(plan: Client, url: Arc<str>) -> Vec<Seen> {
    let client = if plan.http2 {
        client(reqwest::ClientBuilder::http2_prior_knowledge)
    } else {
        client(reqwest::ClientBuilder::http1_only)
    };
    let mut all = Vec::with_capacity(plan.requests.len());
    for (pause, ask) in plan.requests {
        tokio::time::sleep(pause).await;
        all.push(one(&client, &url, ask).await);
    }
    all
}

/// Makes one request.
pub(crate) async fn one(client: &reqwest::Client, url: &str, ask: Ask) -> Seen {
    let now = Instant::now();
    let mut seen = Seen {
        ask,
        asked: now,
        head_at: None,
        over: now,
        status: 0,
        headers: HeaderMap::new(),
        body: Vec::new(),
        end: End::Hung,
    };
    let patience = match ask.kind {
        Kind::LeavesAfter(ms) => Duration::from_millis(ms),
        _ => PATIENCE,
    };
    let end = tokio::time::timeout(patience, exchange(client, url, &mut seen)).await;
    seen.end = match end {
        Ok(end) => end,
        Err(_) if ask.kind.leaves() => End::Left,
        Err(_) => End::Hung,
    };
    seen.over = Instant::now();
    seen
}

async fn exchange(client: &reqwest::Client, url: &str, seen: &mut Seen) -> End {
    let kind = seen.ask.kind;
    let key = if kind == Kind::WrongKey {
        "a-key-that-nobody-knows"
    } else {
        KEY
    };
    let mut request = client
        .post(url)
        .header("api-key", key)
        .header("content-type", "application/json")
        .body(body(seen.ask));
    if let Kind::Hurried(ms) = kind {
        request = request.header("x-emberway-timeout", format!("{}", ms as f64 / 1e3));
    }
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return End::NoAnswer(format!("{error:?}")),
    };
    seen.head_at = Some(Instant::now());
    seen.status = response.status().as_u16();
    seen.headers = response.headers().clone();
    let mut pieces = 0;
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => seen.body.extend_from_slice(&piece),
            Ok(None) => return End::Whole,
            Err(error) => return End::Torn(format!("{error:?}")),
        }
        pieces += 1;
        match kind {
            Kind::LeavesStream(after) if pieces >= after => return End::Left,
            Kind::SlowReader => tokio::time::sleep(Duration::from_millis(10)).await,
            _ => {}
        }
    }
}

/// A request's body.
fn body(ask: Ask) -> Vec<u8> {
    let mut messages = Vec::new();
    if let Some(head) = ask.head {
        // Long enough to be cached, so that placement looks at it.
        let text = format!("Rule {head} of the house is to answer in good order. ").repeat(100);
        messages.push(json!({"role": "system", "content": text}));
    }
    messages.push(json!({"role": "user", "content": format!("{} Where is my parcel?", marker(ask.number))}));
    let mut body = json!({"model": "bot", "messages": messages});
    if ask.kind.streams() {
        body["stream"] = true.into();
    }
    match ask.kind {
        Kind::StreamWithUsage => body["stream_options"] = json!({"include_usage": true}),
        Kind::UnknownModel => body["model"] = "nothing-of-this-name".into(),
        Kind::BadJson => return b"{\"model\":\"bot\",\"messages\":[}".to_vec(),
        Kind::BadText => {
            return b"{\"model\":\"bot\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}".to_vec();
        }
        _ => {}
    }
    body.to_string().into_bytes()
}
