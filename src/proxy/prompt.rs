//! A request's prompt as placement sees it: its chain of blocks, its size, and what its client says of belonging together.
//!
//! Nothing of the text is kept. Two hints of the client's are honoured, each within the client's own scope:
//!
//! - its own `prompt_cache_key`: the provider keeps prompts with different keys apart, so their chains have nothing in common;
//! - a session's name in one of [`SESSION_HEADERS`]: it divides a hot head in place of the key block.
//!
//! `x-emberway-affinity: off` asks for none of all this. Nor is a cache at stake for a response that continues another: its body has
//! the end of the prompt only.

use http::HeaderMap;
use http::header::HeaderName;
use sha2::{Digest as _, Sha256};

use crate::core::ledger::drift::sample::{Sampler, Segment};
use crate::core::placement::chain::{BYTES_PER_TOKEN, BlockId, Chain, ChainBuilder, ChainKey};
use crate::core::placement::view::Ask;
use crate::openai::canonical::{self, Part, Sink, response};
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
    /// The block that its first message of a user ends with, or the last one where that is deeper: equal for all turns of a
    /// conversation. None for an empty prompt.
    pub opener: Option<BlockId>,
    /// Its size and kind.
    pub ask: Ask,
}

/// Whose prompt it is, and where it may go: prompts of other scopes have nothing in common with it.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The pool's name.
    pub pool: &'a str,
    /// The key of the pool's chains, which its name decides.
    pub chain: ChainKey,
    /// The client's name, the scope of its hints.
    pub client: &'a str,
}

/// Who takes a prompt's canonical bytes: the chain, and the sampler where there is one.
struct Blocks<'a> {
    chain: ChainBuilder,
    sampler: Option<&'a mut Sampler>,
    /// The kind of the segment that has begun, and blocks up to the end of the first message that is not the system's.
    part: Part,
    opener: Option<usize>,
}

impl Sink for Blocks<'_> {
    fn wants_parts(&self) -> bool {
        self.sampler.is_some() || self.opener.is_none()
    }

    fn begin_segment(&mut self, part: Part) {
        self.part = part;
        if let Some(sampler) = &mut self.sampler {
            sampler.segment(match part {
                Part::Tool => Segment::Tools,
                Part::Schema => Segment::Format,
                Part::System => Segment::System,
                Part::Message => Segment::Message,
            });
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.chain.push(bytes);
        if let Some(sampler) = &mut self.sampler {
            sampler.push(bytes);
        }
    }

    fn end_segment(&mut self) {
        self.chain.cut();
        if self.part == Part::Message {
            self.opener.get_or_insert(self.chain.blocks());
        }
    }

    // The sampler reads no deeper than the chain.
    fn is_full(&self) -> bool {
        self.chain.is_full()
    }
}

/// Reads a prompt, and lets a sampler read along. Linear in its length, up to the depth that placement looks at.
pub fn read(
    scope: Scope<'_>,
    request: &Request<'_>,
    operation: WireOperation,
    headers: &HeaderMap,
    sampler: Option<&mut Sampler>,
) -> Prompt {
    let own_key = request.prompt_cache_key.as_deref();
    let key = own_key.map_or(scope.chain, |key| {
        ChainKey::new(&[scope.pool, "\0", scope.client, "\0", key].concat())
    });
    let mut blocks = Blocks {
        chain: ChainBuilder::new(key),
        sampler,
        part: Part::Message,
        opener: None,
    };
    let shape = match operation {
        WireOperation::Responses => response::write(request, &mut blocks),
        _ => canonical::write(request, &mut blocks),
    };
    let prompt_tokens = shape.bytes.div_ceil(BYTES_PER_TOKEN) as u64;
    let output = request.output_tokens_max().unwrap_or(OUTPUT_DEFAULT);
    let is_opted_out = headers.get(AFFINITY_HEADER).is_some_and(|value| value == "off");
    let opener = blocks.opener;
    let chain = blocks.chain.finish();
    let ids = chain.ids();
    Prompt {
        opener: opener
            .and_then(|blocks| ids.get(blocks.checked_sub(1)?))
            .or_else(|| ids.last())
            .copied(),
        chain,
        ask: Ask {
            prompt_tokens: u32::try_from(prompt_tokens).unwrap_or(u32::MAX),
            total_tokens: u32::try_from(prompt_tokens.saturating_add(output)).unwrap_or(u32::MAX),
            is_first_turn: shape.is_first_turn,
            is_cacheable: operation != WireOperation::Embeddings
                && !is_opted_out
                && !(operation == WireOperation::Responses && request.response.previous_id.is_some()),
            session: session(scope, headers),
            // Drawn anew for each plan.
            draw: 0,
        },
    }
}

