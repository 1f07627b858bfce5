//! One prompt from four clients: they write it differently, and it must be one chain all the same.
//!
//! The prompt is `tests/clients/prompt.json`. A server that answers every request alike keeps the bodies as they came, and
//! they are read as the gateway reads them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use emberway::core::placement::chain::{Chain, ChainKey};
use emberway::openai::request;
use emberway::openai::target::WireOperation;
use emberway::proxy::prompt::{self, Scope};
use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::Value;

use super::fleet::{folder, interpreter, run};
use super::skip;
use crate::harness::KEY;

const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"bot","choices":[{"index":0,"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

/// A server that answers everything alike and keeps what it was sent.
struct Recorder {
    url: String,
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

impl Recorder {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let bodies = Arc::default();
        let kept = Arc::clone(&bodies);
        let keep = async move |body: Bytes| {
            let kept: &Mutex<Vec<Bytes>> = &kept;
            kept.lock().push(body);
            ([(CONTENT_TYPE, "application/json")], ANSWER)
        };
        let router = Router::new().fallback(keep);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, bodies }
    }

    /// What a program sends.
    async fn body_of(&self, program: &Path, arguments: &[&str]) -> Bytes {
        let environment = [("EMBERWAY_URL", self.url.as_str()), ("EMBERWAY_KEY", KEY)];
        run(program, arguments, &environment).await;
        let bodies = std::mem::take(&mut *self.bodies.lock());
        assert_eq!(bodies.len(), 1, "{arguments:?} sends one request");
        bodies[0].clone()
    }
}

fn chain(body: &[u8]) -> Chain {
    let request = request::parse(body).expect("valid");
    let scope = Scope {
        pool: "pool",
        chain: ChainKey::new("pool"),
        client: "client",
    };
    prompt::read(scope, &request, WireOperation::Chat, &HeaderMap::new(), None).chain
}

/// The prompt as somebody might write it for curl: indented, in ASCII, with slashes escaped.
fn by_hand(prompt: &str) -> String {
    let mut value: Value = serde_json::from_str(prompt).expect("JSON");
    value["model"] = "bot".into();
    let pretty = serde_json::to_string_pretty(&value).expect("JSON");
    let mut text = String::new();
    for character in pretty.chars() {
        match character {
            '/' => text.push_str("\\/"),
            _ if character.is_ascii() => text.push(character),
            _ => {
                let units = character.encode_utf16(&mut [0; 2]).to_vec();
                text.extend(units.iter().map(|unit| format!("\\u{unit:04X}")));
            }
        }
    }
    text
}

/// The programs that are there, with what each needs to be told.
async fn clients(curl_body: &Path) -> Vec<(&'static str, PathBuf, Vec<String>)> {
    let python = folder().join(".venv/bin/python");
    let node_probe = ["--input-type=module", "-e", "await import('openai')"];
    let text = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
    let same_prompt = text(folder().join("python/same_prompt.py"));
    let mut found = Vec::new();
    for (name, package) in [("openai", "openai"), ("langchain", "langchain_openai")] {
        match interpreter("EMBERWAY_TEST_PYTHON", &python, &["-c", &format!("import {package}")]).await {
            Ok(path) => found.push((name, path, vec![same_prompt.clone(), name.to_owned()])),
            Err(reason) => skip("same_prompt.py", &reason),
        }
    }
    match interpreter("EMBERWAY_TEST_NODE", Path::new("node"), &node_probe).await {
        Ok(path) => found.push(("node", path, vec![text(folder().join("node/same_prompt.mjs"))])),
        Err(reason) => skip("same_prompt.mjs", &reason),
    }
    match interpreter("EMBERWAY_TEST_CURL", Path::new("curl"), &["--version"]).await {
        Ok(path) => found.push(("curl", path, vec![format!("@{}", curl_body.display())])),
        Err(reason) => skip("curl", &reason),
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_prompt_from_four_clients_is_one_chain() {
    let prompt = std::fs::read_to_string(folder().join("prompt.json")).expect("the prompt");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), by_hand(&prompt)).expect("written");
    let recorder = Recorder::start().await;
    let url = format!("{}/openai/v1/chat/completions", recorder.url);
    let curl = [
        "--fail",
        "-sS",
        "-H",
        "content-type: application/json",
        &url,
        "--data-binary",
    ];

    let expected = chain(prompt.as_bytes());
    assert_eq!(expected.len(), 8, "a tool and seven messages");
    let mut bodies = vec![("the file", Bytes::from(prompt.clone()))];
    for (name, program, arguments) in clients(file.path()).await {
        let before = if name == "curl" { curl.as_slice() } else { &[] };
        let own = arguments.iter().map(String::as_str);
        let arguments: Vec<&str> = before.iter().copied().chain(own).collect();
        let body = recorder.body_of(&program, &arguments).await;
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(chain(&body), expected, "{name} sent {shown}");
        for (other, theirs) in &bodies {
            assert_ne!(theirs, &body, "{name} and {other} would prove nothing");
        }
        bodies.push((name, body));
    }

    // And a prompt that differs is another chain from where it differs on.
    let other = chain(prompt.replace("Köln“?", "Köln“!").as_bytes());
    let shared = other.ids().iter().zip(expected.ids()).take_while(|(a, b)| a == b);
    assert_eq!(shared.count(), 2, "the tool and the system message");
}
