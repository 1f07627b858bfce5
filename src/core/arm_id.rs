//! Ids of Azure Resource Manager (ARM): accounts and their deployments, as types that are read from text and written as ARM writes them.
//!
//! ARM compares ids without regard to case and answers in whatever case it likes, so equality, order and hash do so too; what is shown
//! keeps the case in which it came. Only Cognitive Services accounts and their deployments are known here: nothing else is ever named.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest name of a resource group, in characters, as ARM has it.
const GROUP_CHARS_MAX: usize = 90;
/// Longest name of a subscription (a GUID has 36), an account or a deployment.
const NAME_CHARS_MAX: usize = 64;
/// How much of a text is shown that is no id.
const SHOWN_CHARS_MAX: usize = 120;

/// Why a text names nothing in ARM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArmIdError {
    /// The whole has another form.
    #[error("`{0}` is not the ARM id of {1}")]
    Form(String, &'static str),
    /// One of its names cannot be one.
    #[error("`{name}` cannot be {noun}: {rule}")]
    Name {
        /// What it was to name.
        noun: &'static str,
        /// The name.
        name: String,
        /// What such names look like.
        rule: &'static str,
    },
}

/// What an account's id looks like, for hints.
pub const ACCOUNT_FORM: &str = "`/subscriptions/…/resourceGroups/…/providers/Microsoft.CognitiveServices/accounts/…`, as `az cognitiveservices account show --query id` prints it";

/// A Cognitive Services account (an Azure OpenAI resource).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId {
    subscription: Folded,
    resource_group: Folded,
    name: Folded,
}

impl AccountId {
    /// Puts an id together.
    ///
    /// # Errors
    /// When ARM would not take one of the names.
    pub fn try_new(subscription: &str, resource_group: &str, name: &str) -> Result<Self, ArmIdError> {
        check_subscription(subscription)?;
        check_group(resource_group)?;
        let rule = "2 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit";
        if !is_name(name, 2) {
            return Err(refused("the name of an account", name, rule));
        }
        Ok(Self {
            subscription: Folded(subscription.to_owned()),
            resource_group: Folded(resource_group.to_owned()),
            name: Folded(name.to_owned()),
        })
    }

    /// The subscription that pays for it.
    pub fn subscription(&self) -> &str {
        &self.subscription.0
    }

    /// Its resource group.
    pub fn resource_group(&self) -> &str {
        &self.resource_group.0
    }

    /// Its own name.
    pub fn name(&self) -> &str {
        &self.name.0
    }

    /// The id of one of its deployments.
    ///
    /// # Errors
    /// When no deployment can have this name.
    pub fn deployment(&self, name: &str) -> Result<DeploymentArmId, ArmIdError> {
        if !is_name(name, 1) {
            let rule = "up to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit";
            return Err(refused("the name of a deployment", name, rule));
        }
        Ok(DeploymentArmId {
            account: self.clone(),
            name: Folded(name.to_owned()),
        })
    }
}

/// A deployment of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeploymentArmId {
    account: AccountId,
    name: Folded,
}

impl DeploymentArmId {
    /// The account that has it.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// Its own name.
    pub fn name(&self) -> &str {
        &self.name.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.CognitiveServices/accounts/{}",
            self.subscription.0, self.resource_group.0, self.name.0
        )
    }
}

impl fmt::Display for DeploymentArmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/deployments/{}", self.account, self.name.0)
    }
}

impl FromStr for AccountId {
    type Err = ArmIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match segments(text).as_slice() {
            [
                subscriptions,
                subscription,
                groups,
                group,
                providers,
                provider,
                accounts,
                name,
            ] if is_account(subscriptions, groups, providers, provider, accounts) => {
                Self::try_new(subscription, group, name)
            }
            _ => Err(ArmIdError::Form(excerpt(text), "an account")),
        }
    }
}

impl FromStr for DeploymentArmId {
    type Err = ArmIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.trim_end_matches('/');
        let parts = rest.rsplit_once('/').and_then(|(rest, name)| {
            let (account, kind) = rest.rsplit_once('/')?;
            kind.eq_ignore_ascii_case("deployments").then_some((account, name))
        });
        match parts {
            Some((account, name)) => account.parse::<AccountId>()?.deployment(name),
            None => Err(ArmIdError::Form(excerpt(text), "a deployment")),
        }
    }
}

impl TryFrom<String> for AccountId {
    type Error = ArmIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<String> for DeploymentArmId {
    type Error = ArmIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.to_string()
    }
}

impl From<DeploymentArmId> for String {
    fn from(id: DeploymentArmId) -> Self {
        id.to_string()
    }
}

