//! What would become of a chat body, and why: the plan, without sending or counting anything.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use crate::core::placement::plan::{Candidate, Plan, Reason};
use crate::core::placement::view::{Member, State, View};
use crate::core::recovery::health::{Availability, Health};
use crate::core::topology::{Route, RouteIx};
use crate::openai::error as wire_error;
use crate::openai::request::{self, PromptMember};
use crate::openai::target::WireOperation;
use crate::proxy::Gateway;
use crate::proxy::error::{self, ProxyError, RefusalReason};
use crate::proxy::prompt::{self, Prompt, Scope};
use crate::proxy::state::Live;
use crate::proxy::{fallback, placing, waiting};
use crate::telemetry::clock;

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
    /// What the request would get, where nobody can be asked now.
    pub unasked: Option<Unasked>,
}

/// What becomes of a request while all deployments rest or are taken out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unasked {
    /// Seconds that it would wait for one at most; none where it would not wait.
    pub waits_up_to_s: Option<f64>,
    /// The status that it would get at once, or after waiting in vain.
    pub status: u16,
    /// The error's `code`.
    pub code: String,
    /// Seconds of its `retry-after`, as of now.
    pub retry_after_s: Option<f64>,
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
    /// Its priority tier in the pool, from 1.
    pub tier: usize,
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
    /// Its circuit breaker, or its resource's where that is worse: `closed`, `half_open`, `open`.
    pub breaker: String,
    /// Part of the plans that may count on it, 0 to 1: less than 1 for a while after its breaker has closed. To the others it is a
    /// last resort.
    pub share_of_plans: f64,
    /// Seconds until one request may probe it, at the latest, where its breaker keeps all others away; it is tried last until then.
    pub probed_in_s: Option<f64>,
    /// Where it has no room for the request and others do: how full it is.
    pub passed_over: Option<PassedOver>,
}

/// A deployment without room for a request, in parts of its limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PassedOver {
    /// What is used.
    pub used: f64,
    /// What would be used with the request.
    pub filled: f64,
    /// Up to what the request would fill it.
    pub full: f64,
}

/// A member that would not be tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// `resource/name`.
    pub deployment: String,
    /// Why: `resting`, `drained`, or what the control plane says, such as `missing` or `paused`.
    pub why: String,
    /// Its priority tier in the pool, from 1.
    pub tier: usize,
    /// Seconds that it is left out for, from now on; none where it is drained until somebody puts it back.
    pub for_s: Option<f64>,
    /// Until when that is (RFC 3339).
    pub until: Option<String>,
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

/// The moment of an explanation, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For everything that is decided.
    pub now: Instant,
    /// For times that are shown, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// Explains what would become of a body of a client's, a chat's or (by its `input`) a response's, by its name, which matters for
/// its hints only; no name is no client, whose hints mean nothing to anybody else's. `headers` are those of the request for the
/// explanation; sessions and a declined affinity are read from them as from a client's.
///
/// # Errors
/// 400 where no client has the name; else as the client would be refused.
pub fn explain(
    gateway: &Gateway,
    client: &str,
    body: &[u8],
    headers: &HeaderMap,
    moment: Moment,
) -> Result<Explanation, Refused> {
    let now = moment.now;
    let live = gateway.live.load_full();
    let snapshot = &live.config.runtime.snapshot;
    check_client(&live, client)?;
    let request = request::parse(body).map_err(ProxyError::from)?;
    let route = find_route(&live, request.model.as_deref())?;
    let route = &snapshot.routes[route.0];
    let pool = &snapshot.pools[route.pool.0];
    let scope = Scope {
        pool: &pool.id,
        chain: live.chain_keys[route.pool.0],
        client,
    };
    let operation = match request.prompt_member {
        PromptMember::Input => WireOperation::Responses,
        PromptMember::Messages | PromptMember::Prompt => WireOperation::Chat,
    };
    let prompt = prompt::read(scope, &request, operation, headers, None);
    let view = placing::view_as_seen(gateway, &live, route.pool, now);
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
        candidates: candidates(&live, &view, &plan, now),
        left_out: left_out(&live, &view, moment),
        unasked: plan.candidates.is_empty().then(|| unasked(&live, route, now)),
    })
}

