//! One exchange with one upstream: send, read the answer.
//!
//! A pooled connection may have been closed by the other side a moment ago. If it breaks within a second, before a whole head of an
//! answer, the request is sent once more, on a new connection: almost surely it was never read. A connection that breaks later
//! may have cost a completion, so that is reported, and decided and counted by the caller.
//!
//! HTTP/1.1 with a body of ordinary size goes out in one write: head and body together, where pingora's session would
//! make two, each a system call, a packet and a wake-up of the other side. That is a sixth of the whole cost of a small
//! request. pingora's session then reads the answer. Large bodies and HTTP/2 are written by pingora's sessions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::http::v1::client::HttpSession as Http1Session;
use pingora::{ErrorType, OrErr as _, RetryType};
use tokio::io::AsyncWriteExt as _;

use crate::core::topology::{Endpoint, ResourceIx, Timeouts};
use crate::openai::body;
use crate::proxy::connections::{Connections, UpstreamPeer};
use crate::proxy::gathered::Gathered;
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

/// A pooled connection that breaks within this time of sending had been closed before; one that breaks later had a request to work on.
const STALE_WITHIN: Duration = Duration::from_secs(1);

/// What an attempt without an answer says where its request's own time was up.
const OUT_OF_TIME: &str = "the request's time ran out";

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
    #[error("connection broke before an answer: {}", innermost(.0))]
    Reset(Box<pingora::Error>),
    /// The answer's head did not come in time.
    #[error("no answer in time")]
    Timeout,
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
    /// When all of it must be over.
    pub deadline: Instant,
}

