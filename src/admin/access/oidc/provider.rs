//! What is known of the provider: its description and its keys, read when needed and kept for a while.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use openidconnect::core::CoreProviderMetadata;
use openidconnect::{HttpRequest, HttpResponse, IssuerUrl};
use tokio::sync::Mutex;

use super::OidcError;
use super::http::{self, ExchangeError};
use crate::config::checked::admin::OidcSettings;
use crate::telemetry::events::access::ProviderFailing;

/// How long the description and the keys are believed.
const FRESH: Duration = Duration::from_hours(1);

/// Shortest time between two readings.
pub(in crate::admin::access) const PAUSE: Duration = Duration::from_secs(5);

/// A provider.
pub(super) struct Provider {
    issuer: String,
    client: reqwest::Client,
    known: ArcSwapOption<Known>,
    /// When it was last asked. Held while it is: others wait for the same answer.
    asked: Mutex<Option<Instant>>,
}

/// What is known of it.
pub(super) struct Known {
    /// Its description.
    pub(super) metadata: CoreProviderMetadata,
    keys: Vec<(Jwk, DecodingKey)>,
    read: Instant,
}

impl Known {
    /// The key that a token's head names, if the provider says that it signs in this way. Keys that both sides know are never taken.
    pub(super) fn key(&self, header: &Header) -> Option<&DecodingKey> {
        if matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            return None;
        }
        let named = self.keys.iter().find(|(jwk, _)| match &header.kid {
            Some(id) => jwk.common.key_id.as_ref() == Some(id),
            None => self.keys.len() == 1,
        });
        let (jwk, key) = named?;
        let signs = jwk
            .common
            .public_key_use
            .as_ref()
            .is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
        let told = jwk.common.key_algorithm.map(|told| told.to_string());
        let is_told = told.is_none_or(|told| told == format!("{:?}", header.alg));
        (signs && is_told).then_some(key)
    }
}

type Exchanged = Pin<Box<dyn Future<Output = Result<HttpResponse, ExchangeError>> + Send>>;

impl Provider {
    /// The issuer of these settings.
    pub(super) fn new(settings: &OidcSettings) -> Result<Self, reqwest::Error> {
        Ok(Self {
            issuer: settings.issuer_text.clone(),
            client: http::client(&settings.issuer)?,
            known: ArcSwapOption::empty(),
            asked: Mutex::new(None),
        })
    }

    /// How `openidconnect` asks it.
    pub(super) fn http(&self) -> impl Fn(HttpRequest) -> Exchanged + Send + Sync + 'static {
        let client = self.client.clone();
        move |request| Box::pin(http::exchange(client.clone(), request))
    }

    /// What is known of it, read now if it never was or long ago. What is old is used while it cannot be asked.
    pub(super) async fn known(&self) -> Result<Arc<Known>, OidcError> {
        match self.known.load_full() {
            Some(known) if known.read.elapsed() < FRESH => Ok(known),
            Some(old) => Ok(self.read(Some(&old)).await.unwrap_or(old)),
            None => self.read(None).await,
        }
    }

    /// What is known of it after another look, where the last was not just now.
    pub(super) async fn renewed(&self, old: &Arc<Known>) -> Result<Arc<Known>, OidcError> {
        self.read(Some(old)).await
    }

    async fn read(&self, old: Option<&Arc<Known>>) -> Result<Arc<Known>, OidcError> {
        let mut asked = match (self.asked.try_lock(), old) {
            (Ok(asked), _) => asked,
            // What is old serves meanwhile.
            (Err(_), Some(old)) if old.read.elapsed() >= FRESH => return Ok(Arc::clone(old)),
            (Err(_), _) => self.asked.lock().await,
        };
        if let Some(known) = self.known.load_full()
            && old.is_none_or(|old| !Arc::ptr_eq(old, &known))
        {
            return Ok(known);
        }
        if asked.is_some_and(|asked| asked.elapsed() < PAUSE) {
            let cause = format!("it was asked less than {} s ago; try again", PAUSE.as_secs());
            return old.cloned().ok_or_else(|| self.failed(cause));
        }
        *asked = Some(Instant::now());
        let discovered = self.discover().await;
        // The pause begins when it is done: those who waited for it do not ask again one after another.
        *asked = Some(Instant::now());
        match discovered {
            Ok(known) => {
                let known = Arc::new(known);
                self.known.store(Some(Arc::clone(&known)));
                Ok(known)
            }
            Err(error) => {
                ProviderFailing { error: &error }.emit();
                Err(error)
            }
        }
    }

    async fn discover(&self) -> Result<Known, OidcError> {
        let issuer = IssuerUrl::new(self.issuer.clone()).map_err(|error| self.failed(error.to_string()))?;
        let http = self.http();
        let metadata = CoreProviderMetadata::discover_async(issuer, &http).await;
        let metadata = metadata.map_err(|error| self.failed(causes(&error)))?;
        let keys = metadata.jwks().keys().iter().filter_map(|key| {
            // A key of a kind that we do not know signs no token that we take.
            let jwk: Jwk = serde_json::from_value(serde_json::to_value(key).ok()?).ok()?;
            let key = DecodingKey::from_jwk(&jwk).ok()?;
            Some((jwk, key))
        });
        Ok(Known {
            keys: keys.collect(),
            metadata,
            read: Instant::now(),
        })
    }

    fn failed(&self, cause: String) -> OidcError {
        OidcError::Provider {
            issuer: self.issuer.clone(),
            cause,
        }
    }
}

/// An error with its causes in one line.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
