//! WHO asks the admin listener, and what may they do?
//!
//! Three roles, each of which may do all that the one before it may. Whoever asks is known by a token or by a provider's JSON Web Token
//! in `Authorization`, or by the cookie of a session that began with either. Without any credential configured everybody who reaches
//! the listener is an administrator; such a listener can be reached from its own machine only, and by a name of that machine only.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::admin::Sources;
use crate::admin::access::attempts::Attempts;
use crate::admin::access::cookies::Cookies;
use crate::admin::access::login::Peer;
use crate::admin::access::oidc::Oidc;
use crate::admin::access::refused::Unknown;
use crate::admin::access::sessions::Sessions;
use crate::admin::api::answer::Refusal;
use crate::config::checked::admin::{AdminListener, Role};
use crate::openai::bearer;
use crate::telemetry::metrics::Metrics;

mod attempts;
mod claims;
pub(super) mod cookies;
pub(super) mod login;
mod oidc;
pub(super) mod origin;
mod pending;
pub(super) mod refused;
mod sessions;
#[cfg(test)]
mod tests;

/// Wrong tokens that one address may try to sign in with in a minute.
const WRONG_TOKENS_MAX: u32 = 10;

/// Wrong tokens in `Authorization` that one address may send in a minute: more, as a program with an old one asks again and again.
const WRONG_BEARERS_MAX: u32 = 200;

/// Sign-ins by the provider that one address may begin in a minute.
const LOGINS_MAX: u32 = 30;

/// Who asks. Handlers of the API get it as `Extension<Caller>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name that the audit has: that of a token, or of a person.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// What vouches for it.
    pub by: Voucher,
    /// How the request carries that.
    pub carried: Carried,
}

/// What vouches for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voucher {
    /// Nothing: no credential is configured.
    Nothing,
    /// A token of the configuration.
    Token,
    /// The provider of OpenID Connect.
    Oidc,
}

/// How a request carries what vouches for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// It carries nothing.
    Not,
    /// By `Authorization`, which no browser sends by itself.
    Header,
    /// By a cookie, which browsers send whoever makes them ask.
    Cookie,
}

