//! One request over the network: send it, read the answer to its end, say how it ended.
//!
//! Connections are reused as any client would. Proxies of the environment and redirects are not followed: what is
//! measured is the address that was named. Nothing is retried; a failure is what the driver is here to see.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Response, Url};
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Completion, Head, Stream, StreamEnd, error_code};
use super::outcome::{Failure, FailureKind, Finished, Tokens};
use super::plan::{PlanError, Target};

/// Longest answer that is read, in bytes; far above any model's longest output.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How much of an error's body is read, for its code.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// How long the end of a body may take after a stream said that it is done, so that its connection can be used again.
const DRAIN: Duration = Duration::from_millis(500);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The plan names no address.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// TLS or the resolver cannot be set up.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] reqwest::Error),
}

/// A pool of connections to the target.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    timeout: Duration,
}

/// A request's end and the text it got, which the next turn of the conversation repeats.
pub(super) struct Answer {
    pub finished: Finished,
    pub text: String,
}

/// What has been read of an answer's body.
#[derive(Default)]
struct Body {
    failure: Option<Failure>,
    text: String,
    tokens: Option<Tokens>,
    first_token: Option<Instant>,
    ended: Option<Instant>,
}

impl Client {
    pub(super) fn new(target: &Target, timeout: Duration) -> Result<Self, ClientError> {
        // Whoever came first decides the process's provider; the build has only this one.
        let _already_set = rustls::crypto::ring::default_provider().install_default();
        let mut headers = http::HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some((name, value)) = &target.credential {
            headers.insert(name.clone(), value.clone());
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("emberway-load/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .map_err(ClientError::Setup)?;
        Ok(Self {
            http,
            url: target.chat_url()?,
            timeout,
        })
    }

    /// Sends `body` now; times in the result count from `intended`, which is now or earlier.
    pub(super) async fn ask(&self, body: Vec<u8>, streamed: bool, intended: Instant) -> Answer {
        let deadline = Instant::now() + self.timeout;
        let sent = timeout_at(deadline, self.http.post(self.url.clone()).body(body).send()).await;
        let (status, head, body) = match sent {
            Err(_elapsed) => (None, Head::default(), failed(Failure::before(FailureKind::Timeout))),
            Ok(Err(error)) => (
                None,
                Head::default(),
                failed(Failure::before(connection_failure(&error))),
            ),
            Ok(Ok(response)) => {
                let (status, head) = (response.status().as_u16(), Head::read(response.headers()));
                (Some(status), head, read(response, streamed, deadline).await)
            }
        };
        let ended = body.ended.unwrap_or_else(Instant::now);
        // Reading out the rest of a stream that is done does not belong to the request.
        let since = i64::try_from(ended.elapsed().as_millis()).unwrap_or(0);
        let finished = Finished {
            finished_at_ms: jiff::Timestamp::now().as_millisecond() - since,
            request_id: head.request_id,
            status,
            streamed,
            failure: body.failure,
            latency: ended.saturating_duration_since(intended),
            first_token: body.first_token.map(|at| at.saturating_duration_since(intended)),
            gateway: head.gateway,
            attempts: head.attempts,
            deployment: head.deployment,
            tokens: body.tokens,
        };
        Answer {
            finished,
            text: body.text,
        }
    }
}

fn failed(failure: Failure) -> Body {
    Body {
        failure: Some(failure),
        ..Body::default()
    }
}

/// Why no answer's head came.
fn connection_failure(error: &reqwest::Error) -> FailureKind {
    if !error.is_connect() {
        return FailureKind::Broken;
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        let refused = inner
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused);
        if refused {
            return FailureKind::Refused;
        }
        cause = inner.source();
    }
    FailureKind::Unreachable
}

async fn read(response: Response, streamed: bool, deadline: Instant) -> Body {
    let status = response.status();
    if !status.is_success() {
        return read_error(response, deadline).await;
    }
    if !streamed {
        return read_completion(response, deadline).await;
    }
    let media_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if media_type.is_some_and(|value| value.starts_with("text/event-stream")) {
        read_stream(response, deadline).await
    } else {
        failed(Failure::after(FailureKind::Malformed, status.as_u16()))
    }
}

async fn read_error(mut response: Response, deadline: Instant) -> Body {
    let mut body = Vec::new();
    // The status is the outcome; a body that breaks or does not come only costs us its code.
    while let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await {
        if body.len() + chunk.len() > MAX_ERROR_BYTES {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    failed(Failure {
        kind: FailureKind::HttpError,
        begun: false,
        status: Some(response.status().as_u16()),
        code: error_code(&body),
    })
}

async fn read_completion(mut response: Response, deadline: Instant) -> Body {
    let after = |kind| failed(Failure::after(kind, response.status().as_u16()));
    let (timed_out, cut, malformed) = (
        after(FailureKind::Timeout),
        after(FailureKind::CutBody),
        after(FailureKind::Malformed),
    );
    let mut body = Vec::new();
    loop {
        match timeout_at(deadline, response.chunk()).await {
            Err(_elapsed) => return timed_out,
            Ok(Err(_broken)) => return cut,
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() > MAX_ANSWER_BYTES => return malformed,
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            Ok(Ok(None)) => break,
        }
    }
    let ended = Instant::now();
    let Some(completion) = Completion::read(&body) else {
        return malformed;
    };
    Body {
        text: completion.text,
        tokens: completion.tokens,
        ended: Some(ended),
        ..Body::default()
    }
}

async fn read_stream(mut response: Response, deadline: Instant) -> Body {
    let status = response.status().as_u16();
    let mut stream = Stream::default();
    let mut first_token = None;
    let mut bytes_read = 0;
    let failure = loop {
        let chunk = match timeout_at(deadline, response.chunk()).await {
            Err(_elapsed) => break Some(Failure::after(FailureKind::Timeout, status)),
            // To the caller a broken connection and a body that just ends are the same: the stream was cut.
            Ok(Err(_) | Ok(None)) => break Some(Failure::after(FailureKind::CutStream, status)),
            Ok(Ok(Some(chunk))) => chunk,
        };
        bytes_read += chunk.len();
        stream.feed(&chunk);
        if stream.begun && first_token.is_none() {
            first_token = Some(Instant::now());
        }
        match stream.end.take() {
            Some(StreamEnd::Done) => break None,
            Some(StreamEnd::Malformed) => break Some(Failure::after(FailureKind::Malformed, status)),
            Some(StreamEnd::Error(code)) => {
                let failure = Failure::after(FailureKind::ErrorEvent, status);
                break Some(Failure { code, ..failure });
            }
            None if bytes_read > MAX_ANSWER_BYTES => break Some(Failure::after(FailureKind::Malformed, status)),
            None => {}
        }
    };
    let ended = Instant::now();
    if failure.is_none() {
        // Best effort: a server that does not end its body costs a connection, not the answer.
        let _slow_end = timeout(DRAIN, async { while let Ok(Some(_)) = response.chunk().await {} }).await;
    }
    Body {
        failure,
        text: stream.text,
        tokens: stream.tokens,
        first_token,
        ended: Some(ended),
    }
}
