//! How accounts, deployments and models are told apart: by names that Azure compares without regard to case.

use std::sync::Arc;

use derive_more::Display;
use serde::{Deserialize, Serialize};

/// An Azure OpenAI account, by its ARM id in small letters. Two resources of the configuration may be one account.
#[derive(Clone, Debug, Display, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountKey(Arc<str>);

impl AccountKey {
    /// Of an ARM id in any spelling.
    pub fn new(arm_id: &str) -> Self {
        Self(arm_id.trim_end_matches('/').to_ascii_lowercase().into())
    }

    /// The whole id, in small letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The account's own name: the id's last part.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

/// A deployment of an account, whether it exists or not. In order of account, then name.
#[derive(Clone, Debug, Display, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[display("{}/{name}", account.name())]
pub struct DeploymentKey {
    /// Whose it is.
    pub account: AccountKey,
    /// Its name, in small letters.
    pub name: Arc<str>,
}

impl DeploymentKey {
    /// Of a name in any spelling.
    pub fn new(account: AccountKey, name: &str) -> Self {
        Self {
            account,
            name: name.to_ascii_lowercase().into(),
        }
    }
}

/// A line of a subscription's quota: subscription, region and usage name together, however the caller writes them.
#[derive(Clone, Debug, Display, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QuotaKey(pub Arc<str>);

/// Which weights a deployment runs.
#[derive(Clone, Debug, Display, Serialize, Deserialize)]
#[display("{name} (version {version})")]
pub struct ModelRef {
    /// A fine-tuned model's id, or a checkpoint's, or a base model's name.
    pub name: String,
    /// `1` for everything fine-tuned.
    pub version: String,
}

impl ModelRef {
    /// Of a fine-tuned model or checkpoint.
    pub fn fine_tuned(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: "1".to_owned(),
        }
    }
}

impl PartialEq for ModelRef {
    fn eq(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name) && self.version == other.version
    }
}

impl Eq for ModelRef {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_makes_no_difference() {
        let one = DeploymentKey::new(AccountKey::new("/subscriptions/S/accounts/Contoso/"), "Support");
        let other = DeploymentKey::new(AccountKey::new("/SUBSCRIPTIONS/s/accounts/contoso"), "support");
        assert_eq!(one, other);
        assert_eq!(one.to_string(), "contoso/support");
        let model = ModelRef::fine_tuned;
        assert_eq!(model("GPT-4.1.ft-1"), model("gpt-4.1.ft-1"));
        assert_ne!(model("gpt-4.1.ft-1"), model("gpt-4.1.ft-2"));
        let newer = ModelRef {
            version: "2".to_owned(),
            ..model("gpt-4.1.ft-1")
        };
        assert_ne!(newer, model("gpt-4.1.ft-1"));
    }
}
