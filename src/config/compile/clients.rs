//! Clients, their keys and the routes they may use.

use std::collections::HashMap;

use crate::config::checked::ClientKey;
use crate::config::compile::context::Context;
use crate::config::compile::names::Names;
use crate::config::compile::use_limits;
use crate::config::errors::Pointer;
use crate::config::raw::fleet::{RawClient, RawPriority};
use crate::config::scalars::ClientKeyText;
use crate::config::secrets;
use crate::core::admission::queue::Priority;
use crate::core::ids::ClientId;
use crate::core::ledger::usage::KEEPALIVE_CLIENT;
use crate::core::topology::{Client, ClientIx, Route, RouteAccess, RouteIx};

/// Shortest secret that is not remarked upon, in characters. Shorter ones can be guessed.
pub(super) const STRONG_SECRET_CHARS: usize = 16;

/// What a key that is written as a digest begins with.
const DIGEST_PREFIX: &str = "sha256:";

/// Who may call, and how it is recognised.
pub(super) struct Access {
    pub(super) clients: Vec<Client>,
    pub(super) keys: Vec<ClientKey>,
}

/// Compiles clients.
pub(super) fn compile(context: &mut Context<'_>, raw: &[RawClient], routes: &[Route]) -> Access {
    let route_names = Names::of("route", routes.iter().map(|route| &**route.id));
    let mut names = Names::new("client");
    let mut keys = Keys::default();
    let mut clients = Vec::with_capacity(raw.len());
    for (position, raw) in raw.iter().enumerate() {
        let at = Pointer::root().key("clients").index(position);
        names.add(context, &at.key("name"), &raw.name.0, position);
        if raw.name.0 == KEEPALIVE_CLIENT {
            let message = format!(
                "`{KEEPALIVE_CLIENT}` is the gateway's own name in usage records, for its calls against inactivity"
            );
            context.error(&at.key("name"), message, "take another name".to_owned());
        }
        for (index, key) in raw.keys.iter().enumerate() {
            keys.add(
                context,
                &at.key("keys").index(index),
                key,
                &raw.name.0,
                ClientIx(position),
            );
        }
        clients.push(Client {
            id: ClientId::from(raw.name.0.as_str()),
            routes: compile_access(context, raw, &at, &route_names),
            debug_headers: raw.debug_headers,
            priority: match raw.priority {
                RawPriority::Interactive => Priority::Interactive,
                RawPriority::Batch => Priority::Batch,
            },
            limits: use_limits::compile(&raw.limits),
        });
    }
    Access {
        clients,
        keys: keys.listed,
    }
}

fn compile_access(context: &mut Context<'_>, raw: &RawClient, client: &Pointer, names: &Names) -> RouteAccess {
    let Some(written) = &raw.routes else {
        return RouteAccess::All;
    };
    let mut routes = Vec::with_capacity(written.len());
    for (index, name) in written.iter().enumerate() {
        let at = client.key("routes").index(index);
        routes.extend(
            names
                .find(context, &at, &name.0, &[&["routes", "*", "name"]])
                .map(RouteIx),
        );
    }
    routes.sort_unstable();
    routes.dedup();
    RouteAccess::Only(routes)
}

/// Keys seen so far.
#[derive(Default)]
struct Keys {
    listed: Vec<ClientKey>,
    owners: HashMap<[u8; 32], String>,
}

impl Keys {
    fn add(&mut self, context: &mut Context<'_>, at: &Pointer, written: &ClientKeyText, name: &str, client: ClientIx) {
        let Some(digest) = digest(context, at, &written.0) else {
            return;
        };
        // Neither message shows the key or its digest.
        match self.owners.get(&digest) {
            Some(owner) if owner == name => context.error(at, "the client has this key already", None),
            Some(owner) => context.error(
                at,
                format!("this key is also a key of client `{owner}`"),
                "a key tells clients apart, so it can belong to one only".to_owned(),
            ),
            None => {
                self.owners.insert(digest, name.to_owned());
                self.listed.push(ClientKey { digest, client });
            }
        }
    }
}

fn digest(context: &mut Context<'_>, at: &Pointer, written: &str) -> Option<[u8; 32]> {
    if context.is_repaired(at) {
        return None;
    }
    if let Some(digits) = written.strip_prefix(DIGEST_PREFIX) {
        let digest = parse_digest(digits);
        if digest.is_none() {
            context.error(at, "the digest is not 64 hexadecimal digits", None);
        }
        return digest;
    }
    let secret = context.secret(at, written)?;
    warn_if_weak(context, at, written, secret.expose());
    Some(secret.digest())
}

/// Remarks on a secret that is short enough to be guessed.
pub(super) fn warn_if_weak(context: &mut Context<'_>, at: &Pointer, written: &str, secret: &str) {
    if secret.len() < STRONG_SECRET_CHARS {
        let references = secrets::references(written);
        context.warn(
            at,
            format!("the secret behind `{references}` has fewer than {STRONG_SECRET_CHARS} characters"),
            "make one with `openssl rand -hex 24`".to_owned(),
        );
    }
}

fn parse_digest(digits: &str) -> Option<[u8; 32]> {
    let mut digest = [0_u8; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (position, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * position..2 * position + 2)?, 16).ok()?;
    }
    Some(digest)
}
