//! Azure's control plane: where it is and how the gateway logs in.

use std::path::PathBuf;

use url::{Host, Url};

use crate::config::checked::azure::{AzureCredential, AzureSettings, ManagedIdentity, Tenant};
use crate::config::compile::context::Context;
use crate::config::compile::{fleet, tls};
use crate::config::errors::Pointer;
use crate::config::raw::azure::{RawAzure, RawAzureCredential, RawManagedIdentity, RawWorkloadIdentity};
use crate::config::secrets::Secret;
use crate::core::arm_id::{ArmIdError, check_group, check_subscription};

/// Compiles the whole section; none after a mistake in one of its URLs.
pub(super) fn compile(context: &mut Context<'_>, raw: &RawAzure, at: &Pointer) -> Option<AzureSettings> {
    let (subscription_at, group_at) = (at.key("subscription"), at.key("resource_group"));
    let subscription = default_name(
        context,
        &subscription_at,
        raw.subscription.as_deref(),
        check_subscription,
    );
    let resource_group = default_name(context, &group_at, raw.resource_group.as_deref(), check_group);
    let credential = credential(context, &raw.credential, &at.key("credential"));
    let tenants = compile_tenants(context, raw, &at.key("tenants"));
    let management = base_url(context, &at.key("management"), &raw.management, raw.allow_plaintext);
    let audience = scope(context, &at.key("audience"), &raw.audience);
    let authority = base_url(context, &at.key("authority"), &raw.authority, raw.allow_plaintext);
    let metadata = base_url(context, &at.key("metadata"), &raw.metadata, raw.allow_plaintext);
    let api_version = version(context, &at.key("api_version"), &raw.api_version);
    let ca = raw.ca.as_deref().map(|written| ca(context, &at.key("ca"), written));
    Some(AzureSettings {
        subscription,
        resource_group,
        management: management?,
        audience,
        authority: authority?,
        metadata: metadata?,
        api_version,
        ca,
        credential,
        tenants,
        writes: raw.writes,
        writes_per_minute: raw.writes_per_minute,
    })
}

fn compile_tenants(context: &mut Context<'_>, raw: &RawAzure, at: &Pointer) -> Vec<Tenant> {
    let mut tenants: Vec<Tenant> = Vec::with_capacity(raw.tenants.len());
    for (position, raw) in raw.tenants.iter().enumerate() {
        let at = at.index(position);
        let name = tenant(context, &at.key("tenant"), &raw.tenant);
        if tenants.iter().any(|other| other.tenant.eq_ignore_ascii_case(&name)) {
            let message = format!("there is another tenant `{}`", raw.tenant);
            context.error(&at.key("tenant"), message, "give each tenant once".to_owned());
        }
        let credential = credential(context, &raw.credential, &at.key("credential"));
        if let Some(other) = tenant_of(&credential).filter(|other| !other.eq_ignore_ascii_case(&name)) {
            let message = format!("the credential is of tenant `{other}`, not of `{name}`");
            let hint = "an application that exists in both tenants logs in with each tenant's own id".to_owned();
            context.error(&at.key("credential"), message, hint);
        }
        tenants.push(Tenant {
            tenant: name,
            credential,
        });
    }
    tenants
}

fn tenant_of(credential: &AzureCredential) -> Option<&str> {
    match credential {
        AzureCredential::WorkloadIdentity { tenant, .. }
        | AzureCredential::ClientSecret { tenant, .. }
        | AzureCredential::ClientCertificate { tenant, .. } => Some(tenant),
        AzureCredential::AzureCli { tenant } | AzureCredential::DeveloperCli { tenant } => tenant.as_deref(),
        AzureCredential::ManagedIdentity(_) | AzureCredential::Token(_) => None,
    }
}

/// Compiles a credential, wherever it stands.
pub(super) fn credential(context: &mut Context<'_>, raw: &RawAzureCredential, at: &Pointer) -> AzureCredential {
    let RawAzureCredential {
        managed_identity,
        workload_identity,
        client_secret,
        client_certificate,
        azure_cli,
        developer_cli,
        token,
    } = raw;
    let nothing = || Secret::new(String::new());
    if let Some(raw) = managed_identity {
        return AzureCredential::ManagedIdentity(identity(context, raw, &at.key("managed_identity")));
    }
    if let Some(raw) = workload_identity {
        return workload(context, raw, &at.key("workload_identity"));
    }
    if let Some(raw) = client_secret {
        let at = at.key("client_secret");
        return AzureCredential::ClientSecret {
            tenant: tenant(context, &at.key("tenant"), &raw.tenant),
            client_id: context.text(&at.key("client_id"), &raw.client_id),
            secret: context.secret(&at.key("secret"), &raw.secret.0).unwrap_or_else(nothing),
        };
    }
    if let Some(raw) = client_certificate {
        let at = at.key("client_certificate");
        let path = context.directory.join(context.text(&at.key("path"), &raw.path));
        let shown = context.directory.join(&raw.path);
        tls::check_identity(context, &at.key("path"), &path, &shown);
        return AzureCredential::ClientCertificate {
            tenant: tenant(context, &at.key("tenant"), &raw.tenant),
            client_id: context.text(&at.key("client_id"), &raw.client_id),
            path,
        };
    }
    if let Some(raw) = azure_cli {
        let at = at.key("azure_cli").key("tenant");
        let tenant = raw.tenant.as_deref().map(|written| tenant(context, &at, written));
        return AzureCredential::AzureCli { tenant };
    }
    if let Some(raw) = developer_cli {
        let at = at.key("developer_cli").key("tenant");
        let tenant = raw.tenant.as_deref().map(|written| tenant(context, &at, written));
        return AzureCredential::DeveloperCli { tenant };
    }
    // The schema allows exactly one; an empty one was a stand-in for what it refused.
    let token = token
        .as_ref()
        .and_then(|token| context.secret(&at.key("token"), &token.0));
    AzureCredential::Token(token.unwrap_or_else(nothing))
}

