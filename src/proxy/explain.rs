//! What would become of a chat body, and why: the plan, without sending or counting anything.

use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::core::ids::DeploymentId;
use crate::core::placement::plan::Plan;
use crate::core::placement::view::{Member, State, View};
use crate::core::topology::{PoolIx, RouteIx};
use crate::openai::request;
use crate::openai::target::WireOperation;
use crate::proxy::Gateway;
use crate::proxy::error::{self, ProxyError};
use crate::proxy::placing;
use crate::proxy::prompt::{self, Prompt, Scope};
use crate::proxy::state::Live;

/// A plan in words. Holds no text of the prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The route that the model leads to.
    pub route: String,
    /// Its pool.
    pub pool: String,
    /// Its policy.
    pub policy: String,
    /// Gateways that are taken to share the traffic.
    pub replicas: u32,
    /// Tokens of the prompt, as estimated.
    pub prompt_tokens: u32,
    /// What it would count against a limit, as the provider estimates.
    pub total_tokens: u32,
    /// Whether no assistant has spoken yet.
    pub is_first_turn: bool,
    /// The prompt's blocks.
    pub blocks: Vec<BlockShown>,
    /// The block that decides, by its position from 0; none where the order comes from elsewhere.
    pub key_block: Option<usize>,
    /// Homes that the key block is chosen among.
    pub homes: usize,
    /// Tokens believed to be cached at one deployment at least.
    pub warm_tokens: u32,
    /// The `prompt_cache_key` that a hot head gets where the deployment may have one and the client sent none.
    pub cache_key: Option<KeyShown>,
    /// Whom a request would be sent to, in this order.
    pub candidates: Vec<CandidateShown>,
    /// Members of the pool that would not be tried.
    pub left_out: Vec<LeftOut>,
}

/// A block of the prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockShown {
    /// The first digits of its id, which names it and all before it.
    pub id: String,
    /// Tokens from the prompt's start to its end, as estimated.
    pub tokens: u32,
}

/// A key for a hot head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyShown {
    /// What would be sent, where the deployment may have it.
    pub value: String,
    /// Keys that the head has at each home.
    pub keys: u16,
    /// Whether reported cached tokens say that keys pay.
    pub pays: bool,
}

/// A candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateShown {
    /// `resource/name`.
    pub deployment: String,
    /// Its region.
    pub region: String,
    /// Why it stands here, if it is tried first.
    pub reason: String,
    /// Tokens of the prompt believed to be cached there.
    pub expected_tokens: u32,
    /// Tokens a minute that it takes; none where that is not known.
    pub limit: Option<f64>,
    /// Tokens of that which are left once the request is in, negative if it does not fit; none where the limit is not known.
    pub room: Option<f64>,
    /// Attempts running there.
    pub in_flight: f64,
}

/// A member that would not be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// `resource/name`.
    pub deployment: String,
    /// Why: `resting` or `drained`.
    pub why: String,
}

/// An answer to a body that cannot be explained.
#[derive(Debug)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// OpenAI's error envelope.
    pub body: Bytes,
}

impl From<ProxyError> for Refused {
    fn from(error: ProxyError) -> Self {
        Self {
            status: error.status().as_u16(),
            body: error.body(),
        }
    }
}

