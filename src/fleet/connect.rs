//! From the configuration to a client of the control plane, and to sources of tokens.

use std::sync::Arc;

use crate::azure::address::ArmAddress;
use crate::azure::arm::{Arm, ArmSettings, Tokens};
use crate::azure::cache::TokenCache;
use crate::azure::credential_error::CredentialError;
use crate::azure::follow::Patience;
use crate::azure::identity::{self, Authorities, Identity, Login};
use crate::azure::transport::{Http, TransportError};
use crate::azure::witness::Witness;
use crate::config::checked::azure::{AzureCredential, AzureSettings, ManagedIdentity};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// TLS or a certificate file cannot be used.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A way of logging in cannot work.
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

/// A client of the control plane. Nothing is sent yet; `witness` hears of every write.
///
/// # Errors
/// When files that it needs cannot be read.
pub fn arm(settings: &AzureSettings, witness: Option<Arc<dyn Witness>>) -> Result<Arm, ConnectError> {
    arm_with(settings, witness, Patience::default())
}

/// The same, which waits for what it is told.
///
/// # Errors
/// As [`arm`].
pub fn arm_with(
    settings: &AzureSettings,
    witness: Option<Arc<dyn Witness>>,
    patience: Patience,
) -> Result<Arm, ConnectError> {
    let http = Http::new(settings.ca.as_deref())?;
    let tokens = Tokens {
        own: tokens(settings, &settings.credential, &http)?,
        tenants: settings
            .tenants
            .iter()
            .map(|tenant| Ok((tenant.tenant.clone(), tokens(settings, &tenant.credential, &http)?)))
            .collect::<Result<_, CredentialError>>()?,
    };
    let settings = ArmSettings {
        address: ArmAddress {
            management: settings.management.clone(),
            api_version: settings.api_version.clone(),
        },
        audience: settings.audience.clone(),
        writes: settings.writes,
        writes_per_minute: settings.writes_per_minute,
        patience,
    };
    Ok(Arm::new(settings, http, tokens, witness))
}

/// The kept tokens of a way of logging in.
///
/// # Errors
/// When files that it needs cannot be read.
pub fn tokens(
    settings: &AzureSettings,
    credential: &AzureCredential,
    http: &Http,
) -> Result<Arc<TokenCache>, CredentialError> {
    let authorities = Authorities {
        authority: settings.authority.clone(),
        metadata: settings.metadata.clone(),
    };
    let source = identity::source(login(credential), &authorities, http)?;
    Ok(Arc::new(TokenCache::new(source)))
}

fn login(credential: &AzureCredential) -> Login {
    match credential.clone() {
        AzureCredential::ManagedIdentity(identity) => Login::ManagedIdentity(match identity {
            ManagedIdentity::SystemAssigned => Identity::SystemAssigned,
            ManagedIdentity::ClientId(id) => Identity::ClientId(id),
            ManagedIdentity::ObjectId(id) => Identity::ObjectId(id),
            ManagedIdentity::ResourceId(id) => Identity::ResourceId(id),
        }),
        AzureCredential::WorkloadIdentity {
            tenant,
            client_id,
            token_file,
        } => Login::WorkloadIdentity {
            tenant,
            client_id,
            token_file,
        },
        AzureCredential::ClientSecret {
            tenant,
            client_id,
            secret,
        } => Login::ClientSecret {
            tenant,
            client_id,
            secret: secret.expose().to_owned(),
        },
        AzureCredential::ClientCertificate {
            tenant,
            client_id,
            path,
        } => Login::ClientCertificate {
            tenant,
            client_id,
            path,
        },
        AzureCredential::AzureCli { tenant } => Login::AzureCli { tenant },
        AzureCredential::DeveloperCli { tenant } => Login::DeveloperCli { tenant },
        AzureCredential::Token(token) => Login::Token(token.expose().to_owned()),
    }
}
