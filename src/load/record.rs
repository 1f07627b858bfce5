//! The record: one JSON line per finished request, whole on disk's page cache before the request counts as finished.
//!
//! It is compared with the gateway's own store after the gateway was killed, so a line is one `write` and never sits in
//! a buffer of ours. It holds no text of prompts or answers.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use super::outcome::{FailureKind, Finished, Tokens};

/// An open record.
#[derive(Debug)]
pub(super) struct Record(Mutex<File>);

#[derive(Serialize)]
struct Line<'a> {
    finished_at_ms: i64,
    request_id: Option<&'a str>,
    status: Option<u16>,
    ok: bool,
    streamed: bool,
    /// The failure's kind.
    failure: Option<FailureKind>,
    /// Whether it came after a 2xx head.
    begun: bool,
    /// From the intended start to the end.
    latency_ms: f64,
    /// From the intended start to the first output token; none where no stream brought one.
    first_token_ms: Option<f64>,
    /// None when no usage was reported.
    tokens: Option<Tokens>,
}

impl Record {
    /// Creates the file, or empties it.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        File::create(path).map(|file| Self(Mutex::new(file)))
    }

    /// Appends one line. It blocks the calling thread for one write to the page cache, which is less than handing it to
    /// another thread would cost.
    pub(super) fn write(&self, finished: &Finished) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line {
            finished_at_ms: finished.finished_at_ms,
            request_id: finished.request_id.as_deref(),
            status: finished.status,
            ok: finished.failure.is_none(),
            streamed: finished.streamed,
            failure: finished.failure.as_ref().map(|failure| failure.kind),
            begun: finished.failure.as_ref().is_none_or(|failure| failure.begun),
            latency_ms: milliseconds(finished.latency),
            first_token_ms: finished.first_token.map(milliseconds),
            tokens: finished.tokens,
        })?;
        line.push(b'\n');
        self.0.lock().write_all(&line)
    }
}

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
