//! Who is calling: from a presented key to a client.
//!
//! Keys are kept and compared as SHA-256 digests, so the configuration never holds them. The table is found by the digest's
//! first bytes and the rest compared in constant time; an attacker who times the lookup learns about digests of keys that
//! they chose themselves, which is nothing.

use std::collections::HashMap;

use http::HeaderMap;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::checked::ClientKey;
use crate::core::topology::ClientIx;
use crate::openai::bearer;
use crate::telemetry::events::AuthFailure;

/// Client keys by digest.
#[derive(Debug, Default)]
pub struct KeyTable {
    by_prefix: HashMap<[u8; 8], Vec<ClientKey>>,
}

impl KeyTable {
    /// Builds the table.
    pub fn new(keys: &[ClientKey]) -> Self {
        let mut by_prefix: HashMap<[u8; 8], Vec<ClientKey>> = HashMap::new();
        for key in keys {
            by_prefix.entry(prefix(&key.digest)).or_default().push(key.clone());
        }
        Self { by_prefix }
    }

    /// The client that a request's key belongs to.
    ///
    /// # Errors
    /// Whether there was no key, or an unknown one.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<ClientIx, AuthFailure> {
        let presented = presented_key(headers).ok_or(AuthFailure::Missing)?;
        let digest: [u8; 32] = Sha256::digest(presented).into();
        let candidates = self.by_prefix.get(&prefix(&digest)).map_or(&[][..], Vec::as_slice);
        candidates
            .iter()
            .find(|key| bool::from(key.digest.ct_eq(&digest)))
            .map(|key| key.client)
            .ok_or(AuthFailure::Unknown)
    }
}

/// The key a request carries: `api-key`, else a bearer (which need not be a token: SDKs send keys so).
fn presented_key(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("api-key") {
        return Some(key.as_bytes());
    }
    bearer::token(headers.get(http::header::AUTHORIZATION)?.as_bytes())
}

fn prefix(digest: &[u8; 32]) -> [u8; 8] {
    let mut out = [0; 8];
    out.copy_from_slice(&digest[..8]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> KeyTable {
        let key = |text: &str, client| ClientKey {
            digest: Sha256::digest(text).into(),
            client: ClientIx(client),
        };
        KeyTable::new(&[key("one", 0), key("two", 1), key("deux", 1)])
    }

    #[track_caller]
    fn check(header: &'static str, value: &str, expect: Result<usize, AuthFailure>) {
        let mut headers = HeaderMap::new();
        headers.insert(header, value.parse().expect("header"));
        assert_eq!(
            table().authenticate(&headers).map(|client| client.0),
            expect,
            "{header}: {value}"
        );
    }

    #[test]
    fn keys_in_both_headers() {
        check("api-key", "one", Ok(0));
        check("authorization", "Bearer two", Ok(1));
        check("authorization", "bearer  deux ", Ok(1));
        check("api-key", "three", Err(AuthFailure::Unknown));
        check("authorization", "Basic one", Err(AuthFailure::Missing));
        check("authorization", "Bear", Err(AuthFailure::Missing));
        check("x-api-key", "one", Err(AuthFailure::Missing));
    }
}