fn unasked(live: &Live, route: &Route, now: Instant) -> Unasked {
    let pool = &live.config.runtime.snapshot.pools[route.pool.0];
    let most = route.waiting.max_wait.min(route.failover.deadline);
    let waits = !most.is_zero() && waiting::recovers_in_time(live, pool, now, now + most);
    let refusal = fallback::unasked(live, pool, now);
    Unasked {
        waits_up_to_s: waits.then_some(most.as_secs_f64()),
        status: refusal.status().as_u16(),
        code: refusal.reason().as_ref().to_owned(),
        retry_after_s: refusal.retry_after().map(|after| after.as_secs_f64()),
    }
}

/// A name that is wrong would be taken for a client without sessions, and the answer be about nobody.
fn check_client(live: &Live, name: &str) -> Result<(), Refused> {
    let clients = || live.config.runtime.snapshot.clients.iter().map(|client| &**client.id);
    if name.is_empty() || clients().any(|client| client == name) {
        return Ok(());
    }
    let (name, known) = (error::echo(name), error::list_names(clients()));
    let message = format!("there is no client `{name}`; leave `client` out, or name one of: {known}");
    Err(Refused {
        status: StatusCode::BAD_REQUEST.as_u16(),
        body: wire_error::body(&message, "invalid_request_error", Some("client"), "unknown_client"),
    })
}

