//! The admin listener and who may use it.

use std::net::SocketAddr;

use url::{Host, Url};

use crate::config::checked::admin::{AdminListener, AdminToken, Configure, OidcSettings, Role};
use crate::config::compile::clients::warn_if_weak;
use crate::config::compile::context::Context;
use crate::config::errors::Pointer;
use crate::config::raw::admin::{RawAdmin, RawConfigure, RawOidc, RawRole};
use crate::config::scalars::SecretText;

/// The name of `admin.token` in the audit.
const FIRST_NAME: &str = "admin";

/// Names that others have: `admin.token`, whoever changes the file by hand, and whoever asks where no credential is configured.
const RESERVED_NAMES: [&str; 3] = [FIRST_NAME, "file", "local"];

/// Compiles the section; `address` is its address, resolved.
pub(super) fn compile(context: &mut Context<'_>, raw: &RawAdmin, address: SocketAddr, at: &Pointer) -> AdminListener {
    if raw.token.is_none() && raw.tokens.is_empty() && raw.oidc.is_none() && !address.ip().is_loopback() {
        context.error(
            &at.key("token"),
            format!("an admin listener on `{address}` needs a token"),
            "add `token: ${env:EMBERWAY_ADMIN_TOKEN}`, `tokens` or `oidc`, or listen on `127.0.0.1`".to_owned(),
        );
    }
    let mut tokens = Vec::with_capacity(1 + raw.tokens.len());
    if let Some(written) = &raw.token {
        add_token(
            context,
            &mut tokens,
            &at.key("token"),
            (FIRST_NAME, written, Role::Admin),
        );
    }
    let first = tokens.len();
    for (position, token) in raw.tokens.iter().enumerate() {
        let at = at.key("tokens").index(position);
        check_name(context, &tokens, &token.name, &at.key("name"));
        let role = match token.role {
            RawRole::Viewer => Role::Viewer,
            RawRole::Operator => Role::Operator,
            RawRole::Admin => Role::Admin,
        };
        add_token(
            context,
            &mut tokens,
            &at.key("token"),
            (&token.name, &token.token, role),
        );
    }
    let at = at.key("oidc");
    let named = tokens.split_off(first);
    AdminListener {
        address,
        token: tokens.pop().map(|first| first.token),
        tokens: named,
        oidc: raw.oidc.as_ref().and_then(|raw| compile_oidc(context, raw, &at)),
        configure: match raw.configure {
            RawConfigure::Auto => Configure::Auto,
            RawConfigure::Always => Configure::Always,
            RawConfigure::Never => Configure::Never,
        },
        recent_requests: raw.recent_requests,
        is_demo: false,
    }
}

fn add_token(
    context: &mut Context<'_>,
    tokens: &mut Vec<AdminToken>,
    at: &Pointer,
    (name, written, role): (&str, &SecretText, Role),
) {
    let Some(token) = context.secret(at, &written.0) else {
        return;
    };
    warn_if_weak(context, at, &written.0, token.expose());
    // The message does not show the token.
    if let Some(other) = tokens.iter().find(|other| other.token == token) {
        context.error(
            at,
            format!("this token is also that of `{}`", other.name),
            "a token tells who it is, so it can belong to one only".to_owned(),
        );
    }
    tokens.push(AdminToken {
        name: name.to_owned(),
        token,
        role,
    });
}

fn check_name(context: &mut Context<'_>, tokens: &[AdminToken], name: &str, at: &Pointer) {
    if context.is_repaired(at) {
        return;
    }
    if tokens.iter().any(|token| token.name == name) {
        let hint = format!("take another; `{FIRST_NAME}` is the name of `admin.token`");
        context.error(at, format!("a token is named `{name}` already"), hint);
    } else if RESERVED_NAMES.contains(&name) {
        let hint = "take another: the audit and the versions of the configuration call somebody else so".to_owned();
        context.error(at, format!("no token may be named `{name}`"), hint);
    }
    if name.chars().any(char::is_control) {
        context.error(at, "the name has characters that cannot be shown", None);
    }
}

fn compile_oidc(context: &mut Context<'_>, raw: &RawOidc, at: &Pointer) -> Option<OidcSettings> {
    let example = "such as `https://login.microsoftonline.com/TENANT/v2.0`";
    let issuer_at = at.key("issuer");
    let issuer_text = context.text(&issuer_at, &raw.issuer);
    let issuer = secure_url(context, &issuer_at, (&issuer_text, &raw.issuer), example);
    let client_id = context.text(&at.key("client_id"), &raw.client_id);
    let client_secret = context.secret(&at.key("client_secret"), &raw.client_secret.0);
    let redirect_url = raw.redirect_url.as_ref().and_then(|written| {
        let at = at.key("redirect_url");
        let text = context.text(&at, written);
        let url = secure_url(
            context,
            &at,
            (&text, written),
            "such as `https://emberway.example.com/auth/callback`",
        )?;
        if !url.path().ends_with("/auth/callback") {
            let hint = "write the page's address with `/auth/callback`, and register it at the provider".to_owned();
            context.error(&at, "nothing is served at its path", hint);
        }
        Some(url)
    });
    let values = [
        (&raw.roles.viewer, Role::Viewer),
        (&raw.roles.operator, Role::Operator),
        (&raw.roles.admin, Role::Admin),
    ];
    let roles: Vec<(String, Role)> = values
        .into_iter()
        .flat_map(|(values, role)| values.iter().map(move |value| (value.clone(), role)))
        .collect();
    if roles.is_empty() {
        let hint = "name the application's roles, such as `admin: [Emberway.Admin]`".to_owned();
        context.error(&at.key("roles"), "nobody could sign in", hint);
    }
    Some(OidcSettings {
        issuer: issuer?,
        issuer_text,
        client_id,
        client_secret: client_secret?,
        roles,
        redirect_url,
    })
}

/// A URL whose traffic nobody else can read or change. Messages show what is written, not what is behind its references.
fn secure_url(context: &mut Context<'_>, at: &Pointer, (text, written): (&str, &str), example: &str) -> Option<Url> {
    if context.is_repaired(at) {
        return None;
    }
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => url,
        Ok(_) => {
            context.error(
                at,
                format!("`{written}` is neither an `https` nor an `http` URL"),
                example.to_owned(),
            );
            return None;
        }
        Err(error) => {
            context.error(at, format!("`{written}` is not a URL: {error}"), example.to_owned());
            return None;
        }
    };
    let is_near = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !is_near {
        let hint = "use `https://…`".to_owned();
        context.error(at, format!("`{written}` would carry sign-ins readably"), hint);
    }
    Some(url)
}
