//! The admin listener and who may use it, checked.

use std::net::SocketAddr;

use serde::Serialize;
use strum::{AsRefStr, IntoStaticStr, VariantArray};
use url::Url;
use utoipa::ToSchema;

use crate::config::secrets::Secret;

/// The admin listener.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminListener {
    /// Where to listen.
    pub address: SocketAddr,
    /// `admin.token`, whose holder is `admin` and may do all.
    pub token: Option<Secret>,
    /// The tokens with names.
    pub tokens: Vec<AdminToken>,
    /// By whom people sign in, if by anybody. With neither a token nor this, whoever reaches the listener may do all; its address is a
    /// loopback one then.
    pub oidc: Option<OidcSettings>,
    /// Whether the configuration's file may be changed from here.
    pub configure: Configure,
    /// Newest requests that are kept in memory for what-if questions; 0 for none.
    pub recent_requests: usize,
    /// Whether this is `emberway demo`, whose figures are of a simulated world; no file says so.
    pub is_demo: bool,
}

/// Whether the configuration's file may be changed by way of the admin listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Configure {
    /// Unless it is managed elsewhere: in a Git work tree or a ConfigMap.
    #[default]
    Auto,
    /// Also in a Git work tree.
    Always,
    /// Not at all.
    Never,
}

/// What somebody may do. Ordered: a later role may do all that an earlier one may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema, AsRefStr, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Look.
    Viewer,
    /// Also take deployments out, put them back, and call them.
    Operator,
    /// Also change the configuration.
    Admin,
}

/// A token of an operator or a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminToken {
    /// Whose it is; unique.
    pub name: String,
    /// What is sent; unique.
    pub token: Secret,
    /// What its holder may do.
    pub role: Role,
}

/// A provider of OpenID Connect.
#[derive(Debug, Clone, PartialEq)]
pub struct OidcSettings {
    /// The issuer, as tokens name it: an `https` URL, or `http` to this machine.
    pub issuer: Url,
    /// The issuer as it is written, which tokens must repeat to the letter.
    pub issuer_text: String,
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: Secret,
    /// Values of the claim `roles`, with the role that each gives; at least one.
    pub roles: Vec<(String, Role)>,
    /// Where the provider sends people back; the address that the browser used where there is none.
    pub redirect_url: Option<Url>,
}
