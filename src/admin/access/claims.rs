//! Who a provider's token is about, and which role its claims give.

use std::sync::Arc;

use serde::Deserialize;

use crate::admin::access::refused::Unknown;
use crate::admin::access::{Caller, Carried, Voucher};
use crate::config::checked::admin::Role;

/// Longest name that is kept.
const NAME_CHARS_MAX: usize = 100;

/// What is read of a token that was found valid.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Claims {
    #[serde(default)]
    sub: String,
    #[serde(default)]
    roles: Roles,
    preferred_username: Option<String>,
    email: Option<String>,
    name: Option<String>,
    /// The application that a token without a person is of, in Entra's older and newer form.
    appid: Option<String>,
    azp: Option<String>,
}

/// One value or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Roles {
    Several(Vec<String>),
    One(String),
}

impl Default for Roles {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Claims {
    /// Whom they are about, as the audit tells it.
    pub(super) fn name(&self) -> String {
        let person = [&self.preferred_username, &self.email, &self.name];
        let application = [&self.azp, &self.appid];
        let told = person.into_iter().chain(application).flatten();
        let name = told.map(String::as_str).find(|name| !name.trim().is_empty());
        let shown = name.unwrap_or(&self.sub).chars().filter(|char| !char.is_control());
        shown.take(NAME_CHARS_MAX).collect()
    }

    /// The caller, with the highest of the roles that its values give.
    pub(super) fn caller(&self, given: &[(String, Role)], carried: Carried) -> Result<Caller, Unknown> {
        let values = match &self.roles {
            Roles::Several(values) => values.as_slice(),
            Roles::One(value) => std::slice::from_ref(value),
        };
        let name = self.name();
        let matching = given.iter().filter(|(value, _)| values.contains(value));
        let Some(role) = matching.map(|(_, role)| *role).max() else {
            return Err(Unknown::NoRole(name));
        };
        Ok(Caller {
            name: Arc::from(name),
            role,
            by: Voucher::Oidc,
            carried,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judged(claims: Value) -> Result<(String, Role), Unknown> {
        let claims: Claims = serde_json::from_value(claims).expect("claims");
        let given = [
            ("Look".to_owned(), Role::Viewer),
            ("Run".to_owned(), Role::Operator),
            ("All".to_owned(), Role::Admin),
        ];
        let caller = claims.caller(&given, Carried::Header)?;
        Ok((caller.name.to_string(), caller.role))
    }

    #[test]
    fn the_highest_role_counts_and_none_lets_nobody_in() {
        let ada = |roles: Value| judged(json!({ "sub": "1", "preferred_username": "ada@x", "roles": roles }));
        assert_eq!(ada(json!(["Look"])), Ok(("ada@x".to_owned(), Role::Viewer)));
        assert_eq!(ada(json!(["Run", "Look"])), Ok(("ada@x".to_owned(), Role::Operator)));
        assert_eq!(ada(json!("All")), Ok(("ada@x".to_owned(), Role::Admin)));
        for none in [json!([]), json!(["all"]), json!(["Other"]), json!("")] {
            assert_eq!(ada(none), Err(Unknown::NoRole("ada@x".to_owned())));
        }
        assert_eq!(judged(json!({ "sub": "1" })), Err(Unknown::NoRole("1".to_owned())));
    }

    #[test]
    fn names_are_a_persons_or_an_applications_and_fit_to_be_shown() {
        let name = |claims: Value| serde_json::from_value::<Claims>(claims).expect("claims").name();
        assert_eq!(name(json!({ "sub": "s", "name": "Ada", "azp": "app" })), "Ada");
        assert_eq!(name(json!({ "sub": "s", "appid": "app" })), "app");
        assert_eq!(name(json!({ "sub": "s", "email": " " })), "s");
        assert_eq!(name(json!({ "sub": "a\nb" })), "ab");
        assert_eq!(name(json!({ "sub": "x".repeat(200) })).len(), NAME_CHARS_MAX);
    }
}
