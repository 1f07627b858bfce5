//! Our half of the fleet as it grows: resources and their deployments, with what is not known marked for a person.
//!
//! Entries that name the same endpoint, API and login are one resource; entries that name the same deployment of it are one deployment.

use std::collections::HashMap;

use crate::config::errors::Pointer;
use crate::config::raw::azure::RawInactivity;
use crate::config::raw::fleet::{
    DEFAULT_DATA_AUDIENCE, DEFAULT_INACTIVITY_DAYS, RawApi, RawCacheKeys, RawCredential, RawDeployment, RawEntra,
    RawPrice, RawResource, RawSku,
};
use crate::config::scalars::{Name, SecretText};
use crate::core::fleet::catalogue::{Catalogue, EMBEDDED};

/// Longest name of a resource, deployment or pool, in characters.
const NAME_CHARS_MAX: usize = 64;

/// How a resource is logged in to. Secrets are references by now.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Login {
    Key(SecretText),
    Token(SecretText),
    /// A Microsoft Entra ID token that the gateway gets itself: its scope, and the tenant where it is not the first application's.
    Entra {
        audience: Option<String>,
        tenant: Option<String>,
    },
}

/// What makes entries one resource.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Account {
    /// Base URL, or a reference to it.
    pub(super) endpoint: String,
    /// What to call it.
    pub(super) label: String,
    pub(super) is_v1: bool,
    /// A version, or a reference to it; none for the default.
    pub(super) api_version: Option<String>,
    pub(super) allow_plaintext: bool,
    /// Whether `endpoint` is one, and no stand-in.
    pub(super) is_known: bool,
    pub(super) login: Login,
}

/// Where a resource's region was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RegionSource {
    Told,
    /// In the endpoint's host name.
    Host,
    /// Nowhere: a word stands in for it.
    Unknown,
}

/// A deployment that an entry names, and whether this is the first entry to do so.
pub(super) struct Placed {
    pub(super) resource: usize,
    pub(super) deployment: usize,
    pub(super) is_new_resource: bool,
    pub(super) is_new: bool,
    pub(super) region: RegionSource,
}

/// Resources so far.
#[derive(Default)]
pub(super) struct Fleet {
    pub(super) resources: Vec<RawResource>,
    /// Comments, by the place of our value that they stand behind.
    pub(super) comments: HashMap<Pointer, String>,
    accounts: Vec<Account>,
}

impl Fleet {
    /// Finds or adds a deployment.
    pub(super) fn place(&mut self, account: Account, region: Option<String>, deployment: &str) -> Placed {
        let known = self.accounts.iter().position(|known| *known == account);
        let is_new_resource = known.is_none();
        let (resource, source) = match known {
            Some(index) => (index, RegionSource::Told),
            None => self.add_resource(account, region),
        };
        let deployments = &mut self.resources[resource].deployments;
        let named = deployments.iter().position(|known| known.name.0 == deployment);
        let index = named.unwrap_or(deployments.len());
        if named.is_none() {
            deployments.push(blank(deployment));
        }
        Placed {
            resource,
            deployment: index,
            is_new_resource,
            is_new: named.is_none(),
            region: source,
        }
    }

    fn add_resource(&mut self, account: Account, region: Option<String>) -> (usize, RegionSource) {
        let index = self.resources.len();
        let taken: Vec<&str> = self.resources.iter().map(|resource| resource.name.0.as_str()).collect();
        let name = unique(&name_of(&account.label), &taken);
        let in_host = || region_in(&account.label);
        let (region, source) = match region.map(|region| (region, RegionSource::Told)) {
            Some(told) => told,
            None => match in_host() {
                Some(region) => (region, RegionSource::Host),
                None => (format!("region-of-{name}"), RegionSource::Unknown),
            },
        };
        let at = Pointer::root().key("resources").index(index);
        if source == RegionSource::Unknown {
            let text = "FILL IN: the account's Azure region, such as swedencentral";
            self.comments.insert(at.key("region"), text.to_owned());
        }
        if !account.is_known {
            let text = "FILL IN: the account's base URL, such as https://contoso-swedencentral.openai.azure.com";
            self.comments.insert(at.key("endpoint"), text.to_owned());
        }
        self.resources.push(RawResource {
            name: Name(name),
            region,
            endpoint: account.endpoint.clone(),
            api: if account.is_v1 { RawApi::V1 } else { RawApi::Classic },
            api_version: account.api_version.clone(),
            http2: false,
            allow_plaintext: account.allow_plaintext,
            credential: credential(&account.login),
            account: None,
            deployments: Vec::new(),
        });
        self.accounts.push(account);
        (index, source)
    }

