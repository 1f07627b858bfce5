//! Azure's control plane: what is accepted, what is refused, and how it is said.

use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::mistakes::problems;
use super::{SMALL, compile, variables};
use crate::config::checked::azure::{AzureCredential, AzureSettings, ManagedIdentity};
use crate::config::errors::Problem;
use crate::config::load;

/// Line, place, message and hint.
pub(super) fn shown(problem: &Problem) -> String {
    let hint = problem
        .hint
        .as_ref()
        .map_or_else(String::new, |hint| format!("; {hint}"));
    format!("{}: {}: {}{hint}", problem.line, problem.field, problem.message)
}

fn settings(section: &str) -> AzureSettings {
    let checked = compile(&format!("{SMALL}azure: {section}\n")).unwrap_or_else(|errors| panic!("{errors}"));
    checked.install.azure.expect("a control plane")
}

fn credential(text: &str) -> AzureCredential {
    settings(&format!("{{credential: {text}}}")).credential
}

#[test]
fn defaults_are_those_of_the_public_cloud() {
    assert_eq!(compile(SMALL).expect("compiles").install.azure, None);
    let settings = settings("{credential: {managed_identity: {}}}");
    let urls = [&settings.management, &settings.authority, &settings.metadata].map(url::Url::as_str);
    assert_eq!(
        urls,
        [
            "https://management.azure.com/",
            "https://login.microsoftonline.com/",
            "http://169.254.169.254/"
        ]
    );
    assert_eq!(
        (
            settings.api_version.as_str(),
            settings.audience.as_str(),
            settings.writes
        ),
        ("2024-10-01", "https://management.azure.com/.default", true)
    );
    assert_eq!(
        settings.credential,
        AzureCredential::ManagedIdentity(ManagedIdentity::SystemAssigned)
    );
}

#[test]
fn every_credential_is_understood() {
    let text = |text: &str| text.to_owned();
    let identity = AzureCredential::ManagedIdentity;
    assert_eq!(
        credential("{managed_identity: {client_id: c}}"),
        identity(ManagedIdentity::ClientId(text("c")))
    );
    assert_eq!(
        credential("{managed_identity: {object_id: o}}"),
        identity(ManagedIdentity::ObjectId(text("o")))
    );
    assert_eq!(
        credential("{managed_identity: {resource_id: /r}}"),
        identity(ManagedIdentity::ResourceId(text("/r")))
    );
    assert_eq!(
        credential("{workload_identity: {token_file: /token}}"),
        AzureCredential::WorkloadIdentity {
            tenant: text("contoso.onmicrosoft.com"),
            client_id: text("client"),
            token_file: "/token".into(),
        }
    );
    let AzureCredential::ClientSecret {
        tenant,
        client_id,
        secret,
    } = credential("{client_secret: {tenant: t.example, client_id: c, secret: '${env:AZURE_KEY}'}}")
    else {
        panic!("a client secret");
    };
    assert_eq!(
        (tenant, client_id, secret.expose()),
        (text("t.example"), text("c"), "azure-key")
    );
    assert_eq!(
        credential("{azure_cli: {}}"),
        AzureCredential::AzureCli { tenant: None }
    );
    assert_eq!(
        credential("{developer_cli: {tenant: t}}"),
        AzureCredential::DeveloperCli {
            tenant: Some(text("t"))
        }
    );
    let shown = format!("{:?}", credential("{token: '${env:ARM_TOKEN}'}"));
    assert_eq!(shown, "Token(Secret(…))");
}

#[test]
fn certificates_are_judged() {
    let directory = tempfile::tempdir().expect("directory");
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["app".to_owned()]).expect("certificate");
    let files = [
        ("both.pem", format!("{}{}", cert.pem(), signing_key.serialize_pem())),
        ("cert.pem", cert.pem()),
    ];
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).expect("write");
    }
    let path = directory.path().join("config.yaml");
    let outcome = |section: String| match load::compile_text(&format!("{SMALL}azure: {section}\n"), &path, &variables) {
        Ok(_) => String::new(),
        Err(errors) => errors
            .problems
            .iter()
            .map(|problem| problem.message.clone())
            .collect::<Vec<_>>()
            .join("; "),
    };
    let with = |file: &str| {
        outcome(format!(
            "{{credential: {{client_certificate: {{tenant: t, client_id: c, path: {file}}}}}}}"
        ))
    };
    let shown = |file: &str| directory.path().join(file).display().to_string();
    assert_eq!(with("both.pem"), "");
    assert_eq!(
        with("cert.pem"),
        format!("`{}` holds no private key", shown("cert.pem"))
    );
    assert_eq!(with("none.pem"), format!("there is no file `{}`", shown("none.pem")));
    let ca = |file: &str| outcome(format!("{{credential: {{azure_cli: {{}}}}, ca: {file}}}"));
    assert_eq!(ca("cert.pem"), "");
    assert_eq!(
        ca("config.yaml"),
        format!("there is no file `{}`", shown("config.yaml"))
    );
}

