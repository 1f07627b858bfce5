//! How the provider is asked: HTTP for `openidconnect`, bounded in time and size, never redirected.

use openidconnect::{HttpRequest, HttpResponse};
use reqwest::redirect::Policy;
use std::time::Duration;
use url::{Host, Url};

/// Longest time for a whole exchange; a person waits for it.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer: keys and descriptions have some kilobytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Why the provider did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The connection failed.
    #[error("the exchange failed")]
    Exchange(#[from] reqwest::Error),
    /// The answer is too large to be one.
    #[error("the answer is larger than 1 MiB")]
    TooLarge,
}

/// A client for this provider. One on this machine is not asked through a proxy.
pub(super) fn client(issuer: &Url) -> Result<reqwest::Client, reqwest::Error> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("emberway/", env!("CARGO_PKG_VERSION")))
        .timeout(EXCHANGE_TIMEOUT)
        .redirect(Policy::none());
    let is_near = match issuer.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if is_near { builder.no_proxy() } else { builder }.build()
}

/// One exchange.
pub(super) async fn exchange(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, ExchangeError> {
    let mut response = client.execute(request.try_into()?).await?;
    let mut answer = HttpResponse::default();
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    while let Some(chunk) = response.chunk().await? {
        if answer.body().len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ExchangeError::TooLarge);
        }
        answer.body_mut().extend_from_slice(&chunk);
    }
    Ok(answer)
}
