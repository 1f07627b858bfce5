//! The client of Azure Resource Manager: sends requests with their tokens, tries again what passes, and follows what takes long.
//!
//! Reads are tried again after 408, 429, 5xx and broken connections, after as long as `retry-after` says, unless that is longer than
//! anybody waits here. So are writes: all of them may be sent twice. A write waits its turn at its account ([`Gate`]) and is repeated, with
//! growing waits, while another operation runs there, also where ARM says so only after it had accepted it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use azure_core::Uuid;
use http::{Method, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::azure::address::{ArmAddress, ArmRequest};
use crate::azure::cache::TokenCache;
use crate::azure::error::{AzureError, Refusal};
use crate::azure::follow::{self, Follow, Patience, State};
use crate::azure::gate::Gate;
use crate::azure::resources::Page;
use crate::azure::token::AccessToken;
use crate::azure::transport::{Answer, Http, TransportError};
use crate::azure::witness::{Ended, Witness, Write};
use crate::core::arm_id::DeploymentArmId;

pub mod operations;

/// Pages of a list that are followed; an account has 32 deployments, a region some thousand models.
const PAGES_MAX: usize = 100;

/// Tries where nobody is there: somebody may wait for an answer, and a wrong address does not mend itself.
const UNREACHABLE_TRIES: u32 = 2;

/// How ARM is spoken to.
#[derive(Debug, Clone)]
pub struct ArmSettings {
    /// Where it is.
    pub address: ArmAddress,
    /// Scope of its tokens.
    pub audience: String,
    /// Whether anything may be changed.
    pub writes: bool,
    /// Most writes in a minute; at least 1.
    pub writes_per_minute: u32,
    /// How long to wait for what.
    pub patience: Patience,
}

/// The tokens of the subscription's tenant, and those of others by their names.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Of the subscription's own tenant.
    pub own: Arc<TokenCache>,
    /// Of other tenants.
    pub tenants: Vec<(String, Arc<TokenCache>)>,
}

/// How an operation goes on, for whoever waits.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Azure's word, or what is waited for.
    pub state: &'a str,
    /// Since when it runs.
    pub waited: Duration,
}