/// Each section of the file, and the problems it has.
#[track_caller]
fn check_sections(cases: &[(&str, &[&str])]) {
    for (section, expected) in cases {
        let with = format!("    pool: support\nazure: {section}\n");
        let shown: Vec<String> = problems(&[("    pool: support\n", &with)]).iter().map(shown).collect();
        assert_eq!(shown, *expected, "{section}");
    }
}

#[test]
fn mistakes_of_credentials_are_told() {
    let cases: &[(&str, &[&str])] = &[
        (
            "{}",
            &[
                "22: azure.credential: `credential` is missing; How the gateway logs in to Azure Resource Manager: exactly one of these.",
            ],
        ),
        (
            "{credential: {}}",
            &[
                "22: azure.credential: give exactly one of `managed_identity`, `workload_identity`, `client_secret`, `client_certificate`, `azure_cli`, `developer_cli`, `token`",
            ],
        ),
        (
            "{credential: {managed_identity: {client_id: c, object_id: o}}}",
            &["22: azure.credential.managed_identity: give at most one of `client_id`, `object_id`, `resource_id`"],
        ),
        (
            "{credential: {workload_identity: {}}}",
            &[
                "22: azure.credential.workload_identity.token_file: `token_file` is missing, and the environment variable `AZURE_FEDERATED_TOKEN_FILE` is not set; Azure's webhook sets it in pods with the label `azure.workload.identity/use: \"true\"`",
            ],
        ),
        (
            "{credential: {azure_cli: {tenant: 'a b'}}}",
            &[
                "22: azure.credential.azure_cli.tenant: `a b` is not a tenant; its id, or a domain such as `contoso.onmicrosoft.com`",
            ],
        ),
        (
            "{credential: {token: secret}}",
            &[
                "22: azure.credential.token: a secret must be given by reference, not written out; such as `${env:AZURE_OPENAI_KEY}`, `${file:/run/secrets/azure-openai-key}`",
            ],
        ),
    ];
    check_sections(cases);
}

#[test]
fn mistakes_of_the_section_are_told() {
    let cases: &[(&str, &[&str])] = &[
        (
            "{credential: {azure_cli: {}}, management: 'http://arm.example'}",
            &[
                "22: azure.management: `http://arm.example` would carry tokens readably; write `https://…`, or set `azure.allow_plaintext: true`",
            ],
        ),
        (
            "{credential: {azure_cli: {}}, authority: login}",
            &[
                "22: azure.authority: `login` is not a URL: relative URL without a base; such as `https://management.azure.com`",
            ],
        ),
        (
            "{credential: {azure_cli: {}}, management: 'https://arm.example/?key=1'}",
            &[
                "22: azure.management: `https://arm.example/` has a query or fragment; such as `https://management.azure.com`",
            ],
        ),
        (
            "{credential: {azure_cli: {}}, api_version: newest}",
            &[
                "22: azure.api_version: `newest` is not an API version; a date, such as `2024-10-01` or `2026-03-15-preview`",
            ],
        ),
        (
            "{credential: {azure_cli: {}}, audience: management}",
            &[
                "22: azure.audience: `management` is not the scope of an application; a URL that ends in `/.default`, such as `https://cognitiveservices.azure.com/.default`",
            ],
        ),
        (
            "{credential: {azure_cli: {}}, subscription: 'my subscription', resource_group: g.}",
            &[
                "22: azure.subscription: `my subscription` cannot be a subscription: its id is wanted, such as `00000000-0000-0000-0000-000000000000`",
                "22: azure.resource_group: `g.` cannot be a resource group: 1 to 90 letters, digits, `-`, `_`, `.` and parentheses, the last not a `.`",
            ],
        ),
        (
            "{credential: {azure_cli: {}}, tenants: [{tenant: t, credential: {azure_cli: {}}}, {tenant: T, credential: {azure_cli: {tenant: u}}}]}",
            &[
                "22: azure.tenants[1].tenant: there is another tenant `T`; give each tenant once",
                "22: azure.tenants[1].credential: the credential is of tenant `u`, not of `T`; an application that exists in both tenants logs in with each tenant's own id",
            ],
        ),
    ];
    check_sections(cases);
}

#[test]
fn plain_http_is_for_this_machine_unless_allowed() {
    for section in [
        "{credential: {azure_cli: {}}, management: 'http://127.0.0.1:9443', authority: 'http://localhost:1', metadata: 'http://[::1]:2'}",
        "{credential: {azure_cli: {}}, management: 'http://arm.example', allow_plaintext: true}",
        "{credential: {azure_cli: {}}, management: '${env:HOST}/arm'}",
    ] {
        let settings = settings(section);
        assert!(settings.management.path().ends_with('/'), "{}", settings.management);
    }
}

#[test]
fn a_changed_control_plane_needs_a_restart() {
    let compile = |section: &str| {
        compile(&format!("{SMALL}azure: {section}\n"))
            .expect("compiles")
            .install
    };
    let differs = crate::config::diff::needs_restart(
        &compile("{credential: {token: '${env:ARM_TOKEN}'}}"),
        &compile("{credential: {token: '${env:AZURE_KEY}'}}"),
    );
    assert_eq!(differs, ["azure"]);
}
