//! Applications of Microsoft Entra ID become the section `azure`: one credential, and one for each further tenant.

use crate::config::checked::azure::{
    DEFAULT_API_VERSION, DEFAULT_WRITES_PER_MINUTE, PUBLIC_AUDIENCE, PUBLIC_AUTHORITY, PUBLIC_MANAGEMENT,
    PUBLIC_METADATA,
};
use crate::config::import::report::{Grade, Report};
use crate::config::import::source::Node;
use crate::config::raw::azure::{RawAzure, RawAzureCredential, RawClientSecret, RawTenant};
use crate::config::scalars::SecretText;

/// An application: its tenant, its id and its secret, each a text or a reference.
pub(super) type Application = (String, String, SecretText);

/// Those found so far, one a tenant.
#[derive(Default)]
pub(super) struct Applications(Vec<Application>);

impl Applications {
    /// Adds one. Gives the tenant to name, where it is not the first's.
    pub(super) fn add(&mut self, application: Application, client: &Node<'_>, report: &mut Report) -> Option<String> {
        let (tenant, ..) = &application;
        let known = self.0.iter().position(|(known, ..)| known == tenant);
        let index = known.unwrap_or(self.0.len());
        let name = (index > 0).then(|| tenant.clone());
        match known {
            None => self.0.push(application),
            Some(index) if self.0[index] != application => {
                let remark = "one application is used for a tenant, and here is another one: \
                            give the first the role on this account too, or write `credential.token` for it";
                report.tell(client, Grade::Manual, remark);
            }
            Some(_) => {}
        }
        name
    }

    /// The section; none without an application. Nothing may be written to Azure by it.
    pub(super) fn section(self) -> Option<RawAzure> {
        let mut applications = self.0.into_iter();
        let first = applications.next()?;
        let tenants = applications.map(|application| RawTenant {
            tenant: application.0.clone(),
            credential: credential(application),
        });
        Some(RawAzure {
            subscription: None,
            resource_group: None,
            credential: credential(first),
            tenants: tenants.collect(),
            writes: false,
            writes_per_minute: DEFAULT_WRITES_PER_MINUTE,
            management: PUBLIC_MANAGEMENT.to_owned(),
            audience: PUBLIC_AUDIENCE.to_owned(),
            authority: PUBLIC_AUTHORITY.to_owned(),
            metadata: PUBLIC_METADATA.to_owned(),
            api_version: DEFAULT_API_VERSION.to_owned(),
            ca: None,
            allow_plaintext: false,
        })
    }
}

fn credential((tenant, client_id, secret): Application) -> RawAzureCredential {
    RawAzureCredential {
        managed_identity: None,
        workload_identity: None,
        client_secret: Some(RawClientSecret {
            tenant,
            client_id,
            secret,
        }),
        client_certificate: None,
        azure_cli: None,
        developer_cli: None,
        token: None,
    }
}
