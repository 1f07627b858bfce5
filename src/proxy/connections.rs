//! The process's upstream connections: those that wait for their next request, and how new ones are made.
//!
//! HTTP/1.1 connections wait here rather than in pingora's pool, which spawns a task for every one that is given back, to watch it until it
//! is taken: a twentieth of the whole cost of a small request. Here a connection is looked at when it is taken, which is
//! when it matters, and those that waited too long are closed every few seconds. HTTP/2 connections are pingora's to share.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use pingora::connectors::http::Connector;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::{Stream, TcpKeepalive};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::{HttpPeer, Peer as _};
use tokio::io::AsyncReadExt as _;

use crate::core::topology::Endpoint;

/// How long an unused connection is kept: below the few minutes after which Azure's front door closes it.
const IDLE_MAX: Duration = Duration::from_secs(55);

/// How often those that waited too long are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Requests sharing one HTTP/2 connection, at most: below the 100 that servers commonly allow.
const H2_STREAMS_MAX: usize = 96;

/// Whom to connect to.
pub struct UpstreamPeer {
    /// The address chosen of those that its name has.
    pub address: SocketAddr,
    peer: HttpPeer,
    /// Connections with the same key are interchangeable.
    key: u64,
}

/// A connection that carries nothing for so long is asked whether the other side is still there.
const SILENT_MAX: Duration = Duration::from_secs(10);
/// It is asked so often.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// It is given up after so many questions without an answer.
const PROBES: usize = 3;
/// What was sent and is not acknowledged for so long will not be: the region, or the way to it, swallows packets. Without this the kernel
/// tries for a quarter of an hour, and a request on a pooled connection waits for its own timeout.
const UNACKED_MAX: Duration = Duration::from_secs(4);

impl UpstreamPeer {
    /// An endpoint at one of its addresses.
    pub fn new(endpoint: &Endpoint, address: SocketAddr) -> Self {
        // An empty SNI would silently switch certificate checks off; the compiler refuses an endpoint without a host.
        let mut peer = HttpPeer::new(address, endpoint.tls, endpoint.host.clone());
        if endpoint.tls && endpoint.http2 {
            peer.options.set_http_version(2, 1);
        } else {
            peer.options.set_http_version(1, 1);
        }
        peer.options.idle_timeout = Some(IDLE_MAX);
        peer.options.tcp_keepalive = Some(TcpKeepalive {
            idle: SILENT_MAX,
            interval: PROBE_EVERY,
            count: PROBES,
            #[cfg(target_os = "linux")]
            user_timeout: UNACKED_MAX,
        });
        peer.options.max_h2_streams = H2_STREAMS_MAX;
        let key = peer.reuse_hash();
        Self { address, peer, key }
    }
}

/// The process's upstream connections.
pub struct Connections {
    /// Makes HTTP/1.1 connections, as bare streams.
    streams: TransportConnector,
    /// Makes and shares HTTP/2 connections, and whatever a server falls back to.
    sessions: Connector,
    idle: Mutex<Idle>,
    idle_max: usize,
}

/// HTTP/1.1 connections without a request, by [`UpstreamPeer::key`], the one given back last at the end.
#[derive(Default)]
struct Idle {
    by_peer: HashMap<u64, VecDeque<Waiting>>,
    count: usize,
}

struct Waiting {
    stream: Stream,
    since: Instant,
}

impl Connections {
    /// No connections yet; at most so many idle ones will be kept. Those that waited too long are closed by a task on the current
    /// runtime, which ends when the last user has dropped them.
    pub fn start(idle_max: usize) -> Arc<Self> {
        let connections = Arc::new(Self::new(idle_max));
        tokio::spawn(sweep(Arc::downgrade(&connections)));
        connections
    }

    fn new(idle_max: usize) -> Self {
        let mut options = ConnectorOptions::from_server_conf(&ServerConf::default());
        options.keepalive_pool_size = idle_max;
        Self {
            streams: TransportConnector::new(Some(options.clone())),
            sessions: Connector::new(Some(options)),
            idle: Mutex::default(),
            idle_max,
        }
    }

    /// A waiting HTTP/1.1 connection that is still open, the one used last first: it is the least likely to be closed by the other
    /// side in this moment, and the others grow old and go.
    pub fn take(&self, peer: &UpstreamPeer, now: Instant) -> Option<Stream> {
        loop {
            let waiting = {
                let mut idle = self.idle.lock();
                let waiting = idle.by_peer.get_mut(&peer.key)?.pop_back()?;
                idle.count -= 1;
                waiting
            };
            let mut stream = waiting.stream;
            if now.saturating_duration_since(waiting.since) < IDLE_MAX && is_quiet(&mut stream) {
                return Some(stream);
            }
        }
    }

    /// Keeps an HTTP/1.1 connection whose exchange is complete. Where too many wait, the one that waited longest for the same peer is
    /// closed, else this one.
    pub fn keep(&self, peer: &UpstreamPeer, stream: Stream, now: Instant) {
        let mut idle = self.idle.lock();
        let is_full = idle.count >= self.idle_max;
        let line = idle.by_peer.entry(peer.key).or_default();
        let oldest = if is_full { line.pop_front() } else { None };
        if !is_full || oldest.is_some() {
            line.push_back(Waiting { stream, since: now });
            idle.count += usize::from(!is_full);
        }
        drop(idle);
        // Closed without the lock.
        drop(oldest);
    }

