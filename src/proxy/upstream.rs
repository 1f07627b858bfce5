//! One exchange with one upstream: connect, send, read the answer. The only seam to pingora's connectors.
//!
//! A pooled connection may have been closed by the other side a moment ago. If it fails before any byte of an answer, the
//! request is sent again on another connection to the same upstream; it has not been processed, since a live server
//! would have answered or closed in order. Everything else is reported and decided by the caller.
//!
//! HTTP/1.1 with a body of ordinary size goes out in one write: head and body together, where pingora's session would
//! make two, each a system call, a packet and a wake-up of the other side. That is a sixth of the whole cost of a small
//! request. pingora's session then reads the answer. Large bodies and HTTP/2 are written by pingora's sessions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::FutureExt as _;
use pingora::connectors::http::Connector;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::http::v1::client::HttpSession as Http1Session;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::{HttpPeer, Peer as _};
use pingora::{ErrorType, OrErr as _};
use tokio::io::AsyncWriteExt as _;

use crate::core::topology::{Endpoint, ResourceIx, Timeouts};
use crate::openai::body;
use crate::proxy::headers::UpstreamHead;
use crate::proxy::state::LiveResource;
use crate::telemetry::events::UpstreamConnected;
use crate::telemetry::series::FleetSeries;

/// Bodies up to this size go out together with their head.
const ONE_WRITE_BYTES_MAX: usize = 128 * 1024;

/// Large bodies are written in slices, so that an early answer (413, 429) is noticed between them.
const SLICE_BYTES: usize = 256 * 1024;

/// How long an answer is waited for after writing the request failed: the upstream may have refused it without reading it.
const ANSWER_AFTER_WRITE_ERROR: Duration = Duration::from_millis(200);

/// Pooled connections tried at most before a new one is insisted on by giving up.
const STALE_CONNECTIONS_MAX: usize = 3;

/// How long an unused connection is offered for reuse: below the few minutes after which Azure's front door closes it.
pub const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(55);

/// Bounds on reading an error's body: larger or slower ones are cut off.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;
const ERROR_BODY_TIME_MAX: Duration = Duration::from_secs(1);

/// Why an exchange gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No connection: name, TCP or TLS.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// The connection broke before the answer's head.
    #[error("connection broke before an answer: {0}")]
    Reset(Box<pingora::Error>),
    /// The answer's head did not come in time.
    #[error("no answer in time")]
    Timeout,
}

/// The process's upstream connections.
pub struct Connections {
    /// HTTP/1.1, as bare streams.
    streams: TransportConnector,
    /// HTTP/2, and whatever a server falls back to.
    sessions: Connector,
}

impl Connections {
    /// No connections yet; at most so many idle ones will be kept.
    pub fn new(idle_max: usize) -> Self {
        let mut options = ConnectorOptions::from_server_conf(&ServerConf::default());
        options.keepalive_pool_size = idle_max;
        Self {
            streams: TransportConnector::new(Some(options.clone())),
            sessions: Connector::new(Some(options)),
        }
    }
}

/// What to send, and where.
pub struct Exchange<'a> {
    /// The process's connections.
    pub connections: &'a Arc<Connections>,
    /// Whom to ask.
    pub resource: &'a LiveResource,
    /// Its place in the snapshot, and the series that connections are counted in.
    pub counted: (ResourceIx, &'a FleetSeries),
    /// Its endpoint.
    pub endpoint: &'a Endpoint,
    /// The request's head.
    pub head: &'a UpstreamHead<'a>,
    /// The request's body.
    pub body: &'a [Bytes],
    /// The route's time limits.
    pub timeouts: &'a Timeouts,
    /// Longest time to connect.
    pub connect: Duration,
    /// Longest time from the last byte sent to the answer's head.
    pub first_byte: Duration,
}

/// An answer whose head has been read.
pub struct Answer {
    /// Present until the connection is given back.
    session: Option<HttpSession>,
    peer: Arc<(SocketAddr, HttpPeer)>,
    connections: Arc<Connections>,
    is_complete: bool,
}

/// A connection ready for one request.
enum Line {
    /// A bare stream, HTTP/1.1.
    Stream(Stream),
    /// A session of pingora's, of whatever version was negotiated.
    Session(Box<HttpSession>),
}

