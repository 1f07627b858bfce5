//! Clients as people use them: the official libraries, `LangChain`, curl, against the gateway in front of the simulator; Azure's own
//! for its control plane against the simulator alone.
//!
//! The programs are in `tests/clients`. They need packages, so a test whose packages are missing says so and is skipped;
//! `EMBERWAY_TEST_PYTHON`, `EMBERWAY_TEST_AZ` or `EMBERWAY_TEST_NODE` names a program and makes a skip a failure. See
//! `tests/clients/README.md`.

use std::path::Path;

use crate::harness::{KEY, Setup};

mod admin_api;
mod azure_cli;
mod control_plane;
pub(crate) mod fleet;
mod same_prompt;

use fleet::{Fleet, SAMPLE_MODEL, folder, interpreter};

/// Runs a Python program of `tests/clients/python`.
async fn python(program: &str, package: &str, setup: Setup, arguments: &[&str]) {
    let usual = folder().join(".venv/bin/python");
    match interpreter("EMBERWAY_TEST_PYTHON", &usual, &["-c", &format!("import {package}")]).await {
        Ok(python) => {
            let path = folder().join("python").join(program);
            let all = [&[path.to_str().expect("UTF-8")], arguments].concat();
            Fleet::start(setup).await.run(&python, &all).await;
        }
        Err(reason) => skip(program, &reason),
    }
}

/// Runs a JavaScript program of `tests/clients/node`.
async fn node(program: &str, setup: Setup, arguments: &[&str]) {
    let probe = ["--input-type=module", "-e", "await import('openai')"];
    match interpreter("EMBERWAY_TEST_NODE", Path::new("node"), &probe).await {
        Ok(node) => {
            let path = folder().join("node").join(program);
            let all = [&[path.to_str().expect("UTF-8")], arguments].concat();
            Fleet::start(setup).await.run(&node, &all).await;
        }
        Err(reason) => skip(program, &reason),
    }
}

/// What Azure's samples ask.
const MESSAGES: &str = r#"{"messages":[{"role": "system", "content": "You are a helpful assistant."},{"role": "user", "content": "Does Azure OpenAI support customer managed keys?"},{"role": "assistant", "content": "Yes, customer managed keys are supported by Azure OpenAI."},{"role": "user", "content": "Do other Azure services support this too?"}]}"#;

/// Azure's sample for Python, as it stands; the answer that it prints.
pub(crate) async fn python_sample(fleet: &Fleet, python: &Path) -> String {
    let sample = folder().join("python/sample.py");
    let said = fleet.run(python, &[sample.to_str().expect("UTF-8")]).await;
    said.trim().to_owned()
}

/// Azure's sample for curl, as it stands; the answer's text.
pub(crate) async fn curl_sample(fleet: &Fleet, curl: &Path) -> String {
    let (url, kind, key) = curl_arguments(fleet);
    let said = fleet
        .run(curl, &["--fail", &url, "-H", kind, "-H", &key, "-d", MESSAGES])
        .await;
    let answer: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let text = answer["choices"][0]["message"]["content"].as_str();
    text.expect("text").to_owned()
}

/// URL and headers of that sample.
fn curl_arguments(fleet: &Fleet) -> (String, &'static str, String) {
    let url = format!(
        "{}/openai/deployments/{SAMPLE_MODEL}/chat/completions?api-version=2024-10-21",
        fleet.url()
    );
    (url, "Content-Type: application/json", format!("api-key: {KEY}"))
}

#[expect(clippy::print_stderr, reason = "a skipped test should say so")]
fn skip(program: &str, reason: &str) {
    eprintln!("skipped {program}: {reason}; see tests/clients/README.md");
}

macro_rules! python_tests {
    ($($name:ident: $program:literal, $package:literal, $setup:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            python($program, $package, $setup, &[]).await;
        }
    )*};
}

python_tests! {
    python_whole_answers: "chat.py", "openai", Fleet::usual();
    python_streams: "streaming.py", "openai", Fleet::usual();
    python_errors: "errors.py", "openai", Fleet::usual();
    python_other_operations: "others.py", "openai", Fleet::usual();
    python_responses: "responses.py", "openai", Setup { one_tier: true, ..Fleet::usual() };
    python_cached_share: "cached_share.py", "openai", Setup { accounts: &["a", "b", "c"], one_tier: true, ..Fleet::usual() };
    python_langchain: "with_langchain.py", "langchain_openai", Fleet::usual();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azures_python_sample_works_as_it_stands() {
    let usual = folder().join(".venv/bin/python");
    match interpreter("EMBERWAY_TEST_PYTHON", &usual, &["-c", "import openai"]).await {
        Ok(python) => {
            assert!(
                !python_sample(&Fleet::start(Fleet::usual()).await, &python)
                    .await
                    .is_empty()
            );
        }
        Err(reason) => skip("sample.py", &reason),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azures_curl_sample_works_as_it_stands() {
    match interpreter("EMBERWAY_TEST_CURL", Path::new("curl"), &["--version"]).await {
        Ok(curl) => {
            let fleet = Fleet::start(Fleet::usual()).await;
            assert!(!curl_sample(&fleet, &curl).await.is_empty());
            let (url, kind, key) = curl_arguments(&fleet);

            // From about a mebibyte on, curl waits for leave to send.
            let file = tempfile::NamedTempFile::new().expect("a file");
            let long = MESSAGES.replace("customer managed keys?", &"word ".repeat(400_000));
            std::fs::write(file.path(), long).expect("written");
            let body = format!("@{}", file.path().display());
            let arguments = ["--fail", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{time_total}"];
            let rest = [&url, "-H", kind, "-H", &key, "-d", &body];
            let said = fleet.run(&curl, &[&arguments[..], &rest[..]].concat()).await;
            let (status, seconds) = said.split_once(' ').expect("two figures");
            assert_eq!(status, "200");
            assert!(
                seconds.parse::<f64>().expect("seconds") < 0.9,
                "curl gave up waiting for leave: {seconds} s"
            );
        }
        Err(reason) => skip("curl", &reason),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_client() {
    node("client.mjs", Fleet::usual(), &[]).await;
}

/// Two deployments that refuse for five seconds once they are filled, and requests that wait so long.
fn throttled_fleet(waiting: &'static str) -> Setup {
    Setup {
        settings: "limits: { provisioned_burst_s: 10 }",
        simulated: "sku: ProvisionedManaged, capacity: 30, context_tokens: 1000000",
        capacity: "sku: ProvisionedManaged, capacity: 30, model: gpt-4.1-mini",
        waiting,
        ..Fleet::usual()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_clients_of_a_throttled_fleet_wait_and_see_no_429() {
    python("recovery.py", "openai", throttled_fleet("max_wait: 8s"), &["8"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_clients_of_a_throttled_fleet_recover_by_themselves() {
    python("recovery.py", "openai", throttled_fleet("max_wait: 0s"), &["0"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_clients_of_a_throttled_fleet_wait_and_see_no_429() {
    node("recovery.mjs", throttled_fleet("max_wait: 8s"), &["8"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_clients_of_a_throttled_fleet_recover_by_themselves() {
    node("recovery.mjs", throttled_fleet("max_wait: 0s"), &["0"]).await;
}