/// Hears how an operation goes on.
pub type OnProgress<'a> = &'a (dyn Fn(Progress<'_>) + Send + Sync);

/// Azure Resource Manager.
pub struct Arm {
    settings: ArmSettings,
    http: Http,
    tokens: Tokens,
    gate: Gate,
    /// Whether anything may be written.
    writes: AtomicBool,
    witness: Option<Arc<dyn Witness>>,
}

impl fmt::Debug for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arm")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Arm {
    /// Ready to ask; nothing is sent before.
    pub fn new(settings: ArmSettings, http: Http, tokens: Tokens, witness: Option<Arc<dyn Witness>>) -> Self {
        Self {
            gate: Gate::new(settings.writes_per_minute),
            writes: AtomicBool::new(settings.writes),
            settings,
            http,
            tokens,
            witness,
        }
    }

    /// Lets writes through, or refuses them from now on.
    pub fn allow_writes(&self, writes: bool) {
        self.writes.store(writes, Ordering::Relaxed);
    }

    /// Makes requests of its own, to be shown.
    pub fn address(&self) -> &ArmAddress {
        &self.settings.address
    }

    /// The tokens that it uses.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The connections that it uses.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Reads one thing.
    ///
    /// # Errors
    /// When there is none, or ARM refuses, or does not answer.
    pub async fn read<T: DeserializeOwned>(&self, request: &ArmRequest) -> Result<T, AzureError> {
        let answer = self.send_again(request).await?;
        read_body(request, &answer)
    }

    /// Reads a list to its end.
    ///
    /// # Errors
    /// As for one thing, and when it leads to another host or has no end.
    pub async fn list<T: DeserializeOwned>(&self, request: &ArmRequest) -> Result<Vec<T>, AzureError> {
        let mut items = Vec::new();
        let mut request = request.clone();
        for _ in 0..PAGES_MAX {
            let page: Page = self.read(&request).await?;
            for item in page.value {
                items.push(serde_json::from_value(item).map_err(|error| unreadable(&request, &error))?);
            }
            match page.next_link.filter(|link| !link.is_empty()) {
                None => return Ok(items),
                Some(link) => request.url = self.own_url(&link)?,
            }
        }
        Err(AzureError::Endless(request.url.path().to_owned()))
    }

    /// A URL of ARM's own that it gave us.
    fn own_url(&self, text: &str) -> Result<Url, AzureError> {
        let url = Url::parse(text).map_err(|_| AzureError::Elsewhere(text.chars().take(100).collect()))?;
        if self.settings.address.is_own(&url) {
            return Ok(url);
        }
        Err(AzureError::Elsewhere(crate::azure::transport::host_of(&url)))
    }

    /// Sends a request until its answer is one that will not pass. A conflict is for the caller.
    async fn send_again(&self, request: &ArmRequest) -> Result<Answer, AzureError> {
        let patience = self.settings.patience;
        let mut tries = 0;
        loop {
            let sent = self.send(request).await;
            tries += 1;
            let (asked, most) = match &sent {
                Ok(answer) if is_passing(answer.status) => {
                    (follow::retry_after(answer, jiff::Timestamp::now()), patience.tries)
                }
                Err(AzureError::Transport(TransportError::Exchange {
                    is_unreachable: true, ..
                })) => (None, patience.tries.min(UNREACHABLE_TRIES)),
                Err(AzureError::Transport(TransportError::Exchange { .. })) => (None, patience.tries),
                _ => return accepted(sent?),
            };
            // Asked sooner than Azure says, it refuses again, and counts that too.
            if tries >= most || asked.is_some_and(|asked| asked > patience.look_max) {
                return accepted(sent?);
            }
            // Azure's word on when to ask again, or a growing wait: nothing tells that it has recovered.
            tokio::time::sleep(patience.again(asked, tries - 1, rand::random())).await;
        }
    }

    /// Sends a request once; a token that was refused is replaced once.
    async fn send(&self, request: &ArmRequest) -> Result<Answer, AzureError> {
        let token = self.token(None).await?;
        let answer = self.send_with(request, &token).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        self.tokens.own.refused(&self.settings.audience, &token);
        let newer = self.token(None).await?;
        // The same again is a refusal of who we are, not of an old token.
        if newer.expose() == token.expose() {
            return Ok(answer);
        }
        self.send_with(request, &newer).await
    }

    async fn token(&self, tenant: Option<&str>) -> Result<AccessToken, AzureError> {
        let cache = match tenant {
            None => &self.tokens.own,
            Some(tenant) => {
                let mut known = self.tokens.tenants.iter();
                let found = known.find(|(name, _)| name.eq_ignore_ascii_case(tenant));
                &found.ok_or_else(|| AzureError::UnknownTenant(tenant.to_owned()))?.1
            }
        };
        let token = cache.token(&self.settings.audience).await;
        Ok(token.map_err(|error| error.of_tenant(tenant))?)
    }

    async fn send_with(&self, request: &ArmRequest, token: &AccessToken) -> Result<Answer, AzureError> {
        let id = Uuid::new_v4().to_string();
        let is_write = is_write(request);
        if is_write {
            self.gate.pace().await;
        }
        let mut sending = self
            .http
            .request(request.method.clone(), request.url.clone())
            .bearer_auth(token.expose())
            .header(header::ACCEPT, "application/json")
            .header("x-ms-client-request-id", &id)
            .header("x-ms-return-client-request-id", "true");
        if let Some(tenant) = &request.auxiliary_tenant {
            let auxiliary = self.token(Some(tenant)).await?;
            let mut value = header::HeaderValue::from_str(&format!("Bearer {}", auxiliary.expose()))
                .map_err(|_| AzureError::UnknownTenant(tenant.clone()))?;
            value.set_sensitive(true);
            sending = sending.header("x-ms-authorization-auxiliary", value);
        }
        if let Some(body) = &request.body {
            sending = sending
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.clone());
        } else if request.method == Method::POST {
            sending = sending.header(header::CONTENT_LENGTH, "0");
        }
        match &self.witness {
            Some(witness) if is_write => self.send_witnessed(sending, request, &id, &**witness).await,
            _ => Ok(self.http.send(sending).await?),
        }
    }

    async fn send_witnessed(
        &self,
        sending: reqwest::RequestBuilder,
        request: &ArmRequest,
        client_request_id: &str,
        witness: &dyn Witness,
    ) -> Result<Answer, AzureError> {
        let write = Write {
            request,
            client_request_id,
        };
        witness.sending(write).await.map_err(AzureError::Unwitnessed)?;
        let sent = self.http.send(sending).await.map_err(AzureError::from);
        let ended = Ended {
            request_id: sent.as_ref().ok().and_then(|answer| answer.header("x-ms-request-id")),
            outcome: sent.as_ref().map(|answer| answer.status),
        };
        witness.ended(write, ended).await;
        sent.map(|answer| Answer {
            witnessed: Some(client_request_id.to_owned()),
            ..answer
        })
    }

    /// Waits for an operation to end. `vanishes` tells a deletion, which has ended when nothing is there.
    async fn end(
        &self,
        answer: &Answer,
        id: &DeploymentArmId,
        vanishes: bool,
        progress: OnProgress<'_>,
    ) -> Result<(), AzureError> {
        let patience = self.settings.patience;
        let began = Instant::now();
        let followed = follow::follow(answer);
        let mut asked = follow::retry_after(answer, jiff::Timestamp::now());
        let mut look = match &followed {
            Follow::Ended => return Ok(()),
            Follow::Status(url) | Follow::Location(url) => ArmRequest {
                url: self.own_url(url.as_str())?,
                ..self.settings.address.show(id)
            },
            Follow::Resource => self.settings.address.show(id),
        };
        for looks in 0.. {
            if began.elapsed() >= patience.operation {
                break;
            }
            // Azure tells of an operation only when it is asked.
            tokio::time::sleep(patience.look(asked, looks)).await;
            let seen = match self.send_again(&look).await {
                Err(error) if vanishes && error.is_missing() => return Ok(()),
                // The status of an old operation may be gone before the operation is: the resource knows.
                Err(error) if error.is_missing() && followed != Follow::Resource && looks == 0 => {
                    look = self.settings.address.show(id);
                    continue;
                }
                seen => seen?,
            };
            match state(&followed, &look, &seen)? {
                State::Done => return Ok(()),
                State::Failed(error) => {
                    return Err(AzureError::Refused(Box::new(Refusal::read(
                        None,
                        &error,
                        seen.header("x-ms-request-id"),
                    ))));
                }
                State::Running(word) => progress(Progress {
                    state: &word,
                    waited: began.elapsed(),
                }),
            }
            asked = follow::retry_after(&seen, jiff::Timestamp::now());
        }
        Err(AzureError::OutOfTime {
            what: format!("the operation on deployment `{}`", id.name()),
            waited_s: began.elapsed().as_secs(),
        })
    }
}

