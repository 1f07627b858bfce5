//! THE HOT PATH: one function from request to response.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::Method;
use pingora::protocols::http::ServerSession;

use crate::core::admission::queue::Priority;
use crate::core::topology::{ClientIx, PoolIx, Route, RouteIx};
use crate::openai::request::{self, Request};
use crate::openai::target::{self, Target, WireOperation};
use crate::proxy::Gateway;
use crate::proxy::body::{self, BodyError};
use crate::proxy::context::RequestContext;
use crate::proxy::downstream::Downstream;
use crate::proxy::error::{self, ProxyError};
use crate::proxy::failover::{self, Call, Stop};
use crate::proxy::headers::Forwarded;
use crate::proxy::placing::{self, Placed};
use crate::proxy::prompt::{Prompt, Scope};
use crate::proxy::state::Live;
use crate::proxy::wishes::Wishes;
use crate::proxy::{client_limits, headers, overload, pins, prompt, relay, reply};
use crate::telemetry::events::{AuthFailed, AuthFailure};

/// Answers a request.
///
/// # Errors
/// When the client left or its connection cannot be used any more.
pub async fn handle(
    gateway: &Gateway,
    session: &mut ServerSession,
    context: &mut RequestContext,
) -> pingora::Result<()> {
    match answer(gateway, session, context).await {
        Ok(()) => Ok(()),
        Err(Stop::ClientGone(error)) => Err(error),
        // Boxed, since they are large and seldom needed.
        Err(Stop::Refused(error)) => Box::pin(reply::refuse(gateway, session, context, error)).await,
        Err(Stop::PassOn(failure)) => Box::pin(reply::pass_on(session, context, *failure)).await,
    }
}

/// The way of a request. Up to the last step nothing is sent to the client; after it began, nothing is tried again.
async fn answer(gateway: &Gateway, session: &mut ServerSession, context: &mut RequestContext) -> Result<(), Stop> {
    let live = gateway.live.load_full();
    context.live = Some(Arc::clone(&live));
    let (operation, deployment) = match identify(gateway, &live, session, context)? {
        Asked::Inference { operation, deployment } => (operation, deployment),
        Asked::Models { name } => return Box::pin(tell_models(&live, session, context, name)).await,
    };

    let wishes = Wishes::read(&session.req_header().headers, priority_of(&live, context))?;
    overload::admit(gateway, &live, session, wishes.priority).await?;
    let arriving = Instant::now();
    let body = body::read_whole(session, &live.config.runtime.limits, &gateway.budget).await;
    context.body_wait = arriving.elapsed();
    let body = body?;
    let request = request::parse(&body.bytes)?;
    request.check_served(operation)?;
    context.prompt_bytes = request.prompt_bytes();
    context.keeps_response = operation == WireOperation::Responses && request.response.is_stored;

    let model = deployment.map(Cow::Owned).or_else(|| request.model.clone());
    let route_ix = find_route(&live, context, model.as_deref())?;
    context.enter_route(route_ix);
    context.trace = gateway
        .tracing
        .map(|tracing| tracing.begin(&session.req_header().headers));
    let route = &live.config.runtime.snapshot.routes[route_ix.0];
    let pool = &live.config.runtime.snapshot.pools[route.pool.0];

    let prompt = admit_prompt(gateway, &live, session, context, route, &request)?;
    let tokens = prompt.ask.total_tokens;
    let pinned = if operation == WireOperation::Responses {
        pins::pinned(&gateway.pins, &live, context, pool, &request).await?
    } else {
        None
    };
    let only = pinned.map(|deployment| pool.only(deployment));
    let now = Instant::now();
    let mut plan = placing::plan(gateway, &live, route, &prompt, pinned, now);
    context.placed = Some(Box::new(Placed::of(
        &plan,
        route.policy,
        prompt,
        gateway.memory.since_start(now),
    )));

    let forwarded = Forwarded::of(&session.req_header().headers, context.trace);
    let mut downstream = Downstream::new(session, route.timeouts.idle);
    let call = Call {
        live: &live,
        route,
        route_ix,
        priority: wishes.priority,
        tokens,
        deadline: context.started + wishes.at_most(route.failover.deadline),
        pool: only.as_ref().unwrap_or(pool),
        pinned,
        operation,
        body: &body.bytes,
        request: &request,
        forwarded: &forwarded,
    };
    let chosen = failover::first_answer(gateway, &mut downstream, context, &call, &mut plan).await?;
    // No other deployment will be asked any more.
    drop(body);
    relay::relay(gateway, &mut downstream, context, &live, route, chosen)
        .await
        .map_err(Stop::ClientGone)
}

