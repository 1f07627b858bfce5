//! Limits of clients and routes: lets a request in or says why not, sets right at its end what it was estimated to use, and tells
//! the client where it stands.
//!
//! What was used lives beside the configuration ([`ClientState`](super::state::ClientState),
//! [`RouteState`](super::state::RouteState)), so that a reload forgives nothing and another limit holds at once. All that a request
//! concerns is looked at and taken under the same locks, the client's before the route's. Where nothing is limited, nothing is
//! locked.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use strum::IntoStaticStr;

use crate::core::admission::limit::{Excess, LimitKind, LimitRule, Standing, Tally};
use crate::core::ids::{ClientId, RouteId};
use crate::core::topology::{Client, ClientIx, Route, RouteIx};
use crate::proxy::context::RequestContext;
use crate::proxy::error::ProxyError;
use crate::proxy::state::Live;
use crate::telemetry::events::ClientLimited;

/// What is used of a route.
#[derive(Debug, Default)]
pub struct RouteTallies {
    /// By all clients together.
    all: Tally,
    /// By each client that has used it since it was limited.
    by_client: HashMap<ClientId, Tally>,
}

impl RouteTallies {
    /// Forgets clients that are not configured any more.
    pub fn retain(&mut self, is_known: impl Fn(&ClientId) -> bool) {
        self.by_client.retain(|client, _| is_known(client));
    }
}

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LimitOf {
    /// The client's, whatever the route.
    Client,
    /// The route's, for all clients together.
    Route,
    /// The route's for each client.
    ClientOnRoute,
}

/// A request that was not let in.
#[derive(Debug)]
pub struct Limited {
    of: LimitOf,
    client: ClientId,
    route: RouteId,
    /// What it was estimated to use.
    tokens: u32,
    excess: Excess,
}

impl Limited {
    /// When to come back; none where that is in vain.
    pub fn after(&self) -> Option<Duration> {
        self.excess.after
    }
}

impl Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (client, route, size) = (&self.client, &self.route, self.excess.limit);
        let whose = match self.of {
            LimitOf::Client => format!("the limit of client `{client}`"),
            LimitOf::Route => format!("the limit of model `{route}` for all clients together"),
            LimitOf::ClientOnRoute => format!("the limit of client `{client}` for model `{route}`"),
        };
        let what = match self.excess.kind {
            LimitKind::Requests => "requests a minute",
            LimitKind::Tokens => "tokens a minute",
            LimitKind::Concurrency => "requests at one time",
        };
        match self.excess.after {
            Some(after) => {
                let seconds = after.as_secs_f64();
                write!(f, "{whose} is reached: {size} {what}; try again in {seconds:.1} s")
            }
            None => write!(
                f,
                "the request counts {} tokens, prompt and longest answer together, which is more than {whose}: {size} {what}; \
                 shorten the prompt or ask for a shorter answer by `max_completion_tokens`",
                self.tokens
            ),
        }
    }
}

/// What concerns a request, locked.
struct Held<'a> {
    client: &'a Client,
    route: Option<&'a Route>,
    own: Option<MutexGuard<'a, Tally>>,
    shared: Option<MutexGuard<'a, RouteTallies>>,
}

impl<'a> Held<'a> {
    /// None where nothing is limited.
    fn lock(live: &'a Live, client_ix: ClientIx, route_ix: Option<RouteIx>) -> Option<Self> {
        let snapshot = &live.config.runtime.snapshot;
        let client = &snapshot.clients[client_ix.0];
        let route = route_ix.map(|route| &snapshot.routes[route.0]);
        let is_shared = route.is_some_and(|route| !(route.limits.is_none() && route.client_limits.is_none()));
        if client.limits.is_none() && !is_shared {
            return None;
        }
        let own = (!client.limits.is_none()).then(|| live.clients[client_ix.0].tally.lock());
        let shared = route_ix
            .filter(|_| is_shared)
            .map(|route| live.routes[route.0].tallies.lock());
        Some(Self {
            client,
            route,
            own,
            shared,
        })
    }