/// The session that the client names, as a hash within its scope. SHA-256, so that no client can choose where it lands.
fn session(scope: Scope<'_>, headers: &HeaderMap) -> Option<u64> {
    let named = |header: &HeaderName| headers.get(header).filter(|name| !name.is_empty());
    let name = SESSION_HEADERS.iter().find_map(named)?;
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
    use std::hash::RandomState;

    use super::*;
    use crate::openai::request;

    fn prompt_of(client: &str, body: &str, headers: &[(&'static str, &str)]) -> Prompt {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a value"));
        }
        let scope = Scope {
            pool: "pool",
            chain: ChainKey::new("pool"),
            client,
        };
        read(
            scope,
            &request::parse(body.as_bytes()).expect("valid"),
            WireOperation::Chat,
            &map,
            None,
        )
    }

    const BODY: &str = r#"{"messages":[{"role":"user","content":"hello"}],"max_tokens":100,"n":2}"#;

    #[test]
    fn the_providers_estimate_is_prompt_and_bound() {
        let ask = prompt_of("a", BODY, &[]).ask;
        assert_eq!(ask.total_tokens, ask.prompt_tokens + 200);
        let unbounded = prompt_of("a", r#"{"messages":[]}"#, &[]).ask;
        assert_eq!(unbounded.total_tokens, unbounded.prompt_tokens + 16);
        let absurd = BODY.replace("100", "4294967295");
        assert_eq!(prompt_of("a", &absurd, &[]).ask.total_tokens, u32::MAX);
    }

    #[test]
    fn prompts_with_a_key_of_their_own_share_nothing_with_others() {
        let with = |client, key: &str| {
            let body = BODY.replace("\"n\"", &format!("\"prompt_cache_key\":{key},\"n\""));
            prompt_of(client, &body, &[]).chain
        };
        let plain = prompt_of("a", BODY, &[]).chain;
        assert_eq!(
            plain,
            prompt_of("b", BODY, &[]).chain,
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
        let session = |client, name, value| prompt_of(client, BODY, &[(name, value)]).ask.session;
        assert_eq!(session("a", "x-session-id", "1"), session("a", "x-bf-session-id", "1"));
        assert_ne!(session("a", "x-session-id", "1"), session("b", "x-session-id", "1"));
        assert_ne!(session("a", "x-session-id", "1"), session("a", "x-session-id", "2"));
        assert_eq!(session("a", "x-other", "1"), None);
        assert_eq!(session("a", "x-session-id", ""), None);
        assert!(prompt_of("a", BODY, &[]).ask.is_cacheable);
        assert!(!prompt_of("a", BODY, &[("x-emberway-affinity", "off")]).ask.is_cacheable);
    }

    #[test]
    fn responses_with_one_long_prefix_share_its_blocks() {
        let prompt_of = |body: &str| {
            let scope = Scope {
                pool: "pool",
                chain: ChainKey::new("pool"),
                client: "a",
            };
            let request = request::parse(body.as_bytes()).expect("valid");
            read(scope, &request, WireOperation::Responses, &HeaderMap::new(), None)
        };
        let head = "word ".repeat(2_000);
        let ask = |input: &str, more: &str| prompt_of(&format!(r#"{{"instructions":"{head}","input":{input}{more}}}"#));
        let (one, other) = (ask("\"a\"", ""), ask(r#"[{"role":"user","content":"b"}]"#, ""));
        let alike = one
            .chain
            .ids()
            .iter()
            .zip(other.chain.ids())
            .take_while(|(a, b)| a == b)
            .count();
        assert!(alike + 1 == one.chain.ids().len() && alike > 10, "{alike}");
        assert!(one.ask.is_cacheable && one.ask.is_first_turn);
        let later = ask("\"a\"", r#","previous_response_id":"resp_1""#);
        assert!(!later.ask.is_cacheable && !later.ask.is_first_turn);
    }

    #[test]
    fn all_turns_of_a_conversation_have_its_opener() {
        let opener = |messages: &str| {
            let body = format!(r#"{{"messages":[{messages}]}}"#);
            prompt_of("a", &body, &[]).opener.expect("a prompt")
        };
        let system = r#"{"role":"system","content":"be kind"}"#;
        let asked = |text: &str| format!(r#"{system},{{"role":"user","content":"{text}"}}"#);
        let first = opener(&asked("hello"));
        let later = r#",{"role":"assistant","content":"hi"},{"role":"user","content":"why?"}"#;
        assert_eq!(opener(&format!("{}{later}", asked("hello"))), first);
        assert_ne!(opener(&asked("good day")), first);
        assert_ne!(opener(system), first);
        assert_eq!(prompt_of("a", "{}", &[]).opener, None);
        // Deeper than a chain goes: the last block.
        let deep = asked(&"a".repeat(70_000));
        assert_eq!(opener(&format!("{deep}{later}")), opener(&deep));
    }

    #[test]
    fn a_sampler_reads_the_head_with_its_segments() {
        let read_along = |body: &str| {
            let mut sampler = Sampler::new(&RandomState::new());
            let scope = Scope {
                pool: "pool",
                chain: ChainKey::new("pool"),
                client: "a",
            };
            let request = request::parse(body.as_bytes()).expect("valid");
            let plain = read(scope, &request, WireOperation::Chat, &HeaderMap::new(), None);
            let prompt = read(
                scope,
                &request,
                WireOperation::Chat,
                &HeaderMap::new(),
                Some(&mut sampler),
            );
            assert_eq!(prompt.chain, plain.chain);
            sampler.finish().segments()
        };
        assert_eq!(
            read_along(
                r#"{"messages":[{"content":"a","role":"system"},{"role":"developer","content":"b"},{"role":"user","content":"c"}],
                    "tools":[{"type":"function"}],"response_format":{"type":"text"}}"#
            ),
            [Segment::Tools, Segment::Format, Segment::System, Segment::System]
        );
        assert_eq!(read_along(r#"{"prompt":"once upon a time"}"#), [Segment::Message]);
        assert_eq!(
            read_along(r#"{"messages":[{"role":"user","content":"a"},{"role":"system","content":"b"}]}"#),
            [Segment::Message]
        );
    }
}
