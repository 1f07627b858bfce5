//! A gateway as whoever looks after the fleet sees it: it asks the simulator, writes usage records by the world's own time, and knows
//! what it has seen itself and what the store remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use emberway::config::checked::Checked;
use emberway::core::ids::DeploymentId;
use emberway::core::ledger::usage::{
    KEEPALIVE_CLIENT, KEEPALIVE_ROUTE, Operation, RequestOutcome, UsageRecord, UsageSource,
};
use emberway::fleet::declaration::{self, Declaration};
use emberway::fleet::traffic::{Called, Seen, Standing, Traffic};
use emberway::simulator::Simulator;
use emberway::simulator::control::Control;
use emberway::storage::sqlite::SqliteStore;
use emberway::storage::{DeploymentSeen, UsageStore as _};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::harness::client;
use crate::sixty_days::traffic::{FLEET, id_of};

pub(super) struct Replica {
    control: Control,
    store: Arc<SqliteStore>,
    http: reqwest::Client,
    urls: BTreeMap<&'static str, String>,
    declaration: Mutex<Option<Declaration>>,
    /// By deployment: when it last answered, and when it was first seen.
    known: Mutex<BTreeMap<DeploymentId, (Option<i64>, i64)>>,
    /// Those that a request is wanted for.
    wanted: Mutex<BTreeSet<DeploymentId>>,
    calls: AtomicU64,
    steered: AtomicU64,
}

impl Replica {
    pub(super) async fn start(sim: &Simulator, store: &Arc<SqliteStore>, checked: &Checked) -> Self {
        let control = sim.control().clone();
        let now_ms = control.unix_ms().cast_signed();
        let seen: Vec<DeploymentSeen> = (0..FLEET.len())
            .map(|at| DeploymentSeen {
                deployment: id_of(at).into(),
                seen_at_ms: now_ms,
                created_at_ms: None,
                last_success_at_ms: None,
            })
            .collect();
        store.note_deployments(&seen).await.expect("noted");
        let replica = Self {
            control,
            store: Arc::clone(store),
            http: client(reqwest::ClientBuilder::http1_only),
            urls: ["east", "west"]
                .map(|name| (name, sim.account(name).expect("an account").url.clone()))
                .into(),
            declaration: Mutex::new(Some(declaration::of(&checked.runtime).expect("a declaration"))),
            known: Mutex::default(),
            wanted: Mutex::default(),
            calls: AtomicU64::new(0),
            steered: AtomicU64::new(0),
        };
        replica.learn_from_store().await;
        replica
    }

    /// As a gateway does at its start, and each hour.
    pub(super) async fn learn_from_store(&self) {
        let stored = self.store.deployments().await.expect("deployments");
        let mut known = self.known.lock();
        for stored in stored {
            let (success, seen) = known.entry(stored.deployment).or_insert((None, stored.first_seen_ms));
            *success = (*success).max(stored.last_success_at_ms);
            *seen = (*seen).min(stored.first_seen_ms);
        }
    }

    /// Calls of its own and requests steered since this was asked last.
    pub(super) fn tally(&self) -> (u64, u64) {
        (
            self.calls.swap(0, Ordering::Relaxed),
            self.steered.swap(0, Ordering::Relaxed),
        )
    }

    /// Whether a request is wanted for this deployment; then the wish is granted.
    pub(super) fn takes_wish(&self, deployment: &str) -> bool {
        let is_wanted = self.wanted.lock().remove(&DeploymentId::from(deployment));
        self.steered.fetch_add(is_wanted.into(), Ordering::Relaxed);
        is_wanted
    }

    /// A client's request: whether it was answered.
    pub(super) async fn ask(&self, deployment: &str) -> bool {
        let question = "Where is my parcel? ".repeat(400);
        self.exchange(&deployment.into(), &question, ("desk", "bot"))
            .await
            .is_ok()
    }

    async fn exchange(
        &self,
        deployment: &DeploymentId,
        question: &str,
        (client, route): (&str, &str),
    ) -> Result<Called, String> {
        let now_ms = self.control.unix_ms().cast_signed();
        let (account, name) = deployment.split_once('/').expect("resource/name");
        let body = json!({ "model": name, "messages": [{ "role": "user", "content": question }], "max_completion_tokens": 16 });
        let sent = self
            .http
            .post(format!("{}/openai/v1/chat/completions", self.urls[account]))
            .header("api-key", format!("key-{account}"))
            .json(&body)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let status = sent.status();
        if !status.is_success() {
            return Err(status.to_string());
        }
        let answer: Value = sent.json().await.map_err(|error| error.to_string())?;
        let count = |at: &str| answer.pointer(at).and_then(Value::as_u64).unwrap_or_default();
        let record = UsageRecord {
            request_id: format!("{deployment}-{now_ms}").into(),
            started_at_ms: now_ms,
            client: client.into(),
            route: route.into(),
            operation: Operation::Chat,
            deployment: Some(deployment.clone()),
            region: None,
            served_region: None,
            spilled_to: None,
            attempts: 1,
            outcome: RequestOutcome::Success,
            status: 200,
            streamed: false,
            source: UsageSource::Reported,
            prompt_tokens: count("/usage/prompt_tokens"),
            cached_tokens: count("/usage/prompt_tokens_details/cached_tokens"),
            completion_tokens: count("/usage/completion_tokens"),
            first_byte_us: None,
            first_token_us: None,
            total_us: 0,
            upstream_us: 0,
            kept: None,
        };
        self.store.append(std::slice::from_ref(&record)).await.expect("written");
        let mut known = self.known.lock();
        known.entry(deployment.clone()).or_insert((None, now_ms)).0 = Some(now_ms);
        Ok(Called {
            prompt_tokens: record.prompt_tokens,
            completion_tokens: record.completion_tokens,
        })
    }
}

#[async_trait]
impl Traffic for Replica {
    fn new_declaration(&self) -> Option<Declaration> {
        self.declaration.lock().take()
    }

    fn seen(&self) -> Vec<Seen> {
        let known = self.known.lock();
        let seen = known.iter().map(|(deployment, (success, first_seen))| Seen {
            deployment: deployment.clone(),
            in_flight: 0,
            is_drained: false,
            was_missed: false,
            was_needed: false,
            last_success_at_ms: *success,
            first_seen_ms: Some(*first_seen),
        });
        seen.collect()
    }

    fn mark(&self, _deployment: &DeploymentId, _standing: Standing) {}

    fn steer(&self, deployment: &DeploymentId) {
        self.wanted.lock().insert(deployment.clone());
    }

    async fn call(&self, deployment: &DeploymentId) -> Result<Called, String> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.exchange(deployment, "ping", (KEEPALIVE_CLIENT, KEEPALIVE_ROUTE))
            .await
    }
}