/// The client for the provider of OpenID Connect cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the client for the provider in `admin.oidc`")]
pub struct SetupError(#[from] reqwest::Error);

/// Who may, and who is signed in.
pub struct Access {
    tokens: Vec<KnownToken>,
    oidc: Option<Oidc>,
    sessions: Sessions,
    wrong_tokens: Attempts,
    wrong_bearers: Attempts,
    logins: Attempts,
    cookies: Cookies,
    metrics: Arc<Metrics>,
}

struct KnownToken {
    digest: [u8; 32],
    name: Arc<str>,
    role: Role,
}

impl Access {
    /// Who may by the configuration, on a listener with this port. What is refused is counted in `metrics`.
    ///
    /// # Errors
    /// When the client for the provider cannot be set up.
    pub fn new(admin: &AdminListener, port: u16, metrics: &Arc<Metrics>) -> Result<Self, SetupError> {
        let first = admin.token.iter().map(|token| ("admin", token, Role::Admin));
        let named = admin
            .tokens
            .iter()
            .map(|token| (token.name.as_str(), &token.token, token.role));
        let tokens = first.chain(named).map(|(name, token, role)| KnownToken {
            digest: token.digest(),
            name: name.into(),
            role,
        });
        Ok(Self {
            tokens: tokens.collect(),
            oidc: admin.oidc.clone().map(Oidc::new).transpose()?,
            sessions: Sessions::default(),
            wrong_tokens: Attempts::new(WRONG_TOKENS_MAX),
            wrong_bearers: Attempts::new(WRONG_BEARERS_MAX),
            logins: Attempts::new(LOGINS_MAX),
            cookies: Cookies::new(port, admin),
            metrics: Arc::clone(metrics),
        })
    }

    /// Whether a credential is asked.
    pub fn asks(&self) -> bool {
        !self.tokens.is_empty() || self.oidc.is_some()
    }

    /// The ways to sign in that are configured; none where no credential is asked.
    pub fn offers(&self) -> Vec<&'static str> {
        let token = (!self.tokens.is_empty()).then_some("token");
        token.into_iter().chain(self.oidc.as_ref().map(|_| "oidc")).collect()
    }

    /// Who sent a request with this head, for what only some may do. A provider's token may need its keys to be read first, so this may
    /// take seconds.
    ///
    /// # Errors
    /// When a credential is asked and none that is known was sent, which is counted.
    pub(in crate::admin) async fn let_in(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<Caller, Refusal> {
        let known = self.caller(headers).await;
        known.map_err(|unknown| self.refuse(&unknown, peer.map(|peer| (&self.wrong_bearers, peer))))
    }

    /// The same for what everybody is told something of: none where nobody says who asks. A credential that is wrong is counted all the
    /// same, so that nobody can try some here unnoticed.
    ///
    /// # Errors
    /// When too many wrong tokens came from this address lately, and this is another one; or whether it is wrong cannot be found out now.
    pub(in crate::admin) async fn recognise(
        &self,
        headers: &HeaderMap,
        peer: Option<Peer>,
    ) -> Result<Option<Caller>, Refusal> {
        match self.caller(headers).await {
            Ok(caller) => Ok(Some(caller)),
            // To have none, or one that has ended, is nothing unusual here.
            Err(Unknown::NoCredential | Unknown::NoSession) => Ok(None),
            Err(unknown) => {
                let refusal = self.refuse(&unknown, peer.map(|peer| (&self.wrong_bearers, peer)));
                if refusal.retry_after_s.is_some() {
                    return Err(refusal);
                }
                Ok(None)
            }
        }
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Unknown> {
        if !self.asks() {
            return Ok(Caller {
                name: "local".into(),
                role: Role::Admin,
                by: Voucher::Nothing,
                carried: Carried::Not,
            });
        }
        let Some(authorization) = headers.get(header::AUTHORIZATION) else {
            let id = self.cookies.session(headers).ok_or(Unknown::NoCredential)?;
            return self.sessions.find(&id, Instant::now()).ok_or(Unknown::NoSession);
        };
        let sent = bearer::token(authorization.as_bytes()).ok_or(Unknown::OtherScheme)?;
        if let Some(caller) = self.holder(sent) {
            return Ok(caller);
        }
        match (&self.oidc, std::str::from_utf8(sent)) {
            (Some(oidc), Ok(sent)) if sent.split('.').count() == 3 => oidc.bearer(sent).await,
            _ => Err(Unknown::WrongToken),
        }
    }

    /// How this listener's cookies are.
    pub(in crate::admin) fn cookies(&self) -> Cookies {
        self.cookies
    }

    /// Whose token this is. Every token is compared, each in constant time.
    fn holder(&self, sent: &[u8]) -> Option<Caller> {
        let digest: [u8; 32] = Sha256::digest(sent).into();
        let mut found = None;
        for token in &self.tokens {
            if bool::from(token.digest.ct_eq(&digest)) {
                found = Some(token);
            }
        }
        found.map(|token| Caller {
            name: Arc::clone(&token.name),
            role: token.role,
            by: Voucher::Token,
            carried: Carried::Header,
        })
    }
}

/// Lets pass whoever may, and says to the handler who it is. A write asks for the header against forgery where `wants_header`.
pub(super) struct Ask {
    pub(super) sources: Arc<Sources>,
    pub(super) role: Role,
    pub(super) wants_header: bool,
}

/// The middleware of what only some may do.
pub(super) async fn ask(State(ask): State<Arc<Ask>>, mut request: Request, next: Next) -> Response {
    let access = &ask.sources.access;
    if let Err(refusal) = origin::check_host(access.asks(), request.headers()) {
        return refusal.into_response();
    }
    let peer = request.extensions().get::<Peer>().copied();
    let caller = match access.let_in(request.headers(), peer).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into_response(),
    };
    if caller.role < ask.role {
        return Refusal::forbidden(ask.role, &caller).into_response();
    }
    if changes(request.method())
        && let Err(refusal) = origin::check_write(caller.carried, ask.wants_header, request.headers())
    {
        return refusal.into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The middleware of what everybody may read: the page, and the way to the provider.
pub(super) async fn look(State(sources): State<Arc<Sources>>, request: Request, next: Next) -> Response {
    match origin::check_host(sources.access.asks(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// The middleware of signing in and out, which everybody may.
pub(super) async fn sign(State(sources): State<Arc<Sources>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let carried = match sources.access.cookies.session(headers) {
        Some(_) => Carried::Cookie,
        None => Carried::Not,
    };
    let mut checked = origin::check_host(sources.access.asks(), headers);
    if changes(request.method()) {
        checked = checked.and_then(|()| origin::check_write(carried, true, headers));
    }
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
