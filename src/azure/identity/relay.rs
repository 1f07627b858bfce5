//! The connections that `azure_identity` uses: ours, with its two fixed hosts replaced by the configured ones.

use std::collections::HashMap;

use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Method, Request, StatusCode};
use url::Url;

use crate::azure::identity::Authorities;
use crate::azure::transport::Http;

/// Stands for the configured authority: the library insists on a host of its own choice, reached by https.
pub(super) const AUTHORITY_HOST: &str = "authority.invalid";
/// Where the library takes the instance metadata service to be.
const METADATA_HOST: &str = "169.254.169.254";

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
        let mut sending = self.http.request(method, self.really(request.url())).body(body);
        for (name, value) in request.headers().iter() {
            sending = sending.header(name.as_str(), value.as_str());
        }
        let answer = self.http.send(sending).await.map_err(|error| {
            let message = error.to_string();
            Error::with_error(ErrorKind::Io, error, message)
        })?;
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
