//! How does the response body leave: paced like a model, and bent by a fault if one says so?

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, sleep, sleep_until};

use crate::simulator::answer::Answer;
use crate::simulator::engine::Admitted;
use crate::simulator::faults::Action;
use crate::simulator::flight::Flight;
use crate::simulator::record::Ending;
use crate::simulator::responses::stream::ResponseScript;
use crate::simulator::stream::{Event, Script};

/// What a fault does to a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Twist {
    /// Nothing.
    #[default]
    None,
    /// Nothing more after this many events; the connection stays open.
    StallAfter(u32),
    /// The connection is closed after this many events.
    CutAfter(u32),
    /// An error event after this many, then the stream ends.
    ErrorAfter(u32),
    /// No `[DONE]`, or no last event of a response.
    OmitDone,
    /// So many bytes are announced and never sent.
    Short(u64),
    /// A wait before each event.
    Drip(Duration),
}

impl Twist {
    /// The part of an action that concerns the body.
    pub fn of(action: &Action) -> Self {
        match action {
            Action::Stall { after_chunks } => Self::StallAfter(*after_chunks),
            Action::Cut { after_chunks } => Self::CutAfter(*after_chunks),
            Action::StreamError { after_chunks } => Self::ErrorAfter(*after_chunks),
            Action::OmitDone => Self::OmitDone,
            Action::ShortBody { missing_bytes } => Self::Short(*missing_bytes),
            Action::SlowDrip { ms } => Self::Drip(Duration::from_millis(*ms)),
            _ => Self::None,
        }
    }
}

/// Makes the HTTP implementation give the connection up without ending the body.
#[derive(Debug, thiserror::Error)]
#[error("a fault ends this response early")]
pub struct BrokenOff;

/// The error that a broken stream carries.
const STREAM_ERROR: &str = concat!(
    r#"data: {"error":{"message":"The server had an error while processing your request. Sorry about that!","#,
    r#""type":"server_error","param":null,"code":null}}"#,
    "\n\n"
);

/// The events of an answer, in the language of its operation.
#[derive(Debug)]
pub enum Events {
    /// A chat's or completion's.
    Chunks(Script),
    /// A response's.
    Response(ResponseScript),
}

impl Events {
    fn next(&mut self) -> Option<Event> {
        match self {
            Self::Chunks(script) => script.next(),
            Self::Response(script) => script.next(),
        }
    }

    fn answer(&self) -> &Answer {
        match self {
            Self::Chunks(script) => script.answer(),
            Self::Response(script) => script.answer(),
        }
    }

    fn error(&self) -> Bytes {
        match self {
            Self::Chunks(_) => Bytes::from_static(STREAM_ERROR.as_bytes()),
            Self::Response(script) => script.error(),
        }
    }
}

/// A stream under way.
#[derive(Debug)]
struct Playing {
    script: Events,
    began: Instant,
    admitted: Admitted,
    flight: Flight,
    twist: Twist,
    sent: u32,
    over: bool,
}

/// The body of a stream whose admission was at `began`.
pub fn streamed(script: Events, began: Instant, admitted: Admitted, flight: Flight, twist: Twist) -> Body {
    let playing = Playing {
        script,
        began,
        admitted,
        flight,
        twist,
        sent: 0,
        over: false,
    };
    Body::from_stream(stream::unfold(playing, |mut playing| async move {
        let piece = playing.next().await?;
        Some((piece, playing))
    }))
}

impl Playing {
    async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        if self.over {
            return None;
        }
        match self.twist {
            Twist::StallAfter(events) if self.sent >= events => {
                self.flight.end(Ending::Faulted);
                std::future::pending::<()>().await;
            }
            Twist::CutAfter(events) if self.sent >= events => return Some(self.break_off().await),
            Twist::ErrorAfter(events) if self.sent >= events => {
                self.flight.end(Ending::Faulted);
                self.over = true;
                return Some(Ok(self.script.error()));
            }
            Twist::Drip(wait) => sleep(wait).await,
            _ => {}
        }
        let event = self.script.next()?;
        if event.is_done_marker && self.twist == Twist::OmitDone {
            self.flight.end(Ending::Faulted);
            return None;
        }
        let due = self.admitted.due(event.due_token);
        if !due.is_zero() {
            sleep_until(self.began + due).await;
        }
        self.sent += 1;
        let produced = self.script.answer().output_tokens_at(event.due_token + 1);
        self.flight.produced(produced, self.sent);
        if event.is_done_marker {
            self.flight.end(Ending::Complete);
        }
        Some(Ok(event.data))
    }

    async fn break_off(&mut self) -> Result<Bytes, BrokenOff> {
        self.flight.end(Ending::Faulted);
        // One turn for the connection to write out what it has buffered; the error then drops the rest.
        tokio::task::yield_now().await;
        Err(BrokenOff)
    }
}

/// The body of a whole answer, and the length to announce.
pub fn whole(text: String, mut flight: Flight, twist: Twist) -> (Body, u64) {
    let length = text.len() as u64;
    let bytes = Bytes::from(text);
    let (kept, announced, stalls) = match twist {
        Twist::CutAfter(_) => (bytes.slice(..bytes.len() / 2), length, false),
        Twist::StallAfter(_) => (bytes.slice(..bytes.len() / 2), length, true),
        Twist::Short(missing) => (bytes, length.saturating_add(missing), false),
        _ => {
            flight.end(Ending::Complete);
            return (Body::from(bytes), length);
        }
    };
    flight.end(Ending::Faulted);
    let pieces = stream::unfold((Some(kept), flight), move |(kept, flight)| async move {
        if let Some(kept) = kept {
            return Some((Ok(kept), (None, flight)));
        }
        if stalls {
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
        Some((Err(BrokenOff), (None, flight)))
    });
    (Body::from_stream(pieces), announced)
}