/// What a look at an operation saw.
fn state(followed: &Follow, look: &ArmRequest, seen: &Answer) -> Result<State, AzureError> {
    if matches!(followed, Follow::Location(_)) {
        return Ok(if seen.status == 202 {
            State::Running("InProgress".to_owned())
        } else {
            State::Done
        });
    }
    let body: Value = read_body(look, seen)?;
    Ok(match followed {
        Follow::Status(_) if body["status"].is_string() => follow::status_state(&body),
        _ => follow::resource_state(&body).unwrap_or(State::Done),
    })
}

/// Tells a success from a refusal.
fn accepted(answer: Answer) -> Result<Answer, AzureError> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let wait = follow::retry_after(&answer, jiff::Timestamp::now());
    Err(AzureError::Refused(Box::new(Refusal {
        wait_s: wait.map(|wait| wait.as_secs()).filter(|wait_s| *wait_s > 0),
        ..Refusal::read(Some(answer.status), &body, answer.header("x-ms-request-id"))
    })))
}

fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Whether it changes anything; keys are read by POST.
fn is_write(request: &ArmRequest) -> bool {
    request.method != Method::GET && !request.url.path().ends_with("/listKeys")
}

fn read_body<T: DeserializeOwned>(request: &ArmRequest, answer: &Answer) -> Result<T, AzureError> {
    serde_json::from_slice(&answer.body).map_err(|error| unreadable(request, &error))
}

fn unreadable(request: &ArmRequest, error: &serde_json::Error) -> AzureError {
    AzureError::Unreadable {
        asked: request.shown(),
        cause: if error.is_data() {
            error.to_string()
        } else {
            "it is no JSON".to_owned()
        },
    }
}

#[cfg(test)]
mod tests;
