//! What goes wrong with Azure's control plane, each with a sentence that says what to do: one table for ARM's codes, one for failures to
//! log in.

use std::fmt;

use serde_json::Value;

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
    #[error("{0}; check the network, `azure.management` and any proxy")]
    Transport(#[from] TransportError),
    /// The answer is not what was asked for.
    #[error("the answer to `{asked}` is not understood: {cause}")]
    Unreadable {
        /// What was asked.
        asked: String,
        /// What is wrong with the answer.
        cause: String,
    },
    /// The answer leads elsewhere.
    #[error("the answer leads to `{0}`, which is not the configured management host; its token is not sent there")]
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
                .unwrap_or("no reason is given")
                .chars()
                .take(MESSAGE_CHARS_MAX)
                .collect(),
            request_id: request_id.map(str::to_owned),
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        advice(&self.code).unwrap_or(match self.status {
            Some(401) => "log in again, and check which tenant and audience the credential is for",
            Some(403) => "give the identity `Cognitive Services OpenAI Contributor` on the account",
            Some(404) => "check the names of subscription, resource group, account and deployment",
            Some(429) => "Azure asks for fewer requests; wait and try again",
            Some(500..) => "Azure has a fault of its own; try again later, and give the request id to its support",
            _ => "the message says what Azure takes amiss",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.trim_end_matches('.');
        write!(f, "Azure says `{}`: {message}; {}", self.code, self.advice())?;
        match &self.request_id {
            Some(id) => write!(f, " (request `{id}`)"),
            None => Ok(()),
        }
    }
}

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
        "the base model is retired, so nothing can be deployed of it any more; fine-tune a newer one",
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
        "no token arrived, or one that Azure cannot read; log in again, and look at proxies that drop `Authorization`",
    ),
    (
        "InvalidAuthenticationToken",
        "the token is for something else; its audience must be that of `azure.audience` (`https://management.azure.com/.default`)",
    ),
    (
        "ExpiredAuthenticationToken",
        "the token has ended; get a new one, and check this machine's clock",
    ),
    (
        "InvalidAuthenticationTokenTenant",
        "the token is of another tenant than the subscription; log in to the subscription's tenant (`az login --tenant …`), and give the source's tenant with `--auxiliary-tenant`",
    ),
    (
        "AuthorizationFailed",
        "give the identity `Cognitive Services OpenAI Contributor` on the account (for quota: `Cognitive Services Usages Reader` on the subscription); it takes five minutes or more to hold",
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
        "another operation runs on the account; wait for it to end (`emberway deployment list` shows it) and try again",
    ),
    (
        "InvalidResourceState",
        "the account itself is being made or deleted; wait until its state is `Succeeded`",
    ),
    (
        "TooManyRequests",
        "Azure Resource Manager asks for fewer requests; wait a minute and try again",
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

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialError {
    /// The way of logging in, as the configuration names it.
    pub way: &'static str,
    /// What it said, in one line.
    pub message: String,
}

impl CredentialError {
    /// From a way of logging in, and what it said.
    pub fn new(way: &'static str, message: &str) -> Self {
        let line: Vec<&str> = message.split_whitespace().collect();
        Self {
            way,
            message: line.join(" ").chars().take(MESSAGE_CHARS_MAX).collect(),
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        let says = |mark: &str| self.message.contains(mark);
        let marked = CREDENTIAL_ADVICE.iter().find(|(mark, _)| says(mark));
        marked.map_or("check `azure.credential`", |(_, advice)| *advice)
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, message } = self;
        write!(
            f,
            "cannot log in by `{way}`: {}; {}",
            message.trim_end_matches('.'),
            self.advice()
        )
    }
}

impl std::error::Error for CredentialError {}

/// Marks in what the ways of logging in say, and what a person does about each. The first that is found counts.
pub const CREDENTIAL_ADVICE: &[(&str, &str)] = &[
    (
        "AADSTS7000215",
        "`secret` must be the secret's value, not its id; make a new one if the value is lost",
    ),
    ("AADSTS7000222", "the secret has expired; make a new one"),
    (
        "AADSTS700016",
        "check `client_id`, and that the application is known in this tenant",
    ),
    ("AADSTS900023", "`tenant` is neither a tenant's id nor its domain"),
    ("AADSTS90002", "check `tenant`: there is no such tenant"),
    (
        "AADSTS700213",
        "the application has no federated credential for this service account; add one with its issuer and subject",
    ),
    (
        "AADSTS70021",
        "the application has no federated credential for this service account; add one with its issuer and subject",
    ),
    (
        "AADSTS700027",
        "the certificate is not registered with the application, or another one is",
    ),
    (
        "AADSTS700024",
        "the assertion is too old or too new; check this machine's clock",
    ),
    (
        "AADSTS500011",
        "check the audience: the tenant knows no application of that name",
    ),
    ("AADSTS50076", "this login needs a second factor; run `az login` again"),
    ("AADSTS700082", "the login has ended; run `az login` again"),
    ("AADSTS70043", "the login has ended; run `az login` again"),
    (
        "identity has not been assigned",
        "assign the identity to this machine or app, or correct its `client_id`",
    ),
    ("Please run 'az login'", "run `az login`"),
    ("not logged in", "run `azd auth login`"),
    (
        "az not found on PATH",
        "install the Azure CLI, or use another credential",
    ),
    (
        "azd not found on PATH",
        "install the Azure Developer CLI, or use another credential",
    ),
    (
        "resource IDs aren't supported for App Service",
        "give the identity's `client_id` or `object_id` instead",
    ),
    (
        "failed to read federated token",
        "check `token_file`; in Kubernetes its pod needs the label `azure.workload.identity/use`",
    ),
    (
        "holds no private key",
        "the PEM file must hold the certificate and its private key without a password",
    ),
    (
        "the answer took longer",
        "a managed identity needs a machine or app in Azure with one; elsewhere use another credential",
    ),
    (
        "no answer from `169.254.169.254",
        "a managed identity needs a machine or app in Azure with one; elsewhere use another credential",
    ),
    ("no answer from", "check the network, any proxy, and `azure.authority`"),
];

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
            "Azure says `RequestConflict`: Another operation is being performed; another operation runs on the account; wait for it to \
             end (`emberway deployment list` shows it) and try again",
        );
        check(
            400,
            &json!({"error": {"code": "", "message": "", "details": [{"code": "InvalidRequestContent", "message": "capacity"}]}}),
            "Azure says `InvalidRequestContent`: capacity; look at the body with `--dry-run`",
        );
        check(
            503,
            &json!("gateway down"),
            "Azure says `status 503`: no reason is given; Azure has a fault of its own; try again later, and give the request id to its support",
        );
        let later = Refusal::read(None, &json!({"code": "RequestConflict", "message": "x"}), Some("r"));
        assert_eq!((later.status, later.code.as_str()), (None, "RequestConflict"));
        assert!(later.to_string().ends_with("(request `r`)"));
    }

    #[test]
    fn failures_to_log_in_say_what_to_do() {
        let shown =
            CredentialError::new("client_secret", "AADSTS7000215: Invalid\r\n client secret provided.").to_string();
        assert_eq!(
            shown,
            "cannot log in by `client_secret`: AADSTS7000215: Invalid client secret provided; `secret` must be the secret's value, not \
             its id; make a new one if the value is lost"
        );
        let unknown = CredentialError::new("azure_cli", "hm").to_string();
        assert_eq!(unknown, "cannot log in by `azure_cli`: hm; check `azure.credential`");
    }
}
