//! What goes wrong with Azure's control plane, each with a sentence that says what to do: one table for ARM's codes.
//! Failures to log in have theirs in `credential_error`.

use std::fmt;

use serde_json::Value;

use crate::azure::credential_error::CredentialError;
use crate::azure::transport::TransportError;
use crate::core::arm_id::ArmIdError;

/// How much of an error's message is kept; ARM's have a few hundred characters.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// Why the control plane did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum AzureError {
    /// It refused, or an operation that it had accepted failed.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// There is no token.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// There is no answer.
    #[error("{0}; {advice}", advice = .0.advice())]
    Transport(TransportError),
    /// The answer is not what was asked for.
    #[error(
        "the answer to `{asked}` is not Azure's: {cause}; look at what stands at `azure.management` and at proxies on the way"
    )]
    Unreadable {
        /// What was asked.
        asked: String,
        /// What is wrong with the answer.
        cause: String,
    },
    /// The answer leads elsewhere.
    #[error(
        "the answer leads to `{0}`, which is not the configured management host, and no token is sent there; check `azure.management`, and proxies that rewrite answers"
    )]
    Elsewhere(String),
    /// Writes are switched off.
    #[error("writes to Azure are switched off; set `azure.writes: true` to allow them")]
    WritesOff,
    /// The write could not be written down, so it was not sent.
    #[error("the write is not sent, since it cannot be entered in the audit")]
    Unwitnessed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("{what} had not ended after {waited_s} s; it may still: look at it with `emberway deployment show`")]
    OutOfTime {
        /// What was waited for.
        what: String,
        /// For how long, in seconds.
        waited_s: u64,
    },
    /// A list has no end.
    #[error("the list of `{0}` has more pages than any account can fill")]
    Endless(String),
    /// A tenant is not configured.
    #[error(
        "there is no credential for tenant `{0}`; add it to `azure.tenants`, or log in to it with `az login --tenant {0}`"
    )]
    UnknownTenant(String),
    /// A name cannot be one.
    #[error(transparent)]
    Id(#[from] ArmIdError),
}

impl From<TransportError> for AzureError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl AzureError {
    /// ARM's code, where it gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => Some(&refusal.code),
            _ => None,
        }
    }

    /// Whether what was asked for does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == Some(404))
    }

    /// Whether another operation runs on the same account, so that it is worth trying again.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some("RequestConflict")
    }
}

/// What ARM answered instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The answer's status; none where an accepted operation failed later.
    pub status: Option<u16>,
    /// ARM's code; the status in words where there is none.
    pub code: String,
    /// ARM's message.
    pub message: String,
    /// What it is of, for Azure's support.
    pub request_id: Option<String>,
    /// How long Azure asks to wait, in seconds.
    pub wait_s: Option<u64>,
}

