//! Ways of logging in, against scripted answers of an authority and a metadata service.

use serde_json::{Value, json};

use super::*;
use crate::azure::testing::{Seen, Server};

const SCOPE: &str = "https://management.azure.com/.default";

fn source_of(login: Login, server: &Server) -> Arc<dyn TokenSource> {
    let authorities = Authorities {
        authority: server.url.join("login/").expect("a URL"),
        metadata: server.url.join("imds/").expect("a URL"),
    };
    source(login, &authorities, &Http::new(None).expect("a client")).expect("a source")
}

/// Asks for a token that is there; what was asked of the server.
async fn asked(login: Login, answer: Value) -> Seen {
    let server = Server::start().await;
    server.then(200, &[], answer);
    let before = Instant::now();
    let token = source_of(login, &server).token(SCOPE).await.expect("a token");
    assert_eq!(token.expose(), "the-token");
    let lasts = token.expires_at().duration_since(before).as_secs();
    assert!((3_500..=3_700).contains(&lasts), "{lasts}");
    let mut seen = server.seen();
    assert_eq!(seen.len(), 1);
    seen.remove(0)
}

fn oauth() -> Value {
    json!({"token_type": "Bearer", "expires_in": 3_599, "access_token": "the-token"})
}

fn imds() -> Value {
    let ends = jiff::Timestamp::now().as_second() + 3_599;
    json!({"access_token": "the-token", "expires_on": ends.to_string(), "token_type": "Bearer", "resource": "r"})
}

fn form(seen: &Seen, name: &str) -> String {
    let mut pairs = url::form_urlencoded::parse(seen.body.as_bytes());
    pairs
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn secret() -> Login {
    Login::ClientSecret {
        tenant: "contoso".to_owned(),
        client_id: "client".to_owned(),
        secret: "hunter2".to_owned(),
    }
}

#[tokio::test]
async fn applications_log_in_at_the_configured_authority() {
    let seen = asked(secret(), oauth()).await;
    assert_eq!(seen.line, "POST /login/contoso/oauth2/v2.0/token");
    assert_eq!(
        (form(&seen, "client_secret"), form(&seen, "scope")),
        ("hunter2".to_owned(), SCOPE.to_owned())
    );

    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("application.pem");
    std::fs::write(&path, include_str!("../assertion/test-application.pem")).expect("write");
    let certificate = Login::ClientCertificate {
        tenant: "contoso".to_owned(),
        client_id: "client".to_owned(),
        path,
    };
    let seen = asked(certificate, oauth()).await;
    assert_eq!(
        form(&seen, "client_assertion_type"),
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    assert_eq!(form(&seen, "client_assertion").split('.').count(), 3);

    let path = directory.path().join("federated");
    std::fs::write(&path, "service-account-token").expect("write");
    let workload = Login::WorkloadIdentity {
        tenant: "contoso".to_owned(),
        client_id: "client".to_owned(),
        token_file: path,
    };
    assert_eq!(
        form(&asked(workload, oauth()).await, "client_assertion"),
        "service-account-token"
    );
}

#[tokio::test]
async fn managed_identities_ask_the_configured_metadata_service() {
    let path =
        "/imds/metadata/identity/oauth2/token?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com";
    for (identity, query) in [
        (Identity::SystemAssigned, ""),
        (Identity::ClientId("c".to_owned()), "&client_id=c"),
        (Identity::ObjectId("o".to_owned()), "&object_id=o"),
        (Identity::ResourceId("/r".to_owned()), "&msi_res_id=%2Fr"),
    ] {
        let seen = asked(Login::ManagedIdentity(identity), imds()).await;
        assert_eq!(seen.line, format!("GET {path}{query}"));
        assert_eq!(seen.header("metadata"), "true");
    }
}

/// What is said when a login fails so.
async fn failure(login: Login, status: u16, body: Value) -> String {
    let server = Server::start().await;
    server.then(status, &[], body);
    source_of(login, &server)
        .token(SCOPE)
        .await
        .expect_err("a failure")
        .to_string()
}

#[tokio::test]
async fn failures_say_what_to_do() {
    let entra = |code: u32, text: &str| json!({"error": "invalid_client", "error_codes": [code], "error_description": format!("AADSTS{code}: {text}")});
    let shown = failure(secret(), 401, entra(7_000_215, "Invalid client secret provided.")).await;
    assert!(
        shown.starts_with("cannot log in by `client_secret`: ") && shown.contains("AADSTS7000215"),
        "{shown}"
    );
    assert!(
        shown.ends_with("`secret` must be the secret's value, not its id; make a new one if the value is lost"),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    let shown = failure(secret(), 400, entra(90_002, "Tenant 'contoso' not found.")).await;
    assert!(shown.ends_with("; check `tenant`"), "{shown}");
    let shown = failure(
        Login::ManagedIdentity(Identity::SystemAssigned),
        400,
        json!({"error": "invalid_request"}),
    )
    .await;
    assert!(
        shown.ends_with("assign the identity to this machine or app, or correct its `client_id`"),
        "{shown}"
    );
}

#[tokio::test]
async fn what_is_missing_is_told_before_anything_is_sent() {
    let server = Server::start().await;
    let authorities = Authorities {
        authority: server.url.clone(),
        metadata: server.url.clone(),
    };
    let workload = Login::WorkloadIdentity {
        tenant: "contoso".to_owned(),
        client_id: "client".to_owned(),
        token_file: "/nonexistent".into(),
    };
    let error = source(workload, &authorities, &Http::new(None).expect("a client")).expect_err("no file");
    assert!(error.to_string().contains("check `token_file`"), "{error}");
    let fixed = source_of(Login::Token("t".to_owned()), &server);
    assert_eq!(fixed.token(SCOPE).await.expect("fixed").expose(), "t");
    assert_eq!(format!("{fixed:?}"), "Fixed(…)");
}
