//! The simulator through its front door: real sockets, a plain HTTP client.

use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::simulator::control::Control;
use crate::simulator::record::{Ending, RequestRecord};
use crate::simulator::scenario::Scenario;
use crate::simulator::{Simulator, start};

mod answers;
mod faults;
mod outage;

/// Longest a test waits for something that should come at once.
const PATIENCE: Duration = Duration::from_secs(20);

const SCENARIO: &str = r"
seed: 1
record_bodies: true
engine: {time_scale: 0, min_output_tokens: 20, max_output_tokens: 20}
accounts:
  - name: north
    region: swedencentral
    api_keys: [key]
    bearer_tokens: [token]
    deployments:
      - {name: chat, model: gpt-4.1-mini-2025-04-14.ft-1, capacity: 1000}
      - {name: old, model: gpt-4.1-mini-2025-04-14.ft-1, capacity: 1000, accepts_stream_options: false}
      - {name: small, model: gpt-4.1-mini-2025-04-14.ft-1, capacity: 1}
      - {name: ptu, model: gpt-4.1-mini-2025-04-14.ft-1, sku: ProvisionedManaged, capacity: 1}
      - {name: spilling, model: gpt-4.1-mini-2025-04-14.ft-1, sku: ProvisionedManaged, capacity: 1, spillover_deployment: chat}
      - {name: paused, model: m, capacity: 1, state: paused}
      - {name: retired, model: m, capacity: 1, state: retired}
      - {name: vectors, model: text-embedding-3-small, capacity: 1000}
";

struct Bench {
    simulator: Simulator,
    client: Client,
    url: String,
}

impl Bench {
    async fn new() -> Self {
        Self::of(SCENARIO).await
    }

    async fn of(yaml: &str) -> Self {
        // A second installation fails, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let simulator = start(Scenario::parse(yaml).unwrap()).await.unwrap();
        let url = simulator.accounts()[0].url.clone();
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { simulator, client, url }
    }

    fn control(&self) -> &Control {
        self.simulator.control()
    }

    fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.client
            .post(format!("{}{path}", self.url))
            .header("api-key", "key")
            .json(body)
    }

    async fn ask(&self, deployment: &str, body: &Value) -> Response {
        self.post(&classic(deployment), body).send().await.unwrap()
    }

    /// The latest request once it ended.
    async fn ended(&self) -> RequestRecord {
        let wait = async {
            loop {
                let record = self.control().requests(1).pop().unwrap();
                if record.outcome.ending != Ending::Open {
                    return record;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    }
}

fn classic(deployment: &str) -> String {
    format!("/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21")
}

fn hello() -> Value {
    json!({"messages": [{"role": "user", "content": "hello"}]})
}

fn streamed() -> Value {
    json!({"messages": [{"role": "user", "content": "hello"}], "stream": true})
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}
