//! The collector as an HTTP client of the SDK's exporters: our own connections, our own headers, and why something was not taken.
//!
//! The exporters would also take headers from the process's environment; they are left out here, since nothing but the configuration says
//! what is sent. Nothing is tried again here: who sends decides about that. The connections live on the runtime that made this, whatever
//! thread an exporter runs on.

use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use url::Url;

use crate::azure::transport::{Answer, Http, TransportError, host_of};
use crate::config::checked::telemetry::OtlpSettings;

/// Longest time that a collector can ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);

/// Why something was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In words.
    pub cause: String,
    /// Whether it may be taken later.
    pub may_pass: bool,
    /// How long the collector asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// One signal's way to the collector.
pub struct Collector {
    http: Http,
    headers: HeaderMap,
    timeout: Duration,
    runtime: Handle,
    /// Of the exchange before, if it failed.
    failure: Mutex<Option<Failure>>,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The headers may hold secrets.
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl Collector {
    /// On the current runtime.
    pub fn new(settings: &OtlpSettings, http: Http) -> Self {
        let mut headers = HeaderMap::with_capacity(settings.headers.len());
        for (name, secret) in &settings.headers {
            // The configuration has only secrets that a header can hold.
            if let Ok(mut value) = HeaderValue::from_str(secret.expose()) {
                value.set_sensitive(true);
                headers.insert(name.clone(), value);
            }
        }
        Self {
            http,
            headers,
            timeout: settings.timeout,
            runtime: Handle::current(),
            failure: Mutex::new(None),
        }
    }

    /// Why the exchange before failed; what an exporter says itself where there was none.
    pub fn failure(&self, said: &dyn std::fmt::Display) -> Failure {
        self.failure.lock().take().unwrap_or_else(|| Failure {
            cause: said.to_string(),
            may_pass: false,
            retry_after: None,
        })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let url = Url::parse(&head.uri.to_string())?;
        let host = host_of(&url);
        let mut request = self.http.request(http::Method::POST, url).timeout(self.timeout);
        if let Some(kind) = head.headers.get(CONTENT_TYPE) {
            request = request.header(CONTENT_TYPE, kind);
        }
        let request = request.headers(self.headers.clone()).body(body);
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move { http.send(request).await }).await?;
        *self.failure.lock() = failure(&host, &sent);
        let answer = sent?;
        Ok(Response::builder().status(answer.status).body(answer.body)?)
    }
}

/// Why an exchange failed, if it did. What may be sent again is said by the protocol.
fn failure(host: &str, sent: &Result<Answer, TransportError>) -> Option<Failure> {
    match sent {
        Ok(answer) if (200..300).contains(&answer.status) => None,
        Ok(answer) => Some(Failure {
            cause: format!("`{host}` answered {}", answer.status),
            may_pass: matches!(answer.status, 408 | 429 | 502..=504),
            retry_after: answer
                .header(RETRY_AFTER.as_str())
                .and_then(|after| after.parse().ok())
                .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
        }),
        Err(error) => Some(Failure {
            cause: error.to_string(),
            may_pass: true,
            retry_after: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, retry_after: Option<&'static str>, expected: Option<(bool, Option<u64>)>) {
        let mut headers = HeaderMap::new();
        if let Some(after) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(after));
        }
        let answer = Answer {
            status,
            headers,
            body: Bytes::new(),
            witnessed: None,
        };
        let failure = failure("otel:4318", &Ok(answer));
        let shown = failure.map(|failure| (failure.may_pass, failure.retry_after.map(|after| after.as_secs())));
        assert_eq!(shown, expected, "{status} {retry_after:?}");
    }

    #[test]
    fn what_may_pass_is_what_the_protocol_says() {
        check(200, None, None);
        check(204, None, None);
        for status in [429, 502, 503, 504, 408] {
            check(status, None, Some((true, None)));
        }
        for status in [302, 400, 401, 403, 404, 413, 500, 501] {
            check(status, None, Some((false, None)));
        }
        check(429, Some("7"), Some((true, Some(7))));
        check(503, Some("86400"), Some((true, Some(60))));
        check(503, Some("Wed, 21 Oct 2015 07:28:00 GMT"), Some((true, None)));
    }

    #[test]
    fn nobody_there_may_pass() {
        let gone = TransportError::Exchange {
            host: "otel:4318".to_owned(),
            is_unreachable: true,
            reason: ": connection refused".to_owned(),
        };
        let failure = failure("otel:4318", &Err(gone)).expect("a failure");
        assert_eq!(failure.cause, "no answer from `otel:4318`: connection refused");
        assert!(failure.may_pass);
    }
}
