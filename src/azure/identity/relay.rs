//! The connections that `azure_identity` uses: ours, with its two fixed hosts replaced by the configured ones.

use std::collections::HashMap;
use std::time::Duration;

use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Method, Request, StatusCode};
use bytes::Bytes;
use url::Url;

use crate::azure::identity::Authorities;
use crate::azure::transport::{Answer, Http, TransportError};

/// Stands for the configured authority: the library insists on a host of its own choice, reached by https.
pub(super) const AUTHORITY_HOST: &str = "authority.invalid";
/// Where the library takes the instance metadata service to be.
const METADATA_HOST: &str = "169.254.169.254";

/// Tries where no connection is made.
const UNREACHABLE_TRIES: u32 = 2;
/// Wait between them.
const UNREACHABLE_PAUSE: Duration = Duration::from_secs(1);

/// Sends the library's requests.
#[derive(Debug)]
pub(super) struct Relay {
    authorities: Authorities,
    http: Http,
}

impl Relay {
    pub(super) fn new(authorities: Authorities, http: Http) -> Self {
        Self { authorities, http }
    }

    /// Where a request really goes.
    fn really(&self, url: &Url) -> Url {
        let base = match url.host_str() {
            Some(AUTHORITY_HOST) => &self.authorities.authority,
            Some(METADATA_HOST) => &self.authorities.metadata,
            // What an app service names by its own variables.
            _ => return url.clone(),
        };
        let mut really = base.clone();
        really.set_path(&format!("{}{}", base.path().trim_end_matches('/'), url.path()));
        really.set_query(url.query());
        really
    }
}

impl Relay {
    /// Sends a request, where nobody is there once more and no oftener: the library would go on for a minute and more, while somebody waits
    /// for a wrong address, or for the metadata service of a machine that has none.
    async fn send(&self, request: &Request, method: &http::Method, body: &Bytes) -> azure_core::Result<Answer> {
        let mut tries = 0;
        loop {
            let mut sending = self
                .http
                .request(method.clone(), self.really(request.url()))
                .body(body.clone());
            for (name, value) in request.headers().iter() {
                sending = sending.header(name.as_str(), value.as_str());
            }
            tries += 1;
            let (kind, error) = match self.http.send(sending).await {
                Err(TransportError::Exchange {
                    is_unreachable: true, ..
                }) if tries < UNREACHABLE_TRIES => {
                    // An endpoint that starts is back in a moment, and nothing tells of it.
                    tokio::time::sleep(UNREACHABLE_PAUSE).await;
                    continue;
                }
                Err(
                    error @ TransportError::Exchange {
                        is_unreachable: true, ..
                    },
                ) => (ErrorKind::Credential, error),
                // The library tries these again.
                Err(error) => (ErrorKind::Io, error),
                Ok(answer) => return Ok(answer),
            };
            let message = error.to_string();
            return Err(Error::with_error(kind, error, message));
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Relay {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let method = match request.method() {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            // Tokens are asked for in these two ways.
            other => return Err(Error::with_message(ErrorKind::Other, format!("{other} is not sent"))),
        };
        let Body::Bytes(body) = request.body().clone() else {
            return Err(Error::with_message(ErrorKind::Other, "a stream is not sent"));
        };
        let answer = self.send(request, &method, &body).await?;
        let headers: HashMap<HeaderName, HeaderValue> = answer
            .headers
            .iter()
            .filter_map(|(name, value)| {
                let value = value.to_str().ok()?;
                Some((
                    HeaderName::from(name.as_str().to_owned()),
                    HeaderValue::from(value.to_owned()),
                ))
            })
            .collect();
        Ok(AsyncRawResponse::from_bytes(
            StatusCode::from(answer.status),
            Headers::from(headers),
            answer.body,
        ))
    }
}
