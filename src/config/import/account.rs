//! Where an entry's deployment is and how to log in there: endpoint, API, region and credential.
//!
//! What an entry does not say LiteLLM takes from `AZURE_API_BASE`, `AZURE_API_VERSION` and `AZURE_API_KEY`, and so does the written file.

use url::Url;

use crate::config::import::applications::Applications;
use crate::config::import::fleet::{Account, Login};
use crate::config::import::report::{Grade, Report};
use crate::config::import::secrets::{self, Secrets, variable_end};
use crate::config::import::source::{Node, Said};
use crate::config::scalars::SecretText;

/// An entry's parameters: its own, then those of the credential that it names.
pub(super) struct Params<'a> {
    own: Node<'a>,
    shared: Option<Node<'a>>,
}

impl<'a> Params<'a> {
    /// Finds the credential and tells of it.
    pub(super) fn new(own: Node<'a>, credentials: &[(&'a str, Node<'a>)], report: &mut Report) -> Self {
        let named = own.get("litellm_credential_name");
        let found = named.as_ref().and_then(|node| {
            let name = node.text()?;
            credentials.iter().find(|(known, _)| *known == name)
        });
        let shared = found.and_then(|(_, credential)| credential.get("credential_values"));
        if let Some(node) = &named {
            match &shared {
                Some(_) => report.tell(node, Grade::Exact, "its values are written into the resource"),
                None => report.tell(
                    node,
                    Grade::Manual,
                    "no such credential in these files, perhaps in LiteLLM's database: fill in the resource's `endpoint` and `credential`",
                ),
            }
        }
        Self { own, shared }
    }

    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        let shared = || self.shared.as_ref().and_then(|shared| shared.get(name));
        self.own.get(name).or_else(shared)
    }

    /// All of them, each once.
    pub(super) fn fields(&self) -> Vec<(&'a str, Node<'a>)> {
        let mut fields = self.own.fields();
        for (name, node) in self.shared.iter().flat_map(Node::fields) {
            if self.own.get(name).is_none() {
                fields.push((name, node));
            }
        }
        fields
    }
}

/// A base URL of theirs, understood.
struct Base {
    endpoint: String,
    label: String,
    is_v1: bool,
    allow_plaintext: bool,
    is_known: bool,
}

/// Reads accounts, telling what becomes of each parameter.
pub(super) struct AccountReader<'r> {
    pub(super) report: &'r mut Report,
    pub(super) secrets: &'r mut Secrets,
    pub(super) applications: &'r mut Applications,
}

