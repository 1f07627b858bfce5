//! The part of the file about operators: where they connect, and who may.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalars::SecretText;

/// The listener for operators.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Admin")]
pub(in crate::config) struct RawAdmin {
    /// IP address and port. References such as `${env:NAME}` are resolved.
    #[schemars(extend("examples" = ["127.0.0.1:9090"]))]
    pub(in crate::config) address: String,
    /// Token asked of everything but the health endpoints; whoever has it may do all. A token, `tokens` or `oidc` is required when the
    /// address can be reached from other machines.
    pub(in crate::config) token: Option<SecretText>,
    /// Further tokens, each with a name, which the audit has, and a role.
    #[schemars(length(max = 100))]
    pub(in crate::config) tokens: Vec<RawAdminToken>,
    /// A provider of OpenID Connect, such as Microsoft Entra ID, by which people sign in to the operators' page and programs send its
    /// tokens.
    pub(in crate::config) oidc: Option<RawOidc>,
    /// Whether this file may be changed on the operator's page.
    pub(in crate::config) configure: RawConfigure,
    /// Newest requests whose lengths, times and hashes are kept in memory, so that the page can play them on a changed configuration. They
    /// take at most 32 MiB; `0` keeps none.
    #[schemars(range(max = 20_000))]
    pub(in crate::config) recent_requests: usize,
}

/// Whether this file may be changed on the operator's page.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Configure")]
pub(in crate::config) enum RawConfigure {
    /// Unless something else manages it: it is in a Git work tree or mounted from a ConfigMap, or cannot be written.
    #[default]
    Auto,
    /// Also in a Git work tree.
    Always,
    /// Never.
    Never,
}

impl Default for RawAdmin {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:9090".to_owned(),
            token: None,
            tokens: Vec::new(),
            oidc: None,
            configure: RawConfigure::Auto,
            recent_requests: 20_000,
        }
    }
}

/// A token of an operator or a tool.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AdminToken")]
pub(in crate::config) struct RawAdminToken {
    /// Whose it is, as the audit tells it.
    #[schemars(length(min = 1, max = 64), extend("examples" = ["grafana"]))]
    pub(in crate::config) name: String,
    /// The token, by reference.
    pub(in crate::config) token: SecretText,
    /// What its holder may do.
    pub(in crate::config) role: RawRole,
}

/// What somebody may do; each may also do what those before it may.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Role")]
pub(in crate::config) enum RawRole {
    /// Look at state and figures.
    Viewer,
    /// Take deployments out of traffic, put them back, call them.
    Operator,
    /// Change the configuration.
    Admin,
}

/// A provider of OpenID Connect.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Oidc")]
pub(in crate::config) struct RawOidc {
    /// The issuer as its tokens name it; its discovery document is at `/.well-known/openid-configuration` below it.
    #[schemars(extend("examples" = ["https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0"]))]
    pub(in crate::config) issuer: String,
    /// The application's (client) id.
    #[schemars(length(min = 1, max = 256))]
    pub(in crate::config) client_id: String,
    /// The application's secret, by reference.
    pub(in crate::config) client_secret: SecretText,
    /// Which values of the claim `roles` give which role; the highest counts, and without one nobody gets in.
    pub(in crate::config) roles: RawOidcRoles,
    /// Where the provider sends people back, as it is registered there: the page's address with `/auth/callback`. Without it, it is the
    /// address that the browser used.
    #[schemars(extend("examples" = ["https://emberway.example.com/auth/callback"]))]
    pub(in crate::config) redirect_url: Option<String>,
}

/// Values of the claim `roles`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "OidcRoles")]
pub(in crate::config) struct RawOidcRoles {
    /// Values that make a viewer.
    #[schemars(length(max = 100))]
    pub(in crate::config) viewer: Vec<String>,
    /// Values that make an operator.
    #[schemars(length(max = 100))]
    pub(in crate::config) operator: Vec<String>,
    /// Values that make an administrator.
    #[schemars(length(max = 100), extend("examples" = [["Emberway.Admin"]]))]
    pub(in crate::config) admin: Vec<String>,
}
