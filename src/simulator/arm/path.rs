//! What does an ARM URL ask for? Paths without regard to case, and `api-version`.

use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::simulator::arm::error::ArmError;

/// Management versions that are published.
pub const API_VERSIONS: &[&str] = &[
    "2023-05-01",
    "2024-10-01",
    "2025-06-01",
    "2025-07-01-preview",
    "2025-09-01",
    "2025-10-01-preview",
    "2025-12-01",
    "2026-03-15-preview",
];
/// Versions of the same form from this one on are taken too: clients are released faster than lists are written.
const NEWER_FROM: &str = "2026-05-15-preview";
/// The data plane's version that Microsoft's samples use here.
const DATA_PLANE: &str = "2024-10-21";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArmPath {
    /// `/subscriptions`.
    Subscriptions,
    /// `/tenants`.
    Tenants,
    /// Something of a subscription.
    Of {
        /// The subscription.
        subscription: String,
        /// What.
        target: Target,
    },
}

/// What is asked for of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The subscription itself.
    Subscription,
    /// Its accounts, or those of one resource group.
    Accounts(Option<String>),
    /// Something of an account.
    Account {
        /// Its resource group.
        group: String,
        /// Its name.
        account: String,
        /// What.
        part: Part,
    },
    /// Models of a region.
    Models(String),
    /// Quota of a region.
    Usages(String),
    /// Free capacity, everywhere or in a region.
    Capacities(Option<String>),
    /// How an operation is.
    OperationStatus(String),
    /// What an operation gave.
    OperationResult(String),
}

/// What is asked for of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The account itself.
    Itself,
    /// Its keys.
    Keys,
    /// Its models.
    Models,
    /// Its deployments.
    Deployments,
    /// One deployment.
    Deployment(String),
    /// The SKUs that one can have.
    Skus(String),
    /// To pause one.
    Pause(String),
    /// To resume one.
    Resume(String),
}

/// Reads a path; none when this world has nothing there.
pub fn read(path: &str) -> Option<ArmPath> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let segments: Vec<String> = path.trim_matches('/').split('/').map(decoded).collect();
    let lower: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["subscriptions"] => Some(ArmPath::Subscriptions),
        ["tenants"] => Some(ArmPath::Tenants),
        ["subscriptions", _, rest @ ..] => Some(ArmPath::Of {
            subscription: segments[1].clone(),
            target: target(&segments[2..], rest)?,
        }),
        _ => None,
    }
}

