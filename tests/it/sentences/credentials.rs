//! Failures to log in: each way of logging in, with each way of failing that the simulator or a wrong file can bring about; what only
//! Microsoft Entra ID knows is scripted.

use std::os::unix::fs::PermissionsExt as _;

use emberway::simulator::arm::faults::{ArmAction, ArmFault};

use super::rubbish::Rubbish;
use super::{Table, desk};
use crate::cli::program::Place;
use crate::harness::desk::{CLIENT, Desk, TENANT};

/// A secret that is not the application's.
pub(super) const WRONG_SECRET: &str = "not-the-applications-secret";
/// A token of a Kubernetes service account.
pub(super) const FEDERATED: &str = "token-of-a-service-account";
/// The key in the application's certificate, as far as it can be told from others.
pub(super) const KEY_BYTES: &str = "PRIVATE KEY-----";

const APPLICATION: &str = include_str!("../../../src/azure/assertion/test-application.pem");
const LIST: &[&str] = &["deployment", "list", "-n", "home"];

/// Runs through all of them.
pub(super) async fn failures(table: &mut Table) {
    let desk = desk().await;
    managed_identities(&desk, table).await;
    workload_identities(&desk, table).await;
    secrets(&desk, table).await;
    certificates(&desk, table).await;
    people(&desk, table).await;
    tokens(&desk, table).await;
    authorities(&desk, table).await;
    tenants(&desk, table).await;
}

/// A configuration with this credential, and the simulator as every service of Azure but what is said otherwise.
fn config(desk: &Desk, credential: &str, more: &str) -> String {
    let url = desk.url();
    let service = |name: &str| {
        if more.contains(name) {
            String::new()
        } else {
            format!("{name}: '{url}', ")
        }
    };
    let rest = crate::cli::CONFIG;
    format!(
        "azure: {{ {}{}{}subscription: 11111111-1111-4111-8111-111111111111, resource_group: emberway-sim,\n  \
         credential: {{ {credential} }} {more} }}\n{rest}",
        service("management"),
        service("authority"),
        service("metadata"),
    )
}

/// What is said with this credential.
async fn with(desk: &Desk, credential: &str, more: &str, variables: &[(&str, &str)]) -> String {
    desk.place.write("emberway.yaml", &config(desk, credential, more));
    desk.place.run_with(LIST, variables).await
}

async fn managed_identities(desk: &Desk, table: &mut Table) {
    let nobody = ", metadata: 'http://127.0.0.1:1'";
    let own = "managed_identity: {}";
    table.add(
        "`managed_identity`: no metadata service is reached",
        &with(desk, own, nobody, &[]).await,
    );
    let other = "managed_identity: { client_id: 55555555-5555-4555-8555-555555555555 }";
    table.add(
        "`managed_identity`: the identity is not assigned",
        &with(desk, other, "", &[]).await,
    );
    let endpoint = format!("{}/msi/token", desk.url());
    let app = [("IDENTITY_ENDPOINT", &*endpoint), ("IDENTITY_HEADER", "wrong")];
    table.add(
        "`managed_identity` of an app: its header is refused",
        &with(desk, own, "", &app).await,
    );
    let page = format!(", metadata: '{}'", Rubbish::page(200).start().await);
    table.add(
        "`managed_identity`: a web page in the place of a token",
        &with(desk, own, &page, &[]).await,
    );
}

async fn workload_identities(desk: &Desk, table: &mut Table) {
    table.add(
        "`workload_identity`: no variables and no settings",
        &with(desk, "workload_identity: {}", "", &[]).await,
    );
    let identity =
        |file: &str| format!("workload_identity: {{ tenant: {TENANT}, client_id: {CLIENT}, token_file: {file} }}");
    table.add(
        "`workload_identity`: the token's file is missing",
        &with(desk, &identity("no/token"), "", &[]).await,
    );
    desk.place.write("empty-token", "");
    table.add(
        "`workload_identity`: the token's file is empty",
        &with(desk, &identity("empty-token"), "", &[]).await,
    );
    desk.place.write("federated-token", FEDERATED);
    table.add(
        "`workload_identity`: the token is none that counts",
        &with(desk, &identity("federated-token"), "", &[]).await,
    );
    let refused = scripted(desk, "AADSTS700213: No matching federated identity record found for presented assertion subject 'system:serviceaccount:prod:emberway'.", &identity("federated-token")).await;
    table.add("`workload_identity`: no federated credential (scripted)", &refused);
}