/// Answers with the models that the client may ask for, or with the one that it names.
async fn tell_models(
    live: &Live,
    session: &mut ServerSession,
    context: &mut RequestContext,
    name: Option<String>,
) -> Result<(), Stop> {
    if let Some(name) = &name {
        find_route(live, context, Some(name))?;
    }
    reply::models(session, context, name).await.map_err(Stop::ClientGone)
}

/// How urgent a client's requests are at most.
fn priority_of(live: &Live, context: &RequestContext) -> Priority {
    let clients = &live.config.runtime.snapshot.clients;
    context
        .client
        .map_or_else(Priority::default, |client| clients[client.0].priority)
}

/// Reads the prompt and lets the request in, if the limits of its client and route allow.
fn admit_prompt(
    gateway: &Gateway,
    live: &Live,
    session: &ServerSession,
    context: &mut RequestContext,
    route: &Route,
    request: &Request<'_>,
) -> Result<Prompt, ProxyError> {
    let operation = context.operation.unwrap_or(WireOperation::Chat);
    let now = Instant::now();
    // What continues a response has no beginning that could drift.
    let is_begun = operation == WireOperation::Responses && request.response.previous_id.is_some();
    let mut sampler = (!is_begun).then(|| gateway.misses.sampler(&route.id, now)).flatten();
    let headers = &session.req_header().headers;
    let prompt = prompt::read(
        scope(live, context, route.pool),
        request,
        operation,
        headers,
        sampler.as_mut(),
    );
    client_limits::admit(live, context, prompt.ask.total_tokens, now)?;
    if let Some(sampler) = sampler {
        gateway.misses.sample(&live.config.runtime.snapshot, route, sampler);
    }
    Ok(prompt)
}

/// Whose prompt it is.
fn scope<'a>(live: &'a Live, context: &RequestContext, pool: PoolIx) -> Scope<'a> {
    let snapshot = &live.config.runtime.snapshot;
    let clients = &snapshot.clients;
    Scope {
        pool: &snapshot.pools[pool.0].id,
        chain: live.chain_keys[pool.0],
        client: context.client.map_or("", |client| &clients[client.0].id),
    }
}

/// What a client, now known, asks for.
enum Asked {
    Models {
        name: Option<String>,
    },
    Inference {
        operation: WireOperation,
        deployment: Option<String>,
    },
}

/// Reads path, method and key.
fn identify(
    gateway: &Gateway,
    live: &Live,
    session: &ServerSession,
    context: &mut RequestContext,
) -> Result<Asked, ProxyError> {
    let head = session.req_header();
    let path = head.uri.path();
    let Some(target) = target::parse(path) else {
        return Err(ProxyError::NotServed {
            method: error::echo(head.method.as_str()),
            path: error::echo(path),
        });
    };
    let (method, allowed) = match target {
        Target::Models { .. } => (Method::GET, "GET"),
        Target::Inference { .. } => (Method::POST, "POST"),
    };
    if head.method != method {
        return Err(ProxyError::WrongMethod {
            path: error::echo(path),
            allowed,
        });
    }
    match live.keys.authenticate(&head.headers) {
        Ok(client) => context.client = Some(client),
        Err(refused) => {
            AuthFailed {
                request_id: &context.id,
                reason: refused,
            }
            .emit(&gateway.metrics);
            return Err(ProxyError::Unauthorized(match refused {
                AuthFailure::Missing => "no key was sent",
                AuthFailure::Unknown => "the key is not known",
            }));
        }
    }
    Ok(match target {
        Target::Models { name } => Asked::Models {
            name: name.map(Cow::into_owned),
        },
        Target::Inference { operation, deployment } => {
            context.operation = Some(operation);
            Asked::Inference {
                operation,
                deployment: deployment.map(Cow::into_owned),
            }
        }
    })
}

/// The route for a model name, if this client may use it.
fn find_route(live: &Live, context: &RequestContext, model: Option<&str>) -> Result<RouteIx, ProxyError> {
    let snapshot = &live.config.runtime.snapshot;
    let known = || error::list_names(headers::models_of(live, context).iter().map(String::as_str));
    let model = model.ok_or_else(|| ProxyError::MissingModel(known()))?;
    let may_use = |client: ClientIx, route: RouteIx| snapshot.clients[client.0].routes.allows(route);
    snapshot
        .route_by_model
        .get(model)
        .copied()
        .filter(|&route| context.client.is_some_and(|client| may_use(client, route)))
        .ok_or_else(|| ProxyError::UnknownModel {
            model: error::echo(model),
            known: known(),
        })
}

impl From<BodyError> for Stop {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Refused(error) => Self::Refused(error),
            BodyError::Downstream(error) => Self::ClientGone(error),
        }
    }
}
