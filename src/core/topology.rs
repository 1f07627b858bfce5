//! The compiled picture of the fleet that one request works with: routes, pools, deployments, resources.
//!
//! A [`Snapshot`] is immutable. A request takes one at its start and keeps it to its end, so that a reload
//! never shows a request two configurations. Everything refers to everything else by index into the
//! snapshot's vectors; the compiler (`config::compile`) guarantees that the indices are valid, and nothing
//! downstream checks again. Secrets and sockets are deliberately not here: this layer does no IO.

use std::collections::HashMap;
use std::time::Duration;

use strum::{AsRefStr, IntoStaticStr};

use crate::core::admission::limit::LimitRule;
use crate::core::admission::queue::Priority;
use crate::core::ids::{ClientId, DeploymentId, PoolId, Region, ResourceId, RouteId};
use crate::core::placement::policy::Policy;
use crate::core::recovery::budget::BudgetRule;
use crate::core::recovery::hedge::HedgeRule;
use crate::core::recovery::patience::FirstTokenRule;
use crate::core::throughput;

/// Position of a client in [`Snapshot::clients`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientIx(pub usize);

/// Position of a route in [`Snapshot::routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteIx(pub usize);

/// Position of a pool in [`Snapshot::pools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolIx(pub usize);

/// Position of a deployment in [`Snapshot::deployments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeploymentIx(pub usize);

/// Position of a resource in [`Snapshot::resources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceIx(pub usize);

/// The whole fleet as configured, checked and resolved.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Who may call.
    pub clients: Vec<Client>,
    /// What may be asked for.
    pub routes: Vec<Route>,
    /// Which deployments serve it.
    pub pools: Vec<Pool>,
    /// Every deployment of every resource.
    pub deployments: Vec<Deployment>,
    /// Every Azure OpenAI account.
    pub resources: Vec<Resource>,
    /// Model names (route names and their aliases) to routes.
    pub route_by_model: HashMap<Box<str>, RouteIx>,
    /// Gateways with this configuration that share the traffic, this one included; at least 1. Counting live ones would set it.
    pub replicas: u32,
}

/// A caller and what it may use.
#[derive(Debug, Clone)]
pub struct Client {
    /// Name in logs, metrics and usage.
    pub id: ClientId,
    /// Which routes it may use.
    pub routes: RouteAccess,
    /// Whether its answers carry the `x-emberway-*` debug headers.
    pub debug_headers: bool,
    /// How urgent its requests are at most.
    pub priority: Priority,
    /// What it may use, whatever the route.
    pub limits: LimitRule,
}

/// Which routes a client may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteAccess {
    /// Every route, also those added later.
    All,
    /// These only, sorted.
    Only(Vec<RouteIx>),
}

impl RouteAccess {
    /// Whether the route may be used. Logarithmic in the number of listed routes.
    pub fn allows(&self, route: RouteIx) -> bool {
        match self {
            Self::All => true,
            Self::Only(routes) => routes.binary_search(&route).is_ok(),
        }
    }
}

/// A public model name, the pool behind it and the rules for using it.
#[derive(Debug, Clone)]
pub struct Route {
    /// The model name that clients send; other names are in [`Snapshot::route_by_model`].
    pub id: RouteId,
    /// Other model names that lead here.
    pub aliases: Vec<String>,
    /// Which deployments serve it.
    pub pool: PoolIx,
    /// Where its requests may be processed, if not everywhere.
    pub residency: Option<Residency>,
    /// How a deployment is chosen.
    pub policy: Policy,
    /// How often and how long to try.
    pub failover: Failover,
    /// How long to wait for each step of an attempt.
    pub timeouts: Timeouts,
    /// How long and with how many others a request may wait for a deployment to recover.
    pub waiting: Waiting,
    /// What may be used of it by all clients together.
    pub limits: LimitRule,
    /// What may be used of it by each client.
    pub client_limits: LimitRule,
}

/// Where a route's requests may be processed. Its pool holds only deployments that keep to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residency {
    /// The regions.
    pub regions: Vec<Region>,
    /// The configured pool's other deployments, which are not used.
    pub excluded: Vec<DeploymentId>,
}

/// Bounds on waiting for a deployment to recover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Longest wait; zero for none.
    pub max_wait: Duration,
    /// Most requests of the route that wait at one time.
    pub queue: usize,
}

