//! How this cloud describes itself to clients that ask before they sign in: azure-cli its endpoints, MSAL its authority.

use serde_json::{Value, json};

/// The version from which on ARM describes the one cloud that was asked; before, it lists all.
const ONE_CLOUD_SINCE: &str = "2022-09-01";

/// `GET /metadata/endpoints`. Hosts of services that are not here are of no domain.
pub fn endpoints(base: &str, tenant: &str, api_version: Option<&str>) -> Value {
    let cloud = json!({
        "name": "EmberwaySimulator", "portal": base, "resourceManager": format!("{base}/"),
        "authentication": {
            "loginEndpoint": base, "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": tenant, "identityProvider": "AAD",
        },
        "graph": base, "graphAudience": "https://graph.windows.net/", "microsoftGraphResourceId": "https://graph.microsoft.com/",
        "batch": "https://batch.core.windows.net/", "media": "https://rest.media.azure.net", "gallery": base,
        "sqlManagement": base, "vmImageAliasDoc": base,
        "suffixes": { "storage": "core.invalid", "keyVaultDns": "vault.invalid", "sqlServerHostname": "database.invalid" },
    });
    // Versions are dates, so they compare as they are written.
    if api_version.is_some_and(|version| version >= ONE_CLOUD_SINCE) {
        cloud
    } else {
        json!([cloud])
    }
}

/// `GET /common/discovery/instance`.
pub fn instance(base: &str) -> Value {
    let host = base.split_once("://").map_or(base, |(_, host)| host);
    json!({
        "tenant_discovery_endpoint": format!("{base}/common/v2.0/.well-known/openid-configuration"), "api-version": "1.1",
        "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
    })
}

/// `GET /{tenant}/v2.0/.well-known/openid-configuration`.
pub fn openid(base: &str, tenant: &str) -> Value {
    json!({
        "issuer": format!("{base}/{tenant}/v2.0"),
        "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/{tenant}/oauth2/v2.0/token"),
        "device_authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/devicecode"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "response_types_supported": ["code"], "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["HS256"],
    })
}