impl AccountReader<'_> {
    /// Parameters that are read here.
    pub(super) const TAKEN: &'static [&'static str] = &[
        "api_base",
        "api_version",
        "api_key",
        "azure_ad_token",
        "tenant_id",
        "client_id",
        "client_secret",
        "azure_scope",
        "region_name",
    ];

    /// The account of an entry and its region, where that is told.
    pub(super) fn read(&mut self, params: &Params<'_>, model: &Node<'_>) -> (Account, Option<String>) {
        let base = self.base(params, model);
        let (api_version, is_v1) = self.version(params, base.is_v1);
        let login = self.login(params, model, &base.label);
        let region = params.get("region_name").and_then(|node| {
            let region = self.secrets.text(&node, secrets::REGION);
            match region {
                Some(_) => self.report.tell(&node, Grade::Exact, "`region` of the resource"),
                None => self
                    .report
                    .tell(&node, Grade::Manual, "no text: fill in `region` of the resource"),
            }
            region
        });
        let account = Account {
            endpoint: base.endpoint,
            label: base.label,
            is_v1,
            api_version,
            allow_plaintext: base.allow_plaintext,
            is_known: base.is_known,
            login,
        };
        (account, region)
    }

    fn base(&mut self, params: &Params<'_>, model: &Node<'_>) -> Base {
        let by_variable = |secrets: &mut Secrets, name: &str| Base {
            endpoint: secrets.reference(name, secrets::ENDPOINT),
            label: name.to_ascii_lowercase().replace('_', "-"),
            is_v1: false,
            allow_plaintext: false,
            is_known: true,
        };
        let Some(node) = params.get("api_base") else {
            let remark = "no `api_base`: `endpoint` is from the variable `AZURE_API_BASE`, as LiteLLM has it";
            self.report.tell(model, Grade::Approximate, remark);
            return by_variable(self.secrets, "AZURE_API_BASE");
        };
        match node.said() {
            Some(Said::Variable(name)) => {
                let remark = format!(
                    "`endpoint`, from the variable `{name}`; its value must end before `/openai`, and `emberway check` refuses it otherwise"
                );
                self.report.tell(&node, Grade::Exact, remark);
                by_variable(self.secrets, &name)
            }
            Some(Said::Literal(text)) => match parse_base(&text) {
                Some(base) => {
                    let remark = match (base.is_v1, base.allow_plaintext) {
                        (true, _) => "`endpoint`, with `api: v1`",
                        (_, true) => "`endpoint`, with `allow_plaintext`: prompts and keys travel readably",
                        _ => "`endpoint`",
                    };
                    self.report.tell(&node, Grade::Exact, remark);
                    base
                }
                None => self.unknown_base(&node),
            },
            None => self.unknown_base(&node),
        }
    }

    /// The label comes from the place, so that two that are not known are not taken for one.
    fn unknown_base(&mut self, node: &Node<'_>) -> Base {
        let label = format!("account-line-{}", node.mark().line);
        let endpoint = format!("https://{label}.invalid");
        let remark = format!(
            "fill in `endpoint`: this is no base URL of an account; `{endpoint}` stands in, which `emberway check` accepts and nobody answers"
        );
        self.report.tell(node, Grade::Manual, remark);
        Base {
            endpoint,
            label,
            is_v1: false,
            allow_plaintext: false,
            is_known: false,
        }
    }

    /// The version and whether it is that of the newer URL family.
    fn version(&mut self, params: &Params<'_>, is_v1: bool) -> (Option<String>, bool) {
        let Some(node) = params.get("api_version") else {
            return (None, is_v1);
        };
        if is_v1 {
            let remark = "`api: v1` has no version, and none is sent";
            self.report.tell(&node, Grade::Approximate, remark);
            return (None, true);
        }
        match node.said() {
            Some(Said::Literal(text)) if matches!(text.as_str(), "v1" | "latest" | "preview") => {
                let remark = "`api: v1`, whose generally available form is asked";
                self.report.tell(&node, Grade::Approximate, remark);
                (None, true)
            }
            Some(Said::Literal(text)) if is_version(&text) => {
                self.report.tell(&node, Grade::Exact, "`api_version`");
                (Some(text), false)
            }
            Some(Said::Variable(name)) => {
                let remark = format!("`api_version`, from the variable `{name}` as before");
                self.report.tell(&node, Grade::Exact, remark);
                (Some(self.secrets.reference(&name, secrets::API_VERSION)), false)
            }
            _ => {
                let remark = "no date such as 2024-10-21: left out, so the newest generally available version is asked";
                self.report.tell(&node, Grade::Approximate, remark);
                (None, false)
            }
        }
    }

    /// In LiteLLM's order: key, token, application, environment.
    fn login(&mut self, params: &Params<'_>, model: &Node<'_>, label: &str) -> Login {
        let end = variable_end(label);
        let application = ["tenant_id", "client_id", "client_secret"].map(|name| params.get(name));
        let mut late = Vec::new();
        let login = if let Some(node) = params.get("api_key") {
            late.extend(params.get("azure_ad_token"));
            late.extend(application.into_iter().flatten());
            let wanted = format!("AZURE_API_KEY_{end}");
            let target = (wanted.as_str(), "credential.api_key", secrets::AZURE_KEY);
            Login::Key(self.secrets.secret(self.report, &node, target))
        } else if let Some(node) = params.get("azure_ad_token") {
            late.extend(application.into_iter().flatten());
            self.token(&node, &end)
        } else if let [Some(tenant), Some(client), Some(secret)] = &application {
            return self.application((tenant, client, secret), params, &end);
        } else {
            late.extend(application.into_iter().flatten());
            let remark = "no credential that can be used: `credential.api_key` is from the variable `AZURE_API_KEY`, as LiteLLM has it";
            self.report.tell(model, Grade::Approximate, remark);
            Login::Key(SecretText(self.secrets.reference("AZURE_API_KEY", secrets::AZURE_KEY)))
        };
        late.extend(params.get("azure_scope"));
        for node in late {
            let remark = "not used: the resource logs in otherwise, and there is one credential for it";
            self.report.tell(&node, Grade::Approximate, remark);
        }
        login
    }

    fn token(&mut self, node: &Node<'_>, end: &str) -> Login {
        let wanted = format!("AZURE_AD_TOKEN_{end}");
        if node.text().is_some_and(|text| text.starts_with("oidc/")) {
            let remark = format!(
                "a federated token: write `entra: {{}}` there and `workload_identity` in `azure.credential`; \
                 the variable `{wanted}` stands in, with a token that something else keeps fresh"
            );
            self.report.tell(node, Grade::Manual, remark);
            return Login::Token(SecretText(self.secrets.reference(&wanted, secrets::AZURE_TOKEN)));
        }
        let target = (wanted.as_str(), "credential.token", secrets::AZURE_TOKEN);
        Login::Token(self.secrets.secret(self.report, node, target))
    }

    fn application(
        &mut self,
        (tenant, client, secret): (&Node<'_>, &Node<'_>, &Node<'_>),
        params: &Params<'_>,
        end: &str,
    ) -> Login {
        let mut id = |node: &Node<'_>, ours: &str, stand_in: &str| {
            let text = self.secrets.text(node, secrets::APPLICATION_ID);
            if text.is_some() {
                self.report.tell(node, Grade::Exact, format!("`{ours}`"));
            } else {
                let remark = format!("no text: put it into the variable `{stand_in}`");
                self.report.tell(node, Grade::Manual, remark);
            }
            text.unwrap_or_else(|| self.secrets.reference(stand_in, secrets::APPLICATION_ID))
        };
        let tenant_text = id(tenant, "azure.credential.client_secret.tenant", "AZURE_TENANT_ID");
        let client_text = id(client, "azure.credential.client_secret.client_id", "AZURE_CLIENT_ID");
        let wanted = format!("AZURE_CLIENT_SECRET_{end}");
        let ours = "azure.credential.client_secret.secret";
        let target = (wanted.as_str(), ours, secrets::APPLICATION_SECRET);
        let secret_text = self.secrets.secret(self.report, secret, target);
        let audience = params.get("azure_scope").and_then(|node| match node.said() {
            Some(Said::Literal(text)) if !text.is_empty() && text.len() <= 256 => {
                self.report.tell(&node, Grade::Exact, "`credential.entra.audience`");
                Some(text)
            }
            _ => {
                let remark =
                    "no text that can be copied: write it into `credential.entra.audience`, unless it is the usual one";
                self.report.tell(&node, Grade::Manual, remark);
                None
            }
        });
        let application = (tenant_text, client_text, secret_text);
        let tenant = self.applications.add(application, client, self.report);
        Login::Entra { audience, tenant }
    }
}

