//! A certificate made at the start: an authority of its own, written to a file for clients to trust, and a server's certificate by it.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// What a listener needs, and where its authority's certificate lies.
pub struct Generated {
    /// Speaks TLS.
    pub acceptor: TlsAcceptor,
    /// The file that clients trust.
    pub certificate: PathBuf,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// It cannot be used.
    #[error("cannot use the certificate that was made")]
    Use(#[from] rustls::Error),
    /// It cannot be written.
    #[error("cannot write the certificate to `{}`; does its directory exist?", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes one for an address and its usual names.
///
/// # Errors
/// When it cannot be made or written.
pub fn generate(address: IpAddr, to: &Path) -> Result<Generated, CertificateError> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority
        .distinguished_name
        .push(DnType::CommonName, "Emberway simulator authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let own = authority.self_signed(&authority_key)?;

    let key = KeyPair::generate()?;
    let names = [
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
        address.to_string(),
    ];
    let mut server = CertificateParams::new(names)?;
    server.distinguished_name.push(DnType::CommonName, "Emberway simulator");
    // Python from 3.13 on asks for both.
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let signed = server.signed_by(&key, &Issuer::new(authority, authority_key))?;

    std::fs::write(to, own.pem()).map_err(|source| CertificateError::Write {
        path: to.to_owned(),
        source,
    })?;
    let chain: Vec<CertificateDer<'static>> = vec![signed.der().clone()];
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Generated {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        certificate: to.to_owned(),
    })
}
