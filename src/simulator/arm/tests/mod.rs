//! The control plane as its callers see it, in virtual time: requests in, responses out, no sockets but in the last file.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request};
use serde_json::{Value, json};

use crate::simulator::arm::http::serve;
use crate::simulator::arm::plane::Plane;
use crate::simulator::data_plane::{self, Site};
use crate::simulator::scenario::Scenario;
use crate::simulator::world::World;

mod identity;
mod lifecycles;
mod refusals;
mod sockets;
mod writes;

const MINI: &str = "gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef";
const FULL: &str = "gpt-4.1-2025-04-14.ft-fedcba9876543210fedcba9876543210";
const TENANT: &str = "22222222-2222-4222-8222-222222222222";

/// Two accounts of one subscription, one that has all models, and one of another tenant.
const SCENARIO: &str = r"
seed: 1
starts_at: 2026-01-15T00:00:00Z
engine: {time_scale: 0, min_output_tokens: 20, max_output_tokens: 20}
arm:
  subscription: sub
  resource_group: group
  subscriptions: [{id: sub2, tenant: tenant2}]
  durations: {create_s: 60, create_provisioned_s: 120, update_s: 30, delete_s: 20, propagation_s: 30}
accounts:
  - name: north
    region: swedencentral
    api_keys: [key, other]
    fine_tuned_models:
      - {model: MINI, checkpoints: [ftchkpt-1]}
      - {model: FULL}
  - {name: east, region: eastus2, api_keys: [key]}
  - {name: far, region: northcentralus, api_keys: [key], subscription: sub2, resource_group: group2}
";

struct Bench {
    world: Arc<World>,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Reply {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Bench {
    fn new() -> Self {
        Self::with("")
    }

    /// The usual world with further lines in its `arm` section.
    fn with(arm: &str) -> Self {
        let yaml = SCENARIO.replace("MINI", MINI).replace("FULL", FULL);
        let yaml = yaml.replace("  subscription: sub\n", &format!("  subscription: sub\n{arm}"));
        Self::of(&yaml)
    }

    fn of(yaml: &str) -> Self {
        let scenario = Scenario::parse(yaml).unwrap();
        Self {
            world: Arc::new(World::new(scenario).unwrap()),
        }
    }

    fn plane(&self) -> &Arc<Plane> {
        self.world.arm.as_ref().unwrap()
    }

    fn advance(&self, seconds: u64) {
        self.world.clock.advance(Duration::from_secs(seconds));
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = serve(Arc::clone(&self.world), Arc::clone(self.plane()), false, request).await;
        reply(response).await
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send(request(method, path, "sim-arm-token", body)).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &Value::Null).await
    }

    /// Creates a deployment and waits until it serves.
    async fn make(&self, account: &str, name: &str, body: &Value) {
        let made = self.call("PUT", &deployment(account, name), body).await;
        assert_eq!(made.status, 201, "{:?}", made.body);
        self.advance(151);
        assert_eq!(
            self.get(&deployment(account, name)).await.body["properties"]["provisioningState"],
            "Succeeded"
        );
    }

    /// The status that a chat gets.
    async fn ask(&self, account: &str, deployment: &str) -> u16 {
        self.chat(account, deployment, ("api-key", "key")).await.status
    }

    async fn chat(&self, account: &str, deployment: &str, credential: (&str, &str)) -> Reply {
        let found = self.world.accounts.iter().find(|found| found.spec.name == account);
        let site = Site {
            world: Arc::clone(&self.world),
            account: Arc::clone(found.unwrap()),
            connection: Arc::default(),
        };
        let request = Request::post(format!(
            "/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21"
        ))
        .header(credential.0, credential.1)
        .body(Body::from(r#"{"messages":[{"role":"user","content":"hello"}]}"#));
        reply(data_plane::serve(site, request.unwrap()).await).await
    }

    async fn state(&self, account: &str, name: &str) -> Value {
        self.get(&deployment(account, name)).await.body["properties"]["provisioningState"].clone()
    }
}

async fn reply(response: http::Response<Body>) -> Reply {
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}

fn request(method: &str, path: &str, token: &str, body: &Value) -> Request<Body> {
    let path = path.strip_prefix("http://arm").unwrap_or(path);
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    let request = Request::builder().method(method).uri(path).header("host", "arm");
    request
        .header("authorization", format!("Bearer {token}"))
        .body(body)
        .unwrap()
}

fn account(name: &str) -> String {
    let (subscription, group) = if name == "far" {
        ("sub2", "group2")
    } else {
        ("sub", "group")
    };
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{name}"
    )
}

fn deployment(of: &str, name: &str) -> String {
    format!("{}/deployments/{name}?api-version=2024-10-01", account(of))
}

/// A body as the samples have it.
fn wanted(sku: &str, capacity: u32, model: &str) -> Value {
    json!({ "sku": { "name": sku, "capacity": capacity },
            "properties": { "model": { "format": "OpenAI", "name": model, "version": "1" } } })
}

/// The same from another account.
fn wanted_from(sku: &str, capacity: u32, model: &str, field: &str, source: &str) -> Value {
    let mut body = wanted(sku, capacity, model);
    body["properties"]["model"][field] = json!(source);
    body
}