    /// Does something with each tally that has a limit.
    fn each(&mut self, mut act: impl FnMut(LimitOf, &LimitRule, &mut Tally)) {
        if let Some(own) = &mut self.own {
            act(LimitOf::Client, &self.client.limits, own);
        }
        let (Some(shared), Some(route)) = (&mut self.shared, self.route) else {
            return;
        };
        if !route.limits.is_none() {
            act(LimitOf::Route, &route.limits, &mut shared.all);
        }
        if route.client_limits.is_none() {
            return;
        }
        if let Some(tally) = shared.by_client.get_mut(&self.client.id) {
            act(LimitOf::ClientOnRoute, &route.client_limits, tally);
        } else {
            let mut tally = Tally::default();
            act(LimitOf::ClientOnRoute, &route.client_limits, &mut tally);
            shared.by_client.insert(self.client.id.clone(), tally);
        }
    }
}

/// Lets a request in that is estimated to use so many tokens, and takes them.
///
/// # Errors
/// [`ProxyError::Limited`] where a limit is in the way; nothing is taken then.
pub fn admit(live: &Live, context: &mut RequestContext, tokens: u32, now: Instant) -> Result<(), ProxyError> {
    let (Some(client), Some(route)) = (context.client, context.route) else {
        return Ok(());
    };
    let Some(mut held) = Held::lock(live, client, Some(route)) else {
        return Ok(());
    };
    let snapshot = &live.config.runtime.snapshot;
    let replicas = f64::from(snapshot.replicas);
    let mut worst: Option<(LimitOf, Excess)> = None;
    held.each(|of, rule, tally| {
        if let Some(excess) = tally.excess(rule, replicas, tokens, now)
            && worst.is_none_or(|(_, known)| known.longer(excess) != known)
        {
            worst = Some((of, excess));
        }
    });
    let Some((of, excess)) = worst else {
        held.each(|_, rule, tally| tally.take(rule, replicas, tokens, now));
        context.reserved = Some(tokens);
        return Ok(());
    };
    drop(held);
    ClientLimited {
        request_id: &context.id,
        client,
        route,
        of: of.into(),
        limit: excess.kind.into(),
    }
    .emit(&live.series);
    Err(ProxyError::Limited(Box::new(Limited {
        of,
        client: snapshot.clients[client.0].id.clone(),
        route: snapshot.routes[route.0].id.clone(),
        tokens,
        excess,
    })))
}

/// Sets right what a request took when it was let in, now that it has ended and used so many tokens. Nothing where it took nothing.
pub fn settle(live: &Live, context: &mut RequestContext, used: u64, now: Instant) {
    let (Some(taken), Some(client)) = (context.reserved.take(), context.client) else {
        return;
    };
    let replicas = f64::from(live.config.runtime.snapshot.replicas);
    if let Some(mut held) = Held::lock(live, client, context.route) {
        held.each(|_, rule, tally| tally.settle(rule, replicas, taken, used, now));
    }
}

/// Where a request's client stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standings {
    /// By requests a minute, where that is limited; the tightest.
    pub requests: Option<Standing>,
    /// The same by tokens.
    pub tokens: Option<Standing>,
}

/// Where the client of a request stands, by the tightest of the limits that apply. None where none does.
pub fn standings(live: &Live, context: &RequestContext, now: Instant) -> Option<Standings> {
    let mut held = Held::lock(live, context.client?, context.route)?;
    let replicas = f64::from(live.config.runtime.snapshot.replicas);
    let mut standings = Standings::default();
    let tighten = |known: &mut Option<Standing>, other: Option<Standing>| {
        *known = known.take().into_iter().chain(other).reduce(Standing::tighter);
    };
    held.each(|_, rule, tally| {
        let of = |kind| tally.standing(rule, replicas, kind, now);
        tighten(&mut standings.requests, of(LimitKind::Requests));
        tighten(&mut standings.tokens, of(LimitKind::Tokens));
    });
    Some(standings)
}
