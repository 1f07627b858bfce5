//! The proof that an application has its certificate: a short-lived JSON Web Token signed with the certificate's key, as Microsoft Entra
//! ID reads it.
//!
//! `azure_identity` makes one too, but with OpenSSL, which this program does not have.

use std::fmt;
use std::path::Path;

use azure_core::Uuid;
use azure_identity::ClientAssertion;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::azure::credential_error::CredentialError;

/// How long an assertion is good for, in seconds; it is used at once.
const LIFETIME_S: i64 = 300;

/// The name of this way of logging in, in the configuration.
const WAY: &str = "client_certificate";

/// Signs assertions of one application.
pub struct Certificate {
    key: EncodingKey,
    thumbprint: String,
    client_id: String,
    audience: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// What an assertion says.
#[derive(Debug, Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: i64,
    iss: &'a str,
    jti: String,
    nbf: i64,
    sub: &'a str,
}

impl Certificate {
    /// Reads certificate and key of one PEM file; `audience` is the URL where the assertion is sent.
    ///
    /// # Errors
    /// When the file cannot be read or holds no RSA key or no certificate.
    pub fn read(path: &Path, client_id: &str, audience: &str) -> Result<Self, CredentialError> {
        let shown = path.display();
        let failed = |message: String| CredentialError::new(WAY, &message);
        let pem = std::fs::read(path).map_err(|error| failed(format!("cannot read `{shown}`: {error}")))?;
        let certificate =
            CertificateDer::from_pem_slice(&pem).map_err(|_| failed(format!("`{shown}` holds no certificate")))?;
        let key = key_of(&pem).ok_or_else(|| failed(format!("`{shown}` holds no private key that is an RSA key")))?;
        Ok(Self {
            key,
            thumbprint: URL_SAFE_NO_PAD.encode(Sha256::digest(&certificate)),
            client_id: client_id.to_owned(),
            audience: audience.to_owned(),
        })
    }

    /// An assertion that is valid from this time on, in seconds since the Unix epoch.
    fn sign(&self, now_s: i64) -> Result<String, jsonwebtoken::errors::Error> {
        let header = Header {
            x5t_s256: Some(self.thumbprint.clone()),
            ..Header::new(Algorithm::PS256)
        };
        let claims = Claims {
            aud: &self.audience,
            exp: now_s + LIFETIME_S,
            iss: &self.client_id,
            jti: Uuid::new_v4().to_string(),
            nbf: now_s,
            sub: &self.client_id,
        };
        jsonwebtoken::encode(&header, &claims, &self.key)
    }
}

/// The private key among the parts of a PEM file.
fn key_of(pem: &[u8]) -> Option<EncodingKey> {
    let text = std::str::from_utf8(pem).ok()?;
    ["PRIVATE KEY", "RSA PRIVATE KEY"].iter().find_map(|kind| {
        let from = text.find(&format!("-----BEGIN {kind}-----"))?;
        let end = format!("-----END {kind}-----");
        let length = text[from..].find(&end)? + end.len();
        EncodingKey::from_rsa_pem(&text.as_bytes()[from..from + length]).ok()
    })
}

#[async_trait::async_trait]
impl ClientAssertion for Certificate {
    async fn secret(&self, _: Option<azure_core::http::ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        self.sign(jiff::Timestamp::now().as_second())
            .map_err(|error| azure_core::Error::new(azure_core::error::ErrorKind::Credential, error))
    }
}

#[cfg(test)]
mod tests;