/// Checks the name of a subscription: its GUID.
///
/// # Errors
/// When it cannot be one.
pub fn check_subscription(text: &str) -> Result<(), ArmIdError> {
    let is_one = (1..=NAME_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_one {
        return Ok(());
    }
    let rule = "its id is wanted, such as `00000000-0000-0000-0000-000000000000`";
    Err(refused("a subscription", text, rule))
}

/// Checks the name of a resource group.
///
/// # Errors
/// When it cannot be one.
pub fn check_group(text: &str) -> Result<(), ArmIdError> {
    let chars = text.chars().count();
    // What ARM allows, less whatever would need escaping in a URL.
    let is_one = (1..=GROUP_CHARS_MAX).contains(&chars)
        && !text.ends_with('.')
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')'));
    if is_one {
        return Ok(());
    }
    let rule = "1 to 90 letters, digits, `-`, `_`, `.` and parentheses, the last not a `.`";
    Err(refused("a resource group", text, rule))
}

fn is_name(text: &str, chars_min: usize) -> bool {
    (chars_min..=NAME_CHARS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn refused(noun: &'static str, name: &str, rule: &'static str) -> ArmIdError {
    ArmIdError::Name {
        noun,
        name: excerpt(name),
        rule,
    }
}

/// Parts of an id between its slashes; none where it does not begin with one.
fn segments(text: &str) -> Vec<&str> {
    match text.trim_end_matches('/').strip_prefix('/') {
        // One more than any id has, so that a longer text is told apart.
        Some(rest) => rest.splitn(9, '/').collect(),
        None => Vec::new(),
    }
}

fn is_account(subscriptions: &str, groups: &str, providers: &str, provider: &str, accounts: &str) -> bool {
    subscriptions.eq_ignore_ascii_case("subscriptions")
        && groups.eq_ignore_ascii_case("resourceGroups")
        && providers.eq_ignore_ascii_case("providers")
        && provider.eq_ignore_ascii_case("Microsoft.CognitiveServices")
        && accounts.eq_ignore_ascii_case("accounts")
}

fn excerpt(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// Text that is compared without regard to case, as ARM does.
#[derive(Debug, Clone)]
struct Folded(String);

impl Folded {
    fn letters(&self) -> impl Iterator<Item = char> {
        self.0.chars().flat_map(char::to_lowercase)
    }
}

impl PartialEq for Folded {
    fn eq(&self, other: &Self) -> bool {
        self.letters().eq(other.letters())
    }
}

impl Eq for Folded {}

impl Hash for Folded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.letters().for_each(|letter| letter.hash(state));
        // As `str` does, so that two texts in a row are not one.
        state.write_u8(0xff);
    }
}

impl PartialOrd for Folded {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Folded {
    fn cmp(&self, other: &Self) -> Ordering {
        self.letters().cmp(other.letters())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const ACCOUNT: &str =
        "/subscriptions/0000-1/resourceGroups/models (eu)/providers/Microsoft.CognitiveServices/accounts/contoso";

    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<AccountId>() {
            Ok(id) => id.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn accounts_are_read_in_any_case_and_written_as_arm_does() {
        let account = ACCOUNT.replace(" (eu)", "(eu)");
        check(&account, &account);
        check(&format!("{account}/"), &account);
        check(
            "/SUBSCRIPTIONS/s/resourcegroups/g/Providers/microsoft.cognitiveservices/Accounts/Contoso",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/Contoso",
        );
    }

    #[test]
    fn what_is_no_account_is_refused() {
        for text in [
            "",
            "contoso",
            "/subscriptions/s",
            "subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/contoso",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/accounts/contoso",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/contoso/deployments/d",
        ] {
            check(text, &format!("`{text}` is not the ARM id of an account"));
        }
        check(
            &ACCOUNT.replace(" (eu)", "").replace("contoso", "c"),
            "`c` cannot be the name of an account: 2 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit",
        );
        check(
            ACCOUNT,
            "`models (eu)` cannot be a resource group: 1 to 90 letters, digits, `-`, `_`, `.` and parentheses, the last not a `.`",
        );
        check(
            &ACCOUNT.replace("0000-1", "a b"),
            "`a b` cannot be a subscription: its id is wanted, such as `00000000-0000-0000-0000-000000000000`",
        );
    }

    #[test]
    fn deployments_belong_to_accounts() {
        let account = AccountId::try_new("s", "g", "contoso").expect("names");
        let deployment = account.deployment("support").expect("a name");
        assert_eq!(deployment.to_string().parse(), Ok(deployment.clone()));
        assert_eq!(
            format!("{}/", deployment.to_string().to_uppercase()).parse(),
            Ok(deployment)
        );
        for name in ["", "a/b", "..", "a?b", "-a", &"a".repeat(65)] {
            account.deployment(name).expect_err(name);
        }
        assert_eq!(
            account.to_string().parse::<DeploymentArmId>(),
            Err(ArmIdError::Form(account.to_string(), "a deployment"))
        );
    }

    #[test]
    fn case_makes_no_difference_to_equality_order_and_hash() {
        let ids: HashSet<AccountId> = ["contoso", "CONTOSO", "Contoso", "fabrikam"]
            .map(|name| AccountId::try_new("S", "g", name).expect("names"))
            .into();
        assert_eq!(ids.len(), 2);
        let first = AccountId::try_new("s", "G", "contoso").expect("names");
        let second = AccountId::try_new("S", "g", "FABRIKAM").expect("names");
        assert!(first < second && ids.contains(&first));
    }
}