/// Bounds on the attempts made for one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Failover {
    /// Most attempts, the first included; at least 1.
    pub max_attempts: u32,
    /// Longest time from the request's arrival to the start of its answer.
    pub deadline: Duration,
    /// How many attempts may follow failed ones.
    pub retry_budget: BudgetRule,
    /// First bound of the random wait before the same deployment is asked again; it doubles with each attempt.
    pub backoff: Duration,
    /// How long to wait for a stream's beginning, by the prompt's length.
    pub first_token: FirstTokenRule,
    /// Whether a second attempt is begun beside one that is late.
    pub hedging: HedgeRule,
}

/// Time limits of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS together.
    pub connect: Duration,
    /// From the last request byte sent to the answer's status line, for streamed requests.
    pub first_byte: Duration,
    /// The same for requests that are not streamed: Azure answers those when all is generated.
    pub whole_answer: Duration,
    /// Longest silence between two pieces of a body.
    pub idle: Duration,
    /// Whole attempt, its body included.
    pub total: Duration,
}

/// Deployments of the same fine-tuned model, in order of preference.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Name in logs and metrics.
    pub id: PoolId,
    /// Priority tiers, best first; none is empty.
    pub tiers: Vec<Vec<Member>>,
}

impl Pool {
    /// Every member, best tier first.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.tiers.iter().flatten()
    }

    /// The same pool without the members of which this is true; it may be left empty.
    pub fn without(&self, is_left_out: impl Fn(DeploymentIx) -> bool) -> Self {
        let stays = |member: &&Member| !is_left_out(member.deployment);
        Self {
            id: self.id.clone(),
            tiers: self
                .tiers
                .iter()
                .map(|tier| tier.iter().filter(stays).cloned().collect())
                .collect(),
        }
    }

    /// The same pool as if this member were all of it.
    pub fn only(&self, deployment: DeploymentIx) -> Self {
        let member = self.members().filter(|member| member.deployment == deployment);
        Self {
            id: self.id.clone(),
            tiers: vec![member.cloned().collect()],
        }
    }
}

/// A deployment's place in a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Which deployment.
    pub deployment: DeploymentIx,
    /// Share of the tier's traffic relative to the others; finite and above zero.
    pub weight: f64,
}

/// One Azure OpenAI deployment.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// `resource/name`, unique.
    pub id: DeploymentId,
    /// Its name at Azure, which requests carry in path or body.
    pub name: String,
    /// The account it belongs to.
    pub resource: ResourceIx,
    /// How Azure bills and limits it.
    pub sku: Sku,
    /// Units of the SKU: 1 is 1,000 tokens per minute, or 1 PTU for provisioned ones.
    pub capacity: Option<u32>,
    /// Its base model, if the configuration says so.
    pub model: Option<String>,
    /// Whether the gateway may send it a `prompt_cache_key`.
    pub cache_keys: CacheKeys,
    /// Whether usage is asked of streams whose client did not ask.
    pub stream_usage: bool,
    /// When Azure created it, in milliseconds since the Unix epoch, if the configuration says so.
    pub created_at_ms: Option<i64>,
    /// Days without a successful call after which Azure deletes it; 15 for fine-tuned models.
    pub inactivity_days: Option<u32>,
    /// What it costs, if the configuration says so.
    pub price: Option<Price>,
}

/// What a deployment costs, in US dollars; each is finite and not negative, and none where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Price {
    /// A million prompt tokens that were not cached.
    pub input: Option<f64>,
    /// A million prompt tokens that were cached; not more than `input`.
    pub cached_input: Option<f64>,
    /// A million completion tokens.
    pub output: Option<f64>,
    /// An hour of its existence.
    pub hour: Option<f64>,
}

impl Price {
    /// Each with its name in the configuration.
    pub fn members(&self) -> [(&'static str, Option<f64>); 4] {
        let Self {
            input,
            cached_input,
            output,
            hour,
        } = *self;
        [
            ("input", input),
            ("cached_input", cached_input),
            ("output", output),
            ("hour", hour),
        ]
    }
}

/// Tokens per minute of one unit of a per-token SKU.
pub const TOKENS_A_UNIT: f64 = 1_000.0;

impl Deployment {
    /// Tokens per minute that it takes, as configured: for provisioned ones in input tokens, by the model's figures. None where the
    /// configuration does not say enough.
    pub fn tokens_per_minute(&self) -> Option<f64> {
        let units = f64::from(self.capacity?);
        if self.sku.is_provisioned() {
            let unit = throughput::of_model(self.model.as_deref()?)?;
            return Some(units * unit.input_per_minute);
        }
        Some(units * TOKENS_A_UNIT)
    }

