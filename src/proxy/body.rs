//! Reads a request's body whole, within the limits: its own size, its time, and what the process may hold.
//!
//! The body is needed whole before a deployment can be chosen, and kept until an answer has begun, so that another
//! deployment can be tried. One chunk is not copied; more are gathered into one buffer.

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::protocols::http::ServerSession;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::checked::Limits;
use crate::proxy::error::ProxyError;

/// After a refusal the rest of a body is read and dropped within these bounds: closing with unread bytes resets the
/// connection, and the client would never see why.
const DISCARD_BYTES_MAX: usize = 64 * 1024 * 1024;
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes that may be held at one time, one permit a byte.
#[derive(Debug, Clone)]
pub struct ByteBudget(Arc<Semaphore>, usize);

impl ByteBudget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let bytes = bytes.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(bytes)), bytes)
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.1.saturating_sub(self.0.available_permits())
    }

    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ProxyError> {
        let permits = u32::try_from(bytes).map_err(|_| ProxyError::Busy)?;
        self.0
            .clone()
            .try_acquire_many_owned(permits)
            .map_err(|_| ProxyError::Busy)
    }
}

/// A body and its share of the budget, which is given back when this is dropped.
#[derive(Debug)]
pub struct HeldBody {
    /// The bytes.
    pub bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

/// Why no body came.
#[derive(Debug)]
pub enum BodyError {
    /// The gateway refuses it.
    Refused(ProxyError),
    /// The connection failed or the client left.
    Downstream(Box<pingora::Error>),
}

impl From<ProxyError> for BodyError {
    fn from(error: ProxyError) -> Self {
        Self::Refused(error)
    }
}

/// Reads the whole body.
///
/// # Errors
/// [`BodyError::Refused`] over a limit, [`BodyError::Downstream`] when the connection fails.
pub async fn read_whole(
    session: &mut ServerSession,
    limits: &Limits,
    budget: &ByteBudget,
) -> Result<HeldBody, BodyError> {
    let announced = content_length(session);
    if announced.is_some_and(|length| length > limits.body_bytes) {
        return Err(ProxyError::BodyTooLarge {
            limit: limits.body_bytes,
        }
        .into());
    }
    let mut share = budget.reserve(announced.unwrap_or(0))?;
    let read = async {
        answer_expectation(session).await?;
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        let mut length = 0;
        while let Some(chunk) = session.read_request_body().await.map_err(BodyError::Downstream)? {
            length += chunk.len();
            if length > limits.body_bytes {
                return Err(ProxyError::BodyTooLarge {
                    limit: limits.body_bytes,
                }
                .into());
            }
            if length > share.num_permits() {
                share.merge(budget.reserve(length - share.num_permits())?);
            }
            match first.take() {
                None if rest.is_empty() => first = Some(chunk),
                None => rest.extend_from_slice(&chunk),
                Some(before) => {
                    rest.reserve(announced.unwrap_or(before.len() + chunk.len()));
                    rest.extend_from_slice(&before);
                    rest.extend_from_slice(&chunk);
                }
            }
        }
        Ok::<_, BodyError>(first.unwrap_or_else(|| rest.freeze()))
    };
    let bytes = match tokio::time::timeout(limits.body_time, read).await {
        Ok(result) => result?,
        Err(_) => return Err(ProxyError::BodyTooSlow(limits.body_time).into()),
    };
    Ok(HeldBody { bytes, _share: share })
}

/// Reads and drops what is left of a refused body, so that the client can read the refusal; the connection is not used again.
pub async fn discard(session: &mut ServerSession) {
    session.set_keepalive(None);
    let drain = async {
        let mut dropped = 0;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            dropped += chunk.len();
            if dropped > DISCARD_BYTES_MAX {
                break;
            }
        }
    };
    // Running out of time is the bound at work, not an error.
    let _ = tokio::time::timeout(DISCARD_TIME_MAX, drain).await;
}

fn content_length(session: &ServerSession) -> Option<usize> {
    session
        .get_header(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Whether the client waits for leave to send its body, and so has not sent it.
pub fn waits_for_leave(session: &ServerSession) -> bool {
    session
        .get_header(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Answers `Expect: 100-continue`, for which curl otherwise waits a second.
async fn answer_expectation(session: &mut ServerSession) -> Result<(), BodyError> {
    if !waits_for_leave(session) {
        return Ok(());
    }
    // Any answer before the body's end would turn connection reuse off, this one included.
    session.set_close_on_response_before_downstream_finish(false);
    let written = session.write_continue_response().await;
    session.set_close_on_response_before_downstream_finish(true);
    written.map_err(BodyError::Downstream)
}
