//! The running picture of the fleet: one immutable [`Live`] a configuration, and what is known of each deployment beside it.
//!
//! A request takes the current `Live` once and keeps it. A reload builds a new one and swaps it in; what was learned of a
//! deployment (breaker, rest, last success) and of a host's addresses lives on for every deployment that stays, and so do the
//! numbers of running requests.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use http::header::{self, HeaderName, HeaderValue};
use parking_lot::Mutex;

use crate::config::checked::{Checked, Credential};
use crate::core::admission::limit::Tally;
use crate::core::headroom::TokenRate;
use crate::core::ids::{ClientId, DeploymentId, ResourceId, RouteId};
use crate::core::placement::chain::ChainKey;
use crate::core::placement::latency::Latency;
use crate::core::placement::rendezvous;
use crate::core::placement::room::Room;
use crate::core::placement::truth::Truth;
use crate::core::placement::view::View;
use crate::core::recovery::absence::AbsenceMark;
use crate::core::recovery::budget::RetryBudget;
use crate::core::recovery::drain::DrainMark;
use crate::core::recovery::health::{Health, Rules};
use crate::core::recovery::hedge::Hedging;
use crate::core::recovery::patience::FirstToken;
use crate::core::router;
use crate::core::topology::{ApiForm, Client, Deployment, Endpoint, Resource, Route, Snapshot};
use crate::openai::azure;
use crate::openai::target::WireOperation;
use crate::proxy::auth::KeyTable;
use crate::proxy::client_limits::RouteTallies;
use crate::proxy::connections::UpstreamPeer;
use crate::proxy::login::Login;
use crate::proxy::resolve::HostAddress;
use crate::proxy::standing::ResourceState;
use crate::proxy::waiting::Queue;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::series::FleetSeries;
use crate::telemetry::view::FailureView;

/// How long a deployment's refusal of an option that the gateway adds is believed.
pub const OPTION_REFUSED_FOR_MS: i64 = 60 * 60 * 1000;

/// The log repeats why a deployment gives no answer after so long.
const TOLD_AGAIN_AFTER_MS: i64 = 10_000;

/// How far a clock may go back without what it has dated being wrong.
const SKEW_MS: i64 = 60_000;

/// Everything that requests need of one configuration.
pub struct Live {
    /// The checked configuration.
    pub config: Arc<Checked>,
    /// Client keys, ready to look up.
    pub keys: KeyTable,
    /// The rules of health.
    pub rules: Rules,
    /// By `DeploymentIx`.
    pub deployments: Vec<LiveDeployment>,
    /// By `ResourceIx`.
    pub resources: Vec<LiveResource>,
    /// Pools as placement sees them, by `PoolIx`.
    pub outlines: Vec<View>,
    /// The keys of pools' chains, by `PoolIx`.
    pub chain_keys: Vec<ChainKey>,
    /// Turns that the simpler policies have taken, by `PoolIx`.
    pub turns: Vec<AtomicU64>,
    /// Requests that nested placement has planned, by `PoolIx`: they take no turns.
    pub draws: Vec<AtomicU64>,
    /// What is known of clients, by `ClientIx`; shared with other configurations that hold the client.
    pub clients: Vec<Arc<ClientState>>,
    /// What is known of routes, by `RouteIx`; shared with other configurations that hold the route.
    pub routes: Vec<Arc<RouteState>>,
    /// The metric series that its requests count into.
    pub series: FleetSeries,
}

/// A deployment as requests use it.
pub struct LiveDeployment {
    /// What is known of it, shared with other configurations that hold it.
    pub state: Arc<DeploymentState>,
    /// Its number in placement.
    pub seed: u64,
    paths: [String; WireOperation::ALL.len()],
}

/// A resource as requests use it.
pub struct LiveResource {
    /// Its address.
    pub address: Arc<HostAddress>,
    /// Its credential.
    pub login: Login,
    /// Its `Host` header.
    pub authority: HeaderValue,
    /// What is known of it, shared with other configurations that hold it.
    pub state: Arc<ResourceState>,
    peer: ArcSwapOption<UpstreamPeer>,
}

/// What is known of a client across configurations.
#[derive(Debug, Default)]
pub struct ClientState {
    /// What it has used of its limits.
    pub tally: Mutex<Tally>,
}

/// What is known of a route across configurations.
#[derive(Debug, Default)]
pub struct RouteState {
    /// Requests running.
    pub in_flight: AtomicU64,
    /// What may be spent on retries.
    pub retries: Mutex<RetryBudget>,
    /// What is late, and what may be spent on second attempts; used only where the route has them.
    pub hedging: Mutex<Hedging>,
    /// Requests that wait for a deployment to recover.
    pub queue: Queue,
    /// What was used of its limits.
    pub tallies: Mutex<RouteTallies>,
}