impl Refusal {
    /// Reads an answer's body, or an operation's `error`, leniently.
    pub fn read(status: Option<u16>, body: &Value, request_id: Option<&str>) -> Self {
        let error = if body["error"].is_object() {
            &body["error"]
        } else {
            body
        };
        let innermost = error["details"].as_array().and_then(|details| details.first());
        let text = |name: &str| {
            let own = error[name].as_str().filter(|text| !text.is_empty());
            own.or_else(|| innermost?[name].as_str())
        };
        let status_word = || status.map_or_else(|| "Failed".to_owned(), |status| format!("status {status}"));
        Self {
            status,
            code: text("code").map_or_else(status_word, str::to_owned),
            message: text("message")
                .unwrap_or(if error.is_object() {
                    "no reason is given"
                } else {
                    NOT_AZURES
                })
                .chars()
                .take(MESSAGE_CHARS_MAX)
                .collect(),
            request_id: request_id.map(str::to_owned),
            wait_s: None,
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        if self.message == NOT_AZURES {
            return "look at what stands at `azure.management` and at proxies on the way, and try again later";
        }
        match self.code.as_str() {
            "AuthorizationFailed" if self.message.contains("/usages/read") => return QUOTA_RIGHT,
            "ResourceNotFound" if !self.message.contains("/deployments/") => {
                return "check the name of the account, its resource group and its subscription";
            }
            _ => {}
        }
        advice(&self.code).unwrap_or(match self.status {
            Some(401) => "log in again, and check which tenant and audience the credential is for",
            Some(403) => "give the identity `Cognitive Services OpenAI Contributor` on the account",
            Some(404) => "check the names of subscription, resource group, account and deployment",
            Some(429) => "Azure asks for fewer requests; wait and try again",
            Some(500..) => "Azure has a fault of its own; try again later, and give the request id to its support",
            None => "Azure had accepted it, and it failed later; try again, and give the request id to Azure's support if it fails again",
            _ => "mend what the message names, or give the request id to Azure's support",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.trim_end_matches('.');
        write!(f, "Azure says `{}`: {message}; {}", self.code, self.advice())?;
        if let Some(seconds) = self.wait_s {
            write!(f, "; it asks for a wait of {seconds} s")?;
        }
        match &self.request_id {
            Some(id) => write!(f, " (request `{id}`)"),
            None => Ok(()),
        }
    }
}

/// Instead of a message where the answer is not JSON.
const NOT_AZURES: &str = "the answer is not Azure's own";
/// Quota is read at the subscription, by a role of its own.
const QUOTA_RIGHT: &str =
    "give the identity `Cognitive Services Usages Reader` on the subscription; it takes five minutes or more to hold";

/// ARM's codes, and what a person does about each.
pub const ADVICE: &[(&str, &str)] = &[
    (
        "InsufficientQuota",
        "ask for less with `--sku-capacity`, free some of what `emberway quota list` shows, use another region or SKU, or ask Azure for more quota",
    ),
    (
        "DeploymentModelNotSupported",
        "check the model's id with `emberway finetune list`; if another account holds it, name that with `--model-source` (or `--source-account` in another tenant)",
    ),
    (
        "ServiceModelDeprecated",
        "fine-tune a newer base model, and deploy that; `emberway model list` shows which are offered",
    ),
    (
        "InvalidResourceProperties",
        "this SKU or capacity is not offered for the model in this region; `emberway model list` shows which are",
    ),
    (
        "InvalidApiVersionParameter",
        "set `azure.api_version` (or `--api-version`) to one that Azure has published, such as `2024-10-01`",
    ),
    (
        "MissingApiVersionParameter",
        "set `azure.api_version`, such as `2024-10-01`",
    ),
    ("InvalidRequestContent", "look at the body with `--dry-run`"),
    (
        "AuthenticationFailed",
        "the token did not arrive; look at proxies that drop `Authorization`",
    ),
    (
        "InvalidAuthenticationToken",
        "the token is cut off, or for something else; get one for `azure.audience` (by `az account get-access-token --resource https://management.azure.com/`)",
    ),
    (
        "ExpiredAuthenticationToken",
        "get a new token, and check this machine's clock",
    ),
    (
        "InvalidAuthenticationTokenTenant",
        "log in to the subscription's tenant (`az login --tenant …`), and give the source's tenant, if that is another, with `--auxiliary-tenant`",
    ),
    (
        "AuthorizationFailed",
        "give the identity `Cognitive Services OpenAI Contributor` on the account; it takes five minutes or more to hold",
    ),
    (
        "LinkedAuthorizationFailed",
        "give the identity `Cognitive Services OpenAI Contributor` on the source account too; in another tenant, also send its token with `--auxiliary-tenant`",
    ),
    (
        "SubscriptionNotFound",
        "check the subscription's id, and that the identity's tenant has it",
    ),
    ("ResourceGroupNotFound", "check the resource group's name"),
    (
        "ResourceNotFound",
        "check the names of account and deployment; a fine-tuned deployment that was idle for 15 days has been deleted by Azure and can be created again",
    ),
    (
        "DeploymentNotFound",
        "check its name; a fine-tuned deployment that was idle for 15 days has been deleted by Azure and can be created again",
    ),
    (
        "RequestConflict",
        "`emberway deployment list` shows when it has ended; without `--no-wait` it is waited for",
    ),
    (
        "InvalidResourceState",
        "wait until the account is made; one that is being deleted must be made anew",
    ),
    (
        "TooManyRequests",
        "ask less often, and look for who else asks: all callers of a subscription share the limit",
    ),
    (
        "AuthenticationTypeDisabled",
        "keys are switched off for the account; send a token instead (`credential: {token: …}` of the resource)",
    ),
];

/// What to do about one of ARM's codes, if it is known.
pub fn advice(code: &str) -> Option<&'static str> {
    ADVICE
        .iter()
        .find(|(known, _)| *known == code)
        .map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(status: u16, body: &Value, expected: &str) {
        assert_eq!(Refusal::read(Some(status), body, None).to_string(), expected);
    }

    #[test]
    fn every_code_of_arm_has_advice_of_its_own() {
        // The table of the reference, section 1.7.
        let codes = [
            "InsufficientQuota",
            "DeploymentModelNotSupported",
            "ServiceModelDeprecated",
            "InvalidResourceProperties",
            "InvalidApiVersionParameter",
            "MissingApiVersionParameter",
            "InvalidRequestContent",
            "AuthenticationFailed",
            "InvalidAuthenticationToken",
            "ExpiredAuthenticationToken",
            "InvalidAuthenticationTokenTenant",
            "AuthorizationFailed",
            "LinkedAuthorizationFailed",
            "SubscriptionNotFound",
            "ResourceGroupNotFound",
            "ResourceNotFound",
            "RequestConflict",
            "InvalidResourceState",
            "TooManyRequests",
        ];
        for code in codes {
            assert!(advice(code).is_some(), "{code}");
        }
        let mut said: Vec<&str> = ADVICE.iter().map(|(_, advice)| *advice).collect();
        said.sort_unstable();
        said.dedup();
        assert_eq!(said.len(), ADVICE.len(), "a sentence is used twice");
    }

    #[test]
    fn refusals_are_read_in_every_shape() {
        check(
            409,
            &json!({"error": {"code": "RequestConflict", "message": "Another operation is being performed."}}),
            "Azure says `RequestConflict`: Another operation is being performed; `emberway deployment list` shows when it has ended; \
             without `--no-wait` it is waited for",
        );
        check(
            400,
            &json!({"error": {"code": "", "message": "", "details": [{"code": "InvalidRequestContent", "message": "capacity"}]}}),
            "Azure says `InvalidRequestContent`: capacity; look at the body with `--dry-run`",
        );
        check(
            503,
            &json!("gateway down"),
            "Azure says `status 503`: the answer is not Azure's own; look at what stands at `azure.management` and at proxies on the way, \
             and try again later",
        );
        let later = Refusal::read(None, &json!({"code": "RequestConflict", "message": "x"}), Some("r"));
        assert_eq!((later.status, later.code.as_str()), (None, "RequestConflict"));
        assert!(later.to_string().ends_with("(request `r`)"));
    }
}
