//! Signing in by a provider of OpenID Connect, such as Microsoft Entra ID: the authorization code flow with PKCE, the secret and the
//! tokens staying on this side; and the provider's JSON Web Tokens as programs send them.
//!
//! The provider's description and keys are read when they are first needed, again after an hour, and when a token names a key that is
//! not among them, but never more often than every few seconds, so that nobody can make this ask the provider at will.

use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Validation, decode, decode_header};
use openidconnect::core::{CoreAuthenticationFlow, CoreClient};
use openidconnect::{
    AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, Nonce, PkceCodeChallenge, RedirectUrl, Scope, TokenResponse as _,
};
use url::Url;

use crate::admin::access::claims::Claims;
use crate::admin::access::oidc::provider::{Known, Provider};
use crate::admin::access::pending::{Begun, Pending};
use crate::admin::access::refused::Unknown;
use crate::admin::access::{Caller, Carried};
use crate::admin::page::hex;
use crate::config::checked::admin::OidcSettings;
use crate::telemetry::events::access::SignInRefused;

mod http;
mod provider;

pub(super) use provider::PAUSE;

/// How far a provider's clock may be from ours, in seconds.
const LEEWAY_S: u64 = 60;

/// Why a sign-in failed. No message shows a token, a code or a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum OidcError {
    /// The provider cannot be asked.
    #[error("the provider `{issuer}` cannot be asked: {cause}")]
    Provider {
        /// Which.
        issuer: String,
        /// Why.
        cause: String,
    },
    /// The browser did not begin this sign-in, or too long ago.
    #[error("this sign-in did not begin in this browser, or more than ten minutes ago; begin it again")]
    NotBegun,
    /// The provider did not give a token for the code.
    #[error("the provider gave no token: {0}")]
    NoToken(String),
    /// Its token is not one for us.
    #[error("the provider's token is not valid here: {0}")]
    BadToken(String),
    /// It is, but gives no role.
    #[error(
        "`{0}` has no role here; the application's roles are given at the provider, and `admin.oidc.roles` says what they mean"
    )]
    NoRole(String),
    /// Something that the configuration should have kept out.
    #[error("the address to come back to is not a URL: {0}")]
    Redirect(String),
}

/// The provider, and who is on the way there.
pub(super) struct Oidc {
    settings: OidcSettings,
    provider: Provider,
    pending: Pending,
}

/// A sign-in that has begun.
pub(super) struct Login {
    /// Where the browser goes.
    pub(super) url: Url,
    /// What its cookie must say when it comes back.
    pub(super) cookie: String,
}

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

impl Oidc {
    /// With these settings; asks nobody yet.
    pub(super) fn new(settings: OidcSettings) -> Result<Self, reqwest::Error> {
        Ok(Self {
            provider: Provider::new(&settings)?,
            settings,
            pending: Pending::default(),
        })
    }

    /// Where the provider sends people back, where that is configured.
    pub(super) fn redirect_url(&self) -> Option<&Url> {
        self.settings.redirect_url.as_ref()
    }

    /// Begins a sign-in that comes back to `redirect` and goes on to `to`.
    pub(super) async fn begin(&self, redirect: String, to: String) -> Result<Login, OidcError> {
        let known = self.provider.known().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state, nonce) = self
            .client(&known, &redirect)?
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(["profile", "email"].map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(challenge)
            .url();
        let cookie = hex(&rand::random::<[u8; 32]>());
        let begun = Begun {
            cookie: cookie.clone(),
            nonce,
            verifier,
            to,
            redirect,
        };
        self.pending.add(state.secret(), begun, Instant::now());
        Ok(Login { url, cookie })
    }

    /// Ends a sign-in that the provider refused; whether this browser had begun it.
    pub(super) fn end(&self, state: &str, cookie: &str) -> bool {
        self.pending.take(state, cookie, Instant::now()).is_some()
    }

    /// Ends a sign-in by the code that the browser brought back: who it is, and where it wanted to go.
    pub(super) async fn finish(&self, state: &str, cookie: &str, code: String) -> Result<(Caller, String), OidcError> {
        let begun = self.pending.take(state, cookie, Instant::now());
        let begun = begun.ok_or(OidcError::NotBegun)?;
        let known = self.provider.known().await?;
        let client = self.client(&known, &begun.redirect)?;
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| OidcError::NoToken(error.to_string()))?
            .set_pkce_verifier(begun.verifier);
        let http = self.provider.http();
        let tokens = request.request_async(&http).await;
        let tokens = tokens.map_err(|error| OidcError::NoToken(provider::causes(&error)))?;
        let id_token = tokens
            .id_token()
            .ok_or_else(|| OidcError::NoToken("its answer has no `id_token`".to_owned()))?;
        let verified = match id_token.claims(&client.id_token_verifier(), &begun.nonce) {
            Err(ClaimsVerificationError::SignatureVerification(_)) => {
                // It may have changed its keys since they were read.
                let known = self.provider.renewed(&known).await?;
                let client = self.client(&known, &begun.redirect)?;
                id_token.claims(&client.id_token_verifier(), &begun.nonce).map(|_| ())
            }
            verified => verified.map(|_| ()),
        };
        verified.map_err(|error| OidcError::BadToken(provider::causes(&error)))?;
        let claims = verified_claims(&id_token.to_string())?;
        match claims.caller(&self.settings.roles, Carried::Cookie) {
            Ok(caller) => Ok((caller, begun.to)),
            Err(_) => Err(OidcError::NoRole(claims.name())),
        }
    }

    /// Who sent a token of the provider.
    pub(super) async fn bearer(&self, token: &str) -> Result<Caller, Unknown> {
        let claims = match self.judged(token).await {
            Ok(claims) => claims,
            Err(error) => {
                SignInRefused { error: &error }.emit();
                return Err(match error {
                    OidcError::Provider { .. } => Unknown::ProviderUnreachable,
                    _ => Unknown::WrongToken,
                });
            }
        };
        claims.caller(&self.settings.roles, Carried::Header)
    }

    async fn judged(&self, token: &str) -> Result<Claims, OidcError> {
        let bad = |error: jsonwebtoken::errors::Error| OidcError::BadToken(error.to_string());
        let header = decode_header(token).map_err(bad)?;
        let mut known = self.provider.known().await?;
        if known.key(&header).is_none() {
            known = self.provider.renewed(&known).await?;
        }
        let unknown = || OidcError::BadToken("its key is not one of the provider's".to_owned());
        let key = known.key(&header).ok_or_else(unknown)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.settings.issuer_text]);
        let client_id = &self.settings.client_id;
        validation.set_audience(&[client_id.clone(), format!("api://{client_id}")]);
        let decoded = decode::<Claims>(token, key, &validation).map_err(bad)?;
        Ok(decoded.claims)
    }

    fn client(&self, known: &Known, redirect: &str) -> Result<Client, OidcError> {
        let redirect = RedirectUrl::new(redirect.to_owned());
        let redirect = redirect.map_err(|error| OidcError::Redirect(error.to_string()))?;
        let secret = ClientSecret::new(self.settings.client_secret.expose().to_owned());
        let id = ClientId::new(self.settings.client_id.clone());
        let client = CoreClient::from_provider_metadata(known.metadata.clone(), id, Some(secret));
        Ok(client.set_redirect_uri(redirect))
    }
}

/// The claims of a token whose signature has been verified.
fn verified_claims(token: &str) -> Result<Claims, OidcError> {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(payload);
    let decoded = decoded.map_err(|error| OidcError::BadToken(error.to_string()))?;
    serde_json::from_slice(&decoded).map_err(|error| OidcError::BadToken(error.to_string()))
}