fn identity(context: &mut Context<'_>, raw: &RawManagedIdentity, at: &Pointer) -> ManagedIdentity {
    let RawManagedIdentity {
        client_id,
        object_id,
        resource_id,
    } = raw;
    match (client_id, object_id, resource_id) {
        (Some(id), ..) => ManagedIdentity::ClientId(context.text(&at.key("client_id"), id)),
        (None, Some(id), _) => ManagedIdentity::ObjectId(context.text(&at.key("object_id"), id)),
        (None, None, Some(id)) => ManagedIdentity::ResourceId(context.text(&at.key("resource_id"), id)),
        (None, None, None) => ManagedIdentity::SystemAssigned,
    }
}

/// A workload identity: what is not given comes from the variables that Azure's webhook sets in a pod.
fn workload(context: &mut Context<'_>, raw: &RawWorkloadIdentity, at: &Pointer) -> AzureCredential {
    let RawWorkloadIdentity {
        tenant: tenant_id,
        client_id,
        token_file,
    } = raw;
    let given = |context: &mut Context<'_>, name: &str, written: Option<&str>, variable: &str| {
        let at = at.key(name);
        match (written, context.variable(variable)) {
            (Some(written), _) => context.text(&at, written),
            (None, Some(value)) => value,
            (None, None) => {
                let message = format!("`{name}` is missing, and the environment variable `{variable}` is not set");
                let hint =
                    "Azure's webhook sets it in pods with the label `azure.workload.identity/use: \"true\"`".to_owned();
                context.error(&at, message, hint);
                String::new()
            }
        }
    };
    let tenant_text = given(context, "tenant", tenant_id.as_deref(), "AZURE_TENANT_ID");
    let token_file = given(
        context,
        "token_file",
        token_file.as_deref(),
        "AZURE_FEDERATED_TOKEN_FILE",
    );
    AzureCredential::WorkloadIdentity {
        tenant: check_tenant(context, &at.key("tenant"), tenant_text, "the tenant"),
        client_id: given(context, "client_id", client_id.as_deref(), "AZURE_CLIENT_ID"),
        token_file: context.directory.join(token_file),
    }
}

/// A tenant's id or domain.
pub(super) fn tenant(context: &mut Context<'_>, at: &Pointer, written: &str) -> String {
    let text = context.text(at, written);
    check_tenant(context, at, text, &format!("`{written}`"))
}

fn check_tenant(context: &mut Context<'_>, at: &Pointer, text: String, shown: &str) -> String {
    let is_one = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    if !is_one {
        let hint = "its id, or a domain such as `contoso.onmicrosoft.com`".to_owned();
        context.error(at, format!("{shown} is not a tenant"), hint);
    }
    text
}

fn default_name(
    context: &mut Context<'_>,
    at: &Pointer,
    written: Option<&str>,
    check: fn(&str) -> Result<(), ArmIdError>,
) -> Option<String> {
    let text = context.text(at, written?);
    if let Err(error) = check(&text) {
        context.error(at, error.to_string(), None);
    }
    Some(text)
}

fn version(context: &mut Context<'_>, at: &Pointer, written: &str) -> String {
    let version = context.text(at, written);
    if !fleet::is_api_version(&version) {
        let hint = "a date, such as `2024-10-01` or `2026-03-15-preview`".to_owned();
        context.error(at, format!("`{written}` is not an API version"), hint);
    }
    version
}

/// A token's scope.
pub(super) fn scope(context: &mut Context<'_>, at: &Pointer, written: &str) -> String {
    let scope = context.text(at, written);
    if Url::parse(&scope).is_err() || !scope.ends_with("/.default") {
        let message = format!("`{written}` is not the scope of an application");
        let hint = "a URL that ends in `/.default`, such as `https://cognitiveservices.azure.com/.default`".to_owned();
        context.error(at, message, hint);
    }
    scope
}

pub(super) fn ca(context: &mut Context<'_>, at: &Pointer, written: &str) -> PathBuf {
    let path = context.directory.join(context.text(at, written));
    let shown = context.directory.join(written);
    tls::check_certificates(context, at, &path, &shown);
    path
}

/// A URL under which others are made: its path ends in a slash. None after a mistake.
fn base_url(context: &mut Context<'_>, at: &Pointer, written: &str, allow_plaintext: bool) -> Option<Url> {
    let text = context.text(at, written);
    match parse_base(&text, written) {
        Ok((url, is_near)) => {
            if url.scheme() == "http" && !is_near && !allow_plaintext {
                context.error(
                    at,
                    format!("`{written}` would carry tokens readably"),
                    "write `https://…`, or set `azure.allow_plaintext: true`".to_owned(),
                );
            }
            Some(url)
        }
        Err(message) => {
            context.error(at, message, "such as `https://management.azure.com`".to_owned());
            None
        }
    }
}

/// The URL, and whether it leads to this machine or to what only this machine reaches. Messages show what was written: a reference may
/// stand for a secret.
pub(super) fn parse_base(text: &str, written: &str) -> Result<(Url, bool), String> {
    let mut url = Url::parse(text).map_err(|error| format!("`{written}` is not a URL: {error}"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(format!("`{written}` is neither `https` nor `http`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not shown: it may hold a password.
        return Err("the URL holds a user name or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "`{}` has a query or fragment",
            written.split(['?', '#']).next().unwrap_or(written)
        ));
    }
    let is_near = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_link_local(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return Err(format!("`{written}` names no host")),
    };
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok((url, is_near))
}
