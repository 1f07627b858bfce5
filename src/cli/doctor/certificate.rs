//! Is a server's certificate good, and for how long still?
//!
//! The handshake is judged as the gateway's own would be, by the certificates that this machine trusts. How long it is good for comes
//! from judging the same chain again as of a later day: whoever judges names the end, so nothing here reads certificates.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::telemetry::clock;

/// How long before its end a certificate is worth a warning: time enough for a person.
const SOON: Duration = Duration::from_hours(21 * 24);

/// What this machine trusts; none where it trusts nothing.
pub(super) type Trusted = Option<Arc<WebPkiServerVerifier>>;

/// How a handshake ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handshake {
    /// Well; the certificate is good for longer than [`SOON`].
    Good,
    /// Well; the certificate ends within [`SOON`], at this time (seconds since the Unix epoch).
    EndsSoon(u64),
    /// The certificate has ended.
    Expired,
    /// The certificate begins later: or the clock here is behind.
    NotYet,
    /// The certificate is another host's.
    WrongName,
    /// Nobody whom this machine trusts has signed it.
    Untrusted,
    /// Another reason, in the library's words.
    Failed(String),
}

/// Reads what this machine trusts, with `SSL_CERT_FILE` and `SSL_CERT_DIR` as usual.
pub(super) fn trusted() -> Trusted {
    WebPkiServerVerifier::builder(Arc::new(roots())).build().ok()
}

/// The same, and the certificates of a PEM file beside it.
pub(super) fn trusted_with(file: &Path) -> Result<Trusted, String> {
    let mut roots = roots();
    let read = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    let mut added = 0;
    for certificate in read {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        added += 1;
    }
    if added == 0 {
        return Err("it has no certificates".to_owned());
    }
    Ok(WebPkiServerVerifier::builder(Arc::new(roots)).build().ok())
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Those that cannot be parsed are nobody's that we meet.
    let _counts = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Shakes hands on a fresh connection.
pub(super) async fn shake_hands(trusted: &Trusted, host: &str, connection: TcpStream) -> Handshake {
    let Some(verifier) = trusted else {
        return Handshake::Failed("this machine trusts no certificates".to_owned());
    };
    let Ok(name) = ServerName::try_from(host.to_owned()) else {
        return Handshake::Failed(format!("`{host}` is no name that a certificate can be for"));
    };
    let config = ClientConfig::builder()
        .with_webpki_verifier(Arc::clone(verifier))
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    match connector.connect(name.clone(), connection).await {
        Ok(stream) => {
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            good_until(verifier, chain, &name)
        }
        Err(error) => {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            inner.map_or_else(|| Handshake::Failed(error.to_string()), refused)
        }
    }
}

/// Judges a chain that is good now as of a later day.
fn good_until(verifier: &WebPkiServerVerifier, chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> Handshake {
    let Some((own, others)) = chain.split_first() else {
        return Handshake::Good;
    };
    let now = Duration::from_millis(u64::try_from(clock::now_ms()).unwrap_or_default());
    let later = UnixTime::since_unix_epoch(now + SOON);
    match verifier.verify_server_cert(own, others, name, &[], later) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Handshake::EndsSoon(not_after.as_secs())
        }
        // Anything else would have been the case now too.
        Ok(_) | Err(_) => Handshake::Good,
    }
}

fn refused(error: &rustls::Error) -> Handshake {
    use CertificateError as Wrong;
    let rustls::Error::InvalidCertificate(wrong) = error else {
        return Handshake::Failed(error.to_string());
    };
    match wrong {
        Wrong::Expired | Wrong::ExpiredContext { .. } => Handshake::Expired,
        Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => Handshake::NotYet,
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => Handshake::WrongName,
        Wrong::UnknownIssuer | Wrong::BadSignature => Handshake::Untrusted,
        other => Handshake::Failed(other.to_string()),
    }
}