    /// The deployment itself.
    pub(super) fn deployment_mut(&mut self, placed: &Placed) -> &mut RawDeployment {
        &mut self.resources[placed.resource].deployments[placed.deployment]
    }

    /// Puts a comment behind one of a deployment's fields.
    pub(super) fn comment(&mut self, placed: &Placed, field: &str, text: &str) {
        let at = Pointer::root()
            .key("resources")
            .index(placed.resource)
            .key("deployments");
        self.comments
            .insert(at.index(placed.deployment).key(field), text.to_owned());
    }

    /// How pools name it.
    pub(super) fn reference(&self, placed: &Placed) -> String {
        let resource = &self.resources[placed.resource];
        format!("{}/{}", resource.name.0, resource.deployments[placed.deployment].name.0)
    }
}

fn credential(login: &Login) -> RawCredential {
    let mut raw = RawCredential {
        api_key: None,
        token: None,
        entra: None,
    };
    match login {
        Login::Key(key) => raw.api_key = Some(key.clone()),
        Login::Token(token) => raw.token = Some(token.clone()),
        Login::Entra { audience, tenant } => {
            raw.entra = Some(RawEntra {
                audience: audience.clone().unwrap_or_else(|| DEFAULT_DATA_AUDIENCE.to_owned()),
                tenant: tenant.clone(),
            });
        }
    }
    raw
}

/// A deployment of which only the name is known.
fn blank(name: &str) -> RawDeployment {
    RawDeployment {
        name: Name(name.to_owned()),
        sku: RawSku::Standard,
        capacity: None,
        model: None,
        fine_tuned_model: None,
        model_version: None,
        rai_policy_name: None,
        source: None,
        source_tenant: None,
        weight: None,
        prompt_cache_key: RawCacheKeys::default(),
        stream_usage: true,
        created_at: None,
        inactivity_days: DEFAULT_INACTIVITY_DAYS,
        inactivity: None::<RawInactivity>,
        price: None::<RawPrice>,
    }
}

/// The longest known region whose name is part of a label.
fn region_in(label: &str) -> Option<String> {
    // The catalogue is held to be readable by a test; without it a region is filled in by hand.
    let regions = Catalogue::parse(EMBEDDED).map_or_else(|_| Vec::new(), |catalogue| catalogue.regions);
    let bare: String = label.chars().filter(char::is_ascii_alphanumeric).collect();
    let found = regions.into_iter().filter(|region| bare.contains(region.as_str()));
    found.max_by_key(String::len)
}

/// A text as a name of ours: what may not stand in one becomes `-`.
pub(super) fn name_of(text: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let name: String = text
        .chars()
        .map(|letter| if fits(letter) { letter } else { '-' })
        .skip_while(|letter| !letter.is_ascii_alphanumeric())
        .take(NAME_CHARS_MAX)
        .collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// The name, with a number behind it where it is taken.
pub(super) fn unique(name: &str, taken: &[&str]) -> String {
    let is_free = |candidate: &String| !taken.contains(&candidate.as_str());
    let numbered = (2..).map(|number| {
        let end = format!("-{number}");
        let room = NAME_CHARS_MAX.saturating_sub(end.len());
        format!("{}{end}", name.chars().take(room).collect::<String>())
    });
    let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
    candidates.find(is_free).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_to_fit() {
        let check = |text: &str, expected: &str| assert_eq!(name_of(text), expected);
        check("gpt-4.1", "gpt-4.1");
        check("azure/gpt 4:o", "azure-gpt-4-o");
        check("_private", "private");
        check("***", "unnamed");
        check(&"x".repeat(70), &"x".repeat(64));
        assert_eq!(unique("a", &["a", "a-2"]), "a-3");
        assert_eq!(
            unique(&"x".repeat(64), &[&"x".repeat(64)]),
            format!("{}-2", "x".repeat(62))
        );
    }

    #[test]
    fn regions_are_found_in_host_names() {
        let check = |label: &str, expected: Option<&str>| assert_eq!(region_in(label).as_deref(), expected, "{label}");
        check("contoso-swedencentral", Some("swedencentral"));
        check("contoso-eastus2-prod", Some("eastus2"));
        check("contoso-sweden-central", Some("swedencentral"));
        check("contoso-europe", None);
    }
}