async fn secrets(desk: &Desk, table: &mut Table) {
    let secret = |tenant: &str, client: &str, secret: &str| {
        format!("client_secret: {{ tenant: {tenant}, client_id: {client}, secret: '{secret}' }}")
    };
    let wrong = secret(TENANT, CLIENT, "${env:SECRET}");
    let known = [("SECRET", WRONG_SECRET)];
    table.add(
        "`client_secret`: the secret is wrong",
        &with(desk, &wrong, "", &known).await,
    );
    table.add(
        "`client_secret`: the variable is not set",
        &with(desk, &wrong, "", &[]).await,
    );
    table.add(
        "`client_secret`: the variable is empty",
        &with(desk, &wrong, "", &[("SECRET", "")]).await,
    );
    let expired = scripted(
        desk,
        "AADSTS7000222: The provided client secret keys for app '33333333-3333-4333-8333-333333333333' are expired.",
        &secret(TENANT, CLIENT, "${env:KEY}"),
    )
    .await;
    table.add("`client_secret`: the secret has expired (scripted)", &expired);
    let tenant = secret("44444444-0000-4000-8000-000000000000", CLIENT, "${env:SECRET}");
    table.add(
        "`client_secret`: no such tenant",
        &with(desk, &tenant, "", &known).await,
    );
    let client = secret(TENANT, "55555555-5555-4555-8555-555555555555", "${env:SECRET}");
    table.add(
        "`client_secret`: no such application",
        &with(desk, &client, "", &known).await,
    );
}

async fn certificates(desk: &Desk, table: &mut Table) {
    let certificate =
        |path: &str| format!("client_certificate: {{ tenant: {TENANT}, client_id: {CLIENT}, path: {path} }}");
    table.add(
        "`client_certificate`: the file is missing",
        &with(desk, &certificate("no/app.pem"), "", &[]).await,
    );
    desk.place.write("rubbish.pem", "rubbish");
    table.add(
        "`client_certificate`: the file is no certificate",
        &with(desk, &certificate("rubbish.pem"), "", &[]).await,
    );
    let key_begins = APPLICATION.find("-----BEGIN PRIVATE").expect("a key");
    let certificate_begins = APPLICATION.find("-----BEGIN CERT").expect("a certificate");
    let alone = if key_begins < certificate_begins {
        &APPLICATION[certificate_begins..]
    } else {
        &APPLICATION[..key_begins]
    };
    desk.place.write("no-key.pem", alone);
    table.add(
        "`client_certificate`: the file holds no key",
        &with(desk, &certificate("no-key.pem"), "", &[]).await,
    );
    desk.place.write("app.pem", APPLICATION);
    let refused = scripted(desk, "AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application.", &certificate("app.pem")).await;
    table.add("`client_certificate`: it is refused (scripted)", &refused);
}

/// What is said while the token endpoint refuses with this description.
async fn scripted(desk: &Desk, description: &str, credential: &str) -> String {
    let control = desk.sim.control();
    let faults = &control.arm().expect("a control plane").plane().faults;
    let at = " Trace ID: 6a1a2b3c-0000-4000-8000-111122223333 Correlation ID: 7b1a2b3c-0000-4000-8000-111122223333 Timestamp: 2026-06-01 02:00:00Z";
    let fault = ArmFault {
        method: None,
        path: Some("oauth2".to_owned()),
        count: None,
        action: ArmAction::Respond {
            status: 401,
            code: "invalid_client".to_owned(),
            message: format!("{description}{at}"),
            retry_after_s: None,
        },
    };
    faults.add(fault).expect("a fault");
    let said = with(desk, credential, "", &[]).await;
    faults.clear();
    said
}

