//! Tokens: JWTs that look like Entra ID's and say whose they are, for what, and until when in the world's time.
//!
//! They are signed with a key that is written here, so they prove nothing; the simulator only refuses what it did not make. A
//! scenario's own tokens are taken as they are and never expire.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::simulator::arm::checks::Caller;
use crate::simulator::arm::settings::ArmSettings;

/// The key of all tokens.
const KEY: &[u8] = b"emberway simulator: a key for everyone";
/// What the control plane's tokens are for.
const MANAGEMENT: &[&str] = &["https://management.azure.com", "https://management.core.windows.net"];
/// What the data plane's tokens are for.
const INFERENCE: &[&str] = &["https://cognitiveservices.azure.com", "https://ai.azure.com"];

/// What a token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// What it is for.
    pub aud: String,
    /// Who made it.
    pub iss: String,
    /// When it was made, in seconds since the Unix epoch.
    pub iat: u64,
    /// When it begins to count.
    pub nbf: u64,
    /// When it ends.
    pub exp: u64,
    /// Tenant.
    pub tid: String,
    /// Object id of the principal.
    pub oid: String,
    /// The same.
    pub sub: String,
    /// Client id of the principal.
    pub appid: String,
    /// `app`.
    pub idtyp: String,
    /// ARM id of the machine, where it is a managed identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xms_mirid: Option<String>,
    /// `1.0`.
    pub ver: String,
}

/// Which plane a token is shown to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// ARM.
    Management,
    /// An account.
    Inference,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenProblem {
    /// It is none of ours.
    Malformed,
    /// It is for something else.
    Audience,
    /// It has expired.
    Expired,
}

/// A new token, or none where it cannot be encoded, which does not happen.
pub fn issue(settings: &ArmSettings, caller: &Caller, audience: &str, now_s: u64, machine: bool) -> Option<String> {
    let principal = settings.principals.get(caller.principal)?;
    let machine = machine.then(|| {
        let id = principal.resource_id.clone();
        id.unwrap_or_else(|| {
            let (subscription, group) = (&settings.subscription, &settings.resource_group);
            format!("/subscriptions/{subscription}/resourcegroups/{group}/providers/Microsoft.Compute/virtualMachines/simulator")
        })
    });
    let claims = Claims {
        aud: audience.to_owned(),
        iss: format!("https://sts.windows.net/{}/", caller.tenant),
        iat: now_s,
        nbf: now_s,
        exp: now_s + settings.token_lifetime_s,
        tid: caller.tenant.clone(),
        oid: principal.object_id.clone(),
        sub: principal.object_id.clone(),
        appid: principal.client_id.clone(),
        idtyp: "app".to_owned(),
        xms_mirid: machine,
        ver: "1.0".to_owned(),
    };
    let key = EncodingKey::from_secret(KEY);
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).ok()
}

/// Whose a token is.
///
/// # Errors
/// When it is not taken there and then.
pub fn check(settings: &ArmSettings, token: &str, plane: For, now_s: u64) -> Result<Caller, TokenProblem> {
    let index_of = |fits: &dyn Fn(&str, &str) -> bool| {
        let mut all = settings.principals.iter();
        all.position(|principal| fits(&principal.name, &principal.object_id))
    };
    if let Some(own) = settings.tokens.iter().find(|own| own.token == token) {
        let principal = index_of(&|name, _| name == own.principal).ok_or(TokenProblem::Malformed)?;
        let tenant = own.tenant.clone().unwrap_or_else(|| settings.tenant.clone());
        return Ok(Caller { principal, tenant });
    }
    let mut validation = Validation::new(Algorithm::HS256);
    // Both are looked at below: the time is the world's, and there are several audiences.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let read = jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(KEY), &validation);
    let claims = read.map_err(|_| TokenProblem::Malformed)?.claims;
    let audience = claims.aud.trim_end_matches('/');
    let fits = match plane {
        For::Management => {
            let own = settings.audiences.iter().map(|own| own.trim_end_matches('/'));
            MANAGEMENT
                .iter()
                .copied()
                .chain(own)
                .any(|known| known.eq_ignore_ascii_case(audience))
        }
        For::Inference => INFERENCE.iter().any(|known| known.eq_ignore_ascii_case(audience)),
    };
    if !fits {
        return Err(TokenProblem::Audience);
    }
    if now_s >= claims.exp {
        return Err(TokenProblem::Expired);
    }
    let principal = index_of(&|_, object| object == claims.oid).ok_or(TokenProblem::Malformed)?;
    Ok(Caller {
        principal,
        tenant: claims.tid,
    })
}

/// The audience of a scope or resource.
pub fn audience(scope: &str) -> &str {
    scope.strip_suffix("/.default").unwrap_or(scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_taken_for_what_and_as_long_as_they_say() {
        let settings = ArmSettings::default();
        let caller = Caller {
            principal: 0,
            tenant: settings.tenant.clone(),
        };
        let token = |scope: &str| issue(&settings, &caller, audience(scope), 1_000, false).unwrap();
        let management = token("https://management.azure.com/.default");
        let inference = token("https://cognitiveservices.azure.com/.default");
        for (token, plane, now, expect) in [
            (&management, For::Management, 4_599, Ok(&caller)),
            (&management, For::Management, 4_600, Err(TokenProblem::Expired)),
            (&management, For::Inference, 1_000, Err(TokenProblem::Audience)),
            (&inference, For::Inference, 1_000, Ok(&caller)),
            (&inference, For::Management, 1_000, Err(TokenProblem::Audience)),
            (
                &token("https://management.core.windows.net//.default"),
                For::Management,
                1_000,
                Ok(&caller),
            ),
            (
                &"nonsense".to_owned(),
                For::Management,
                1_000,
                Err(TokenProblem::Malformed),
            ),
            (&"sim-arm-token".to_owned(), For::Management, u64::MAX, Ok(&caller)),
        ] {
            assert_eq!(
                check(&settings, token, plane, now).as_ref().map_err(|problem| *problem),
                expect,
                "{token} {now}"
            );
        }
        // Anybody else's signature is none.
        let forged = jsonwebtoken::encode(
            &Header::default(),
            &serde_json::json!({"oid": 1}),
            &EncodingKey::from_secret(b"x"),
        );
        let refused = check(&settings, &forged.unwrap(), For::Management, 0);
        assert_eq!(refused, Err(TokenProblem::Malformed));
    }
}
