//! The point of no return: reads as much of an answer as tells whether it may be passed on.
//!
//! - An error status is read with its body; whoever asked decides what it means.
//! - A short whole answer is read to its end, so that one that breaks can still be asked of another deployment.
//! - A stream's opening (Azure sends filter annotations and a role before anything real) is held until the first output, within
//!   bounds, so that an error inside a 200 can still fail over. Clients lose nothing: they would show none of it.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::http::ResponseHeader;

use crate::core::recovery::outcome::{AttemptEnd, Next, classify};
use crate::openai::error::{self as wire_error, UpstreamError};
use crate::openai::responses;
use crate::proxy::headers;
use crate::proxy::tap::StreamTap;
use crate::proxy::upstream::{Answer, OpenError};

/// A stream's opening is passed on after so many chunks, bytes or so long, decided or not.
const HELD_CHUNKS_MAX: usize = 64;
const HELD_BYTES_MAX: usize = 256 * 1024;
const HELD_TIME_MAX: Duration = Duration::from_secs(2);

/// Answers up to this size are read whole before they are passed on. Completions are far smaller; large batches of embeddings are not.
const WHOLE_BYTES_MAX: usize = 1024 * 1024;

/// How long to wait for an answer's pieces.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Between two pieces.
    pub idle: Duration,
    /// For the answer to be worth passing on, at the latest.
    pub until: tokio::time::Instant,
    /// For a stream's first output, where it is known how long the deployment takes; it is given up then. Else a stream that shows
    /// nothing is passed on after [`HELD_TIME_MAX`], since it may be thinking.
    pub first_output: Option<tokio::time::Instant>,
}

/// An answer that may be passed on.
pub enum Begun {
    /// A whole answer, read to its end; its connection has been given back.
    Whole {
        /// Head to pass on.
        head: Box<ResponseHeader>,
        /// Body.
        body: Bytes,
    },
    /// A long answer that is no stream of events, read in part.
    Long {
        /// Head to pass on.
        head: Box<ResponseHeader>,
        /// What has been read.
        first: Bytes,
        /// Its length as announced.
        content_length: Option<usize>,
        /// The rest.
        rest: Answer,
    },
    /// A stream of events, read up to its first output.
    Events {
        /// Head to pass on.
        head: Box<ResponseHeader>,
        /// What has been read, as it goes to the client.
        opening: Bytes,
        /// What listens to it.
        tap: Box<StreamTap>,
        /// When the first output was seen.
        first_output: Option<Instant>,
        /// The rest.
        rest: Answer,
    },
}

/// An exchange that gave nothing to pass on as an answer.
pub enum Failed {
    /// No answer's head.
    Open(OpenError),
    /// An error status.
    Answer {
        /// Head, with only what may be passed on.
        head: Box<ResponseHeader>,
        /// Body.
        body: Bytes,
        /// What the body says.
        error: Box<UpstreamError>,
        /// What the head asks for.
        retry_after: Option<Duration>,
    },
    /// A good status, then a break or silence before anything could be passed on.
    Broken(AttemptEnd<'static>),
    /// A good status, then an error event before any output.
    InStream(Box<UpstreamError>),
}

impl Failed {
    /// The end of the attempt, for its classification.
    pub fn end(&self) -> AttemptEnd<'_> {
        match self {
            Self::Open(OpenError::Unreachable(_)) => AttemptEnd::Unreachable,
            Self::Open(OpenError::Reset(_)) => AttemptEnd::Reset,
            Self::Open(OpenError::Timeout) => AttemptEnd::Timeout,
            Self::Answer {
                head,
                error,
                retry_after,
                ..
            } => AttemptEnd::Status {
                status: head.status.as_u16(),
                code: error.code.as_deref(),
                message: error.message.as_deref(),
                retry_after: *retry_after,
            },
            Self::Broken(end) => *end,
            Self::InStream(error) => told(error),
        }
    }
}

impl Begun {
    /// The end of the attempt, as far as it is known.
    pub fn end(&self) -> AttemptEnd<'static> {
        let status = self.status();
        match self {
            Self::Whole { .. } => AttemptEnd::Status {
                status,
                code: None,
                message: None,
                retry_after: None,
            },
            Self::Long { .. } | Self::Events { .. } => AttemptEnd::Begun { status },
        }
    }

    /// The head to pass on.
    pub fn head(&self) -> &ResponseHeader {
        let (Self::Whole { head, .. } | Self::Long { head, .. } | Self::Events { head, .. }) = self;
        head
    }

    /// The status to pass on.
    pub fn status(&self) -> u16 {
        self.head().status.as_u16()
    }
}

