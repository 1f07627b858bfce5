//! Where tokens come from: Entra ID's token endpoint, the machine's metadata endpoint, and that of App Service.
//!
//! Client secrets, federated assertions and certificates are taken; of an assertion only its form is looked at, unless the scenario names
//! those that count. Refusals are worded as the services do, since clients show them.

use std::collections::BTreeMap;

use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};

use crate::simulator::arm::checks::Caller;
use crate::simulator::arm::path::parameter;
use crate::simulator::arm::principals::{IdentityKind, PrincipalSpec};
use crate::simulator::arm::settings::ArmSettings;
use crate::simulator::arm::time;
use crate::simulator::arm::token::{audience, issue};

/// Status and body.
pub type Reply = (StatusCode, Value);

/// The times that a token is made at.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The world's, in seconds since the Unix epoch.
    pub world_s: u64,
    /// The wall's: `expires_on` is compared with the client's own clock.
    pub wall_s: u64,
}

/// `POST /{tenant}/oauth2/v2.0/token`.
pub fn entra(settings: &ArmSettings, tenant: &str, form: &[u8], times: Times) -> Reply {
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(form).into_owned().collect();
    let field = |name: &str| form.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let refuse = |status, error: &str, number: u32, message: &str| refused(status, error, number, message, times);
    let bad = StatusCode::BAD_REQUEST;
    if !settings.has_tenant(tenant) {
        let message = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
        );
        return refuse(bad, "invalid_request", 90_002, &message);
    }
    if field("grant_type") != Some("client_credentials") {
        let message = "The app requested an unsupported grant type. The simulator has 'client_credentials' only.";
        return refuse(bad, "unsupported_grant_type", 70_003, message);
    }
    let Some(scope) = field("scope").or(field("resource")) else {
        let message = "The request body must contain the following parameter: 'scope'.";
        return refuse(bad, "invalid_request", 900_144, message);
    };
    // MSAL sends further scopes along.
    let scope = scope.split(' ').find(|scope| scope.contains("://")).unwrap_or(scope);
    let client = field("client_id").unwrap_or_default();
    let known = |principal: &PrincipalSpec| principal.client_id.eq_ignore_ascii_case(client) && principal.is_in(tenant);
    let Some(index) = settings.principals.iter().position(known) else {
        let message = format!("Application with identifier '{client}' was not found in the directory '{tenant}'.");
        return refuse(bad, "unauthorized_client", 700_016, &message);
    };
    let principal = &settings.principals[index];
    if let Err((number, message)) = prove(principal, field("client_secret"), field("client_assertion"), times) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client", number, message);
    }
    let caller = Caller {
        principal: index,
        tenant: tenant.to_owned(),
    };
    let lifetime = settings.token_lifetime_s;
    let token = issue(settings, &caller, audience(scope), times.world_s, false);
    let reply =
        json!({ "token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token });
    (StatusCode::OK, reply)
}

/// Whether a principal has shown that it is who it says.
fn prove(
    principal: &PrincipalSpec,
    secret: Option<&str>,
    assertion: Option<&str>,
    times: Times,
) -> Result<(), (u32, &'static str)> {
    match (secret, assertion) {
        (Some(secret), _) if principal.client_secret.as_deref() == Some(secret) => Ok(()),
        (Some(_), _) => Err((
            7_000_215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.",
        )),
        (None, Some(assertion)) if !principal.federated_tokens.is_empty() => {
            let known = principal.federated_tokens.iter().any(|known| known == assertion);
            if known {
                Ok(())
            } else {
                Err((
                    700_213,
                    "No matching federated identity record found for presented assertion.",
                ))
            }
        }
        (None, Some(assertion)) => match expiry(assertion) {
            None => Err((50_027, "JWT token is invalid or malformed.")),
            Some(at_s) if at_s <= times.wall_s => {
                Err((700_024, "Client assertion is not within its valid time range."))
            }
            Some(_) => Ok(()),
        },
        (None, None) => Err((
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        )),
    }
}

/// When an assertion ends, by its own account; it is written by the client's clock, the wall's. None when it is no JWT.
fn expiry(assertion: &str) -> Option<u64> {
    let header = jsonwebtoken::decode_header(assertion).ok()?;
    let mut validation = jsonwebtoken::Validation::new(header.alg);
    validation.insecure_disable_signature_validation();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = jsonwebtoken::DecodingKey::from_secret(&[]);
    let claims = jsonwebtoken::decode::<Value>(assertion, &key, &validation).ok()?.claims;
    Some(claims["exp"].as_u64().unwrap_or(u64::MAX))
}

fn refused(status: StatusCode, error: &str, number: u32, message: &str, times: Times) -> Reply {
    let id = crate::simulator::arm::writes::uuid(u64::from(number), times.world_s);
    let at = time::shown(times.wall_s * 1_000);
    let reply = json!({
        "error": error,
        "error_description": format!("AADSTS{number}: {message} Trace ID: {id} Correlation ID: {id} Timestamp: {at}"),
        "error_codes": [number], "timestamp": at, "trace_id": id, "correlation_id": id,
    });
    (status, reply)
}

/// Which machine endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// Of a virtual machine: `GET /metadata/identity/oauth2/token`.
    Imds,
    /// Of App Service and Container Apps: `GET $IDENTITY_ENDPOINT`.
    AppService,
}