/// Explains what would become of a chat body of a client's, by its name, which matters for its hints only. `headers` are those of the request for the explanation; sessions and a declined affinity
/// are read from them as from a client's.
///
/// # Errors
/// As the client would be refused.
pub fn explain(
    gateway: &Gateway,
    client: &str,
    body: &[u8],
    headers: &HeaderMap,
    now: Instant,
) -> Result<Explanation, Refused> {
    let live = gateway.live.load_full();
    let snapshot = &live.config.runtime.snapshot;
    let request = request::parse(body).map_err(ProxyError::from)?;
    let route = find_route(&live, request.model.as_deref())?;
    let route = &snapshot.routes[route.0];
    let pool = &snapshot.pools[route.pool.0];
    let scope = Scope {
        pool: &pool.id,
        chain: live.chain_keys[route.pool.0],
        client,
    };
    let prompt = prompt::read(scope, &request, WireOperation::Chat, headers, None);
    let view = placing::view(gateway, &live, route.pool, now);
    let plan = placing::explain(gateway, &live, route, &view, &prompt, now);
    Ok(Explanation {
        route: route.id.to_string(),
        pool: pool.id.to_string(),
        policy: route.policy.as_ref().to_owned(),
        replicas: snapshot.replicas,
        prompt_tokens: prompt.ask.prompt_tokens,
        total_tokens: prompt.ask.total_tokens,
        is_first_turn: prompt.ask.is_first_turn,
        blocks: blocks(&prompt),
        key_block: plan.key.map(|(at, _)| at),
        homes: plan.homes,
        warm_tokens: plan.warm_tokens,
        cache_key: plan
            .cache_key
            .filter(|_| !request.has_own_cache_key())
            .map(|key| KeyShown {
                value: key.text(),
                keys: key.keys,
                pays: key.pays,
            }),
        candidates: candidates(&live, &view, &plan),
        left_out: left_out(&live, route.pool, &view),
    })
}

/// An operator may ask about every route.
fn find_route(live: &Live, model: Option<&str>) -> Result<RouteIx, ProxyError> {
    let snapshot = &live.config.runtime.snapshot;
    let known = || {
        let mut names: Vec<&str> = snapshot.route_by_model.keys().map(AsRef::as_ref).collect();
        names.sort_unstable();
        error::list_models(names.into_iter())
    };
    let model = model.ok_or_else(|| ProxyError::MissingModel(known()))?;
    let route = snapshot.route_by_model.get(model).copied();
    route.ok_or_else(|| ProxyError::UnknownModel {
        model: error::echo(model),
        known: known(),
    })
}

fn blocks(prompt: &Prompt) -> Vec<BlockShown> {
    let ids = prompt.chain.ids().iter().enumerate();
    ids.map(|(at, id)| BlockShown {
        id: format!("{:08x}", id.0 >> 96),
        tokens: prompt.chain.tokens(at + 1),
    })
    .collect()
}

fn candidates(live: &Live, view: &View, plan: &Plan) -> Vec<CandidateShown> {
    let snapshot = &live.config.runtime.snapshot;
    let shown = plan.candidates.iter().filter_map(|candidate| {
        let mut members = view.tiers.iter().flat_map(|tier| &tier.members);
        let member = members.find(|member| member.deployment == candidate.deployment)?;
        let deployment = &snapshot.deployments[candidate.deployment.0];
        Some(CandidateShown {
            deployment: deployment.id.to_string(),
            region: snapshot.resources[deployment.resource.0].region.to_string(),
            reason: candidate.reason.as_ref().to_owned(),
            expected_tokens: candidate.expected_tokens,
            limit: Some(member.limit).filter(|limit| limit.is_finite()),
            room: Some(candidate.room).filter(|room| room.is_finite()),
            in_flight: member.load,
        })
    });
    shown.collect()
}

fn left_out(live: &Live, pool: PoolIx, view: &View) -> Vec<LeftOut> {
    let snapshot = &live.config.runtime.snapshot;
    debug_assert_eq!(view.tiers.len(), snapshot.pools[pool.0].tiers.len());
    let why = |member: &Member| match member.state {
        State::Resting => Some("resting"),
        State::Drained => Some("drained"),
        State::Ready | State::Ejected => None,
    };
    let name = |member: &Member| -> &DeploymentId { &snapshot.deployments[member.deployment.0].id };
    let members = view.tiers.iter().flat_map(|tier| &tier.members);
    members
        .filter_map(|member| {
            Some(LeftOut {
                deployment: name(member).to_string(),
                why: why(member)?.to_owned(),
            })
        })
        .collect()
}
