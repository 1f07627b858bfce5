//! HTTP as Azure is spoken to: bounded in time and size, never redirected, and past any proxy where the other side is this machine's own.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use url::{Host, Url};

/// Longest time for TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for the instance metadata service: it is on this machine's own host, or there is none.
const NEAR_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time for a whole exchange. ARM answers within seconds; what takes longer is an operation that is polled.
const EXCHANGE_TIMEOUT: Duration = Duration::from_mins(1);
/// Largest answer: a list of a region's models has about a megabyte.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// TLS or the resolver cannot be set up.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// The extra certificates cannot be used.
    #[error("cannot use the certificates in `{path}`: {cause}")]
    Certificates {
        /// The file.
        path: String,
        /// Why not.
        cause: String,
    },
    /// The other side could not be reached, or broke off.
    #[error("no answer from `{host}`{reason}")]
    Exchange {
        /// Whom it was for.
        host: String,
        /// Whether not even a connection was made.
        is_unreachable: bool,
        /// What went wrong, in words that follow the host.
        reason: String,
    },
    /// The answer is too large to be one.
    #[error("the answer of `{0}` is larger than {mib} MiB", mib = BODY_BYTES_MAX / 1024 / 1024)]
    TooLarge(String),
}

impl TransportError {
    /// What to do about it, where ARM was asked.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Exchange { reason, .. } if reason.contains("certificate") => {
                "check `azure.management`; if a proxy stands between, trust its certificate by `azure.ca`"
            }
            Self::Exchange { .. } | Self::TooLarge(_) => "check the network, `azure.management` and any proxy",
            Self::Setup(_) => "check this machine's certificates and proxy variables",
            Self::Certificates { .. } => "`azure.ca` names a PEM file of certificates",
        }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The id under which whoever watches writes was told of its request; none for one that changes nothing.
    pub witnessed: Option<String>,
}

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The connections to Azure.
#[derive(Debug, Clone)]
pub struct Http {
    outside: reqwest::Client,
    near: reqwest::Client,
}

impl Http {
    /// With the certificates of a file trusted beside the usual ones.
    ///
    /// # Errors
    /// When the file or TLS cannot be used.
    pub fn new(ca: Option<&Path>) -> Result<Self, TransportError> {
        // Whoever came first decides the process's provider; the build has only this one.
        let _already_set = rustls::crypto::ring::default_provider().install_default();
        let certificates = ca.map(certificates).transpose()?.unwrap_or_default();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("emberway/", env!("CARGO_PKG_VERSION")))
                .timeout(EXCHANGE_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .tls_certs_merge(certificates.clone())
        };
        let outside = builder().connect_timeout(CONNECT_TIMEOUT).build();
        let near = builder().connect_timeout(NEAR_CONNECT_TIMEOUT).no_proxy().build();
        Ok(Self {
            outside: outside.map_err(TransportError::Setup)?,
            near: near.map_err(TransportError::Setup)?,
        })
    }

    /// A request, to be filled in.
    pub fn request(&self, method: http::Method, url: Url) -> reqwest::RequestBuilder {
        let client = if is_near(&url) { &self.near } else { &self.outside };
        client.request(method, url)
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When none comes, or too large a one.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, TransportError> {
        let (client, request) = request.build_split();
        let request = request.map_err(TransportError::Setup)?;
        let host = host_of(request.url());
        let failed = |cause: reqwest::Error| TransportError::Exchange {
            host: host.clone(),
            is_unreachable: cause.is_connect(),
            reason: reason(&cause),
        };
        let mut response = client.execute(request).await.map_err(failed)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(TransportError::TooLarge(host));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: body.freeze(),
            witnessed: None,
        })
    }
}

/// What went wrong, in the words of whoever noticed it first: the operating system, the resolver, TLS. What libraries say around it,
/// and the system's number of it, tell a person nothing.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return " in time".to_owned();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    if text.contains("lookup address") || text.contains("resolve") {
        return ": its name is not known here".to_owned();
    }
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    format!(": {}{}", first.map(String::from).unwrap_or_default(), letters.as_str())
}

/// Host and port, for messages: never the path, which may name what is nobody's business.
pub fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether this machine, or its host's metadata service, is meant: never through a proxy.
fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_link_local(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, TransportError> {
    let failed = |cause: String| TransportError::Certificates {
        path: path.display().to_string(),
        cause,
    };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))
}
