//! Gets tokens of Microsoft Entra ID for resources whose requests carry one, and renews them in time.
//!
//! One task looks once a second whether a token that is at hand is another than the one in use; the cache behind it asks for a new one
//! five minutes before the old one ends, and keeps the old one while that fails. Requests wait for it only when a resource has refused
//! the one in use: then another is asked for at once, for each resource at most once a minute.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http::header::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::azure::cache::TokenCache;
use crate::azure::credential_error::CredentialError;
use crate::azure::token::AccessToken;
use crate::azure::transport::Http;
use crate::config::checked::azure::AzureSettings;
use crate::config::checked::{Credential, EntraLogin};
use crate::core::ids::ResourceId;
use crate::fleet::connect::{self, ConnectError};
use crate::proxy::Gateway;
use crate::proxy::refresh::How;
use crate::proxy::state::Live;
use crate::telemetry::events::care::LoginChanged;

/// How often tokens are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same after a failure, which is told each time.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// Shortest time between two tokens that are forgotten since one resource refuses them.
const FORGET_EVERY: Duration = Duration::from_mins(1);
/// How long the first tokens are waited for, at the start and at a reload; without them requests would be refused.
const FIRST_MAX: Duration = Duration::from_secs(10);

/// The tokens of all ways of logging in.
pub(super) struct Logins {
    own: Arc<TokenCache>,
    tenants: HashMap<String, Arc<TokenCache>>,
    /// The resources for whose sake a token was forgotten lately.
    forgotten: Mutex<HashMap<ResourceId, Instant>>,
    /// Told when a token was refused.
    refused: Arc<Notify>,
    /// How often all tokens were looked at.
    looks: watch::Sender<u64>,
}

impl Logins {
    /// Gets the first tokens and renews them from then on; none where there is no credential to get them by.
    ///
    /// # Errors
    /// When files that a way of logging in needs cannot be read.
    pub(super) async fn start(
        gateway: &Arc<Gateway>,
        azure: Option<&AzureSettings>,
    ) -> Result<Option<Arc<Self>>, ConnectError> {
        let Some(azure) = azure else { return Ok(None) };
        let logins = Arc::new(Self::new(azure)?);
        logins.fill(&gateway.live.load()).await;
        let refused = Arc::clone(&logins.refused);
        gateway.tokens.by(How {
            ask: Box::new(move || refused.notify_one()),
            loaded: logins.looks.subscribe(),
        });
        Arc::clone(&logins).keep(Arc::downgrade(gateway));
        Ok(Some(logins))
    }

    fn new(azure: &AzureSettings) -> Result<Self, ConnectError> {
        let http = Http::new(azure.ca.as_deref())?;
        let tenants = azure.tenants.iter().map(|tenant| {
            let tokens = connect::tokens(azure, &tenant.credential, &http)?;
            Ok((tenant.tenant.to_ascii_lowercase(), tokens))
        });
        Ok(Self {
            own: connect::tokens(azure, &azure.credential, &http)?,
            tenants: tenants.collect::<Result<_, CredentialError>>()?,
            forgotten: Mutex::default(),
            refused: Arc::default(),
            looks: watch::Sender::default(),
        })
    }

    fn of(&self, login: &EntraLogin) -> &TokenCache {
        let tenant = login.tenant.as_ref().map(|tenant| tenant.to_ascii_lowercase());
        tenant.and_then(|tenant| self.tenants.get(&tenant)).unwrap_or(&self.own)
    }

    /// Gets a token for each resource that needs one, within a bound, before its requests do.
    pub(super) async fn fill(&self, live: &Live) {
        let all = entra(live).map(|(at, login)| async move {
            let got = tokio::time::timeout(FIRST_MAX, self.of(login).token(&login.audience)).await;
            let got = got.unwrap_or_else(|_| Err(CredentialError::new("entra", "no answer in time")));
            tell(live, at, got.as_ref().map(AccessToken::expose));
        });
        futures_util::future::join_all(all).await;
    }

    /// Renews tokens for as long as the gateway lives.
    fn keep(self: Arc<Self>, gateway: Weak<Gateway>) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut pause = LOOK_EVERY;
            loop {
                // Either is a reason to look.
                let _ = tokio::time::timeout(pause, self.refused.notified()).await;
                pause = LOOK_EVERY;
                let Some(gateway) = gateway.upgrade() else { return };
                let live = gateway.live.load_full();
                for (at, login) in entra(&live) {
                    self.forget_refused(&live, at, login);
                    if let Some(token) = self.of(login).at_hand(&login.audience) {
                        tell(&live, at, Ok(token.expose()));
                    } else {
                        // It has ended: whoever asks waits, and tells why there is none.
                        let got = self.of(login).token(&login.audience).await;
                        if got.is_err() {
                            pause = AFTER_FAILURE;
                        }
                        tell(&live, at, got.as_ref().map(AccessToken::expose));
                    }
                }
                self.looks.send_modify(|looks| *looks += 1);
            }
        })
    }

    /// Forgets the token at hand where it is the one that a resource has refused.
    fn forget_refused(&self, live: &Live, at: usize, login: &EntraLogin) {
        let in_use = &live.resources[at].login;
        let resource = &live.config.runtime.snapshot.resources[at].id;
        // One that refuses every token must not have one asked for each second.
        let mut forgotten = self.forgotten.lock();
        let now = Instant::now();
        forgotten.retain(|_, at| now.saturating_duration_since(*at) < FORGET_EVERY);
        if !in_use.is_refused() || forgotten.contains_key(resource) {
            return;
        }
        forgotten.insert(resource.clone(), now);
        drop(forgotten);
        in_use.take_refused();
        let tokens = self.of(login);
        let Some(token) = tokens.at_hand(&login.audience) else {
            return;
        };
        if in_use.value().as_bytes().strip_prefix(b"Bearer ") == Some(token.expose().as_bytes()) {
            tokens.refused(&login.audience, &token);
        }
    }
}

/// The resources whose requests carry such a token, by their place.
fn entra(live: &Live) -> impl Iterator<Item = (usize, &EntraLogin)> {
    let credentials = live.config.runtime.credentials.iter().enumerate();
    credentials.filter_map(|(at, credential)| match credential {
        Credential::Entra(login) => Some((at, login)),
        Credential::ApiKey(_) | Credential::Bearer(_) => None,
    })
}

/// Puts a token to use, if it is another one.
fn tell(live: &Live, at: usize, got: Result<&str, &CredentialError>) {
    let resource = &live.config.runtime.snapshot.resources[at].id;
    match got.map(|token| HeaderValue::from_str(&format!("Bearer {token}"))) {
        Ok(Ok(value)) => {
            let login = &live.resources[at].login;
            if **login.value() != value {
                login.renew(value);
                LoginChanged { resource, error: None }.emit(live.series.metrics().journal());
            }
        }
        Ok(Err(error)) => LoginChanged {
            resource,
            error: Some(&error),
        }
        .emit(live.series.metrics().journal()),
        Err(error) => LoginChanged {
            resource,
            error: Some(error),
        }
        .emit(live.series.metrics().journal()),
    }
}
