//! Who calls, and what may they do? Principals, their roles, and the rights that a call needs.
//!
//! Roles are Azure's with the few actions that this world has. A right holds at its scope and below, whatever the case of its letters.
//! Role changes work at once here; the service takes minutes.

use serde::{Deserialize, Serialize};

/// An application or managed identity.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalSpec {
    /// What this scenario calls it.
    pub name: String,
    /// Application id.
    pub client_id: String,
    /// Object id, which errors name.
    pub object_id: String,
    /// Its secret, when it has one.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// Assertions that it may present; any JWT when there is none.
    #[serde(default)]
    pub federated_tokens: Vec<String>,
    /// Whether this machine has it as an identity.
    #[serde(default)]
    pub managed_identity: Option<IdentityKind>,
    /// ARM id of a user-assigned identity.
    #[serde(default)]
    pub resource_id: Option<String>,
    /// Tenants that know it, its own first; all when empty.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Its rights; all when empty.
    #[serde(default)]
    pub rights: Vec<RightSpec>,
}

/// How a machine has an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// It is the machine's own.
    System,
    /// It was assigned and must be asked for by one of its ids.
    User,
}

/// A role somewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RightSpec {
    /// ARM id of a subscription, resource group or account.
    pub scope: String,
    /// The role there.
    pub role: Role,
}

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, inference too.
    All,
    /// Cognitive Services OpenAI Contributor: deploys and infers.
    OpenaiContributor,
    /// Cognitive Services Contributor: deploys and reads keys, but cannot infer.
    CognitiveServicesContributor,
    /// Cognitive Services OpenAI User: infers.
    OpenaiUser,
    /// Cognitive Services Usages Reader: reads quota, at the subscription.
    UsagesReader,
    /// Reader.
    Reader,
}

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To read anything but keys and quota.
    Read,
    /// To create or change a deployment.
    Write,
    /// To delete one.
    Delete,
    /// To read keys.
    ListKeys,
    /// To read quota.
    ReadQuota,
    /// To ask a model.
    Infer,
}

impl Action {
    /// As errors name it.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Read => "Microsoft.CognitiveServices/accounts/deployments/read",
            Self::Write => "Microsoft.CognitiveServices/accounts/deployments/write",
            Self::Delete => "Microsoft.CognitiveServices/accounts/deployments/delete",
            Self::ListKeys => "Microsoft.CognitiveServices/accounts/listKeys/action",
            Self::ReadQuota => "Microsoft.CognitiveServices/locations/usages/read",
            Self::Infer => "Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action",
        }
    }
}

impl Role {
    fn allows(self, action: Action) -> bool {
        use Action::{Delete, Infer, ListKeys, Read, ReadQuota, Write};
        match self {
            Self::All => true,
            Self::OpenaiContributor => matches!(action, Read | Write | Delete | Infer),
            Self::CognitiveServicesContributor => matches!(action, Read | Write | Delete | ListKeys | ReadQuota),
            Self::OpenaiUser => matches!(action, Read | Infer),
            Self::UsagesReader => action == ReadQuota,
            Self::Reader => action == Read,
        }
    }
}

impl PrincipalSpec {
    /// Whether it may do this there.
    pub fn may(&self, action: Action, scope: &str) -> bool {
        let covers = |right: &RightSpec| right.role.allows(action) && is_below(scope, &right.scope);
        self.rights.is_empty() || self.rights.iter().any(covers)
    }

    /// Whether a tenant knows it.
    pub fn is_in(&self, tenant: &str) -> bool {
        self.tenants.is_empty() || self.tenants.iter().any(|known| known.eq_ignore_ascii_case(tenant))
    }
}

/// Whether one ARM id is another or lies below it.
fn is_below(id: &str, scope: &str) -> bool {
    let scope = scope.trim_end_matches('/');
    let Some((head, rest)) = id.split_at_checked(scope.len()) else {
        return false;
    };
    head.eq_ignore_ascii_case(scope) && (rest.is_empty() || rest.starts_with('/'))
}

/// A token that never expires.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticToken {
    /// The token.
    pub token: String,
    /// Whose.
    pub principal: String,
    /// Tenant it is of; that of `arm` when absent.
    #[serde(default)]
    pub tenant: Option<String>,
}

impl StaticToken {
    /// The one of a scenario that names none.
    pub fn usual() -> Self {
        Self {
            token: "sim-arm-token".to_owned(),
            principal: "operator".to_owned(),
            tenant: None,
        }
    }
}

/// The principal of a scenario that names none: it may do everything, by secret and as the machine's own identity.
pub fn usual_principals() -> Vec<PrincipalSpec> {
    vec![PrincipalSpec {
        name: "operator".to_owned(),
        client_id: "33333333-3333-4333-8333-333333333333".to_owned(),
        object_id: "44444444-4444-4444-8444-444444444444".to_owned(),
        client_secret: Some("sim-client-secret".to_owned()),
        federated_tokens: Vec::new(),
        managed_identity: Some(IdentityKind::System),
        resource_id: None,
        tenants: Vec::new(),
        rights: Vec::new(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/a";

    #[test]
    fn rights_hold_at_their_scope_and_below_it() {
        let mut principal = usual_principals().remove(0);
        assert!(principal.may(Action::Write, ACCOUNT), "without rights named, all");
        for (scope, role, action, expect) in [
            ("/subscriptions/S", Role::OpenaiContributor, Action::Write, true),
            ("/subscriptions/s/", Role::OpenaiContributor, Action::Infer, true),
            (
                "/subscriptions/s/resourcegroups/G",
                Role::CognitiveServicesContributor,
                Action::Delete,
                true,
            ),
            (
                "/subscriptions/s",
                Role::CognitiveServicesContributor,
                Action::Infer,
                false,
            ),
            ("/subscriptions/s", Role::OpenaiUser, Action::Write, false),
            ("/subscriptions/s", Role::Reader, Action::ListKeys, false),
            ("/subscriptions/s", Role::UsagesReader, Action::ReadQuota, true),
            ("/subscriptions/s/resourceGroups/gg", Role::All, Action::Read, false),
            ("/subscriptions/s/resourceGroups", Role::All, Action::Read, true),
            ("/subscriptions/other", Role::All, Action::Read, false),
        ] {
            principal.rights = vec![RightSpec {
                scope: scope.to_owned(),
                role,
            }];
            assert_eq!(principal.may(action, ACCOUNT), expect, "{scope} {role:?} {action:?}");
        }
    }
}
