//! Refusals of Azure Resource Manager, each for its own true cause where a command can bring it about, else by a scripted answer.

use std::time::Duration;

use emberway::simulator::arm::faults::{ArmAction, ArmFault};
use serde_json::Value;

use super::rubbish::Rubbish;
use super::{Table, desk};
use crate::harness::client;
use crate::harness::desk::{
    CLIENT, Desk, HOMES_TOKEN, MODEL, NANO, PARTNERS_SUBSCRIPTION, PARTNERS_TOKEN, READERS_TOKEN, TENANT, THEIRS,
    account, create,
};

/// Runs through all of them.
pub(super) async fn refusals(table: &mut Table) {
    let desk = desk().await;
    of_tokens(&desk, table).await;
    of_rights(&desk, table).await;
    of_wishes(&desk, table).await;
    of_names(&desk, table).await;
    of_busy_accounts(&desk, table).await;
    scripted(&desk, table).await;
    of_nobody(&desk, table).await;
}

const LIST: &[&str] = &["deployment", "list", "-n", "home"];

async fn of_tokens(desk: &Desk, table: &mut Table) {
    let management = token(desk, "https://management.azure.com/.default").await;
    desk.sim.control().advance_clock(Duration::from_hours(2));
    let other = token(desk, "https://cognitiveservices.azure.com/.default").await;
    for (cause, token) in [
        ("InvalidAuthenticationToken: the token is for another audience", &*other),
        ("InvalidAuthenticationToken: the token is no token", "rubbish"),
        ("ExpiredAuthenticationToken: the token is two hours old", &*management),
        (
            "InvalidAuthenticationTokenTenant: the token is of another tenant",
            PARTNERS_TOKEN,
        ),
    ] {
        table.add(cause, &desk.run_as(token, LIST).await);
    }
}

/// A token of the simulator's own.
async fn token(desk: &Desk, scope: &str) -> String {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("client_id", CLIENT),
            ("client_secret", "sim-client-secret"),
        ])
        .finish();
    let url = format!("{}/{TENANT}/oauth2/v2.0/token", desk.url());
    let asked = client(|builder| builder).post(url).body(form).send().await;
    let answer: Value = asked.expect("an answer").json().await.expect("JSON");
    answer["access_token"].as_str().expect("a token").to_owned()
}

async fn of_rights(desk: &Desk, table: &mut Table) {
    let plain = create("home", "new", MODEL);
    let reader = desk.run_as(READERS_TOKEN, &plain).await;
    table.add("AuthorizationFailed: the identity only reads", &reader);
    let quota = desk
        .run_as(READERS_TOKEN, &["quota", "list", "-l", "swedencentral"])
        .await;
    table.add("AuthorizationFailed: the identity may not read quota", &quota);
    let linked = [&create("home", "new", NANO)[..], &["--model-source", "trainer"]].concat();
    let linked = desk.run_as(HOMES_TOKEN, &linked).await;
    table.add("LinkedAuthorizationFailed: no right on the source account", &linked);
    let partner = account("partner");
    let across = [
        &create("home", "new", THEIRS)[..],
        &["--source-account", &partner, "--auxiliary-tenant", "partner.example"],
    ]
    .concat();
    let across = desk
        .run_with(
            &across,
            &[
                ("AZURE_ACCESS_TOKEN", "sim-arm-token"),
                ("AZURE_AUXILIARY_TOKEN", "token-of-a-guest-there"),
            ],
        )
        .await;
    table.add(
        "LinkedAuthorizationFailed: no right on the source in its tenant",
        &across,
    );
}

async fn of_wishes(desk: &Desk, table: &mut Table) {
    let much = [&create("home", "new", MODEL)[..], &["--sku-capacity", "21"]].concat();
    table.add("InsufficientQuota: more than is free", &desk.run(&much).await);
    let elsewhere = create("home", "new", NANO);
    table.add(
        "DeploymentModelNotSupported: another account holds the model",
        &desk.run(&elsewhere).await,
    );
    let retired = create(
        "home",
        "new",
        "gpt-4o-mini-2024-07-18.ft-44444444444444444444444444444444",
    );
    table.add(
        "ServiceModelDeprecated: the base model is retired",
        &desk.run(&retired).await,
    );
    let region = create("paris", "new", "gpt-4.1-nano-2025-04-14.ft-1");
    table.add(
        "InvalidResourceProperties: not offered in this region",
        &desk.run(&region).await,
    );
    let version = [LIST, &["--api-version", "2021-01-01"]].concat();
    table.add("InvalidApiVersionParameter: no such version", &desk.run(&version).await);
    let policy = "p".repeat(2_000);
    let content = [&create("home", "new", MODEL)[..], &["--model-version", &policy]].concat();
    table.add(
        "InvalidRequestContent: a value that is far too long",
        &desk.run(&content).await,
    );
}

