//! What was asked and what became of it: recent requests for tests, and counts for people.
//!
//! Credentials are never kept: their values are replaced by a digest, which still tells whether two requests carried
//! the same one. Bodies are kept only when the scenario says so; their length and digest always are.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use http::request::Parts;
use parking_lot::Mutex;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Header fields whose values are replaced by a digest.
const CREDENTIALS: &[&str] = &[
    "api-key",
    "authorization",
    "cookie",
    "ocp-apim-subscription-key",
    "proxy-authorization",
    "x-api-key",
    "x-ms-authorization-auxiliary",
];

/// Longer bodies are not kept even when bodies are.
const MAX_KEPT_BODY_BYTES: usize = 1024 * 1024;

/// One recorded request.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRecord {
    /// Its number, from 1, over all accounts.
    pub number: u64,
    /// When it came, in milliseconds since the world began.
    pub at_ms: u64,
    /// The account asked.
    pub account: String,
    /// The deployment asked, when the request named one.
    pub deployment: Option<String>,
    /// Method.
    pub method: String,
    /// Path.
    pub path: String,
    /// Query, without the `?`.
    pub query: String,
    /// HTTP version, such as `HTTP/1.1`.
    pub http_version: String,
    /// Header fields in the order received; credentials as `sha256:` and 16 digits.
    pub headers: Vec<(String, String)>,
    /// Length of the body read.
    pub body_bytes: usize,
    /// SHA-256 of the body read, in hexadecimal.
    pub body_sha256: String,
    /// The body, when the scenario records bodies and it is not above 1 MiB.
    pub body: Option<String>,
    /// What became of it so far.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Status sent; 0 when none was.
    pub status: u16,
    /// How it ended.
    pub ending: Ending,
    /// Prompt tokens.
    pub prompt_tokens: u32,
    /// Those cached.
    pub cached_tokens: u32,
    /// Output tokens produced.
    pub output_tokens: u32,
    /// Events of a stream handed to the connection.
    pub events_sent: u32,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Not yet.
    #[default]
    Open,
    /// With a complete response, good or bad.
    Complete,
    /// The client left first, or its account was stopped.
    Cancelled,
    /// A fault broke it off.
    Faulted,
}

/// A record whose outcome is still being written.
#[derive(Debug)]
pub struct OpenRecord {
    fixed: RequestRecord,
    outcome: Mutex<Outcome>,
}

impl OpenRecord {
    /// Changes the outcome.
    pub fn update(&self, change: impl FnOnce(&mut Outcome)) {
        change(&mut self.outcome.lock());
    }

    fn snapshot(&self) -> RequestRecord {
        RequestRecord {
            outcome: *self.outcome.lock(),
            ..self.fixed.clone()
        }
    }
}

/// Recent requests, oldest out first.
#[derive(Debug)]
pub struct RequestLog {
    capacity: usize,
    with_bodies: bool,
    recent: Mutex<VecDeque<Arc<OpenRecord>>>,
}

/// Where a request was going.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Its number.
    pub number: u64,
    /// When it came, in milliseconds since the world began.
    pub at_ms: u64,
    /// Its account.
    pub account: &'a str,
    /// Its deployment, when known.
    pub deployment: Option<&'a str>,
}

impl RequestLog {
    /// An empty log of this many requests.
    pub fn new(capacity: usize, with_bodies: bool) -> Self {
        Self {
            capacity,
            with_bodies,
            recent: Mutex::default(),
        }
    }

    /// Records a request; none when the log keeps none.
    pub fn open(&self, origin: Origin<'_>, head: &Parts, body: &[u8]) -> Option<Arc<OpenRecord>> {
        if self.capacity == 0 {
            return None;
        }
        let fixed = RequestRecord {
            number: origin.number,
            at_ms: origin.at_ms,
            account: origin.account.to_owned(),
            deployment: origin.deployment.map(str::to_owned),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            http_version: format!("{:?}", head.version),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| shown(name.as_str(), value.as_bytes()))
                .collect(),
            body_bytes: body.len(),
            body_sha256: hex_digest(body),
            body: (self.with_bodies && body.len() <= MAX_KEPT_BODY_BYTES)
                .then(|| String::from_utf8_lossy(body).into_owned()),
            outcome: Outcome::default(),
        };
        let record = Arc::new(OpenRecord {
            fixed,
            outcome: Mutex::default(),
        });
        let mut recent = self.recent.lock();
        if recent.len() >= self.capacity {
            recent.pop_front();
        }
        recent.push_back(Arc::clone(&record));
        Some(record)
    }

    /// The latest requests, oldest first.
    pub fn last(&self, count: usize) -> Vec<RequestRecord> {
        let recent = self.recent.lock();
        let skipped = recent.len().saturating_sub(count);
        recent.iter().skip(skipped).map(|record| record.snapshot()).collect()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.recent.lock().clear();
    }
}

fn shown(name: &str, value: &[u8]) -> (String, String) {
    let value = if CREDENTIALS.contains(&name) {
        format!("sha256:{}", &hex_digest(value)[..16])
    } else {
        String::from_utf8_lossy(value).into_owned()
    };
    (name.to_owned(), value)
}

fn hex_digest(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Counts since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that came.
    pub requests: u64,
    /// Responses by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Prompt tokens of admitted requests.
    pub prompt_tokens: u64,
    /// Those cached.
    pub cached_tokens: u64,
    /// Output tokens produced.
    pub output_tokens: u64,
    /// Requests whose client left before the end.
    pub cancelled: u64,
    /// Requests that a fault broke off.
    pub faulted: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(key: &str) -> Parts {
        let request = http::Request::post("/openai/v1/chat/completions?api-version=v1").header("api-key", key);
        request.header("x-custom", "seen").body(()).unwrap().into_parts().0
    }

    fn origin(number: u64) -> Origin<'static> {
        Origin {
            number,
            at_ms: 0,
            account: "a",
            deployment: None,
        }
    }

    #[test]
    fn credentials_are_digested_and_bodies_left_out() {
        let log = RequestLog::new(2, false);
        log.open(origin(1), &head("secret"), b"prompt").unwrap();
        let record = &log.last(1)[0];
        assert_eq!(record.headers[0].0, "api-key");
        assert!(record.headers[0].1.starts_with("sha256:"));
        assert_eq!(record.headers[1], ("x-custom".to_owned(), "seen".to_owned()));
        assert_eq!((record.body_bytes, &record.body), (6, &None));
        assert!(!format!("{record:?}").contains("secret"));
    }

    #[test]
    fn the_log_is_bounded_and_keeps_the_latest() {
        let log = RequestLog::new(2, true);
        for number in 1..=3 {
            log.open(origin(number), &head("k"), b"body");
        }
        let numbers: Vec<u64> = log.last(10).iter().map(|record| record.number).collect();
        assert_eq!(numbers, [2, 3]);
        assert_eq!(log.last(1)[0].body.as_deref(), Some("body"));
        assert!(RequestLog::new(0, true).open(origin(1), &head("k"), b"").is_none());
    }
}