impl Exchange<'_> {
    /// Sends the request and reads the answer's head.
    ///
    /// # Errors
    /// When there is no connection, or no head in time.
    pub async fn open(&self) -> Result<Answer, OpenError> {
        let mut stale = 0;
        loop {
            let (line, peer, is_reused) = self.connect().await?;
            UpstreamConnected {
                resource: self.counted.0,
                reused: is_reused,
            }
            .emit(self.counted.1);
            match self.send(line, peer).await {
                Ok(answer) => return Ok(answer),
                Err(OpenError::Reset(error)) if is_reused && stale < STALE_CONNECTIONS_MAX => {
                    stale += 1;
                    tracing::debug!(%error, "a pooled connection was stale; sending again on another");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a pooled connection, or makes one.
    async fn connect(&self) -> Result<(Line, Arc<(SocketAddr, HttpPeer)>, bool), OpenError> {
        let address = match self.resource.address.known(Instant::now()) {
            Some(address) => address,
            None => Box::pin(self.look_up()).await?,
        };
        let peer = self.resource.peer(self.endpoint, address);
        if !self.speaks_http2()
            && let Some(stream) = self.connections.streams.reused_stream(&peer.1).await
        {
            return Ok((Line::Stream(stream), peer, true));
        }
        // Boxed, since it is large and seldom needed: an answer's future would carry it along all the time.
        match Box::pin(tokio::time::timeout(self.connect, self.connect_anew(&peer.1))).await {
            Ok(Ok((line, is_reused))) => Ok((line, peer, is_reused)),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.unreachable(&"timed out")),
        }
    }

    async fn connect_anew(&self, peer: &HttpPeer) -> pingora::Result<(Line, bool)> {
        if self.speaks_http2() {
            let (session, is_reused) = self.connections.sessions.get_http_session(peer).await?;
            return Ok((Line::Session(Box::new(session)), is_reused));
        }
        Ok((Line::Stream(self.connections.streams.new_stream(peer).await?), false))
    }

    async fn look_up(&self) -> Result<SocketAddr, OpenError> {
        self.resource
            .address
            .get(Instant::now())
            .await
            .map_err(|error| self.unreachable(&error))
    }

    fn speaks_http2(&self) -> bool {
        self.endpoint.tls && self.endpoint.http2
    }

    fn unreachable(&self, error: &dyn std::fmt::Display) -> OpenError {
        self.resource.address.failed();
        OpenError::Unreachable(error.to_string())
    }

    /// Writes the request and reads the answer's head.
    async fn send(&self, line: Line, peer: Arc<(SocketAddr, HttpPeer)>) -> Result<Answer, OpenError> {
        let (session, written) = match line {
            Line::Stream(mut stream) if body::length(self.body) <= ONE_WRITE_BYTES_MAX => {
                let written = self.write_at_once(&mut stream).await;
                (HttpSession::H1(Http1Session::new(stream)), written)
            }
            Line::Stream(stream) => {
                let mut session = HttpSession::H1(Http1Session::new(stream));
                let written = Box::pin(self.write(&mut session)).await;
                (session, written)
            }
            Line::Session(mut session) => {
                let written = Box::pin(self.write(&mut session)).await;
                (*session, written)
            }
        };
        let connections = Arc::clone(self.connections);
        let mut answer = Answer {
            session: Some(session),
            peer,
            connections,
            is_complete: false,
        };
        let patience = match &written {
            Ok(()) => self.first_byte,
            Err(_) => ANSWER_AFTER_WRITE_ERROR.min(self.first_byte),
        };
        match (tokio::time::timeout(patience, answer.read_final_head()).await, written) {
            (Ok(Ok(())), _) => Ok(answer),
            (_, Err(error)) | (Ok(Err(error)), Ok(())) => Err(OpenError::Reset(error)),
            (Err(_), Ok(())) => Err(OpenError::Timeout),
        }
    }

    /// Writes head and body together.
    async fn write_at_once(&self, stream: &mut Stream) -> pingora::Result<()> {
        let mut head = BytesMut::with_capacity(1024);
        self.head.write_http1(&mut head);
        let writing = async {
            let mut pieces = self.body.iter().cloned();
            stream
                .write_all_buf(&mut head.chain(pieces.next().unwrap_or_default()))
                .await?;
            for mut piece in pieces {
                stream.write_all_buf(&mut piece).await?;
            }
            stream.flush().await
        };
        match tokio::time::timeout(self.timeouts.idle, writing).await {
            Ok(written) => written.or_err(ErrorType::WriteError, "while writing a request"),
            Err(_) => Err(pingora::Error::explain(
                ErrorType::WriteTimedout,
                "while writing a request",
            )),
        }
    }

    /// Writes head and body through pingora's session, the body in slices.
    async fn write(&self, session: &mut HttpSession) -> pingora::Result<()> {
        session.set_write_timeout(Some(self.timeouts.idle));
        session.write_request_header(Box::new(self.head.to_pingora()?)).await?;
        let mut left = body::length(self.body);
        for piece in self.body {
            let mut piece = piece.clone();
            while !piece.is_empty() {
                let slice = piece.split_to(piece.len().min(SLICE_BYTES));
                left -= slice.len();
                session.write_request_body(slice, left == 0).await?;
                // Polled once: an upstream that refuses early says so while we write.
                if left > 0 && matches!(session.read_response_header().now_or_never(), Some(Ok(()))) {
                    return Ok(());
                }
            }
        }
        session.finish_request_body().await
    }
}

impl Answer {
    /// The answer's head.
    pub fn head(&self) -> Option<&ResponseHeader> {
        self.session.as_ref()?.response_header()
    }

    /// Reads heads until one is no longer informational.
    async fn read_final_head(&mut self) -> pingora::Result<()> {
        let Some(session) = self.session.as_mut() else {
            return Ok(());
        };
        while session
            .response_header()
            .is_none_or(|head| head.status.is_informational())
        {
            session.read_response_header().await?;
        }
        Ok(())
    }

    /// The answer's status.
    pub fn status(&self) -> u16 {
        self.head().map_or(0, |head| head.status.as_u16())
    }

    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// When the connection breaks before the body's end.
    pub async fn next(&mut self) -> pingora::Result<Option<Bytes>> {
        let Some(session) = self.session.as_mut() else {
            return Ok(None);
        };
        let piece = session.read_response_body().await?;
        self.is_complete |= piece.is_none();
        Ok(piece)
    }

    /// The next piece if it is there already.
    pub fn next_if_ready(&mut self) -> Option<pingora::Result<Option<Bytes>>> {
        self.next().now_or_never()
    }

    /// Reads an error's body, within bounds, and gives the connection back.
    pub async fn error_body(mut self) -> Bytes {
        let mut body = BytesMut::new();
        let read = async {
            while let Ok(Some(piece)) = self.next().await {
                body.extend_from_slice(&piece);
                if body.len() > ERROR_BODY_BYTES_MAX {
                    break;
                }
            }
        };
        // A body that does not end in time is used as far as it came; its connection is not.
        let _ = tokio::time::timeout(ERROR_BODY_TIME_MAX, read).await;
        body.truncate(ERROR_BODY_BYTES_MAX);
        self.release().await;
        body.freeze()
    }

    /// Gives the connection back for reuse where the whole answer was read; ends it otherwise.
    pub async fn release(mut self) {
        if let Some(session) = self.session.take() {
            give_back(session, &self.connections, &self.peer, self.is_complete).await;
        }
    }
}

impl Drop for Answer {
    /// A request that is dropped in the middle (the client left) cancels its exchange: HTTP/1.1 by closing, HTTP/2 by
    /// resetting the stream, which takes a moment and so happens in a task of its own.
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if session.as_http2().is_some() {
            let (connections, peer) = (Arc::clone(&self.connections), Arc::clone(&self.peer));
            tokio::spawn(async move { give_back(session, &connections, &peer, false).await });
        }
    }
}

async fn give_back(session: HttpSession, connections: &Connections, peer: &(SocketAddr, HttpPeer), is_whole: bool) {
    match session {
        HttpSession::H1(mut session) if is_whole => {
            session.respect_keepalive();
            if let Some(stream) = session.reuse().await {
                connections
                    .streams
                    .release_stream(stream, peer.1.reuse_hash(), Some(IDLE_CONNECTION_MAX));
            }
        }
        HttpSession::H1(mut session) => session.shutdown().await,
        session => {
            // Boxed, since it is large and every answer's future would carry it along.
            let release = connections
                .sessions
                .release_http_session(session, &peer.1, Some(IDLE_CONNECTION_MAX));
            Box::pin(release).await;
        }
    }
}
