//! Why nobody can log in to Azure, with a sentence that says what to do: one table of marks in what the ways of logging in say.

use std::fmt;

/// How much of what was said is kept.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialError {
    /// The way of logging in, as the configuration names it.
    pub way: &'static str,
    /// What it said, in one line.
    pub message: String,
    /// What Microsoft's support finds the failure by.
    pub trace_id: Option<String>,
    /// The tenant, where it is another than the subscription's.
    pub tenant: Option<String>,
}

impl CredentialError {
    /// From a way of logging in, and what it said.
    pub fn new(way: &'static str, message: &str) -> Self {
        let line = message.split_whitespace().collect::<Vec<&str>>().join(" ");
        // The library begins with a name of its own, tools with a word that is said already.
        let line = line
            .split_once("authentication failed. ")
            .map_or(&*line, |(_, said)| said);
        let (message, trace_id) = without_trace(line.trim_start_matches("ERROR: "));
        let message = message.split(" (os error").next().unwrap_or_default();
        Self {
            way,
            message: message.chars().take(MESSAGE_CHARS_MAX).collect(),
            trace_id,
            tenant: None,
        }
    }

    /// The same, of another tenant than the subscription's.
    #[must_use]
    pub fn of_tenant(mut self, tenant: Option<&str>) -> Self {
        self.tenant = tenant.map(str::to_owned);
        self
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        let says = |mark: &str| self.message.contains(mark);
        if self.way == "managed_identity" && says("no answer from") {
            return NO_MACHINE;
        }
        let marked = CREDENTIAL_ADVICE.iter().find(|(mark, _)| says(mark));
        marked.map_or("check `azure.credential`", |(_, advice)| *advice)
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            way,
            message,
            trace_id,
            tenant,
        } = self;
        let message = message.trim_end_matches('.');
        write!(f, "cannot log in by `{way}`")?;
        if let Some(tenant) = tenant {
            write!(f, " to tenant `{tenant}`")?;
        }
        write!(f, ": {message}; {}", self.advice())?;
        if tenant.is_some() {
            f.write_str(" (for this tenant: `azure.tenants`, or a token in `AZURE_AUXILIARY_TOKEN`)")?;
        }
        match trace_id {
            Some(id) => write!(f, " (trace `{id}`)"),
            None => Ok(()),
        }
    }
}

/// Cuts out the ids and the time that Microsoft Entra ID ends its sentences with; the first id is enough to find them.
fn without_trace(line: &str) -> (String, Option<String>) {
    let whole = || (line.to_owned(), None);
    let Some((before, after)) = line.split_once(" Trace ID: ") else {
        return whole();
    };
    let words: Vec<&str> = after.split(' ').collect();
    let [id, "Correlation", "ID:", _, "Timestamp:", rest @ ..] = words.as_slice() else {
        return whole();
    };
    let is_of_time = |word: &&&str| word.starts_with(|letter: char| letter.is_ascii_digit());
    let rest = &rest[rest.iter().take(2).take_while(is_of_time).count()..];
    let glue = if rest.is_empty() { "" } else { " " };
    (format!("{before}{glue}{}", rest.join(" ")), Some((*id).to_owned()))
}

impl std::error::Error for CredentialError {}

/// What is said of an answer that cannot be read.
pub const NO_JSON: &str = "the answer is no JSON";
/// What is said of an answer that holds no token.
pub const NO_TOKEN: &str = "the answer holds no token";
/// Where a person must log in again.
const AGAIN: &str = "log in again with the same program (`az login`, `azd auth login`)";
/// Where no metadata service is.
const NO_MACHINE: &str =
    "a managed identity needs a machine or app in Azure with one; elsewhere use another credential";

/// Marks in what the ways of logging in say, and what a person does about each. The first that is found counts.
pub const CREDENTIAL_ADVICE: &[(&str, &str)] = &[
    (
        "AADSTS7000215",
        "`secret` must be the secret's value, not its id; make a new one if the value is lost",
    ),
    ("AADSTS7000222", "make a new secret for the application"),
    (
        "AADSTS700016",
        "check `client_id`, and that the application is known in this tenant",
    ),
    ("AADSTS900023", "`tenant` is neither a tenant's id nor its domain"),
    ("AADSTS90002", "check `tenant`"),
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
        "register this certificate with the application, or use the one that is",
    ),
    (
        "AADSTS700024",
        "the assertion is too old or too new; check this machine's clock",
    ),
    (
        "AADSTS500011",
        "check the audience: the tenant knows no application of that name",
    ),
    ("AADSTS50076", AGAIN),
    ("AADSTS700082", AGAIN),
    ("AADSTS70043", AGAIN),
    (
        "identity has not been assigned",
        "assign the identity to this machine or app, or correct its `client_id`",
    ),
    ("Please run 'az login'", "do so as the user who runs emberway"),
    ("not logged in", "do so as the user who runs emberway"),
    (
        "az not found on PATH",
        "install the Azure CLI, name another way in `azure.credential`, or give a token in `AZURE_ACCESS_TOKEN`",
    ),
    (
        "azd not found on PATH",
        "install the Azure Developer CLI, or name another way in `azure.credential`",
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
        "AADSTS7000218",
        "the proof is empty: look at `secret`, or at the file that `token_file` names",
    ),
    (
        "AADSTS50027",
        "the file that `token_file` names holds no token of a service account",
    ),
    (
        "The request failed:",
        "the platform has no identity for this app, or `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` are not those that it set",
    ),
    (
        NO_JSON,
        "something else answers in its place: check `azure.authority`, for a managed identity `azure.metadata`, and any proxy",
    ),
    (
        NO_TOKEN,
        "something else answers in its place: check `azure.authority`, for a managed identity `azure.metadata`, and any proxy",
    ),
    (
        "is empty",
        "give a token, in `azure.credential.token` or `AZURE_ACCESS_TOKEN`",
    ),
    (
        "cannot travel in a header",
        "look for line ends, spaces and letters outside ASCII in it",
    ),
    ("the answer took longer", NO_MACHINE),
    ("no answer from", "check the network, any proxy, and `azure.authority`"),
];

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn ids_and_times_are_cut_out_but_for_the_one_that_finds_the_failure() {
        for (said, expected) in [
            (
                "AADSTS1: No. Trace ID: t-1 Correlation ID: c-1 Timestamp: 2026-06-01 02:00:00Z",
                ("AADSTS1: No.", Some("t-1")),
            ),
            (
                "ERROR: AADSTS1: No. Trace ID: t-1 Correlation ID: c-1 Timestamp: 2026-06-01T02:00:00Z\nPlease run: az login",
                ("AADSTS1: No. Please run: az login", Some("t-1")),
            ),
            ("No. Trace ID: t-1 and more", ("No. Trace ID: t-1 and more", None)),
            (
                "Some authentication failed. cannot read (os error 2)",
                ("cannot read", None),
            ),
        ] {
            let error = CredentialError::new("azure_cli", said);
            assert_eq!((error.message.as_str(), error.trace_id.as_deref()), expected);
        }
    }
}