fn target(segments: &[String], words: &[&str]) -> Option<Target> {
    const PROVIDER: &str = "microsoft.cognitiveservices";
    Some(match words {
        [] => Target::Subscription,
        ["resourcegroups", _, "providers", PROVIDER, "accounts"] => Target::Accounts(Some(segments[1].clone())),
        ["resourcegroups", _, "providers", PROVIDER, "accounts", _, rest @ ..] => Target::Account {
            group: segments[1].clone(),
            account: segments[5].clone(),
            part: part(&segments[6..], rest)?,
        },
        ["providers", PROVIDER, "accounts"] => Target::Accounts(None),
        ["providers", PROVIDER, "modelcapacities"] => Target::Capacities(None),
        ["providers", PROVIDER, "locations", _, rest @ ..] => {
            let location = segments[3].to_ascii_lowercase();
            match rest {
                ["models"] => Target::Models(location),
                ["usages"] => Target::Usages(location),
                ["modelcapacities"] => Target::Capacities(Some(location)),
                ["operationsstatus", _] => Target::OperationStatus(segments[5].clone()),
                ["operationresults", _] => Target::OperationResult(segments[5].clone()),
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn part(segments: &[String], words: &[&str]) -> Option<Part> {
    let name = || segments[1].clone();
    Some(match words {
        [] => Part::Itself,
        ["listkeys"] => Part::Keys,
        ["models"] => Part::Models,
        ["deployments"] => Part::Deployments,
        ["deployments", _] => Part::Deployment(name()),
        ["deployments", _, "skus"] => Part::Skus(name()),
        ["deployments", _, "pause"] => Part::Pause(name()),
        ["deployments", _, "resume"] => Part::Resume(name()),
        _ => return None,
    })
}

/// An account's ARM id, as it is named in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountId {
    /// Subscription.
    pub subscription: String,
    /// Resource group.
    pub group: String,
    /// Name.
    pub name: String,
}

/// Reads an account's ARM id.
pub fn account_id(text: &str) -> Option<AccountId> {
    match read(text)? {
        ArmPath::Of {
            subscription,
            target:
                Target::Account {
                    group,
                    account,
                    part: Part::Itself,
                },
        } => Some(AccountId {
            subscription,
            group,
            name: account,
        }),
        _ => None,
    }
}

/// One parameter of a query, decoded.
pub fn parameter(head: &Parts, name: &str) -> Option<String> {
    let query = head.uri.query()?;
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let mut found = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.into_owned())
}

/// The request's `api-version`.
///
/// # Errors
/// 400 when it is missing or not a published one.
pub fn api_version(head: &Parts, accepts_data_plane: bool) -> Result<String, ArmError> {
    let version = parameter(head, "api-version").ok_or_else(ArmError::missing_api_version)?;
    let newer = version.len() == NEWER_FROM.len() && version.ends_with("-preview") && version.as_str() >= NEWER_FROM;
    let dated = version.chars().zip("0000-00-00".chars()).all(|(has, form)| match form {
        '0' => has.is_ascii_digit(),
        _ => has == form,
    });
    let listed = API_VERSIONS.contains(&version.as_str()) || (accepts_data_plane && version == DATA_PLANE);
    if listed || (newer && dated) {
        Ok(version)
    } else {
        Err(ArmError::invalid_api_version(&version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_whatever_their_case() {
        const GROUP: &str = "/subscriptions/S/resourceGroups/G/providers/Microsoft.CognitiveServices/accounts";
        let of = |target| {
            Some(ArmPath::Of {
                subscription: "S".to_owned(),
                target,
            })
        };
        let account = |part| {
            of(Target::Account {
                group: "G".to_owned(),
                account: "A".to_owned(),
                part,
            })
        };
        for (path, expect) in [
            ("/subscriptions".to_owned(), Some(ArmPath::Subscriptions)),
            ("/subscriptions/S".to_owned(), of(Target::Subscription)),
            (GROUP.to_owned(), of(Target::Accounts(Some("G".to_owned())))),
            (format!("{GROUP}/A"), account(Part::Itself)),
            (
                format!("{}/A", GROUP.replace("resourceGroups", "RESOURCEGROUPS")),
                account(Part::Itself),
            ),
            (format!("{GROUP}/A/listKeys"), account(Part::Keys)),
            (
                format!("{GROUP}/A/deployments/my%20D"),
                account(Part::Deployment("my D".to_owned())),
            ),
            (
                format!("{GROUP}/A/Deployments/D/Pause"),
                account(Part::Pause("D".to_owned())),
            ),
            (format!("{GROUP}/A/deployments/D/nothing"), None),
            (
                "/subscriptions/S/providers/Microsoft.CognitiveServices/locations/EastUS2/usages".to_owned(),
                of(Target::Usages("eastus2".to_owned())),
            ),
            (
                "/subscriptions/S/providers/Microsoft.CognitiveServices/locations/eastus2/operationsStatus/7"
                    .to_owned(),
                of(Target::OperationStatus("7".to_owned())),
            ),
            ("/subscriptions/S/providers/Microsoft.Compute/disks".to_owned(), None),
            ("/".to_owned(), None),
        ] {
            assert_eq!(read(&path), expect, "{path}");
        }
    }

    #[test]
    fn versions_are_taken_as_published_and_newer_previews_too() {
        for (query, code) in [
            ("api-version=2024-10-01", None),
            ("API-Version=2025-09-01", None),
            ("api-version=2024-10-21", None),
            ("api-version=2026-05-15-preview", None),
            ("api-version=2027-01-01-preview", None),
            ("api-version=2026-05-14-preview", Some("InvalidApiVersionParameter")),
            ("api-version=2027-xx-01-preview", Some("InvalidApiVersionParameter")),
            ("api-version=2022-12-01", Some("InvalidApiVersionParameter")),
            ("x=1", Some("MissingApiVersionParameter")),
        ] {
            let head = http::Request::get(format!("/subscriptions?{query}"))
                .body(())
                .unwrap()
                .into_parts()
                .0;
            let refused = api_version(&head, true).err().map(|error| error.code);
            assert_eq!(refused.as_deref(), code, "{query}");
        }
        let head = http::Request::get("/?api-version=2024-10-21")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        assert!(api_version(&head, false).is_err());
    }
}
