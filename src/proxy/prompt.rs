//! A request's prompt as placement sees it: its chain of blocks, its size, and what its client says of belonging together.
//!
//! Nothing of the text is kept. Two hints of the client's are honoured, each within the client's own scope:
//!
//! - its own `prompt_cache_key`: the provider keeps prompts with different keys apart, so their chains have nothing in common;
//! - a session's name in one of [`SESSION_HEADERS`]: it divides a hot head in place of the key block.
//!
//! `x-emberway-affinity: off` asks for none of all this.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::HeaderName;
use sha2::{Digest as _, Sha256};

use crate::core::placement::chain::{BYTES_PER_TOKEN, Chain, ChainBuilder};
use crate::core::placement::view::Ask;
use crate::openai::canonical::{self, Sink};
use crate::openai::request::Request;
use crate::openai::target::WireOperation;

/// Output tokens that the provider reckons with where the request names no bound.
const OUTPUT_DEFAULT: u64 = 16;

/// Headers by which clients and other gateways name sessions; the first that is there counts.
pub const SESSION_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-session-id"),
    HeaderName::from_static("x-litellm-session-id"),
    HeaderName::from_static("x-bf-session-id"),
];

/// By which a request can ask to be placed by load alone.
pub const AFFINITY_HEADER: HeaderName = HeaderName::from_static("x-emberway-affinity");

/// What placement must know of a request.
#[derive(Debug)]
pub struct Prompt {
    /// Its blocks, within the pool's scope.
    pub chain: Chain,
    /// Its size and kind.
    pub ask: Ask,
}

/// Whose prompt it is, and where it may go: prompts of other scopes have nothing in common with it.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The pool's name.
    pub pool: &'a str,
    /// The client's name, the scope of its hints.
    pub client: &'a str,
}

struct Blocks(ChainBuilder);

impl Sink for Blocks {
    fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    fn end_segment(&mut self) {
        self.0.cut();
    }

    fn is_full(&self) -> bool {
        self.0.is_full()
    }
}

/// Reads a prompt. Linear in its length, up to the depth that placement looks at.
pub fn read(scope: Scope<'_>, request: &Request<'_>, operation: WireOperation, headers: &HeaderMap) -> Prompt {
    let own_key = request.prompt_cache_key.as_deref();
    let name = own_key.map_or(Cow::Borrowed(scope.pool), |key| {
        Cow::Owned([scope.pool, "\0", scope.client, "\0", key].concat())
    });
    let mut blocks = Blocks(ChainBuilder::new(&name));
    let shape = canonical::write(request, &mut blocks);
    let prompt_tokens = shape.bytes.div_ceil(BYTES_PER_TOKEN) as u64;
    let output = request.output_tokens_max().unwrap_or(OUTPUT_DEFAULT);
    let is_opted_out = headers.get(AFFINITY_HEADER).is_some_and(|value| value == "off");
    Prompt {
        chain: blocks.0.finish(),
        ask: Ask {
            prompt_tokens: u32::try_from(prompt_tokens).unwrap_or(u32::MAX),
            total_tokens: u32::try_from(prompt_tokens.saturating_add(output)).unwrap_or(u32::MAX),
            is_first_turn: shape.is_first_turn,
            is_cacheable: operation != WireOperation::Embeddings && !is_opted_out,
            session: session(scope, headers),
        },
    }
}

/// The session that the client names, as a hash within its scope. SHA-256, so that no client can choose where it lands.
fn session(scope: Scope<'_>, headers: &HeaderMap) -> Option<u64> {
    let name = SESSION_HEADERS.iter().find_map(|header| headers.get(header))?;
    let mut hash = Sha256::new();
    for part in [scope.pool.as_bytes(), scope.client.as_bytes(), name.as_bytes()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut first = [0; size_of::<u64>()];
    first.copy_from_slice(&digest[..size_of::<u64>()]);
    Some(u64::from_le_bytes(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::request;

    fn read_with(client: &str, body: &str, headers: &[(&'static str, &str)]) -> Prompt {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a value"));
        }
        let scope = Scope { pool: "pool", client };
        read(
            scope,
            &request::parse(body.as_bytes()).expect("valid"),
            WireOperation::Chat,
            &map,
        )
    }

    const BODY: &str = r#"{"messages":[{"role":"user","content":"hello"}],"max_tokens":100,"n":2}"#;

    #[test]
    fn the_providers_estimate_is_prompt_and_bound() {
        let ask = read_with("a", BODY, &[]).ask;
        assert_eq!(ask.total_tokens, ask.prompt_tokens + 200);
        let unbounded = read_with("a", r#"{"messages":[]}"#, &[]).ask;
        assert_eq!(unbounded.total_tokens, unbounded.prompt_tokens + 16);
        let absurd = BODY.replace("100", "4294967295");
        assert_eq!(read_with("a", &absurd, &[]).ask.total_tokens, u32::MAX);
    }

    #[test]
    fn prompts_with_a_key_of_their_own_share_nothing_with_others() {
        let with = |client, key: &str| {
            let body = BODY.replace("\"n\"", &format!("\"prompt_cache_key\":{key},\"n\""));
            read_with(client, &body, &[]).chain
        };
        let plain = read_with("a", BODY, &[]).chain;
        assert_eq!(
            plain,
            read_with("b", BODY, &[]).chain,
            "without a key all clients share"
        );
        assert_eq!(plain, with("a", "null"));
        assert_eq!(with("a", "\"k\""), with("a", "\"\\u006b\""));
        for other in [plain, with("b", "\"k\""), with("a", "\"l\"")] {
            assert_ne!(with("a", "\"k\""), other);
        }
    }

    #[test]
    fn sessions_are_each_clients_own_and_affinity_can_be_declined() {
        let session = |client, name, value| read_with(client, BODY, &[(name, value)]).ask.session;
        assert_eq!(session("a", "x-session-id", "1"), session("a", "x-bf-session-id", "1"));
        assert_ne!(session("a", "x-session-id", "1"), session("b", "x-session-id", "1"));
        assert_ne!(session("a", "x-session-id", "1"), session("a", "x-session-id", "2"));
        assert_eq!(session("a", "x-other", "1"), None);
        assert!(read_with("a", BODY, &[]).ask.is_cacheable);
        assert!(!read_with("a", BODY, &[("x-emberway-affinity", "off")]).ask.is_cacheable);
    }
}