/// What a base URL says; none where it is none, or holds what may not be copied.
fn parse_base(text: &str) -> Option<Base> {
    let trimmed = text.trim().trim_end_matches('/');
    let (base, path) = match trimmed.split_once("/openai") {
        Some((base, path)) if path.is_empty() || path.starts_with('/') => (base, path),
        _ => (trimmed, ""),
    };
    let url = Url::parse(base).ok()?;
    let host = url.host_str()?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && !base.contains("${");
    let is_http = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return None,
    };
    let is_loopback = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    let first = host.split('.').next().unwrap_or(host);
    let is_azure = host.ends_with(".azure.com") || host.ends_with(".azure.us") || host.ends_with(".azure.cn");
    let label = match (is_azure, url.port()) {
        (true, None) => first.to_owned(),
        (_, Some(port)) => format!("{host}-{port}"),
        (false, None) => host.to_owned(),
    };
    is_plain.then(|| Base {
        endpoint: base.to_owned(),
        label,
        is_v1: path == "/v1" || path.starts_with("/v1/"),
        allow_plaintext: is_http && !is_loopback,
        is_known: true,
    })
}

/// `YYYY-MM-DD`, with `-preview` or not.
fn is_version(text: &str) -> bool {
    let date = text.strip_suffix("-preview").unwrap_or(text);
    date.len() == 10 && date.parse::<jiff::civil::Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = parse_base(text).map_or_else(
            || "none".to_owned(),
            |base| {
                format!(
                    "{} {} v1={} plain={}",
                    base.endpoint, base.label, base.is_v1, base.allow_plaintext
                )
            },
        );
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn base_urls_are_cut_before_openai() {
        let contoso = "https://contoso.openai.azure.com";
        check(
            "https://contoso.openai.azure.com/",
            &format!("{contoso} contoso v1=false plain=false"),
        );
        check(
            "https://contoso.openai.azure.com/openai/v1/",
            &format!("{contoso} contoso v1=true plain=false"),
        );
        check(
            "https://contoso.openai.azure.com/openai/deployments/a",
            &format!("{contoso} contoso v1=false plain=false"),
        );
        check(
            "http://10.0.0.1:8080",
            "http://10.0.0.1:8080 10.0.0.1-8080 v1=false plain=true",
        );
        check(
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080 127.0.0.1-8080 v1=false plain=false",
        );
    }

    #[test]
    fn what_may_hold_a_secret_or_is_no_url_is_not_copied() {
        check("https://user:hunter2@contoso.openai.azure.com", "none");
        check("https://contoso.openai.azure.com?api-key=hunter2", "none");
        check("<your-azure-endpoint>", "none");
        check("ftp://contoso", "none");
    }
}