/// Reads an answer up to the point where it may be passed on. The tap is for its events, if it has any.
///
/// # Errors
/// When there is nothing to pass on as an answer.
pub async fn begin(answer: Answer, tap: StreamTap, patience: Patience) -> Result<Begun, Failed> {
    let Some(upstream) = answer.head() else {
        return Err(Failed::Broken(AttemptEnd::Reset));
    };
    let head = headers::downstream_head(upstream).map_err(|_| Failed::Broken(AttemptEnd::Reset))?;
    // Boxed at once: futures hold what they are given twice, and are moved.
    let head = Box::new(head);
    if !upstream.status.is_success() {
        let retry_after = headers::retry_after(upstream);
        // Boxed, since it is large and seldom needed.
        let body = Box::pin(answer.error_body()).await;
        let error = Box::new(wire_error::read(&body));
        return Err(Failed::Answer {
            head,
            body,
            error,
            retry_after,
        });
    }
    let content_type = upstream
        .headers
        .get(header::CONTENT_TYPE)
        .map(http::HeaderValue::as_bytes);
    if content_type.is_some_and(|value| value.starts_with(b"text/event-stream")) {
        begin_events(answer, head, Box::new(tap), patience).await
    } else {
        let begun = begin_whole(answer, head, patience).await?;
        match &begun {
            Begun::Whole { body, .. } if tap.seen.response.is_some() => match responses::failure_of(body) {
                Some(error) => in_stream(&error).map_or(Ok(begun), Err),
                None => Ok(begun),
            },
            _ => Ok(begun),
        }
    }
}

/// What an error inside an answer that began well comes to; nothing where the client is to have it.
fn in_stream(error: &[u8]) -> Option<Failed> {
    let error = Box::new(wire_error::read(error));
    (classify(told(&error), false).next != Next::Final).then_some(Failed::InStream(error))
}

/// How an answer ended that told of an error itself.
pub fn told(error: &UpstreamError) -> AttemptEnd<'_> {
    AttemptEnd::ErrorInStream {
        code: error.code.as_deref(),
        message: error.message.as_deref(),
    }
}

async fn begin_whole(mut answer: Answer, head: Box<ResponseHeader>, patience: Patience) -> Result<Begun, Failed> {
    let content_length = answer.head().and_then(|head| {
        head.headers
            .get(header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse::<usize>()
            .ok()
    });
    let mut first: Option<Bytes> = None;
    let mut gathered = BytesMut::new();
    loop {
        let Some(piece) = next_within(&mut answer, patience).await? else {
            break;
        };
        match first.take() {
            None if gathered.is_empty() => first = Some(piece),
            before => {
                gathered.extend_from_slice(&before.unwrap_or_default());
                gathered.extend_from_slice(&piece);
            }
        }
        if gathered.len() > WHOLE_BYTES_MAX {
            return Ok(Begun::Long {
                head,
                first: gathered.freeze(),
                content_length,
                rest: answer,
            });
        }
    }
    answer.release().await;
    Ok(Begun::Whole {
        head,
        body: first.unwrap_or_else(|| gathered.freeze()),
    })
}

async fn begin_events(
    mut answer: Answer,
    head: Box<ResponseHeader>,
    mut tap: Box<StreamTap>,
    patience: Patience,
) -> Result<Begun, Failed> {
    let began = tokio::time::Instant::now();
    let held_until = patience.first_output.unwrap_or(began + HELD_TIME_MAX);
    // With the request's own time up there is nobody to pass it on to.
    let may_be_passed_on = patience.first_output.is_none() && held_until < patience.until;
    let held_until = held_until.min(patience.until);
    let mut opening = BytesMut::new();
    let mut chunks = 0;
    while !tap.seen.is_decided() && chunks < HELD_CHUNKS_MAX && opening.len() < HELD_BYTES_MAX {
        let until = held_until.min(tokio::time::Instant::now() + patience.idle);
        let chunk = match tokio::time::timeout_at(until, answer.next()).await {
            Ok(Ok(Some(chunk))) => chunk,
            // Ended or broken with nothing to show for it: the client has seen none of it, so another deployment may try.
            Ok(Ok(None) | Err(_)) => return Err(Failed::Broken(AttemptEnd::Reset)),
            Err(_) if until == held_until && may_be_passed_on => break,
            Err(_) => return Err(Failed::Broken(AttemptEnd::Timeout)),
        };
        chunks += 1;
        opening.extend_from_slice(&tap.feed(&chunk));
    }
    let error = tap.seen.error.as_ref().filter(|_| tap.seen.output_events == 0);
    if let Some(failed) = error.and_then(|error| in_stream(error)) {
        return Err(failed);
    }
    let first_output = (tap.seen.output_events > 0).then(Instant::now);
    Ok(Begun::Events {
        head,
        opening: opening.freeze(),
        tap,
        first_output,
        rest: answer,
    })
}

async fn next_within(answer: &mut Answer, patience: Patience) -> Result<Option<Bytes>, Failed> {
    match tokio::time::timeout_at(
        (tokio::time::Instant::now() + patience.idle).min(patience.until),
        answer.next(),
    )
    .await
    {
        Ok(Ok(piece)) => Ok(piece),
        Ok(Err(_)) => Err(Failed::Broken(AttemptEnd::Reset)),
        Err(_) => Err(Failed::Broken(AttemptEnd::Timeout)),
    }
}