    /// Makes an HTTP/1.1 connection.
    ///
    /// # Errors
    /// When TCP or TLS fails.
    pub async fn connect(&self, peer: &UpstreamPeer) -> pingora::Result<Stream> {
        self.streams.new_stream(&peer.peer).await
    }

    /// A place on an HTTP/2 connection, or an HTTP/1.1 connection where the server speaks no other, and whether it was open already.
    ///
    /// # Errors
    /// When TCP, TLS or HTTP/2 fails.
    pub async fn session(&self, peer: &UpstreamPeer) -> pingora::Result<(Box<HttpSession>, bool)> {
        let (session, is_reused) = self.sessions.get_http_session(&peer.peer).await?;
        Ok((Box::new(session), is_reused))
    }

    /// Gives back what [`Connections::session`] gave. An HTTP/2 stream that is not complete is reset.
    pub async fn release(&self, peer: &UpstreamPeer, session: HttpSession) {
        self.sessions
            .release_http_session(session, &peer.peer, Some(IDLE_MAX))
            .await;
    }

    /// HTTP/1.1 connections waiting now.
    pub fn idle(&self) -> usize {
        self.idle.lock().count
    }

    fn close_old(&self, now: Instant) {
        let mut old = Vec::new();
        let mut idle = self.idle.lock();
        idle.by_peer.retain(|_, line| {
            let is_old = |waiting: &Waiting| now.saturating_duration_since(waiting.since) >= IDLE_MAX;
            while line.front().is_some_and(is_old) {
                old.extend(line.pop_front());
            }
            !line.is_empty()
        });
        idle.count -= old.len();
        drop(idle);
        // Closed without the lock.
        drop(old);
    }
}

/// Closes the connections that waited too long, every few seconds, for as long as there are any users.
async fn sweep(connections: Weak<Connections>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(connections) = connections.upgrade() else {
            return;
        };
        connections.close_old(Instant::now());
    }
}

/// Whether nothing has come on a waiting connection. A server has nothing to say there: what comes is its end, or a mistake.
fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0];
    // Tokio's budget for this task must not be taken for silence.
    tokio::task::unconstrained(stream.read(&mut byte))
        .now_or_never()
        .is_none()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    struct World {
        connections: Connections,
        peer: UpstreamPeer,
        server: TcpListener,
    }

    impl World {
        async fn new(idle_max: usize) -> Self {
            let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = server.local_addr().expect("an address");
            let endpoint = Endpoint {
                tls: false,
                http2: false,
                host: address.ip().to_string(),
                port: address.port(),
                authority: address.to_string(),
                base_path: String::new(),
            };
            Self {
                connections: Connections::new(idle_max),
                peer: UpstreamPeer::new(&endpoint, address),
                server,
            }
        }

        /// A connection, and the server's end of it.
        async fn connect(&self) -> (Stream, TcpStream) {
            let stream = self.connections.connect(&self.peer).await.expect("a connection");
            (stream, self.server.accept().await.expect("accepted").0)
        }
    }

    #[tokio::test]
    async fn the_one_used_last_is_taken_first_and_each_once() {
        let world = World::new(8).await;
        let now = Instant::now();
        let (first, _first) = world.connect().await;
        let (second, _second) = world.connect().await;
        let id = second.id();
        world.connections.keep(&world.peer, first, now);
        world.connections.keep(&world.peer, second, now);
        assert_eq!(world.connections.idle(), 2);
        assert_eq!(world.connections.take(&world.peer, now).expect("one").id(), id);
        assert!(world.connections.take(&world.peer, now).is_some());
        assert!(world.connections.take(&world.peer, now).is_none());
        assert_eq!(world.connections.idle(), 0);
    }

    #[tokio::test]
    async fn closed_ones_and_those_that_speak_are_not_taken() {
        let world = World::new(8).await;
        let now = Instant::now();
        let (closed, server) = world.connect().await;
        drop(server);
        let (speaking, mut server) = world.connect().await;
        server
            .write_all(b"HTTP/1.1 408 Request Timeout\r\n")
            .await
            .expect("sent");
        let mut pair = [closed, speaking];
        for stream in &mut pair {
            let heard = async {
                while is_quiet(stream) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), heard)
                .await
                .expect("the kernel passes it on");
        }
        for stream in pair {
            world.connections.keep(&world.peer, stream, now);
        }
        assert!(world.connections.take(&world.peer, now).is_none());
        assert_eq!(world.connections.idle(), 0);
    }

    #[tokio::test]
    async fn old_ones_are_closed() {
        let world = World::new(8).await;
        let now = Instant::now();
        let (old, mut server) = world.connect().await;
        let (young, _server) = world.connect().await;
        world.connections.keep(&world.peer, old, now);
        world
            .connections
            .keep(&world.peer, young, now + Duration::from_secs(30));
        world.connections.close_old(now + IDLE_MAX);
        assert_eq!(world.connections.idle(), 1);
        assert_eq!(server.read(&mut [0]).await.expect("its end"), 0);
        assert!(world.connections.take(&world.peer, now + 2 * IDLE_MAX).is_none());
    }

    #[tokio::test]
    async fn the_number_of_waiting_ones_is_bounded() {
        let world = World::new(2).await;
        let now = Instant::now();
        let mut servers = Vec::new();
        for _ in 0..3 {
            let (stream, server) = world.connect().await;
            servers.push(server);
            world.connections.keep(&world.peer, stream, now);
        }
        assert_eq!(world.connections.idle(), 2);
        assert_eq!(servers[0].read(&mut [0]).await.expect("the oldest's end"), 0);
    }
}