/// A managed identity's token.
pub fn managed(settings: &ArmSettings, machine: Machine, head: &Parts, times: Times) -> Reply {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let refuse = |status, error: &str, message: &str| (status, json!({ "error": error, "error_description": message }));
    match machine {
        Machine::Imds if header("metadata").is_none_or(|value| !value.eq_ignore_ascii_case("true")) => {
            return refuse(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Required metadata header not specified",
            );
        }
        Machine::AppService if header("x-identity-header") != Some(&settings.identity_header) => {
            return refuse(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "X-IDENTITY-HEADER is missing or wrong",
            );
        }
        _ => {}
    }
    let Some(resource) = parameter(head, "resource") else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Required query variable 'resource' is missing",
        );
    };
    let asked = |name: &str| parameter(head, name);
    let by_client = asked("client_id");
    let by_object = asked("object_id").or_else(|| asked("principal_id"));
    let by_resource = asked("msi_res_id").or_else(|| asked("mi_res_id"));
    let fits = |principal: &PrincipalSpec| {
        let same =
            |asked: &Option<String>, own: &str| asked.as_deref().is_some_and(|asked| asked.eq_ignore_ascii_case(own));
        let named = by_client.is_some() || by_object.is_some() || by_resource.is_some();
        let own_resource = principal
            .resource_id
            .as_deref()
            .is_some_and(|own| same(&by_resource, own));
        let is_named = same(&by_client, &principal.client_id) || same(&by_object, &principal.object_id) || own_resource;
        match principal.managed_identity {
            None => false,
            Some(IdentityKind::System) => !named || is_named,
            Some(IdentityKind::User) => is_named,
        }
    };
    let Some(index) = settings.principals.iter().position(fits) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", "Identity not found");
    };
    let principal = &settings.principals[index];
    let caller = Caller {
        principal: index,
        tenant: principal.tenants.first().unwrap_or(&settings.tenant).clone(),
    };
    let token = issue(settings, &caller, audience(&resource), times.world_s, true);
    let expires_on = (times.wall_s + settings.token_lifetime_s).to_string();
    let lifetime = settings.token_lifetime_s.to_string();
    let mut reply = json!({
        "access_token": token, "client_id": principal.client_id, "expires_on": expires_on, "resource": resource, "token_type": "Bearer",
    });
    if machine == Machine::Imds {
        reply["expires_in"] = json!(lifetime);
        reply["ext_expires_in"] = json!(lifetime);
        reply["not_before"] = json!(times.wall_s.to_string());
    }
    (StatusCode::OK, reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::arm::token::{For, check};

    const TIMES: Times = Times {
        world_s: 5_000,
        wall_s: 9_000,
    };

    fn form(fields: &[(&str, &str)]) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        form.finish()
    }

    #[test]
    fn each_way_to_fail_has_its_number() {
        let mut settings = ArmSettings::default();
        settings.principals[0].tenants = vec![settings.tenant.clone()];
        settings
            .subscriptions
            .push(crate::simulator::arm::settings::SubscriptionSpec {
                id: "s2".to_owned(),
                tenant: "t2".to_owned(),
            });
        let client = settings.principals[0].client_id.clone();
        let tenant = settings.tenant.clone();
        let grant = ("grant_type", "client_credentials");
        let scope = ("scope", "https://management.azure.com/.default");
        let id = ("client_id", client.as_str());
        let old = jsonwebtoken::encode(
            &jsonwebtoken::Header::default(),
            &json!({"exp": 8_000}),
            &jsonwebtoken::EncodingKey::from_secret(b"x"),
        );
        let old = old.unwrap();
        for (tenant, fields, number) in [
            ("nowhere", vec![grant, scope, id], 90_002),
            (&tenant, vec![("grant_type", "password"), scope, id], 70_003),
            (&tenant, vec![grant, id], 900_144),
            (&tenant, vec![grant, scope, ("client_id", "other")], 700_016),
            (
                "t2",
                vec![grant, scope, id, ("client_secret", "sim-client-secret")],
                700_016,
            ),
            (&tenant, vec![grant, scope, id], 7_000_218),
            (&tenant, vec![grant, scope, id, ("client_secret", "wrong")], 7_000_215),
            (&tenant, vec![grant, scope, id, ("client_assertion", "wrong")], 50_027),
            (&tenant, vec![grant, scope, id, ("client_assertion", &old)], 700_024),
        ] {
            let (status, reply) = entra(&settings, tenant, form(&fields).as_bytes(), TIMES);
            assert!(status.is_client_error());
            assert_eq!(reply["error_codes"][0], number, "{reply}");
        }
        let fields = form(&[grant, scope, id, ("client_secret", "sim-client-secret")]);
        let (status, reply) = entra(&settings, &tenant, fields.as_bytes(), TIMES);
        assert_eq!((status, &reply["expires_in"]), (StatusCode::OK, &json!(3_600)));
        let token = reply["access_token"].as_str().unwrap();
        assert!(check(&settings, token, For::Management, TIMES.world_s).is_ok());
    }

    #[test]
    fn federated_tokens_are_those_of_the_scenario() {
        let mut settings = ArmSettings::default();
        settings.principals[0].federated_tokens = vec!["projected".to_owned()];
        let client = settings.principals[0].client_id.clone();
        for (assertion, status) in [("projected", 200), ("stale", 401)] {
            let fields = form(&[
                ("grant_type", "client_credentials"),
                ("scope", "https://cognitiveservices.azure.com/.default"),
                ("client_id", &client),
                ("client_assertion", assertion),
            ]);
            let (got, _) = entra(&settings, &settings.tenant, fields.as_bytes(), TIMES);
            assert_eq!(got.as_u16(), status, "{assertion}");
        }
    }

    #[test]
    fn machines_have_the_identities_that_they_were_given() {
        let mut settings = ArmSettings::default();
        let mut user = settings.principals[0].clone();
        user.client_id = "user-client".to_owned();
        user.object_id = "user-object".to_owned();
        user.resource_id = Some("/subscriptions/s/identity".to_owned());
        user.managed_identity = Some(IdentityKind::User);
        settings.principals.push(user);
        let system = settings.principals[0].client_id.clone();
        let resource = "resource=https%3A%2F%2Fmanagement.azure.com";
        let metadata = ("metadata", "true");
        for (machine, query, header, expect) in [
            (Machine::Imds, resource.to_owned(), metadata, Ok(system.as_str())),
            (Machine::Imds, resource.to_owned(), ("accept", "*/*"), Err(400)),
            (Machine::Imds, "x=1".to_owned(), metadata, Err(400)),
            (
                Machine::Imds,
                format!("{resource}&client_id=USER-client"),
                metadata,
                Ok("user-client"),
            ),
            (
                Machine::Imds,
                format!("{resource}&object_id=user-object"),
                metadata,
                Ok("user-client"),
            ),
            (
                Machine::Imds,
                format!("{resource}&msi_res_id=%2Fsubscriptions%2Fs%2Fidentity"),
                metadata,
                Ok("user-client"),
            ),
            (
                Machine::Imds,
                format!("{resource}&client_id=nobody"),
                metadata,
                Err(400),
            ),
            (
                Machine::AppService,
                resource.to_owned(),
                ("x-identity-header", "sim-identity-header"),
                Ok(system.as_str()),
            ),
            (
                Machine::AppService,
                resource.to_owned(),
                ("x-identity-header", "wrong"),
                Err(401),
            ),
        ] {
            let head = http::Request::get(format!("/?{query}"))
                .header(header.0, header.1)
                .body(())
                .unwrap();
            let (status, reply) = managed(&settings, machine, &head.into_parts().0, TIMES);
            match expect {
                Ok(client) => {
                    assert_eq!(reply["client_id"], client, "{query}: {reply}");
                    assert_eq!(reply["expires_on"], "12600", "by the wall's clock, as text");
                }
                Err(code) => assert_eq!(status.as_u16(), code, "{query}"),
            }
        }
    }
}
