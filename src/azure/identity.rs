//! Ways of logging in to Microsoft Entra ID, over `azure_identity`, which knows the protocols.
//!
//! That library sends through our own connections: they trust the configured certificates, and lead to the configured authority and
//! metadata service where the library knows only Azure's own. Its credentials keep their token until five minutes before its end, also
//! one that was refused; so each is asked once and then made anew, and what is kept is in `cache` alone. Files are read anew, too.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential, AzureDeveloperCliCredentialOptions,
    ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use url::Url;

use crate::azure::assertion::Certificate;
use crate::azure::credential_error::{CredentialError, NO_JSON, NO_TOKEN};
use crate::azure::token::{AccessToken, Fixed, TokenSource};
use crate::azure::transport::{Http, TransportError};

mod relay;

use relay::{AUTHORITY_HOST, Relay};

/// Longest time for a token, tries of the library included.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(40);

/// A way of logging in. No `Debug`: it holds secrets.
pub enum Login {
    /// The identity of the machine or app.
    ManagedIdentity(Identity),
    /// The identity of a Kubernetes service account.
    WorkloadIdentity {
        /// Tenant id or domain.
        tenant: String,
        /// Client id.
        client_id: String,
        /// File with the service account's token.
        token_file: PathBuf,
    },
    /// An application and its secret.
    ClientSecret {
        /// Tenant id or domain.
        tenant: String,
        /// Client id.
        client_id: String,
        /// The secret.
        secret: String,
    },
    /// An application and its certificate.
    ClientCertificate {
        /// Tenant id or domain.
        tenant: String,
        /// Client id.
        client_id: String,
        /// PEM file with certificate and key.
        path: PathBuf,
    },
    /// Whoever is logged in to the Azure CLI.
    AzureCli {
        /// Tenant to ask for.
        tenant: Option<String>,
    },
    /// Whoever is logged in to the Azure Developer CLI.
    DeveloperCli {
        /// Tenant to ask for.
        tenant: Option<String>,
    },
    /// A token that something else made.
    Token(String),
}

/// Which managed identity.
#[derive(Debug, Clone)]
pub enum Identity {
    /// The machine's own.
    SystemAssigned,
    /// By client id.
    ClientId(String),
    /// By object id.
    ObjectId(String),
    /// By ARM id.
    ResourceId(String),
}

/// Where tokens are asked for.
#[derive(Debug, Clone)]
pub struct Authorities {
    /// Microsoft Entra ID; its path ends in `/`.
    pub authority: Url,
    /// The instance metadata service; its path ends in `/`.
    pub metadata: Url,
}

/// Makes the source of tokens for a way of logging in. Nothing is sent before the first token is asked for.
///
/// # Errors
/// When files that it needs cannot be read, or what it was given cannot be right.
pub fn source(login: Login, authorities: &Authorities, http: &Http) -> Result<Arc<dyn TokenSource>, CredentialError> {
    let login = match login {
        Login::Token(token) => return Ok(Arc::new(Fixed::new(token))),
        login => login,
    };
    let source = LoggedIn {
        login,
        authority: authorities.authority.clone(),
        options: client_options(authorities, http),
    };
    source.credential()?;
    Ok(Arc::new(source))
}

fn managed_identity(identity: Identity, options: ClientOptions) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let user_assigned_id = match identity {
        Identity::SystemAssigned => None,
        Identity::ClientId(id) => Some(UserAssignedId::ClientId(id)),
        Identity::ObjectId(id) => Some(UserAssignedId::ObjectId(id)),
        Identity::ResourceId(id) => Some(UserAssignedId::ResourceId(id)),
    };
    let options = ManagedIdentityCredentialOptions {
        user_assigned_id,
        client_options: options,
    };
    Ok(ManagedIdentityCredential::new(Some(options))?)
}

fn workload_identity(
    tenant: String,
    client_id: String,
    token_file: PathBuf,
    options: ClientOptions,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let options = WorkloadIdentityCredentialOptions {
        credential_options: ClientAssertionCredentialOptions {
            client_options: options,
        },
        client_id: Some(client_id),
        tenant_id: Some(tenant),
        token_file_path: Some(token_file),
    };
    Ok(WorkloadIdentityCredential::new(Some(options))?)
}

fn client_secret(
    tenant: &str,
    client_id: String,
    secret: String,
    options: ClientOptions,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let options = ClientSecretCredentialOptions {
        client_options: options,
    };
    Ok(ClientSecretCredential::new(
        tenant,
        client_id,
        Secret::new(secret),
        Some(options),
    )?)
}

fn client_certificate(
    tenant: String,
    client_id: String,
    certificate: Certificate,
    options: ClientOptions,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let options = ClientAssertionCredentialOptions {
        client_options: options,
    };
    Ok(ClientAssertionCredential::new(
        tenant,
        client_id,
        certificate,
        Some(options),
    )?)
}