/// An answer whose head has been read.
pub struct Answer {
    /// Present until the connection is given back. Boxed: it is large, and answers are handed on.
    session: Option<Box<HttpSession>>,
    peer: Arc<UpstreamPeer>,
    connections: Arc<Connections>,
    /// Whether the connection is one of [`Connections::take`]'s, and not of pingora's pool.
    is_bare: bool,
    /// Whether the whole request was sent. If not, what the other side will read next is the rest of its body.
    is_sent: bool,
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
        let address = match self.resource.address.known(Instant::now()) {
            Some(address) => address,
            None => Box::pin(self.look_up()).await?,
        };
        let peer = self.resource.peer(self.endpoint, address);
        let began = Instant::now();
        let kept = if self.speaks_http2() {
            None
        } else {
            self.connections.take(&peer, began)
        };
        let (line, is_reused) = match kept {
            Some(stream) => (Line::Stream(stream), true),
            None => self.connect(&peer).await?,
        };
        self.count(is_reused);
        match self.send(line, &peer).await {
            Err(OpenError::Reset(error)) if is_reused && is_stale(&error, began.elapsed()) => {
                tracing::debug!(
                    error = innermost(&error),
                    "a pooled connection was stale; sending again on a new one"
                );
                let (line, is_reused) = self.connect(&peer).await?;
                self.count(is_reused);
                // Boxed, since it is large and seldom needed: an answer's future would carry it along all the time.
                Box::pin(self.send(line, &peer)).await
            }
            sent => sent,
        }
    }

    fn count(&self, reused: bool) {
        UpstreamConnected {
            resource: self.counted.0,
            reused,
        }
        .emit(self.counted.1);
    }

    /// Makes a connection; HTTP/2 may share one that is open.
    async fn connect(&self, peer: &UpstreamPeer) -> Result<(Line, bool), OpenError> {
        let limit = self.connect.min(self.left());
        // Boxed, since it is large and seldom needed.
        match Box::pin(tokio::time::timeout(limit, self.connect_anew(peer))).await {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(error)) => Err(self.unreachable(&innermost(&error))),
            // The address is not at fault where the request had no more time.
            Err(_) if limit < self.connect => Err(OpenError::Unreachable(OUT_OF_TIME.to_owned())),
            Err(_) => Err(self.unreachable(&"timed out")),
        }
    }

    async fn connect_anew(&self, peer: &UpstreamPeer) -> pingora::Result<(Line, bool)> {
        if self.speaks_http2() {
            let (session, is_reused) = self.connections.session(peer).await?;
            return Ok((Line::Session(session), is_reused));
        }
        Ok((Line::Stream(self.connections.connect(peer).await?), false))
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    async fn look_up(&self) -> Result<SocketAddr, OpenError> {
        match tokio::time::timeout(self.left(), self.resource.address.get(Instant::now())).await {
            Ok(found) => found.map_err(|error| self.unreachable(&error)),
            // The name is not at fault where the request had no more time.
            Err(_) => Err(OpenError::Unreachable(OUT_OF_TIME.to_owned())),
        }
    }

    fn speaks_http2(&self) -> bool {
        self.endpoint.tls && self.endpoint.http2
    }

    fn unreachable(&self, error: &dyn std::fmt::Display) -> OpenError {
        self.resource.address.failed();
        OpenError::Unreachable(error.to_string())
    }

    /// Writes the request and reads the answer's head.
    async fn send(&self, line: Line, peer: &Arc<UpstreamPeer>) -> Result<Answer, OpenError> {
        let is_bare = matches!(line, Line::Stream(_));
        let (session, written) = match line {
            Line::Stream(mut stream) if body::length(self.body) <= ONE_WRITE_BYTES_MAX => {
                let written = self.write_at_once(&mut stream).await;
                (Box::new(HttpSession::H1(Http1Session::new(stream))), written)
            }
            Line::Stream(stream) => {
                let mut session = Box::new(HttpSession::H1(Http1Session::new(stream)));
                let written = Box::pin(self.write(&mut session)).await;
                (session, written)
            }
            Line::Session(mut session) => {
                let written = Box::pin(self.write(&mut session)).await;
                (session, written)
            }
        };
        let mut answer = Answer {
            session: Some(session),
            peer: Arc::clone(peer),
            connections: Arc::clone(self.connections),
            is_bare,
            is_sent: matches!(written, Ok(Sent::Whole)),
            is_complete: false,
        };
        let patience = match &written {
            Ok(_) => self.first_byte,
            Err(_) => ANSWER_AFTER_WRITE_ERROR.min(self.first_byte),
        };
        let read = tokio::time::timeout(patience.min(self.left()), answer.read_final_head()).await;
        match (read, written) {
            (Ok(Ok(())), _) => Ok(answer),
            (_, Err(error)) if *error.etype() == ErrorType::WriteTimedout && self.left().is_zero() => {
                Err(OpenError::Timeout)
            }
            (_, Err(error)) | (Ok(Err(error)), Ok(_)) => Err(OpenError::Reset(error)),
            (Err(_), Ok(_)) => Err(OpenError::Timeout),
        }
    }

    /// Writes head and body together, with one system call where the connection takes it.
    async fn write_at_once(&self, stream: &mut Stream) -> pingora::Result<Sent> {
        let mut head = BytesMut::with_capacity(1024);
        self.head.write_http1(&mut head);
        let mut whole = Gathered::new(head, self.body);
        let writing = async {
            stream.write_all_buf(&mut whole).await?;
            stream.flush().await
        };
        match tokio::time::timeout(self.timeouts.idle.min(self.left()), writing).await {
            Ok(written) => written
                .map(|()| Sent::Whole)
                .or_err(ErrorType::WriteError, "while writing a request"),
            Err(_) => Err(pingora::Error::explain(
                ErrorType::WriteTimedout,
                "while writing a request",
            )),
        }
    }

    /// Writes head and body through pingora's session, the body in slices.
    async fn write(&self, session: &mut HttpSession) -> pingora::Result<Sent> {
        session.set_write_timeout(Some(self.timeouts.idle.min(self.left())));
        session.write_request_header(Box::new(self.head.to_pingora()?)).await?;
        let mut left = body::length(self.body);
        for piece in self.body {
            let mut piece = piece.clone();
            while !piece.is_empty() {
                let slice = piece.split_to(piece.len().min(SLICE_BYTES));
                left -= slice.len();
                session.write_request_body(slice, left == 0).await?;
                // Polled once: an upstream that refuses early says so while we write.
                if left > 0 && has_final_head(session) {
                    return Ok(Sent::Part);
                }
            }
        }
        session.finish_request_body().await.map(|()| Sent::Whole)
    }
}

/// How much of a request was sent.
enum Sent {
    /// All of it.
    Whole,
    /// A part: the upstream answered before the rest.
    Part,
}

