//! The checked configuration: everything resolved, nothing left to validate.
//!
//! It has two halves. [`Install`] is fixed for the life of the process (listeners, store, threads); [`Runtime`]
//! is replaced as a whole by a reload. A reload that would change `Install` is refused by name.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::config::checked::admin::AdminListener;
use crate::config::checked::azure::{AzureSettings, Care};
use crate::config::checked::telemetry::OtlpSettings;
use crate::config::errors::Problem;
use crate::config::secrets::Secret;
use crate::core::recovery::health::Rules;
use crate::core::topology::{ClientIx, Snapshot};

pub mod admin;
pub mod azure;
pub mod telemetry;

/// A configuration that has passed every check.
#[derive(Debug)]
pub struct Checked {
    /// Fixed at start.
    pub install: Install,
    /// Replaced by a reload.
    pub runtime: Runtime,
    /// What is legal but probably not meant, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// What only a restart can change.
#[derive(Debug, Clone, PartialEq)]
pub struct Install {
    /// Where clients connect; at least one.
    pub listeners: Vec<Listener>,
    /// Where operators connect.
    pub admin: AdminListener,
    /// Where usage records go.
    pub usage: UsageSettings,
    /// The trace that is kept, if one is.
    pub trace: Option<TraceSettings>,
    /// Azure's control plane, if it may be called.
    pub azure: Option<AzureSettings>,
    /// Who is told what people should look at, if anybody is.
    pub alerts: Option<AlertSettings>,
    /// Where traces and metrics are sent, if anywhere.
    pub otlp: Option<OtlpSettings>,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// What is logged, and how.
    pub log: LogSettings,
}

/// A webhook.
#[derive(Clone, PartialEq)]
pub struct AlertSettings {
    /// Where alerts are sent. It may be a secret: only its host is shown.
    pub url: Url,
    /// Value of the header `Authorization`.
    pub authorization: Option<Secret>,
}

impl std::fmt::Debug for AlertSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlertSettings").finish_non_exhaustive()
    }
}

/// One address that clients connect to.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Where to listen.
    pub address: SocketAddr,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Whether HTTP/2 without TLS (prior knowledge) is understood too; TLS listeners always offer it by ALPN.
    pub h2c: bool,
}

/// PEM files of a listener's certificate chain and private key.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsFiles {
    /// Certificate chain, leaf first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// The usage store and its queue.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageSettings {
    /// SQLite file.
    pub path: PathBuf,
    /// Most records waiting to be written.
    pub queue: usize,
    /// What happens to a record when the queue is full.
    pub when_full: WhenFull,
    /// Days that records are kept; none keeps them for ever.
    pub keep_days: Option<u32>,
}

/// A trace of what comes.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    /// The file that is written.
    pub path: PathBuf,
    /// Share of conversations, above 0 and at most 1.
    pub share: f64,
    /// Key of all hashes; random without.
    pub key: Option<Secret>,
    /// Size of a file, in bytes, beyond which the next is begun.
    pub rotate_bytes: usize,
    /// Older files that are kept.
    pub keep: u32,
}

/// What happens to a usage record when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is dropped and counted: answers are never delayed.
    Drop,
    /// The finished request waits for room: records are never lost, connections may be held.
    Wait,
}

/// How the process ends on SIGTERM.
#[derive(Debug, Clone, PartialEq)]
pub struct Shutdown {
    /// How long `/readyz` says no while connections are still accepted.
    pub delay: Duration,
    /// How long running requests may take after that.
    pub drain: Duration,
}

/// Log output.
#[derive(Debug, Clone, PartialEq)]
pub struct LogSettings {
    /// A filter as `tracing_subscriber::EnvFilter` reads it, such as `info` or `emberway=debug`.
    pub filter: String,
    /// Lines for people or for machines.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text, coloured on a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What a reload replaces.
#[derive(Debug)]
pub struct Runtime {
    /// The fleet.
    pub snapshot: Arc<Snapshot>,
    /// SHA-256 digests of client keys; a client may have several.
    pub client_keys: Vec<ClientKey>,
    /// How to log in to each resource, by `ResourceIx`.
    pub credentials: Vec<Credential>,
    /// What is declared of the fleet for the control plane.
    pub care: Care,
    /// Bounds on what clients may send.
    pub limits: Limits,
    /// How throttled and failing deployments are set aside.
    pub health: Rules,
}

/// A client's key, as a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey {
    /// SHA-256 of the key's UTF-8 bytes.
    pub digest: [u8; 32],
    /// Whose key it is.
    pub client: ClientIx,
}

/// How the gateway logs in to a resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Credential {
    /// Sent as `api-key`.
    ApiKey(Secret),
    /// Sent as `Authorization: Bearer`.
    Bearer(Secret),
    /// A token that is got and renewed by the control plane's credential, sent as `Authorization: Bearer`.
    Entra(EntraLogin),
}

/// Which token a resource is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntraLogin {
    /// Its scope.
    pub audience: String,
    /// The tenant, where it is not that of `azure.credential`; one of `azure.tenants`.
    pub tenant: Option<String>,
}

/// Bounds on what clients may send.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Largest request body, in bytes.
    pub body_bytes: usize,
    /// Request bodies held by the whole process at one time, in bytes.
    pub held_bytes: usize,
    /// Longest time for a request body to arrive.
    pub body_time: Duration,
    /// Longest time for a request's head to arrive.
    pub head_time: Duration,
    /// Client connections that may be open at one time; at least 1.
    pub connections: usize,
    /// Requests that may run at one time; at least 1.
    pub running_requests: usize,
    /// How late tasks may run before requests are turned away; zero for as late as they like.
    pub max_delay: Duration,
}