/// An operator may ask about every route.
fn find_route(live: &Live, model: Option<&str>) -> Result<RouteIx, Refused> {
    let snapshot = &live.config.runtime.snapshot;
    let known = || {
        let mut names: Vec<&str> = snapshot.route_by_model.keys().map(AsRef::as_ref).collect();
        names.sort_unstable();
        error::list_names(names.into_iter())
    };
    let model = model.ok_or_else(|| ProxyError::MissingModel(known()))?;
    let route = snapshot.route_by_model.get(model).copied();
    route.ok_or_else(|| {
        let message = format!(
            "no route has the model `{}`; the models are: {}",
            error::echo(model),
            known()
        );
        Refused {
            status: StatusCode::NOT_FOUND.as_u16(),
            body: wire_error::body(
                &message,
                "invalid_request_error",
                Some("model"),
                RefusalReason::ModelNotFound.into(),
            ),
        }
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

/// The members of all tiers, each with its tier from 1.
fn members(view: &View) -> impl Iterator<Item = (usize, &Member)> {
    let tiers = view.tiers.iter().zip(1..);
    tiers.flat_map(|(tier, number)| tier.members.iter().map(move |member| (number, member)))
}

fn candidates(live: &Live, view: &View, plan: &Plan, now: Instant) -> Vec<CandidateShown> {
    let snapshot = &live.config.runtime.snapshot;
    let limit = |candidate: &Candidate| {
        let member = members(view).find(|(_, member)| member.deployment == candidate.deployment);
        member.map_or(f64::INFINITY, |(_, member)| member.limit)
    };
    // Where the first has no room, none has.
    let has_room = plan
        .candidates
        .first()
        .is_some_and(|first| passed_over(first, limit(first), plan.full).is_none());
    let shown = plan.candidates.iter().filter_map(|candidate| {
        let (tier, member) = members(view).find(|(_, member)| member.deployment == candidate.deployment)?;
        let deployment = &snapshot.deployments[candidate.deployment.0];
        let health = live.deployments[candidate.deployment.0].state.health.lock().clone();
        let of_resource = live.resource_state(candidate.deployment).health.lock().clone();
        let share = |health: &Health| health.share(&live.rules, now);
        Some(CandidateShown {
            deployment: deployment.id.to_string(),
            region: snapshot.resources[deployment.resource.0].region.to_string(),
            tier,
            reason: candidate.reason.as_ref().to_owned(),
            expected_tokens: candidate.expected_tokens,
            limit: Some(member.limit).filter(|limit| limit.is_finite()),
            room: Some(candidate.room).filter(|room| room.is_finite()),
            in_flight: member.load,
            breaker: health.state(now).max(of_resource.state(now)).as_ref().to_owned(),
            share_of_plans: share(&health).min(share(&of_resource)),
            probed_in_s: match health.availability(now).and(of_resource.availability(now)) {
                Availability::Ejected(until) | Availability::Unusable(until) => {
                    Some(until.saturating_duration_since(now).as_secs_f64())
                }
                Availability::Ready
                | Availability::Probe
                | Availability::Resting(_)
                | Availability::Drained(_)
                | Availability::Absent(_) => None,
            },
            passed_over: passed_over(candidate, member.limit, plan.full).filter(|_| has_room),
        })
    });
    shown.collect()
}

/// How full a deployment of this limit is, where it has no room for the request.
fn passed_over(candidate: &Candidate, limit: f64, full: f64) -> Option<PassedOver> {
    // What is warm for the request is filled to the brim, and what is behind an open breaker is last anyhow.
    if matches!(candidate.reason, Reason::Warm | Reason::LastResort) || !limit.is_finite() || limit <= 0.0 {
        return None;
    }
    let filled = (limit - candidate.room) / limit;
    (filled > full).then(|| PassedOver {
        used: filled - candidate.cost / limit,
        filled,
        full,
    })
}

fn left_out(live: &Live, view: &View, moment: Moment) -> Vec<LeftOut> {
    let Moment { now, now_ms } = moment;
    let snapshot = &live.config.runtime.snapshot;
    let shown = members(view).filter_map(|(tier, member)| {
        let (why, left) = match member.state {
            State::Resting => ("resting", Some(rest_left(live, member, now))),
            State::Drained => ("drained", drain_left(live, member, now)),
            State::Absent => (absence(live, member), None),
            State::Ready | State::Ejected => return None,
        };
        Some(LeftOut {
            deployment: snapshot.deployments[member.deployment.0].id.to_string(),
            why: why.to_owned(),
            tier,
            for_s: left.map(|left| left.as_secs_f64()),
            until: left.map(|left| clock::rfc3339(now_ms.saturating_add(left.as_millis() as i64))),
        })
    });
    shown.collect()
}

fn rest_left(live: &Live, member: &Member, now: Instant) -> Duration {
    match live.availability(member.deployment, now) {
        Availability::Resting(until) => until.saturating_duration_since(now),
        // Another request's answer has just ended it.
        _ => Duration::ZERO,
    }
}

/// What the control plane says against it.
fn absence(live: &Live, member: &Member) -> &'static str {
    let absent = live.deployments[member.deployment.0].state.absent.get();
    // It may have come back a moment ago.
    absent.map_or("absent", <&str>::from)
}

/// None where it stays out until it is put back.
fn drain_left(live: &Live, member: &Member, now: Instant) -> Option<Duration> {
    match live.availability(member.deployment, now) {
        Availability::Drained(end) => Some(end.time()?.saturating_duration_since(now)),
        // It has just ended.
        _ => Some(Duration::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::topology::DeploymentIx;

    #[test]
    fn a_deployment_is_passed_over_where_the_request_would_fill_it() {
        let check = |reason, room, full| {
            let candidate = Candidate {
                room,
                cost: 100.0,
                ..Candidate::new(DeploymentIx(0), reason)
            };
            passed_over(&candidate, 1_000.0, full).map(|found| (found.used * 100.0).round())
        };
        assert_eq!(check(Reason::Home, 250.0, 0.7), Some(65.0));
        assert_eq!(check(Reason::Home, 250.0, 0.95), None);
        assert_eq!(check(Reason::NoRoom, -50.0, 0.95), Some(95.0));
        for elsewhere in [Reason::Warm, Reason::LastResort] {
            assert_eq!(check(elsewhere, -50.0, 0.7), None);
        }
        let unlimited = Candidate::new(DeploymentIx(0), Reason::Home);
        assert_eq!(passed_over(&unlimited, f64::INFINITY, 0.7), None);
    }
}
