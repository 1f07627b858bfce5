//! The client's side of a request: writes answers, notices that the client left. The only seam to pingora's server session.

use std::time::Duration;

use bytes::Bytes;
use http::Version;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType};

/// The client's connection, for one request.
pub struct Downstream<'a> {
    session: &'a mut ServerSession,
    /// A client that sent bytes after its request can no longer be watched: what it sends next is not a goodbye.
    is_blind: bool,
}

impl<'a> Downstream<'a> {
    /// Wraps a session whose request has been read. A client that takes nothing for so long is let go: it would hold an upstream's
    /// answer and its place for ever.
    pub fn new(session: &'a mut ServerSession, patience: Duration) -> Self {
        session.set_write_timeout(Some(patience));
        Self {
            session,
            is_blind: false,
        }
    }

    /// Resolves when the client has left; never before. Cancel-safe.
    pub async fn gone(&mut self) -> Box<Error> {
        if !self.is_blind {
            match self.session.read_body_or_idle(true).await {
                Err(error) if *error.etype() != ErrorType::ConnectError => return error,
                // Bytes after the request: pipelining, which is not served; the connection ends after this answer.
                Ok(_) | Err(_) => {
                    self.is_blind = true;
                    self.session.set_keepalive(None);
                }
            }
        }
        std::future::pending().await
    }

    /// Sends an answer's head. A body of unknown length is framed as the protocol wants it.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send_head(&mut self, mut head: Box<ResponseHeader>, length: Option<usize>) -> pingora::Result<()> {
        match length {
            Some(length) => head.set_content_length(length)?,
            None if self.session.is_http2() => {}
            // HTTP/1.0 does not know chunks (and nginx speaks it to its upstreams unless told otherwise): the body ends with
            // the connection.
            None if self.session.req_header().version == Version::HTTP_10 => self.session.set_keepalive(None),
            None => head.insert_header(http::header::TRANSFER_ENCODING, "chunked")?,
        }
        self.session.write_response_header(head).await
    }

    /// Sends a piece of the body.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send(&mut self, piece: Bytes) -> pingora::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        self.session.write_response_body(piece, false).await
    }

    /// Sends the last piece and ends the body properly.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn finish(&mut self, last: Bytes) -> pingora::Result<()> {
        self.session.write_response_body(last, true).await
    }

    /// Ends the connection (HTTP/2: the stream) so that the client cannot take what it has for the whole answer.
    pub async fn abort(&mut self) {
        self.session.set_keepalive(None);
        self.session.shutdown().await;
    }
}
