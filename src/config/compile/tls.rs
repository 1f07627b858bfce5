//! Certificate and key files.
//!
//! They are read here only to be judged; whoever uses them reads them again. Without this check a
//! wrong file would stop the process later and without a place in the configuration.

use std::io;
use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};

use crate::config::checked::TlsFiles;
use crate::config::compile::context::Context;
use crate::config::errors::Pointer;
use crate::config::raw::RawTls;
use crate::config::small_file::{SMALL_BYTES_MAX, read_small};

/// Resolves and checks the files of a listener.
pub(super) fn compile(context: &mut Context<'_>, raw: &RawTls, at: &Pointer) -> TlsFiles {
    let certificate_at = at.key("certificate");
    let key_at = at.key("key");
    let directory = context.directory;
    let certificate = directory.join(context.text(&certificate_at, &raw.certificate));
    let key = directory.join(context.text(&key_at, &raw.key));
    let files = TlsFiles { certificate, key };
    let (certificate_shown, key_shown) = (directory.join(&raw.certificate), directory.join(&raw.key));
    let chain = read_chain(&files.certificate);
    let private = read_key(&files.key);
    if let Err(error) = &chain {
        context.error(
            &certificate_at,
            failure(&certificate_shown, error, "certificate"),
            HINT.to_owned(),
        );
    }
    if let Err(error) = &private {
        context.error(&key_at, failure(&key_shown, error, "private key"), HINT.to_owned());
    }
    if let (Ok(chain), Ok(private)) = (chain, private) {
        let provider = rustls::crypto::ring::default_provider();
        if let Err(error) = rustls::sign::CertifiedKey::from_der(chain, private, &provider) {
            context.error(
                &key_at,
                format!("`{}` does not fit the certificate: {error}", key_shown.display()),
                "give the private key of the first certificate in the chain".to_owned(),
            );
        }
    }
    files
}

/// Judges a file that must hold a certificate, such as an authority's; `shown` names it in messages.
pub(super) fn check_certificates(context: &mut Context<'_>, at: &Pointer, path: &Path, shown: &Path) {
    if let Err(error) = read_chain(path) {
        context.error(at, failure(shown, &error, "certificate"), HINT.to_owned());
    }
}

/// The same of a file that must hold a certificate and its private key.
pub(super) fn check_identity(context: &mut Context<'_>, at: &Pointer, path: &Path, shown: &Path) {
    check_certificates(context, at, path, shown);
    if let Err(error) = read_key(path)
        && !matches!(error, pem::Error::Io(_))
    {
        context.error(at, failure(shown, &error, "private key"), HINT.to_owned());
    }
}

const HINT: &str = "a PEM file; relative paths start at the configuration file's directory";

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain = CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() {
        return Err(pem::Error::NoItemsFound);
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, pem::Error> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
}

fn read(path: &Path) -> Result<Vec<u8>, pem::Error> {
    read_small(path, SMALL_BYTES_MAX).map_err(pem::Error::Io)
}

fn failure(path: &Path, error: &pem::Error, noun: &str) -> String {
    let path = path.display();
    match error {
        pem::Error::Io(cause) if cause.kind() == io::ErrorKind::NotFound => format!("there is no file `{path}`"),
        pem::Error::Io(cause) => format!("cannot read `{path}`: {cause}"),
        pem::Error::NoItemsFound => format!("`{path}` holds no {noun}"),
        _ => format!("`{path}` is not a PEM file"),
    }
}