/// Whether an answer is there already, polled once. A head that is only informational is no answer.
fn has_final_head(session: &mut HttpSession) -> bool {
    let read = session.read_response_header().now_or_never();
    matches!(read, Some(Ok(())))
        && session
            .response_header()
            .is_some_and(|head| !head.status.is_informational())
}

/// What went wrong in the end. What pingora wraps around it says the same again, and over which address.
fn innermost(error: &pingora::Error) -> String {
    let mut error = error;
    while let Some(cause) = &error.cause {
        match cause.downcast_ref::<pingora::BError>() {
            Some(inner) => error = inner,
            None => return cause.to_string(),
        }
    }
    let kind = error.etype.as_str();
    match &error.context {
        Some(context) => format!("{kind}, {}", context.as_str()),
        None => kind.to_owned(),
    }
}

/// Whether a pooled connection had most likely been closed before the request was sent on it: it broke at once, and what pingora
/// met is what it meets then, a failed write, or an end or error of the connection in place of an answer's head.
fn is_stale(error: &pingora::Error, after: Duration) -> bool {
    let is_safe = matches!(error.retry, RetryType::ReusedOnly | RetryType::Decided(true))
        || matches!(error.etype(), ErrorType::WriteError);
    is_safe && after < STALE_WITHIN
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

    /// Reads an error's body, within bounds, and gives the connection back. Its future is large: box it where answers are usual.
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

    /// Gives the connection back for reuse where the whole request was sent and the whole answer read; ends it otherwise.
    pub async fn release(mut self) {
        let Some(session) = self.session.take() else { return };
        let is_whole = self.is_complete && self.is_sent;
        if self.is_bare && is_whole {
            keep(*session, &self.connections, &self.peer);
        } else {
            // Boxed, since it is large and every answer's future would carry it along.
            Box::pin(give_back(session, &self.connections, &self.peer, is_whole)).await;
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

/// Keeps a bare connection whose exchange is complete, unless the other side wants to end it.
fn keep(session: HttpSession, connections: &Connections, peer: &UpstreamPeer) {
    let HttpSession::H1(mut session) = session else {
        return;
    };
    session.respect_keepalive();
    // At hand where the connection can be kept; one that cannot is closed when it is dropped.
    if let Some(Some(stream)) = session.reuse().now_or_never() {
        connections.keep(peer, stream, Instant::now());
    }
}

/// Gives a session back to pingora's pool, or ends it where the exchange is not complete.
async fn give_back(mut session: Box<HttpSession>, connections: &Connections, peer: &UpstreamPeer, is_whole: bool) {
    match &mut *session {
        HttpSession::H1(session) if !is_whole => session.shutdown().await,
        _ => connections.release(peer, *session).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_that_breaks_at_once_was_stale() {
        let mut closed = pingora::Error::explain(ErrorType::ConnectionClosed, "while reading response headers");
        closed.retry = RetryType::ReusedOnly;
        let at_once = Duration::from_millis(3);
        assert!(is_stale(&closed, at_once));
        assert!(!is_stale(&closed, STALE_WITHIN), "it may have been worked on");
        let unsent = pingora::Error::explain(ErrorType::WriteError, "broken pipe");
        assert!(is_stale(&unsent, at_once));
        let no_http = pingora::Error::explain(ErrorType::InvalidHTTPHeader, "an answer, but no HTTP");
        assert!(!is_stale(&no_http, at_once));
    }

    #[test]
    fn an_error_is_told_by_its_innermost_cause_alone() {
        let refused = std::io::Error::other("connection refused");
        let inner = pingora::Error::because(ErrorType::ConnectRefused, "Fail to connect to 127.0.0.1:9", refused);
        let outer = pingora::Error::because(ErrorType::ConnectRefused, "while connecting", inner);
        assert_eq!(innermost(&outer), "connection refused");
        let alone = pingora::Error::explain(ErrorType::ConnectionClosed, "while reading response headers");
        let reset = OpenError::Reset(pingora::Error::because(ErrorType::ReadError, "an exchange", alone));
        assert_eq!(
            reset.to_string(),
            "connection broke before an answer: ConnectionClosed, while reading response headers"
        );
        assert_eq!(
            innermost(&pingora::Error::new(ErrorType::ConnectTimedout)),
            "ConnectTimedout"
        );
    }
}
