//! Assertions of an application that exists for these tests only.

use std::path::PathBuf;

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use super::*;

const PEM: &str = include_str!("test-application.pem");
const PUBLIC: &[u8] = include_bytes!("test-application.pub.pem");
const AUDIENCE: &str = "https://login.example/contoso/oauth2/v2.0/token";

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("application.pem");
    std::fs::write(&path, text).expect("write");
    (directory, path)
}

#[test]
fn an_assertion_can_be_checked_with_the_certificate() {
    let (_directory, path) = written(PEM);
    let certificate = Certificate::read(&path, "client", AUDIENCE).expect("reads");
    let now = jiff::Timestamp::now().as_second();
    let assertion = certificate.sign(now).expect("signs");
    let header = decode_header(&assertion).expect("a header");
    assert_eq!(header.alg, Algorithm::PS256);
    // `openssl x509 -fingerprint -sha256` of the certificate, in another spelling.
    let der = CertificateDer::from_pem_slice(PEM.as_bytes()).expect("a certificate");
    assert_eq!(header.x5t_s256, Some(URL_SAFE_NO_PAD.encode(Sha256::digest(&der))));
    let mut validation = Validation::new(Algorithm::PS256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&["client"]);
    validation.validate_nbf = true;
    let claims = decode::<Value>(
        &assertion,
        &DecodingKey::from_rsa_pem(PUBLIC).expect("a key"),
        &validation,
    )
    .expect("valid");
    assert_eq!(
        (claims.claims["sub"].as_str(), claims.claims["exp"].as_i64()),
        (Some("client"), Some(now + 300))
    );
    assert!(!format!("{certificate:?}").contains("key"));
}

#[test]
fn what_is_no_certificate_with_its_key_is_refused() {
    let begin = PEM.find("-----BEGIN PRIVATE KEY").expect("a key");
    for (text, expected) in [
        ("", "holds no certificate"),
        (&PEM[begin..], "holds no certificate"),
        (&PEM[..begin], "holds no private key"),
        (&PEM[..begin + 100], "holds no private key"),
    ] {
        let (_directory, path) = written(text);
        let error = Certificate::read(&path, "client", AUDIENCE).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = Certificate::read(&PathBuf::from("/nonexistent.pem"), "client", AUDIENCE).expect_err("no file");
    assert!(
        error
            .to_string()
            .starts_with("cannot log in by `client_certificate`: cannot read `/nonexistent.pem`"),
        "{error}"
    );
}
