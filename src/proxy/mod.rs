//! HOW does a request get its answer? The data plane: pingora's shell outside, our own attempt loop inside.
//!
//! pingora accepts connections, parses requests, keeps them alive, speaks HTTP/2 and TLS, and calls `logging` at the end. Its
//! `request_filter` hands each request to [`handler::handle`], which answers it completely; pingora's own upstream side is never
//! used. `docs/adr/0001-own-attempt-loop.md` tells why.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::proxy::{ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

pub mod activity;
pub mod auth;
pub mod body;
pub mod commit;
pub mod context;
pub mod downstream;
pub mod error;
pub mod failover;
pub mod finish;
pub mod handler;
pub mod headers;
pub mod listen;
pub mod relay;
pub mod reply;
pub mod resolve;
pub mod state;
pub mod tap;
pub mod upstream;
pub mod view;

use crate::config::checked::WhenFull;
use crate::proxy::activity::{Activity, Running};
use crate::proxy::body::ByteBudget;
use crate::proxy::context::RequestContext;
use crate::proxy::state::Live;
use crate::proxy::upstream::Connections;
use crate::storage::queue::UsageQueue;
use crate::telemetry::clock;
use crate::telemetry::metrics::Metrics;

/// What all requests share.
pub struct Gateway {
    /// The configuration in use; a request takes it once.
    pub live: ArcSwap<Live>,
    /// Upstream connections.
    pub connections: Arc<Connections>,
    /// Request bodies held.
    pub budget: ByteBudget,
    /// Where things are counted.
    pub metrics: Arc<Metrics>,
    /// Where usage records go.
    pub usage: UsageQueue,
    /// What happens to a record when the queue is full.
    pub when_full: WhenFull,
    /// Requests running.
    pub activity: Arc<Activity>,
}

/// What pingora keeps for a request: its facts, and its place among the running ones.
pub struct PerRequest {
    facts: RequestContext,
    gateway: Arc<Gateway>,
    _running: Running,
}

impl Drop for PerRequest {
    /// A request whose future is dropped (its connection's task was ended) is recorded all the same.
    fn drop(&mut self) {
        finish::finish(&self.gateway, &mut self.facts);
    }
}

/// The part of the gateway that pingora calls.
pub struct Shell(pub Arc<Gateway>);

#[async_trait]
impl ProxyHttp for Shell {
    type CTX = PerRequest;

    fn new_ctx(&self) -> PerRequest {
        let id = format!("{:032x}", rand::random::<u128>());
        let facts = RequestContext::new(id, Instant::now(), clock::now_ms());
        PerRequest {
            facts,
            gateway: Arc::clone(&self.0),
            _running: self.0.activity.enter(),
        }
    }

    async fn request_filter(&self, session: &mut Session, context: &mut PerRequest) -> pingora::Result<bool> {
        let cut_off = std::pin::pin!(self.0.activity.is_cut_off());
        let answered = tokio::select! {
            biased;
            answered = handler::handle(&self.0, session.as_downstream_mut(), &mut context.facts) => answered,
            () = cut_off => {
                context.facts.cut_off();
                Err(Error::explain(ErrorType::InternalError, "cut off: the drain's time was over").into_down())
            }
        };
        answered.map(|()| true)
    }

    async fn logging(&self, _session: &mut Session, _error: Option<&Error>, context: &mut PerRequest) {
        finish::finish_waiting(&self.0, &mut context.facts).await;
    }

    fn suppress_error_log(&self, _session: &Session, _context: &PerRequest, error: &Error) -> bool {
        // Clients that leave, and answers that broke, have their own line and metric.
        matches!(
            error.esource(),
            ErrorSource::Downstream | ErrorSource::Upstream | ErrorSource::Unset
        )
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut PerRequest) -> pingora::Result<Box<HttpPeer>> {
        // `request_filter` answers every request, so pingora never asks for a peer.
        Err(Error::explain(
            ErrorType::InternalError,
            "pingora's upstream side is not used",
        ))
    }
}