async fn of_names(desk: &Desk, table: &mut Table) {
    let other = "99999999-9999-4999-8999-999999999999";
    let subscription = [LIST, &["--subscription", other]].concat();
    table.add(
        "SubscriptionNotFound: no such subscription",
        &desk.run(&subscription).await,
    );
    let group = [LIST, &["-g", "nowhere"]].concat();
    table.add("ResourceGroupNotFound: no such resource group", &desk.run(&group).await);
    table.add(
        "ResourceNotFound: no such account",
        &desk.run(&["deployment", "list", "-n", "hmoe"]).await,
    );
    let show = ["deployment", "show", "-n", "home", "--deployment-name", "gone"];
    table.add("ResourceNotFound: no such deployment", &desk.run(&show).await);
    let tenant = [LIST, &["--subscription", PARTNERS_SUBSCRIPTION]].concat();
    table.add(
        "InvalidAuthenticationTokenTenant: the subscription is of another tenant",
        &desk.run(&tenant).await,
    );
}

async fn of_busy_accounts(desk: &Desk, table: &mut Table) {
    table.add(
        "InvalidResourceState: the account is still being made",
        &desk.run(&create("forming", "new", MODEL)).await,
    );
    let made = desk.run(&create("home", "busy", MODEL)).await;
    assert!(made.starts_with("exit 0"), "{made}");
    let busy = ["-n", "home", "--deployment-name", "busy", "--no-wait"];
    // An hour's operation: it is under way as long as this test.
    let begun = desk
        .run(&[&["deployment", "update", "--capacity", "2"][..], &busy].concat())
        .await;
    assert!(begun.starts_with("exit 0"), "{begun}");
    let said = desk.run(&[&["deployment", "delete"][..], &busy].concat()).await;
    table.add("RequestConflict: another operation runs on the account", &said);
}

/// What the simulator answers because it was told to: cause, status, code, message, and how long it asks to wait, in seconds.
const SCRIPTED: &[(&str, u16, &str, &str, Option<u64>)] = &[
    (
        "AuthenticationFailed (scripted: a proxy drops the token)",
        401,
        "AuthenticationFailed",
        "Authentication failed. The 'Authorization' header is missing.",
        None,
    ),
    (
        "MissingApiVersionParameter (scripted: no command leaves it out)",
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
        None,
    ),
    (
        "TooManyRequests (scripted: it goes on after every wait)",
        429,
        "TooManyRequests",
        "The request is being throttled as the limit has been reached for UpdateDeployment requests.",
        Some(1),
    ),
    (
        "TooManyRequests (scripted: Azure asks for a wait of 50 minutes)",
        429,
        "TooManyRequests",
        "Number of 'read' requests for subscription exceeded the limit of '12000' for time interval '01:00:00'.",
        Some(3_000),
    ),
    (
        "a fault of Azure's own (scripted)",
        500,
        "InternalServerError",
        "Encountered internal server error.",
        Some(1),
    ),
    ("a refusal without a code (scripted)", 403, "", "", None),
    (
        "a code that nobody knows (scripted)",
        400,
        "SomethingNew",
        "Something new is wrong.",
        None,
    ),
];

async fn scripted(desk: &Desk, table: &mut Table) {
    for &(cause, status, code, message, retry_after_s) in SCRIPTED {
        let action = ArmAction::Respond {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            retry_after_s,
        };
        table.add(
            cause,
            &faulty(
                desk,
                action,
                &["deployment", "show", "-n", "home", "--deployment-name", "x"],
            )
            .await,
        );
    }
    let action = ArmAction::FailOperation {
        code: "InternalServerError".to_owned(),
        message: "The deployment could not be placed.".to_owned(),
    };
    let (branch, home) = (account("branch"), account("home"));
    let late = [&create(&branch, "late", MODEL)[..], &["--model-source", &home]].concat();
    let said = faulty(desk, action, &late).await;
    table.add("an operation that was accepted and fails (scripted)", &said);
}

/// What is said while every request, or the next operation, meets a fault.
async fn faulty(desk: &Desk, action: ArmAction, arguments: &[&str]) -> String {
    let control = desk.sim.control();
    let faults = &control.arm().expect("a control plane").plane().faults;
    let fault = ArmFault {
        method: None,
        path: None,
        count: None,
        action,
    };
    faults.add(fault).expect("a fault");
    let said = desk.run(arguments).await;
    faults.clear();
    said
}

async fn of_nobody(desk: &Desk, table: &mut Table) {
    for (cause, rubbish) in [
        ("a web page with 200 in the place of Azure's answer", Rubbish::page(200)),
        ("a web page with 502 in the place of Azure's answer", Rubbish::page(502)),
        ("a redirection in the place of Azure's answer", Rubbish::redirect()),
        (
            "a list that leads to another host",
            Rubbish::json(r#"{"value":[],"nextLink":"https://elsewhere.example/next"}"#),
        ),
    ] {
        let url = rubbish.start().await;
        let said = desk.run(&[LIST, &["--management", &url]].concat()).await;
        table.add(cause, &said);
    }
    let closed = ["--management", "http://127.0.0.1:1"];
    table.add(
        "nobody listens where Azure should be",
        &desk.run(&[LIST, &closed].concat()).await,
    );
    let nowhere = ["--management", "https://management.invalid"];
    table.add(
        "the name of the host is not known",
        &desk.run(&[LIST, &nowhere].concat()).await,
    );
}