fn azure_cli(tenant_id: Option<String>) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let options = AzureCliCredentialOptions {
        tenant_id,
        ..AzureCliCredentialOptions::default()
    };
    Ok(AzureCliCredential::new(Some(options))?)
}

fn developer_cli(tenant_id: Option<String>) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let options = AzureDeveloperCliCredentialOptions {
        tenant_id,
        ..AzureDeveloperCliCredentialOptions::default()
    };
    Ok(AzureDeveloperCliCredential::new(Some(options))?)
}

/// The library's own settings: our connections, few tries, and an authority that stands for the configured one.
fn client_options(authorities: &Authorities, http: &Http) -> ClientOptions {
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host = format!("https://{AUTHORITY_HOST}");
    ClientOptions {
        retry: RetryOptions::exponential(ExponentialRetryOptions {
            max_retries: 3,
            ..ExponentialRetryOptions::default()
        }),
        transport: Some(Transport::new(Arc::new(Relay::new(authorities.clone(), http.clone())))),
        cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
        ..ClientOptions::default()
    }
}

/// A way of logging in by a credential of the library.
struct LoggedIn {
    login: Login,
    authority: Url,
    options: ClientOptions,
}

impl LoggedIn {
    /// The name of the way, as the configuration has it.
    fn way(&self) -> &'static str {
        match self.login {
            Login::ManagedIdentity(_) => "managed_identity",
            Login::WorkloadIdentity { .. } => "workload_identity",
            Login::ClientSecret { .. } => "client_secret",
            Login::ClientCertificate { .. } => "client_certificate",
            Login::AzureCli { .. } => "azure_cli",
            Login::DeveloperCli { .. } => "developer_cli",
            Login::Token(_) => "token",
        }
    }

    /// A credential that keeps no token yet.
    fn credential(&self) -> Result<Arc<dyn TokenCredential>, CredentialError> {
        let options = self.options.clone();
        let made: azure_core::Result<Arc<dyn TokenCredential>> = match &self.login {
            Login::ManagedIdentity(identity) => managed_identity(identity.clone(), options),
            Login::WorkloadIdentity {
                tenant,
                client_id,
                token_file,
            } => workload_identity(tenant.clone(), client_id.clone(), token_file.clone(), options),
            Login::ClientSecret {
                tenant,
                client_id,
                secret,
            } => client_secret(tenant, client_id.clone(), secret.clone(), options),
            Login::ClientCertificate {
                tenant,
                client_id,
                path,
            } => {
                let audience = format!("{}{tenant}/oauth2/v2.0/token", self.authority);
                let certificate = Certificate::read(path, client_id, &audience)?;
                client_certificate(tenant.clone(), client_id.clone(), certificate, options)
            }
            Login::AzureCli { tenant } => azure_cli(tenant.clone()),
            Login::DeveloperCli { tenant } => developer_cli(tenant.clone()),
            // `source` has another one for it.
            Login::Token(_) => return Err(CredentialError::new(self.way(), "a given token is not asked for")),
        };
        made.map_err(|error| CredentialError::new(self.way(), &said(&error)))
    }
}

impl fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoggedIn({})", self.way())
    }
}

#[async_trait]
impl TokenSource for LoggedIn {
    async fn token(&self, scope: &str) -> Result<AccessToken, CredentialError> {
        let scopes = [scope];
        let credential = self.credential()?;
        let asked = tokio::time::timeout(LOGIN_TIMEOUT, credential.get_token(&scopes, None)).await;
        let failed = |message: String| CredentialError::new(self.way(), &message);
        let token = asked
            .map_err(|_elapsed| failed(format!("the answer took longer than {} s", LOGIN_TIMEOUT.as_secs())))?
            .map_err(|error| failed(said(&error)))?;
        if token.token.secret().is_empty() {
            return Err(failed(NO_TOKEN.to_owned()));
        }
        let lasts_s = token.expires_on.unix_timestamp() - jiff::Timestamp::now().as_second();
        let lasts = Duration::from_secs(u64::try_from(lasts_s).unwrap_or(0));
        Ok(AccessToken::new(token.token.secret(), Instant::now() + lasts))
    }
}

/// What an error of the library and its causes say, without the library's own link. Where nobody answered, or
/// not with JSON, that is all there is to say.
fn said(error: &azure_core::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(unanswered) = inner.downcast_ref::<TransportError>() {
            return unanswered.to_string();
        }
        if inner.downcast_ref::<serde_json::Error>().is_some() {
            return NO_JSON.to_owned();
        }
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text.split("\nTo troubleshoot").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