    /// Input tokens that one output token counts as against its limit.
    pub fn output_weight(&self) -> f64 {
        if !self.sku.is_provisioned() {
            return 1.0;
        }
        let unit = self.model.as_deref().and_then(throughput::of_model);
        unit.map_or(1.0, |unit| unit.output_weight)
    }
}

/// Whether the gateway sends a `prompt_cache_key` where the client sent none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CacheKeys {
    /// Never.
    Off,
    /// Where reported cached tokens say that it pays.
    #[default]
    Auto,
    /// Wherever a head is hot enough to need it.
    Always,
}

/// Where Azure processes a deployment's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// In the resource's region.
    Region,
    /// In its data zone.
    DataZone,
    /// Anywhere.
    Global,
}

/// Azure's deployment types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sku {
    /// Pay per token, processed in the account's region.
    Standard,
    /// Pay per token, processed anywhere.
    GlobalStandard,
    /// Pay per token, processed in a data zone.
    DataZoneStandard,
    /// For trials: no hosting fee, removed after 24 hours.
    DeveloperTier,
    /// Reserved throughput in the account's region.
    ProvisionedManaged,
    /// Reserved throughput, processed anywhere.
    GlobalProvisionedManaged,
    /// Reserved throughput in a data zone.
    DataZoneProvisionedManaged,
}

impl Sku {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Standard,
        Self::GlobalStandard,
        Self::DataZoneStandard,
        Self::DeveloperTier,
        Self::ProvisionedManaged,
        Self::GlobalProvisionedManaged,
        Self::DataZoneProvisionedManaged,
    ];

    /// Whether throughput is reserved (PTU), so that a 429 is back-pressure and there is no per-minute limit.
    pub fn is_provisioned(self) -> bool {
        matches!(
            self,
            Self::ProvisionedManaged | Self::GlobalProvisionedManaged | Self::DataZoneProvisionedManaged
        )
    }

    /// Where its requests are processed.
    pub fn reach(self) -> Reach {
        match self {
            Self::Standard | Self::ProvisionedManaged => Reach::Region,
            Self::DataZoneStandard | Self::DataZoneProvisionedManaged => Reach::DataZone,
            Self::GlobalStandard | Self::GlobalProvisionedManaged | Self::DeveloperTier => Reach::Global,
        }
    }

    /// The SKU of that name, in any case; Azure's samples write it in several, and call `DeveloperTier` `Developer` too.
    pub fn of(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("Developer") {
            return Some(Self::DeveloperTier);
        }
        Self::ALL
            .into_iter()
            .find(|sku| sku.as_str().eq_ignore_ascii_case(name))
    }

    /// Azure's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "Standard",
            Self::GlobalStandard => "GlobalStandard",
            Self::DataZoneStandard => "DataZoneStandard",
            Self::DeveloperTier => "DeveloperTier",
            Self::ProvisionedManaged => "ProvisionedManaged",
            Self::GlobalProvisionedManaged => "GlobalProvisionedManaged",
            Self::DataZoneProvisionedManaged => "DataZoneProvisionedManaged",
        }
    }
}

/// One Azure OpenAI account.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Name in logs and ids.
    pub id: ResourceId,
    /// Where it is; the failure domain.
    pub region: Region,
    /// Where to connect.
    pub endpoint: Endpoint,
    /// Which URL family its requests use.
    pub api: ApiForm,
}

/// Where a resource listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether to speak TLS.
    pub tls: bool,
    /// Host name without port; sent as SNI and checked against the certificate.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `host` or `host:port` for the `Host` header, the port left out where it is the scheme's own.
    pub authority: String,
    /// Path before `/openai`, without a slash at its end; empty for Azure itself.
    pub base_path: String,
    /// Whether HTTP/2 is offered (TLS only).
    pub http2: bool,
}

/// Which of Azure's two URL families a resource's requests use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiForm {
    /// `/openai/deployments/{name}/…?api-version=…`: the deployment is in the path.
    Classic {
        /// Data-plane version, such as `2024-10-21`.
        api_version: String,
    },
    /// `/openai/v1/…`: the deployment is the body's `model`.
    V1,
}

#[cfg(test)]
pub(crate) mod testing;
