//! HOW does a request get its answer? The data plane: pingora's server and connectors outside, our own attempt loop inside.
//!
//! pingora accepts connections, ends TLS, parses requests and speaks HTTP/2. [`server`] hands each request to
//! [`handler::handle`], which answers it completely. `docs/adr/0001-own-attempt-loop.md` tells why pingora's own proxying is not used.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

pub mod activity;
pub mod ask;
pub mod attempt;
pub mod auth;
pub mod body;
pub mod client_limits;
pub mod commit;
pub mod connections;
pub mod context;
pub mod downstream;
pub mod drains;
pub mod error;
pub mod evidence;
pub mod explain;
pub mod failover;
pub mod fallback;
pub mod finish;
pub mod finished;
pub mod front;
pub mod gathered;
pub mod handler;
pub mod headers;
pub mod hedge;
pub mod keepalive;
pub mod learn;
pub mod listen;
pub mod login;
pub mod misses;
pub mod observe;
pub mod options;
pub mod overload;
pub mod pins;
pub mod placing;
pub mod prompt;
pub mod refresh;
pub mod relay;
pub mod reply;
pub mod resolve;
pub mod server;
pub mod standing;
pub mod state;
pub mod tap;
pub mod trace;
pub mod tracing;
pub mod upstream;
pub mod view;
pub mod waiting;
pub mod wishes;

use crate::config::checked::WhenFull;
use crate::core::recovery::drain::Drains;
use crate::proxy::activity::Activity;
use crate::proxy::body::ByteBudget;
use crate::proxy::connections::Connections;
use crate::proxy::front::ClientConnections;
use crate::proxy::misses::MissLedger;
use crate::proxy::overload::Overload;
use crate::proxy::pins::Pins;
use crate::proxy::placing::Memory;
use crate::proxy::refresh::CredentialRefresh;
use crate::proxy::state::Live;
use crate::proxy::tracing::Tracing;
use crate::storage::queue::UsageQueue;
use crate::storage::trace::TraceQueue;
use crate::storage::trace::recent::Recent;
use crate::telemetry::finished::FinishedQueue;
use crate::telemetry::metrics::Metrics;

/// What all requests share.
pub struct Gateway {
    /// The configuration in use; a request takes it once.
    pub live: ArcSwap<Live>,
    /// Client connections.
    pub clients: Arc<ClientConnections>,
    /// Reads a refused credential anew.
    pub refresh: CredentialRefresh,
    /// Asks for refused tokens anew.
    pub tokens: CredentialRefresh,
    /// Upstream connections.
    pub connections: Arc<Connections>,
    /// Request bodies held.
    pub budget: ByteBudget,
    /// Where things are counted.
    pub metrics: Arc<Metrics>,
    /// Where usage records go.
    pub usage: UsageQueue,
    /// Who keeps which response.
    pub pins: Arc<Pins>,
    /// Where answers tell what of their prompt was cached.
    pub misses: MissLedger,
    /// Where requests leave what the trace is to have, if one is kept.
    pub trace: Option<TraceQueue>,
    /// The newest requests, for what-if questions, if they are kept.
    pub recent: Option<Recent>,
    /// Which requests are in a trace that is sent on, where any are.
    pub tracing: Option<Tracing>,
    /// Where finished requests wait for those who keep history of them.
    pub finished: FinishedQueue,
    /// What happens to a record when the queue is full.
    pub when_full: WhenFull,
    /// Requests running.
    pub activity: Arc<Activity>,
    /// How much is turned away.
    pub overload: Overload,
    /// What operators have taken out. Deployments carry what concerns them as a mark; this is locked by operators and reloads only.
    pub drains: Mutex<Drains>,
    /// What is remembered of prompts, whatever the configuration.
    pub memory: Memory,
}
