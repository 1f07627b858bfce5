//! Reads a request's body whole, within the limits: its own size, its time, and what the process may hold.
//!
//! The body is needed whole before a deployment can be chosen, and kept until an answer has begun, so that another
//! deployment can be tried. One chunk is not copied; more are gathered into one buffer.

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderValue};
use pingora::ErrorType;
use pingora::protocols::http::ServerSession;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::checked::Limits;
use crate::proxy::error::ProxyError;

/// After a refusal the rest of a body is read and dropped within these bounds: closing with unread bytes resets the
/// connection, and the client would never see why.
const DISCARD_BYTES_MAX: usize = 64 * 1024 * 1024;
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// A body of a refused request is read before the refusal within these bounds, so that the connection can be used again.
const DROP_BYTES_MAX: usize = 64 * 1024;
const DROP_TIME_MAX: Duration = Duration::from_secs(1);

/// How many bytes may be held at one time, and how many are. Nobody waits here: what finds no room is refused.
#[derive(Debug, Clone)]
pub struct ByteBudget(Arc<Count>);

#[derive(Debug)]
struct Count {
    held: AtomicUsize,
    limit: AtomicUsize,
}

impl ByteBudget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Count {
            held: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
        }))
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Acquire)
    }

    /// Changes the budget. What is held stays; after a cut nothing finds room until enough has been given back.
    pub fn resize(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Release);
    }

    fn reserve(&self, bytes: usize) -> Result<Share, ProxyError> {
        let mut share = Share {
            budget: self.clone(),
            bytes: 0,
        };
        share.grow(bytes)?;
        Ok(share)
    }
}

/// Bytes taken from the budget, given back when this is dropped.
#[derive(Debug)]
struct Share {
    budget: ByteBudget,
    bytes: usize,
}

impl Share {
    /// Takes more, up to this many in all.
    fn grow(&mut self, to: usize) -> Result<(), ProxyError> {
        let more = to.saturating_sub(self.bytes);
        let limit = self.budget.0.limit.load(Ordering::Acquire);
        let with_more = |held: usize| held.checked_add(more).filter(|held| *held <= limit);
        self.budget
            .0
            .held
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, with_more)
            .map_err(|_| ProxyError::Busy)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.held.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// A body and its share of the budget, which is given back when this is dropped.
#[derive(Debug)]
pub struct HeldBody {
    /// The bytes.
    pub bytes: Bytes,
    _share: Share,
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
    if !is_coded_plainly(session) {
        return Err(ProxyError::BadFraming.into());
    }
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
        while let Some(chunk) = session.read_request_body().await.map_err(unreadable)? {
            length += chunk.len();
            if length > limits.body_bytes {
                return Err(ProxyError::BodyTooLarge {
                    limit: limits.body_bytes,
                }
                .into());
            }
            share.grow(length)?;
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
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => {
            // Where this body ends, and so where a next request begins, may be unknown.
            session.set_keepalive(None);
            return Err(error);
        }
        Err(_) => return Err(ProxyError::BodyTooSlow(limits.body_time).into()),
    };
    Ok(HeldBody { bytes, _share: share })
}

/// What a failed read means: a framing that makes no sense deserves an answer, a connection that failed cannot have one.
fn unreadable(error: Box<pingora::Error>) -> BodyError {
    // pingora keeps the constants for these to itself.
    match error.etype() {
        ErrorType::Custom("InvalidChunk" | "InvalidTrailerEnd") => ProxyError::BadFraming.into(),
        _ => BodyError::Downstream(error),
    }
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

/// Reads and drops a small body whose request is about to be refused: an answer before a body's end would cost the connection.
pub async fn drop_small(session: &mut ServerSession) {
    let is_small = content_length(session).is_some_and(|length| length <= DROP_BYTES_MAX);
    if !is_small || waits_for_leave(session) {
        return;
    }
    let drain = async { while let Ok(Some(_)) = session.read_request_body().await {} };
    // What is not read by then, or cannot be, costs the connection as it would have without this.
    let _ = tokio::time::timeout(DROP_TIME_MAX, drain).await;
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

/// Whether the body is sent as it is, in chunks or not. pingora takes any list of codings that ends with chunks; the others would not be
/// undone, and another parser on the way may have read the list differently.
fn is_coded_plainly(session: &ServerSession) -> bool {
    let mut codings = session.req_header().headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(is_chunked) && codings.next().is_none()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_exceeded_and_may_change_while_it_is_used() {
        let budget = ByteBudget::new(100);
        let mut share = budget.reserve(60).expect("room");
        assert!(budget.reserve(41).is_err());
        share.grow(100).expect("room");
        share.grow(100).expect("it has them already");
        assert!(share.grow(101).is_err());
        assert_eq!(budget.held(), 100);
        budget.resize(250);
        let other = budget.reserve(150).expect("room since the budget grew");
        budget.resize(120);
        drop(other);
        assert_eq!(budget.held(), 100, "what was held stays");
        assert!(budget.reserve(21).is_err());
        drop(share);
        assert_eq!(budget.reserve(120).expect("room").bytes, 120);
        assert_eq!(budget.held(), 0);
    }
}