/// Something that is said by many and taken up by one.
#[derive(Debug, Default)]
pub struct Wish(AtomicBool);

impl Wish {
    /// Says it.
    pub fn make(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was said and nobody has taken it up yet: who gets this answer has. Costs a load where it was not said.
    pub fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

/// What is known of a deployment across configurations, and counts its attempts.
#[derive(Debug)]
pub struct DeploymentState {
    /// Whether an operator has taken it out.
    pub drained: DrainMark,
    /// Whether the control plane says that it is not there.
    pub absent: AbsenceMark,
    /// Whether it is to be sent a request that loses nothing by it.
    pub wants_request: Wish,
    /// Whether a request found that Azure has no such deployment.
    pub was_missed: Wish,
    /// Whether a request came that it might have answered, if it were there.
    pub was_needed: Wish,
    /// When Azure made it, in milliseconds since the Unix epoch; 0 while that is not known from there.
    pub created_at_ms: AtomicI64,
    /// Breaker and rest.
    pub health: Mutex<Health>,
    /// What answers have told beside that.
    pub learned: Mutex<Learned>,
    /// Attempts running now.
    pub in_flight: AtomicU64,
    /// Requests that wait for it to recover since they continue a response that only it has.
    pub queue: Queue,
    /// When the gateway first knew of it, in milliseconds since the Unix epoch; 0 while unknown.
    pub first_seen_ms: AtomicI64,
    /// When it last answered properly, in milliseconds since the Unix epoch; 0 for never.
    pub last_success_at_ms: AtomicI64,
    /// The last attempt that was held against it; locked when one fails and when somebody looks.
    pub last_failure: Mutex<Option<FailureView>>,
    /// When the log last said why it gave no answer.
    pub silence_told: Told,
    /// When the log last said that it answered from outside its route's regions.
    pub contradiction_told: Told,
    /// Until when it is believed to refuse `stream_options`, in milliseconds since the Unix epoch.
    stream_usage_refused_until_ms: AtomicI64,
    /// The same of `prompt_cache_key`.
    cache_key_refused_until_ms: AtomicI64,
}

/// When the log last said something that many requests may meet, in milliseconds since the Unix epoch.
#[derive(Debug, Default)]
pub struct Told(AtomicI64);

impl Told {
    /// Whether the log should say it (again); if so, it has been told.
    pub fn is_news(&self, now_ms: i64) -> bool {
        let told = self.0.load(Ordering::Relaxed);
        let is_due = now_ms - told >= TOLD_AGAIN_AFTER_MS;
        is_due
            && self
                .0
                .compare_exchange(told, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// What answers tell of a deployment.
#[derive(Debug)]
pub struct Learned {
    /// Its limits and what is used of them.
    pub room: Room,
    /// How much it is sent.
    pub rate: TokenRate,
    /// How quickly it begins to answer.
    pub latency: Latency,
    /// How long its answers' beginnings take, prompts' lengths set aside.
    pub first_token: FirstToken,
    /// What its cache does.
    pub truth: Truth,
}

/// Why a configuration cannot be put to use although it passed every check.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A secret cannot be sent in a header.
    #[error(
        "the credential of resource `{0}` holds characters that no HTTP header may carry; check the secret's source"
    )]
    Credential(ResourceId),
    /// A host name cannot be sent in a header.
    #[error("the endpoint of resource `{0}` holds characters that no HTTP header may carry")]
    Authority(ResourceId),
}

impl Live {
    /// Builds the running picture of a configuration, keeping what the previous one had learned.
    ///
    /// # Errors
    /// When a credential or host name cannot be put in a header.
    pub fn build(config: Arc<Checked>, metrics: &Arc<Metrics>, previous: Option<&Self>) -> Result<Self, LiveError> {
        let known: HashMap<&DeploymentId, &Arc<DeploymentState>> = previous
            .into_iter()
            .flat_map(|live| live.config.runtime.snapshot.deployments.iter().zip(&live.deployments))
            .map(|(deployment, live)| (&deployment.id, &live.state))
            .collect();
        let runtime = &config.runtime;
        let snapshot = Arc::clone(&runtime.snapshot);
        let deployments = snapshot
            .deployments
            .iter()
            .map(|deployment| LiveDeployment {
                state: state_of(deployment, snapshot.replicas, known.get(&deployment.id).copied()),
                seed: rendezvous::seed(&deployment.id),
                paths: paths(deployment, &snapshot.resources[deployment.resource.0]),
            })
            .collect();
        let resources = snapshot
            .resources
            .iter()
            .zip(&runtime.credentials)
            .map(|(resource, credential)| live_resource(resource, credential, previous))
            .collect::<Result<_, _>>()?;
        let rules = runtime.health;
        let keys = KeyTable::new(&runtime.client_keys);
        let clients = client_states(&snapshot, previous);
        let routes = route_states(&snapshot, previous);
        let outlines: Vec<View> = snapshot
            .pools
            .iter()
            .map(|pool| router::outline(&snapshot, pool))
            .collect();
        let series = FleetSeries::new(Arc::clone(metrics), &snapshot);
        Ok(Self {
            config,
            keys,
            rules,
            deployments,
            resources,
            turns: counters(&outlines),
            draws: counters(&outlines),
            chain_keys: snapshot.pools.iter().map(|pool| ChainKey::new(&pool.id)).collect(),
            outlines,
            clients,
            routes,
            series,
        })
    }

    /// Whether it holds a deployment of which nothing is known yet, not even since when.
    pub fn has_unknown_deployment(&self) -> bool {
        let first_seen = |deployment: &LiveDeployment| deployment.state.first_seen_ms.load(Ordering::Relaxed);
        self.deployments.iter().any(|deployment| first_seen(deployment) == 0)
    }
}

/// A counter for each pool, from anywhere: gateways that start together do not count alike.
fn counters(outlines: &[View]) -> Vec<AtomicU64> {
    let counter = |_: &View| AtomicU64::new(rand::random::<u32>().into());
    outlines.iter().map(counter).collect()
}

impl LiveDeployment {
    /// Path and query of an operation at this deployment's resource.
    pub fn path(&self, operation: WireOperation) -> &str {
        &self.paths[operation as usize]
    }
}

impl LiveResource {
    /// The peer to connect to at this address, made anew only when the address changed.
    pub fn peer(&self, endpoint: &Endpoint, address: SocketAddr) -> Arc<UpstreamPeer> {
        if let Some(peer) = self.peer.load_full().filter(|peer| peer.address == address) {
            return peer;
        }
        let peer = Arc::new(UpstreamPeer::new(endpoint, address));
        self.peer.store(Some(Arc::clone(&peer)));
        peer
    }
}

impl DeploymentState {
    /// Nothing known but limits.
    pub fn new(room: Room) -> Self {
        Self {
            drained: DrainMark::new(Instant::now()),
            absent: AbsenceMark::default(),
            wants_request: Wish::default(),
            was_missed: Wish::default(),
            was_needed: Wish::default(),
            created_at_ms: AtomicI64::new(0),
            health: Mutex::default(),
            learned: Mutex::new(Learned {
                room,
                rate: TokenRate::default(),
                latency: Latency::default(),
                first_token: FirstToken::default(),
                truth: Truth::default(),
            }),
            in_flight: AtomicU64::default(),
            queue: Queue::default(),
            first_seen_ms: AtomicI64::default(),
            last_success_at_ms: AtomicI64::default(),
            last_failure: Mutex::default(),
            silence_told: Told::default(),
            contradiction_told: Told::default(),
            stream_usage_refused_until_ms: AtomicI64::default(),
            cache_key_refused_until_ms: AtomicI64::default(),
        }
    }

    /// Notes that it has answered. A later time than this is of a clock that ran ahead, and is set right.
    pub fn note_success(&self, now_ms: i64) {
        let before = self.last_success_at_ms.load(Ordering::Relaxed);
        if before > now_ms.saturating_add(SKEW_MS) {
            self.last_success_at_ms.store(now_ms, Ordering::Relaxed);
        } else {
            self.last_success_at_ms.fetch_max(now_ms, Ordering::Relaxed);
        }
    }

    /// Notes when the gateway first knew of it; does nothing where that is known.
    pub fn note_first_seen(&self, at_ms: i64) {
        // Fails for a deployment that was known before, as it should.
        let _ = self
            .first_seen_ms
            .compare_exchange(0, at_ms, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether usage may be asked of its streams.
    pub fn takes_stream_usage(&self, now_ms: i64) -> bool {
        now_ms >= self.stream_usage_refused_until_ms.load(Ordering::Relaxed)
    }

    /// Whether a `prompt_cache_key` may be sent to it.
    pub fn takes_cache_key(&self, now_ms: i64) -> bool {
        now_ms >= self.cache_key_refused_until_ms.load(Ordering::Relaxed)
    }

    /// Notes that it refused `prompt_cache_key`.
    pub fn refused_cache_key(&self, now_ms: i64) {
        self.cache_key_refused_until_ms
            .store(now_ms + OPTION_REFUSED_FOR_MS, Ordering::Relaxed);
    }

    /// Notes that it refused `stream_options`.
    pub fn refused_stream_usage(&self, now_ms: i64) {
        self.stream_usage_refused_until_ms
            .store(now_ms + OPTION_REFUSED_FOR_MS, Ordering::Relaxed);
    }
}

/// What is known of a deployment: what the previous configuration knew, under the limits of this one.
fn state_of(deployment: &Deployment, replicas: u32, known: Option<&Arc<DeploymentState>>) -> Arc<DeploymentState> {
    let limit = deployment.tokens_per_minute().unwrap_or(f64::INFINITY);
    let room = if deployment.sku.is_provisioned() {
        Room::provisioned(limit, f64::from(replicas))
    } else {
        Room::new(limit)
    };
    match known {
        Some(state) => {
            state.learned.lock().room.configure(&room);
            Arc::clone(state)
        }
        None => Arc::new(DeploymentState::new(room)),
    }
}

/// What is known of clients: what the previous configuration knew of those that it had.
fn client_states(snapshot: &Snapshot, previous: Option<&Live>) -> Vec<Arc<ClientState>> {
    let known: HashMap<&ClientId, &Arc<ClientState>> = previous
        .into_iter()
        .flat_map(|live| live.config.runtime.snapshot.clients.iter().zip(&live.clients))
        .map(|(client, state)| (&client.id, state))
        .collect();
    let state = |client: &Client| known.get(&client.id).map(|state| Arc::clone(state)).unwrap_or_default();
    snapshot.clients.iter().map(state).collect()
}

/// The same of routes.
fn route_states(snapshot: &Snapshot, previous: Option<&Live>) -> Vec<Arc<RouteState>> {
    let known: HashMap<&RouteId, &Arc<RouteState>> = previous
        .into_iter()
        .flat_map(|live| live.config.runtime.snapshot.routes.iter().zip(&live.routes))
        .map(|(route, state)| (&route.id, state))
        .collect();
    let clients: HashSet<&ClientId> = snapshot.clients.iter().map(|client| &client.id).collect();
    let state = |route: &Route| {
        let state = known.get(&route.id).map(|state| Arc::clone(state)).unwrap_or_default();
        state.tallies.lock().retain(|client| clients.contains(client));
        state
    };
    snapshot.routes.iter().map(state).collect()
}

/// By operation, in the order of [`WireOperation::ALL`].
fn paths(deployment: &Deployment, resource: &Resource) -> [String; WireOperation::ALL.len()] {
    WireOperation::ALL.map(|operation| {
        let base = &resource.endpoint.base_path;
        match &resource.api {
            ApiForm::V1 => azure::v1_path(base, operation),
            ApiForm::Classic { .. } if operation == WireOperation::Responses => azure::v1_path(base, operation),
            ApiForm::Classic { api_version } => azure::classic_path(base, &deployment.name, operation, api_version),
        }
    })
}

fn live_resource(
    resource: &Resource,
    credential: &Credential,
    previous: Option<&Live>,
) -> Result<LiveResource, LiveError> {
    let authority =
        HeaderValue::from_str(&resource.endpoint.authority).map_err(|_| LiveError::Authority(resource.id.clone()))?;
    let same = |other: &Resource| other.id == resource.id && other.endpoint == resource.endpoint;
    let known = previous.and_then(|live| {
        let at = live.config.runtime.snapshot.resources.iter().position(same)?;
        Some((at, live))
    });
    let as_before = known.filter(|(at, live)| live.config.runtime.credentials[*at] == *credential);
    let (name, text) = match credential {
        Credential::ApiKey(key) => (HeaderName::from_static("api-key"), key.expose().to_owned()),
        Credential::Bearer(token) => (header::AUTHORIZATION, format!("Bearer {}", token.expose())),
        Credential::Entra(_) => (header::AUTHORIZATION, "Bearer".to_owned()),
    };
    let value = HeaderValue::from_str(&text).map_err(|_| LiveError::Credential(resource.id.clone()))?;
    let login = Login::new(name, value);
    if let (Credential::Entra(_), Some((at, live))) = (credential, as_before) {
        // What was got for it still holds.
        login.renew((**live.resources[at].login.value()).clone());
    }
    let address = known.map_or_else(
        || Arc::new(HostAddress::new(&resource.endpoint.host, resource.endpoint.port)),
        |(at, live)| Arc::clone(&live.resources[at].address),
    );
    // Another credential or API may be what an operator mended: what was learned of the old one does not hold.
    let state = as_before
        .filter(|(at, live)| live.config.runtime.snapshot.resources[*at].api == resource.api)
        .map_or_else(Arc::default, |(at, live)| Arc::clone(&live.resources[at].state));
    Ok(LiveResource {
        address,
        login,
        authority,
        state,
        peer: ArcSwapOption::empty(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_told_again_after_a_while() {
        let told = Told::default();
        let said = [1_000_000, 1_000_001, 1_000_000 + TOLD_AGAIN_AFTER_MS].map(|now_ms| told.is_news(now_ms));
        assert_eq!(said, [true, false, true]);
    }
}
