//! One exchange with one upstream: connect, send, read the answer. The only seam to pingora's connectors.
//!
//! A pooled connection may have been closed by the other side a moment ago. If it fails before any byte of an answer, the
//! request is sent again on another connection to the same upstream; it has not been processed, since a live server
//! would have answered or closed in order. Everything else is reported and decided by the caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use std::net::SocketAddr;

use crate::core::topology::{Endpoint, Timeouts};
use crate::proxy::state::{Connections, LiveResource};

/// Large bodies are written in slices, so that an early answer (413, 429) is noticed between them.
const SLICE_BYTES: usize = 256 * 1024;

/// How long an answer is waited for after writing the request failed: the upstream may have refused it without reading it.
const ANSWER_AFTER_WRITE_ERROR: Duration = Duration::from_millis(200);

/// Pooled connections tried at most before a new one is insisted on by giving up.
const STALE_CONNECTIONS_MAX: usize = 3;

/// How long an unused connection is offered for reuse.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(55);

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

/// What to send, and where.
pub struct Exchange<'a> {
    /// The process's connections.
    pub connections: &'a Connections,
    /// Whom to ask.
    pub resource: &'a LiveResource,
    /// Its endpoint.
    pub endpoint: &'a Endpoint,
    /// The request's head.
    pub head: &'a RequestHeader,
    /// The request's body.
    pub body: &'a [Bytes],
    /// The route's time limits.
    pub timeouts: &'a Timeouts,
    /// Longest time from the last byte sent to the answer's head.
    pub first_byte: Duration,
}

/// An answer whose head has been read.
pub struct Answer {
    /// Present until the connection is given back.
    session: Option<HttpSession>,
    peer: Arc<(SocketAddr, HttpPeer)>,
    connections: Connections,
    is_complete: bool,
}

impl Exchange<'_> {
    /// Sends the request and reads the answer's head.
    ///
    /// # Errors
    /// When there is no connection, or no head in time.
    pub async fn open(&self) -> Result<Answer, OpenError> {
        let mut stale = 0;
        loop {
            let (mut answer, is_reused) = self.connect().await?;
            match self.send(&mut answer).await {
                Ok(()) => return Ok(answer),
                Err(OpenError::Reset(error)) if is_reused && stale < STALE_CONNECTIONS_MAX => {
                    stale += 1;
                    tracing::debug!(%error, "a pooled connection was stale; sending again on another");
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn connect(&self) -> Result<(Answer, bool), OpenError> {
        let connecting = async {
            let unreachable = |error: &dyn std::fmt::Display| OpenError::Unreachable(error.to_string());
            let address = self
                .resource
                .address
                .get(Instant::now())
                .await
                .map_err(|error| unreachable(&error))?;
            let peer = self.resource.peer(self.endpoint, address);
            let connected = self.connections.get_http_session(&peer.1).await;
            connected
                .map(|(session, is_reused)| (session, is_reused, peer))
                .map_err(|error| unreachable(&error))
        };
        let result = match tokio::time::timeout(self.timeouts.connect, connecting).await {
            Ok(result) => result,
            Err(_) => Err(OpenError::Unreachable("timed out".to_owned())),
        };
        if result.is_err() {
            self.resource.address.failed();
        }
        let (session, is_reused, peer) = result?;
        let connections = Arc::clone(self.connections);
        Ok((
            Answer {
                session: Some(session),
                peer,
                connections,
                is_complete: false,
            },
            is_reused,
        ))
    }

    /// Writes the request and reads the answer's head.
    async fn send(&self, answer: &mut Answer) -> Result<(), OpenError> {
        let Some(session) = answer.session.as_mut() else {
            return Err(OpenError::Timeout);
        };
        session.set_write_timeout(Some(self.timeouts.idle));
        let written = self.write(session).await;
        let patience = match &written {
            Ok(()) => self.first_byte,
            Err(_) => ANSWER_AFTER_WRITE_ERROR.min(self.first_byte),
        };
        let head = tokio::time::timeout(patience, read_final_head(session)).await;
        match (head, written) {
            (Ok(Ok(())), _) => Ok(()),
            (_, Err(error)) | (Ok(Err(error)), Ok(())) => Err(OpenError::Reset(error)),
            (Err(_), Ok(())) => Err(OpenError::Timeout),
        }
    }

    async fn write(&self, session: &mut HttpSession) -> pingora::Result<()> {
        session.write_request_header(Box::new(self.head.clone())).await?;
        let mut left: usize = self.body.iter().map(Bytes::len).sum();
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

/// Reads heads until one is no longer informational.
async fn read_final_head(session: &mut HttpSession) -> pingora::Result<()> {
    loop {
        if session
            .response_header()
            .is_some_and(|head| !head.status.is_informational())
        {
            return Ok(());
        }
        session.read_response_header().await?;
    }
}

impl Answer {
    /// The answer's head.
    pub fn head(&self) -> Option<&ResponseHeader> {
        self.session.as_ref()?.response_header()
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

async fn give_back(
    mut session: HttpSession,
    connections: &Connections,
    peer: &Arc<(SocketAddr, HttpPeer)>,
    whole: bool,
) {
    if !whole && session.as_http1().is_some() {
        session.shutdown().await;
        return;
    }
    connections
        .release_http_session(session, &peer.1, Some(IDLE_CONNECTION_MAX))
        .await;
}