async fn people(desk: &Desk, table: &mut Table) {
    for (credential, program, not_logged_in, other) in [
        (
            "azure_cli: {}",
            "az",
            "ERROR: Please run 'az login' to setup account.",
            "ERROR: AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. Trace ID: 6a1a2b3c-0000-4000-8000-111122223333 Correlation ID: 7b1a2b3c-0000-4000-8000-111122223333 Timestamp: 2026-06-01 02:00:00Z\nInteractive authentication is needed. Please run:\naz login",
        ),
        (
            "developer_cli: {}",
            "azd",
            "ERROR: not logged in, run `azd auth login` to login",
            "ERROR: fetching token: AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication to access. Trace ID: 6a1a2b3c-0000-4000-8000-111122223333 Correlation ID: 7b1a2b3c-0000-4000-8000-111122223333 Timestamp: 2026-06-01 02:00:00Z",
        ),
    ] {
        let name = credential.trim_end_matches(": {}");
        let empty = desk.place.path("no-programs").display().to_string();
        let said = with(desk, credential, "", &[("PATH", &empty)]).await;
        table.add(&format!("`{name}`: `{program}` is not installed"), &said);
        for (cause, says) in [("nobody is logged in", not_logged_in), ("the login has ended", other)] {
            let path = program_that_fails(&desk.place, program, says);
            let said = with(desk, credential, "", &[("PATH", &path)]).await;
            table.add(&format!("`{name}`: {cause}"), &said);
        }
    }
}

/// A folder with a program that says this on stderr and fails.
fn program_that_fails(place: &Place, name: &str, says: &str) -> String {
    let folder = place.path("programs");
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join(name);
    let quoted = says.replace('\'', r"'\''");
    std::fs::write(&file, format!("#!/bin/sh\necho '{quoted}' >&2\nexit 1\n")).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("a program");
    format!("{}:/usr/bin:/bin", folder.display())
}

async fn tokens(desk: &Desk, table: &mut Table) {
    let token = "token: '${env:CONTROL_TOKEN}'";
    table.add("`token`: the variable is not set", &with(desk, token, "", &[]).await);
    table.add(
        "`token`: the variable is empty",
        &with(desk, token, "", &[("CONTROL_TOKEN", "")]).await,
    );
    table.add(
        "`token`: the file is missing",
        &with(desk, "token: '${file:no/token}'", "", &[]).await,
    );
    std::fs::remove_file(desk.place.path("emberway.yaml")).expect("removed");
    table.add("`AZURE_ACCESS_TOKEN` is empty", &desk.run_as("", LIST).await);
    let two = "token-of-the-home-team\nsecond line";
    table.add("`AZURE_ACCESS_TOKEN` has two lines", &desk.run_as(two, LIST).await);
    let lines = [("CONTROL_TOKEN", two)];
    table.add("`token`: it has two lines", &with(desk, token, "", &lines).await);
}

async fn authorities(desk: &Desk, table: &mut Table) {
    let secret = format!("client_secret: {{ tenant: {TENANT}, client_id: {CLIENT}, secret: '${{env:KEY}}' }}");
    let at = |url: &str| format!(", authority: '{url}'");
    table.add(
        "the token endpoint is down",
        &with(desk, &secret, &at("http://127.0.0.1:1"), &[]).await,
    );
    table.add(
        "the token endpoint's name is not known",
        &with(desk, &secret, &at("https://login.invalid"), &[]).await,
    );
    for (cause, rubbish) in [
        ("the token endpoint answers a web page with 200", Rubbish::page(200)),
        ("the token endpoint answers a web page with 502", Rubbish::page(502)),
        (
            "the token endpoint answers JSON without a token",
            Rubbish::json(r#"{"hello":"world"}"#),
        ),
    ] {
        let url = rubbish.start().await;
        table.add(cause, &with(desk, &secret, &at(&url), &[]).await);
    }
}

async fn tenants(desk: &Desk, table: &mut Table) {
    std::fs::remove_file(desk.place.path("emberway.yaml")).expect("removed");
    let empty = desk.place.path("no-programs").display().to_string();
    let partner = crate::harness::desk::account("partner");
    let across = [
        &crate::harness::desk::create("home", "new", crate::harness::desk::THEIRS)[..],
        &["--source-account", &partner, "--auxiliary-tenant", "partner.example"],
    ]
    .concat();
    let known = [("AZURE_ACCESS_TOKEN", "sim-arm-token"), ("PATH", &*empty)];
    table.add(
        "the source's tenant: no token and no Azure CLI",
        &desk.run_with(&across, &known).await,
    );
    table.add(
        "no configuration, no token and no Azure CLI",
        &desk.run_with(LIST, &[("PATH", &*empty)]).await,
    );
}
