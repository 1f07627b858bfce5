//! Rows 1, 2, 3 and 5: deployments made in the same account, from another region, subscription and tenant, and how one sees it go on.

use std::sync::Arc;
use std::time::Duration;

use super::Row;
use crate::harness::desk::{
    CHECKPOINT, Desk, GUESTS_TOKEN, HOMES_TOKEN, MODEL, NANO, PARTNERS_TOKEN, READERS_TOKEN, THEIRS, TOKEN, account,
    create,
};
use crate::harness::eventually;

/// A world where an operation takes two seconds.
pub(super) async fn desk() -> Desk {
    Desk::start(
        "durations: { create_s: 2, create_provisioned_s: 2, update_s: 1, delete_s: 1, propagation_s: 0, retry_after_s: 1 }",
    )
    .await
}

pub(super) async fn same_account(row: Row) {
    let desk = desk().await;
    for (name, model) in [("support", MODEL), ("checked", CHECKPOINT)] {
        let command = create("home", name, model);
        let said = desk.run(&command).await;
        row.said(&command, &said, 0, &["InProgress", model, "Standard", "Succeeded"]);
    }
    let made = desk.status().deployments;
    assert_eq!(made.len(), 2, "{made:?}");
    assert!(
        made.iter().all(|one| one.state == "Succeeded" && one.serves),
        "{made:?}"
    );
    row.held(
        "GET /control/arm",
        "the simulator has both deployments, Succeeded and serving",
    );
    let command = create("home", "support", MODEL);
    let refused = desk.run_as(READERS_TOKEN, &command).await;
    row.said(
        &command,
        &refused,
        1,
        &[
            "`AuthorizationFailed`",
            "Cognitive Services OpenAI Contributor` on the account",
        ],
    );
}

pub(super) async fn from_elsewhere(row: Row) {
    let desk = desk().await;
    let trainer = account("trainer");
    let region = [&create("home", "nano", NANO)[..], &["--model-source", &trainer]].concat();
    row.said(&region, &desk.run(&region).await, 0, &[NANO, "Succeeded"]);
    let (branch, home) = (account("branch"), account("home"));
    let subscription = [&create(&branch, "support", MODEL)[..], &["--model-source", &home]].concat();
    row.said(&subscription, &desk.run(&subscription).await, 0, &[MODEL, "Succeeded"]);
    let show = [
        "deployment",
        "show",
        "--json",
        "-n",
        &branch,
        "--deployment-name",
        "support",
    ];
    row.said(
        &show,
        &desk.run(&show).await,
        0,
        &[&format!("\"source\": \"{home}\""), "Succeeded"],
    );
    // The region rule: Standard where fine-tuning is, GlobalStandard everywhere.
    let paris = [&create("paris", "nano", NANO)[..], &["--model-source", &trainer]].concat();
    row.said(
        &paris,
        &desk.run(&paris).await,
        1,
        &[
            "not offered by `Standard` in francecentral",
            "`InvalidResourceProperties`",
            "this region 'francecentral'",
        ],
    );
    let global = [&paris[..], &["--sku-name", "GlobalStandard"]].concat();
    row.said(&global, &desk.run(&global).await, 0, &["GlobalStandard", "Succeeded"]);
    let other = [&create("home", "other", NANO)[..], &["--model-source", &trainer]].concat();
    let refused = desk.run_as(HOMES_TOKEN, &other).await;
    let sentence = "give the identity `Cognitive Services OpenAI Contributor` on the source account too";
    row.said(
        &other,
        &refused,
        1,
        &["`LinkedAuthorizationFailed`", &trainer, sentence],
    );
}

pub(super) async fn from_another_tenant(row: Row) {
    let desk = desk().await;
    let partner = account("partner");
    let across = [
        &create("home", "theirs", THEIRS)[..],
        &["--source-account", &partner, "--auxiliary-tenant", "partner.example"],
    ]
    .concat();
    let with = async |own: &str, theirs: &str| {
        let tokens = [("AZURE_ACCESS_TOKEN", own), ("AZURE_AUXILIARY_TOKEN", theirs)];
        desk.run_with(&across, &tokens).await
    };
    let refused = with(TOKEN, GUESTS_TOKEN).await;
    row.said(&across, &refused, 1, &["`LinkedAuthorizationFailed`", &partner]);
    let wrong = with(PARTNERS_TOKEN, TOKEN).await;
    row.said(
        &across,
        &wrong,
        1,
        &[
            "`InvalidAuthenticationTokenTenant`",
            "log in to the subscription's tenant",
        ],
    );
    let source = [&create("home", "theirs", THEIRS)[..], &["--model-source", &partner]].concat();
    row.said(
        &source,
        &desk.run(&source).await,
        1,
        &["`LinkedAuthorizationFailed`", "with `--auxiliary-tenant`"],
    );
    let made = with(TOKEN, PARTNERS_TOKEN).await;
    row.said(&across, &made, 0, &[THEIRS, "Succeeded"]);
    let dry = [&across[..], &["--dry-run"]].concat();
    let shown = desk.run(&dry).await;
    row.said(
        &dry,
        &shown,
        0,
        &[
            "api-version=2024-10-01",
            "x-ms-authorization-auxiliary: Bearer $AUXILIARY_TOKEN",
            "sourceAccount",
        ],
    );
}

pub(super) async fn progress(row: Row) {
    let desk = Arc::new(Desk::start("durations: { create_s: 3600, propagation_s: 0, retry_after_s: 1 }").await);
    let accepted = [&create("home", "first", MODEL)[..], &["--no-wait"]].concat();
    row.said(&accepted, &desk.run(&accepted).await, 0, &["Accepted"]);
    desk.sim.control().advance_clock(Duration::from_mins(1));
    let list = ["deployment", "list", "-n", "home"];
    row.said(&list, &desk.run(&list).await, 0, &["first", "Creating"]);
    // It waits until the first one is made, then follows its own operation.
    let waits = [&create("home", "second", MODEL)[..], &["--wait"]].concat();
    let second = Arc::clone(&desk);
    let running = tokio::spawn(async move {
        let waits = [&create("home", "second", MODEL)[..], &["--wait"]].concat();
        second.run(&waits).await
    });
    let looks = |asked: &str, status: u16| {
        let calls = desk.status().calls;
        let looks = calls
            .iter()
            .filter(|call| call.path.contains(asked) && call.status == status);
        looks.count()
    };
    let seen = |asked: &'static str, status: u16| {
        eventually(asked, move || async move { (looks(asked, status) > 0).then_some(()) })
    };
    seen("/deployments/second", 409).await;
    desk.sim.control().advance_clock(Duration::from_hours(1));
    seen("/operationsStatus/", 200).await;
    desk.sim.control().advance_clock(Duration::from_hours(1));
    let said = running.await.expect("its end");
    row.said(
        &waits,
        &said,
        0,
        &[
            "second: waiting for Azure",
            "second: RequestConflict",
            "second: InProgress",
            "Succeeded",
        ],
    );
    let show = ["deployment", "show", "-n", "home", "--deployment-name", "first"];
    row.said(&show, &desk.run(&show).await, 0, &["first", "Succeeded"]);
    row.held(
        "GET …/locations/swedencentral/operationsStatus/…",
        &format!("followed by the program, {} looks", looks("/operationsStatus/", 200)),
    );
}
